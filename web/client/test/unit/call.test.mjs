// Calls on sockets of their own, against a gateway that the test plays.
import assert from "node:assert/strict";
import test from "node:test";
import {Code, Headgate, HeadgateError, json, packet, raw} from "../../dist/index.js";
import {drain, fakeClient, outcome, settle} from "./fakes.mjs";

test("a unary call sends its request and the half-close, and gives the response when the call has ended well", async () => {
  const {client, made} = fakeClient();
  const call = outcome(client.unary("pkg.Svc/Do", {a: 1}));
  await settle();
  const [ws] = made;
  assert.equal(ws.url, "ws://gateway/pkg.Svc/Do");
  assert.equal(ws.binaryType, "arraybuffer");
  assert.deepEqual(ws.protocols, ["headgate.json.v1"]);
  assert.deepEqual(ws.sent, []);
  ws.accept();
  assert.deepEqual(ws.sent, ['{"a":1}', ""]);
  ws.receive({b: 2});
  ws.end(1000);
  assert.deepEqual(await call, {value: {b: 2}});
});

test("a unary call that ends with OK needs exactly one response", async () => {
  for (const [responses, message] of [[0, "OK, but no response"], [2, "more than one response"]]) {
    const {client, made} = fakeClient();
    const call = outcome(client.unary("pkg.Svc/Do", {}));
    await settle();
    made[0].accept();
    for (let i = 0; i < responses; i++) made[0].receive({});
    made[0].end(1000);
    const {error} = await call;
    assert.deepEqual([error.code, error.message], [Code.INTERNAL, message]);
  }
});

test("a failed call is an error with the code, the message and the close code", async () => {
  const {client, made} = fakeClient();
  const call = outcome(client.unary("pkg.Svc/Do", {}));
  await settle();
  made[0].accept();
  made[0].receive({not: "taken"});
  made[0].end(4005, "no such room");
  const {error} = await call;
  assert.ok(error instanceof HeadgateError);
  assert.deepEqual([error.name, error.message, error.closeCode], ["NOT_FOUND", "no such room", 4005]);
});

test("a call is not made again by itself", async () => {
  const {client, made, clock} = fakeClient();
  const call = outcome(client.unary("pkg.Svc/Do", {}));
  await settle();
  made[0].end(1006);
  assert.equal((await call).error.code, Code.UNAVAILABLE);
  await clock.advance(60_000);
  assert.equal(made.length, 1);
});

test("a call that may be made again is, after the gateway's hint and the backoff, with a token of its own", async () => {
  let tokens = 0;
  const {client, made, clock} = fakeClient({token: async () => `t${++tokens}`, backoff: {initialMs: 100}});
  const call = outcome(client.unary("pkg.Svc/Do", {}, {attempts: 3}));
  await settle();
  made[0].accept();
  made[0].end(1001, "the gateway is shutting down; retry-after=3s");
  await clock.advance(3049);
  assert.equal(made.length, 1);
  await clock.advance(1);
  assert.equal(made.length, 2);
  made[1].end(1006);
  await clock.advance(99);
  assert.equal(made.length, 2);
  await clock.advance(1);
  made[2].accept();
  made[2].receive({b: 2});
  made[2].end(1000);
  assert.deepEqual(await call, {value: {b: 2}});
  assert.deepEqual(made.map(({protocols}) => protocols.at(-1)), ["t1", "t2", "t3"]);
});

test("attempts come to an end, and other failures than UNAVAILABLE are final", async () => {
  const {client, made, clock} = fakeClient();
  const call = outcome(client.unary("pkg.Svc/Do", {}, {attempts: 2}));
  await settle();
  made[0].end(1006);
  await clock.advance(1000);
  made[1].end(1006);
  assert.equal((await call).error.code, Code.UNAVAILABLE);

  const other = outcome(client.unary("pkg.Svc/Do", {}, {attempts: 2}));
  await settle();
  made[2].accept();
  made[2].end(4013, "broken");
  assert.equal((await other).error.code, Code.INTERNAL);
  assert.equal(made.length, 3);
});

test("the deadline covers all attempts", async () => {
  const {client, made, clock} = fakeClient({backoff: {initialMs: 10_000}});
  const call = outcome(client.unary("pkg.Svc/Do", {}, {attempts: 5, timeoutMs: 1000}));
  await settle();
  made[0].end(1006);
  await clock.advance(1000);
  const {error} = await call;
  assert.equal(error.code, Code.DEADLINE_EXCEEDED);
  assert.equal(error.cause.code, Code.UNAVAILABLE);
  assert.equal(clock.timers.size, 0);
});

test("a server stream gives its messages, then throws how it failed", async () => {
  const {client, made} = fakeClient();
  const stream = client.serverStream("pkg.Svc/Watch", {});
  await settle();
  made[0].accept();
  made[0].receive({i: 1});
  made[0].receive({i: 2});
  made[0].end(4010, "stopped");
  const {values, error} = await drain(stream);
  assert.deepEqual(values, [{i: 1}, {i: 2}]);
  assert.equal(String(error), "ABORTED: stopped");
  assert.equal((await stream.status).code, Code.ABORTED);
});

test("messages come to those that wait for them, in order", async () => {
  const {client, made} = fakeClient();
  const iterator = client.serverStream("pkg.Svc/Watch", {})[Symbol.asyncIterator]();
  const taken = [iterator.next(), iterator.next(), iterator.next(), iterator.next()];
  await settle();
  made[0].accept();
  made[0].receive(1..toString());
  made[0].receive("2");
  made[0].end(1000);
  assert.deepEqual((await Promise.all(taken)).map(({value}) => value), [1, 2, undefined, undefined]);
});

test("leaving the loop cancels the call", async () => {
  const {client, made} = fakeClient();
  const stream = client.serverStream("pkg.Svc/Watch", {});
  await settle();
  made[0].accept();
  made[0].receive({});
  for await (const _ of stream) break;
  assert.deepEqual(made[0].log, ["close 1000"]);
  assert.equal((await stream.status).code, Code.CANCELLED);
});

test("cancelling drops what was not taken", async () => {
  const {client, made} = fakeClient();
  const stream = client.serverStream("pkg.Svc/Watch", {});
  await settle();
  made[0].accept();
  made[0].receive({});
  stream.cancel();
  const {values, error} = await drain(stream);
  assert.deepEqual([values, error.code], [[], Code.CANCELLED]);
});

test("a client stream sends until closeSend and gives its response", async () => {
  const {client, made} = fakeClient();
  const stream = client.clientStream("pkg.Svc/Put");
  stream.send({i: 1});
  await settle();
  made[0].accept();
  await stream.send({i: 2});
  stream.closeSend();
  stream.closeSend();
  assert.deepEqual(made[0].sent, ['{"i":1}', '{"i":2}', ""]);
  made[0].receive({n: 2});
  made[0].end(1000);
  assert.deepEqual(await stream.response, {n: 2});
});

test("what cannot be sent is refused, and only that", async () => {
  const {client, made} = fakeClient();
  const stream = client.bidi("pkg.Svc/Talk");
  await settle();
  made[0].accept();
  const refused = async (message) => (await outcome(stream.send(message))).error?.name;
  assert.equal(await refused(1n), "INVALID_ARGUMENT");
  assert.equal(await refused({}), undefined);
  stream.closeSend();
  assert.equal(await refused({}), "FAILED_PRECONDITION");
  made[0].end(1000);
  assert.equal(await refused({}), "FAILED_PRECONDITION");
  assert.deepEqual(made[0].sent, ["{}", ""]);
});

test("a request that cannot be encoded fails its call and closes the socket", async () => {
  const {client, made} = fakeClient();
  const {error} = await outcome(client.unary("pkg.Svc/Do", 1n));
  assert.equal(error.code, Code.INVALID_ARGUMENT);
  await settle();
  assert.equal(made.length, 0);
});

test("sending on a failed call rejects with the call's status; not awaiting it is no unhandled rejection", async (t) => {
  const unhandled = [];
  const onUnhandled = (error) => unhandled.push(error);
  process.on("unhandledRejection", onUnhandled);
  t.after(() => process.off("unhandledRejection", onUnhandled));
  const {client, made} = fakeClient();
  const stream = client.clientStream("pkg.Svc/Put");
  await settle();
  made[0].accept();
  made[0].end(4007, "not you");
  stream.send({});
  assert.equal((await outcome(stream.send({}))).error.message, "not you");
  stream.response;
  await settle();
  await settle();
  assert.deepEqual(unhandled, []);
});

test("send waits while more than the high-water mark is buffered", async () => {
  const {client, made, clock} = fakeClient({highWaterMark: 10});
  const stream = client.bidi("pkg.Svc/Talk");
  const done = [];
  stream.send("12345678").then(() => done.push(1)); // 10 characters as JSON.
  await clock.advance(50);
  assert.deepEqual([done, stream.bufferedAmount], [[], 10]);
  made[0].accept();
  await clock.advance(10);
  assert.deepEqual([done, stream.bufferedAmount], [[1], 0]);
  made[0].bufferedAmount = 10;
  stream.send("").then(() => done.push(2));
  await clock.advance(1000);
  assert.deepEqual([done, made[0].sent.length], [[1], 2]);
  made[0].bufferedAmount = 9;
  await clock.advance(10);
  assert.deepEqual(done, [1, 2]);
  made[0].bufferedAmount = 100;
  const last = outcome(stream.send(""));
  made[0].end(4010, "stopped");
  assert.equal((await last).error.code, Code.ABORTED);
  assert.equal(clock.timers.size, 0);
});

test("a caller that reads too slowly pauses the socket, and resumes it", async () => {
  const {client, made, WebSocket} = fakeClient({maxReceiveBytes: 16_000}); // Pauses above 1,000.
  WebSocket.prototype.pause = function () { this.log.push("pause"); };
  WebSocket.prototype.resume = function () { this.log.push("resume"); };
  const iterator = client.serverStream("pkg.Svc/Watch", {})[Symbol.asyncIterator]();
  await settle();
  made[0].accept();
  for (let i = 0; i < 10; i++) made[0].receive(JSON.stringify("x".repeat(100)));
  assert.ok(made[0].log.length > 0 && made[0].log.every((entry) => entry === "pause"), String(made[0].log));
  const pauses = made[0].log.length;
  const resumes = [];
  for (let i = 1; i <= 10; i++) {
    await iterator.next();
    if (made[0].log.length > pauses + resumes.length) resumes.push(i);
  }
  assert.deepEqual(resumes, [7]); // 166 bytes each, with what the queue costs: below 500.
});

test("a call whose messages nobody reads is given up at its limit", async () => {
  const {client, made} = fakeClient({maxReceiveBytes: 1000});
  const stream = client.serverStream("pkg.Svc/Watch", {});
  await settle();
  made[0].accept();
  for (let i = 0; i < 20; i++) made[0].receive("1");
  const {error, values} = await drain(stream);
  assert.equal(error.code, Code.RESOURCE_EXHAUSTED);
  assert.equal(values.length, 16); // 65 bytes each, with what the queue costs.
  assert.deepEqual(made[0].log, ["close 1000"]);
});

test("an aborted signal ends the call, and holds on to nothing afterwards", async () => {
  const {client, made} = fakeClient();
  const controller = new AbortController();
  const stream = client.serverStream("pkg.Svc/Watch", {}, {signal: controller.signal});
  await settle();
  made[0].accept();
  controller.abort("enough");
  const {error} = await drain(stream);
  assert.deepEqual([error.code, error.cause], [Code.CANCELLED, "enough"]);
  assert.deepEqual(made[0].log, ["close 1000"]);

  const {error: before} = await outcome(client.unary("pkg.Svc/Do", {}, {signal: controller.signal}));
  assert.equal(before.code, Code.CANCELLED);
  await settle();
  assert.equal(made.length, 1);

  let listeners = 0;
  const signal = {aborted: false, addEventListener: () => listeners++, removeEventListener: () => listeners--};
  const call = outcome(client.unary("pkg.Svc/Do", {}, {signal}));
  await settle();
  assert.equal(listeners, 1);
  made[1].end(1006);
  await call;
  assert.equal(listeners, 0);
});

test("a call ends when its time is up, or before it begins if there is none", async () => {
  const {client, made, clock} = fakeClient();
  const call = outcome(client.unary("pkg.Svc/Do", {}, {timeoutMs: 500}));
  await settle();
  made[0].accept();
  await clock.advance(499);
  assert.deepEqual(made[0].log, []);
  await clock.advance(1);
  assert.equal((await call).error.code, Code.DEADLINE_EXCEEDED);
  assert.deepEqual(made[0].log, ["close 1000"]);
  assert.equal((await outcome(client.unary("pkg.Svc/Do", {}, {timeoutMs: 0}))).error.code, Code.DEADLINE_EXCEEDED);
  assert.equal(made.length, 1);
});

test("a socket that does not open in time, or at all, is UNAVAILABLE; the query stays out of the message", async () => {
  const {client, made, clock} = fakeClient({connectTimeoutMs: 100}, "ws://gateway/base?token=s3cret");
  const slow = client.bidi("pkg.Svc/Talk");
  await clock.advance(100);
  assert.equal((await outcome(slow.opened)).error.message, "ws://gateway/base/pkg.Svc/Talk did not open within 100 ms");
  const refused = client.bidi("pkg.Svc/Talk");
  await settle();
  made[1].onerror({message: "Unexpected server response: 503"});
  made[1].end(1006);
  const {error} = await outcome(refused.opened);
  assert.equal(String(error), "UNAVAILABLE: cannot connect to ws://gateway/base/pkg.Svc/Talk: Unexpected server response: 503");
  assert.equal(clock.timers.size, 0);
});

test("a socket that was cancelled while it opened is closed and forgotten", async () => {
  let give;
  const {client, made} = fakeClient({token: () => new Promise((resolve) => (give = resolve))});
  const early = client.bidi("pkg.Svc/Talk");
  await settle();
  early.send({});
  early.cancel();
  give("t");
  await settle();
  assert.deepEqual([made.length, early.bufferedAmount], [0, 0]);
  const late = client.bidi("pkg.Svc/Talk");
  await settle();
  give("t");
  await settle();
  late.cancel();
  assert.deepEqual(made[0].log, ["close 1000"]);
  assert.doesNotThrow(() => made[0].onerror({}));
  assert.equal((await late.status).code, Code.CANCELLED);
});

test("a gateway that answers with another codec is not spoken to", async () => {
  const {client, made} = fakeClient({token: "t"});
  const call = outcome(client.unary("pkg.Svc/Do", {}));
  await settle();
  made[0].accept("Bearer");
  assert.equal((await call).error.code, Code.UNIMPLEMENTED);
  assert.deepEqual([made[0].sent, made[0].log], [[], ["close 1000"]]);
});

test("malformed messages end the call with INTERNAL", async () => {
  for (const [codec, data] of [["json", "{"], ["json", "{} {}"], ["protobuf", "text"], ["packet", new Uint8Array([1, 2, 3])], ["packet", "text"]]) {
    const {client, made} = fakeClient({codec});
    const stream = client.bidi("pkg.Svc/Talk");
    await settle();
    made[0].accept();
    made[0].receive(data);
    const {error} = await drain(stream);
    assert.equal(error.code, Code.INTERNAL, codec);
    assert.match(error.message, /^malformed message: /);
    assert.deepEqual(made[0].log, ["close 1000"]);
  }
});

test("a token is asked for once for each connection; without one there is no call", async () => {
  let asked = 0;
  const {client, made} = fakeClient({token: () => `t${++asked}`});
  client.bidi("pkg.Svc/Talk");
  client.bidi("pkg.Svc/Talk");
  await settle();
  assert.deepEqual(made.map(({protocols}) => protocols), [["headgate.json.v1", "Bearer", "t1"], ["headgate.json.v1", "Bearer", "t2"]]);

  const failing = fakeClient({token: () => Promise.reject(new TypeError("no network"))});
  const {error} = await outcome(failing.client.unary("pkg.Svc/Do", {}));
  assert.deepEqual([String(error), error.cause.message], ["UNAVAILABLE: no token: no network", "no network"]);

  const bad = fakeClient({token: "é"});
  assert.equal((await outcome(bad.client.unary("pkg.Svc/Do", {}))).error.code, Code.UNAUTHENTICATED);

  const own = fakeClient({token: () => { throw new HeadgateError(Code.PERMISSION_DENIED, "signed out"); }});
  assert.equal((await outcome(own.client.unary("pkg.Svc/Do", {}))).error.message, "signed out");
  assert.equal(failing.made.length + bad.made.length + own.made.length, 0);
});

test("addresses: http becomes ws, paths and queries are joined", async () => {
  const cases = [
    ["http://gateway", "pkg.Svc/Do", "ws://gateway/pkg.Svc/Do"],
    ["https://gateway/", "/chat", "wss://gateway/chat"],
    ["wss://gateway:8443/base/", "chat", "wss://gateway:8443/base/chat"],
    ["ws://gateway/base?a=1#x", "v1/shelves/a%2Fb?c=2?", "ws://gateway/base/v1/shelves/a%2Fb?a=1&c=2?"],
    ["ws://gateway/chat", "", "ws://gateway/chat"],
  ];
  for (const [base, method, url] of cases) {
    const {client, made} = fakeClient({}, base);
    client.bidi(method);
    await settle();
    assert.equal(made[0].url, url);
  }
});

test("a WebSocket that cannot be made is INVALID_ARGUMENT, none at all a TypeError", async () => {
  const {client} = fakeClient({WebSocket: class { constructor() { throw new SyntaxError("no such scheme"); } }});
  assert.equal(String((await outcome(client.unary("x", {}))).error), "INVALID_ARGUMENT: no such scheme");
  const {WebSocket} = globalThis;
  delete globalThis.WebSocket;
  try {
    assert.throws(() => fakeClient({WebSocket: undefined}), TypeError);
  } finally {
    if (WebSocket) globalThis.WebSocket = WebSocket;
  }
});

test("raw has no half-close: only bidirectional calls", async () => {
  const {client, made} = fakeClient({codec: raw()});
  const stream = client.bidi("/echo");
  await settle();
  made[0].accept();
  stream.send("");
  stream.send(new Uint8Array([1]));
  made[0].receive("");
  made[0].receive(new Uint8Array([2]));
  made[0].end(1000);
  assert.deepEqual(made[0].sent, ["", new Uint8Array([1])]);
  assert.deepEqual(await drain(stream), {values: ["", new Uint8Array([2])]});
  assert.equal((await outcome(client.unary("/echo", "x"))).error.code, Code.FAILED_PRECONDITION);
});

test("an end packet is the status; the Close frame adds its code and hint", async () => {
  const {client, made} = fakeClient({codec: packet()});
  const stream = client.bidi("/packets");
  await settle();
  made[0].accept();
  // 7 for 1, "a"; the end packet of UNAVAILABLE, "m".
  made[0].receive(Uint8Array.from(Buffer.from("00000007000000010000000161" + "ffffffff0000000500000000080e12016d", "hex")));
  made[0].end(1001, "cut; retry-after=2s");
  const {values, error} = await drain(stream);
  assert.deepEqual(values, [{type: 7, who: 1, content: new Uint8Array([0x61])}]);
  assert.deepEqual([String(error), error.closeCode, error.retryAfterMs], ["UNAVAILABLE: m", 1001, 2000]);
});

test("an OK that the Close frame does not confirm is none", async () => {
  const {client, made} = fakeClient({codec: packet()});
  const stream = client.bidi("/packets");
  await settle();
  made[0].accept();
  made[0].receive(Uint8Array.from(Buffer.from("ffffffff0000000000000000", "hex")));
  made[0].end(1006);
  assert.equal((await drain(stream)).error.code, Code.UNAVAILABLE);
});

test("a status message gives headers, details and trailers, of calls that end well too", async () => {
  const {client, made} = fakeClient({codec: json({envelope: "status"})});
  const stream = client.serverStream("pkg.Svc/Watch?x=1", {});
  await settle();
  assert.equal(made[0].url, "ws://gateway/pkg.Svc/Watch?x=1&status=1");
  made[0].accept();
  made[0].receive({headers: {h: ["1"]}});
  made[0].receive({i: 1});
  made[0].receive({status: {code: 0, trailers: {t: ["2"]}}});
  made[0].end(1000);
  assert.deepEqual(await drain(stream), {values: [{i: 1}]});
  assert.deepEqual(stream.headers, {h: ["1"]});
  assert.deepEqual((await stream.status).trailers, {t: ["2"]});
});

test("close cancels every call and allows no other", async () => {
  const {client, made} = fakeClient();
  const stream = client.bidi("pkg.Svc/Talk");
  await settle();
  client.close();
  assert.equal((await stream.status).code, Code.CANCELLED);
  assert.deepEqual(made[0].log, ["close 1000"]);
  assert.equal((await outcome(client.unary("pkg.Svc/Do", {}))).error.code, Code.CANCELLED);
  assert.equal(client.calls.size, 0); // Nothing is kept of calls that have ended.
});

test("a call may have a codec of its own, by name or with options", async () => {
  const {client, made} = fakeClient({packet: {endian: "little"}});
  const streams = [client.bidi("/a", {codec: "packet"}), client.bidi("/b", {codec: packet()}), client.bidi("/c")];
  for (const stream of streams.slice(0, 2)) void stream.send({type: 1, who: 2});
  await settle();
  for (const ws of made) ws.accept();
  assert.deepEqual(made.map((ws) => ws.protocols[0]), ["headgate.packet.v1", "headgate.packet.v1", "headgate.json.v1"]);
  // By name it has the client's options.
  assert.deepEqual(made.slice(0, 2).map((ws) => [ws.sent[0][0], ws.sent[0][3]]), [[1, 0], [0, 1]]);
  assert.throws(() => client.bidi("/d", {codec: "toString"}), /there is no codec "toString"/);
  assert.throws(() => new Headgate("ws://gateway", {codec: "jsn", WebSocket: class {}}), /there is no codec "jsn"/);
  client.close();
});

test("how a call ended has a name, OK too", async () => {
  const {client, made} = fakeClient();
  const stream = client.bidi("/a");
  await settle();
  made[0].accept();
  made[0].end(1000);
  assert.deepEqual(await stream.status, {code: Code.OK, name: "OK", message: "", details: [], trailers: {}, closeCode: 1000});
});
