"""The packet codec: a 12-byte header (type, length, who) and its content
(docs/protocol/packet.md)."""

import itertools
import json
import struct
import threading
import time

import pytest

from client import JSON, PACKET, PROTOBUF, Client, call
from harness import eventually
from wire import (BINARY, CONTAINER_PACKET, DEFAULT_FORMAT, END_PACKET,
                  PacketFormat, RawClient, fields, message, packet,
                  parse_packets, rpc_status)

PACKETS = "/packets"
END = packet(END_PACKET, 0)


def packets_of(messages):
    """The packets of whole messages: none may be cut in two."""
    return [one for data in messages for one in parse_packets(data)]


def exchange(gateway, *messages):
    """Sends `messages`, half-closes, and returns all packets that came but the
    end packet, whose status must be OK."""
    answers, ending = call(gateway, PACKETS, *messages, subprotocols=(),
                           half_close=True)
    assert ending == (1000, "")
    *packets, end = packets_of(answers)
    assert end == (END_PACKET, 0, b"")
    return packets


def fault(gateway, data, form=DEFAULT_FORMAT):
    """The reason with which a session ends that sends `data`: 1002, after an
    end packet with INVALID_ARGUMENT and the same text."""
    answers, (code, reason) = call(gateway, PACKETS, data, subprotocols=())
    assert code == 1002
    *_, (type, who, status) = form.parse(answers[-1])
    assert (type, who) == (END_PACKET, 0)
    status_code, text = rpc_status(status)
    assert status_code == 3
    assert text.startswith(reason)
    return reason


# --- packets on the wire ---


def test_packet_is_big_endian_type_length_who_content(demo):
    with Client(demo, PACKETS) as client:
        client.send(bytes.fromhex("00000007 00000005 0000002a") + b"hello")
        assert client.receive() == (
            bytes.fromhex("00000007 00000005 0000002a") + b"hello")


@pytest.mark.parametrize("type, who, content", [
    (0, 0, b""), (1, 0xFFFFFFFF, b""), (0xFFFFFFFD, 0, b"x"),
    (7, 0x80000000, bytes(range(256))), (100, 1, b"\0" * 1000)])
def test_any_packet_comes_back_as_it_was(demo, type, who, content):
    assert exchange(demo, packet(type, who, content)) == [(type, who, content)]


def test_packet_on_the_method_itself_needs_no_route(demo):
    with Client(demo, "/headgate.v1.PacketService/Connect") as client:
        client.send(packet(7, 42, b"hello"))
        assert client.receive() == packet(7, 42, b"hello")


def test_subprotocol_asks_for_packets(demo):
    with Client(demo, PACKETS, PACKET) as client:
        assert client.subprotocol == PACKET
        client.send(packet(7, 42, b"hello"))
        assert client.receive() == packet(7, 42, b"hello")


def test_message_holds_several_packets(demo):
    sent = [(i, i * 1000, b"x" * i) for i in range(1, 51)]
    assert exchange(demo, b"".join(packet(*one) for one in sent)) == sent


# The order of packets is that of their bytes, however messages divide them.
def test_packets_in_several_messages_keep_their_order(demo):
    sent = [(i % 90 + 1, i, bytes([i % 256])) for i in range(300)]
    messages = [b"".join(packet(*one) for one in sent[i:i + 7])
                for i in range(0, len(sent), 7)]
    assert exchange(demo, *messages) == sent


# Fragments are one message (RFC 6455 section 5.4), wherever they are cut.
@pytest.mark.parametrize("at", [1, 4, 11, 12, 13, 25])
def test_packets_in_a_fragmented_message(demo, at):
    data = packet(7, 42, b"hello") + packet(8, 43, b"you")
    assert exchange(demo, [data[:at], data[at:]]) == [
        (7, 42, b"hello"), (8, 43, b"you")]


FORMATS = [PacketFormat(*choice) for choice in itertools.product(
    ("type-length-who", "type-who-length"), ("big", "little"),
    ("content", "packet"))]


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: " ".join(
    form.flags()[1::2]))
def test_header_has_the_form_that_the_route_says(start_demo, form):
    gateway = start_demo(*form.flags())
    plain = form.packet(7, 42, b"hello")
    nested = form.packet(CONTAINER_PACKET, 1,
                         form.packet(2, 3, b"a") + form.packet(4, 5))
    answers, ending = call(gateway, PACKETS, plain + nested,
                           form.packet(END_PACKET, 0), subprotocols=())
    assert ending == (1000, "")
    assert b"".join(answers) == plain + nested + form.packet(END_PACKET, 0)


# --- nesting ---


def container(*inner, type=CONTAINER_PACKET, who=9):
    return packet(type, who, b"".join(inner))


def deep(depth):
    """A packet at `depth`, the outermost counted as 1."""
    data = packet(1, depth, b"core")
    for who in range(depth - 1):
        data = container(data, who=who)
    return data


def test_nested_packets_come_back_nested(demo):
    data = container(packet(1, 2, b"a"),
                     container(packet(3, 4), packet(5, 6, b"b")),
                     packet(7, 8, b"c" * 500))
    answers, _ = call(demo, PACKETS, data, END, subprotocols=())
    assert b"".join(answers) == data + END


def test_backend_gets_nested_packets_as_packets(start_demo):
    # 202 says its content to a room; packets, which the backend tells from
    # content, it refuses.
    gateway = start_demo("--packet-container-types", "202")
    said = container(packet(1, 2, b"a"), packet(3, 4), type=202, who=77)
    answers, _ = call(gateway, PACKETS, packet(200, 77), said, END,
                      subprotocols=())
    packets = packets_of(answers)
    assert packets[1] == (203, 77, b"what is said is content, no packets")


def test_container_types_are_containers_too(start_demo):
    gateway = start_demo("--packet-container-types", "100,101")
    for type in (100, 101, CONTAINER_PACKET):
        data = container(packet(1, 2, b"a"), type=type)
        answers, _ = call(gateway, PACKETS, data, END, subprotocols=())
        assert b"".join(answers) == data + END
        reason = fault(gateway, packet(type, 1, b"not packets"))
        assert "offset 12" in reason
    # Any other type's content is nobody's business.
    assert exchange(gateway, packet(102, 1, b"not packets"))


def test_packets_nest_eight_deep_by_default(demo):
    answers, ending = call(demo, PACKETS, deep(8), END, subprotocols=())
    assert ending[0] == 1000
    assert b"".join(answers) == deep(8) + END
    reason = fault(demo, deep(9))
    assert f"offset {8 * 12}" in reason
    assert "depth" in reason


def test_max_depth_is_a_setting(start_demo):
    gateway = start_demo("--packet-max-depth", "2")
    call(gateway, PACKETS, deep(2), END, subprotocols=())
    assert "max_depth (2)" in fault(gateway, deep(3))


# --- faults: 1002 with the offset and the field ---


@pytest.mark.parametrize("data, offset, field", [
    (b"", 0, "header"),
    (b"\0", 0, "header"),
    (packet(1, 2)[:11], 0, "header"),
    (packet(1, 2, b"abc")[:-1], 0, "length"),
    (packet(1, 2, b"abc") + b"left over", 15, "header"),
    (packet(1, 2, b"abc") + packet(3, 4, b"defg")[:-2], 15, "length"),
    (struct.pack(">III", 1, 0xFFFFFFFF, 2), 0, "length"),
    (struct.pack(">III", 1, 1024 * 1024 + 1, 2), 0, "length"),
    (container(packet(1, 2, b"abc")[:-1]), 12, "length"),
    (container(packet(1, 2, b"abc"), b"rest"), 27, "header"),
    (container(container(packet(1, 2)[:5])), 24, "header"),
])
def test_broken_packet_is_1002_with_offset_and_field(demo, data, offset, field):
    reason = fault(demo, data)
    assert f"offset {offset}:" in reason
    assert field in reason


def test_length_that_counts_the_header_cannot_be_below_it(start_demo):
    form = PacketFormat(length_counts="packet")
    gateway = start_demo(*form.flags())
    assert "length" in fault(gateway, struct.pack(">III", 1, 11, 2), form)


def test_packet_over_the_limit_is_1002(start_demo):
    gateway = start_demo("--packet-max-bytes", "1KiB")
    assert exchange(gateway, packet(1, 2, b"x" * 1024))
    assert "max_packet_bytes (1024)" in fault(gateway,
                                              packet(1, 2, b"x" * 1025))


# Answers that the backend gave before the fault are delivered.
def test_packets_before_the_fault_reach_the_backend(demo):
    with Client(demo, PACKETS) as client:
        client.send(packet(1, 2, b"good"))
        assert parse_packets(client.receive()) == [(1, 2, b"good")]
        client.send(b"bad")
        *_, (code, _) = client.receive_all()
        assert code == 1002


def test_text_on_a_packet_session_is_1003(demo):
    with Client(demo, PACKETS, PACKET) as client:
        client.send("text")
        answers, (code, reason) = client.receive_all()
    assert code == 1003
    assert reason
    assert packets_of(answers)[-1][0] == END_PACKET


def test_text_after_a_packet_is_1003(demo):
    with Client(demo, PACKETS) as client:
        client.send(packet(7, 42))
        client.receive()
        client.send("{}")
        _, (code, _) = client.receive_all()
    assert code == 1003


# --- the end packet ---


def test_end_packet_half_closes(demo):
    answers, ending = call(demo, PACKETS, packet(1, 2, b"a") + END,
                           subprotocols=())
    assert packets_of(answers) == [(1, 2, b"a"), (END_PACKET, 0, b"")]
    assert ending == (1000, "")


# In one message, so that the end of the call cannot come between them.
@pytest.mark.parametrize("second", [packet(1, 2), END])
def test_nothing_follows_the_end_packet(demo, second):
    _, (code, reason) = call(demo, PACKETS, END + second, subprotocols=())
    assert code == 1002
    assert "half-close" in reason


def test_end_packet_has_no_content(demo):
    assert "length" in fault(demo, packet(END_PACKET, 0, b"x"))


def test_end_packet_has_no_place_in_a_container(demo):
    assert "offset 12" in fault(demo, container(END))


def test_last_packet_is_the_status_of_the_call(start_demo):
    gateway = start_demo("--deadline", "300ms")
    with Client(gateway, PACKETS, PACKET) as client:
        answers, (code, reason) = client.receive_all()
    assert code == 4004
    (type, who, content), = packets_of(answers)
    assert (type, who) == (END_PACKET, 0)
    status_code, text = rpc_status(content)
    assert status_code == 4
    assert text.startswith(reason)


# --- many answers ---


def flood(gateway, count, size):
    """Has `count` packets echoed to a client that at first takes nothing, so
    that answers pile up in the gateway. Returns the messages that came."""
    batch = b"".join(packet(1, i, b"x" * size) for i in range(count))
    per_message = 100 * (12 + size)
    sent = 0
    with RawClient(gateway, receive_buffer=4096) as client:
        client.upgrade(PACKETS)

        def send():
            nonlocal sent
            for start in range(0, len(batch), per_message):
                client.send_frame(BINARY, batch[start:start + per_message])
                sent += 1
            client.send_frame(BINARY, END)

        sender = threading.Thread(target=send)
        sender.start()
        # Until the whole way is full and nothing moves any more: neither the
        # sender, nor the gateway, which may only be slow.
        last, busy, since = -1, 0.0, time.monotonic()

        def stuck():
            nonlocal last, busy, since
            cpu = gateway.cpu_seconds()
            if sent != last or cpu - busy > 0.05:
                last, busy, since = sent, cpu, time.monotonic()
            return time.monotonic() - since > 1 or not sender.is_alive()

        eventually(stuck, "the way is full")
        assert sender.is_alive(), "nothing held the flood back"
        messages = []
        while True:
            opcode, data = client.read_message()
            assert opcode == BINARY
            messages.append(data)
            if parse_packets(data)[-1][0] == END_PACKET:
                break
        sender.join()
        assert client.read_close() == (1000, "")
    packets = packets_of(messages)
    assert [who for _, who, _ in packets[:-1]] == list(range(count))
    return messages


def test_answers_under_load_share_messages_of_whole_packets(demo):
    messages = flood(demo, 20000, 1024)
    # Those that waited while the client took nothing.
    assert max(len(parse_packets(data)) for data in messages) >= 10
    assert max(len(data) for data in messages) <= 64 * 1024


def test_without_coalescing_each_packet_is_a_message(start_demo):
    gateway = start_demo("--packet-coalesce", "off")
    messages = flood(gateway, 20000, 1024)
    assert len(messages) == 20001


# --- JSON and protobuf on a packet route ---


# Each line is the proto3 JSON of a headgate.v1.Packet.
def test_json_session_speaks_packets(demo):
    with Client(demo, PACKETS) as client:
        client.send('{"type": 7, "who": 42, "content": "aGVsbG8="}')
        assert client.receive_json() == {"type": 7, "who": 42,
                                         "content": "aGVsbG8="}
        nested = {"type": CONTAINER_PACKET, "who": 1,
                  "packets": [{"type": 2, "content": "YQ=="}]}
        client.send(nested)
        assert client.receive_json() == nested
        client.half_close()
        assert client.receive_close() == (1000, "")


def test_protobuf_session_speaks_packets(demo):
    with Client(demo, PACKETS, PROTOBUF) as client:
        client.send(message((1, 7), (2, 42), (3, b"hello")))
        assert fields(client.receive()) == {1: [7], 2: [42], 3: [b"hello"]}


# A room joins clients of all codecs.
def test_packet_reaches_a_client_of_another_codec(demo):
    room = 1234
    with Client(demo, PACKETS) as binary, Client(demo, PACKETS, JSON) as text:
        binary.send(packet(200, room))
        (_, _, content), = parse_packets(binary.receive())
        assert content == str(room).encode()
        text.send({"type": 200, "who": room})
        member = text.receive_json()["who"]
        assert member >= 1 << 31
        text.send(json.dumps({"type": 202, "who": room, "content": "aGk="}))
        assert parse_packets(binary.receive()) == [(202, member, b"hi")]
        assert text.receive_json() == {"type": 202, "who": member,
                                       "content": "aGk="}


def test_codec_flag_leaves_no_choice(start_demo):
    gateway = start_demo("--codec", "packet",
                         "--route", "/p=headgate.v1.PacketService/Connect")
    with Client(gateway, "/p") as client:
        client.send("{}")
        _, (code, _) = client.receive_all()
    assert code == 1003
