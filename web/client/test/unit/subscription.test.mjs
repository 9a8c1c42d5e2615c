// Streams that are opened again.
import assert from "node:assert/strict";
import test from "node:test";
import {Code} from "../../dist/index.js";
import {drain, fakeClient, outcome, settle} from "./fakes.mjs";

// random() is 0.5: delays of 50, 100, 200, ... ms.
const subscriber = (options = {}) => fakeClient({backoff: {initialMs: 100, maxMs: 1000}, ...options});

test("a subscription goes on over a lost connection, and tells the gap", async () => {
  const {client, made, clock} = subscriber();
  const gaps = [];
  const subscription = client.subscribe("pkg.Svc/Watch", {room: 1}, {onReconnect: (gap) => gaps.push(gap)});
  const messages = drain(subscription);
  await settle();
  made[0].accept();
  await settle();
  assert.deepEqual(made[0].sent, ['{"room":1}', ""]);
  made[0].receive({i: 1});
  made[0].receive({i: 2});
  made[0].end(1006);
  await clock.advance(50);
  made[1].end(1006);
  await clock.advance(99);
  assert.equal(made.length, 2);
  await clock.advance(1);
  made[2].accept();
  await settle();
  assert.deepEqual(made[2].sent, ['{"room":1}', ""]);
  made[2].receive({i: 9});
  made[2].end(1000);
  assert.deepEqual(await messages, {values: [{i: 1}, {i: 2}, {i: 9}]});
  assert.equal(gaps.length, 1);
  const [{error, attempts, durationMs, last}] = gaps;
  assert.deepEqual([error.code, attempts, durationMs, last], [Code.UNAVAILABLE, 2, 150, {i: 2}]);
  assert.equal(clock.timers.size, 0);
});

test("an opening sends what each stream begins with, from where the last one ended", async () => {
  const {client, made, clock} = subscriber();
  const subscription = client.subscribe("pkg.Svc/Watch", async (stream, gap) => {
    await stream.send({after: gap?.last.i ?? 0});
  });
  const messages = drain(subscription);
  await settle();
  made[0].accept();
  made[0].receive({i: 7});
  await settle();
  assert.deepEqual(made[0].sent, ['{"after":0}']);
  subscription.stream.send({more: 1});
  assert.equal(made[0].sent.length, 2);
  made[0].end(1012);
  await settle();
  assert.equal(subscription.stream, undefined);
  await clock.advance(50);
  made[1].accept();
  await settle();
  assert.deepEqual(made[1].sent, ['{"after":7}']);
  made[1].end(1000);
  assert.deepEqual((await messages).values, [{i: 7}]);
});

test("a drain's hint is waited out", async () => {
  const {client, made, clock} = subscriber();
  const waits = [];
  drain(client.subscribe("pkg.Svc/Watch", {}, {onDisconnect: (error, ms) => waits.push([error.closeCode, ms])}));
  await settle();
  made[0].accept();
  made[0].end(1001, "the gateway is shutting down; retry-after=3s");
  await clock.advance(3049);
  assert.deepEqual([made.length, waits], [1, [[1001, 3050]]]);
  await clock.advance(1);
  assert.equal(made.length, 2);
});

test("clients that lost their connections at once do not come back at once", async () => {
  const delays = [];
  for (let i = 0; i < 100; i++) {
    const {client, made, clock} = subscriber({random: Math.random, backoff: {initialMs: 1000}});
    drain(client.subscribe("x", {}, {onDisconnect: (_, ms) => delays.push(ms)}));
    await settle();
    made[0].end(1006);
    await clock.advance(0);
  }
  for (let tenth = 0; tenth < 10; tenth++) {
    assert.ok(delays.some((ms) => ms >= tenth * 100 && ms < tenth * 100 + 100), `none in ${tenth}`);
  }
});

test("the delay grows until a stream was stable", async () => {
  const {client, made, clock} = subscriber();
  const waits = [];
  drain(client.subscribe("pkg.Svc/Watch", {}, {onDisconnect: (_, ms) => waits.push(ms)}));
  const cycle = async (livesMs) => {
    await settle();
    made.at(-1).accept();
    await clock.advance(livesMs);
    made.at(-1).end(1006);
    await clock.advance(waits.at(-1) ?? 50);
    await clock.advance(1000);
  };
  for (const lives of [0, 0, 9_999, 10_000, 0]) await cycle(lives);
  assert.deepEqual(waits, [50, 100, 200, 50, 100]);
});

test("what cannot be retried is thrown", async () => {
  const {client, made} = subscriber();
  const messages = drain(client.subscribe("pkg.Svc/Watch", {}));
  await settle();
  made[0].accept();
  made[0].receive({i: 1});
  made[0].end(4007, "not you");
  const {values, error} = await messages;
  assert.deepEqual([values, error.code], [[{i: 1}], Code.PERMISSION_DENIED]);
});

test("reconnects and retryIf limit the retries", async () => {
  const few = subscriber();
  const messages = drain(few.client.subscribe("x", {}, {reconnects: 2}));
  await settle();
  few.made[0].end(1006);
  await few.clock.advance(50);
  few.made[1].end(1006);
  await few.clock.advance(100);
  few.made[2].end(1006);
  assert.equal((await messages).error.code, Code.UNAVAILABLE);

  const other = subscriber();
  const aborted = drain(other.client.subscribe("x", {}, {retryIf: ({code}) => code === Code.ABORTED}));
  await settle();
  other.made[0].accept();
  other.made[0].end(4010);
  await other.clock.advance(50);
  other.made[1].end(1006);
  assert.equal((await aborted).error.code, Code.UNAVAILABLE);
});

test("an expired token is refreshed once; refused again, it is the end", async () => {
  let tokens = 0;
  const {client, made, clock} = subscriber({token: () => `t${++tokens}`});
  const messages = drain(client.subscribe("x", {}));
  await settle();
  made[0].accept();
  made[0].end(4016, "the token has expired");
  await clock.advance(50);
  made[1].accept();
  await clock.advance(10_000); // It stood: the next expiry is another one.
  made[1].end(4016, "the token has expired");
  await clock.advance(50);
  made[2].accept();
  made[2].end(4016, "no such user");
  const {error} = await messages;
  assert.equal(error.message, "no such user");
  assert.deepEqual(made.map(({protocols}) => protocols.at(-1)), ["t1", "t2", "t3"]);

  const fixed = subscriber({token: "t"});
  const final = drain(fixed.client.subscribe("x", {}));
  await settle();
  fixed.made[0].accept();
  fixed.made[0].end(4016, "the token has expired");
  assert.equal((await final).error.code, Code.UNAUTHENTICATED);
});

test("cancel ends it, connected or waiting", async () => {
  const {client, made, clock} = subscriber();
  for (const connected of [true, false]) {
    const subscription = client.subscribe("x", {});
    const messages = drain(subscription);
    await settle();
    made.at(-1).accept();
    if (!connected) made.at(-1).end(1006);
    await settle();
    subscription.cancel();
    assert.equal((await messages).error.code, Code.CANCELLED);
    assert.equal(clock.timers.size, 0);
  }
  assert.deepEqual(made.map(({log}) => log), [["close 1000"], ["close 1000"]]);
  assert.equal(made.length, 2);
});

test("cancelling is no failure to be retried", async () => {
  const {client, made} = subscriber();
  const lost = [];
  const subscription = client.subscribe("x", {}, {retryIf: () => true, onDisconnect: (error) => lost.push(error.name)});
  const messages = drain(subscription);
  await settle();
  made[0].accept();
  await settle();
  subscription.cancel();
  assert.equal((await messages).error.code, Code.CANCELLED);
  assert.deepEqual(lost, []);
});

test("a request that cannot be encoded is thrown", async () => {
  const {client, made} = subscriber();
  const messages = drain(client.subscribe("x", 1n));
  await settle();
  made[0].accept();
  assert.equal((await messages).error.code, Code.INVALID_ARGUMENT);
  assert.deepEqual(made[0].log, ["close 1000"]);
});

test("a signal and the time end it too", async () => {
  const {client, made, clock} = subscriber();
  const controller = new AbortController();
  const aborted = drain(client.subscribe("x", {}, {signal: controller.signal}));
  await settle();
  controller.abort("enough");
  const {error} = await aborted;
  assert.deepEqual([error.code, error.cause], [Code.CANCELLED, "enough"]);
  const timed = drain(client.subscribe("x", {}, {timeoutMs: 120}));
  await settle();
  made.at(-1).end(1006);
  await clock.advance(50);
  made.at(-1).end(1006);
  await clock.advance(70);
  assert.equal((await timed).error.code, Code.DEADLINE_EXCEEDED);
  assert.equal(clock.timers.size, 0);
});

test("leaving the loop cancels the stream", async () => {
  const {client, made, clock} = subscriber();
  let listeners = 0;
  const signal = {aborted: false, addEventListener: () => listeners++, removeEventListener: () => listeners--};
  const subscription = client.subscribe("x", {}, {signal});
  const left = (async () => {
    for await (const _ of subscription) break;
  })();
  await settle();
  assert.equal(listeners, 1);
  made[0].accept();
  made[0].receive({});
  await left;
  assert.equal(listeners, 0);
  await clock.advance(10_000);
  assert.deepEqual([made.length, made[0].log], [1, ["close 1000"]]);
});

test("a fault of the opening's own is thrown to the subscriber", async () => {
  const {client, made} = subscriber();
  const messages = drain(client.subscribe("x", () => { throw new RangeError("mine"); }));
  await settle();
  made[0].accept();
  assert.equal((await messages).error.message, "mine");
  assert.deepEqual(made[0].log, ["close 1000"]);
});

test("a first connection that takes several attempts is no gap", async () => {
  const {client, made, clock} = subscriber();
  const gaps = [];
  const opened = [];
  drain(client.subscribe("x", (_, gap) => void opened.push(gap), {onReconnect: (gap) => gaps.push(gap)}));
  await settle();
  made[0].end(1006);
  await clock.advance(50);
  made[1].accept();
  await settle();
  assert.deepEqual([gaps, opened], [[], [undefined]]);
});

test("a subscription works on a shared socket", async () => {
  const {client, made, clock} = subscriber({codec: "json", methods: {1: "x"}});
  const messages = drain(client.subscribe("x", {}));
  await settle();
  made[0].accept();
  await settle();
  made[0].end(1006);
  await clock.advance(50);
  made[1].accept();
  await settle();
  assert.equal(made[1].sent.length, 2);
  client.close();
  assert.equal((await outcome(messages)).value.error.code, Code.CANCELLED);
});
