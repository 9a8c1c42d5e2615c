"""Thousands of clients of headgate.hub.json.v1 in one thread: they join groups,
note what they hear, and when a connection ends come back to the next gateway
with their positions (docs/hub.md, "Clients that come back")."""

import asyncio
import contextlib
import json
import resource
import threading
import time

from client import HUB_JSON
from harness import TIMEOUT, eventually
from wire import CLOSE, PING, PONG, TEXT, frame, upgrade_request

AGAIN = 0.2  # Seconds before a join that failed is tried again.


def raise_descriptors():
    """How many sockets this process and those it starts may have each."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Member(asyncio.Protocol):
    """One client, over all of its connections. `notes`: for each group what it
    has heard, in order:

        ("joined", epoch, offset, recovered, missed)  Offset None: no history.
        ("delivery", content, offset)
        ("gap", after, before)                        before 0: it is not said.
        ("away",)                                     The connection has ended.
    """

    def __init__(self, gateways, home, groups):
        """`gateways`: a list whose elements have `gateway`, which has `host`
        and `port`; it may change. `home`: the index of the one to begin with."""
        self.gateways = gateways
        self.home = home
        self.groups = list(groups)
        self.notes = {group: [] for group in groups}
        self.positions = {}  # {group: [epoch, offset]}
        self.due = {}  # {group: deliveries that a join has announced}
        self.waiting = set()  # Groups whose join was not answered.
        self.connections = 0
        self.ends = []  # (close code, reason) of each that was told.
        self.faults = []
        self.is_open = False
        self.back_at = None  # When all groups were joined and had their missed.
        self._asks = []
        self._leaving = False

    async def connect(self, joins=True):
        """Until a gateway has taken the handshake."""
        self._joins = joins
        loop = asyncio.get_running_loop()
        while not self._leaving:
            gateway = self.gateways[self.home % len(self.gateways)].gateway
            self._ready = loop.create_future()
            with contextlib.suppress(OSError):
                await loop.create_connection(lambda: self, gateway.host,
                                             gateway.port)
                if await self._ready:
                    return
            self.home += 1
            await asyncio.sleep(0.05)

    def come_back(self):
        """Joins all groups, behind what was heard of each."""
        self.back_at = None
        self.waiting = set(self.groups)
        self._transport.write(b"".join(map(self._join, self.groups)))

    def leave(self):
        self._leaving = True
        if self.is_open:
            self._transport.abort()

    def drop(self):
        """The connection is lost, and the client does not come back by
        itself."""
        self._joins = None
        self._transport.abort()

    # --- asyncio.Protocol ---

    def connection_made(self, transport):
        self._transport = transport
        self._rest = b""
        self._upgraded = False
        transport.write(upgrade_request(
            "/play", [("Sec-WebSocket-Protocol", HUB_JSON)]))

    def connection_lost(self, error):
        was_open, self.is_open = self.is_open, False
        if not self._ready.done():
            self._ready.set_result(False)
        if not was_open:
            return
        for notes in self.notes.values():
            notes.append(("away",))
        if self._joins is not None and not self._leaving:
            self.home += 1
            self._returning = asyncio.get_running_loop().create_task(
                self.connect())

    def data_received(self, data):
        try:
            self._take(self._rest + data if self._rest else data)
        except Exception as fault:  # Reported at the end of the test.
            self.faults.append(fault)
            self._transport.abort()

    def _take(self, data):
        at = 0
        if not self._upgraded:
            head, found, _ = data.partition(b"\r\n\r\n")
            if not found:
                self._rest = data
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self._transport.abort()
                return
            at = len(head) + 4
            self._upgraded = self.is_open = True
            self.connections += 1
            self._asks = []
            if self._joins:
                self.come_back()
            self._ready.set_result(True)
        end = len(data)
        while end - at >= 2:
            begin, size = at + 2, data[at + 1]
            if size >= 126:
                wide = 2 if size == 126 else 8
                size = int.from_bytes(data[begin:begin + wide], "big")
                begin += wide
            if end < begin + size:
                break
            self._hear(data[at] & 0x0F, data[begin:begin + size])
            at = begin + size
        self._rest = data[at:]

    def _hear(self, opcode, payload):
        if opcode == TEXT:
            heard = json.loads(payload)
            if (delivery := heard.get("delivery")) is not None:
                self._deliver(delivery)
            elif (gap := heard.get("gap")) is not None:
                self.notes[gap["group"]].append(
                    ("gap", int(gap.get("after", 0)), int(gap.get("before", 0))))
            elif "id" in heard:
                self._answered(self._asks[heard["id"] - 1], heard)
        elif opcode == PING:
            self._transport.write(frame(PONG, payload))
        elif opcode == CLOSE:
            self.ends.append((int.from_bytes(payload[:2], "big"),
                              payload[2:].decode()))
            self._transport.write(frame(CLOSE, payload[:2]))

    def _deliver(self, delivery):
        group = delivery["group"]
        offset = int(delivery.get("offset", 0))
        self.notes[group].append(("delivery", tuple(delivery["payload"]),
                                  offset))
        if offset:
            self.positions[group][1] = offset
        if self.due.get(group):
            self.due[group] -= 1
            self._arrived()

    def _join(self, group):
        self._asks.append(group)
        join = {"group": group}
        if group in self.positions:
            epoch, offset = self.positions[group]
            join["after"] = {"epoch": epoch, "offset": str(offset)}
        return frame(TEXT, json.dumps({"id": len(self._asks),
                                       "join": join}).encode())

    def _answered(self, group, answer):
        joined = answer.get("joined")
        if joined is None:
            code = answer["error"]["code"]
            assert code == 14, answer  # NATS is away.
            connection = self._transport
            asyncio.get_running_loop().call_later(
                AGAIN, lambda: connection is self._transport and
                self.is_open and connection.write(self._join(group)))
            return
        position = joined.get("position")
        recovered = joined.get("recovered", False)
        missed = joined.get("missed", 0)
        if position is None:
            self.notes[group].append(("joined", "", None, False, 0))
        else:
            epoch, offset = position["epoch"], int(position.get("offset", 0))
            self.notes[group].append(("joined", epoch, offset, recovered,
                                      missed))
            if not recovered:
                self.positions[group] = [epoch, offset]
        self.due[group] = missed
        self.waiting.discard(group)
        self._arrived()

    def _arrived(self):
        if not self.waiting and not any(self.due.values()):
            self.back_at = time.monotonic()


class Crowd:
    """The members' thread."""

    def __init__(self):
        self.members = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def connect(self, members, joins=True):
        """Waits until each has done its handshake, and with `joins` until all
        joins were answered."""
        self.members += [each for each in members if not each.connections]
        self._wait(self._connect(members, joins))
        if joins:
            wait_for_all(members, lambda each: each.back_at, "the groups")

    async def _connect(self, members, joins):
        places = asyncio.Semaphore(200)

        async def one(member):
            async with places:
                await member.connect(joins)

        await asyncio.gather(*map(one, members))

    def each(self, members, act):
        """act(member) in the members' thread, for all at once."""

        async def run():
            for member in members:
                act(member)

        self._wait(run())

    def check(self):
        """No member has heard what it does not understand."""
        for member in self.members:
            assert not member.faults, member.faults

    def _wait(self, work):
        asyncio.run_coroutine_threadsafe(work, self._loop).result(4 * TIMEOUT)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.each(self.members, Member.leave)
        self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self):
        tasks = [task for task in asyncio.all_tasks()
                 if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def wait_for_all(members, condition, what, timeout=4 * TIMEOUT):
    """Until condition(member) was true for each."""
    left = list(members)

    def done():
        left[:] = [each for each in left if not condition(each)]
        return not left

    try:
        eventually(done, what, timeout)
    except AssertionError:
        raise AssertionError(
            f"{len(left)} members wait for {what}; the first: "
            f"{left[0].home}, {left[0].is_open}, {sorted(left[0].waiting)[:5]}, "
            f"{left[0].ends}, {left[0].faults}") from None
