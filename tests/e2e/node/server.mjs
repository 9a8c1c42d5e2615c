// A gRPC server with reflection v1, and without v1alpha, in another language
// than the gateway's: `node server.mjs PORT [newer|bare]`. With `newer` it serves
// library.v2.Desk as well, with `bare` it has no reflection. PORT may be
// unix:/path. Environment: MAX_STREAMS, the most calls on one connection;
// TLS_CERT and TLS_KEY, files for a server with TLS; TLS_CLIENT_CA, then a
// client must have a certificate that this file vouches for; HEALTH, then it has
// grpc.health.v1.Health, which says that it serves, from SIGUSR2 on that it does
// not, and from SIGUSR1 on that it does again.
import {readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import {ReflectionService} from '@grpc/reflection';

const [port, release] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));

function load(file) {
  return protoLoader.loadSync(join(here, file), {longs: String, enums: Number});
}

const library = {
  getBook(call, callback) {
    const {title} = call.request;
    if (!title) {
      callback({code: grpc.status.NOT_FOUND, details: 'no book without a title'});
      return;
    }
    const user = call.metadata.get('authorization').join();
    callback(null, {
      title,
      author: {fullName: user},
      genre: 1,
      pages: '9007199254740993',
      copies: {main: 2, west: 1},
      published: {seconds: '1700000000', nanos: 500000000},
    });
  },

  listBooks(call) {
    const {count = 0, code = 0} = call.request;
    for (let i = 0; i < count; ++i) call.write({title: `book ${i}`});
    if (code === 0) {
      call.end();
    } else {
      call.emit('error', {code, details: `after ${count}`});
    }
  },

  addBooks(call, callback) {
    let books = 0;
    let pages = 0n;
    call.on('data', (book) => {
      ++books;
      pages += BigInt(book.pages ?? 0);
    });
    // 0 is written to the wire too, where other encoders would leave it out.
    call.on('end', () => callback(null, {books, pages: pages.toString()}));
  },

  exchange(call) {
    call.on('data', (book) => call.write(book));
    call.on('end', () => call.end());
    call.on('error', () => {});  // The client is gone.
  },
};

const desk = {
  ask(call, callback) {
    callback(null, {text: `why ${call.request.text}`});
  },
};

// Of the server as a whole and of the library; it knows no other service.
const watches = new Set();
let serving = true;

function serve(yes) {
  serving = yes;
  for (const watch of watches) watch.write({status: yes ? 1 : 2});
}

const health = {
  watch(call) {
    const {service = ''} = call.request;
    if (!['', 'library.v1.Library'].includes(service)) {
      call.write({status: 3});
      return;
    }
    watches.add(call);
    for (const end of ['cancelled', 'close', 'error']) {
      call.on(end, () => watches.delete(call));
    }
    call.write({status: serving ? 1 : 2});
  },
};

const {HEALTH, MAX_STREAMS, TLS_CERT, TLS_KEY, TLS_CLIENT_CA} = process.env;

function credentials() {
  if (!TLS_CERT) return grpc.ServerCredentials.createInsecure();
  const pair = {
    cert_chain: readFileSync(TLS_CERT),
    private_key: readFileSync(TLS_KEY),
  };
  const ca = TLS_CLIENT_CA ? readFileSync(TLS_CLIENT_CA) : null;
  return grpc.ServerCredentials.createSsl(ca, [pair], ca !== null);
}

const server = new grpc.Server(
    MAX_STREAMS ? {'grpc.max_concurrent_streams': Number(MAX_STREAMS)} : {});
let definitions = load('library.proto');
server.addService(definitions['library.v1.Library'], library);
if (release === 'newer') {
  definitions = {...definitions, ...load('newer.proto')};
  server.addService(definitions['library.v2.Desk'], desk);
}
if (HEALTH) {
  server.addService(load('health.proto')['grpc.health.v1.Health'], health);
  process.on('SIGUSR1', () => serve(true));
  process.on('SIGUSR2', () => serve(false));
}
if (release !== 'bare') {
  // addToServer of the whole would add v1alpha too.
  new ReflectionService(definitions).v1.addToServer(server);
}

server.bindAsync(
    port.startsWith('unix:') ? port : `127.0.0.1:${port}`, credentials(),
    (error, bound) => {
      if (error) throw error;
      console.log(`listening on 127.0.0.1:${bound}`);
    });
process.on('SIGTERM', () => {
  server.forceShutdown();
  process.exit(0);
});
