"""What docs/hub.md promises for more than one gateway, held against a model
while NATS is killed, gateways are stopped and started again, and everybody
comes back at once. HEADGATE_HUB_PROOF=full: with 50,000 memberships, for
minutes; script/test-all does so.
"""

import collections
import contextlib
import itertools
import json
import os
import random
import re
import signal
import threading
import time

import grpc
import pytest

from chaos import new_seed
from client import HUB_PROTOBUF, Client
from harness import TIMEOUT, Gateway, eventually
from hub_backend import HubBackend, api_pb, engine_pb, text
from hub_members import Crowd, Member, raise_descriptors, wait_for_all
from hub_model import (Connections, Counts, Publication, Records,
                       judge_history, judge_live)
from nats import Nats, NatsClient, Requests
from test_hub_api import Api, address_of
from test_hub_history import STREAM
from test_hub_nats import HOSTILE
from test_hub_recovery import Host
from wire import message

FULL = os.environ.get("HEADGATE_HUB_PROOF") == "full"
KEPT = 1000  # Records of a group: more than are published.


def size(short, full):
    return full if FULL else short


class Site(Host):
    """A gateway that may be replaced by another one with its name."""

    config = Host.config.replace("history: 50", f"history: {KEPT}")

    def __init__(self, stack, folder, url, index, storage):
        self.config = self.config.replace("jetstream",
                                          f"jetstream, storage: {storage}", 1)
        super().__init__(stack, folder, url, f"gw-{index}")
        self.index = index
        self._file = folder / f"{self.name}.yaml"

    def restart(self):
        self.api.close_channel()
        self.gateway.stop()
        self.gateway = self._stack.enter_context(
            Gateway.configured(self._file, "--drain", "2s"))
        self.api = Api(address_of(self.gateway))
        self._stack.callback(self.api.close_channel)


class Publisher(threading.Thread):
    """Publishes to `groups`, by the gateways in turn or always by one, some
    times a second; to groups with history until it is answered with OK."""

    def __init__(self, name, sites, groups, seed, rate, only=None):
        super().__init__(name=name)
        self.sites, self.groups, self.only = sites, groups, only
        self.made = []  # Publications.
        self.fault = None
        self._dice = random.Random(f"{seed}/{name}")
        self._pause = 1 / rate
        self._stopping = threading.Event()

    def run(self):
        try:
            while not self._stopping.is_set():
                self.publish(self._dice.choice(self.groups))
                self._stopping.wait(self._pause)
        except BaseException as fault:
            self.fault = fault
            raise

    def publish(self, group):
        each = Publication((self.name, len(self.made)), group, 0, 0.0)
        self.made.append(each)
        has_history = not group.startswith("live:")
        for attempt in itertools.count():
            site = self.sites[self.only if self.only is not None else
                              (each.content[1] + attempt) % len(self.sites)]
            each.gateway, each.sent = site.index, time.monotonic()
            try:
                answer = site.api.publish(api_pb.PublishRequest(
                    group=group, payload=text(json.dumps(each.content)),
                    id=f"{self.name}-{each.content[1]}" if has_history else ""))
                each.answered, each.ok = time.monotonic(), True
                if has_history:
                    position = answer.positions[0].position
                    each.epoch, each.offset = position.epoch, position.offset
                return
            except grpc.RpcError as error:
                assert error.code() in (grpc.StatusCode.UNAVAILABLE,
                                        grpc.StatusCode.CANCELLED), error
            except ValueError:  # The channel is closed: another gateway.
                pass
            each.answered = time.monotonic()
            each.failures += 1
            if not has_history:
                return
            time.sleep(0.05)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self._stopping.set()
        self.join()
        assert not self.fault, self.fault


@pytest.fixture
def nats(tmp_path):
    raise_descriptors()
    with Nats(f'jetstream {{ store_dir: "{tmp_path}/jetstream" }}') as server:
        yield server


@pytest.fixture
def sites(request, stack, tmp_path, nats):
    storage = getattr(request, "param", "file")
    made = [Site(stack, tmp_path, nats.url, i, storage) for i in range(3)]
    for site in made:
        site.wait_up(3)
    return made


@pytest.fixture
def crowd(sites):  # noqa: ARG001: its members go first.
    with Crowd() as crowd:
        yield crowd


def spread(sites, count, groups, members_each, gateways=None):
    """`count` members over the gateways, so that each group has so many."""
    places = [[] for _ in range(count)]
    turn = itertools.cycle(range(count))
    for group in groups:
        for _ in range(members_each):
            places[next(turn)].append(group)
    return [Member(sites, i % (gateways or len(sites)), each)
            for i, each in enumerate(places)]


def records_of(publications, groups, epochs):
    records = {group: Records(epochs) for group in groups}
    for each in sorted(publications, key=lambda each: each.offset):
        if each.ok and each.offset:
            records[each.group].add(each.epoch, each.offset, each.content)
    return records


def read_stream(nats):
    """{group: [(offset, content)]}"""
    with NatsClient(nats.port) as stranger:
        stored = stranger.stored(STREAM)
    found = collections.defaultdict(list)
    for offset, _, body in stored:
        publication = engine_pb.EngineRecord.FromString(body).publication
        found[publication.to.groups[0]].append(
            (offset, tuple(json.loads(publication.payload.text))))
    return found


def compare_with_stream(nats, publications, records):
    """Nobody's word for it but the stream's: it has what was answered with OK
    where the answer said, and nothing else."""
    found = read_stream(nats)
    for group, known in records.items():
        assert len(known) <= KEPT
        assert found[group] == list(zip(known.offsets(),
                                        known.contents(0, len(known)))), group
    assert sum(map(len, found.values())) == sum(
        each.ok and each.offset > 0 for each in publications)


def caught_up(members, records):
    """Waits until each has heard the last record of each group."""
    last = {group: known.offsets()[-1] if len(known) else 0
            for group, known in records.items()}
    wait_for_all(members, lambda each: not each.waiting and all(
        each.positions[group][1] >= last[group] for group in each.groups
        if group in last), "the last records")


def judged(members, records, uncertain=frozenset()):
    counts = Counts()
    for member in members:
        for group in member.groups:
            if group in records:
                judge_history(member.notes[group], group, records[group],
                              counts, uncertain)
    return counts


def epoch_of(members):
    [epoch] = {epoch for member in members
               for epoch, _ in member.positions.values()}
    return epoch


def heard_live(member):
    return {group: [note[1] for note in notes if note[0] == "delivery"
                    and not note[1][0].startswith("settle")]
            for group, notes in member.notes.items()
            if group.startswith("live:")}


def settle_live(sites, members, groups, say="settle"):
    """Until each member is reached by each of the groups without history: NATS
    knows of the first one on a gateway a moment after it has joined."""

    def lacks(member, group):
        return not any(note[0] == "delivery" and note[1][0] == say
                       for note in reversed(member.notes[group]))

    for attempt in itertools.count():
        left = {group for member in members for group in member.groups
                if group in groups and lacks(member, group)}
        if not left:
            return
        assert attempt < 10 * TIMEOUT, sorted(left)[:10]
        for group in left:
            sites[0].api.Publish(group=group,
                                 payload=text(json.dumps([say, attempt])))
        time.sleep(0.1 if attempt else 0)


def test_nats_is_killed_and_a_gateway_stands_still(sites, nats, crowd, capsys):
    """With history each member hears all, in order, once; without it, all but
    what may be lost."""
    seed = new_seed()
    stored = [f"room:{i}" for i in range(size(30, 1000))]
    live = [f"live:{i}" for i in range(size(10, 100))]
    members = spread(sites, size(45, 1500), stored + live, size(12, 50))
    begun = time.monotonic()
    crowd.connect(members)
    joined_after = time.monotonic() - begun
    settle_live(sites, members, live)
    publishers = [Publisher(f"p{i}", sites, live if i % 2 else stored, seed,
                            rate=size(20, 25), only=i % 3) for i in range(4)]
    connections = Connections()
    connections.begin()
    for site in sites:
        connections.is_up(site.index, time.monotonic())
    kills = size(3, 12)
    stopped = sites[2]
    back = []
    reconnects = {site: site.metric("engine_reconnects_total")
                  for site in sites}
    with contextlib.ExitStack() as running:
        for each in publishers:
            running.enter_context(each)

        def published(more):
            """Some publications later."""
            before = [len(each.made) for each in publishers]
            eventually(lambda: all(
                len(each.made) >= count + more or each.only == is_still
                for each, count in zip(publishers, before)), "publications")

        is_still = None
        for kill in range(kills):
            due = time.monotonic() + 5
            published(size(3, 10))
            if kill == kills // 3:
                stopped.gateway.signal(signal.SIGSTOP)
                is_still = stopped.index
                until = time.monotonic() + size(1, 15)
            connections.end(time.monotonic())
            nats.kill()
            began = time.monotonic()
            nats.start()
            connections.begin()
            if is_still is not None and (time.monotonic() >= until or not FULL):
                stopped.gateway.signal(signal.SIGCONT)
                is_still = None
            for site in sites:
                if site.index == is_still:
                    continue
                eventually(lambda: site.metric("engine_reconnects_total") >
                           reconnects[site] and
                           site.metric("engine_up") == 1, "connected again")
                connections.is_up(site.index, time.monotonic())
                reconnects[site] = site.metric("engine_reconnects_total")
            back.append(time.monotonic() - began)
            if FULL:
                time.sleep(max(0, due - time.monotonic()))
        assert is_still is None
        published(3)
    connections.end(time.monotonic())
    # What is late comes before it.
    settle_live(sites, members, live, say="settled")
    made = [each for publisher in publishers for each in publisher.made]
    records = records_of(made, stored, [epoch_of(members)])
    caught_up(members, records)
    crowd.check()
    compare_with_stream(nats, made, records)
    history = judged(members, records)
    at_once = Counts()
    excused = judge_live(
        [(member.home, heard_live(member)) for member in members
         if member.connections == 1],
        [each for each in made if each.group in set(live)], connections,
        at_once)
    report(capsys, members=len(members),
           memberships=sum(len(each.groups) for each in members),
           joined_in=joined_after, publications=len(made),
           tried_again=sum(each.failures for each in made), kills=kills,
           connected_again_after_at_most=max(back), gaps=history.gaps,
           connections=sum(each.connections for each in members),
           history=history, live=at_once, live_lost=excused)
    assert history.no_fault(), history
    assert at_once.no_fault(), at_once
    assert sum(site.metric("engine_dropped_total") for site in sites) == 0
    for each in publishers:
        assert any(publication.ok for publication in each.made)


def test_all_gateways_are_restarted_one_after_the_other(sites, nats, crowd,
                                                        capsys):
    """Nothing of a group with history is lost, and nobody has to load its
    state again."""
    seed = new_seed()
    groups = [f"room:{i}" for i in range(size(20, 400))]
    publishers = [Publisher(f"p{i}", sites, groups, seed, rate=20)
                  for i in range(4)]
    # Each group has a record: what an empty one has got afterwards, a gateway
    # that has not seen it cannot be sure to have all of.
    for group in groups:
        publishers[0].publish(group)
    members = spread(sites, size(30, 900), groups, size(12, 50))
    crowd.connect(members)
    returns = []
    with contextlib.ExitStack() as running:
        for each in publishers:
            running.enter_context(each)
        for site in sites:
            before = len(publishers[0].made)
            begun = time.monotonic()
            site.restart()
            site.wait_up(3)
            wait_for_all(members, lambda each: each.is_open and each.back_at
                         and not each.waiting, "everybody is back")
            returns.append(time.monotonic() - begun)
            eventually(lambda: len(publishers[0].made) > before + 5,
                       "publications")
    made = [each for publisher in publishers for each in publisher.made]
    records = records_of(made, groups, [epoch_of(members)])
    caught_up(members, records)
    crowd.check()
    compare_with_stream(nats, made, records)
    counts = judged(members, records)
    report(capsys, members=len(members), publications=len(made),
           tried_again=sum(each.failures for each in made),
           connections=sum(each.connections for each in members),
           restart_and_return_at_most=max(returns), history=counts)
    assert sum(each.connections for each in members) > len(members)
    assert counts.no_fault() and counts.told == counts.gaps == 0, counts
    assert counts.not_recovered == 0 and counts.recovered > 0, counts


@pytest.mark.parametrize("known", [True, False])
def test_thousands_return_at_once(sites, nats, crowd, capsys, known):
    """To gateways that have the groups, and to one that has had none: however
    many return, JetStream is asked as if it were one for each group."""
    groups = [f"room:{i}" for i in range(size(10, 100))]
    missed = 5
    target = sites[1:2] if not known else sites
    stay = spread(sites, len(groups), groups, 1, gateways=1)
    if known:
        stay += [Member(sites, i, groups) for i in range(3)]
    crowd.connect(stay)
    publisher = Publisher("p", sites, groups, 0, rate=1, only=0)
    for _ in range(1 + missed):
        for group in groups:
            publisher.publish(group)
    records = records_of(publisher.made, groups, [epoch_of(stay)])
    caught_up(stay, records)
    count = size(200, 10000)
    returning = []
    for i in range(count):
        group = groups[i % len(groups)]
        member = Member(target, i, [group])
        # It has the first one.
        first = publisher.made[i % len(groups)]
        member.positions[group] = [first.epoch, first.offset]
        member.notes[group].append(("joined", first.epoch, first.offset, False,
                                    0))
        returning.append(member)
    crowd.connect(returning, joins=False)
    with Requests(nats.port) as requests:
        requests.count()
        begun = time.monotonic()
        crowd.each(returning, Member.come_back)
        wait_for_all(returning, lambda each: each.back_at, "returned")
        took = max(each.back_at for each in returning) - begun
        asked = requests.count()
    crowd.check()
    counts = judged(returning, records)
    report(capsys, known=known, returns=count, seconds=took,
           groups=len(groups), missed=missed, asked=dict(asked),
           history=counts)
    assert counts.no_fault() and counts.told == 0, counts
    assert counts.recovered == count
    if known:
        assert sum(asked.values()) == 0, asked
    else:
        # The last record, that of the position and those behind it, whether
        # the first of them is still there, and that there is nothing else.
        assert set(asked) == {"DIRECT.GET"}, asked
        assert asked["DIRECT.GET"] <= len(groups) * (missed + 4), asked


def settle_stored(publisher, members, groups):
    """Until each has heard the last publication to each of its groups. A gateway
    that has just seen that the stream is another one begins behind it."""
    left = set(groups)
    while left:
        last = {}
        for group in sorted(left):
            publisher.publish(group)
            last[group] = publisher.made[-1].content

        def lacking():
            return {group for member in members for group in member.groups
                    if group in last and not any(
                        note[1:2] == (last[group],)
                        for note in member.notes[group][-5:])}

        with contextlib.suppress(AssertionError):
            eventually(lambda: not lacking(), "the last publications", 2)
        left = lacking()


def change_stream(stranger, **changes):
    config = stranger.request(f"$JS.API.STREAM.INFO.{STREAM}")["config"]
    answer = stranger.request(f"$JS.API.STREAM.UPDATE.{STREAM}",
                              **{**config, **changes})
    assert "error" not in answer, answer


def delete(stranger):
    assert stranger.request(f"$JS.API.STREAM.DELETE.{STREAM}")["success"]


def shrink(stranger):
    change_stream(stranger, max_msgs_per_subject=2)


def expire(stranger):
    change_stream(stranger, max_age=10**8, duplicate_window=10**8)


def purge(stranger):
    assert stranger.request(f"$JS.API.STREAM.PURGE.{STREAM}")["success"]


# The server removes the files of a stream that is deleted for a while, and with
# them those of its successor.
@pytest.mark.parametrize("sites", ["memory"], indirect=True)
@pytest.mark.parametrize("harm", [delete, shrink, expire, purge])
def test_the_stream_loses_records_while_many_recover(sites, nats, crowd, capsys,
                                                     harm):
    """What is gone is never missing silently."""
    seed = new_seed()
    groups = [f"room:{i}" for i in range(size(10, 50))]
    publishers = [Publisher(f"p{i}", sites, groups, seed, rate=50)
                  for i in range(2)]
    # Nobody's position is that of an empty group.
    for group in groups:
        publishers[0].publish(group)
    # At two gateways, so that the third has not had the groups.
    members = spread(sites, size(60, 500), groups, size(12, 50), gateways=2)
    crowd.connect(members)
    epochs = [epoch_of(members)]

    def published(more):
        before = [len(each.made) for each in publishers]
        eventually(lambda: all(
            len(each.made) > count + more
            for each, count in zip(publishers, before)), "publications")

    with contextlib.ExitStack() as running:
        for each in publishers:
            running.enter_context(each)
        published(len(groups))
        # Half of them are away for a while, the others hear what happens.
        returning = members[::2]
        crowd.each(returning, Member.drop)
        published(4 * len(groups))
        for member in returning[::3]:
            member.home = 2
        crowd.connect(returning, joins=False)
        crowd.each(returning[::2], Member.come_back)
        with NatsClient(nats.port) as stranger:
            harm(stranger)
        crowd.each(returning[1::2], Member.come_back)
        wait_for_all(returning, lambda each: each.back_at, "returned")
        published(2 * len(groups))
    settle_stored(publishers[0], members, groups)
    made = [each for publisher in publishers for each in publisher.made]
    # What a second attempt has found stored is in whichever stream there was.
    known = [each for each in made if not each.failures]
    uncertain = frozenset(each.content for each in made if each.failures)
    epochs += sorted({each.epoch for each in known} - set(epochs))
    assert len(epochs) == (2 if harm is delete else 1)
    records = records_of(known, groups, epochs)
    crowd.check()
    if harm is delete:  # What was answered is where the answer said.
        found = read_stream(nats)
        for each in known:
            assert each.epoch != epochs[-1] or (
                each.offset, each.content) in found[each.group], each
    counts = judged(members, records, uncertain)
    report(capsys, harm=harm.__name__, members=len(members),
           publications=len(made), uncertain=len(uncertain), history=counts)
    assert counts.no_fault(), "\n".join(map(str, counts.faults))


def test_no_name_of_a_clients_is_more_than_a_name(sites, nats):
    ann, bob = sites[0].connect(), sites[1].connect()
    for number, name in enumerate(HOSTILE):
        ann.join(name)
        assert bob.ask(publish={"group": name, "payload": number}) == {
            "ok": True}
        assert ann.delivery()[0] == number
    for name in ("", "x" * 129):
        assert ann.join(name)["error"]["code"] == 3
        assert bob.ask(publish={"group": name, "payload": 0})["error"][
            "code"] == 3
    # Bytes that are no text are no name, in neither form.
    no_name = message((1, b"\xff.>"))
    with Client(sites[0].gateway, "/play", HUB_PROTOBUF) as eve:
        eve.receive()
        eve.send(message((1, 1), (3, no_name)))
        assert eve.receive_all()[1][0] == 4003
    with grpc.insecure_channel(address_of(sites[0].gateway)) as channel:
        publish = channel.unary_unary("/headgate.v1.HubService/Publish")
        with pytest.raises(grpc.RpcError):
            publish(no_name, timeout=TIMEOUT)
    # Nothing else has happened, and the stream is there.
    with NatsClient(nats.port) as stranger:
        stored = stranger.stored(STREAM)
    assert len(stored) == len(HOSTILE)
    for _, subject, _ in stored:
        assert re.fullmatch(r"headgate\.in\.g\.[A-Za-z0-9_=-]+", subject)


def report(capsys, **figures):
    with capsys.disabled():
        print()
        for name, value in figures.items():
            print(f"  {name}: {value:.2f}" if isinstance(value, float) else
                  f"  {name}: {value}")
