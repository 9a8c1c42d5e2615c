"""RFC 6455 sentence by sentence, over raw sockets: what the gateway takes, what
it refuses and how, and what it sends itself. test_websocket.py has the cases
that a client meets every day.

The echo of /echo gives back each message with its opcode, looking into nothing;
what comes from it has passed the gateway as it should.
"""

import contextlib
import os
import select
import signal
import socket
import struct
import time

import pytest

from client import ECHO, HELLO, stats
from harness import Gateway, eventually, soon
from wire import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, RawClient,
                  frame, message, packet)


class Echo(RawClient):
    """A session whose messages come back as they are."""

    def __init__(self, gateway, path="/echo"):
        super().__init__(gateway)
        # What is sent in pieces leaves in pieces, and at once.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.upgrade(path)

    def expect_echo(self, opcode, payload):
        assert self.read_message() == (opcode, payload)

    def expect_alive(self):
        self.send_frame(TEXT, b"still there?")
        self.expect_echo(TEXT, b"still there?")

    def expect_end(self):
        """A FIN, neither RST nor a further byte."""
        assert self._received == b"" and self._socket.recv(1) == b""

    def quiet(self, seconds):
        """Whether nothing comes for so long, not even the end."""
        return not select.select([self._socket], [], [], seconds)[0]


@pytest.fixture
def echo(demo):
    with Echo(demo) as client:
        yield client


def masked(opcode, payload, key, fin=True):
    """A frame under a mask that is not zero."""
    head = frame(opcode, payload, fin=fin)[:-4 - len(payload)]
    return head + key + bytes(byte ^ key[i % 4]
                              for i, byte in enumerate(payload))


def close_payload(code, reason=b""):
    return struct.pack(">H", code) + reason


# --- 5.2, the frame ---


# "MUST be 0 unless an extension is negotiated that defines meanings for
# non-zero values. If a nonzero value is received and none of the negotiated
# extensions defines the meaning of such a nonzero value, the receiving endpoint
# MUST _Fail the WebSocket Connection_."
@pytest.mark.parametrize("reserved", range(1, 8))
def test_reserved_bits_are_refused(demo, reserved):
    for opcode in (TEXT, BINARY, CLOSE, PING, PONG):
        with Echo(demo) as client:
            payload = close_payload(1000) if opcode == CLOSE else b"x"
            client.send_frame(opcode, payload, reserved=reserved)
            assert client.read_close()[0] == 1002, opcode
    with Echo(demo) as client:
        client.send_frame(TEXT, b"x", fin=False)
        client.send_frame(CONTINUATION, b"y", reserved=reserved)
        assert client.read_close()[0] == 1002


# "If an unknown opcode is received, the receiving endpoint MUST _Fail the
# WebSocket Connection_."
@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("payload", [b"", b"x" * 100])
def test_reserved_opcodes_are_refused(echo, opcode, payload):
    echo.send_frame(opcode, payload)
    assert echo.read_close()[0] == 1002


def test_reserved_opcode_inside_a_message_is_refused(echo):
    echo.send_frame(TEXT, b"x", fin=False)
    echo.send_frame(4, b"y")
    assert echo.read_close()[0] == 1002


# 5.1: "The server MUST close the connection upon receiving a frame that is not
# masked. In this case, a server MAY send a Close frame with a status code of
# 1002 (protocol error)".
@pytest.mark.parametrize("opcode, payload", [
    (TEXT, b""), (TEXT, b"x" * 70000), (BINARY, b"x" * 200), (PING, b""),
    (PONG, b"x"), (CLOSE, b""), (CLOSE, close_payload(1000))])
def test_frames_without_a_mask_are_refused(echo, opcode, payload):
    with contextlib.suppress(ConnectionError):
        echo.send_frame(opcode, payload, masked=False)
    assert echo.read_close()[0] == 1002


def test_continuation_without_a_mask_is_refused(echo):
    echo.send_frame(TEXT, b"x", fin=False)
    echo.send_frame(CONTINUATION, b"y", masked=False)
    assert echo.read_close()[0] == 1002


# 5.3: "The masking key is a 32-bit value chosen at random by the client."
# Any value is one that could be chosen.
@pytest.mark.parametrize("key", [b"\0\0\0\0", b"\xff\xff\xff\xff",
                                 b"\0\0\0\1", b"\x80\0\0\0", b"\1\2\3\4"])
def test_any_masking_key_will_do(echo, key):
    for size in (0, 1, 3, 4, 5, 125, 126, 70001):
        payload = os.urandom(size)
        echo.send(masked(BINARY, payload, key))
        echo.expect_echo(BINARY, payload)


# "When preparing a masked frame, the client MUST pick a fresh masking key":
# each frame's own counts, also within a message and for a control frame.
def test_each_frame_has_a_mask_of_its_own(echo):
    echo.send(masked(TEXT, b"one ", b"\1\2\3\4", fin=False))
    echo.send(masked(PING, b"ping", b"\xa1\xb2\xc3\xd4"))
    echo.send(masked(CONTINUATION, b"two ", b"\0\0\0\0", fin=False))
    echo.send(masked(CONTINUATION, b"three", b"\x99\x88\x77\x66"))
    assert echo.read_frame().payload == b"ping"
    echo.expect_echo(TEXT, b"one two three")


# "if 0-125, that is the payload length. If 126, the following 2 bytes
# interpreted as a 16-bit unsigned integer are the payload length. If 127, the
# following 8 bytes interpreted as a 64-bit unsigned integer".
@pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 127, 128, 255, 256,
                                  65534, 65535, 65536, 65537])
def test_every_form_of_length_comes_through(echo, size):
    payload = os.urandom(size)
    echo.send_frame(BINARY, payload)
    echo.expect_echo(BINARY, payload)


# "Note that in all cases, the minimal number of bytes MUST be used to encode
# the length".
@pytest.mark.parametrize("length", [
    b"\xfe\0\0", b"\xfe\0\5", b"\xfe\0\x7d", b"\xff\0\0\0\0\0\0\0\0",
    b"\xff\0\0\0\0\0\0\0\5", b"\xff\0\0\0\0\0\0\0\x7e",
    b"\xff\0\0\0\0\0\0\xff\xff"])
def test_a_length_in_more_bytes_than_it_needs_is_refused(echo, length):
    size = int.from_bytes(length[1:], "big")
    echo.send(b"\x82" + length + b"\0\0\0\0" + b"x" * size)
    assert echo.read_close()[0] == 1002


def test_frames_may_come_byte_by_byte(echo):
    payload = bytes(range(256)) * 2
    data = (masked(BINARY, payload, b"\5\6\7\x08") +
            frame(TEXT, b"a", fin=False) + frame(PING, b"now") +
            frame(CONTINUATION, b"b"))
    for byte in data:
        echo.send(bytes([byte]))
    got = [echo.read_frame() for _ in range(3)]
    # The echo comes by way of the backend; a pong may overtake it.
    assert sorted((each.opcode, each.payload) for each in got) == [
        (TEXT, b"ab"), (BINARY, payload), (PONG, b"now")]


def test_many_frames_may_come_in_one_segment(echo):
    messages = [(BINARY, bytes([i]) * i) for i in range(200)]
    echo.send(b"".join(frame(*each) for each in messages))
    for each in messages:
        echo.expect_echo(*each)


# Wherever a segment ends.
def test_frames_may_be_cut_anywhere(echo):
    data = frame(TEXT, b"x" * 130) + frame(PING, b"ping") + frame(BINARY)
    for cut in range(1, len(data)):
        echo.send(data[:cut])
        echo.send(data[cut:])
        got = [echo.read_frame() for _ in range(3)]
        assert sorted((each.opcode, each.payload) for each in got) == [
            (TEXT, b"x" * 130), (BINARY, b""), (PONG, b"ping")]


# --- 5.4, fragments ---


# "A fragmented message consists of a single frame with the FIN bit clear and an
# opcode other than 0, followed by zero or more frames with the FIN bit clear
# and the opcode set to 0, and terminated by a single frame with the FIN bit set
# and an opcode of 0."
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("pieces", [
    [b"a", b"b"], [b"", b"ab"], [b"ab", b""], [b"", b""], [b"", b"", b""],
    [b"a", b"", b"b"], [b"", b"a", b"", b"b", b""],
    [b"x" * 126, b"y" * 70000, b"z"]])
def test_fragments_make_one_message(echo, opcode, pieces):
    for i, piece in enumerate(pieces):
        echo.send_frame(CONTINUATION if i else opcode, piece,
                        fin=i == len(pieces) - 1)
    echo.expect_echo(opcode, b"".join(pieces))
    echo.expect_alive()


# "Control frames MAY be injected in the middle of a fragmented message."
def test_pings_and_pongs_may_stand_inside_a_message(echo):
    echo.send_frame(TEXT, b"a", fin=False)
    echo.send_frame(PING, b"1")
    echo.send_frame(PONG, b"unasked")
    echo.send_frame(CONTINUATION, b"", fin=False)
    echo.send_frame(PING)
    echo.send_frame(PONG)
    echo.send_frame(CONTINUATION, b"b")
    assert [echo.read_frame().payload for _ in range(2)] == [b"1", b""]
    echo.expect_echo(TEXT, b"ab")


# Nothing says that the message must come to its end.
def test_a_close_frame_may_stand_inside_a_message(echo):
    echo.send_frame(TEXT, b"a", fin=False)
    echo.send_frame(CLOSE, close_payload(1000))
    answer = echo.read_frame()
    assert (answer.opcode, answer.payload) == (CLOSE, close_payload(1000))
    echo.expect_end()


# "The fragments of one message MUST NOT be interleaved between the fragments of
# another message".
@pytest.mark.parametrize("data", [
    frame(TEXT, b"x", fin=False) + frame(TEXT, b"y", fin=False),
    frame(BINARY, b"x", fin=False) + frame(TEXT, b"y"),
    frame(TEXT, b"", fin=False) + frame(BINARY, b""),
    frame(TEXT, b"x", fin=False) + frame(CONTINUATION, b"y", fin=False) +
    frame(BINARY, b"z")])
def test_messages_do_not_interleave(echo, data):
    echo.send(data)
    assert echo.read_close()[0] == 1002


@pytest.mark.parametrize("before", [b"", frame(TEXT, b"a"), frame(PING, b"a"),
                                    frame(TEXT, b"a", fin=False) +
                                    frame(CONTINUATION, b"b")])
@pytest.mark.parametrize("fin", [True, False])
def test_a_continuation_continues_something(echo, before, fin):
    echo.send(before + frame(CONTINUATION, b"x", fin=fin))
    assert echo.read_close()[0] == 1002


# "Control frames themselves MUST NOT be fragmented."
@pytest.mark.parametrize("opcode, payload", [
    (PING, b""), (PONG, b""), (PONG, b"x"), (CLOSE, b""),
    (CLOSE, close_payload(1000))])
def test_control_frames_are_not_fragmented(echo, opcode, payload):
    echo.send_frame(opcode, payload, fin=False)
    assert echo.read_close()[0] == 1002


def test_a_long_message_in_short_frames_comes_through(start_demo):
    gateway = start_demo("--max-message-bytes", "8MiB", "--max-answer-bytes",
                         "8MiB")
    # Four mebibytes less a frame, so that with its tag and length it is no
    # longer than gRPC servers take.
    payload = os.urandom(64) * 65535
    with Echo(gateway) as client:
        pieces = [frame(CONTINUATION if at else BINARY, payload[at:at + 64],
                        fin=at + 64 == len(payload))
                  for at in range(0, len(payload), 64)]
        client.send(b"".join(pieces))
        client.expect_echo(BINARY, payload)
        client.expect_alive()


# A message need never end, but what it costs does.
def test_a_message_of_a_hundred_thousand_empty_fragments(demo):
    with Echo(demo) as client, Echo(demo) as other:
        nothing = frame(CONTINUATION, b"", fin=False)
        client.send(frame(TEXT, b"", fin=False) + nothing * 99_998)
        other.expect_alive()
        client.send_frame(CONTINUATION, b"")
        client.expect_echo(TEXT, b"")
        client.expect_alive()


# Frames of one byte cost a client seven bytes each. They must not cost the
# gateway more than that kind of work.
def test_a_message_in_frames_of_one_byte_is_cheap(demo):
    count = 200_000
    with Echo(demo) as client:
        before = demo.cpu_seconds()
        client.send(frame(BINARY, b"x", fin=False) +
                    frame(CONTINUATION, b"x", fin=False) * (count - 2) +
                    frame(CONTINUATION, b"x"))
        client.expect_echo(BINARY, b"x" * count)
        spent = demo.cpu_seconds() - before
    # Ten microseconds a frame, on a machine that is slow.
    assert spent < soon(count * 10e-6)


# --- 5.5, control frames ---


# "All control frames MUST have a payload length of 125 bytes or less".
@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
@pytest.mark.parametrize("size", [126, 127, 65536])
def test_long_control_frames_are_refused(echo, opcode, size):
    payload = close_payload(1000, b"x" * (size - 2))
    with contextlib.suppress(ConnectionError):
        echo.send_frame(opcode, payload)
    assert echo.read_close()[0] == 1002


# 5.5.3: "A Pong frame sent in response to a Ping frame must have identical
# 'Application data' as found in the message body of the Ping frame being
# replied to."
def test_a_pong_has_the_payload_of_its_ping(echo):
    for payload in (b"", b"\0", os.urandom(64), os.urandom(124),
                    os.urandom(125)):
        echo.send_frame(PING, payload)
        pong = echo.read_frame()
        assert (pong.fin, pong.opcode, pong.payload) == (True, PONG, payload)


# "If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in
# response to previous Ping frame(s), the endpoint MAY elect to send a Pong
# frame for only the most recently processed Ping frame."
def test_the_last_of_many_pings_is_answered(echo):
    echo.send(b"".join(frame(PING, b"%d" % i) for i in range(100)))
    seen = -1
    while seen < 99:
        pong = echo.read_frame()
        assert pong.opcode == PONG
        assert int(pong.payload) > seen
        seen = int(pong.payload)
    echo.expect_alive()


# "A Pong frame MAY be sent unsolicited. This serves as a unidirectional
# heartbeat. A response to an unsolicited Pong frame is not expected."
def test_a_pong_that_nobody_asked_for_has_no_answer(echo):
    for payload in (b"", b"x", os.urandom(125)):
        echo.send_frame(PONG, payload)
    assert echo.quiet(0.2)
    echo.expect_alive()


# --- 7.4, close codes from the client ---


def answer_to(gateway, payload):
    """The code of the Close frame that answers one."""
    with Echo(gateway) as client:
        client.send_frame(CLOSE, payload)
        return client.read_close()[0]


# 5.5.1: "When sending a Close frame in response, the endpoint typically echos
# the status code it received."
def test_close_codes_are_echoed(demo):
    codes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013,
             3000, 3001, 3999, 4000, 4005, 4016, 4500, 4999]
    assert [answer_to(demo, close_payload(code)) for code in codes] == codes
    for code in (1000, 4321):
        assert answer_to(demo, close_payload(code, "Žofie".encode())) == code
        assert answer_to(demo, close_payload(code, b"x" * 123)) == code


# "Bad Gateway", which IANA registered after the RFC. It is the gateway's own
# word for others, not a client's for it: closed either way, with this or with
# what stands for a code that is not known.
def test_close_code_1014_closes(demo):
    assert answer_to(demo, close_payload(1014)) in (1002, 1014)


# 7.4.2: "Status codes in the range 0-999 are not used." 7.4.1 of 1005, 1006 and
# 1015: "It is a reserved value and MUST NOT be set as a status code in a Close
# control frame by an endpoint." 1004 is "Reserved", and 1016-2999 are "for
# definition by this protocol", which has not defined them.
@pytest.mark.parametrize("code", [
    0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999])
def test_close_codes_that_may_not_be_sent_are_refused(demo, code):
    assert answer_to(demo, close_payload(code)) == 1002
    assert answer_to(demo, close_payload(code, b"why")) == 1002


# 5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte
# unsigned integer".
def test_a_close_frame_with_half_a_code_is_refused(demo):
    assert answer_to(demo, b"\x03") == 1002


# "The Close frame MAY contain a body". There is no code to echo; an empty
# answer says as much as 1000.
def test_a_close_frame_without_a_body_is_answered(echo):
    echo.send_frame(CLOSE)
    answer = echo.read_frame()
    assert answer.opcode == CLOSE
    assert answer.payload in (b"", close_payload(1000))
    echo.expect_end()


# "Following the 2-byte integer, the body MAY contain UTF-8-encoded data". 8.1
# has 1007 for bytes that are not, section 7.4.1 1002 for a frame that is wrong.
@pytest.mark.parametrize("reason", [b"\xff", b"a\x80", b"\xc5", b"\xed\xa0\x80",
                                    b"\xf4\x90\x80\x80", b"x" * 122 + b"\xc5"])
def test_a_close_reason_that_is_not_utf8_is_refused(demo, reason):
    assert answer_to(demo, close_payload(1000, reason)) in (1002, 1007)


# --- 7.4, close codes from the gateway ---


def ending(gateway, path, *data, subprotocol=None):
    """The code and reason that a session ends with after `data` was sent. The
    frame must be one that a strict client takes."""
    with RawClient(gateway) as client:
        client.upgrade(path, [("Sec-WebSocket-Protocol", subprotocol)]
                       if subprotocol else [])
        for each in data:
            client.send(each)
        while (got := client.read_frame()).opcode != CLOSE:
            pass
        assert got.fin
        assert len(got.payload) <= 125
        client.send_frame(CLOSE, got.payload[:2])
        assert client.at_end()
        return struct.unpack(">H", got.payload[:2])[0], got.payload[2:].decode()


def test_codes_that_the_gateway_ends_with(start_demo):
    gateway = start_demo("--max-message-bytes", "1KiB")

    def code(*arguments, **options):
        return ending(gateway, *arguments, **options)[0]

    hello = frame(TEXT, b'{"greeting":"ann"}')
    assert code(HELLO + "SayHello", hello) == 1000
    assert code("/echo", frame(3)) == 1002
    assert code("/packets", frame(BINARY, packet(1, 2, b"x")[:-1])) == 1002
    assert code("/packets", frame(TEXT, b"x"),
                subprotocol="headgate.packet.v1") == 1003
    assert code("/echo", frame(TEXT, b"\xff")) == 1007
    assert code("/echo", frame(BINARY, b"x" * 1025)) == 1009


@pytest.mark.parametrize("code", range(1, 17))
def test_a_status_is_4000_and_its_code(demo, code):
    text = "Žofie " * 40
    fail = message((1, code), (2, text))
    got, reason = ending(demo, ECHO + "Fail", frame(BINARY, fail))
    assert got == 4000 + code
    # Cut to what a Close frame holds, not inside a character.
    assert text.startswith(reason)
    assert 120 < len(reason.encode()) <= 123


def test_drain_is_1001(backend):
    gateway = Gateway.serve(backend.target)
    with RawClient(gateway) as client:
        client.upgrade(ECHO + "Echo")
        client.send_frame(BINARY, message((1, b"x")))
        client.read_message()
        gateway.signal(signal.SIGTERM)
        assert client.read_close()[0] == 1001
    gateway.wait()


# --- 7.1, the closing handshake ---


# 5.5.1: "After sending a control frame indicating the connection should be
# closed, a peer does not send any further data"; 1.4: "discarding any further
# data received".
def test_what_follows_a_close_frame_is_ignored(echo):
    echo.send(frame(CLOSE, close_payload(1000)) + frame(TEXT, b"late") +
              frame(PING, b"late") + frame(CLOSE, close_payload(4001)))
    answer = echo.read_frame()
    assert (answer.opcode, answer.payload) == (CLOSE, close_payload(1000))
    echo.expect_end()


# Not even broken frames have an answer any more.
def test_garbage_after_a_close_frame_is_ignored(echo):
    echo.send(frame(CLOSE, close_payload(1000)) + b"\xff" * 1000)
    assert echo.read_frame().payload == close_payload(1000)
    echo.expect_end()


# 5.5.1: "After both sending and receiving a Close message, an endpoint
# considers the WebSocket connection closed and MUST close the underlying TCP
# connection. The server MUST close the underlying TCP connection immediately".
def test_tcp_is_closed_as_soon_as_the_client_has_closed(start_demo):
    gateway = start_demo("--close-timeout", "60s")
    with Echo(gateway) as client:
        begin = time.monotonic()
        client.send_frame(CLOSE, close_payload(1000))
        assert client.read_frame().opcode == CLOSE
        client.expect_end()
        assert time.monotonic() - begin < soon(2)


# 7.1.1: "a client SHOULD wait for the server to close the connection but MAY
# close the connection at any time", so that the server waits for the answer to
# its Close frame, but no longer.
def test_tcp_is_closed_as_soon_as_the_client_has_answered(start_demo):
    gateway = start_demo("--close-timeout", "60s")
    with Echo(gateway, ECHO + "Fail") as client:
        client.send_frame(TEXT, b'{"code": 5}')
        assert client.read_frame().payload[:2] == close_payload(4005)
        assert client.quiet(0.3), "closed before the client has answered"
        # What was under way still is; RFC 6455 section 7.1.2 lets it be.
        client.send_frame(TEXT, b"late")
        client.send_frame(PING, b"late")
        begin = time.monotonic()
        client.send_frame(CLOSE, close_payload(4005))
        while client.readable() or client.quiet(0):
            try:
                assert client.read_frame().opcode == PONG
            except EOFError:
                break
        assert time.monotonic() - begin < soon(2)


# Both ends may close at the same time; each has the other's frame for its
# answer.
def test_close_frames_may_cross(start_demo):
    gateway = start_demo("--close-timeout", "60s")
    begin = time.monotonic()
    for _ in range(20):
        with Echo(gateway, ECHO + "Fail") as client:
            client.send(frame(TEXT, b'{"code": 5}') +
                        frame(CLOSE, close_payload(1000)))
            assert client.read_frame().payload[:2] in (
                close_payload(4005), close_payload(1000))
            client.expect_end()
    assert time.monotonic() - begin < soon(5)


# Half of TCP may be closed with the Close frame; the answer still comes.
def test_half_closed_tcp_after_a_close_frame(echo):
    echo.send_frame(CLOSE, close_payload(4999))
    echo.half_close()
    answer = echo.read_frame()
    assert (answer.opcode, answer.payload) == (CLOSE, close_payload(4999))
    echo.expect_end()


# 7.1.7: "An endpoint MUST NOT continue to attempt to process data (including a
# responding Close frame) from the remote endpoint after being instructed to
# _Fail the WebSocket Connection_."
def test_nothing_is_processed_after_a_violation(echo):
    echo.send(frame(3, b"?") + frame(TEXT, b"late") + frame(PING, b"late"))
    code = echo.read_frame()
    assert (code.opcode, code.payload[:2]) == (CLOSE, close_payload(1002))
    echo.send_frame(CLOSE, close_payload(1002))
    assert echo.at_end()


# But what came before is: its answer leaves before the Close frame, also when
# both arrived together.
VIOLATIONS = {
    "reserved bit": (frame(TEXT, b"x", reserved=1), 1002),
    "reserved opcode": (frame(3, b"x"), 1002),
    "reserved control opcode": (frame(11, b"x"), 1002),
    "no mask": (frame(TEXT, b"x", masked=False), 1002),
    "fragmented ping": (frame(PING, b"x", fin=False), 1002),
    "long ping": (frame(PING, b"x" * 126), 1002),
    "continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "bad close code": (frame(CLOSE, close_payload(999)), 1002),
    "not UTF-8": (frame(TEXT, b"\xff"), 1007),
    "too long": (frame(BINARY, b"x" * (1 << 20) + b"y"), 1009),
}


@pytest.mark.parametrize("violation, code", VIOLATIONS.values(),
                         ids=VIOLATIONS.keys())
def test_messages_before_a_violation_are_answered(demo, violation, code):
    with Echo(demo) as client:
        client.send(frame(TEXT, b"one") + frame(BINARY, b"two") +
                    frame(PING, b"three") + violation + frame(TEXT, b"late"))
        data = [client.read_frame() for _ in range(3)]
        pongs = [each for each in data if each.opcode == PONG]
        assert [each.payload for each in pongs] == [b"three"]
        assert [(each.opcode, each.payload) for each in data
                if each.opcode != PONG] == [(TEXT, b"one"), (BINARY, b"two")]
        close = client.read_frame()
        assert (close.opcode, close.payload[:2]) == (CLOSE,
                                                     close_payload(code))
    eventually(lambda: demo.sessions() == [], "the session is over")


# The kinds of call that give one answer, and streams that the backend ends.
@pytest.mark.parametrize("path, request_, answers", [
    (HELLO + "SayHello", b'{"greeting":"ann"}', [b'{"reply":"hello, ann"}']),
    (HELLO + "BidiHello", b'{"greeting":"ann"}', [b'{"reply":"hello, ann"}']),
    (ECHO + "Flood", b'{"count":"3"}',
     [b'{}', b'{"index":"1"}', b'{"index":"2"}'])])
def test_calls_before_a_violation_are_answered(demo, path, request_, answers):
    with Echo(demo, path) as client:
        client.send(frame(TEXT, request_) + frame(3, b""))
        for answer in answers:
            assert client.read_message() == (TEXT, answer)
        assert client.read_close()[0] == 1002


def test_packets_before_a_violation_are_answered(demo):
    with Echo(demo, "/packets") as client:
        client.send(frame(BINARY, packet(7, 42, b"one")) + frame(3, b""))
        assert client.read_message() == (BINARY, packet(7, 42, b"one"))
        # The status of the call, and the Close frame.
        assert packet(0xFFFFFFFF, 0)[:4] == client.read_message()[1][:4]
        assert client.read_close()[0] == 1002


# There is no longer than --close-timeout for it, neither for a stream that goes
# on nor for one that says nothing.
@pytest.mark.parametrize("path, request_", [
    (ECHO + "Flood", b'{"size":10}'), ("/chat", b'{"messageType":"join"}')])
def test_answers_after_a_violation_have_the_close_timeout(start_demo, path,
                                                          request_):
    gateway = start_demo("--close-timeout", "1s")
    with Echo(gateway, path) as client:
        client.send(frame(TEXT, request_) + frame(3, b""))
        begin = time.monotonic()
        while client.read_frame().opcode != CLOSE:
            pass
        assert time.monotonic() - begin < soon(2)
    eventually(lambda: gateway.sessions() == [], "the session is over")


# An upload that breaks off is not taken for a whole one.
def test_a_violation_within_a_clients_stream_cancels_it(start_demo):
    gateway = start_demo("--close-timeout", "60s")
    with Echo(gateway, ECHO + "Sink") as client:
        client.send(frame(TEXT, b'{"payload":"eA=="}'))
        eventually(lambda: stats(gateway) == (1, 0), "the call has begun")
        client.send(frame(3, b""))
        assert client.read_close()[0] == 1002
    eventually(lambda: stats(gateway) == (0, 1), "the call is cancelled")


# Whoever leaves meanwhile is not waited for.
def test_a_client_that_leaves_after_a_violation_ends_the_call(start_demo):
    gateway = start_demo("--close-timeout", "60s")
    with Echo(gateway, ECHO + "Flood") as client:
        client.send(frame(TEXT, b'{"size":10}') + frame(3, b""))
        client.read_frame()
    eventually(lambda: stats(gateway) == (0, 1), "the call is cancelled")


# A message that is not complete is none.
def test_half_a_message_never_reaches_the_backend(demo):
    with Echo(demo) as client:
        client.send_frame(TEXT, b"x", fin=False)
        client.send(frame(CONTINUATION, b"y" * 100)[:-1])
        client.half_close()
        assert client.receive_to_end()[:1] not in (b"\x81", b"\x82")


# --- 8.1, UTF-8 ---

GOOD_TEXT = ["\0", "\x7f", "\x80", "ž", "\u07ff", "\u0800", "€", "\ud7ff",
             "\ue000", "\ufffd", "\uffff", "\U00010000", "😀", "\U0010ffff",
             "κόσμε"]


# "a text message MUST contain valid UTF-8"; 5.6: "Note that a particular text
# frame might include a partial UTF-8 sequence; however, the whole message MUST
# contain valid UTF-8."
def test_characters_may_be_cut_anywhere(echo):
    for text in GOOD_TEXT:
        data = ("a" + text + "z").encode()
        for cut in range(len(data) + 1):
            echo.send_frame(TEXT, data[:cut], fin=False)
            echo.send_frame(CONTINUATION, data[cut:])
            echo.expect_echo(TEXT, data)
        for i in range(len(data)):
            echo.send_frame(CONTINUATION if i else TEXT, data[i:i + 1],
                            fin=False)
            echo.send_frame(PING, b"\xff")
        echo.send_frame(CONTINUATION, b"")
        for _ in data:
            assert echo.read_frame().opcode == PONG
        echo.expect_echo(TEXT, data)


# Overlong forms, surrogates, what is beyond U+10FFFF, what stands alone, and
# what is cut short by another character.
BAD_TEXT = [b"\x80", b"\xbf", b"\xc0\x80", b"\xc0\xaf", b"\xc1\xbf",
            b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf",
            b"\xed\xa0\xbd\xed\xb8\x80", b"\xf0\x80\x80\x80",
            b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80",
            b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xfe",
            b"\xff", b"\xc5z", b"\xe2\x82z", b"\xf0\x9f\x98z", b"\xe2\xc5\xbe",
            b"\xc5\xbe\xbe"]


# "When an endpoint is to interpret a byte stream as UTF-8 but finds that the
# byte stream is not, in fact, a valid UTF-8 stream, that endpoint MUST _Fail
# the WebSocket Connection_."
@pytest.mark.parametrize("bad", BAD_TEXT)
def test_text_that_is_not_utf8_is_refused_however_it_is_cut(demo, bad):
    data = "ž".encode() + bad + b"z"
    for cut in range(len(data) + 1):
        with Echo(demo) as client:
            client.send(frame(TEXT, data[:cut], fin=False) +
                        frame(CONTINUATION, data[cut:]))
            assert client.read_close()[0] == 1007, cut


# It is found where it stands: the rest of the message is not waited for.
@pytest.mark.parametrize("bad", BAD_TEXT)
def test_text_that_is_not_utf8_is_refused_at_once(demo, bad):
    for size in (0, 200, 5000):
        with Echo(demo) as client:
            client.send_frame(TEXT, b"x" * size + bad + b"z", fin=False)
            assert client.read_close()[0] == 1007, size


# Even inside a frame whose end is still to come.
def test_text_that_is_not_utf8_is_refused_before_its_frame_ends(echo):
    echo.send(frame(TEXT, b"x" * 10000 + b"\xff" + b"x" * 10000, length=30000))
    assert echo.read_close()[0] == 1007


@pytest.mark.parametrize("cut", [b"\xc5", b"\xe2", b"\xe2\x82", b"\xf0",
                                 b"\xf0\x9f", b"\xf0\x9f\x98"])
def test_a_character_cut_by_the_end_of_its_message_is_refused(demo, cut):
    for frames in (frame(TEXT, cut), frame(TEXT, b"x" * 5000 + cut),
                   frame(TEXT, cut, fin=False) + frame(CONTINUATION, b""),
                   frame(TEXT, b"x", fin=False) + frame(CONTINUATION, cut),
                   # The next message does not continue it.
                   frame(TEXT, cut) + frame(TEXT, "ž€😀".encode())):
        with Echo(demo) as client:
            client.send(frames)
            assert client.read_close()[0] == 1007


# 5.6 of binary: "arbitrary binary data whose interpretation is solely up to the
# application layer."
def test_binary_need_not_be_utf8(echo):
    for bad in BAD_TEXT:
        echo.send_frame(BINARY, bad[:1], fin=False)
        echo.send_frame(CONTINUATION, bad[1:])
        echo.expect_echo(BINARY, bad)


# "(the most significant bit MUST be 0)".
@pytest.mark.parametrize("length", [1 << 63, (1 << 63) + 5, (1 << 64) - 1])
def test_a_length_with_its_top_bit_set_is_refused(echo, length):
    echo.send(frame(BINARY, b"hello", length=length))
    assert echo.read_close()[0] in (1002, 1009)


# 7.4.2 ends with 4999.
@pytest.mark.parametrize("code", [5000, 5001, 9999, 32768, 65535])
def test_close_codes_beyond_all_ranges_are_refused(demo, code):
    assert answer_to(demo, close_payload(code)) == 1002
