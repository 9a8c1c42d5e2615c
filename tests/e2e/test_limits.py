"""Limits and keepalive (docs/security.md): each with its setting, its close
code or status, and its metric."""

import contextlib
import json
import os
import resource
import socket
import time
import zlib

import pytest
import websockets

from client import ECHO, HELLO, JSON, PROTOBUF, RAW, Client, call_json, refusal
from harness import Gateway, eventually, sanitized, soon
from wire import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, RawClient,
                  frame)

BIDI = HELLO + "BidiHello"
LOTS = HELLO + "LotsOfReplies"


def configured(tmp_path, config, *flags):
    file = tmp_path / "headgate.yaml"
    file.write_text(json.dumps({
        "listeners": [{"address": "127.0.0.1:0",
                       "trusted_proxies": ["127.0.0.0/8"]}], **config}))
    return Gateway.configured(file, *flags, command="demo")


def coming_from(address):
    return {"headers": [("X-Forwarded-For", address)]}


def limits_hit(gateway, limit):
    return gateway.metric("headgate_limits_hit_total", limit=limit)


def expect_limit(gateway, limit, count):
    eventually(lambda: limits_hit(gateway, limit) == count,
               f"{limit} is counted {count} times")


def refused(gateway, reason):
    return gateway.metric("headgate_handshakes_refused_total", reason=reason)


# --- sessions ---


def test_sessions_of_one_address_are_limited(tmp_path, stack):
    with configured(tmp_path, {
            "limits": {"max_sessions_per_address": 2}}) as gateway:
        ann, bob = coming_from("203.0.113.1"), coming_from("203.0.113.2")
        first = stack.enter_context(Client(gateway, BIDI, JSON, **ann))
        stack.enter_context(Client(gateway, BIDI, JSON, **ann))
        assert refusal(gateway, BIDI, JSON, **ann) == 503
        # Others are not hindered, nor is the proxy itself, nor who is here.
        for _ in range(3):
            stack.enter_context(Client(gateway, BIDI, JSON))
        stack.enter_context(Client(gateway, BIDI, JSON, **bob))
        # What an address says of others before the proxy's word is nothing.
        lie = coming_from("198.51.100.77, 203.0.113.1")
        assert refusal(gateway, BIDI, JSON, **lie) == 503
        assert refused(gateway, "max_sessions_per_address") == 2
        first.close()
        eventually(lambda: len(gateway.sessions("?peer=203.0.113.1")) == 1,
                   "the place is free")
        stack.enter_context(Client(gateway, BIDI, JSON, **ann))


# An IPv6 client has a network of addresses to choose from.
def test_ipv6_addresses_count_with_their_network(tmp_path, stack):
    with configured(tmp_path, {
            "limits": {"max_sessions_per_address": 1}}) as gateway:
        stack.enter_context(Client(gateway, BIDI, JSON,
                                   **coming_from("2001:db8:0:1::1")))
        assert refusal(gateway, BIDI, JSON,
                       **coming_from("2001:db8:0:1:ffff::2")) == 503
        stack.enter_context(Client(gateway, BIDI, JSON,
                                   **coming_from("2001:db8:0:2::1")))


def test_sessions_of_a_route_and_in_all_are_limited(tmp_path, stack):
    with configured(tmp_path, {
            "limits": {"max_sessions": 3},
            "routes": [{"path": "/few", "max_sessions": 1,
                        "method": "headgate.demo.v1.HelloService/BidiHello"},
                       {}]}) as gateway:
        stack.enter_context(Client(gateway, "/few", JSON))
        assert refusal(gateway, "/few", JSON) == 503
        stack.enter_context(Client(gateway, BIDI, JSON))
        stack.enter_context(Client(gateway, BIDI, JSON))
        assert refusal(gateway, BIDI, JSON) == 503
        assert refused(gateway, "max_sessions_of_route") == 1
        assert refused(gateway, "max_sessions") == 1
        assert gateway.metric("headgate_sessions", route="/few") == 1


# --- rates ---


def send_until_closed(client, message, most):
    with contextlib.suppress(websockets.ConnectionClosed):
        for _ in range(most):
            client.send(message)
    return client.receive_all()


def test_messages_per_second_are_limited():
    with Gateway.demo("--messages-per-second", "20") as gateway:
        with Client(gateway, "/echo", RAW) as client:
            for i in range(15):  # In one go: a second's worth may come.
                client.send(b"x")
                assert client.receive() == b"x"
            answers, (code, reason) = send_until_closed(client, b"x", 5000)
        assert code == 1008
        assert reason == "more than messages_per_second (20) came in"
        expect_limit(gateway, "messages_per_second", 1)


def test_bytes_per_second_are_limited():
    with Gateway.demo("--bytes-per-second", "64KiB", "--max-message-bytes",
                      "32KiB") as gateway:
        with Client(gateway, "/echo", RAW) as client:
            client.send(b"x" * 30000)  # A long message, after a rest.
            assert len(client.receive()) == 30000
            code, reason = send_until_closed(client, b"x" * 30000, 1000)[1]
        assert code == 1008
        assert "bytes_per_second (65536)" in reason
        expect_limit(gateway, "bytes_per_second", 1)


def expect_too_many_bytes(gateway, client, data, most):
    """`data` again and again is too much before `most` bytes of it."""
    sent = 0
    with contextlib.suppress(ConnectionError, TimeoutError):
        while sent < most and not client.readable():
            client.send(data)
            sent += len(data)
    assert sent < most
    received = client.read_frame()
    assert received.opcode == CLOSE
    assert received.payload[:2] == (1008).to_bytes(2, "big")
    assert b"bytes_per_second" in received.payload
    expect_limit(gateway, "bytes_per_second", 1)


# What is in them is nothing, and their heads cost all the same.
def test_empty_fragments_are_bytes():
    with Gateway.demo("--bytes-per-second", "64KiB", "--max-message-bytes",
                      "32KiB") as gateway:
        with RawClient(gateway) as client:
            client.upgrade("/echo")
            client.send_frame(BINARY, b"", fin=False)
            expect_too_many_bytes(
                gateway, client, frame(CONTINUATION, b"", fin=False) * 1000,
                20_000_000)


# Blocks that are empty: 1 GB of them is not one byte of a message.
def test_compressed_bytes_that_come_to_nothing_are_bytes():
    with Gateway.demo("--bytes-per-second", "64KiB", "--max-message-bytes",
                      "32KiB", "--compression", "on") as gateway:
        with RawClient(gateway) as client:
            client.upgrade("/echo", [("Sec-WebSocket-Extensions",
                                      "permessage-deflate")])
            empty_blocks = b"\x00\x00\x00\xff\xff" * 200
            client.send(frame(BINARY, b"", fin=False, reserved=4))
            expect_too_many_bytes(
                gateway, client,
                frame(CONTINUATION, empty_blocks, fin=False) * 50, 20_000_000)


# And what is short on the wire counts with what it comes to.
def test_compressed_bytes_count_with_what_they_come_to():
    with Gateway.demo("--bytes-per-second", "64KiB", "--max-message-bytes",
                      "32KiB", "--compression", "on") as gateway:
        with Client(gateway, "/echo", RAW, compression="deflate") as client:
            code, reason = send_until_closed(client, b"x" * 30000, 1000)[1]
        assert (code, "bytes_per_second" in reason) == (1008, True)


def test_bytes_of_a_body_are_limited():
    with Gateway.demo("--bytes-per-second", "64KiB", "--max-message-bytes",
                      "32KiB") as gateway:
        with RawClient(gateway) as client:
            client.send(b"POST /v1/shelves/x/books:add HTTP/1.1\r\nHost: localhost"
                        b"\r\nTransfer-Encoding: chunked\r\n\r\n")
            chunk = b"1\r\n \r\n" * 1000  # White space between texts.
            sent = 0
            with contextlib.suppress(ConnectionError):
                while sent < 20_000_000 and not client.readable():
                    client.send(chunk)
                    sent += len(chunk)
            assert client.read_response().status == 429
        expect_limit(gateway, "bytes_per_second", 1)


# A ping costs an answer, so pings are messages here.
def test_pings_count_as_messages():
    with Gateway.demo("--messages-per-second", "50") as gateway:
        with RawClient(gateway) as client:
            client.upgrade("/echo")
            with contextlib.suppress(ConnectionError):
                for _ in range(3000):
                    client.send_frame(PING, b"")
            while (received := client.read_frame()).opcode == PONG:
                pass
            assert received.payload[:2] == (1008).to_bytes(2, "big")
        expect_limit(gateway, "messages_per_second", 1)


# Who keeps to the rate is never cut off.
def test_a_steady_client_goes_on():
    with Gateway.demo("--messages-per-second", "200") as gateway:
        with Client(gateway, "/echo", RAW) as client:
            for _ in range(250):
                client.send(b"x")
                assert client.receive() == b"x"
                time.sleep(0.006)


# --- time ---


def test_idle_sessions_are_closed():
    with Gateway.demo("--idle-timeout", "2s") as gateway:
        with Client(gateway, BIDI, JSON) as client:
            for _ in range(6):  # As long as it talks it stays.
                time.sleep(0.4)
                client.send({"greeting": "ann"})
                client.receive()
            began = time.monotonic()
            assert client.receive_close() == (
                1001, "no message for idle_timeout (2s)")
            assert time.monotonic() - began < soon(4)
        expect_limit(gateway, "idle_timeout", 1)


# A stream of answers is no silence, and pings are no messages.
def test_answers_keep_a_session_from_being_idle():
    with Gateway.demo("--idle-timeout", "300ms", "--keepalive-interval",
                      "50ms") as gateway:
        with Client(gateway, BIDI, JSON) as client:
            assert client.receive_close()[0] == 1001


def test_sessions_end_at_their_max_age():
    with Gateway.demo("--max-age", "1s") as gateway:
        ages = []
        for _ in range(3):
            began = time.monotonic()
            with Client(gateway, BIDI, JSON) as client:
                code, reason = client.receive_close()
                ages.append(time.monotonic() - began)
            assert code == 1001
            assert reason == ("the session has lasted for its max_age (1s), "
                              "connect again")
        assert all(0.8 < age < soon(2) for age in ages), ages
        expect_limit(gateway, "max_age", 3)


# --- a message that has begun ---

STUCK = "the rest of a message did not come within timeouts.message (1s)"


def expect_stuck(gateway, client, count):
    while (received := client.read_frame()).opcode == PONG:
        pass
    assert received.opcode == CLOSE
    assert received.payload == (1008).to_bytes(2, "big") + STUCK.encode()
    expect_limit(gateway, "message_timeout", count)


def test_a_message_that_is_begun_must_come(start_demo):
    gateway = start_demo("--message-timeout", "1s")
    begun = [
        (BIDI, lambda client: client.send_frame(TEXT, b'{"greeting": "a')),
        ("/echo", lambda client: client.send_frame(BINARY, b"x", fin=False)),
        ("/echo", lambda client: client.send(frame(BINARY, b"x" * 500)[:300])),
        ("/echo", lambda client: client.send(frame(BINARY, b"x")[:1])),
        ("/echo", lambda client: client.send(frame(PING, b"ping")[:8])),
    ]
    for count, (path, begin) in enumerate(begun, 1):
        with RawClient(gateway) as client:
            client.upgrade(path)
            client.send_frame(PING, b"")
            began = time.monotonic()
            begin(client)
            expect_stuck(gateway, client, count)
            assert 0.9 < time.monotonic() - began < soon(4)


# Neither pings, nor a byte now and then: each may go on without end.
def test_a_trickle_is_no_progress(start_demo):
    gateway = start_demo("--message-timeout", "1s")
    with RawClient(gateway) as client:
        client.upgrade("/echo")
        client.send_frame(BINARY, b"x", fin=False)
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while not client.readable():
                client.send_frame(CONTINUATION, b"x", fin=False)
                time.sleep(0.05)
                assert time.monotonic() - began < soon(5)
        expect_stuck(gateway, client, 1)


# 8 KiB/s are slow, and honest; silence between messages is no fault.
def test_a_slow_upload_is_waited_for(start_demo):
    gateway = start_demo("--message-timeout", "1s")
    with RawClient(gateway) as client:
        client.upgrade("/echo")
        client.send_frame(BINARY, b"x" * 1024, fin=False)
        for _ in range(24):
            time.sleep(0.125)
            client.send_frame(CONTINUATION, b"x" * 1024, fin=False)
        client.send_frame(CONTINUATION, b"", fin=True)
        assert len(client.read_message()[1]) == 25 * 1024
        time.sleep(2.5)
        client.send_frame(BINARY, b"y")
        assert client.read_message() == (BINARY, b"y")


# It is the gateway that does not read.
def test_a_message_that_waits_for_the_backend_is_not_slow(start_demo):
    gateway = start_demo("--message-timeout", "500ms", "--stall-timeout", "1m")
    with RawClient(gateway) as client:
        client.upgrade(ECHO + "Sink", [("Sec-WebSocket-Protocol", JSON)])
        client.send_frame(TEXT, b'{"delay":"60s"}')
        line = json.dumps({"payload": "AAAA" * 8000}).encode()
        client.send_until_blocked(frame(TEXT, line), 2)
        assert not client.readable()


def test_a_body_that_is_begun_must_come(start_demo):
    gateway = start_demo("--message-timeout", "1s")
    with RawClient(gateway) as client:
        client.send(b"POST /v1/shelves/x/books HTTP/1.1\r\nHost: localhost\r\n"
                    b"Content-Length: 100\r\n\r\n{")
        assert client.read_response().status == 408
    expect_limit(gateway, "message_timeout", 1)


# --- keepalive ---


def test_a_silent_client_gets_a_ping_and_stays_when_it_answers():
    with Gateway.demo("--keepalive-interval", "200ms", "--keepalive-timeout",
                      "5s") as gateway:
        with RawClient(gateway) as client:
            client.upgrade("/echo")
            for _ in range(3):
                ping = client.read_frame()
                assert (ping.opcode, ping.fin) == (PING, True)
                client.send_frame(PONG, ping.payload)
            client.send_frame(BINARY, b"still here")
            while (received := client.read_frame()).opcode == PING:
                client.send_frame(PONG, received.payload)
            assert received.payload == b"still here"
        assert gateway.metric("headgate_ping_seconds_count") >= 3


@pytest.mark.parametrize("answer", [None, b"another"])
def test_a_client_that_answers_no_ping_is_cut_off(answer):
    with Gateway.demo("--keepalive-interval", "200ms", "--keepalive-timeout",
                      "400ms") as gateway:
        with RawClient(gateway) as client:
            client.upgrade("/echo")
            assert client.read_frame().opcode == PING
            began = time.monotonic()
            assert client.receive_to_end() == b""
            assert time.monotonic() - began < soon(2)
        eventually(lambda: "cause=keepalive-timeout" in gateway.stderr(),
                   "the cause in the log")
        expect_limit(gateway, "keepalive_timeout", 1)
        assert gateway.metric("headgate_sessions_closed_total",
                              cause="keepalive-timeout") == 1


# Any frame is a sign of life, a pong unasked for too.
def test_any_frame_is_a_sign_of_life():
    with Gateway.demo("--keepalive-interval", "1s", "--keepalive-timeout",
                      "1s") as gateway:
        with RawClient(gateway) as client:
            client.upgrade("/echo")
            for _ in range(12):
                time.sleep(0.3)
                client.send_frame(PONG, b"")
            client.send_frame(BINARY, b"x")
            while (received := client.read_frame()).opcode == PING:
                pass
            assert received.payload == b"x"


# Its messages wait for the backend, and its pongs behind them: that it is not
# heard is not its fault. The stall has a time limit of its own.
def test_a_client_that_is_not_read_from_is_not_taken_for_dead():
    with Gateway.demo("--keepalive-interval", "200ms", "--keepalive-timeout",
                      "800ms", "--stall-timeout", "3s") as gateway:
        with RawClient(gateway) as client:
            client.upgrade(ECHO + "Sink",
                           [("Sec-WebSocket-Protocol", JSON)])
            client.send_frame(TEXT, b'{"delay":"60s"}')
            line = json.dumps({"payload": "AAAA" * 8000}).encode()
            client.send_until_blocked(frame(TEXT, line), soon(4))
        eventually(lambda: "session ended" in gateway.stderr(), "the end")
        expect_limit(gateway, "stall_timeout", 1)
        assert limits_hit(gateway, "keepalive_timeout") == 0


# What the kernel reports as room for more comes in leaps; between them a slow
# client takes what there is.
def test_a_slow_reader_has_taken_something():
    with Gateway.demo("--send-timeout", "1500ms") as gateway:
        with RawClient(gateway, receive_buffer=4096) as client:
            client.upgrade(ECHO + "Flood", [("Sec-WebSocket-Protocol", JSON)])
            client.send_frame(TEXT, b'{"size":3000000}')
            until = time.monotonic() + 4
            while time.monotonic() < until:
                assert client._socket.recv(3000)
                time.sleep(0.05)
            assert len(gateway.sessions()) == 1
            # And one that has stopped is cut off.
            expect_limit(gateway, "send_timeout", 1)


# The end of the answers is on its way to a slow client for longer than
# close_timeout; that it sends something meanwhile must not cost it the rest.
def test_a_slow_reader_gets_all_up_to_the_close():
    with Gateway.demo("--close-timeout", "1500ms", "--max-answer-bytes",
                      "4MiB") as gateway:
        with RawClient(gateway, receive_buffer=4096) as client:
            client.upgrade(ECHO + "Flood", [("Sec-WebSocket-Protocol", JSON)])
            client.send_frame(TEXT, b'{"count":3,"size":200000}')
            received = b""
            for i in range(30):
                time.sleep(0.1)
                received += client._socket.recv(4000)
                if i == 20:
                    client.send_frame(PING, b"here")
            with contextlib.suppress(ConnectionError):
                while chunk := client._socket.recv(1 << 20):
                    received += chunk
        assert len(received) > 3 * 200000 * 4 // 3, len(received)


# The ping is behind what it has not read yet, in the gateway or in the network;
# it is answered once it has come that far.
@pytest.mark.parametrize("compression", ["off", "on"])
def test_a_slow_reader_is_not_taken_for_dead(compression):
    with Gateway.demo("--keepalive-interval", "500ms", "--keepalive-timeout",
                      "2s", "--compression", compression) as gateway:
        with RawClient(gateway, receive_buffer=4096) as client:
            offer = [("Sec-WebSocket-Extensions", "permessage-deflate")]
            client.upgrade(ECHO + "Flood",
                           [("Sec-WebSocket-Protocol", JSON), *offer])
            client.send_frame(TEXT, b'{"size":3000000}')
            client.read_slowly(3000, pause=0.1, seconds=6)
            assert len(gateway.sessions()) == 1
        expect_limit(gateway, "keepalive_timeout", 0)


# --- compression ---


def deflate(data, **options):
    """A message as RFC 7692 section 7.2.1 has it."""
    compressor = zlib.compressobj(wbits=-15, level=9)
    out = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return out[:-4]


def deflate_text_frame(data):
    return b"\xC1" + deflate_frame(data)[1:]


def deflate_frame(data):
    """FIN and RSV1, masked with zeros."""
    head = bytes([0xC2])
    if len(data) < 126:
        head += bytes([0x80 | len(data)])
    elif len(data) < 65536:
        head += bytes([0x80 | 126]) + len(data).to_bytes(2, "big")
    else:
        head += bytes([0x80 | 127]) + len(data).to_bytes(8, "big")
    return head + b"\0\0\0\0" + data


OFFER = [("Sec-WebSocket-Extensions", "permessage-deflate")]


def test_compression_is_off_by_default(demo):
    with RawClient(demo) as client:
        response = client.upgrade("/echo", OFFER)
        assert response.header("Sec-WebSocket-Extensions") is None
        client.send(deflate_frame(deflate(b"x")))
        assert client.read_close()[0] == 1002  # RSV1 without the extension.


def test_compressed_messages_both_ways():
    with Gateway.demo("--compression", "on") as gateway:
        with RawClient(gateway) as client:
            response = client.upgrade("/echo", OFFER)
            assert response.header("Sec-WebSocket-Extensions").startswith(
                "permessage-deflate")
            data = b"headgate " * 1000
            client.send(deflate_frame(deflate(data)))
            frame_head = client._take(2)
            assert frame_head[0] == 0xC2, "FIN, RSV1, binary"
            size = frame_head[1]
            if size == 126:
                size = int.from_bytes(client._take(2), "big")
            assert size < 1000
            answer = client._take(size)
            assert zlib.decompressobj(wbits=-15).decompress(
                answer + b"\0\0\xff\xff") == data
            # A short one goes out as it is.
            client.send_frame(BINARY, b"short")
            assert client._take(2) == bytes([0x82, 5])
            assert client._take(5) == b"short"
        # Another library agrees, and without the offer nothing is compressed.
        with Client(gateway, "/echo", RAW) as client:
            for size in (0, 1, 127, 128, 70000):
                client.send(os.urandom(size // 2) * 2)
                client.receive()
        with RawClient(gateway) as client:
            response = client.upgrade("/echo")
            assert response.header("Sec-WebSocket-Extensions") is None
        traffic = gateway.metric("headgate_message_bytes_total", codec="raw",
                                 direction="in")
        assert traffic > 70000, "counted as decompressed"


def test_compression_has_its_settings(tmp_path):
    file = tmp_path / "headgate.yaml"
    file.write_text(json.dumps({"listeners": [{
        "address": "127.0.0.1:0",
        "compression": {"enabled": True, "server_max_window_bits": 10,
                        "client_max_window_bits": 11,
                        "server_no_context_takeover": True,
                        "client_no_context_takeover": True}}]}))
    with Gateway.configured(file, command="demo") as gateway:
        with RawClient(gateway) as client:
            response = client.upgrade(BIDI, [(
                "Sec-WebSocket-Extensions",
                "permessage-deflate; client_max_window_bits")])
            chosen = response.header("Sec-WebSocket-Extensions")
        # A client that has not said that it can be told a window is none the
        # worse for it.
        with RawClient(gateway) as client:
            response = client.upgrade(BIDI, [("Sec-WebSocket-Extensions",
                                              "permessage-deflate")])
            assert response.header("Sec-WebSocket-Extensions") is None
    for parameter in ("server_max_window_bits=10", "client_max_window_bits=11",
                      "server_no_context_takeover",
                      "client_no_context_takeover"):
        assert parameter in chosen


# RFC 7692 section 7.1.2.2. A window of 512 bytes is what the gateway keeps of a
# client: messages that refer to what is further back are no deflate stream.
def test_a_client_compresses_with_the_window_that_it_is_told(tmp_path):
    file = tmp_path / "headgate.yaml"
    file.write_text(json.dumps({"listeners": [{
        "address": "127.0.0.1:0",
        "compression": {"enabled": True, "client_max_window_bits": 9,
                        "min_bytes": "1MiB"}}]}))
    path = "/headgate.v1.MessageService/Connect"
    raw = ("Sec-WebSocket-Protocol", RAW)
    offer = [raw, ("Sec-WebSocket-Extensions",
              "permessage-deflate; client_max_window_bits")]
    data = os.urandom(2000)

    def messages(window_bits):
        """`data` again and again, by one compressor."""
        compressor = zlib.compressobj(level=9, wbits=-window_bits)
        while True:
            yield deflate_frame((compressor.compress(data) + compressor.flush(
                zlib.Z_SYNC_FLUSH))[:-4])

    with Gateway.configured(file, command="demo") as gateway:
        with RawClient(gateway) as client:
            response = client.upgrade(path, offer)
            assert response.header("Sec-WebSocket-Extensions") == (
                "permessage-deflate; client_max_window_bits=9")
            frames = messages(9)
            for _ in range(3):
                client.send(next(frames))
                assert client.read_message() == (BINARY, data)
        with RawClient(gateway) as client:
            client.upgrade(path, offer)
            frames = messages(15)
            client.send(next(frames) + next(frames))
            assert client.read_message() == (BINARY, data)
            assert client.read_close()[0] == 1007
        # It names a smaller window itself.
        with RawClient(gateway) as client:
            response = client.upgrade(path, [
                raw, ("Sec-WebSocket-Extensions",
                      "permessage-deflate; client_max_window_bits=8")])
            assert response.header("Sec-WebSocket-Extensions") == (
                "permessage-deflate; client_max_window_bits=8")
        # Another library compresses as it is told; one that cannot be told is
        # not compressed.
        with Client(gateway, path, RAW, compression="deflate") as client:
            for _ in range(3):
                client.send(data)
                assert client.receive() == data
        with RawClient(gateway) as client:
            response = client.upgrade(path, [raw, *OFFER])
            assert response.header("Sec-WebSocket-Extensions") is None
            client.send_frame(BINARY, b"plain")
            assert client.read_frame().payload == b"plain"


# 10 KiB that become 10 MiB: what counts is what it is when decompressed, and
# the gateway holds no more of it than the limit.
def test_a_deflate_bomb_ends_with_1009():
    with Gateway.demo("--compression", "on", "--max-message-bytes",
                      "1MiB") as gateway:
        before = gateway.rss()
        bomb = deflate(b"\0" * (10 * 1024 * 1024))
        assert len(bomb) < 16 * 1024
        for _ in range(5):
            with RawClient(gateway) as client:
                client.upgrade("/echo", OFFER)
                client.send(deflate_frame(bomb))
                code, reason = client.read_close()
                assert code == 1009
                assert "max_message_bytes (1048576)" in reason
        expect_limit(gateway, "max_message_bytes", 5)
        # It goes on: a bomb of a gigabyte behind it is cut off.
        with RawClient(gateway) as client:
            client.upgrade("/echo", OFFER)
            compressor = zlib.compressobj(wbits=-15, level=9)
            piece = b"\0" * (16 * 1024 * 1024)
            with contextlib.suppress(ConnectionError):
                client.send(bytes([0x42, 0x80 | 127])
                            + (2 ** 40).to_bytes(8, "big") + b"\0\0\0\0")
                for _ in range(64):
                    client.send(compressor.compress(piece)
                                + compressor.flush(zlib.Z_SYNC_FLUSH))
            client.receive_to_end()
        assert call_json(gateway, BIDI, half_close=True) == []
        assert gateway.rss() - before < (
            (400 if sanitized() else 100) * 1024 * 1024)


# A read of 16 KiB holds 14 messages of 1 MB. Others on the worker wait for one
# of them, not for all: how long they wait is measured by how long all take.
def test_long_compressed_messages_do_not_hold_up_others():
    message = deflate_text_frame(deflate(b" " * 1_000_000))
    assert 14 * len(message) < 16 * 1024
    with Gateway.demo("--compression", "on", "--threads", "1") as gateway:
        with RawClient(gateway) as sender, RawClient(gateway) as other:
            sender.upgrade(BIDI, [("Sec-WebSocket-Protocol", JSON), *OFFER])
            other.upgrade(BIDI, [("Sec-WebSocket-Protocol", JSON)])

            def wait_of_other():
                """How long a pong takes, as a part of all 14 messages."""
                sender.send(14 * message + frame(PING, b"behind them"))
                start = time.monotonic()
                other.send_frame(PING)
                assert other.read_frame().opcode == PONG
                waited = time.monotonic() - start
                assert sender.read_frame().payload == b"behind them"
                return waited / (time.monotonic() - start)

            waits = [wait_of_other() for _ in range(7)]
            assert sorted(waits)[3] < 0.5, waits


# What is no deflate stream, and a message that never ends.
@pytest.mark.parametrize(
    "data", [b"\xff" * 100, deflate(bytes(range(256)) * 4)[:-3]],
    ids=["garbage", "cut short"])
def test_broken_deflate_ends_the_session(data):
    with Gateway.demo("--compression", "on") as gateway:
        # Often, so that it meets what the gateway does from time to time.
        for _ in range(50):
            with RawClient(gateway) as client:
                client.upgrade("/echo", OFFER)
                client.send(deflate_frame(data))
                client.send_frame(BINARY, b"next")
                assert client.read_close()[0] == 1007
        assert call_json(gateway, BIDI, half_close=True) == []
