"""Several calls on one socket: the type of a packet chooses the method, its
`who` is the call's number (docs/protocol/packet.md, "Several calls on one socket")."""

import json
import struct

import pytest

from client import Client, call, stats
from harness import Gateway, eventually
from wire import (END_PACKET, fields, message, packet, parse_packets,
                  rpc_status)

UNARY, MANY_REPLIES, MANY_GREETINGS, BIDI, FLOOD, SINK, FAIL = range(1, 8)

METHODS = f"""
      methods:
        {UNARY}: headgate.demo.v1.HelloService/SayHello
        {MANY_REPLIES}: headgate.demo.v1.HelloService/LotsOfReplies
        {MANY_GREETINGS}: headgate.demo.v1.HelloService/LotsOfGreetings
        {BIDI}: headgate.demo.v1.HelloService/BidiHello
        {FLOOD}: headgate.demo.v1.EchoService/Flood
        {SINK}: headgate.demo.v1.EchoService/Sink
        {FAIL}: headgate.demo.v1.EchoService/Fail
"""

OK, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED = 0, 3, 8, 12


@pytest.fixture
def start_game(stack, backend, tmp_path):
    def start(options="", *flags):
        file = tmp_path / "game.yaml"
        file.write_text(f"""
listeners: [{{address: "127.0.0.1:0"}}]
upstreams: [{{name: game, target: "{backend.target}"}}]
routes:
  - path: /game
    upstream: game
    codec: packet
    packet:{METHODS}{options}
  - {{upstream: game}}
""")
        return stack.enter_context(Gateway.configured(
            file, "--drain", "2s", *flags))

    return start


@pytest.fixture
def game(start_game):
    return start_game()


class Calls:
    """One socket; what comes is sorted by the number of the call."""

    def __init__(self, gateway):
        self._client = Client(gateway, "/game")
        self._packets = {}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._client.__exit__(*error)

    def send(self, *packets):
        self._client.send(b"".join(packets))

    def end(self, number):
        self.send(packet(END_PACKET, number))

    def next(self, number):
        """The next packet of that call: (type, content)."""
        while not self._packets.get(number):
            for type, who, content in parse_packets(self._client.receive()):
                self._packets.setdefault(who, []).append((type, content))
        return self._packets[number].pop(0)

    def reply(self, number, type):
        """The greeter's answer in the next packet, which has that type."""
        found, content = self.next(number)
        assert found == type, rpc_status(content)
        return fields(content)[1][0].decode()

    def status(self, number):
        """The next packet is the call's end: (code, message)."""
        type, content = self.next(number)
        assert type == END_PACKET
        return rpc_status(content)

    def client(self):
        return self._client


def greeting(name):
    return message((1, name))


# --- the four kinds ---


def test_unary(game):
    with Calls(game) as calls:
        calls.send(packet(UNARY, 42, greeting("ann")))
        assert calls.reply(42, UNARY) == "hello, ann"
        assert calls.status(42) == (OK, "")


def test_server_streaming(game):
    with Calls(game) as calls:
        calls.send(packet(MANY_REPLIES, 1, greeting("ann")))
        assert [calls.reply(1, MANY_REPLIES) for _ in range(10)] == [
            f"hello, ann ({i})" for i in range(1, 11)]
        assert calls.status(1) == (OK, "")


def test_client_streaming_until_the_end_packet(game):
    with Calls(game) as calls:
        calls.send(packet(MANY_GREETINGS, 5, greeting("ann")),
                   packet(MANY_GREETINGS, 5, greeting("bob")),
                   packet(END_PACKET, 5))
        assert calls.reply(5, MANY_GREETINGS) == "hello, ann and bob"
        assert calls.status(5) == (OK, "")


def test_calls_run_side_by_side(game):
    with Calls(game) as calls:
        for number in range(50):
            calls.send(packet(BIDI, number, greeting(f"p{number}")))
        for number in reversed(range(50)):
            assert calls.reply(number, BIDI) == f"hello, p{number}"
        calls.send(packet(UNARY, 1000, greeting("ann")))
        assert calls.reply(1000, UNARY) == "hello, ann"
        assert calls.status(1000) == (OK, "")
        for number in range(50):
            calls.end(number)
            assert calls.status(number) == (OK, "")


def test_a_number_is_free_again_after_its_status(game):
    with Calls(game) as calls:
        for name in ("ann", "bob"):
            calls.send(packet(UNARY, 7, greeting(name)))
            assert calls.reply(7, UNARY) == f"hello, {name}"
            assert calls.status(7) == (OK, "")


def test_json_content(start_game):
    game = start_game("      content: json\n")
    with Calls(game) as calls:
        calls.send(packet(UNARY, 1, b'{"greeting": "ann"}'))
        type, content = calls.next(1)
        assert (type, json.loads(content)) == (UNARY, {"reply": "hello, ann"})
        assert calls.status(1) == (OK, "")
        calls.send(packet(UNARY, 2, b'{"greetin": "ann"}'))
        code, reason = calls.status(2)
        assert code == INVALID_ARGUMENT and "greetin" in reason
        calls.send(packet(UNARY, 3, b'{"greeting": '))
        assert calls.status(3)[0] == INVALID_ARGUMENT
        calls.send(packet(UNARY, 4, b'{}'))
        assert calls.next(4)[0] == UNARY


# --- a failure ends one call ---


def still_there(calls):
    calls.send(packet(UNARY, 99, greeting("you")))
    assert calls.reply(99, UNARY) == "hello, you"
    assert calls.status(99) == (OK, "")


def test_a_failed_call_ends_alone(game):
    with Calls(game) as calls:
        calls.send(packet(BIDI, 1, greeting("ann")))
        assert calls.reply(1, BIDI) == "hello, ann"
        calls.send(packet(FAIL, 2, message((1, 5), (2, "no such room"))))
        assert calls.status(2) == (5, "no such room")
        calls.send(packet(BIDI, 1, greeting("bob")))
        assert calls.reply(1, BIDI) == "hello, bob"


def test_unknown_type(game):
    with Calls(game) as calls:
        calls.send(packet(77, 1, b""))
        code, reason = calls.status(1)
        assert code == UNIMPLEMENTED and "77" in reason
        still_there(calls)


def test_another_type_on_an_open_number(game):
    with Calls(game) as calls:
        calls.send(packet(BIDI, 1, greeting("ann")))
        assert calls.reply(1, BIDI) == "hello, ann"
        calls.send(packet(UNARY, 1, greeting("ann")))
        assert calls.status(1)[0] == INVALID_ARGUMENT
        still_there(calls)


def test_data_after_the_half_close(game):
    with Calls(game) as calls:
        calls.send(packet(MANY_GREETINGS, 1, greeting("a")),
                   packet(BIDI, 2, greeting("b")))
        assert calls.reply(2, BIDI) == "hello, b"
        calls.send(packet(END_PACKET, 2), packet(BIDI, 2, greeting("c")))
        # Either the call was over already, and the number is a new call's; or
        # it is told that this was one message too many.
        assert calls.next(2)[0] in (END_PACKET, BIDI)
        still_there(calls)


def test_more_calls_than_allowed(start_game):
    game = start_game("      max_calls: 3\n")
    with Calls(game) as calls:
        for number in range(4):
            calls.send(packet(BIDI, number, greeting("x")))
        code, reason = calls.status(3)
        assert code == RESOURCE_EXHAUSTED and "3" in reason
        calls.end(0)
        assert calls.reply(0, BIDI) == "hello, x"
        assert calls.status(0) == (OK, "")
        calls.send(packet(BIDI, 3, greeting("y")))
        assert calls.reply(3, BIDI) == "hello, y"


# --- one slow call does not stop the others ---


def sink(delay_seconds, size):
    return message((1, b"x" * size), (2, message((1, delay_seconds))))


def test_a_backend_that_takes_nothing_stops_its_own_call_only(game):
    with Calls(game) as calls:
        calls.send(packet(SINK, 1, sink(60, 10)))
        # More than the windows hold; the backend's grows with what other calls
        # of the connection have carried.
        for _ in range(600):
            calls.send(packet(SINK, 1, sink(0, 50_000)))
        code, reason = calls.status(1)
        assert code == RESOURCE_EXHAUSTED, reason
        still_there(calls)


# What the client had sent by then is no new call.
def test_the_rest_of_a_stream_that_was_broken_off_is_dropped(game):
    with Calls(game) as calls:
        calls.send(packet(SINK, 1, sink(60, 10)))
        calls.send(*[packet(SINK, 1, sink(0, 50_000)) for _ in range(10)])
        for _ in range(50):
            calls.send(packet(SINK, 1, sink(0, 50_000)))
        assert calls.status(1)[0] == RESOURCE_EXHAUSTED
        still_there(calls)
        # The number is free again once the client has ended its side, too.
        calls.end(1)
        calls.send(packet(SINK, 1, sink(0, 7)))
        calls.end(1)
        type, content = calls.next(1)
        assert (type, fields(content)) == (SINK, {1: [1], 2: [7]})
        assert calls.status(1) == (OK, "")


def test_a_flood_leaves_room_for_others(game):
    with Calls(game) as calls:
        count = 5000  # More than all buffers on the way hold.
        calls.send(packet(FLOOD, 1, message((1, count), (2, 4000))))
        assert calls.next(1)[0] == FLOOD
        for name in ("ann", "bob", "cleo"):
            calls.send(packet(UNARY, 2, greeting(name)))
            assert calls.reply(2, UNARY) == f"hello, {name}"
            assert calls.status(2) == (OK, "")
        for _ in range(1, count):
            assert calls.next(1)[0] == FLOOD
        assert calls.status(1) == (OK, "")


# --- the session as a whole ---


def test_framing_faults_end_the_session(game):
    answers, (code, reason) = call(game, "/game", packet(UNARY, 1, b"")[:-2],
                                   subprotocols=())
    assert code == 1002 and "offset 0" in reason
    answers, (code, _) = call(game, "/game", "text", subprotocols=())
    assert code == 1003


def test_closing_the_socket_cancels_every_call(game):
    with Calls(game) as calls:
        for number in range(5):
            calls.send(packet(SINK, number, sink(0, 1)))
        eventually(lambda: stats(game)[0] == 5, "five open calls")
    eventually(lambda: stats(game)[0] == 0, "no open call")


def test_drain_ends_calls_with_their_status_first(start_game):
    game = start_game()
    client = Client(game, "/game")
    client.send(packet(BIDI, 1, greeting("ann")) +
                packet(SINK, 2, sink(0, 1)))
    assert parse_packets(client.receive())[0][:2] == (BIDI, 1)
    game.signal(15)
    answers, (code, _) = client.receive_all()
    assert code == 1001
    ends = {who: rpc_status(content)[0] for data in answers
            for type, who, content in parse_packets(data)
            if type == END_PACKET}
    assert ends == {1: 14, 2: 14}
    client.close()
    game.wait()


def test_header_formats_apply(start_game):
    game = start_game("      order: type-who-length\n      endian: little\n")
    with Client(game, "/game") as client:
        content = greeting("ann")
        client.send(struct.pack("<III", UNARY, 42, len(content)) + content)
        data = client.receive()
        type, who, length = struct.unpack_from("<III", data)
        assert (type, who) == (UNARY, 42)
        assert fields(data[12:12 + length])[1] == [b"hello, ann"]
