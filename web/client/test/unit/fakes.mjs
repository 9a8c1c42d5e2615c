// Time and sockets in a test's hand: nothing here sleeps or connects.
import {Headgate} from "../../dist/index.js";

/** Lets everything run that waits for nothing but a promise. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

export class FakeClock {
  time = 0;
  timers = new Map();
  next = 1;

  now() {
    return this.time;
  }

  setTimeout(callback, ms) {
    this.timers.set(this.next, {at: this.time + ms, callback});
    return this.next++;
  }

  clearTimeout(id) {
    this.timers.delete(id);
  }

  async advance(ms) {
    const end = this.time + ms;
    await settle();
    for (;;) {
      const due = [...this.timers].filter(([, {at}]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      const [id, {at, callback}] = due;
      this.timers.delete(id);
      this.time = at;
      callback();
      await settle();
    }
    this.time = end;
  }
}

/** A constructor whose sockets are in `made`, in order; each test has its own. */
export function fakeWebSockets() {
  return class FakeWebSocket {
    static made = [];

    constructor(url, protocols) {
      Object.assign(this, {url, protocols, protocol: "", bufferedAmount: 0, sent: [], log: []});
      this.constructor.made.push(this);
    }

    send(data) {
      this.sent.push(data);
    }

    close(code) {
      this.log.push(`close ${code}`);
    }

    // What the gateway does.
    accept(protocol = this.protocols[0]) {
      this.protocol = protocol;
      this.onopen?.({});
    }

    receive(data) {
      if (typeof data !== "string" && !(data instanceof Uint8Array)) data = JSON.stringify(data);
      this.onmessage?.({data: typeof data === "string" ? data : data.slice().buffer});
    }

    end(code, reason = "") {
      this.onclose?.({code, reason});
    }
  };
}

/** A client, its sockets and its clock. */
export function fakeClient(options = {}, url = "ws://gateway") {
  const WebSocket = fakeWebSockets();
  const clock = new FakeClock();
  const client = new Headgate(url, {WebSocket, clock, random: () => 0.5, ...options});
  return {client, clock, made: WebSocket.made, WebSocket};
}

/** How a promise ends: {value} or {error}. */
export const outcome = (promise) => promise.then((value) => ({value}), (error) => ({error}));

/** All that an iterable gives, and the error at its end. */
export async function drain(iterable) {
  const values = [];
  try {
    for await (const value of iterable) values.push(value);
    return {values};
  } catch (error) {
    return {values, error};
  }
}

/** A serialized google.rpc.Status without details. */
export function rpcStatus(code, message = "") {
  const text = new TextEncoder().encode(message);
  return new Uint8Array([...(code ? [8, code] : []), ...(text.length ? [18, text.length, ...text] : [])]);
}
