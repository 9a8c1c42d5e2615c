"""Hubs under load and hostility: each client's messages against a model of
what it must have seen."""

import asyncio
import collections
import contextlib
import itertools
import random
import resource
import threading
import time

import pytest
import websockets

from client import Client, connect
from harness import TIMEOUT, eventually, sanitized
from hub_backend import Command, HubBackend, pb, text
from test_hub import CONFIG, broadcast, send, to
from wire import BINARY, RawClient, frame

# Each takes a file descriptor here and in the gateway.
MOST = 500 if sanitized() else 3000
SOCKETS = 200 if sanitized() else 2000


def with_descriptors_for(count):
    """Raises this process's limit, which the gateway inherits; how many
    sockets it allows, at most `count`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = min(hard, max(soft, count + 500))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return min(count, limit - 500)


class HaltingBackend(HubBackend):
    """Reads no further than `halt_at` resumed sessions of a stream."""

    def __init__(self):
        self.halt_at = None
        self.halted = threading.Event()
        self.go_on = threading.Event()
        super().__init__()

    def _note(self, stream, event, commands):
        super()._note(stream, event, commands)
        if self.halt_at is None or not event.joined.resumed:
            return
        if sum(each.joined.resumed for each in stream) == self.halt_at:
            self.halted.set()
            self.go_on.wait()
            raise ConnectionError  # Nothing of the rest is heard.


@pytest.fixture
def hub():
    with HubBackend() as backend:
        yield backend


@pytest.fixture
def start(configured, hub):
    return lambda settings="": configured(
        CONFIG.format(target=hub.target, hub=settings))


def check_lives(hub):
    """Each session: one Joined first, one Left last, no number twice."""
    lives = collections.defaultdict(list)
    for event in list(hub.events):
        if event.who:
            lives[event.who].append(event)
    sessions = {}
    for who, events in lives.items():
        kinds = [event.WhichOneof("kind") for event in events]
        first = [event for event in events
                 if event.WhichOneof("kind") == "joined"
                 and not event.joined.resumed]
        assert len(first) <= 1, (who, kinds)
        assert kinds[0] == "joined", (who, kinds)
        assert kinds.count("left") <= 1, (who, kinds)
        if "left" in kinds:
            assert kinds[-1] == "left", (who, kinds)
        ids = {event.joined.session.session for event in events
               if event.WhichOneof("kind") == "joined"}
        assert len(ids) == 1, (who, ids)
        sessions.setdefault(ids.pop(), who)
    assert len(sessions) == len(lives)
    return lives


class Crowd:
    """Many clients in one event loop. `received`: what each got."""

    def __init__(self, gateway, count, path="/rooms/1"):
        self.gateway, self.count, self.path = gateway, count, path
        self.sockets = []
        self.received = [[] for _ in range(count)]
        self.ends = [None] * count

    async def open(self):
        gate = asyncio.Semaphore(50)

        async def one():
            async with gate:
                return await connect(self.gateway, self.path)

        self.sockets = await asyncio.gather(
            *(one() for _ in range(self.count)))
        self.readers = [asyncio.create_task(self._read(number))
                        for number in range(self.count)]

    async def _read(self, number):
        try:
            async for message in self.sockets[number]:
                self.received[number].append(message)
        except websockets.ConnectionClosed as closed:
            self.ends[number] = closed.rcvd and closed.rcvd.code

    async def close(self):
        await asyncio.gather(*(socket.close() for socket in self.sockets),
                             return_exceptions=True)
        await asyncio.gather(*self.readers, return_exceptions=True)


async def until(condition, what, timeout=TIMEOUT):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)


def test_the_backend_dies_in_the_midst_of_a_flood_and_of_the_replay(
        configured):
    count = with_descriptors_for(SOCKETS)
    with HaltingBackend() as hub:
        gateway = configured(CONFIG.format(
            target=hub.target, hub="hold: 600s, admission_timeout: 60s"))
        used = []
        for _ in range(3):
            flood_while_the_backend_dies(gateway, hub, count)
            eventually(lambda: len(hub.of_kind("left")) == count,
                       "all have left", 3 * TIMEOUT)
            lives = check_lives(hub)
            assert len(lives) == count
            # Messages of each client arrived in order, and none twice.
            for events in lives.values():
                said = [event.message.payload.text.split() for event in events
                        if event.WhichOneof("kind") == "message"]
                numbers = [int(number) for _, number in said]
                assert numbers == sorted(set(numbers))
                assert len({client for client, _ in said}) <= 1
            incarnations = {stream[0].hello.incarnation
                            for stream in hub.streams if stream}
            assert len(incarnations) == 1
            used.append(gateway.rss())
            hub.events.clear()
        # What the first has used is used again.
        assert used[2] - used[0] < (200 if sanitized() else 30) << 20, used


def flood_while_the_backend_dies(gateway, hub, count):
    """It is killed while all clients send, and then while it learns of the
    sessions, and nobody is lost."""

    async def run():
        loop = asyncio.get_running_loop()
        crowd = Crowd(gateway, count)
        await crowd.open()
        await loop.run_in_executor(None, hub.wait, "joined", count)
        flooding = True

        async def flood(socket, number):
            for said in itertools.count():
                if not flooding:
                    return
                await socket.send(f"{number} {said}")
                await asyncio.sleep(count / 10_000)

        floods = [asyncio.create_task(flood(socket, number))
                  for number, socket in enumerate(crowd.sockets)]
        await until(lambda: len(hub.of_kind("message")) > count, "a flood")
        hub.halt_at = count // 4
        hub.halted.clear()
        hub.go_on.clear()
        await loop.run_in_executor(None, hub.stop)
        await loop.run_in_executor(None, hub.restart)
        await until(hub.halted.is_set, "a replay", 3 * TIMEOUT)
        assert not hub.of_kind("replayed")
        await loop.run_in_executor(None, hub.stop)
        hub.halt_at = None
        hub.go_on.set()
        await loop.run_in_executor(None, hub.restart)
        await until(lambda: hub.of_kind("replayed"), "replayed", 3 * TIMEOUT)
        flooding = False
        await asyncio.gather(*floods)

        # Everybody is still there, and hears what is said now.
        hub.send(broadcast("the end"))
        await until(lambda: all(crowd.received), "the end", 3 * TIMEOUT)
        assert all(messages == ["the end"] for messages in crowd.received)
        assert crowd.ends == [None] * count
        await crowd.close()

    asyncio.run(run())


def test_a_room_with_a_model_of_who_must_have_seen_what(start, hub):
    """Random joins, leaves, broadcasts and closes, in one order."""
    gateway = start()
    chance = random.Random(20)

    async def run():
        count = 40
        crowd = Crowd(gateway, count, "/rooms/model")
        await crowd.open()
        joined = hub.wait("joined", count)
        # Which client is which, by a message of its own.
        for number, socket in enumerate(crowd.sockets):
            await socket.send(f"i am {number}")
        messages = hub.wait("message", count)
        whos = {int(event.message.payload.text.split()[-1]): event.who
                for event in messages}
        assert set(whos.values()) == {event.who for event in joined}
        groups = {number: {"room:model"} for number in range(count)}
        expected = [[] for _ in range(count)]
        open_ = set(range(count))
        names = ["g1", "g2", "a.b", "*", ">", "$JS.API.STREAM.DELETE.x",
                 "line\r\nbreak", "ü" * 64]
        for step in range(1500):
            what = chance.random()
            some = chance.sample(range(count), chance.randint(1, 5))
            name = chance.choice(names)
            if what < 0.25:
                hub.send(Command(join=pb.Join(
                    whos=[whos[n] for n in some], groups=[name])))
                for number in some:
                    groups[number].add(name)
            elif what < 0.4:
                hub.send(Command(leave=pb.Leave(
                    whos=[whos[n] for n in some], groups=[name])))
                for number in some:
                    groups[number].discard(name)
            elif what < 0.9:
                out = set(some)
                hub.send(broadcast(f"{step}", to(
                    groups=[name, "g1"],
                    except_whos=[whos[n] for n in some])))
                for number in open_ - out:
                    if groups[number] & {name, "g1"}:
                        expected[number].append(f"{step}")
            elif what < 0.99:
                hub.send(send(whos[some[0]], f"to you {step}"))
                if some[0] in open_:
                    expected[some[0]].append(f"to you {step}")
            elif len(open_) > 10:
                hub.send(Command(close=pb.Close(
                    to=to(whos[some[0]]), code=4000 + 500,
                    farewell=text("bye"))))
                if some[0] in open_:
                    expected[some[0]].append("bye")
                    open_.discard(some[0])
        hub.send(broadcast("end"))
        for number in open_:
            expected[number].append("end")
        await until(lambda: all(len(crowd.received[n]) >= len(expected[n])
                                for n in range(count)), "all messages")
        assert crowd.received == expected
        await until(lambda: all(crowd.ends[n] == 4500
                                for n in set(range(count)) - open_), "ends")
        await crowd.close()

    asyncio.run(run())
    check_lives(hub)


def test_a_large_room_fills_speaks_and_empties(start, hub):
    """Thousands of members, each in a group of its own besides."""
    count = with_descriptors_for(MOST)
    gateway = start("admission_timeout: 60s")

    async def run():
        crowd = Crowd(gateway, count)
        await crowd.open()
        whos = [event.who for event in hub.wait("joined", count)]
        # Joins and leaves of everybody at once, behind each other.
        hub.send(Command(join=pb.Join(whos=whos, groups=["all", "half"])),
                 Command(leave=pb.Leave(whos=whos[::2], groups=["half"])),
                 *(Command(join=pb.Join(whos=[who], groups=[f"own:{who}"]))
                   for who in whos),
                 broadcast("all", to(groups=["all"])),
                 broadcast("half", to(groups=["half"])),
                 broadcast("one", to(groups=[f"own:{whos[0]}"])),
                 broadcast("end"))
        await until(lambda: all(received[-1:] == ["end"]
                                for received in crowd.received), "the end",
                    3 * TIMEOUT)
        seen = collections.Counter(
            tuple(received) for received in crowd.received)
        others = count - len(whos[::2])
        assert seen == {("all", "one", "end"): 1,
                        ("all", "end"): len(whos[::2]) - 1,
                        ("all", "half", "end"): others}
        assert gateway.metric("headgate_hub_groups") == count + 3
        await crowd.close()

    asyncio.run(run())
    eventually(lambda: len(hub.of_kind("left")) == count, "all have left")
    check_lives(hub)
    eventually(lambda: gateway.metric("headgate_hub_groups") == 0, "no group")
    assert gateway.metric("headgate_hub_sessions") == 0


def test_a_backend_that_never_reads_stops_clients_and_keeps_memory(
        start, hub):
    hub.policy = None
    gateway = start("admission: open")
    hub.reading.clear()
    before = gateway.rss()

    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(20):
            client = stack.enter_context(RawClient(gateway))
            client.upgrade("/rooms/1")
            clients.append(client)
        message = frame(BINARY, b"x" * 30000)
        taken = [client.send_until_blocked(message, 0.3)
                 for client in clients]
        assert max(taken) < 16 << 20
        assert gateway.rss() - before < (400 if sanitized() else 60) << 20
        hub.reading.set()
        # It goes on when the backend does.
        eventually(lambda: clients[0].send_until_blocked(message, 0.3, 1) > 0,
                   "the client's turn")


def test_a_million_commands_for_sessions_that_left(start, hub):
    gateway = start()
    with Client(gateway, "/rooms/1") as client:
        who = hub.wait("joined").who
        with Client(gateway, "/rooms/1"):
            gone = hub.wait("joined", 2)[1].who
        hub.wait("left")
        before = gateway.rss()
        batch = [send(gone, "x") for _ in range(10_000)]
        for _ in range(20 if sanitized() else 100):
            hub.send(*batch)
        hub.send(send(who, "after"))
        assert client.receive() == "after"
        assert gateway.rss() - before < (600 if sanitized() else 100) << 20


def test_paths_that_are_not_utf8_do_not_reach_the_stream(start, hub):
    gateway = start()
    with RawClient(gateway) as client:
        assert client.request("/rooms/%FF%FE").status == 400
    with RawClient(gateway) as client:
        assert client.request("/rooms/" + "g" * 200).status == 400
    with Client(gateway, "/rooms/%C3%BC") as client:
        joined = hub.wait("joined")
        assert joined.joined.path_variables["room"] == "ü"
        hub.send(broadcast("hi", to(groups=["room:ü"])))
        assert client.receive() == "hi"
    assert len(hub.of_kind("joined")) == 1


class Raw:
    """A message of the backend's that is only bytes."""

    def __init__(self, data):
        self._data = data

    def SerializeToString(self):
        return self._data


def test_a_message_that_is_none_costs_only_the_stream(start, hub):
    gateway = start()
    with Client(gateway, "/rooms/1") as client:
        hub.wait("joined")
        # A string that is not UTF-8, which the gateway's parser refuses.
        bad = pb.ToGateway(commands=[send(1, "xxxx")]).SerializeToString()
        hub._commands.put(Raw(bad.replace(b"xxxx", b"\xff\xff\xff\xff")))
        hub.wait("replayed")
        hub.send(broadcast("still here"))
        assert client.receive() == "still here"
