import {backoffMs, type BackoffOptions, type Retry} from "./backoff.js";
import {Call, type BidiStream, type CallOptions, type ClientStream, type ServerStream} from "./call.js";
import {SocketPerCall, urlOf, type Channel} from "./channel.js";
import {systemClock, type Clock} from "./clock.js";
import type {Codec, CodecName} from "./codec.js";
import {json} from "./json.js";
import {SharedSocket, type MethodTable} from "./multiplex.js";
import type {Method} from "./method.js";
import {packet, type PacketOptions} from "./packet.js";
import {protobuf} from "./protobuf.js";
import {raw} from "./raw.js";
import {sleep} from "./sleep.js";
import type {SocketSettings, WebSocketConstructor} from "./socket.js";
import {Code, HeadgateError} from "./status.js";
import {Subscription, type Opening, type SubscribeOptions} from "./subscription.js";
import type {Token} from "./token.js";

export interface HeadgateOptions {
  token?: Token;
  /** Default "json". */
  codec?: CodecName | Codec;
  /** The table of a packet route: all calls go over one socket, in packets whose content is the codec's. */
  methods?: MethodTable;
  /** Of the codec "packet", and of a route with a table. */
  packet?: PacketOptions;
  /** Where there is no global one: that of the package `ws`. */
  WebSocket?: WebSocketConstructor;
  backoff?: BackoffOptions;
  /** For a socket to open; default 20,000. */
  connectTimeoutMs?: number;
  /** Bytes that may wait to be sent before `send` makes its caller wait; default 1 MiB. */
  highWaterMark?: number;
  /** Bytes that may wait to be read by the caller before a call is given up; default 16 MiB. */
  maxReceiveBytes?: number;
  clock?: Clock;
  random?: () => number;
}

export interface UnaryOptions extends CallOptions {
  /** The call may be made again, up to this many times in all, when it fails with UNAVAILABLE. Default 1. */
  attempts?: number;
}

/** Makes calls through one gateway. */
export class Headgate {
  private readonly codecs: Record<CodecName, () => Codec>;
  private readonly codec: Codec;
  private readonly clock: Clock;
  private readonly channel: Channel;
  private readonly retry: Retry;
  private readonly maxBytes: number;
  private readonly calls = new Set<Call<any, any>>();
  private closed = false;

  /** `url`: ws, wss, http or https; in a page also relative. Methods are paths below it. */
  constructor(url: string | URL, options: HeadgateOptions = {}) {
    const {codec = "json", token, methods, clock = systemClock, random = Math.random, backoff = {}} = options;
    const WebSocket = options.WebSocket ?? (globalThis.WebSocket as WebSocketConstructor | undefined);
    if (!WebSocket) throw new TypeError("there is no WebSocket: give one as an option");
    const base = new URL(url, globalThis.location?.href);
    base.protocol = base.protocol.replace(/^http/, "ws");
    base.hash = "";
    const settings: SocketSettings = {
      WebSocket,
      clock,
      token,
      connectTimeoutMs: options.connectTimeoutMs ?? 20_000,
      highWaterMark: options.highWaterMark ?? 1 << 20,
    };
    this.codecs = {json, protobuf, packet: () => packet(options.packet), raw};
    this.codec = this.codecOf(codec);
    this.clock = clock;
    this.channel = methods
      ? new SharedSocket(settings, urlOf(base), methods, options.packet ?? {})
      : new SocketPerCall(settings, base);
    this.retry = {
      clock,
      canRefreshToken: typeof token === "function",
      delayMs: (failures, error) => backoffMs(failures, error, backoff, random),
    };
    this.maxBytes = options.maxReceiveBytes ?? 16 << 20;
  }

  async unary<Req = any, Res = any>(method: Method<"unary", Req, Res>, request: NoInfer<Req>, options: UnaryOptions = {}): Promise<Res> {
    const until = this.clock.now() + (options.timeoutMs ?? Infinity);
    for (let failures = 1; ; failures++) {
      try {
        const timeoutMs = until - this.clock.now();
        return await this.start<Req, Res>(method, true, {...options, timeoutMs}).request(request).response;
      } catch (error) {
        if (!(error instanceof HeadgateError)) throw error;
        if (error.code !== Code.UNAVAILABLE || failures >= (options.attempts ?? 1)) throw error;
        await sleep(this.retry.delayMs(failures, error), {...options, timeoutMs: until - this.clock.now()}, this.clock, error);
      }
    }
  }

  serverStream<Req = any, Res = any>(method: Method<"serverStream", Req, Res>, request: NoInfer<Req>, options: CallOptions = {}): ServerStream<Res> {
    return this.start<Req, Res>(method, false, options).request(request);
  }

  clientStream<Req = any, Res = any>(method: Method<"clientStream", Req, Res>, options: CallOptions = {}): ClientStream<Req, Res> {
    return this.start<Req, Res>(method, true, options);
  }

  bidi<Req = any, Res = any>(method: Method<"bidi", Req, Res>, options: CallOptions = {}): BidiStream<Req, Res> {
    return this.start<Req, Res>(method, false, options);
  }

  /**
   * A stream that is opened again when the connection is lost. `opening` is the
   * request of a server stream, or a function that sends what each new stream
   * has to begin with, and knows what the gap was.
   */
  subscribe<Req = any, Res = any>(method: Method<"serverStream" | "bidi", Req, Res>, opening: Opening<Req, Res>, options: SubscribeOptions<Res> = {}): Subscription<Req, Res> {
    return new Subscription((callOptions) => this.start<Req, Res>(method, false, callOptions), opening, options, this.retry);
  }

  /** Cancels all calls; there are no others afterwards. */
  close(): void {
    this.closed = true;
    for (const call of this.calls) call.cancel();
    this.channel.close();
  }

  private codecOf(codec: CodecName | Codec): Codec {
    if (typeof codec !== "string") return codec;
    if (!Object.hasOwn(this.codecs, codec)) throw new TypeError(`there is no codec ${JSON.stringify(codec)}`);
    return this.codecs[codec]();
  }

  private start<Req, Res>(method: string, single: boolean, options: CallOptions): Call<Req, Res> {
    if (this.closed) throw new HeadgateError(Code.CANCELLED, "the client is closed");
    const limits = {pauseBytes: this.maxBytes / 16, maxBytes: this.maxBytes};
    const codec = options.codec ? this.codecOf(options.codec) : this.codec;
    const call = new Call<Req, Res>(this.channel, method, codec, single, options, this.clock, limits);
    this.calls.add(call);
    void call.status.then(() => this.calls.delete(call));
    return call;
  }
}
