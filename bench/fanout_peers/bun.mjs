// Bun's server (uWebSockets): topics are its way to send to many.
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  fetch(request, server) {
    const echo = new URL(request.url).pathname === '/echo';
    if (server.upgrade(request, {data: {echo}})) return undefined;
    return new Response('a WebSocket is wanted', {status: 426});
  },
  websocket: {
    open(socket) {
      if (!socket.data.echo) socket.subscribe('chat');
    },
    message(socket, message) {
      if (socket.data.echo) {
        socket.send(message);
      } else {
        server.publish('chat', message);
      }
    },
  },
});
console.log(`listening on 127.0.0.1:${server.port}`);
