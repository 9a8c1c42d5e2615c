"""Mixed load while the backend is killed again and again and the configuration
is read again and again. Afterwards the counters agree: sessions opened, sessions
closed, lines in the log, calls.

HEADGATE_SOAK_SECONDS says how long; script/soak sets it.
"""

import collections
import os
import random
import re
import signal
import threading
import time

from chaos import new_seed
from client import HELLO, call_json, stats
from harness import Backend, Gateway, eventually, soon
from sockets import client_sockets, descriptors
from test_chaos import CONFIGURATION, EXCHANGES, SOCKETS, endures

SECONDS = float(os.environ.get("HEADGATE_SOAK_SECONDS", 12))
KILL_EVERY = min(20.0, SECONDS / 3)
RELOAD_EVERY = min(5.0, SECONDS / 6)
CLIENTS = 16


def configuration(target):
    """That of the chaos, with the sessions of several calls on an upstream of
    their own: every other session is one call."""
    text = CONFIGURATION.format(target=target)
    text = text.replace("upstreams: [", f'upstreams: [{{name: game, target: "{target}"}}, ')
    text = text.replace("- path: /game\n", "- path: /game\n    upstream: game\n")
    return re.sub(r"- \{(?!upstream)", "- {upstream: demo, ", text).replace("{upstream: demo, }", "{upstream: demo}")


def test_the_counters_agree_after_a_soak(tmp_path, stack):
    seed = new_seed()
    backend = stack.enter_context(Backend())
    file = tmp_path / "headgate.yaml"
    file.write_text(configuration(backend.target))
    gateway = stack.enter_context(Gateway.configured(file))
    end = time.monotonic() + SECONDS
    finished = collections.Counter()
    faults = []
    # Before the load; after it they are what is left behind.
    before = descriptors(gateway)

    def act(number):
        dice = random.Random(f"{seed}/client/{number}")
        try:
            while time.monotonic() < end:
                script = dice.choice(SOCKETS + EXCHANGES)
                if endures(script, gateway, dice):
                    finished[script.__name__] += 1
        except BaseException as fault:
            faults.append(fault)
            raise

    clients = [threading.Thread(target=act, args=(number,))
               for number in range(CLIENTS)]
    for client in clients:
        client.start()
    kill_at = time.monotonic() + KILL_EVERY
    reload_at = time.monotonic() + RELOAD_EVERY
    reloads = 0
    while time.monotonic() < end:
        time.sleep(max(0, min(kill_at, reload_at, end) - time.monotonic()))
        if time.monotonic() >= kill_at:
            backend.kill()
            backend = stack.enter_context(Backend(backend.port))
            kill_at += KILL_EVERY
        if time.monotonic() >= reload_at:
            gateway.signal(signal.SIGHUP)
            reloads += 1
            reload_at += RELOAD_EVERY
    for client in clients:
        client.join()
    assert not faults, faults

    eventually(lambda: client_sockets(gateway) == 0,
               "every connection of a client to be closed", soon(10))
    eventually(lambda: gateway.metric("headgate_sessions") == 0,
               "headgate_sessions to be 0", soon(10))
    eventually(lambda: works(gateway), "the gateway to serve", soon(15))
    eventually(lambda: stats(gateway)[0] == 0, "the backend to have no call",
               soon(10))
    eventually(lambda: gateway.metric("headgate_sessions") == 0,
               "headgate_sessions to be 0", soon(10))

    opened = gateway.metric("headgate_sessions_opened_total")
    of_several_calls = gateway.metric("headgate_sessions_opened_total",
                                      route="/game")
    assert opened > 20 * SECONDS / 10, finished
    assert gateway.metric("headgate_sessions_closed_total") == opened
    assert gateway.metric("headgate_calls_total", upstream="demo") == (
        opened - of_several_calls)
    assert gateway.metric("headgate_session_duration_seconds_count") == opened
    assert gateway.metric("headgate_config_reloads_total",
                          result="ok") >= 1
    assert gateway.metric("headgate_config_reloads_total") <= reloads
    for direction in ("in", "out"):
        assert gateway.metric("headgate_buffered_bytes",
                              direction=direction) == 0
    assert descriptors(gateway) <= before + 16  # Connections to the backend.
    print(f"{opened:.0f} sessions, {reloads} reloads, "
          f"{gateway.rss() / 2**20:.0f} MiB resident: {dict(finished)}")
    gateway.stop()
    lines = re.findall(r'msg="session ended" id=(\w+) ', gateway.stderr())
    assert len(lines) == len(set(lines)) == opened


def works(gateway):
    """Whether a conversation goes through from beginning to end."""
    try:
        return all(
            call_json(gateway, HELLO + "BidiHello", {"greeting": "ann"},
                      half_close=True) == [{"reply": "hello, ann"}]
            for _ in range(4))
    except AssertionError:  # UNAVAILABLE, until the gateway connects again.
        assert gateway.running(), gateway.stderr()
        return False
