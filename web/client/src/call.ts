import type {Channel, Wire} from "./channel.js";
import type {Clock} from "./clock.js";
import type {Codec, CodecName, Decoder, Received} from "./codec.js";
import {Inbox} from "./inbox.js";
import type {Data} from "./socket.js";
import {Code, HeadgateError, OK, type Status} from "./status.js";

export interface CallOptions {
  /** Ends the call with CANCELLED. */
  signal?: AbortSignal;
  /** Ends the call with DEADLINE_EXCEEDED; the client keeps this time. */
  timeoutMs?: number;
  /** Instead of the client's. */
  codec?: CodecName | Codec;
}

/** What every call that streams has. */
export interface AnyCall {
  /** Resolves when the connection stands; rejects when the call ends before that. */
  readonly opened: Promise<void>;
  /** How the call ended, well or not; never rejects. */
  readonly status: Promise<Status>;
  /** Initial metadata, once it has come, where the codec carries it. */
  readonly headers: Readonly<Record<string, unknown>> | undefined;
  cancel(): void;
}

/** Iterating gives the responses and throws a HeadgateError if the call fails; leaving the loop cancels it. */
export interface ServerStream<Res> extends AnyCall, AsyncIterable<Res> {}

export interface Sender<Req> {
  /** Bytes that wait to be sent. */
  readonly bufferedAmount: number;
  /**
   * Sends at once, in order, and resolves when there is room for more: a sender
   * that awaits it never has much more than the high-water mark waiting. Rejects
   * when the call has ended.
   */
  send(message: Req): Promise<void>;
  /** Ends the client's side. */
  closeSend(): void;
}

export interface ClientStream<Req, Res> extends AnyCall, Sender<Req> {
  /** The one response, after `closeSend`. */
  readonly response: Promise<Res>;
}

export interface BidiStream<Req, Res> extends ServerStream<Res>, Sender<Req> {}

export interface ReceiveLimits {
  /** Above this a socket is paused, if it can be. */
  readonly pauseBytes: number;
  /** Above this the call is given up. */
  readonly maxBytes: number;
}

// Of a call that ended before it began.
const NO_WIRE: Wire = {bufferedAmount: 0, send() {}, halfClose() {}, cancel() {}, room: () => Promise.resolve(), pause() {}};

// What a message costs in the queue besides its bytes.
const MESSAGE_COST = 64;

/** One call of any kind. */
export class Call<Req, Res> implements BidiStream<Req, Res>, ClientStream<Req, Res> {
  readonly opened: Promise<void>;
  readonly status: Promise<Status>;
  headers: Readonly<Record<string, unknown>> | undefined;

  private readonly inbox = new Inbox<Res>();
  private readonly decoder: Decoder<Res>;
  private readonly wire: Wire;
  private sendClosed = false;
  private paused = false;
  /** Told before the end of the connection. */
  private inBand: Status | undefined;
  private ended: Status | undefined;
  private onOpened!: () => void;
  private onFailed!: (error: HeadgateError) => void;
  private onStatus!: (status: Status) => void;
  private readonly stopWatching: () => void;
  private single: Promise<Res> | undefined;

  constructor(
    channel: Channel,
    method: string,
    private readonly codec: Codec<Req, Res>,
    single: boolean,
    options: CallOptions,
    clock: Clock,
    private readonly limits: ReceiveLimits,
  ) {
    this.opened = new Promise((resolve, reject) => {
      this.onOpened = resolve;
      this.onFailed = reject;
    });
    this.opened.catch(() => {});
    this.status = new Promise((resolve) => (this.onStatus = resolve));
    this.decoder = codec.decoder(single);
    this.stopWatching = watch(options, clock, (error) => this.fail(error));
    this.wire = this.ended ? NO_WIRE : this.open(channel, method);
  }

  get bufferedAmount(): number {
    return this.wire.bufferedAmount;
  }

  send(message: Req): Promise<void> {
    const sent = this.write(message);
    sent.catch(() => {}); // For those that do not await it; the iteration tells them.
    return sent;
  }

  closeSend(): void {
    if (this.sendClosed || this.ended) return;
    if (!this.codec.halfClose) return this.fail(new HeadgateError(Code.FAILED_PRECONDITION, `${this.codec.subprotocol} has no half-close`));
    this.sendClosed = true;
    this.wire.halfClose();
  }

  cancel(): void {
    this.inbox.clear();
    this.fail(new HeadgateError(Code.CANCELLED, "cancelled by the client"));
  }

  /** Sends the only request. */
  request(message: Req): this {
    try {
      this.post(message);
      this.closeSend();
    } catch (error) {
      this.fail(error as HeadgateError);
    }
    return this;
  }

  get response(): Promise<Res> {
    this.single ??= this.onlyResponse();
    this.single.catch(() => {});
    return this.single;
  }

  [Symbol.asyncIterator](): AsyncIterator<Res, undefined> {
    return {
      next: () => {
        const taken = this.inbox.take();
        if (this.paused && this.inbox.bytes <= this.limits.pauseBytes / 2) this.pause(false);
        return taken;
      },
      return: () => {
        this.cancel();
        return Promise.resolve({value: undefined, done: true});
      },
    };
  }

  private open(channel: Channel, method: string): Wire {
    try {
      return channel.open(method, this.codec, {
        onOpen: this.onOpened,
        onData: (data) => this.onData(data),
        onEnd: (status) => this.onEnd(status),
      });
    } catch (cause) {
      this.finish(cause instanceof HeadgateError ? cause : new HeadgateError(Code.INVALID_ARGUMENT, (cause as Error).message, {cause}));
      return NO_WIRE;
    }
  }

  private async write(message: Req): Promise<void> {
    this.post(message);
    await this.wire.room();
    const ended = this.ended as Status | undefined;
    if (ended?.code) throw ended;
  }

  private post(message: Req): void {
    if (this.ended) throw this.ended.code ? this.ended : new HeadgateError(Code.FAILED_PRECONDITION, "the call has ended");
    if (this.sendClosed) throw new HeadgateError(Code.FAILED_PRECONDITION, "sent after closeSend");
    let data: Data;
    try {
      data = this.codec.encode(message);
    } catch (cause) {
      throw new HeadgateError(Code.INVALID_ARGUMENT, `cannot encode the message: ${(cause as Error).message}`, {cause});
    }
    this.wire.send(data);
  }

  private async onlyResponse(): Promise<Res> {
    const responses: Res[] = [];
    for await (const message of this) {
      responses.push(message);
      if (responses.length > 1) throw new HeadgateError(Code.INTERNAL, "more than one response");
    }
    if (responses.length === 0) throw new HeadgateError(Code.INTERNAL, "OK, but no response");
    return responses[0]!;
  }

  private onData(data: Data): void {
    if (this.ended) return;
    let received: Received<Res>[];
    try {
      received = this.decoder.decode(data);
    } catch (cause) {
      return this.fail(new HeadgateError(Code.INTERNAL, `malformed message: ${(cause as Error).message}`, {cause}));
    }
    this.take(received, data.length / received.length + MESSAGE_COST);
    if (this.inbox.bytes > this.limits.maxBytes) {
      this.fail(new HeadgateError(Code.RESOURCE_EXHAUSTED, `over ${this.limits.maxBytes} bytes wait to be read`));
    } else if (this.inbox.bytes > this.limits.pauseBytes) {
      this.pause(true);
    }
  }

  private onEnd(closing: Status): void {
    this.take(this.decoder.finish?.(closing.code) ?? [], MESSAGE_COST);
    const told = this.inBand;
    // An OK that the Close frame does not confirm is none.
    this.finish(told && (told.code || !closing.code) ? merge(told, closing) : closing);
  }

  private take(received: Received<Res>[], bytes: number): void {
    for (const item of received) {
      if ("message" in item) this.inbox.push(item.message, bytes);
      else if ("headers" in item) this.headers = item.headers;
      else this.inBand = item.status;
    }
  }

  private pause(paused: boolean): void {
    this.paused = paused;
    this.wire.pause(paused);
  }

  private fail(error: HeadgateError): void {
    if (this.ended) return;
    this.finish(error);
    this.wire?.cancel(); // None yet if the signal was aborted before the call.
  }

  private finish(status: Status): void {
    if (this.ended) return;
    this.ended = status.code ? HeadgateError.of(status) : status;
    this.stopWatching?.();
    this.inbox.end(status.code ? this.ended : undefined);
    if (status.code) this.onFailed(HeadgateError.of(status));
    this.onStatus(this.ended);
  }
}

function merge(told: Status, closing: Status): Status {
  const {message, details, trailers} = told;
  const {closeCode, retryAfterMs} = closing;
  const more = {details, trailers, ...(closeCode && {closeCode}), ...(retryAfterMs && {retryAfterMs})};
  return told.code ? new HeadgateError(told.code, message, more) : {...OK, message, ...more};
}

/** Calls `fail` when the signal aborts or the time is up; returns what ends the watching. */
export function watch({signal, timeoutMs = Infinity}: CallOptions, clock: Clock, fail: (error: HeadgateError) => void): () => void {
  const onAbort = () => fail(new HeadgateError(Code.CANCELLED, "aborted by the client's signal", {cause: signal!.reason}));
  const onTimeout = () => fail(new HeadgateError(Code.DEADLINE_EXCEEDED, "the time for the call is up"));
  if (signal?.aborted || timeoutMs <= 0) {
    (signal?.aborted ? onAbort : onTimeout)();
    return () => {};
  }
  signal?.addEventListener("abort", onAbort);
  const timer = timeoutMs < Infinity ? clock.setTimeout(onTimeout, timeoutMs) : undefined;
  return () => {
    signal?.removeEventListener("abort", onAbort);
    clock.clearTimeout(timer);
  };
}
