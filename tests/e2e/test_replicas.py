"""script/replicas: NATS and two gateways with the demo's rooms, as a newcomer
starts them, with the configuration of deploy/nats."""

import asyncio
import contextlib
import os
import re
import shlex
import signal

import pytest

from client import Client
from harness import HEADGATE, ROOT, Process, eventually

LOOPBACK = "127.0.0.1:0"


class Address:
    """Where a client connects."""

    def __init__(self, host, port):
        self.host, self.port = host, port

    def url(self, path):
        return f"ws://{self.host}:{self.port}{path}"


class Replicas(Process):

    def __init__(self, *addresses):
        super().__init__(ROOT / "script/replicas", *addresses, env={
            **os.environ, "HEADGATE": os.path.abspath(HEADGATE)})

    def gateways(self):
        """Both, when they can be used."""
        self.wait_for_output(r"(    \S+ dial \S+\n){2}")  # Its last lines.
        return [Address(host, port) for host, port in re.findall(
            r"gateway: ws://(\S+):(\d+)/rooms/1\n", self.stdout())]

    def children(self):
        """Process ids of what it has started."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as file:
            return [int(word) for word in file.read().split()]


@pytest.fixture
def replicas(stack):
    return stack.enter_context(Replicas(LOOPBACK, LOOPBACK))


def say(text, sender, receiver):
    """Again until it is heard: NATS has the subscription of a room a moment
    after the first member has joined."""

    def heard():
        sender.send(text)
        with contextlib.suppress(asyncio.TimeoutError):
            while receiver.receive(timeout=1) != text:
                pass
            return True

    eventually(heard, text)


def test_a_message_crosses_from_one_gateway_to_the_other(replicas):
    one, other = replicas.gateways()
    with Client(one, "/rooms/1") as ann, Client(other, "/rooms/1") as bob:
        # Each gateway's backend counts its own members.
        assert ann.receive() == bob.receive() == '{"members":1}'
        say("from ann", ann, bob)
        say("from bob", bob, ann)


def test_what_it_prints_can_be_typed(stack, replicas):
    replicas.gateways()
    typed = re.findall(r"^    (.* dial ws://.*)$", replicas.stdout(), re.M)
    assert len(typed) == 2
    for line in typed:
        dial = stack.enter_context(Process(*shlex.split(line)))
        dial.wait_for_output(r'{"members":1}')
        dial.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_when_it_is_ended(replicas, number):
    replicas.gateways()
    children = replicas.children()
    assert len(children) == 3
    replicas.signal(number)
    replicas.wait()
    for pid in children:
        assert not os.path.exists(f"/proc/{pid}")


# A gateway that is gone would be looked for.
def test_it_ends_when_one_of_them_ends(stack):
    replicas = Replicas(LOOPBACK, LOOPBACK)
    replicas.gateways()
    children = replicas.children()
    os.kill(children[0], signal.SIGKILL)
    replicas.wait(expected=1)
    assert "one of them has ended" in replicas.stderr()
    for pid in children:
        assert not os.path.exists(f"/proc/{pid}")


def test_an_address_that_is_taken_is_reported(replicas):
    one, _ = replicas.gateways()
    second = Replicas(f"{one.host}:{one.port}", LOOPBACK)
    second.wait(expected=1)
    assert "gateway-1 does not start" in second.stderr()
    assert "Address already in use" in second.stderr()
