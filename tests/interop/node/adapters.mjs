// One way to call each of the clients, in Node.js and in browsers. A client has
// call(method, requests, {headers, timeout, cancelAfter, keep, onFirst}), which
// resolves to {messages, headers, trailers, code, text, details}: at most the
// first `keep` messages; after `cancelAfter` of them it cancels.
import {fromBinary} from '@bufbuild/protobuf';
import {AnySchema} from '@bufbuild/protobuf/wkt';
import {Code, ConnectError} from '@connectrpc/connect';

const bytesOf = (base64) => Uint8Array.from(
  atob(base64), (character) => character.charCodeAt(0));
const base64Of = (bytes) => btoa(String.fromCharCode(...bytes));

class Seen {
  constructor(options) {
    this.options = options;
    this.messages = [];
    this.count = 0;
    this.code = 0;
    this.text = '';
    this.headers = {};
    this.trailers = {};
  }

  // Whether the client has had enough.
  add(message) {
    const {keep, cancelAfter, onFirst} = this.options;
    if (keep === undefined || this.count < keep) this.messages.push(message);
    if (++this.count === 1) onFirst?.();
    return this.count === cancelAfter;
  }
}

const fromHeaders = (headers) => Object.fromEntries([...headers.entries()]);

// The details of a google.rpc.Status in base64.
function detailsOf(base64) {
  if (!base64) return [];
  const bytes = bytesOf(base64);
  const details = [];
  for (let at = 0; at < bytes.length;) {
    const tag = bytes[at++];
    if ((tag & 7) === 0) {
      while (bytes[at++] & 0x80);
      continue;
    }
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      size |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    if (tag === 0x1a) {
      const any = fromBinary(AnySchema, bytes.subarray(at, at + size));
      details.push({type: any.typeUrl.split('/').pop(), value: any.value});
    }
    at += size;
  }
  return details;
}

// --- connect-es ---

export function connectClient(transport) {
  return {async call(method, requests, options = {}) {
    const seen = new Seen(options);
    const abort = new AbortController();
    const {headers, timeout} = options;
    // An unknown method looks like one of another name.
    const desc = method.known ? method.desc :
      Object.create(method.desc, {name: {value: method.name}});
    try {
      const input = requests.map((json) => method.request(json));
      let response;
      if (desc.methodKind === 'unary') {
        response = await transport.unary(
          desc, abort.signal, timeout, headers, input[0]);
        seen.headers = fromHeaders(response.header);
        seen.add(method.json(response.message));
      } else {
        async function* messages() {
          yield* input;
        }
        response = await transport.stream(
          desc, abort.signal, timeout, headers, messages());
        seen.headers = fromHeaders(response.header);
        for await (const message of response.message) {
          if (seen.add(method.json(message))) abort.abort();
        }
      }
      seen.trailers = fromHeaders(response.trailer);
    } catch (caught) {
      const error = ConnectError.from(caught);
      seen.code = error.code;
      seen.text = error.rawMessage;
      seen.trailers = fromHeaders(error.metadata);
      seen.details = error.details;
    }
    return seen;
  }};
}

// --- improbable's ---

export function improbableClient(grpc, url, transport) {
  return {call(method, requests, options = {}) {
    const seen = new Seen(options);
    const {headers, timeout} = options;
    return new Promise((resolve) => {
      const streams = method.desc.methodKind;
      const metadata = new grpc.Metadata(headers);
      if (timeout) metadata.set('grpc-timeout', `${timeout}m`);
      const request = grpc.invoke({
        methodName: method.name,
        service: {serviceName: method.service},
        requestStream: false,
        responseStream: streams === 'server_streaming',
        requestType: {},
        responseType: {deserializeBinary: (bytes) => ({
          toObject: () => method.decode(bytes)})},
      }, {
        host: url,
        transport,
        request: {serializeBinary: () => method.encode(requests[0]),
          toObject: () => requests[0]},
        metadata,
        onHeaders: (headers) => {
          headers.forEach((key, values) => {
            seen.headers[key] = values.join(', ');
          });
        },
        onMessage: (message) => {
          if (seen.add(message.toObject())) {
            request.close();
            seen.code = Code.Canceled;
            resolve(seen);
          }
        },
        onEnd: (code, text, trailers) => {
          seen.code = code;
          seen.text = text;
          trailers.forEach((key, values) => {
            seen.trailers[key] = values.join(', ');
          });
          seen.details = detailsOf(seen.trailers['grpc-status-details-bin'] ??
            seen.headers['grpc-status-details-bin']);
          resolve(seen);
        },
      });
    });
  }};
}

// --- grpc-js ---

export function grpcJsClient(grpcJs, url) {
  const client = new grpcJs.Client(
    new URL(url).host, grpcJs.credentials.createInsecure());
  return {async call(method, requests, options = {}) {
    const seen = new Seen(options);
    const kind = method.desc.methodKind;
    const streamsRequests = /client|bidi/.test(kind);
    const streamsResponses = /server|bidi/.test(kind);
    const metadata = new grpcJs.Metadata();
    for (const [key, value] of Object.entries(options.headers ?? {})) {
      metadata.set(key, key.endsWith('-bin') ? Buffer.from(value, 'base64') :
        value);
    }
    const keep = (into, found) => {
      for (const key of Object.keys(found?.getMap() ?? {})) {
        into[key] = found.get(key).map((value) => typeof value === 'string' ?
          value : value.toString('base64')).join(', ');
      }
    };
    const callOptions = options.timeout ?
      {deadline: Date.now() + options.timeout} : {};
    await new Promise((resolve) => {
      const encode = (json) => Buffer.from(method.encode(json));
      const onEnd = (error, response) => {
        if (response !== undefined) seen.add(response);
        if (error) {
          seen.code = error.code;
          seen.text = error.details;
          keep(seen.trailers, error.metadata);
        }
      };
      const name = streamsRequests ?
        (streamsResponses ? 'makeBidiStreamRequest' : 'makeClientStreamRequest') :
        (streamsResponses ? 'makeServerStreamRequest' : 'makeUnaryRequest');
      const call = client[name](
        method.path, encode, (bytes) => method.decode(bytes),
        ...(streamsRequests ? [] : [requests[0]]), metadata, callOptions,
        ...(streamsResponses ? [] : [onEnd]));
      call.on('metadata', (found) => keep(seen.headers, found));
      call.on('status', (status) => {
        keep(seen.trailers, status.metadata);
        setImmediate(resolve);
      });
      if (streamsResponses) {
        call.on('data', (message) => {
          if (seen.add(message)) call.cancel();
        });
        call.on('error', onEnd);
      }
      if (!streamsRequests) return;
      for (const json of requests) call.write(json);
      call.end();
    });
    seen.details = detailsOf(seen.trailers['grpc-status-details-bin']);
    return seen;
  }};
}

// --- nice-grpc-web ---

export function niceClient(nice, niceCommon, url, transport) {
  const channel = nice.createChannel(url, transport);
  return {async call(method, requests, options = {}) {
    const seen = new Seen(options);
    const abort = new AbortController();
    const kind = method.desc.methodKind;
    const streamsRequests = /client|bidi/.test(kind);
    const streamsResponses = /server|bidi/.test(kind);
    const client = nice.createClient({call: {
      path: method.path,
      requestStream: streamsRequests,
      responseStream: streamsResponses,
      requestSerialize: (json) => method.encode(json),
      requestDeserialize: () => ({}),
      responseSerialize: () => new Uint8Array(),
      responseDeserialize: (bytes) => method.decode(bytes),
      options: {},
    }}, channel);
    const metadata = new niceCommon.Metadata();
    for (const [key, value] of Object.entries(options.headers ?? {})) {
      metadata.set(key, key.endsWith('-bin') ? bytesOf(value) : value);
    }
    if (options.timeout) metadata.set('grpc-timeout', `${options.timeout}m`);
    const keep = (into) => (found) => {
      for (const [key, values] of found) {
        into[key] = values.map((value) => typeof value === 'string' ? value :
          base64Of(value)).join(', ');
      }
    };
    const callOptions = {metadata, signal: abort.signal,
      onHeader: keep(seen.headers), onTrailer: keep(seen.trailers)};
    try {
      async function* messages() {
        yield* requests;
      }
      const response = client.call(
        streamsRequests ? messages() : requests[0], callOptions);
      if (streamsResponses) {
        for await (const message of response) {
          if (seen.add(message)) abort.abort();
        }
      } else {
        seen.add(await response);
      }
    } catch (error) {
      seen.code = error.name === 'AbortError' ? Code.Canceled :
        error.code ?? -1;
      seen.text = error.details ?? String(error);
    }
    seen.details = detailsOf(seen.trailers['grpc-status-details-bin'] ??
      seen.headers['grpc-status-details-bin']);
    return seen;
  }};
}

// --- protobuf-ts ---

const statusNames = ['OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE',
  'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED'];

export function protobufTsClient(GrpcWebFetchTransport, url, format) {
  const transport = new GrpcWebFetchTransport({baseUrl: url, format});
  return {async call(method, requests, options = {}) {
    const seen = new Seen(options);
    const abort = new AbortController();
    const info = {
      name: method.name,
      service: {typeName: method.service},
      I: {toBinary: (json) => method.encode(json)},
      O: {fromBinary: (bytes) => method.decode(bytes)},
    };
    const callOptions = transport.mergeOptions({
      abort: abort.signal, meta: options.headers, timeout: options.timeout});
    try {
      let call;
      if (method.desc.methodKind === 'server_streaming') {
        call = transport.serverStreaming(info, requests[0], callOptions);
        for await (const message of call.responses) {
          if (seen.add(message)) abort.abort();
        }
      } else {
        call = transport.unary(info, requests[0], callOptions);
        seen.add(await call.response);
      }
      Object.assign(seen.headers, await call.headers);
      Object.assign(seen.trailers, await call.trailers);
      await call.status;
    } catch (error) {
      seen.code = statusNames.indexOf(error.code);
      seen.text = error.message;
      Object.assign(seen.trailers, error.meta);
    }
    seen.details = detailsOf(seen.trailers['grpc-status-details-bin']);
    return seen;
  }};
}

// --- grpc-web ---

export function officialClient(grpcWeb, url, format) {
  const base = new grpcWeb.GrpcWebClientBase({format});
  return {call(method, requests, options = {}) {
    const seen = new Seen(options);
    const metadata = {...options.headers};
    if (options.timeout) {
      metadata.deadline = String(Date.now() + options.timeout);
    }
    const streams = method.desc.methodKind === 'server_streaming';
    const descriptor = new grpcWeb.MethodDescriptor(
      method.path,
      streams ? grpcWeb.MethodType.SERVER_STREAMING : grpcWeb.MethodType.UNARY,
      Object, Object, (json) => method.encode(json),
      (bytes) => method.decode(bytes));
    return new Promise((resolve) => {
      const fail = (error) => {
        seen.code = error.code;
        seen.text = error.message;
        Object.assign(seen.trailers, error.metadata);
        resolve(seen);
      };
      let call;
      if (streams) {
        call = base.serverStreaming(
          url + method.path, requests[0], metadata, descriptor);
        call.on('data', (message) => {
          if (seen.add(message)) {
            call.cancel();
            seen.code = Code.Canceled;
            resolve(seen);
          }
        });
        call.on('error', fail);
        call.on('end', () => resolve(seen));
      } else {
        call = base.rpcCall(
          url + method.path, requests[0], metadata, descriptor,
          (error, message) => {
            if (error) return fail(error);
            seen.add(message);
            // The status comes behind it.
            setTimeout(() => resolve(seen), 50);
          });
      }
      call.on('metadata', (headers) => Object.assign(seen.headers, headers));
      call.on('status', (status) => {
        Object.assign(seen.trailers, status.metadata);
        seen.details = detailsOf(seen.trailers['grpc-status-details-bin']);
      });
    });
  }};
}
