"""Whether an upstream counts as reachable (docs/operations.md, "Readiness"):
/readyz follows its connections and calls, whatever its descriptors do."""

import socket
import time

import grpc
import pytest

from client import PROTOBUF, call
from harness import eventually
from reflecting import ReflectingServer, Reflection, hanging

# Reconnecting takes 1.2 s at most, a look at it a quarter of a second; the rest
# is for a busy machine. What is to be seen here was a minute late.
BOUND = 10


@pytest.fixture(params=["grpc", "h2"])
def transport(request):
    return f"transport: {request.param}"


def unused_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def upstream(target, *lines):
    more = "".join(f"\n    {line}" for line in lines)
    return f"""
upstreams:
  - name: one
    target: "{target}"{more}
routes: [{{upstream: one}}]
"""


def ready(gateway):
    return gateway.admin("/readyz")[0] == 200


def close_code(gateway, path="/a.B/C"):
    """Of a call that sends one message."""
    return call(gateway, path, b"x", subprotocols=(PROTOBUF,),
                half_close=True)[1][0]


REFLECTIONS = {
    "none": (None, ()),
    "off": (None, ("descriptors: {reflection: false}",)),
    "hanging": (hanging, ()),
    "usual": (Reflection(), ()),
    "health": (None, ('health_check: ""',)),
}


@pytest.fixture(params=REFLECTIONS)
def reflection(request):
    return REFLECTIONS[request.param]


# As a deployment of the backend does.
def test_restarted_backend_is_ready_when_it_can_be_connected_to(
        configured, transport, reflection):
    answers, lines = reflection
    server = ReflectingServer(answers)
    gateway = configured(upstream(server.target, transport, *lines))
    eventually(lambda: ready(gateway), "ready", BOUND)
    server.stop()
    eventually(lambda: not ready(gateway), "not ready", BOUND)
    time.sleep(1.5)  # So that the backoff has grown.
    server = ReflectingServer(answers, server.port)
    eventually(lambda: ready(gateway), "ready again", BOUND)
    server.stop()


def test_backend_that_was_never_up_is_not_ready(configured, transport,
                                                reflection):
    answers, lines = reflection
    port = unused_port()
    gateway = configured(upstream(f"127.0.0.1:{port}", transport, *lines))
    for _ in range(10):
        assert not ready(gateway)
        time.sleep(0.1)
    with ReflectingServer(answers, port):
        eventually(lambda: ready(gateway), "ready", BOUND)


# A proxy answers for backends that are down.
@pytest.mark.parametrize("lines", [(), ("descriptors: {reflection: false}",)],
                         ids=["reflection", "none"])
def test_unavailable_of_a_proxy_turns_it(configured, transport, lines):
    with ReflectingServer() as server:
        gateway = configured(upstream(server.target, transport, *lines))
        eventually(lambda: ready(gateway), "ready", BOUND)
        server.statuses["*"] = grpc.StatusCode.UNAVAILABLE
        assert close_code(gateway) == 4014
        eventually(lambda: not ready(gateway), "not ready", BOUND)
        time.sleep(1)
        assert not ready(gateway)
        # Nobody calls meanwhile.
        server.statuses.clear()
        eventually(lambda: ready(gateway), "ready again", BOUND)
        assert close_code(gateway) == 1000


# UNAVAILABLE of one method is no proof: the probe is answered.
def test_backend_that_means_one_method_stays_ready(configured, transport):
    with ReflectingServer() as server:
        gateway = configured(upstream(server.target, transport))
        eventually(lambda: ready(gateway), "ready", BOUND)
        server.statuses["/a.B/Away"] = grpc.StatusCode.UNAVAILABLE
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            assert close_code(gateway, "/a.B/Away") == 4014
            assert ready(gateway)
        assert "/grpc.health.v1.Health/Check" in server.calls
        assert server.calls.count("/grpc.health.v1.Health/Check") <= 5


# It takes connections, and its reflection says nothing: JSON cannot be served,
# everything else can.
def test_hanging_reflection_is_told_in_the_log(configured, transport):
    with ReflectingServer(hanging) as server:
        gateway = configured(upstream(server.target, transport)
                             + "timeouts: {reflection: 300ms}\n")
        eventually(lambda: ready(gateway), "ready", BOUND)
        eventually(lambda: "descriptors cannot be fetched" in gateway.stderr(),
                   "the log says so")
        time.sleep(1)
        assert ready(gateway)
        assert gateway.stderr().count("descriptors cannot be fetched") == 1
