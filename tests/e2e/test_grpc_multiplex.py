"""The dialect grpc-websockets-multiplex, by a client written from its
description (docs/protocol/grpc-websockets.md)."""

import signal

import pytest

from client import ECHO, HELLO
from grpcweb import (END, GRPC_WEBSOCKETS, LAST, MULTIPLEX, GrpcWebClient,
                     Multiplexed, data, fields, unframed)
from harness import eventually

GO_AWAY = 0x7FFFFFFF
ANN = b"\x0a\x03ann"  # HelloRequest{greeting: "ann"}
HELLO_ANN = b"\x0a\x0ahello, ann"
ECHOED = b"\x0a\x01a"  # EchoRequest and EchoResponse{payload: "a"}


def test_many_calls_on_one_socket(demo):
    with Multiplexed(demo) as client:
        assert client.subprotocol == MULTIPLEX
        client.open(0, HELLO + "SayHello")
        client.open(1, ECHO + "Echo")
        client.put(1, data(ECHOED))
        client.put(0, data(ANN))
        client.open(2, ECHO + "Fail")
        client.put(2, data(b"\x08\x05\x12\x04gone"))
        client.half_close(0)
        client.half_close(2)
        client.half_close(1)
        ended = client.outcome(3)
        assert ended[0] == ([HELLO_ANN], {"grpc-status": "0"})
        assert ended[1] == ([ECHOED], {"grpc-status": "0"})
        assert ended[2][1]["grpc-status"] == "5"
        # The socket goes on.
        client.open(3, HELLO + "SayHello")
        client.put(3, data(ANN))
        client.half_close(3)
        assert client.outcome()[3][0] == [HELLO_ANN]


def test_a_client_may_fall_back_to_a_socket_for_each_call(demo):
    with Multiplexed(demo, offered=[GRPC_WEBSOCKETS, MULTIPLEX]) as client:
        assert client.subprotocol == GRPC_WEBSOCKETS


def test_headers_are_those_of_their_call(demo):
    with Multiplexed(demo) as client:
        for number, name in ((1, "one"), (2, "two")):
            client.open(number, ECHO + "Metadata", f"authorization: Bearer {name}\r\n")
            client.put(number, data(b""))
            client.half_close(number)
        ended = client.outcome(2)
    assert b"Bearer one" in ended[1][0][0] and b"Bearer two" not in ended[1][0][0]
    assert b"Bearer two" in ended[2][0][0]


@pytest.mark.parametrize("path, head, status", [
    ("/no.Service/Method", "", "12"), ("nothing", "", "12"),
    (HELLO + "SayHello", "a: \xe9\r\n", "3"),
    (HELLO + "SayHello", "grpc-timeout: 5\r\n", "3"),
    (HELLO + "SayHello", "a: " + "x" * 9000 + "\r\n", "8")])
def test_a_fault_is_its_calls_alone(demo, path, head, status):
    with Multiplexed(demo) as client:
        client.open(1, path, head)
        client.put(1, data(ANN))
        client.half_close(1)
        assert client.outcome()[1][1]["grpc-status"] == status
        client.open(2, HELLO + "SayHello")
        client.put(2, data(ANN))
        client.half_close(2)
        assert client.outcome()[2] == ([HELLO_ANN], {"grpc-status": "0"})


@pytest.mark.parametrize("message, code", [
    (b"", 1002), (b"\0\0\0", 1002), (b"\0\0\0\1", 1002),
    (b"\xff\xff\xff\xff\1", 1002), ("text", 1003)])
def test_a_fault_of_the_framing_ends_the_socket(demo, message, code):
    with Multiplexed(demo) as client:
        client.open(7, ECHO + "Echo")
        client.send(message)
        messages, (closed, _) = client.receive_all()
    assert closed == code
    assert fields(messages[-1][4:])["grpc-status"] == "3"


def test_a_client_that_leaves_cancels_all_its_calls(demo):
    def cancelled():
        with GrpcWebClient(demo, ECHO + "Stats") as client:
            client.say(data(b""), END)
            responses, _, _ = client.outcome()
        # StatsResponse{open_calls = 1, cancelled_calls = 2}
        return responses[0].partition(b"\x10")[2][:1] or b"\0"

    before = cancelled()[0]
    with Multiplexed(demo) as client:
        for number in (1, 2):
            client.open(number, ECHO + "Echo")
            client.put(number, data(ECHOED))
        for _ in range(4):
            client.take()
    eventually(lambda: cancelled()[0] == before + 2, "two cancelled calls")


def test_a_drain_sends_goaway_and_lets_calls_end(start_demo):
    gateway = start_demo("--drain", "20s")
    with Multiplexed(gateway) as client:
        client.open(1, ECHO + "Echo")
        client.put(1, data(ECHOED))
        client.take()
        client.take()
        gateway.signal(signal.SIGTERM)
        assert client.take() == (GO_AWAY, False, b"")
        client.put(GO_AWAY | LAST, END)
        client.put(1, data(ECHOED))
        assert unframed(client.take()[2]) == ECHOED
        client.half_close(1)
        number, is_last, content = client.take()
        assert (number, is_last, fields(content)) == (1, True, {"grpc-status": "0"})
        assert client.receive_close()[0] == 1001
    gateway.wait()


def test_a_drain_ends_calls_that_do_not(start_demo):
    gateway = start_demo("--drain", "1s")
    with Multiplexed(gateway) as client:
        client.open(1, ECHO + "Echo")
        client.put(1, data(ECHOED))
        client.take()
        client.take()
        gateway.signal(signal.SIGTERM)
        assert client.take() == (GO_AWAY, False, b"")
        number, is_last, content = client.take()
        assert (number, is_last) == (1, True)
        assert fields(content)["grpc-status"] == "14"
        assert client.receive_close()[0] == 1001
    gateway.wait()
