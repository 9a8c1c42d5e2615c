"""Clients that mean harm: each costs the gateway little, and the others do not
notice (docs/security.md)."""

import contextlib
import pathlib
import re
import resource
import selectors
import socket
import time

import pytest

from client import ECHO, HELLO, JSON, Client, call, call_json
from harness import TIMEOUT, eventually, sanitized, soon
from sockets import client_sockets, descriptors
from wire import (BINARY, PING, TEXT, RawClient, frame, message, packet,
                  upgrade_request)

BIDI = HELLO + "BidiHello"
MIB = 1 << 20


def expect_service(gateway):
    """Others are served, and soon."""
    begin = time.monotonic()
    assert call_json(gateway, HELLO + "SayHello", {"greeting": "ann"}) == [
        {"reply": "hello, ann"}]
    assert time.monotonic() - begin < soon(2)


def expect_all_gone(gateway, timeout=TIMEOUT):
    """No client's connection is left, whatever the clients think."""
    eventually(lambda: client_sockets(gateway) == 0, "all to be gone", timeout)


def peak(gateway):
    """The most resident memory that the gateway has had so far, bytes."""
    status = pathlib.Path(f"/proc/{gateway.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def allowed(bytes):
    """Memory that a gateway may take of this, a sanitizer's share included."""
    return bytes * (4 if sanitized() else 1)


class Crowd:
    """Many connections, driven from one thread."""

    def __init__(self, gateway, count):
        self._selector = selectors.DefaultSelector()
        self.received = {}
        for _ in range(count):
            each = socket.create_connection((gateway.host, gateway.port),
                                            timeout=TIMEOUT)
            each.setblocking(False)
            self._selector.register(each, selectors.EVENT_READ)
            self.received[each] = b""
        self.ended = set()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for each in self.received:
            each.close()
        self._selector.close()

    def send(self, data):
        """To each that is still there."""
        for each in self.received:
            if each not in self.ended:
                with contextlib.suppress(OSError):
                    each.send(data)

    def receive(self):
        """What there is now."""
        for key, _ in self._selector.select(0):
            try:
                data = key.fileobj.recv(65536)
            except ConnectionError:
                data = b""
            self.received[key.fileobj] += data
            if not data:
                self.ended.add(key.fileobj)
                self._selector.unregister(key.fileobj)

    def all_ended(self):
        self.receive()
        return len(self.ended) == len(self.received)

    def answers(self):
        return list(self.received.values())


# --- handshakes ---


# Each byte is a sign of life, and none of them helps.
def test_slowloris_is_answered_408_while_others_are_served(start_demo):
    gateway = start_demo("--handshake-timeout", "3s")
    expect_service(gateway)
    head = upgrade_request(BIDI, [("X", "y" * 10000)])
    with Crowd(gateway, 200) as crowd:
        begin = time.monotonic()
        sent = 0
        while not crowd.all_ended():
            crowd.send(head[sent:sent + 1])
            sent += 1
            if sent % 20 == 0:
                expect_service(gateway)
            assert time.monotonic() - begin < soon(8)
        assert time.monotonic() - begin > 2.9
        assert sent < len(head)
        for answer in crowd.answers():
            assert answer.startswith(b"HTTP/1.1 408 ")
    expect_all_gone(gateway)


# They have not even begun.
def test_thousands_of_silent_connections(start_demo):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = 2000
    if hard != resource.RLIM_INFINITY and hard < count + 200:
        pytest.skip("too few file descriptors here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 200), hard))
    gateway = start_demo("--handshake-timeout", "4s")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 200), hard))
    expect_service(gateway)
    memory = gateway.rss()
    with Crowd(gateway, count) as crowd:
        expect_service(gateway)
        assert gateway.rss() - memory < allowed(64 * MIB)
        eventually(crowd.all_ended, "all to be closed", soon(10))
        assert all(answer.startswith(b"HTTP/1.1 408 ")
                   for answer in crowd.answers())
    expect_all_gone(gateway)


def answer_to(gateway, *pieces):
    """The status of the answer to what is sent in pieces, however far that
    comes."""
    with RawClient(gateway) as client:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                client.send(piece)
                if client.readable():
                    break
        return client.read_response().status


@pytest.mark.parametrize("head", [
    b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X" * 20000 + b": y\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a:b\r\n" * 10000 + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nCookie: " + b"a=b; " * 10000 + b"\r\n\r\n",
], ids=["path", "value", "name", "count", "cookie"])
def test_header_bombs_are_431(demo, head):
    assert answer_to(demo, head) == 431


# What has no end is not waited for, nor kept.
@pytest.mark.parametrize("piece", [b"x" * 1000, b"X: y\r\n" * 200])
def test_an_endless_head_is_431(demo, piece):
    memory = demo.rss()
    assert answer_to(demo, b"GET / HTTP/1.1\r\nHost: localhost\r\n",
                     *[piece] * 100) == 431
    assert demo.rss() - memory < allowed(8 * MIB)


# Even where so many are allowed: time does not grow with their square.
@pytest.mark.parametrize("line", [
    b"X-%d: y\r\n", b"Sec-WebSocket-Protocol: a%d,b,c\r\n",
    b"Grpc-Metadata-K%d: v\r\n", b"Cookie: k%d=v\r\n",
    b"X-Forwarded-For: 10.0.0.1, %d\r\n"])
def test_ten_thousand_headers(start_demo, line):
    gateway = start_demo("--max-header-bytes", "1MiB", "--token-cookie", "none")
    request = upgrade_request(BIDI)[:-2] + b"".join(
        line % i for i in range(10000)) + b"\r\n"
    expect_service(gateway)
    spent = gateway.cpu_seconds()
    with RawClient(gateway) as client:
        # In pieces, each of which might be a reason to begin anew.
        for begin in range(0, len(request), 2000):
            client.send(request[begin:begin + 2000])
        assert client.read_response().status in (101, 400, 401, 431)
    assert gateway.cpu_seconds() - spent < soon(1)
    expect_service(gateway)


# An empty line may come before a request (RFC 9112 section 2.2), but not
# without end.
def test_endless_empty_lines_are_no_life(start_demo):
    gateway = start_demo("--handshake-timeout", "1s")
    with RawClient(gateway) as client:
        begin = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while not client.readable():
                client.send(b"\r\n" * 100)
                time.sleep(0.01)
                assert time.monotonic() - begin < soon(4)
        assert client.read_response().status == 408


# --- connections that come and go ---


# In every phase of their short life.
@pytest.mark.parametrize("data", [
    b"", b"GET /", upgrade_request(BIDI)[:-1], upgrade_request(BIDI),
    upgrade_request(BIDI) + frame(TEXT, b"{}"),
    b"GET /v1/shelves/-/books:stream HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /v1/shelves/x/books HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: 9\r\n\r\n{",
], ids=["connected", "half a line", "half a head", "head", "early frame",
        "stream", "refused", "body"])
def test_five_hundred_that_reset_at_once_leave_nothing(demo, data):
    expect_service(demo)
    for _ in range(500):
        client = RawClient(demo)
        if data:
            client.send(data)
        client.reset()
    expect_all_gone(demo)
    expect_service(demo)


def test_five_hundred_sessions_that_reset_leave_nothing(demo):
    expect_service(demo)
    for i in range(500):
        with RawClient(demo) as client:
            client.upgrade(BIDI)
            if i % 2:
                client.send_frame(TEXT, b'{"greeting":"ann"}')
            client.reset()
    expect_all_gone(demo)
    expect_service(demo)


# A long answer is under way when its client makes room for more of it and hangs
# up in the same moment, so that the gateway sees both at once.
def test_clients_that_hang_up_on_a_long_answer(start_demo):
    gateway = start_demo("--max-answer-bytes", "8MiB", "--max-message-bytes",
                         "8MiB")
    expect_service(gateway)
    long = message((1, 1000), (2, 4 * MIB - 100))
    for hang_up in [RawClient.half_close, RawClient.reset,
                    RawClient.close] * 8:
        with RawClient(gateway) as client:
            client.upgrade(ECHO + "Flood")
            client.send_frame(BINARY, long)
            time.sleep(0.05)  # Until the sockets on the way are full.
            for _ in range(40):
                if client.readable():
                    client.receive_some()
            hang_up(client)
            time.sleep(0.01)
    expect_all_gone(gateway)
    expect_service(gateway)


# --- clients that want too much ---


# Requests in a row, whose answers are never read: reading stops, then the
# connection is cut.
def test_pipelining_without_reading_is_bounded(start_demo):
    gateway = start_demo("--send-timeout", "1s", "--close-timeout", "1s")
    expect_service(gateway)
    memory = gateway.rss()
    request = b"GET /v1/shelves/-/books HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with RawClient(gateway, receive_buffer=4096) as client:
        sent = client.send_until_blocked(request * 100, patience=0.5)
        assert gateway.rss() - memory < allowed(16 * MIB)
        # A gateway that was only slow reads on; this ends with the connection.
        sent += client.send_until_blocked(request * 100, patience=soon(5))
        assert sent < 64 * MIB
        expect_all_gone(gateway, soon(5))
    expect_service(gateway)


def test_a_client_that_never_reads_its_answers_is_cut_off(start_demo):
    gateway = start_demo("--send-timeout", "1s")
    expect_service(gateway)
    memory = gateway.rss()
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            client = stack.enter_context(
                RawClient(gateway, receive_buffer=4096))
            client.upgrade(ECHO + "Flood")
            client.send_frame(BINARY, message((2, 60000)))
        expect_service(gateway)
        assert gateway.rss() - memory < allowed(128 * MIB)
        expect_all_gone(gateway, soon(8))
    expect_service(gateway)


# It reads its pongs, so nothing holds it back but the gateway.
def test_a_flood_of_pings_is_no_burden_to_others(demo):
    expect_service(demo)
    memory = demo.rss()
    with RawClient(demo) as client:
        client.upgrade(ECHO + "Echo")
        pings = frame(PING, b"x" * 125) * 500
        with contextlib.suppress(ConnectionError, EOFError):
            for i in range(20):
                client.send(pings)
                if i % 5 == 0:
                    expect_service(demo)
                while client.readable():
                    client.receive_some()
        assert demo.rss() - memory < allowed(16 * MIB)
    expect_service(demo)


# --- out of file descriptors ---

FULL = "cannot accept connections for now"
AGAIN = "accepting connections again"


# The sessions there are go on; the log says it once, not at every attempt; whom
# nobody accepted yet is served when others have gone.
def test_out_of_file_descriptors(start_demo):
    gateway = start_demo()
    expect_service(gateway)
    limits = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)

    def fill(stack):
        """Connections, until there are more than can be accepted."""
        taken = len(re.findall(FULL, gateway.stderr()))
        clients = []
        while len(re.findall(FULL, gateway.stderr())) == taken:
            client = stack.enter_context(RawClient(gateway))
            # A session: what is idle would make room.
            client.send(upgrade_request(BIDI))
            clients.append(client)
            eventually(lambda: client.has_input() or len(
                re.findall(FULL, gateway.stderr())) > taken,
                       "it is served, or the log says why not")
        return clients

    with Client(gateway, BIDI, JSON) as session:
        session.send({"greeting": "ann"})
        session.receive()
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE,
                         (descriptors(gateway) + 8, limits[1]))
        for episode in (1, 2):
            with contextlib.ExitStack() as stack:
                clients = fill(stack)
                assert 4 < len(clients) < 20
                late = stack.enter_context(RawClient(gateway))
                late.send(upgrade_request(BIDI))
                end = time.monotonic() + 1.5
                while time.monotonic() < end:
                    session.send({"greeting": "bob"})
                    assert session.receive_json() == {"reply": "hello, bob"}
                assert not late.readable()
                assert gateway.stderr().count(FULL) == episode
                assert gateway.stderr().count(AGAIN) == episode - 1
                for client in clients:
                    client.close()
                assert late.read_response().status == 101
                late.send_frame(TEXT, b'{"greeting":"ann"}')
                assert late.read_message() == (TEXT, b'{"reply":"hello, ann"}')
                eventually(lambda: gateway.stderr().count(AGAIN) == episode,
                           "the log tells the end of the shortage")
            eventually(lambda: len(gateway.sessions()) == 1,
                       "the others' sessions to end")
            expect_service(gateway)


# Shells give 1024, which would be as many sessions.
def test_soft_limit_of_file_descriptors_is_raised(start_demo):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        gateway = start_demo("--max-sessions-per-address", "1000")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert gateway.metric("process_max_fds") == hard
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            client = stack.enter_context(RawClient(gateway))
            client.upgrade(BIDI)


# --- messages that are dear to read ---


def nested_any(levels, value, form):
    """JSON of an Any of an Any ... of the Value `value`."""
    kind = "Value"
    for _ in range(levels):
        value = form % {"type": f'"/google.protobuf.{kind}"', "value": value}
        kind = "Any"
    return value


TYPE_FIRST = '{"@type":%(type)s,"value":%(value)s}'
TYPE_LAST = '{"value":%(value)s,"@type":%(type)s}'
TYPE_ESCAPED = '{"value":%(value)s,"\\u0040type":%(type)s}'
MANY_ZEROS = "[" + ",".join("0" * 250_000) + "]"


# What a message makes the gateway hold and do is a small multiple of its size,
# whatever its shape. The details of Fail are the shortest way to an Any; what
# its call comes to does not matter.
@pytest.mark.parametrize("detail", [
    pytest.param(nested_any(92, MANY_ZEROS, TYPE_FIRST), id="type first"),
    pytest.param(nested_any(92, MANY_ZEROS, TYPE_LAST), id="type last"),
    pytest.param(nested_any(92, MANY_ZEROS, TYPE_ESCAPED), id="type escaped"),
    pytest.param(nested_any(7, MANY_ZEROS, TYPE_LAST), id="a few, type last"),
    pytest.param('{"value":%s}' % MANY_ZEROS, id="no type"),
    pytest.param(nested_any(1, "[" * 90 + MANY_ZEROS + "]" * 90, TYPE_LAST),
                 id="lists"),
    pytest.param(nested_any(1, "[%s]" % ",".join(
        ['{"":' * 80 + "0" + "}" * 80] * 1000), TYPE_LAST), id="objects"),
])
def test_a_json_message_costs_a_small_multiple_of_its_size(start_demo, detail):
    gateway = start_demo("--threads", "1")
    memory, cpu = peak(gateway), gateway.cpu_seconds()
    call(gateway, ECHO + "Fail", '{"code":3,"details":[%s]}' % detail)
    assert peak(gateway) - memory < allowed(48 * MIB)
    assert gateway.cpu_seconds() - cpu < soon(1)
    expect_service(gateway)


# A second message ends a call with one request and frees its number: a pair of
# empty packets opens a stream upstream and resets it. There are 40,000 in 1 MB.
def test_calls_that_are_ended_at_once_hold_up_nobody(start_demo):
    gateway = start_demo("--threads", "1")
    memory = peak(gateway)
    with RawClient(gateway) as stormy, RawClient(gateway) as neighbour:
        neighbour.upgrade("/echo")
        stormy.upgrade("/game")
        cpu = gateway.cpu_seconds()
        stormy.send_frame(BINARY, packet(3, 5) * 80_000)
        for _ in range(20):
            neighbour.send_frame(TEXT, b"x")
            assert neighbour.read_message() == (TEXT, b"x")
        # The storm has been begun: its first calls have ended.
        stormy.read_message()
        assert gateway.cpu_seconds() - cpu < soon(1)
    assert peak(gateway) - memory < allowed(48 * MIB)
    expect_service(gateway)


# A client that has its response and goes on sending: neither for ever, nor as
# fast as it likes.
@pytest.mark.parametrize("framing, piece", [
    ("Transfer-Encoding: chunked", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
    ("Content-Length: 99999999999", b"x" * 65536)])
def test_bodies_without_end_of_refused_requests_are_not_read(
        demo, framing, piece):
    with RawClient(demo) as client:
        client.send(f"POST /nothing HTTP/1.1\r\nHost: localhost\r\n"
                    f"{framing}\r\n\r\n".encode())
        sent, began = 0, time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() - began < 60:
                client.send(piece)
                sent += len(piece)
        # What is dropped, and what the sockets hold.
        assert sent < 4 * 1024 * 1024 + 16 * 1024 * 1024
