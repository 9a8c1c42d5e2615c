"""Who may connect from where, and what is agreed upon: Origin and subprotocols
(docs/protocol.md, "Handshake")."""

import re
import ssl

import pytest

from certificates import Authority
from client import HELLO, JSON, PROTOBUF, Client
from harness import Gateway, eventually
from wire import RawClient

BIDI = HELLO + "BidiHello"

# --- Origin ---


def origin_status(gateway, origin, host="gateway.test", *more, **options):
    headers = [("Host", host), *more]
    if origin is not None:
        headers.append(("Origin", origin))
    with RawClient(gateway, **options) as client:
        response = client.request(BIDI, headers, without=("Host",))
    if response.status == 403:
        assert response.json()["code"] == 7  # PERMISSION_DENIED
    return response.status


# The tests' own name for the gateway; on loopback it has to be allowed.
@pytest.fixture(scope="module")
def named():
    with Gateway.demo("--allow-host", "gateway.test") as gateway:
        yield gateway


# No browser leaves Origin out, and nobody else is bound to tell the truth.
def test_request_without_origin_passes(demo):
    assert origin_status(demo, None) == 101


@pytest.mark.parametrize("origin, host", [
    ("http://gateway.test", "gateway.test"),
    ("http://gateway.test:8080", "gateway.test:8080"),
    ("http://GATEWAY.test", "gateway.TEST"),
    ("http://gateway.test", "gateway.test:80"),
    ("http://gateway.test:80", "gateway.test"),
])
def test_same_origin_passes(named, origin, host):
    assert origin_status(named, origin, host) == 101


@pytest.mark.parametrize("origin", [
    "https://other.test", "http://gateway.test:8080", "null", "",
    "http://gateway.test.evil.test", "gateway.test", "http://",
    "https://gateway.test", "ftp://gateway.test"])
def test_other_origin_is_403(named, origin):
    assert origin_status(named, origin) == 403


# Pages that came in the clear are not those that came by TLS.
def test_tls_listener_is_of_https_origins(tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("gateway", "DNS:localhost")
    context = ssl.create_default_context(cafile=authority.ca)
    with Gateway.demo("--tls-cert", certificate, "--tls-key", key,
                      "--allow-host", "gateway.test") as gateway:
        for origin, status in (("https://gateway.test", 101),
                               ("https://gateway.test:443", 101),
                               ("http://gateway.test", 403),
                               ("http://gateway.test:443", 403),
                               ("ftp://gateway.test", 403)):
            assert origin_status(gateway, origin, tls=context) == status, origin


# Only a trusted proxy can say that it has ended TLS.
def test_scheme_is_the_one_that_a_trusted_proxy_forwards(start_demo):
    https, http = "https://gateway.test", "http://gateway.test"
    told = ("X-Forwarded-Proto", "https")
    gateway = start_demo("--allow-host", "gateway.test")
    assert origin_status(gateway, https, "gateway.test", told) == 403
    eventually(lambda: re.search(
        r'reason="origin https://gateway.test is not allowed, the listener is '
        r'http://gateway.test" setting="listeners\[\].trusted_proxies for a '
        r'proxy that ends TLS, or listeners\[\].allowed_origins"',
        gateway.stderr()), "the log names the setting")
    gateway = start_demo("--trusted-proxy", "127.0.0.1")
    assert origin_status(gateway, https, "gateway.test", told) == 101
    assert origin_status(gateway, http, "gateway.test", told) == 403
    assert origin_status(gateway, http) == 101


def test_socket_files_and_proxy_headers_take_either_scheme(start_demo):
    gateway = start_demo("--proxy-protocol", "on")
    for origin, status in (("https://gateway.test", 101),
                           ("http://gateway.test", 101),
                           ("ftp://gateway.test", 403)):
        assert origin_status(gateway, origin,
                             preamble=b"PROXY UNKNOWN\r\n") == status


def test_refused_origin_names_the_setting_in_the_log(start_demo):
    gateway = start_demo()
    assert origin_status(gateway, "https://other.test", "localhost") == 403
    eventually(lambda: 'reason="origin https://other.test is not allowed" '
                       'setting=listeners[].allowed_origins'
                       in gateway.stderr(), "the log names the setting")


@pytest.mark.parametrize("allowed, origin, status", [
    ("https://app.test", "https://app.test", 101),
    ("https://app.test", "HTTPS://App.Test", 101),
    ("https://app.test", "https://app.test:443", 101),
    ("https://app.test", "https://app.test:8443", 403),
    ("https://app.test", "http://app.test", 403),
    ("https://app.test", "https://www.app.test", 403),
    ("https://*.app.test", "https://www.app.test", 101),
    ("https://*.app.test", "https://a.b.app.test", 101),
    ("https://*.app.test", "https://app.test", 403),
    ("https://*.app.test", "https://evilapp.test", 403),
    ("https://*.app.test", "https://www.app.test.evil.test", 403),
    ("https://*.app.test", "http://www.app.test", 403),
    ("http://localhost:*", "http://localhost:5173", 101),
    ("http://localhost:*", "http://localhost", 101),
    ("http://localhost:*", "https://localhost:5173", 403),
    ("http://localhost:*", "http://localhost.test:5173", 403),
    ("null", "null", 101),
    ("https://app.test", "null", 403),
    ("*", "https://anything.test", 101),
    ("*", "null", 101),
])
def test_allowed_origin(start_demo, allowed, origin, status):
    gateway = start_demo("--allow-origin", allowed)
    assert origin_status(gateway, origin, "localhost") == status


def test_several_origins_are_allowed(start_demo):
    gateway = start_demo("--allow-origin", "https://a.test",
                         "--allow-origin", "https://b.test")
    assert origin_status(gateway, "https://a.test") == 101
    assert origin_status(gateway, "https://b.test") == 101
    assert origin_status(gateway, "https://c.test") == 403


# --- Host ---


def rebound(port):
    """What a browser sends for a page whose name resolves to 127.0.0.1."""
    return f"http://evil.test:{port}", f"evil.test:{port}"


def plain_status(gateway, host, origin=None):
    """Of a plain GET; a script's to its own origin is without Origin."""
    line = f"Origin: {origin}\r\n" if origin else ""
    with RawClient(gateway) as client:
        client.send((f"GET /v1/shelves/classics/books/dune HTTP/1.1\r\n"
                     f"Host: {host}\r\n{line}\r\n").encode())
        return client.read_response().status


# DNS rebinding.
def test_host_that_is_not_loopback_is_403_on_a_loopback_listener(demo):
    origin, host = rebound(demo.port)
    assert origin_status(demo, origin, host) == 403
    assert plain_status(demo, host) == 403
    assert plain_status(demo, host, origin) == 403
    eventually(lambda: f'reason="host {host} is not allowed" '
                       'setting="listeners[].allowed_hosts, or '
                       'listeners[].trusted_proxies for a proxy on this '
                       'machine"' in demo.stderr(), "the log names the setting")
    assert demo.metric("headgate_handshakes_refused_total", reason="host") == 3
    assert origin_status(demo, None, host) == 101  # No browser.


@pytest.mark.parametrize("host", [
    "localhost", "localhost.", "app.localhost", "127.0.0.1", "127.1.2.3",
    "[::1]"])
def test_loopback_hosts_are_taken(demo, host):
    host = f"{host}:{demo.port}"
    assert origin_status(demo, f"http://{host}", host) == 101
    assert plain_status(demo, host) == 200


def test_host_can_be_allowed(start_demo):
    gateway = start_demo("--allow-host", "*.app.test")
    assert origin_status(gateway, "http://a.app.test", "a.app.test") == 101
    assert plain_status(gateway, "a.app.test") == 200
    assert plain_status(gateway, "app.test") == 403
    assert plain_status(gateway, "localhost") == 200
    gateway = start_demo("--allow-host", "*")
    assert plain_status(gateway, "evil.test") == 200


# nginx beside the gateway passes the host on that its client has named.
def test_local_proxy_that_is_trusted_passes_any_host(start_demo):
    gateway = start_demo("--trusted-proxy", "127.0.0.1")
    assert origin_status(gateway, "http://app.test", "app.test") == 101
    assert plain_status(gateway, "app.test") == 200


def test_allowed_origin_need_not_be_of_a_loopback_host(start_demo):
    gateway = start_demo("--allow-origin", "https://app.test")
    assert origin_status(gateway, "https://app.test", "app.test") == 101
    assert plain_status(gateway, "app.test", "https://app.test") == 200
    assert plain_status(gateway, "app.test") == 403


def test_host_of_a_route_is_taken(configured, backend):
    gateway = configured(f"""
upstreams: [{{target: "{backend.target}"}}]
routes:
  - {{hosts: [app.test], prefix: /v1, http_rules: true}}
  - {{prefix: /v1, http_rules: true}}
""")
    assert plain_status(gateway, "app.test") == 200
    assert plain_status(gateway, "evil.test") == 403


# Who listens on every address is meant to be called by names that only DNS
# knows.
def test_host_is_anything_on_every_address(start_demo):
    gateway = start_demo(listen=["0.0.0.0:0"])
    gateway.host = "127.0.0.1"
    assert plain_status(gateway, "app.test") == 200
    gateway = start_demo("--allow-host", "app.test", listen=["0.0.0.0:0"])
    gateway.host = "127.0.0.1"
    assert plain_status(gateway, "app.test") == 200
    assert plain_status(gateway, "evil.test") == 403


def test_host_is_anything_with_proxy_headers(start_demo):
    gateway = start_demo("--proxy-protocol", "on")
    assert origin_status(gateway, "http://app.test", "app.test",
                         preamble=b"PROXY UNKNOWN\r\n") == 101


# --- subprotocols ---


@pytest.mark.parametrize("lines, answer", [
    ([], None),
    (["headgate.json.v1"], "headgate.json.v1"),
    (["chat, headgate.json.v1"], "headgate.json.v1"),
    (["chat", "headgate.json.v1"], "headgate.json.v1"),
    (["  headgate.json.v1 ,\tchat "], "headgate.json.v1"),
    (["headgate.protobuf.v1", "headgate.json.v1"], "headgate.protobuf.v1"),
    # A codec comes before Bearer, wherever either stands.
    (["Bearer, t0ken, headgate.json.v1"], "headgate.json.v1"),
    (["headgate.json.v1", "Bearer", "t0ken"], "headgate.json.v1"),
    (["Bearer, t0ken"], "Bearer"),
    (["Bearer,t0ken"], "Bearer"),
    (["Bearer", "t0ken"], "Bearer"),
    (["chat, Bearer, t0ken"], "Bearer"),
    # Never a token, even one that looks like a codec.
    (["Bearer, headgate.json.v1"], "Bearer"),
    (["base64url.bearer.authorization.k8s.io.dDBrZW4"], None),
    (["base64url.bearer.authorization.k8s.io.dDBrZW4, headgate.json.v1"],
     "headgate.json.v1"),
    (["chat"], None),
    (["HEADGATE.JSON.V1"], None),
    (["headgate.json.v2, headgate.json.v1"], "headgate.json.v1"),
])
def test_answer_echoes_one_subprotocol(demo, lines, answer):
    with RawClient(demo) as client:
        response = client.upgrade(
            BIDI, [("Sec-WebSocket-Protocol", line) for line in lines])
    assert response.header("Sec-WebSocket-Protocol") == answer


# BidiHello is no PacketService, so nobody could say what a packet means there.
def test_codec_that_the_route_does_not_allow_is_not_echoed(demo):
    with RawClient(demo) as client:
        response = client.request(
            BIDI, [("Sec-WebSocket-Protocol",
                    "headgate.packet.v1, headgate.json.v1")])
    assert response.status == 101
    assert response.header("Sec-WebSocket-Protocol") == "headgate.json.v1"


def test_codec_that_the_route_does_not_serve_is_400(demo):
    with RawClient(demo) as client:
        response = client.request(
            BIDI, [("Sec-WebSocket-Protocol", "headgate.raw.v1, chat")])
    assert response.status == 400
    assert "raw" in response.json()["message"]


def test_subprotocol_chooses_the_codec(demo):
    with Client(demo, BIDI, "chat", JSON) as client:
        assert client.subprotocol == JSON
        client.send(b'{"greeting": "ann"}')  # Binary, and JSON all the same.
        assert client.receive_json() == {"reply": "hello, ann"}
    with Client(demo, BIDI, PROTOBUF) as client:
        assert client.subprotocol == PROTOBUF
