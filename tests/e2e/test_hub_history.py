"""Groups with history: what is published to them is stored in a stream of NATS'
JetStream, and reaches all gateways in one order (docs/hub.md, "History")."""

import collections
import re
import signal
import threading
import time
from concurrent import futures

import grpc
import pytest

from harness import ROOT, TIMEOUT, eventually, run
from hub_backend import Command, hub_pb, pb, text
from nats import Cable, Nats, NatsClient
from test_hub_api import address_of, fails
from test_hub_nats import HOSTILE, Replica, settle

STREAM = "headgate"
GROUPS = """
  groups:
    - {{pattern: "live:*"}}
    - {{pattern: "*", history: 50, history_age: 1h}}
"""


class Keeper(Replica):
    config = Replica.config.replace("\n  api:", GROUPS + "  api:").replace(
        "{nats}}}", "history: jetstream, {nats}}}")

    def publish(self, content, group="room:1", **fields):
        """The position of what was published."""
        answer = self.api.Publish(group=group, payload=text(content), **fields)
        assert answer.positions[0].group == group
        return answer.positions[0].position

    def gaps(self):
        return self.metric("engine_gaps_total")


@pytest.fixture
def nats(tmp_path):
    with Nats(f'jetstream {{ store_dir: "{tmp_path}/jetstream" }}') as server:
        yield server


@pytest.fixture
def replicas(stack, tmp_path, nats):
    """replicas(count) -> so many, which know each other. `urls`: of NATS for
    each."""

    def start(count=2, urls=(), **options):
        made = [Keeper(stack, tmp_path, urls[i] if urls else nats.url,
                       f"gw-{i}", **options) for i in range(count)]
        for replica in made:
            replica.wait_up(count)
        return made

    return start


@pytest.fixture
def stranger(nats):
    with NatsClient(nats.port) as client:
        yield client


def drain(client, last):
    """What has come, up to `last`."""
    received = []
    while not received or received[-1] != last:
        received.append(client.receive())
    return received


def catch_up(publisher, *clients, group="room:1"):
    """All of them are reached, and have read all that came before."""
    settle(publisher, group, *clients)


def test_publications_of_all_gateways_have_one_order(replicas, stranger):
    one, two, three = replicas(3)
    clients = [replica.join()[0] for replica in (one, two, three)]
    catch_up(one, *clients)
    each = 25

    def publish(replica):
        return [(replica.publish(f"{replica.name} {i}").offset,
                 f"{replica.name} {i}") for i in range(each)]

    with futures.ThreadPoolExecutor(2) as pool:
        published = [pair for pairs in pool.map(publish, (one, two))
                     for pair in pairs]
    expected = [content for _, content in sorted(published)]
    assert len({offset for offset, _ in published}) == 2 * each
    for client in clients:
        assert [client.receive() for _ in expected] == expected
    stored = [offset for offset, subject, _ in stranger.stored(STREAM)
              if subject == "headgate.in.g.room=3A1"]
    assert stored == sorted(offset for offset, _ in published)[-50:]


def test_a_publication_has_a_position(replicas):
    one, two = replicas()
    first = one.publish("a")
    second = two.publish("b")
    other = one.publish("c", group="room:2")
    assert 0 < first.offset < second.offset < other.offset
    assert first.epoch == second.epoch == other.epoch != ""
    plain = one.api.Publish(group="live:1", payload=text("x"))
    assert not plain.positions


def test_headgate_publish_says_where_it_is_stored(replicas):
    one, _ = replicas()
    before = one.publish("before")
    result = run("publish", "room:1", "hello", "--address",
                 address_of(one.gateway))
    stored = re.fullmatch(r"offset (\d+) in epoch (\w+)\n",
                          result.stdout.decode())
    assert stored, result
    assert int(stored[1]) > before.offset
    assert stored[2] == before.epoch


def test_what_a_gateway_has_missed_it_delivers_later(replicas, nats):
    with Cable(nats.port) as cable:
        one, two = replicas(urls=[nats.url, cable.url])
        near, _ = one.join()
        far, _ = two.join()
        catch_up(one, near, far)
        cable.cut()
        eventually(lambda: two.metric("engine_up") == 0, "NATS is missed")
        contents = [f"missed {i}" for i in range(20)]
        for content in contents:
            one.publish(content)
        with fails(grpc.StatusCode.UNAVAILABLE, "NATS"):
            two.publish("to nobody")
        cable.mend()
        two.wait_up(2)
        one.publish("after")
        assert drain(near, "after") == [*contents, "after"]
        assert drain(far, "after") == [*contents, "after"]
        assert two.gaps() == 0


def test_more_than_is_stored_is_a_gap(replicas, nats):
    with Cable(nats.port) as cable:
        one, two = replicas(urls=[nats.url, cable.url])
        far, _ = two.join()
        catch_up(one, far)
        cable.cut()
        eventually(lambda: two.metric("engine_up") == 0, "NATS is missed")
        contents = [f"missed {i}" for i in range(60)]
        for content in contents:
            one.publish(content)
        cable.mend()
        two.wait_up(2)
        assert drain(far, contents[-1]) == contents[-50:]
        eventually(lambda: two.gaps() == 1, "it is counted")
        eventually(lambda: re.search("hub history has a gap.*room:1",
                                     two.gateway.stderr()), "it is logged")


def test_nats_is_killed_again_and_again(replicas, nats):
    """Publishers try each message until it is stored: each client gets all of
    them in the stream's order, none twice, or the gateway reports a gap."""
    made = replicas(3)
    clients = [replica.join()[0] for replica in made]
    catch_up(made[0], *clients)
    stopping = threading.Event()
    counted = collections.Counter()
    offsets = {}

    def publish(replica):
        while not stopping.is_set():
            content = f"{replica.name}/{counted[replica.name]}"
            try:
                offsets[content] = replica.publish(content, id=content).offset
                counted[replica.name] += 1
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.UNAVAILABLE
                stopping.wait(0.05)

    with futures.ThreadPoolExecutor(2) as pool:
        publishing = [pool.submit(publish, replica) for replica in made[:2]]
        try:
            for _ in range(3):
                before = sum(counted.values())
                eventually(lambda: sum(counted.values()) > before + 5 or any(
                    each.done() for each in publishing), "messages are stored")
                nats.kill()
                for replica in made:
                    eventually(lambda: replica.metric("engine_up") == 0,
                               "NATS is missed")
                nats.start()
                for replica in made:
                    replica.wait_up(3)
        finally:
            stopping.set()
        for each in publishing:
            each.result(TIMEOUT)
    made[2].publish("the end")
    # Ids are remembered by the stream, so that a message whose answer was lost
    # is stored once.
    in_order = [content for content, _ in
                sorted(offsets.items(), key=lambda pair: pair[1])]
    for replica, client in zip(made, clients):
        received = drain(client, "the end")[:-1]
        if replica.gaps() == 0:
            assert received == in_order
        else:
            assert received == [each for each in in_order if each in received]
    with NatsClient(nats.port) as after:
        kept = [offset for offset, subject, _ in after.stored(STREAM)
                if subject == "headgate.in.g.room=3A1"]
    assert kept[:-1] == sorted(offsets.values())[1 - len(kept):]


def test_another_stream_is_another_epoch(replicas, nats, stranger):
    one, two = replicas()
    far, _ = two.join()
    catch_up(one, far)
    before = one.publish("before")
    assert far.receive() == "before"
    assert stranger.request(f"$JS.API.STREAM.DELETE.{STREAM}")["success"]

    def publish():
        try:
            return one.publish("after")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE
            return None

    after = eventually(publish, "the stream is there again")
    assert after.epoch != before.epoch
    eventually(lambda: two.gaps() >= 1, "the gap is reported")
    settle(one, "room:1", far)


def test_what_the_stream_has_lost_is_a_gap(replicas, nats, stranger):
    with Cable(nats.port) as cable:
        one, two = replicas(urls=[nats.url, cable.url])
        far, _ = two.join()
        catch_up(one, far)
        cable.cut()
        eventually(lambda: two.metric("engine_up") == 0, "NATS is missed")
        one.publish("lost")
        assert stranger.request(f"$JS.API.STREAM.PURGE.{STREAM}")["success"]
        one.publish("kept")
        cable.mend()
        two.wait_up(2)
        assert far.receive() == "kept"
        eventually(lambda: two.gaps() == 1, "it is counted")
        settle(one, "room:1", far)


def test_an_id_is_stored_once(replicas):
    one, two = replicas()
    near, _ = one.join()
    catch_up(one, near)
    with futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(
            lambda i: (one, two)[i % 2].api.Publish(
                group="room:1", payload=text("once"), id="order-1"),
            range(8)))
    assert sorted(answer.duplicate for answer in answers) == [False] + [True] * 7
    assert len({answer.positions[0].position.offset
                for answer in answers}) == 1
    one.publish("next", id="order-2")
    assert [near.receive(), near.receive()] == ["once", "next"]


def test_a_history_can_be_read(replicas, nats, stranger):
    one, two = replicas()
    before = time.time()
    position = one.publish("0")
    for n in range(1, 60):  # 50 are kept.
        last = one.publish(str(n))
        one.publish("other", group="room:2")

    def read(**fields):
        return two.api.GetHistory(group="room:1", **fields)

    page = read(limit=30)
    assert [entry.payload.text for entry in page.entries] == [
        str(n) for n in range(10, 40)]
    assert page.top == last and not page.complete
    assert all(before - 60 < entry.published_at.seconds < time.time() + 60
               for entry in page.entries)
    after = hub_pb.Position(epoch=page.top.epoch, offset=page.entries[-1].offset)
    rest = read(after=after, limit=1000)
    assert [entry.payload.text for entry in rest.entries] == [
        str(n) for n in range(40, 60)]
    assert rest.complete and rest.entries[-1].offset == last.offset
    assert not read(after=position, limit=1).complete
    end = read(after=last, limit=5)
    assert end.complete and not end.entries and end.top == last
    assert not read().entries and read().top == last
    stranger.publish("headgate.in.g.room=3A1", b"\xff")
    stranger.flush()
    eventually(lambda: len(read(after=last, limit=5).entries) == 1, "stored")
    assert not read(after=last, limit=5).entries[0].HasField("payload")
    with fails(grpc.StatusCode.FAILED_PRECONDITION, "no history"):
        two.api.GetHistory(group="live:1", limit=5)
    with fails(grpc.StatusCode.INVALID_ARGUMENT, "epoch"):
        read(after=hub_pb.Position(offset=5))
    nats.kill()
    eventually(lambda: two.metric("engine_up") == 0, "away")
    with fails(grpc.StatusCode.UNAVAILABLE, "NATS"):
        read(limit=5)


def test_who_was_first(replicas):
    one, two = replicas()
    assert one.publish("a", if_last_offset=0).offset > 0
    with fails(grpc.StatusCode.FAILED_PRECONDITION, "if_last_offset"):
        two.publish("b", if_last_offset=0)
    last = one.publish("c")

    def publish(replica):
        try:
            replica.publish("d", if_last_offset=last.offset)
            return True
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
            return False

    with futures.ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(publish, (one, two))) == [False, True]


def test_a_broadcast_is_stored_and_spares_its_sender(replicas):
    one, two = replicas()
    sender, _ = one.join()
    near, _ = one.join()
    far, _ = two.join()
    catch_up(one, sender, near, far)
    who = one.hub.of_kind("joined")[0].who
    one.hub.send(Command(broadcast=pb.Broadcast(
        to=hub_pb.Audience(groups=["room:1"], except_whos=[who]),
        payload=text("to the others"))))
    assert near.receive() == far.receive() == "to the others"
    one.publish("to all")
    assert sender.receive() == "to all"


def test_a_broadcast_that_is_not_stored_is_reported(replicas, nats):
    one, _ = replicas()
    one.join()
    nats.kill()
    eventually(lambda: one.metric("engine_up") == 0, "NATS is missed")
    one.hub.send(Command(id=7, broadcast=pb.Broadcast(
        to=hub_pb.Audience(groups=["room:1"]), payload=text("to nobody"))))
    failed = one.hub.wait("failed").failed
    assert failed.command == 7
    assert failed.status.code == grpc.StatusCode.UNAVAILABLE.value[0]


def test_a_group_with_history_is_alone(replicas):
    one, _ = replicas()
    for fields in ({"groups": ["room:1", "room:2"]},
                   {"groups": ["room:1", "live:1"]}):
        with fails(grpc.StatusCode.INVALID_ARGUMENT, "alone"):
            one.api.Publish(payload=text("x"), **fields)
    for fields in ({"id": "1"}, {"if_last_offset": 0}):
        with fails(grpc.StatusCode.INVALID_ARGUMENT, "group with history"):
            one.api.Publish(group="live:1", payload=text("x"), **fields)
    for id in ("x" * 129, "a b", "a\r\nb", "ä"):
        with fails(grpc.StatusCode.INVALID_ARGUMENT, "id: "):
            one.publish("x", id=id)
    one.join()
    one.hub.send(Command(id=8, broadcast=pb.Broadcast(
        to=hub_pb.Audience(groups=["room:1", "room:2"]), payload=text("x"))))
    failed = one.hub.wait("failed").failed
    assert failed.status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


def test_no_name_is_more_than_a_name_in_the_stream(replicas, stranger):
    one, two = replicas()
    far, session = two.join()
    two.api.Join(to=hub_pb.Audience(sessions=[session]), groups=HOSTILE)
    for name in HOSTILE:
        settle(one, name, far)
    for _, subject, _ in stranger.stored(STREAM):
        assert re.fullmatch(r"headgate\.in\.g\.[A-Za-z0-9_=-]+", subject)
    with fails(grpc.StatusCode.INVALID_ARGUMENT, "1 to 128 bytes"):
        one.publish("x", group="x" * 129)


def test_what_strangers_publish_is_not_a_publication(replicas, stranger):
    one, two = replicas()
    far, _ = two.join()
    catch_up(one, far)
    dropped = two.metric("engine_dropped_total")
    for body in (b"", b"\xff" * 64, b"\x1a\x02\x08", bytes(1000)):
        stranger.publish("headgate.out.g.room=3A1", body)
        stranger.publish("headgate.in.g.room=3A1", body)
    stranger.flush()
    eventually(lambda: two.metric("engine_dropped_total") == dropped + 8,
               "counted")
    settle(one, "room:1", far)


def test_nats_without_jetstream(stack, tmp_path):
    with Nats() as server:
        replica = Keeper(stack, tmp_path, server.url, "gw-0")
        assert "JetStream" in replica.wait_down()
        with fails(grpc.StatusCode.UNAVAILABLE):
            replica.publish("x")
        assert replica.metric("engine_up") == 0


def test_permissions_of_the_documentation_are_enough(stack, tmp_path):
    (tmp_path / "password").write_text("right\n")
    wanted = re.findall(r"permissions: (\{\n  publish:.*?\})",
                        (ROOT / "docs/hub.md").read_text(), re.DOTALL)
    assert len(wanted) == 1
    with Nats(f'jetstream {{ store_dir: "{tmp_path}/jetstream" }}\n'
              'authorization { users: [{user: gateway, password: "right", '
              f'permissions: {wanted[0]}}}]}}') as server:
        one, two = [Keeper(stack, tmp_path, server.url, f"gw-{i}",
                           f"user: gateway, password_file: {tmp_path}/password")
                    for i in range(2)]
        one.wait_up(2)
        two.wait_up(2)
        far, _ = two.join()
        settle(one, "room:1", far)
        # What it has missed, too.
        two.gateway.signal(signal.SIGSTOP)
        server.kill()
        server.start()
        eventually(lambda: one.metric("engine_reconnects_total") == 1 and
                   one.metric("engine_up") == 1, "NATS is back")
        one.publish("missed")
        two.gateway.signal(signal.SIGCONT)
        assert far.receive() == "missed"


def test_a_stream_that_somebody_else_manages(stack, tmp_path, nats, stranger):
    replica = Keeper(stack, tmp_path, nats.url, "gw-0", "manage_stream: false")
    assert "stream headgate" in replica.wait_down()
    created = stranger.request(
        f"$JS.API.STREAM.CREATE.{STREAM}", name=STREAM,
        subjects=["headgate.in.>"], retention="limits", storage="memory",
        allow_direct=True, max_msgs_per_subject=10,
        republish={"src": "headgate.in.>", "dest": "headgate.out.>"})
    assert "error" not in created
    replica.wait_up(1)
    client, _ = replica.join()
    settle(replica, "room:1", client)


def test_a_stream_that_does_not_serve(stack, tmp_path, nats, stranger):
    created = stranger.request(
        f"$JS.API.STREAM.CREATE.{STREAM}", name=STREAM,
        subjects=["headgate.in.>"], retention="limits", storage="memory")
    assert "error" not in created
    replica = Keeper(stack, tmp_path, nats.url, "gw-0", "manage_stream: false")
    assert "republish" in replica.wait_down()


def test_a_change_of_the_settings_changes_the_stream(stack, tmp_path, nats,
                                                     stranger):
    first = Keeper(stack, tmp_path, nats.url, "gw-0")
    first.wait_up(1)
    before = first.publish("x")
    first.gateway.stop()
    second = Keeper(stack, tmp_path, nats.url, "gw-1", "max_bytes: 8MiB")
    second.wait_up(1)
    info = stranger.request(f"$JS.API.STREAM.INFO.{STREAM}")
    assert info["config"]["max_bytes"] == 8 * 1024 * 1024
    assert info["config"]["max_msgs_per_subject"] == 50
    assert second.publish("y").epoch == before.epoch


@pytest.mark.parametrize("faulty, expected", [
    ("nats: {servers: [\"nats://a:1\"]}, groups: "
     "[{pattern: a, history: 5, history_age: 1m}]",
     "needs hub.nats.history: jetstream"),
    ("nats: {servers: [\"nats://a:1\"], history: jetstream}, groups: "
     "[{pattern: a, history: 5}]", "hub.groups[0].history_age"),
    ("nats: {servers: [\"nats://a:1\"]}, groups: "
     "[{pattern: \"a*\"}, {pattern: ab}]", "no name reaches it"),
])
def test_check_finds_faults(tmp_path, faulty, expected):
    file = tmp_path / "bad.yaml"
    file.write_text(f"hub: {{engine: nats, {faulty}}}\n")
    result = run("check", file)
    assert result.returncode != 0
    assert expected in result.stderr.decode()


@pytest.mark.parametrize("has_gone", [False, True])
def test_waiting_for_nats_costs_no_processor_time(stack, tmp_path, has_gone):
    """Whether it is there, without JetStream, or has gone."""
    kind = Replica if has_gone else Keeper
    with Nats() as server:
        replica = kind(stack, tmp_path, server.url, "gw-0")
        if has_gone:
            replica.wait_up(1)
            server.kill()
        replica.wait_down()
        before = time.monotonic(), replica.gateway.cpu_seconds()
        time.sleep(3)
        spent = replica.gateway.cpu_seconds() - before[1]
        assert spent < (time.monotonic() - before[0]) / 4
