/** The codes of gRPC (grpc/grpc doc/statuscodes.md). */
export const Code = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;
export type Code = (typeof Code)[keyof typeof Code];

const NAMES = Object.keys(Code);

/** The name of a code; of a number that gRPC does not define, UNKNOWN. */
export function codeName(code: number): string {
  return NAMES[code] ?? "UNKNOWN";
}

/** How a call ended. */
export interface Status {
  readonly code: Code;
  /** Of the code: "OK", "NOT_FOUND". */
  readonly name: string;
  readonly message: string;
  /** JSON: the details as ProtoJSON. Packets: `RpcDetail`s. */
  readonly details: readonly unknown[];
  /** Trailing metadata, where the codec carries it. */
  readonly trailers: Readonly<Record<string, unknown>>;
  /** Of the Close frame; 1006 when the connection broke without one. */
  readonly closeCode?: number | undefined;
  /** How long the gateway asks a client to stay away. */
  readonly retryAfterMs?: number | undefined;
}

/** A call that did not end with OK. */
export class HeadgateError extends Error implements Status {
  readonly code: Code;
  readonly details: readonly unknown[];
  readonly trailers: Readonly<Record<string, unknown>>;
  readonly closeCode: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: Code, message: string, more: Partial<Status> & {cause?: unknown} = {}) {
    super(message, more.cause === undefined ? undefined : {cause: more.cause});
    this.name = codeName(code);
    this.code = code;
    this.details = more.details ?? [];
    this.trailers = more.trailers ?? {};
    this.closeCode = more.closeCode;
    this.retryAfterMs = more.retryAfterMs;
  }

  static of(status: Status): HeadgateError {
    return status instanceof HeadgateError ? status : new HeadgateError(status.code, status.message, status);
  }
}

export const OK: Status = {code: Code.OK, name: "OK", message: "", details: [], trailers: {}};

/** A number from the wire as a code; what gRPC does not define is UNKNOWN. */
export function codeOf(number: unknown): Code {
  return typeof number === "number" && number in NAMES ? (number as Code) : Code.UNKNOWN;
}

const CLOSE_CODES: Record<number, [Code, string]> = {
  1001: [Code.UNAVAILABLE, "the gateway is going away"],
  1002: [Code.INTERNAL, "protocol error"],
  1003: [Code.INTERNAL, "a text message on a binary codec"],
  1005: [Code.UNAVAILABLE, "the connection was closed without a status"],
  1006: [Code.UNAVAILABLE, "the connection was lost"],
  1007: [Code.INVALID_ARGUMENT, "text that is not UTF-8"],
  1008: [Code.RESOURCE_EXHAUSTED, "against the gateway's policy"],
  1009: [Code.RESOURCE_EXHAUSTED, "a message is too long"],
  1011: [Code.INTERNAL, "a fault in the gateway"],
  1012: [Code.UNAVAILABLE, "the gateway is restarting"],
  1013: [Code.UNAVAILABLE, "the gateway is overloaded"],
  1014: [Code.UNAVAILABLE, "bad gateway"],
};

const RETRY_AFTER = /(?:^|[^\w-])retry-after=(\d{1,9})s$/;

/** The status that a Close frame tells (docs/protocol.md, "Endings"). */
export function statusOfClose(closeCode: number, reason: string): Status {
  if (closeCode === 1000) return {...OK, closeCode};
  const [code, message] = CLOSE_CODES[closeCode] ?? [codeOf(closeCode > 4000 ? closeCode - 4000 : -1), ""];
  const hint = RETRY_AFTER.exec(reason);
  return new HeadgateError(code, reason || message || `closed with ${closeCode}`, {
    closeCode,
    ...(hint && {retryAfterMs: Number(hint[1]) * 1000}),
  });
}
