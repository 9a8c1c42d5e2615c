"""Several gateways that share their hubs over NATS (docs/hub.md, "More than one
gateway")."""

import contextlib
import itertools
import re
import signal
import socket

import grpc
import pytest

from certificates import Authority
from client import Client
from harness import TIMEOUT, Gateway, eventually, run
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
  - path: /open
    hub: {{admission: open, client_join: ["*"], client_publish: ["*"]}}
"""


class Replica:
    """A gateway, its backend and its API."""

    config = CONFIG

    def __init__(self, stack, folder, url, name, nats=""):
        self.name = name
        self._stack = stack
        self.hub = stack.enter_context(HubBackend(accept))
        file = folder / f"{name}.yaml"
        file.write_text(self.config.format(name=name, url=url, nats=nats,
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

    def wait_down(self):
        """The line of the log."""
        return eventually(
            lambda: re.search(".*hub engine down.*", self.gateway.stderr()),
            "the engine is down")[0]


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


def heard(method, **request):
    """The response that all gateways had the time for."""
    def ask():
        response = method(**request)
        return not response.silent_gateways and response

    return eventually(ask, "all have answered")


def found(method, **request):
    """The response, when the gateway that has the session had the time for it."""
    def ask():
        try:
            return method(**request)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                return None
            raise

    return eventually(ask, "the session's gateway has answered")


def test_a_publication_crosses_to_the_other_gateways(replicas):
    one, two, three = replicas(3)
    ann, _ = two.join("/rooms/5")
    bob, _ = three.join("/rooms/5")
    settle(one, "room:5", ann, bob)
    answer = one.api.Publish(group="room:5", payload=text("hello"))
    assert answer.sessions == 0  # Of the gateway that was asked.
    assert [ann.receive(), bob.receive()] == ["hello", "hello"]
    eventually(lambda: two.metric("publications_total", source="gateway",
                                  route="/rooms/{room}") >= 2, "counted")


def test_a_broadcast_reaches_the_other_gateways_but_not_its_sender(replicas):
    one, two = replicas()
    sender, _ = one.join()
    near, _ = one.join()
    far, _ = two.join()
    settle(one, "room:1", far)
    for client in (sender, near):
        while client.receive() != "settled":
            pass
    who = one.hub.of_kind("joined")[0].who
    one.hub.send(Command(broadcast=pb.Broadcast(
        to=hub_pb.Audience(groups=["room:1"], except_whos=[who]),
        payload=text("to the others"))))
    assert near.receive() == far.receive() == "to the others"
    # Numbers are of one gateway.
    one.hub.send(Command(broadcast=pb.Broadcast(
        to=hub_pb.Audience(whos=[who]), payload=text("to the sender"))))
    one.hub.send(Command(broadcast=pb.Broadcast(payload=text("to all"))))
    assert [sender.receive(), sender.receive()] == ["to the sender", "to all"]
    assert far.receive() == "to all"


def test_requests_reach_sessions_of_other_gateways(replicas):
    one, two = replicas()
    far, session = two.join(user="ann")
    near, _ = one.join(user="bob")
    one.api.Send(session=session, payload=text("psst"))
    assert far.receive() == "psst"
    assert found(one.api.GetSession, session=session).gateway == "gw-1"
    with fails(grpc.StatusCode.NOT_FOUND, "there is no session"):
        one.api.Send(session="nobody", payload=text("psst"))
    everybody = hub_pb.Audience(groups=["room:1"])
    counted = heard(one.api.CountSessions, of=everybody)
    assert (counted.sessions, counted.users) == (2, 2)
    assert heard(one.api.Update, to=everybody,
                 set={"level": "9"}).sessions == 2
    assert heard(two.api.Join, to=everybody, groups=["x"]).sessions == 2
    first = heard(one.api.ListSessions, of=everybody, page_size=1)
    second = heard(one.api.ListSessions, of=everybody, page_size=1,
                   page_token=first.next_page_token)
    listed = [*first.sessions, *second.sessions]
    assert [each.session for each in listed] == sorted(
        each.session for each in listed)
    assert {each.gateway for each in listed} == {"gw-0", "gw-1"}
    assert all(each.data["level"] == "9" for each in listed)
    assert not second.next_page_token
    closed = one.api.Close(to=everybody, code=4321, reason="enough")
    assert closed.sessions == 2 or closed.silent_gateways
    assert far.receive_close() == near.receive_close() == (4321, "enough")


def test_a_gateway_that_does_not_answer_is_named(replicas):
    one, two = replicas()
    near, _ = one.join()
    two.gateway.signal(signal.SIGSTOP)
    try:
        everybody = hub_pb.Audience(groups=["room:1"])
        counted = one.api.CountSessions(of=everybody)
        assert (counted.sessions, list(counted.silent_gateways)) == (1, ["gw-1"])
        with fails(grpc.StatusCode.UNAVAILABLE, "do not answer: gw-1"):
            one.api.GetSession(session="may be there")
    finally:
        two.gateway.signal(signal.SIGCONT)
    eventually(lambda: not one.api.CountSessions(of=everybody).silent_gateways,
               "gw-1 answers again")


def test_without_nats_a_gateway_goes_on_and_comes_back(replicas, nats):
    one, two = replicas()
    near, session = one.join()
    far, _ = two.join()
    settle(one, "room:1", far)
    while near.receive() != "settled":
        pass
    nats.kill()
    for replica in (one, two):
        eventually(lambda: replica.metric("engine_up") == 0, "NATS is missed")
    with fails(grpc.StatusCode.UNAVAILABLE, "NATS"):
        one.api.Publish(group="room:1", payload=text("to nobody"))
    one.api.Send(session=session, payload=text("here"))
    one.hub.send(Command(id=7, broadcast=pb.Broadcast(
        to=hub_pb.Audience(groups=["room:1"]), payload=text("near"))))
    assert one.hub.wait("failed").failed.status.code == (
        grpc.StatusCode.UNAVAILABLE.value[0])
    assert [near.receive(), near.receive()] == ["here", "near"]
    assert list(one.api.CountSessions().silent_gateways) == ["gw-1"]
    newcomer, _ = two.join()
    nats.start()
    for replica in (one, two):
        replica.wait_up(2)
        eventually(lambda: replica.metric("engine_reconnects_total") == 1,
                   "it is counted")
    settle(one, "room:1", far, newcomer)


HOSTILE = ["a.b", "*", ">", "$JS.API.STREAM.DELETE.x", "\r\nPUB x 0\r\n", "\x00",
           "=", " "]


def test_no_name_is_more_than_a_name(replicas):
    one, two = replicas()
    far, session = two.join()
    bystander, _ = two.join("/rooms/2")
    to = hub_pb.Audience(sessions=[session])
    two.api.Join(to=to, groups=HOSTILE)
    for name in HOSTILE:
        settle(one, name, far)
    for name in ("", "x" * 129):
        with fails(grpc.StatusCode.INVALID_ARGUMENT):
            one.api.Join(to=to, groups=[name])
    one.api.Publish(group="x" * 129, payload=text("to nobody"))
    settle(one, "room:2", bystander)  # Which has had nothing before.


def test_garbage_on_the_subjects_does_no_harm(replicas, nats):
    one, two = replicas()
    far, _ = two.join()
    with socket.create_connection(("127.0.0.1", nats.port), TIMEOUT) as peer:
        peer.sendall(b'CONNECT {"verbose":false}\r\n')
        for subject in ("headgate.cmd", "headgate.hb", "headgate.now.g.room=3A1"):
            for record in (b"", b"\xff" * 64, b"\x1a\x02\x08", bytes(1000)):
                peer.sendall(b"PUB %s %d\r\n%s\r\n" % (
                    subject.encode(), len(record), record))
        peer.sendall(b"PING\r\n")
        received = b""
        while b"PONG" not in received:
            received += peer.recv(65536)
    settle(one, "room:1", far)
    eventually(lambda: two.metric("engine_dropped_total") >= 8, "counted")


def test_nats_wants_a_password(stack, tmp_path):
    password = tmp_path / "password"
    password.write_text("wrong\n")
    with Nats('authorization { users: [{user: gateway, password: "right", '
              'permissions: {publish: "headgate.>", subscribe: "headgate.>"}}]}'
              ) as server:
        replica = Replica(stack, tmp_path, server.url, "gw-0",
                          f"user: gateway, password_file: {password}")
        lost = replica.wait_down()
        assert "Authorization" in lost and "wrong" not in lost
        password.write_text("right\n")  # It is read again.
        replica.wait_up(1)


@pytest.mark.parametrize("subjects", [
    'publish: "headgate.>", subscribe: "headgate.hb"',
    'publish: "headgate.hb", subscribe: "headgate.>"'])
def test_nats_denies_what_the_gateway_needs(stack, tmp_path, subjects):
    password = tmp_path / "password"
    password.write_text("right\n")
    with Nats('authorization { users: [{user: gateway, password: "right", '
              f'permissions: {{{subjects}}}}}]}}') as server:
        replica = Replica(stack, tmp_path, server.url, "gw-0",
                          f"user: gateway, password_file: {password}")
        if "subscribe: \"headgate.>\"" in subjects:
            replica.wait_up(1)
        with fails(grpc.StatusCode.UNAVAILABLE):
            replica.api.Publish(group="room:1", payload=text("hello"))
        assert "ermission" in replica.wait_down()


def test_a_password_that_libnats_cannot_send(stack, tmp_path, nats):
    password = tmp_path / "password"
    password.write_text('qu"ote\n')
    file = tmp_path / "bad.yaml"
    file.write_text(CONFIG.format(
        name="gw-0", url=nats.url, target="127.0.0.1:1",
        nats=f"user: gateway, password_file: {password}"))
    result = run("check", file)
    errors = result.stderr.decode()
    assert result.returncode != 0
    assert "must hold a password without" in errors
    assert "qu" + chr(34) not in errors


def test_one_publication_is_too_large_for_nats(stack, tmp_path):
    with Nats("max_payload: 4096") as server:
        one = Replica(stack, tmp_path, server.url, "gw-0")
        two = Replica(stack, tmp_path, server.url, "gw-1")
        one.wait_up(2)
        two.wait_up(2)
        far, _ = two.join()
        settle(one, "room:1", far)
        with fails(grpc.StatusCode.INVALID_ARGUMENT, "max_payload"):
            one.api.Publish(group="room:1", payload=text("x" * 5000))
        near, _ = one.join()
        one.hub.send(Command(id=7, broadcast=pb.Broadcast(
            payload=text("x" * 5000))))
        failed = one.hub.wait("failed")
        assert failed.failed.command == 7


def test_nats_has_a_certificate(stack, tmp_path):
    authority = Authority(tmp_path)
    stranger = Authority(tmp_path, "stranger")
    certificate, key = authority.issue("nats", "IP:127.0.0.1", "DNS:localhost")
    with Nats(f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}',
              tls=True) as server:
        good = Replica(stack, tmp_path, server.url, "gw-0",
                       f"tls: {{ca: {authority.ca}}}")
        good.wait_up(1)
        bad = Replica(stack, tmp_path, server.url, "gw-1",
                      f"tls: {{ca: {stranger.ca}}}")
        bad.wait_down()
        assert bad.metric("engine_up") == 0


def test_the_certificate_must_have_the_name(stack, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("nats", "DNS:elsewhere.example")
    with Nats(f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}',
              tls=True) as server:
        replica = Replica(stack, tmp_path, server.url, "gw-0",
                          f"tls: {{ca: {authority.ca}}}")
        replica.wait_down()
        assert replica.metric("engine_up") == 0
