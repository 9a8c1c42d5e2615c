"""Limits on connections (docs/security.md): of one address, of all, and by file
descriptors, which nobody may take from the admin listener."""

import contextlib
import json
import re
import resource
import socket
import ssl
import struct
import time

import pytest

from certificates import Authority
from client import HELLO, JSON, Client, call_json
from harness import Gateway, eventually, soon
from http2_wire import (ENHANCE_YOUR_CALM, GOAWAY, HEADERS, H2Client,
                        request_fields, websocket_fields)
from wire import RawClient, upgrade_request

BIDI = HELLO + "BidiHello"
# Answered without the backend, and the connection is kept.
REQUEST = b"OPTIONS /v1/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"


def configured(tmp_path, limits, **listener):
    file = tmp_path / "headgate.yaml"
    file.write_text(json.dumps({
        "listeners": [{"address": "127.0.0.1:0", **listener}],
        "limits": limits,
        "routes": [{"prefix": "/v1", "http_rules": True}, {}]}))
    return Gateway.configured(file, command="demo")


def refused(gateway, reason):
    return gateway.metric("headgate_connections_refused_total", reason=reason)


def kept(stack, gateway, **options):
    """A connection that has had a request, and waits for the next."""
    client = stack.enter_context(RawClient(gateway, **options))
    client.send(REQUEST)
    response = client.read_response()
    assert response.status == 404
    assert response.header("Connection") is None
    return client


def ended(client):
    return client.readable() and client.at_end()


def ready(gateway):
    eventually(lambda: gateway.admin("/readyz")[0] == 200, "it is ready")
    return gateway


def few_descriptors(limit, *flags):
    """A gateway that may have so many file descriptors, ready to serve."""
    return ready(Gateway.demo(
        *flags, preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (limit, limit))))


# --- of one address ---


def proxied(address):
    family = "TCP6" if ":" in address else "TCP4"
    there = "::1" if ":" in address else "192.0.2.1"
    return f"PROXY {family} {address} {there} 4711 80\r\n".encode()


def test_connections_of_one_address_are_limited(tmp_path, stack):
    with configured(tmp_path, {"max_connections_per_address": 2},
                    proxy_protocol=True) as gateway:
        ann, bob = proxied("203.0.113.1"), proxied("203.0.113.2")
        first = kept(stack, gateway, preamble=ann)
        # A session is a connection too.
        second = stack.enter_context(RawClient(gateway, preamble=ann))
        second.upgrade(BIDI)
        for _ in range(3):
            late = stack.enter_context(RawClient(gateway, preamble=ann))
            late.send(upgrade_request(BIDI))
            response = late.read_response()
            assert response.status == 503
            assert response.header("Connection") == "close"
            assert int(response.header("Retry-After")) > 0
            assert response.json()["message"] == (
                "there are too many connections of this address")
        kept(stack, gateway, preamble=bob)  # Others are not hindered.
        assert refused(gateway, "max_connections_per_address") == 3
        gateway.wait_for_log('reason=max_connections_per_address')
        first.close()

        def free():
            with RawClient(gateway, preamble=ann) as client:
                client.send(REQUEST)
                return client.read_response().status == 404

        eventually(free, "the place of the one that has gone")


def test_http2_connections_of_one_address_are_limited(tmp_path, stack):
    with configured(tmp_path, {"max_connections_per_address": 2},
                    proxy_protocol=True) as gateway:
        ann, bob = proxied("203.0.113.1"), proxied("203.0.113.2")
        kept(stack, gateway, preamble=ann)
        # It counts once, however many streams it has.
        second = stack.enter_context(H2Client(gateway, preamble=ann))
        second.read_settings()
        for _ in range(3):
            stream = second.open(websocket_fields(BIDI), end_stream=False)
            second.await_h2(HEADERS, stream)
        late = stack.enter_context(H2Client(gateway, preamble=ann))
        late.open(request_fields("GET", "/v1/nothing"))
        assert late.read_settings() == {}
        goaway = late.await_h2(GOAWAY).payload
        assert goaway[:8] == struct.pack(">II", 0, ENHANCE_YOUR_CALM)
        assert goaway[8:] == b"there are too many connections of this address"
        assert late.at_end()
        assert refused(gateway, "max_connections_per_address") == 1
        other = stack.enter_context(H2Client(gateway, preamble=bob))
        assert other.read_settings() != {}
        second.close()

        def free():
            with H2Client(gateway, preamble=ann) as client:
                return client.read_settings() != {}

        eventually(free, "the place of the one that has gone")


def test_ipv6_connections_count_with_their_network(tmp_path, stack):
    with configured(tmp_path, {"max_connections_per_address": 1},
                    proxy_protocol=True) as gateway:
        kept(stack, gateway, preamble=proxied("2001:db8:0:1::1"))
        with RawClient(gateway,
                       preamble=proxied("2001:db8:0:1:ffff::2")) as client:
            client.send(REQUEST)
            assert client.read_response().status == 503
        kept(stack, gateway, preamble=proxied("2001:db8:0:2::1"))


# As for sessions: who is here, and the proxy itself, have no limit.
def test_loopback_is_not_counted(tmp_path, stack):
    with configured(tmp_path, {"max_connections_per_address": 1}) as gateway:
        for _ in range(4):
            kept(stack, gateway)
        assert refused(gateway, "max_connections_per_address") == 0


# The default leaves room for as many sessions as an address may have.
def test_sessions_of_an_address_reach_their_own_limit_first(tmp_path, stack):
    with configured(tmp_path, {"max_sessions_per_address": 3},
                    proxy_protocol=True) as gateway:
        ann = proxied("203.0.113.1")
        statuses = []
        for _ in range(5):
            client = stack.enter_context(RawClient(gateway, preamble=ann))
            client.send(upgrade_request(BIDI))
            statuses.append(client.read_response().status)
        assert statuses == [101, 101, 101, 503, 503]
        assert gateway.metric("headgate_handshakes_refused_total",
                              reason="max_sessions_per_address") == 2
        assert refused(gateway, "max_connections_per_address") == 0


# --- in all ---


def test_the_oldest_idle_connection_makes_room(tmp_path, stack):
    with configured(tmp_path, {"max_connections": 4}) as gateway:
        session = stack.enter_context(Client(gateway, BIDI, JSON))
        idle = []
        for _ in range(3):
            idle.append(kept(stack, gateway))
            time.sleep(0.1)  # Each on its own thread waits longer than the next.
        for count in (1, 2, 3):
            kept(stack, gateway)
            eventually(lambda: ended(idle[count - 1]), "the oldest is closed")
            assert sum(map(ended, idle)) == count
        session.send({"greeting": "ann"})
        assert session.receive_json() == {"reply": "hello, ann"}
        assert gateway.metric("headgate_idle_connections_closed_total") == 3
        assert gateway.metric("headgate_connections_limit") == 4
        assert refused(gateway, "max_connections") == 0


def test_where_none_is_idle_a_connection_is_refused(tmp_path, stack):
    with configured(tmp_path, {"max_connections": 3}) as gateway:
        sessions = [stack.enter_context(Client(gateway, BIDI, JSON))
                    for _ in range(3)]
        for _ in range(5):
            with RawClient(gateway) as late:
                late.send(upgrade_request(BIDI))
                response = late.read_response()
                assert response.status == 503
                assert response.json() == {
                    "code": 14, "message": "there are too many connections"}
        assert refused(gateway, "max_connections") == 5
        sessions[0].close()
        eventually(lambda: gateway.metric("headgate_sessions") == 2, "it goes")
        assert call_json(gateway, BIDI, {"greeting": "bob"},
                         half_close=True) == [{"reply": "hello, bob"}]


# No handshake is made for it.
def test_where_none_is_idle_a_client_of_tls_gets_an_alert(tmp_path, stack):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("gateway", "DNS:localhost")
    with configured(tmp_path, {"max_connections": 1},
                    tls={"certificate": str(certificate),
                         "key": str(key)}) as gateway:
        tls = ssl.create_default_context(cafile=authority.ca)
        session = stack.enter_context(RawClient(gateway, tls=tls))
        session.upgrade(BIDI)
        for _ in range(5):
            with pytest.raises(ssl.SSLError, match="ALERT_INTERNAL_ERROR"):
                RawClient(gateway, tls=tls)
        assert refused(gateway, "max_connections") == 5
        session.close()
        eventually(lambda: gateway.metric("headgate_sessions") == 0, "it goes")
        late = stack.enter_context(RawClient(gateway, tls=tls))
        late.send(REQUEST)
        assert late.read_response().status == 404


# Otherwise they would keep everybody out until the handshake timeout.
def test_half_a_head_or_handshake_makes_room_after_a_second(tmp_path, stack):
    identity = Authority(tmp_path).issue("gateway", "DNS:localhost")
    for listener, half in (
            ({}, b"GET /x HTTP/1.1\r\nHost:"),
            ({"proxy_protocol": True}, b"PROXY TCP4 1.2.3.4"),
            ({"tls": {"certificate": str(identity[0]),
                      "key": str(identity[1])}}, b"\x16\x03\x01\x02\x00\x01")):
        with configured(tmp_path, {"max_connections": 4}, **listener) as gateway:
            slow = [stack.enter_context(RawClient(gateway)) for _ in range(4)]
            for client in slow:
                client.send(half)
            time.sleep(1.2)
            late = stack.enter_context(RawClient(gateway))
            eventually(lambda: sum(map(ended, slow)) == 1, "one is closed",
                       timeout=soon(1.5))
            assert not ended(late)
            assert gateway.metric("headgate_idle_connections_closed_total") == 1


# --- by file descriptors ---


def test_idle_connections_do_not_take_all_file_descriptors(stack):
    gateway = stack.enter_context(few_descriptors(256, "--threads", "2"))
    most = gateway.metric("headgate_connections_limit")
    assert 50 < most < 200
    session = stack.enter_context(Client(gateway, BIDI, JSON))
    for _ in range(400):
        with contextlib.suppress(ConnectionError):
            kept(stack, gateway)
    # A client gets in, and another, and whoever looks after the gateway.
    for _ in range(3):
        assert call_json(gateway, BIDI, {"greeting": "bob"},
                         half_close=True) == [{"reply": "hello, bob"}]
        assert gateway.admin("/readyz")[0] == 200
    session.send({"greeting": "ann"})
    assert session.receive_json() == {"reply": "hello, ann"}
    assert gateway.metric("headgate_connections") <= most + 1
    assert gateway.metric("headgate_idle_connections_closed_total") > 200
    assert gateway.metric("headgate_accept_errors_total") == 0


# Those that have not even begun: they are closed once they had a second.
def test_silent_connections_do_not_take_all_file_descriptors(stack):
    gateway = stack.enter_context(few_descriptors(
        256, "--threads", "2", "--handshake-timeout", "1m"))
    silent = []
    for _ in range(300):
        silent.append(stack.enter_context(RawClient(gateway)))
    assert gateway.admin("/readyz")[0] == 200

    def served():
        with contextlib.suppress(ConnectionError, EOFError):
            with RawClient(gateway) as client:
                client.send(upgrade_request(BIDI))
                return client.read_response().status == 101

    eventually(served, "a client gets in")


# Sessions stay; nobody else gets in, and is told so; the admin listener works.
def test_sessions_do_not_take_all_file_descriptors(stack):
    gateway = stack.enter_context(few_descriptors(200, "--threads", "2"))
    most = int(gateway.metric("headgate_connections_limit"))
    statuses = []
    for _ in range(most + 30):
        client = stack.enter_context(RawClient(gateway))
        client.send(upgrade_request(BIDI))
        statuses.append(client.read_response().status)
    assert statuses == [101] * most + [503] * 30
    assert refused(gateway, "file_descriptors") == 30
    assert gateway.admin("/readyz")[0] == 200
    assert gateway.metric("headgate_accept_errors_total") == 0


def test_a_limit_that_the_descriptors_do_not_allow_is_said(stack):
    gateway = stack.enter_context(few_descriptors(
        256, "--max-connections", "5000"))
    eventually(lambda: re.search(
        r"limits.max_connections is more than the file descriptors "
        r"allow for.*configured=5000.*descriptors=256", gateway.stderr()),
        "the log says so")


# Neither clients nor slow connections to the admin listener itself.
@pytest.mark.parametrize("descriptors", [48, 128])
def test_readyz_is_answered_whoever_holds_the_file_descriptors(
        stack, descriptors):
    gateway = stack.enter_context(Gateway.demo(
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (descriptors, descriptors))))
    eventually(lambda: gateway.admin("/readyz")[0] == 200, "it is ready")
    for address in ((gateway.host, gateway.port), gateway.admin_address):
        for _ in range(150):
            client = stack.enter_context(socket.socket())
            client.settimeout(1)
            with contextlib.suppress(OSError):
                client.connect(address)
                client.send(b"GET /read")
    for _ in range(5):
        assert gateway.admin("/readyz")[0] == 200
