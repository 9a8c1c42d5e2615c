"""A nats-server for tests, on a port of its own, and what speaks with it."""

import base64
import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

from harness import TIMEOUT, eventually, held_port


class Nats:
    """`settings`: of its configuration file. `tls`: its URL is tls://."""

    def __init__(self, settings="", tls=False):
        self._folder = tempfile.TemporaryDirectory(prefix="headgate-nats-")
        self._tls = tls
        self._config = pathlib.Path(self._folder.name, "nats.conf")
        self._config.write_text(settings)
        self.port = held_port()
        self.start()

    def start(self):
        """Again at the port that it had."""
        path = os.environ.get("PATH", "") + ":/usr/sbin"
        program = shutil.which("nats-server", path=path)
        assert program, "nats-server is missing: script/setup --tests"
        with open(pathlib.Path(self._folder.name, "log"), "ab") as log:
            self._process = subprocess.Popen(
                [program, "-c", self._config, "-a", "127.0.0.1", "-p",
                 str(self.port), "--ports_file_dir", self._folder.name],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        ports = pathlib.Path(self._folder.name,
                             f"nats-server_{self._process.pid}.ports")
        listed = eventually(lambda: ports.exists() and ports.read_text(),
                            "nats-server's port")
        self.port = int(json.loads(listed)["nats"][0].rsplit(":", 1)[1])
        scheme = "tls" if self._tls else "nats"
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def kill(self):
        self._process.kill()
        self._process.wait(TIMEOUT)

    def pause(self):
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.kill()
        self._folder.cleanup()


class NatsClient:
    """What a stranger does with the server at `port`."""

    def __init__(self, port):
        self._peer = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self._peer.settimeout(TIMEOUT)
        self._in = self._peer.makefile("rb")
        self._peer.sendall(b'CONNECT {"verbose":false,"headers":true}\r\n'
                           b"SUB _stranger 1\r\n")

    def publish(self, subject, body=b"", reply_to=""):
        self._peer.sendall(f"PUB {subject} {reply_to} {len(body)}\r\n".encode()
                           + body + b"\r\n")

    def request(self, subject, **body):
        """To JetStream: its response."""
        self.publish(subject, json.dumps(body).encode() if body else b"",
                     "_stranger")
        while True:
            line = self._in.readline().split()
            assert line, "the server has closed"
            if line[0] == b"PING":
                self._peer.sendall(b"PONG\r\n")
            elif line[0] == b"MSG":
                size = int(line[-1])
                return json.loads(self._in.read(size + 2)[:size])
            elif line[0] == b"HMSG":
                self._in.read(int(line[-1]) + 2)
                raise AssertionError("JetStream does not answer")

    def flush(self):
        """What was published is with the server."""
        self.request("$JS.API.INFO")

    def stored(self, stream):
        """The records of a stream: (offset, subject, bytes) of each."""
        state = self.request(f"$JS.API.STREAM.INFO.{stream}")["state"]
        records = []
        for offset in range(state["first_seq"], state["last_seq"] + 1):
            got = self.request(f"$JS.API.STREAM.MSG.GET.{stream}", seq=offset)
            if "message" in got:
                message = got["message"]
                records.append((offset, message["subject"],
                                base64.b64decode(message.get("data", ""))))
        return records

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._in.close()
        self._peer.close()


class Requests:
    """Counts what is asked of JetStream."""

    def __init__(self, port):
        self._peer = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self._peer.sendall(b'CONNECT {"verbose":false}\r\nSUB $JS.API.> 1\r\n')
        self._received = b""
        self.count()

    def count(self):
        """{kind, as DIRECT.GET: how many} since the count before."""
        self._peer.sendall(b"PING\r\n")
        while b"PONG\r\n" not in self._received:
            received = self._peer.recv(65536)
            assert received
            self._received += received
        asked, _, self._received = self._received.partition(b"PONG\r\n")
        return collections.Counter(
            found[1].decode() for found in
            re.finditer(rb"\r\nMSG \$JS\.API\.(\w+\.\w+)", b"\r\n" + asked))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._peer.close()


class Cable:
    """The way to the server at `port`, which can be cut: connections that lead
    over it end, and new ones too, until it is mended."""

    def __init__(self, port):
        self._to = port
        self._is_cut = False
        self._lock = threading.Lock()
        self._ends = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"nats://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        with self._lock:
            self._is_cut = True
            for end in self._ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            self._ends.clear()

    def mend(self):
        with self._lock:
            self._is_cut = False

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                with self._lock:
                    if self._is_cut:
                        near.close()
                        continue
                    try:
                        far = socket.create_connection(("127.0.0.1", self._to))
                    except OSError:
                        near.close()
                        continue
                    self._ends += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, sink),
                                     daemon=True).start()

    @staticmethod
    def _carry(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.cut()
        # accept() in the other thread ends.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
