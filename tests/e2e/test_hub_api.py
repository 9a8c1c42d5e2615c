"""The hub API: messages to the sessions of hubs from processes that hold no
stream (docs/hub-api.md)."""

import contextlib
import http.client
import json
import queue
import re
import resource
import socket
import struct
import subprocess
import threading
import types
from concurrent import futures

import grpc
import pytest
from google.protobuf import duration_pb2, timestamp_pb2

from certificates import Authority
from client import JSON, PACKET, RAW, Client
from harness import HEADGATE, TIMEOUT, eventually, sanitized
from http2_wire import (ACK, DATA, END_HEADERS, END_STREAM, HEADERS,
                        INITIAL_WINDOW_SIZE, PING, SETTINGS, WINDOW_UPDATE,
                        H2Client, H2Server, block, h2_frame, request_fields,
                        response_head, without_status)
from hub_backend import Command, HubBackend, api_pb, hub_pb, pb, text
from wire import RawClient

CONFIG = """
threads: 2
hub: {{api: {{address: "{address}", {api}}}}}
upstreams: [{{name: default, target: "{target}"}}]
routes:
  - {{template: "/rooms/{{room}}", hub: {{groups: ["room:{{room}}"]}}}}
  - {{path: /news, hub: {{groups: [news], admission: open}}}}
"""


def accept(event):
    """Lets everybody in, under the name that it has sent."""
    joined = event.joined
    return Command(accept=pb.Accept(
        who=event.who, user=joined.metadata.get("x-user", ""),
        data={"level": joined.metadata.get("x-level", "0")}))


class Api:
    """Calls to headgate.v1.HubService."""

    def __init__(self, address, credentials=None, token=None, options=()):
        self._metadata = [("authorization", f"Bearer {token}")] if token else []
        self._channel = (
            grpc.secure_channel(address, credentials, options) if credentials
            else grpc.insecure_channel(address, options))

    def __getattr__(self, method):
        request, response = {
            "Publish": (api_pb.PublishRequest, api_pb.PublishResponse),
            "Send": (api_pb.SendRequest, api_pb.SendResponse),
            "Close": (api_pb.CloseRequest, api_pb.CloseResponse),
            "Update": (api_pb.UpdateRequest, api_pb.UpdateResponse),
            "Join": (api_pb.MembershipRequest, api_pb.MembershipResponse),
            "Leave": (api_pb.MembershipRequest, api_pb.MembershipResponse),
            "GetSession": (api_pb.GetSessionRequest, hub_pb.SessionInfo),
            "ListSessions": (api_pb.ListSessionsRequest,
                             api_pb.ListSessionsResponse),
            "CountSessions": (api_pb.CountSessionsRequest,
                              api_pb.CountSessionsResponse),
            "GetHistory": (api_pb.GetHistoryRequest, api_pb.GetHistoryResponse),
        }[method]
        call = self._channel.unary_unary(
            f"/headgate.v1.HubService/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString)
        return lambda **fields: call(request(**fields), timeout=TIMEOUT,
                                     metadata=self._metadata,
                                     wait_for_ready=True)

    def publish(self, request):
        call = self._channel.unary_unary(
            "/headgate.v1.HubService/Publish",
            request_serializer=api_pb.PublishRequest.SerializeToString,
            response_deserializer=api_pb.PublishResponse.FromString)
        return call(request, timeout=TIMEOUT, metadata=self._metadata,
                    wait_for_ready=True)

    def publish_stream(self, requests):
        call = self._channel.stream_stream(
            "/headgate.v1.HubService/PublishStream",
            request_serializer=api_pb.PublishRequest.SerializeToString,
            response_deserializer=api_pb.PublishResponse.FromString)
        return call(requests, timeout=TIMEOUT, metadata=self._metadata)

    def watch(self, groups=()):
        call = self._channel.unary_stream(
            "/headgate.v1.HubService/Watch",
            request_serializer=api_pb.WatchRequest.SerializeToString,
            response_deserializer=api_pb.WatchEvent.FromString)
        return call(api_pb.WatchRequest(groups=groups),
                    metadata=self._metadata, wait_for_ready=True)

    def close_channel(self):
        self._channel.close()


@pytest.fixture
def hub():
    with HubBackend(accept) as backend:
        yield backend


@pytest.fixture
def start(configured, hub):
    """start(settings of `api:`) -> a gateway with the API."""
    return lambda api="", address="127.0.0.1:0", **options: configured(
        CONFIG.format(target=hub.target, api=api, address=address), **options)


@pytest.fixture
def gateway(start):
    return start()


def address_of(gateway):
    return gateway.wait_for_output(r"hub API on (\S+)\n")[1]


@pytest.fixture
def connect(stack):
    """connect(gateway, ...) -> an Api."""

    def connect_to(gateway, **options):
        api = Api(address_of(gateway), **options)
        stack.callback(api.close_channel)
        return api

    return connect_to


@pytest.fixture
def api(connect, gateway):
    return connect(gateway)


@pytest.fixture
def join(gateway, hub, stack):
    """join(path, *subprotocols) -> (client, session id)."""

    def join_path(path="/rooms/1", *subprotocols, user="", level=""):
        before = len(hub.of_kind("joined"))
        client = stack.enter_context(Client(
            gateway, path, *subprotocols,
            headers=[("Grpc-Metadata-X-User", user),
                     ("Grpc-Metadata-X-Level", level)]))
        joined = eventually(
            lambda: len(hub.of_kind("joined")) > before and
            hub.of_kind("joined")[before], "joined")
        return client, joined.joined.session.session

    return join_path


@contextlib.contextmanager
def fails(code, message=""):
    with pytest.raises(grpc.RpcError) as caught:
        yield
    assert caught.value.code() == code, caught.value.details()
    assert re.search(message, caught.value.details()), caught.value.details()


def everyone_in(room):
    return hub_pb.Audience(groups=[f"room:{room}"])


# --- Publish ---


def test_publish_reaches_the_members_of_a_group_in_every_codec(gateway, join,
                                                               api):
    raw, _ = join("/rooms/1", RAW)
    jsons, _ = join("/rooms/1", JSON)
    packets, _ = join("/rooms/1", PACKET)
    other, _ = join("/rooms/2", RAW)
    response = api.Publish(groups=["room:1"], payload=text('"hello"'))
    assert response.sessions == 3
    assert raw.receive() == '"hello"'
    assert jsons.receive() == '"hello"'
    assert packets.receive()[12:] == b'"hello"'
    assert api.Publish(groups=["room:2"], payload=text('"2"')).sessions == 1
    assert other.receive() == '"2"'
    assert gateway.metric("headgate_hub_api_requests_total", method="Publish",
                          code="OK") == 2


def test_publish_names_users_sessions_exceptions_and_filters(join, api):
    ann1, first = join(user="ann", level="1")
    ann2, second = join(user="ann", level="2")
    bob, third = join(user="bob", level="2")

    def count(**fields):
        return api.Publish(payload=text("x"), **fields).sessions

    assert count(users=["ann"]) == 2
    assert count(users=["ann", "bob"]) == 3
    assert count(sessions=[third]) == 1
    assert count(users=["ann"], sessions=[second, third]) == 1
    assert count(groups=["room:1"], except_sessions=[first]) == 2
    assert count(groups=["room:1"], filters=[hub_pb.DataFilter(
        key="level", op=hub_pb.DataFilter.EQUAL, values=["2"])]) == 2
    assert count(group="room:1", user="bob") == 1
    assert count(groups=["nobody"]) == 0
    for client, messages in ((ann1, 2), (ann2, 5), (bob, 5)):
        assert [client.receive() for _ in range(messages)] == ["x"] * messages


def test_a_route_limits_a_request(join, api):
    join("/rooms/1", user="ann")
    join("/news", user="ann")
    publish = {"users": ["ann"], "payload": text("x")}
    # The hub that lets in without asking knows no user.
    assert api.Publish(route="/rooms/{room}", **publish).sessions == 1
    assert api.Publish(route="/news", **publish).sessions == 0
    assert api.CountSessions(route="/news").sessions == 1
    assert api.CountSessions().sessions == 2
    with fails(grpc.StatusCode.NOT_FOUND, "there is no hub route \"/no\""):
        api.Publish(route="/no", **publish)


def test_requests_without_sense_are_refused(api):
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    with fails(invalid, "must name the receivers"):
        api.Publish(payload=text("x"))
    with fails(invalid, "payload: is missing"):
        api.Publish(groups=["a"])
    with fails(invalid, "payload: is missing"):
        api.Send(session="a")
    with fails(invalid, "to: names no sessions"):
        api.Close()
    with fails(invalid, "to: sessions have no numbers"):
        api.Close(to=hub_pb.Audience(whos=[1]))
    with fails(invalid, "code"):
        api.Close(all=True, code=1001)
    with fails(invalid, "groups: names none"):
        api.Join(to=everyone_in(1))


def test_a_request_with_a_field_that_is_not_known_is_refused(api):
    request = api_pb.PublishRequest(groups=["room:1"], payload=text("x"))
    request.MergeFromString(b"\x9a\x06\x02id")  # Field 99.
    with pytest.raises(grpc.RpcError) as error:
        api.publish(request)
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert error.value.details() == (
        "field 99 of headgate.v1.PublishRequest is not known to this gateway")


def test_a_publish_stream_is_answered_in_order(join, api):
    client, _ = join()
    count = 500

    def requests():
        for number in range(count):
            yield api_pb.PublishRequest(
                groups=[] if number == 7 else ["room:1"],
                payload=text(str(number)))

    responses = list(api.publish_stream(requests()))
    assert [response.status.code for response in responses] == [
        3 if number == 7 else 0 for number in range(count)]
    assert "must name the receivers" in responses[7].status.message
    assert [client.receive() for _ in range(count - 1)] == [
        str(number) for number in range(count) if number != 7]


def test_messages_of_api_and_stream_come_in_one_order_to_all(join, api, hub):
    clients = [join()[0] for _ in range(4)]
    for number in range(50):
        api.Publish(groups=["room:1"], payload=text(f"a{number}"))
        hub.send(Command(broadcast=pb.Broadcast(payload=text(f"b{number}"))))
    seen = [[client.receive() for _ in range(100)] for client in clients]
    assert seen[0] == seen[1] == seen[2] == seen[3]
    for letter in "ab":
        assert [message for message in seen[0] if message[0] == letter] == [
            f"{letter}{number}" for number in range(50)]


# --- One session ---


def test_send_finds_the_session_or_says_so(join, api):
    client, session = join()
    api.Send(session=session, payload=text("for you"))
    assert client.receive() == "for you"
    client.close(1000)
    missing = eventually(lambda: status_of(
        lambda: api.Send(session=session, payload=text("x"))), "NOT_FOUND")
    assert missing == grpc.StatusCode.NOT_FOUND


def status_of(call):
    """The code that it fails with, or None."""
    try:
        call()
        return None
    except grpc.RpcError as error:
        return error.code()


def test_close_says_goodbye(join, api):
    ann, _ = join(user="ann")
    bob, _ = join(user="bob")
    assert api.Close(to=hub_pb.Audience(users=["ann"]), code=4321,
                     reason="signed out", farewell=text("bye")).sessions == 1
    assert ann.receive() == "bye"
    assert ann.receive_close() == (4321, "signed out")
    assert api.Close(all=True).sessions == 1
    assert bob.receive_close()[0] == 1000


def test_send_waits_until_the_client_has_taken_it(join, api):
    client, session = join()
    wait = duration_pb2.Duration(seconds=60)
    api.Send(session=session, payload=text("x"), wait_sent=wait)
    assert client.receive() == "x"
    with fails(grpc.StatusCode.NOT_FOUND):
        api.Send(session="nobody", payload=text("x"), wait_sent=wait)
    for seconds in (-1, 61):
        with fails(grpc.StatusCode.INVALID_ARGUMENT, "wait_sent"):
            api.Send(session=session, payload=text("x"),
                     wait_sent=duration_pb2.Duration(seconds=seconds))


# The client reads nothing, and the message is longer than what the kernel
# holds; the policy may have closed the session by then.
def test_a_send_that_waits_in_vain_ends(start, connect, hub, stack):
    gateway = start()
    raw = stack.enter_context(RawClient(gateway, receive_buffer=4096))
    raw.upgrade("/rooms/1")
    session = hub.wait("joined").joined.session.session
    with pytest.raises(grpc.RpcError) as caught:
        connect(gateway).Send(
            session=session, payload=text("x" * (3 << 20)),
            wait_sent=duration_pb2.Duration(nanos=1000))
    assert caught.value.code() in (grpc.StatusCode.DEADLINE_EXCEEDED,
                                   grpc.StatusCode.UNAVAILABLE)


def test_the_gateway_stops_while_a_send_waits(start, connect, hub, stack):
    gateway = start()
    raw = stack.enter_context(RawClient(gateway, receive_buffer=4096))
    raw.upgrade("/rooms/1")
    session = hub.wait("joined").joined.session.session
    calls = stack.enter_context(futures.ThreadPoolExecutor(1))
    call = calls.submit(
        connect(gateway).Send, session=session, payload=text("x" * 250_000),
        wait_sent=duration_pb2.Duration(seconds=60))
    eventually(lambda: gateway.metric("headgate_hub_deliveries_total",
                                      route="/rooms/{room}") == 1, "sent")
    gateway.stop()
    call.exception()  # Or it was taken.


def test_sessions_are_closed_one_after_the_other(join, api):
    clients = [join()[0] for _ in range(3)]
    spread = duration_pb2.Duration(nanos=200 * 1000 * 1000)
    assert api.Close(to=everyone_in(1), reason="bye",
                     spread=spread).sessions == 3
    for client in clients:
        assert client.receive_close() == (1000, "bye")
    with fails(grpc.StatusCode.INVALID_ARGUMENT, "spread"):
        api.Close(all=True, spread=duration_pb2.Duration(seconds=3601))


def test_an_update_ends_sessions_at_their_time(join, api):
    client, session = join()
    to = hub_pb.Audience(sessions=[session])
    later = timestamp_pb2.Timestamp(seconds=4_000_000_000)
    assert api.Update(to=to, expires_at=later).sessions == 1
    assert api.GetSession(session=session).expires_at == later
    assert api.Update(to=to, expires_at=timestamp_pb2.Timestamp(
        seconds=1)).sessions == 1
    assert client.receive_close()[0] == 4016


def test_data_and_memberships_change(join, api):
    client, session = join(user="ann", level="1")
    to = hub_pb.Audience(sessions=[session])
    assert api.Update(to=to, set={"team": "red"}, unset=["level"]).sessions == 1
    assert api.Join(to=to, groups=["red", "all"]).sessions == 1
    assert api.Leave(to=to, groups=["room:1", "none"]).sessions == 1
    info = api.GetSession(session=session)
    assert dict(info.data) == {"team": "red"}
    assert sorted(info.groups) == ["all", "red"]
    assert (info.user, info.route, info.codec) == ("ann", "/rooms/{room}", "raw")
    assert api.Publish(groups=["red"], payload=text("x")).sessions == 1
    assert client.receive() == "x"
    with fails(grpc.StatusCode.NOT_FOUND):
        api.GetSession(session="nobody")


def test_sessions_are_counted_and_listed_in_pages(join, api):
    ids = sorted(join(f"/rooms/{number % 2}", user=f"u{number % 3}")[1]
                 for number in range(7))
    count = api.CountSessions()
    assert (count.sessions, count.users) == (7, 3)
    assert api.CountSessions(of=everyone_in(0)).sessions == 4
    listed, token = [], ""
    while True:
        page = api.ListSessions(page_size=3, page_token=token)
        listed.append([session.session for session in page.sessions])
        token = page.next_page_token
        if not token:
            break
    assert [len(page) for page in listed] == [3, 3, 1]
    assert sum(listed, []) == ids


# --- Who may ---


def test_a_token_opens_what_its_grant_names(start, connect, tmp_path):
    (tmp_path / "publisher.token").write_text("secret-p\n")
    (tmp_path / "operator.token").write_text("secret-o\n")
    gateway = start(
        "grants: [{token_file: publisher.token, methods: [Publish], "
        'groups: ["room:*"]}, '
        "{token_file: operator.token, methods: [CountSessions]}]")
    unknown = grpc.StatusCode.UNAUTHENTICATED
    denied = grpc.StatusCode.PERMISSION_DENIED
    hello = {"payload": text("x")}
    for token in (None, "secret", "secret-x"):
        with fails(unknown, "there is none for this client"):
            connect(gateway, token=token).Publish(groups=["room:1"], **hello)
    publisher = connect(gateway, token="secret-p")
    publisher.Publish(groups=["room:1", "room:2"], **hello)
    for request in ({"groups": ["room:1", "news"]}, {"users": ["ann"]}):
        with fails(denied):
            publisher.Publish(**request, **hello)
    with fails(denied, "may not call CountSessions"):
        publisher.CountSessions()
    responses = list(publisher.publish_stream(iter([
        api_pb.PublishRequest(groups=["news"], **hello),
        api_pb.PublishRequest(groups=["room:1"], **hello)])))
    assert [response.status.code for response in responses] == [7, 0]
    operator = connect(gateway, token="secret-o")
    operator.CountSessions()
    with fails(denied, "may not call Publish"):
        operator.Publish(groups=["room:1"], **hello)


def test_denied_requests_are_counted_by_method(start, connect, tmp_path):
    (tmp_path / "publisher.token").write_text("secret\n")
    gateway = start("grants: [{token_file: publisher.token, "
                    'methods: [Publish], groups: ["room:*"]}]')

    def denied(**labels):
        return gateway.metric("headgate_hub_api_denied_total", **labels)

    hello = {"payload": text("x")}
    publisher = connect(gateway, token="secret")
    publisher.Publish(groups=["room:1"], **hello)
    assert denied() == 0
    for _ in range(3):
        with fails(grpc.StatusCode.UNAUTHENTICATED):
            connect(gateway, token="other").Publish(groups=["room:1"], **hello)
    with fails(grpc.StatusCode.PERMISSION_DENIED):
        publisher.Publish(groups=["news"], **hello)
    assert denied(method="Publish") == 4
    for _ in range(2):
        with fails(grpc.StatusCode.PERMISSION_DENIED):
            publisher.CountSessions()
    assert denied(method="CountSessions") == 2
    # Each publication of a stream is a request of its own.
    list(publisher.publish_stream(iter([
        api_pb.PublishRequest(groups=["news"], **hello),
        api_pb.PublishRequest(groups=["room:1"], **hello)])))
    assert denied(method="Publish") == 5
    # Other failures are none.
    with fails(grpc.StatusCode.INVALID_ARGUMENT):
        publisher.Publish(groups=["room:1"])
    assert denied() == 7


def test_a_certificate_opens_what_its_grant_names(start, connect, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("localhost")
    gateway = start(
        f"tls: {{certificate: {certificate}, key: {key}, "
        f"client_ca: {authority.ca}}}, "
        'grants: [{subject: "CN=orders", methods: [Publish]}]')

    def client(name=None, of=authority):
        pair = of.issue(name) if name else (None, None)
        read = lambda path: path and path.read_bytes()
        return connect(
            gateway, credentials=grpc.ssl_channel_credentials(
                authority.ca.read_bytes(), read(pair[1]), read(pair[0])),
            options=[("grpc.ssl_target_name_override", "localhost")])

    hello = {"groups": ["room:1"], "payload": text("x")}
    orders = client("orders")
    orders.Publish(**hello)
    with fails(grpc.StatusCode.PERMISSION_DENIED, "may not call Close"):
        orders.Close(all=True)
    with fails(grpc.StatusCode.UNAUTHENTICATED):
        client("stranger").Publish(**hello)


# --- Other ways in ---


HTTP_CONFIG = CONFIG + """
  - {{prefix: /v1/hub, upstream: api, http_rules: true}}
"""


def test_http_and_json_lead_to_it(configured, hub, tmp_path, stack):
    socket = tmp_path / "hub.sock"
    gateway = configured(
        HTTP_CONFIG.replace("[{{name: default,",
                            '[{{name: api, target: "unix:%s"}}, '
                            "{{name: default," % socket)
        .replace("/rooms/{{room}}\",", "/rooms/{{room}}\", upstream: default,")
        .replace("path: /news,", "path: /news, upstream: default,")
        .format(target=hub.target, address=f"unix:{socket}", api=""))
    client = stack.enter_context(Client(gateway, "/rooms/5"))
    hub.wait("joined")

    def ask(method, target, body=None):
        connection = http.client.HTTPConnection(gateway.host, gateway.port,
                                                timeout=TIMEOUT)
        with contextlib.closing(connection):
            connection.request(method, target,
                               body and json.dumps(body).encode())
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    hello = {"payload": {"text": "hello"}}
    status, answer = eventually(
        lambda: (found := ask("POST", "/v1/hub/groups/room:5:publish", hello))
        [0] != 503 and found, "descriptors of the API")
    assert (status, answer) == (200, {"sessions": "1"})
    assert client.receive() == "hello"
    status, answer = ask("GET", "/v1/hub/sessions?of.groups=room:5")
    assert status == 200
    session = answer["sessions"][0]["session"]
    assert ask("GET", f"/v1/hub/sessions/{session}")[1]["groups"] == ["room:5"]
    assert ask("GET", "/v1/hub/sessions:count")[1]["sessions"] == "1"
    assert ask("GET", "/v1/hub/sessions/nobody")[0] == 404
    assert ask("POST", "/v1/hub/sessions:publish", hello)[0] == 400
    assert ask("POST", "/v1/hub/sessions:close", {"all": True}) == (
        200, {"sessions": "1"})
    assert client.receive_close()[0] == 1000


def headgate(*words, stdin=""):
    """(exit status, stdout, stderr)"""
    done = subprocess.run([HEADGATE, *words], input=stdin, text=True,
                          timeout=TIMEOUT, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_command_line_publishes_and_lists(join, gateway):
    client, session = join("/rooms/5", user="ann")
    at = ("--address", address_of(gateway))
    assert headgate("publish", *at, "room:5", "hello") == (0, "1 session\n", "")
    assert client.receive() == "hello"
    assert headgate("publish", *at, "room:5", stdin="a\nb\n") == (
        0, "1 session\n1 session\n", "")
    assert [client.receive(), client.receive()] == ["a", "b"]
    assert headgate("publish", *at, "--user", "ann", "to ann")[0] == 0
    assert client.receive() == "to ann"
    assert headgate("publish", *at, "room:5", "x", "--except", session)[1] == (
        "0 sessions\n")
    status, listed, _ = headgate("sessions", *at, "--group", "room:5")
    assert status == 0 and listed.split()[0] == session
    assert "  ann  room:5\n" in listed
    assert json.loads(headgate("sessions", *at, "--json")[1])["session"] == (
        session)
    assert headgate("sessions", *at, "--count")[1] == "1 sessions, 1 users\n"
    assert headgate("sessions", *at, "--user", "ann", "--close", "out")[1] == (
        "1 closed\n")
    assert client.receive_close() == (1000, "out")
    status, _, errors = headgate("sessions", *at, "--close", "all of them")
    assert status == 1 and "to: names no sessions" in errors


def test_the_command_line_says_what_is_wrong(gateway):
    status, _, errors = headgate("publish", "--timeout", "1s", "--address",
                                 "127.0.0.1:1", "a", "b")
    assert status == 1 and "UNAVAILABLE" in errors
    assert headgate("publish")[0] == 64
    assert headgate("publish", "--token-file", "/nowhere", "a", "b")[0] == 64
    for address in ("", "127.0.0.1:99999", "127.0.0.1:0", ":9902", "nowhere"):
        status, _, errors = headgate("publish", "--address", address, "a", "b")
        assert status == 64 and "HOST:PORT" in errors, address
    for words in (("room\udcff", "b"), ("--user", "t\udcff", "b")):
        status, _, errors = headgate("publish", *words)
        assert status == 64 and "UTF-8" in errors


def test_what_follows_two_dashes_is_not_a_flag(join, gateway):
    client, _ = join("/rooms/5")
    at = ("--address", address_of(gateway))
    assert headgate("publish", *at, "room:5", "--", "-x")[0] == 0
    assert client.receive() == "-x"


def test_a_line_that_is_too_long_is_left_out(join, gateway):
    client, _ = join("/rooms/5")
    status, _, errors = headgate("publish", "--address", address_of(gateway),
                                 "room:5", stdin="x" * (5 << 20) + "\nnext\n")
    assert status == 1 and "4 MiB" in errors
    assert client.receive() == "next"


COMMANDS = [("sessions",), ("sessions", "--count"),
            ("sessions", "--group", "g", "--close", "out"),
            ("publish", "g", "hello"), ("publish", "g")]


# What has the API's address may be no gateway.
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_command_line_survives_a_call_without_a_status(words):
    with H2Server(without_status) as server:
        status, _, errors = headgate(*words, "--address", server.target,
                                     stdin="a\n")
    assert status == 1
    assert errors.startswith(f"headgate {words[0]}: UNKNOWN: "), errors


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_status_cannot_control_the_terminal(words):
    def refuse(stream):
        return response_head(
            stream, ("grpc-status", "7"),
            ("grpc-message", "%1B[2J%0D%0Aheadgate: fine%E2%80%AE"),
            end_stream=True)

    with H2Server(refuse) as server:
        status, _, errors = headgate(*words, "--address", server.target,
                                     stdin="a\n")
    assert status == 1
    assert errors == (f"headgate {words[0]}: PERMISSION_DENIED: "
                      "\\x1b[2J\\x0d\\x0aheadgate: fine\\u202e\n")


def test_names_of_sessions_cannot_control_the_terminal():
    evil = "\x1b[2J\n"
    page = api_pb.ListSessionsResponse(sessions=[hub_pb.SessionInfo(
        session=evil, route=evil, codec=evil, peer=evil, user=evil,
        groups=[evil])]).SerializeToString()

    def list_them(stream):
        return (response_head(stream) +
                h2_frame(DATA, 0, stream,
                         struct.pack(">BI", 0, len(page)) + page) +
                h2_frame(HEADERS, END_HEADERS | END_STREAM, stream,
                         block(("grpc-status", "0"))))

    with H2Server(list_them) as server:
        status, listed, errors = headgate("sessions", "--address",
                                          server.target)
    assert (status, errors) == (0, "")
    assert "\x1b" not in listed and listed.count("\n") == 1
    assert listed.count("\\x1b[2J\\x0a") == 6


# --- The process ---


def test_an_address_in_use_is_said_at_the_start(gateway, hub, tmp_path):
    file = tmp_path / "second.yaml"
    file.write_text('listeners: [{address: "127.0.0.1:0"}]\n'
                    "admin: {enabled: false}\n" +
                    CONFIG.format(target=hub.target, api="",
                                  address=address_of(gateway)))
    status, _, errors = headgate("serve", "--config", str(file))
    assert status == 1 and "hub.api.address" in errors


def test_a_socket_file_in_use_stays_the_others(start, connect, hub, tmp_path):
    path = tmp_path / "api.sock"
    gateway = start(address=f"unix:{path}")
    api = connect(gateway)
    assert api.CountSessions().sessions == 0
    file = tmp_path / "second.yaml"
    file.write_text('listeners: [{address: "127.0.0.1:0"}]\n'
                    "admin: {enabled: false}\n" +
                    CONFIG.format(target=hub.target, api="",
                                  address=f"unix:{path}"))
    status, _, errors = headgate("serve", "--config", str(file))
    assert status == 1 and "in use" in errors and "hub.api.address" in errors
    assert path.exists()
    assert connect(gateway).CountSessions().sessions == 0
    gateway.stop()
    assert not path.exists()


# Of 512 descriptors the API's connections may take 64.
def test_idle_connections_leave_descriptors_for_others(start, connect, stack,
                                                       hub):
    gateway = start(preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (512, 512)))
    host, _, port = address_of(gateway).rpartition(":")
    for _ in range(600):
        stack.enter_context(socket.create_connection((host, int(port))))
    # A client of the hub, and one of the API, for which a quiet one is closed.
    client = stack.enter_context(Client(gateway, "/rooms/1"))
    hub.wait("joined")
    assert connect(gateway).Publish(groups=["room:1"],
                                    payload=text("x")).sessions == 1
    assert client.receive() == "x"


# They may be opened by anybody, while a call is quiet.
def test_silent_connections_replace_each_other_and_no_call(start, connect,
                                                           stack):
    gateway = start(preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (512, 512)))
    host, _, port = address_of(gateway).rpartition(":")
    requests = queue.SimpleQueue()
    stack.callback(requests.put, None)
    responses = connect(gateway).publish_stream(iter(requests.get, None))

    def publish():
        requests.put(api_pb.PublishRequest(groups=["a"], payload=text("x")))
        return next(responses).status.code

    assert publish() == 0

    def open_another():
        return stack.enter_context(socket.create_connection((host, int(port))))

    first = open_another()
    first.setblocking(False)

    def is_replaced():
        open_another()
        with contextlib.suppress(BlockingIOError):
            return first.recv(65536) == b""

    eventually(is_replaced, "the first one is closed for another")
    assert publish() == 0


def test_the_gateway_stops_with_streams_open(start, connect, hub):
    gateway = start()
    api = connect(gateway)
    held = Held()
    responses = api.publish_stream(held)
    assert next(responses).sessions == 0
    gateway.stop()
    with pytest.raises(grpc.RpcError):
        next(responses)
    held.end()


class Held:
    """One request, and then none for long."""

    def __init__(self):
        self._ended = threading.Event()
        self._first = True

    def __iter__(self):
        return self

    def __next__(self):
        if self._first:
            self._first = False
            return api_pb.PublishRequest(groups=["a"], payload=text("x"))
        self._ended.wait()
        raise StopIteration

    def end(self):
        self._ended.set()


def send_half(address, calls):
    """Sends most of `calls` messages of 4 MiB to a method of the API, over one
    connection without a token, as far as it is taken."""
    host, _, port = address.rpartition(":")
    client = H2Client(types.SimpleNamespace(host=host, port=int(port)))
    size = 4 << 20
    fields = request_fields("POST", "/headgate.v1.HubService/Publish",
                            ("content-type", "application/grpc"),
                            ("te", "trailers"))
    left, window, initial = {}, {0: 65535}, 65535
    # The gateway may end the connection, or take no more.
    with contextlib.suppress(OSError, EOFError):
        for _ in range(calls):
            stream = client.open(fields, end_stream=False)
            client.send_h2(DATA, 0, stream, struct.pack(">BI", 0, size))
            left[stream] = size - 4096
            window[stream] = initial - 5
            window[0] -= 5
        client.set_timeout(1)
        while any(left.values()):
            sendable = [stream for stream in left
                        if min(left[stream], window[stream], window[0]) > 0]
            for stream in sendable:
                length = min(left[stream], window[stream], window[0], 16384)
                if length <= 0:
                    continue
                client.send_h2(DATA, 0, stream, b"x" * length)
                left[stream] -= length
                window[stream] -= length
                window[0] -= length
            if sendable:
                continue
            frame = client.read_h2()
            if frame.type == WINDOW_UPDATE:
                window[frame.stream] = window.get(frame.stream, initial) + (
                    struct.unpack(">I", frame.payload)[0])
            elif frame.type == SETTINGS and not frame.flags & ACK:
                values = dict(struct.iter_unpack(">HI", frame.payload))
                new = values.get(INITIAL_WINDOW_SIZE, initial)
                for stream in left:
                    window[stream] += new - initial
                initial = new
                client.send_h2(SETTINGS, ACK)
            elif frame.type == PING and not frame.flags & ACK:
                client.send_h2(PING, ACK, payload=frame.payload)
    return client


# A caller is known only when its message is whole.
@pytest.mark.skipif(sanitized(), reason="its memory is the sanitizer's")
def test_half_sent_requests_do_not_take_all_memory(start, connect, tmp_path,
                                                   stack):
    (tmp_path / "token").write_text("sesame")
    gateway = start(f"grants: [{{token_file: {tmp_path}/token, "
                    "methods: [Publish]}]")
    before = gateway.rss()
    for _ in range(5):  # 800 MiB in all.
        stack.callback(send_half(address_of(gateway), 40).close)
    assert gateway.rss() - before < 600 << 20
    # Others are served.
    api = connect(gateway, token="sesame")
    assert api.Publish(groups=["room:1"], payload=text("x")).sessions == 0


# Its window is closed.
def test_responses_that_are_not_read_are_bounded(gateway, api, join):
    for _ in range(20):
        join(level="x" * 3000)
    full = api.ListSessions(of={"groups": ["room:1"]}, page_size=1000)
    size = full.ByteSize()
    assert size > 20 * 3000
    enough = 2 * (32 << 20) // size
    host, _, port = address_of(gateway).rpartition(":")
    address = types.SimpleNamespace(host=host, port=int(port))
    path = "/headgate.v1.HubService/ListSessions"
    message = api_pb.ListSessionsRequest(of={"groups": ["room:1"]},
                                         page_size=1000).SerializeToString()
    fields = request_fields("POST", path, ("content-type", "application/grpc"),
                            ("te", "trailers"))
    with contextlib.ExitStack() as clients:
        sent = 0
        while sent < enough:
            client = clients.enter_context(
                H2Client(address, settings=[(INITIAL_WINDOW_SIZE, 0)]))
            for _ in range(100):
                stream = client.open(fields, end_stream=False)
                client.send_h2(DATA, END_STREAM, stream,
                               struct.pack(">BI", 0, len(message)) + message)
                sent += 1

        def refused():
            try:
                api.ListSessions(of={"groups": ["room:1"]}, page_size=1000)
            except grpc.RpcError as error:
                return error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            return False

        eventually(refused, "no more responses wait")
    eventually(lambda: not refused(), "there is room again")
