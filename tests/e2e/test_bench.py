"""`headgate bench`: load on a gateway or a gRPC server, and what it measured.

How fast anything is, is not asked here.
"""

import base64
import contextlib
import hashlib
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import threading

import pytest

from certificates import Authority
from client import ECHO, HELLO
from harness import (HEADGATE, SANITIZER_REPORT, TIMEOUT, Backend, Gateway,
                     Process, eventually, run)
from http2_wire import H2Server, without_status
from wire import message

PACKETS = "/packets"
SHORT = ("--duration", "300ms", "--warm-up", "50ms")
# Exact numbers, and as soon over as they have come.
FEW = ("--messages", "40", "--warm-up", "0")

KEYS = {"url", "codec", "connections", "in_flight", "rate", "size",
        "duration_seconds", "messages", "messages_per_second", "errors",
        "connect_failures", "late", "unanswered", "unsent", "latency_us",
        "bytes_sent", "bytes_received", "client_cpu_us_per_message"}
CPU_KEYS = {"user", "system", "total"}


def grpc_url(backend, method="headgate.v1.PacketService/Connect"):
    return f"grpc://{backend.target}/{method}"


def bench(url, *flags):
    """Runs bench. Returns (exit status, the JSON that it printed, stderr)."""
    result = run("bench", "--json", *flags, url)
    out = result.stdout.decode()
    return (result.returncode, json.loads(out) if out else None,
            result.stderr.decode())


def succeed(url, *flags):
    """The JSON of a run without any fault."""
    status, report, errors = bench(url, *flags)
    assert (status, errors) == (0, "")
    assert report["errors"] == {}
    assert report["connect_failures"] == 0
    return report


def succeed_in_time(url, *flags):
    """(seconds, JSON) of a run by the clock that is as long as this machine
    needs for an answer."""
    for seconds in (0.3, 2, 10):
        status, report, errors = bench(
            url, "--duration", f"{seconds}s", "--warm-up", "50ms", *flags)
        if errors != "headgate bench: 1 x no answer came\n":
            break
    assert (status, errors) == (0, "")
    assert report["errors"] == {}
    return seconds, report


@contextlib.contextmanager
def closed_port():
    """A port that is bound, so that nobody else gets it, and nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]


def wait_for_sessions(gateway, count):
    eventually(lambda: len(gateway.sessions()) == count, f"{count} sessions")


class Watched:
    """A bench with its progress on a terminal, and its JSON in a pipe."""

    def __init__(self, *flags):
        self._errors = b""
        self._end, terminal = pty.openpty()
        self.process = subprocess.Popen(
            [HEADGATE, "bench", "--json", "--duration", "1h", "--warm-up",
             "0s", *flags], stdout=subprocess.PIPE, stderr=terminal)
        os.close(terminal)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        os.close(self._end)

    def _read(self):
        while select.select([self._end], [], [], 0)[0]:
            try:
                self._errors += os.read(self._end, 65536)
            except OSError:  # How a terminal says that it is over.
                return

    def wait_for_answers(self):
        def told():
            self._read()
            assert self.process.poll() is None, self._errors
            return b" messages a second" in self._errors

        eventually(told, "some progress")

    def wait(self):
        """(exit status, the report)"""
        out, _ = self.process.communicate(timeout=TIMEOUT)
        self._read()
        assert not SANITIZER_REPORT.search(self._errors.decode())
        return self.process.returncode, json.loads(out)


# --- closed loop ---


@pytest.mark.parametrize("codec, path", [
    ("protobuf", PACKETS), ("packet", PACKETS), ("json", PACKETS),
    ("raw", "/echo"), ("json", "/echo")])
@pytest.mark.parametrize("flags", [
    (), ("--connections", "3", "--in-flight", "5", "--threads", "2")])
def test_each_codec(demo, codec, path, flags):
    if (codec, path) == ("json", "/echo"):
        flags = (*flags, "--message", '{"text":"hello"}')
    report = succeed(demo.url(path), "--codec", codec, *flags, *FEW)
    assert report["messages"] == 40
    assert report["codec"] == codec
    assert report["bytes_sent"] > 0
    assert report["bytes_received"] > 0


def test_grpc(backend):
    report = succeed(grpc_url(backend), "--connections", "3", "--in-flight",
                     "5", "--threads", "2", *FEW)
    assert report["messages"] == 40
    assert report["codec"] == "protobuf"


# 100 calls is what one channel carries.
def test_grpc_through_a_gateway(demo):
    before = demo.metric("headgate_http2_connections_total")
    report = succeed(f"grpc://{demo.host}:{demo.port}/"
                     "headgate.v1.PacketService/Connect",
                     "--connections", "3", "--in-flight", "5", *FEW)
    assert report["messages"] == 40
    assert demo.metric("headgate_http2_connections_total") == before + 1


def http_url(demo, path):
    return f"http://{demo.host}:{demo.port}{path}"


@pytest.mark.parametrize("codec, why", [
    ("connect", "refused: HTTP 501"), ("grpc-web", "grpc-status 12")])
def test_calls_over_http_that_fail(demo, codec, why):
    status, report, errors = bench(http_url(demo, "/no.Service/Method"),
                                   "--codec", codec, *FEW)
    assert status == 1
    assert why in errors


PACKET_SERVICE = "/headgate.v1.PacketService/Connect"
SAY_HELLO = HELLO + "SayHello"
# What it is called, the URL's scheme, the path, the label of its metrics.
DIALECTS = [
    ("protobuf", "ws", PACKETS, "protobuf"),
    ("packet", "ws", PACKETS, "packet"),
    ("json", "ws", PACKETS, "json"),
    ("raw", "ws", "/echo", "raw"),
    ("grpc-websockets", "ws", PACKET_SERVICE, "grpc-websockets"),
    ("grpc-websockets-multiplex", "ws", PACKET_SERVICE,
     "grpc-websockets-multiplex"),
    ("grpc-web", "http", SAY_HELLO, "grpc-web"),
    ("grpc-web-text", "http", SAY_HELLO, "grpc-web"),
    ("connect", "http", SAY_HELLO, "connect"),
    ("connect-json", "http", SAY_HELLO, "connect"),
    ("connect-stream", "http", PACKET_SERVICE, "connect"),
    ("connect-stream-json", "http", PACKET_SERVICE, "connect"),
    ("grpc", "http", SAY_HELLO, "grpc"),
    ("grpc-stream", "http", PACKET_SERVICE, "grpc"),
]
every_dialect = pytest.mark.parametrize("codec, scheme, path, label", DIALECTS)


def dialect_url(gateway, scheme, path):
    return f"{scheme}://{gateway.host}:{gateway.port}{path}"


# What the gateway sends at the end of a call counts as a message where it is
# one of the dialect's.
ENDS_IN_BAND = {"grpc-websockets", "grpc-websockets-multiplex",
                "connect-stream", "connect-stream-json"}


def messages_out(gateway, label):
    return gateway.metric("headgate_messages_total", dialect=label,
                          direction="out") or 0


# The gateway has sent as many responses in that dialect as bench counts: 40,
# one for the idle connection, and the ends of four calls.
@every_dialect
def test_each_dialect(demo, codec, scheme, path, label):
    before = messages_out(demo, label)
    report = succeed(dialect_url(demo, scheme, path), "--codec", codec,
                     "--connections", "3", "--idle", "1", "--threads", "2",
                     *FEW)
    assert (report["codec"], report["messages"]) == (codec, 40)
    assert report["bytes_received"] > 0
    ends = 4 if codec in ENDS_IN_BAND else 0
    eventually(lambda: messages_out(demo, label) == before + 41 + ends,
               "the gateway has counted them")


# Three of four share a socket. One message at a time: packets that wait would
# share a message.
@every_dialect
def test_each_dialect_over_http2(demo, codec, scheme, path, label):
    before = messages_out(demo, label)
    connections = demo.metric("headgate_http2_connections_total")
    report = succeed(dialect_url(demo, scheme, path), "--codec", codec,
                     "--http2", "--streams", "3", "--connections", "4", *FEW)
    assert (report["codec"], report["messages"]) == (codec, 40)
    assert demo.metric("headgate_http2_connections_total") == connections + 2
    ends = 4 if codec in ENDS_IN_BAND else 0
    eventually(lambda: messages_out(demo, label) == before + 40 + ends,
               "the gateway has counted them")


@pytest.mark.parametrize("codec, scheme, path", [
    ("raw", "wss", "/echo"), ("grpc", "https", SAY_HELLO),
    ("connect-stream", "https", PACKET_SERVICE)])
def test_http2_over_tls(start_demo, authority, codec, scheme, path):
    certificate, key = authority.issue("gateway", "IP:127.0.0.1")
    gateway = start_demo("--tls-cert", certificate, "--tls-key", key)
    report = succeed(dialect_url(gateway, scheme, path), "--codec", codec,
                     "--http2", "--streams", "100", "--connections", "10",
                     "--size", "20000", "--in-flight", "3", "--ca",
                     authority.ca, *FEW)
    assert report["messages"] == 40
    assert gateway.metric("headgate_http2_connections_total") == 1


# Of messages longer than a TLS record. Each connection is one handshake.
@pytest.mark.parametrize("codec", [
    "connect", "connect-json", "grpc-web", "grpc-web-text"])
def test_http1_over_tls(start_demo, authority, codec):
    certificate, key = authority.issue("gateway", "IP:127.0.0.1")
    gateway = start_demo("--tls-cert", certificate, "--tls-key", key)
    report = succeed(dialect_url(gateway, "https", SAY_HELLO), "--codec", codec,
                     "--connections", "3", "--idle", "1", "--threads", "2",
                     "--size", "20000", "--ca", authority.ca, *FEW)
    assert report["messages"] == 40
    assert not gateway.metric("headgate_http2_connections_total")


def test_http1_over_tls_that_fails(start_demo, authority):
    certificate, key = authority.issue("gateway", "DNS:other.test")
    gateway = start_demo("--tls-cert", certificate, "--tls-key", key)
    url = dialect_url(gateway, "https", SAY_HELLO)
    status, _, errors = bench(url, "--codec", "connect", "--ca", authority.ca,
                              *FEW)
    assert status == 1
    assert "TLS: " in errors
    status, _, errors = bench(url.replace(SAY_HELLO, "/no.Service/Method"),
                              "--codec", "connect", "--insecure", *FEW)
    assert status == 1
    assert "refused: HTTP 501" in errors


@pytest.mark.parametrize("codec, scheme, path", [
    ("raw", "ws", "/echo"), ("grpc", "http", SAY_HELLO),
    ("grpc-stream", "http", PACKET_SERVICE)])
def test_open_loop_over_http2(demo, codec, scheme, path):
    report = succeed(dialect_url(demo, scheme, path), "--codec", codec,
                     "--http2", "--streams", "2", "--connections", "3",
                     "--rate", "2000", "--messages", "100")
    assert report["messages"] == 100
    assert report["unsent"] == report["unanswered"] == 0


@pytest.mark.parametrize("codec, scheme, path, why", [
    ("raw", "ws", "/nothing", "refused: HTTP 404"),
    ("connect", "http", "/no.Service/Method", "refused: HTTP 501"),
    ("grpc-web", "http", "/no.Service/Method", "grpc-status 12"),
    ("grpc", "http", "/no.Service/Method", "grpc-status 12"),
    ("grpc-stream", "http", "/no.Service/Method", "grpc-status 12"),
    ("connect-stream", "http", "/no.Service/Method",
     "the stream has ended: {"),
])
def test_failures_over_http2(demo, codec, scheme, path, why):
    status, _, errors = bench(dialect_url(demo, scheme, path), "--codec",
                              codec, "--http2", *FEW)
    assert status == 1
    assert why in errors


def test_the_servers_limit_of_streams_is_told(demo):
    status, report, errors = bench(demo.url("/echo"), "--codec", "raw",
                                   "--http2", "--streams", "130",
                                   "--connections", "130", *FEW)
    assert (status, report["connect_failures"]) == (1, 2)
    assert ("2 x could not connect: the server takes 128 streams on a "
            "connection") in errors


def test_a_server_of_http1_is_told():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        status, report, errors = bench(
            f"ws://127.0.0.1:{server.getsockname()[1]}/", "--http2", *FEW)
        thread.join()
    assert (status, report["connect_failures"]) == (1, 1)
    assert "could not connect: connection broken (HTTP/2: " in errors


def test_grpc_takes_as_many_connections_as_its_calls_need(backend):
    report = succeed(grpc_url(backend), "--connections", "150", "--messages",
                     "300")
    assert report["messages"] == 300


@pytest.mark.parametrize("scheme", ["ws", "grpc"])
def test_duration(demo, backend, scheme):
    url = demo.url(PACKETS) if scheme == "ws" else grpc_url(backend)
    seconds, report = succeed_in_time(url, "--in-flight", "2")
    assert report["messages"] > 0
    assert report["duration_seconds"] == seconds
    assert report["rate"] is None
    assert report["in_flight"] == 2


def test_report_has_these_keys(demo):
    report = succeed(demo.url(PACKETS), *FEW)
    assert set(report) == KEYS
    assert set(report["client_cpu_us_per_message"]) == CPU_KEYS
    latency = report["latency_us"]
    assert list(latency) == ["min", "mean", "p50", "p90", "p99", "p999", "max"]
    ascending = [latency[key] for key in
                 ("min", "p50", "p90", "p99", "p999", "max")]
    assert ascending == sorted(ascending)
    assert latency["min"] > 0
    assert report["url"] == demo.url(PACKETS)


def test_table_for_a_person(demo):
    result = run("bench", *FEW, demo.url(PACKETS))
    assert result.returncode == 0
    lines = result.stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == [
        "messages", "latency", "bytes", "bench"]
    assert lines[0].startswith("messages    40 in ")


# What the backend got is what was asked for: no message more.
@pytest.mark.parametrize("rate", [(), ("--rate", "5000")])
@pytest.mark.parametrize("scheme", ["ws", "grpc"])
def test_number_of_messages_is_exact(stack, scheme, rate):
    backend = stack.enter_context(Backend())
    gateway = stack.enter_context(Gateway.serve(
        backend.target, "--route",
        "/packets=headgate.v1.PacketService/Connect"))
    url = gateway.url(PACKETS) if scheme == "ws" else grpc_url(backend)
    report = succeed(url, "--messages", "101", "--warm-up", "7",
                     "--connections", "4", "--threads", "3", *rate)
    assert report["messages"] == 101
    if scheme == "ws":
        for direction in ("in", "out"):
            eventually(lambda: gateway.metric(
                "headgate_messages_total", direction=direction) == 108,
                f"108 messages {direction}")


def test_warm_up_of_messages_may_be_a_time(demo):
    report = succeed(demo.url(PACKETS), "--messages", "50", "--warm-up",
                     "50ms", "--in-flight", "3", "--connections", "2")
    assert report["messages"] == 50


@pytest.mark.parametrize("size", [0, 100_000])
@pytest.mark.parametrize("codec", ["packet", "json", "protobuf"])
def test_size(demo, codec, size):
    report = succeed(demo.url(PACKETS), "--codec", codec, "--size", size,
                     "--in-flight", "8", *FEW)
    assert report["size"] == size
    assert report["bytes_received"] >= 40 * size


# --- open loop ---


@pytest.mark.parametrize("scheme", ["ws", "grpc"])
def test_rate(demo, backend, scheme):
    url = demo.url(PACKETS) if scheme == "ws" else grpc_url(backend)
    report = succeed(url, "--rate", "2000", "--connections", "5", "--threads",
                     "2", "--messages", "200")
    assert report["messages"] == 200
    assert report["rate"] == 2000
    assert report["unsent"] == report["unanswered"] == 0


def test_rate_for_a_duration(demo):
    _, report = succeed_in_time(demo.url(PACKETS), "--rate", "500")
    assert report["messages"] > 0
    assert report["unanswered"] == 0


# Far more than anything can answer: the bound holds, and nothing is kept
# secret of what it held back.
@pytest.mark.parametrize("scheme", ["ws", "grpc"])
def test_rate_out_of_reach_is_told(demo, backend, scheme):
    url = demo.url(PACKETS) if scheme == "ws" else grpc_url(backend)
    _, report = succeed_in_time(url, "--rate", "200000", "--in-flight", "2")
    assert report["late"] > 0
    assert report["unsent"] > 0
    assert report["in_flight"] == 2


# --- idle connections ---


@pytest.mark.parametrize("scheme", ["ws", "grpc"])
def test_idle_connections_stay_open(demo, backend, scheme):
    url = demo.url(PACKETS) if scheme == "ws" else grpc_url(backend)
    _, report = succeed_in_time(url, "--idle", "20", "--threads", "2")
    assert report["idle"] == {"connections": 20, "cpu_share": None,
                              "rss_bytes_per_connection": None}
    assert report["messages"] > 0


def test_idle_connections_are_sessions_of_the_gateway(start_demo):
    gateway = start_demo()
    with Process(HEADGATE, "bench", "--idle", "10", "--duration", "1h",
                 gateway.url(PACKETS)) as process:
        wait_for_sessions(gateway, 11)  # The last one begins the load.
        process.signal(signal.SIGINT)
        process.wait()
    assert "idle        10 connections\n" in process.stdout()


def test_pid_and_idle(demo):
    _, report = succeed_in_time(demo.url(PACKETS), "--idle", "10", "--pid",
                                demo.pid)
    process = report["process"]
    assert set(process) == {"pid", "cpu_us_per_message", "cpu_seconds",
                            "rss_bytes_before", "rss_bytes"}
    assert process["pid"] == demo.pid
    assert set(process["cpu_us_per_message"]) == CPU_KEYS
    assert process["rss_bytes"] > 1_000_000
    assert report["idle"]["rss_bytes_per_connection"] is not None
    assert report["idle"]["cpu_share"] is not None


# --- the handshake ---


def test_ramp(demo):
    report = succeed(demo.url(PACKETS), "--connections", "10", "--ramp", "100",
                     "--messages", "10")
    assert report["messages"] == 10


def test_headers_and_bearer_reach_the_gateway(demo):
    report = succeed(
        demo.url(ECHO + "Echo"), "--codec", "json", "--message", "{}",
        "--header", "X-Request-Id: bench", "--bearer", "s3cret", *FEW)
    assert report["messages"] == 40


def test_own_message_from_a_file(demo, tmp_path):
    file = tmp_path / "message"
    file.write_bytes(message((1, "ann")))
    report = succeed(demo.url(HELLO + "BidiHello"), "--message", f"@{file}",
                     *FEW)
    assert report["messages"] == 40
    assert report["size"] == 5


def test_peer_without_subprotocols(demo):
    report = succeed(demo.url(PACKETS), "--codec", "json", "--no-subprotocol",
                     *FEW)
    assert report["messages"] == 40


# --- what goes wrong ---


def test_closed_port():
    with closed_port() as port:
        status, report, errors = bench(f"ws://127.0.0.1:{port}/",
                                       "--connections", "3", *SHORT)
    assert status == 1
    assert errors == ("headgate bench: 3 x could not connect: Connection "
                      "refused\n")
    assert report["errors"] == {"could not connect: Connection refused": 3}
    assert report["connect_failures"] == 3
    assert report["messages"] == 0


def test_closed_port_of_grpc():
    with closed_port() as port:
        status, report, errors = bench(f"grpc://127.0.0.1:{port}/a.B/C",
                                       "--connections", "3", *SHORT)
    assert status == 1
    assert errors == ("headgate bench: 3 x could not connect: no gRPC server "
                      f"at 127.0.0.1:{port}\n")
    assert report["connect_failures"] == 3


def test_name_that_is_not_there():
    status, report, errors = bench("ws://nowhere.invalid/", *SHORT)
    assert (status, report) == (1, None)
    assert errors.startswith("headgate bench: cannot find nowhere.invalid: ")


def test_refusal_of_all(demo):
    status, report, errors = bench(demo.url("/nothing"), "--connections", "2",
                                   *SHORT)
    assert status == 1
    assert report["connect_failures"] == 2
    assert errors.startswith("headgate bench: 2 x refused: HTTP 404: ")


# Those that were let in are measured.
def test_refusal_of_some(start_demo):
    gateway = start_demo("--max-sessions", "3")
    status, report, errors = bench(gateway.url(PACKETS), "--connections", "5",
                                   *FEW)
    assert status == 1
    assert report["connect_failures"] == 2
    assert report["messages"] == 24  # Three parts of five.
    assert errors.startswith("headgate bench: 2 x refused: HTTP 503: ")


def test_unauthorized(demo):
    status, _, errors = bench(demo.url(PACKETS), "--header",
                              "Sec-Headgate: x", "--bearer", "a b\xe9", *SHORT)
    assert status == 1
    assert errors.startswith("headgate bench: 1 x refused: HTTP 401: ")


def test_method_that_is_not_there(backend):
    status, report, errors = bench(grpc_url(backend, "a.B/C"), "--connections",
                                   "2", *FEW)
    assert status == 1
    assert errors.startswith("headgate bench: 2 x ended with 12 "
                             "(UNIMPLEMENTED)")
    assert report["messages"] == 0


def test_session_that_the_gateway_closes(start_demo):
    gateway = start_demo("--messages-per-second", "50")
    status, report, errors = bench(gateway.url(PACKETS), "--connections", "2",
                                   "--in-flight", "100", "--messages", "10000")
    assert status == 1
    reason, = report["errors"]
    assert reason.startswith("closed 1008 (policy violation)")
    assert report["errors"][reason] == 2
    assert report["connect_failures"] == 0
    assert errors == f"headgate bench: 2 x {reason}\n"


def test_call_that_fails(demo):
    status, report, _ = bench(
        demo.url(ECHO + "Fail"), "--codec", "json", "--message",
        '{"code":5,"message":"no such room"}', *FEW)
    assert status == 1
    assert report["errors"] == {"closed 4005 (NOT_FOUND): no such room": 1}


def test_gateway_that_dies(backend):
    with Gateway.serve(backend.target) as gateway:
        url = gateway.url("/headgate.v1.PacketService/Connect")
        with Watched("--connections", "2", url) as watched:
            watched.wait_for_answers()
            gateway.kill()
            status, report = watched.wait()
    assert status == 1
    assert sum(report["errors"].values()) == 2
    assert all(reason.startswith("lost: connection broken")
               for reason in report["errors"])


def test_backend_that_dies():
    with Backend() as backend:
        with Watched("--connections", "2", "--idle", "1",
                     grpc_url(backend)) as watched:
            watched.wait_for_answers()
            backend.kill()
            status, report = watched.wait()
    assert status == 1
    assert sum(report["errors"].values()) == 3
    assert all(reason.startswith("ended with 14 (UNAVAILABLE)")
               for reason in report["errors"])


class Peer:
    """A WebSocket server of one connection that does what a test wants."""

    def __init__(self, after_handshake, with_handshake=b""):
        self._with_handshake = with_handshake
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT)
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve,
                                        args=(after_handshake,))

    def _serve(self, after_handshake):
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            connection.settimeout(TIMEOUT)
            with connection:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(65536)
                key = request.partition(b"Sec-WebSocket-Key: ")[2].split()[0]
                accept = base64.b64encode(hashlib.sha1(
                    key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
                connection.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket"
                    b"\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
                    accept + b"\r\n\r\n" + self._with_handshake)
                after_handshake(connection)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._thread.join()
        self._listener.close()


def frame(payload, opcode=0x82):
    return struct.pack("!BB", opcode, len(payload)) + payload


def frames_of(connection):
    """(opcode, payload) of each frame that the client sends, up to the end."""
    data = b""
    while True:
        while len(data) >= 6 and len(data) >= 6 + (data[1] & 0x7F):
            size = data[1] & 0x7F
            assert data[1] & 0x80 and size < 126
            yield data[0], bytes(byte ^ data[2 + i % 4] for i, byte in
                                 enumerate(data[6:6 + size]))
            data = data[6 + size:]
        more = connection.recv(65536)
        if not more:
            return
        data += more


# Answers may be in fragments with pings between them; a codec that was not
# taken is worth a note.
def test_other_peer():
    received = []

    def serve(connection):
        for opcode, payload in frames_of(connection):
            received.append((opcode, payload))
            if opcode == 0x82:
                connection.sendall(
                    frame(b"ping", 0x89) + frame(b"a", 0x02) +
                    frame(b"", 0x89) + frame(b"b", 0x80))
            elif opcode == 0x88:
                return

    with Peer(serve) as peer:
        status, report, errors = bench(peer.url, "--messages", "2")
    assert (status, report["messages"]) == (0, 2)
    assert errors == ("headgate bench: note: the other side did not take the "
                      "subprotocol headgate.protobuf.v1\n")
    assert [payload for opcode, payload in received if opcode == 0x8A] == [
        b"ping", b"", b"ping", b""]
    assert received[-1] == (0x88, struct.pack("!H", 1000))
    sent, again = [payload for opcode, payload in received if opcode == 0x82]
    assert sent == again


@pytest.mark.parametrize("answer, reason", [
    (frame(b"a") + frame(b"b"), "lost: more answers than messages"),
    (frame(b"aaa", 0xC2), "lost: the other side broke the WebSocket protocol: "
                          "a reserved bit is set"),
    (b"", "lost: connection broken without a Close frame"),
    (frame(b"", 0x88), "closed 1005 (no status)"),
    (frame(struct.pack("!H", 1011) + b"bad\nday", 0x88),
     "closed 1011 (internal error): bad\\x0aday"),
])
def test_peer_that_misbehaves(answer, reason):
    def serve(connection):
        connection.recv(65536)
        connection.sendall(answer)

    with Peer(serve) as peer:
        status, report, errors = bench(peer.url, "--no-subprotocol",
                                       "--messages", "5")
    assert status == 1
    assert report["errors"] == {reason: 1}
    assert errors == f"headgate bench: 1 x {reason}\n"


# grpc-websockets has a head to send before its first message.
@pytest.mark.parametrize("answer, reason", [
    (frame(b"a" * 4, 0xC2), "lost: the other side broke the WebSocket "
                            "protocol: a reserved bit is set"),
    (frame(struct.pack("!H", 1001) + b"draining", 0x88),
     "closed 1001 (going away): draining"),
])
def test_what_comes_with_the_handshake_may_end_it(answer, reason):
    with Peer(say_nothing, with_handshake=answer) as peer:
        status, report, errors = bench(
            peer.url, "--codec", "grpc-websockets", "--no-subprotocol",
            "--messages", "5")
    assert status == 1
    assert report["errors"] == {reason: 1}
    assert errors == f"headgate bench: 1 x {reason}\n"


def test_grpc_call_without_a_status():
    with H2Server(without_status) as server:
        status, report, _ = bench(grpc_url(server), "--messages", "5")
    assert status == 1
    assert report["messages"] == 0
    assert sum(report["errors"].values()) == 1


def test_packets_that_are_none():
    def serve(connection):
        connection.recv(65536)
        connection.sendall(frame(b"no packet"))

    with Peer(serve) as peer:
        status, report, _ = bench(peer.url, "--codec", "packet",
                                  "--no-subprotocol", "--messages", "5")
    assert status == 1
    assert report["errors"] == {
        "lost: a packet is cut short": 1}


def say_nothing(connection):
    """Until the client leaves."""
    for opcode, _ in frames_of(connection):
        if opcode == 0x88:
            return


def test_peer_that_never_answers():
    with Peer(say_nothing) as peer:
        status, report, errors = bench(peer.url, "--no-subprotocol", *SHORT)
    assert status == 1
    assert report["messages"] == 0
    assert errors == "headgate bench: 1 x no answer came\n"


def test_idle_connection_without_an_answer():
    with Peer(say_nothing) as peer:
        status, report, errors = bench(
            peer.url, "--no-subprotocol", "--connections", "0", "--idle", "1",
            "--connect-timeout", "2s", *SHORT)
    assert status == 1
    assert report["connect_failures"] == 1
    assert errors == ("headgate bench: 1 x could not connect: no answer "
                      "within 2s\n")


def test_handshake_without_an_answer():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        status, report, errors = bench(
            f"ws://127.0.0.1:{port}/", "--connect-timeout", "200ms", *SHORT)
    assert status == 1
    assert report["connect_failures"] == 1
    assert errors == ("headgate bench: 1 x could not connect: not open within "
                      "200ms\n")


# --- signals ---


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("scheme", ["ws", "grpc"])
def test_signal_ends_it_with_what_was_measured(demo, backend, scheme, number):
    url = demo.url(PACKETS) if scheme == "ws" else grpc_url(backend)
    with Watched(url) as watched:
        watched.wait_for_answers()
        watched.process.send_signal(number)
        status, report = watched.wait()
    assert status == 0
    assert report["messages"] > 0
    assert 0 < report["duration_seconds"] < 3600


# --- TLS and socket files ---


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.mark.parametrize("flags", [
    (), ("--in-flight", "16", "--connections", "3"), ("--size", "100000"),
    ("--idle", "3")])
def test_wss(authority, flags):
    certificate, key = authority.issue("gateway", "DNS:localhost",
                                       "IP:127.0.0.1")
    with Gateway.demo("--tls-cert", certificate, "--tls-key",
                      key) as gateway:
        url = f"wss://localhost:{gateway.port}{PACKETS}"
        report = succeed(url, "--ca", authority.ca, *FEW, *flags)
        assert report["messages"] == 40
        assert succeed(url, "--insecure", *FEW, *flags)["messages"] == 40
        eventually(lambda: gateway.sessions() == [], "the sessions to end")


def test_certificate_that_is_not_trusted(authority):
    certificate, key = authority.issue("elsewhere", "DNS:elsewhere.example")
    with Gateway.demo("--tls-cert", certificate, "--tls-key",
                      key) as gateway:
        status, report, errors = bench(
            f"wss://localhost:{gateway.port}{PACKETS}", "--ca", authority.ca,
            *FEW)
    assert (status, report["connect_failures"]) == (1, 1)
    assert ("could not connect: TLS: the certificate cannot be trusted: "
            "hostname mismatch") in errors


def test_socket_file(start_demo, tmp_path):
    start_demo(listen=("127.0.0.1:0", f"unix:{tmp_path}/ws"), listeners=1)
    report = succeed(f"ws+unix:{tmp_path}/ws:{PACKETS}", "--connections", "3",
                     *FEW)
    assert report["messages"] == 40
    status, report, errors = bench(f"ws+unix:{tmp_path}/nobody:{PACKETS}", *FEW)
    assert (status, report["connect_failures"]) == (1, 1)
    assert "No such file or directory" in errors


# --- usage ---


@pytest.mark.parametrize("flags, why", [
    (("ftp://a/",),
     "must start with ws://, wss://, ws+unix:, http://, https:// or grpc://"),
    (("http://a/b.C/D",), "--codec: protobuf is not for http://"),
    (("ws://a/", "--codec", "connect"),
     "--codec: connect is for http:// and https:// only"),
    (("https://", "--codec", "grpc"), "must be https://HOST[:PORT]/PATH"),
    (("ws://a/", "--streams", "2"), "--streams: needs --http2"),
    (("grpc://a:1/b/c", "--http2"), "grpc:// has HTTP/2 of its own"),
    (("http://a/b.C/D", "--codec", "connect", "--in-flight", "2"),
     "--in-flight: a connection of HTTP/1.1 has one request at a time"),
    (("wss://a/", "--ca", "/nowhere"), "--ca /nowhere cannot be read"),
    (("ws://a/", "--insecure"), "--insecure: only with wss://"),
    (("grpc://a:1/b/c", "--insecure"), "--insecure: only with wss://"),
    (("grpc://a/b/c",), "must be grpc://HOST:PORT/package.Service/Method"),
    (("grpc://a:1/b/c", "--codec", "json"),
     "--codec: grpc:// takes protobuf only"),
    (("ws://a/", "--codec", "xml"), "--codec"),
    (("ws://a/", "--duration", "fast"),
     "--duration 'fast': must be a duration"),
    (("ws://a/", "--duration", "0s"), "at least 1ms"),
    (("ws://a/", "--warm-up", "-1s"), "--warm-up '-1s': must be a duration"),
    (("ws://a/", "--warm-up", "7"), "--warm-up '7': must be a duration"),
    (("ws://a/", "--connections", "0"), "--connections: must be at least 1"),
    (("ws://a/", "--connections", "-1"), "--connections"),
    (("ws://a/", "--in-flight", "0"), "--in-flight"),
    (("ws://a/", "--rate", "0"), "--rate"),
    (("ws://a/", "--threads", "0"), "--threads"),
    (("ws://a/", "--messages", "0"), "--messages"),
    (("ws://a/", "--idle", "1", "--connections", "0", "--messages", "1"),
     "--messages: needs --connections of at least 1"),
    (("ws://a/", "--message", "@/nowhere"), "--message '@/nowhere': cannot be "
                                            "read"),
    (("ws://a/", "--codec", "json", "--message", "1\n2"),
     "--message: must be one line"),
    (("ws://a/", "--message", "x", "--size", "1"), "--size"),
    (("ws://a/", "--header", "x"), "--header 'x': must be 'Name: value'"),
    ((), "URL"),
])
def test_wrong_usage_is_64(flags, why):
    result = run("bench", *flags)
    assert result.returncode == 64
    assert result.stdout == b""
    assert why in result.stderr.decode()


def test_message_in_a_fifo_is_not_waited_for(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    result = run("bench", "--message", f"@{fifo}", "ws://127.0.0.1:1/x",
                 timeout=20)
    assert result.returncode == 64
    assert "it is a FIFO" in result.stderr.decode()


def test_process_that_is_not_there(demo):
    with Process("/bin/true") as process:
        process.wait()
    status, report, errors = bench(demo.url(PACKETS), "--pid", process.pid,
                                   *SHORT)
    assert (status, report) == (1, None)
    assert errors == (f"headgate bench: --pid {process.pid}: there is no such "
                      "process\n")


def test_more_connections_than_descriptors(demo):
    result = run("bench", "--connections", "1000000", demo.url(PACKETS))
    assert result.returncode == 1
    assert "--connections and --idle: need 1000064 file descriptors" in (
        result.stderr.decode())
