// The WebSocket transports of gRPC-Web clients: @improbable-eng/grpc-web in
// Node.js and in headless Chromium, nice-grpc-web in Node.js.
import assert from 'node:assert/strict';
import {readFile} from 'node:fs/promises';
import http from 'node:http';
import {once} from 'node:events';
import {createRequire} from 'node:module';
import {after, before, describe, test} from 'node:test';

import {ClientError, createChannel, createClientFactory, Metadata, WebsocketTransport} from 'nice-grpc-web';

import {launch} from '../../../web/client/test/e2e/chromium.mjs';
import {eventually, METHODS, startBackend, startGateway} from './harness.mjs';
import {improbableScenarios} from './improbable.mjs';

const require = createRequire(import.meta.url);
globalThis.WebSocket ??= require('ws');

let backend, gateway;
before(async () => {
  backend = await startBackend();
  gateway = await startGateway(backend.target, '--allow-origin', '*');
});
after(async () => {
  await gateway?.stop('SIGKILL');
  await backend?.stop('SIGKILL');
});

/** Base64 of a google.rpc.Status of code 5, "gone". */
const DETAILS = 'CAUSBGdvbmU';

describe('nice-grpc-web', () => {
  const client = () =>
      createClientFactory().create(METHODS, createChannel(`http://${gateway.address}`, WebsocketTransport()));
  // Calls, and returns what came of it besides the response.
  async function observed(call, metadata = {}) {
    const seen = {};
    const options = {
      metadata: new Metadata(metadata),
      onHeader: (header) => (seen.header = header),
      onTrailer: (trailer) => (seen.trailer = trailer),
    };
    seen.response = await call(options).catch((error) => (seen.error = error, undefined));
    return seen;
  }
  async function* requests(...texts) {
    for (const text of texts) yield {text};
  }
  async function all(stream) {
    const texts = [];
    for await (const {text} of stream) texts.push(text);
    return texts;
  }

  test('unary, with metadata both ways', async () => {
    const {response, header, trailer, error} = await observed((options) => client().Unary({text: 'ann'}, options), {
      'authorization': 'Bearer s3cret',
      'initial': 'one',
      'initial-bin': new Uint8Array([0, 255]),
      'trailing': 'two',
      'trailing-bin': new Uint8Array([1, 2, 3]),
    });
    assert.equal(error, undefined);
    assert.equal(response.text, 'ann');
    assert(response.metadata.includes('authorization=Bearer s3cret'), response.metadata);
    assert(!response.metadata.some((line) => /^(content-type=application.grpc-web|grpc-)/.test(line)), response.metadata);
    assert.equal(header.get('initial'), 'one');
    assert.deepEqual(header.get('initial-bin'), new Uint8Array([0, 255]));
    assert.equal(trailer.get('trailing'), 'two');
    assert.deepEqual(trailer.get('trailing-bin'), new Uint8Array([1, 2, 3]));
  });

  test('a stream of responses', async () => {
    assert.deepEqual(await all(client().ServerStream({text: 'n', count: 3})), ['n 0', 'n 1', 'n 2']);
  });

  test('a stream of requests', async () => {
    assert.equal((await client().ClientStream(requests('a', 'b', 'c'))).text, 'a,b,c');
  });

  test('both', async () => {
    assert.deepEqual(await all(client().Bidi(requests('a', '', 'c'))), ['a', '', 'c']);
  });

  test('a response before the next request', async () => {
    let next;
    async function* talk() {
      yield {text: 'a'};
      yield await new Promise((resolve) => (next = resolve));
    }
    const texts = [];
    for await (const {text} of client().Bidi(talk())) {
      texts.push(text);
      if (texts.length === 1) next({text: 'b'});
    }
    assert.deepEqual(texts, ['a', 'b']);
  });

  test('messages of a mebibyte', async () => {
    const text = 'x'.repeat(900_000);
    assert.deepEqual(await all(client().Bidi(requests(text, text))), [text, text]);
  });

  test('a failure has its code, its message, its details and its trailers', async () => {
    const {error, trailer} = await observed(
        (options) => client().Unary({text: 'gone', code: 5}, options), {trailing: 'two'});
    assert(error instanceof ClientError);
    assert.equal(error.code, 5);
    assert.equal(error.details, 'gone');
    assert.equal(trailer.get('trailing'), 'two');
    assert.equal(Buffer.from(trailer.get('grpc-status-details-bin')).toString('base64url'), DETAILS);
  });

  test('a message that is not ASCII arrives as it was', async () => {
    const {error} = await observed((options) => client().Unary({text: 'żółw 100% é', code: 9}, options));
    assert.equal(error.details, 'żółw 100% é');
  });

  test('a failure after responses', async () => {
    const texts = [];
    await assert.rejects(async () => {
      for await (const {text} of client().ServerStream({text: 'gone', count: 2, code: 5})) texts.push(text);
    }, {code: 5});
    assert.deepEqual(texts, ['gone 0', 'gone 1']);
  });

  test('a method and a path that are not there are UNIMPLEMENTED', async () => {
    for (const path of ['/interop.v1.Interop/Nothing', '/no.Service/Method', '/nothing']) {
      const definition = {...METHODS.Unary, path};
      const other = createClientFactory().create(
          {Unary: definition}, createChannel(`http://${gateway.address}`, WebsocketTransport()));
      const {error} = await observed((options) => other.Unary({}, options));
      assert.equal(error.code, 12, path);
    }
  });

  test('headers that cannot be sent on are INVALID_ARGUMENT, too many RESOURCE_EXHAUSTED', async () => {
    const {error} = await observed((options) => client().Unary({}, options), {'grpc-timeout': 'soon'});
    assert.equal(error.code, 3);
    const {error: other} = await observed((options) => client().Unary({}, options), {large: 'x'.repeat(20_000)});
    assert.equal(other.code, 8);
  });

  test('the deadline of grpc-timeout', async () => {
    const {error} = await observed(
        async (options) => all(client().Hang({}, options)), {'grpc-timeout': '200m'});
    assert.equal(error.code, 4);
  });

  test('cancel reaches the backend', async () => {
    const before = await client().Count({});
    const controller = new AbortController();
    await assert.rejects(async () => {
      for await (const _ of client().Hang({text: 'a'}, {signal: controller.signal})) controller.abort();
    }, {name: 'AbortError'});
    await eventually(async () => {
      const {open, cancelled} = await client().Count({});
      return open === 0 && cancelled === before.cancelled + 1;
    });
  });

  test('a backend that goes away is UNAVAILABLE', async () => {
    const other = await startBackend();
    const front = await startGateway(other.target);
    const calls = createClientFactory().create(METHODS, createChannel(`http://${front.address}`, WebsocketTransport()));
    await assert.rejects(async () => {
      for await (const _ of calls.Hang({text: 'a'})) await other.stop('SIGKILL');
    }, {code: 14});
    await front.stop('SIGKILL');
  });

  test('a gateway that stops tells UNAVAILABLE in the trailers', async () => {
    const front = await startGateway(backend.target);
    const calls = createClientFactory().create(METHODS, createChannel(`http://${front.address}`, WebsocketTransport()));
    await assert.rejects(async () => {
      for await (const _ of calls.Hang({text: 'a'})) void front.stop();
    }, {code: 14});
    assert.equal(await front.gone, 0);
  });
});

describe('@improbable-eng/grpc-web in Node.js', () => {
  const {grpc} = require('@improbable-eng/grpc-web');
  for (const [name, scenario] of Object.entries(improbableScenarios)) {
    test(name, async () => {
      assert.deepEqual(await scenario.run(grpc, `http://${gateway.address}`), scenario.gives);
    });
  }
});

describe('@improbable-eng/grpc-web in Chromium', () => {
  let files, browser, page;
  before(async () => {
    const library = await readFile(require.resolve('@improbable-eng/grpc-web/dist/grpc-web-client.umd.js'));
    const scenarios = await readFile(new URL('improbable.mjs', import.meta.url));
    files = http.createServer(({url}, response) => {
      const content = {'/grpc.js': library, '/improbable.mjs': scenarios}[url];
      response.writeHead(200, {'Content-Type': content ? 'text/javascript' : 'text/html'})
          .end(content ?? '<!doctype html><script src="/grpc.js"></script>');
    });
    files.listen(0, '127.0.0.1');
    await once(files, 'listening');
    browser = await launch();
    page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${files.address().port}/`);
  });
  after(async () => {
    await browser?.end();
    files?.close();
    files?.closeAllConnections();
  });

  for (const [name, scenario] of Object.entries(improbableScenarios)) {
    test(name, async () => {
      const result = await page.evaluate(async ([name, host]) => {
        const {improbableScenarios} = await import('/improbable.mjs');
        return JSON.stringify(await improbableScenarios[name].run(globalThis.grpc, host));
      }, [name, `http://${gateway.address}`]);
      assert.deepEqual(JSON.parse(result), scenario.gives);
    });
  }
});
