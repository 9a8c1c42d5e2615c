"""Routes that are hubs: many sockets on one gRPC stream (docs/hub.md)."""

import base64
import contextlib
import json
import os
import re
import signal
import struct
import time
from concurrent import futures

import grpc
import pytest

from client import JSON, PACKET, PROTOBUF, RAW, Client, refusal
from harness import LISTENING, ROOT, Gateway, Process, eventually
from hub_backend import (Command, HubBackend, Payload, generated, hub_pb,
                         packet_pb, pb, text, timestamp)
from wire import PING, PONG, RawClient, varint

CONFIG = """
threads: 2
upstreams: [{{name: default, target: "{target}"}}]
routes:
  - template: /rooms/{{room}}
    hub: {{groups: ["room:{{room}}"], packet_type: 7, {hub}}}
"""


@pytest.fixture
def hub():
    with HubBackend() as backend:
        yield backend


@pytest.fixture
def start(configured, hub):
    """start(settings of `hub:`) -> a gateway in front of `hub`."""
    return lambda settings="": configured(
        CONFIG.format(target=hub.target, hub=settings))


@pytest.fixture
def gateway(start):
    return start()


@pytest.fixture
def join(gateway, hub, stack):
    """join(room, *subprotocols) -> (client, who)."""

    def join_room(room="1", *subprotocols, **options):
        before = len(hub.of_kind("joined"))
        client = stack.enter_context(Client(
            gateway, f"/rooms/{room}", *subprotocols, **options))
        return client, hub.wait("joined", before + 1)[before].who if before \
            else hub.wait("joined").who

    return join_room


def to(*whos, **fields):
    return hub_pb.Audience(whos=whos, **fields)


def groups(gateway, query=""):
    return json.loads(
        gateway.admin(f"/hubs/rooms/%7Broom%7D/groups{query}")[1])


def broadcast(payload, audience=None):
    if isinstance(payload, str):
        payload = text(payload)
    return Command(broadcast=pb.Broadcast(
        to=audience or hub_pb.Audience(), payload=payload))


def send(who, payload, **fields):
    if isinstance(payload, str):
        payload = text(payload)
    return Command(send=pb.Send(who=who, payload=payload), **fields)


# --- The stream and its events ---


def test_a_session_is_joined_messages_and_left(join, hub):
    client, who = join("5", headers=[("Authorization", "Bearer t")])
    client.send("one", b"two")
    client.close(4321, "bye")
    left = hub.wait("left")
    kinds = [event.WhichOneof("kind") for event in hub.events]
    assert kinds == ["hello", "joined", "message", "message", "left"]
    assert [event.seq for event in hub.events] == [1, 2, 3, 4, 5]
    assert [event.who for event in hub.events] == [0] + [who] * 4

    hello = hub.events[0].hello
    assert (hello.protocol, hello.resumes) == (1, False)
    assert hello.route == "/rooms/{room}"
    joined = hub.events[1].joined
    assert joined.asks
    assert joined.metadata["authorization"] == "Bearer t"
    assert dict(joined.path_variables) == {"room": "5"}
    assert joined.session.codec == "raw"
    assert joined.session.gateway == hello.gateway
    assert hub.events[2].message.payload.text == "one"
    assert hub.events[3].message.payload.binary == b"two"
    assert (left.left.end.code, left.left.end.reason) == (4321, "bye")
    assert left.left.end.cause == hub_pb.SessionEnd.CLIENT


def test_all_sessions_share_one_stream(join, hub):
    clients = [join(str(room))[0] for room in range(6)]
    for number, client in enumerate(clients):
        client.send(str(number))
    hub.wait("message", 6)
    assert len(hub.streams) == 1
    whos = [event.who for event in hub.of_kind("joined")]
    assert len(set(whos)) == 6


def test_messages_of_a_client_come_in_order(join, hub):
    client, _ = join()
    client.send(*(str(number) for number in range(2000)))
    messages = hub.wait("message", 2000)
    assert [event.message.payload.text for event in messages] == [
        str(number) for number in range(2000)]


def test_a_lost_connection_is_told(gateway, hub):
    with RawClient(gateway) as client:
        client.upgrade("/rooms/1")
        client.reset()
    assert hub.wait("left").left.end.cause == hub_pb.SessionEnd.LOST


# --- Codecs ---


def test_payloads_of_every_kind_for_every_codec(join, hub):
    clients = {codec: join("1", codec)[0]
               for codec in (RAW, PACKET, JSON, PROTOBUF)}
    packet = packet_pb.Packet(type=3, who=9, content=b"xyz")
    wire = struct.pack(">III", 3, 3, 9) + b"xyz"
    head = lambda content: struct.pack(">III", 7, len(content), 0) + content
    payloads = [
        (Payload(text='{"a":1}'), {
            RAW: '{"a":1}', PACKET: head(b'{"a":1}'), JSON: '{"a":1}',
            PROTOBUF: b'{"a":1}'}),
        (Payload(binary=b"\0\1"), {
            RAW: b"\0\1", PACKET: head(b"\0\1"), JSON: '"AAE="',
            PROTOBUF: b"\0\1"}),
        (Payload(packet=packet), {
            RAW: wire, PACKET: wire,
            JSON: '{"type":3,"who":9,"content":"%s"}' %
                  base64.b64encode(b"xyz").decode(),
            PROTOBUF: packet.SerializeToString()}),
    ]
    for payload, expected in payloads:
        hub.send(broadcast(payload))
        for codec, client in clients.items():
            assert client.receive() == expected[codec], (codec, payload)


def test_what_clients_of_each_codec_send(join, hub):
    raw, _ = join("1", RAW)
    raw.send("a", b"b")
    packets, _ = join("1", PACKET)
    nested = struct.pack(">III", 1, 2, 3) + b"in"
    packets.send(struct.pack(">III", 5, 1, 6) + b"x" +
                 struct.pack(">III", 0xFFFFFFFE, len(nested), 0) + nested)
    texts, _ = join("1", JSON)
    texts.send('{"a": 1} [2]', "3")
    messages, _ = join("1", PROTOBUF)
    messages.send(b"\x08\x01")
    got = [event.message.payload for event in hub.wait("message", 8)]
    assert [payload.WhichOneof("kind") for payload in got] == [
        "text", "binary", "packet", "packet", "text", "text", "text",
        "message"]
    assert got[2].packet == packet_pb.Packet(type=5, who=6, content=b"x")
    assert got[3].packet.packets[0] == packet_pb.Packet(
        type=1, who=3, content=b"in")
    assert [payload.text for payload in got[4:7]] == ['{"a": 1}', "[2]", "3"]
    assert got[7].message == b"\x08\x01"


def test_a_payload_that_a_codec_cannot_carry_is_reported(join, hub):
    raw, _ = join("1", RAW)
    _, _ = join("1", JSON)
    command = broadcast("not json")
    command.id = 17
    hub.send(command)
    failed = hub.wait("failed").failed
    assert failed.command == 17
    assert failed.status.code == 3
    assert "JSON" in failed.status.message
    assert raw.receive() == "not json"


def test_a_fault_of_the_clients_ends_its_session(join, hub):
    client, _ = join("1", PACKET)
    client.send(b"short")
    code, _ = client.receive_close()
    assert code == 1002
    assert hub.wait("left").left.end.cause == hub_pb.SessionEnd.VIOLATION


# --- Sending ---


def test_a_broadcast_reaches_groups_others_and_all(join, hub):
    (a, who_a), (b, who_b), (c, _) = join("1"), join("1"), join("2")
    hub.send(broadcast("room 1", to(groups=["room:1"])),
             broadcast("others", to(groups=["room:1"], except_whos=[who_a])),
             broadcast("both rooms", to(groups=["room:1", "room:2"])),
             broadcast("two", to(who_a, who_b)),
             broadcast("all"))
    read = lambda client, count: [client.receive() for _ in range(count)]
    assert read(a, 4) == ["room 1", "both rooms", "two", "all"]
    assert read(b, 5) == ["room 1", "others", "both rooms", "two", "all"]
    assert read(c, 2) == ["both rooms", "all"]


def test_sends_and_broadcasts_keep_their_order(join, hub):
    client, who = join()
    hub.send(*(broadcast(f"{number}") if number % 2 else send(who, f"{number}")
               for number in range(1000)))
    assert [client.receive() for _ in range(1000)] == [
        str(number) for number in range(1000)]


def test_groups_users_and_data_choose_the_audience(join, hub):
    (a, who_a), (b, who_b) = join(), join()
    hub.send(
        Command(set_data=pb.SetData(who=who_a, user="ann",
                                    set={"level": "3", "team": "red"})),
        Command(set_data=pb.SetData(who=who_b, user="bob",
                                    set={"level": "12"})),
        Command(join=pb.Join(whos=[who_a, who_b], groups=["g", "h"])),
        Command(leave=pb.Leave(whos=[who_b], groups=["g"])))
    filters = lambda **fields: to(filters=[hub_pb.DataFilter(**fields)])
    op = hub_pb.DataFilter
    for name, audience in {
            "group": to(groups=["g"]),
            "user": to(users=["ann"]),
            "less": filters(key="level", op=op.LESS, values=["10"]),
            "equal": filters(key="team", op=op.EQUAL, values=["x", "red"]),
            "present": filters(key="team", op=op.PRESENT),
            "user and group": to(users=["ann", "bob"], groups=["g"]),
    }.items():
        hub.send(broadcast(f"a {name}", audience))
        assert a.receive() == f"a {name}"
    for name, audience in {
            "absent": filters(key="team", op=op.ABSENT),
            "greater": filters(key="level", op=op.GREATER, values=["10"]),
            "unequal": filters(key="team", op=op.NOT_EQUAL, values=["red"]),
            "prefix": filters(key="level", op=op.PREFIX, values=["1"]),
            "except": to(groups=["h"], except_whos=[who_a]),
    }.items():
        hub.send(broadcast(f"b {name}", audience))
        assert b.receive() == f"b {name}"


def test_commands_for_nobody_are_reported_when_they_have_an_id(join, hub):
    client, who = join()
    hub.send(send(who + 2, "x"), send(who + 2, "x", id=5),
             Command(id=6, join=pb.Join(whos=[who], groups=[""])),
             Command(id=7, join=pb.Join(whos=[who], groups=["g" * 129])),
             Command(id=8, accept=pb.Accept(who=who)),
             Command(id=9), send(who, Payload(), id=10),
             send(who, "here"))
    assert client.receive() == "here"
    failed = [(event.failed.command, event.failed.status.code)
              for event in hub.wait("failed", 6)]
    assert failed == [(5, 5), (6, 3), (7, 3), (8, 9), (9, 12), (10, 3)]


def with_unknown(message, number):
    """The message with a field of that number, which it does not have."""
    message.MergeFromString(varint(number << 3) + b"\1")
    return message


# 3 of Broadcast is reserved: a scope, which this gateway does not have.
def test_a_command_with_a_field_that_is_not_known_is_not_carried_out(join, hub):
    client, who = join()
    other = broadcast("to all gateways")
    with_unknown(other.broadcast, 3)
    other.id = 5
    hub.send(other, with_unknown(send(who, "x", id=6), 100), send(who, "here"))
    assert client.receive() == "here"
    failed = [event.failed for event in hub.wait("failed", 2)]
    assert [(one.command, one.status.code) for one in failed] == [
        (5, 12), (6, 12)]
    assert failed[0].status.message == (
        "field 3 of headgate.v1.Broadcast is not known to this gateway")


def test_the_backend_hears_of_pongs(configured, hub):
    config = CONFIG + "keepalive: {{interval: 100ms, timeout: 30s}}"
    gateway = configured(config.format(
        target=hub.target, hub="events: {pong: true}"))
    with RawClient(gateway) as client:
        client.upgrade("/rooms/1")
        for _ in range(2):
            ping = client.read_frame()
            assert ping.opcode == PING
            client.send_frame(PONG, ping.payload)
        for event in hub.wait("pong", 2):
            assert event.who == hub.wait("joined").who
            assert event.pong.round_trip.ToNanoseconds() >= 0


# --- Admission ---


def test_accept_describes_the_session_and_greets_it(start, hub, stack):
    hub.policy = lambda joined: Command(accept=pb.Accept(
        who=joined.who, user="ann", groups=["vip"], greeting=text("welcome"),
        state=b"s"))
    client = stack.enter_context(Client(start(), "/rooms/1"))
    hub.send(broadcast("to vips", to(groups=["vip"])),
             broadcast("to ann", to(users=["ann"])))
    assert [client.receive() for _ in range(3)] == [
        "welcome", "to vips", "to ann"]
    client.close()
    assert hub.wait("left").left.state == b"s"


@pytest.mark.parametrize("code, http", [(7, 403), (16, 401), (5, 404)])
def test_a_rejected_handshake_has_the_http_status(start, hub, code, http):
    status = pb.Reject().status
    status.code, status.message = code, "no, you"
    hub.policy = lambda joined: Command(reject=pb.Reject(
        who=joined.who, status=status))
    with RawClient(start()) as client:
        response = client.request("/rooms/1")
    assert response.status == http
    assert response.json()["message"] == "no, you"
    left = hub.wait("left").left
    assert left.end.cause == hub_pb.SessionEnd.COMMAND


def test_the_backend_must_decide_in_time(start, hub):
    hub.policy = None
    with RawClient(start("admission_timeout: 200ms")) as client:
        response = client.request("/rooms/1")
    assert response.status == 503
    assert "admission_timeout" in response.json()["message"]
    hub.wait("left")


def test_a_client_that_leaves_while_it_asks_is_told(start, hub):
    hub.policy = None
    with contextlib.suppress(Exception):
        Client(start(), "/rooms/1", timeout=0.3)
    assert hub.wait("left").left.end.cause == hub_pb.SessionEnd.LOST


def test_an_open_hub_asks_nobody(start, hub, stack):
    client = stack.enter_context(Client(start("admission: open"), "/rooms/1"))
    joined = hub.wait("joined")
    assert not joined.joined.asks
    assert joined.joined.session.groups == ["room:1"]
    hub.send(broadcast("hi", to(groups=["room:1"])))
    assert client.receive() == "hi"


# --- Ends ---


def test_close_sends_what_waits_and_the_farewell(join, hub):
    (a, who_a), (b, _) = join(), join()
    hub.send(send(who_a, "last words"),
             Command(close=pb.Close(to=to(who_a), code=4100, reason="done",
                                    farewell=text("farewell"))),
             send(who_a, "too late", id=3), broadcast("still there"))
    messages, ending = a.receive_all()
    assert (messages, ending) == (["last words", "farewell"], (4100, "done"))
    assert hub.wait("failed").failed.command == 3
    assert b.receive() == "still there"
    left = hub.wait("left").left
    assert left.end.cause == hub_pb.SessionEnd.COMMAND
    assert (left.end.code, left.end.reason) == (4100, "done")


@pytest.mark.parametrize("code", [999, 1001, 1006, 2999, 5000])
def test_close_takes_the_codes_of_applications(join, hub, code):
    client, who = join()
    hub.send(Command(id=1, close=pb.Close(to=to(who), code=code)),
             send(who, "open"))
    assert client.receive() == "open"
    assert hub.wait("failed").failed.status.code == 3


def test_the_gateways_stop_closes_with_1001_and_tells(start, hub, stack):
    gateway = start()
    client = stack.enter_context(Client(gateway, "/rooms/1"))
    gateway.signal(15)
    assert client.receive_close()[0] == 1001
    assert hub.wait("left").left.end.cause == hub_pb.SessionEnd.GATEWAY
    gateway.wait()


def test_a_session_is_closed_when_it_expires(start, hub, stack):
    gateway = start()
    at = time.time() + 1
    hub.policy = lambda joined: Command(accept=pb.Accept(
        who=joined.who, expires_at=timestamp(at)))
    client = stack.enter_context(Client(gateway, "/rooms/1"))
    assert client.receive_close() == (4016, "the token has expired")
    assert time.time() >= at
    assert hub.wait("left").left.end.cause == hub_pb.SessionEnd.TOKEN


def test_a_backend_moves_the_expiry(start, hub, stack):
    gateway = start()
    hub.policy = lambda joined: Command(accept=pb.Accept(
        who=joined.who, expires_at=timestamp(time.time() + 3600)))
    client = stack.enter_context(Client(gateway, "/rooms/1"))
    who = hub.wait("joined").who
    hub.send(Command(expire=pb.Expire(who=who)),
             Command(expire=pb.Expire(who=who, at=timestamp(1))))
    assert client.receive_close()[0] == 4016


def test_what_the_clients_connection_has_taken_is_reported(join, hub):
    client, who = join()
    hub.send(
        Command(id=8, send=pb.Send(who=who, payload=text("x" * 100000),
                                   report_sent=True)),
        Command(id=9, send=pb.Send(who=who, payload=text("a"))),
        Command(id=10, send=pb.Send(who=who, payload=text("b"),
                                    report_sent=True)))
    assert [client.receive()[:1] for _ in range(3)] == ["x", "a", "b"]
    sent = hub.wait("sent", 2)
    assert [(event.who, event.sent.command) for event in sent] == [
        (who, 8), (who, 10)]


def test_what_a_client_does_not_take_is_not_sent(configured, hub, stack):
    gateway = configured(CONFIG.format(
        target=hub.target, hub="slow: {max_bytes: 64MiB}"))
    client = stack.enter_context(RawClient(gateway, receive_buffer=4096))
    client.upgrade("/rooms/1")
    who = hub.wait("joined").who
    # More than the kernel's buffers hold, and what only that holds up.
    hub.send(Command(id=1, send=pb.Send(who=who, payload=text("a"),
                                        report_sent=True)))
    hub.wait("sent")
    for _ in range(20):
        hub.send(send(who, "x" * 1000000))
    hub.send(Command(id=2, send=pb.Send(who=who, payload=text("b"),
                                        report_sent=True)),
             Command(id=3, send=pb.Send(who=0, payload=text("nobody"))))
    hub.wait("failed")
    assert len(hub.of_kind("sent")) == 1


def test_a_drain_is_told(start, hub, stack):
    gateway = start()
    stack.enter_context(Client(gateway, "/rooms/1"))
    hub.wait("joined")
    gateway.signal(signal.SIGTERM)
    deadline = hub.wait("draining").draining.deadline
    assert abs(deadline.seconds - time.time()) < 60
    hub.wait("left")
    gateway.wait()


def test_a_changed_hub_is_another_incarnation(start, hub, stack, tmp_path):
    gateway = start("hold: 15s")
    a = stack.enter_context(Client(gateway, "/rooms/1"))
    hub.wait("joined")
    file = tmp_path / "headgate.yaml"
    file.write_text(file.read_text().replace("hold: 15s", "hold: 16s"))
    gateway.signal(signal.SIGHUP)
    eventually(lambda: "configuration reloaded" in gateway.stderr(), "reload")
    b = stack.enter_context(Client(gateway, "/rooms/1"))
    hub.wait("hello", 2)
    first, second = (event.hello for event in hub.of_kind("hello"))
    assert first.incarnation != second.incarnation
    assert not second.resumes
    # The sessions of both are counted.
    eventually(lambda: gateway.metric("headgate_hub_sessions") == 2,
               "sessions")
    a.close()
    b.close()


def test_operators_see_hubs_and_groups(join, gateway, hub):
    (_, who), _, _ = join("1"), join("1"), join("2")
    hub.send(Command(join=pb.Join(whos=[who], groups=["vip"])),
             send(who, "joined"))
    eventually(lambda: len(groups(gateway)["groups"]) == 3, "groups")
    hubs = json.loads(gateway.admin("/hubs")[1])["hubs"]
    assert [(one["route"], one["stream"], one["sessions"], one["groups"])
            for one in hubs] == [("/rooms/{room}", "live", 3, 3)]
    assert hubs[0]["incarnation"] == hub.wait("hello").hello.incarnation
    assert groups(gateway)["groups"] == [
        {"name": "room:1", "members": 2}, {"name": "room:2", "members": 1},
        {"name": "vip", "members": 1}]
    page = groups(gateway, "?limit=1&after=room:1")
    assert page == {"next": "room:2",
                    "groups": [{"name": "room:2", "members": 1}]}
    assert gateway.admin("/hubs/none/groups")[0] == 404


# --- The backend is lost ---


def test_sessions_survive_a_restart_of_the_backend(gateway, join, hub):
    (a, who_a), (b, who_b) = join(), join()
    hub.send(Command(set_data=pb.SetData(
        who=who_a, user="ann", set={"k": "v"}, state=b"mine")),
        Command(join=pb.Join(whos=[who_a], groups=["g"])), send(who_a, "x"))
    assert a.receive() == "x"
    hub.stop()
    # What is under way when a stream breaks is lost with it.
    eventually(lambda: gateway.metric("headgate_hub_stream_up") == 0,
               "the gateway to notice")
    a.send("while it is away")
    hub.restart()
    hub.wait("replayed")
    stream = hub.streams[-1]
    assert stream[0].hello.resumes
    assert stream[0].hello.incarnation == hub.streams[0][0].hello.incarnation
    resumed = {event.who: event.joined for event in stream
               if event.WhichOneof("kind") == "joined"}
    assert set(resumed) == {who_a, who_b}
    assert all(joined.resumed for joined in resumed.values())
    ann = resumed[who_a]
    assert (ann.session.user, ann.state) == ("ann", b"mine")
    assert dict(ann.session.data) == {"k": "v"}
    assert sorted(ann.session.groups) == ["g", "room:1"]
    assert hub.wait("message").message.payload.text == "while it is away"
    hub.send(broadcast("again"))
    assert (a.receive(), b.receive()) == ("again", "again")


def acknowledge(event):
    return Command(id=event.seq, ack=pb.Ack(seq=event.seq))


def numbers(stream):
    """Of the texts of clients that a stream has carried."""
    return [(event.seq, event.message.payload.text, event.message.redelivered)
            for event in list(stream) if event.HasField("message")]


def test_what_the_backend_has_not_acknowledged_is_sent_again(
        start, hub, stack):
    client = stack.enter_context(Client(
        start("delivery: at-least-once"), "/rooms/1"))
    for i in range(4):
        client.send(str(i))
    messages = hub.wait("message", 4)
    first = hub.wait("joined").seq
    assert [event.seq for event in messages] == list(range(first + 1, first + 5))
    # The answer shows that the gateway has had the acknowledgement.
    hub.send(acknowledge(messages[1]), Command(send=pb.Send(
        who=messages[0].who, payload=text("done"))))
    assert client.receive() == "done"
    hub.stop()
    client.send("4")
    hub.restart()
    eventually(lambda: len(hub.streams) > 1 and len(numbers(hub.streams[-1])) == 3,
               "the rest")
    assert [(number - first, what) for number, what, _
            in numbers(hub.streams[-1])] == [(3, "2"), (4, "3"), (5, "4")]
    assert [again for _, _, again in numbers(hub.streams[-1])][:2] == [True, True]
    hub.send(acknowledge(hub.of_kind("message")[-1]),
             Command(send=pb.Send(who=messages[0].who, payload=text("all"))))
    assert client.receive() == "all"
    hub.end_stream()
    client.send("5")
    eventually(lambda: len(hub.streams) > 2 and numbers(hub.streams[-1]),
               "the next stream")
    assert [what for _, what, _ in numbers(hub.streams[-1])] == ["5"]


def test_a_client_waits_for_a_backend_that_does_not_acknowledge(
        start, hub, stack):
    gateway = start("delivery: at-least-once, buffers: {session_events: 4KiB}")
    client = stack.enter_context(Client(gateway, "/rooms/1"))
    for _ in range(64):
        client.send("x" * 1000)
    hub.wait("message", 4)
    before = len(hub.of_kind("message"))
    assert before < 64
    # What waits is bounded: the client's messages, its Joined.
    assert gateway.metric("headgate_hub_event_queue_bytes") < 16 * 1024
    done = 0
    while done < 64:  # Each acknowledgement lets more of them come.
        messages = eventually(
            lambda: len(hub.of_kind("message")) > done and
            hub.of_kind("message"), "more messages")
        done = len(messages)
        hub.send(acknowledge(messages[-1]))
    assert done == 64
    assert hub.of_kind("failed") == []


def test_an_acknowledgement_of_what_was_not_sent_is_refused(start, hub, stack):
    stack.enter_context(Client(start("delivery: at-least-once"), "/rooms/1"))
    hub.wait("joined")
    hub.send(Command(id=7, ack=pb.Ack(seq=2 ** 63)))
    assert hub.wait("failed").failed.status.code == 3


def test_a_stream_that_the_backend_ends_is_opened_again(join, hub):
    client, _ = join()
    hub.end_stream()
    hub.wait("replayed")
    hub.send(broadcast("still"))
    assert client.receive() == "still"
    assert hub.of_kind("left") == []


class EchoHub(HubBackend):
    def _note(self, stream, event, commands):
        super()._note(stream, event, commands)
        if event.HasField("message"):
            commands.put(pb.ToGateway(commands=[
                send(event.who, event.message.payload.text),
                Command(ack=pb.Ack(seq=event.seq))]))


@pytest.mark.parametrize("delivery", ["at-most-once", "at-least-once"])
def test_a_stream_is_succeeded_when_its_connection_grows_old(
        configured, stack, delivery):
    # grpc.max_connection_age_ms: GOAWAY, and streams may end by themselves.
    hub = stack.enter_context(EchoHub(
        options=[("grpc.max_connection_age_ms", 1500)]))
    gateway = configured(CONFIG.format(
        target=hub.target, hub=f"delivery: {delivery}"))
    client = stack.enter_context(Client(gateway, "/rooms/1"))
    sent = 0
    while len(hub.streams) < 4:
        for _ in range(10):
            client.send(str(sent))
            sent += 1
        # Each comes once, in order.
        assert [client.receive() for _ in range(10)] == \
            [str(number) for number in range(sent - 10, sent)]
    if delivery == "at-most-once":
        assert [event.message.payload.text for event in hub.of_kind("message")] \
            == [str(number) for number in range(sent)]
    assert hub.of_kind("left") == []
    assert gateway.metric("headgate_hub_streams_lost_total") == 0
    assert {event.hello.incarnation for event in hub.of_kind("hello")} == \
        {hub.events[0].hello.incarnation}


def test_a_session_that_left_meanwhile_is_told_once(gateway, join, hub):
    (_, who), (b, _) = join(), join()
    hub.stop()
    # Else the stream that ends may have carried it.
    eventually(lambda: "hub stream lost" in gateway.stderr(), "it is known")
    b.close()
    hub.restart()
    hub.wait("replayed")
    hub.wait("left")
    assert len(hub.of_kind("left")) == 1


def test_sessions_end_when_the_backend_stays_away(start, hub, stack):
    client = stack.enter_context(Client(start("hold: 300ms"), "/rooms/1"))
    hub.stop()
    code, reason = client.receive_close()
    assert code == 4014
    assert "backend" in reason


def test_a_backend_without_the_service_ends_them_with_4012(configured):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        gateway = configured(CONFIG.format(target=target,
                                           hub="admission: open"))
        with Client(gateway, "/rooms/1") as client:
            assert client.receive_close()[0] == 4012
        gateway = configured(CONFIG.format(target=target, hub=""))
        assert refusal(gateway, "/rooms/1") == 501
    finally:
        server.stop(None)


# --- Clients that are slow ---


def test_a_slow_client_is_disconnected_and_others_are_not(
        start, hub, stack):
    gateway = start()
    fast = stack.enter_context(Client(gateway, "/rooms/1"))
    slow = stack.enter_context(RawClient(gateway, receive_buffer=4096))
    slow.upgrade("/rooms/1")
    hub.wait("joined", 2)
    for number in range(1000):
        message = f"{number:06} ".ljust(8192, "x")
        hub.send(broadcast(message))
        assert fast.receive() == message
    left = hub.wait("left").left
    assert (left.end.code, left.end.cause) == (4008, hub_pb.SessionEnd.SLOW)
    assert left.end.messages_unsent > 0
    assert any(event.backlog.over for event in hub.of_kind("backlog"))


# --- The page of docs/hub.md ---


class Script(Process):
    """A backend in Python, which prints where it listens."""

    def __init__(self, file):
        super().__init__("/usr/bin/python3", file, env={
            **os.environ, "PYTHONPATH": generated()})
        self.port = int(self.wait_for_output(LISTENING)[2])

    def __exit__(self, *error):
        self.kill()


def test_the_page_of_the_documentation_works(stack, tmp_path):
    page = (ROOT / "docs/hub.md").read_text()
    config, *_ = re.findall(r"```yaml\n(.*?)```", page, re.S)
    program, = re.findall(r"```python\n(.*?)```", page, re.S)
    program = program.replace(":50051", ":0").replace(
        "server.add_insecure_port", "port = server.add_insecure_port").replace(
        "server.start()", "server.start(); print('listening on x://a:%d'"
        " % port, flush=True)")
    (tmp_path / "rooms.py").write_text(program)
    backend = stack.enter_context(Script(tmp_path / "rooms.py"))
    file = tmp_path / "hub.yaml"
    file.write_text(config.replace(":50051", f":{backend.port}"))
    gateway = stack.enter_context(Gateway.configured(
        file, "--listen", "127.0.0.1:0"))
    a, b, other = (stack.enter_context(Client(gateway, path)) for path in
                   ("/rooms/1", "/rooms/1", "/rooms/2"))
    a.send("hello")
    assert b.receive() == "hello"
    b.send("hi")
    assert a.receive() == "hi"
    other.close()


# --- The demo ---


def test_the_rooms_of_the_demo(demo, stack):
    a, b, json_, other = (
        stack.enter_context(Client(demo, path, *subprotocols))
        for path, *subprotocols in (("/rooms/1",), ("/rooms/1",),
                                    ("/rooms/1", JSON), ("/rooms/2",)))
    assert [client.receive() for client in (a, b, json_, other)] == [
        '{"members":1}', '{"members":2}', '{"members":3}', '{"members":1}']
    a.send('"hello"')
    assert [client.receive() for client in (a, b, json_)] == ['"hello"'] * 3
    other.send("alone")
    assert other.receive() == "alone"


def test_metrics_of_hubs(start, hub, stack):
    gateway = start()
    clients = [stack.enter_context(Client(gateway, "/rooms/1"))
               for _ in range(3)]
    hub.send(broadcast("x"))
    assert [client.receive() for client in clients] == ["x"] * 3

    def sample(name, **labels):
        labels = "".join(f',{key}="{value}"' for key, value in labels.items())
        line = f'headgate_hub_{name}{{route="/rooms/{{room}}"{labels}}} '
        text = gateway.admin("/metrics")[1]
        found = [row for row in text.splitlines() if row.startswith(line)]
        return found and float(found[0].split()[-1])

    eventually(lambda: sample("deliveries_total") == 3, "deliveries")
    assert sample("encodings_total") == 1
    assert sample("sessions") == 3
    assert sample("groups") == 1
    assert sample("stream_up") == 1
    assert sample("events_total", kind="joined") == 3
    assert sample("publications_total", source="stream") == 1
    assert sample("publications_total", source="api") == 0
    assert sample("commands_total", kind="accept", outcome="ok") == 3
    hub.send(send(2 ** 31, "x"))
    eventually(lambda: sample("commands_total", kind="send",
                              outcome="not_found") == 1, "the failure")
    assert sample("commands_total", kind="broadcast", outcome="ok") == 1
    # Two workers at most, and each client once.
    eventually(lambda: sample("sends_total") == 3, "sends")
    assert 1 <= sample("fanout_seconds_count") <= 2


def test_each_publication_is_among_the_sends_and_the_fanout_times(
        start, hub, stack):
    gateway = start()
    metric = lambda name: gateway.metric(f"headgate_hub_{name}",
                                         route="/rooms/{room}")
    clients = [stack.enter_context(Client(gateway, "/rooms/1"))
               for _ in range(4)]
    whos = [event.who for event in hub.wait("joined", 4)]
    assert metric("sends_total") == metric("fanout_seconds_count") == 0
    # One after the other, so that no two leave for a client together, and none
    # shares a fan-out with the one before.
    for number in range(1, 6):
        before = metric("fanout_seconds_count")
        hub.send(broadcast(str(number)))
        assert [client.receive() for client in clients] == [str(number)] * 4
        # One time of each worker that has receivers.
        eventually(lambda: metric("fanout_seconds_count") > before, "a time")
        eventually(lambda: metric("sends_total") == 4 * number, "sends")
    # Of four clients' workers, at most.
    assert 5 <= metric("fanout_seconds_count") <= 20
    assert metric("fanout_seconds_sum") > 0
    # What is for one session is no publication.
    published = metric("publications_total")
    hub.send(send(whos[0], "alone"))
    hub.send(send(2 ** 31, "nobody"))
    hub.send(*(send(who, f"you are {who}") for who in whos[1:]))
    eventually(lambda: metric("sends_total") == 24, "sends")
    assert metric("publications_total") == published == 5
