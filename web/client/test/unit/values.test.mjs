// What is pure: tokens, statuses, delays, packets, envelopes.
import assert from "node:assert/strict";
import test from "node:test";
import {backoffMs} from "../../dist/backoff.js";
import {Code, codeName, HeadgateError, statusOfClose} from "../../dist/status.js";
import {decodeRpcStatus} from "../../dist/rpc_status.js";
import {json} from "../../dist/json.js";
import {CONTAINER, decodePackets, encodePackets, packet} from "../../dist/packet.js";
import {tokenProtocols} from "../../dist/token.js";

const K8S = "base64url.bearer.authorization.k8s.io.";
const decoded = ([entry]) => Buffer.from(entry.slice(K8S.length), "base64url").toString();

test("a token that can be a subprotocol goes as one", () => {
  assert.deepEqual(tokenProtocols("eyJh.eyJz-_~!#$%&'*+^`|"), ["Bearer", "eyJh.eyJz-_~!#$%&'*+^`|"]);
});

test("a token that cannot be a subprotocol goes in base64url, without padding", () => {
  for (const token of ["dG9r/ZW4=", "a b", "a,b", '"', "x/y", "@", "ff???>>>"]) {
    const protocols = tokenProtocols(token);
    assert.equal(protocols.length, 1);
    assert.match(protocols[0], /^[\w.-]+$/);
    assert.equal(decoded(protocols), token);
  }
});

test("a token that would mean something else as a subprotocol goes in base64url", () => {
  for (const token of ["Bearer", "bearer", "headgate.raw.v1", "grpc-websockets", K8S + "eA"]) {
    assert.equal(decoded(tokenProtocols(token)), token);
  }
});

test("no token gives no subprotocol, a token with other characters is refused", () => {
  for (const none of [undefined, null, ""]) assert.deepEqual(tokenProtocols(none), []);
  for (const bad of ["é", "a\nb", "\u{1f600}"]) assert.throws(() => tokenProtocols(bad), TypeError);
});

test("close codes are statuses", () => {
  assert.equal(statusOfClose(1000, "").code, Code.OK);
  for (let code = 1; code <= 16; code++) assert.equal(statusOfClose(4000 + code, "m").code, code);
  const codes = {
    1001: "UNAVAILABLE", 1002: "INTERNAL", 1003: "INTERNAL", 1005: "UNAVAILABLE", 1006: "UNAVAILABLE", 1007: "INVALID_ARGUMENT",
    1008: "RESOURCE_EXHAUSTED", 1009: "RESOURCE_EXHAUSTED", 1011: "INTERNAL", 1012: "UNAVAILABLE", 1013: "UNAVAILABLE",
    1014: "UNAVAILABLE", 1015: "UNKNOWN", 3000: "UNKNOWN", 4000: "UNKNOWN", 4017: "UNKNOWN", 4999: "UNKNOWN",
  };
  for (const [closeCode, name] of Object.entries(codes)) {
    const status = statusOfClose(Number(closeCode), "");
    assert.equal(status.name, name, closeCode);
    assert.notEqual(status.message, "");
    assert.equal(status.closeCode, Number(closeCode));
  }
  assert.equal(codeName(5), "NOT_FOUND");
  assert.equal(codeName(99), "UNKNOWN");
});

test("an error is an Error with its code, name, message and cause", () => {
  const error = new HeadgateError(Code.NOT_FOUND, "no such room", {cause: 7});
  assert.ok(error instanceof Error);
  assert.equal(String(error), "NOT_FOUND: no such room");
  assert.deepEqual([error.code, error.details, error.trailers, error.cause], [5, [], {}, 7]);
});

test("retry-after is read at the end of a Close reason only", () => {
  const hint = (reason) => statusOfClose(1001, reason).retryAfterMs;
  assert.equal(hint("the gateway is shutting down; retry-after=3s"), 3000);
  assert.equal(hint("retry-after=0s"), 0);
  for (const none of ["", "retry-after=3s later", "retry-after=s", "retry-after=-3s", "xretry-after=3s", "no-retry-after=3s", "retry-after=9999999999s"]) {
    assert.equal(hint(none), undefined, none);
  }
});

test("delays double to the maximum, with full jitter, on top of the gateway's hint", () => {
  const error = new HeadgateError(Code.UNAVAILABLE, "");
  const at = (failures, random, more = error) => backoffMs(failures, more, {initialMs: 100, maxMs: 1000}, () => random);
  assert.deepEqual([1, 2, 3, 4, 5, 2000].map((n) => at(n, 1)), [100, 200, 400, 800, 1000, 1000]);
  assert.equal(at(3, 0), 0);
  assert.equal(at(3, 0.25), 100);
  assert.equal(at(1, 0.5, new HeadgateError(14, "", {retryAfterMs: 3000})), 3050);
  assert.equal(at(1, 0, new HeadgateError(14, "", {retryAfterMs: 999_999_999_000})), 300_000);
  assert.equal(backoffMs(1, error, {}, () => 1), 500);
  assert.equal(backoffMs(99, error, {}, () => 1), 30_000);
});

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const ab = new Uint8Array([0xaa, 0xbb]);

test("packets have a header of three numbers", () => {
  const one = [{type: 7, who: 42, content: ab}];
  assert.equal(hex(encodePackets(one)), "00000007000000020000002aaabb");
  assert.equal(hex(encodePackets(one, {order: "type-who-length"})), "000000070000002a00000002aabb");
  assert.equal(hex(encodePackets(one, {endian: "little"})), "07000000020000002a000000aabb");
  assert.equal(hex(encodePackets(one, {lengthCounts: "packet"})), "000000070000000e0000002aaabb");
  assert.equal(hex(encodePackets([{type: 0xffffffff, who: 0x80000001}])), "ffffffff0000000080000001");
});

test("packets are decoded as they were encoded, nested ones too", () => {
  const packets = [
    {type: 1, who: 2, content: new Uint8Array()},
    {type: CONTAINER, who: 3, packets: [{type: 4, who: 5, content: ab}, {type: 9, who: 0, packets: [{type: 6, who: 7, content: ab}]}]},
    {type: 8, who: 0xffffffff, content: ab},
  ];
  for (const order of ["type-length-who", "type-who-length"]) {
    for (const endian of ["big", "little"]) {
      for (const lengthCounts of ["content", "packet"]) {
        const options = {order, endian, lengthCounts, containerTypes: [9]};
        assert.deepEqual(decodePackets(encodePackets(packets, options), options), packets);
      }
    }
  }
});

test("decoding starts where a view of a larger buffer starts", () => {
  const bytes = new Uint8Array([1, 2, 3, ...encodePackets([{type: 1, who: 2, content: ab}])]).subarray(3);
  assert.deepEqual(decodePackets(bytes), [{type: 1, who: 2, content: ab}]);
});

test("bytes that are not packets are told with their offset", () => {
  const good = encodePackets([{type: 1, who: 2, content: ab}]);
  const bad = (bytes, what, options) => assert.throws(() => decodePackets(bytes, options), {name: "RangeError", message: what});
  bad(new Uint8Array(), /offset 0: the header is cut short/);
  bad(new Uint8Array([...good, 0]), /offset 14: the header is cut short/);
  bad(good.subarray(0, 13), /offset 0: bad length 2/);
  bad(good, /offset 0: bad length -10/, {lengthCounts: "packet"});
  bad(encodePackets([{type: CONTAINER, who: 1}]), /offset 12: the header is cut short/);
  let deep = [{type: 1, who: 1, content: ab}];
  for (let depth = 0; depth < 8; depth++) deep = [{type: CONTAINER, who: 0, packets: deep}];
  assert.equal(decodePackets(encodePackets(deep)).length, 1);
  bad(encodePackets([{type: CONTAINER, who: 0, packets: deep}]), /offset 96: nested too deep/);
  for (let length = 1; length < 14; length++) bad(good.subarray(0, length), /packet at offset/);
});

test("what cannot be a packet is not encoded", () => {
  assert.throws(() => encodePackets([]), TypeError);
  assert.throws(() => encodePackets([{type: CONTAINER, who: 1, packets: []}]), TypeError);
  assert.throws(() => encodePackets([{type: 5, who: 1, packets: [{type: 1, who: 1}]}]), TypeError);
});

test("the end packet is the status, with details", () => {
  const any = [10, 1, 0x74, 18, 2, 0xaa, 0xbb];
  const status = new Uint8Array([8, 5, 18, 2, 0x6e, 0x6f, 26, any.length, ...any, 0x25, 1, 2, 3, 4, 0x31, 1, 2, 3, 4, 5, 6, 7, 8]);
  const [received] = packet().decoder(false).decode(encodePackets([{type: 0xffffffff, who: 0, content: status}]));
  assert.equal(String(received.status), "NOT_FOUND: no");
  assert.deepEqual(received.status.details, [{typeUrl: "t", value: ab}]);
  assert.equal(decodeRpcStatus(new Uint8Array()).code, Code.OK);
  assert.equal(decodeRpcStatus(new Uint8Array([8, 99])).code, Code.UNKNOWN);
  assert.equal(decodeRpcStatus(new Uint8Array([8, 0x85, 0x80, 0x80, 0x80, 0x80, 1])).code, Code.NOT_FOUND);
  assert.equal(decodeRpcStatus(new Uint8Array([8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])).code, Code.UNKNOWN);
});

test("a malformed status is a RangeError, whatever the bytes", () => {
  for (const bytes of [[8], [8, 0x80], [18, 5, 1], [26, 2, 18], [11], [0x25, 1], [18, 0xff, 0xff, 0xff, 0xff, 15], Array(12).fill(0xff)]) {
    assert.throws(() => decodeRpcStatus(new Uint8Array(bytes)), RangeError, String(bytes));
  }
});

test("json without an envelope is bare", () => {
  const codec = json();
  assert.equal(codec.query, undefined);
  assert.equal(codec.encode({a: [1n.toString()]}), '{"a":["1"]}');
  assert.throws(() => codec.encode(undefined), TypeError);
  assert.throws(() => codec.encode(1n), TypeError);
  const decoder = codec.decoder(false);
  assert.deepEqual(decoder.decode('{"error":{"code":5}}\n'), [{message: {error: {code: 5}}}]);
  for (const bad of ["", "{", "{}{}", "\u0000"]) assert.throws(() => decoder.decode(bad), SyntaxError);
  assert.throws(() => decoder.decode(new Uint8Array([0xff])), TypeError);
});

test("json in grpc-gateway's envelope: results, and errors of both versions", () => {
  const stream = json({envelope: "result"}).decoder(false);
  assert.deepEqual(stream.decode('{"result":{"a":1}}'), [{message: {a: 1}}]);
  const [v2] = stream.decode('{"error":{"code":5,"message":"m","details":[{"@type":"x"}]}}');
  assert.equal(String(v2.status), "NOT_FOUND: m");
  assert.deepEqual(v2.status.details, [{"@type": "x"}]);
  const [v1] = stream.decode('{"error":{"grpc_code":5,"http_code":404,"message":"m","http_status":"Not Found"}}');
  assert.equal(String(v1.status), "NOT_FOUND: m");
  for (const bad of ["{}", "1", "null", '{"error":1}', "[]"]) assert.throws(() => stream.decode(bad), TypeError);

  const single = (text, code) => {
    const decoder = json({envelope: "result"}).decoder(true);
    assert.deepEqual(decoder.decode(text), []);
    return decoder.finish(code)[0];
  };
  assert.deepEqual(single('{"code":5,"message":"mine"}', 0), {message: {code: 5, message: "mine"}});
  assert.deepEqual(single('{"code":5}', 14), {message: {code: 5}});
  assert.equal(String(single('{"code":5,"message":"m","details":[]}', 5).status), "NOT_FOUND: m");
  assert.equal(String(single('{"error":"m","message":"m","code":5}', 5).status), "NOT_FOUND: m");
});

test("json with a status message: headers first, the status last, what looks like one is a message", () => {
  const codec = json({envelope: "status"});
  assert.equal(codec.query, "status=1");
  const decoder = codec.decoder(false);
  assert.deepEqual(decoder.decode('{"headers":{"a":["b"]}}'), [{headers: {a: ["b"]}}]);
  assert.deepEqual(decoder.decode('{"headers":{}}'), [{message: {headers: {}}}]);
  assert.deepEqual(decoder.decode('{"status":{"code":1}}'), []);
  assert.deepEqual(decoder.decode('{"x":1}'), [{message: {status: {code: 1}}}, {message: {x: 1}}]);
  assert.deepEqual(decoder.finish(0), []);
  assert.deepEqual(decoder.decode('{"status":{"code":5,"message":"m","details":[1],"trailers":{"t":["u"]}}}'), []);
  const [{status}] = decoder.finish(5);
  assert.deepEqual([String(status), status.details, status.trailers], ["NOT_FOUND: m", [1], {t: ["u"]}]);
});

test("hostile fields of a status are dropped", () => {
  const [{status}] = json({envelope: "result"}).decoder(false)
    .decode('{"error":{"code":"5","message":{"toString":1,"valueOf":1},"details":7,"trailers":[],"__proto__":{"x":1}}}');
  assert.deepEqual([status.name, status.message, status.details, status.trailers, status.x], ["UNKNOWN", "", [], {}, undefined]);
});
