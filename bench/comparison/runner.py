"""Runs cases: one line under one load."""

import contextlib
import dataclasses
import pathlib
import re
import sys
import tempfile

from comparison import machine
from comparison.lines import Line, Way
from comparison.processes import Failure, bench, server

# Beyond what the flags ask for: for connections to be opened, and for the
# last answers.
TIME_TO_SPARE = 60.0
# In each of the runs whose instructions are compared.
FIRST_MESSAGES = 1000


@dataclasses.dataclass(frozen=True)
class Case:
    line: Line
    point: object  # Where in its table: messages in flight, sockets, ...
    flags: tuple  # Of headgate bench.
    seconds: float = 0.0  # How long the load lasts.
    threads: int = 1  # Of the gateway.

    @property
    def key(self):
        return self.line.name, self.point


@dataclasses.dataclass
class Run:
    """What one case came to in one round."""
    measurement: str
    line: str
    point: object
    round: int
    result: dict  # Of headgate bench, or what a measurement made of several.
    company: float = 0.0  # Cores that other processes took meanwhile.
    company_names: tuple = ()


class Runner:
    """Has one backend for all cases; each run has a gateway of its own."""

    def __init__(self, headgate, backend, backend_pid, patience=0.0):
        """`patience`: seconds to wait, before a run, for other processes."""
        self._headgate = headgate
        self._patience = patience
        self._backend = backend
        self._backend_pid = backend_pid
        self.runs = []
        self.failures = []

    def interleaved(self, measurement, cases, rounds, run_case=None):
        """Round 1: A B C ..., round 2: A B C ...; a machine that becomes
        slower meanwhile makes all of them slower. Returns those runs."""
        run_case = run_case or self.bench
        begin = len(self.runs)
        for number in range(1, rounds + 1):
            for case in cases:
                self._say(f"{measurement}, round {number} of {rounds}: "
                          f"{case.line.name}, {case.point}")
                machine.wait_for_quiet(self._patience)
                try:
                    run = run_case(case)
                except Failure as failure:
                    self._fail(f"{measurement}: {case.line.name}, "
                               f"{case.point}: {failure}")
                    continue
                self.runs.append(Run(measurement, *case.key, number, *run))
        return self.runs[begin:]

    def bench(self, case):
        """(result, company, names of the company)"""
        with case.line.front(self._backend, case.threads) as (pid, url):
            command = [self._headgate, "bench", *case.line.bench_flags(),
                       *case.flags, "--json", url]
            pids = [self._backend_pid]
            if pid:
                command += ["--pid", pid]
                pids.append(pid)
            company = machine.Company(pids)
            result, seconds = bench(command, case.seconds + TIME_TO_SPARE)
            share = company.share(seconds)
            names = company.names() if share > machine.NOTICEABLE else ()
        _check(result)
        return result, share, tuple(names)

    def instructions(self, case, messages):
        """User instructions a message: what so many more messages cost. The
        process's start and end, connections and the first calls are in both
        counts."""
        few, many = (self._callgrind(case, count) for count in
                     (FIRST_MESSAGES, FIRST_MESSAGES + messages))
        return {"messages": messages, "instructions": [few, many],
                "instructions_per_message": (many - few) / messages}, 0.0, ()

    def _callgrind(self, case, messages):
        flags = [*case.line.bench_flags(), *case.flags, "--connect-timeout",
                 "60s", "--messages", messages, "--json"]
        with tempfile.TemporaryDirectory(prefix="headgate-") as directory:
            out = pathlib.Path(directory, "callgrind")
            prefix = ["valgrind", "--tool=callgrind", "--quiet",
                      f"--callgrind-out-file={out}"]
            of_gateway = case.line.way is not Way.DIRECT
            with case.line.front(self._backend, case.threads,
                                 prefix if of_gateway else ()) as (_, url):
                result, _ = bench([*(() if of_gateway else prefix),
                                   self._headgate, "bench", *flags, url],
                                  timeout=300.0)
            _check(result)
            # The gateway writes it at its end.
            return _total(out)

    def _fail(self, text):
        self.failures.append(text)
        self._say(text)

    @staticmethod
    def _say(text):
        print(f"bench/compare: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def backend(headgate):
    """Yields (address, pid)."""
    with server([headgate, "backend", "--listen", "127.0.0.1:0"]) as (
            pid, address):
        yield address, pid


def _check(result):
    """A run in which something went wrong measures something else."""
    wrong = dict(result["errors"])
    if result["connect_failures"]:
        wrong["connections that were not opened"] = result["connect_failures"]
    if wrong:
        raise Failure("; ".join(f"{times} x {what}"
                                for what, times in wrong.items()))


def _total(out):
    try:
        found = re.search(r"^totals: (\d+)", out.read_text(), re.MULTILINE)
    except OSError:
        found = None
    if not found:
        raise Failure("callgrind has written no totals")
    return int(found[1])
