import type {Codec} from "./codec.js";
import type {Data} from "./socket.js";

/** Text and bytes as they are. There is no half-close. */
export function raw(): Codec<Data, Data> {
  return {
    subprotocol: "headgate.raw.v1",
    halfClose: false,
    encode: (message) => message,
    decoder: () => ({decode: (message) => [{message}]}),
  };
}
