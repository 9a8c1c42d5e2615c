// The client in Node.js, with the package `ws`, against the built gateway.
import assert from "node:assert/strict";
import {after, before, test} from "node:test";
import WebSocket from "ws";
import * as lib from "../../dist/index.js";
import {Gateway, hostileServer} from "./harness.mjs";
import {scenarios} from "./scenarios.mjs";

const ECHO = "headgate.demo.v1.EchoService/";
const gateway = new Gateway();
let hostile;
before(async () => {
  hostile = await hostileServer();
  await gateway.start();
});
after(async () => {
  hostile.stop();
  await gateway.stop("SIGKILL");
});

const client = (options = {}, url = gateway.url) => new lib.Headgate(url, {WebSocket, ...options});

for (const [name, scenario] of Object.entries(scenarios)) {
  test(name, async () => {
    const world = {lib, client, url: gateway.url, hostile: hostile.url, stop: (signal) => gateway.stop(signal), start: () => gateway.start()};
    assert.deepEqual(await scenario.run(world), scenario.gives);
  });
}

test("a slow reader pauses the socket: nothing is lost, and little waits", async () => {
  const stream = client({maxReceiveBytes: 4 << 20}).serverStream(ECHO + "Flood", {count: 400, size: 65_536});
  let next = 0;
  for await (const {index = "0"} of stream) {
    assert.equal(Number(index), next++);
    if (next < 20) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal(next, 400); // 35 MB as JSON.
});

test("headers go where the WebSocket can send some", async () => {
  class WithHeaders extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols, {headers: {"Grpc-Metadata-X-Tenant": "acme"}});
    }
  }
  const {metadata} = await client({WebSocket: WithHeaders}).unary(ECHO + "Metadata", {});
  assert.deepEqual(metadata["x-tenant"].values, ["acme"]);
});

test("details come in grpc-gateway's envelope", async () => {
  const wrapping = await new Gateway("--json-envelope", "result").start();
  try {
    const wrapped = client({codec: lib.json({envelope: "result"})}, wrapping.url);
    const details = [{"@type": "type.googleapis.com/google.protobuf.Duration", value: "3s"}];
    const failed = await wrapped.unary(ECHO + "Fail", {code: 5, message: "m", details}).catch((error) => error);
    assert.deepEqual([String(failed), failed.details, failed.closeCode], ["NOT_FOUND: m", details, 4005]);
    assert.deepEqual(await wrapped.unary("headgate.demo.v1.HelloService/SayHello", {greeting: "ann"}), {reply: "hello, ann"});
    const indexes = [];
    for await (const {index = "0"} of wrapped.serverStream(ECHO + "Flood", {count: 3})) indexes.push(index);
    assert.deepEqual(indexes, ["0", "1", "2"]);
    const stopped = await wrapped.serverStream(ECHO + "Flood", {count: -1, size: -1}).status;
    assert.equal(stopped.name, "INVALID_ARGUMENT");
  } finally {
    await wrapping.stop("SIGKILL");
  }
});
