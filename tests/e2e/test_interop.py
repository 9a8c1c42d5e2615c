"""Servers of other makes behind the gateway: grpc-js, grpc-go and Python's
gRPC, each by itself and behind nginx (mirror/README.md)."""

import contextlib
import functools
import getpass
import os
import pathlib
import shutil
import subprocess

import pytest

from client import PROTOBUF, Client, call
from far import FarProxy
from foreign import NODE
from harness import Gateway, Process, eventually

HERE = pathlib.Path(__file__).parent
MIRROR = "/mirror.v1.Mirror/"

NGINX = """
daemon off;
user {user};
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen unix:{folder}/front http2;
    client_max_body_size 0;
    # After so many it says GOAWAY, and new calls need a new connection.
    keepalive_requests 20;
    location / {{ grpc_pass grpc://unix:{folder}/back; }}
  }}
}}
"""


@functools.cache
def go_mirror():
    """The program of mirror.go; built once."""
    program = HERE / "mirror" / "build" / "mirror"
    source = HERE / "mirror" / "mirror.go"
    if (not program.exists() or
            program.stat().st_mtime < source.stat().st_mtime):
        program.parent.mkdir(exist_ok=True)
        # Debian keeps the sources of Go's packages there.
        subprocess.run(["go", "build", "-o", program, source], check=True,
                       env={"HOME": str(program.parent), **os.environ,
                            "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
                            "GO111MODULE": "off", "CGO_ENABLED": "0"})
    return [program]


def python_mirror():
    return ["/usr/bin/python3", HERE / "mirror" / "mirror.py"]


def node_mirror():
    return [shutil.which("node"), NODE / "mirror.mjs"]


class Mirror:
    """A server, and nginx before it if asked for."""

    def __init__(self, stack, folder, command, behind_nginx):
        self.target = f"unix:{folder}/back"
        self.server = stack.enter_context(Process(*command(), self.target))
        self.server.wait_for_output("listening on")
        if not behind_nginx:
            return
        self.target = f"unix:{folder}/front"
        file = folder / "nginx.conf"
        file.write_text(NGINX.format(
            folder=folder, user=getpass.getuser()))
        stack.enter_context(Process(
            shutil.which("nginx", path="/usr/sbin:" + os.environ["PATH"]),
            "-p", folder, "-e", folder / "error.log", "-c", file))
        eventually((folder / "front").is_socket, "nginx's socket")


@pytest.fixture(scope="module", params=[
    (node_mirror, False), (go_mirror, False), (python_mirror, False),
    (go_mirror, True)], ids=["grpc-js", "grpc-go", "python", "nginx"])
def mirror(request, tmp_path_factory):
    with contextlib.ExitStack() as stack:
        yield Mirror(stack, tmp_path_factory.mktemp("mirror"), *request.param)


@pytest.fixture(scope="module")
def gateway(mirror):
    with Gateway.serve(mirror.target) as process:
        yield process


def mirrored(gateway, method, *messages, **options):
    """The answers of a call, which must end with OK."""
    answers, ending = call(gateway, MIRROR + method, *messages,
                           subprotocols=(PROTOBUF,), half_close=True,
                           **options)
    assert ending == (1000, ""), f"after {len(answers)} answers"
    return answers


def test_messages_come_back_one_by_one(gateway):
    with Client(gateway, MIRROR + "Echo", PROTOBUF) as client:
        for i in range(30):
            client.send(b"message %d" % i)
            assert client.receive() == b"message %d" % i
        client.half_close()
        assert client.receive_close() == (1000, "")


# Below and above what fits a frame, a window; one that compresses and one that
# does not.
@pytest.mark.parametrize("size", [1, 16_384, 65_536, 1_000_000])
def test_messages_of_any_size(gateway, size):
    messages = [b"a" * size, os.urandom(size), b"b" * size]
    assert mirrored(gateway, "Echo", *messages) == messages


def test_many_messages_one_way(gateway):
    assert mirrored(gateway, "Flood", b"2000 1000") == [b"x" * 1000] * 2000


# The gateway measures the way with PINGs, and servers hang up on too many.
def test_many_messages_over_a_long_way(mirror):
    with (FarProxy(mirror.target, 0.025) as far,
          Gateway.serve(far.target, "--threads", "1",
                        transport="h2") as gateway):
        for _ in range(3):
            assert mirrored(gateway, "Flood", b"300 10000") == [
                b"x" * 10000] * 300
        assert far.connections == 1


def test_many_messages_the_other_way(gateway):
    assert mirrored(gateway, "Count", *[b"y" * 1000] * 2000) == [
        b"2000 2000000"]


def test_metadata_and_deadline_arrive(gateway):
    answer, = mirrored(gateway, "Told", b"", headers=[
        ("Authorization", "Bearer t0ken"), ("Grpc-Metadata-X-Key", "a, b"),
        ("Grpc-Metadata-X-Raw-Bin", "AP8="), ("Grpc-Timeout", "30S")])
    told = answer.decode().split("\n")
    assert "authorization=Bearer t0ken" in told
    assert "x-key=a, b" in told
    assert "x-raw-bin=00ff" in told
    assert "timeout=yes" in told


def test_status_and_its_text_arrive(gateway):
    answers, (code, reason) = call(gateway, MIRROR + "Fail", b"x",
                                   subprotocols=(PROTOBUF,))
    assert (answers, code) == ([], 4010)
    assert reason.rstrip() == "no: ünï 100%"


def test_unknown_method_is_unimplemented(gateway):
    _, (code, _) = call(gateway, "/mirror.v1.Nothing/Here", b"x",
                        subprotocols=(PROTOBUF,))
    assert code == 4012


def test_deadline_of_a_silent_call(gateway):
    with Client(gateway, MIRROR + "Wait", PROTOBUF,
                headers=[("Grpc-Timeout", "500m")]) as client:
        client.send(b"")
        answers, (code, _) = client.receive_all()
    assert answers in ([b"here"], [])
    assert code == 4004


def test_client_that_leaves_cancels_its_call(gateway):
    before = int(mirrored(gateway, "Cancelled")[0])
    for _ in range(3):
        with Client(gateway, MIRROR + "Wait", PROTOBUF) as client:
            client.send(b"")
            assert client.receive() == b"here"
    # Those of other tests may be noticed only now.
    eventually(lambda: int(mirrored(gateway, "Cancelled")[0]) >= before + 3,
               "three cancellations")


# More than nginx lets a connection have: none is lost at its GOAWAY.
def test_many_short_calls(gateway):
    for i in range(100):
        assert mirrored(gateway, "Count", b"x" * i) == [b"1 %d" % i]


# At once, over one connection or several, and one that does not read.
def test_slow_reader_holds_nobody_up(gateway):
    with Client(gateway, MIRROR + "Flood", PROTOBUF) as slow:
        slow.send(b"3000 10000")
        for i in range(20):
            assert mirrored(gateway, "Count", b"x" * i) == [b"1 %d" % i]
        slow.half_close()
        answers, ending = slow.receive_all()
        assert ending == (1000, "")
        assert len(answers) == 3000


def test_requests_may_be_compressed(mirror, configured):
    gateway = configured(f"""
upstreams:
  - {{name: mirror, target: "{mirror.target}", compression: gzip}}
routes: [{{upstream: mirror}}]
""")
    long = b"z" * 100_000
    assert mirrored(gateway, "Echo", long, b"", long) == [long, b"", long]


# The server has ended: UNAVAILABLE at once, also as nginx's 502; and it is
# found again.
@pytest.mark.parametrize("behind_nginx", [False, True], ids=["", "nginx"])
def test_server_that_dies_and_comes_back(stack, tmp_path, behind_nginx):
    mirror = Mirror(stack, tmp_path, go_mirror, behind_nginx)
    gateway = stack.enter_context(Gateway.serve(mirror.target))
    with Client(gateway, MIRROR + "Echo", PROTOBUF) as client:
        client.send(b"x")
        assert client.receive() == b"x"
        mirror.server.kill()
        assert client.receive_close()[0] in (4014, 4013)
    assert call(gateway, MIRROR + "Echo", b"x",
                subprotocols=(PROTOBUF,))[1][0] == 4014
    (tmp_path / "back").unlink()
    again = stack.enter_context(Process(*go_mirror(), f"unix:{tmp_path}/back"))
    again.wait_for_output("listening on")

    def works():
        answers, (code, reason) = call(gateway, MIRROR + "Echo", b"x",
                                       subprotocols=(PROTOBUF,),
                                       half_close=True)
        assert code in (1000, 4014), reason
        return answers == [b"x"]

    eventually(works, "the server that came back")
