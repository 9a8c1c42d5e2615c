import type {Retry} from "./backoff.js";
import {watch, type BidiStream, type CallOptions} from "./call.js";
import {sleep} from "./sleep.js";
import {Code, HeadgateError} from "./status.js";

/** The time in which a subscription may have missed messages. */
export interface Gap<Res> {
  /** Why the stream ended. */
  readonly error: HeadgateError;
  /** How many attempts it took to reconnect. */
  readonly attempts: number;
  readonly durationMs: number;
  /** The last message before it that the subscriber took. */
  readonly last: Res | undefined;
}

/** A server stream's request, or what sends the first messages of each new stream; no gap: it is the first. */
export type Opening<Req, Res> = Req | Opener<Req, Res>;
type Opener<Req, Res> = (stream: BidiStream<Req, Res>, gap?: Gap<Res>) => void | Promise<void>;

export interface SubscribeOptions<Res> extends CallOptions {
  /** Attempts to reconnect in a row before giving up; default: no limit. */
  reconnects?: number;
  /** Called once the stream stands again, before its messages are read. */
  onReconnect?(gap: Gap<Res>): void;
  /** Called before the wait for the next connection. */
  onDisconnect?(error: HeadgateError, delayMs: number): void;
  /** Instead of the default: UNAVAILABLE, and UNAUTHENTICATED once if the token comes from a function. */
  retryIf?(error: HeadgateError): boolean;
}

// A stream that lived this long has not failed "in a row" with those before it.
const STABLE_MS = 10_000;

/**
 * Iterating opens the stream and gives its messages, over all connections. It
 * ends when the backend ends the stream with OK, and throws what cannot be
 * retried. Leaving the loop cancels it.
 */
export class Subscription<Req, Res> implements AsyncIterable<Res> {
  /** The stream of the moment, to send on; undefined while there is none. */
  stream: BidiStream<Req, Res> | undefined;

  private readonly abort = new AbortController();
  private stopped: HeadgateError | undefined;
  private readonly messages: AsyncGenerator<Res, undefined>;

  constructor(
    private readonly open: (options: CallOptions) => BidiStream<Req, Res>,
    private readonly opening: Opening<Req, Res>,
    private readonly options: SubscribeOptions<Res>,
    private readonly retry: Retry,
  ) {
    this.messages = this.run();
  }

  [Symbol.asyncIterator](): AsyncIterator<Res, undefined> {
    return this.messages;
  }

  cancel(): void {
    this.stop(new HeadgateError(Code.CANCELLED, "cancelled by the client"));
  }

  private stop(error: HeadgateError): void {
    this.stopped ??= error;
    this.abort.abort(error);
  }

  private async *run(): AsyncGenerator<Res, undefined> {
    const {options, retry} = this;
    const {clock} = retry;
    const stopWatching = watch(options, clock, (error) => this.stop(error));
    let failures = 0;
    let down: {error: HeadgateError; since: number} | undefined;
    let last: Res | undefined;
    let hasStood = false;
    let stream: BidiStream<Req, Res> | undefined;
    try {
      for (;;) {
        let openedAt = Infinity;
        try {
          stream = this.open({...(options.codec && {codec: options.codec}), signal: this.abort.signal});
          await stream.opened;
          openedAt = clock.now();
          this.stream = stream;
          const gap = hasStood && down ? {error: down.error, attempts: failures, durationMs: openedAt - down.since, last} : undefined;
          hasStood = true;
          await this.begin(stream, gap);
          if (gap) options.onReconnect?.(gap);
          for await (const message of stream) {
            last = message;
            yield message;
          }
          return;
        } catch (error) {
          this.stream = undefined;
          if (this.stopped) throw this.stopped;
          if (!(error instanceof HeadgateError)) throw error;
          const now = clock.now();
          if (now - openedAt >= STABLE_MS) [failures, down] = [0, undefined];
          if (!this.mayRetry(error, failures ? down?.error : undefined)) throw error;
          if (++failures > (options.reconnects ?? Infinity)) throw error;
          down = {error, since: openedAt === Infinity && down ? down.since : now};
          const delayMs = retry.delayMs(failures, error);
          options.onDisconnect?.(error, delayMs);
          await sleep(delayMs, {signal: this.abort.signal}, clock, error);
        }
      }
    } catch (error) {
      throw this.stopped ?? error;
    } finally {
      this.stream = undefined;
      stream?.cancel();
      stopWatching();
    }
  }

  private async begin(stream: BidiStream<Req, Res>, gap: Gap<Res> | undefined): Promise<void> {
    try {
      if (typeof this.opening === "function") return await (this.opening as Opener<Req, Res>)(stream, gap);
      const sent = stream.send(this.opening);
      stream.closeSend();
      await sent;
    } catch (error) {
      // If the stream has ended, iterating gives what came before that, and why.
      const ended = await Promise.race([stream.status, undefined]);
      if (!ended || !(error instanceof HeadgateError)) throw error;
    }
  }

  private mayRetry(error: HeadgateError, before: HeadgateError | undefined): boolean {
    if (this.options.retryIf) return this.options.retryIf(error);
    if (error.code === Code.UNAUTHENTICATED) return this.retry.canRefreshToken && before?.code !== Code.UNAUTHENTICATED;
    return error.code === Code.UNAVAILABLE;
  }
}
