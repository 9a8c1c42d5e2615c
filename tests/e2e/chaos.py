"""A TCP proxy that treats its connections badly: each direction of each gets a
pace and a fault of its own, drawn from a seeded generator.

What is drawn for a connection depends on the seed and on its number alone, so
that a run can be repeated as far as the scheduler allows.
"""

import asyncio
import contextlib
import dataclasses
import os
import random
import socket
import struct
import threading
import time

CHUNK = 16384


def new_seed():
    """HEADGATE_CHAOS_SEED, or a new one. Printed, which pytest shows when the
    test fails."""
    seed = int(os.environ.get("HEADGATE_CHAOS_SEED") or time.time_ns() % 10**9)
    print(f"HEADGATE_CHAOS_SEED={seed}")
    return seed


class Cut(Exception):
    """The connection is over, for both sides and at once."""

    def __init__(self, with_reset):
        super().__init__()
        self.with_reset = with_reset


class HalfOpen(Exception):
    """From now on nothing gets through, and nobody is told."""

    def __init__(self, swallows):
        super().__init__()
        self.swallows = swallows


FREE, DELAYED, SINGLE_BYTES, TRICKLE = "free", "delayed", "bytes", "trickle"
PACES = {FREE: 6, DELAYED: 3, SINGLE_BYTES: 2, TRICKLE: 1}
FAULTS = {"none": 5, "fin": 1, "reset": 2, "half-close": 1, "frozen": 1,
          "swallowed": 1, "garbage": 2, "duplicated": 1, "truncated": 1,
          "flipped": 1}


@dataclasses.dataclass
class Treatment:
    """Of one direction of a connection."""
    pace: str = FREE
    fault: str = "none"
    after: int = 0  # Bytes that come through before the fault.

    @classmethod
    def draw(cls, dice):
        return cls(dice.choices(*zip(*PACES.items()))[0],
                   dice.choices(*zip(*FAULTS.items()))[0],
                   # As often within the first ten bytes as within 100 KB.
                   int(10 ** dice.uniform(0, 5)))


def reset(*sockets):
    for each in sockets:
        # Fails on one that the other side has reset.
        with contextlib.suppress(OSError):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))


class ChaosProxy:
    """Connections to `port` lead to `target`, (host, port). A thread of its
    own; every method may be called from any other.

    It has `host`, `port`, `target` and url() as a gateway and a backend have
    them, so that it can stand in for either.
    """

    def __init__(self, target, seed, spared=0.0, longest_life=None):
        """`spared`: the share of connections that are left alone. All are reset
        after `longest_life` seconds at most, if that is given."""
        self._to = target
        self._spared = spared
        self._longest_life = longest_life
        self._seed = seed
        self._calm = False
        self._count = 0
        self._connections = set()
        self._failures = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self.host, self.port = self._listener.getsockname()
        self.target = f"{self.host}:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def url(self, path):
        return f"ws://{self.target}{path}"

    def calm(self):
        """Cuts every connection; those to come are left alone."""
        self._call(self._calm_down)

    def stop(self):
        """Cuts every connection and listens no longer."""
        if not self._thread.is_alive():
            return
        self._call(self._stop)
        self._thread.join()
        assert not self._failures, self._failures

    def connections(self):
        """How many there have been."""
        return self._count

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    def _call(self, what):
        asyncio.run_coroutine_threadsafe(what(), self._loop).result(30)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        accepting = self._loop.create_task(self._accept())
        self._loop.run_forever()
        accepting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(accepting)
        self._listener.close()
        self._loop.close()

    async def _cut_all(self):
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _calm_down(self):
        self._calm = True
        await self._cut_all()

    async def _stop(self):
        await self._calm_down()
        self._loop.stop()

    async def _accept(self):
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            self._count += 1
            task = self._loop.create_task(self._serve(client, self._count))
            self._connections.add(task)
            task.add_done_callback(self._served)

    def _served(self, task):
        self._connections.discard(task)
        if not task.cancelled() and task.exception():
            self._failures.append(task.exception())

    # --- One connection ---

    async def _serve(self, client, number):
        server = socket.socket()
        with client, server:
            for each in (client, server):
                each.setblocking(False)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                await self._loop.sock_connect(server, self._to)
                await self._forward(client, server, number)
            except Cut as cut:
                if cut.with_reset:
                    reset(client, server)
            except (OSError, asyncio.CancelledError):
                reset(client, server)

    async def _forward(self, client, server, number):
        dice = random.Random(f"{self._seed}/{number}")
        spared = self._calm or dice.random() < self._spared
        life = None
        if self._longest_life and not self._calm:
            life = dice.uniform(0, self._longest_life)
        pumps = []
        for name, source, sink in (("up", client, server),
                                   ("down", server, client)):
            own = random.Random(f"{self._seed}/{number}/{name}")
            treatment = Treatment() if spared else Treatment.draw(own)
            pumps.append(self._loop.create_task(
                self._pump(source, sink, treatment, own)))
        try:
            await asyncio.wait_for(asyncio.gather(*pumps), life)
        except asyncio.TimeoutError:
            raise Cut(with_reset=True) from None
        except HalfOpen as end:
            await self._stop_pumps(pumps)
            if end.swallows:
                pumps = [self._loop.create_task(self._swallow(each))
                         for each in (client, server)]
            await asyncio.sleep(dice.uniform(0.1, 4))
            raise Cut(with_reset=True) from None
        finally:
            await self._stop_pumps(pumps)

    async def _stop_pumps(self, pumps):
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _swallow(self, source):
        with contextlib.suppress(OSError):
            while await self._loop.sock_recv(source, CHUNK):
                pass

    async def _pump(self, source, sink, treatment, dice):
        passed = 0
        while True:
            data = await self._loop.sock_recv(source, CHUNK)
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            left = treatment.after - passed
            passed += len(data)
            if treatment.fault == "none" or left > len(data):
                await self._send(sink, data, treatment.pace, dice)
                continue
            await self._send(sink, data[:left], treatment.pace, dice)
            rest = self._spoil(data[left:], treatment.fault, sink, dice)
            await self._send(sink, rest, treatment.pace, dice)
            treatment = Treatment(treatment.pace)

    def _spoil(self, data, fault, sink, dice):
        """What comes through in place of `data`."""
        if fault in ("fin", "reset"):
            raise Cut(with_reset=fault == "reset")
        if fault in ("frozen", "swallowed"):
            raise HalfOpen(swallows=fault == "swallowed")
        if fault == "half-close":
            sink.shutdown(socket.SHUT_WR)
            raise HalfOpen(swallows=True)
        if fault == "garbage":
            return dice.randbytes(dice.randrange(1, 200)) + data
        if fault == "duplicated":
            return data + data
        if fault == "truncated":
            return data[:dice.randrange(len(data) + 1)]
        assert fault == "flipped"
        if not data:
            return data
        spoilt = bytearray(data)
        spoilt[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        return bytes(spoilt)

    async def _send(self, sink, data, pace, dice):
        if pace == FREE:
            await self._loop.sock_sendall(sink, data)
        elif pace == DELAYED:
            await asyncio.sleep(dice.uniform(0, 0.1))
            await self._loop.sock_sendall(sink, data)
        elif pace == TRICKLE:  # About 20 KB a second.
            for begin in range(0, len(data), 400):
                await self._loop.sock_sendall(sink, data[begin:begin + 400])
                await asyncio.sleep(0.02)
        else:
            # After so many the point is made.
            for begin in range(0, len(data[:300])):
                await self._loop.sock_sendall(sink, data[begin:begin + 1])
                await asyncio.sleep(0)
            await self._loop.sock_sendall(sink, data[300:])
