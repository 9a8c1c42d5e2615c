"""Backpressure from end to end, and the timeouts and limits that bound it
(docs/protocol.md, "Flow control and limits"). The gateway runs without the
backend in its process, so that the memory measured is its own."""

import struct
import time

import pytest

from client import ECHO, JSON, PROTOBUF, Client, call, call_json, stats
from harness import eventually, sanitized, soon
from wire import BINARY, TEXT, RawClient, fields, frame, message

MIB = 1 << 20
# What a session may cost at most, with the allocator's reserve. A gateway that
# piled up what it gets would pass it in well under a second.
ALLOWANCE = 30 * MIB
WATCHED_SECONDS = 3


def expect_flat(gateway, before, watch=WATCHED_SECONDS):
    """Watches the gateway's memory for a while."""
    # A sanitizer's own memory grows with every allocation ever freed.
    allowance = ALLOWANCE * (3 if sanitized() else 1)
    end = time.monotonic() + watch
    while time.monotonic() < end:
        grown = gateway.rss() - before
        assert grown < allowance, f"grown by {grown / MIB:.0f} MiB"
        time.sleep(0.05)


def warm_up(gateway):
    """Memory after a flood that was taken, bytes: buffers and caches exist."""
    answers, _ = call(gateway, ECHO + "Flood", message((1, 100), (2, 65536)),
                      subprotocols=(PROTOBUF,))
    assert len(answers) == 100
    return gateway.rss()


def start_flood(gateway, client, size=65536, count=0):
    client.upgrade(ECHO + "Flood")
    client.send_frame(BINARY, message((1, count), (2, size)))


# --- a client that stops reading ---


def test_client_that_stops_reading_leaves_memory_flat(start_serve):
    gateway = start_serve()
    before = warm_up(gateway)
    with RawClient(gateway, receive_buffer=65536) as client:
        start_flood(gateway, client)
        for _ in range(10):
            client.read_message()
        expect_flat(gateway, before)


def kernel_holds(gateway):
    """The most that the kernel holds of what the gateway has sent on one of
    the connections of its listener, bytes (proc_net_tcp: tx_queue)."""
    port = f":{gateway.port:04X}"
    queues = [int(line.split()[4].split(":")[0], 16)
              for line in open("/proc/net/tcp").readlines()[1:]
              if line.split()[1].endswith(port)]
    return max(queues, default=0)


# The kernel's memory is not the process's, and max_memory does not see it.
def test_the_kernel_holds_little_for_a_client_that_reads_nothing(start_serve):
    gateway = start_serve("--send-timeout", "2s")
    _, before = stats(gateway)
    with RawClient(gateway, receive_buffer=4096, segment=None) as client:
        start_flood(gateway, client)
        most = 0

        def has_ended():
            nonlocal most
            most = max(most, kernel_holds(gateway))
            return stats(gateway) == (0, before + 1)

        eventually(has_ended, "the call to end")
    assert 64 * 1024 < most < 512 * 1024


# What each may hold is a setting (max_buffered_bytes, 64 KiB), not as much as
# the backend's connection would carry.
@pytest.mark.parametrize("size", [1000, 10000])
def test_many_clients_that_stop_reading_cost_little_each(start_serve, stack,
                                                         size):
    gateway = start_serve()
    before = warm_up(gateway)
    for _ in range(20):
        client = stack.enter_context(RawClient(gateway, receive_buffer=4096))
        start_flood(gateway, client, size=size)
        client.read_message()
    expect_flat(gateway, before)


# Nothing was dropped while nobody read.
def test_client_that_reads_on_gets_every_message_in_order(start_serve):
    gateway = start_serve()
    with RawClient(gateway, receive_buffer=4096) as client:
        start_flood(gateway, client, size=10000, count=2000)
        time.sleep(1)  # The pause is the test.
        for index in range(2000):
            _, data = client.read_message()
            assert fields(data).get(1, [0])[0] == index
        assert client.read_close() == (1000, "")


# A slow client is not a dead one.
def test_slow_client_is_not_cut_off(start_serve):
    gateway = start_serve("--send-timeout", "2s")
    with RawClient(gateway, receive_buffer=4096) as client:
        start_flood(gateway, client, size=1000)
        end = time.monotonic() + 4
        while time.monotonic() < end:
            client.read_message()
            time.sleep(0.01)
        client.read_message()


def test_client_that_takes_nothing_for_send_timeout_is_ended(start_serve):
    gateway = start_serve("--send-timeout", "1s")
    _, before = stats(gateway)
    with RawClient(gateway, receive_buffer=4096) as client:
        start_flood(gateway, client)
        client.read_message()
        # Its call ends, though the client does not stir.
        eventually(lambda: stats(gateway) == (0, before + 1),
                   "the stalled session to end")
        with pytest.raises((EOFError, ConnectionError, AssertionError)):
            while True:
                client.read_message()


def test_other_sessions_do_not_wait_for_a_client_that_stops_reading(
        start_serve):
    gateway = start_serve("--threads", "1")
    with RawClient(gateway, receive_buffer=4096) as client:
        start_flood(gateway, client)
        client.read_message()
        for _ in range(20):
            assert call_json(gateway, ECHO + "Stats", {})


# --- a backend that stops reading ---


ASLEEP = message((1, b"x"), (2, message((1, 3000))))  # 3000 s.


def start_sink(gateway, client):
    """A call whose backend reads one message and then no more."""
    client.upgrade(ECHO + "Sink")
    client.send_frame(BINARY, ASLEEP)


def test_backend_that_stops_reading_leaves_memory_flat(start_serve):
    gateway = start_serve()
    before = warm_up(gateway)
    with RawClient(gateway) as client:
        start_sink(gateway, client)
        data = frame(BINARY, message((1, b"x" * 60000)))
        sent = client.send_until_blocked(data, patience=soon(1))
        # All buffers on the way together: sockets, HTTP/2 windows, the queue.
        assert sent < 64 * MIB
        expect_flat(gateway, before)
        more = client.send_until_blocked(data, patience=1)
        assert more < MIB


def test_small_messages_to_a_backend_that_stops_reading_are_bounded_too(
        start_serve):
    gateway = start_serve()
    before = warm_up(gateway)
    with RawClient(gateway) as client:
        start_sink(gateway, client)
        data = frame(BINARY, message((1, b"x" * 100))) * 500
        assert client.send_until_blocked(data, patience=1) < 64 * MIB
        expect_flat(gateway, before, watch=1)


# One JSON message of many objects is decoded as the backend takes them.
def test_message_of_many_objects_is_not_decoded_at_once(start_serve):
    gateway = start_serve()
    before = warm_up(gateway)
    with RawClient(gateway) as client:
        client.upgrade(ECHO + "Sink")
        client.send_frame(TEXT, b'{"payload":"AA==","delay":"3000s"}')
        data = frame(TEXT, b"{}" * (1 << 18))
        client.send_until_blocked(data, patience=1)
        expect_flat(gateway, before, watch=1)


def test_backend_that_takes_nothing_for_stall_timeout_is_4008(start_serve):
    gateway = start_serve("--stall-timeout", "4s")
    _, before = stats(gateway)
    with RawClient(gateway) as client:
        start_sink(gateway, client)
        client.send_until_blocked(frame(BINARY, message((1, b"x" * 60000))),
                                  patience=2)
        code, reason = client.read_close()
        assert code == 4008
        assert reason
    eventually(lambda: stats(gateway) == (0, before + 1), "the call to end")


# Silence is no stall: the backend has nothing to take.
def test_idle_session_does_not_stall(start_serve):
    gateway = start_serve("--stall-timeout", "1s")
    with Client(gateway, ECHO + "Sink", JSON) as client:
        client.send({"payload": "AA==", "delay": "3s"})
        client.half_close()
        assert client.receive_json() == {"messages": "1", "bytes": "1"}


def test_backend_that_reads_slowly_but_steadily_does_not_stall(start_serve):
    gateway = start_serve("--stall-timeout", "2s", "--max-buffered-bytes",
                          "16KiB")
    count = 100
    with Client(gateway, ECHO + "Sink", PROTOBUF) as client:
        slow = message((1, b"x" * 20000), (2, message((2, 20_000_000))))
        client.send(*[slow] * count)
        client.half_close()
        assert fields(client.receive()) == {1: [count], 2: [20000 * count]}


# --- max_answer_bytes ---


def test_answer_over_the_limit_is_4008(start_serve):
    gateway = start_serve("--max-answer-bytes", "64KiB")
    _, (code, reason) = call(gateway, ECHO + "Flood", {"count": 1,
                                                       "size": 100000})
    assert code == 4008
    assert reason


def test_answer_within_the_limit_passes(start_serve):
    gateway = start_serve("--max-answer-bytes", "64KiB")
    answers, ending = call(gateway, ECHO + "Flood", {"count": 3, "size": 60000})
    assert len(answers) == 3
    assert ending == (1000, "")


def test_four_mebibytes_are_the_limit_by_default(gateway):
    for size, codes in ((4 * MIB - 100, {1000}), (4 * MIB, {4008})):
        _, (code, _) = call(gateway, ECHO + "Flood",
                            message((1, 1), (2, size)),
                            subprotocols=(PROTOBUF,))
        assert code in codes


# An answer larger than what a session buffers still passes, alone.
def test_answer_larger_than_the_buffer_passes(start_serve):
    gateway = start_serve("--max-buffered-bytes", "1KiB")
    answers, ending = call(gateway, ECHO + "Flood",
                           message((1, 5), (2, 500000)),
                           subprotocols=(PROTOBUF,))
    assert [len(fields(answer)[2][0]) for answer in answers] == [500000] * 5
    assert ending == (1000, "")


# --- compression bombs and their like ---


# permessage-deflate is not negotiated, so its bit is a fault (RFC 7692).
def test_compressed_frame_is_refused_not_inflated(gateway):
    with RawClient(gateway) as client:
        client.upgrade(ECHO + "Echo")
        client.send(frame(BINARY, b"\xed\xc1" + b"\0" * 1000, reserved=4))
        assert client.read_close()[0] == 1002


# Empty fragments make no message, and must not pile up.
def test_endless_empty_fragments_leave_memory_flat(start_serve):
    gateway = start_serve()
    before = warm_up(gateway)
    with RawClient(gateway) as client:
        client.upgrade(ECHO + "Echo")
        client.send_frame(BINARY, b"", fin=False)
        nothing = frame(0, b"", fin=False) * 10000
        for _ in range(20):
            client.send(nothing)
        client.send_frame(0, message((1, b"end")))
        assert client.read_message() == (BINARY, message((1, b"end")))
        expect_flat(gateway, before, watch=0.1)


# Pongs are not queued without end for a client that does not read them.
def test_ping_flood_of_a_client_that_does_not_read_leaves_memory_flat(
        start_serve):
    gateway = start_serve()
    before = warm_up(gateway)
    with RawClient(gateway, receive_buffer=4096) as client:
        client.upgrade(ECHO + "Echo")
        pings = frame(9, struct.pack(">I", 7) * 31) * 500
        client.send_until_blocked(pings, patience=1)
        expect_flat(gateway, before, watch=1)
