"""The dialect grpc-websockets with bytes that its clients would not send;
tests/interop has the clients (docs/protocol/grpc-websockets.md)."""

import base64
import gzip
import json

import pytest

from client import ECHO, HELLO, Client
from grpcweb import (CONTENT_TYPE, END, GRPC_WEBSOCKETS, GrpcWebClient, blocks,
                     data, framed)
from harness import Gateway, eventually

BIDI = HELLO + "BidiHello"
UNARY = HELLO + "SayHello"
ANN = b"\x0a\x03ann"  # HelloRequest{greeting: "ann"}


def hello(name):
    return b"\x0a" + bytes([len(name) + 7]) + b"hello, " + name


def test_unary(demo):
    with GrpcWebClient(demo, UNARY) as client:
        assert client.subprotocol == GRPC_WEBSOCKETS
        client.say(data(ANN), END)
        messages, close = client.receive_all()
    assert close == (1000, "")
    headers, responses, trailers = blocks(messages)
    assert headers["content-type"] == "application/grpc-web+proto"
    assert responses == [hello(b"ann")]
    assert trailers == {"grpc-status": "0"}


def test_a_stream_may_be_cut_anywhere(demo):
    stream = framed(ANN) + framed(b"") + framed(ANN)
    for size in (1, 2, 3, 5, 8, 13, len(stream)):
        with GrpcWebClient(demo, BIDI) as client:
            client.say(*[b"\0" + stream[at:at + size]
                          for at in range(0, len(stream), size)], END)
            responses, trailers, code = client.outcome()
        assert len(responses) == 3, size
        assert (trailers, code) == ({"grpc-status": "0"}, 1000)


def test_gzip_where_the_headers_name_it(demo):
    with GrpcWebClient(demo, UNARY, "grpc-encoding: gzip\r\n") as client:
        client.say(b"\0" + framed(gzip.compress(ANN), 1), END)
        assert client.outcome()[0] == [hello(b"ann")]


@pytest.mark.parametrize("path, subprotocol", [
    (UNARY, "Grpc-WebSockets"), (UNARY, "GRPC-WEBSOCKETS")])
def test_the_subprotocol_is_taken_in_any_case(demo, path, subprotocol):
    with Client(demo, path, subprotocol) as client:
        assert client.subprotocol == subprotocol


def test_headers_are_metadata_and_handshake_headers_are_too(demo):
    head = ("X-One: 1\r\nx-bin: AAE, /w\r\nCookie: c\r\nHost: h\r\n"
            "x-forwarded-for: spoofed\r\nAuthorization: Bearer in-band\r\n")
    with GrpcWebClient(demo, ECHO + "Metadata", head,
                       headers=[("Grpc-Metadata-Two", "2")]) as client:
        client.say(data(b""), END)
        responses, _, _ = client.outcome()
    for expected in (b"x-one", b"two", b"Bearer in-band", b"AAE", b"/w"):
        assert expected in responses[0], expected
    for unexpected in (b"cookie", b"spoofed"):
        assert unexpected not in responses[0], unexpected


def test_the_handshakes_authorization_comes_before_that_in_band(demo):
    with GrpcWebClient(demo, ECHO + "Metadata", "authorization: Bearer two\r\n",
                       headers=[("Authorization", "Bearer one")]) as client:
        client.say(data(b""), END)
        responses, _, _ = client.outcome()
    assert b"Bearer one" in responses[0] and b"Bearer two" not in responses[0]


# (head, messages, grpc-status, close code)
FAULTS = {
    "text": (CONTENT_TYPE, ["a"], "3", 1003),
    "no bytes": (CONTENT_TYPE, [b""], "3", 1002),
    "another first byte": (CONTENT_TYPE, [b"\2"], "3", 1002),
    "bytes behind the half-close": (CONTENT_TYPE, [END + b"\0"], "3", 1002),
    "half-close within a message": (CONTENT_TYPE, [b"\0" + framed(ANN)[:6], END], "3", 1002),
    "unknown flags": (CONTENT_TYPE, [b"\0" + framed(ANN, 2)], "13", 1002),
    "a block of trailers": (CONTENT_TYPE, [b"\0" + framed(b"", 0x80)], "13", 1002),
    "compressed without saying how": (CONTENT_TYPE, [b"\0" + framed(gzip.compress(ANN), 1)], "13", 1002),
    "not gzip": ("grpc-encoding: gzip\r\n", [b"\0" + framed(ANN, 1)], "13", 1002),
    "a bomb": ("grpc-encoding: gzip\r\n", [b"\0" + framed(gzip.compress(bytes(20 << 20)), 1)], "8", 1009),
    "a length that is too long": (CONTENT_TYPE, [b"\0\0\xff\xff\xff\xff"], "8", 1009),
    "another encoding": ("grpc-encoding: br\r\n", [], "12", 4012),
    "another content type": ("content-type: application/grpc-web-text\r\n", [], "3", 1002),
    "data instead of headers": (None, [data(ANN)], "3", 1002),
    "the end instead of headers": (None, [END], "3", 1002),
    "text instead of headers": (None, [CONTENT_TYPE], "3", 1003),
    "no header": ("what\r\n", [], "3", 1002),
    "a control character": ("a: b\0c\r\n", [], "3", 1002),
    "a bare CR": ("a: b\rc: d\r\n", [], "3", 1002),
    "a folded header": ("a: b\r\n c\r\n", [], "3", 1002),
    "a header beyond ASCII": ("a: \xe9\r\n", [], "3", 4003),
    "a bad timeout": ("grpc-timeout: 5\r\n", [], "3", 4003),
    "two authorizations": ("authorization: a\r\nauthorization: b\r\n", [], "16", 4016),
    "headers of a mebibyte": ("a: " + "x" * ((1 << 20) - 5) + "\r\n", [], "8", 4008),
    "a mebibyte of short headers": ("a:\n" * ((1 << 20) // 3), [], "8", 4008),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_in_the_trailers(demo, name):
    head, messages, status, code = FAULTS[name]
    with GrpcWebClient(demo, BIDI, head) as client:
        client.say(*messages)
        messages, close = client.receive_all()
    _, _, trailers = blocks(messages)
    assert trailers["grpc-status"] == status, trailers
    assert trailers["grpc-message"]
    assert close[0] == code, close


def test_a_client_that_sends_no_headers_is_not_waited_for(start_demo):
    gateway = start_demo("--message-timeout", "500ms")
    with GrpcWebClient(gateway, BIDI, head=None) as client:
        responses, trailers, code = client.outcome()
    assert (responses, trailers["grpc-status"], code) == ([], "4", 1008)


@pytest.mark.parametrize("path", ["/nothing", "/no.Service/Method",
                                  HELLO + "Nothing"])
def test_a_method_that_is_not_there_is_unimplemented(demo, path):
    with GrpcWebClient(demo, path) as client:
        client.say(data(b""), END)
        _, trailers, code = client.outcome()
    assert (trailers["grpc-status"], code) == ("12", 4012)


def test_a_refusal_is_told_where_the_route_closes(start_demo):
    gateway = start_demo("--refusals", "close", "--max-sessions", "1")
    with GrpcWebClient(gateway, BIDI):
        with GrpcWebClient(gateway, BIDI, head=None) as client:
            _, trailers, code = client.outcome()
    assert (trailers["grpc-status"], code) == ("14", 4014)


def test_a_backend_that_is_not_there_is_unavailable(stack):
    gateway = stack.enter_context(Gateway.serve("127.0.0.1:1"))
    with GrpcWebClient(gateway, UNARY) as client:
        client.say(data(ANN), END)
        _, trailers, code = client.outcome()
    assert (trailers["grpc-status"], code) == ("14", 4014)


def test_a_client_that_leaves_cancels_the_call(demo):
    def stats():
        with Client(demo, ECHO + "Stats", "headgate.json.v1") as client:
            client.send("{}")
            return int(json.loads(client.receive()).get("cancelledCalls", 0))

    before = stats()
    with GrpcWebClient(demo, ECHO + "Echo") as client:
        client.say(data(b"\x0a\x01a"))
        client.receive()
    eventually(lambda: stats() == before + 1, "a cancelled call")


def test_failures_have_their_details(demo):
    # FailRequest{code: 5, message: "gone 100%", details: [Any{"a", "b"}]}
    details = b"\x1a\x06\x0a\x01a\x12\x01b"
    with GrpcWebClient(demo, ECHO + "Fail") as client:
        client.say(data(b"\x08\x05\x12\x09gone 100%" + details), END)
        _, trailers, code = client.outcome()
    assert code == 4005
    assert trailers["grpc-message"] == "gone 100%25"
    status = base64.b64decode(trailers["grpc-status-details-bin"] + "==")
    assert status == b"\x08\x05\x12\x09gone 100%" + details
