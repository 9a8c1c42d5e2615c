"""The log: its forms, its repeats, and what must never be in it."""

import base64
import contextlib
import http.client
import json
import signal
import socket
import time

import pytest

from client import ECHO, HELLO, JSON, RAW, Client, call, call_json, refusal
from harness import TIMEOUT, Gateway, eventually
from wire import CLOSE, TEXT, RawClient, upgrade_request

BIDI = HELLO + "BidiHello"
SECRET = "s3cr3t-0f-ann"
ENCODED = base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("=")


def test_lines_can_be_json():
    with Gateway.demo("--log-format", "json", "--log-level",
                      "debug") as gateway:
        call(gateway, ECHO + "Fail", {"code": 5, "message": 'a "b"\n\u00e9\u0007'})
        refusal(gateway, "/nothing", JSON)
        eventually(lambda: "session ended" in gateway.stderr(), "the line")
        lines = [json.loads(line) for line in gateway.stderr().splitlines()]
    ended, = (line for line in lines if line["msg"] == "session ended")
    assert ended["level"] == "info"
    assert ended["status"] == "NOT_FOUND"
    assert ended["reason"] == 'a "b"\n\u00e9\u0007'
    assert ended["close"] == "4005"
    assert ended["method"] == ECHO + "Fail"
    assert len(ended["trace"]) == 32
    assert ended["time"].endswith("Z")
    for line in lines:
        assert all(isinstance(value, str) for value in line.values())


def test_the_form_changes_with_a_reload(tmp_path):
    file = tmp_path / "headgate.yaml"
    listener = {"listeners": [{"address": "127.0.0.1:0"}]}
    file.write_text(json.dumps(listener))
    with Gateway.configured(file, command="demo") as gateway:
        file.write_text(json.dumps({**listener, "log_format": "json"}))
        gateway.signal(signal.SIGHUP)
        eventually(lambda: "configuration reloaded" in gateway.stderr(),
                   "the reload")
        call_json(gateway, BIDI, half_close=True)
        eventually(lambda: '"msg":"session ended"' in gateway.stderr(),
                   "a line of JSON")


# A flood of refusals is a few lines and a number; sessions have a line each.
def test_repeats_are_told_as_a_number():
    with Gateway.demo() as gateway:
        for _ in range(100):
            with RawClient(gateway) as client:
                client.send(upgrade_request("/nothing"))
                assert client.read_response().status == 404
        eventually(lambda: "suppressed=" in gateway.stderr(), "the number")
        time.sleep(1.2)

        def told():
            import re
            lines = gateway.stderr().count('msg="handshake refused"')
            left_out = sum(int(count) for count in re.findall(
                r"suppressed=(\d+)", gateway.stderr()))
            flushed = gateway.stderr().count(
                'msg="handshake refused" suppressed=')
            return lines - flushed + left_out == 100 and lines < 100

        eventually(told, "all are accounted for")
        for _ in range(30):
            call_json(gateway, BIDI, half_close=True)
        eventually(lambda: gateway.stderr().count('msg="session ended"') == 30,
                   "a line for each session")


# Right-to-left overrides and line separators would show an operator another
# line than there is.
@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_what_reorders_or_breaks_a_line_is_escaped(form):
    hostile = "\u202e\u2066\u200f\u061c\u2028\u2029\u0085\x1b[2J"
    with Gateway.demo("--log-format", form) as gateway:
        call(gateway, ECHO + "Fail", {"code": 5, "message": f"a{hostile}b"})
        eventually(lambda: "session ended" in gateway.stderr(), "the line")
        line, = (line for line in gateway.stderr().split("\n")
                 if "session ended" in line)
    for character in hostile.rstrip("[2J"):
        assert character not in line, f"U+{ord(character):04X}"
    assert ("\\u202e" if form == "json" else "\\xe2\\x80\\xae") in line
    if form == "json":
        assert json.loads(line)["reason"] == f"a{hostile}b"


# What cannot be converted is told to the client, and only there.
def test_what_users_have_written_is_not_in_the_log(start_demo):
    gateway = start_demo()
    library, echo = "/headgate.demo.v1.LibraryService/", ECHO
    bodies = [
        (echo + "Fail", b'{"code": "%s"}'),
        (echo + "Fail", b'{"%s": 1}'),
        (echo + "Fail", b'{"details": [{"@type": "a/%s"}]}'),
        (echo + "Fail", b'{"details": [{"@type": "type.googleapis.com/'
                        b'google.protobuf.Duration", "value": "%s"}]}'),
        (library + "CreateBook", b'{"book": {"genre": "%s"}}'),
        (library + "CreateBook", b'{"book": {"pages": "%s"}}'),
    ]
    for path, body in bodies:
        body = body.replace(b"%s", SECRET.encode())
        with RawClient(gateway) as client:
            client.send(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n"
                        "Content-Type: application/json\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            response = client.read_response()
        assert response.status == 400, body
        assert SECRET in response.json()["message"], body
        with Client(gateway, path, JSON) as client:
            client.send(body.decode())
            code, reason = client.receive_close()
        assert code == 4003 and SECRET in reason, body
    for query in (f"page_size={SECRET}", f"{SECRET}=1", f"genre[{SECRET}]=1"):
        with RawClient(gateway) as client:
            client.send(f"GET /v1/shelves/a/books?{query} HTTP/1.1\r\n"
                        "Host: localhost\r\n\r\n".encode())
            response = client.read_response()
        assert response.status == 400, query
        assert SECRET in response.json()["message"], query
    told = eventually(
        lambda: gateway.stderr().count('reason="') >= 2 * len(bodies) + 3
        and gateway.stderr(), "a line for each")
    assert "field code: must be an int32" in told
    assert 'query parameter \\"page_size\\": must be an int32' in told
    assert SECRET not in told


def test_no_secret_is_ever_logged_or_shown(tmp_path, stack):
    file = tmp_path / "headgate.yaml"
    file.write_text(json.dumps({
        "listeners": [{"address": "127.0.0.1:0"}],
        "limits": {"max_sessions": 4, "max_header_bytes": "2KiB"},
        "routes": [{"prefix": "/v1", "http_rules": True,
                    "token_cookie": "session", "token_query": "token"},
                   {"path": "/chat", "method": "headgate.demo.v1.ChatService/Join",
                    "refusals": "close", "token_query": "token"},
                   {"token_cookie": "session", "token_query": "token",
                    "forward_headers": ["cookie"]}]}))
    gateway = stack.enter_context(Gateway.configured(
        file, "--log-level", "debug", command="demo"))
    cookie = ("Cookie", f"session={SECRET}")
    ways = [
        ([("Authorization", f"Bearer {SECRET}")], "", ()),
        ([cookie], "", ()),
        ([], f"?token={SECRET}", ()),
        ([], "", ("Bearer", SECRET)),
        ([], "", (f"base64url.bearer.authorization.k8s.io.{ENCODED}",)),
        ([("Grpc-Metadata-X-Api-Key", SECRET)], "", ()),
        ([("Grpc-Metadata-X-Key-Bin", SECRET)], "", ()),  # No base64.
        ([("Proxy-Authorization", SECRET)], "", ()),
    ]
    paths = [BIDI, ECHO + "Fail", "/nobody.Knows/This", "/nothing", "/chat",
             "/v1/shelves/classics/books/dune", "/v1/none"]
    faults = [
        [],
        [("Origin", "https://evil.example")],
        [("Sec-WebSocket-Version", "12")],
        [("Grpc-Timeout", "never")],
        [("X", "y" * 4000)],
        [("Host", "two")],
    ]
    for headers, query, subprotocols in ways:
        for path in paths:
            for fault in faults:
                lines = [*headers, *fault]
                if subprotocols:
                    lines.append(("Sec-WebSocket-Protocol",
                                  ", ".join((JSON, *subprotocols))))
                with RawClient(gateway) as client:
                    client.send(upgrade_request(path + query, lines))
                    with contextlib.suppress(EOFError, ConnectionError):
                        if client.read_response().status == 101:
                            client.send_frame(TEXT, b"{")
                            client.send_frame(TEXT, b"")
                            client.send_frame(CLOSE, b"\x03\xe8")
                            client.receive_to_end()
    # Malformed, in the midst, and in the answers of the admin listener.
    for bad in (f"GET /?token={SECRET} HTTP/9\r\n\r\n",
                f"{SECRET} / HTTP/1.1\r\n\r\n",
                f"GET /{SECRET}\x01 HTTP/1.1\r\n\r\n",
                f"GET / HTTP/1.1\r\nAuthorization {SECRET}\r\n\r\n",
                f"GET / HTTP/1.1\r\nSec-WebSocket-Protocol: Bearer,\r\n"
                f"Cookie: session={SECRET}\r\n\r\n"):
        with RawClient(gateway) as client:
            client.send(bad.encode())
            with contextlib.suppress(EOFError, ConnectionError):
                client.read_response()
    with Client(gateway, f"{BIDI}?token={SECRET}", JSON, "Bearer", SECRET,
                headers=[cookie]) as client:
        client.send({"greeting": "ann"})
        client.receive()
        shown = "".join(gateway.admin(path)[1] for path in
                        ("/sessions", "/metrics", "/routes"))
    gateway.signal(signal.SIGHUP)
    eventually(lambda: "configuration reloaded" in gateway.stderr(),
               "the reload")
    gateway.stop()
    told = gateway.stderr() + gateway.stdout() + shown
    assert 'msg="session ended"' in told and 'msg="handshake refused"' in told
    for secret in (SECRET, ENCODED):
        for line in told.splitlines():
            # What a client asks for as a path is told back, and is no secret.
            if f"nothing is served at /{SECRET}" not in line:
                assert secret not in line
