"""How the gateway stops (docs/operations.md, "Stop")."""

import contextlib
import http.client
import json
import re
import signal
import threading
import time

import pytest
import websockets

from client import ECHO, HELLO, JSON, Client, call_json, refusal
from harness import TIMEOUT, Gateway, eventually, soon
from wire import RawClient

BIDI = HELLO + "BidiHello"


# Readiness fails at once; whoever still comes is served until the delay is over,
# and those who are there notice nothing.
def test_readiness_fails_before_anything_else(stack):
    gateway = stack.enter_context(Gateway.demo("--drain-delay", "4s"))
    eventually(lambda: gateway.admin("/readyz")[0] == 200, "ready")
    client = stack.enter_context(Client(gateway, BIDI, JSON))
    gateway.signal(signal.SIGTERM)
    eventually(lambda: gateway.admin("/readyz")[0] == 503, "not ready")
    assert json.loads(gateway.admin("/readyz")[1]) == {
        "ready": False, "reason": "draining"}
    assert gateway.admin("/healthz") == (200, "ok\n")
    assert gateway.metric("headgate_draining") == 1
    assert call_json(gateway, BIDI, {"greeting": "late"},
                     half_close=True) == [{"reply": "hello, late"}]
    client.send({"greeting": "ann"})
    assert client.receive_json() == {"reply": "hello, ann"}
    code, reason = client.receive_close()
    assert code == 1001
    assert re.fullmatch(
        r"the gateway is shutting down; retry-after=[1-5]s", reason)
    with pytest.raises(OSError):
        Client(gateway, BIDI, JSON)
    gateway.wait()


# The first at once, the last at the end, and not all in one heap.
def test_closes_are_spread_over_the_drain(stack):
    gateway = stack.enter_context(Gateway.demo("--drain", "5s"))
    clients = [stack.enter_context(Client(gateway, BIDI, JSON))
               for _ in range(20)]
    closed = []

    def wait(client):
        assert client.receive_close()[0] == 1001
        closed.append(time.monotonic() - began)

    threads = [threading.Thread(target=wait, args=(client,))
               for client in clients]
    began = time.monotonic()
    gateway.signal(signal.SIGTERM)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gateway.wait()
    closed.sort()
    assert len(closed) == 20
    assert closed[0] < soon(0.5)
    assert 2.5 < closed[-1] < 5 + soon(0.5), closed
    # Evenly it were five in each of the four seconds.
    assert max(sum(start <= at < start + 1 for at in closed)
               for start in closed) <= 14, closed


# The answers that the backend has sent are still on their way through the
# gateway: none is lost.
def test_no_answer_that_was_sent_is_lost(stack):
    gateway = stack.enter_context(Gateway.demo("--drain", "10s"))
    count = 2000
    client = stack.enter_context(Client(gateway, BIDI, JSON))
    for i in range(count):
        client.send({"greeting": f"{i}"})
    # The backend has answered them all; the client has read none.
    eventually(lambda: gateway.metric("headgate_messages_total",
                                      direction="in", codec="json") >= count,
               "all are through")
    gateway.signal(signal.SIGTERM)
    answers, (code, _) = client.receive_all()
    assert code == 1001
    assert [json.loads(answer)["reply"] for answer in answers] == [
        f"hello, {i}" for i in range(count)]
    gateway.wait()


# A call that is about to end by itself does so.
def test_a_call_that_ends_meanwhile_ends_normally(stack):
    gateway = stack.enter_context(Gateway.demo("--drain", "8s"))
    with Client(gateway, ECHO + "Sink", JSON) as client:
        client.send({"delay": "1s"})
        client.half_close()
        eventually(lambda: gateway.metric("headgate_messages_total",
                                          direction="in") == 2, "it runs")
        gateway.signal(signal.SIGTERM)
        answers, ending = client.receive_all()
        assert ending == (1000, "")
        assert len(answers) == 1
    gateway.wait()


def test_an_http_request_under_way_is_answered(stack):
    gateway = stack.enter_context(Gateway.demo("--drain", "8s"))
    idle = http.client.HTTPConnection(gateway.host, gateway.port,
                                      timeout=TIMEOUT)
    idle.request("GET", "/v1/shelves/classics/books/dune")
    assert idle.getresponse().read()
    began = time.monotonic()
    gateway.signal(signal.SIGTERM)
    gateway.wait()  # An idle connection holds nothing up.
    assert time.monotonic() - began < soon(3)
    idle.close()


# A backend that never stops talking does not hold the drain up.
def test_an_endless_stream_is_closed_in_time(stack):
    gateway = stack.enter_context(Gateway.demo("--drain", "4s"))
    client = stack.enter_context(Client(gateway, ECHO + "Flood", JSON))
    client.send({"size": 100})
    client.receive()
    gateway.signal(signal.SIGTERM)
    answers, (code, _) = client.receive_all()
    assert code == 1001
    gateway.wait(timeout=soon(6))


def test_sigint_takes_a_second_at_most(stack):
    gateway = stack.enter_context(Gateway.demo("--drain", "60s",
                                               "--drain-delay", "60s"))
    clients = [stack.enter_context(Client(gateway, BIDI, JSON))
               for _ in range(5)]
    began = time.monotonic()
    gateway.signal(signal.SIGINT)
    for client in clients:
        assert client.receive_close()[0] == 1001
    gateway.wait()
    assert time.monotonic() - began < soon(1.5)


@pytest.mark.parametrize("delay", ["0s", "60s"])
def test_a_second_signal_ends_at_once(delay):
    with Gateway.demo("--drain", "60s", "--drain-delay", delay) as gateway:
        with RawClient(gateway) as first, RawClient(gateway) as second:
            first.upgrade("/echo")
            second.upgrade("/echo")
            gateway.signal(signal.SIGTERM)
            eventually(lambda: "draining" in gateway.stderr(), "the drain")
            gateway.signal(signal.SIGTERM)
            gateway.wait(expected=1, timeout=soon(5))
