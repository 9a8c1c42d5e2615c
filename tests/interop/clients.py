"""Runs the clients of node/clients.mjs."""

import functools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from harness import ROOT, TIMEOUT

NODE = pathlib.Path(__file__).parent / "node"


@functools.cache
def descriptor_set():
    """The demo services, for the clients."""
    file = pathlib.Path(tempfile.mkdtemp(prefix="headgate-interop-")) / "demo.pb"
    subprocess.run(
        ["protoc", "-I", ROOT / "proto", "--include_imports",
         f"--descriptor_set_out={file}",
         *(f"headgate/demo/v1/{name}.proto"
           for name in ("echo", "hello", "library"))], check=True)
    return file


def command(gateway, client, *scenarios):
    assert (NODE / "node_modules").is_dir(), (
        f"run script/setup --tests, or npm ci in {NODE}")
    return [shutil.which("node"), NODE / "clients.mjs",
            f"http://{gateway.host}:{gateway.port}", descriptor_set(), client,
            *scenarios]


def run(gateway, client, *scenarios):
    """{scenario: what the client saw}"""
    result = subprocess.run(
        command(gateway, client, *scenarios), timeout=TIMEOUT, text=True,
        capture_output=True, env={**os.environ, "NODE_NO_WARNINGS": "1"})
    assert result.returncode == 0, result.stderr
    seen = [json.loads(line) for line in result.stdout.splitlines()]
    for each in seen:
        assert "thrown" not in each, each
    return {each["scenario"]: each for each in seen}
