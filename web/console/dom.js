// Elements from code. Text is only ever set as text: whatever a service, a
// message or a peer says cannot become markup.

/** h("button", {class: "primary", onclick: send}, "Send") */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...shown(children));
  return element;
}

// Nested lists are flattened; what is absent is left out.
const shown = (children) => children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false);

export const $ = (id) => document.getElementById(id);

/** Replaces what is in an element. */
export function fill(element, ...children) {
  element.replaceChildren(...shown(children));
}

const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|\b(true|false|null)\b|(-?\d[\d.eE+-]*)/g;

/** JSON text with its tokens in spans. */
export function highlight(json) {
  const parts = [];
  let at = 0;
  for (const match of json.matchAll(TOKEN)) {
    parts.push(json.slice(at, match.index));
    const [token, string, colon] = match;
    const name = string ? (colon ? "key" : "string") : match[3] ? "word" : "number";
    parts.push(h("span", {class: `json-${name}`}, string ?? token));
    if (colon) parts.push(colon);
    at = match.index + token.length;
  }
  parts.push(json.slice(at));
  return parts;
}

/** JSON for people: on one line where it is short. */
export function pretty(value) {
  const line = JSON.stringify(value, undefined, 1)?.replace(/\n */g, " ") ?? "";
  return line.length <= 60 ? line.replace(/^([[{]) (.*) ([\]}])$/, "$1$2$3") : JSON.stringify(value, undefined, 2);
}

/** Tabs by the ARIA pattern: arrow keys move between them. `onSelect` hears the value. */
export function tabs(container, onSelect) {
  const all = [...container.querySelectorAll("[role=tab]")];
  const select = (tab, focus) => {
    for (const other of all) {
      other.setAttribute("aria-selected", String(other === tab));
      other.tabIndex = other === tab ? 0 : -1;
    }
    if (focus) tab.focus();
    onSelect(tab.dataset.value);
  };
  for (const [i, tab] of all.entries()) {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", ({key}) => {
      const step = key === "ArrowRight" ? 1 : key === "ArrowLeft" ? -1 : 0;
      if (step) select(all[(i + step + all.length) % all.length], true);
    });
  }
  return (value) => select(all.find((tab) => tab.dataset.value === value) ?? all[0]);
}

/** A button that copies what `text()` gives. */
export function copyButton(text) {
  const button = h("button", {type: "button", class: "quiet"}, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  return button;
}
