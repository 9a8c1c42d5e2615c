// The services of ../test_published_apis.py by grpc-js: `node published.mjs
// FOLDER INCLUDE [bare]`, where FOLDER has their .proto files. Without `bare` it
// has reflection, v1 and v1alpha, which knows no options. They answer with what
// they were asked.
import {join} from 'node:path';

import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import {ReflectionService} from '@grpc/reflection';

const [folder, include, release] = process.argv.slice(2);
const definitions = protoLoader.loadSync(
    ['longrunning.proto', 'documents.proto', 'mixins.proto'].map(
        (file) => join(folder, file)),
    {includeDirs: [folder, include], longs: String, enums: Number});

const pack = (type, message) =>
    ({'@type': `type.googleapis.com/documents.${type}`, ...message});
const times = (count, make) => Array.from({length: count ?? 0}, (_, i) => make(i));

// A unary method whose response is what `answer` gives, or throws.
const unary = (answer) => (call, callback) => {
  try {
    callback(null, answer(call.request, call));
  } catch (error) {
    callback(error);
  }
};

const operations = {
  listOperations: unary((q) => ({
    operations: times(q.pageSize, () => ({name: q.filter})),
    nextPageToken: q.pageToken,
  })),
  getOperation: unary((q) => ({
    name: q.name,
    done: true,
    metadata: pack('ExportMetadata',
                   {collection: 'c', doneBytes: '9007199254740993'}),
    ...(q.name.endsWith('failed') ?
            {error: {code: 9, message: 'no room',
                     details: [pack('ExportMetadata', {})]}} :
            {response: pack('Document', {name: 'exported'})}),
  })),
  cancelOperation: unary((q) => {
    throw {code: grpc.status.FAILED_PRECONDITION, details: q.name};
  }),
  waitOperation: unary((q) => ({name: `${q.name} ${q.timeout.seconds}`})),
};

const documents = {
  getDocument: unary((q) => ({
    name: q.name,
    fields: Object.fromEntries((q.mask?.fieldPaths ?? []).map(
        (path) => [path, {stringValue: path}])),
    createTime: q.readTime,
  })),
  createDocument: unary((q) => ({
    ...q.document,
    name: `${q.parent}|${q.collectionId}|${q.documentId ?? ''}`,
  })),
  updateDocument: unary((q) => ({
    ...q.document,
    fields: {
      ...q.document.fields,
      mask: {arrayValue: {values: q.updateMask.paths.map(
          (path) => ({stringValue: path}))}},
      ...(q.mustExist && {must: {booleanValue: q.mustExist.value ?? false}}),
    },
  })),
  deleteDocument: unary(() => ({})),
  runQuery(call) {
    const {parent, structuredQuery} = call.request;
    for (const i of times(structuredQuery.limit.value, (i) => i)) {
      call.write({document: {name: `${parent}/${structuredQuery.collection}/${i}`}});
    }
    call.end();
  },
  write(call) {
    call.on('data', (q) => call.write(
        {streamId: q.database, count: q.writes?.length ?? 0}));
    call.on('end', () => call.end());
    call.on('error', () => {});  // The client is gone.
  },
  exportDocuments: unary((q) => ({
    name: `${q.name}/operations/1`,
    metadata: pack('ExportMetadata', {collection: q.collectionIds.join()}),
  })),
};

const locations = {
  listLocations: unary((q) => ({
    locations: times(q.pageSize, (i) => ({name: `${q.name}/locations/${i}`})),
  })),
  // Sends the metadata x-ask and x-ask-bin back, before and after its response.
  getLocation(call, callback) {
    const back = new grpc.Metadata();
    for (const [key, to] of [['x-ask', 'x-told'], ['x-ask-bin', 'x-told-bin']]) {
      for (const value of call.metadata.get(key)) back.add(to, value);
    }
    call.sendMetadata(back);
    callback(null, {name: call.request.name, labels: {a: 'b'}}, back);
  },
};

const policies = {
  setPolicy: unary((q) => q.policy),
  getPolicy: unary((q) => ({
    bindings: [{
      role: q.resource,
      members: [String(q.options?.requestedPolicyVersion ?? 0)],
    }],
  })),
};

const server = new grpc.Server();
for (const [service, handlers] of Object.entries({
       'longrunning.Operations': operations,
       'documents.Documents': documents,
       'mixins.Locations': locations,
       'mixins.Policies': policies,
     })) {
  server.addService(definitions[service], handlers);
}
if (release !== 'bare') new ReflectionService(definitions).addToServer(server);
server.bindAsync(
    '127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => {
      if (error) throw error;
      console.log(`listening on 127.0.0.1:${bound}`);
    });
process.on('SIGTERM', () => {
  server.forceShutdown();
  process.exit(0);
});
