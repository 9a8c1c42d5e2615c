"""RFC 6455 as the gateway keeps it, and what it does to a client that does
not."""

import struct

import pytest

from client import ECHO, HELLO, JSON, Client
from harness import eventually, sanitized
from wire import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, RawClient,
                  frame, message)

BIDI = HELLO + "BidiHello"
ANN = b'{"greeting":"ann"}'
REPLY = b'{"reply":"hello, ann"}'


@pytest.fixture
def client(demo):
    with RawClient(demo) as client:
        client.upgrade(BIDI)
        yield client


# Section 5.5.2: a pong carries the ping's payload.
@pytest.mark.parametrize("payload", [b"", b"are you there", b"\xff" * 125])
def test_ping_is_answered(client, payload):
    client.send_frame(PING, payload)
    pong = client.read_frame()
    assert (pong.opcode, pong.payload) == (PONG, payload)


def test_ping_is_answered_to_a_client_of_another_make(demo):
    with Client(demo, BIDI, JSON) as client:
        client.ping()
        client.send({"greeting": "ann"})
        client.receive()
        client.ping()


def test_pong_that_nobody_asked_for_is_ignored(client):
    client.send_frame(PONG, b"hello?")
    client.send_frame(TEXT, ANN)
    assert client.read_message() == (TEXT, REPLY)


# Section 5.4: control frames may stand between the fragments of a message.
def test_message_of_many_fragments_with_pings_between_them(client):
    client.send_frame(TEXT, ANN[:1], fin=False)
    for i, byte in enumerate(ANN[1:]):
        client.send_frame(PING, str(i).encode())
        client.send_frame(CONTINUATION, bytes([byte]), fin=False)
    client.send_frame(CONTINUATION, b"")
    for i in range(len(ANN) - 1):
        assert client.read_frame().payload == str(i).encode()
    assert client.read_message() == (TEXT, REPLY)


def test_frames_that_come_byte_by_byte(client):
    for byte in frame(TEXT, ANN) + frame(TEXT, b""):
        client.send(bytes([byte]))
    assert client.read_message() == (TEXT, REPLY)
    assert client.read_close() == (1000, "")


# Section 5.5.1: the Close frame is answered with one of the same code.
@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe8bye",
                                     struct.pack(">H", 4999) + b"mine"])
def test_close_frame_is_answered(client, payload):
    client.send_frame(CLOSE, payload)
    answer = client.read_frame()
    assert answer.opcode == CLOSE
    assert answer.payload[:2] == payload[:2] or payload == b""
    assert client.at_end()


@pytest.mark.parametrize("data", [
    pytest.param(frame(TEXT, ANN, masked=False), id="without a mask"),
    pytest.param(frame(TEXT, ANN, reserved=4), id="RSV1"),
    pytest.param(frame(TEXT, ANN, reserved=1), id="RSV3"),
    pytest.param(frame(3, b"x"), id="an opcode of data that is not defined"),
    pytest.param(frame(11, b"x"), id="an opcode that is not defined"),
    pytest.param(frame(CONTINUATION, b"x"), id="continues nothing"),
    pytest.param(frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"),
                 id="begins anew inside a message"),
    pytest.param(frame(PING, b"x", fin=False), id="a fragmented ping"),
    pytest.param(frame(PING, b"x" * 126), id="a ping over 125 bytes"),
    pytest.param(frame(CLOSE, b"x"), id="half a close code"),
    pytest.param(frame(CLOSE, struct.pack(">H", 1005)), id="code 1005 sent"),
    pytest.param(frame(CLOSE, struct.pack(">H", 999)), id="code 999"),
    pytest.param(b"\x81\xfe\0\x05\0\0\0\0hello", id="length not minimal"),
])
def test_what_breaks_the_protocol_is_1002(client, data):
    client.send(data)
    assert client.read_close()[0] == 1002


# Section 8.1, and that of the reason in a Close frame.
@pytest.mark.parametrize("data", [
    frame(TEXT, b"\xff"), frame(TEXT, b'{"greeting":"\xc3\x28"}'),
    frame(TEXT, b"\xed\xa0\x80"), frame(TEXT, b"\xc5", fin=False) +
    frame(CONTINUATION, b"x"), frame(TEXT, b"\xf0\x9f\x98")])
def test_text_that_is_not_utf8_is_1007(client, data):
    client.send(data)
    assert client.read_close()[0] == 1007


def test_close_reason_that_is_not_utf8_is_not_echoed(client):
    client.send_frame(CLOSE, b"\x03\xe8\xff\xfe")
    assert client.read_close()[0] in (1000, 1002, 1007)


# A character may be cut between two fragments.
def test_utf8_is_checked_across_fragments(client):
    data = '{"greeting":"ž"}'.encode()
    cut = data.index("ž".encode()) + 1
    client.send_frame(TEXT, data[:cut], fin=False)
    client.send_frame(CONTINUATION, data[cut:])
    assert client.read_message() == (TEXT, '{"reply":"hello, ž"}'.encode())


# --- max_message_bytes ---


def test_message_of_the_limit_passes_and_one_byte_more_is_1009(start_demo):
    gateway = start_demo("--max-message-bytes", "1KiB")
    for size in (1024, 1025):
        with RawClient(gateway) as client:
            client.upgrade(ECHO + "Echo")
            data = message((1, b"x" * (size - 3)))
            assert len(data) == size
            client.send_frame(BINARY, data)
            if size == 1024:
                assert client.read_message() == (BINARY, data)
            else:
                code, reason = client.read_close()
                assert code == 1009
                assert "max_message_bytes (1024)" in reason


def test_one_mebibyte_is_the_limit_by_default(demo):
    with RawClient(demo) as client:
        client.upgrade(ECHO + "Echo")
        client.send_frame(BINARY, b"x" * (1024 * 1024 + 1))
        assert client.read_close()[0] == 1009


def test_limit_is_on_the_message_not_the_frame(start_demo):
    gateway = start_demo("--max-message-bytes", "1KiB")
    with RawClient(gateway) as client:
        client.upgrade(ECHO + "Echo")
        client.send_frame(BINARY, b"x" * 500, fin=False)
        client.send_frame(CONTINUATION, b"x" * 500, fin=False)
        client.send_frame(CONTINUATION, b"x" * 25)
        assert client.read_close()[0] == 1009


# No memory is set aside for what a header promises, and the end of the message
# is not waited for.
@pytest.mark.parametrize("length", [1 << 20, (1 << 31) + 5, (1 << 64) - 1])
def test_message_is_too_big_as_soon_as_it_is(start_demo, length):
    gateway = start_demo("--max-message-bytes", "1KiB")
    with RawClient(gateway) as client:
        client.upgrade(ECHO + "Echo")
        before = gateway.rss()
        client.send(frame(BINARY, b"x" * 1025, length=length))
        assert client.read_close()[0] in (1002, 1009)
        # A sanitizer's shadow memory comes with what is used of it first.
        allowance = (128 if sanitized() else 8) << 20
        assert gateway.rss() < before + allowance


def test_json_object_over_many_messages_is_limited_too(start_demo):
    gateway = start_demo("--max-message-bytes", "1KiB")
    with Client(gateway, BIDI, JSON) as client:
        client.send('{"greeting":"', *["x" * 500] * 3)
        code, reason = client.receive_close()
    assert code == 1009
    assert "max_message_bytes" in reason


# The limit is on each object, not on the session.
def test_many_objects_within_the_limit_pass(start_demo):
    gateway = start_demo("--max-message-bytes", "1KiB")
    with Client(gateway, BIDI, JSON) as client:
        for _ in range(10):
            client.send({"greeting": "x" * 500})
            assert len(client.receive_json()["reply"]) == 507


# --- a client that leaves in the middle ---


@pytest.mark.parametrize("data", [
    b"\x81", b"\x81\xfe\x01", frame(TEXT, ANN)[:8],
    frame(TEXT, ANN, fin=False), frame(PING, b"x")[:3]])
def test_connection_cut_in_the_middle_of_a_frame_harms_nobody(demo, data):
    with RawClient(demo) as client:
        client.upgrade(BIDI)
        client.send(data)
    with RawClient(demo) as client:
        client.upgrade(BIDI)
        client.send(data)
        client.reset()
    with Client(demo, BIDI, JSON) as client:
        client.send({"greeting": "ann"})
        assert client.receive_json() == {"reply": "hello, ann"}


# The session is over once the Close frame was answered, or close_timeout later.
def test_client_that_does_not_answer_the_close_frame_is_cut_off(start_demo):
    gateway = start_demo("--close-timeout", "300ms")
    with RawClient(gateway) as client:
        client.upgrade(ECHO + "Fail")
        client.send_frame(TEXT, b'{"code": 5}')
        assert client.read_frame().opcode == CLOSE
        assert eventually(client.at_end, "the end of the connection")
