// The client in Node.js, with the package `ws`, against the built gateway.
import assert from "node:assert/strict";
import {after, before, test} from "node:test";
import WebSocket from "ws";
import * as lib from "../../dist/index.js";
import {Gateway, hostileServer, Replicas} from "./harness.mjs";
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

test("a rolling restart: what was acknowledged is neither lost nor doubled, and clients return spread", async () => {
  const replicas = await new Replicas(gateway.backend, 2).start();
  const CLIENTS = 40;
  const [initialMs, delays] = [400, []];
  let asked = 0;
  const c = client({token: () => `t${++asked}`, backoff: {initialMs}}, replicas.url);
  // Each sends the next number once the one before has come back.
  const runs = Array.from({length: CLIENTS}, () => ({acknowledged: [], reconnects: 0}));
  const numbers = ({payload}) => Number(atob(payload));
  const talks = runs.map(async (run) => {
    const send = (number) => run.talk.stream?.send({payload: btoa(String(number))});
    run.talk = c.subscribe(ECHO + "Echo", (stream, gap) => stream.send({payload: btoa(String(gap?.last ? numbers(gap.last) + 1 : 1))}), {
      onDisconnect: ({name, closeCode, retryAfterMs = 0}, delayMs) => {
        if (closeCode === 1001) delays.push({name, retryAfterMs, jitter: delayMs - retryAfterMs});
      },
      onReconnect: () => run.reconnects++,
    });
    for await (const message of run.talk) {
      run.acknowledged.push(numbers(message));
      void send(numbers(message) + 1);
    }
  });
  const over = Promise.all(talks.map((talk) => talk.catch((error) => error.name)));
  const goOn = async () => {
    const before = runs.map((run) => run.acknowledged.length);
    while (!runs.every((run, i) => run.acknowledged.length > before[i])) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  try {
    await goOn();
    assert.deepEqual(await replicas.roll(goOn), [0, 0]);
    for (const {talk} of runs) talk.cancel();
    assert.deepEqual(await over, Array(CLIENTS).fill("CANCELLED"));
    for (const {acknowledged, reconnects} of runs) {
      assert.deepEqual(acknowledged, acknowledged.map((_, i) => i + 1));
      assert.ok(reconnects >= 1); // Each replica was restarted.
    }
    assert.ok(asked >= CLIENTS + runs.reduce((sum, run) => sum + run.reconnects, 0));
    // The drain names a time to stay away, and the jitter on top of it uses all of its range.
    assert.ok(delays.length >= CLIENTS && delays.every(({name, retryAfterMs}) => name === "UNAVAILABLE" && retryAfterMs >= 1000));
    const jitters = delays.map(({jitter}) => jitter);
    assert.ok(Math.min(...jitters) < initialMs / 4 && Math.max(...jitters) > initialMs * 3 / 4, String(jitters));
  } finally {
    for (const {talk} of runs) talk.cancel();
    await replicas.stop();
  }
});
