"""Several gateways that share their hubs over NATS (docs/hub.md, "More than one
gateway")."""

import contextlib
import itertools

import grpc
import pytest

from certificates import Authority
from client import Client
from harness import TIMEOUT, Gateway, eventually
from hub_backend import Command, HubBackend, hub_pb, pb, text
from nats import Nats
from test_hub_api import Api, accept, address_of, fails

CONFIG = """
listeners: [{{address: "127.0.0.1:0"}}]
threads: 2
hub:
  gateway: {name}
  engine: nats
  nats: {{servers: ["{url}"], {nats}}}
  api: {{address: "127.0.0.1:0"}}
upstreams: [{{name: default, target: "{target}"}}]
routes:
  - {{template: "/rooms/{{room}}", hub: {{groups: ["room:{{room}}"]}}}}
  - {{path: /news, hub: {{groups: [news], admission: open}}}}
"""


class Replica:
    """A gateway, its backend and its API."""

    def __init__(self, stack, folder, url, name, nats=""):
        self.name = name
        self._stack = stack
        self.hub = stack.enter_context(HubBackend(accept))
        file = folder / f"{name}.yaml"
        file.write_text(CONFIG.format(name=name, url=url, nats=nats,
                                      target=self.hub.target))
        self.gateway = stack.enter_context(
            Gateway.configured(file, "--drain", "2s"))
        self.api = Api(address_of(self.gateway))
        stack.callback(self.api.close_channel)

    def join(self, path="/rooms/1", user=""):
        """(client, session id)."""
        before = len(self.hub.of_kind("joined"))
        client = self._stack.enter_context(Client(
            self.gateway, path, headers=[("Grpc-Metadata-X-User", user)]))
        joined = eventually(
            lambda: len(self.hub.of_kind("joined")) > before and
            self.hub.of_kind("joined")[before], "joined")
        return client, joined.joined.session.session

    def metric(self, name, **labels):
        return self.gateway.metric(f"headgate_hub_{name}", **labels)

    def wait_up(self, replicas):
        eventually(lambda: self.metric("engine_up") == 1 and
                   self.metric("replicas") == replicas,
                   f"{replicas} gateways known to {self.name}")


@pytest.fixture
def nats():
    with Nats() as server:
        yield server


@pytest.fixture
def replicas(stack, tmp_path, nats):
    """replicas(count) -> so many, which know each other."""

    def start(count=2, **options):
        made = [Replica(stack, tmp_path, nats.url, f"gw-{i}", **options)
                for i in range(count)]
        for replica in made:
            replica.wait_up(count)
        return made

    return start


def settle(publisher, group, *clients):
    """Until each client is reached: a group's first member is known to NATS a
    moment after it has joined. They have read all of that."""
    for client in clients:
        for attempt in itertools.count():
            publisher.api.Publish(group=group, payload=text("settle"))
            assert attempt < 10 * TIMEOUT
            with contextlib.suppress(TimeoutError):
                assert client.receive(0.2) == "settle"
                break
    publisher.api.Publish(group=group, payload=text("settled"))
    for client in clients:
        while client.receive() != "settled":
            pass


def test_a_publication_crosses_to_the_other_gateways(replicas):
    one, two, three = replicas(3)
    ann, _ = two.join("/rooms/5")
    bob, _ = three.join("/rooms/5")
    settle(one, "room:5", ann, bob)
    answer = one.api.Publish(group="room:5", payload=text("hello"))
    assert answer.sessions == 0  # Of the gateway that was asked.
    assert [ann.receive(), bob.receive()] == ["hello", "hello"]
    assert eventually(lambda: two.metric("publications_total", route="/rooms/{room}",
                                         source="gateway"), "counted") >= 2
