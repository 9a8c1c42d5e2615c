import type {Clock} from "./clock.js";
import {Code, HeadgateError, statusOfClose, type Status} from "./status.js";
import {tokenProtocols, type Token} from "./token.js";

export type Data = string | Uint8Array;

/** What is needed of a WebSocket: a browser's, Node's own, or that of the package `ws`. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  readonly protocol: string;
  send(data: Data): void;
  close(code?: number, reason?: string): void;
  /** `ws` has these; a browser reads on whatever happens. */
  pause?(): void;
  resume?(): void;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
}
export type WebSocketConstructor = new (url: string, protocols?: string[]) => WebSocketLike;

export interface SocketSettings {
  readonly WebSocket: WebSocketConstructor;
  readonly clock: Clock;
  readonly token: Token;
  readonly connectTimeoutMs: number;
  readonly highWaterMark: number;
}

export interface SocketEvents {
  onOpen(): void;
  onData(data: Data): void;
  /** The last event; not after `close`. */
  onEnd(status: Status): void;
}

// How often a sender that waits looks at bufferedAmount: there is no event.
const POLL_MS = 10;

const length = (data: Data) => (typeof data === "string" ? data.length : data.byteLength);

/**
 * One WebSocket, from the question for a token to its end. What is sent before
 * it is open waits for that.
 */
export class Socket {
  private state: "connecting" | "open" | "closed" = "connecting";
  private ws: WebSocketLike | undefined;
  private early: Data[] = [];
  private waiters: (() => void)[] = [];
  private poll: unknown;
  private readonly connectTimer: unknown;

  constructor(
    private readonly settings: SocketSettings,
    private readonly url: string,
    private readonly subprotocol: string,
    private readonly events: SocketEvents,
  ) {
    this.connectTimer = settings.clock.setTimeout(
      () => this.fail(Code.UNAVAILABLE, `${this.where()} did not open within ${settings.connectTimeoutMs} ms`),
      settings.connectTimeoutMs,
    );
    void Promise.resolve().then(() => this.connect()); // No event before the caller has the socket.
  }

  get bufferedAmount(): number {
    return this.early.reduce((sum, data) => sum + length(data), this.ws?.bufferedAmount ?? 0);
  }

  send(data: Data): void {
    if (this.state === "connecting") this.early.push(data);
    else if (this.state === "open") this.ws!.send(data);
  }

  /** Resolves once less than the high-water mark waits to be sent, or the socket is closed. */
  room(): Promise<void> {
    if (this.hasRoom()) return Promise.resolve();
    return new Promise((resolve) => {
      this.waiters.push(resolve);
      this.pollRoom();
    });
  }

  /** Stops and starts the reading, where the WebSocket can. */
  pause(paused: boolean): void {
    if (this.state !== "open") return;
    if (paused) this.ws!.pause?.();
    else this.ws!.resume?.();
  }

  /** Closes without a further event. */
  close(): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.release();
    const ws = this.ws;
    if (!ws) return;
    ws.onopen = ws.onmessage = ws.onclose = null;
    ws.onerror = () => {}; // `ws` throws an error that nobody listens to.
    ws.resume?.();
    ws.close(1000);
  }

  private async connect(): Promise<void> {
    const {token, WebSocket} = this.settings;
    let protocols: string[];
    let value;
    try {
      value = typeof token === "function" ? await token() : token;
    } catch (cause) {
      if (cause instanceof HeadgateError) return this.end(cause);
      return this.fail(Code.UNAVAILABLE, `no token: ${messageOf(cause)}`, cause);
    }
    try {
      protocols = tokenProtocols(value);
    } catch (cause) {
      return this.fail(Code.UNAUTHENTICATED, messageOf(cause), cause);
    }
    if (this.state === "closed") return;
    let ws: WebSocketLike;
    try {
      ws = this.ws = new WebSocket(this.url, [this.subprotocol, ...protocols]);
    } catch (cause) {
      return this.fail(Code.INVALID_ARGUMENT, messageOf(cause), cause);
    }
    ws.binaryType = "arraybuffer";
    let error = "";
    ws.onopen = () => this.opened(ws);
    ws.onmessage = ({data}) => this.events.onData(typeof data === "string" ? data : new Uint8Array(data));
    ws.onerror = (event) => (error = event?.message ?? "");
    ws.onclose = ({code, reason}) => {
      if (this.state === "connecting") {
        this.fail(Code.UNAVAILABLE, `cannot connect to ${this.where()}${error && `: ${error}`}`, undefined, code);
      } else {
        this.end(statusOfClose(code, reason));
      }
    };
  }

  private opened(ws: WebSocketLike): void {
    if (ws.protocol !== this.subprotocol) {
      return this.fail(Code.UNIMPLEMENTED, `${this.where()} does not speak ${this.subprotocol}`);
    }
    this.settings.clock.clearTimeout(this.connectTimer);
    this.state = "open";
    for (const data of this.early.splice(0)) ws.send(data);
    this.events.onOpen();
  }

  private fail(code: Code, message: string, cause?: unknown, closeCode?: number): void {
    this.end(new HeadgateError(code, message, {cause, ...(closeCode && {closeCode})}));
  }

  private end(status: Status): void {
    if (this.state === "closed") return;
    this.close();
    this.events.onEnd(status);
  }

  private hasRoom(): boolean {
    return this.state === "closed" || this.bufferedAmount < this.settings.highWaterMark;
  }

  private pollRoom(): void {
    this.poll ??= this.settings.clock.setTimeout(() => {
      this.poll = undefined;
      if (!this.hasRoom()) this.pollRoom();
      else for (const resolve of this.waiters.splice(0)) resolve();
    }, POLL_MS);
  }

  private release(): void {
    this.settings.clock.clearTimeout(this.connectTimer);
    this.settings.clock.clearTimeout(this.poll);
    this.early = [];
    for (const resolve of this.waiters.splice(0)) resolve();
  }

  // Without the query, which may hold a token.
  private where(): string {
    return this.url.replace(/\?.*/s, "");
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
