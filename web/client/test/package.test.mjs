// What `npm pack` makes, and how large it is for a page.
import assert from "node:assert/strict";
import {spawnSync} from "node:child_process";
import {cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";
import {after, before, test} from "node:test";
import {fileURLToPath} from "node:url";
import {gzipSync} from "node:zlib";
import ts from "typescript";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const MODULES = readdirSync(path.join(ROOT, "src")).map((name) => name.replace(/\.ts$/, ""));
const LARGEST_BUNDLE = 10_000;

const directory = mkdtempSync(path.join(tmpdir(), "headgate-client-"));
function run(cwd, command, ...args) {
  const {status, stdout, stderr} = spawnSync(command, args, {cwd, encoding: "utf8"});
  assert.equal(status, 0, `${command} ${args.join(" ")}\n${stdout}${stderr}`);
  return stdout;
}
const tsc = path.join(ROOT, "node_modules/typescript/bin/tsc");
let packed;

// From a copy, as another test may be reading what is built here.
before(() => {
  const source = path.join(directory, "source");
  mkdirSync(path.join(source, "dist"), {recursive: true});
  writeFileSync(path.join(source, "dist/stale.js"), "");
  for (const name of ["package.json", "tsconfig.json", "README.md", "LICENSE", "src", "test"]) {
    cpSync(path.join(ROOT, name), path.join(source, name), {recursive: true});
  }
  symlinkSync(path.join(ROOT, "node_modules"), path.join(source, "node_modules"));
  run(source, "npm", "pack", "--pack-destination", directory);
  packed = path.join(directory, "node_modules/@headgate/client");
  mkdirSync(packed, {recursive: true});
  run(directory, "tar", "-xzf", "headgate-client-0.1.0.tgz", "-C", packed, "--strip-components=1");
});
after(() => rmSync(directory, {recursive: true, force: true}));

test("the tarball has the modules, their types, README and licence, and nothing else", () => {
  const files = readdirSync(packed, {recursive: true, withFileTypes: true})
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(packed, path.join(entry.path, entry.name)));
  const built = MODULES.flatMap((name) => [`dist/${name}.js`, `dist/${name}.d.ts`]);
  assert.deepEqual(files.sort(), ["LICENSE", "README.md", "package.json", ...built].sort());
  const {name, version, license, dependencies} = JSON.parse(readFileSync(path.join(packed, "package.json"), "utf8"));
  assert.deepEqual([name, version, license, dependencies], ["@headgate/client", "0.1.0", "Apache-2.0", undefined]);
  assert.equal(readFileSync(path.join(packed, "LICENSE"), "utf8"), readFileSync(path.join(ROOT, "../../LICENSE"), "utf8"));
});

test("it can be imported", () => {
  const exported = run(directory, process.execPath, "--input-type=module", "-e",
    'import * as lib from "@headgate/client"; console.log(Object.keys(lib).sort().join())');
  assert.equal(exported.trim(),
    "CONTAINER,Code,END,Headgate,HeadgateError,Subscription,decodePackets,encodePackets,json,packet,protobuf,raw");
});

test("its types hold under --strict, for a page's own WebSocket too", () => {
  writeFileSync(path.join(directory, "use.ts"), `
    import {Code, Headgate, HeadgateError, type BidiStream, type Gap, type Packet} from "@headgate/client";
    const client = new Headgate("/", {token: async () => "t", codec: "packet", WebSocket});
    export const reply: Promise<{reply: string}> = client.unary<{greeting: string}, {reply: string}>("pkg.Svc/Do", {greeting: "ann"});
    export const room: BidiStream<Packet, Packet> = client.bidi<Packet, Packet>("/packets", {signal: new AbortController().signal});
    export async function watch(): Promise<number | undefined> {
      try {
        const events = client.subscribe<{after: number}, {i: number}>("pkg.Svc/Watch", async (stream, gap?: Gap<{i: number}>) => {
          await stream.send({after: gap?.last?.i ?? 0});
        });
        for await (const {i} of events) return i;
      } catch (error) {
        if (error instanceof HeadgateError && error.code === Code.NOT_FOUND) return undefined;
      }
      // @ts-expect-error A packet is no text.
      await room.send("text");
      return 0;
    }
  `);
  writeFileSync(path.join(directory, "package.json"), '{"type": "module"}');
  run(directory, process.execPath, tsc, "--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom", "use.ts");
});

test("a bundle of all of it, not even minified, is small", () => {
  const modules = MODULES.map((name) => readFileSync(path.join(packed, `dist/${name}.js`), "utf8"));
  const options = {removeComments: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext};
  const bundle = ts.transpile(modules.join(""), options).replace(/^(import|export) .* from .*$/gm, "").replace(/^ +/gm, "");
  const bytes = gzipSync(bundle, {level: 9}).length;
  console.log(`${bytes} bytes gzipped`);
  assert.ok(bytes > 1000 && bytes < LARGEST_BUNDLE, `${bytes} bytes`);
});

test("the lock file names no registry", () => {
  assert.doesNotMatch(readFileSync(path.join(ROOT, "package-lock.json"), "utf8"), /"resolved"|https?:\/\/(?!(github\.com|opencollective\.com))/);
});
