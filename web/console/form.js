// A form for a message, made from its descriptor. It edits a JSON value in
// place: what is empty or has its default is left out, as ProtoJSON has it.
import {fill, h} from "./dom.js";

const INTEGERS = new Set(["int32", "uint32", "sint32", "fixed32", "sfixed32"]);
const LONGS = new Set(["int64", "uint64", "sint64", "fixed64", "sfixed64"]);

// Types with a JSON form of their own: how they are typed in.
const TEXT_FORMS = {
  "google.protobuf.Timestamp": "2026-01-31T12:00:00Z",
  "google.protobuf.Duration": "1.5s",
  "google.protobuf.FieldMask": "title,author.name",
  "google.protobuf.StringValue": "text",
  "google.protobuf.BytesValue": "base64",
  "google.protobuf.Int64Value": "number",
  "google.protobuf.UInt64Value": "number",
};
const NUMBER_FORMS = new Set([
  "google.protobuf.Int32Value", "google.protobuf.UInt32Value", "google.protobuf.DoubleValue", "google.protobuf.FloatValue",
]);
const JSON_FORMS = new Set(["google.protobuf.Any", "google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"]);

let ids = 0;

/** Reads what was typed; a text that is no number stays one, for the gateway to judge. */
function numberOf(text) {
  const trimmed = text.trim();
  if (["NaN", "Infinity", "-Infinity"].includes(trimmed)) return trimmed;
  const number = Number(trimmed);
  return trimmed === "" ? undefined : Number.isNaN(number) ? trimmed : number;
}

function typeName(field) {
  const short = (field.message ?? field.enum)?.split(".").pop() ?? field.type;
  if (field.key) return `map<${field.key}, ${short}>`;
  return field.repeated ? `${short}[]` : short;
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

export class MessageForm {
  /** `onChange` is called after each change of `value`. */
  constructor(schema, onChange) {
    this.schema = schema;
    this.onChange = onChange;
  }

  /** The form of a message `type` as an element; it changes `value`. */
  render(type, value, depth = 0) {
    const fields = this.schema.messages[type]?.fields ?? [];
    if (fields.length === 0) return h("p", {class: "hint"}, "This message has no fields.");
    const oneofs = new Map();
    const rows = [];
    for (const field of fields) {
      if (!field.oneof) {
        rows.push(this.row(field, value, depth));
      } else if (!oneofs.has(field.oneof)) {
        oneofs.set(field.oneof, fields.filter((other) => other.oneof === field.oneof));
        rows.push(this.oneof(field.oneof, oneofs.get(field.oneof), value, depth));
      }
    }
    return h("div", {class: "fields"}, rows);
  }

  changed(object, name, value) {
    if (value === undefined) delete object[name];
    else object[name] = value;
    this.onChange();
  }

  row(field, object, depth) {
    const id = `field-${++ids}`;
    const hint = field.comment && h("p", {class: "hint", id: `${id}-hint`}, field.comment);
    const label = (target) =>
      h(target ? "label" : "span", {class: "field-name", for: target, id: `${id}-name`}, field.name, field.required && h("span", {class: "required"}, " required"),
        h("span", {class: "field-type"}, typeName(field)), field.deprecated && h("span", {class: "field-type"}, "deprecated"));
    const described = hint ? `${id}-hint` : undefined;
    if (field.key) return h("div", {class: "field", role: "group", "aria-labelledby": `${id}-name`}, label(), hint, this.map(field, object, depth));
    if (field.repeated) return h("div", {class: "field", role: "group", "aria-labelledby": `${id}-name`}, label(), hint, this.list(field, object, depth));
    if (this.isNested(field)) return h("div", {class: "field", role: "group", "aria-labelledby": `${id}-name`}, label(), hint, this.optional(field, object, depth));
    const input = this.input(field, object[field.name], (value) => this.changed(object, field.name, value), {id, "aria-describedby": described});
    return h("div", {class: "field"}, label(id), hint, input);
  }

  isNested(field) {
    return field.message && !TEXT_FORMS[field.message] && !NUMBER_FORMS.has(field.message) && !JSON_FORMS.has(field.message) &&
      field.message !== "google.protobuf.BoolValue";
  }

  /** One value, without a name. */
  input(field, value, set, attributes) {
    const text = (placeholder, read, more = {}) =>
      h("input", {
        type: "text", autocomplete: "off", spellcheck: "false", placeholder, value: value === undefined ? "" : String(value),
        oninput: ({target}) => set(target.value === "" ? undefined : read(target.value)), ...attributes, ...more,
      });
    const type = field.message ?? field.type;
    if (field.enum) {
      const names = this.schema.enums[field.enum] ?? [];
      const options = [["", `— ${names[0] ?? ""}`], ...names.map((name) => [name, name])];
      return h("select", {...attributes, onchange: ({target}) => set(target.value || undefined)},
        options.map(([name, shown]) => h("option", {value: name, selected: name === (value ?? "")}, shown)));
    }
    if (type === "bool") {
      return h("input", {type: "checkbox", checked: value === true, ...attributes, onchange: ({target}) => set(target.checked || undefined)});
    }
    if (type === "google.protobuf.BoolValue") {
      return h("select", {...attributes, onchange: ({target}) => set(target.value === "" ? undefined : target.value === "true")},
        ["", "true", "false"].map((name) => h("option", {value: name, selected: name === String(value ?? "")}, name || "—")));
    }
    if (INTEGERS.has(type) || type === "double" || type === "float" || NUMBER_FORMS.has(type)) {
      return text("0", numberOf, {inputmode: INTEGERS.has(type) ? "numeric" : "decimal"});
    }
    if (LONGS.has(type)) return text("0", (typed) => typed.trim(), {inputmode: "numeric"});
    if (type === "bytes") return text("base64", (typed) => typed.trim());
    if (TEXT_FORMS[type]) return text(TEXT_FORMS[type], (typed) => typed);
    if (JSON_FORMS.has(type)) return this.json(value, set, attributes, type);
    return text("", (typed) => typed);
  }

  json(value, set, attributes, type) {
    const placeholder = type === "google.protobuf.Any" ? '{"@type": "type.googleapis.com/package.Message"}' : "JSON";
    const area = h("textarea", {
      rows: 2, spellcheck: "false", placeholder, value: value === undefined ? "" : JSON.stringify(value), ...attributes,
      oninput: () => {
        let read;
        try {
          read = area.value.trim() === "" ? undefined : JSON.parse(area.value);
          area.removeAttribute("aria-invalid");
        } catch {
          return area.setAttribute("aria-invalid", "true");
        }
        set(read);
      },
    });
    return area;
  }

  /** A message field: there or not. */
  optional(field, object, depth) {
    const body = h("div");
    const show = () => {
      const there = isObject(object[field.name]);
      fill(body, there && h("div", {class: "nested"}, this.render(field.message, object[field.name], depth + 1)),
        h("button", {type: "button", class: "quiet", onclick: () => {
          this.changed(object, field.name, there ? undefined : {});
          show();
        }}, there ? "Remove" : "Add", h("span", {class: "visually-hidden"}, ` ${field.name}`)));
    };
    show();
    return body;
  }

  element(field, value, set, depth, name) {
    if (!this.isNested(field)) return this.input(field, value, set, {"aria-label": name});
    const object = isObject(value) ? value : {};
    if (object !== value) set(object);
    return h("div", {class: "nested"}, this.render(field.message, object, depth + 1));
  }

  empty(field) {
    if (this.isNested(field)) return {};
    if (field.enum) return (this.schema.enums[field.enum] ?? [])[0] ?? 0;
    if (field.type === "bool" || field.message === "google.protobuf.BoolValue") return false;
    return INTEGERS.has(field.type) || field.type === "double" || field.type === "float" || NUMBER_FORMS.has(field.message) ? 0 : "";
  }

  list(field, object, depth) {
    const body = h("div");
    const show = () => {
      const list = Array.isArray(object[field.name]) ? object[field.name] : [];
      const remove = (i) => {
        list.splice(i, 1);
        this.changed(object, field.name, list.length ? list : undefined);
        show();
      };
      fill(body,
        list.map((value, i) => h("div", {class: "item"},
          this.element(field, value, (typed) => {
            list[i] = typed ?? this.empty(field);
            this.onChange();
          }, depth, `${field.name}, ${i + 1}`),
          h("button", {type: "button", class: "quiet", "aria-label": `Remove ${field.name}, ${i + 1}`, onclick: () => remove(i)}, "×"))),
        h("button", {type: "button", class: "quiet", onclick: () => {
          this.changed(object, field.name, [...list, this.empty(field)]);
          show();
        }}, "Add", h("span", {class: "visually-hidden"}, ` to ${field.name}`)));
    };
    show();
    return body;
  }

  map(field, object, depth) {
    const body = h("div");
    const show = () => {
      const map = isObject(object[field.name]) ? object[field.name] : {};
      const rename = (from, to) => {
        if (to in map) return show();
        const renamed = Object.fromEntries(Object.entries(map).map(([key, value]) => [key === from ? to : key, value]));
        this.changed(object, field.name, renamed);
        show();
      };
      const remove = (key) => {
        delete map[key];
        this.changed(object, field.name, Object.keys(map).length ? map : undefined);
        show();
      };
      fill(body,
        Object.entries(map).map(([key, value]) => h("div", {class: "item"},
          h("input", {type: "text", class: "map-key", value: key, "aria-label": `${field.name}: key`, onchange: ({target}) => rename(key, target.value)}),
          this.element(field, value, (typed) => {
            map[key] = typed ?? this.empty(field);
            this.onChange();
          }, depth, `${field.name}: value of ${key}`),
          h("button", {type: "button", class: "quiet", "aria-label": `Remove ${field.name}: ${key}`, onclick: () => remove(key)}, "×"))),
        h("button", {type: "button", class: "quiet", onclick: () => {
          let key = field.key === "bool" ? "true" : field.key === "string" ? "key" : "0";
          for (let n = 1; key in map; n++) key = field.key === "bool" ? "false" : field.key === "string" ? `key${n}` : String(n);
          this.changed(object, field.name, {...map, [key]: this.empty(field)});
          show();
        }}, "Add", h("span", {class: "visually-hidden"}, ` to ${field.name}`)));
    };
    show();
    return body;
  }

  oneof(name, fields, object, depth) {
    const id = `field-${++ids}`;
    const body = h("div");
    const chosen = () => fields.find((field) => field.name in object);
    const show = (field = chosen()) => fill(body, field && this.row(field, object, depth));
    const choose = ({target}) => {
      const field = fields.find((one) => one.name === target.value);
      for (const one of fields) delete object[one.name];
      if (field && this.isNested(field)) object[field.name] = {};
      this.onChange();
      show(field);
    };
    show();
    return h("div", {class: "field oneof"},
      h("label", {class: "field-name", for: id}, name, h("span", {class: "field-type"}, "oneof")),
      h("select", {id, onchange: choose}, h("option", {value: ""}, "—"),
        fields.map((field) => h("option", {value: field.name, selected: field === chosen()}, field.name))),
      body);
  }
}
