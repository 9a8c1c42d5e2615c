// What @improbable-eng/grpc-web does over its WebSocket transport, the same in
// Node.js and in a page. Messages are bytes: the field `text` of
// interop.v1.Request and Response, number 1.

const encode = ({text = '', count = 0, code = 0}) => {
  const bytes = new TextEncoder().encode(text);
  return new Uint8Array([
    10, bytes.length, ...bytes, ...(count ? [16, count] : []), ...(code ? [24, code] : []),
  ]);
};
const decode = (bytes) => (bytes[0] === 10 ? new TextDecoder().decode(bytes.subarray(2, 2 + bytes[1])) : '');

const message = (value) => ({serializeBinary: () => value});
const Request = {};
const Response = {deserializeBinary: (bytes) => bytes};

function method(name, requestStream, responseStream, service = 'interop.v1.Interop') {
  return {
    methodName: name, service: {serviceName: service}, requestStream, responseStream,
    requestType: Request, responseType: Response,
  };
}

/** The whole conversation: requests, then the half-close; headers, texts and the end. */
function talk(grpc, host, definition, requests, metadata = {}) {
  return new Promise((resolve) => {
    const seen = {texts: []};
    const client = grpc.client(definition, {host, transport: grpc.WebsocketTransport()});
    client.onHeaders((headers) => (seen.initial = headers.get('initial')));
    client.onMessage((bytes) => seen.texts.push(decode(bytes)));
    client.onEnd((code, text, trailers) => {
      resolve({...seen, code, message: text, trailing: trailers.get('trailing')});
    });
    client.start(new grpc.Metadata(metadata));
    for (const request of requests) client.send(message(encode(request)));
    client.finishSend();
  });
}

const METADATA = {initial: 'one', trailing: 'two'};
const WELL = {initial: ['one'], code: 0, message: '', trailing: ['two']};

export const improbableScenarios = {
  'unary': {
    run: (grpc, host) => talk(grpc, host, method('Unary', false, false), [{text: 'ann'}], METADATA),
    gives: {...WELL, texts: ['ann']},
  },
  'grpc.invoke of a stream of responses': {
    run: (grpc, host) => new Promise((resolve) => {
      const texts = [];
      grpc.invoke(method('ServerStream', false, true), {
        host, transport: grpc.WebsocketTransport(), request: message(encode({text: 'n', count: 2})),
        onMessage: (bytes) => texts.push(decode(bytes)),
        onEnd: (code) => resolve({texts, code}),
      });
    }),
    gives: {texts: ['n 0', 'n 1'], code: 0},
  },
  'a stream of requests': {
    run: (grpc, host) =>
        talk(grpc, host, method('ClientStream', true, false), [{text: 'a'}, {text: 'b'}], METADATA),
    gives: {...WELL, texts: ['a,b']},
  },
  'both': {
    run: (grpc, host) =>
        talk(grpc, host, method('Bidi', true, true), [{text: 'a'}, {text: 'b'}, {text: 'c'}], METADATA),
    gives: {...WELL, texts: ['a', 'b', 'c']},
  },
  'a failure': {
    run: (grpc, host) =>
        talk(grpc, host, method('Unary', false, false), [{text: 'gone 100%', code: 5}], METADATA),
    gives: {initial: ['one'], texts: [], code: 5, message: 'gone 100%', trailing: ['two']},
  },
  'a failure after responses': {
    run: (grpc, host) =>
        talk(grpc, host, method('ServerStream', false, true), [{text: 'gone', count: 1, code: 5}], METADATA),
    gives: {initial: ['one'], texts: ['gone 0'], code: 5, message: 'gone', trailing: ['two']},
  },
  'a service that is not there': {
    run: async (grpc, host) =>
        (await talk(grpc, host, method('Method', false, false, 'no.Service'), [{}])).code,
    gives: 12,
  },
  'a path that is not served': {
    run: async (grpc, host) => (await talk(grpc, `${host}/much/deeper`, method('Unary', false, false), [{}])).code,
    gives: 12,
  },
  'cancel': {
    run: async (grpc, host) => {
      const client = grpc.client(method('Hang', false, true), {host, transport: grpc.WebsocketTransport()});
      let ended = false;
      client.onEnd(() => (ended = true));
      await new Promise((resolve) => {
        client.onMessage(resolve);
        client.start();
        client.send(message(encode({text: 'a'})));
        client.finishSend();
      });
      client.close();
      return ended;
    },
    gives: false,
  },
};
