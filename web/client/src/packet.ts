import {bytesOf, type Codec, type Received} from "./codec.js";
import {decodeRpcStatus} from "./rpc_status.js";

/** A packet: bytes, or other packets. */
export interface Packet {
  type: number;
  who: number;
  content?: Uint8Array;
  packets?: Packet[];
}

/** As the route has them; the defaults are the gateway's. */
export interface PacketOptions {
  order?: "type-length-who" | "type-who-length";
  endian?: "big" | "little";
  lengthCounts?: "content" | "packet";
  /** Types, besides `CONTAINER`, whose content is packets. */
  containerTypes?: number[];
  maxDepth?: number;
}

/** The type of the packet that ends a call, or one side of it. */
export const END = 0xffffffff;
/** The type of a packet whose content is packets. */
export const CONTAINER = 0xfffffffe;

const HEADER = 12;

export function encodePackets(packets: readonly Packet[], options: PacketOptions = {}): Uint8Array {
  const bytes = new Uint8Array(sizeOf(packets));
  write(packets, bytes, 0, options);
  return bytes;
}

function sizeOf(packets: readonly Packet[]): number {
  return packets.reduce((sum, {content, packets}) => sum + HEADER + (packets ? sizeOf(packets) : (content?.length ?? 0)), 0);
}

function write(packets: readonly Packet[], bytes: Uint8Array, start: number, options: PacketOptions): number {
  const header = headerOf(options);
  const view = new DataView(bytes.buffer);
  let at = start;
  if (packets.length === 0) throw new TypeError("no packets");
  for (const {type, who, content, packets: inner} of packets) {
    if (inner && !isContainer(type, options)) throw new TypeError(`packets in a packet of type ${type}`);
    const end = inner ? write(inner, bytes, at + HEADER, options) : at + HEADER + (content?.length ?? 0);
    if (content && !inner) bytes.set(content, at + HEADER);
    view.setUint32(at, type, header.little);
    view.setUint32(at + header.who, who, header.little);
    view.setUint32(at + header.length, end - at - header.notCounted, header.little);
    at = end;
  }
  return at;
}

/** Throws a RangeError that says where the bytes are not packets. */
export function decodePackets(bytes: Uint8Array, options: PacketOptions = {}): Packet[] {
  return read(bytes, 0, options.maxDepth ?? 8, options);
}

function read(bytes: Uint8Array, offset: number, depth: number, options: PacketOptions): Packet[] {
  const header = headerOf(options);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const packets: Packet[] = [];
  const fault = (at: number, what: string): never => {
    throw new RangeError(`packet at offset ${offset + at}: ${what}`);
  };
  for (let at = 0; at < bytes.length || at === 0; ) {
    if (bytes.length - at < HEADER) fault(at, "the header is cut short");
    const type = view.getUint32(at, header.little);
    const who = view.getUint32(at + header.who, header.little);
    const length = view.getUint32(at + header.length, header.little) + header.notCounted - HEADER;
    if (length < 0 || length > bytes.length - at - HEADER) fault(at, `bad length ${length}`);
    const content = bytes.subarray(at + HEADER, at + HEADER + length);
    if (!isContainer(type, options)) {
      packets.push({type, who, content});
    } else {
      if (depth === 0) fault(at, "nested too deep");
      packets.push({type, who, packets: read(content, offset + at + HEADER, depth - 1, options)});
    }
    at += HEADER + length;
  }
  return packets;
}

function isContainer(type: number, {containerTypes = []}: PacketOptions): boolean {
  return type === CONTAINER || containerTypes.includes(type);
}

// Where the fields are, and what of a packet its length does not count.
function headerOf({order, endian, lengthCounts}: PacketOptions) {
  return {
    little: endian === "little",
    who: order === "type-who-length" ? 4 : 8,
    length: order === "type-who-length" ? 8 : 4,
    notCounted: lengthCounts === "packet" ? 0 : HEADER,
  };
}

export const PACKET_PROTOCOL = "headgate.packet.v1";

/** Packets, one or several in a message. */
export function packet(options: PacketOptions = {}): Codec<Packet | readonly Packet[], Packet> {
  return {
    subprotocol: PACKET_PROTOCOL,
    halfClose: true,
    encode: (message) => encodePackets(Array.isArray(message) ? message : [message], options),
    decoder: () => ({
      decode: (data) =>
        decodePackets(bytesOf(data), options).map(
          (message): Received<Packet> =>
            message.type === END ? {status: decodeRpcStatus(message.content!)} : {message},
        ),
    }),
  };
}
