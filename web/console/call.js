// One WebSocket: one call, or all calls of a table.

export const CODES = [
  "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
  "UNAUTHENTICATED",
];

const CLOSED = {
  1000: "OK",
  1001: "the gateway is going away, or the session was idle or old",
  1002: "against the protocol",
  1003: "text where bytes belong",
  1006: "the connection was refused, or broke; the browser does not say why",
  1007: "text that is not UTF-8",
  1008: "too much at a time, or closed by the operator",
  1009: "a message that is too long",
  1013: "the gateway is short of memory",
};

const base64url = (text) =>
  btoa(String.fromCharCode(...new TextEncoder().encode(text))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

/** The object in `text` if it has one member, which is an object. */
function only(text) {
  try {
    const value = JSON.parse(text);
    const members = Object.values(value);
    return members.length === 1 && typeof members[0] === "object" && members[0] !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Messages of a conversation that are kept; older ones are counted. */
const MOST_EVENTS = 200;

export class Call {
  state = "connecting"; // then open, halfClosed, ended
  startedAt = new Date();
  events = [];
  dropped = 0;
  received = 0;
  receivedBytes = 0;
  sent = 0;
  status = undefined;

  /**
   * `onChange` is called after each event. `asksStatus`: the gateway is asked for messages with the initial metadata, and
   * with the status, its details and trailers; on a route whose messages have no use for the query.
   */
  constructor({method, address, codec, token, metadata, asksStatus, onChange}) {
    Object.assign(this, {method, address, codec, onChange});
    this.asksStatus = asksStatus && codec === "json";
    this.begin = performance.now();
    const protocols = [`headgate.${codec}.v1`];
    if (token) protocols.push(`base64url.bearer.authorization.k8s.io.${base64url(token)}`);
    if (metadata?.trim()) protocols.push(`headgate.metadata.v1.${base64url(metadata)}`);
    const url = new URL(address, location.href);
    if (this.asksStatus) url.searchParams.set("status", "1");
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.waiting = [];
    try {
      this.socket = new WebSocket(url, protocols);
    } catch (error) {
      queueMicrotask(() => this.end({closeCode: 0, code: undefined, message: error.message}));
      return;
    }
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.note("connected");
      if (this.state === "connecting") this.state = "open";
      for (const act of this.waiting.splice(0)) act();
    };
    this.socket.onmessage = ({data}) => {
      this.receivedBytes += typeof data === "string" ? data.length : data.byteLength;
      this.receive(typeof data === "string" ? data : new Uint8Array(data));
    };
    this.socket.onclose = ({code, reason, wasClean}) => {
      if (this.cancelled) return this.end({code: 1, message: "cancelled here", closeCode: code});
      const grpc = code === 1000 ? 0 : code > 4000 && code <= 4016 ? code - 4000 : undefined;
      const told = this.held?.status;
      if (told && (grpc === undefined || told.code === grpc)) return this.end({...told, closeCode: code, wasClean});
      this.keepHeld();
      this.end({code: grpc, message: reason || (grpc === undefined ? (CLOSED[code] ?? "") : ""), closeCode: code, wasClean});
    };
  }

  get isOver() {
    return this.state === "ended";
  }

  receive(data) {
    this.keepHeld();
    const told = this.asksStatus && typeof data === "string" ? only(data) : undefined;
    // What looks like a status is one if nothing follows it.
    if (typeof told?.status?.code === "number") {
      this.held = {status: told.status, data};
    } else if (told?.headers && this.received === 0) {
      this.add({direction: "note", text: "initial metadata", value: told.headers});
    } else {
      this.count(data);
    }
  }

  /** A message that looked like a status was a response. */
  keepHeld() {
    const held = this.held;
    this.held = undefined;
    if (held) this.count(held.data);
  }

  count(data) {
    this.received++;
    this.add({direction: "in", data});
  }

  /** Text or bytes, now or once the socket is open. */
  send(data) {
    this.whenOpen(() => {
      this.sent++;
      this.socket.send(data);
      this.add({direction: "out", data});
    });
  }

  halfClose() {
    this.whenOpen(() => {
      this.socket.send("");
      this.state = "halfClosed";
      this.note("end of the client's side");
    });
  }

  cancel() {
    if (this.isOver) return;
    this.cancelled = true;
    this.socket.close();
    this.note("cancelled");
  }

  whenOpen(act) {
    if (this.isOver) return;
    if (this.state === "connecting") this.waiting.push(act);
    else act();
  }

  note(text) {
    this.add({direction: "note", text});
  }

  add(event) {
    this.events.push({...event, ms: performance.now() - this.begin});
    if (this.events.length > MOST_EVENTS) {
      this.events.shift();
      this.dropped++;
    }
    this.onChange(this);
  }

  end(status) {
    if (this.isOver) return;
    this.state = "ended";
    this.status = {...status, name: status.code === undefined ? "CLOSED" : CODES[status.code]};
    this.add({direction: "end", status: this.status});
  }
}
