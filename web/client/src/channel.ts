import type {Codec} from "./codec.js";
import {Socket, type Data, type SocketSettings} from "./socket.js";
import type {Status} from "./status.js";

/** What carries one call. */
export interface Wire {
  readonly bufferedAmount: number;
  send(data: Data): void;
  halfClose(): void;
  /** Ends the call without a further event. */
  cancel(): void;
  /** Resolves once less than the high-water mark waits to be sent. */
  room(): Promise<void>;
  /** Asks for no more messages, or again for some; not every wire can. */
  pause(paused: boolean): void;
}

export interface WireEvents {
  /** The connection stands. */
  onOpen(): void;
  onData(data: Data): void;
  /** The last event. */
  onEnd(status: Status): void;
}

/** Where calls are made. */
export interface Channel {
  open(method: string, codec: Codec, events: WireEvents): Wire;
  close(): void;
}

/** A socket for each call. */
export class SocketPerCall implements Channel {
  constructor(
    private readonly settings: SocketSettings,
    private readonly url: URL,
  ) {}

  open(method: string, codec: Codec, events: WireEvents): Wire {
    const socket = new Socket(this.settings, urlOf(this.url, method, codec.query), codec.subprotocol, events);
    return {
      get bufferedAmount() {
        return socket.bufferedAmount;
      },
      send: (data) => socket.send(data),
      halfClose: () => socket.send(""),
      cancel: () => socket.close(),
      room: () => socket.room(),
      pause: (paused) => socket.pause(paused),
    };
  }

  close(): void {}
}

/** "package.Service/Method", or a path of the gateway's, below the path of `base`; both may have a query. */
export function urlOf(base: URL, method = "", query?: string): string {
  const url = new URL(base);
  const [path = "", ...search] = method.split("?");
  if (path) url.pathname = url.pathname.replace(/\/$/, "") + "/" + path.replace(/^\//, "");
  url.search = [url.search.slice(1), search.join("?"), query].filter(Boolean).join("&");
  return url.href;
}
