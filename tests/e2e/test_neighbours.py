"""What one client sends, or one call's backend, ends no other call on the same
connection: servers with their defaults, and what they answer with the end of
the connection (docs/security.md)."""

import base64
import contextlib
import re
import signal
import socket
import struct
import threading

import pytest

from client import PROTOBUF, Client, call, refusal
from harness import Gateway, Process
from test_interop import MIRROR, go_mirror, node_mirror, python_mirror
from wire import BINARY, RawClient

ECHO = MIRROR + "Echo"
TOLD = MIRROR + "Told"


@pytest.fixture(scope="module", params=[python_mirror, go_mirror, node_mirror],
                ids=["python", "grpc-go", "grpc-js"])
def mirror(request, tmp_path_factory):
    """The target of a server whose limits are its library's defaults."""
    target = f"unix:{tmp_path_factory.mktemp('mirror')}/back"
    with Process(*request.param(), target) as server:
        server.wait_for_output("listening on")
        yield target


@pytest.fixture(scope="module", params=["h2", "grpc"])
def gateway(request, mirror):
    # One worker, so one connection that all calls share.
    with Gateway.serve(mirror, "--threads", "1", "--token-cookie", "session",
                       "--token-query", "token", "--max-header-bytes",
                       "64KiB", "--trusted-proxy", "127.0.0.0/8",
                       transport=request.param) as process:
        yield process


@pytest.fixture(params=["h2", "grpc"])
def transport(request):
    return request.param


@contextlib.contextmanager
def neighbours(gateway, count=4):
    """Sessions on the same connection, which must be there afterwards."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(gateway, ECHO, PROTOBUF))
                   for _ in range(count)]
        for client in clients:
            client.send(b"before")
            assert client.receive() == b"before"
        yield
        for client in clients:
            client.send(b"after")
            assert client.receive() == b"after"


LONG = "x" * 8704


def long_metadata():
    """(name, the arguments of a call whose metadata is over 8 KiB)"""
    headers = {
        "user-agent": [("User-Agent", LONG)],
        "one": [("Grpc-Metadata-Long", LONG)],
        "many": [(f"Grpc-Metadata-A{i}", "v") for i in range(780)],
        "binary": [("Grpc-Metadata-A-Bin", "AAE=," * 300 + "AAI=")],
        "authorization": [("Authorization", "Bearer " + LONG)],
        "cookie": [("Cookie", "session=" + LONG)],
        "baggage": [("Baggage", LONG)],
        "tracestate": [
            ("Traceparent", f"00-{'a' * 32}-{'b' * 16}-01"),
            ("Tracestate", LONG)],
        "forwarded": [("X-Forwarded-For", ", ".join(["192.0.2.1"] * 800))],
        "forwarded-host": [("X-Forwarded-Host", LONG)],
    }
    for name, lines in headers.items():
        yield pytest.param({"headers": lines}, id=name)
    yield pytest.param({"origin": "http://" + LONG}, id="origin")
    yield pytest.param({"subprotocols": (PROTOBUF, "Bearer", LONG)},
                       id="subprotocol")
    yield pytest.param({"path": f"{TOLD}?token={LONG}"}, id="query")
    yield pytest.param({"path": MIRROR + LONG}, id="method")


@pytest.mark.parametrize("arguments", long_metadata())
def test_metadata_over_the_limit_is_431_and_ends_no_other_call(
        gateway, arguments):
    path = arguments.get("path", TOLD)
    options = {key: value for key, value in arguments.items()
               if key not in ("path", "subprotocols", "origin")}
    if "origin" in arguments:  # Of the gateway's own host.
        host = arguments["origin"].removeprefix("http://")
        with neighbours(gateway), RawClient(gateway) as client:
            response = client.request(path, [
                ("Host", host), ("Origin", arguments["origin"])],
                without=("Host",))
            assert response.status == 431
        return
    with neighbours(gateway):
        assert refusal(gateway, path, *arguments.get(
            "subprotocols", (PROTOBUF,)), **options) == 431


def test_refusal_says_the_sizes(gateway):
    with RawClient(gateway) as client:
        response = client.request(TOLD, [("Grpc-Metadata-Long", LONG)])
        assert response.status == 431
        assert re.fullmatch(
            "the call's metadata would make [0-9]+ bytes of headers, "
            "max_metadata_bytes is 8192", response.json()["message"])


# The server's own limit, 8 KiB of Python's, is not below ours.
def test_metadata_up_to_the_limit_arrives(gateway):
    with neighbours(gateway):
        response = with_long_metadata(gateway, len(LONG))
        excess = int(re.search("would make ([0-9]+) bytes",
                               response.json()["message"])[1]) - 8192
        longest = len(LONG) - excess
        assert 6500 < longest < 8000
        assert with_long_metadata(gateway, longest + 1).status == 431
        assert with_long_metadata(gateway, longest) == longest


def with_long_metadata(gateway, size):
    """How much of a value of that size arrived, or the refusal."""
    with RawClient(gateway) as client:
        response = client.request(TOLD, [
            ("Sec-WebSocket-Protocol", PROTOBUF),
            ("Grpc-Metadata-Long", "x" * size)])
        if response.status != 101:
            return response
        client.send_frame(1)  # Half-close.
        told = client.read_message()[1].decode()
        return sum(line.count("x") for line in told.split("\n")
                   if line.startswith("long="))


# gRPC C++ fails a connection by the commas, and the process by two of the
# names.
@pytest.mark.parametrize("name, value, told", [
    ("a-bin", "AAE=, AAI=", ["a-bin=0001", "a-bin=0002"]),
    ("a-bin", "AAE,AAI=,", ["a-bin=0001", "a-bin=0002", "a-bin="]),
    ("a-bin", "", ["a-bin="]),
    ("grpclb_client_stats", "x", []),
    ("lb-token", "x", []),
    ("lb-cost-bin", "AAE=", []),
    ("endpoint-load-metrics-bin", "AAE=", []),
    ("te", "x", []), ("connection", "close", []), ("host", "x", []),
    ("content-length", "7", []), ("transfer-encoding", "chunked", []),
    ("upgrade", "h2c", []), ("keep-alive", "1", []),
    ("grpc-timeout", "x", []), ("grpc-encoding", "x", []),
    ("grpc-message", "%", []), ("content-type", "x", []),
    ("expect", "100-continue", ["expect=100-continue"]),
    ("status", "x", ["status=x"]), ("method", "x", ["method=x"]),
    (".", "x", [".=x"]), ("-", "x", ["-=x"]), ("a", "", ["a="]),
    ("a", "~" * 500, ["a=" + "~" * 500]),
])
def test_metadata_is_made_such_that_it_ends_no_other_call(
        gateway, name, value, told):
    with neighbours(gateway):
        answers, ending = call(
            gateway, TOLD, subprotocols=(PROTOBUF,), half_close=True,
            headers=[("Grpc-Metadata-" + name, value)])
        assert ending == (1000, "")
        lines = answers[0].decode().split("\n")
        for line in told:
            lines.remove(line)
        if not told:
            assert f"{name}={value}" not in lines


@pytest.mark.parametrize("name, value", [
    ("a-bin", "AAE=, AA!="), ("a-bin", "A A E ="), ("a-bin", "AAE."),
    ("a-bin", "A"), ("-bin", "AAE="), ("", "x"), ("a", "sch\xf6n"),
    ("a", "tab\there"), ("a!", "x")])
def test_metadata_that_cannot_be_sent_is_400(gateway, name, value):
    with neighbours(gateway), RawClient(gateway) as client:
        response = client.request(TOLD, [("Grpc-Metadata-" + name, value)])
        assert response.status == 400


@pytest.mark.parametrize("timeout", ["1n", "99999999H", "00000001S"])
def test_timeouts_end_no_other_call(gateway, timeout):
    with neighbours(gateway):
        _, (code, _) = call(gateway, TOLD, subprotocols=(PROTOBUF,),
                            half_close=True,
                            headers=[("Grpc-Timeout", timeout)])
        assert code in (1000, 4004)


# A token of Kubernetes' form may hold what no header of HTTP/1.1 can.
@pytest.mark.parametrize("token", [b" a ", b"a b", b"~"])
def test_blanks_in_a_token_end_no_other_call(gateway, token):
    encoded = base64.urlsafe_b64encode(token).decode().rstrip("=")
    with neighbours(gateway):
        call(gateway, TOLD, half_close=True, subprotocols=(
            PROTOBUF, "base64url.bearer.authorization.k8s.io." + encoded))


# --- what a backend says ---


# Of 64 KiB, as HTTP/2 counts them; `%` is three bytes in a status. Some servers
# send none that is longer, and end the call themselves.
@pytest.mark.parametrize("words", [
    "status 22000", "status 30000", "status 100000", "status 1000000",
    "initial 66000", "initial 1000000", "trailers 66000", "trailers 300000",
    "binary 50000", "binary 300000", "many 2500", "many 20000"])
def test_long_metadata_of_a_backend_ends_its_own_call(gateway, words):
    with neighbours(gateway):
        for _ in range(3):
            answers, (code, reason) = call(
                gateway, MIRROR + "Long", words.encode(),
                subprotocols=(PROTOBUF,))
            assert answers == []
            assert code in (4003, 4008, 4013), reason
            if code == 4003:  # The server has left it out.
                assert reason == "short" or "%" in reason


def test_long_metadata_of_a_backend_is_named_with_its_size(stack, python,
                                                           transport):
    gateway = stack.enter_context(Gateway.serve(python, transport=transport))
    for words, least in ((b"status 300000", 900_000),
                         (b"trailers 70000", 70_000),
                         (b"initial 70000", 70_000)):
        answers, (code, reason) = call(gateway, MIRROR + "Long", words,
                                       subprotocols=(PROTOBUF,))
        assert (answers, code) == ([], 4008)
        found = re.fullmatch(
            "the upstream's status or metadata is ([0-9]+) bytes of headers, "
            "at most 65536 are taken", reason)
        assert least <= int(found[1]) < least + 1000


@pytest.mark.parametrize("words", [
    "status 21000", "trailers 64000", "initial 64000"])
def test_metadata_of_a_backend_up_to_the_limit_arrives(stack, python,
                                                       transport, words):
    gateway = stack.enter_context(Gateway.serve(python, transport=transport))
    ending = call(gateway, MIRROR + "Long", words.encode(),
                  subprotocols=(PROTOBUF,))[1]
    assert ending == (4003, "%" * 123 if "status" in words else "short")


# Many calls of clients that do not wait for it. With transport grpc this holds
# of servers on gRPC's core (docs/security.md).
def test_long_statuses_for_nobody_end_no_other_call(stack, python, transport):
    gateway = stack.enter_context(Gateway.serve(
        python, "--threads", "1", transport=transport))
    with neighbours(gateway):
        for _ in range(30):
            with RawClient(gateway) as client:
                client.upgrade(MIRROR + "Long", [
                    ("Sec-WebSocket-Protocol", PROTOBUF)])
                client.send_frame(BINARY, b"status 1000000")
                client.reset()


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    target = f"unix:{tmp_path_factory.mktemp('python')}/back"
    with Process(*python_mirror(), target) as server:
        server.wait_for_output("listening on")
        yield target


# Where the operator has raised the gateway's limit and not the server's.
def test_h2_heeds_what_the_server_announces(python):
    with (Gateway.serve(python, "--threads", "1", "--max-metadata-bytes",
                        "32KiB", transport="h2") as gateway,
          neighbours(gateway)):
        ending = call(gateway, TOLD, subprotocols=(PROTOBUF,),
                      headers=[("Grpc-Metadata-Long", LONG)])[1]
        assert ending[0] == 4008
        assert "the upstream takes 8192" in ending[1]


def test_the_limit_can_be_raised(stack, transport, tmp_path):
    target = f"unix:{tmp_path}/back"
    server = stack.enter_context(Process(*go_mirror(), target))
    server.wait_for_output("listening on")
    gateway = stack.enter_context(Gateway.serve(
        target, "--max-metadata-bytes", "16KiB", transport=transport))
    answers, ending = call(gateway, TOLD, subprotocols=(PROTOBUF,),
                           half_close=True,
                           headers=[("Grpc-Metadata-Long", LONG)])
    assert ending == (1000, "")
    assert "long=" + LONG in answers[0].decode().split("\n")


def test_refusals_for_metadata_are_counted(stack, python, transport):
    gateway = stack.enter_context(Gateway.serve(
        python, "--refusals", "close", transport=transport))
    ending = call(gateway, TOLD, subprotocols=(PROTOBUF,),
                  headers=[("Grpc-Metadata-Long", LONG)])[1]
    assert ending[0] == 4008
    assert gateway.metric("headgate_handshakes_refused_total",
                          reason="metadata_too_large") == 1


# --- backends that hang ---


def frame_of_http2(kind, flags=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + (
        b"\0\0\0\0" + payload)


class NoWindow(threading.Thread):
    """A server of HTTP/2 that takes heads and, once its streams' windows of
    `window` bytes are full, nothing more."""

    def __init__(self, window):
        super().__init__(daemon=True)
        self._window = window
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = "127.0.0.1:%d" % self._listener.getsockname()[1]

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self._listener.close()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(connection,),
                                 daemon=True).start()

    def _serve(self, connection):
        settings, acknowledged = 4, 1
        with contextlib.suppress(OSError), connection:
            connection.sendall(
                frame_of_http2(settings, 0, struct.pack(">HI", 4, self._window))
                + frame_of_http2(settings, acknowledged))
            while connection.recv(65536):
                pass


@pytest.mark.parametrize("window, size", [(0, 0), (0, 300_000), (1000, 5000),
                                          (65_535, 300_000)])
def test_backend_that_takes_nothing_of_the_one_message_stalls(
        configured, transport, window, size):
    with NoWindow(window) as server:
        gateway = configured(f"""
upstreams:
  - name: dead
    target: "{server.target}"
    transport: {transport}
    descriptors: {{reflection: false}}
timeouts: {{stall: 1s}}
""")
        with Client(gateway, MIRROR + "Echo", PROTOBUF) as client:
            client.send(b"x" * size)
            assert client.receive_close() == (
                4008, "the backend has taken no message for 1s")
        assert gateway.metric("headgate_limits_hit_total",
                              limit="stall_timeout") == 1


# By default: half a minute after its last answer. The other transport's default
# is 5.5 min.
def test_backend_that_is_stopped_is_noticed_by_default(configured, tmp_path):
    target = f"unix:{tmp_path}/back"
    with Process(*go_mirror(), target) as server:
        server.wait_for_output("listening on")
        gateway = configured(f"""
upstreams:
  - {{name: go, target: "{target}", transport: h2, keepalive: {{timeout: 1s}}}}
""")
        with Client(gateway, ECHO, PROTOBUF, timeout=90) as client:
            client.send(b"a")
            assert client.receive() == b"a"
            server.signal(signal.SIGSTOP)
            try:
                assert client.receive_close() == (
                    4014, "the upstream does not answer: keepalive")
            finally:
                server.signal(signal.SIGCONT)
