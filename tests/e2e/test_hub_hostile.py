"""Hubs under load and hostility: each client's messages against a model of
what it must have seen."""

import asyncio
import collections
import contextlib
import itertools
import random
import re
import resource
import struct
import threading
import time

import pytest
import websockets

from client import Client, connect
from harness import TIMEOUT, eventually, sanitized
from hub_backend import Command, HubBackend, hub_pb, pb, text
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


@pytest.mark.parametrize("policy, expected", [
    ("disconnect", 4008), ("drop-oldest", None), ("keep-latest", None)])
def test_a_client_that_reads_nothing_costs_the_others_nothing(
        start, hub, policy, expected):
    gateway = start("slow: {policy: %s, max_bytes: 64KiB, warn_bytes: 16KiB}"
                    % policy)

    async def run():
        crowd = Crowd(gateway, 20)
        await crowd.open()
        hub.wait("joined", 20)
        with RawClient(gateway, receive_buffer=4096) as slow:
            slow.upgrade("/rooms/1")
            slow_who = hub.wait("joined", 21)[20].who
            loop = asyncio.get_running_loop()
            count = 1500
            for number in range(count):
                message = f"{number:05}".ljust(4096, ".")
                hub.send(Command(broadcast=pb.Broadcast(
                    payload=text(message), key="k")))
                if number % 20 == 19:
                    await until(lambda: all(
                        len(got) > number - 15 for got in crowd.received),
                        "the others")
            await until(lambda: all(len(got) == count
                                    for got in crowd.received), "all")
            for got in crowd.received:
                assert [int(message[:5]) for message in got] == list(
                    range(count))
            # With keep-latest one message waits, which is less than the mark.
            assert any(event.backlog.over for event in hub.of_kind("backlog")
                       if event.who == slow_who) == (policy != "keep-latest")
            if expected is not None:
                left = await loop.run_in_executor(None, hub.wait, "left")
                assert left.who == slow_who
                assert left.left.end.cause == hub_pb.SessionEnd.SLOW
            else:
                # It gets what was on its way, then the newest.
                hub.send(Command(close=pb.Close(to=to(slow_who))))

                def read():
                    got = []
                    while True:
                        piece = slow.read_frame()
                        if piece.opcode == 8:
                            return got
                        got.append(int(piece.payload[:5]))

                got = await loop.run_in_executor(None, read)
                assert got == sorted(set(got))
                assert got[-1] == count - 1
                assert len(got) < count
                left = await loop.run_in_executor(None, hub.wait, "left")
                assert left.left.end.cause == hub_pb.SessionEnd.COMMAND
        await crowd.close()

    asyncio.run(run())


def dropped_total(gateway):
    return sum(float(value) for value in re.findall(
        r"^headgate_hub_dropped_total\{.*\} (\S+)$",
        gateway.admin("/metrics")[1], re.M))


def test_each_group_has_a_policy_of_its_own(configured, hub):
    """A client that reads nothing is in several groups: it gets all of the
    chat, the newest cursors, and the last price of each ticker."""
    gateway = configured(CONFIG.format(
        target=hub.target, hub="slow: {max_bytes: 64KiB, warn_bytes: 16KiB}") + """
hub:
  groups:
    - {pattern: "cursor:*", slow: drop-oldest}
    - {pattern: "ticker:*", slow: keep-latest}
""")
    count = 1500
    groups = ["cursor:1", "ticker:a", "ticker:b"]
    with RawClient(gateway, receive_buffer=4096) as slow:
        slow.upgrade("/rooms/1")
        who = hub.wait("joined").who
        hub.send(Command(join=pb.Join(whos=[who], groups=groups)))
        sent = collections.defaultdict(list)

        def publish(group, number, size=0):
            sent[group].append(number)
            return Command(broadcast=pb.Broadcast(
                to=to(groups=[group]), key="k",
                payload=text(f"{group} {number} ".ljust(size, "."))))

        for number in range(count):
            hub.send(*(publish(group, number, 4096) for group in groups))
            if number % 100 == 0:
                hub.send(publish("room:1", number))
        eventually(lambda: dropped_total(gateway) > count, "much is dropped")
        hub.send(Command(close=pb.Close(to=to(who))))
        got = collections.defaultdict(list)
        while (piece := slow.read_frame()).opcode != 8:
            group, number, *_ = piece.payload.decode().split()
            got[group].append(int(number))
        assert struct.unpack("!H", piece.payload[:2]) == (1000,)
        assert got["room:1"] == sent["room:1"]
        for group in groups:
            assert got[group] == sorted(set(got[group])), group
            assert got[group][-1] == count - 1, group
        # What is missing is what was dropped, and nothing else.
        missing = sum(len(sent[group]) - len(got[group]) for group in sent)
        hub.wait("left")
        eventually(lambda: dropped_total(gateway) == missing, "all is counted")


def pinned_bytes(gateway):
    line = re.search(r"^headgate_hub_pinned_bytes (\S+)$",
                     gateway.admin("/metrics")[1], re.M)
    return float(line[1])


def test_slow_clients_take_no_more_memory_than_they_may_together(
        configured, hub):
    """Their own limits would allow each all of it. The process's ends those
    that hold most, and the others get everything."""
    limit = 4 << 20
    gateway = configured(CONFIG.format(
        target=hub.target,
        hub="slow: {policy: drop-oldest, max_bytes: 256MiB,"
            " max_messages: 1000000}") +
        f"hub: {{limits: {{max_pinned_bytes: {limit >> 20}MiB}}}}\n"
        "timeouts: {send: 600s}\n")

    async def run():
        loop = asyncio.get_running_loop()
        crowd = Crowd(gateway, 10)
        await crowd.open()
        hub.wait("joined", 10)
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                slow = stack.enter_context(
                    RawClient(gateway, receive_buffer=4096))
                slow.upgrade("/rooms/1")
            slow_whos = {joined.who for joined in hub.wait("joined", 14)[10:]}
            most = 0
            count = 0
            while len(hub.of_kind("left")) < 4:
                assert count < 4000, "some are never ended"
                for _ in range(20):
                    hub.send(broadcast(f"{count:05}".ljust(4096, ".")))
                    count += 1
                await until(lambda: all(len(got) == count
                                        for got in crowd.received),
                            "the others")
                most = max(most, await loop.run_in_executor(
                    None, pinned_bytes, gateway))
            # What connections have besides is a message or two for each.
            assert limit / 4 < most < limit + (1 << 20), most
            for left in hub.of_kind("left"):
                assert left.who in slow_whos
                assert left.left.end.code == 4008
                assert left.left.end.cause == hub_pb.SessionEnd.SLOW
                assert left.left.end.messages_unsent > 0
        for got in crowd.received:
            assert [int(message[:5]) for message in got] == list(range(count))
        assert crowd.ends == [None] * 10
        # When the slow ones are gone nothing waits.
        await until(lambda: pinned_bytes(gateway) == 0, "free")
        await crowd.close()

    asyncio.run(run())


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
