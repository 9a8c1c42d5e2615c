"""Clients of hubs that take less than they are sent: what each policy costs them,
and what it costs the others."""

import asyncio
import collections
import contextlib
import re
import struct

import pytest

from client import Client
from harness import TIMEOUT, eventually
from hub_backend import Command, HubBackend, hub_pb, pb, text
from test_hub import CONFIG, broadcast, send, to
from test_hub_hostile import Crowd, until
from wire import RawClient


@pytest.fixture
def hub():
    with HubBackend() as backend:
        yield backend


@pytest.fixture
def start(configured, hub):
    return lambda settings="": configured(
        CONFIG.format(target=hub.target, hub=settings))


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


# --- slow.policy: block ---

BLOCK = "slow: {policy: block, max_bytes: 64KiB, warn_bytes: 16KiB}"
PERSONAL = """
threads: 2
upstreams: [{{name: default, target: "{target}"}}]
routes: [{{path: /, hub: {{{hub}}}}}]
"""


def test_a_stream_that_waits_loses_nothing(configured, hub):
    """The backend sends much more at once than connections and queues hold; the
    client gets all of it, in order."""
    gateway = configured(PERSONAL.format(target=hub.target, hub=BLOCK))
    count = 500
    with Client(gateway, "/") as client:
        who = hub.wait("joined").who
        for number in range(count):
            hub.send(send(who, f"{number} ".ljust(65536, ".")),
                     broadcast(f"{number} to all"))
        got = [int(client.receive().split()[0]) for _ in range(2 * count)]
        assert got == [number for number in range(count) for _ in range(2)]


def test_clients_that_never_read_hold_the_stream_up_once(configured, hub):
    """The backend sends to one after the other; a stream that waited 5 s for
    each would need minutes."""
    gateway = configured(PERSONAL.format(target=hub.target, hub=BLOCK))
    count = 50
    with contextlib.ExitStack() as stack:
        for number in range(count):
            slow = stack.enter_context(RawClient(gateway, receive_buffer=4096))
            slow.upgrade("/")
        whos = [joined.who for joined in hub.wait("joined", count)]
        client = stack.enter_context(Client(gateway, "/"))
        reader = hub.wait("joined", count + 1)[count].who
        for who in whos:
            hub.send(*(send(who, "x" * 65536) for _ in range(40)))
        hub.send(send(reader, "after"))
        client.send("heard meanwhile")
        hub.wait("message")
        assert client.receive(4 * TIMEOUT) == "after"

        def all_have_left():
            left = {event.who for event in hub.of_kind("left")}
            # However much connections hold.
            hub.send(*(send(who, "x" * 8192) for who in whos
                       if who not in left))
            return len(left) == count

        eventually(all_have_left, "all are too slow", 4 * TIMEOUT)
        for left in hub.of_kind("left"):
            assert left.who in whos
            assert left.left.end.code == 4008
            assert left.left.end.cause == hub_pb.SessionEnd.SLOW


def test_a_stream_that_waits_does_not_keep_the_gateway_from_stopping(
        configured, hub):
    gateway = configured(PERSONAL.format(target=hub.target, hub=BLOCK))
    with RawClient(gateway, receive_buffer=4096) as slow:
        slow.upgrade("/")
        who = hub.wait("joined").who
        hub.send(*(send(who, "x" * 65536) for _ in range(40)))
        hub.wait("backlog")
        gateway.stop()
        hub.wait("left")


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
