"""Processes for tests. Each is judged when it ends (see harness.py)."""

import contextlib

import pytest

pytest.register_assert_rewrite("client", "dialed", "wire")

from harness import Backend, Gateway  # noqa: E402


@pytest.fixture(scope="module")
def demo():
    """A gateway with its demo backend, all settings at their defaults."""
    with Gateway.demo() as gateway:
        yield gateway


@pytest.fixture(scope="module")
def backend():
    """The demo backend alone."""
    with Backend() as process:
        yield process


@pytest.fixture(scope="module")
def gateway(backend):
    """A gateway in front of `backend`, all settings at their defaults."""
    with Gateway.serve(backend.target) as process:
        yield process


@pytest.fixture
def stack():
    """Ends what a test starts: stack.enter_context(...)."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def start_demo(stack):
    """start_demo(*flags) -> a gateway with its demo backend."""
    return lambda *flags, **options: stack.enter_context(
        Gateway.demo(*flags, **options))


@pytest.fixture
def start_serve(stack, backend):
    """start_serve(*flags) -> a gateway in front of `backend`."""
    return lambda *flags, **options: stack.enter_context(
        Gateway.serve(backend.target, *flags, **options))


@pytest.fixture
def configured(stack, tmp_path):
    """configured(text) -> a gateway with that configuration."""

    def start(text, *flags, **options):
        file = tmp_path / "headgate.yaml"
        file.write_text('listeners: [{address: "127.0.0.1:0"}]\n' + text)
        return stack.enter_context(
            Gateway.configured(file, *flags, "--drain", "2s", **options))

    return start
