"""The backends of docs/examples, each with its rooms.yaml: a chat and rooms."""

import os
import pathlib
import subprocess

import pytest

from client import JSON, Client
from harness import (LISTENING, ROOT, Gateway, Process, eventually,
                     held_port)
from hub_backend import generated

EXAMPLES = ROOT / "docs/examples"
# Debian keeps the sources of Go's packages there.
GO_PACKAGES = "/usr/share/gocode"


class Backend(Process):
    def __init__(self, command, port=None):
        super().__init__(*command, f"127.0.0.1:{port or held_port()}", env={
            **os.environ, "PYTHONPATH": generated()})
        self.port = int(self.wait_for_output(LISTENING)[2])

    def __exit__(self, *error):
        self.kill()


def go(folder, *arguments):
    subprocess.run(
        ["go", *arguments], check=True, cwd=folder, env={
            "HOME": str(folder), **os.environ, "GO111MODULE": "off",
            "GOPATH": f"{folder}:{GO_PACKAGES}", "GOFLAGS": "",
            "CGO_ENABLED": "0"})


def go_program(folder):
    """rooms.go, with the messages of proto/headgate/v1 as the package
    headgate/v1."""
    go(folder, "build", "-o", folder / "protoc-gen-go",
       "github.com/golang/protobuf/protoc-gen-go")
    files = ["headgate/v1/hub.proto", "headgate/v1/hub_backend.proto",
             "headgate/v1/packet.proto"]
    packages = {
        **{file: "headgate/v1" for file in files},
        "google/rpc/status.proto":
            "google.golang.org/genproto/googleapis/rpc/status",
        **{f"google/protobuf/{name}.proto":
               f"github.com/golang/protobuf/ptypes/{name}"
           for name in ("duration", "timestamp")}}
    for file in files:
        # Debian's generator is older than `optional` in proto3.
        text = (ROOT / "proto" / file).read_text().replace("  optional ", "  ")
        pathlib.Path(folder, "proto", file).parent.mkdir(
            parents=True, exist_ok=True)
        pathlib.Path(folder, "proto", file).write_text(text)
    pathlib.Path(folder, "src").mkdir()
    options = ",".join(["plugins=grpc", *(
        f"M{file}={package}" for file, package in packages.items())])
    subprocess.run(
        ["protoc", f"-I{folder}/proto", f"-I{ROOT}/proto",
         f"--plugin={folder}/protoc-gen-go", f"--go_out={options}:{folder}/src",
         *files], check=True)
    go(folder, "build", "-o", folder / "rooms", EXAMPLES / "rooms.go")
    return [folder / "rooms"]


@pytest.fixture(scope="module", params=["go", "python"])
def command(request, tmp_path_factory):
    if request.param == "go":
        return go_program(tmp_path_factory.mktemp("go"))
    return ["/usr/bin/python3", EXAMPLES / "rooms.py"]


@pytest.fixture
def backend(command, stack):
    return stack.enter_context(Backend(command))


@pytest.fixture
def gateway(backend, stack, tmp_path):
    text = (EXAMPLES / "rooms.yaml").read_text()
    assert ":50051" in text
    file = tmp_path / "rooms.yaml"
    file.write_text(text.replace(":50051", f":{backend.port}"))
    return stack.enter_context(Gateway.configured(
        file, "--listen", "127.0.0.1:0"))


@pytest.fixture
def join(gateway, stack):
    return lambda path, *subprotocols: stack.enter_context(
        Client(gateway, path, *subprotocols))


def greeting(client):
    return client.receive().replace(" ", "")


def test_rooms_hear_themselves_and_the_chat_everybody(join):
    a, b, other = join("/rooms/1"), join("/rooms/1", JSON), join("/rooms/2")
    assert [greeting(client) for client in (a, b, other)] == [
        '{"members":1}', '{"members":2}', '{"members":1}']
    a.send('"to the room"')
    other.send('"alone"')
    assert (a.receive(), b.receive()) == ('"to the room"',) * 2
    assert other.receive() == '"alone"'

    ann, bob = join("/chat"), join("/chat")
    assert greeting(ann) == '{"members":1}'
    assert greeting(bob) == '{"members":2}'
    bob.send("hi")
    assert (ann.receive(), bob.receive()) == ("hi", "hi")


def test_members_that_leave_are_not_counted(join):
    first = join("/rooms/1")
    assert greeting(first) == '{"members":1}'
    first.close()

    def count():
        client = join("/rooms/1")
        members = greeting(client)
        client.close()
        return members == '{"members":1}'

    # Its Left is on the way.
    eventually(count, "one member")


def test_sessions_survive_a_new_process_of_the_backend(
        join, gateway, command, backend, stack):
    a, b = join("/rooms/1"), join("/rooms/1")
    assert greeting(a) and greeting(b)
    backend.kill()
    # What a stream has carried is not sent again.
    gateway.wait_for_log("hub stream lost")
    a.send("while it is away")
    stack.enter_context(Backend(command, backend.port))
    assert (a.receive(), b.receive()) == ("while it is away",) * 2
    third = join("/rooms/1")
    assert greeting(third) == '{"members":3}'
