"""NATS and two gateways with the demo's rooms, as a newcomer starts them: by
script/replicas, with the configuration of deploy/nats, and by `headgate demo
--replicas`."""

import asyncio
import contextlib
import os
import pathlib
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

    def gateways(self):
        """All, when they can be used."""
        typed = r"(    \S+ dial \S+\n){%d}" % self.count  # Its last lines.
        self.wait_for_output(typed)
        return [Address(host, port) for host, port in re.findall(
            r"^    \S+ dial ws://(\S+):(\d+)/rooms/1$", self.stdout(), re.M)]

    def started(self):
        """Process ids of what it has started."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as file:
            found = [int(word) for word in file.read().split()]
        assert len(found) == self.children
        return found


class Script(Replicas):
    count = 2
    children = 3
    ended = "one of them has ended"

    def __init__(self, *addresses):
        super().__init__(ROOT / "script/replicas",
                         *(addresses or (LOOPBACK, LOOPBACK)), env={
                             **os.environ,
                             "HEADGATE": os.path.abspath(HEADGATE)})

    @classmethod
    def at(cls, address):
        return cls(address, LOOPBACK)


class Demo(Replicas):
    children = 1  # nats-server.
    ended = "nats-server has ended"

    def __init__(self, *flags, count=2, listen=LOOPBACK, admin=LOOPBACK,
                 **options):
        self.count = count
        super().__init__(
            os.path.abspath(HEADGATE), "demo", "--replicas", count, "--listen",
            listen, "--admin", admin, "--drain", "1s", *flags, **options)

    @classmethod
    def at(cls, address):
        return cls(listen=address)


@pytest.fixture(params=[Script, Demo])
def kind(request):
    return request.param


@pytest.fixture
def replicas(stack, kind):
    return stack.enter_context(kind())


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
    started = replicas.started()
    replicas.signal(number)
    replicas.wait()
    for pid in started:
        assert not os.path.exists(f"/proc/{pid}")


# A gateway that is gone would be looked for.
def test_it_ends_when_one_of_them_ends(kind):
    replicas = kind()
    replicas.gateways()
    started = replicas.started()
    os.kill(started[0], signal.SIGKILL)
    replicas.wait(expected=1)
    assert replicas.ended in replicas.stderr()
    for pid in started:
        assert not os.path.exists(f"/proc/{pid}")


def test_an_address_that_is_taken_is_reported(kind, replicas):
    one, _ = replicas.gateways()
    second = kind.at(f"{one.host}:{one.port}")
    second.wait(expected=1)
    if kind is Script:
        assert "gateway-1 does not start" in second.stderr()
    assert "Address already in use" in second.stderr()


def test_the_demo_has_as_many_as_wanted(stack):
    one, *others = stack.enter_context(Demo(count=3)).gateways()
    assert len(others) == 2
    clients = [stack.enter_context(Client(each, "/rooms/1"))
               for each in (one, *others)]
    for receiver in clients[1:]:
        say("from the first", clients[0], receiver)


def test_nats_does_not_outlive_the_demo():
    demo = Demo()
    demo.gateways()
    [nats] = demo.started()
    demo.kill()

    def has_ended():
        try:  # Its new parent may not have reaped it yet.
            return not pathlib.Path(f"/proc/{nats}/cmdline").read_bytes()
        except OSError:
            return True

    eventually(has_ended, "NATS has ended")


def test_a_nats_server_that_does_not_start_is_reported(tmp_path):
    program = tmp_path / "nats-server"
    program.write_text("#!/bin/sh\necho 'no such flag: -a' >&2\nexit 2\n")
    program.chmod(0o700)
    demo = Demo(env={**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"})
    demo.wait(expected=1)
    assert "nats-server does not start: no such flag: -a" in demo.stderr()


@pytest.mark.parametrize("options, error", [
    ({"listen": "unix:/tmp/headgate"}, "--listen: with --replicas"),
    ({"admin": "unix:/tmp/headgate"}, "--admin: with --replicas"),
    ({"listen": "127.0.0.1:65535"}, "too few ports")])
def test_addresses_without_a_next_one(options, error):
    demo = Demo(**options)
    demo.wait(expected=1)
    assert error in demo.stderr()


def test_the_demo_has_no_file_with_replicas(tmp_path):
    demo = Demo("--config", tmp_path / "headgate.yaml")
    demo.wait(expected=64)
    assert "--replicas excludes --config" in demo.stderr()
