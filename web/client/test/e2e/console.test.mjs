// The console's pages (web/console) in headless Chromium, against `headgate demo`.
import assert from "node:assert/strict";
import {spawnSync} from "node:child_process";
import {existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync} from "node:fs";
import {createRequire} from "node:module";
import {tmpdir} from "node:os";
import path from "node:path";
import {after, afterEach, before, test} from "node:test";
import {launch} from "./chromium.mjs";
import {fileServer, Gateway, HEADGATE, ROOT} from "./harness.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");
const PICTURE = path.join(ROOT, "../../docs/images/console.png");
const HELLO = "/headgate.demo.v1.HelloService/";
const ECHO = "/headgate.demo.v1.EchoService/";

let directory, gateway, browser, page, origin;
const faults = []; // What the pages complained of, and requests to other places.

before(async () => {
  directory = mkdtempSync(path.join(tmpdir(), "headgate-console-"));
  const set = path.join(directory, "hostile.pb");
  const protoc = spawnSync("protoc", [`--proto_path=${path.join(ROOT, "test/gen")}`, "--include_source_info", "-o", set, "hostile.proto"]);
  assert.equal(protoc.status, 0, String(protoc.stderr));
  gateway = await new Gateway("--descriptors", set).start();
  origin = gateway.url.replace("ws", "http");
  browser = await launch({viewport: WIDE, colorScheme: "light"});
  await browser.grantPermissions(["clipboard-read", "clipboard-write"], {origin});
  browser.setDefaultTimeout(15_000);
  browser.on("request", (request) => new URL(request.url()).origin === origin || faults.push(`request to ${request.url()}`));
  browser.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  browser.on("weberror", (error) => faults.push(String(error.error())));
  browser.on("dialog", (dialog) => (faults.push(`dialog ${dialog.message()}`), dialog.dismiss()));
  page = await browser.newPage();
  await page.goto(`${origin}/`);
});
after(async () => {
  await browser?.end();
  await gateway?.stop("SIGKILL");
  rmSync(directory, {recursive: true, force: true});
});
afterEach(() => assert.deepEqual(faults.splice(0), []));

async function open(method) {
  const link = `a.method[href="#${method}"]`;
  await page.locator(link).click();
  // Not "visible": a narrow window hides the list.
  await page.locator(`${link}[aria-current="page"]`).waitFor({state: "attached"});
}
const field = (name) => page.locator("#editor").getByLabel(name).first();
const ended = () => page.locator(".event.end").waitFor();
const received = async () => (await page.locator(".event.in pre").allTextContents()).map((text) => JSON.parse(text));
const setJson = async (value) => {
  await page.getByRole("tab", {name: "JSON"}).click();
  await page.locator("#editor textarea").fill(typeof value === "string" ? value : JSON.stringify(value));
};
const request = async () => {
  await page.getByRole("tab", {name: "JSON"}).click();
  return JSON.parse(await page.locator("#editor textarea").inputValue());
};
const status = () => page.locator(".event.end .status").innerText();
const snippet = async (form) => {
  await page.getByRole("tab", {name: form}).click();
  return page.locator("#snippet pre").textContent();
};

const WIDE = {width: 1360, height: 900};
const NARROW = {width: 360, height: 720};

// The page as it is now, narrow in the dark and wide in the light: what only a narrow page has, and each colour.
async function accessible(of) {
  await of.evaluate(AXE);
  for (const [viewport, colorScheme] of [[NARROW, "dark"], [WIDE, "light"]]) {
    await of.setViewportSize(viewport);
    await of.emulateMedia({colorScheme});
    const {violations} = await of.evaluate(() => axe.run(document, {resultTypes: ["violations"]}));
    assert.deepEqual(violations.map(({id, nodes}) => `${id}: ${nodes.map((node) => node.html).join(" ")}`), [], `${colorScheme}, ${viewport.width} px`);
    const widths = await of.evaluate(() => [document.documentElement, document.querySelector("main")].map((one) => one.scrollWidth));
    assert.ok(widths.every((width) => width <= viewport.width), `${widths} of ${viewport.width} px`);
  }
}

test("the root leads to the console, which lists the services of the upstream", async () => {
  assert.equal(page.url(), `${origin}/_headgate/`);
  await page.locator("a.method").first().waitFor();
  const methods = await page.locator("a.method").evaluateAll((links) => links.map((link) => link.getAttribute("href")));
  for (const method of [`${HELLO}SayHello`, `${HELLO}BidiHello`, "/headgate.v1.PacketService/Connect", "/rooms/{room}", "/game", "/test.hostile.Hostile/Do"]) {
    assert.ok(methods.includes(`#${method}`), method);
  }
  assert.ok(await page.locator("#welcome-chat a[href='/_headgate/chat']").isVisible());
  await accessible(page);
});

test("a unary call, from the form", async () => {
  await open(`${HELLO}SayHello`);
  await field("greeting").fill("ann");
  await page.getByRole("button", {name: "Call"}).click();
  await ended();
  assert.deepEqual(await received(), [{reply: "hello, ann"}]);
  assert.match(await status(), /OK[\s\S]*OK \(0\)[\s\S]*close code\s*1000/);
});

test("a server stream", async () => {
  await open(`${HELLO}LotsOfReplies`);
  await setJson({greeting: "bob"});
  await page.locator("#send").click();
  await ended();
  assert.equal((await received()).length, 10);
});

test("a client stream: messages, then the end of the input", async () => {
  await open(`${HELLO}LotsOfGreetings`);
  for (const greeting of ["ann", "bob"]) {
    await field("greeting").fill(greeting);
    await page.getByRole("button", {name: "Send"}).click();
  }
  await page.getByRole("button", {name: "End input"}).click();
  await ended();
  assert.deepEqual(await received(), [{reply: "hello, ann and bob"}]);
});

test("a bidirectional stream goes on as long as one likes; the picture of it is README's", async () => {
  await open(`${HELLO}BidiHello`);
  await page.getByRole("button", {name: "Connect"}).click();
  await page.locator(".event.note", {hasText: "connected"}).waitFor();
  for (const [i, greeting] of ["ann", "bob <b>the builder</b>", "cleo"].entries()) {
    await field("greeting").fill(greeting);
    await page.locator("#send").click();
    await page.locator(".event.in").nth(i).waitFor();
  }
  assert.match(await page.locator("#state").innerText(), /^open\s+↑ 3 +↓ 3$/);
  assert.match(await page.locator(".event.in time").first().textContent(), /^[\d.]+ m?s$/);
  await page.locator("#half-close").click();
  await ended();
  assert.deepEqual((await received()).map(({reply}) => reply), ["hello, ann", "hello, bob <b>the builder</b>", "hello, cleo"]);
  const picture = process.env.HEADGATE_PICTURES ? PICTURE : path.join(directory, "console.png");
  mkdirSync(path.dirname(picture), {recursive: true});
  await page.screenshot({path: picture});
  assert.ok(existsSync(PICTURE));
  await accessible(page);
});

test("a stream can be cancelled", async () => {
  await open(`${ECHO}Flood`);
  await setJson({size: 100});
  await page.locator("#send").click();
  // Without end: what is kept is bounded, and the page stays alive.
  await page.locator("#conversation > .hint", {hasText: "earlier entries are not kept"}).waitFor();
  await page.getByRole("button", {name: "Cancel"}).click();
  await ended();
  assert.match(await status(), /CANCELLED/);
  assert.ok(await page.locator(".event").count() <= 200);
});

test("a failure has its code, message and close code", async () => {
  await open(`${ECHO}Fail`);
  await field("code").fill("5");
  await field("message").fill("no such <i>room</i>");
  await page.locator("#send").click();
  await ended();
  assert.match(await status(), /NOT_FOUND \(5\)[\s\S]*4005[\s\S]*no such <i>room<\/i>/);
  await setJson('{"code": 5');
  assert.notEqual(await page.locator("#text-problem").textContent(), "");
  await page.locator("#send").click();
  await page.locator(".event.end", {hasText: "INVALID_ARGUMENT"}).waitFor();
  await accessible(page);
});

test("the end of a call has the backend's details and trailers, and its initial metadata stands at the beginning", async () => {
  await open(`${ECHO}Fail`);
  await setJson({code: 5, message: "no room", details: [{"@type": "type.googleapis.com/headgate.demo.v1.HelloRequest", greeting: "<b>why</b>"}]});
  await page.locator("#send").click();
  await ended();
  assert.match(await status(), /NOT_FOUND \(5\)[\s\S]*4005[\s\S]*no room[\s\S]*details[\s\S]*HelloRequest[\s\S]*<b>why<\/b>/);
  assert.deepEqual(await received(), []);

  await open("/headgate.demo.v1.LibraryService/GetBook");
  await page.locator("#connection summary", {hasText: "Metadata"}).click();
  await page.getByLabel("Metadata, a line").fill("x-reader: ann");
  await setJson({name: "shelves/classics/books/dune"});
  await page.locator("#send").click();
  await ended();
  assert.match(await status(), /OK \(0\)[\s\S]*trailers[\s\S]*library-books/);
  await page.locator(".event.note summary", {hasText: "initial metadata"}).click();
  assert.match(await page.locator(".event.note pre").innerText(), /x-reader[\s\S]*ann/);
  await accessible(page);
  await page.getByLabel("Metadata, a line").fill("");
  await page.locator("#connection summary", {hasText: "Metadata"}).click();
});

test("a token becomes the call's credentials, and is in no copy", async () => {
  await open(`${ECHO}Metadata`);
  await page.getByLabel("Bearer token").fill("s3cret / opaque");
  await page.locator("#send").click();
  await ended();
  assert.deepEqual((await received())[0].metadata.authorization, {values: ["Bearer s3cret / opaque"]});
  for (const form of ["dial", "@headgate/client"]) {
    const text = await snippet(form);
    assert.doesNotMatch(text, /s3cret/);
    assert.match(text, /token/i);
  }
  assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [0, 0, ""]);
  await page.getByLabel("Bearer token").fill("");
});

test("metadata goes along, and into the copies", async () => {
  await open(`${ECHO}Metadata`);
  await page.locator("summary", {hasText: "Metadata"}).click();
  await page.getByLabel("Metadata, a line").fill("x-tenant: ac'me\nx-key-bin: AAE=");
  await page.locator("#send").click();
  await ended();
  const [{metadata}] = await received();
  assert.deepEqual([metadata["x-tenant"], metadata["x-key-bin"]], [{values: ["ac'me"]}, {values: ["AAE="]}]);
  assert.match(await snippet("dial"), /--header 'Grpc-Metadata-x-tenant: ac'\\''me' --header 'Grpc-Metadata-x-key-bin: AAE=' ws:/);
  await page.getByLabel("Metadata, a line").fill("not a line");
  await page.locator("#send").click();
  await page.locator(".event.end", {hasText: "1006"}).waitFor();
  faults.splice(0); // The browser's word about the refusal.
  await page.getByLabel("Metadata, a line").fill("");
});

test("the form has nested messages, lists, maps, enums, wrappers and timestamps", async () => {
  await open("/headgate.demo.v1.LibraryService/ListBooks");
  await field("parent").fill("shelves/-");
  await field("pageSize").fill("2");
  for (let i = 0; i < 2; i++) await page.getByRole("button", {name: "Add to genres"}).click();
  await page.getByLabel("genres, 1", {exact: true}).selectOption("GENRE_NOVEL");
  await page.getByLabel("genres, 2", {exact: true}).selectOption("GENRE_POEM");
  await page.getByRole("button", {name: "Remove genres, 2"}).click();
  await page.getByRole("button", {name: "Add filter"}).click();
  await field("titleContains").fill("u");
  await page.getByRole("button", {name: "Add author"}).click();
  await field("penName").check();
  await page.getByRole("button", {name: "Add to copies"}).click();
  await page.getByLabel("copies: key", {exact: true}).fill("main");
  await page.getByLabel("copies: key", {exact: true}).press("Tab");
  await page.getByLabel("copies: value of main", {exact: true}).fill("1");
  await field("archived").selectOption("false");
  await field("publishedAfter").fill("1900-01-01T00:00:00Z");
  await accessible(page);
  const made = {
    parent: "shelves/-", pageSize: 2, genres: ["GENRE_NOVEL"], filter: {titleContains: "u", author: {penName: true}},
    copies: {main: 1}, archived: false, publishedAfter: "1900-01-01T00:00:00Z",
  };
  assert.deepEqual(await request(), made);
  // And back: what the JSON says is in the form.
  await setJson({parent: "shelves/classics", genres: ["GENRE_POEM"]});
  await page.getByRole("tab", {name: "Form"}).click();
  assert.equal(await field("parent").inputValue(), "shelves/classics");
  assert.equal(await page.getByLabel("genres, 1", {exact: true}).inputValue(), "GENRE_POEM");
});

test("packets are shown as a tree and in hex", async () => {
  await open("/headgate.v1.PacketService/Connect");
  await page.locator("#editor textarea").fill('{"type": 4294967294, "who": 1, "packets": [{"type": 7, "who": 42, "text": "<b>hi</b>"}]}');
  assert.match(await page.locator("#preview").textContent(), /^000000 {2}ff ff ff fe 00 00 00 15 {2}00 00 00 01 00 00 00 07/);
  await page.locator("#send").click();
  const tree = page.locator(".event.in .tree").first();
  await tree.waitFor();
  assert.match(await tree.innerText(), /type 4294967294 who 1\s+type 7 who 42 9 bytes\s+<b>hi<\/b>/);
  await page.locator(".event.in summary").click();
  assert.match(await page.locator(".event.in pre.hex").innerText(), /ff ff ff fe/);
  await page.locator("#half-close").click();
  await ended();
  assert.match(await page.locator(".event.in").last().innerText(), /end who 0/);
  await accessible(page);
});

test("several calls on one socket", async () => {
  await open("/game");
  await page.locator("#editor textarea").fill('[{"type": 3, "who": 1, "hex": "0a0161 1005"}, {"type": 99, "who": 2}]');
  await page.locator("#send").click();
  await page.locator(".event.in", {hasText: "UNIMPLEMENTED"}).or(page.locator(".event.in", {hasText: '"code": 12'})).first().waitFor();
  await page.locator(".event.in", {hasText: "type 3 who 1 Score"}).waitFor();
  await accessible(page);
  await page.locator("#cancel").click();
});

test("a hub: the address has a variable, which is written in its place", async () => {
  await open("/rooms/{room}");
  const problem = page.locator("#address-problem");
  assert.equal(await problem.innerText(), "Write a value in place of {room}.");
  assert.ok(await page.locator("#send").isDisabled() && await page.locator("#open").isDisabled());
  assert.ok(await page.locator("#half-close").isHidden() && await page.locator("#editors").isHidden());
  await accessible(page);
  await page.getByLabel("Address").fill("/rooms/a%20b");
  assert.ok(await problem.isHidden());
  await page.locator("#open").click();
  await page.locator(".event.in", {hasText: '"members": 1'}).waitFor();
  await page.locator("#editor textarea").fill('{"text": "<b>hello</b>"}');
  await page.locator("#send").click();
  await page.locator(".event.in", {hasText: '"text": "<b>hello</b>"'}).waitFor();
  assert.match(await snippet("@headgate/client"), /client\.bidi\("\/rooms\/a%20b"\)/);
  assert.doesNotMatch(await snippet("@headgate/client"), /closeSend/);
  await page.locator("#cancel").click();
  await ended();
  // The codec is that of the route with the variable in place.
  await page.getByLabel("Codec").selectOption("packet");
  await page.locator("#editor textarea").fill('{"type": 7, "who": 42, "text": "hello"}');
  await page.locator("#send").click();
  await page.locator(".event.in .tree", {hasText: "type 7 who 42"}).waitFor();
  await page.locator("#cancel").click();
  await page.getByLabel("Address").fill("/rooms/{room}");
  assert.equal(await problem.innerText(), "Write a value in place of {room}.");
});

test("text and bytes of the other codecs", async () => {
  await open("/headgate.v1.MessageService/Connect");
  await page.locator("#editor textarea").fill("any <u>text</u>");
  await page.locator("#send").click();
  await page.locator(".event.in", {hasText: "any <u>text</u>"}).waitFor();
  await page.locator("#cancel").click();
  await open(`${HELLO}SayHello`);
  await page.getByLabel("Codec").selectOption("protobuf");
  await page.locator("#editor textarea").fill("0a 03 616e6e");
  await page.locator("#send").click();
  await ended();
  assert.match(await page.locator(".event.in").innerText(), /0a 0a 68 65 6c 6c 6f/);
  await accessible(page);
});

test("what is copied does the same call: dial, curl, the client", async () => {
  await open(`${HELLO}BidiHello`);
  await page.locator("#open").click();
  for (const greeting of ["it's", "$HOME `id` \\"]) {
    await setJson({greeting});
    await page.locator("#send").click();
  }
  await page.locator("#half-close").click();
  await ended();
  const command = await snippet("dial");
  symlinkSync(path.resolve(HEADGATE), path.join(directory, "headgate"));
  const env = {...process.env, PATH: `${directory}:${process.env.PATH}`};
  const dialed = spawnSync("sh", ["-c", command], {env, encoding: "utf8", timeout: 20_000});
  assert.deepEqual(dialed.stdout.trimEnd().split("\n").map((line) => JSON.parse(line).reply), ["hello, it's", "hello, $HOME `id` \\"]);
  assert.equal(dialed.status, 0);

  const program = (await snippet("@headgate/client")).replace('"@headgate/client"', '"./dist/index.js"');
  const ran = spawnSync(process.execPath, ["--input-type=module", "-e", `import "./test/e2e/global_websocket.mjs";\n${program}`], {cwd: ROOT, encoding: "utf8", timeout: 20_000});
  assert.match(ran.stdout, /\{ reply: "hello, it's" \}/, ran.stderr);

  await open("/headgate.demo.v1.LibraryService/GetBook");
  await setJson({name: "shelves/classics/books/dune", readMask: "title"});
  const curled = spawnSync("sh", ["-c", await snippet("curl")], {encoding: "utf8", timeout: 20_000});
  assert.deepEqual(JSON.parse(curled.stdout), {title: "Dune"});
  await accessible(page);

  await page.getByRole("button", {name: "Copy"}).click();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^curl /);
});

test("past calls are shown again, with what they sent", async () => {
  await page.locator("#history button", {hasText: "Fail"}).last().click();
  assert.match(await status(), /no such <i>room<\/i>/);
  assert.match(await page.locator("#method-name").textContent(), /EchoService\/Fail/);
  assert.deepEqual(await request(), {code: 5, message: "no such <i>room</i>"});
});

test("names, comments and messages with markup are text", async () => {
  await open("/test.hostile.Hostile/Do");
  assert.match(await page.locator("#method-comment").textContent(), /<img src=x onerror="window.pwned = 4"> of a method/);
  await page.getByRole("tab", {name: "Form"}).click();
  const text = await page.locator("#editor").innerText();
  assert.match(text, /<img src=x onerror='window.pwned = 3'>/);
  assert.match(text, /<script>window.pwned = 2<\/script> of a field/);
  await page.getByLabel("<img src=x").fill("<script>window.pwned = 5</script>");
  await page.locator("#send").click();
  await ended();
  assert.match(await status(), /UNIMPLEMENTED/);
  await snippet("@headgate/client");
  assert.deepEqual(await page.evaluate(() => [window.pwned, document.images.length, document.scripts.length, {}.pwned]), [undefined, 1, 1, undefined]);
});

test("everything can be done with the keyboard", async () => {
  await page.locator("#main").focus();
  await page.keyboard.press("/");
  await page.keyboard.type("sayhe");
  assert.equal(await page.locator("a.method:visible").count(), 1);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", {name: "HelloService/SayHello"}).waitFor();
  await page.locator("#tab-text").focus();
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Control+A");
  await page.keyboard.type("keys");
  await page.keyboard.press("Control+Enter");
  await ended();
  assert.deepEqual(await received(), [{reply: "hello, keys"}]);
  await page.locator("#filter").fill("");
});

test("a narrow window has the list behind a button, and nothing sticks out", async () => {
  await page.setViewportSize(NARROW);
  assert.equal(await page.locator("#sidebar").isVisible(), false);
  await page.getByRole("button", {name: "Methods"}).click();
  await accessible(page);
  await page.setViewportSize(NARROW);
  await open(`${HELLO}LotsOfReplies`);
  assert.equal(await page.locator("#sidebar").isVisible(), false);
  await page.locator("#send").click();
  await ended();
  await accessible(page);
});

test("two tabs of the chat see each other", async () => {
  const tabs = [];
  for (const name of ["ann", "bob"]) {
    const tab = await browser.newPage();
    await tab.goto(`${origin}/_headgate/chat`);
    await tab.getByLabel("Your name").fill(name);
    await tab.getByRole("button", {name: "Connect"}).click();
    await tab.locator("#lines", {hasText: "connected"}).waitFor();
    tabs.push(tab);
  }
  await tabs[0].getByLabel("Message", {exact: true}).fill("hello, <b>bob</b>");
  await tabs[0].keyboard.press("Enter");
  for (const tab of tabs) await tab.locator("#lines p", {hasText: "hello, <b>bob</b>"}).waitFor();
  await tabs[1].getByLabel("Message", {exact: true}).fill("hello, ann");
  await tabs[1].getByRole("button", {name: "Send"}).click();
  await tabs[0].locator("#lines p.other", {hasText: "hello, ann"}).waitFor();
  await accessible(tabs[0]);
  await tabs[1].getByRole("button", {name: "Close"}).click();
  await tabs[1].locator("#lines", {hasText: "closed 1000"}).waitFor();
  await gateway.stop();
  await tabs[0].locator("#lines", {hasText: "closed 1001: the gateway is shutting down"}).waitFor();
  await gateway.start();
  for (const tab of tabs) await tab.close();
});

test("a page of another origin can neither read nor frame it", async () => {
  const files = await fileServer();
  const other = await browser.newPage();
  try {
    await other.goto(files.origin);
    const result = await other.evaluate(async (origin) => {
      const read = await fetch(`${origin}/_headgate/api/index`).catch(() => "blocked");
      const frame = document.createElement("iframe");
      frame.src = `${origin}/_headgate/`;
      await new Promise((resolve) => (frame.onload = resolve, document.body.append(frame)));
      const script = document.createElement("script");
      script.src = `${origin}/_headgate/console.js`;
      const loaded = await new Promise((resolve) => (script.onload = () => resolve("loaded"), script.onerror = () => resolve("blocked"), document.body.append(script)));
      return [read, loaded];
    }, origin);
    assert.deepEqual(result, ["blocked", "blocked"]);
    assert.match(other.frames()[1].url(), /^chrome-error:/);
  } finally {
    await other.close();
    files.stop();
    faults.length = 0; // The browser's own words about each of these.
  }
});
