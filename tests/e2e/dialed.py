"""A conversation with `headgate dial`."""

import contextlib
import os
import pty
import select
import subprocess

from harness import HEADGATE, SANITIZER_REPORT, eventually


class Dialed:
    """dial with an input that stays open: a pipe, or a terminal."""

    def __init__(self, gateway, path, *flags, terminal=False, url=None):
        self._output = b""
        self._terminal = terminal
        if terminal:
            self._end, child = pty.openpty()
            streams = {"stdin": child, "stdout": child, "stderr": child}
        else:
            streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE,
                       "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(
            [HEADGATE, "dial", *map(str, flags), url or gateway.url(path)],
            start_new_session=True, **streams)
        if terminal:
            os.close(child)
        else:
            self._end = self.process.stdout.fileno()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout,
                       self.process.stderr):
            if stream:
                stream.close()
        if self._terminal:
            os.close(self._end)

    def send(self, line):
        self.type(line.encode() + b"\n")

    def type(self, keys):
        if self._terminal:
            os.write(self._end, keys)
        else:
            self.process.stdin.write(keys)
            self.process.stdin.flush()

    def read(self):
        """Reads what there is to read now."""
        while select.select([self._end], [], [], 0)[0]:
            try:
                data = os.read(self._end, 65536)
            except OSError:  # How a terminal says that it is over.
                return
            if not data:
                return
            self._output += data

    def receive(self, text):
        """Waits until `text` has come."""

        eventually(lambda: self.has(text), f"{text!r} in the output")

    def has(self, text):
        """Whether `text` has come."""
        self.read()
        return text.encode() in self._output

    def wait(self):
        def over():
            self.read()
            return self.process.poll() is not None

        eventually(over, "the end of dial")
        self.read()
        assert not SANITIZER_REPORT.search(self.errors())
        return self.process.returncode

    def errors(self):
        if self._terminal:
            return self._output.decode()
        if self.process.poll() is not None and not hasattr(self, "_errors"):
            self._errors = self.process.stderr.read().decode()
        return getattr(self, "_errors", "")
