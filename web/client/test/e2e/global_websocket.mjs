// What a browser has, and Node.js from version 22 on.
import WebSocket from "ws";

globalThis.WebSocket ??= WebSocket;
