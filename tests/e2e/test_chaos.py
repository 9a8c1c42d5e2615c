"""Chaos between the clients and the gateway, and between the gateway and its
backend: whatever happens on the way, nothing crashes, nobody is forgotten, and
each session is accounted for once."""

import collections
import contextlib
import http.client
import json
import random
import re
import signal
import struct
import threading
import time

import pytest

from chaos import ChaosProxy, new_seed
from client import ECHO, HELLO, JSON, PACKET, PROTOBUF, RAW, call_json, stats
from harness import Backend, Gateway, eventually, soon
from sockets import client_sockets
from wire import (BINARY, CLOSE, CONTINUATION, END_PACKET, PING, TEXT,
                  RawClient, frame, message, packet)

CLIENTS = 16
# A client that hears nothing for so long gives up.
PATIENCE = 1.5

CONFIGURATION = """
listeners: [{{address: "127.0.0.1:0"}}]
upstreams: [{{name: demo, target: "{target}"}}]
routes:
  - {{path: /packets, method: headgate.v1.PacketService/Connect}}
  - {{path: /echo, method: headgate.v1.MessageService/Connect}}
  - path: /game
    codec: packet
    packet:
      methods:
        1: headgate.demo.v1.HelloService/BidiHello
        2: headgate.demo.v1.HelloService/SayHello
        3: headgate.demo.v1.EchoService/Flood
        4: headgate.demo.v1.EchoService/Sink
  - {{prefix: /v1, http_rules: true}}
  - {{}}
limits: {{max_message_bytes: 64KiB}}
timeouts: {{handshake: 1s, send: 1s, stall: 1s, close: 500ms, keep_alive: 1s,
           reflection: 1s}}
threads: 2
"""


@pytest.fixture
def stage(tmp_path, stack):
    return Stage(tmp_path, stack)


class Stage:
    """A gateway with chaos on both of its sides."""

    def __init__(self, folder, stack):
        self.seed = new_seed()
        self.backend = stack.enter_context(Backend())
        self.upstream = stack.enter_context(ChaosProxy(
            ("127.0.0.1", self.backend.port), f"{self.seed}/upstream",
            # Many sessions share a connection, and see none for a while when
            # it breaks: some treatment less, or little else would be seen.
            spared=0.5, longest_life=3))
        file = folder / "headgate.yaml"
        file.write_text(CONFIGURATION.format(target=self.upstream.target))
        self.gateway = stack.enter_context(Gateway.configured(
            file, "--log-level", "debug", "--drain", "2s"))
        self.front = stack.enter_context(ChaosProxy(
            (self.gateway.host, self.gateway.port), f"{self.seed}/front"))

    def play(self, scripts, seconds, meanwhile=None):
        """Clients that act at random out of `scripts`, as long as the chaos
        lasts. Returns how often each came to its end."""
        finished = collections.Counter()
        faults = []
        end = time.monotonic() + seconds

        def act(number):
            dice = random.Random(f"{self.seed}/client/{number}")
            try:
                while time.monotonic() < end:
                    script = dice.choice(scripts)
                    if endures(script, self.front, dice):
                        finished[script.__name__] += 1
            except BaseException as fault:
                faults.append(fault)
                raise

        clients = [threading.Thread(target=act, args=(number,))
                   for number in range(CLIENTS)]
        for client in clients:
            client.start()
        if meanwhile:
            meanwhile()
        for client in clients:
            client.join()
        assert not faults, faults
        return finished

    def expect_order(self):
        """The chaos is over: so must be what it left behind."""
        self.front.stop()
        self.upstream.calm()
        eventually(lambda: client_sockets(self.gateway) == 0,
                   "every connection of a client to be closed", soon(10))
        eventually(self.works, "the gateway to serve as if nothing had been",
                   soon(15))
        eventually(lambda: stats(self.gateway)[0] == 0,
                   "the backend to be left alone", soon(10))
        self.expect_no_session()
        self.gateway.stop()
        self.expect_each_session_to_have_ended_once()

    def works(self):
        """Whether a conversation goes through from beginning to end."""
        try:
            # One for each worker, which have connections of their own.
            for _ in range(4):
                if call_json(self.gateway, HELLO + "BidiHello",
                             {"greeting": "ann"}, {"greeting": "bob"},
                             half_close=True) != [{"reply": "hello, ann"},
                                                  {"reply": "hello, bob"}]:
                    return False
            return True
        except AssertionError:  # UNAVAILABLE, until gRPC tries again.
            assert self.gateway.running(), self.gateway.stderr()
            return False

    def expect_no_session(self):
        """Says the admin listener, which has counted each session once."""
        admin = self.gateway.wait_for_output(
            r"headgate: admin on http://(\S+):(\d+)")

        def get(path):
            connection = http.client.HTTPConnection(admin[1], int(admin[2]),
                                                    timeout=10)
            with contextlib.closing(connection):
                connection.request("GET", path)
                response = connection.getresponse()
                assert response.status == 200
                return response.read().decode()

        def metric(name):
            """All series of it together."""
            return sum(float(value) for value in re.findall(
                rf"^{name}(?:\{{.*\}})? (\S+)$", get("/metrics"),
                re.MULTILINE))

        eventually(lambda: metric("headgate_sessions") == 0,
                   "headgate_sessions to be 0", soon(5))
        assert json.loads(get("/sessions"))["sessions"] == []
        opened = metric("headgate_sessions_opened_total")
        assert opened > 20
        assert metric("headgate_sessions_closed_total") == opened
        assert self.told("ended").total() == opened
        assert metric("headgate_connections") == 0

    def told(self, event):
        """How often the log tells it of which session."""
        return collections.Counter(re.findall(
            rf'msg="session {event}" id=(\w+) ', self.gateway.stderr()))

    def expect_each_session_to_have_ended_once(self, at_least=20):
        opened, ended = self.told("opened"), self.told("ended")
        assert len(opened) >= at_least, "too much chaos to test anything"
        assert set(opened.values()) == {1}
        assert opened - ended == {}, "sessions that never ended"
        assert ended - opened == {}, "ended twice, or never opened"


# What a client may meet whose connection was cut, or garbled.
MISHAPS = (OSError, EOFError, AssertionError, ValueError, LookupError,
           TypeError, struct.error)


def endures(script, front, dice):
    """Whether a script came to its end, and all was as it expects."""
    try:
        with Visitor(front) as client:
            script(client, dice)
            return True
    except MISHAPS:
        return False


class Visitor(RawClient):
    """A client that has not all day."""

    def __init__(self, front):
        super().__init__(front, receive_buffer=16384)
        self._socket.settimeout(PATIENCE)
        self._end = time.monotonic() + 2 * PATIENCE

    # What trickles is heard all the time, and for ever.
    def _fill(self):
        self._expect_patience()
        super()._fill()

    def _take(self, count):
        self._expect_patience()
        return super()._take(count)

    def _expect_patience(self):
        if time.monotonic() > self._end:
            raise TimeoutError

    def send_until_blocked(self, data, patience):
        try:
            return super().send_until_blocked(data, patience)
        finally:
            self._socket.settimeout(PATIENCE)

    def open(self, path, *subprotocols):
        self.upgrade(path, [("Sec-WebSocket-Protocol", each)
                            for each in subprotocols])

    def leave(self, dice):
        """One of the many ways to go."""
        way = dice.randrange(5)
        if way == 0:
            self.send_frame(CLOSE, b"\x03\xe8bye")
            while self.read_frame().opcode != CLOSE:
                pass
        elif way == 1:
            self.reset()
        elif way == 2:
            self.half_close()
            self.receive_to_end()
        elif way == 3:
            self.send(frame(BINARY, b"x" * 1000)[:dice.randrange(1, 1000)])


# --- What clients do ---


def greets_in_json(client, dice):
    client.open(HELLO + "BidiHello", JSON)
    for _ in range(dice.randrange(1, 20)):
        name = "x" * dice.randrange(2000)
        client.send_frame(TEXT, json.dumps({"greeting": name}).encode())
        assert client.read_message()[1].startswith(b'{"reply":"hello, ')
    client.send_frame(TEXT)
    assert client.read_close()[0] == 1000


def asks_once(client, dice):
    client.open(HELLO + dice.choice(["SayHello", "LotsOfReplies"]))
    client.send_frame(TEXT, b'{"greeting":"ann"}')
    assert client.read_close()[0] == 1000


def sends_packets(client, dice):
    client.open("/packets", PACKET)
    client.send_frame(BINARY, packet(200, 7))  # Joins a room.
    for _ in range(dice.randrange(1, 30)):
        client.send_frame(BINARY, packet(
            dice.choice([1, 202]), 7, b"y" * dice.randrange(500)) * 3)
    for _ in range(3):
        client.read_message()
    client.send_frame(BINARY, packet(END_PACKET, 0))
    client.read_close()


def makes_several_calls(client, dice):
    client.open("/game")
    for who in range(1, dice.randrange(2, 30)):
        client.send_frame(BINARY, packet(
            dice.randrange(1, 6), who,
            dice.choice([message((1, "ann")), message((1, 5), (2, 500)),
                         dice.randbytes(20)])))
        if dice.random() < 0.3:
            client.send_frame(BINARY, packet(END_PACKET, dice.randrange(30)))
    for _ in range(dice.randrange(10)):
        client.read_message()
    client.leave(dice)


def sends_plain_messages(client, dice):
    client.open("/echo", RAW)
    for _ in range(dice.randrange(1, 20)):
        sent = (dice.choice([TEXT, BINARY]), b"z" * dice.randrange(20000))
        client.send_frame(*sent)
        client.send_frame(PING, b"?")
        while True:
            got = client.read_frame()
            if got.opcode in (TEXT, BINARY):
                break
        assert (got.opcode, got.payload) == sent
    client.leave(dice)


def takes_a_flood(client, dice):
    client.open(ECHO + "Flood", PROTOBUF)
    client.send_frame(BINARY, message((2, dice.randrange(100000))))
    for _ in range(dice.randrange(20)):
        client.read_message()
    client.leave(dice)


def takes_nothing_of_a_flood(client, dice):
    client.open(ECHO + "Flood", PROTOBUF)
    client.send_frame(BINARY, message((2, 60000)))
    time.sleep(dice.uniform(0, 2))


def overruns_a_backend_that_sleeps(client, dice):
    client.open(ECHO + "Sink", PROTOBUF)
    client.send_frame(BINARY, message((1, b"x"), (2, message((1, 3000)))))
    client.send_until_blocked(frame(BINARY, message((1, b"x" * 30000))),
                              patience=0.5)
    client.leave(dice)


def fails(client, dice):
    client.open(ECHO + "Fail", JSON)
    code = dice.randrange(1, 17)
    client.send_frame(TEXT, json.dumps({"code": code}).encode())
    assert client.read_close()[0] == 4000 + code


def breaks_the_protocol(client, dice):
    client.open(dice.choice(["/packets", "/echo", "/game",
                             HELLO + "BidiHello"]))
    for _ in range(dice.randrange(3)):
        client.send_frame(TEXT, b"{}", fin=False)
        client.send_frame(CONTINUATION, b"")
    client.send(dice.choice([
        dice.randbytes(100), frame(TEXT, b"\xff"), frame(3, b"?"),
        frame(BINARY, b"x", masked=False), frame(TEXT, b"x" * 70000),
        frame(PING, b"x" * 126), frame(CLOSE, b"\x03\xed")]))
    client.read_close()


def shakes_hands_badly(client, dice):
    client.send(dice.choice([
        dice.randbytes(300), b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\n",
        b"GET /echo HTTP/1.1\r\nX: " + b"x" * 20000, b""]))
    client.receive_to_end()


def sends_before_it_was_answered(client, dice):
    client.send(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n"
                b"Connection: Upgrade\r\n"
                b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" +
                frame(TEXT, b"x") * dice.randrange(3))
    client.leave(dice)


def says_nothing(client, dice):
    client.open(dice.choice(["/echo", "/packets", "/game", ECHO + "Echo"]))
    time.sleep(dice.uniform(0, 1))
    client.leave(dice)


SOCKETS = [greets_in_json, asks_once, sends_packets, makes_several_calls,
           sends_plain_messages, takes_a_flood, takes_nothing_of_a_flood,
           overruns_a_backend_that_sleeps, fails, breaks_the_protocol,
           shakes_hands_badly, sends_before_it_was_answered, says_nothing]


def exchange(client, verb, target, body=None, close=False):
    """One request of plain HTTP and its answer; returns its status."""
    text = f"{verb} {target} HTTP/1.1\r\nHost: localhost\r\n"
    if body is not None:
        text += f"Content-Length: {len(body)}\r\n"
    if close:
        text += "Connection: close\r\n"
    client.send(text.encode() + b"\r\n" + (body or b""))
    return client.read_response().status


def reads_books(client, dice):
    for _ in range(dice.randrange(1, 10)):
        assert exchange(client, "GET", "/v1/shelves/classics/books/dune") == 200
        assert exchange(client, "GET", "/v1/shelves/classics/nothing") == 404


def adds_books(client, dice):
    for _ in range(dice.randrange(1, 5)):
        name = f"{dice.randrange(10**9):x}"
        book = {"name": f"shelves/new/books/{name}",
                "title": "t" * dice.randrange(5000)}
        exchange(client, "POST", "/v1/shelves/new/books",
                 json.dumps(book).encode())


def streams_books(client, dice):
    client.send(b"GET /v1/shelves/-/books:stream HTTP/1.1\r\n"
                b"Host: localhost\r\n"
                b"Connection: close\r\n\r\n")
    assert client.receive_to_end().endswith(b"0\r\n\r\n")


def pipelines(client, dice):
    count = dice.randrange(1, 50)
    client.send(b"GET /v1/shelves/classics/books/emma HTTP/1.1\r\n"
                b"Host: localhost\r\n\r\n" * count)
    for _ in range(dice.randrange(count)):
        assert client.read_response().status == 200


def sends_notes_in_chunks(client, dice):
    client.send(b"POST /v1/shelves/classics/notes HTTP/1.1\r\n"
                b"Host: localhost\r\n"
                b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
    for _ in range(dice.randrange(20)):
        note = json.dumps({"text": "n" * dice.randrange(1000)}).encode()
        client.send(b"%x\r\n%s\r\n" % (len(note), note))
    if dice.random() < 0.7:
        client.send(b"0\r\n\r\n")
        client.receive_to_end()


def leaves_in_the_middle_of_a_body(client, dice):
    client.send(b"POST /v1/shelves/new/books HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Length: 50000\r\n\r\n" +
                b" " * dice.randrange(50000))
    client.leave(dice)


def asks_badly(client, dice):
    client.send(dice.choice([
        b"POST /v1/shelves/new/books HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 5\r\n\r\n{\"x\":",
        b"POST /v1/shelves/new/books HTTP/1.1\r\nHost: localhost\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"GET /v1/shelves/-/books:stream?x=y HTTP/1.1\r\n"
        b"Host: localhost\r\n\r\n",
        b"BREW /v1/x HTTP/9.9\r\n\r\n", dice.randbytes(300)]))
    client.receive_to_end()


EXCHANGES = [reads_books, adds_books, streams_books, pipelines,
             sends_notes_in_chunks, leaves_in_the_middle_of_a_body, asks_badly,
             shakes_hands_badly]


@pytest.mark.parametrize("scripts, seconds", [
    pytest.param(SOCKETS, 10, id="sockets"),
    pytest.param(EXCHANGES, 5, id="plain HTTP")])
def test_chaos_leaves_nothing_behind(stage, scripts, seconds):
    finished = stage.play(scripts, seconds)
    # Enough got through to be spoilt, enough was spoilt to be of interest.
    assert len(finished) > len(scripts) / 3, finished
    assert stage.front.connections() > sum(finished.values()), finished
    stage.expect_order()


# Its file is read again and again, its backend goes and comes; then the drain,
# with clients that are in no state to take notice of it.
def test_sigterm_in_the_midst_of_chaos_ends_in_time(stage):
    def meanwhile():
        for _ in range(10):
            stage.gateway.signal(signal.SIGHUP)
            time.sleep(0.1)
        stage.backend.kill()
        time.sleep(0.5)
        with Backend(stage.backend.port):
            time.sleep(1.5)
            stage.gateway.signal(signal.SIGTERM)
            # --drain is 2 s.
            stage.gateway.wait(timeout=soon(4))

    stage.play(SOCKETS + EXCHANGES, seconds=4, meanwhile=meanwhile)
    stage.expect_each_session_to_have_ended_once(at_least=5)
