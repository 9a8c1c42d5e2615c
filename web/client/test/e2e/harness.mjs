// The built gateway, a server that breaks the rules, and a server of files.
import {spawn} from "node:child_process";
import {createHash} from "node:crypto";
import {once} from "node:events";
import {readFile} from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import path from "node:path";
import {fileURLToPath} from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const HEADGATE = process.env.HEADGATE ?? path.join(ROOT, "../../build/dev/bin/headgate");

/** `headgate demo`, which can be stopped and started again on the same port. */
export class Gateway {
  port = 0;
  command = ["demo"];

  constructor(...flags) {
    this.flags = flags;
  }

  get url() {
    return `ws://127.0.0.1:${this.port}`;
  }

  async start() {
    const admin = this.flags.includes("--admin") ? [] : ["--admin", "off"];
    const flags = ["--listen", `127.0.0.1:${this.port}`, ...admin, "--drain", "1s", ...this.flags];
    this.process = spawn(HEADGATE, [...this.command, ...flags], {stdio: ["ignore", "pipe", "ignore"]});
    const kill = () => this.process.kill("SIGKILL");
    process.once("exit", kill);
    this.gone = once(this.process, "exit").then(([code]) => (process.off("exit", kill), code));
    let output = "";
    for await (const chunk of this.process.stdout) {
      output += chunk;
      const listening = /wss?:\/\/127\.0\.0\.1:(\d+)\s/.exec(output);
      const backend = /demo backend on ([^\s;]+)[;\n]/.exec(output);
      if (!listening || (this.command[0] === "demo" && !backend)) continue;
      this.port = Number(listening[1]);
      this.backend = backend?.[1];
      this.admin = /admin on (http:\S+)\n/.exec(output)?.[1];
      return this;
    }
    throw new Error(`headgate ${this.command[0]} does not listen: ${output}`);
  }

  /** SIGTERM drains; returns the exit status. */
  async stop(signal = "SIGTERM") {
    this.process.kill(signal);
    return this.gone;
  }
}

/** Gateways with one backend behind one address, which leads to those that are `up`. */
export class Replicas {
  constructor(backend, count) {
    this.gateways = Array.from({length: count}, () => Object.assign(new Gateway(), {command: ["serve", "--upstream", backend], up: false}));
    this.sockets = new Set();
    let next = 0;
    this.balancer = net.createServer((client) => {
      const up = this.gateways.filter((one) => one.up);
      const server = net.connect(up[next++ % up.length].port, "127.0.0.1");
      for (const [one, other] of [[client, server], [server, client]]) {
        this.sockets.add(one);
        one.on("error", () => other.destroy()).on("close", () => this.sockets.delete(one));
        one.pipe(other);
      }
    });
  }

  async start() {
    for (const gateway of this.gateways) await this.raise(gateway);
    this.url = `ws://127.0.0.1:${await listen(this.balancer)}`;
    return this;
  }

  async raise(gateway) {
    await gateway.start();
    gateway.up = true;
  }

  /** One after the other is stopped, as a load balancer sees it, and started again; `between` is awaited then. */
  async roll(between) {
    const statuses = [];
    for (const gateway of this.gateways) {
      gateway.up = false;
      statuses.push(await gateway.stop());
      await this.raise(gateway);
      await between();
    }
    return statuses;
  }

  async stop() {
    this.balancer.close();
    this.sockets.forEach((socket) => socket.destroy());
    for (const gateway of this.gateways) await gateway.stop("SIGKILL");
  }
}

async function listen(server) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server.address().port;
}

const frame = (opcode, payload) => Buffer.concat([Buffer.from([0x80 | opcode, payload.length]), payload]);
const close = (code, reason = "") => frame(8, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]));
const text = (payload) => frame(1, Buffer.from(payload));
const bytes = (...payload) => frame(2, Buffer.from(payload));
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** What it answers after the handshake; null: the end of the connection. */
const HOSTILE = {
  "/not-json": [text("{")],
  "/text-on-binary": [text("hello")],
  "/bytes-on-json": [bytes(0xff, 0xfe)],
  "/not-a-packet": [bytes(1, 2, 3)],
  "/bad-status": [frame(2, Buffer.from("ffffffff000000010000000008", "hex"))],
  "/bad-frame": [Buffer.from([0xf3, 0x01, 0x00])],
  "/not-utf8": [frame(1, Buffer.from([0xff, 0xfe]))],
  "/gone-mid-stream": [text('{"i":1}'), text('{"i":2}'), null],
  "/gone-mid-frame": [text('{"i":1}'), Buffer.from([0x81, 0x05, 0x7b]), null],
  "/not-found": [text('{"i":1}'), close(4005, "no such room")],
  "/ok-without-response": [close(1000)],
  "/no-code": [frame(8, Buffer.alloc(0))],
  "/4999": [close(4999)],
  "/3000": [close(3000, "retry-after=1s")],
  "/drain": [close(1001, "the gateway is shutting down; retry-after=7s")],
  "/not-one": [text("1 2"), close(1000)],
  "/proto": [text('{"__proto__":{"polluted":1}}'), close(1000)],
};

/** A server for what Headgate never does. */
export async function hostileServer() {
  const server = http.createServer((_, response) => response.writeHead(503).end());
  const sockets = new Set();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
  });
  server.on("upgrade", (request, socket) => {
    if (request.url === "/silent") return;
    if (request.url === "/refused") return socket.end("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n");
    const accept = createHash("sha1").update(request.headers["sec-websocket-key"] + GUID).digest("base64");
    const offered = request.headers["sec-websocket-protocol"].split(",")[0].trim();
    const protocol = request.url === "/other-codec" ? "" : `Sec-WebSocket-Protocol: ${offered}\r\n`;
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${protocol}\r\n`);
    // A Close frame ends the connection. A client's frames are short and masked.
    socket.on("data", (data) => {
      for (let at = 0; at < data.length; at += 6 + (data[at + 1] & 127)) {
        if ((data[at] & 15) === 8) socket.end();
      }
    });
    for (const part of HOSTILE[request.url] ?? []) {
      if (part) socket.write(part);
      else socket.end(); // After what was written, without a Close frame.
    }
  });
  const port = await listen(server);
  return {
    url: `ws://127.0.0.1:${port}`,
    stop: () => (server.close(), sockets.forEach((socket) => socket.destroy())),
  };
}

/** The package and its tests, for a page. */
export async function fileServer() {
  const server = http.createServer(async ({url}, response) => {
    const file = path.join(ROOT, url);
    try {
      const page = url === "/";
      const content = page ? "<!doctype html><title>client</title>" : await readFile(file);
      response.writeHead(200, {"Content-Type": page ? "text/html" : "text/javascript"}).end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.on("upgrade", (_, socket) => socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n"));
  const port = await listen(server);
  return {origin: `http://127.0.0.1:${port}`, stop: () => (server.close(), server.closeAllConnections())};
}
