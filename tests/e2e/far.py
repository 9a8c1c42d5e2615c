"""A proxy that makes a backend one that is far away: what comes goes on later,
and nothing waits for want of room."""

import asyncio
import contextlib
import threading


class Way:
    """One direction of a connection."""

    def __init__(self, reader, writer, delay):
        self._reader = reader
        self._writer = writer
        self._delay = delay
        self._queue = asyncio.Queue()  # Of (when it arrives, bytes).
        self._under_way = 0
        self.most_under_way = 0  # The most bytes at a time.

    async def run(self):
        await asyncio.gather(self._take(), self._give())

    async def _take(self):
        clock = asyncio.get_running_loop()
        data = b"x"
        while data:
            try:
                data = await self._reader.read(1 << 16)
            except ConnectionError:
                data = b""
            self._under_way += len(data)
            self.most_under_way = max(self.most_under_way, self._under_way)
            self._queue.put_nowait((clock.time() + self._delay, data))

    async def _give(self):
        clock = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while True:
                due, data = await self._queue.get()
                await asyncio.sleep(max(0, due - clock.time()))
                if not data:
                    break
                self._under_way -= len(data)
                self._writer.write(data)
                await self._writer.drain()
        self._writer.close()


class FarProxy:
    """Connections to `target` lead to the target that it is given,
    `host:port` or `unix:/path`. A thread of its own."""

    def __init__(self, target, delay):
        """`delay`: seconds, each way."""
        self._to = target
        self._delay = delay
        self._from_backend = []  # A Way for each connection.
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def connections(self):
        """How many there have been."""
        return len(self._from_backend)

    @property
    def most_under_way(self):
        """The most bytes that were on their way from the backend at a time, on
        one connection."""
        return max(way.most_under_way for way in self._from_backend)

    def __enter__(self):
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(self, *error):
        self._loop.call_soon_threadsafe(self._server.cancel)
        self._thread.join()

    def _run(self):
        async def serve():
            self._server = asyncio.current_task()
            server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
            host, port = server.sockets[0].getsockname()
            self.target = f"{host}:{port}"
            self._listening.set()
            await server.serve_forever()

        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(serve())
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(task)
        self._loop.close()

    async def _forward(self, reader, writer):
        if self._to.startswith("unix:"):
            far = await asyncio.open_unix_connection(
                self._to.removeprefix("unix:"))
        else:
            far = await asyncio.open_connection(*self._to.rsplit(":", 1))
        back = Way(far[0], writer, self._delay)
        self._from_backend.append(back)
        await asyncio.gather(Way(reader, far[1], self._delay).run(),
                             back.run())
