// A gRPC server with interop.v1.Interop: `node backend.mjs [PORT]`.
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import {ReflectionService} from '@grpc/reflection';

const here = fileURLToPath(new URL('.', import.meta.url));

// What grpc-status-details-bin carries: a google.rpc.Status of this code and
// message, without details, from which clients can see that it arrived whole.
export function statusDetails(code, message) {
  const text = Buffer.from(message);
  return Buffer.concat([Buffer.from([8, code, 18, text.length]), text]);
}

function some(call, names) {
  const metadata = new grpc.Metadata();
  for (const name of names) {
    for (const value of call.metadata.get(name)) metadata.add(name, value);
  }
  return metadata;
}
const headersOf = (call) => some(call, ['initial', 'initial-bin']);
const trailersOf = (call) => some(call, ['trailing', 'trailing-bin']);

function failure(call, {code, text}) {
  const metadata = trailersOf(call);
  metadata.set('grpc-status-details-bin', statusDetails(code, text));
  return {code, details: text, metadata};
}

function metadataOf(call) {
  return Object.entries(call.metadata.toHttp2Headers()).flatMap(
      ([name, values]) => [values].flat().map((value) => `${name}=${value}`));
}

let open = 0;
let cancelled = 0;

const handlers = {
  unary(call, callback) {
    call.sendMetadata(headersOf(call));
    if (call.request.code) return callback(failure(call, call.request));
    callback(null, {text: call.request.text, metadata: metadataOf(call)}, trailersOf(call));
  },

  serverStream(call) {
    const {text, count, code} = call.request;
    call.sendMetadata(headersOf(call));
    for (let i = 0; i < count; ++i) call.write({text: `${text} ${i}`});
    if (code) return call.emit('error', failure(call, call.request));
    call.end(trailersOf(call));
  },

  clientStream(call, callback) {
    call.sendMetadata(headersOf(call));
    const texts = [];
    call.on('data', ({text}) => texts.push(text));
    call.on('end', () => callback(null, {text: texts.join()}, trailersOf(call)));
  },

  bidi(call) {
    call.sendMetadata(headersOf(call));
    call.on('data', (request) => {
      if (request.code) return call.emit('error', failure(call, request));
      call.write({text: request.text});
    });
    call.on('end', () => call.end(trailersOf(call)));
    call.on('error', () => {});
  },

  hang(call) {
    ++open;
    call.write({text: call.request.text});
    call.on('cancelled', () => (--open, ++cancelled));
  },

  count(_, callback) {
    callback(null, {open, cancelled});
  },
};

const definitions = protoLoader.loadSync(join(here, 'interop.proto'));
const server = new grpc.Server();
server.addService(definitions['interop.v1.Interop'], handlers);
new ReflectionService(definitions).addToServer(server);
server.bindAsync(
    `127.0.0.1:${process.argv[2] ?? 0}`, grpc.ServerCredentials.createInsecure(),
    (error, port) => {
      if (error) throw error;
      console.log(`listening on 127.0.0.1:${port}`);
    });
