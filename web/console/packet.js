// Packets (docs/protocol.md): 12 bytes of header, then content or packets.

export const END = 0xffffffff;
export const CONTAINER = 0xfffffffe;
const HEADER = 12;

const isContainer = (type, {containerTypes = []} = {}) => type === CONTAINER || containerTypes.includes(type);

function layout({order = "type-length-who", endian = "big", lengthCounts = "content"} = {}) {
  const lengthFirst = order === "type-length-who";
  return {length: lengthFirst ? 4 : 8, who: lengthFirst ? 8 : 4, little: endian === "little", extra: lengthCounts === "packet" ? HEADER : 0};
}

const uint32 = (value, name) => {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) throw new Error(`${name} must be a number from 0 to 4294967295`);
  return value;
};

export function fromHex(text) {
  const digits = text.replace(/\s+/g, "");
  if (digits.length % 2 || /[^0-9a-fA-F]/.test(digits)) throw new Error("hex must be pairs of hexadecimal digits");
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export function fromBase64(text) {
  try {
    return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  } catch {
    throw new Error("not base64");
  }
}

export const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The bytes of {text} or {hex} or {base64} or {json}. */
export function contentOf({text, hex, base64, json}) {
  if (text !== undefined) return new TextEncoder().encode(text);
  if (hex !== undefined) return fromHex(hex);
  if (base64 !== undefined) return fromBase64(base64);
  return json === undefined ? new Uint8Array() : new TextEncoder().encode(JSON.stringify(json));
}

/** [{type, who, text | hex | base64 | json | packets}] -> bytes. */
export function encode(packets, options) {
  const {length, who, little, extra} = layout(options);
  const parts = packets.map((packet) => {
    if (packet === null || typeof packet !== "object") throw new Error("a packet is an object with type and who");
    const content = packet.packets ? encode(packet.packets, options) : contentOf(packet);
    const bytes = new Uint8Array(HEADER + content.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, uint32(packet.type, "type"), little);
    view.setUint32(who, uint32(packet.who ?? 0, "who"), little);
    view.setUint32(length, content.length + extra, little);
    bytes.set(content, HEADER);
    return bytes;
  });
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Bytes -> [{type, who, content} | {type, who, packets}]; throws where they are none. */
export function decode(bytes, options, depth = 0) {
  const {length: lengthAt, who: whoAt, little, extra} = layout(options);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const packets = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < HEADER) throw new Error(`the packet at byte ${at} is cut short`);
    const type = view.getUint32(at, little);
    const who = view.getUint32(at + whoAt, little);
    const length = view.getUint32(at + lengthAt, little) - extra;
    if (length < 0 || length > bytes.length - at - HEADER) throw new Error(`the packet at byte ${at} is cut short`);
    const content = bytes.subarray(at + HEADER, at + HEADER + length);
    packets.push(isContainer(type, options) && depth < 16 ? {type, who, packets: decode(content, options, depth + 1)} : {type, who, content});
    at += HEADER + length;
  }
  return packets;
}

/** 16 bytes in a line: offset, hex, ASCII. */
export function hexDump(bytes, most = 4096) {
  const lines = [];
  for (let at = 0; at < Math.min(bytes.length, most); at += 16) {
    const row = bytes.subarray(at, at + 16);
    const hex = Array.from(row, (byte) => byte.toString(16).padStart(2, "0"));
    const ascii = Array.from(row, (byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${hex.slice(0, 8).join(" ").padEnd(23)}  ${hex.slice(8).join(" ").padEnd(23)}  ${ascii}`);
  }
  if (bytes.length > most) lines.push(`… ${bytes.length - most} more bytes`);
  return lines.join("\n");
}

/** The text that the bytes are, or undefined. */
export function printable(bytes) {
  try {
    const text = new TextDecoder("utf-8", {fatal: true}).decode(bytes);
    // eslint-disable-next-line no-control-regex
    return /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** A serialized google.rpc.Status. */
export function decodeStatus(bytes) {
  const status = {code: 0, message: "", details: []};
  for (const {number, value} of fields(bytes)) {
    if (number === 1 && typeof value === "number") status.code = value;
    if (number === 2 && value instanceof Uint8Array) status.message = new TextDecoder().decode(value);
    if (number === 3 && value instanceof Uint8Array) {
      const detail = {"@type": "", hex: ""};
      for (const part of fields(value)) {
        if (part.number === 1) detail["@type"] = new TextDecoder().decode(part.value);
        if (part.number === 2) detail.hex = toHex(part.value);
      }
      status.details.push(detail);
    }
  }
  return status;
}

function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 1; at < bytes.length; shift *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * shift;
      if (byte < 128) return value;
    }
    throw new Error("a field is cut short");
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    if (tag % 8 === 0) {
      yield {number, value: varint()};
    } else if (tag % 8 === 2) {
      const length = varint();
      if (length > bytes.length - at) throw new Error("a field is cut short");
      yield {number, value: bytes.subarray(at, (at += length))};
    } else {
      at += tag % 8 === 1 ? 8 : 4;
    }
  }
}
