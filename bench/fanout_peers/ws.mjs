// npm's ws: what a client of /chat sends goes to all of them, as in the
// package's own example.
import {WebSocket, WebSocketServer} from 'ws';

const server = new WebSocketServer({
  host: '127.0.0.1', port: 0, perMessageDeflate: false, backlog: 4096});
const members = new Set();
server.on('listening', () => {
  console.log(`listening on 127.0.0.1:${server.address().port}`);
});
server.on('connection', (socket, request) => {
  if (request.url === '/echo') {
    socket.on('message', (data, isBinary) => socket.send(data, {binary: isBinary}));
    return;
  }
  members.add(socket);
  socket.on('close', () => members.delete(socket));
  socket.on('message', (data, isBinary) => {
    for (const member of members) {
      if (member.readyState === WebSocket.OPEN) {
        member.send(data, {binary: isBinary});
      }
    }
  });
});
