"""Connect (docs/protocol/connect.md), byte by byte. tests/interop has clients
that others wrote."""

import base64
import contextlib
import gzip
import http.client
import json
import signal
import struct
import subprocess
import urllib.parse

import pytest

from client import stats
from harness import TIMEOUT, eventually
from wire import RawClient

HELLO = "/headgate.demo.v1.HelloService/"
ECHO = "/headgate.demo.v1.EchoService/"
JSON = "application/json"
PROTO = "application/proto"
STREAM_JSON = "application/connect+json"
STREAM_PROTO = "application/connect+proto"


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        assert self.headers["Content-Type"] == JSON
        return json.loads(self.body)

    def envelopes(self):
        """([message], end of the stream)"""
        messages, body = [], self.body
        while body:
            flags, size = struct.unpack(">BI", body[:5])
            payload, body = body[5:5 + size], body[5 + size:]
            if flags == 2:
                assert not body
                return messages, json.loads(payload)
            messages.append(gzip.decompress(payload) if flags else payload)
        raise AssertionError("the stream has no end")


def request(gateway, verb, path, body=None, **headers):
    connection = http.client.HTTPConnection(gateway.host, gateway.port,
                                            timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request(verb, path, body, {
            name.replace("_", "-"): value for name, value in headers.items()})
        return Answer(connection.getresponse())


def post(gateway, path, body, media_type=JSON, **headers):
    if isinstance(body, dict):
        body = json.dumps(body)
    return request(gateway, "POST", path, body, Content_Type=media_type,
                   **headers)


def envelope(message, flags=0):
    if isinstance(message, dict):
        message = json.dumps(message).encode()
    return struct.pack(">BI", flags, len(message)) + message


def stream(gateway, path, *messages, media_type=STREAM_JSON, **headers):
    answer = post(gateway, path, b"".join(map(envelope, messages)), media_type,
                  **headers)
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == media_type
    return answer.envelopes()


def receive_until(client, end):
    data = b""
    while end not in data:
        data += client.receive_some()
    return data


# The call that the documents promise.
def test_curl(demo):
    output = subprocess.run(
        ["curl", "-sS", "-d", '{"greeting":"ann"}',
         "-H", "content-type: application/json",
         f"http://{demo.host}:{demo.port}{HELLO}SayHello"],
        check=True, capture_output=True, text=True).stdout
    assert json.loads(output) == {"reply": "hello, ann"}


@pytest.mark.parametrize("headers", [
    {}, {"Connect_Protocol_Version": "1"},
    {"Content_Type": "application/json; charset=utf-8"}])
def test_unary_json(demo, headers):
    answer = request(demo, "POST", HELLO + "SayHello", '{"greeting":"ann"}',
                     **{"Content_Type": JSON, **headers})
    assert answer.status == 200
    assert answer.json() == {"reply": "hello, ann"}
    assert answer.headers["Content-Length"] == str(len(answer.body))


def test_unary_protobuf(demo):
    answer = post(demo, HELLO + "SayHello", b"\x0a\x03ann", PROTO)
    assert (answer.status, answer.body) == (200, b"\x0a\x0ahello, ann")
    assert answer.headers["Content-Type"] == PROTO
    assert post(demo, ECHO + "Fail", b"", PROTO).body == b""


def get(gateway, method, **query):
    return request(gateway, "GET", method + "?" + urllib.parse.urlencode(
        {"connect": "v1", **query}))


def test_get(demo):
    answer = get(demo, HELLO + "SayHello", encoding="json",
                 message='{"greeting":"ann + bob"}')
    assert answer.json() == {"reply": "hello, ann + bob"}
    encoded = base64.urlsafe_b64encode(b"\x0a\x03ann").decode()
    for message in (encoded, encoded.rstrip("=")):
        assert get(demo, HELLO + "SayHello", encoding="proto", base64="1",
                   message=message).body == b"\x0a\x0ahello, ann"
    compressed = base64.urlsafe_b64encode(gzip.compress(b"{}")).decode()
    assert get(demo, HELLO + "SayHello", encoding="json", base64="1",
               compression="gzip", message=compressed).json() == {
                   "reply": "hello, "}


def test_get_is_for_methods_without_side_effects(demo):
    answer = get(demo, ECHO + "Fail", encoding="json", message="{}")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert answer.json()["code"] == "unimplemented"


@pytest.mark.parametrize("query,status", [
    ({"encoding": "json"}, 400),
    ({"encoding": "json", "message": "!", "base64": "1"}, 400),
    ({"encoding": "json", "message": "{"}, 400),
    ({"encoding": "xml", "message": ""}, 415),
    ({"message": ""}, 415),
    ({"encoding": "json", "message": "", "compression": "br"}, 501)])
def test_get_that_is_malformed(demo, query, status):
    assert get(demo, HELLO + "SayHello", **query).status == status


def test_errors_have_a_code_details_and_an_http_status(demo):
    detail = {"@type": "type.googleapis.com/google.protobuf.StringValue",
              "value": "why"}
    answer = post(demo, ECHO + "Fail",
                  {"code": 5, "message": "gone", "details": [detail]})
    assert answer.status == 404
    assert answer.json() == {
        "code": "not_found", "message": "gone", "details": [{
            "type": "google.protobuf.StringValue", "value": "CgN3aHk",
            "debug": "why"}]}


@pytest.mark.parametrize("code,name,status", [
    (1, "canceled", 499), (2, "unknown", 500), (3, "invalid_argument", 400),
    (4, "deadline_exceeded", 504), (5, "not_found", 404),
    (6, "already_exists", 409), (7, "permission_denied", 403),
    (8, "resource_exhausted", 429), (9, "failed_precondition", 400),
    (10, "aborted", 409), (11, "out_of_range", 400),
    (12, "unimplemented", 501), (13, "internal", 500),
    (14, "unavailable", 503), (15, "data_loss", 500),
    (16, "unauthenticated", 401)])
def test_codes(demo, code, name, status):
    answer = post(demo, ECHO + "Fail", {"code": code})
    assert (answer.status, answer.json()["code"]) == (status, name)


def test_metadata_both_ways(demo):
    answer = post(demo, ECHO + "Metadata", {}, X_Tenant="a", X_Key_Bin="AQ",
                  Authorization="Bearer t", Accept_Encoding="identity",
                  Connect_Protocol_Version="1")
    metadata = answer.json()["metadata"]
    assert metadata["x-tenant"] == {"values": ["a"]}
    assert metadata["x-key-bin"] == {"values": ["AQ=="]}
    assert metadata["authorization"] == {"values": ["Bearer t"]}
    assert not {"connect-protocol-version", "content-type", "accept-encoding",
                "host"} & set(metadata)
    answer = post(demo, "/headgate.demo.v1.LibraryService/GetBook",
                  {"name": "shelves/classics/books/dune"}, X_Reader="ann")
    assert answer.headers["library-branch"] == "main"
    assert answer.headers["x-reader"] == "ann"
    assert int(answer.headers["trailer-library-books"]) > 0


def test_gzip_both_ways(demo):
    name = "x" * 5000
    answer = post(demo, HELLO + "SayHello",
                  gzip.compress(json.dumps({"greeting": name}).encode()),
                  Content_Encoding="gzip", Accept_Encoding="br, gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer.body)) == {
        "reply": "hello, " + name}


def test_server_streaming(demo):
    messages, end = stream(demo, HELLO + "LotsOfReplies", {"greeting": "ann"})
    assert [json.loads(message)["reply"] for message in messages] == [
        f"hello, ann ({i})" for i in range(1, 11)]
    assert end == {}


def test_client_streaming(demo):
    messages, end = stream(demo, HELLO + "LotsOfGreetings",
                           {"greeting": "ann"}, {"greeting": "bob"})
    assert [json.loads(message)["reply"] for message in messages] == [
        "hello, ann and bob"]


def test_a_bidirectional_call_goes_both_ways_at_once(demo):
    with RawClient(demo) as client:
        client.send((f"POST {HELLO}BidiHello HTTP/1.1\r\nHost: localhost\r\n"
                     f"Content-Type: {STREAM_JSON}\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n").encode())
        for name in ("ann", "bob"):
            message = envelope({"greeting": name})
            client.send(b"%x\r\n%s\r\n" % (len(message), message))
            receive_until(client, b"hello, " + name.encode())
        client.send(b"0\r\n\r\n")
        receive_until(client, b"\2\0\0\0\2{}\r\n")


def test_a_stream_that_fails_is_200_with_an_error_at_its_end(demo):
    messages, end = stream(demo, HELLO + "LotsOfReplies", b"{")
    assert not messages
    assert end["error"]["code"] == "invalid_argument"
    assert "line 1" in end["error"]["message"]


def test_gzip_in_streams(demo):
    name = "x" * 5000
    body = envelope(gzip.compress(json.dumps({"greeting": name}).encode()), 1)
    answer = post(demo, HELLO + "BidiHello", body, STREAM_JSON,
                  Connect_Content_Encoding="gzip",
                  Connect_Accept_Encoding="gzip")
    assert answer.headers["Connect-Content-Encoding"] == "gzip"
    messages, end = answer.envelopes()
    assert json.loads(messages[0])["reply"] == "hello, " + name


def test_timeouts(demo):
    messages, end = stream(demo, ECHO + "Flood", {"size": 10},
                           Connect_Timeout_Ms="200")
    assert end["error"]["code"] == "deadline_exceeded"
    assert post(demo, HELLO + "SayHello", {},
                Connect_Timeout_Ms="soon").status == 400
    remaining = post(demo, ECHO + "Metadata", {},
                     Connect_Timeout_Ms="5000").json()["timeRemaining"]
    assert 3 < float(remaining.rstrip("s")) <= 5


@pytest.mark.parametrize("path,media_type,accepted", [
    ("LotsOfReplies", JSON, STREAM_JSON), ("SayHello", STREAM_PROTO, PROTO)])
def test_media_type_of_another_kind_of_call_is_415(demo, path, media_type,
                                                   accepted):
    answer = post(demo, HELLO + path, b"", media_type)
    assert answer.status == 415
    assert accepted in answer.headers["Accept-Post"]


def test_other_media_types_are_415(demo):
    answer = post(demo, HELLO + "SayHello", "greeting=ann",
                  "application/x-www-form-urlencoded")
    assert answer.status == 415
    assert {JSON, PROTO, STREAM_JSON, STREAM_PROTO} <= set(
        answer.headers["Accept-Post"].split(", "))


def test_another_version_is_refused(demo):
    answer = post(demo, HELLO + "SayHello", {}, Connect_Protocol_Version="2")
    assert (answer.status, answer.json()["code"]) == (400, "invalid_argument")


BAD = [
    ("bad JSON", "SayHello", b'{"greeting": 1}', JSON, {}, 400,
     "invalid_argument"),
    ("two texts", "SayHello", b"{}{}", JSON, {}, 400, "invalid_argument"),
    ("no text", "SayHello", b"", JSON, {}, 400, "invalid_argument"),
    ("not UTF-8", "SayHello", b'{"greeting":"\xff"}', JSON, {}, 400,
     "invalid_argument"),
    ("not gzip", "SayHello", b"{}", JSON, {"Content_Encoding": "gzip"}, 400,
     "invalid_argument"),
    ("a bomb", "SayHello", gzip.compress(bytes(10 << 20)), PROTO,
     {"Content_Encoding": "gzip"}, 429, "resource_exhausted"),
    ("too long", "SayHello", bytes(2 << 20), PROTO, {}, 429,
     "resource_exhausted"),
    ("unknown compression", "SayHello", b"{}", JSON,
     {"Content_Encoding": "br"}, 501, "unimplemented"),
    ("unknown method", "Nothing", b"{}", JSON, {}, 501, "unimplemented"),
    ("unknown method, protobuf", "Nothing", b"", PROTO, {}, 501,
     "unimplemented"),
    ("metadata that is not base64", "SayHello", b"{}", JSON, {"X_Bin": "!"},
     400, "invalid_argument"),
    ("malformed credentials", "SayHello", b"{}", JSON,
     {"Authorization": "\xff"}, 401, "unauthenticated"),
]


@pytest.mark.parametrize("name,path,body,media_type,headers,status,code", BAD,
                         ids=[row[0] for row in BAD])
def test_what_is_malformed_gets_an_error(demo, name, path, body, media_type,
                                         headers, status, code):
    answer = post(demo, HELLO + path, body, media_type, **headers)
    assert (answer.status, answer.json()["code"]) == (status, code), answer.body
    assert post(demo, HELLO + "SayHello", {}).status == 200


BAD_STREAMS = [
    ("cut short", envelope(b"{}")[:-1], {}, "invalid_argument"),
    ("no message", b"", {}, "invalid_argument"),
    ("two messages", envelope(b"{}") * 2, {}, "invalid_argument"),
    ("unknown flags", envelope(b"{}", 8), {}, "invalid_argument"),
    ("the end, which is the server's", envelope(b"{}", 2), {},
     "invalid_argument"),
    ("too long", b"\0\xff\xff\xff\xff", {}, "resource_exhausted"),
    ("compressed without saying how", envelope(gzip.compress(b"{}"), 1), {},
     "internal"),
    ("unknown compression", envelope(b"{}"),
     {"Connect_Content_Encoding": "br"}, "unimplemented"),
]


@pytest.mark.parametrize("name,body,headers,code", BAD_STREAMS,
                         ids=[row[0] for row in BAD_STREAMS])
def test_a_stream_that_is_malformed_ends_with_an_error(demo, name, body,
                                                       headers, code):
    answer = post(demo, HELLO + "LotsOfReplies", body, STREAM_JSON, **headers)
    assert answer.status == 200
    messages, end = answer.envelopes()
    assert end["error"]["code"] == code


def test_refusals_have_the_form_of_connect(demo):
    # Where nothing is served, a POST of JSON may be anybody's.
    assert post(demo, "/nothing", {}).json() == {
        "code": 5, "message": "nothing is served at /nothing"}
    answer = post(demo, "/nothing", b"", STREAM_JSON)
    assert answer.envelopes()[1]["error"]["code"] == "unimplemented"


def test_a_client_that_leaves_cancels_the_call(demo):
    with RawClient(demo) as client:
        body = envelope(b"{}")
        client.send((f"POST {ECHO}Flood HTTP/1.1\r\nHost: localhost\r\n"
                     f"Content-Type: {STREAM_JSON}\r\n"
                     f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
        receive_until(client, b"\r\n\r\n")
    eventually(lambda: stats(demo)[0] == 0, "the end of the call")


def test_a_drain_ends_streams_with_unavailable(start_demo):
    gateway = start_demo()
    with RawClient(gateway) as client:
        client.send((f"POST {HELLO}BidiHello HTTP/1.1\r\nHost: localhost\r\n"
                     f"Content-Type: {STREAM_JSON}\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n").encode())
        message = envelope({"greeting": "ann"})
        client.send(b"%x\r\n%s\r\n" % (len(message), message))
        receive_until(client, b"hello, ann")
        gateway.signal(signal.SIGTERM)
        assert b"unavailable" in receive_until(client, b"\r\n0\r\n\r\n")
    gateway.wait()


def test_a_route_may_narrow_its_dialects(configured, backend):
    gateway = configured(f"""
upstreams: [{{name: one, target: "{backend.target}"}}]
routes:
  - {{path: /hello, upstream: one, dialects: [connect],
      method: headgate.demo.v1.HelloService/SayHello}}
  - {{prefix: /grpc, strip_prefix: true, upstream: one, dialects: [grpc-web]}}
""")
    assert post(gateway, "/hello", {"greeting": "ann"}).json() == {
        "reply": "hello, ann"}
    for path, media_type in (("/hello", "application/grpc-web"),
                             ("/grpc" + HELLO + "SayHello", JSON)):
        assert post(gateway, path, b"", media_type).status == 415
    assert post(gateway, "/grpc" + HELLO + "SayHello", envelope(b""),
                "application/grpc-web").headers["Content-Type"] == (
                    "application/grpc-web+proto")
    with RawClient(gateway) as client:
        assert client.request("/hello").status == 400


def test_messages_of_a_stream_count_for_the_rate(configured, backend):
    gateway = configured(f"""
upstreams: [{{name: one, target: "{backend.target}"}}]
limits: {{messages_per_second: 1, message_burst: 5}}
routes: [{{upstream: one}}]
""")
    _, end = stream(gateway, HELLO + "BidiHello", *[{"greeting": "a"}] * 4)
    assert "error" not in end
    _, end = stream(gateway, HELLO + "BidiHello", *[{"greeting": "a"}] * 20)
    assert end["error"]["code"] == "resource_exhausted"


def test_the_log_and_the_metrics_name_the_dialect(start_demo):
    gateway = start_demo()
    post(gateway, HELLO + "SayHello", {})
    eventually(lambda: "codec=connect" in gateway.stderr(), "a line")
    for label in ("codec", "dialect"):
        assert gateway.metric("headgate_messages_total", direction="in",
                              **{label: "connect"}) >= 1


@pytest.mark.parametrize("method,media_type,begin,told", [
    ("SayHello", JSON, b'{"gre', b'HTTP/1.1 504 '),
    ("BidiHello", STREAM_JSON, b"\0\0\0", b'"code":"deadline_exceeded"'),
    ("SayHello", "application/grpc-web", b"\0\0\0", b"grpc-status: 4\r\n")])
def test_a_body_that_does_not_go_on_ends_the_call(start_demo, method,
                                                  media_type, begin, told):
    gateway = start_demo("--message-timeout", "500ms")
    with RawClient(gateway) as client:
        client.send((f"POST {HELLO}{method} HTTP/1.1\r\nHost: localhost\r\n"
                     f"Content-Type: {media_type}\r\n"
                     "Content-Length: 100\r\n\r\n").encode() + begin)
        receive_until(client, told)


@pytest.mark.parametrize("media_type,told", [
    (JSON, b'"code":"invalid_argument"'),
    (STREAM_PROTO, b'"code":"invalid_argument"'),
    ("application/grpc-web", b"grpc-status: 3\r\n")])
def test_chunks_that_are_none_get_an_error(demo, media_type, told):
    with RawClient(demo) as client:
        client.send((f"POST {HELLO}BidiHello HTTP/1.1\r\nHost: localhost\r\n"
                     f"Content-Type: {media_type}\r\n"
                     "Transfer-Encoding: chunked\r\n\r\nx\r\n").encode())
        receive_until(client, told)


def test_expect_100_continue(demo):
    body = json.dumps({"greeting": "x" * 10000}).encode()
    with RawClient(demo) as client:
        client.send((f"POST {HELLO}SayHello HTTP/1.1\r\nHost: localhost\r\n"
                     f"Content-Type: {JSON}\r\nExpect: 100-continue\r\n"
                     f"Content-Length: {len(body)}\r\n\r\n").encode())
        receive_until(client, b"100 Continue\r\n\r\n")
        client.send(body)
        receive_until(client, b'"reply":"hello, xxx')


def test_requests_share_a_connection(demo):
    connection = http.client.HTTPConnection(demo.host, demo.port,
                                            timeout=TIMEOUT)
    with contextlib.closing(connection):
        sockets = set()
        for method, body in (("SayHello", "{}"), ("SayHello", "{"),
                             ("Nothing", "{}"), ("SayHello", "{}")):
            connection.request("POST", HELLO + method, body,
                               {"Content-Type": JSON})
            sockets.add(connection.sock)
            connection.getresponse().read()
        assert len(sockets) == 1


def test_the_upstream_is_away(configured):
    gateway = configured("""
upstreams: [{name: one, target: "127.0.0.1:1"}]
routes: [{upstream: one}]
""")
    answer = post(gateway, HELLO + "SayHello", {})
    assert (answer.status, answer.json()["code"]) == (503, "unavailable")
    _, end = stream(gateway, HELLO + "BidiHello", {})
    assert end["error"]["code"] == "unavailable"
    answer = post(gateway, HELLO + "SayHello", envelope(b""),
                  "application/grpc-web")
    assert answer.headers["grpc-status"] == "14"


def test_protobuf_needs_no_descriptors(configured, backend):
    gateway = configured(f"""
upstreams:
  - {{name: one, target: "{backend.target}", descriptors: {{reflection: false}}}}
routes: [{{upstream: one}}]
""")
    answer = post(gateway, HELLO + "SayHello", b"\x0a\x03ann", PROTO)
    assert (answer.status, answer.body) == (200, b"\x0a\x0ahello, ann")
    messages, _ = stream(gateway, HELLO + "LotsOfReplies", b"\x0a\x03ann",
                         media_type=STREAM_PROTO)
    assert len(messages) == 10
    answer = post(gateway, HELLO + "SayHello", envelope(b"\x0a\x03ann"),
                  "application/grpc-web")
    assert b"hello, ann" in answer.body and b"grpc-status: 0" in answer.body
    # JSON does, and a GET wants to know that there are no side effects.
    answer = post(gateway, HELLO + "SayHello", {})
    assert (answer.status, answer.json()["code"]) == (501, "unimplemented")
    assert get(gateway, HELLO + "SayHello", encoding="proto",
               message="").status == 405
    # A second response has no place in a unary call.
    answer = post(gateway, HELLO + "LotsOfReplies", b"\x0a\x03ann", PROTO)
    assert (answer.status, answer.json()["code"]) == (500, "internal")
