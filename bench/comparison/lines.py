"""What is compared. A line is one way from a client to the backend."""

import contextlib
import dataclasses
import enum
import pathlib

from comparison import tunnels
from comparison.processes import server

METHOD = "headgate.v1.PacketService/Connect"


class Way(enum.Enum):
    HEADGATE = enum.auto()
    PEER = enum.auto()
    DIRECT = enum.auto()  # No gateway: the load generator calls the backend.
    TUNNEL = enum.auto()  # A proxy that passes a WebSocket's bytes on.


@dataclasses.dataclass(frozen=True)
class Line:
    name: str
    way: Way
    codec: str
    # The gateway; none for DIRECT. Of TUNNEL, what serves the WebSockets.
    binary: pathlib.Path = None
    before: bool = False  # Of the binary that headgate is compared with.
    tunnel: str = ""  # Of TUNNEL: "nginx" or "haproxy".

    @contextlib.contextmanager
    def front(self, backend, threads=1, prefix=()):
        """Starts the gateway of the line in front of the backend; yields its
        pid, or None, and the URL that leads through it."""
        if self.way is Way.DIRECT:
            yield None, f"grpc://{backend}/{METHOD}"
            return
        if self.way is Way.TUNNEL:
            with server(self._serve(backend, threads)) as (_, address):
                with tunnels.tunnel(self.tunnel, address) as (pid, front):
                    yield pid, f"ws://{front}/packets"
            return
        environment = {}
        if self.way is Way.PEER:
            command = [self.binary, "-backend", backend]
            environment["GOMAXPROCS"] = str(threads)
            if prefix:  # Valgrind dies of the signals that Go preempts with.
                environment["GODEBUG"] = "asyncpreemptoff=1"
        else:
            command = self._serve(backend, threads)
        with server([*prefix, *command], **environment) as (pid, address):
            yield pid, f"ws://{address}/packets"

    def _serve(self, backend, threads):
        return [self.binary, "serve", "--listen", "127.0.0.1:0", "--admin",
                "off", "--upstream", backend, "--threads", threads, "--route",
                f"/packets={METHOD}", "--drain", "1s", "--close-timeout", "1s"]

    def bench_flags(self):
        flags = ["--codec", self.codec]
        if self.way is Way.PEER:
            flags.append("--no-subprotocol")
        return flags

    def cpu(self, result):
        """{user, system, total}: µs a message of what stands between client
        and backend; of the direct line, of the client itself."""
        if self.way is Way.DIRECT:
            return result["client_cpu_us_per_message"]
        return result["process"]["cpu_us_per_message"]


def all_lines(headgate, baseline=None, peer=None):
    """In the order of the tables."""
    lines = []
    for codec in ("packet", "protobuf", "json"):
        lines.append(Line(f"headgate {codec}", Way.HEADGATE, codec, headgate))
        if baseline:
            lines.append(Line(f"headgate {codec} (before)", Way.HEADGATE,
                              codec, baseline, before=True))
    lines.append(Line("direct gRPC", Way.DIRECT, "protobuf"))
    if peer:
        lines.append(Line("peer json", Way.PEER, "json", peer))
    for kind in tunnels.KINDS:
        if tunnels.binary(kind):
            lines.append(Line(f"{kind} tunnel", Way.TUNNEL, "protobuf",
                              headgate, tunnel=kind))
    return lines


def before(line, lines):
    """The same line of the binary before, or None."""
    return next((other for other in lines if other.before and
                 not line.before and other.codec == line.codec and
                 other.way is line.way), None)


def first(lines, way):
    return next((line for line in lines if line.way is way), None)
