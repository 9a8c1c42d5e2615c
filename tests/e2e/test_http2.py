"""HTTP/2 on a listener: the same requests as over HTTP/1.1, WebSockets by
extended CONNECT (RFC 8441), drains, and clients that flood."""

import contextlib
import json
import shutil
import ssl
import struct
import subprocess

import pytest

import certificates
from harness import TIMEOUT, Gateway, eventually
from http2_wire import (ACK, CANCEL, CONTINUATION, DATA, ENABLE_CONNECT,
                        END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS,
                        NO_ERROR, OK_BLOCK, PING, PREFACE, REFUSED_STREAM, RST_STREAM, SETTINGS, H2Client, block,
                        h2_frame, request_fields, websocket_fields)
from wire import CLOSE, PING as PING_FRAME, TEXT, RawClient, frame

ECHO = "/echo"


def curl(gateway, path, *arguments, http2=True, scheme="http", body=None):
    """(status and version, body) of a request by curl."""
    version = ("--http1.1" if not http2 else
               "--http2" if scheme == "https" else "--http2-prior-knowledge")
    result = subprocess.run(
        [shutil.which("curl"), "-sS", "-k", "--max-time", str(TIMEOUT),
         version, "-w", "\n%{http_code} %{http_version}", *arguments,
         f"{scheme}://{gateway.host}:{gateway.port}{path}"],
        input=body, capture_output=True, timeout=2 * TIMEOUT, check=False)
    assert result.returncode == 0, result.stderr.decode()
    content, _, outcome = result.stdout.rpartition(b"\n")
    return outcome.decode(), content


def open_websocket(client, path=ECHO, *headers):
    stream = client.open(websocket_fields(path, *headers), end_stream=False)
    head = client.await_h2(HEADERS, stream)
    assert head.payload[0] == OK_BLOCK, head
    assert not head.flags & END_STREAM
    return stream


def send_message(client, stream, text):
    client.send_h2(DATA, 0, stream, frame(TEXT, text))


def read_message(client, stream):
    data = client.await_h2(DATA, stream).payload
    assert data[0] == 0x80 | TEXT, data
    return data[2:2 + data[1]]


def read_close(client, stream):
    """The code of the Close frame, pings before it aside."""
    while True:
        data = client.await_h2(DATA, stream).payload
        while data[:1] == bytes([0x80 | PING_FRAME]):
            data = data[2 + data[1]:]
        if data:
            assert data[0] == 0x80 | CLOSE, data
            return struct.unpack(">H", data[2:4])[0]


# --- requests ---


def test_refusals_are_those_of_http_1(demo):
    outcome, body = curl(demo, "/echo")
    assert outcome == "426 2"
    assert "extended CONNECT" in json.loads(body)["message"]


def test_both_versions_share_a_port(demo):
    for http2 in (True, False, True):
        outcome, _ = curl(demo, "/echo", http2=http2)
        assert outcome == ("426 2" if http2 else "426 1.1")


BOOK = "/v1/shelves/classics/books/dune"


def test_http_rules_are_served(demo):
    for http2 in (True, False):
        outcome, body = curl(demo, BOOK, http2=http2)
        assert outcome == ("200 2" if http2 else "200 1.1")
        assert json.loads(body)["title"] == "Dune"


def test_the_body_of_a_request_arrives_whole(demo):
    outcome, body = curl(
        demo, "/v1/shelves/classics/books", "--data-binary", "@-", "-H",
        "Content-Type: application/json",
        body=json.dumps({"title": "x" * 60_000}).encode())
    assert outcome == "200 2", body
    assert len(json.loads(body)["title"]) == 60_000


def test_head_has_no_body(demo):
    outcome, body = curl(demo, "/nothing", "--head")
    assert outcome.endswith(" 2")
    assert b"content-length" in body


def test_request_whose_target_is_no_path_is_refused(demo):
    with H2Client(demo) as client:
        stream = client.open([(":method", "OPTIONS"), (":scheme", "http"),
                              (":path", "*"), (":authority", "localhost")])
        assert b"not a path" in client.read_data(stream)


def test_http2_can_be_turned_off(tmp_path, stack, backend):
    file = tmp_path / "headgate.yaml"
    file.write_text('listeners: [{address: "127.0.0.1:0", http2: false}]\n'
                    f"upstreams: [{{name: a, target: '{backend.target}'}}]\n")
    gateway = stack.enter_context(Gateway.configured(file))
    with RawClient(gateway) as client:
        client.send(PREFACE)
        assert client.read_response().status == 400


# --- WebSockets ---


def test_extended_connect_is_announced_and_is_a_websocket(demo):
    with H2Client(demo) as client:
        settings = client.read_settings()
        assert settings[ENABLE_CONNECT] == 1
        assert settings[MAX_CONCURRENT_STREAMS] == 128
        stream = open_websocket(client)
        send_message(client, stream, b"hello")
        assert read_message(client, stream) == b"hello"
        # The closing handshake ends the stream on both sides.
        client.send_h2(DATA, END_STREAM, stream,
                       frame(CLOSE, struct.pack(">H", 1000)))
        data = client.read_data(stream)
        assert data == bytes([0x80 | CLOSE, 2]) + struct.pack(">H", 1000)


def test_a_hundred_websockets_share_a_connection(demo):
    with H2Client(demo) as client:
        streams = [open_websocket(client) for _ in range(100)]
        eventually(lambda: len(demo.sessions("?limit=1000")) == 100,
                   "each is a session")
        for stream in streams:
            send_message(client, stream, b"%d" % stream)
        echoes = {}
        while len(echoes) < len(streams):
            data = client.await_h2(DATA)
            echoes[data.stream] = data.payload[2:]
        assert echoes == {stream: b"%d" % stream for stream in streams}
        # They count as one connection.
        assert demo.metric("headgate_connections") == 1
    eventually(lambda: not demo.sessions(), "they end with the connection")


def test_a_session_is_closed_by_its_id_and_the_others_stay(demo):
    with H2Client(demo) as client:
        first = open_websocket(client)
        first_id = eventually(demo.sessions, "a session")[0]["id"]
        second = open_websocket(client)
        assert demo.admin(f"/sessions/{first_id}/close", "POST")[0] == 200
        assert read_close(client, first) == 1008
        send_message(client, second, b"still here")
        assert read_message(client, second) == b"still here"


def test_traffic_of_other_streams_does_not_keep_a_closed_session(start_demo):
    gateway = start_demo("--close-timeout", "1s")
    with H2Client(gateway) as client:
        open_websocket(client)
        closed = eventually(gateway.sessions, "a session")[0]["id"]
        other = open_websocket(client)
        assert gateway.admin(f"/sessions/{closed}/close", "POST")[0] == 200

        def gone():
            send_message(client, other, b"b")
            assert read_message(client, other) == b"b"
            return len(gateway.sessions()) == 1

        eventually(gone, "the closed session is cut off")


def test_a_stream_that_is_reset_ends_its_session_and_no_other(demo):
    with H2Client(demo) as client:
        first, second = open_websocket(client), open_websocket(client)
        eventually(lambda: len(demo.sessions()) == 2, "two sessions")
        client.reset_stream(first)
        eventually(lambda: len(demo.sessions()) == 1, "one is gone")
        send_message(client, second, b"still here")
        assert read_message(client, second) == b"still here"


# RFC 9113 section 5.2: the client's window is the stream's.
def test_a_websocket_whose_client_gives_no_window_waits(demo):
    with H2Client(demo, settings=[(INITIAL_WINDOW_SIZE, 4)]) as client:
        stream = open_websocket(client)
        send_message(client, stream, b"0123456789")
        assert len(client.await_h2(DATA, stream).payload) == 4
        client.give_window(stream, 100)
        assert client.await_h2(DATA, stream).payload == b"23456789"


def test_a_refusal_may_be_told_by_a_close_frame(start_demo):
    gateway = start_demo("--refusals", "close")
    with H2Client(gateway) as client:
        stream = open_websocket(client, "/nothing/here/at/all")
        assert read_close(client, stream) == 4005


def test_a_connection_that_breaks_ends_all_its_sessions(demo):
    client = H2Client(demo)
    for _ in range(5):
        open_websocket(client)
    client.reset()
    eventually(lambda: not demo.sessions(), "no session")


def test_streams_beyond_the_limit_are_refused(start_demo):
    gateway = start_demo()
    with H2Client(gateway) as client:
        client.read_settings()
        for _ in range(128):
            client.open(websocket_fields(ECHO), end_stream=False)
        extra = client.open(websocket_fields(ECHO), end_stream=False)
        reset = client.await_h2(RST_STREAM)
        assert reset.stream == extra
        assert struct.unpack(">I", reset.payload) == (REFUSED_STREAM,)


# --- TLS ---


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """(gateway, context of a client that offers HTTP/2)"""
    authority = certificates.Authority(tmp_path_factory.mktemp("ca"))
    certificate, key = authority.issue("gateway", "DNS:localhost",
                                       "IP:127.0.0.1")
    context = ssl.create_default_context(cafile=authority.ca)
    context.set_alpn_protocols(["h2"])
    with Gateway.demo("--tls-cert", certificate, "--tls-key", key) as gateway:
        yield gateway, context


def test_alpn_selects_http2(secured):
    gateway, context = secured
    assert curl(gateway, BOOK, scheme="https")[0] == "200 2"
    with H2Client(gateway, tls=context) as client:
        stream = open_websocket(client)
        send_message(client, stream, b"x" * 100)
        assert read_message(client, stream) == b"x" * 100
    # Without ALPN the preface is no request.
    plain = ssl.create_default_context()
    plain.check_hostname, plain.verify_mode = False, ssl.CERT_NONE
    with RawClient(gateway, tls=plain) as client:
        client.send(PREFACE)
        assert client.read_response().status == 400


# --- the end ---


def test_a_drain_lets_streams_end(start_demo):
    gateway = start_demo("--drain", "2s")
    with H2Client(gateway) as client:
        stream = open_websocket(client)
        send_message(client, stream, b"one")
        assert read_message(client, stream) == b"one"
        gateway.signal(15)
        ping = client.await_h2(PING, without_flags=ACK)
        assert client.read_goaway() == (0x7FFFFFFF, NO_ERROR)
        client.send_h2(PING, ACK, 0, ping.payload)
        assert client.read_goaway() == (stream, NO_ERROR)
        assert read_close(client, stream) == 1001
        client.send_h2(DATA, END_STREAM, stream,
                       frame(CLOSE, struct.pack(">H", 1001)))
        client.receive_to_end()
    gateway.wait()


def test_an_idle_connection_is_closed_with_goaway(start_demo):
    gateway = start_demo("--keep-alive-timeout", "200ms")
    with H2Client(gateway) as client:
        ping = client.await_h2(PING, without_flags=ACK)
        assert client.read_goaway()[1] == NO_ERROR
        client.send_h2(PING, ACK, 0, ping.payload)
        client.receive_to_end()


def test_a_preface_without_settings_is_given_up(start_demo):
    gateway = start_demo("--handshake-timeout", "200ms")
    with RawClient(gateway) as client:
        client.send(PREFACE)
        client.receive_to_end()


# --- clients that break or flood it ---


def failed(gateway, reason):
    return gateway.metric("headgate_http2_connections_failed_total",
                          reason=reason)


def flood(gateway, reason, code, chunk, times=2000):
    """Sends `chunk(i)` again and again; the connection must end with GOAWAY and
    be counted, and the gateway serve others."""
    before = failed(gateway, reason)
    with H2Client(gateway) as client:
        try:
            for i in range(times):
                client.send(chunk(client, i))
        except ConnectionError:
            pass
        try:
            assert client.read_goaway()[1] == code
        except (EOFError, ConnectionError):
            pass  # The kernel may have dropped it with what was unread.
    eventually(lambda: failed(gateway, reason) == before + 1,
               f"a connection failed for {reason}")
    assert curl(gateway, ECHO)[0] == "426 2"


def test_rapid_reset(demo):
    def chunk(client, i):
        stream = 2 * i + 1
        return (h2_frame(HEADERS, END_HEADERS, stream,
                         block(*websocket_fields(ECHO)))
                + h2_frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)))

    flood(demo, "resets", ENHANCE_YOUR_CALM, chunk)
    eventually(lambda: not demo.sessions(), "no session is left")


def test_a_trusted_proxy_may_reset_many_streams(start_demo):
    gateway = start_demo("--trusted-proxy", "127.0.0.1")
    with H2Client(gateway) as client:
        for _ in range(10):
            for _ in range(100):
                fields = request_fields("POST", "/nothing")
                client.reset_stream(client.open(fields, end_stream=False))
            # What has come until now is done with.
            client.send_h2(PING, payload=b"12345678")
            client.await_h2(PING)
        stream = client.open(request_fields("GET", "/nothing"))
        client.await_h2(HEADERS, stream)
        assert failed(gateway, "resets") == 0


def test_pings(demo):
    flood(demo, "pings", ENHANCE_YOUR_CALM,
          lambda client, i: h2_frame(PING, 0, 0, b"01234567"))


def test_settings(demo):
    flood(demo, "settings", ENHANCE_YOUR_CALM,
          lambda client, i: h2_frame(SETTINGS))


def test_empty_data(demo):
    def chunk(client, i):
        if i == 0:
            return h2_frame(HEADERS, END_HEADERS, 1,
                            block(*websocket_fields(ECHO)))
        return h2_frame(DATA, 0, 1)

    flood(demo, "empty_data", ENHANCE_YOUR_CALM, chunk, times=5000)


def test_continuations(demo):
    def chunk(client, i):
        if i == 0:
            return h2_frame(HEADERS, 0, 1, block(*request_fields("GET", "/")))
        return h2_frame(CONTINUATION, 0, 1, block(("a" * 100, "b" * 8000)))

    flood(demo, "bytes", ENHANCE_YOUR_CALM, chunk)


def test_header_list_that_is_too_long_ends_its_stream_alone(demo):
    with H2Client(demo) as client:
        other = open_websocket(client)
        fields = request_fields("GET", "/", *[("x" * 10, "y" * 1000)] * 20)
        data = block(*fields)
        client.send_h2(HEADERS, 0, 101, data[:16000])
        client.send_h2(CONTINUATION, END_HEADERS, 101, data[16000:])
        assert client.await_h2(RST_STREAM).stream == 101
        send_message(client, other, b"still here")
        assert read_message(client, other) == b"still here"


def test_streams_whose_window_stays_shut_are_reset(start_demo):
    gateway = start_demo("--send-timeout", "500ms")
    with H2Client(gateway, settings=[(INITIAL_WINDOW_SIZE, 0)]) as client:
        stream = open_websocket(client)
        send_message(client, stream, b"hello")
        assert client.await_h2(RST_STREAM).stream == stream
    eventually(lambda: not gateway.sessions(), "no session")


@pytest.mark.parametrize("bytes", [
    h2_frame(DATA, 0, 1, b"of a stream that is not"),
    h2_frame(PING, 0, 0, b"short"),
    h2_frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"),
    h2_frame(HEADERS, END_HEADERS, 2, block(*request_fields("GET", "/"))),
    h2_frame(DATA, 0, 1, length=1 << 20),
    h2_frame(CONTINUATION, 0, 1, b""),
    h2_frame(SETTINGS, 0, 0, b"12345"),
], ids=["data", "ping", "hpack", "even", "length", "continuation", "settings"])
def test_broken_frames_end_the_connection(demo, bytes):
    before = failed(demo, "protocol")
    with H2Client(demo) as client:
        client.read_settings()
        client.send(bytes)
        _, code = client.read_goaway()
        assert code != NO_ERROR
        client.receive_to_end()
    eventually(lambda: failed(demo, "protocol") == before + 1, "it is counted")


# As over HTTP/1.1: timeouts.handshake.
def test_half_a_head_ends_its_connection(start_demo):
    gateway = start_demo("--handshake-timeout", "500ms")
    with H2Client(gateway) as client:
        client.send_h2(HEADERS, END_STREAM, 1,
                       block(*request_fields("GET", "/nothing")))
        with pytest.raises((EOFError, ConnectionError, BrokenPipeError)):
            while True:
                client.send_h2(CONTINUATION, 0, 1)
                client.set_timeout(0.1)
                with contextlib.suppress(TimeoutError):
                    client.read_h2()


# A response that its client does not take keeps nobody out.
def test_clients_that_take_no_response_make_room(start_demo):
    gateway = start_demo("--max-connections", "4")
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            client = stack.enter_context(
                H2Client(gateway, settings=[(INITIAL_WINDOW_SIZE, 0)]))
            stream = client.open(request_fields("GET", "/nothing"))
            client.await_h2(HEADERS, stream)

        def is_served():
            with H2Client(gateway) as other:
                other.set_timeout(1)
                try:
                    other.await_h2(HEADERS,
                                   other.open(request_fields("GET", "/none")))
                    return True
                except (EOFError, OSError):
                    return False

        eventually(is_served, "there is room")
