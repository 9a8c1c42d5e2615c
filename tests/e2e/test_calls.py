"""The four kinds of call, half-close, and how a session ends
(docs/protocol.md, "Calls" and "Endings")."""

import json
import signal
import subprocess
import sys

import pytest

from client import ECHO, HELLO, JSON, PROTOBUF, Client, call, call_json, stats
from harness import eventually
from wire import (BINARY, CLOSE, TEXT, RawClient, fields, frame, message,
                  upgrade_request)

# --- the four kinds, each with each codec of such a route ---


class JsonWords:
    subprotocol = JSON

    @staticmethod
    def request(greeting):
        return json.dumps({"greeting": greeting})

    @staticmethod
    def reply(answer):
        return json.loads(answer).get("reply", "")


class ProtobufWords:
    subprotocol = PROTOBUF

    @staticmethod
    def request(greeting):
        return message((1, greeting))

    @staticmethod
    def reply(answer):
        return fields(answer)[1][0].decode()


codecs = pytest.mark.parametrize("words", [JsonWords, ProtobufWords])


def greet(gateway, method, words, *greetings, half_close):
    answers, ending = call(gateway, HELLO + method,
                           *[words.request(name) for name in greetings],
                           subprotocols=(words.subprotocol,),
                           half_close=half_close)
    assert ending == (1000, "")
    return [words.reply(answer) for answer in answers]


# The one request completes the client's side: no half-close is needed, but one
# is accepted and changes nothing.
@codecs
@pytest.mark.parametrize("half_close", [False, True])
def test_unary(demo, words, half_close):
    assert greet(demo, "SayHello", words, "ann", half_close=half_close) == [
        "hello, ann"]


@codecs
@pytest.mark.parametrize("half_close", [False, True])
def test_server_streaming(demo, words, half_close):
    assert greet(demo, "LotsOfReplies", words, "ann",
                 half_close=half_close) == [
                     f"hello, ann ({i})" for i in range(1, 11)]


@codecs
def test_client_streaming(demo, words):
    assert greet(demo, "LotsOfGreetings", words, "ann", "bob", "cleo",
                 half_close=True) == ["hello, ann, bob and cleo"]


@codecs
def test_bidirectional(demo, words):
    assert greet(demo, "BidiHello", words, "ann", "bob",
                 half_close=True) == ["hello, ann", "hello, bob"]


@codecs
def test_bidirectional_answers_come_as_the_requests_do(demo, words):
    with Client(demo, HELLO + "BidiHello", words.subprotocol) as client:
        for name in ("ann", "bob", "cleo"):
            client.send(words.request(name))
            assert words.reply(client.receive()) == f"hello, {name}"


# --- half-close ---


# Of a call that takes one request, half-close without any is the empty one.
@codecs
@pytest.mark.parametrize("method, count", [("SayHello", 1),
                                           ("LotsOfReplies", 10)])
def test_half_close_without_a_request_is_the_empty_request(demo, words, method,
                                                           count):
    replies = greet(demo, method, words, half_close=True)
    assert len(replies) == count
    assert replies[0].startswith("hello, ")


@codecs
def test_half_close_without_messages_ends_a_stream(demo, words):
    assert greet(demo, "LotsOfGreetings", words, half_close=True) == [
        "hello, nobody"]
    assert greet(demo, "BidiHello", words, half_close=True) == []


def test_half_close_waits_for_the_messages_before_it(demo):
    count = 500
    replies = greet(demo, "BidiHello", JsonWords,
                    *[str(i) for i in range(count)], half_close=True)
    assert replies == [f"hello, {i}" for i in range(count)]


# The backend answers only once it has slept: long after the half-close.
def test_answer_after_half_close_arrives(demo):
    assert call_json(demo, ECHO + "Sink", {"payload": "AA==", "delay": "0.3s"},
                     half_close=True) == [{"messages": "1", "bytes": "1"}]


# Both in one message, so that the answer cannot come between them.
@pytest.mark.parametrize("method", ["SayHello", "LotsOfReplies"])
def test_second_request_of_a_call_that_takes_one_is_4003(demo, method):
    _, (code, reason) = call(demo, HELLO + method, '{"greeting":"a"}{}')
    assert code == 4003
    assert reason


def test_second_protobuf_request_of_a_call_that_takes_one_is_4003(demo):
    with Client(demo, ECHO + "Flood", PROTOBUF) as client:
        client.send(b"")  # An endless flood.
        client.receive()
        client.send(b"")
        _, (code, _) = client.receive_all()
    assert code == 4003


# A Sink that sleeps keeps the call open after its half-close.
SLEEPY = {"payload": "", "delay": "30s"}


def test_second_half_close_is_1002(demo):
    with Client(demo, ECHO + "Sink", JSON) as client:
        client.send(SLEEPY)
        client.half_close()
        client.half_close()
        code, reason = client.receive_close()
    assert code == 1002
    assert "half-close" in reason


def test_data_after_half_close_is_1002(demo):
    with Client(demo, ECHO + "Sink", JSON) as client:
        client.send(SLEEPY)
        client.half_close()
        client.send(SLEEPY)
        code, reason = client.receive_close()
    assert code == 1002
    assert "half-close" in reason


def test_half_close_after_the_one_request_may_come_late(demo):
    with Client(demo, ECHO + "Flood", JSON) as client:
        client.send({"size": 1})
        client.receive()
        client.half_close()
        assert client.receive()
        client.half_close()  # But only once.
        _, (code, _) = client.receive_all()
    assert code == 1002


# --- endings ---


@pytest.mark.parametrize("code", range(1, 17))
def test_each_status_is_told_by_its_close_code(demo, code):
    answers, ending = call(demo, ECHO + "Fail",
                           {"code": code, "message": f"because {code}"})
    assert answers == []
    assert ending == (4000 + code, f"because {code}")


def test_ok_is_1000(demo):
    assert call(demo, ECHO + "Fail", {"code": 0}) == (["{}"], (1000, ""))


# A Close frame has room for 123 bytes of reason (RFC 6455 section 5.5).
@pytest.mark.parametrize("text, reason", [
    ("x" * 123, "x" * 123), ("x" * 124, "x" * 123), ("x" * 5000, "x" * 123),
    ("é" * 100, "é" * 61), ("x" + "é" * 100, "x" + "é" * 61),
    ("xx" + "\u20ac" * 50, "xx" + "\u20ac" * 40),
    ("\U0001f600" * 40, "\U0001f600" * 30), ("", "")])
def test_reason_is_cut_at_a_character(demo, text, reason):
    assert call(demo, ECHO + "Fail", {"code": 9, "message": text})[1] == (
        4009, reason)


# A long status stays what it is: gRPC has it in metadata, whose limit is 8 KiB
# unless somebody says otherwise.
@pytest.mark.parametrize("size", [9000, 40000])
def test_long_status_keeps_its_code(demo, size):
    assert call(demo, ECHO + "Fail", {"code": 5, "message": "x" * size})[1] == (
        4005, "x" * 123)


@pytest.mark.parametrize("count", [1, 10, 5000])
def test_all_messages_before_the_status_are_delivered(demo, count):
    answers, ending = call(demo, ECHO + "Flood", message((1, count), (2, 100)),
                           subprotocols=(PROTOBUF,))
    assert [fields(answer).get(1, [0])[0] for answer in answers] == list(
        range(count))
    assert ending == (1000, "")


# The Close frame must not overtake, nor cut off, what the client is slow to
# take.
def test_large_messages_before_the_status_are_delivered(demo):
    answers, ending = call(demo, ECHO + "Flood",
                           message((1, 20), (2, 1000000)),
                           subprotocols=(PROTOBUF,))
    assert [len(fields(answer)[2][0]) for answer in answers] == [1000000] * 20
    assert ending == (1000, "")


@pytest.mark.parametrize("path", [
    HELLO + "Nope", "/headgate.demo.v1.Nobody/SayHello", "/nobody/Nothing"])
@pytest.mark.parametrize("subprotocols, data", [
    ((JSON,), "{}"), ((PROTOBUF,), b""), ((), "{}"), ((), b"")])
def test_unknown_method_is_4012(demo, path, subprotocols, data):
    answers, (code, reason) = call(demo, path, data,
                                   subprotocols=subprotocols)
    assert (answers, code) == ([], 4012)
    if JSON in subprotocols:  # Else the call is made, and the backend says so.
        assert path[1:] in reason


# What the client still sends when its call has failed is taken and dropped.
def test_client_that_writes_before_it_reads_gets_the_status(demo):
    with RawClient(demo) as client:
        client.upgrade(ECHO + "Fail")
        client.send(frame(TEXT, b'{"code": 5, "message": "no"}') +
                    frame(TEXT, b""))
        assert client.read_close() == (4005, "no")


# --- a client that leaves cancels its call ---


def close_frame(client):
    client.send_frame(CLOSE, b"\x03\xe9")


def fin(client):
    client.half_close()


def rst(client):
    client.reset()


LEAVING = [close_frame, fin, rst]


@pytest.fixture(scope="module")
def observed(gateway):
    """A gateway whose backend has no other clients."""
    eventually(lambda: stats(gateway)[0] == 0, "calls of other tests to end")
    return gateway


def expect_cancelled(gateway, before):
    eventually(lambda: stats(gateway) == (0, before + 1),
               "the cancellation to reach the backend")


@pytest.mark.parametrize("leave", LEAVING)
def test_client_that_leaves_a_flood_cancels_it(observed, leave):
    _, before = stats(observed)
    with RawClient(observed) as client:
        client.upgrade(ECHO + "Flood")
        client.send_frame(TEXT, b'{"size": 10000}')
        client.read_message()
        leave(client)
        # Not a byte is read from here on.
        expect_cancelled(observed, before)


@pytest.mark.parametrize("leave", LEAVING)
def test_client_that_leaves_an_idle_stream_cancels_it(observed, leave):
    _, before = stats(observed)
    with RawClient(observed) as client:
        client.upgrade(ECHO + "Echo")
        client.send_frame(BINARY, message((1, b"x")))
        client.read_message()
        leave(client)
        expect_cancelled(observed, before)


@pytest.mark.parametrize("leave", LEAVING)
def test_client_that_leaves_after_its_half_close_cancels_the_call(observed,
                                                                 leave):
    _, before = stats(observed)
    with RawClient(observed) as client:
        client.upgrade(ECHO + "Sink")
        client.send_frame(TEXT, json.dumps(SLEEPY).encode())
        client.send_frame(TEXT, b"")
        eventually(lambda: stats(observed)[0] == 1, "the call to begin")
        leave(client)
        expect_cancelled(observed, before)


# A process that is killed says nothing; its kernel does.
def test_client_that_is_killed_cancels_its_call(observed):
    _, before = stats(observed)
    program = (
        "import socket, sys, time\n"
        "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "s.sendall(bytes.fromhex(sys.argv[3]))\n"
        "assert b' 101 ' in s.recv(1000)\n"
        "s.sendall(bytes.fromhex(sys.argv[4]))\n"
        "time.sleep(600)\n")
    child = subprocess.Popen(
        [sys.executable, "-c", program, observed.host, str(observed.port),
         upgrade_request(ECHO + "Flood").hex(),
         frame(TEXT, b'{"size": 10000}').hex()])
    try:
        eventually(lambda: stats(observed)[0] == 1, "the call to begin")
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    expect_cancelled(observed, before)


def test_client_that_leaves_before_its_call_harms_nobody(observed):
    before = stats(observed)
    for leave in LEAVING:
        with RawClient(observed) as client:
            client.upgrade(ECHO + "Echo")
            leave(client)
    eventually(lambda: stats(observed)[0] == 0, "all calls to end")
    assert stats(observed)[1] <= before[1] + len(LEAVING)


def test_fault_of_the_client_cancels_its_call(observed):
    _, before = stats(observed)
    with Client(observed, ECHO + "Echo", JSON) as client:
        client.send({"payload": "AA=="})
        client.receive()
        client.send("oops")
        assert client.receive_close()[0] == 4003
    expect_cancelled(observed, before)
