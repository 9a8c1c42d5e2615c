// The four kinds of call with the demo's own types.
import {Headgate, HeadgateError} from "@headgate/client";
import WebSocket from "ws";
import {ChatService, EchoService, HelloService, LobbyService, type Book, type LobbyEvent_Kind} from "./gen/headgate.demo.v1.js";

const client = new Headgate(process.argv[2]!, {WebSocket});
const print = (...words: (string | undefined)[]) => console.log(...words);

const {reply} = await client.unary(HelloService.SayHello, {greeting: "ann"});
print("unary", reply);

for await (const {index = "0"} of client.serverStream(EchoService.Flood, {count: "2", size: 1})) print("server", index.padStart(2));

const moves = client.clientStream(LobbyService.Replay);
for (const x of [1, -2]) await moves.send({x});
moves.closeSend();
print("client", (await moves.response).distance);

const lobby = client.bidi(LobbyService.Join);
await lobby.send({player: "ann"});
for await (const {kind, player} of lobby) {
  const joined: LobbyEvent_Kind | undefined = kind;
  print("bidi", joined, player);
  lobby.closeSend();
}

const chat = client.subscribe("/chat" as typeof ChatService.Join, async (stream) => stream.send({messageType: "text", data: "hi"}));
for await (const {data} of chat) {
  print("subscribe", data);
  break;
}

try {
  await client.unary(EchoService.Fail, {code: 5, message: "no such room"});
} catch (error) {
  print("failure", (error as HeadgateError).name);
}
const book: Book = {title: "Dune", genre: "GENRE_NOVEL", published: new Date(0).toISOString(), copies: {north: 2}};
print("book", book.title, book.published);
