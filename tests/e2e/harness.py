"""Starts the processes under test, and ends them with questions.

Every process is asked, when it ends, for exit status 0 and a stderr without a
sanitizer's report, whatever its test was about.
"""

import contextlib
import functools
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADGATE = os.environ.get("HEADGATE", str(ROOT / "build/dev/bin/headgate"))
# What gateways call their backends by; None: what they choose themselves.
TRANSPORT = os.environ.get("HEADGATE_TRANSPORT")

# For everything that should happen soon. Sanitizer builds on a busy machine
# are slow, and a deadline that is never reached costs nothing.
TIMEOUT = 40.0

SANITIZER_REPORT = re.compile(
    r"ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|runtime error:")


@functools.cache
def sanitized():
    """Whether the binary is a sanitizer build: slow, and greedy for memory."""
    return re.search(rb"__[at]san_init",
                     pathlib.Path(HEADGATE).read_bytes()) is not None


def soon(seconds):
    """A time limit that a test is about: `seconds` of an ordinary build on a
    machine that has time for it."""
    return seconds * (8 if sanitized() else 2)


def eventually(condition, what, timeout=TIMEOUT):
    """Polls until `condition()` is true, and returns what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.02)


_held = []


def held_port():
    """A port of 127.0.0.1 for a server that is to be there later, or again.
    Nobody listens on it meanwhile, and nobody else gets it: the kernel chooses
    no port that a socket is bound to. Servers can bind to it all the same, as
    both they and this socket set SO_REUSEADDR."""
    holder = socket.socket()
    _held.append(holder)  # Until the tests' process ends.
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder.getsockname()[1]


class Process:
    """A process whose output goes to files, so that it never waits for us;
    or to the file descriptors `stdout` and `stderr`."""

    def __init__(self, *command, stdout=None, stderr=None, **popen_options):
        self._output = tempfile.TemporaryDirectory(prefix="headgate-e2e-")
        self._stdout = pathlib.Path(self._output.name, "stdout")
        self._stderr = pathlib.Path(self._output.name, "stderr")
        self._ended = False
        with open(self._stdout, "wb") as out, open(self._stderr, "wb") as err:
            self._process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL,
                stdout=stdout or out, stderr=stderr or err, **popen_options)

    @property
    def pid(self):
        return self._process.pid

    def stdout(self):
        return self._stdout.read_text(errors="replace")

    def stderr(self):
        return self._stderr.read_text(errors="replace")

    def wait_for_log(self, text):
        """Waits until stderr has `text`: a thread of its own writes the log, so
        a line may come after what it tells of."""
        return eventually(lambda: text in self.stderr(), f"{text!r} in the log")

    def running(self):
        return self._process.poll() is None

    def signal(self, number):
        self._process.send_signal(number)

    def wait_for_output(self, pattern):
        """Waits until stdout has a match of `pattern`."""

        def match():
            found = re.search(pattern, self.stdout())
            assert found or self.running(), (
                f"ended with {self._process.returncode}: {self.stderr()}")
            return found

        return eventually(match, f"{pattern!r} on stdout")

    def wait(self, expected=0, timeout=TIMEOUT):
        """Waits for the end of the process and judges it. Once is enough."""
        if self._ended:
            return
        self._ended = True
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(
                f"still there after {timeout} s; stderr:\n{self.stderr()}")
        errors = self.stderr()
        assert not SANITIZER_REPORT.search(errors), errors
        assert self._process.returncode == expected, (
            f"exit status {self._process.returncode}; stderr:\n{errors}")

    def stop(self):
        if not self._ended and self.running():
            self.signal(signal.SIGTERM)
        self.wait()

    def kill(self):
        """The end that a process does not notice itself."""
        self.signal(signal.SIGKILL)
        self.wait(expected=-signal.SIGKILL)

    def rss(self):
        """Resident memory, bytes."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024

    def task(self, name):
        """The number of the one thread of that name."""
        found = []
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(OSError):  # It has ended.
                if (task / "comm").read_text() == f"{name}\n":
                    found.append(task.name)
        [number] = found
        return number

    def cpu_seconds(self, task=None):
        """What the process has spent of a processor so far, or one thread of
        it."""
        folder = pathlib.Path(f"/proc/{self.pid}")
        if task is not None:
            folder = folder / "task" / task
        stat = (folder / "stat").read_text()
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()


LISTENING = r"listening on (?:\w+://)?(\S+):(\d+)"


class Backend(Process):
    """`headgate backend`, the demo services alone; at `port`, that of one
    before."""

    def __init__(self, port=None):
        super().__init__(HEADGATE, "backend", "--listen",
                         f"127.0.0.1:{port or held_port()}")
        self.port = int(self.wait_for_output(LISTENING)[2])
        self.target = f"127.0.0.1:{self.port}"


class Gateway(Process):
    """`headgate serve` or `headgate demo`. `host` and `port` are those of its
    first listener."""

    def __init__(self, command, *flags, listen=("127.0.0.1:0",),
                 listeners=None, transport=TRANSPORT, admin="127.0.0.1:0",
                 **popen_options):
        words = [HEADGATE, command]
        for address in listen:
            words += ["--listen", address]
        # A test that leaves sockets open should not wait for them at its end.
        for flag, value in (("--drain", "2s"), ("--close-timeout", "1s"),
                            ("--admin", admin),
                            ("--transport", transport)):
            if value is not None and flag not in flags:
                words += [flag, value]
        super().__init__(*words, *flags, **popen_options)
        self.addresses = eventually(
            lambda: self._listeners(listeners or len(listen)),
            "a line for each listener")
        self.host, self.port = self.addresses[0]

    def _listeners(self, count):
        assert self.running(), f"does not run: {self.stderr()}"
        found = re.findall(r"headgate: listening on wss?://(\S+):(\d+)\n",
                           self.stdout())
        if len(found) < count:
            return None
        return [(host.strip("[]"), int(port)) for host, port in found]

    @classmethod
    def serve(cls, target, *flags, **options):
        return cls("serve", "--upstream", target, *flags, **options)

    @classmethod
    def configured(cls, file, *flags, command="serve", listeners=1,
                   **popen_options):
        """With a configuration file that has so many listeners, each at port
        0. A transport that it names is not overridden."""
        text = pathlib.Path(file).read_text()
        return cls(command, "--config", file, *flags, listen=(),
                   listeners=listeners,
                   transport=None if "transport:" in text else TRANSPORT,
                   **popen_options)

    @classmethod
    def demo(cls, *flags, **options):
        return cls("demo", *flags, **options)

    def url(self, path):
        return f"ws://{self.host}:{self.port}{path}"

    # --- the admin listener ---

    @property
    def admin_address(self):
        """(host, port)"""
        found = self.wait_for_output(r"admin on http://(\S+):(\d+)\n")
        return found[1].strip("[]"), int(found[2])

    def admin(self, target, method="GET", **headers):
        """(status, body) of a request to the admin listener."""
        connection = http.client.HTTPConnection(*self.admin_address,
                                                timeout=TIMEOUT)
        with contextlib.closing(connection):
            connection.request(method, target, headers={
                name.replace("_", "-"): value
                for name, value in headers.items()})
            response = connection.getresponse()
            return response.status, response.read().decode()

    def metrics(self):
        """{name{labels}: value}, the labels as they are written."""
        status, text = self.admin("/metrics")
        assert status == 200
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
                for line in text.splitlines() if not line.startswith("#")}

    def metric(self, name, **labels):
        """The sum of the samples that have these labels."""
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        total = 0
        for sample, value in self.metrics().items():
            family, _, rest = sample.partition("{")
            if family == name and all(label in rest for label in wanted):
                total += value
        return total

    def sessions(self, query=""):
        """What /sessions lists."""
        status, text = self.admin(f"/sessions{query}")
        assert status == 200, text
        return json.loads(text)["sessions"]


def run(*words, stdin=b"", timeout=TIMEOUT):
    """Runs headgate to its end, and checks only that no sanitizer spoke."""
    result = subprocess.run([HEADGATE, *[str(word) for word in words]],
                            input=stdin, capture_output=True, timeout=timeout)
    errors = result.stderr.decode(errors="replace")
    assert not SANITIZER_REPORT.search(errors), errors
    return result
