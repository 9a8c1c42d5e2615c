"""Hubs whose stream is packets, by hub.method (docs/hub.md, "Packets instead of
events")."""

import struct

import pytest

from client import JSON, PACKET, RAW, Client, refusal
from harness import eventually
from hub_backend import HubBackend, hub_pb, packet_pb, pb
# Which hub_backend has generated.
from google.rpc import status_pb2

JOINED = ACCEPT = 0xFFFFFFF0
LEFT = CLOSE = 0xFFFFFFF1
OTHERS, JOIN, LEAVE, GROUP, HELLO = range(0xFFFFFFF2, 0xFFFFFFF7)
CONTENTS = 0xFFFFFFFE

CONFIG = """
upstreams: [{{target: "{target}"}}]
routes:
  - template: /play/{{room}}
    hub:
      method: headgate.v1.PacketService/Connect
      packet_type: 7
      groups: ["room:{{room}}"]
"""


def Packet(type, who=0, content=b"", packets=()):
    return packet_pb.Packet(type=type, who=who, content=content,
                            packets=packets)


class PacketBackend(HubBackend):
    """Notes every packet; accepts who asks, unless `policy` has it send
    another packet."""

    method = "/headgate.v1.PacketService/Connect"
    request = packet_pb.Packet

    def _take(self, stream, packet, commands):
        with self._lock:
            stream.append(packet)
            self.events.append(packet)
        if packet.type != JOINED:
            return
        joined = pb.Joined.FromString(packet.content)
        if joined.asks and self.policy is not None:
            commands.put(self.policy(packet.who, joined))

    def send(self, *packets):
        for packet in packets:
            self._commands.put(packet)

    def of_kind(self, type):
        with self._lock:
            return [packet for packet in self.events if packet.type == type]


def accept(who, joined, **fields):
    return Packet(ACCEPT, who,
                  pb.Accept(**fields).SerializeToString())


@pytest.fixture
def hub():
    with PacketBackend(accept) as backend:
        yield backend


@pytest.fixture
def gateway(configured, hub):
    return configured(CONFIG.format(target=hub.target))


@pytest.fixture
def join(gateway, hub, stack):
    def join_room(room="1", *subprotocols):
        before = len(hub.of_kind(JOINED))
        client = stack.enter_context(
            Client(gateway, f"/play/{room}", *subprotocols))
        eventually(lambda: len(hub.of_kind(JOINED)) > before, "joined")
        return client, hub.of_kind(JOINED)[before].who

    return join_room


def wire(type, who, content):
    return struct.pack(">III", type, len(content), who) + content


def test_who_names_the_session_and_packets_pass_as_they_are(join, hub):
    # No subprotocol: clients of such a hub speak packets.
    client, who = join()
    client.send(wire(1, 42, b"a") + wire(2, 0, b""))
    eventually(lambda: sum(len(packet.packets)
                           for packet in hub.of_kind(CONTENTS)) == 2, "packets")
    assert {packet.who for packet in hub.of_kind(CONTENTS)} == {who}
    packets = [inner for packet in hub.of_kind(CONTENTS)
               for inner in packet.packets]
    assert packets == [Packet(1, 42, b"a"), Packet(2)]
    hello = pb.Hello.FromString(hub.events[0].content)
    assert (hub.events[0].type, hello.protocol) == (HELLO, 1)
    joined = pb.Joined.FromString(hub.of_kind(JOINED)[0].content)
    assert joined.asks
    assert dict(joined.path_variables) == {"room": "1"}
    hub.send(Packet(CONTENTS, who, packets=packets))
    assert client.receive() == wire(1, 42, b"a")
    assert client.receive() == wire(2, 0, b"")
    client.close(4321, "bye")
    eventually(lambda: hub.of_kind(LEFT), "left")
    left = pb.Left.FromString(hub.of_kind(LEFT)[0].content)
    assert (left.end.code, left.end.reason) == (4321, "bye")
    assert hub.of_kind(LEFT)[0].who == who


def test_containers_go_to_others_to_all_and_to_groups(join, hub):
    (a, who_a), (b, who_b), (c, who_c) = join(), join(), join("2")
    note = lambda text: Packet(1, 0, text)
    name = lambda text: Packet(0, 0, text)
    hub.send(
        Packet(OTHERS, who_a, packets=[note(b"others")]),
        Packet(OTHERS, packets=[note(b"all")]),
        Packet(GROUP, who_b, packets=[name(b"room:1"), note(b"room")]),
        Packet(JOIN, who_c, b"g"), Packet(JOIN, who_a, b"g"),
        Packet(GROUP, packets=[name(b"g"), note(b"g1"), note(b"g2")]),
        Packet(LEAVE, who_a, b"g"),
        Packet(GROUP, packets=[name(b"g"), note(b"left")]),
        Packet(OTHERS, packets=[note(b"end")]))

    def texts(client):
        got = []
        while got[-1:] != [b"end"]:
            message = client.receive()
            while message:
                length = struct.unpack(">III", message[:12])[1]
                got.append(message[12:12 + length])
                message = message[12 + length:]
        return got

    assert texts(a) == [b"all", b"room", b"g1", b"g2", b"end"]
    assert texts(b) == [b"others", b"all", b"end"]
    assert texts(c) == [b"others", b"all", b"g1", b"g2", b"left", b"end"]


def test_clients_of_other_codecs_are_there_too(join, hub):
    raw, _ = join("1", RAW)
    json, _ = join("1", JSON)
    raw.send("text")
    eventually(lambda: len(hub.of_kind(CONTENTS)) == 1, "the first")
    json.send('{"a":1}')
    eventually(lambda: len(hub.of_kind(CONTENTS)) == 2, "the second")
    assert [packet.packets[0] for packet in hub.of_kind(CONTENTS)] == [
        Packet(7, 0, b"text"), Packet(7, 0, b'{"a":1}')]
    hub.send(Packet(OTHERS, packets=[Packet(3, 9, b"xyz")]))
    assert raw.receive() == wire(3, 9, b"xyz")
    assert json.receive() == '{"type":3,"who":9,"content":"eHl6"}'


def test_a_status_closes_a_session_or_refuses_it(gateway, join, hub):
    status = lambda code, message: status_pb2.Status(
        code=code, message=message).SerializeToString()
    client, who = join()
    hub.send(Packet(CLOSE, who, status(5, "gone")))
    assert client.receive_close() == (4005, "gone")
    client, who = join()
    hub.send(Packet(CLOSE, who))
    assert client.receive_close()[0] == 1000
    hub.policy = lambda who, joined: Packet(CLOSE, who, status(7, "no"))
    assert refusal(gateway, "/play/1") == 403


def test_accept_greets(join, hub):
    hub.policy = lambda who, joined: accept(
        who, joined, user="ann",
        greeting=hub_pb.Payload(packet=Packet(1, who, b"hello")))
    client, who = join("1", PACKET)
    assert client.receive() == wire(1, who, b"hello")


def test_sessions_are_named_again_on_a_new_stream(gateway, join, hub):
    client, who = join()
    hub.stop()
    # What is under way when a stream breaks is lost with it.
    eventually(lambda: gateway.metric("headgate_hub_stream_up") == 0,
               "the gateway to notice")
    client.send(wire(1, 0, b"while it is away"))
    hub.restart()
    eventually(lambda: hub.of_kind(CONTENTS), "what waited")
    hello, joined = hub.streams[-1][:2]
    assert pb.Hello.FromString(hello.content).resumes
    assert (joined.type, joined.who) == (JOINED, who)
    assert pb.Joined.FromString(joined.content).resumed
    hub.send(Packet(CONTENTS, who, packets=[Packet(1, 0, b"again")]))
    assert client.receive() == wire(1, 0, b"again")


def test_what_is_not_a_packet_costs_the_stream_alone(join, hub):
    client, who = join()
    # A name that is not UTF-8.
    hub.send(Packet(JOIN, who, b"\xff"))
    eventually(lambda: len(hub.streams) == 2, "another stream")
    eventually(lambda: any(packet.type == JOINED
                           for packet in hub.streams[-1]), "named again")
    # A type that is none is ignored.
    hub.send(Packet(1, who, b"what"),
             Packet(CONTENTS, who, packets=[Packet(1, 0, b"still")]))
    assert client.receive() == wire(1, 0, b"still")
