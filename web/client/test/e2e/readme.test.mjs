// README.md's examples, one after the other, print what they say.
import assert from "node:assert/strict";
import {spawn} from "node:child_process";
import {once} from "node:events";
import {readFileSync} from "node:fs";
import path from "node:path";
import {test} from "node:test";
import {Gateway, ROOT} from "./harness.mjs";

test("the examples run and print what they say", async () => {
  const readme = readFileSync(path.join(ROOT, "README.md"), "utf8");
  const examples = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code);
  const expected = [...examples.join("").matchAll(/\/\/> (.*)$/gm)].map(([, line]) => line);
  assert.ok(examples.length >= 8 && expected.length >= 12);

  const gateway = await new Gateway().start();
  try {
    const program = 'import "./test/e2e/global_websocket.mjs";\n' + examples.join("\n").replaceAll("127.0.0.1:8080", `127.0.0.1:${gateway.port}`);
    const node = spawn(process.execPath, ["--input-type=module", "-e", program], {cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], timeout: 30_000});
    let output = "";
    let errors = "";
    node.stdout.on("data", (chunk) => (output += chunk));
    node.stderr.on("data", (chunk) => (errors += chunk));
    const [status] = await once(node, "close");
    assert.equal(errors, "");
    assert.deepEqual(output.trimEnd().split("\n"), expected);
    assert.equal(status, 0);
  } finally {
    await gateway.stop("SIGKILL");
  }
});
