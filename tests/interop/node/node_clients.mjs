// The clients that run in Node.js, by name.
import * as connectNode from '@connectrpc/connect-node';
import * as connectWeb from '@connectrpc/connect-web';
import grpcJs from '@grpc/grpc-js';
import improbable from '@improbable-eng/grpc-web';
import {NodeHttpTransport} from '@improbable-eng/grpc-web-node-http-transport';
import {GrpcWebFetchTransport} from '@protobuf-ts/grpcweb-transport';
import niceCommon from 'nice-grpc-common';
import nice from 'nice-grpc-web';

import {connectClient, grpcJsClient, improbableClient, niceClient,
  protobufTsClient} from './adapters.mjs';
import {options} from './scenarios.mjs';

// Its transport for browsers looks for that name.
globalThis.self = globalThis;

const {grpc} = improbable;
const node = {httpVersion: '1.1'};
const json = {useBinaryFormat: false, jsonOptions: options};
const http2 = {httpVersion: '2'};
const clients = {
  'connect-node-grpc': (url) => connectClient(
    connectNode.createGrpcTransport({...http2, baseUrl: url})),
  'connect-node-grpc-gzip': (url) => connectClient(
    connectNode.createGrpcTransport({...http2, baseUrl: url,
      sendCompression: connectNode.compressionGzip})),
  'connect-node-proto-http2': (url) => connectClient(
    connectNode.createConnectTransport({...http2, baseUrl: url,
      useBinaryFormat: true})),
  'connect-node-grpc-web-http2': (url) => connectClient(
    connectNode.createGrpcWebTransport({...http2, baseUrl: url})),
  'grpc-js': (url) => grpcJsClient(grpcJs, url),
  'connect-node-proto': (url) => connectClient(
    connectNode.createConnectTransport({...node, baseUrl: url,
      useBinaryFormat: true})),
  'connect-node-json': (url) => connectClient(
    connectNode.createConnectTransport({...node, ...json, baseUrl: url})),
  'connect-node-get': (url) => connectClient(
    connectNode.createConnectTransport({...node, baseUrl: url,
      useHttpGet: true, useBinaryFormat: true,
      sendCompression: connectNode.compressionGzip})),
  'connect-node-gzip': (url) => connectClient(
    connectNode.createConnectTransport({...node, ...json, baseUrl: url,
      sendCompression: connectNode.compressionGzip})),
  'connect-node-grpc-web': (url) => connectClient(
    connectNode.createGrpcWebTransport({...node, baseUrl: url})),
  'connect-node-grpc-web-gzip': (url) => connectClient(
    connectNode.createGrpcWebTransport({...node, baseUrl: url,
      sendCompression: connectNode.compressionGzip})),
  'connect-web': (url) => connectClient(
    connectWeb.createConnectTransport({...json, baseUrl: url})),
  'connect-web-grpc-web': (url) => connectClient(
    connectWeb.createGrpcWebTransport({baseUrl: url})),
  'improbable-fetch': (url) => improbableClient(
    grpc, url, grpc.FetchReadableStreamTransport({})),
  'improbable-node': (url) => improbableClient(
    grpc, url, NodeHttpTransport()),
  'nice-grpc-web': (url) => niceClient(
    nice, niceCommon, url, nice.FetchTransport()),
  'protobuf-ts-binary': (url) => protobufTsClient(
    GrpcWebFetchTransport, url, 'binary'),
  'protobuf-ts-text': (url) => protobufTsClient(
    GrpcWebFetchTransport, url, 'text'),
};

export const makeClient = (name, url) => clients[name](url);
