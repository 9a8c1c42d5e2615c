"""The protobuf codec: one binary message is one serialized message, and its
bytes are not looked into (docs/protocol/protobuf.md)."""

import pytest

from client import ECHO, HELLO, PROTOBUF, Client, call
from wire import fields, message

BIDI = HELLO + "BidiHello"


def hello(greeting):
    return message((1, greeting))


def test_binary_message_is_one_serialized_message(demo):
    answers, ending = call(demo, BIDI, hello("ann"), hello("bob"),
                           subprotocols=(PROTOBUF,), half_close=True)
    assert answers == [hello("hello, ann"), hello("hello, bob")]
    assert ending == (1000, "")


# On a route of any method the first message is a binary one: protobuf.
def test_binary_without_subprotocol_is_protobuf(demo):
    answers, _ = call(demo, BIDI, hello("ann"), subprotocols=(),
                      half_close=True)
    assert answers == [hello("hello, ann")]


def test_empty_binary_message_is_the_empty_message(demo):
    answers, ending = call(demo, BIDI, b"", subprotocols=(PROTOBUF,),
                           half_close=True)
    assert answers == [hello("hello, ")]
    assert ending == (1000, "")


def test_fragments_are_one_message(demo):
    data = hello("ann")
    answers, _ = call(demo, BIDI, [data[:1], data[1:3], data[3:]],
                      subprotocols=(PROTOBUF,), half_close=True)
    assert answers == [hello("hello, ann")]


def test_large_payload_comes_back_as_it_was(demo):
    payload = bytes(range(256)) * 4000
    answers, ending = call(demo, ECHO + "Echo", message((1, payload)),
                           subprotocols=(PROTOBUF,), half_close=True)
    assert ending == (1000, "")
    assert fields(answers[0]) == {1: [payload]}


# What the gateway does not look into, the backend judges: gRPC C++ says
# INTERNAL to bytes that it cannot parse. The gateway only tells it.
def test_bytes_that_are_no_message_are_the_backends_to_judge(demo):
    answers, (code, _) = call(demo, HELLO + "SayHello", b"\xff\xff\xff",
                              subprotocols=(PROTOBUF,))
    assert answers == []
    assert 4001 <= code <= 4016


@pytest.mark.parametrize("first", [[], [hello("ann")]])
def test_text_on_a_protobuf_session_is_1003(demo, first):
    with Client(demo, BIDI, PROTOBUF) as client:
        for data in first:
            client.send(data)
            client.receive()
        client.send("{}")
        code, reason = client.receive_close()
    assert code == 1003
    assert reason


# The codec stays for the session.
def test_text_after_a_first_binary_message_is_1003(demo):
    with Client(demo, BIDI) as client:
        client.send(hello("ann"))
        assert client.receive() == hello("hello, ann")
        client.send('{"greeting": "bob"}')
        assert client.receive_close()[0] == 1003


def test_codec_flag_decides_without_subprotocol(start_demo):
    gateway = start_demo("--codec", "protobuf")
    with Client(gateway, BIDI) as client:
        client.send("{}")
        assert client.receive_close()[0] == 1003
