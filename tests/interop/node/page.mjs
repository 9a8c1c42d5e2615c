// The same in a page: plays the scenarios that the page's address names with
// each client, and posts what it saw to the page's server.
import {createFileRegistry, fromBinary} from '@bufbuild/protobuf';
import {FileDescriptorSetSchema} from '@bufbuild/protobuf/wkt';
import {createConnectTransport, createGrpcWebTransport}
  from '@connectrpc/connect-web';
import {GrpcWebFetchTransport} from '@protobuf-ts/grpcweb-transport';
import * as grpcWeb from 'grpc-web';

import {connectClient, improbableClient, officialClient, protobufTsClient}
  from './adapters.mjs';
import {options, play, scenariosOf} from './scenarios.mjs';

const query = new URL(location.href).searchParams;
const url = query.get('gateway');

// A CommonJS module, which a page cannot import.
async function commonJs(path) {
  const module = {exports: {}};
  new Function('module', 'exports', await (await fetch(path)).text())(
    module, module.exports);
  return module.exports;
}

const {grpc} = await commonJs(
  '/node_modules/@improbable-eng/grpc-web/dist/grpc-web-client.js');

const clients = {
  'grpc-web-text': officialClient(grpcWeb, url, 'text'),
  'grpc-web-binary': officialClient(grpcWeb, url, 'binary'),
  'connect-web': connectClient(createConnectTransport({baseUrl: url, jsonOptions: options})),
  'connect-web-get': connectClient(
    createConnectTransport(
      {baseUrl: url, jsonOptions: options, useHttpGet: true})),
  'connect-web-grpc-web': connectClient(
    createGrpcWebTransport({baseUrl: url})),
  'protobuf-ts-text': protobufTsClient(GrpcWebFetchTransport, url, 'text'),
  'protobuf-ts-binary': protobufTsClient(GrpcWebFetchTransport, url, 'binary'),
  'improbable-fetch': improbableClient(
    grpc, url, grpc.FetchReadableStreamTransport({})),
  'improbable-xhr': improbableClient(grpc, url, grpc.XhrTransport({})),
};

const descriptors = await (await fetch('/demo.pb')).arrayBuffer();
const registry = createFileRegistry(
  fromBinary(FileDescriptorSetSchema, new Uint8Array(descriptors)));
const seen = {};
for (const [name, client] of Object.entries(clients)) {
  const scenarios = scenariosOf(client, registry, () => {});
  seen[name] = {};
  for (const scenario of query.getAll('scenario')) {
    // It has server streaming in text only.
    const streams = ['cancel', 'deadline', 'replies'].includes(scenario);
    if (streams && name === 'grpc-web-binary') continue;
    seen[name][scenario] = await play(scenarios[scenario], scenario);
  }
}
await fetch('/seen', {method: 'POST', body: JSON.stringify(seen)});
