import {bytesOf, type Codec} from "./codec.js";

/** Serialized messages, by whatever library: bytes in, bytes out. */
export function protobuf(): Codec<Uint8Array, Uint8Array> {
  return {
    subprotocol: "headgate.protobuf.v1",
    halfClose: true,
    encode: bytesOf,
    decoder: () => ({decode: (data) => [{message: bytesOf(data)}]}),
  };
}
