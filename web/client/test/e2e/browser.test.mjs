// The same in a page of another origin, in headless Chromium.
import assert from "node:assert/strict";
import {after, before, test} from "node:test";
import {launch} from "./chromium.mjs";
import {fileServer, Gateway, hostileServer} from "./harness.mjs";
import {scenarios} from "./scenarios.mjs";

let files, hostile, gateway, browser, page;
before(async () => {
  files = await fileServer();
  hostile = await hostileServer();
  gateway = await new Gateway("--allow-origin", files.origin).start();
  browser = await launch();
  await browser.exposeFunction("stopGateway", (signal) => gateway.stop(signal));
  await browser.exposeFunction("startGateway", async () => void (await gateway.start()));
  page = await browser.newPage();
  await page.goto(files.origin);
});
after(async () => {
  await browser?.end();
  await gateway?.stop("SIGKILL");
  hostile?.stop();
  files?.stop();
});

for (const [name, scenario] of Object.entries(scenarios)) {
  test(name, async () => {
    const result = await page.evaluate(async ({name, url, hostile}) => {
      const lib = await import("/dist/index.js");
      const {scenarios} = await import("/test/e2e/scenarios.mjs");
      const client = (options = {}, at = url) => new lib.Headgate(at, options);
      // As JSON, for undefined is no value on the way out of a page.
      return JSON.stringify(await scenarios[name].run({lib, client, url, hostile, stop: stopGateway, start: startGateway}));
    }, {name, url: gateway.url, hostile: hostile.url});
    assert.deepEqual(JSON.parse(result), scenario.gives);
  });
}

const call = (url, method) => page.evaluate(async ([url, method]) => {
  const {Headgate} = await import("/dist/index.js");
  return new Headgate(url).unary(method, {greeting: "ann"}).catch((error) => error.name);
}, [url, method]);

test("a gateway that allows no other origin refuses the page, readably with --refusals close", async () => {
  for (const [flags, name] of [[[], "UNAVAILABLE"], [["--refusals", "close"], "PERMISSION_DENIED"]]) {
    const other = await new Gateway(...flags).start();
    assert.equal(await call(other.url, "headgate.demo.v1.HelloService/SayHello"), name);
    await other.stop("SIGKILL");
  }
});

test("a path that is not served is NOT_FOUND with --refusals close", async () => {
  const other = await new Gateway("--refusals", "close", "--allow-origin", "*").start();
  assert.equal(await call(other.url, "/nothing/here/at/all"), "NOT_FOUND");
  await other.stop("SIGKILL");
});

test("a page cannot stop a socket: a call that nobody reads is given up", async () => {
  const error = await page.evaluate(async (url) => {
    const {Headgate} = await import("/dist/index.js");
    const stream = new Headgate(url, {maxReceiveBytes: 1 << 20}).serverStream("headgate.demo.v1.EchoService/Flood", {size: 65_536});
    return (await stream.status).name;
  }, gateway.url);
  assert.equal(error, "RESOURCE_EXHAUSTED");
});

test("an address may be relative to the page", async () => {
  const name = await page.evaluate(async () => {
    const {Headgate} = await import("/dist/index.js");
    return new Headgate("/api").unary("pkg.Svc/Do", {}).catch(String);
  });
  assert.equal(name, `UNAVAILABLE: cannot connect to ${files.origin.replace("http", "ws")}/api/pkg.Svc/Do`);
});
