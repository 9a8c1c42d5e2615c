"""The admin listener and what it shows (docs/operations.md, "Admin
listener")."""

import contextlib
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess

import pytest

from client import ECHO, HELLO, JSON, PROTOBUF, RAW, Client, call, call_json, \
    refusal
from harness import TIMEOUT, Backend, Gateway, eventually, run
from wire import RawClient

BIDI = HELLO + "BidiHello"
NAME = r"headgate_[a-z_]+"


@pytest.fixture
def gateway(stack):
    return stack.enter_context(Gateway.demo())


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- where it is ---


def test_it_can_be_off_and_is_not_on_the_public_listener(stack):
    gateway = stack.enter_context(Gateway.demo("--admin", "off"))
    assert call_json(gateway, BIDI, half_close=True) == []
    assert "admin on" not in gateway.stdout()
    public = http.client.HTTPConnection(gateway.host, gateway.port,
                                        timeout=TIMEOUT)
    for path in ("/metrics", "/sessions", "/healthz"):
        public.request("GET", path)
        response = public.getresponse()
        response.read()
        assert response.status == 404, path


def test_a_port_in_use_stops_the_start(gateway):
    host, port = gateway.admin_address
    result = run("demo", "--listen", "127.0.0.1:0", "--admin", f"{host}:{port}")
    assert result.returncode == 1
    assert f"cannot listen on {host}:{port}" in result.stderr.decode()
    assert "--admin sets another address" in result.stderr.decode()


def test_it_can_be_a_socket_file(tmp_path):
    path = tmp_path / "admin.sock"
    with Gateway.demo("--admin", f"unix:{path}") as gateway:
        gateway.wait_for_output(f"admin on unix:{path}\n")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(TIMEOUT)
            client.connect(str(path))
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert b"\r\n\r\nok\n" in client.recv(4096)
    assert not path.exists()


# --- who may ask ---


# A page in the browser of whoever sits at this machine reaches loopback, too.
@pytest.mark.parametrize("headers", [
    {"Origin": "https://evil.example"}, {"Origin": "null"},
    {"Sec_Fetch_Site": "cross-site"}, {"Host": "evil.example"},
    {"Host": "evil.example:9901"}])
def test_pages_of_elsewhere_are_refused(gateway, headers):
    with Client(gateway, BIDI, JSON) as client:
        session = eventually(gateway.sessions, "the session")[0]
        for method, path in (("GET", "/sessions"), ("GET", "/metrics"),
                             ("POST", f"/sessions/{session['id']}/close"),
                             ("POST", "/log_level?level=debug")):
            status, body = gateway.admin(path, method, **headers)
            assert status == 403, (method, path)
            assert json.loads(body)["code"] == 7
        client.send({"greeting": "ann"})
        assert client.receive_json() == {"reply": "hello, ann"}


@pytest.mark.parametrize("host", ["localhost", "localhost:9901", "[::1]:9901",
                                  "127.0.0.1"])
def test_names_of_this_machine_are_fine(gateway, host):
    assert gateway.admin("/healthz", Host=host)[0] == 200


def test_hostile_requests_are_told_or_hung_up_on(gateway):
    host, port = gateway.admin_address

    def answer(data):
        with socket.create_connection((host, port), TIMEOUT) as client:
            # It may have hung up by then.
            with contextlib.suppress(OSError):
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
            received = b""
            try:
                while chunk := client.recv(4096):
                    received += chunk
            except ConnectionResetError:
                pass
            return received

    assert b" 400 " in answer(b"rubbish\r\n\r\n")[:20]
    assert b" 431 " in answer(b"GET / HTTP/1.1\r\nA: " + b"x" * 20000)[:20]
    assert b" 413 " in answer(
        b"POST /log_level HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 99999\r\n\r\n" + b"x" * 99999)[:20]
    assert b" 400 " in answer(b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer(b"GET /heal") == b""
    # More connections than there may be: the others are hung up on.
    clients = [socket.create_connection((host, port), TIMEOUT)
               for _ in range(80)]
    for client in clients:
        client.close()
    eventually(lambda: gateway.admin("/healthz")[0] == 200, "it serves again")


def test_paths_and_methods_are_told(gateway):
    assert gateway.admin("/nothing")[0] == 404
    assert gateway.admin("/metrics", "POST")[0] == 405
    assert gateway.admin("/sessions/x/close")[0] == 405
    assert gateway.admin("/healthz", "HEAD") == (200, "")
    status, text = gateway.admin("/")
    assert status == 200
    for path in ("/healthz", "/readyz", "/metrics", "/routes", "/sessions"):
        assert path in text


# --- readiness ---


def test_readiness_follows_the_upstream(stack):
    port = unused_port()
    gateway = stack.enter_context(Gateway.serve(f"127.0.0.1:{port}"))
    assert gateway.admin("/healthz") == (200, "ok\n")
    assert gateway.admin("/readyz")[0] == 503
    assert json.loads(gateway.admin("/readyz")[1])["reason"] == (
        "no upstream is reachable")
    backend = Backend(port)
    eventually(lambda: gateway.admin("/readyz") == (200, '{"ready":true}\n'),
               "ready")
    assert gateway.metric("headgate_upstream_reachable",
                          upstream="default") == 1
    # Nobody calls it meanwhile.
    backend.kill()
    eventually(lambda: gateway.admin("/readyz")[0] == 503, "not ready")
    eventually(lambda: gateway.metric("headgate_upstream_reachable") == 0,
               "the metric")
    stack.enter_context(Backend(port))
    eventually(lambda: gateway.admin("/readyz")[0] == 200, "ready again")


# --- sessions ---


def test_sessions_are_listed_and_filtered(gateway, stack):
    hello = stack.enter_context(Client(gateway, BIDI, JSON))
    hello.send({"greeting": "ann"})
    hello.receive()
    stack.enter_context(Client(gateway, "/echo", RAW))
    sessions = eventually(
        lambda: len(gateway.sessions()) == 2 and gateway.sessions(), "both")
    assert [session["route"] for session in sessions] == ["/", "/echo"]
    first = sessions[0]
    assert first["method"] == BIDI
    assert first["peer"] == "127.0.0.1"
    assert first["codec"] == "json"
    assert (first["messages_in"], first["messages_out"]) == (1, 1)
    assert first["bytes_in"] == len('{"greeting": "ann"}')
    assert re.fullmatch(r"[0-9a-f]{32}", first["id"])
    for query, count in (
            ("?route=/echo", 1), ("?route=/none", 0), ("?codec=json", 1),
            (f"?id={first['id']}", 1), ("?peer=127.0.0.1", 2),
            (f"?method={BIDI}&codec=raw", 0), ("?upstream=default", 2),
            ("?limit=1", 1)):
        assert len(gateway.sessions(query)) == count, query
    assert json.loads(gateway.admin("/sessions?limit=1")[1])["matching"] == 2
    status, body = gateway.admin("/sessions?colour=red")
    assert status == 400
    assert "there is no parameter colour" in body
    assert gateway.admin("/sessions?limit=many")[0] == 400


def test_an_operator_closes_a_session(gateway, stack):
    client = stack.enter_context(Client(gateway, BIDI, JSON))
    client.send({"greeting": "ann"})
    assert client.receive_json() == {"reply": "hello, ann"}
    session, = gateway.sessions()
    other = stack.enter_context(Client(gateway, BIDI, JSON))
    eventually(lambda: len(gateway.sessions()) == 2, "both")
    status, body = gateway.admin(f"/sessions/{session['id']}/close", "POST")
    assert (status, json.loads(body)) == (200, {"closed": session["id"]})
    assert client.receive_close() == (1008, "closed by the operator")
    other.send({"greeting": "bob"})
    assert other.receive_json() == {"reply": "hello, bob"}
    eventually(lambda: len(gateway.sessions()) == 1, "it is gone")
    assert gateway.admin(f"/sessions/{session['id']}/close", "POST")[0] == 404


def test_routes_are_listed(gateway):
    routes = json.loads(gateway.admin("/routes")[1])["routes"]
    names = [route["name"] for route in routes]
    assert "/packets" in names and "/v1" in names and "/" in names
    game, = (route for route in routes if route["name"] == "/game")
    assert game["methods"]["1"].endswith("Lobby/Join") or game["methods"]


# --- log level ---


def test_the_log_level_changes_at_run_time(gateway):
    assert json.loads(gateway.admin("/log_level")[1]) == {"level": "info"}
    assert gateway.admin("/log_level?level=loud", "POST")[0] == 400
    assert gateway.admin("/log_level?level=debug", "POST")[0] == 200
    call_json(gateway, BIDI, half_close=True)
    eventually(lambda: 'msg="session opened"' in gateway.stderr(),
               "a line of debug")


# --- metrics ---


def test_metrics_count_what_happened(gateway, stack):
    call_json(gateway, BIDI, {"greeting": "ann"}, {"greeting": "bob"},
              half_close=True)
    call(gateway, ECHO + "Fail", {"code": 5, "message": "no"})
    call(gateway, "/nobodys.Service/Method", b"x", subprotocols=(PROTOBUF,))
    refusal(gateway, "/nothing/at/all", JSON)
    refusal(gateway, BIDI, JSON, origin="https://evil.example")
    client = stack.enter_context(Client(gateway, "/echo", RAW))
    client.send("text")
    client.receive()
    metric = gateway.metric
    eventually(lambda: metric("headgate_sessions") == 1, "one is left")
    assert metric("headgate_sessions", route="/echo") == 1
    assert metric("headgate_sessions_opened_total", route="/") == 3
    assert metric("headgate_calls_total", method=BIDI, code="OK") == 1
    assert metric("headgate_calls_total", code="NOT_FOUND",
                  method=ECHO + "Fail", upstream="default") == 1
    # A name that a client has made up is no label.
    assert metric("headgate_calls_total", code="UNIMPLEMENTED",
                  method="unknown") == 1
    assert "nobodys" not in gateway.admin("/metrics")[1]
    assert metric("headgate_sessions_closed_total", close_code="1000") == 1
    assert metric("headgate_sessions_closed_total", close_code="4005") == 1
    assert metric("headgate_handshakes_refused_total",
                  reason="not_found") == 1
    assert metric("headgate_handshakes_refused_total", reason="origin") == 1
    assert metric("headgate_messages_total", codec="json",
                  direction="in") == 4  # And the half-close.
    assert metric("headgate_messages_total", codec="json",
                  direction="out") == 2
    # Those of sessions that are open count, too.
    assert metric("headgate_message_bytes_total", codec="raw",
                  direction="in") == 4
    assert metric("headgate_first_message_seconds_count", route="/") == 1
    assert metric("headgate_session_duration_seconds_count", route="/") == 3
    assert metric("headgate_connections") >= 1
    eventually(lambda: metric("headgate_ready") == 1, "ready")
    assert metric("process_open_fds") > 5
    assert metric("process_resident_memory_bytes") > 1e6


def test_metrics_are_as_prometheus_wants_them(gateway):
    call_json(gateway, BIDI, {"greeting": "ann"}, half_close=True)
    text = gateway.admin("/metrics")[1]
    families = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)
    helps = re.findall(r"^# HELP (\S+) \S", text, re.M)
    assert sorted(name for name, _ in families) == sorted(helps)
    assert len(set(helps)) == len(helps)
    for name, kind in families:
        assert name.endswith("_total") == (kind == "counter"), name
    if promtool := shutil.which("promtool"):
        checked = subprocess.run([promtool, "check", "metrics"],
                                 input=text.encode(), capture_output=True)
        assert checked.returncode == 0, checked.stderr


# Every metric is in the documentation, with its labels, and no other is.
def test_metrics_are_documented(gateway):
    import pathlib
    from harness import ROOT
    call_json(gateway, BIDI, {"greeting": "ann"}, half_close=True)
    served = set(re.findall(r"^# TYPE (\S+) ", gateway.admin("/metrics")[1],
                            re.M))
    documented = set(re.findall(
        r"^\| `((?:headgate|process)_[a-z_]+)` \|",
        (ROOT / "docs/operations.md").read_text(), re.M))
    assert served == documented
