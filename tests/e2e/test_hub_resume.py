"""Resume tokens: clients of hubs that come back, to the gateway that they were
connected to or another (docs/hub.md, "Resume tokens")."""

import os

import pytest

from client import HUB_PROTOBUF, Client
from harness import Gateway, eventually
from hub_backend import HubBackend, client_pb, hub_pb, pb, text
from test_hub_api import accept
from test_hub_history import Keeper, nats  # noqa: F401
from test_hub_recovery import Member

REPLACED = hub_pb.SessionEnd.REPLACED
RESUME = """
  resume: {{key_files: [resume.key], ttl: 1h}}
"""
ROUTE = """
  - path: /play
    hub: {{client_join: ["*"], client_publish: ["*"]}}
"""
ALONE = """
listeners: [{{address: "127.0.0.1:0"}}]
threads: 2
hub: {{{resume}}}
upstreams: [{{target: "{target}"}}]
routes:
  - {{path: /play, hub: {{client_join: ["*"], client_publish: ["*"]}}}}
  - {{path: /chat, hub: {{client_join: ["*"]}}}}
"""
KEYS = "resume: {key_files: [resume.key, second.key], ttl: 1h}"


class Player(Member):
    """Keeps its newest token."""

    def __init__(self, host, path="/play", user="ann"):
        self.token = None
        super().__init__(host, path,
                         headers=[("Grpc-Metadata-X-User", user)])

    def frame(self):
        while (frame := super().frame()).keys() == {"resumeToken"}:
            self.token = frame["resumeToken"]
        return frame

    def first_token(self):
        """The second frame."""
        self.token = Member.frame(self)["resumeToken"]
        return self.token

    def resume(self, token, **positions):
        """(whether it was resumed, the answers for each group)."""
        answer = self.ask(resume={"resumeToken": token, "positions": [
            {"group": group, "position": position}
            for group, position in positions.items()]})
        welcome = answer["welcome"]
        assert welcome["session"] == self.session
        self.token = welcome["resumeToken"]
        answers = []
        for _ in positions:
            answer = self.frame()
            assert answer.pop("id") == self._id
            answers.append(answer)
        return welcome.get("resumed", False), answers


def write_key(file, key=None):
    """Replaces the file in one step, and returns its key."""
    key = key or os.urandom(32)
    scratch = file.with_suffix(".new")
    scratch.write_bytes(key)
    scratch.replace(file)
    return key


def ended(hub, session):
    """How the backend has heard that it ended."""
    who = next(event.who for event in hub.of_kind("joined")
               if event.joined.session.session == session)
    return eventually(
        lambda: [event.left.end for event in hub.of_kind("left")
                 if event.who == who], f"{session} has ended")[0]


# --- Several gateways ---

class Host(Keeper):
    config = Keeper.config.replace("\n  groups:", RESUME + "  groups:").rstrip(
    ) + ROUTE

    def connect(self, **options):
        return self._stack.enter_context(Player(self, **options))


@pytest.fixture
def hosts(stack, tmp_path, nats):  # noqa: F811
    """Two gateways that know each other."""
    write_key(tmp_path / "resume.key")
    made = [Host(stack, tmp_path, nats.url, f"gw-{i}") for i in range(2)]
    for host in made:
        host.wait_up(2)
    return made


def test_another_gateway_goes_on_for_a_session(hosts):
    one, two = hosts
    ann = one.connect()
    token = ann.first_token()
    position = ann.join()["position"]
    bob = two.connect(user="bob")
    bob.join()
    mine = ann.ask(publish={"group": "room:1", "payload": "mine",
                            "noEcho": True})
    assert mine == {"ok": True}
    assert bob.delivery()[0] == "mine"
    theirs = one.publish('"theirs"').offset
    assert ann.delivery() == bob.delivery() == ("theirs", theirs)
    # Ann is on another gateway, and her first one has not noticed.
    again = two.connect()
    resumed, (joined,) = again.resume(token, **{"room:1": position})
    assert resumed
    assert joined["joined"]["recovered"] and joined["joined"]["missed"] == 1
    assert again.delivery() == ("theirs", theirs)  # Not her own.
    again.send({"payload": "hello"})
    event = two.hub.wait("session_resumed")
    assert event.session_resumed == pb.SessionResumed(
        previous_session=ann.session, recovered=True)
    said = two.hub.wait("message")
    assert said.who == event.who
    assert two.hub.events.index(event) < two.hub.events.index(said)
    end = ended(one.hub, ann.session)
    assert (end.cause, end.code) == (REPLACED, 4010)
    assert ann.frame()["end"]["code"] == 10
    assert ann.receive_close()[0] == 4010
    # What excepts her old session excepts her.
    one.api.Publish(group="room:1", payload=text('"for others"'),
                    except_sessions=[ann.session])
    last = one.publish('"for all"').offset
    assert again.delivery() == ("for all", last)
    eventually(lambda: two.metric(
        "resumes_total", outcome="resumed", route="/play") == 1, "counted")

    # And back, with the token that she has now: all of her sessions are known.
    home = one.connect()
    resumed, _ = home.resume(again.token)
    assert resumed
    assert ended(two.hub, again.session).cause == REPLACED
    home.join()
    one.api.Publish(group="room:1", payload=text('"for others"'),
                    except_sessions=[ann.session])
    last = two.publish('"for all"').offset
    assert home.delivery() == ("for all", last)


def test_a_session_that_has_gone_is_resumed_as_well(hosts):
    one, two = hosts
    ann = one.connect()
    token = ann.first_token()
    position = ann.join()["position"]
    ann.close()
    ended(one.hub, ann.session)
    missed = [(number, one.publish(str(number)).offset) for number in (1, 2)]
    again = two.connect()
    resumed, (joined,) = again.resume(token, **{"room:1": position})
    assert resumed and joined["joined"]["missed"] == 2
    assert again.deliveries(2) == missed


def test_a_token_may_be_shown_again(hosts):
    """No gateway remembers it: what it names has ended, and that is all."""
    one, two = hosts
    ann = one.connect()
    token = ann.first_token()
    first, second = two.connect(), one.connect()
    assert first.resume(token) == second.resume(token) == (True, [])
    assert ended(one.hub, ann.session).cause == REPLACED
    assert "joined" in first.ask(join={"group": "room:1"})
    assert [event.session_resumed.previous_session for host in hosts
            for event in [host.hub.wait("session_resumed")]] == 2 * [ann.session]


def test_without_nats_the_session_before_ends_by_itself(
        hosts, nats):  # noqa: F811
    one, two = hosts
    ann = one.connect()
    token = ann.first_token()
    nats.kill()
    eventually(lambda: two.metric("engine_up") == 0, "noticed")
    again = two.connect()
    assert again.resume(token) == (True, [])
    assert two.hub.wait("session_resumed").session_resumed.previous_session == (
        ann.session)
    assert "joined" in ann.ask(join={"group": "live:1"})
    ann.close()
    assert ended(one.hub, ann.session).cause == hub_pb.SessionEnd.CLIENT


# --- One gateway ---

class Alone:
    def __init__(self, stack, folder, resume):
        self._stack = stack
        self.hub = stack.enter_context(HubBackend(accept))
        file = folder / "gateway.yaml"
        file.write_text(ALONE.format(resume=resume, target=self.hub.target))
        self.gateway = stack.enter_context(Gateway.configured(file))

    def connect(self, **options):
        return self._stack.enter_context(Player(self, **options))


@pytest.fixture
def alone(stack, tmp_path):
    """alone(settings of hub)."""
    for name in ("resume.key", "second.key"):
        write_key(tmp_path / name)
    return lambda resume=KEYS: Alone(stack, tmp_path, resume)


def test_one_gateway_takes_its_own_tokens(alone):
    host = alone()
    ann = host.connect()
    token = ann.first_token()
    again = host.connect()
    resumed, (answer,) = again.resume(token, **{"room:1": None})
    assert resumed and answer == {"joined": {"group": "room:1"}}
    assert ended(host.hub, ann.session).cause == REPLACED
    event = host.hub.wait("session_resumed").session_resumed
    assert event == pb.SessionResumed(previous_session=ann.session)
    # Once, and first.
    assert again.ask(resume={"resumeToken": token})["error"]["code"] == 9
    # The other form.
    with Client(host.gateway, "/play", HUB_PROTOBUF,
                headers=[("Grpc-Metadata-X-User", "ann")]) as client:
        client.send(client_pb.HubClientFrame(
            id=7, resume={"resume_token": again.token}).SerializeToString())

        def frame():
            return client_pb.HubServerFrame.FromString(client.receive())

        assert frame().welcome.resume_token == ""
        assert frame().resume_token
        answer = frame()
        assert answer.id == 7 and answer.welcome.resumed
        assert answer.welcome.resume_token
    # No token has come near the log.
    for player in (ann, again):
        assert player.token not in host.gateway.stderr()


@pytest.mark.parametrize("change", [
    lambda token: "forged", lambda token: "", lambda token: token[:-1],
    lambda token: token[:20] + ("A" if token[20] != "A" else "B") + token[21:],
], ids=["forged", "empty", "cut", "changed"])
def test_a_bad_token_grants_nothing_and_is_no_error(alone, change):
    host = alone()
    ann = host.connect()
    token = ann.first_token()
    stranger = host.connect()
    resumed, (answer,) = stranger.resume(change(token), **{"room:1": None})
    assert not resumed and answer == {"joined": {"group": "room:1"}}
    # Ann's goes on.
    assert "joined" in ann.ask(join={"group": "room:2"})
    assert not host.hub.of_kind("session_resumed")


def test_a_token_is_for_its_route_and_user(alone):
    host = alone()
    ann = host.connect()
    token = ann.first_token()
    assert host.connect(user="bob").resume(token) == (False, [])
    assert host.connect(path="/chat").resume(token) == (False, [])
    assert "joined" in ann.ask(join={"group": "room:2"})
    assert host.connect().resume(token) == (True, [])


def test_without_keys_there_are_no_tokens(alone):
    host = alone(resume="")
    ann = host.connect()
    answer = ann.ask(resume={"resumeToken": "x"})
    assert answer["error"]["code"] == 9
    assert "hub.resume" in answer["error"]["message"]


def test_a_token_is_renewed_before_it_expires(alone):
    host = alone("resume: {key_files: [resume.key], ttl: 2s}")
    ann = host.connect()
    first = ann.first_token()
    # Each comes a second after the one before, or later.
    later = [Member.frame(ann)["resumeToken"] for _ in range(3)]
    assert len({first, *later}) == 4
    assert host.connect().resume(first) == (False, [])


def test_keys_are_rotated_without_a_restart(alone, tmp_path):
    host = alone()
    first, second = tmp_path / "resume.key", tmp_path / "second.key"
    token = host.connect().first_token()
    changes = 0

    def rotate(file, key=None):
        nonlocal changes
        changes += 1
        key = write_key(file, key)
        eventually(lambda: host.gateway.stderr().count(
            "the keys of resume tokens have changed") == changes, "read")
        return key

    rotate(second, first.read_bytes())
    new = rotate(first)
    assert host.connect().resume(token) == (True, [])
    young = host.connect().first_token()
    # A file that is no key changes nothing.
    write_key(second, b"short")
    host.gateway.wait_for_log("a key of resume tokens cannot be used")
    assert host.connect().resume(young) == (True, [])
    rotate(second, new)
    assert host.connect().resume(token) == (False, [])
    assert host.connect().resume(young) == (True, [])
