"""A gRPC server that is not ours: node/server.mjs, in JavaScript."""

import os
import pathlib
import shutil

from harness import LISTENING, Process, held_port

NODE = pathlib.Path(__file__).parent / "node"


class LibraryServer(Process):
    """library.v1.Library; `environment` as the head of server.mjs says."""

    def __init__(self, port=None, *arguments, **environment):
        assert (NODE / "node_modules").is_dir(), (
            f"run script/setup --tests, or npm ci in {NODE}")
        super().__init__(
            shutil.which("node"), NODE / "server.mjs",
            port or held_port(), *arguments,
            env={**os.environ,
                 **{name: str(value) for name, value in environment.items()}})
        if str(port).startswith("unix:"):
            self.wait_for_output("listening on")
            self.target = port
        else:
            self.port = int(self.wait_for_output(LISTENING)[2])
            self.target = f"127.0.0.1:{self.port}"
