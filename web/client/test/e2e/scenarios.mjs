// What a client does, in Node.js and in a page alike: `run` gives what `gives`
// says. `world` has the package (`lib`), `client(options, url)`, the gateway's
// and the hostile server's URLs, and `stop` and `start` of the gateway.

const HELLO = "headgate.demo.v1.HelloService/";
const ECHO = "headgate.demo.v1.EchoService/";
const LOBBY = "headgate.demo.v1.LobbyService/";
const GAME = {1: LOBBY + "Join", 2: LOBBY + "Chat", 3: LOBBY + "Score", 4: LOBBY + "Replay"};

const REQUESTS = {json: {}, protobuf: new Uint8Array(), packet: {type: 1, who: 1}};

const encoder = new TextEncoder();
const string = (field, text) => [field * 8 + 2, text.length, ...encoder.encode(text)];
const all = async (iterable) => {
  const values = [];
  for await (const value of iterable) values.push(value);
  return values;
};
const failure = async (promise) => {
  try {
    return await promise;
  } catch (error) {
    return `${error.name}${error.closeCode ? ` ${error.closeCode}` : ""}`;
  }
};
/** Asks until the answer is the wanted one; gives up after five seconds. */
const until = async (wanted, ask) => {
  for (let left = 100; ; left--) {
    const answer = await ask();
    if (answer === wanted || left === 0) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

export const scenarios = {
  "the four kinds of call": {
    async run({client}) {
      const c = client();
      const stream = c.clientStream(HELLO + "LotsOfGreetings");
      for (const greeting of ["ann", "bob", "cleo"]) await stream.send({greeting});
      stream.closeSend();
      const talk = c.bidi(HELLO + "BidiHello");
      const said = talk[Symbol.asyncIterator]();
      const replies = [];
      for (const greeting of ["dan", "eve"]) {
        await talk.send({greeting});
        replies.push((await said.next()).value.reply);
      }
      talk.closeSend();
      return [
        await c.unary(HELLO + "SayHello", {greeting: "zoë"}),
        (await all(c.serverStream(HELLO + "LotsOfReplies", {greeting: "x"}))).length,
        await stream.response,
        replies,
        (await said.next()).done,
        (await talk.status).closeCode,
      ];
    },
    gives: [{reply: "hello, zoë"}, 10, {reply: "hello, ann, bob and cleo"}, ["hello, dan", "hello, eve"], true, 1000],
  },

  "bytes by the codec protobuf, the empty message too": {
    async run({client}) {
      const c = client({codec: "protobuf"});
      const reply = await c.unary(HELLO + "SayHello", new Uint8Array(string(1, "ann")));
      const empty = await c.unary(HELLO + "SayHello", new Uint8Array());
      return [[...reply], [...empty]];
    },
    gives: [string(1, "hello, ann"), string(1, "hello, ")],
  },

  "packets, nested ones too": {
    async run({client, lib}) {
      const stream = client({codec: "packet"}).bidi("/packets");
      const content = new Uint8Array([1, 2]);
      stream.send([{type: 7, who: 1, content}, {type: lib.CONTAINER, who: 2, packets: [{type: 8, who: 3, content}]}]);
      stream.send({type: 9, who: 0xffffffff});
      stream.closeSend();
      const plain = ({type, who, content, packets}) => [type, who, ...(packets ? packets.map(plain) : content)];
      return (await all(stream)).map(plain);
    },
    gives: [[7, 1, 1, 2], [0xfffffffe, 2, [8, 3, 1, 2]], [9, 0xffffffff]],
  },

  "raw keeps text text and bytes bytes": {
    async run({client}) {
      const stream = client({codec: "raw"}).bidi("/echo");
      for (const message of ["a", "", new Uint8Array([1]), new Uint8Array()]) stream.send(message);
      const got = [];
      for await (const message of stream) {
        got.push(typeof message === "string" ? message : [...message]);
        if (got.length === 4) break;
      }
      return [got, (await stream.status).name];
    },
    gives: [["a", "", [1], []], "CANCELLED"],
  },

  "several calls on one socket, ended and cancelled alone": {
    async run({client, url}) {
      const game = (name = "") => client({codec: "protobuf", methods: GAME}, url + "/game" + name);
      const [one, two] = [game(), game()];
      const watcher = two.bidi(LOBBY + "Join");
      watcher.send(new Uint8Array(string(1, "watcher")));
      const seen = watcher[Symbol.asyncIterator]();
      const kinds = async () => (await seen.next()).value.join();
      const events = [await kinds()];
      const join = one.bidi(LOBBY + "Join");
      join.send(new Uint8Array(string(1, "ann")));
      events.push(await kinds());
      const bad = failure(one.unary(LOBBY + "Join", new Uint8Array()));
      const score = one.unary(LOBBY + "Score", new Uint8Array([...string(1, "ann"), 16, 5]));
      const result = [await bad, [...(await score)].length > 0];
      events.push(await kinds());
      join.cancel();
      events.push(await kinds());
      one.close();
      two.close();
      return [...result, events.map((event) => event.split(",").slice(-2).join())];
    },
    // KIND_JOINED twice, KIND_SCORED, KIND_LEFT.
    gives: ["INVALID_ARGUMENT", true, ["16,1", "16,1", "16,4", "16,2"]],
  },

  "errors have the backend's code and message": {
    async run({client}) {
      const c = client();
      const errors = [];
      for (const [method, request] of [["Fail", {code: 5, message: "no such röom"}], ["Fail", {code: 14}], ["Nope", {}], ["Fail", {code: "x"}]]) {
        try {
          await c.unary(ECHO + method, request);
        } catch (error) {
          errors.push([error.name, error.code, error.closeCode, error instanceof Error]);
          if (errors.length === 1) errors.push(error.message);
        }
      }
      return errors;
    },
    gives: [["NOT_FOUND", 5, 4005, true], "no such röom", ["UNAVAILABLE", 14, 4014, true], ["UNIMPLEMENTED", 12, 4012, true], ["INVALID_ARGUMENT", 3, 4003, true]],
  },

  "a cancelled call, an aborted one and one whose time is up end at the backend": {
    async run({client}) {
      const c = client();
      const stats = () => c.unary(ECHO + "Stats", {});
      const before = Number((await stats()).cancelledCalls ?? 0);
      const cancelled = async () => Number((await stats()).cancelledCalls ?? 0) - before;
      const flood = {size: 100};
      for await (const _ of c.serverStream(ECHO + "Flood", flood)) break;
      // The backend counts what has reached it: each call is known to have done so before it ends.
      const controller = new AbortController();
      const aborted = failure((async () => {
        for await (const _ of c.serverStream(ECHO + "Flood", flood, {signal: controller.signal})) controller.abort();
      })());
      const timed = failure((async () => {
        const call = c.bidi(ECHO + "Echo", {timeoutMs: 3000});
        call.send({payload: "AAAA"});
        for await (const _ of call);
      })());
      return [await aborted, await timed, await until(3, cancelled)];
    },
    gives: ["CANCELLED", "DEADLINE_EXCEEDED", 3],
  },

  "a sender that awaits its sends has little waiting": {
    async run({client}) {
      const stream = client({highWaterMark: 65_536}).clientStream(ECHO + "Sink");
      const payload = "A".repeat(32_768);
      let most = 0;
      for (let i = 0; i < 200; i++) {
        await stream.send(i === 0 ? {payload, delay: "0.5s"} : {payload});
        most = Math.max(most, stream.bufferedAmount);
      }
      stream.closeSend();
      return [most <= 65_536, await stream.response];
    },
    gives: [true, {messages: "200", bytes: String(200 * 24_576)}],
  },

  "tokens of any kind reach the backend": {
    async run({client}) {
      const seen = [];
      let asked = 0;
      for (const token of ["plain.token-1", "with space/and+=", '"quoted",', () => `asked-${++asked}`]) {
        const c = client({token});
        for (let i = 0; i < 2; i++) seen.push((await c.unary(ECHO + "Metadata", {})).metadata.authorization.values[0]);
      }
      return seen;
    },
    gives: ["plain.token-1", "plain.token-1", "with space/and+=", "with space/and+=", '"quoted",', '"quoted",', "asked-1", "asked-2"].map((token) => `Bearer ${token}`),
  },

  "a subscription and its token outlive a restart of the gateway": {
    async run({client, stop, start}) {
      let asked = 0;
      const c = client({token: () => `t${++asked}`, backoff: {initialMs: 100, maxMs: 400}});
      const log = [];
      const lost = [];
      const subscription = c.subscribe(ECHO + "Echo", (stream, gap) => stream.send({payload: gap ? "Ag==" : "AQ=="}), {
        onDisconnect: ({name, closeCode, retryAfterMs}, delayMs) => lost.push(`${name} ${closeCode}`, retryAfterMs >= 1000 && delayMs >= retryAfterMs),
        onReconnect: ({error, last, attempts}) => log.push(attempts > 0, error.code, last.payload),
      });
      for await (const {payload} of subscription) {
        log.push(payload);
        if (payload === "Ag==") break;
        log.push(await stop());
        await failure(c.unary(ECHO + "Metadata", {})); // Nobody listens.
        setTimeout(start, 300);
      }
      const before = asked;
      const {metadata} = await c.unary(ECHO + "Metadata", {});
      return [...log, ...lost.slice(0, 2), metadata.authorization.values[0] === `Bearer t${before + 1}`, before >= 2];
    },
    gives: ["AQ==", 0, true, 14, "AQ==", "Ag==", "UNAVAILABLE 1001", true, true, true],
  },

  "a hub's room in every codec: greetings, deliveries to all, and the way back after a lost socket": {
    async run({client, stop, start}) {
      const content = encoder.encode("hi");
      const messages = {json: {text: "hi"}, protobuf: content, packet: {type: 7, who: 9, content}, raw: "hi"};
      const plain = (message) => {
        if (message instanceof Uint8Array) return new TextDecoder().decode(message);
        return message?.content ? [message.type, message.who, plain(message.content)] : message;
      };
      const log = {};
      for (const [codec, message] of Object.entries(messages)) {
        const c = client({codec, backoff: {initialMs: 100, maxMs: 400}});
        const join = async () => {
          const stream = c.bidi(`/rooms/${codec}`);
          const deliveries = stream[Symbol.asyncIterator]();
          const next = async () => plain((await deliveries.next()).value);
          return {stream, next, greeting: await next()};
        };
        const one = await join();
        const two = await join();
        void one.stream.send(message);
        log[codec] = [one.greeting, two.greeting, await one.next(), await two.next()];
        one.stream.cancel();
        two.stream.cancel();
      }
      const c = client({codec: "packet", backoff: {initialMs: 100, maxMs: 400}});
      const seen = [];
      for await (const packet of c.subscribe("/rooms/lobby", (stream, gap) => stream.send({type: gap ? 2 : 1, who: 5, content}))) {
        seen.push(plain(packet));
        if (packet.type === 1) await stop("SIGKILL").then(start);
        if (packet.type === 2) break;
      }
      return [log, seen];
    },
    gives: [{
      json: [{members: 1}, {members: 2}, {text: "hi"}, {text: "hi"}],
      protobuf: ['{"members":1}', '{"members":2}', "hi", "hi"],
      packet: [[0, 0, '{"members":1}'], [0, 0, '{"members":2}'], [7, 9, "hi"], [7, 9, "hi"]],
      raw: ['{"members":1}', '{"members":2}', "hi", "hi"],
    }, [[0, 0, '{"members":1}'], [1, 5, "hi"], [0, 0, '{"members":1}'], [2, 5, "hi"]]],
  },

  "a call that may be repeated outlasts a gateway that is away, with a new token": {
    async run({client, stop, start}) {
      await stop("SIGKILL");
      let asked = 0;
      const c = client({token: () => `t${++asked}`, backoff: {initialMs: 100, maxMs: 400}});
      const once = await failure(c.unary(ECHO + "Metadata", {}));
      setTimeout(start, 200);
      const {metadata} = await c.unary(ECHO + "Metadata", {}, {attempts: 1000, timeoutMs: 20_000});
      return [once, metadata.authorization.values[0] === `Bearer t${asked}`, asked > 2];
    },
    gives: ["UNAVAILABLE 1006", true, true],
  },

  "streams of a gateway that dies fail": {
    async run({client, url, stop, start}) {
      const stream = client().bidi(ECHO + "Echo");
      const call = client({codec: "protobuf", methods: GAME}, url + "/game").bidi(LOBBY + "Join");
      call.send(new Uint8Array(string(1, "ann")));
      await call[Symbol.asyncIterator]().next();
      await stream.opened;
      await stop("SIGKILL");
      const result = [await failure(all(stream)), await failure(all(call)), await failure(stream.send({}))];
      await start();
      return result;
    },
    gives: ["UNAVAILABLE 1006", "UNAVAILABLE 1006", "UNAVAILABLE 1006"],
  },

  "whatever a server does, the call ends with a status": {
    async run({client, hostile, lib}) {
      const c = client({}, hostile);
      const results = {};
      const collect = async (path, codec) => {
        const values = [];
        const read = async () => {
          for await (const value of c.serverStream(path, REQUESTS[codec], {codec: lib[codec]()})) values.push(value);
          return "OK";
        };
        const status = await failure(read());
        results[path] = values.length ? [status, ...values] : status;
      };
      const paths = {
        json: ["not-json", "bytes-on-json", "bad-frame", "not-utf8", "gone-mid-stream", "gone-mid-frame", "not-found", "no-code", "4999", "3000", "not-one", "refused"],
        protobuf: ["text-on-binary"],
        packet: ["not-a-packet", "bad-status"],
      };
      for (const [codec, names] of Object.entries(paths)) {
        await Promise.all(names.map((name) => collect("/" + name, codec)));
      }
      // By itself: a browser has one connection to a host opening at a time.
      results["/silent"] = await failure(client({connectTimeoutMs: 100}, hostile).unary("/silent", {}));
      const unary = async (path) => failure(c.unary(path, {}));
      results.other = await unary("/other-codec");
      results.empty = await unary("/ok-without-response");
      const polluted = await unary("/proto");
      results.proto = [Object.keys(polluted).length, {}.polluted === undefined];
      try {
        await c.unary("/drain", {});
      } catch (error) {
        results.drain = [error.name, error.retryAfterMs];
      }
      return results;
    },
    gives: {
      "/not-json": "INTERNAL",
      "/bytes-on-json": "INTERNAL",
      "/bad-frame": "UNAVAILABLE 1006",
      "/not-utf8": "UNAVAILABLE 1006",
      "/gone-mid-stream": ["UNAVAILABLE 1006", {i: 1}, {i: 2}],
      "/gone-mid-frame": ["UNAVAILABLE 1006", {i: 1}],
      "/not-found": ["NOT_FOUND 4005", {i: 1}],
      "/no-code": "UNAVAILABLE 1005",
      "/4999": "UNKNOWN 4999",
      "/3000": "UNKNOWN 3000",
      "/not-one": "INTERNAL",
      "/refused": "UNAVAILABLE 1006",
      "/silent": "UNAVAILABLE",
      "/text-on-binary": "INTERNAL",
      "/not-a-packet": "INTERNAL",
      "/bad-status": "INTERNAL",
      other: "UNAVAILABLE 1006",
      empty: "INTERNAL",
      proto: [1, true],
      drain: ["UNAVAILABLE", 7000],
    },
  },
};
