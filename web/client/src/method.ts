/** The kinds of call, as the client's methods are named. */
export type Kind = "unary" | "serverStream" | "clientStream" | "bidi";

declare const types: unique symbol;

/**
 * The path of a method, and the types of its messages. Any string will do, and
 * leaves the types to the caller; `headgate gen ts` writes those that know them.
 */
export type Method<K extends Kind, Req, Res> = string & {readonly [types]?: {kind: K; request: Req; response: Res}};

/** What protobuf's float and double are in JSON. */
export type Float = number | "NaN" | "Infinity" | "-Infinity";

/** One of the fields of T, or none. */
export type OneOf<T> =
  | {[K in keyof T]: {[P in K]: T[P]} & {[P in Exclude<keyof T, K>]?: never}}[keyof T]
  | {[P in keyof T]?: never};
