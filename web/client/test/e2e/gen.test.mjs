// What `headgate gen ts` writes, under tsc --strict and against the demo.
import assert from "node:assert/strict";
import {spawnSync} from "node:child_process";
import {copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";
import {after, test} from "node:test";
import {Gateway, HEADGATE, ROOT} from "./harness.mjs";

const TSC = path.join(ROOT, "node_modules/typescript/bin/tsc");
const directory = mkdtempSync(path.join(tmpdir(), "headgate-gen-"));
after(() => rmSync(directory, {recursive: true, force: true}));

function run(command, ...args) {
  const {status, stdout, stderr} = spawnSync(command, args, {cwd: directory, encoding: "utf8", timeout: 60_000});
  assert.equal(status, 0, `${command} ${args.join(" ")}\n${stdout}${stderr}`);
  return stdout;
}

/** README's examples as one program: each in a block, as some declare the same names, behind what later ones use. */
function readmeProgram(wanted) {
  const readme = readFileSync(path.join(ROOT, "README.md"), "utf8");
  const examples = [...readme.matchAll(/^```(?:js|ts)\n(.*?)^```$/gms)].map(([, code]) => code).filter(wanted);
  assert.ok(examples.length >= 9);
  const shared = /^(import .*|const (client|HELLO|LOBBY) = .*)$\n/gm;
  const lines = examples.flatMap((code) => code.match(shared) ?? []);
  return [...new Set(lines), ...examples.map((code) => `{\n${code.replace(shared, "")}}\n`)].join("");
}

/** A project with one source, in which gen/ is written. */
function project(name) {
  const at = path.join(directory, name);
  mkdirSync(path.join(at, "node_modules/@headgate"), {recursive: true});
  symlinkSync(ROOT, path.join(at, "node_modules/@headgate/client"));
  symlinkSync(path.join(ROOT, "node_modules/ws"), path.join(at, "node_modules/ws"));
  writeFileSync(path.join(at, "package.json"), '{"type": "module"}');
  copyFileSync(path.join(ROOT, `test/gen/${name}.ts`), path.join(at, `${name}.ts`));
  // `ws` and Node.js have no types here.
  writeFileSync(path.join(at, "globals.d.ts"), `
    declare module "ws" { const constructor: import("@headgate/client").WebSocketConstructor; export default constructor; }
    declare const process: {argv: string[]};
  `);
  writeFileSync(path.join(at, "tsconfig.json"), JSON.stringify({
    compilerOptions: {
      strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noUnusedLocals: true, noUnusedParameters: true,
      verbatimModuleSyntax: true, isolatedModules: true, erasableSyntaxOnly: true,
      target: "ES2022", module: "NodeNext", lib: ["ES2022", "DOM"], types: [],
    },
    files: [`${name}.ts`, "globals.d.ts"],
  }));
  return {
    gen: (...flags) => run(HEADGATE, "gen", "ts", "--out", path.join(at, "gen"), ...flags),
    compile: () => run(process.execPath, TSC, "-p", at),
    files: () => readdirSync(path.join(at, "gen")).filter((file) => file.endsWith(".ts")).sort(),
    read: (file) => readFileSync(path.join(at, "gen", file), "utf8"),
    at,
  };
}

test("types of a live upstream, used for the four kinds of call", async () => {
  const gateway = await new Gateway().start();
  try {
    const demo = project("demo");
    demo.gen("--upstream", gateway.backend, "headgate.demo.v1");
    assert.deepEqual(demo.files(), ["google.api.ts", "google.protobuf.ts", "headgate.demo.v1.ts"]);
    demo.compile();
    assert.deepEqual(run(process.execPath, path.join(demo.at, "demo.js"), gateway.url).trimEnd().split("\n"), [
      "unary hello, ann", "server  0", "server  1", "client 3", "bidi KIND_JOINED ann", "subscribe hi", "failure NOT_FOUND",
      "book Dune 1970-01-01T00:00:00.000Z",
    ]);
    // README's examples, too, but for the one about the package ws, whose types are elsewhere.
    writeFileSync(path.join(demo.at, "readme.ts"), readmeProgram((code) => !code.includes('from "ws"')));
    run(process.execPath, TSC, "--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom", path.join(demo.at, "readme.ts"));
  } finally {
    await gateway.stop("SIGKILL");
  }
});

test("types of a descriptor set: proto2, well-known types, oneofs, names that TypeScript reserves, comments", () => {
  const kitchen = project("kitchen");
  const set = path.join(directory, "kitchen.pb");
  run("protoc", `--proto_path=${path.join(ROOT, "test/gen")}`, "--include_imports", "--include_source_info", "-o", set, "kitchen.proto");
  kitchen.gen("--descriptors", set);
  assert.deepEqual(kitchen.files(), ["google.protobuf.ts", "test.kitchen.ts"]);
  kitchen.compile();
  assert.match(kitchen.read("test.kitchen.ts"), /\n\/\*\* A message with \*\\\/ in its comment\. \*\/\nexport type Kitchen = /);
});
