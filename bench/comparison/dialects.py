"""What dialects and HTTP/2 cost beside the raw codec over HTTP/1.1, and gRPC
passed through beside nginx."""

import contextlib
import dataclasses
import functools
import pathlib
import shutil
import subprocess
import tempfile
import time

from comparison import tunnels
from comparison.lines import METHOD, Way
from comparison.processes import server
from comparison.runner import Case
from comparison.tables import Results, markdown, number

CONNECTIONS = 64
IN_FLIGHT = (1, 16)
STREAMS = 100  # On a connection.
IDLE = 1000
CALL = "headgate.demo.v1.HelloService/SayHello"
ROUTES = (f"/packets={METHOD}", "/echo=headgate.v1.MessageService/Connect")


@dataclasses.dataclass(frozen=True)
class DialectLine:
    """One way of a client to the backend; see lines.Line."""
    name: str
    binary: pathlib.Path
    scheme: str
    path: str
    flags: tuple  # Of headgate bench.
    proxy: str = "headgate"  # Or "nginx".
    way: Way = Way.HEADGATE
    # Seconds before it is measured: what a gateway takes at its start, such as
    # descriptors, is no part of a WebSocket.
    settle: float = 0.0

    @contextlib.contextmanager
    def front(self, backend, threads=1, prefix=()):
        if self.proxy == "nginx":
            with tunnels.grpc_pass(backend, prefix) as (pid, address):
                yield pid, f"{self.scheme}://{address}{self.path}"
            return
        with contextlib.ExitStack() as stack:
            tls = ()
            if self.scheme in ("wss", "https"):
                folder = pathlib.Path(stack.enter_context(
                    tempfile.TemporaryDirectory(prefix="headgate-")))
                tls = _certificate(folder)
            routes = [word for route in ROUTES for word in ("--route", route)]
            pid, address = stack.enter_context(server([
                *prefix, self.binary, "serve", "--listen", "127.0.0.1:0",
                "--admin", "off", "--upstream", backend, "--threads", threads,
                *routes, "--drain", "1s", "--close-timeout", "1s", *tls]))
            time.sleep(self.settle)
            yield pid, f"{self.scheme}://{address}{self.path}"

    def bench_flags(self):
        return self.flags

    @staticmethod
    def cpu(result):
        return result["process"]["cpu_us_per_message"]["total"]


def _certificate(folder):
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
         "/CN=127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True)
    return ("--tls-cert", certificate, "--tls-key", key)


def _raw(binary, name, scheme, *flags):
    return DialectLine(name, binary, scheme, "/echo",
                       ("--codec", "raw", *flags))


def _shared(streams):
    return "--http2", "--streams", streams


def _instructions(result):
    return result["instructions_per_message"]


class Messages:
    """user instructions a message by dialect, beside raw"""
    name = "messages"

    def __init__(self, binary, scale):
        self.scale = scale
        self.raw = _raw(binary, "raw", "ws")
        self.lines = (
            self.raw,
            DialectLine("grpc-websockets", binary, "ws", f"/{METHOD}",
                        ("--codec", "grpc-websockets")),
            _raw(binary, f"raw, RFC 8441, {CONNECTIONS} on a connection", "ws",
                 *_shared(CONNECTIONS)),
            _raw(binary, "raw, RFC 8441, 1 on a connection", "ws", "--http2"))

    def run(self, runner):
        loads = [(CONNECTIONS, in_flight) for in_flight in IN_FLIGHT]
        loads.append((1, 1))
        cases = [Case(line, load, ("--connections", load[0], "--in-flight",
                                   load[1]))
                 for load in loads for line in self.lines]
        count = functools.partial(runner.instructions,
                                  messages=self.scale.instruction_messages)
        results = Results(runner.interleaved(self.name, cases, 1, count))
        rows = [[line.name, *(cell for load in loads for cell in (
                    number(results.median(line, load, _instructions)),
                    number(results.ratio((line, load, _instructions),
                                         (self.raw, load, _instructions)),
                           2)))]
                for line in self.lines]
        header = [""]
        for connections, in_flight in loads:
            header += [f"{connections} x {in_flight} in flight", "÷ raw"]
        return markdown("User instructions a message", header, rows)


class IdleStreams:
    """memory of idle WebSockets, of HTTP/1.1 and as streams"""
    name = "idle"

    def __init__(self, binary, scale):
        self.scale = scale
        shared = _shared(STREAMS)
        lines = (
            _raw(binary, "raw", "ws"),
            _raw(binary, f"RFC 8441, {STREAMS} on a connection", "ws", *shared),
            _raw(binary, "raw, TLS", "wss", "--insecure"),
            _raw(binary, f"RFC 8441, {STREAMS} on a connection, TLS", "wss",
                 "--insecure", *shared))
        self.lines = [dataclasses.replace(line, settle=2.0) for line in lines]

    def run(self, runner):
        cases = [Case(line, IDLE, ("--connections", 0, "--idle", IDLE,
                                   "--duration", "6s", "--warm-up", "0s"), 6.0)
                 for line in self.lines]
        results = Results(runner.interleaved(self.name, cases,
                                             self.scale.rounds))

        def kib(result):
            return result["idle"]["rss_bytes_per_connection"] / 1024

        rows = [[line.name, number(results.median(line, IDLE, kib), 1)]
                for line in self.lines]
        return markdown(f"Idle WebSockets: {IDLE}, after one message",
                        ["", "KiB each"], rows)


class Passthrough:
    """gRPC passed through, beside nginx grpc_pass"""
    name = "grpc"

    def __init__(self, binary, scale):
        self.scale = scale
        # A connection of `headgate bench` has 16 of 64 streams.
        kinds = (("call", CALL, "grpc", ("--connections", 4, "--in-flight",
                                         16)),
                 *((f"message, {n} in flight", METHOD, "grpc-stream",
                    (*_shared(16), "--connections", CONNECTIONS,
                     "--in-flight", n)) for n in IN_FLIGHT))
        self.kinds = [(what, [DialectLine(f"{proxy}, {what}", binary, "http",
                                          f"/{path}", ("--codec", codec),
                                          proxy)
                              for proxy in ("headgate", "nginx")], flags)
                      for what, path, codec, flags in kinds]

    def run(self, runner):
        if not tunnels.binary("nginx"):
            return "### gRPC\n\nLeft out: there is no nginx.\n"
        scale = self.scale
        cases = [Case(line, what, (*flags, "--duration", f"{scale.seconds}s",
                                   "--warm-up", f"{scale.warm_up}s"),
                      scale.seconds + scale.warm_up)
                 for what, lines, flags in self.kinds for line in lines]
        results = Results(runner.interleaved(self.name, cases, scale.rounds))
        rows = []
        for what, (ours, nginx), _ in self.kinds:
            rows.append([what,
                         number(results.median(ours, what, ours.cpu), 1),
                         number(results.median(nginx, what, nginx.cpu), 1),
                         number(results.ratio((ours, what, ours.cpu),
                                              (nginx, what, nginx.cpu)), 2)])
        return markdown("gRPC passed through: CPU µs", ["", "headgate",
                                                        "nginx", "÷"], rows)


ALL = (Messages, IdleStreams, Passthrough)


def available():
    return [kind for kind in ALL
            if kind is not Messages or shutil.which("valgrind")]
