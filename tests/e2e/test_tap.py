"""`headgate tap`, /tap, `headgate replay` and /explain, from outside."""

import http.client
import json
import os
import re
import socket
import struct

import pytest

from client import HELLO, JSON, PACKET, PROTOBUF, Client, call_json
from harness import (HEADGATE, Gateway, Process, TIMEOUT, eventually, run,
                     sanitized)
from wire import limit_buffers

CONFIG = """
listeners: [{{address: "127.0.0.1:0"}}]
admin: {{address: "127.0.0.1:0", serve: [health, metrics, routes, sessions{parts}]}}
upstreams: [{{name: main, target: "{target}"}}]
routes:
  - {{upstream: main}}
  - {{path: /hello, upstream: main, method: headgate.demo.v1.HelloService/SayHello}}
  - {{path: /packets, upstream: main, method: headgate.v1.PacketService/Connect, codec: packet}}
"""

RULES = """\
  - {prefix: /v1, upstream: main, http_rules: true}
"""


@pytest.fixture
def serve(stack, backend, tmp_path):
    """serve(parts) -> a gateway whose admin listener serves these, too."""

    def start(parts="", name="headgate.yaml", rules=False):
        file = tmp_path / name
        file.write_text(CONFIG.format(target=backend.target, parts=parts) +
                        (RULES if rules else ""))
        gateway = stack.enter_context(
            Gateway.configured(file, "--drain", "2s", admin=None))
        # From here on the names of the upstream's fields are known.
        greet(gateway)
        return gateway

    return start


class Tap(Process):
    """`headgate tap` once every worker taps."""

    def __init__(self, gateway, *flags):
        host, port = gateway.admin_address
        super().__init__(HEADGATE, "tap", "--admin", f"http://{host}:{port}",
                         *flags)
        eventually(lambda: "tapping" in self.stderr() or not self.running(),
                   "tapping")
        assert self.running(), self.stderr()

    def events(self, count, **members):
        """The first `count` events that have these members."""

        def found():
            events = [json.loads(line) for line in self.stdout().splitlines()]
            events = [event for event in events
                      if members.items() <= event.items()]
            return events if len(events) >= count else None

        return eventually(found, f"{count} events {members}")


@pytest.fixture
def tap(stack):
    return lambda *words: stack.enter_context(Tap(*words))


def greet(gateway, path=HELLO + "SayHello", **options):
    return call_json(gateway, path, {"greeting": "s3cret"}, **options)


def grpc_frame(message):
    return struct.pack(">BI", 0, len(message)) + message


def over_connect(gateway, body, status=200):
    connection = http.client.HTTPConnection(
        gateway.host, gateway.port, timeout=TIMEOUT)
    connection.request("POST", HELLO + "SayHello", body,
                       {"content-type": "application/json"})
    assert connection.getresponse().status == status
    connection.close()


def test_a_listener_serves_no_tap_unless_it_is_told_to(serve):
    gateway = serve()
    assert gateway.admin("/tap")[0] == 404
    host, port = gateway.admin_address
    result = run("tap", "--admin", f"http://{host}:{port}")
    assert result.returncode == 1
    assert b"does not serve tap" in result.stderr


@pytest.mark.parametrize("words", [["tap"], ["explain", "/hello"]])
def test_where_no_gateway_is_the_address_is_told(words):
    result = run(*words, "--admin", "http://127.0.0.1:1")
    assert result.returncode != 0
    assert (b"no admin listener at 127.0.0.1:1 (--admin): cannot connect: "
            b"Connection refused") in result.stderr


def test_messages_go_by_without_their_values(serve, tap):
    gateway = serve(", tap")
    tapping = tap(gateway, "--json")
    greet(gateway, headers=[("Authorization", "Bearer t0ken")])
    request, = tapping.events(1, event="request")
    response, = tapping.events(1, event="response")
    ended, = tapping.events(1, event="ended")
    assert request["message"] == {"greeting": "<string 6>"}
    assert response["message"] == {"reply": "<string 13>"}
    assert request["method"] == "headgate.demo.v1.HelloService/SayHello"
    assert (ended["close"], ended["status"]) == (1000, "OK")
    assert request["session"] == response["session"] == ended["session"]
    assert "s3cret" not in tapping.stdout()
    assert "t0ken" not in tapping.stdout()


def test_values_need_a_permission_of_their_own(serve, tap):
    gateway = serve(", tap")
    status, text = gateway.admin("/tap?payload=shown")
    assert (status, "tap-payloads" in text) == (403, True)
    assert gateway.admin("/tap?payload=raw")[0] == 403
    assert gateway.admin("/tap?sample=0")[0] == 400

    gateway = serve(", tap, tap-payloads", name="open.yaml")
    tapping = tap(gateway, "--show-payload", "--json")
    greet(gateway)
    request, = tapping.events(1, event="request")
    assert request["message"] == {"greeting": "s3cret"}


def test_protobuf_and_other_dialects_are_decoded(serve, tap):
    gateway = serve(", tap, tap-payloads")
    tapping = tap(gateway, "--show-payload", "--json")
    greet(gateway)  # The gateway knows the descriptors from now on.
    with Client(gateway, HELLO + "SayHello", PROTOBUF) as client:
        client.send(b"\x0a\x03ann")
        client.receive_all()
    request, = tapping.events(1, event="request", codec="protobuf")
    assert request["message"] == {"greeting": "ann"}

    over_connect(gateway, b'{"greeting":"bob"}')
    request, end = tapping.events(2, event="request", codec="connect")
    assert request["message"] == {"greeting": "bob"}
    assert end["half_close"]


def test_filters_choose_whole_sessions(serve, tap):
    gateway = serve(", tap")
    by_route = tap(gateway, "--json", "--route", "/hello")
    by_method = tap(gateway, "--json", "--method",
                    "headgate.demo.v1.HelloService/LotsOfReplies")
    greet(gateway)
    greet(gateway, path="/hello")
    call_json(gateway, HELLO + "LotsOfReplies", {"greeting": "ann"})
    by_route.events(1, event="ended")
    by_method.events(1, event="ended")
    assert {event["route"] for event in by_route.events(4)} == {"/hello"}
    assert {event["method"] for event in by_method.events(4)} == {
        "headgate.demo.v1.HelloService/LotsOfReplies"}


def test_a_session_that_is_open_already_can_be_chosen_by_its_id(serve, tap):
    gateway = serve(", tap")
    with Client(gateway, HELLO + "BidiHello", JSON) as client, \
            Client(gateway, HELLO + "BidiHello", JSON) as other:
        session = gateway.sessions()[0]
        tapping = tap(gateway, "--json", "--session", session["id"])
        for one in (client, other):
            one.send({"greeting": "ann"})
            one.receive()
        tapping.events(1, event="response")
        assert len(tapping.events(1, event="request")) == 1


def test_people_read_a_line_for_each_event(serve, tap):
    gateway = serve(", tap")
    tapping = tap(gateway, "--count", "2")
    greet(gateway)
    tapping.wait()
    assert re.search(r'^\d\d:\d\d:\d\d\.\d+ \w{8} \S+ > json 22 '
                     r'\{"greeting":"<string 6>"\}$',
                     tapping.stdout(), re.MULTILINE), tapping.stdout()


# A reader that takes nothing holds up no session, and costs a bounded amount.
def test_who_reads_nothing_holds_up_nobody(serve):
    gateway = serve(", tap")
    before = gateway.rss()
    reader = socket.socket()
    limit_buffers(reader)
    reader.connect(gateway.admin_address)
    reader.sendall(b"GET /tap?rate=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert reader.recv(12) == b"HTTP/1.1 200"
    with Client(gateway, HELLO + "BidiHello", JSON) as client:
        for _ in range(2000):
            client.send({"greeting": "x" * 2000})
            client.receive()
    # Sanitizers keep what is freed.
    if not sanitized():
        assert gateway.rss() - before < 64 * 1024 * 1024
    # Who is this slow for long is given up; on a slow machine that is now.
    is_given_up = gateway.metric("headgate_taps") == 0
    dropped = gateway.metric("headgate_tap_events_dropped_total")
    assert dropped > 0 or is_given_up
    reader.close()
    eventually(lambda: gateway.metric("headgate_taps") == 0, "no tap")
    assert gateway.metric("headgate_tap_events_dropped_total") >= dropped
    greet(gateway)


def test_too_many_taps_are_refused(serve, tap):
    gateway = serve(", tap")
    taps = [tap(gateway) for _ in range(4)]
    assert gateway.admin("/tap")[0] == 503
    taps[0].stop()

    def is_served():
        with socket.create_connection(gateway.admin_address) as reader:
            reader.sendall(b"GET /tap HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return reader.recv(12) == b"HTTP/1.1 200"

    eventually(is_served, "room for another tap")


def test_a_gateway_stops_while_it_is_tapped(serve, tap):
    gateway = serve(", tap")
    tapping = tap(gateway)
    gateway.stop()
    tapping.wait()


# --- Recordings ---

def record(gateway, tap, file, conversation, sessions=1):
    recording = tap(gateway, "--record", file)
    conversation()
    eventually(lambda: file.read_text().count('"event":"ended"') == sessions,
               f"the ends of {sessions} sessions")
    recording.stop()


def replay(file, gateway, *flags):
    return run("replay", *flags, file, f"ws://{gateway.host}:{gateway.port}")


def packet(kind, who, content):
    return struct.pack(">III", kind, len(content), who) + content


def test_a_replay_against_the_same_differs_in_nothing(serve, tap, tmp_path):
    gateway = serve(", tap, tap-payloads")
    file = tmp_path / "recording.jsonl"

    def conversation():
        greet(gateway)
        call_json(gateway, HELLO + "LotsOfReplies", {"greeting": "ann"})
        with Client(gateway, HELLO + "BidiHello", JSON) as client:
            for name in ("ann", "bob"):
                client.send({"greeting": name})
                client.receive()
            client.half_close()
            client.receive_all()
        with Client(gateway, "/packets", PACKET) as client:
            client.send(packet(1, 0, b"one") + packet(2, 0, b"two"))
            client.receive()

    record(gateway, tap, file, conversation, sessions=4)
    assert file.stat().st_mode & 0o777 == 0o600
    result = replay(file, gateway)
    assert result.stdout == b"", result.stdout
    assert b"4 sessions, " in result.stderr, result.stderr
    assert result.returncode == 0
    assert replay(file, gateway, "--timing").returncode == 0


def test_a_replay_tells_what_differs(serve, tap, tmp_path):
    gateway = serve(", tap, tap-payloads")
    file = tmp_path / "recording.jsonl"
    record(gateway, tap, file, lambda: greet(gateway))
    file.write_text(file.read_text().replace("hello, s3cret", "hi"))
    result = replay(file, gateway)
    assert result.returncode == 1
    assert b'response 1: recorded {"reply":"hi"}, now {"reply":"hello, s3cret"}' \
        in result.stdout
    assert replay(file, gateway, "--ignore", "reply").returncode == 0


# Their messages are made again over a WebSocket: a call by HTTP rules, calls of
# other gateways' clients, one that fails, one of several requests.
def test_calls_over_plain_http_are_made_again(serve, tap, tmp_path):
    gateway = serve(", tap, tap-payloads", rules=True)
    file = tmp_path / "recording.jsonl"

    def http_get(path, status):
        connection = http.client.HTTPConnection(
            gateway.host, gateway.port, timeout=TIMEOUT)
        connection.request("GET", path)
        response = connection.getresponse()
        assert (response.status, bool(response.read())) == (status, True)
        connection.close()

    def conversation():
        http_get("/v1/shelves/classics/books/dune?read_mask=title", 200)
        http_get("/v1/shelves/classics/books/none", 404)
        over_connect(gateway, b'{"greeting":"bob"}')
        with Client(gateway, HELLO + "LotsOfGreetings",
                    "grpc-websockets") as client:
            client.send(b"content-type: application/grpc-web+proto\r\n")
            for name in (b"ann", b"bob"):
                client.send(b"\0" + grpc_frame(b"\x0a\x03" + name))
            client.send(b"\1")
            client.receive_all()

    record(gateway, tap, file, conversation, sessions=4)
    result = replay(file, gateway)
    assert result.stdout == b"", result.stdout
    assert re.search(rb"4 sessions, \d+ requests, 3 responses, 0 differences; "
                     rb"0 sessions left out", result.stderr), result.stderr
    assert result.returncode == 0

    recorded = file.read_text()
    file.write_text(recorded.replace("Dune", "Doom")
                    .replace('"close":4005', '"close":4007'))
    result = replay(file, gateway)
    assert result.returncode == 1
    assert b'recorded {"title":"Doom"}, now {"title":"Dune"}' in result.stdout
    assert b"recorded Close 4007, now 4005" in result.stdout
    assert b"2 differences" in result.stderr, result.stderr

    # Without their JSON, as where no descriptors were known.
    events = [json.loads(line) for line in recorded.splitlines()]
    for event in events:
        event.pop("text", None)
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    result = replay(file, gateway)
    assert (result.returncode, result.stdout) == (0, b"")
    assert b"4 sessions, " in result.stderr, result.stderr


def test_a_recording_that_cannot_be_sent_again_is_no_success(
        serve, tap, tmp_path):
    gateway = serve(", tap, tap-payloads")
    file = tmp_path / "recording.jsonl"
    record(gateway, tap, file,
           lambda: over_connect(gateway, b"no JSON", status=400))
    with file.open("a") as more:
        more.write('{"event":"request","session":"older","text":"{}"}\n')
    result = replay(file, gateway)
    assert result.returncode == 2
    assert b"2 sessions left out (begun before the recording: 1, " \
        b"without a message: 1)" in result.stderr, result.stderr


def test_what_is_no_recording_is_told_with_its_line(serve, tmp_path):
    gateway = serve()
    file = tmp_path / "recording.jsonl"
    file.write_text('{"event":"dropped","count":1}\nnothing\n')
    result = replay(file, gateway)
    assert result.returncode == 2
    assert b"recording.jsonl:2: is no line" in result.stderr
    assert run("replay", file, "http://localhost").returncode == 64


NOBODY = "ws://127.0.0.1:1"


@pytest.mark.parametrize("make, why", [
    (os.mkfifo, b"it is a FIFO"),
    (os.mkdir, b"it is a directory"),
    (lambda path: path.symlink_to("/dev/zero"), b"it is a device"),
    (lambda path: None, b"No such file"),
])
def test_a_recording_is_a_regular_file(tmp_path, make, why):
    file = tmp_path / "recording.jsonl"
    make(file)
    result = run("replay", file, NOBODY)
    assert result.returncode == 2
    assert str(file).encode() in result.stderr and why in result.stderr


@pytest.mark.parametrize("text", ["", "\n", '{"event":"tapping"}\n'])
def test_a_recording_without_sessions_is_no_success(tmp_path, text):
    file = tmp_path / "recording.jsonl"
    file.write_text(text)
    result = run("replay", file, NOBODY)
    assert result.returncode == 2
    assert b"0 sessions" in result.stderr, result.stderr


# Nobody is asked, as nobody could be reached.
@pytest.mark.parametrize("path", [
    "/x HTTP/1.1\r\nX-Evil: 1\r\n", "/a b", "/a\tb", "/a\0b", "x", "@evil:1/x",
    "/\x1b[2J", "/\u202e"])
def test_a_path_that_is_none_is_not_sent(tmp_path, path):
    file = tmp_path / "recording.jsonl"
    file.write_text(json.dumps({
        "event": "opened", "session": "a" * 16, "path": path,
        "subprotocol": JSON}) + "\n")
    result = run("replay", file, NOBODY)
    assert result.returncode == 2
    assert b"1 sessions left out (its path is not valid: 1)" in result.stderr, (
        result.stderr)


def test_a_recording_cannot_control_the_terminal(serve, tmp_path):
    gateway = serve()
    file = tmp_path / "recording.jsonl"
    session = "\x1b[2J\u202e\n"
    file.write_text("".join(json.dumps(dict(event, session=session)) + "\n"
                            for event in (
        {"event": "opened", "path": HELLO + "SayHello", "subprotocol": JSON},
        {"event": "request", "text": '{"greeting":"ann"}'},
        {"event": "response", "text": "\x1b[31m"})))
    result = replay(file, gateway)
    assert result.returncode == 1
    assert result.stdout.startswith(b"\\x1b[2J\\u202e"), result.stdout
    assert b"\x1b" not in result.stdout
    assert result.stdout.count(b"\n") == 1


# --- /explain ---

def test_a_running_gateway_explains_what_it_would_do(serve):
    gateway = serve()
    greet(gateway)
    status, text = gateway.admin(
        "/explain?url=%2Fhello&header=Sec-WebSocket-Protocol%3A%20Bearer")
    assert status == 200
    facts = json.loads(text)
    assert facts["outcome"] == "refused"
    assert facts["refusal"]["reason"] == "credentials"

    host, port = gateway.admin_address
    result = run("explain", "--admin", f"http://{host}:{port}", "/hello")
    assert result.returncode == 0, result.stderr
    assert b"unary" in result.stdout
    assert gateway.admin("/explain?url=ftp%3A%2F%2Fx")[0] == 400
