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

  /** `onChange` is called after each event. */
  constructor({method, address, codec, token, metadata, onChange}) {
    Object.assign(this, {method, address, codec, onChange});
    this.begin = performance.now();
    const protocols = [`headgate.${codec}.v1`];
    if (token) protocols.push(`base64url.bearer.authorization.k8s.io.${base64url(token)}`);
    if (metadata?.trim()) protocols.push(`headgate.metadata.v1.${base64url(metadata)}`);
    const url = new URL(address, location.href);
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
      this.received++;
      this.receivedBytes += typeof data === "string" ? data.length : data.byteLength;
      this.add({direction: "in", data: typeof data === "string" ? data : new Uint8Array(data)});
    };
    this.socket.onclose = ({code, reason, wasClean}) => {
      if (this.cancelled) return this.end({code: 1, message: "cancelled here", closeCode: code});
      const grpc = code === 1000 ? 0 : code > 4000 && code <= 4016 ? code - 4000 : undefined;
      this.end({code: grpc, message: reason || (grpc === undefined ? (CLOSED[code] ?? "") : ""), closeCode: code, wasClean});
    };
  }

  get isOver() {
    return this.state === "ended";
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
