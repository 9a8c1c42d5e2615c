"""gRPC-Web (docs/protocol/grpc-web.md), byte by byte. tests/interop has clients
that others wrote."""

import base64
import contextlib
import gzip
import http.client
import json
import struct

import pytest

from client import stats
from harness import TIMEOUT, eventually
from wire import RawClient

HELLO = "/headgate.demo.v1.HelloService/"
ECHO = "/headgate.demo.v1.EchoService/"
BINARY = "application/grpc-web"
TEXT = "application/grpc-web-text"


def frame(message, flags=0):
    return struct.pack(">BI", flags, len(message)) + message


def frames_of(body):
    """[(flags, payload)]"""
    found = []
    while body:
        flags, size = struct.unpack(">BI", body[:5])
        assert len(body) >= 5 + size
        found.append((flags, body[5:5 + size]))
        body = body[5 + size:]
    return found


def decode_text(body):
    """Base64 that may be padded in the middle."""
    return b"".join(base64.b64decode(body[at:at + 4])
                    for at in range(0, len(body), 4))


def receive_until(client, end):
    data = b""
    while end not in data:
        data += client.receive_some()
    return data


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()
        if "-text" in self.headers.get("Content-Type", ""):
            self.body = decode_text(self.body)
        frames = frames_of(self.body)
        assert frames and frames[-1][0] == 0x80
        self.messages = [payload for flags, payload in frames[:-1]]
        self.flags = [flags for flags, payload in frames[:-1]]
        self.trailers = dict(
            line.split(": ", 1)
            for line in frames[-1][1].decode().strip().split("\r\n"))


def call(gateway, path, body, media_type=BINARY, **headers):
    connection = http.client.HTTPConnection(gateway.host, gateway.port,
                                            timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request("POST", path, body, {
            "Content-Type": media_type,
            **{name.replace("_", "-"): value
               for name, value in headers.items()}})
        response = connection.getresponse()
        assert response.status == 200
        return Answer(response)


def greeting(name):
    return b"\x0a" + bytes([len(name)]) + name.encode()


def reply(text):
    return greeting(text)


def test_unary(demo):
    answer = call(demo, HELLO + "SayHello", frame(greeting("ann")))
    assert answer.headers["Content-Type"] == "application/grpc-web+proto"
    assert answer.messages == [reply("hello, ann")]
    assert answer.trailers == {"grpc-status": "0"}
    assert "grpc-status" not in answer.headers


@pytest.mark.parametrize("media_type", [
    "application/grpc-web", "application/grpc-web+proto",
    "APPLICATION/GRPC-WEB+PROTO; x=y"])
def test_media_types(demo, media_type):
    assert call(demo, HELLO + "SayHello", frame(greeting("a")),
                media_type).messages == [reply("hello, a")]


def test_json(demo):
    answer = call(demo, HELLO + "SayHello", frame(b'{"greeting": "ann"}'),
                  "application/grpc-web+json")
    assert answer.messages == [b'{"reply":"hello, ann"}']


def test_json_in_base64(demo):
    message = base64.b64encode(frame(b'{"greeting": "ann"}'))
    answer = call(demo, HELLO + "LotsOfReplies", message, TEXT + "+json")
    assert answer.headers["Content-Type"] == "application/grpc-web-text+json"
    assert answer.messages[0] == b'{"reply":"hello, ann (1)"}'
    assert len(answer.messages) == 10
    answer = call(demo, HELLO + "SayHello",
                  base64.b64encode(frame(b'{"greeting": 1}')), TEXT + "+json")
    assert answer.trailers["grpc-status"] == "3"
    assert "greeting" in answer.trailers["grpc-message"]


def test_server_streaming(demo):
    answer = call(demo, HELLO + "LotsOfReplies", frame(greeting("ann")))
    assert answer.messages == [reply(f"hello, ann ({i})")
                               for i in range(1, 11)]
    assert answer.trailers["grpc-status"] == "0"


def test_text_padded_in_the_middle(demo):
    body = b"".join(base64.b64encode(frame(greeting("ann"))[at:at + 2])
                    for at in range(0, 10, 2))
    answer = call(demo, HELLO + "LotsOfReplies", body, TEXT)
    assert answer.headers["Content-Type"] == "application/grpc-web-text+proto"
    assert len(answer.messages) == 10


def test_client_streaming_as_far_as_http_goes(demo):
    answer = call(demo, HELLO + "LotsOfGreetings",
                  frame(greeting("ann")) + frame(greeting("bob")))
    assert answer.messages == [reply("hello, ann and bob")]


def test_messages_leave_at_once(demo):
    """The first response arrives while the request's body goes on."""
    with RawClient(demo) as client:
        client.send((f"POST {HELLO}BidiHello HTTP/1.1\r\nHost: localhost\r\n"
                     f"Content-Type: {BINARY}\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n").encode())
        for name in (b"ann", b"bob"):
            message = frame(greeting(name.decode()))
            client.send(b"%x\r\n%s\r\n" % (len(message), message))
            receive_until(client, b"hello, " + name)
        client.send(b"0\r\n\r\n")
        receive_until(client, b"grpc-status: 0\r\n")


def test_failure_is_in_the_head_and_in_the_body(demo):
    answer = call(demo, ECHO + "Fail", frame(b"\x08\x05\x12\x05n\xc3\xa4h%"))
    assert answer.headers["grpc-status"] == "5"
    assert answer.headers["grpc-message"] == "n%C3%A4h%25"
    assert answer.trailers == {"grpc-status": "5",
                               "grpc-message": "n%C3%A4h%25"}
    assert not answer.messages


def test_unknown_method_and_path(demo):
    for path in (HELLO + "Nothing", "/no.Service/Method", "/nothing"):
        answer = call(demo, path, frame(b""))
        assert answer.headers["grpc-status"] == "12"


def test_metadata_both_ways(demo):
    answer = call(demo, ECHO + "Metadata", frame(b""), X_Tenant="a", X_Key_Bin="AQ==, Ag",
                  Authorization="Bearer t0ken", X_Grpc_Web="1")
    text, = answer.messages
    assert b"x-tenant" in text and b"x-key-bin" in text
    assert b"Bearer t0ken" in text
    assert b"grpc-encoding" not in text and b"content-length" not in text


def test_gzip_both_ways(demo):
    name = "x" * 5000
    message = b"\x0a" + b"\x88\x27" + name.encode()
    answer = call(demo, HELLO + "SayHello", frame(gzip.compress(message), 1),
                  Grpc_Encoding="gzip", Grpc_Accept_Encoding="gzip, identity")
    assert answer.headers["Grpc-Encoding"] == "gzip"
    assert answer.flags == [1]
    assert name.encode() in gzip.decompress(answer.messages[0])


def test_timeout(demo):
    answer = call(demo, ECHO + "Flood", frame(b"\x10\x0a"),
                  Grpc_Timeout="200m")
    assert answer.trailers["grpc-status"] == "4"


BAD = [
    ("cut short", frame(b"abc")[:-1], BINARY, {}, 3),
    ("half a prefix", b"\0\0", BINARY, {}, 3),
    ("no message", b"", BINARY, {}, 3),
    ("two messages", frame(b"") + frame(b""), BINARY, {}, 3),
    ("unknown flags", frame(b"", 4), BINARY, {}, 3),
    ("trailers of a client", frame(b"") + frame(b"a: b\r\n", 0x80), BINARY, {},
     3),
    ("too long", b"\0\xff\xff\xff\xff", BINARY, {}, 8),
    ("compressed without saying how", frame(gzip.compress(b""), 1), BINARY, {},
     13),
    ("not gzip", frame(b"abc", 1), BINARY, {"Grpc_Encoding": "gzip"}, 3),
    ("a bomb", frame(gzip.compress(bytes(10 << 20)), 1), BINARY,
     {"Grpc_Encoding": "gzip"}, 8),
    ("unknown compression", frame(b""), BINARY, {"Grpc_Encoding": "br"}, 12),
    ("not base64", b"AAAAAA=*", TEXT, {}, 3),
    ("base64 cut short", b"AAAAA", TEXT, {}, 3),
    ("bad JSON", frame(b"{"), "application/grpc-web+json", {}, 3),
    ("a timeout that is none", frame(b""), BINARY, {"Grpc_Timeout": "soon"}, 3),
    ("metadata that is not base64", frame(b""), BINARY, {"X_Bin": "!"}, 3),
]


@pytest.mark.parametrize("name,body,media_type,headers,code", BAD,
                         ids=[row[0] for row in BAD])
def test_what_is_malformed_gets_a_status(demo, name, body, media_type, headers,
                                         code):
    answer = call(demo, HELLO + "SayHello", body, media_type, **headers)
    assert answer.trailers["grpc-status"] == str(code), answer.trailers
    assert answer.headers["grpc-status"] == str(code)
    # The gateway goes on.
    assert call(demo, HELLO + "SayHello", frame(greeting("a"))).messages


def test_a_long_message_is_told_to_a_client_that_is_still_sending(demo):
    with RawClient(demo) as client:
        client.send((f"POST {HELLO}SayHello HTTP/1.1\r\nHost: localhost\r\n"
                     f"Content-Type: {BINARY}\r\n"
                     "Content-Length: 8000005\r\n\r\n").encode() +
                    struct.pack(">BI", 0, 8000000))
        for _ in range(80):
            client.send(bytes(10000))
        receive_until(client, b"grpc-status: 8\r\n")


def test_refusals_have_the_form_of_the_dialect(start_demo):
    gateway = start_demo("--max-sessions", "1")
    with RawClient(gateway) as holder:
        holder.send((f"POST {HELLO}BidiHello HTTP/1.1\r\nHost: localhost\r\n"
                     f"Content-Type: {BINARY}\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n").encode())
        eventually(lambda: stats_sessions(gateway) == 1, "an open session")
        answer = call(gateway, HELLO + "SayHello", frame(b""))
        assert answer.headers["grpc-status"] == "14"
        assert "too many sessions" in answer.trailers["grpc-message"]


def stats_sessions(gateway):
    return len(json.loads(gateway.admin("/sessions")[1])["sessions"])


def test_a_client_that_leaves_cancels_the_call(demo):
    with RawClient(demo) as client:
        client.send((f"POST {ECHO}Flood HTTP/1.1\r\nHost: localhost\r\n"
                     f"Content-Type: {BINARY}\r\nContent-Length: 7\r\n\r\n"
                     ).encode() + frame(b"\x10\x0a"))
        receive_until(client, b"\r\n\r\n")
    eventually(lambda: stats(demo)[0] == 0, "the end of the call")


def test_other_media_types_are_415(demo):
    connection = http.client.HTTPConnection(demo.host, demo.port,
                                            timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request("POST", HELLO + "SayHello", b"",
                           {"Content-Type": "text/plain"})
        response = connection.getresponse()
        assert response.status == 415
        assert "application/grpc-web-text" in response.headers["Accept-Post"]


def test_cors(start_demo):
    gateway = start_demo("--allow-origin", "https://app.example.com")
    connection = http.client.HTTPConnection(gateway.host, gateway.port,
                                            timeout=TIMEOUT)
    origin = {"Origin": "https://app.example.com"}
    with contextlib.closing(connection):
        connection.request("OPTIONS", HELLO + "SayHello", headers={
            **origin, "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-grpc-web"})
        response = connection.getresponse()
        response.read()
        assert response.status == 204
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Allow-Headers"] == (
            "content-type, x-grpc-web")
        connection.request("OPTIONS", HELLO + "SayHello", headers={
            "Origin": "https://evil.test",
            "Access-Control-Request-Method": "POST"})
        response = connection.getresponse()
        response.read()
        assert response.status == 403
    answer = call(gateway, ECHO + "Fail", frame(b"\x08\x05"), **origin)
    assert answer.headers["Access-Control-Allow-Origin"] == origin["Origin"]
    exposed = answer.headers["Access-Control-Expose-Headers"].lower()
    assert "grpc-status" in exposed
