"""What stands still: a reader of stderr or stdout, the event loop of a worker.
Nothing else may (docs/operations.md, "Log" and "Admin listener")."""

import contextlib
import ctypes
import fcntl
import http.client
import json
import os
import pathlib
import re
import signal
import threading
import time

import pytest

from client import HELLO, JSON, RAW, Client
from harness import HEADGATE, TIMEOUT, Gateway, Process, eventually, soon

F_SETPIPE_SZ = 1031


class Pipe:
    """A pipe of 4 KiB that nobody reads until `read_lines`."""

    def __init__(self):
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, F_SETPIPE_SZ, 4096)
        self._text = b""

    def fill(self):
        os.set_blocking(self.writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self.writer, b"x" * 4096)
        os.set_blocking(self.writer, True)

    def read(self):
        """Reads on, in a thread, until all writers are gone."""

        def run():
            while chunk := os.read(self.reader, 65536):
                self._text += chunk

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def text(self):
        return self._text.decode(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with contextlib.suppress(OSError):
            os.close(self.writer)
        # A reading thread has it.
        if not self._text:
            os.close(self.reader)


def run_sessions(gateway, count):
    """Short sessions, each of which is a line in the log."""
    connection = http.client.HTTPConnection(gateway.host, gateway.port,
                                            timeout=TIMEOUT)
    with contextlib.closing(connection):
        for _ in range(count):
            connection.request("GET", "/v1/shelves/classics/books/dune")
            response = connection.getresponse()
            response.read()


# --- stderr ---


# More lines than the pipe and the queue (1 MiB) hold.
SESSIONS = 4000


def test_a_stalled_reader_of_stderr_holds_up_nothing():
    with Pipe() as pipe:
        gateway = Gateway.demo(stderr=pipe.writer)
        client = Client(gateway, "/echo", RAW)
        run_sessions(gateway, SESSIONS)
        dropped = gateway.metric("headgate_log_lines_dropped_total")
        assert 0 < dropped < SESSIONS
        client.send("still here")
        assert client.receive() == "still here"
        assert gateway.admin("/healthz") == (200, "ok\n")
        assert gateway.admin("/readyz")[0] == 200
        gateway.signal(signal.SIGTERM)
        assert client.receive_close()[0] == 1001
        # Nobody has read a line until now, and nobody does.
        gateway.wait(expected=0, timeout=soon(10))


def test_dropped_lines_are_counted_and_reported():
    with Pipe() as pipe:
        gateway = Gateway.demo(stderr=pipe.writer)
        run_sessions(gateway, SESSIONS)
        dropped = int(gateway.metric("headgate_log_lines_dropped_total"))
        assert dropped > 0
        reading = pipe.read()
        eventually(lambda: "log lines dropped" in pipe.text(), "the report")
        run_sessions(gateway, 3)
        eventually(lambda: pipe.text().count("session ended")
                   == SESSIONS - dropped + 3, "all other lines")
        gateway.stop()
        os.close(pipe.writer)
        reading.join(TIMEOUT)
        lines = pipe.text().splitlines()
    report, = (line for line in lines if "log lines dropped" in line)
    assert report.endswith(f'level=warning msg="log lines dropped" '
                           f'lines={dropped}')
    for line in lines:
        assert line.startswith("time="), line
    assert lines[-1].endswith("msg=stopped")


# What was logged before the end is written before it, also to a slow reader.
def test_the_end_waits_a_moment_for_the_log():
    with Pipe() as pipe:
        gateway = Gateway.demo(stderr=pipe.writer)
        run_sessions(gateway, 200)
        gateway.signal(signal.SIGTERM)
        time.sleep(0.2)
        reading = pipe.read()
        gateway.wait()
        os.close(pipe.writer)
        reading.join(TIMEOUT)
        assert pipe.text().count("session ended") == 200
        assert pipe.text().endswith("msg=stopped\n")


def test_a_closed_stderr_holds_up_nothing():
    with Pipe() as pipe:
        gateway = Gateway.demo(stderr=pipe.writer)
        os.close(pipe.writer)
        os.close(pipe.reader)
        run_sessions(gateway, 20)
        eventually(lambda: gateway.metric("headgate_log_lines_dropped_total")
                   >= 20, "they are counted")
        gateway.stop()
        pipe.reader = os.open(os.devnull, os.O_RDONLY)


# --- stdout ---


def test_a_stalled_reader_of_stdout_holds_up_nothing(tmp_path):
    admin = tmp_path / "admin.sock"
    with Pipe() as pipe:
        pipe.fill()
        process = Process(HEADGATE, "demo", "--listen", f"unix:{tmp_path}/ws",
                          "--admin", f"unix:{admin}", stdout=pipe.writer)

        def probe(path):
            import subprocess
            return subprocess.run([HEADGATE, "probe", f"unix:{admin}:{path}"],
                                  capture_output=True).returncode == 0

        eventually(lambda: probe("/readyz"), "it serves")
        eventually(lambda: "stdout does not take a line" in process.stderr(),
                   "the log says so")
        process.stop()


# --- a worker's event loop ---


PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000


class StoppedThread:
    """Stops one thread of a process, as a bug that never returns would: as
    its debugger."""

    _libc = ctypes.CDLL(None, use_errno=True)
    _libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                             ctypes.c_void_p]

    def __init__(self, pid, name):
        tasks = pathlib.Path(f"/proc/{pid}/task")
        self._tid, = (int(task.name) for task in tasks.iterdir()
                      if (task / "comm").read_text().strip() == name)
        self._trace(PTRACE_SEIZE)
        self._trace(PTRACE_INTERRUPT)
        os.waitpid(self._tid, WALL)

    def _trace(self, request):
        if self._libc.ptrace(request, self._tid, None, None) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace({request:#x})")

    def go_on(self):
        self._trace(PTRACE_DETACH)

    def wait_for_end(self):
        """Of a process that ends while the thread is stopped."""
        eventually(lambda: os.waitpid(self._tid, os.WNOHANG | WALL)[0] != 0,
                   "the thread's end", timeout=soon(30))


@pytest.fixture
def two_workers(stack):
    gateway = stack.enter_context(Gateway.demo("--threads", "2"))
    eventually(lambda: gateway.admin("/readyz")[0] == 200, "ready")
    return gateway


def test_health_fails_while_a_worker_is_stalled(two_workers, stack):
    gateway = two_workers
    # Connections go to the workers in turn.
    clients = [stack.enter_context(Client(gateway, "/echo", RAW))
               for _ in range(4)]
    sent = gateway.metric("headgate_sessions_opened_total")
    assert sent == 4
    thread = StoppedThread(gateway.pid, "worker-1")
    try:
        began = time.monotonic()
        assert gateway.admin("/healthz")[0] == 200
        status, body = eventually(
            lambda: (answer := gateway.admin("/healthz"))[0] == 503 and answer,
            "it fails")
        assert time.monotonic() - began > 3
        assert re.fullmatch(
            r"the event loop of worker 1 has not run since "
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \(\d+s\)\n", body), body
        assert json.loads(gateway.admin("/readyz")[1]) == {
            "ready": False,
            "reason": "the event loop of worker 1 has stalled"}
        # All that is known is told; what a worker does not say is marked.
        assert gateway.metric("headgate_worker_silence_seconds",
                              worker="1") >= 5
        assert gateway.metric("headgate_worker_silence_seconds",
                              worker="0") < 5
        assert gateway.metric("headgate_sessions_opened_total") == 4
        listed = json.loads(gateway.admin("/sessions")[1])
        assert listed["complete"] is False
        assert len(listed["sessions"]) == 2
        assert gateway.admin("/sessions/nobody/close", "POST")[0] == 503
        # The other worker's sessions go on.
        alive = [client for client in clients if echoes(client)]
        assert len(alive) == 2
        eventually(lambda: "the event loop of a worker has stalled"
                   in gateway.stderr(), "the log says so")
    finally:
        thread.go_on()
    eventually(lambda: gateway.admin("/healthz") == (200, "ok\n"),
               "it is well again")
    assert gateway.admin("/readyz")[0] == 200
    assert gateway.metric("headgate_worker_lag_seconds_bucket", worker="1",
                          le="5") < gateway.metric(
        "headgate_worker_lag_seconds_count", worker="1")
    gateway.wait_for_log("the event loop of the worker runs again")
    assert "complete" not in json.loads(gateway.admin("/sessions")[1])


def echoes(client):
    client.send("hello")
    try:
        return client.receive(timeout=1) == "hello"
    except TimeoutError:
        return False


# What stopped the whole process (SIGSTOP, a suspended machine) is over when
# somebody asks, and no reason to start it again.
def test_health_is_not_lost_while_the_process_is_stopped(two_workers):
    two_workers.signal(signal.SIGSTOP)
    time.sleep(7)
    two_workers.signal(signal.SIGCONT)
    for _ in range(20):
        assert two_workers.admin("/healthz") == (200, "ok\n")


# A supervisor that sends SIGTERM first gets an end without SIGKILL.
def test_sigterm_ends_a_process_whose_worker_is_stalled(two_workers):
    thread = StoppedThread(two_workers.pid, "worker-0")
    two_workers.signal(signal.SIGTERM)
    thread.wait_for_end()
    two_workers.wait(expected=1)
    assert "a thread does not stop" in two_workers.stderr()
