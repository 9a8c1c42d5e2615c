"""A distant backend, over `transport: h2` (docs/design/flow-control.md)."""

import time

import pytest

from client import ECHO
from far import FarProxy
from harness import TIMEOUT, Gateway
from wire import BINARY, RawClient, message

KIB = 1 << 10


@pytest.fixture
def far(stack, backend):
    """The demo backend, 50 ms away and back."""
    return stack.enter_context(FarProxy(backend.target, 0.025))


@pytest.fixture
def gateway(stack, far):
    return stack.enter_context(
        Gateway.serve(far.target, "--threads", "1", transport="h2"))


@pytest.fixture
def start_flood(gateway, stack):
    """A client that is sent 10 KB again and again, and has read the first."""

    def start():
        client = stack.enter_context(RawClient(gateway))
        client.upgrade(ECHO + "Flood")
        client.send_frame(BINARY, message((1, 0), (2, 10000)))
        client.read_message()
        return client

    return start


# Under a window of 64 KiB no more would be on its way, and 1.3 MB/s come.
def test_stream_that_is_read_from_fills_the_way(start_flood, far):
    client = start_flood()
    end = time.monotonic() + TIMEOUT
    while far.most_under_way < 512 * KIB:
        assert time.monotonic() < end, far.most_under_way
        client.read_message()


# gRPC's servers hang up on too many PINGs (ENHANCE_YOUR_CALM).
def test_backend_does_not_mind_being_measured(start_flood, far):
    for _ in range(5):
        client = start_flood()
        for _ in range(300):
            client.read_message()
        client.close()
    assert far.connections == 1
