"""HubService.Watch: a process follows who is in groups, on all gateways."""

import contextlib
import json
import struct
import threading
import types

import grpc
import pytest

from client import Client
from harness import TIMEOUT, eventually
from http2_wire import DATA, END_STREAM, H2Client, request_fields
from hub_backend import api_pb, hub_pb, text
from nats import Nats
from test_hub_api import (HTTP_CONFIG, address_of, api, connect, fails,
                          gateway, hub, join, start)
from test_hub_nats import Replica


class Follower:
    """What docs/hub-api.md tells a process to do: lists the sessions when an
    event is incomplete, and goes on with what events say."""

    def __init__(self, api, groups, stack):
        self._api = api
        self.members = {group: {} for group in groups}
        self.counts = {}
        self.lists = 0
        self.error = None
        self.call = api.watch(groups)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        stack.callback(self.stop)

    def _run(self):
        try:
            for event in self.call:
                if event.incomplete:
                    self._list(event.group)
                members = self.members[event.group]
                for session in event.joined:
                    members[session.session] = session
                for session in event.left:
                    members.pop(session, None)
                self.counts[event.group] = event.sessions
        except grpc.RpcError as error:
            self.error = error

    def _list(self, group):
        self.lists += 1
        is_known = False
        while not is_known and self.call.is_active():
            with contextlib.suppress(grpc.RpcError):
                found = self._api.ListSessions(
                    of=hub_pb.Audience(groups=[group]), page_size=1000)
                self.members[group] = {each.session: each
                                       for each in found.sessions}
                is_known = not found.silent_gateways

    def wait(self, group, sessions):
        eventually(lambda: set(self.members[group]) == set(sessions) and
                   self.counts.get(group) == len(sessions),
                   f"{group} has {sessions}")

    def stop(self):
        self.call.cancel()
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive()


@pytest.fixture
def follow(stack):
    return lambda api, *groups: Follower(api, groups, stack)


@pytest.fixture
def nats():
    with Nats() as server:
        yield server


@pytest.fixture
def replicas(stack, tmp_path, nats):
    def start(count=2):
        made = [Replica(stack, tmp_path, nats.url, f"gw-{i}")
                for i in range(count)]
        for replica in made:
            replica.wait_up(count)
        return made

    return start


def test_who_comes_and_goes(join, api, follow):
    _, early = join(user="ann")
    follower = follow(api, "room:1", "room:2")
    follower.wait("room:1", [early])
    follower.wait("room:2", [])
    client, late = join(user="bob")
    follower.wait("room:1", [early, late])
    assert follower.members["room:1"][late].user == "bob"
    to = hub_pb.Audience(sessions=[late])
    api.Join(to=to, groups=["room:2"])
    follower.wait("room:2", [late])
    api.Leave(to=to, groups=["room:1"])
    follower.wait("room:1", [early])
    client.close()
    follower.wait("room:2", [])
    assert follower.lists == 2  # The first event of each group.


def test_a_watch_that_is_cancelled_is_counted(join, api, gateway, follow):
    follower = follow(api, "room:1")
    follower.wait("room:1", [])
    follower.stop()
    eventually(lambda: gateway.metric("headgate_hub_api_requests_total",
                                      method="Watch", code="CANCELLED") == 1,
               "counted")
    join()
    again = follow(api, "room:1")
    eventually(lambda: len(again.members["room:1"]) == 1, "watched again")


def test_watches_without_sense_are_refused(api):
    for fields in ({}, {"groups": [""]}, {"groups": ["x" * 129]}):
        with fails(grpc.StatusCode.INVALID_ARGUMENT, "group"):
            next(api.watch(**fields))
    with fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "1000"):
        next(api.watch([str(i) for i in range(1001)]))


def test_a_token_watches_what_its_grant_names(start, connect, tmp_path):
    (tmp_path / "ops.token").write_text("secret\n")
    gateway = start(
        "grants: [{token_file: ops.token, methods: [Watch], "
        'groups: ["room:*"]}]')
    api = connect(gateway, token="secret")
    assert next(api.watch(["room:1"])).incomplete
    with fails(grpc.StatusCode.PERMISSION_DENIED):
        next(api.watch(["room:1", "secret"]))
    with fails(grpc.StatusCode.UNAUTHENTICATED):
        next(connect(gateway).watch(["room:1"]))


def test_so_many_may_watch(join, api, follow):
    watches = [api.watch(["room:1"]) for _ in range(64)]
    for watch in watches:
        assert next(watch).incomplete
    with fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "64"):
        next(api.watch(["room:1"]))
    # None of them reads on.
    _, session = join()
    to = hub_pb.Audience(sessions=[session])
    for _ in range(100):
        api.Leave(to=to, groups=["room:1"])
        api.Join(to=to, groups=["room:1"])
    for watch in watches:
        watch.cancel()

    def watch_again():
        with contextlib.suppress(grpc.RpcError):
            return next(api.watch(["room:1"])).sessions == 1

    eventually(watch_again, "there is a place again")


def test_a_process_that_has_vanished_watches_no_more(api, gateway, stack):
    host, _, port = address_of(gateway).rpartition(":")
    vanished = stack.enter_context(
        H2Client(types.SimpleNamespace(host=host, port=int(port))))
    request = api_pb.WatchRequest(group="room:1").SerializeToString()
    stream = vanished.open(
        request_fields("POST", "/headgate.v1.HubService/Watch",
                       ("content-type", "application/grpc"),
                       ("te", "trailers")), end_stream=False)
    vanished.send_h2(DATA, END_STREAM, stream,
                     struct.pack(">BI", 0, len(request)) + request)
    vanished.await_h2(DATA, stream)
    # It acknowledges no ping.
    silent = api.watch(["room:1"])
    assert next(silent).incomplete
    eventually(lambda: gateway.metric("headgate_hub_api_requests_total",
                                      method="Watch", code="CANCELLED") == 1,
               "its call has ended", 3 * TIMEOUT)
    api.Publish(group="room:1", payload=text("x"))
    assert silent.is_active()
    silent.cancel()


def test_the_gateway_stops_while_somebody_watches(start, connect, follow):
    gateway = start()
    follower = follow(connect(gateway), "room:1")
    follower.wait("room:1", [])
    gateway.stop()
    eventually(lambda: follower.error is not None, "the watch has ended")


def test_a_browser_may_watch_by_json(configured, hub, tmp_path, stack):
    socket = tmp_path / "hub.sock"
    gateway = configured(
        HTTP_CONFIG.replace("[{{name: default,",
                            '[{{name: api, target: "unix:%s"}}, '
                            "{{name: default," % socket)
        .replace("/rooms/{{room}}\",", "/rooms/{{room}}\", upstream: default,")
        .replace("path: /news,", "path: /news, upstream: default,")
        .format(target=hub.target, address=f"unix:{socket}", api=""))

    def watch():
        with contextlib.suppress(Exception):
            return Client(gateway, "/v1/hub/groups/room:5:watch")

    watcher = stack.enter_context(eventually(watch, "descriptors of the API"))
    first = json.loads(watcher.receive())
    assert first == {"group": "room:5", "incomplete": True}
    stack.enter_context(Client(gateway, "/rooms/5"))
    event = json.loads(watcher.receive())
    assert event["sessions"] == "1"
    assert event["joined"][0]["groups"] == ["room:5"]


# --- Several gateways ---


def test_members_of_all_gateways_are_followed(replicas, follow):
    one, two = replicas()
    near, near_session = one.join()
    far, far_session = two.join()
    follower = follow(one.api, "room:1")
    follower.wait("room:1", [near_session, far_session])
    _, another = two.join(user="ann")
    follower.wait("room:1", [near_session, far_session, another])
    assert follower.members["room:1"][another].gateway == "gw-1"
    assert follower.members["room:1"][another].user == "ann"
    far.close()
    near.close()
    follower.wait("room:1", [another])
    two.gateway.kill()
    follower.wait("room:1", [])


def test_nats_is_away_for_a_while(replicas, nats, follow):
    one, two = replicas()
    client, session = two.join()
    follower = follow(one.api, "room:1")
    follower.wait("room:1", [session])
    nats.kill()
    one.wait_down()
    two.wait_down()
    client.close()
    two.hub.wait("left")
    _, late = two.join()
    nats.start()
    for replica in (one, two):
        replica.wait_up(2)
    follower.wait("room:1", [late])
