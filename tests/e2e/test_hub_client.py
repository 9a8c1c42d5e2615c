"""Clients of hubs that join groups and publish by themselves: the subprotocols
headgate.hub.json.v1 and headgate.hub.protobuf.v1 (docs/hub.md, "Clients that
join and publish")."""

import base64
import json
import re
import time

import pytest

from client import HUB_JSON, HUB_PROTOBUF, JSON, Client, refusal
from harness import ROOT, eventually
from hub_backend import (Command, HubBackend, accept, client_pb, hub_pb, pb,
                         text, timestamp)
from nats import Nats
from test_hub_nats import Replica
from test_hub_packets import PacketBackend

CONFIG = """
threads: 2
upstreams: [{{name: default, target: "{target}"}}]
routes:
  - path: /hub
    hub:
      groups: [all]
      admission: open
      client_join: ["room:*", lobby]
      client_join_ask: ["vip:*"]
      admission_timeout: {patience}
      client_publish: ["room:*", all]
      {hub}
  - {{path: /expiring, token: {{expiry: close}}, hub: {{admission: open}}}}
  - {{path: /closed, hub: {{admission: open}}}}
  - {{path: /asking, hub: {{}}}}
  - {{path: /narrow, allowed_codecs: [raw, packet], hub: {{}}}}
  - {{path: /call, method: a.S/M}}
"""


@pytest.fixture
def hub():
    with HubBackend() as backend:
        yield backend


@pytest.fixture
def start(configured, hub):
    return lambda settings="", patience="60s": configured(
        CONFIG.format(target=hub.target, hub=settings, patience=patience))


@pytest.fixture
def gateway(start):
    return start()


@pytest.fixture
def connect(gateway, stack):
    """connect(path, subprotocol) -> (client, session id)."""

    def connect_to(path="/hub", subprotocol=HUB_JSON):
        client = stack.enter_context(Client(gateway, path, subprotocol))
        assert client.subprotocol == subprotocol
        return client, receive(client)["welcome"]["session"]

    return connect_to


def receive(client):
    """A frame of either form, as JSON has it."""
    message = client.receive()
    if isinstance(message, str):
        return json.loads(message)
    frame = client_pb.HubServerFrame.FromString(message)
    kind = frame.WhichOneof("kind")
    if kind == "welcome":
        return {"welcome": {"session": frame.welcome.session}}
    return frame


def request(client, **frame):
    """Sends a frame of a JSON client, and returns the response."""
    client.send(frame)
    response = receive(client)
    assert response.pop("id") == frame["id"]
    return response


def delivery(payload, group=""):
    frame = {"payload": payload}
    if group:
        frame["group"] = group
    return {"delivery": frame}


def test_a_client_joins_publishes_and_leaves(connect):
    ann, _ = connect()
    bob, _ = connect()
    assert request(ann, id=1, join={"group": "room:5"}) == {
        "joined": {"group": "room:5"}}
    assert request(bob, id=7, join={"group": "room:5"}) == {
        "joined": {"group": "room:5"}}
    ann.send({"publish": {"group": "room:5", "payload": {"n": [1, "x"]}}})
    for client in (ann, bob):
        assert receive(client) == delivery({"n": [1, "x"]}, "room:5")
    # Without an echo, and with an `id` for the outcome.
    assert request(ann, id=2, publish={
        "group": "room:5", "payload": 2, "noEcho": True}) == {"ok": True}
    assert receive(bob) == delivery(2, "room:5")
    assert request(bob, id=8, leave="room:5") == {"left": "room:5"}
    assert request(ann, id=3, publish={"group": "room:5", "payload": 3,
                                       "no_echo": True}) == {"ok": True}
    bob.send({"publish": {"group": "all", "payload": 4}})
    assert receive(bob) == delivery(4, "all")
    assert receive(ann) == delivery(4, "all")


def test_payloads_are_for_the_backend(connect, hub):
    client, session = connect()
    assert hub.wait("joined").joined.session.session == session
    assert hub.wait("joined").joined.session.codec == "hub-json"
    client.send('{"payload": {"a":  1.50}}')
    assert hub.wait("message").message.payload.text == '{"a":  1.50}'
    assert request(client, id=5, payload=None) == {"ok": True}
    assert hub.wait("message", 2)[1].message.payload.text == "null"
    assert request(client, id=6, halfClose=True) == {"ok": True}
    who = hub.wait("joined").who
    hub.send(Command(send=pb.Send(who=who, payload=text("[1]"))))
    assert receive(client) == delivery([1])
    hub.send(Command(broadcast=pb.Broadcast(
        to=hub_pb.Audience(groups=["room:1", "all"]), payload=text("2"))))
    assert receive(client) == delivery(2, "all")
    hub.send(Command(close=pb.Close(
        to=hub_pb.Audience(whos=[who]), code=4005, reason="bye",
        farewell=text("3"))))
    messages, ending = client.receive_all()
    assert [json.loads(message) for message in messages] == [
        delivery(3), {"end": {"code": 5, "message": "bye"}}]
    assert ending == (4005, "bye")


def test_the_same_in_protobuf(connect, hub):
    client, session = connect(subprotocol=HUB_PROTOBUF)
    assert hub.wait("joined").joined.session.session == session

    def send(**fields):
        client.send(client_pb.HubClientFrame(**fields).SerializeToString())

    send(id=1, join=client_pb.HubClientFrame.JoinGroup(
        group="lobby", after=hub_pb.Position(epoch="e", offset=3)))
    joined = receive(client)
    # Nothing is stored, so that nothing can be recovered.
    assert (joined.id, joined.joined.group) == (1, "lobby")
    assert not joined.joined.recovered and not joined.joined.HasField("position")
    send(publish=client_pb.HubClientFrame.Publish(
        group="all", payload=hub_pb.Payload(binary=b"\0\1")))
    frame = receive(client)
    assert frame.delivery.payload.binary == b"\0\1"
    assert frame.delivery.group == "all"
    send(payload=hub_pb.Payload(message=b"m"))
    assert hub.wait("message").message.payload.message == b"m"
    send(id=2, leave="lobby")
    assert receive(client).left == "lobby"
    client.send(b"\xff")
    messages, (code, _) = client.receive_all()
    end = client_pb.HubServerFrame.FromString(messages[-1]).end
    assert (end.code, code) == (3, 4003)


def test_what_is_not_allowed_fails_alone(connect):
    client, _ = connect()
    for frame in ({"join": {"group": "other"}}, {"leave": "all"},
                  {"publish": {"group": "lobby", "payload": 1}}):
        assert request(client, id=1, **frame)["error"]["code"] == 7, frame
    for group in ("", "room:" + 124 * "x"):
        response = request(client, id=2, join={"group": group})
        assert response["error"]["code"] == 3, group
    assert request(client, id=3, publish={"group": "room:1"})[
        "error"]["message"] == "payload: is missing"
    # Nobody hears of a failure without an `id`.
    client.send({"join": {"group": "other"}})
    closed, _ = connect("/closed")
    for frame in ({"join": {"group": "room:1"}}, {"leave": "room:1"},
                  {"publish": {"group": "room:1", "payload": 1}}):
        assert request(closed, id=1, **frame)["error"]["code"] == 7, frame
    # The session is there as before.
    assert request(client, id=4, join={"group": "lobby"}) == {
        "joined": {"group": "lobby"}}


@pytest.mark.parametrize("message", [
    "[", "[]", "{}", '{"join": 5}', '{"leave": "a", "leave": "b"}',
    '{"payload": 1, "leave": "b"}', '{"unknown": 1}', '{"id": "x"}',
    '{"\\u0070ayload": {}}'])
def test_what_is_no_frame_ends_the_session(connect, message):
    client, _ = connect()
    client.send(message)
    if message == "[":
        client.send("}")
    messages, (code, reason) = client.receive_all()
    end = json.loads(messages[-1])["end"]
    assert code == 4003 and end["code"] == 3
    assert end["message"].startswith(reason[:20])


def test_max_groups_bounds_what_a_client_joins(start, stack):
    gateway = start("max_groups: 3")
    client = stack.enter_context(Client(gateway, "/hub", HUB_JSON))
    receive(client)
    for number in range(2):
        assert "joined" in request(client, id=1,
                                   join={"group": f"room:{number}"})
    assert request(client, id=1, join={"group": "room:3"})["error"][
        "code"] == 8
    assert "joined" in request(client, id=1, join={"group": "room:1"})


def test_a_greeting_comes_after_the_welcome(gateway, hub, stack):
    hub.policy = lambda joined: Command(accept=pb.Accept(
        who=joined.who, greeting=text('"hi"')))
    client = stack.enter_context(Client(gateway, "/asking", HUB_JSON))
    assert "welcome" in receive(client)
    assert receive(client) == delivery("hi")


def test_the_backend_decides_on_groups_that_are_asked_for(connect, hub):
    client, _ = connect()
    who = hub.wait("joined").who
    for number, name in ((1, "a"), (2, "b"), (3, "c")):
        client.send({"id": number, "join": {"group": f"vip:{name}"}})
    first, second, third = (event.group_request for event in
                            hub.wait("group_request", 3))
    assert [ask.group for ask in (first, second, third)] == [
        "vip:a", "vip:b", "vip:c"]
    refuse = pb.Refuse(who=who, request=third.request)
    refuse.status.code, refuse.status.message = 5, "no such room"
    hub.send(
        Command(refuse=refuse),
        Command(join=pb.Join(whos=[who], request=second.request)),
        Command(refuse=pb.Refuse(who=who, request=first.request)))
    assert receive(client) == {
        "id": 3, "error": {"code": 5, "message": "no such room"}}
    assert receive(client) == {"id": 2, "joined": {"group": "vip:b"}}
    assert receive(client) == {"id": 1, "error": {"code": 7}}
    hub.send(Command(broadcast=pb.Broadcast(
        to=hub_pb.Audience(groups=["vip:a", "vip:b"]), payload=text("1"))))
    assert receive(client) == delivery(1, "vip:b")
    # A member is not asked about again, and may leave.
    assert "joined" in request(client, id=4, join={"group": "vip:b"})
    assert request(client, id=5, leave="vip:b") == {"left": "vip:b"}
    hub.send(Command(id=6, join=pb.Join(whos=[who], request=first.request)))
    assert hub.wait("failed").failed.status.code == 5


def test_a_backend_that_does_not_decide_in_time(start, hub, stack):
    gateway = start(patience="100ms")
    client = stack.enter_context(Client(gateway, "/hub", HUB_JSON))
    receive(client)
    assert request(client, id=1, join={"group": "vip:a"})["error"][
        "code"] == 14
    event = hub.wait("group_request")
    hub.send(Command(id=2, join=pb.Join(
        whos=[event.who], request=event.group_request.request)))
    assert hub.wait("failed").failed.status.code == 5


def test_a_client_renews_its_token(gateway, hub, stack):
    """The backend judges it, and the client hears how long it has."""
    at = time.time() + 3600
    hub.policy = lambda joined: Command(accept=pb.Accept(
        who=joined.who, expires_at=timestamp(at), greeting=text('"hi"')))
    client = stack.enter_context(Client(gateway, "/asking", HUB_JSON))

    def left(frame):
        return int(re.fullmatch(r"(\d+)s", frame["expiresIn"])[1])

    assert "welcome" in receive(client)
    assert at - time.time() - 1 <= left(receive(client)) <= 3600
    assert receive(client) == delivery("hi")
    assert request(client, id=1, token="second") == {"ok": True}
    event = hub.wait("token_refresh")
    assert event.token_refresh.authorization == "Bearer second"
    hub.send(Command(expire=pb.Expire(who=event.who,
                                      at=timestamp(at + 3600))))
    assert 3600 < left(receive(client)) <= 7200
    # Its order among what the client says.
    client.send({"payload": 1}, {"token": "third"}, {"payload": 2})
    hub.wait("message", 2)
    said = [event.WhichOneof("kind") for event in hub.events[-3:]]
    assert said == ["message", "token_refresh", "message"]
    for token in ("", "a\nb", "\u00e4"):
        assert request(client, id=2, token=token)["error"]["code"] == 3
    hub.send(Command(expire=pb.Expire(who=event.who, at=timestamp(1))))
    assert left(receive(client)) == 0
    messages, (code, _) = client.receive_all()
    assert code == 4016
    assert json.loads(messages[-1])["end"]["code"] == 16


def test_the_welcome_says_when_the_token_of_the_handshake_expires(
        gateway, stack):
    claims = base64.urlsafe_b64encode(json.dumps(
        {"exp": int(time.time()) + 600}).encode()).decode().rstrip("=")
    client = stack.enter_context(Client(
        gateway, "/expiring", HUB_JSON, "Bearer", f"e30.{claims}.x"))
    welcome = receive(client)["welcome"]
    assert re.fullmatch(r"\d{3}s", welcome["expiresIn"])
    assert int(welcome["expiresIn"][:-1]) <= 600


def test_packets_have_no_place_for_a_token(configured, stack):
    with PacketBackend() as backend:
        gateway = configured(f"""
upstreams: [{{target: "{backend.target}"}}]
routes: [{{path: /hub, hub: {{
    method: headgate.v1.PacketService/Connect, admission: open}}}}]""")
        client = stack.enter_context(Client(gateway, "/hub", HUB_JSON))
        receive(client)
        assert request(client, id=1, token="x")["error"]["code"] == 12


def test_only_hubs_serve_them(gateway):
    assert refusal(gateway, "/call", HUB_JSON) == 400
    assert refusal(gateway, "/narrow", HUB_PROTOBUF) == 400


def test_a_publication_is_encoded_once_for_all(gateway, connect, stack):
    clients = [connect()[0] for _ in range(20)]
    plain = [stack.enter_context(Client(gateway, "/hub", JSON))
             for _ in range(2)]
    eventually(lambda: gateway.metric("headgate_hub_sessions",
                                      route="/hub") == 22, "all are in")
    before = gateway.metric("headgate_hub_encodings_total", route="/hub")
    clients[0].send({"publish": {"group": "all", "payload": {"a": 1}}})
    for client in clients:
        assert receive(client) == delivery({"a": 1}, "all")
    for client in plain:
        assert client.receive_json() == {"a": 1}
    # For clients that know of groups, and for those that do not.
    eventually(lambda: gateway.metric(
        "headgate_hub_encodings_total", route="/hub") == before + 2, "encoded")
    assert gateway.metric("headgate_hub_publications_total", route="/hub",
                          source="client") == 1


def test_a_flood_of_requests_is_all_carried_out(gateway, connect):
    """In order, whatever it is made of, and another client is served."""
    flood, _ = connect()
    other, _ = connect()
    for number in range(500):
        flood.send({"join": {"group": "room:1"}},
                   {"publish": {"group": "room:1", "payload": number}},
                   {"leave": "room:1"},
                   {"publish": {"group": "room:1", "payload": "not in it"}})
    assert request(other, id=1, join={"group": "room:2"}) == {
        "joined": {"group": "room:2"}}
    for number in range(500):
        assert receive(flood) == delivery(number, "room:1")
    assert request(flood, id=9, leave="room:1") == {"left": "room:1"}


def test_events_of_a_session_keep_their_order(connect, hub):
    client, _ = connect()
    for number in range(100):
        client.send({"publish": {"group": "room:9", "payload": 0}},
                    {"payload": number})
    client.close()
    hub.wait("left")
    assert [event.message.payload.text for event in hub.of_kind("message")] \
        == [str(number) for number in range(100)]


def test_publications_reach_clients_of_other_gateways(stack, tmp_path):
    with Nats() as nats:
        one, two = (Replica(stack, tmp_path, nats.url, name)
                    for name in ("one", "two"))
        for replica in (one, two):
            replica.wait_up(2)
        ann = stack.enter_context(Client(one.gateway, "/open", HUB_JSON))
        bob = stack.enter_context(Client(two.gateway, "/open", HUB_JSON))
        for client in (ann, bob):
            receive(client)
            assert "joined" in request(client, id=1, join={"group": "g"})
        # Until NATS has the subscription of the other gateway.
        def heard():
            assert request(ann, id=2, publish={
                "group": "g", "payload": "knock", "noEcho": True}) == {
                    "ok": True}
            bob.send({"id": 3, "payload": 0})
            frame, knocked = receive(bob), False
            while frame != {"id": 3, "ok": True}:
                frame, knocked = receive(bob), True
            return knocked

        eventually(heard, "a publication")
        bob.send({"publish": {"group": "g", "payload": "last"}})
        assert receive(ann) == delivery("last", "g")


def test_the_conversation_of_the_documentation(hub, configured):
    page = (ROOT / "docs/hub.md").read_text()
    page, = re.findall(r"^## Clients that join and publish\n(.*?)^## ", page,
                       re.S | re.M)
    settings, = re.findall(r"```yaml\n(    hub:.*?)```", page, re.S)
    lines, = re.findall(r"```\n(← .*?)```", page, re.S)
    gateway = configured(f"""
upstreams: [{{target: "{hub.target}"}}]
routes:
  - template: /rooms/{{room}}
{settings}""")
    with Client(gateway, "/rooms/1", HUB_JSON) as client:
        for line in lines.splitlines():
            direction, frame = line.split(" ", 1)
            if direction == "→":
                client.send(frame)
                continue
            expected, received = json.loads(frame), receive(client)
            if "welcome" in expected:
                expected["welcome"]["session"] = received["welcome"]["session"]
            assert received == expected
