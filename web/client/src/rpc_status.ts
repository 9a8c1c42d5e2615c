import {codeOf, HeadgateError, OK, type Status} from "./status.js";

/** A detail of a google.rpc.Status: a google.protobuf.Any. */
export interface RpcDetail {
  typeUrl: string;
  value: Uint8Array;
}

/** A serialized google.rpc.Status: int32 code = 1, string message = 2, repeated Any details = 3. */
export function decodeRpcStatus(bytes: Uint8Array): Status {
  let code = 0;
  let message = "";
  const details: RpcDetail[] = [];
  for (const [field, value] of fields(bytes)) {
    if (field === 1 && typeof value === "number") code = value;
    else if (field === 2 && typeof value === "object") message = text(value);
    else if (field === 3 && typeof value === "object") details.push(decodeAny(value));
  }
  return code === 0 ? {...OK, details} : new HeadgateError(codeOf(code), message, {details});
}

function decodeAny(bytes: Uint8Array): RpcDetail {
  const any: RpcDetail = {typeUrl: "", value: new Uint8Array()};
  for (const [field, value] of fields(bytes)) {
    if (field === 1 && typeof value === "object") any.typeUrl = text(value);
    else if (field === 2 && typeof value === "object") any.value = value;
  }
  return any;
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

// Varints, of which only the lower 32 bits are kept, and bytes; the others are skipped.
function* fields(bytes: Uint8Array): Generator<[number, number | Uint8Array]> {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined) break;
      if (shift < 32) value |= (byte & 127) << shift;
      if (byte < 128) return value >>> 0;
    }
    throw new RangeError("a malformed google.rpc.Status");
  };
  const take = (length: number) => {
    if (length > bytes.length - at) throw new RangeError("a malformed google.rpc.Status");
    return bytes.subarray(at, (at += length));
  };
  while (at < bytes.length) {
    const tag = varint();
    switch (tag & 7) {
      case 0:
        yield [tag >>> 3, varint()];
        break;
      case 1:
        take(8);
        break;
      case 2:
        yield [tag >>> 3, take(varint())];
        break;
      case 5:
        take(4);
        break;
      default:
        throw new RangeError("a malformed google.rpc.Status");
    }
  }
}
