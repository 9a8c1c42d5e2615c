// Everyone who is connected hears every message, the sender too.
import {$, fill, h} from "./dom.js";

const MOST_LINES = 300;
const NAMES = ["ann", "bob", "cleo", "dan", "eve", "finn", "gus", "hana"];

let socket;
$("name").value = NAMES[Math.floor(Math.random() * NAMES.length)];

function line(attributes, ...content) {
  const lines = $("lines");
  const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
  lines.append(h("p", attributes, content));
  while (lines.children.length > MOST_LINES) lines.firstElementChild.remove();
  if (atEnd) lines.scrollTop = lines.scrollHeight;
}

function show(connected) {
  $("connect").disabled = connected;
  $("close").disabled = $("text").disabled = $("send").disabled = !connected;
  $("name").readOnly = connected;
  if (connected) $("text").focus();
}

$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  const url = new URL("/chat", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(url, "headgate.json.v1");
  $("connect").disabled = true;
  socket.onopen = () => {
    show(true);
    line({class: "note"}, "connected");
  };
  socket.onmessage = ({data}) => {
    const {messageType = "", data: text = ""} = JSON.parse(data);
    const own = messageType === $("name").value;
    line({class: own ? "own" : "other"}, !own && messageType && h("b", {}, messageType), text);
  };
  socket.onclose = ({code, reason}) => {
    show(false);
    line({class: "note"}, `closed ${code}`, reason && `: ${reason}`);
  };
});

$("close").addEventListener("click", () => socket.close(1000));

$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (text === "") return;
  socket.send(JSON.stringify({messageType: $("name").value, data: text}));
  $("text").value = "";
});

fill($("lines"), h("p", {class: "note"}, "Connect, then open this page in a second tab."));
