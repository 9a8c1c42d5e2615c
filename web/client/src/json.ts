import type {Codec, Decoder, Received} from "./codec.js";
import type {Data} from "./socket.js";
import {codeOf, HeadgateError, OK, type Status} from "./status.js";

export interface JsonOptions {
  /**
   * How the route wraps what it sends: `none` (the gateway's default), `result`
   * (`--json-envelope result`), or `status`: bare messages, and before the Close
   * frame `{"status": …}` with details and trailers, which the client asks for
   * with `?status=1`.
   */
  envelope?: "none" | "result" | "status";
}

type Fields = Record<string, any>;

/** ProtoJSON: any value that JSON.stringify takes, and what JSON.parse gives. */
export function json({envelope = "none"}: JsonOptions = {}): Codec<any, any> {
  return {
    subprotocol: "headgate.json.v1",
    halfClose: true,
    ...(envelope === "status" && {query: "status=1"}),
    encode(message) {
      const text = JSON.stringify(message);
      if (text === undefined) throw new TypeError("not a JSON value");
      return text;
    },
    decoder: envelope === "none" ? bare : envelope === "status" ? withStatus : wrapped,
  };
}

function bare(): Decoder<any> {
  return {decode: (data) => [{message: parse(data)}]};
}

// What looks like a status is one if nothing follows it.
function withStatus(): Decoder<any> {
  let held: Fields | undefined;
  let first = true;
  return {
    decode(data) {
      const received: Received<any>[] = held ? [{message: held}] : [];
      held = undefined;
      const message = parse(data);
      if (isOnly(message, "status") && typeof message.status.code === "number") held = message;
      else if (first && isOnly(message, "headers")) received.push({headers: message.headers});
      else received.push({message});
      first = false;
      return received;
    },
    finish: () => (held ? [{status: statusOf(held.status)}] : []),
  };
}

// As grpc-gateway does it: only streams are wrapped, and the failure of a call
// with one response is a bare status in its stead.
function wrapped(single: boolean): Decoder<any> {
  if (!single) {
    return {
      decode(data) {
        const message = parse(data);
        if (isObject(message) && "result" in message) return [{message: message.result}];
        if (isObject(message) && isObject(message.error)) return [{status: statusOf(message.error)}];
        throw new TypeError("neither a result nor an error");
      },
    };
  }
  const held: any[] = [];
  return {
    decode(data) {
      held.push(parse(data));
      return [];
    },
    finish: (code) =>
      held.map((message) => (code && isObject(message) && message.code === code ? {status: statusOf(message)} : {message})),
  };
}

function parse(data: Data): any {
  return JSON.parse(typeof data === "string" ? data : new TextDecoder("utf-8", {fatal: true}).decode(data));
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isOnly(value: unknown, field: string): value is Fields {
  return isObject(value) && Object.keys(value).length === 1 && isObject(value[field]);
}

// Of grpc-gateway v1 and v2, and of Headgate's own envelope.
function statusOf(fields: Fields): Status {
  const code = codeOf(fields.grpc_code ?? fields.code);
  const more = {
    details: Array.isArray(fields.details) ? fields.details : [],
    trailers: isObject(fields.trailers) ? fields.trailers : {},
  };
  return code === 0 ? {...OK, ...more} : new HeadgateError(code, typeof fields.message === "string" ? fields.message : "", more);
}
