"""Clients of gRPC itself through the HTTP/2 listener: python3-grpcio, grpc-go
(callers/caller.go). Those of Node.js are in tests/interop."""

import concurrent.futures
import os
import pathlib
import subprocess
import threading
import time

import grpc
import pytest

from certificates import Authority
from client import HELLO
from harness import HEADGATE, TIMEOUT, Gateway, eventually, soon
from http2_wire import (END_STREAM, HEADERS, H2Client, request_fields)
from wire import RawClient, fields, message

CALLERS = pathlib.Path(__file__).parent / "callers"
LIBRARY = "/headgate.demo.v1.LibraryService/"


def method(channel, kind, path):
    """The method as one of bytes."""
    return getattr(channel, kind)(path, request_serializer=None,
                                  response_deserializer=None)


def greeting(text):
    return message((1, text))


def reply(data):
    return fields(data)[1][0].decode()


def connect(gateway, **options):
    return grpc.insecure_channel(
        f"{gateway.host}:{gateway.port}",
        options=[("grpc.use_local_subchannel_pool", 1), *options.items()])


@pytest.fixture
def channel(demo):
    with connect(demo) as channel:
        yield channel


def test_unary(channel, demo):
    call = method(channel, "unary_unary", HELLO + "SayHello")
    assert reply(call(greeting("ann"))) == "hello, ann"
    assert demo.metric("headgate_calls_total",
                       method=HELLO + "SayHello", code="OK") >= 1


def test_server_streaming(channel):
    call = method(channel, "unary_stream", HELLO + "LotsOfReplies")
    replies = [reply(data) for data in call(greeting("ann"))]
    assert replies == [f"hello, ann ({i})" for i in range(1, 11)]


def test_client_streaming(channel):
    call = method(channel, "stream_unary", HELLO + "LotsOfGreetings")
    names = (greeting(name) for name in ("ann", "bob", "cleo"))
    assert reply(call(names)) == "hello, ann, bob and cleo"


def test_bidirectional(channel):
    """Each greeting is answered before the next one is sent."""
    answered = threading.Semaphore(1)

    def names():
        for i in range(20):
            answered.acquire()
            yield greeting(str(i))

    call = method(channel, "stream_stream", HELLO + "BidiHello")
    replies = []
    for data in call(names()):
        replies.append(reply(data))
        answered.release()
    assert replies == [f"hello, {i}" for i in range(20)]


def test_metadata_comes_back(channel):
    get = method(channel, "unary_unary", LIBRARY + "GetBook")
    data, call = get.with_call(message((1, "shelves/classics/books/dune")),
                               metadata=[("x-reader", "ann")])
    assert b"Dune" in data
    initial = dict(call.initial_metadata())
    assert initial["library-branch"] == "main"
    assert "library-books" in dict(call.trailing_metadata())


class Readiness(grpc.GenericRpcHandler):
    """Begins its response at once, and echoes what comes."""

    def service(self, details):
        if details.method != "/a.B/C":
            return None
        return grpc.stream_stream_rpc_method_handler(self.echo)

    @staticmethod
    def echo(requests, context):
        context.send_initial_metadata(())
        yield from requests


@pytest.mark.parametrize("transport", ["h2", "grpc"])
def test_a_response_that_has_begun_is_seen_before_the_first_request(transport):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4),
                         handlers=(Readiness(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Gateway.serve(f"127.0.0.1:{port}", "--transport",
                           transport) as gateway, connect(gateway) as channel:
            begun = threading.Event()

            def requests():
                assert begun.wait(TIMEOUT)
                yield b"a"

            call = method(channel, "stream_stream", "/a.B/C")(requests())
            assert dict(call.initial_metadata()) is not None
            begun.set()
            assert list(call) == [b"a"]
    finally:
        server.stop(None).wait()


def test_failures_have_their_status_and_details(channel):
    get = method(channel, "unary_unary", LIBRARY + "GetBook")
    with pytest.raises(grpc.RpcError) as error:
        get(message((1, "shelves/classics/books/none")))
    assert error.value.code() == grpc.StatusCode.NOT_FOUND
    assert error.value.details()


def test_unknown_paths_are_unknown_methods(channel):
    for path in ("/no.Service/Method", HELLO + "Nothing"):
        with pytest.raises(grpc.RpcError) as error:
            method(channel, "unary_unary", path)(b"")
        assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_deadline(channel):
    echo = method(channel, "stream_stream", HELLO + "BidiHello")
    silent = threading.Event()

    def nothing():
        silent.wait()
        yield b""

    started = time.monotonic()
    with pytest.raises(grpc.RpcError) as error:
        next(echo(nothing(), timeout=0.3))
    silent.set()
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - started < soon(5)


def test_cancel_ends_the_session(channel, demo):
    silent = threading.Event()

    def nothing():
        silent.wait()
        yield b""

    call = method(channel, "stream_stream", HELLO + "BidiHello")(nothing())
    eventually(demo.sessions, "a session")
    call.cancel()
    silent.set()
    eventually(lambda: not demo.sessions(), "no session")


def test_long_messages_arrive_whole(demo):
    text = "x" * 900_000
    with connect(demo) as channel:
        call = method(channel, "unary_unary", HELLO + "SayHello")
        assert reply(call(greeting(text))) == "hello, " + text


def test_message_above_the_limit_is_refused(channel):
    call = method(channel, "unary_unary", HELLO + "SayHello")
    with pytest.raises(grpc.RpcError) as error:
        call(greeting("x" * 2_000_000))
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "max_message_bytes" in error.value.details()


def test_compression(demo):
    with grpc.insecure_channel(f"{demo.host}:{demo.port}",
                               compression=grpc.Compression.Gzip) as channel:
        call = method(channel, "unary_unary", HELLO + "SayHello")
        assert reply(call(greeting("x" * 100_000))) == "hello, " + "x" * 100_000


def test_a_thousand_calls_on_one_connection(demo):
    before = demo.metric("headgate_http2_connections_total")
    with connect(demo) as channel:
        call = method(channel, "unary_unary", HELLO + "SayHello")
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            replies = list(pool.map(
                lambda i: reply(call(greeting(str(i)))), range(1000)))
    assert replies == [f"hello, {i}" for i in range(1000)]
    assert demo.metric("headgate_http2_connections_total") == before + 1


def test_a_drain_lets_calls_end(start_demo):
    gateway = start_demo("--drain", "5s")
    with connect(gateway) as channel:
        release = threading.Event()

        def names():
            yield greeting("ann")
            release.wait()

        call = method(channel, "stream_stream", HELLO + "BidiHello")(names())
        assert reply(next(call)) == "hello, ann"
        gateway.signal(15)
        with pytest.raises(grpc.RpcError) as error:
            list(call)
        release.set()
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "shutting down" in error.value.details()
    gateway.wait()


def test_limits_are_statuses(start_demo):
    gateway = start_demo("--max-sessions", "1")
    release = threading.Event()

    def names():
        yield greeting("ann")
        release.wait()

    with connect(gateway) as channel:
        first = method(channel, "stream_stream", HELLO + "BidiHello")(names())
        assert reply(next(first)) == "hello, ann"
        with pytest.raises(grpc.RpcError) as error:
            method(channel, "unary_unary", HELLO + "SayHello")(greeting("bob"))
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
        assert error.value.details() == "there are too many sessions"
        release.set()


# Trailers-Only (grpc/grpc doc/PROTOCOL-HTTP2.md): grpc-js wants END_STREAM on
# the HEADERS.
def test_a_refusal_is_one_frame(demo):
    with H2Client(demo) as client:
        stream = client.open(request_fields(
            "POST", "/no.Service/Method", ("content-type", "application/grpc"),
            ("te", "trailers")))
        head = client.await_h2(HEADERS, stream)
        assert head.flags & END_STREAM


def test_http_1_cannot_carry_grpc(demo):
    with RawClient(demo) as client:
        client.send(b"POST /headgate.demo.v1.HelloService/SayHello HTTP/1.1\r\n"
                    b"Host: localhost\r\nContent-Type: application/grpc\r\n"
                    b"Content-Length: 0\r\n\r\n")
        response = client.read_response()
        assert response.status == 415
        assert "needs HTTP/2" in response.json()["message"]


@pytest.fixture(scope="session")
def go_caller(tmp_path_factory):
    """The program of callers/caller.go."""
    folder = tmp_path_factory.mktemp("go")
    # Debian keeps the sources of Go's packages there.
    subprocess.run(
        ["go", "build", "-o", folder / "caller", CALLERS / "caller.go"],
        check=True, env={"HOME": str(folder), **os.environ,
                         "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
                         "GO111MODULE": "off", "CGO_ENABLED": "0"})
    return folder / "caller"


def test_grpc_go(demo, go_caller):
    before = demo.metric("headgate_http2_connections_total")
    result = subprocess.run([go_caller, f"{demo.host}:{demo.port}"],
                            capture_output=True, text=True, timeout=2 * TIMEOUT)
    replies = "; ".join(f"hello, ann ({i})" for i in range(1, 11))
    assert result.stdout.splitlines() == [
        "unary: hello, ann",
        f"replies: {replies}",
        "greetings: hello, ann and bob",
        "bidi: hello, ann; hello, bob",
        "unknown: Unimplemented",
        "deadline: DeadlineExceeded",
        "a thousand: done"], result.stderr
    assert demo.metric("headgate_http2_connections_total") == before + 1


def test_grpc_cpp(demo):
    """The program of callers/caller.cc, which is built with the gateway."""
    caller = pathlib.Path(HEADGATE).parent / "grpc_caller"
    before = demo.metric("headgate_http2_connections_total")
    result = subprocess.run([caller, f"{demo.host}:{demo.port}"],
                            capture_output=True, text=True, timeout=2 * TIMEOUT)
    replies = "; ".join(f"hello, ann ({i})" for i in range(1, 11))
    assert result.stdout.splitlines() == [
        "unary: hello, ann",
        f"replies: {replies}",
        "greetings: hello, ann and bob",
        "bidi: hello, ann; hello, bob",
        "status: NOT_FOUND gone \u20ac, a detail",
        "metadata: main, 1 trailing",
        "deadline: DEADLINE_EXCEEDED",
        "cancel: CANCELLED",
        "a long message: 1000000 bytes",
        "calls: 1000"], result.stderr
    assert demo.metric("headgate_http2_connections_total") == before + 1


def test_over_tls(tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("gateway", "DNS:localhost")
    with Gateway.demo("--tls-cert", certificate, "--tls-key",
                      key) as gateway:
        credentials = grpc.ssl_channel_credentials(authority.ca.read_bytes())
        with grpc.secure_channel(f"localhost:{gateway.port}",
                                 credentials) as channel:
            call = method(channel, "unary_unary", HELLO + "SayHello")
            assert reply(call(greeting("ann"))) == "hello, ann"
        assert gateway.metric("headgate_tls_handshakes_total") == 1
