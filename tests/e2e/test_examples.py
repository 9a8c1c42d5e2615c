"""The files of deploy/examples do what their comments say: each is served, with
the demo backend in place of its upstreams, and spoken to."""

import contextlib
import http.client
import json
import os
import re

import pytest

from client import ECHO, HELLO, Client, call, call_json, refusal
from harness import ROOT, TIMEOUT, Gateway, eventually
from wire import (END_PACKET, TEXT, RawClient, fields, message, packet,
                  parse_packets)


@pytest.fixture
def example(stack):
    return lambda name: stack.enter_context(Gateway.configured(
        ROOT / f"deploy/examples/{name}.yaml", "--listen", "127.0.0.1:0",
        "--drain", "2s", command="demo"))


def test_sidecar(example):
    gateway = example("sidecar")
    with Client(gateway, "/chat") as ann, Client(gateway, "/chat") as bob:
        for name in (ann, bob):
            name.send({"messageType": "text", "data": "hi"})
            assert ann.receive_json()["data"] == "hi"
    assert call_json(gateway, HELLO + "SayHello", {"greeting": "ann"}) == [
        {"reply": "hello, ann"}]
    assert refusal(gateway, HELLO + "SayHello",
                   origin="https://evil.test") == 403


class Hosted:
    """A handshake with a Host header of its own, and one message."""

    def __init__(self, gateway, host):
        self._gateway, self._host = gateway, host

    def ask(self, path, text):
        """The status of the handshake, and the first answer."""
        with RawClient(self._gateway) as client:
            client.send((f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n"
                         "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                         "AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").encode())
            status = client.read_response().status
            if status != 101:
                return status, None
            client.send_frame(TEXT, text)
            return status, json.loads(client.read_frame().payload)


def test_several_upstreams(example):
    gateway = example("several-upstreams")
    partner = Hosted(gateway, "partner.example.com")
    assert partner.ask("/greet/SayHello", b'{"greeting":"ann"}') == (
        101, {"reply": "hello, ann"})
    app = Hosted(gateway, "app.example.com:8080")
    assert app.ask("/greet/bob", b"{}") == (101, {"reply": "hello, bob (1)"})
    assert app.ask("/greet/a/b", b"{}")[0] == 404
    assert call_json(gateway, ECHO + "Stats", {}) == [{}]
    assert refusal(gateway, HELLO + "SayHello") == 404
    answers, _ = call(gateway, "/packets", packet(7, 42, b"hello"),
                      subprotocols=(), half_close=True)
    assert parse_packets(answers[0])[0] == (7, 42, b"hello")


def test_drop_in(example):
    gateway = example("drop-in")
    connection = http.client.HTTPConnection(gateway.host, gateway.port,
                                            timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request("GET", "/v1/shelves/classics/books/dune?utm=x")
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["title"]) == (
            200, "Dune")
    answers, ending = call(gateway, "/v1/shelves/classics/books:stream",
                           subprotocols=("Bearer", "t0ken"))
    assert ending == (1000, "")
    assert [json.loads(answer)["result"]["title"] for answer in answers] == [
        "Dune", "Emma"]
    # A GET where the template has a POST as well.
    answers, _ = call(gateway, "/v1/shelves/classics/books?method=GET",
                      subprotocols=())
    assert len(json.loads(answers[0])["books"]) == 2
    # Opcodes are ignored, and the failure is told in-band.
    answers, (code, _) = call(gateway, "/v1/shelves/classics/books/none:move",
                              b'{"to": "shelves/a"}', subprotocols=())
    assert json.loads(answers[0])["code"] == 5
    assert code == 4005


def test_multiplexed_game(example):
    gateway = example("multiplexed-game")
    join, chat, score = 1, 2, 3
    with Client(gateway, "/game") as player:
        seen = []

        def until(type, who):
            while True:
                for found in seen:
                    if found[:2] == (type, who):
                        seen.remove(found)
                        return found[2]
                seen.extend(parse_packets(player.receive()))

        player.send(packet(join, 1, message((1, "ann"))))
        assert fields(until(join, 1))[1] == [b"ann"]
        player.send(packet(chat, 2, message((1, "ann"), (2, "hi"))) +
                    packet(score, 3, message((1, "ann"), (2, 5))))
        assert fields(until(chat, 2))[2] == [b"hi"]
        assert fields(until(score, 3)) == {1: [5]}
        assert until(END_PACKET, 3) == b""


def test_admin_listeners(stack):
    gateway = stack.enter_context(Gateway.configured(
        ROOT / "deploy/examples/admin-listeners.yaml", "--listen",
        "127.0.0.1:0", "--drain", "2s", command="demo", admin=None,
        env={**os.environ, "METRICS": "127.0.0.1:0",
             "CONTROL": "127.0.0.1:0"}))
    public, control = eventually(
        lambda: len(found := re.findall(r"admin on http://(\S+)\n",
                                        gateway.stdout())) == 2 and found,
        "both admin listeners")

    def ask(listener, path, method="GET"):
        connection = http.client.HTTPConnection(listener, timeout=TIMEOUT)
        with contextlib.closing(connection):
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read()

    with Client(gateway, HELLO + "BidiHello", "json") as client:
        client.send({"greeting": "ann"})
        client.receive()
        for path in ("/healthz", "/metrics"):
            assert [ask(listener, path)[0] for listener in (public, control)
                    ] == [200, 404]
        session, = json.loads(ask(control, "/sessions")[1])["sessions"]
        close = f"/sessions/{session['id']}/close"
        assert ask(public, close, "POST")[0] == 404
        assert ask(control, close, "POST")[0] == 200
        assert client.receive_close()[0] == 1008
