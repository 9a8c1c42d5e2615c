// Calls a gateway with a client that others wrote, and prints what it saw as
// JSON, a line per scenario.
//
//   node clients.mjs URL DESCRIPTOR_SET CLIENT SCENARIO...
//
// DESCRIPTOR_SET: the demo services, as `protoc --include_imports` writes them.
import {readFileSync} from 'node:fs';

import {createFileRegistry, fromBinary} from '@bufbuild/protobuf';
import {FileDescriptorSetSchema} from '@bufbuild/protobuf/wkt';

import {makeClient} from './node_clients.mjs';
import {play, scenariosOf} from './scenarios.mjs';

const [url, descriptors, client, ...names] = process.argv.slice(2);
const registry = createFileRegistry(
  fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));
const scenarios = scenariosOf(
  makeClient(client, url), registry, () => console.error('held'));
for (const name of names) {
  console.log(JSON.stringify(await play(scenarios[name], name)));
}
process.exit(0);
