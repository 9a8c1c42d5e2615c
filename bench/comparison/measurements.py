"""The measurements: each makes cases and a table out of their runs."""

import dataclasses
import functools
import shutil

from comparison.lines import Way, before, first
from comparison.runner import Case
from comparison.tables import Results, markdown, number

CONNECTIONS = 64
IN_FLIGHT = (1, 16)
RATE = 10_000
# In an open loop: far more than are ever outstanding, so that none is late.
RATE_IN_FLIGHT = 64
DESCRIPTORS_TO_SPARE = 500  # Connections upstream, listeners, libraries.


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is measured."""
    rounds: int = 3
    seconds: float = 5.0  # Of the window of a run.
    warm_up: float = 2.0
    sockets: tuple = (64, 256, 1000, 5000)
    idle: tuple = (1000, 10_000)
    # A whole --keepalive-interval: each socket is pinged once in it.
    idle_seconds: float = 25.0
    instruction_messages: int = 8000


QUICK = Scale(rounds=1, seconds=1.0, warm_up=0.3, sockets=(64, 1000),
              idle=(1000,), idle_seconds=1.0, instruction_messages=2000)


class Measurement:
    """Of lines, on a scale. `run` returns Markdown."""

    def __init__(self, lines, scale):
        self.lines = lines
        self.scale = scale
        self.direct = first(lines, Way.DIRECT)
        self.peer = first(lines, Way.PEER)
        self.tunnels = [line for line in lines if line.way is Way.TUNNEL]

    def timed(self, line, point, *flags, connections=CONNECTIONS, threads=1):
        """A case that lasts as long as the scale says."""
        scale = self.scale
        return Case(line, point,
                    ("--connections", connections, *flags,
                     "--duration", f"{scale.seconds}s",
                     "--warm-up", f"{scale.warm_up}s"),
                    scale.seconds + scale.warm_up, threads)

    def ratio_header(self):
        """Of the columns for which there are lines."""
        return [f"÷ {name}" for name in self._references(None)]

    def ratios(self, results, line, point, metric_of):
        """The cells below: the line's value divided by another's."""
        cells = []
        for other in self._references(line).values():
            ratio = None
            if other not in (None, line):
                ratio = results.ratio((line, point, metric_of(line)),
                                      (other, point, metric_of(other)))
            cells.append(number(ratio, 2))
        return cells

    def _references(self, line):
        """{name: the line that `line` is compared with, or None}"""
        references = {}
        if self.direct:
            references["direct"] = self.direct
        if self.peer:
            references["peer"] = self.peer
        for tunnel in self.tunnels:
            references[tunnel.tunnel] = tunnel
        if any(other.before for other in self.lines):
            references["before"] = line and before(line, self.lines)
        return references

    def codec_only(self, codec):
        """The lines of this codec, and direct."""
        return [line for line in self.lines if line.way is Way.DIRECT or
                line.way is Way.HEADGATE and line.codec == codec]


def cpu(part, line):
    """The metric: µs a message, `part` of user, system and total."""
    return lambda result: line.cpu(result)[part]


total_cpu = functools.partial(cpu, "total")


class Cpu(Measurement):
    """CPU time a message, closed loop"""
    name = "cpu"

    def run(self, runner):
        cases = [self.timed(line, in_flight, "--in-flight", in_flight)
                 for in_flight in IN_FLIGHT for line in self.lines]
        results = Results(runner.interleaved(self.name, cases,
                                             self.scale.rounds))
        return "\n".join(self._table(results, in_flight)
                         for in_flight in IN_FLIGHT)

    def _table(self, results, in_flight):
        rows = []
        for line in self.lines:
            parts = [results.median(line, in_flight, cpu(part, line))
                     for part in ("user", "system", "total")]
            spread = results.spread(line, in_flight, total_cpu(line))
            rate = results.median(line, in_flight,
                                  lambda r: r["messages_per_second"])
            rows.append([
                line.name, *(number(part, 1) for part in parts),
                number(spread and 100 * spread, 0, " %"),
                *self.ratios(results, line, in_flight, total_cpu),
                number(rate)])
        return markdown(
            f"CPU µs a message: {CONNECTIONS} connections, {in_flight} in "
            f"flight on each, 64 bytes",
            ["", "user", "system", "total", "spread", *self.ratio_header(),
             "messages/s"], rows)


class Latency(Measurement):
    """latency at a fixed rate"""
    name = "latency"

    def run(self, runner):
        cases = [self.timed(line, RATE, "--rate", RATE,
                            "--in-flight", RATE_IN_FLIGHT)
                 for line in self.lines]
        results = Results(runner.interleaved(self.name, cases,
                                             self.scale.rounds))
        rows = [self._row(results, line) for line in self.lines]
        return markdown(
            f"Latency, µs: {RATE:,} messages/s on {CONNECTIONS} connections",
            ["", "p50", "p99", "p99.9", "added p50", "added p99",
             "CPU/message", "not in time"], rows,
            ["Added: what is over direct gRPC in the same round. Not in time: "
             "messages that were sent late, not sent or not answered."])

    def _row(self, results, line):
        def latency(percentile):
            return lambda result: result["latency_us"][percentile]

        def added(percentile):
            metric = latency(percentile)
            if self.direct in (None, line):
                return None
            return results.difference((line, RATE, metric),
                                      (self.direct, RATE, metric))

        def missed(result):
            count = sum(result.get(key, 0)
                        for key in ("late", "unanswered", "unsent"))
            return 100 * count / max(1, result["messages"] + count)

        return [line.name,
                *(number(results.median(line, RATE, latency(percentile)))
                  for percentile in ("p50", "p99", "p999")),
                number(added("p50")), number(added("p99")),
                number(results.median(line, RATE, total_cpu(line)), 1),
                number(results.median(line, RATE, missed), 1, " %")]


class Idle(Measurement):
    """memory and CPU of idle sockets, each with an open stream"""
    name = "idle"

    def run(self, runner):
        lines = [line for line in self.lines if line.way is not Way.DIRECT]
        seconds = self.scale.idle_seconds
        cases = [Case(line, sockets,
                      ("--connections", 0, "--idle", sockets, "--duration",
                       f"{seconds}s", "--warm-up", "0s"), seconds)
                 for sockets in self.scale.idle for line in lines]
        # Memory is the same in each round.
        results = Results(runner.interleaved(self.name, cases, 1))
        rows = [[line.name, *(cell for sockets in self.scale.idle
                              for cell in self._cells(results, line, sockets))]
                for line in lines]
        header = [""]
        for sockets in self.scale.idle:
            header += [f"KiB/socket of {sockets:,}", "CPU", "process MiB"]
        return markdown(
            "Idle sockets: each with an open stream, after one message",
            header, rows, ["CPU: of one core, over "
                   f"{seconds:.0f} s. Headgate pings each silent client every "
                   "25 s; the peer, as it comes, never."])

    @staticmethod
    def _cells(results, line, sockets):
        rss = results.median(line, sockets, lambda r:
                             r["idle"]["rss_bytes_per_connection"] / 1024)
        share = results.median(line, sockets,
                               lambda r: 100 * r["idle"]["cpu_share"])
        process = results.median(line, sockets,
                                 lambda r: r["process"]["rss_bytes"] / 2**20)
        return number(rss, 1), number(share, 2, " %"), number(process)


class Instructions(Measurement):
    """user instructions a message, by callgrind"""
    name = "instructions"

    def run(self, runner):
        if not shutil.which("valgrind"):
            return "### Instructions\n\nLeft out: there is no valgrind.\n"
        # A tunnel's process is not ours to run under callgrind.
        lines = [line for line in self.lines if line.way is not Way.TUNNEL]
        cases = [Case(line, in_flight, ("--connections", CONNECTIONS,
                                        "--in-flight", in_flight))
                 for in_flight in IN_FLIGHT for line in lines]
        count = functools.partial(runner.instructions,
                                  messages=self.scale.instruction_messages)
        results = Results(runner.interleaved(self.name, cases, 1, count))

        def metric_of(_):
            return lambda result: result["instructions_per_message"]

        rows = [[line.name, *(
                    cell for in_flight in IN_FLIGHT for cell in
                    (number(results.median(line, in_flight, metric_of(line))),
                     *self.ratios(results, line, in_flight, metric_of)))]
                for line in lines]
        return markdown(
            f"User instructions a message: {CONNECTIONS} connections",
            ["", *(cell for in_flight in IN_FLIGHT for cell in
                   (f"{in_flight} in flight", *self.ratio_header()))], rows,
            ["Under callgrind, without the kernel's part. Noise of the "
             "machine hardly touches it, but a process that is slowed down so "
             "much finds more messages waiting at a time than it would "
             "otherwise."])


class Sockets(Measurement):
    """CPU time a message by the number of active sockets"""
    name = "sockets"

    def run(self, runner):
        lines = self.codec_only("packet")
        cases = [self.timed(line, sockets, connections=sockets)
                 for sockets in self.scale.sockets for line in lines]
        results = Results(runner.interleaved(self.name, cases,
                                             self.scale.rounds))
        rows = [[line.name,
                 *(number(results.median(line, sockets, total_cpu(line)), 1)
                   for sockets in self.scale.sockets),
                 self._growth(results, line)] for line in lines]
        return markdown(
            "CPU µs a message by active sockets: 1 in flight on each",
            ["", *(f"{sockets:,}" for sockets in self.scale.sockets),
             "last ÷ first"], rows)

    def _growth(self, results, line):
        few, many = self.scale.sockets[0], self.scale.sockets[-1]
        return number(results.ratio((line, many, total_cpu(line)),
                                    (line, few, total_cpu(line))), 2)


class Workers(Measurement):
    """CPU time a message with one and with two workers"""
    name = "workers"

    def run(self, runner):
        lines = [line for line in self.codec_only("packet")
                 if line.way is Way.HEADGATE]
        cases = [self.timed(line, (threads, in_flight), "--in-flight",
                            in_flight, threads=threads)
                 for in_flight in IN_FLIGHT for threads in (1, 2)
                 for line in lines]
        results = Results(runner.interleaved(self.name, cases,
                                             self.scale.rounds))
        rows = [self._row(results, line, in_flight)
                for line in lines for in_flight in IN_FLIGHT]
        return markdown(
            f"One worker and two: {CONNECTIONS} connections",
            ["", "CPU µs, 1 worker", "2 workers", "ratio",
             "messages/s, 1 worker", "2 workers", "ratio"], rows,
            ["The load generator and the backend want processors, too: where "
             "there are few, two workers cannot show more throughput."])

    @staticmethod
    def _row(results, line, in_flight):
        row = [f"{line.name}, {in_flight} in flight"]
        for metric, digits in ((total_cpu(line), 1),
                               (lambda r: r["messages_per_second"], 0)):
            one, two = ((line, (threads, in_flight), metric)
                        for threads in (1, 2))
            row += [number(results.median(*one), digits),
                    number(results.median(*two), digits),
                    number(results.ratio(two, one), 2)]
        return row


ALL = (Cpu, Latency, Idle, Instructions, Sockets, Workers)


def descriptors_needed(chosen, scale):
    """By one process: the gateway, or the load generator, or the backend."""
    most = CONNECTIONS
    if Idle in chosen:
        most = max(most, *scale.idle)
    if Sockets in chosen:
        most = max(most, *scale.sockets)
    return most + DESCRIPTORS_TO_SPARE
