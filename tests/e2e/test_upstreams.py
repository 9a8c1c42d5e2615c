"""Several upstreams and what lies between them and the gateway: descriptor
sets, unix sockets, limits on the streams of a connection
(docs/configuration.md, "upstreams"). TLS: test_upstream_tls."""

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

from client import (ECHO, HELLO, JSON, PROTOBUF, Client, call, call_json,
                    connect, stats)
from foreign import NODE, LibraryServer
from harness import TIMEOUT, Backend, eventually
from wire import TEXT, RawClient

LIBRARY = "/library.v1.Library/"
DUNE = {"title": "Dune"}


def write(path, text):
    """Puts a file there in one step, as whoever rotates files does."""
    scratch = path.with_suffix(".new")
    scratch.write_text(text)
    os.replace(scratch, path)


@pytest.fixture(params=["grpc", "h2"])
def transport(request):
    """The line of an upstream that says what carries its calls."""
    return f"transport: {request.param}"


def title(gateway, path=LIBRARY + "GetBook"):
    """The title of a book that the server at `path` has."""
    answer, = call_json(gateway, path, DUNE)
    return answer["title"]


# --- several ---


def test_each_route_leads_to_its_upstream(stack, configured, backend):
    library = stack.enter_context(LibraryServer())
    gateway = configured(f"""
upstreams:
  - {{name: demo, target: "{backend.target}"}}
  - {{name: library, target: "{library.target}"}}
routes:
  - {{path: /book, upstream: library, method: library.v1.Library/GetBook}}
  - {{prefix: /lib, upstream: library, service: library.v1.Library}}
  - {{upstream: demo}}
""")
    assert title(gateway, "/book") == "Dune"
    assert title(gateway, "/lib/GetBook") == "Dune"
    assert call_json(gateway, HELLO + "SayHello", {"greeting": "ann"}) == [
        {"reply": "hello, ann"}]
    # What the demo has not is not looked for elsewhere.
    answers, (code, _) = call(gateway, LIBRARY + "GetBook", DUNE)
    assert (answers, code) == ([], 4012)


def test_an_upstream_that_is_away_takes_only_its_own_routes_along(
        configured, backend):
    gateway = configured(f"""
upstreams:
  - {{name: demo, target: "{backend.target}"}}
  - {{name: away, target: "127.0.0.1:1"}}
routes:
  - {{path: /away, upstream: away, method: a.B/C}}
  - {{upstream: demo}}
""")
    answers, (code, _) = call(gateway, "/away", b"", subprotocols=(PROTOBUF,))
    assert (answers, code) == ([], 4014)
    assert call_json(gateway, HELLO + "SayHello", {}) == [{"reply": "hello, "}]


# Its address is for the log, not for clients.
def test_the_log_tells_what_clients_need_not_know(stack, configured):
    library = stack.enter_context(LibraryServer())
    gateway = configured(f"""
upstreams: [{{name: library, target: "{library.target}"}}]
routes: [{{upstream: library}}]
threads: 1
""")
    assert title(gateway) == "Dune"
    library.kill()
    answers, (code, reason) = call(gateway, LIBRARY + "GetBook", DUNE)
    assert code == 4014
    assert str(library.port) not in reason
    eventually(lambda: f"{library.port}: " in gateway.stderr(),
               "the address in the log")
    eventually(lambda: "upstream is not reachable" in gateway.stderr(),
               "the log says that it is gone")
    stack.enter_context(LibraryServer(library.port))
    eventually(lambda: gateway.stderr().count("upstream is reachable") == 2,
               "the log says that it is back")


# The Host header chooses among routes, its port aside.
def test_hosts_choose_the_route(stack, configured, backend):
    library = stack.enter_context(LibraryServer())
    gateway = configured(f"""
upstreams:
  - {{name: demo, target: "{backend.target}"}}
  - {{name: library, target: "{library.target}"}}
routes:
  - {{hosts: ["*.books.test"], path: /x, upstream: library,
      method: library.v1.Library/GetBook}}
  - {{hosts: [hello.test], path: /x, upstream: demo,
      method: headgate.demo.v1.HelloService/SayHello}}
""")

    def ask(host):
        """The HTTP status of the handshake, and the answer to {}."""
        with RawClient(gateway) as client:
            client.send(
                (f"GET /x HTTP/1.1\r\nHost: {host}\r\n"
                 "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
                 ).encode())
            status = client.read_response().status
            if status != 101:
                return status, None
            client.send_frame(TEXT, json.dumps(DUNE).encode())
            return status, client.read_frame().payload.decode(
                errors="replace")

    # HelloRequest has no title, GetBook has: each says which one it was.
    assert '"title":"Dune"' in ask("a.books.test:8080")[1]
    assert "HelloRequest" in ask("HELLO.test")[1] or (
        "title" in ask("HELLO.test")[1])
    assert ask("books.test") == (404, None)
    assert ask("127.0.0.1") == (404, None)


# --- unix sockets, many streams ---


def test_unix_socket(stack, configured, tmp_path):
    socket = f"unix:{tmp_path}/library.sock"
    stack.enter_context(LibraryServer(socket))
    gateway = configured(f"""
upstreams: [{{name: library, target: "{socket}"}}]
routes: [{{upstream: library}}]
""")
    assert title(gateway) == "Dune"


# gRPC itself would let the calls over the server's limit wait in silence.
def test_no_session_waits_for_a_stream(stack, configured):
    sockets, streams = 500, 100
    library = stack.enter_context(LibraryServer(MAX_STREAMS=streams))
    gateway = configured(f"""
upstreams:
  - name: library
    target: "{library.target}"
    max_streams_per_channel: {streams}
routes: [{{upstream: library}}]
""", "--handshake-timeout", "60s")

    async def exchange_all():
        open_sockets = await asyncio.gather(*[
            connect(gateway, LIBRARY + "Exchange", JSON)
            for _ in range(sockets)])
        # All at once: every call is open while the last one answers.
        for index, socket in enumerate(open_sockets):
            await socket.send(json.dumps({"title": f"book {index}"}))
        answers = await asyncio.gather(
            *[socket.recv() for socket in open_sockets])
        await asyncio.gather(*[socket.close() for socket in open_sockets])
        return [json.loads(answer)["title"] for answer in answers]

    titles = asyncio.run(asyncio.wait_for(exchange_all(), 2 * TIMEOUT))
    assert titles == [f"book {index}" for index in range(sockets)]


# --- what lies between ---


def demo_upstream(target, *lines):
    """The demo backend under its methods' own names."""
    return "\n".join([
        "upstreams:", "  - name: demo", f'    target: "{target}"',
        *[f"    {line}" for line in lines], "routes: [{upstream: demo}]",
        "threads: 1"])


def hello(gateway):
    """The close code of a greeting."""
    return call(gateway, HELLO + "SayHello", {"greeting": "x" * 2000})[1][0]


def test_a_name_is_looked_up(configured, backend):
    assert hello(configured(
        demo_upstream(f"dns:///localhost:{backend.port}"))) == 1000


def test_addresses_take_turns(stack, configured, transport):
    backends = [stack.enter_context(Backend()) for _ in range(2)]
    addresses = ",".join(backend.target for backend in backends)
    gateway = configured(demo_upstream(f"ipv4:{addresses}", transport))
    # Each tells of the calls that it has itself.
    with Client(gateway, ECHO + "Sink", JSON) as one:
        one.send({})
        seen = eventually(
            lambda: {stats(gateway)[0] for _ in range(8)} == {0, 1},
            "answers of the one that has the call, and of the other")
        assert seen


def test_the_upstreams_deadline(configured, backend):
    gateway = configured(demo_upstream(backend.target, "deadline: 300ms"))
    with Client(gateway, ECHO + "Sink", JSON) as client:
        client.send({})
        assert client.receive_close()[0] == 4004


# --- several addresses, of which some do not answer ---


@pytest.fixture
def black_hole():
    """A target that answers nothing: a listener that accepts nobody, and has no
    room for who waits."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(20):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            if waiting.connect_ex(listener.getsockname()) != 0 and not (
                    select.select([], [waiting], [], 0)[1]):
                break
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


# gRPC's own pick_first waits for one address after the other.
@pytest.mark.parametrize("lines", [
    ("transport: grpc", "load_balancing: round-robin"),
    ("transport: h2", "load_balancing: round-robin"),
    ("transport: h2", "load_balancing: pick-first")])
def test_the_dead_hold_up_nobody(configured, backend, black_hole, lines):
    gateway = configured(demo_upstream(
        f"ipv4:127.0.0.1:{free_port()},{black_hole},{backend.target}", *lines))
    for _ in range(10):
        start = time.monotonic()
        assert hello(gateway) == 1000
        assert time.monotonic() - start < 3


# The time for a connection is 5 s; then it is known, and calls end at once.
def test_a_black_hole_is_unavailable(configured, black_hole, transport):
    gateway = configured(demo_upstream(f"ipv4:{black_hole}", transport,
                                       "descriptors: {reflection: false}"))
    start = time.monotonic()
    (code, reason) = call(gateway, ECHO + "Sink", b"",
                          subprotocols=(PROTOBUF,))[1]
    assert (code, reason) == (4014, "the upstream cannot be reached")
    assert 3 < time.monotonic() - start < 9
    eventually(lambda: gateway.admin("/readyz")[0] == 503, "not ready")


@pytest.mark.parametrize("policy", ["round-robin", "pick-first"])
def test_one_of_two_dies_and_comes_back(stack, configured, transport, policy):
    servers = [stack.enter_context(LibraryServer()) for _ in range(2)]
    targets = ",".join(server.target for server in servers)
    gateway = configured(f"""
upstreams:
  - name: library
    target: "ipv4:{targets}"
    load_balancing: {policy}
    {transport}
routes: [{{upstream: library}}]
threads: 1
""")

    def answer():
        return call(gateway, LIBRARY + "GetBook", DUNE)[1][0]

    assert answer() == 1000
    for index in (0, 1, 0):
        servers[index].kill()
        # What was on its way may be lost with it.
        eventually(lambda: answer() == 1000, "the other one answers")
        assert [answer() for _ in range(10)] == 10 * [1000]
        servers[index] = stack.enter_context(
            LibraryServer(servers[index].port))


# --- health ---


def health_upstream(servers, transport, service='""'):
    targets = ",".join(server.target for server in servers)
    return f"""
upstreams:
  - name: library
    target: "ipv4:{targets}"
    health_check: {service}
    {transport}
routes: [{{upstream: library}}]
threads: 1
"""


def test_health_decides_who_gets_calls(configured, backend, transport):
    assert hello(configured(demo_upstream(
        backend.target, transport, 'health_check: ""'))) == 1000
    assert hello(configured(demo_upstream(
        backend.target, transport, "health_check: no.such.Service"))) == 4014


def test_health_is_that_of_the_service_asked_for(stack, configured, transport):
    library = stack.enter_context(LibraryServer(HEALTH=1))
    assert title(configured(health_upstream(
        [library], transport, "library.v1.Library"))) == "Dune"


# A server without the health service cannot be unhealthy.
def test_no_health_service_is_healthy(stack, configured, transport):
    library = stack.enter_context(LibraryServer())
    assert title(configured(health_upstream([library], transport))) == "Dune"


def test_health_turns_off_and_on(stack, configured, transport):
    library = stack.enter_context(LibraryServer(HEALTH=1))
    gateway = configured(health_upstream([library], transport))
    with Client(gateway, LIBRARY + "Exchange", JSON) as running:
        running.send(DUNE)
        assert running.receive_json()["title"] == "Dune"
        for _ in range(3):
            library.signal(signal.SIGUSR2)
            eventually(lambda: call(gateway, LIBRARY + "GetBook", DUNE)[1] == (
                4014, "the upstream cannot be reached"), "nobody serves")
            running.send(DUNE)
            assert running.receive_json()["title"] == "Dune"
            library.signal(signal.SIGUSR1)
            eventually(
                lambda: call(gateway, LIBRARY + "GetBook", DUNE)[1][0] == 1000,
                "it serves again")
    # It is told where who runs the gateway looks.
    library.signal(signal.SIGUSR2)
    eventually(lambda: call(gateway, LIBRARY + "GetBook", DUNE)[1][0] == 4014,
               "nobody serves")
    eventually(lambda: gateway.admin("/readyz")[0] == 503, "not ready")
    library.signal(signal.SIGUSR1)
    eventually(lambda: gateway.admin("/readyz")[0] == 200, "ready")


# Once it is known who does not serve no call goes there.
def test_calls_go_to_who_is_healthy(stack, configured, transport):
    servers = [stack.enter_context(LibraryServer(HEALTH=1)) for _ in range(2)]
    gateway = configured(health_upstream(servers, transport))

    def all_answered():
        return all(call(gateway, LIBRARY + "GetBook", DUNE)[1][0] == 1000
                   for _ in range(10))

    assert title(gateway) == "Dune"
    one, other = servers
    one.signal(signal.SIGUSR2)
    assert all_answered()
    # It still runs, but calls would end if they went there.
    one.signal(signal.SIGSTOP)
    try:
        assert all_answered()
    finally:
        one.signal(signal.SIGCONT)
    one.signal(signal.SIGUSR1)
    other.kill()
    eventually(all_answered, "the first one has taken over")


# A process that is stopped keeps its connections, and answers nothing.
def test_keepalive_finds_a_dead_connection(stack, configured):
    backend = stack.enter_context(Backend())
    gateway = configured(demo_upstream(
        backend.target, "keepalive: {interval: 1s, timeout: 500ms}"))
    with Client(gateway, ECHO + "Sink", JSON) as client:
        client.send({})
        eventually(lambda: stats(gateway)[0] == 1, "an open call")
        backend.signal(signal.SIGSTOP)
        try:
            assert client.receive_close()[0] == 4014
        finally:
            backend.signal(signal.SIGCONT)


class Tap(threading.Thread):
    """Passes one connection on, and keeps what the gateway says."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.said = b""
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.start()

    def run(self):
        while True:
            near = self._listener.accept()[0]
            far = socket.create_connection(("127.0.0.1", self._to))
            for source, sink, keep in ((near, far, True), (far, near, False)):
                threading.Thread(target=self._pass, daemon=True,
                                 args=(source, sink, keep)).start()

    def _pass(self, source, sink, keep):
        try:
            while data := source.recv(65536):
                if keep:
                    self.said += data
                sink.sendall(data)
        except OSError:
            pass


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_compression_of_requests(configured, backend, compression):
    tap = Tap(backend.port)
    gateway = configured(demo_upstream(
        tap.target, f"compression: {compression}"))
    assert hello(gateway) == 1000
    is_plain = b"x" * 1000 in tap.said
    assert is_plain == (compression == "none")
    assert (b"\x1f\x8b" in tap.said) != is_plain


# --- descriptor sets ---


def compile_descriptors(source, output):
    subprocess.run(["protoc", f"--proto_path={source.parent}",
                    "--include_imports",
                    f"--descriptor_set_out={output}.new", source.name],
                   check=True)
    os.replace(f"{output}.new", output)


# A server without reflection speaks JSON all the same.
def test_descriptor_set_stands_in_for_reflection(stack, configured, tmp_path):
    library = stack.enter_context(LibraryServer(0, "bare"))
    descriptors = tmp_path / "library.pb"
    compile_descriptors(NODE / "library.proto", descriptors)
    gateway = configured(f"""
upstreams:
  - name: library
    target: "{library.target}"
    descriptors: {{reflection: false, files: ["{descriptors}"]}}
routes: [{{upstream: library}}]
""")
    assert title(gateway) == "Dune"
    answers, (code, reason) = call(gateway, "/library.v2.Desk/Ask",
                                   {"text": "x"})
    assert (answers, code) == ([], 4012)
    assert "library.v2.Desk/Ask" in reason


# One worker, for each looks at the file for itself.
def test_a_changed_descriptor_set_is_taken_up(stack, configured, tmp_path):
    library = stack.enter_context(LibraryServer(0, "newer"))
    descriptors = tmp_path / "library.pb"
    compile_descriptors(NODE / "library.proto", descriptors)
    gateway = configured(f"""
upstreams:
  - name: library
    target: "{library.target}"
    descriptors: {{reflection: false, files: ["{descriptors}"]}}
routes: [{{upstream: library}}]
threads: 1
""")
    before = stack.enter_context(
        Client(gateway, LIBRARY + "Exchange", JSON))
    assert call(gateway, "/library.v2.Desk/Ask", {"text": "x"})[1][0] == 4012

    compile_descriptors(NODE / "newer.proto", descriptors)
    eventually(lambda: call(gateway, "/library.v2.Desk/Ask",
                            {"text": "x"})[1][0] == 1000,
               "the new method is known")
    before.send({"title": "still here"})
    assert before.receive_json() == {"title": "still here"}

    # A file that is cut short changes nothing.
    write(descriptors, "\x0a\x7f")
    assert call(gateway, "/library.v2.Desk/Ask", {"text": "x"})[1][0] == 1000
