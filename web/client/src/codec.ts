import type {Data} from "./socket.js";
import type {Status} from "./status.js";

/** What a message from the gateway turned out to be. */
export type Received<Res> =
  | {readonly message: Res}
  | {readonly headers: Readonly<Record<string, unknown>>}
  | {readonly status: Status};

/** Takes the messages of one call apart. What it throws ends the call. */
export interface Decoder<Res> {
  decode(data: Data): Received<Res>[];
  /** What was held back, now that the call has ended with `code`. */
  finish?(code: number): Received<Res>[];
}

/** Messages of a call <-> messages of a WebSocket. */
export interface Codec<Req = any, Res = any> {
  readonly subprotocol: string;
  /** False where the client cannot end its side: such a call is bidirectional. */
  readonly halfClose: boolean;
  /** Added to the URL's query. */
  readonly query?: string;
  encode(message: Req): Data;
  /** `single`: the method gives one response, not a stream. */
  decoder(single: boolean): Decoder<Res>;
}

/** Those that the package has. */
export type CodecName = "json" | "protobuf" | "packet" | "raw";

export function bytesOf(data: Data): Uint8Array {
  if (typeof data === "string") throw new TypeError("a text message where bytes belong");
  return data;
}
