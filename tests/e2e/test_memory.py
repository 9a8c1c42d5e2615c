"""limits.max_memory (docs/security.md): what the process may use, whatever its
clients do together."""

import contextlib
import json
import threading
import time

import pytest

from client import HELLO, JSON, Client, call_json, refusal
from harness import Gateway, eventually, sanitized
from http2_wire import (END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE,
                        H2Client, block, h2_frame, request_fields)
from wire import BINARY, CLOSE, PING, TEXT, RawClient, frame, message

BIDI = HELLO + "BidiHello"
LOTS = HELLO + "LotsOfReplies"
MIB = 1 << 20

pytestmark = pytest.mark.skipif(
    sanitized(), reason="its memory is the sanitizer's")


def used(gateway):
    return gateway.metric("headgate_memory_used_bytes")


def closed_for_memory(gateway):
    return gateway.metric("headgate_limits_hit_total", limit="max_memory")


def with_room(stack, room, *flags):
    """A gateway that may use so much more memory than it does at rest. It does
    not ping: a client answers only while the test reads from it."""
    idle = stack.enter_context(Gateway.demo())
    call_json(idle, BIDI, {"greeting": "ann"}, half_close=True)
    limit = int(used(idle)) + room
    assert limit > room
    return stack.enter_context(Gateway.demo("--max-memory", str(limit),
                                            "--keepalive-interval", "1h",
                                            *flags)), limit


# Nine tenths of a message each, and pings are answered: it goes on for as long
# as timeouts.message lets it, which a client that sends a little can draw out.
def test_half_sent_messages_do_not_take_all_memory(stack):
    gateway, limit = with_room(stack, 64 * MIB)
    honest = stack.enter_context(Client(gateway, BIDI, JSON))
    half = frame(TEXT, b'{"greeting":"' + b"x" * MIB, length=MIB - 100)[:900_000]
    clients, refused = [], 0
    highest = 0
    for _ in range(300):
        client = RawClient(gateway)
        stack.callback(client.close)
        try:
            if client.request(BIDI).status == 503:
                refused += 1
                if refused > 20:
                    break
                time.sleep(0.05)
                continue
            client.send(half)
        except (ConnectionError, EOFError):
            continue
        clients.append(client)
        highest = max(highest, gateway.rss())
    assert refused > 0
    assert gateway.metric("headgate_handshakes_refused_total",
                          reason="overloaded") >= refused
    assert used(gateway) < limit
    gateway.wait_for_log("memory is short, new sessions are refused")
    # Who holds nothing is served.
    honest.send({"greeting": "ann"})
    assert honest.receive_json() == {"reply": "hello, ann"}
    for client in clients:
        client.close()
    eventually(lambda: refusal_or_none(gateway) is None, "there is room again")
    gateway.wait_for_log("there is memory again, new sessions are taken")


def refusal_or_none(gateway):
    with RawClient(gateway) as client:
        status = client.request(BIDI).status
    return None if status == 101 else status


# They were let in with nothing in their hands, and then all begin at once.
def test_sessions_that_hold_most_are_closed_with_1013(stack):
    gateway, limit = with_room(stack, 64 * MIB)
    honest = [stack.enter_context(Client(gateway, BIDI, JSON))
              for _ in range(20)]
    greedy = [stack.enter_context(RawClient(gateway)) for _ in range(150)]
    for client in greedy:
        client.upgrade(BIDI)
    half = frame(TEXT, b'{"greeting":"' + b"x" * MIB, length=MIB - 100)[:900_000]
    highest = 0
    for client in greedy:
        with contextlib.suppress(ConnectionError):
            client.send(half)
        highest = max(highest, gateway.rss())
    closed = eventually(lambda: closed_for_memory(gateway), "some are closed")
    eventually(lambda: used(gateway) < limit * 0.95, "enough are closed")
    time.sleep(3)  # And no more than that.
    count = closed_for_memory(gateway)
    assert closed <= count < len(greedy) * 0.9, count
    assert highest < limit + 64 * MIB, (highest, limit)
    codes = []
    for client in greedy:
        with contextlib.suppress(ConnectionError, EOFError):
            while client.readable():
                received = client.read_frame()
                if received.opcode == CLOSE:
                    codes.append(int.from_bytes(received.payload[:2], "big"))
                    break
    assert codes.count(1013) > len(codes) * 0.9 and len(codes) > count / 2
    for client in honest:
        client.send({"greeting": "bob"})
        assert client.receive_json() == {"reply": "hello, bob"}
    gateway.wait_for_log("sessions that hold most are closed")
    gateway.wait_for_log("limit=max_memory")


# One of these is a client that fills several hundred sockets as fast as the
# network takes it, all at once: between two looks at the memory comes a lot.
def test_flood_of_many_sockets_at_once_stays_near_the_limit(stack):
    gateway, limit = with_room(stack, 128 * MIB, "--max-sessions-per-address",
                               "0", "--max-connections-per-address", "0")
    honest = stack.enter_context(Client(gateway, BIDI, JSON))
    clients = [stack.enter_context(RawClient(gateway)) for _ in range(400)]
    for client in clients:
        client.upgrade(BIDI)
    half = frame(TEXT, b'{"greeting":"' + b"x" * MIB, length=MIB - 100)[:900_000]
    highest, done = [0], threading.Event()

    def watch():
        while not done.is_set():
            highest[0] = max(highest[0], gateway.rss())
            time.sleep(0.001)

    def fill(some):
        for client in some:
            with contextlib.suppress(OSError):
                client.send(half)

    watching = threading.Thread(target=watch)
    watching.start()
    filling = [threading.Thread(target=fill, args=(clients[i::8],))
               for i in range(8)]
    for thread in filling:
        thread.start()
    for thread in filling:
        thread.join()
    eventually(lambda: closed_for_memory(gateway), "some are closed")
    eventually(lambda: used(gateway) < limit * 0.95, "enough are closed")
    time.sleep(1)
    done.set()
    watching.join()
    closed = closed_for_memory(gateway)
    print(f"limit {limit / MIB:.0f} MiB, highest resident {highest[0] / MIB:.0f}"
          f" MiB, {closed:.0f} sessions closed")
    assert highest[0] < 1.35 * limit + 32 * MIB, (highest, limit)
    assert 0 < closed < len(clients)
    honest.send({"greeting": "ann"})
    assert honest.receive_json() == {"reply": "hello, ann"}


# What a client does not take is dropped, and it is cut off.
def test_slow_readers_do_not_take_all_memory(stack):
    gateway, limit = with_room(stack, 64 * MIB)
    honest = stack.enter_context(Client(gateway, BIDI, JSON))
    readers = []
    for _ in range(60):
        client = stack.enter_context(RawClient(gateway, receive_buffer=4096))
        client.upgrade("/echo")
        readers.append(client)
    for client in readers:
        for _ in range(4):
            with contextlib.suppress(ConnectionError, TimeoutError):
                client.send_until_blocked(frame(BINARY, b"x" * 1_000_000), 0.02)
    eventually(lambda: closed_for_memory(gateway), "some are closed")
    eventually(lambda: used(gateway) < limit, "enough are closed")
    assert gateway.rss() < limit + 64 * MIB
    honest.send({"greeting": "ann"})
    assert honest.receive_json() == {"reply": "hello, ann"}


# The allocator would keep it for good.
def test_what_a_burst_has_used_is_given_back(stack):
    gateway = stack.enter_context(Gateway.demo(
        "--stall-timeout", "1s", "--send-timeout", "1s"))
    before = used(gateway)
    with contextlib.ExitStack() as clients:
        for _ in range(60):
            client = clients.enter_context(
                RawClient(gateway, receive_buffer=4096))
            client.upgrade("/echo")
            for _ in range(4):
                with contextlib.suppress(ConnectionError, TimeoutError):
                    client.send_until_blocked(frame(BINARY, b"x" * 1_000_000),
                                              0.02)
        assert used(gateway) > before + 100 * MIB
    eventually(lambda: used(gateway) < 64 * MIB, "it is given back")


def test_the_limit_is_a_share_of_the_machines_by_default(demo):
    assert demo.metric("headgate_memory_limit_bytes") > 100 * MIB
    assert 0 < used(demo) < demo.rss()


def test_without_a_limit_there_is_none(stack):
    gateway = stack.enter_context(Gateway.demo("--max-memory", "0"))
    assert gateway.metric("headgate_memory_limit_bytes") == 0
    assert call_json(gateway, BIDI, {"greeting": "ann"},
                     half_close=True) == [{"reply": "hello, ann"}]


# Over HTTP/2 a few bytes repeat a long field, and a request that is refused
# belongs to no session.
def test_refused_streams_do_not_take_all_memory(stack):
    gateway, limit = with_room(stack, 128 * MIB)
    fields = block(*request_fields("GET", "/nothing"))
    name, value = b"x-long", b"v" * 3600
    # A literal with incremental indexing; then it is the newest dynamic entry.
    literal = (b"\x40" + bytes([len(name)]) + name
               + b"\x7f" + _varint(len(value) - 127) + value)
    indexed = b"\xbe" * 4
    requests = b"".join(
        h2_frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * i,
                 fields + (literal + indexed[1:] if i == 0 else indexed))
        for i in range(100))
    # Their windows are closed: no response is taken.
    clients = [H2Client(gateway, settings=[(INITIAL_WINDOW_SIZE, 0)])
               for _ in range(150)]
    for client in clients:
        stack.callback(client.close)
    rest = gateway.rss()
    highest, done = [0], threading.Event()

    def watch():
        while not done.wait(0.002):
            highest[0] = max(highest[0], gateway.rss())

    watching = threading.Thread(target=watch)
    watching.start()
    for client in clients:
        client.send(requests)
    eventually(lambda: gateway.metric("headgate_handshakes_refused_total")
               == 150 * 100, "all are refused")
    done.set()
    watching.join()
    assert highest[0] - rest < 96 * MIB, (highest, rest)
    assert call_json(gateway, BIDI, {"greeting": "ann"},
                     half_close=True) == [{"reply": "hello, ann"}]


# Each holds its tables for compressed headers, and they may wait for a request
# until timeouts.keep_alive.
def test_idle_connections_give_way_when_memory_is_short(stack):
    gateway, limit = with_room(stack, 16 * MIB, "--keep-alive-timeout", "1h")
    name, value = b"x-long", b"v" * 3600
    request = h2_frame(HEADERS, END_HEADERS | END_STREAM, 1,
                       block(*request_fields("GET", "/nothing"))
                       + b"\x40" + bytes([len(name)]) + name
                       + b"\x7f" + _varint(len(value) - 127) + value)
    for _ in range(1500):
        client = H2Client(gateway)
        stack.callback(client.close)
        client.send(request)
        client.await_h2(HEADERS)
        if gateway.metric("headgate_idle_connections_closed_total") > 0:
            break
    assert used(gateway) < limit
    eventually(lambda: refusal_or_none(gateway) is None, "there is room again")


def _varint(number):
    """The rest of an integer behind a full prefix (RFC 7541 section 5.1)."""
    encoded = b""
    while number >= 128:
        encoded += bytes([number % 128 + 128])
        number //= 128
    return encoded + bytes([number])
