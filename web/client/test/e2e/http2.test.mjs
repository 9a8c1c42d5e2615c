// WebSockets over HTTP/2 (RFC 8441), which Chromium uses by itself on wss://.
import assert from "node:assert/strict";
import {execFileSync} from "node:child_process";
import {mkdtemp, rm} from "node:fs/promises";
import {tmpdir} from "node:os";
import path from "node:path";
import {after, before, test} from "node:test";
import {launch} from "./chromium.mjs";
import {Gateway} from "./harness.mjs";

const SOCKETS = 100;

let folder, gateway, browser;
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "headgate-http2-"));
  const [key, certificate] = ["key.pem", "certificate.pem"].map((name) => path.join(folder, name));
  execFileSync("openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
    "-subj", "/CN=localhost", "-keyout", key, "-out", certificate,
  ], {stdio: "ignore"});
  gateway = await new Gateway("--tls-cert", certificate, "--tls-key", key, "--console", "on", "--admin", "127.0.0.1:0").start();
  browser = await launch({ignoreHTTPSErrors: true});
});
after(async () => {
  await browser?.end();
  await gateway?.stop("SIGKILL");
  await rm(folder, {recursive: true, force: true});
});

async function metric(name) {
  const text = await (await fetch(`${gateway.admin}/metrics`)).text();
  const samples = text.split("\n").filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

test("a hundred sockets of a page share its connection", async () => {
  const page = await browser.newPage();
  await page.goto(`https://127.0.0.1:${gateway.port}/_headgate/`);
  const protocol = await page.evaluate(() => performance.getEntriesByType("navigation")[0].nextHopProtocol);
  assert.equal(protocol, "h2");
  const echoes = await page.evaluate(async ([url, count]) => {
    window.sockets = Array.from({length: count}, () => new WebSocket(url));
    return Promise.all(window.sockets.map((socket, index) => new Promise((resolve, reject) => {
      socket.onopen = () => socket.send(`message ${index}`);
      socket.onmessage = ({data}) => resolve(data);
      socket.onclose = ({code, reason}) => reject(new Error(`${code} ${reason}`));
    })));
  }, [`wss://127.0.0.1:${gateway.port}/echo`, SOCKETS]);
  assert.deepEqual(echoes, Array.from({length: SOCKETS}, (_, index) => `message ${index}`));
  assert.equal(await metric("headgate_sessions"), SOCKETS);
  assert.equal(await metric("headgate_connections"), 1);
  const code = await page.evaluate(() => new Promise((resolve) => {
    window.sockets[0].onclose = (event) => resolve(event.code);
    window.sockets[0].close(1000);
  }));
  assert.equal(code, 1000);
});
