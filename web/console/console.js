import {Call} from "./call.js";
import {$, copyButton, fill, h, highlight, pretty, tabs} from "./dom.js";
import {MessageForm} from "./form.js";
import {contentOf, decode, decodeStatus, encode, END, hexDump, printable, toHex} from "./packet.js";
import {addressesOf, addressFits, codecsOf, hubRoutes, KINDS, loadIndex, loadSchema, tableRoutes} from "./schema.js";
import {curl, dial, program} from "./snippets.js";

const MOST_CALLS = 50;
// A message is shown up to here.
const MOST_SHOWN = 20_000;

const state = {
  index: undefined,
  schemas: new Map(), // Of upstreams.
  methods: [],
  method: undefined,
  addresses: [],
  editor: "form",
  message: {}, // What the form edits.
  text: "", // What the text editor has.
  call: undefined, // That is shown.
  calls: [],
  drafts: new Map(), // Of methods: their last text.
  snippet: "dial",
};

// --- Methods ---

async function start() {
  $("origin").textContent = location.origin.replace(/^http/, "ws");
  try {
    state.index = await loadIndex();
  } catch (error) {
    return fill($("services"), h("p", {class: "problem"}, `The gateway does not answer: ${error.message}`));
  }
  const problems = [];
  await Promise.all(state.index.upstreams.map(async (upstream) => {
    try {
      const schema = await loadSchema(upstream);
      state.schemas.set(upstream, schema);
      for (const service of schema.services) {
        for (const method of service.methods) {
          state.methods.push({...method, upstream, service: service.name, serviceComment: service.comment, path: `/${service.name}/${method.name}`});
        }
      }
      if (schema.truncated) problems.push(`${upstream} has more than can be shown.`);
    } catch (error) {
      problems.push(`${upstream}: ${error.message}`);
    }
  }));
  state.tables = tableRoutes(state.index.routes);
  state.hubs = hubRoutes(state.index.routes);
  const chat = state.index.routes.some((route) => route.path === "/chat" && route.method === "/headgate.demo.v1.ChatService/Join");
  $("chat-link").hidden = $("welcome-chat").hidden = !chat;
  listMethods(problems);
  window.addEventListener("hashchange", followHash);
  followHash();
}

function listMethods(problems) {
  const groups = new Map();
  for (const upstream of state.index.upstreams) {
    for (const method of state.methods.filter((one) => one.upstream === upstream)) {
      const key = `${upstream} ${method.service}`;
      if (!groups.has(key)) groups.set(key, {upstream, service: method.service, methods: []});
      groups.get(key).methods.push(method);
    }
  }
  // What servers have besides their own services comes last.
  const isOfGrpc = ({service}) => service.startsWith("grpc.");
  const ordered = [...groups.values()].sort((a, b) => Number(isOfGrpc(a)) - Number(isOfGrpc(b)));
  const showUpstream = state.index.upstreams.length > 1;
  const sections = ordered.map(({upstream, service, methods}) => {
    const [, packageName, name] = /^(?:(.*)\.)?([^.]+)$/.exec(service) ?? [, "", service];
    return h("section", {class: "service"},
      h("h2", {}, name, h("span", {}, [showUpstream && upstream, packageName].filter(Boolean).join(" · "))),
      h("ul", {}, methods.map(methodItem)));
  });
  for (const [title, routes] of [["Hubs", state.hubs], ["Sockets with several calls", state.tables]]) {
    if (routes.length) sections.push(h("section", {class: "service"}, h("h2", {}, title), h("ul", {}, routes.map(methodItem))));
  }
  fill($("services"), problems.map((problem) => h("p", {class: "problem"}, problem)), sections,
    !sections.length && !problems.length && h("p", {class: "hint"}, "The upstreams have no services that are known."));
}

function methodItem(method) {
  const kind = KINDS[method.kind];
  return h("li", {"data-name": `${method.service ?? ""}/${method.name}`.toLowerCase()},
    h("a", {href: `#${method.path}`, class: "method"}, h("span", {class: "method-label"}, method.name),
      h("span", {class: `kind ${method.kind}`, title: kind.label, "aria-label": kind.label, role: "img"}, kind.mark)));
}

function filterMethods() {
  const wanted = $("filter").value.trim().toLowerCase();
  for (const section of document.querySelectorAll(".service")) {
    let any = false;
    for (const item of section.querySelectorAll("li")) {
      item.hidden = !item.dataset.name.includes(wanted);
      any ||= !item.hidden;
    }
    section.hidden = !any;
  }
}

function followHash() {
  let path;
  try {
    path = decodeURIComponent(location.hash.slice(1));
  } catch {
    return;
  }
  const method = [...state.methods, ...state.hubs, ...state.tables].find((one) => one.path === path);
  if (method && method !== state.method) select(method);
}

function select(method) {
  if (state.method) state.drafts.set(state.method, currentText());
  state.method = method;
  state.call = undefined;
  state.addresses = method.route ? [{address: method.path, route: method.route}] : addressesOf(method, state.index.routes);
  for (const link of document.querySelectorAll("a.method")) {
    if (link.getAttribute("href") === `#${method.path}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  $("welcome").hidden = true;
  $("method").hidden = false;
  $("method-name").textContent = method.service ? `${method.service.split(".").pop()}/${method.name}` : method.name;
  document.title = `${method.name} – Headgate console`;
  const stream = (yes, type) => [yes && h("span", {class: "stream"}, "stream "), h("span", {title: type}, type.split(".").pop())];
  const kind = KINDS[method.kind];
  fill($("signature"), h("span", {class: `kind ${method.kind}`}, kind.label), " ",
    method.input && [stream(kind.streamsIn, method.input), " → ", stream(kind.streamsOut, method.output)]);
  $("method-comment").textContent = method.comment ?? "";
  $("method-comment").hidden = !method.comment;
  $("address").value = state.addresses[0]?.address ?? "";
  fill($("addresses"), state.addresses.map(({address}) => h("option", {value: address})));
  state.text = state.drafts.get(method) ?? "";
  fillCodecs();
  closeMenu();
  showCall();
}

const routeNow = () => (state.addresses.find((one) => addressFits(one, $("address").value)) ?? state.addresses[0])?.route;

/** Why nothing can be sent to the address; "": it can. */
function addressProblem() {
  const address = $("address").value;
  const variables = address.match(/\{[^}]*\}/g);
  if (variables) return `Write a value in place of ${variables.join(" and ")}.`;
  return state.addresses.length || address ? "" : "No route of this listener leads to this method by a WebSocket.";
}

function showAddressProblem() {
  const problem = addressProblem();
  $("address-problem").textContent = problem;
  $("address-problem").hidden = problem === "";
}

const hasForm = () => $("codec").value === "json" && state.method.input !== undefined;

function fillCodecs() {
  fill($("codec"), codecsOf(state.method, routeNow()).map((codec) => h("option", {value: codec}, codec)));
  chooseCodec();
}

function chooseCodec() {
  const codec = $("codec").value;
  if (!state.text || state.textCodec !== codec) state.text = defaultText(codec);
  state.textCodec = codec;
  readText();
  selectEditor(hasForm() ? "form" : "text");
}

function defaultText(codec) {
  if (codec === "json") return routeNow()?.hub && !state.method.input ? '{"text": "hello"}' : "{}";
  if (codec === "raw") return "hello";
  if (codec === "protobuf") return "";
  const methods = routeNow()?.packet?.methods;
  if (!methods) return '{"type": 7, "who": 42, "text": "hello"}';
  return `{"type": ${Object.keys(methods)[0]}, "who": 1, "${routeNow().packet.content === "json" ? 'json": {}' : 'hex": ""'}}`;
}

// --- The request ---

const HINTS = {
  packet: 'A packet, or a list of them: {"type", "who", and "text", "hex", "base64", "json" or "packets"}. Type 4294967294 holds packets, 4294967295 ends a call\'s input.',
  protobuf: "One serialized message in hex.",
  raw: "One text message, sent as it is.",
};

function readText() {
  if ($("codec").value !== "json") return;
  try {
    const value = JSON.parse(state.text);
    state.message = typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
  } catch {
    state.message = {};
  }
}

function currentText() {
  return state.text;
}

function showEditor(kind) {
  state.editor = kind;
  const codec = $("codec").value;
  $("editors").hidden = !hasForm();
  $("editor").setAttribute("aria-labelledby", `tab-${kind}`);
  if (kind === "form") {
    readText();
    const schema = state.schemas.get(state.method.upstream);
    const form = new MessageForm(schema, () => {
      state.text = pretty(state.message);
      checkText();
      showSnippet();
    });
    fill($("editor"), form.render(state.method.input, state.message));
  } else {
    const area = h("textarea", {
      class: "mono", rows: 10, spellcheck: "false", autocomplete: "off", "aria-label": codec === "json" ? "Request as JSON" : `Message, ${codec}`, value: state.text,
      oninput: () => {
        state.text = area.value;
        checkText();
        showSnippet();
      },
    });
    fill($("editor"), HINTS[codec] && h("p", {class: "hint"}, HINTS[codec]), area, codec === "packet" && h("pre", {id: "preview", class: "hex", tabindex: 0, role: "group", "aria-label": "The bytes of the packets"}));
  }
  checkText();
  showSnippet();
}

const selectEditor = tabs($("editors"), showEditor);

/** Says what is wrong with the text; it can be sent all the same where it can be made into a message. */
function checkText() {
  let problem = "";
  try {
    if ($("codec").value === "json") JSON.parse(state.text);
    else messageOf();
  } catch (error) {
    problem = error.message;
  }
  $("text-problem").textContent = problem;
  const preview = $("preview");
  if (preview) preview.textContent = problem ? "" : hexDump(messageOf(), 512);
  return problem;
}

/** What goes over the socket for the text. */
function messageOf() {
  const codec = $("codec").value;
  if (codec === "packet") {
    const value = JSON.parse(state.text);
    return encode(Array.isArray(value) ? value : [value], routeNow()?.packet);
  }
  if (codec === "protobuf") return contentOf({hex: state.text});
  return state.text;
}

// --- The call ---

function connect() {
  const call = new Call({
    method: state.method, address: $("address").value, codec: $("codec").value, token: $("token").value, metadata: $("metadata").value, onChange: changed,
    asksStatus: state.addresses.some((one) => one.address === $("address").value),
  });
  Object.assign(call, {packet: routeNow()?.packet, requests: [], shown: []});
  state.call = call;
  state.calls.unshift(call);
  for (const old of state.calls.splice(MOST_CALLS)) old.cancel();
  showCall();
  return call;
}

const isLive = () => state.call && !state.call.isOver;

function send() {
  if ($("send").disabled) return;
  let data;
  try {
    data = messageOf();
  } catch {
    return $("text-problem").focus?.();
  }
  const call = isLive() ? state.call : connect();
  call.requests.push(state.text);
  call.send(data);
  // A text that is cut short would have the gateway wait for the rest of it.
  if (!KINDS[state.method.kind].streamsIn && $("text-problem").textContent !== "") call.halfClose();
  if (!KINDS[state.method.kind].streamsIn && call.state !== "ended") call.state = call.state === "open" ? "halfClosed" : call.state;
  showButtons();
  showSnippet();
}

$("send").addEventListener("click", send);
$("open").addEventListener("click", () => isLive() || connect());
$("half-close").addEventListener("click", () => {
  state.call?.halfClose();
  showButtons();
});
$("cancel").addEventListener("click", () => state.call?.cancel());

function showButtons() {
  showAddressProblem();
  const streamsIn = KINDS[state.method.kind].streamsIn;
  const live = isLive();
  const mayBegin = $("address").value !== "" && addressProblem() === "";
  $("send").textContent = streamsIn ? "Send" : "Call";
  $("send").disabled = live ? !streamsIn || state.call.state === "halfClosed" : !mayBegin;
  $("open").hidden = !streamsIn;
  $("open").disabled = live || !mayBegin;
  $("half-close").hidden = !streamsIn || $("codec").value === "raw" || routeNow()?.hub !== undefined;
  $("half-close").disabled = !live || state.call.state === "halfClosed";
  $("cancel").disabled = !live;
}

const STATES = {connecting: "connecting", open: "open", halfClosed: "open, input ended", ended: "ended"};

function showState() {
  const call = state.call;
  fill($("state"), call && [
    h("span", {class: `dot ${call.isOver ? (call.status.code === 0 ? "ok" : "failed") : "live"}`, "aria-hidden": "true"}),
    call.isOver ? call.status.name : STATES[call.state],
    h("span", {class: "hint"}, ` ↑ ${call.sent}  ↓ ${call.received}`),
  ]);
}

// Many messages may come at a time: they are drawn once, and then there is time
// for other things, such as a click on Cancel.
let drawing = false;
function changed(call) {
  if (call.listed !== call.state) {
    call.listed = call.state;
    listCalls();
  }
  if (call !== state.call || drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    const began = performance.now();
    drawEvents();
    showButtons();
    showState();
    setTimeout(() => {
      drawing = false;
      if (state.call && state.call.drawn < state.call.dropped + state.call.events.length) changed(state.call);
    }, 4 * (performance.now() - began));
  });
}

function showCall() {
  fill($("conversation"), !state.call && h("p", {class: "hint"}, "Nothing was sent yet."));
  if (state.call) state.call.drawn = 0;
  drawEvents();
  showButtons();
  showState();
  listCalls();
  showSnippet();
}

function drawEvents() {
  const call = state.call;
  if (!call) return;
  const log = $("conversation");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const all = call.dropped + call.events.length;
  const from = Math.max(call.drawn, call.dropped);
  if (call.dropped > 0 && log.firstElementChild?.className !== "hint") log.prepend(h("p", {class: "hint"}));
  if (call.dropped > 0) log.firstElementChild.textContent = `${call.dropped} earlier entries are not kept.`;
  const kept = call.events.length - (all - from);
  for (const old of [...log.querySelectorAll(".event")].slice(0, kept ? -kept : undefined)) old.remove();
  log.append(...call.events.slice(from - call.dropped).map((event) => eventElement(call, event)));
  call.drawn = all;
  if (atEnd) log.scrollTop = log.scrollHeight;
}

const MARKS = {in: ["↓", "received"], out: ["↑", "sent"], note: ["·", ""], end: ["■", "ended"]};

function timeOf(ms) {
  return ms < 10_000 ? `${ms.toFixed(ms < 100 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function eventElement(call, event) {
  const [mark, word] = MARKS[event.direction];
  return h("div", {class: `event ${event.direction}`},
    h("span", {class: "mark", "aria-hidden": "true"}, mark), word && h("span", {class: "visually-hidden"}, word),
    h("time", {title: new Date(call.startedAt.getTime() + event.ms).toISOString()}, timeOf(event.ms)),
    h("div", {class: "content"}, event.direction === "note" ? noteElement(event) : event.direction === "end" ? statusElement(call, event.status) : dataElement(call, event.data)));
}

function noteElement({text, value}) {
  return value === undefined ? text : h("details", {}, h("summary", {}, text), jsonElement(value));
}

function statusElement(call, {name, code, message, closeCode, details, trailers}) {
  const rows = [["close code", closeCode || "none"]];
  if (code !== undefined) rows.unshift(["status", `${name} (${code})`]);
  if (message) rows.push(["message", message]);
  return h("div", {class: code === 0 ? "status ok" : "status failed"},
    h("strong", {}, name),
    h("dl", {}, rows.map(([term, value]) => [h("dt", {}, term), h("dd", {}, value)])),
    details?.length > 0 && h("details", {open: true}, h("summary", {}, "details"), jsonElement(details)),
    trailers && Object.keys(trailers).length > 0 && h("details", {open: true}, h("summary", {}, "trailers"), jsonElement(trailers)));
}

function jsonElement(value) {
  const text = typeof value === "string" ? value : pretty(value);
  const cut = text.length > MOST_SHOWN;
  return h("pre", {}, highlight(cut ? text.slice(0, MOST_SHOWN) : text), cut && h("span", {class: "hint"}, `\n… ${text.length - MOST_SHOWN} more characters`));
}

function dataElement(call, data) {
  if (typeof data === "string") {
    if (data === "") return h("span", {class: "hint"}, "an empty message");
    let text = data;
    try {
      text = pretty(JSON.parse(data));
    } catch {
      // Shown as it is.
    }
    return jsonElement(text);
  }
  const dump = h("pre", {class: "hex", tabindex: 0, role: "group", "aria-label": "The bytes"}, hexDump(data));
  if (call.codec !== "packet") return dump;
  try {
    return h("div", {}, packetTree(decode(data, call.packet), call), h("details", {}, h("summary", {}, `${data.length} bytes`), dump));
  } catch (error) {
    return h("div", {}, h("p", {class: "problem"}, error.message), dump);
  }
}

function packetTree(packets, call) {
  return h("ul", {class: "tree"}, packets.map(({type, who, content, packets: inner}) => {
    const method = call.packet?.methods?.[type];
    const head = type === END ? "end" : `type ${type}`;
    const about = h("span", {class: "packet-head"}, h("b", {}, head), ` who ${who}`, method && h("span", {class: "hint"}, ` ${method.split("/").pop()}`),
      content && h("span", {class: "hint"}, ` ${content.length} bytes`));
    if (inner) return h("li", {}, about, packetTree(inner, call));
    if (type === END && content.length) {
      const status = decodeStatus(content);
      return h("li", {}, about, jsonElement(status));
    }
    const text = printable(content);
    return h("li", {}, about, content.length > 0 && h("pre", {}, text?.slice(0, MOST_SHOWN) ?? toHex(content.subarray(0, MOST_SHOWN / 4)).replace(/../g, "$& ").trim()));
  }));
}

// --- History ---

function listCalls() {
  fill($("history"), state.calls.length === 0 && h("li", {class: "hint"}, "Calls of this page appear here."), state.calls.map((call) =>
    h("li", {}, h("button", {type: "button", class: "past", "aria-current": call === state.call ? "true" : undefined, onclick: () => showPast(call)},
      h("span", {class: `dot ${call.isOver ? (call.status.code === 0 ? "ok" : "failed") : "live"}`, "aria-hidden": "true"}),
      h("span", {class: "past-name"}, call.method.name),
      h("span", {class: "hint", title: call.startedAt.toLocaleString()}, call.isOver ? call.status.name : STATES[call.state])))));
}

function showPast(call) {
  if (state.method !== call.method) {
    select(call.method);
    history.replaceState(null, "", `#${call.method.path}`);
  }
  $("address").value = call.address;
  $("codec").value = call.codec;
  state.textCodec = call.codec;
  if (call.requests.length) state.text = call.requests[call.requests.length - 1];
  state.call = call;
  selectEditor(hasForm() ? state.editor : "text");
  showCall();
  closeMenu();
}

// --- The same call elsewhere ---

const metadataLines = () => $("metadata").value.split("\n").map((line) => line.trim()).filter(Boolean);

function showSnippet(form = state.snippet) {
  state.snippet = form;
  if (!state.method) return;
  const codec = $("codec").value;
  // Of a stream all that was sent; a request as it is now.
  const sent = KINDS[state.method.kind].streamsIn && state.call?.codec === codec ? state.call.requests : [];
  const texts = sent.length ? sent : [state.text];
  let messages = texts;
  if (codec === "json" || codec === "packet") {
    try {
      messages = texts.flatMap((text) => JSON.parse(text));
    } catch {
      return fill($("snippet"), h("p", {class: "hint"}, "Once the request is JSON."));
    }
  }
  const address = $("address").value;
  const call = {
    method: state.method, kind: state.method.kind, codec, messages, address, origin: location.origin,
    url: location.origin.replace(/^http/, "ws") + address, hasToken: $("token").value !== "", metadata: metadataLines(),
    streamsIn: KINDS[state.method.kind].streamsIn, halfCloses: codec !== "raw" && routeNow()?.hub === undefined,
    rulesArePublished: state.index.routes.some((route) => route.httpRules && route.upstream === state.method.upstream),
  };
  let text;
  try {
    text = {dial, curl, program}[form](call);
  } catch {
    return fill($("snippet"), h("p", {class: "hint"}, "Once the request can be sent."));
  }
  $("snippet").setAttribute("aria-labelledby", `tab-${form}`);
  fill($("snippet"), text
    ? [h("pre", {tabindex: 0}, text), copyButton(() => text)]
    : h("p", {class: "hint"}, "curl needs a google.api.http annotation and a route with http_rules; this method is reached by a WebSocket."));
}
const selectSnippet = tabs($("snippets"), showSnippet);

// --- The page ---

function closeMenu() {
  document.body.classList.remove("menu-open");
  $("menu").setAttribute("aria-expanded", "false");
}
$("menu").addEventListener("click", () => {
  const open = document.body.classList.toggle("menu-open");
  $("menu").setAttribute("aria-expanded", String(open));
  if (open) $("filter").focus();
});
$("filter").addEventListener("input", filterMethods);
$("filter").addEventListener("keydown", ({key}) => {
  if (key !== "Enter") return;
  const first = [...document.querySelectorAll("#services li:not([hidden]) a.method")].find((link) => !link.closest("[hidden]"));
  first?.click();
});
// Up and down in the list of methods.
$("services").addEventListener("keydown", (event) => {
  const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  const links = [...document.querySelectorAll("a.method")].filter((link) => !link.closest("[hidden]"));
  const at = links.indexOf(document.activeElement);
  if (!step || at < 0) return;
  event.preventDefault();
  links[Math.min(Math.max(at + step, 0), links.length - 1)].focus();
});
document.addEventListener("keydown", (event) => {
  const {key, ctrlKey, metaKey, target} = event;
  if (key === "Enter" && (ctrlKey || metaKey) && state.method) {
    event.preventDefault();
    send();
  } else if (key === "/" && !target.closest("input, textarea, select")) {
    event.preventDefault();
    document.body.classList.add("menu-open");
    $("menu").setAttribute("aria-expanded", "true");
    $("filter").focus();
  }
});
$("connection").addEventListener("submit", (event) => event.preventDefault());
$("address").addEventListener("change", () => {
  if (state.addresses.some((one) => addressFits(one, $("address").value))) fillCodecs();
});
$("address").addEventListener("input", () => {
  showButtons();
  showSnippet();
});
$("codec").addEventListener("change", chooseCodec);
for (const id of ["token", "metadata"]) $(id).addEventListener("input", () => showSnippet());
selectSnippet("dial");
start();
