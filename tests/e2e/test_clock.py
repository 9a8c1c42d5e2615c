"""What happens when somebody sets the system's clock: timeouts do not notice,
tokens and log lines do."""

import datetime
import mmap
import os
import pathlib
import re
import struct
import subprocess
import time

import pytest

from client import Client, JSON, refusal
from test_credentials import EXPIRING, jwt
from wire import RawClient

HOUR = 3600
SHIFT = pathlib.Path(__file__).with_name("clock_shift.c")


class Clock:
    """The time of day of the processes that `environment` is given to."""

    def __init__(self, folder):
        library, shift = folder / "clock_shift.so", folder / "shift"
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, SHIFT, "-ldl"],
                       check=True)
        shift.write_bytes(bytes(struct.calcsize("l")))
        with open(shift, "r+b") as file:
            self._seconds = mmap.mmap(file.fileno(), 0)
        self.environment = dict(os.environ, LD_PRELOAD=str(library),
                                CLOCK_SHIFT=str(shift))

    def set(self, seconds):
        """To so many seconds from the right time."""
        self._seconds[:] = struct.pack("l", seconds)


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path)


@pytest.fixture
def gateway(configured, backend, clock):
    return configured(
        f"upstreams: [{{name: main, target: '{backend.target}'}}]" + EXPIRING +
        "timeouts: {handshake: 2s, idle: 10m, max_age: 20m}\n",
        env=clock.environment)


def echo(client):
    client.send({"greeting": "ann"})
    assert client.receive_json() == {"reply": "hello, ann"}


def opened_at(session):
    return datetime.datetime.fromisoformat(session["opened_at"]).timestamp()


def wait_for_a_timeout(client):
    """Until the gateway has noticed that a request does not come to its end."""
    assert client.read_response().status == 408


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_a_step_of_the_clock_neither_fires_a_timeout_nor_holds_one_back(
        gateway, clock, step):
    with Client(gateway, "/lasting", JSON) as session, RawClient(
            gateway) as slow, RawClient(gateway) as slower:
        echo(session)
        slow.send(b"GET /lasting HTTP/1.1\r\n")
        wait_for_a_timeout(slow)
        slower.send(b"GET /lasting HTTP/1.1\r\n")
        clock.set(step)
        wait_for_a_timeout(slower)
        echo(session)
    assert not re.search("limit=(?!none)", gateway.stderr())


def test_tokens_and_what_people_read_go_by_the_time_of_day(gateway, clock):
    clock.set(HOUR)
    exp = int(time.time()) + HOUR // 2
    assert refusal(gateway, "/expiring", JSON, "Bearer", jwt(exp=exp)) == 401
    with Client(gateway, "/expiring", JSON, "Bearer",
                jwt(exp=exp + HOUR)) as client:
        echo(client)
        session, = gateway.sessions()
        assert opened_at(session) - time.time() > HOUR / 2
        assert session["age_seconds"] < HOUR / 2
        clock.set(0)
        session, = gateway.sessions()
        assert opened_at(session) - time.time() < HOUR / 2


def test_a_session_ends_as_its_token_would_have_when_it_was_opened(
        gateway, clock):
    clock.set(-HOUR)
    exp = int(time.time()) - HOUR + 3
    with Client(gateway, "/expiring", JSON, "Bearer", jwt(exp=exp)) as client:
        echo(client)
        assert client.receive_close() == (4016, "the token has expired")
