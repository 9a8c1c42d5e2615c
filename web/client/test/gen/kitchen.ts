// Does what the types of kitchen.proto allow, and tries what they do not.
import {Headgate, type HeadgateOptions} from "@headgate/client";
import type {Value} from "./gen/google.protobuf.js";
import {$delete, type $string, type Kitchen, type Kitchen$Nested, type Kitchen_Nested} from "./gen/test.kitchen.js";

const value: Value = {a: [1, null, "s", {b: true}]};
const nested: Kitchen$Nested = {deeper: {}};
const other: Kitchen_Nested = {top: "t"};
const full: Kitchen = {
  id: "1", big: "9223372036854775807", raw: "AAA=", floats: [1.5, "NaN", "-Infinity"], color: "RED",
  kitchens: {"1": {id: "2"}}, twoWords: "w", "odd name": 1, part: {ok: true}, number: 1, at: "2006-01-02T15:04:05Z",
  any: {"@type": "type.googleapis.com/test.kitchen.class"}, struct: {a: value}, value: null, list: [value], null: null,
  mask: "a,b", wrapped: "1", wrappedFloat: "Infinity", empty: {}, text: {number: {class: {}}}, nested, notNested: other,
  "[test.kitchen.paint]": "NONE",
};
const either: Kitchen = {id: "1", kitchen: {id: "2", after: "1.5s"}};

// @ts-expect-error `id` is required.
export const noId: Kitchen = {};
// @ts-expect-error Only one of a oneof.
export const both: Kitchen = {id: "1", number: 1, kitchen: {id: "2"}};
// @ts-expect-error 64-bit integers are strings.
export const big: Kitchen = {id: "1", big: 1};
// @ts-expect-error No such name in the enum.
export const color: Kitchen = {id: "1", color: "GREEN"};
// @ts-expect-error Nothing is in an empty message.
export const empty: Kitchen = {id: "1", empty: {a: 1}};
// @ts-expect-error Not a field.
export const unknown: Kitchen = {id: "1", lost: 1};

export function choiceOf(kitchen: Kitchen): string {
  if (kitchen.number !== undefined) return kitchen.number.toFixed() + (kitchen.kitchen satisfies undefined);
  return kitchen.kitchen?.id ?? "none";
}

export async function call(options: HeadgateOptions): Promise<void> {
  const client = new Headgate("/", options);
  await client.unary($delete.new, full);
  await client.unary($delete.new, either);
  const stream = client.bidi($delete.__proto__);
  const text: $string = {};
  await stream.send(text);
  for await (const time of stream) Date.parse(time);
  // @ts-expect-error Of another kind.
  client.serverStream($delete.new, full);
  // @ts-expect-error Not its request.
  await client.unary($delete.new, {id: 1});
  // Where the route has a path of its own.
  await client.unary("/kitchen" as typeof $delete.new, full);
}
