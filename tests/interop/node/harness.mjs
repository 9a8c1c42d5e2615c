// The built gateway in front of backend.mjs, as processes.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';

import protoLoader from '@grpc/proto-loader';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = path.join(HERE, '../../..');
const HEADGATE = process.env.HEADGATE ?? path.join(ROOT, 'build/dev/bin/headgate');

/** The methods of interop.v1.Interop: path, kind, and functions for bytes. */
export const METHODS =
    protoLoader.loadSync(path.join(HERE, 'interop.proto'))['interop.v1.Interop'];

class Child {
  constructor(command, args) {
    this.process = spawn(command, args, {stdio: ['ignore', 'pipe', 'pipe']});
    this.errors = '';
    this.process.stderr.on('data', (chunk) => (this.errors += chunk));
    const kill = () => this.process.kill('SIGKILL');
    process.once('exit', kill);
    this.gone = once(this.process, 'exit').then(([code]) => (process.off('exit', kill), code));
  }

  /** The port that the process says it listens on. */
  async port(pattern) {
    let output = '';
    for await (const chunk of this.process.stdout) {
      output += chunk;
      const match = pattern.exec(output);
      if (match) {
        this.process.stdout.resume();
        return Number(match[1]);
      }
    }
    throw new Error(`no ${pattern} in ${output}${this.errors}`);
  }

  async stop(signal = 'SIGTERM') {
    this.process.kill(signal);
    return this.gone;
  }
}

export async function startBackend() {
  const child = new Child(process.execPath, [path.join(HERE, 'backend.mjs')]);
  child.target = `127.0.0.1:${await child.port(/listening on [\d.]+:(\d+)/)}`;
  return child;
}

export async function startGateway(target, ...flags) {
  const child = new Child(HEADGATE, [
    'serve', '--listen', '127.0.0.1:0', '--admin', 'off', '--drain', '1s', '--upstream', target, ...flags,
  ]);
  const port = await child.port(/ws:\/\/127\.0\.0\.1:(\d+)/);
  child.address = `127.0.0.1:${port}`;
  return child;
}

/** Waits until `condition` gives something, and returns that. */
export async function eventually(condition) {
  for (let i = 0; i < 1000; ++i) {
    const result = await condition();
    if (result) return result;
    await sleep(20);
  }
  throw new Error(`never: ${condition}`);
}
