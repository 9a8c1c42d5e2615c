"""hub.streams: per-worker: the sessions of each worker have a stream of their
own (docs/hub.md, "A stream for each worker")."""

import json

import pytest

from client import Client
from harness import eventually
from hub_backend import Command, HubBackend, hub_pb, pb, text

CONFIG = """
threads: 2
upstreams: [{{name: default, target: "{target}"}}]
routes:
  - template: /rooms/{{room}}
    hub: {{streams: per-worker, groups: ["room:{{room}}"]}}
"""
# Connections that the kernel gives to two workers: that one of them gets none
# of so many does not happen.
MOST_CLIENTS = 64


class Backend(HubBackend):
    """With the commands of each stream."""

    def __init__(self):
        self.commands = {}  # By the stream's position in `streams`.
        super().__init__()

    def _note(self, stream, event, commands):
        if event.HasField("hello"):
            position = next(i for i, other in enumerate(self.streams)
                            if other is stream)
            self.commands[position] = commands
        super()._note(stream, event, commands)

    def send_on(self, position, *commands):
        self.commands[position].put(pb.ToGateway(commands=commands))

    def end(self, position):
        self.commands[position].put("end")


@pytest.fixture
def hub():
    with Backend() as backend:
        yield backend


@pytest.fixture
def gateway(configured, hub):
    return configured(CONFIG.format(target=hub.target))


@pytest.fixture
def clients(gateway, hub, stack):
    """(client, who) of clients on both workers."""
    found = []
    while len({(who - 1) % 2 for _, who in found}) < 2:
        assert len(found) < MOST_CLIENTS
        client = stack.enter_context(Client(gateway, "/rooms/1"))
        joined = hub.wait("joined", len(found) + 1)
        found.append((client, (joined if not found else joined[-1]).who))
    eventually(lambda: len(hub.commands) == 2, "two streams")
    return found


def hello(stream):
    return stream[0].hello


def whos(stream, kind="joined"):
    return {event.who for event in list(stream)
            if event.WhichOneof("kind") == kind}


def test_each_stream_has_the_sessions_of_one_worker(gateway, hub, clients):
    assert sorted(hello(stream).stream for stream in hub.streams) == [0, 1]
    for stream in hub.streams:
        assert hello(stream).streams == 2
        assert {(who - 1) % 2 for who in whos(stream)} == {
            hello(stream).stream}
    incarnations = {hello(stream).incarnation for stream in hub.streams}
    assert len(incarnations) == 2
    eventually(lambda: gateway.metric("headgate_hub_streams", state="live")
               == 2, "both are live")
    assert gateway.metric("headgate_hub_stream_up") == 1
    (listed,) = json.loads(gateway.admin("/hubs")[1])["hubs"]
    assert listed["stream"] == "live"
    assert {stream["incarnation"] for stream in listed["streams"]} == (
        incarnations)
    assert sum(stream["sessions"] for stream in listed["streams"]) == (
        len(clients))


def test_a_broadcast_on_one_stream_reaches_the_sessions_of_both(
        hub, clients):
    hub.send_on(0, Command(broadcast=pb.Broadcast(
        to=hub_pb.Audience(groups=["room:1"]), payload=text("to all"))))
    for client, _ in clients:
        assert client.receive() == "to all"
    for client, who in clients:
        hub.send_on(1, Command(send=pb.Send(who=who, payload=text("to you"))))
        assert client.receive() == "to you"


def test_the_loss_of_one_stream_is_not_noticed_on_the_other(
        gateway, hub, clients):
    lost, kept = hub.streams
    before = whos(lost)
    hub.end(0)
    eventually(lambda: len(hub.streams) == 3 and whos(hub.streams[2],
                                                      "replayed"),
               "it is opened again")
    again = hub.streams[2]
    assert hello(again).resumes
    assert hello(again).stream == hello(lost).stream
    assert hello(again).incarnation == hello(lost).incarnation
    assert whos(again) == before
    for client, _ in clients:
        client.send("still here")
    eventually(lambda: whos(again, "message") == before and
               whos(kept, "message") == whos(kept), "all are heard")
    # Nothing but what its clients have said.
    assert {event.WhichOneof("kind") for event in kept} == {
        "hello", "joined", "message"}
    assert gateway.metric("headgate_hub_streams_lost_total") == 1
    hub.send_on(2, Command(broadcast=pb.Broadcast(payload=text("all"))))
    for client, _ in clients:
        assert client.receive() == "all"
