"""The raw codec: the backend sees WebSocket messages as they are
(docs/protocol/protobuf.md, "raw")."""

import time

import pytest

from client import HELLO, RAW, Client, refusal
from wire import BINARY, CONTINUATION, TEXT, RawClient

ECHO = "/echo"
METHOD = "/headgate.v1.MessageService/Connect"


@pytest.mark.parametrize("path", [ECHO, METHOD])
@pytest.mark.parametrize("data", [
    "hello", "", "ž\U0001f600", "\0", "x" * 100000,
    b"hello", b"", b"\0\xff", bytes(range(256)) * 400])
def test_opcode_and_payload_are_kept_both_ways(demo, path, data):
    with Client(demo, path) as client:
        client.send(data)
        assert client.receive() == data


def test_order_is_kept_across_opcodes(demo):
    sent = ["a", b"b", "", b"", "c" * 7000, b"d"] * 20
    with Client(demo, ECHO, RAW) as client:
        assert client.subprotocol == RAW
        client.send(*sent)
        assert [client.receive() for _ in sent] == sent


# Answers that wait for a slow client stay messages of their own, even where
# there is nothing in them.
def test_empty_messages_that_wait_are_not_joined(start_demo):
    gateway = start_demo("--max-message-bytes", "4MiB")
    with RawClient(gateway, receive_buffer=4096) as client:
        client.upgrade(ECHO)
        # More than the sockets hold, so that writing it stops midway.
        client.send_frame(BINARY, b"x" * 3_900_000)
        for _ in range(100):
            client.send_frame(TEXT)
            client.send_frame(BINARY)
        time.sleep(0.5)  # For all of them to wait behind it.
        assert len(client.read_message()[1]) == 3_900_000
        assert [client.read_message() for _ in range(200)] == [
            (TEXT, b""), (BINARY, b"")] * 100


# gRPC's servers take 4 MiB by default; the demo's leaves it to the gateway.
@pytest.mark.parametrize("start", ["start_demo", "start_serve"])
def test_demo_backend_takes_what_the_gateway_lets_in(request, start):
    gateway = request.getfixturevalue(start)(
        "--max-message-bytes", "12MiB", "--max-answer-bytes", "13MiB")
    with Client(gateway, METHOD) as client:
        client.send(b"x" * (12 << 20))
        assert len(client.receive()) == 12 << 20
        client.send(b"x" * ((12 << 20) + 1))
        assert client.receive_close()[0] == 1009


# There is no half-close: the empty text message is a message like any other.
def test_session_goes_on_after_an_empty_text_message(demo):
    with Client(demo, ECHO) as client:
        client.send("", "", "still here")
        assert [client.receive() for _ in range(3)] == ["", "", "still here"]


def test_fragments_arrive_as_one_message(demo):
    with RawClient(demo) as client:
        client.upgrade(ECHO)
        client.send_frame(TEXT, b"a", fin=False)
        client.send_frame(CONTINUATION, b"", fin=False)
        client.send_frame(CONTINUATION, b"bc", fin=False)
        client.send_frame(CONTINUATION, b"")
        assert client.read_message() == (TEXT, b"abc")
        client.send_frame(BINARY, b"", fin=False)
        client.send_frame(CONTINUATION, b"")
        assert client.read_message() == (BINARY, b"")


# The JSON of a headgate.v1.Message, for those who ask for it.
def test_json_session_speaks_messages(demo):
    with Client(demo, ECHO, "headgate.json.v1") as client:
        client.send({"text": "hi"})
        assert client.receive_json() == {"text": "hi"}
        client.send({"binary": "AAE="})
        assert client.receive_json() == {"binary": "AAE="}
        client.half_close()
        assert client.receive_close() == (1000, "")


# raw is never guessed, and means nothing to another service.
def test_raw_is_only_for_a_route_that_serves_it(demo):
    assert refusal(demo, HELLO + "BidiHello", RAW) == 400


def test_own_route_to_the_service_is_raw_too(start_demo):
    gateway = start_demo("--route", f"/mine={METHOD[1:]}")
    with Client(gateway, "/mine") as client:
        client.send("{}", b"{}")
        assert [client.receive() for _ in range(2)] == ["{}", b"{}"]
