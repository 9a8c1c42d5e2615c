// Several calls on one socket, by a table of methods.
import assert from "node:assert/strict";
import test from "node:test";
import {Code, decodePackets, encodePackets, END} from "../../dist/index.js";
import {drain, fakeClient, outcome, rpcStatus, settle} from "./fakes.mjs";

const methods = {1: "game.Lobby/Join", 3: "game.Lobby/Score"};
const game = (options = {}) => fakeClient({codec: "protobuf", methods, ...options}, "ws://gateway/game?x=1");
const bytes = (...values) => new Uint8Array(values);
const sent = (ws) => ws.sent.splice(0).flatMap((data) => decodePackets(data)).map(({type, who, content}) => [type, who, ...content]);
const packets = (...list) => encodePackets(list.map(([type, who, ...content]) => ({type, who, content: bytes(...content)})));

test("calls share a socket, each with a number of its own", async () => {
  const {client, made} = game({token: "t"});
  const join = client.bidi("game.Lobby/Join");
  join.send(bytes(7));
  const score = outcome(client.unary("/game.Lobby/Score", bytes(8)));
  await settle();
  assert.deepEqual([made.length, made[0].url, made[0].protocols], [1, "ws://gateway/game?x=1", ["headgate.packet.v1", "Bearer", "t"]]);
  made[0].accept();
  assert.deepEqual(sent(made[0]), [[1, 1, 7], [3, 2, 8], [END, 2]]);
  await join.opened;
  made[0].receive(packets([1, 1, 70], [3, 2, 80], [END, 2], [1, 1, 71]));
  assert.deepEqual(await score, {value: bytes(80)});
  join.closeSend();
  assert.deepEqual(sent(made[0]), [[END, 1]]);
  made[0].receive(packets([END, 1]));
  assert.deepEqual(await drain(join), {values: [bytes(70), bytes(71)]});
  const third = client.bidi("game.Lobby/Join");
  await third.opened;
  third.send(bytes());
  assert.deepEqual(sent(made[0]), [[1, 3]]);
  assert.equal(made.length, 1);
});

test("a call that fails ends alone", async () => {
  const {client, made} = game();
  const join = client.bidi("game.Lobby/Join");
  join.send(bytes());
  const score = outcome(client.unary("game.Lobby/Score", bytes()));
  await settle();
  made[0].accept();
  made[0].receive(packets([END, 2, ...rpcStatus(5, "no such player")], [1, 1, 9], [END, 1]));
  assert.equal(String((await score).error), "NOT_FOUND: no such player");
  assert.deepEqual(await drain(join), {values: [bytes(9)]});
});

test("cancelling a call ends it at the gateway, and what still comes of it is dropped", async () => {
  const {client, made} = game({packet: {containerTypes: [0, 2]}});
  const join = client.bidi("game.Lobby/Join");
  join.send(bytes());
  const other = client.bidi("game.Lobby/Join");
  await settle();
  made[0].accept();
  sent(made[0]);
  join.cancel();
  other.cancel(); // The gateway has not heard of it.
  assert.deepEqual(sent(made[0]), [[4, 1], [END, 1]]); // 4 is in no table.
  made[0].receive(packets([1, 1, 5], [END, 1, ...rpcStatus(3)]));
  assert.equal((await join.status).code, Code.CANCELLED);
  assert.deepEqual(made[0].log, []);
});

test("with the socket all calls are lost, however it closed; the next call opens another", async () => {
  for (const code of [1000, 1006, 1001]) {
    let tokens = 0;
    const {client, made} = game({token: () => `t${++tokens}`});
    const calls = [client.bidi("game.Lobby/Join"), client.bidi("game.Lobby/Join")];
    await settle();
    made[0].accept();
    made[0].end(code, "gone; retry-after=1s");
    for (const call of calls) assert.equal((await call.status).code, Code.UNAVAILABLE);
    const next = client.bidi("game.Lobby/Join");
    next.send(bytes(1));
    let opened = false;
    next.opened.then(() => (opened = true));
    await settle();
    assert.equal(opened, false);
    made[1].accept();
    await next.opened;
    assert.deepEqual([sent(made[1]), made[1].protocols.at(-1)], [[[1, 3, 1]], "t2"]);
  }
});

test("a socket that cannot open fails its calls, and does not stand in the way of the next", async () => {
  const {client, made} = game();
  const call = outcome(client.unary("game.Lobby/Score", bytes()));
  await settle();
  made[0].end(1006);
  assert.equal((await call).error.code, Code.UNAVAILABLE);
  client.bidi("game.Lobby/Join");
  await settle();
  assert.equal(made.length, 2);
});

test("what is not packets ends the socket, a malformed status its call", async () => {
  for (const bad of ["text", bytes(1, 2, 3)]) {
    const {client, made} = game();
    const call = client.bidi("game.Lobby/Join");
    await settle();
    made[0].accept();
    made[0].receive(bad);
    assert.equal((await call.status).code, Code.INTERNAL);
    assert.deepEqual(made[0].log, ["close 1000"]);
    client.bidi("game.Lobby/Join");
    await settle();
    assert.equal(made.length, 2);
  }
  const {client, made} = game();
  const call = client.bidi("game.Lobby/Join");
  await settle();
  made[0].accept();
  made[0].receive(packets([1, 99, 1], [END, 98], [END, 1, 8]));
  assert.match(String((await drain(call)).error), /^INTERNAL: malformed message/);
  assert.deepEqual(made[0].log, []);
});

test("content that the codec cannot read ends its call at the gateway too", async () => {
  const {client, made} = game({codec: "json"});
  const join = client.bidi("game.Lobby/Join");
  join.send({player: "ann"});
  await settle();
  made[0].accept();
  assert.deepEqual(sent(made[0]), [[1, 1, ...Buffer.from('{"player":"ann"}')]]);
  made[0].receive(packets([1, 1, ...Buffer.from('{"player":"é"}')], [1, 1, 0xff]));
  const {values, error} = await drain(join);
  assert.deepEqual([values, error.code], [[{player: "é"}], Code.INTERNAL]);
  assert.deepEqual(sent(made[0]), [[0, 1], [END, 1]]);
});

test("a method that is not in the table, and a half-close without a message, fail", async () => {
  const {client, made, clock} = game();
  assert.equal((await outcome(client.unary("game.Lobby/Nope", bytes(), {timeoutMs: 5000}))).error.code, Code.UNIMPLEMENTED);
  assert.deepEqual([made.length, clock.timers.size], [0, 0]);
  const call = client.clientStream("game.Lobby/Join");
  call.closeSend();
  assert.equal((await outcome(call.response)).error.code, Code.INVALID_ARGUMENT);
});

test("close closes the socket", async () => {
  const {client, made} = game();
  const call = client.bidi("game.Lobby/Join");
  await settle();
  made[0].accept();
  client.close();
  assert.equal((await call.status).code, Code.CANCELLED);
  assert.deepEqual(made[0].log, ["close 1000"]);
});
