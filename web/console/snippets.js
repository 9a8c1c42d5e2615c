// The same call for a terminal or a program. A token is never written out.
import {contentOf, fromHex, toHex} from "./packet.js";

/** For a POSIX shell, as one word. */
export const shell = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

const camel = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
const at = (value, path) => path.split(".").reduce((object, name) => object?.[camel(name)] ?? object?.[name], value);

function without(value, paths) {
  const copy = structuredClone(value);
  for (const path of paths) {
    const names = path.split(".");
    const last = names.pop();
    const object = names.reduce((one, name) => one?.[camel(name)] ?? one?.[name], copy);
    if (object) {
      delete object[last];
      delete object[camel(last)];
    }
  }
  return copy;
}

function queryOf(value, prefix = "") {
  if (Array.isArray(value)) return value.flatMap((one) => queryOf(one, prefix));
  if (typeof value === "object" && value !== null) {
    return Object.entries(value).flatMap(([name, one]) => queryOf(one, prefix ? `${prefix}.${name}` : name));
  }
  return [[prefix, String(value)]];
}

/** The HTTP request of a google.api.http rule for a message: {verb, path, body}. */
export function httpRequest(rule, message) {
  const bound = [];
  const path = rule.path.replace(/\{([^}=]+)(?:=([^}]*))?\}/g, (_, name, pattern) => {
    bound.push(name);
    const value = at(message, name);
    const text = value === undefined ? (pattern ?? "*").replace(/\*+/g, name.toUpperCase()) : String(value);
    return text.split("/").map(encodeURIComponent).join("/");
  });
  const verb = rule.verb === "*" ? "POST" : rule.verb;
  let rest = without(message, bound);
  if (rule.body === "*") return {verb, path, body: rest};
  const body = rule.body ? at(rest, rule.body) ?? {} : undefined;
  if (rule.body) rest = without(rest, [rule.body]);
  const query = new URLSearchParams(queryOf(rest)).toString();
  return {verb, path: query ? `${path}?${query}` : path, body};
}

const compact = (message) => JSON.stringify(message);

const headersOf = (metadata, flag) => metadata.map((line) => ` ${flag} ${shell(`Grpc-Metadata-${line}`)}`).join("");

export function curl({origin, method, messages, hasToken, metadata, rulesArePublished}) {
  const rule = rulesArePublished ? method.http?.[0] : undefined;
  if (!rule) return undefined;
  const {verb, path, body} = httpRequest(rule, messages[0] ?? {});
  const parts = ["curl", "-sS"];
  if (verb !== "GET") parts.push("-X", verb);
  let command = parts.join(" ");
  if (hasToken) command += ' -H "Authorization: Bearer $TOKEN"';
  command += headersOf(metadata, "-H");
  if (body !== undefined) command += ` -d ${shell(compact(body))}`;
  return `${command} ${shell(origin + path)}`;
}

// Lines for `headgate dial`: what it reads for each codec, and the flags that say so.
function dialInput(codec, messages) {
  if (codec === "json") return {flags: "json", lines: messages.map(compact)};
  if (codec === "raw") return {flags: "raw", lines: messages};
  if (codec === "protobuf") return {flags: "protobuf --content hex", lines: messages.map((hex) => toHex(fromHex(hex)))};
  if (messages.some((packet) => packet.packets)) return {flags: "packet", lines: []};
  return {
    flags: "packet --packet line --content hex",
    lines: messages.map((packet) => `${packet.type}:${packet.who ?? 0} ${toHex(contentOf(packet))}`),
  };
}

export function dial({url, codec, messages, hasToken, metadata, streamsIn}) {
  const bearer = hasToken ? 'HEADGATE_BEARER="$TOKEN" ' : "";
  const {flags, lines} = dialInput(codec, messages);
  const command = `${bearer}headgate dial --codec ${flags}${headersOf(metadata, "--header")} ${shell(url)}`;
  if (lines.length === 0) return command;
  const input = lines.length > 1 || streamsIn ? `printf '%s\\n' ${lines.map(shell).join(" ")}` : `echo ${shell(lines[0])}`;
  return `${input} |\n  ${command}`;
}

const bytesLiteral = (bytes) => `new Uint8Array([${Array.from(bytes).join(", ")}])`;

// A message as the client takes it.
function literal(codec, message) {
  if (codec === "protobuf") return bytesLiteral(fromHex(message));
  if (codec !== "packet") return JSON.stringify(message);
  const content = message.packets
    ? `packets: [${message.packets.map((one) => literal(codec, one)).join(", ")}]`
    : `content: ${bytesLiteral(contentOf(message))}`;
  return `{type: ${Number(message.type)}, who: ${Number(message.who ?? 0)}, ${content}}`;
}

export function program({origin, address, codec, messages, hasToken, metadata, kind, halfCloses}) {
  const settings = [codec !== "json" && `codec: ${JSON.stringify(codec)}`, hasToken && "token: () => token"].filter(Boolean).join(", ");
  const name = JSON.stringify(address.includes(".") ? address.replace(/^\//, "") : address);
  const lines = [
    'import {Headgate} from "@headgate/client";',
    "",
    ...(metadata.length ? ["// Metadata needs headers, which a browser cannot set; in Node.js see the package's README."] : []),
    `const client = new Headgate(${JSON.stringify(origin.replace(/^http/, "ws"))}${settings && `, {${settings}}`});`,
  ];
  const requests = (messages.length ? messages : [{}]).map((message) => literal(codec, message));
  if (kind === "unary") {
    lines.push(`const response = await client.unary(${name}, ${requests[0]});`, "console.log(response);");
  } else if (kind === "serverStream") {
    lines.push(`for await (const message of client.serverStream(${name}, ${requests[0]})) {`, "  console.log(message);", "}");
  } else {
    lines.push(`const stream = client.${kind}(${name});`);
    for (const request of requests) lines.push(`await stream.send(${request});`);
    if (halfCloses) lines.push("stream.closeSend();");
    if (kind === "clientStream") lines.push("console.log(await stream.response);");
    else lines.push("for await (const message of stream) console.log(message);");
  }
  return lines.join("\n");
}
