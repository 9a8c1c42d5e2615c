"""Clients that come back to groups with history: positions, what they have
missed, gaps (docs/hub.md, "Clients that come back")."""

import json
import threading
from concurrent import futures

import pytest

from client import HUB_JSON, HUB_PROTOBUF, Client
from harness import TIMEOUT, eventually
from hub_backend import client_pb
from nats import Cable, Nats, NatsClient, Requests
from test_hub_history import STREAM, Keeper

ROUTE = """
  - {{path: /play, hub: {{admission: open, client_join: ["*"],
                          client_publish: ["*"]}}}}
"""


class Host(Keeper):
    config = Keeper.config.rstrip() + ROUTE

    def connect(self):
        return self._stack.enter_context(Member(self))


class Member(Client):
    """A client of headgate.hub.json.v1."""

    def __init__(self, host, path="/play", **options):
        super().__init__(host.gateway, path, HUB_JSON, **options)
        self.session = self.frame()["welcome"]["session"]
        self._id = 0

    def frame(self):
        return json.loads(self.receive())

    def ask(self, **frame):
        """The response, which is the next frame."""
        self._id += 1
        self.send({"id": self._id, **frame})
        answer = self.frame()
        assert answer.pop("id", None) == self._id, answer
        return answer

    def join(self, group="room:1", after=None):
        join = {"group": group}
        if after is not None:
            join["after"] = after
        answer = self.ask(join=join)
        return answer.get("joined", answer)

    def delivery(self):
        """(payload, offset)."""
        frame = self.frame()
        delivery = frame.get("delivery")
        assert delivery, frame
        return delivery["payload"], int(delivery["offset"])

    def deliveries(self, count):
        return [self.delivery() for _ in range(count)]


@pytest.fixture
def nats(tmp_path):
    with Nats(f'jetstream {{ store_dir: "{tmp_path}/jetstream" }}') as server:
        yield server


@pytest.fixture
def hosts(stack, tmp_path, nats):
    """hosts(count) -> gateways that know each other. `urls`: of NATS for each."""

    def start(count=2, urls=()):
        made = [Host(stack, tmp_path, urls[i] if urls else nats.url, f"gw-{i}")
                for i in range(count)]
        for host in made:
            host.wait_up(count)
        return made

    return start


def publish(host, *contents, group="room:1"):
    """(content, offset) of each; JSON numbers."""
    return [(content, host.publish(str(content), group=group).offset)
            for content in contents]


def test_a_join_and_deliveries_have_positions(hosts):
    one, two = hosts()
    publish(one, 1, group="room:2")
    before = one.publish("1")
    ann = two.connect()
    assert ann.join() == {"group": "room:1", "position": {
        "epoch": before.epoch, "offset": str(before.offset)}}
    assert ann.join("live:1") == {"group": "live:1"}  # It has no history.
    assert publish(one, 2, 3) == ann.deliveries(2)
    # The other form.
    bob = Client(two.gateway, "/play", HUB_PROTOBUF)
    with bob:
        bob.receive()
        bob.send(client_pb.HubClientFrame(
            id=1, join={"group": "room:1"}).SerializeToString())
        joined = client_pb.HubServerFrame.FromString(bob.receive()).joined
        assert joined.position.epoch == before.epoch
        (_, offset), = publish(one, 4)
        delivery = client_pb.HubServerFrame.FromString(bob.receive()).delivery
        assert (delivery.payload.text, delivery.offset) == ("4", offset)
        assert delivery.group == "room:1"


@pytest.mark.parametrize("to", [0, 1])
def test_a_client_that_comes_back_gets_what_it_has_missed(hosts, to):
    """To the gateway where it was, which others have kept in the group, and to
    another that has not had the group."""
    made = hosts()
    stays = made[0].connect()
    stays.join()
    ann = made[0].connect()
    position = ann.join()["position"]
    publish(made[0], 1)
    position["offset"] = str(ann.delivery()[1])
    ann.close()
    missed = publish(made[0], 2, 3, 4)
    # Its gateway has all of them.
    assert stays.deliveries(4)[1:] == missed
    again = made[to].connect()
    joined = again.join(after=position)
    assert joined["recovered"] and joined["missed"] == 3
    assert joined["position"] == {"epoch": position["epoch"],
                                  "offset": str(missed[-1][1])}
    assert again.deliveries(3) == missed
    assert publish(made[1], 5) == again.deliveries(1)
    # Where it has nothing missed.
    joined = again.join(after=dict(joined["position"],
                                   offset=str(missed[-1][1])))
    assert joined["recovered"] and joined["missed"] == 1
    assert again.delivery()[0] == 5
    eventually(lambda: made[to].metric(
        "recoveries_total", outcome="recovered", route="/play") == 2, "counted")


def test_many_that_come_back_cost_nats_no_more_than_one(hosts, nats):
    one, two = hosts()
    ann = one.connect()
    position = ann.join()["position"]
    published = publish(one, 1, 2, 3)
    assert ann.deliveries(3) == published
    with Requests(nats.port) as requests:
        clients = [two.connect() for _ in range(40)]
        with futures.ThreadPoolExecutor(8) as pool:
            joins = list(pool.map(lambda client: client.join(after=position),
                                  clients))
        for client, joined in zip(clients, joins):
            assert joined["recovered"] and joined["missed"] == 3
            assert client.deliveries(3) == published
        # The last record, those three, whether the first is still there, and
        # that there is nothing else.
        assert 1 <= sum(requests.count().values()) <= 10


def test_what_is_not_stored_any_more_is_not_recovered(hosts):
    one, two = hosts()
    ann = one.connect()
    position = ann.join()["position"]
    (_, offset), = publish(one, 0)
    position["offset"] = str(offset)
    ann.close()
    last = publish(one, *range(1, 56))[-1]
    again = two.connect()
    joined = again.join(after=position)
    assert "recovered" not in joined and "missed" not in joined
    assert joined["position"]["offset"] == str(last[1])
    assert publish(one, 100) == again.deliveries(1)
    # Another stream's position means nothing.
    joined = again.join(after={"epoch": "0", "offset": str(last[1])})
    assert "recovered" not in joined
    eventually(lambda: two.metric(
        "recoveries_total", outcome="lost", route="/play") == 2, "counted")


def test_clients_are_told_of_a_gap(hosts, nats):
    with Cable(nats.port) as cable:
        one, two = hosts(urls=[nats.url, cable.url])
        ann = two.connect()
        ann.join()
        first = publish(one, 0)
        assert ann.deliveries(1) == first
        cable.cut()
        eventually(lambda: two.metric("engine_up") == 0, "NATS is missed")
        published = publish(one, *range(1, 61))
        cable.mend()
        kept = published[-50:]
        assert ann.frame() == {"gap": {
            "group": "room:1", "after": str(first[0][1]),
            "before": str(kept[0][1])}}
        assert ann.deliveries(50) == kept
        eventually(lambda: two.metric("gaps_total", route="/play") == 1,
                   "counted")


def test_what_a_client_publishes_is_stored(hosts, nats):
    one, two = hosts()
    ann, bob = one.connect(), two.connect()
    ann.join()
    bob.join()
    ann.send({"id": 77, "publish": {"group": "room:1", "payload": 7}})
    # The response and the delivery come in either order.
    frames = sorted((ann.frame() for _ in range(2)), key=lambda each: "id" in each)
    assert frames[0]["delivery"]["payload"] == 7
    assert frames[1] == {"id": 77, "ok": True}
    assert bob.delivery() == (7, int(frames[0]["delivery"]["offset"]))
    with NatsClient(nats.port) as stranger:
        assert [subject for _, subject, _ in stranger.stored(STREAM)] == [
            "headgate.in.g.room=3A1"]
    assert ann.ask(publish={"group": "room:1", "payload": 8,
                            "noEcho": True}) == {"ok": True}
    assert bob.delivery()[0] == 8
    nats.kill()
    eventually(lambda: one.metric("engine_up") == 0, "NATS is missed")
    failed = ann.ask(publish={"group": "room:1", "payload": 9})
    assert failed["error"]["code"] == 14


def test_what_was_not_meant_for_a_client_is_not_recovered(hosts):
    one, _ = hosts()
    ann = one.connect()
    position = ann.join()["position"]
    one.publish("1", except_sessions=[ann.session])
    meant = publish(one, 2)
    assert ann.deliveries(1) == meant
    joined = ann.join(after=position)
    assert joined["recovered"] and joined["missed"] == 1
    assert ann.deliveries(1) == meant


def test_a_join_without_nats_fails_and_may_be_tried_again(hosts, nats):
    one, two = hosts()
    ann = one.connect()
    position = ann.join()["position"]
    nats.kill()
    for host in (one, two):
        eventually(lambda: host.metric("engine_up") == 0, "NATS is missed")
    bob = two.connect()
    failed = bob.join(after=position)
    assert failed["error"]["code"] == 14
    nats.start()
    for host in (one, two):
        host.wait_up(2)
    published = publish(one, 1)
    joined = bob.join(after=position)
    # It may be on the way to the gateway, and comes behind `joined` then.
    assert joined["recovered"] and joined.get("missed", 0) <= 1
    assert bob.deliveries(1) == published == ann.deliveries(1)


def test_clients_that_move_between_gateways_miss_nothing(hosts):
    made = hosts(3)
    first = made[0].connect()
    position = first.join()["position"]
    first.close()
    stopping = threading.Event()
    published = []
    followed = [[], [], []]
    moving = {0, 1, 2}

    def go_on():
        while not stopping.is_set():
            # No more than the stream keeps, however slow a client is.
            slowest = min((len(followed[i]) for i in tuple(moving)),
                          default=0)
            if len(published) < slowest + 30:
                published.extend(publish(made[2], len(published)))
            else:
                stopping.wait(0.01)

    def follow(first):
        at = dict(position)
        received = followed[first]
        for move in range(6):
            client = made[(first + move) % 3].connect()
            joined = client.join(after=at)
            assert joined.get("recovered"), joined
            received += client.deliveries(joined.get("missed", 0))
            received += client.deliveries(3)
            at["offset"] = str(received[-1][1])
            client.close()
        moving.discard(first)

    with futures.ThreadPoolExecutor(4) as pool:
        publishing = pool.submit(go_on)
        try:
            list(pool.map(follow, range(3)))
        finally:
            stopping.set()
        publishing.result(TIMEOUT)
    for received in followed:
        assert received == published[:len(received)]


def test_a_stopped_gateway_is_restarted_for_the_clients(hosts, nats):
    """A rolling restart: the clients of each gateway come back to another."""
    made = hosts()
    clients = [made[0].connect() for _ in range(5)]
    position = [client.join() for client in clients][0]["position"]
    made[0].gateway.stop()
    published = publish(made[1], 1, 2, 3)
    for _ in clients:
        again = made[1].connect()
        joined = again.join(after=position)
        assert joined["recovered"] and joined["missed"] == 3
        assert again.deliveries(3) == published
