"""A nats-server for tests, on a port of its own."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from harness import TIMEOUT, eventually


class Nats:
    """`settings`: of its configuration file. `tls`: its URL is tls://."""

    def __init__(self, settings="", tls=False):
        self._folder = tempfile.TemporaryDirectory(prefix="headgate-nats-")
        self._tls = tls
        self._config = pathlib.Path(self._folder.name, "nats.conf")
        self._config.write_text(settings)
        self.port = -1
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
