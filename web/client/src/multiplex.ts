import type {Channel, Wire, WireEvents} from "./channel.js";
import {bytesOf, type Codec} from "./codec.js";
import {decodePackets, encodePackets, END, PACKET_PROTOCOL, type Packet, type PacketOptions} from "./packet.js";
import {decodeRpcStatus} from "./rpc_status.js";
import {Socket, type Data, type SocketSettings} from "./socket.js";
import {Code, HeadgateError, type Status} from "./status.js";

/** As the route has it: packet type -> method. */
export type MethodTable = Readonly<Record<number, string>>;

interface NumberedCall {
  readonly type: number;
  readonly events: WireEvents;
}

/**
 * All calls on one socket, by number (docs/protocol.md, "Several calls on one
 * socket"). The socket opens with the first call, and with the next one after it
 * was lost. A message of a call is the content of a packet, in the call's codec.
 */
export class SharedSocket implements Channel {
  private readonly types = new Map<string, number>();
  /** Of no method: it ends a call whose number it has, and opens none. */
  private readonly noMethod: number;
  private socket: Socket | undefined;
  private isOpen = false;
  private readonly calls = new Map<number, NumberedCall>();
  private last = 0;

  constructor(
    private readonly settings: SocketSettings,
    private readonly url: string,
    methods: MethodTable,
    private readonly options: PacketOptions,
  ) {
    for (const [type, method] of Object.entries(methods)) this.types.set(nameOf(method), Number(type));
    const taken = [...this.types.values(), ...(options.containerTypes ?? [])];
    let type = 0;
    while (taken.includes(type)) type++;
    this.noMethod = type;
  }

  open(method: string, _codec: Codec, events: WireEvents): Wire {
    const type = this.types.get(nameOf(method));
    if (type === undefined) throw new HeadgateError(Code.UNIMPLEMENTED, `${method} is not in the table of methods`);
    do this.last = (this.last + 1) >>> 0;
    while (this.calls.has(this.last));
    const who = this.last;
    const socket = (this.socket ??= this.connect());
    let started = false;
    this.calls.set(who, {type, events});
    const post = (packets: Packet[]) => socket.send(encodePackets(packets, this.options));
    if (this.isOpen) queueMicrotask(() => this.calls.has(who) && events.onOpen());
    return {
      get bufferedAmount() {
        return socket.bufferedAmount;
      },
      send(data) {
        started = true;
        post([{type, who, content: contentOf(data)}]);
      },
      halfClose: () => {
        // The gateway knows of no call before its first message.
        if (started) return post([{type: END, who}]);
        this.calls.delete(who);
        events.onEnd(new HeadgateError(Code.INVALID_ARGUMENT, "a call on a shared socket needs a message before its half-close"));
      },
      cancel: () => {
        // There is no packet for it; one of another type ends the call, the end
        // packet tells the gateway that nothing of it is on its way any more.
        if (this.calls.delete(who) && started) post([{type: this.noMethod, who}, {type: END, who}]);
      },
      room: () => socket.room(),
      pause: () => {}, // It would stop the other calls.
    };
  }

  close(): void {
    this.socket?.close();
    this.lose(new HeadgateError(Code.CANCELLED, "closed by the client"));
  }

  private connect(): Socket {
    return new Socket(this.settings, this.url, PACKET_PROTOCOL, {
      onOpen: () => {
        this.isOpen = true;
        for (const {events} of this.calls.values()) events.onOpen();
      },
      onData: (data) => this.onData(data),
      onEnd: (status) => this.lose(status),
    });
  }

  private onData(data: Data): void {
    let packets: Packet[];
    try {
      packets = decodePackets(bytesOf(data), this.options);
    } catch (cause) {
      this.socket?.close();
      return this.lose(new HeadgateError(Code.INTERNAL, `malformed message: ${(cause as Error).message}`, {cause}));
    }
    for (const packet of packets) this.onPacket(packet);
  }

  private onPacket({type, who, content = new Uint8Array()}: Packet): void {
    const call = this.calls.get(who);
    if (!call) return; // It was cancelled.
    if (type !== END) return call.events.onData(content);
    this.calls.delete(who);
    let status: Status;
    try {
      status = decodeRpcStatus(content);
    } catch (cause) {
      status = new HeadgateError(Code.INTERNAL, `malformed message: ${(cause as Error).message}`, {cause});
    }
    call.events.onEnd(status);
  }

  // No call is done because its socket is.
  private lose(status: Status): void {
    this.socket = undefined;
    this.isOpen = false;
    const calls = [...this.calls.values()];
    this.calls.clear();
    const end = status.code ? status : new HeadgateError(Code.UNAVAILABLE, "the socket was closed", {...status});
    for (const {events} of calls) events.onEnd(end);
  }
}

const nameOf = (method: string) => method.replace(/^\//, "");

function contentOf(data: Data): Uint8Array {
  return typeof data === "string" ? new TextEncoder().encode(data) : data;
}
