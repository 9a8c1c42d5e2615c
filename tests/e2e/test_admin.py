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
import time

import pytest

from client import ECHO, HELLO, JSON, PROTOBUF, RAW, Client, call, call_json, \
    refusal
from harness import TIMEOUT, Backend, Gateway, eventually, held_port, run
from wire import RawClient, limit_buffers, packet

BIDI = HELLO + "BidiHello"
NAME = r"headgate_[a-z_]+"


@pytest.fixture
def gateway(stack):
    return stack.enter_context(Gateway.demo())


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


# More of them than the listener has room for; each half asks and then waits.
def test_slow_connections_shut_nobody_out(gateway, stack):
    for number in range(200):
        client = stack.enter_context(
            socket.create_connection(gateway.admin_address, TIMEOUT))
        client.sendall((b"", b"GET /readyz HTTP/1.1\r\nHo")[number % 2])
        if number % 20 == 19:
            eventually(lambda: gateway.admin("/readyz")[0] == 200, "ready")
            assert gateway.admin("/healthz") == (200, "ok\n")
            assert gateway.admin("/metrics")[0] == 200
    # They do not read their responses either.
    for _ in range(100):
        client = stack.enter_context(socket.socket())
        limit_buffers(client)
        client.connect(gateway.admin_address)
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
    assert gateway.admin("/readyz")[0] == 200
    assert gateway.admin("/healthz") == (200, "ok\n")


def test_paths_and_methods_are_told(gateway):
    assert gateway.admin("/nothing")[0] == 404
    assert gateway.admin("/metrics", "POST")[0] == 405
    assert gateway.admin("/sessions/x/close")[0] == 405
    assert gateway.admin("/healthz", "HEAD") == (200, "")
    status, text = gateway.admin("/")
    assert status == 200
    for path in ("/healthz", "/readyz", "/metrics", "/routes", "/sessions"):
        assert path in text


# --- several listeners ---


def configured(stack, tmp_path, admin):
    """A gateway with these admin listeners, and where they listen."""
    file = tmp_path / "headgate.yaml"
    file.write_text(json.dumps(
        {"listeners": [{"address": "127.0.0.1:0"}], "admin": admin}))
    gateway = stack.enter_context(Gateway(
        "demo", "--config", file, listen=(), listeners=1, admin=None))
    expected = len(admin) if isinstance(admin, list) else 1
    addresses = eventually(
        lambda: len(found := re.findall(r"admin on http://(\S+):(\d+)\n",
                                        gateway.stdout())) == expected
        and found, "all admin listeners")
    return gateway, [(host, int(port)) for host, port in addresses]


def ask(address, path, method="GET", token=None):
    connection = http.client.HTTPConnection(*address, timeout=TIMEOUT)
    with contextlib.closing(connection):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()


def test_listeners_serve_different_parts(stack, tmp_path):
    gateway, (public, private) = configured(stack, tmp_path, [
        {"address": "127.0.0.1:0", "serve": ["health", "metrics"]},
        {"address": "127.0.0.1:0", "serve": ["sessions", "routes",
                                             "log-level"]}])
    client = stack.enter_context(Client(gateway, "/headgate.v1.MessageService/"
                                        "Connect", RAW))
    served = {path: [ask(address, path)[0] for address in (public, private)]
              for path in ("/healthz", "/metrics", "/sessions", "/routes",
                           "/log_level")}
    assert served == {"/healthz": [200, 404], "/metrics": [200, 404],
                      "/sessions": [404, 200], "/routes": [404, 200],
                      "/log_level": [404, 200]}
    session, = json.loads(ask(private, "/sessions")[1])["sessions"]
    close = f"/sessions/{session['id']}/close"
    assert ask(public, close, "POST")[0] == 404
    assert ask(public, "/log_level?level=debug", "POST")[0] == 404
    client.send("still here")
    assert client.receive() == "still here"
    assert "/sessions" not in ask(public, "/")[1]
    assert ask(private, close, "POST")[0] == 200
    assert client.receive_close() == (1008, "closed by the operator")


def test_session_control_takes_the_token(stack, tmp_path):
    token = tmp_path / "token"
    token.write_text("first-Token\n")
    gateway, (address,) = configured(
        stack, tmp_path, {"address": "127.0.0.1:0", "token_file": "token"})
    client = stack.enter_context(Client(gateway, "/headgate.v1.MessageService/"
                                        "Connect", RAW))
    for path in ("/healthz", "/metrics", "/"):
        assert ask(address, path)[0] == 200
    for path in ("/sessions", "/routes", "/log_level"):
        assert ask(address, path)[0] == 401
        assert ask(address, path, token="second-Token")[0] == 401
        assert ask(address, path, token="first-Token")[0] == 200
    session, = json.loads(ask(address, "/sessions", token="first-Token")[1])[
        "sessions"]
    close = f"/sessions/{session['id']}/close"
    assert ask(address, close, "POST")[0] == 401
    # A new one holds without a reload, and without one nobody is let in.
    token.write_text("second-Token")
    assert ask(address, close, "POST", token="first-Token")[0] == 401
    token.unlink()
    assert ask(address, close, "POST", token="second-Token")[0] == 503
    assert ask(address, "/healthz")[0] == 200
    token.write_text("second-Token")
    client.send("still here")
    assert client.receive() == "still here"
    assert ask(address, close, "POST", token="second-Token")[0] == 200
    assert client.receive_close() == (1008, "closed by the operator")
    assert "Token" not in gateway.stderr()


def test_check_says_what_admin_listeners_serve(tmp_path):
    file = tmp_path / "headgate.yaml"
    (tmp_path / "token").write_text("t")
    file.write_text(json.dumps({"admin": [
        {"address": "0.0.0.0:9901", "serve": ["health", "metrics"]},
        {"address": "127.0.0.1:9902", "token_file": "token"},
        {"enabled": False}]}))
    result = run("check", file)
    assert result.returncode == 0, result.stderr
    assert ("admin\n"
            "  0.0.0.0:9901            health, metrics\n"
            "  127.0.0.1:9902 (token)  everything but tap\n"
            "  off\n") in result.stdout.decode()
    (tmp_path / "token").unlink()
    result = run("check", file)
    assert result.returncode == 1
    assert "admin[1].token_file: " in result.stderr.decode()


# --- readiness ---


def test_readiness_follows_the_upstream(stack):
    port = held_port()
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


def test_sessions_are_listed_in_pages(gateway, stack):
    clients = [stack.enter_context(Client(gateway, "/echo", RAW))
               for _ in range(12)]

    def page(query=""):
        status, text = gateway.admin(f"/sessions?limit=5&route=/echo{query}")
        assert status == 200
        return json.loads(text)

    first = page()
    assert first["matching"] == 12
    # One of those that were listed goes, one comes.
    clients[0].close()
    eventually(lambda: len(gateway.sessions()) == 11, "it is gone")
    clients.append(stack.enter_context(Client(gateway, "/echo", RAW)))
    second = page(f"&after={first['next']}")
    third = page(f"&after={second['next']}")
    assert "next" not in third
    pages = [first["sessions"], second["sessions"], third["sessions"]]
    assert [len(sessions) for sessions in pages] == [5, 5, 3]
    ids = [session["id"] for sessions in pages for session in sessions]
    assert len(set(ids)) == 13
    assert {session["id"] for session in gateway.sessions()} == set(ids[1:])
    opened = [session["opened_at"] for sessions in pages
              for session in sessions]
    assert opened == sorted(opened)
    assert gateway.admin("/sessions?after=x")[0] == 400


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


# By method and status; a call that lasts is in the bucket of its time.
def test_call_durations_are_measured(gateway, stack):
    metric = gateway.metric
    client = stack.enter_context(Client(gateway, BIDI, JSON))
    client.send({"greeting": "ann"})
    client.receive()
    time.sleep(0.6)
    client.half_close()
    client.receive_all()
    for _ in range(3):
        call(gateway, ECHO + "Fail", {"code": 5, "message": "no"})
    call(gateway, "/nobodys.Service/Method", b"x", subprotocols=(PROTOBUF,))
    name = "headgate_call_duration_seconds"
    eventually(lambda: metric(f"{name}_count") == 5, "all calls")
    assert metric(f"{name}_count", method=BIDI, code="OK",
                  upstream="default") == 1
    assert metric(f"{name}_bucket", method=BIDI, code="OK", le="0.5") == 0
    assert metric(f"{name}_sum", method=BIDI, code="OK") > 0.5
    assert metric(f"{name}_count", method=ECHO + "Fail",
                  code="NOT_FOUND") == 3
    assert metric(f"{name}_count", method="unknown") == 1
    assert metric(f"{name}_count") == metric("headgate_calls_total")
    # Each of several calls on one socket is one.
    game = stack.enter_context(Client(gateway, "/game"))
    game.send(packet(1, 7, b"\x0a\x03ann"))
    game.receive()
    time.sleep(0.6)
    game.close()
    eventually(lambda: metric(f"{name}_count") == 6, "the game's call")
    assert metric(f"{name}_sum", method="/headgate.demo.v1.LobbyService/Join"
                  ) > 0.5


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
        r"^\| `((?:headgate|process)_[a-z0-9_]+)` \|",
        (ROOT / "docs/operations.md").read_text(), re.M))
    # Only once a hub API has been asked: test_hub_api.
    of_hub_api = {f"headgate_hub_api_{of}_total" for of in ("requests", "denied")}
    # Only with `hub.engine: nats`: test_hub_nats.
    of_engine = {f"headgate_hub_{of}" for of in (
        "engine_up", "engine_reconnects_total", "engine_dropped_total",
        "engine_gaps_total",
        "engine_publish_seconds", "replicas")}
    assert served | of_hub_api | of_engine == documented
