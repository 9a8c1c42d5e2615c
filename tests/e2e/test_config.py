"""Configuration files: `serve --config`, `check`, and SIGHUP
(docs/configuration.md)."""

import os
import signal

import pytest

from client import HELLO, JSON, Client, call, call_json, refusal
from harness import ROOT, Backend, Gateway, eventually, run, soon
from wire import message

EXAMPLES = sorted((ROOT / "deploy/examples").glob("*.yaml"))
SAY_HELLO = "headgate.demo.v1.HelloService/SayHello"


def serving(target, routes="  - {upstream: main}", more="", listener=""):
    return f"""
listeners: [{{address: "127.0.0.1:0"{listener}}}]
upstreams: [{{name: main, target: "{target}"}}]
routes:
{routes}
{more}
"""


@pytest.fixture
def configured(stack, backend, tmp_path):
    """configured(**parts of serving) -> the gateway; its file is .file."""

    def start(*flags, environment=None, **parts):
        file = tmp_path / "headgate.yaml"
        file.write_text(serving(backend.target, **parts))
        gateway = stack.enter_context(
            Gateway.configured(file, "--drain", "2s", *flags))
        gateway.file = file
        return gateway

    return start


def rewrite(gateway, text):
    scratch = gateway.file.with_suffix(".new")
    scratch.write_text(text)
    os.replace(scratch, gateway.file)


def reload(gateway, says="configuration reloaded"):
    """SIGHUP, and waits until the log has one line more that says so."""
    before = gateway.stderr().count(says)
    gateway.signal(signal.SIGHUP)
    eventually(lambda: gateway.stderr().count(says) > before,
               f"{says!r} in the log")


def greet(gateway, path=HELLO + "SayHello"):
    return call_json(gateway, path, {"greeting": "ann"}) == [
        {"reply": "hello, ann"}]


# --- check ---


def check(text, tmp_path, **environment):
    file = tmp_path / "checked.yaml"
    file.write_text(text)
    result = run("check", file)
    return (result.returncode, result.stdout.decode(), result.stderr.decode())


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_are_valid(file):
    result = run("check", file)
    assert result.returncode == 0, result.stderr.decode()
    assert result.stdout


def test_examples_exist():
    assert {"sidecar", "several-upstreams", "drop-in",
            "multiplexed-game"} <= {file.stem for file in EXAMPLES}


def test_check_prints_what_would_be_served(tmp_path):
    status, out, errors = check(
        serving("127.0.0.1:1",
                f"  - {{path: /hi, upstream: main, method: {SAY_HELLO}}}"),
        tmp_path)
    assert (status, errors) == (0, "")
    for word in ("127.0.0.1:0", "/hi", "main", SAY_HELLO, "json"):
        assert word in out, out


# All faults of a file at once, each with its path.
def test_check_names_every_fault(tmp_path):
    status, out, errors = check("""
listeners: [{address: "nonsense"}]
upstreams: [{name: chat, target: "127.0.0.1:1"}]
routes:
  - {path: /a, upstream: chta, method: a.B/C}
  - {path: b, upstream: chat, method: a.B/C, colour: red}
  - {path: /c, upstream: chat, method: a.B/C, codec: yaml}
limits: {max_sessions: many}
timeouts: {send: 3}
""", tmp_path)
    assert (status, out) == (1, "")
    for path in ("listeners[0].address:", "routes[1].colour:",
                 "routes[0].upstream:", "routes[1].path:", "routes[2].codec:",
                 "limits.max_sessions:", "timeouts.send:"):
        assert path in errors, errors
    assert "chta" in errors and "chat" in errors


@pytest.mark.parametrize("text", [
    "", "[]", "a: [", "listeners: 7", "\x00", "&a [*a]", "routes: [[[[[[]]]]]]",
    "listeners: {address: x}", "%YAML 9.9\n---\nx: 1", "? {a: b}\n: c",
])
def test_check_survives_any_text(tmp_path, text):
    status, _, errors = check(text, tmp_path)
    assert status in (0, 1)
    assert (status == 1) == bool(errors)


def test_missing_file(tmp_path):
    result = run("check", tmp_path / "none.yaml")
    assert result.returncode == 1
    assert "none.yaml" in result.stderr.decode()


# --- serve ---


def test_a_file_with_faults_serves_nothing(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("routes: [{path: /a, upstream: nobody, method: a.B/C}]")
    result = run("serve", "--config", file)
    assert result.returncode == 1
    assert "routes[0].upstream" in result.stderr.decode()
    assert b"listening" not in result.stdout


def test_environment(stack, backend, tmp_path, monkeypatch):
    monkeypatch.setenv("UPSTREAM", backend.target)
    file = tmp_path / "headgate.yaml"
    file.write_text(serving("${UPSTREAM}",
                            more="timeouts: {drain: '${DRAIN:-1s}'}"))
    gateway = stack.enter_context(Gateway.configured(file))
    assert greet(gateway)


def test_an_unset_variable_is_a_fault(tmp_path):
    status, _, errors = check(serving("${NOBODY_SET_THIS}"), tmp_path)
    assert status == 1
    assert "upstreams[0].target" in errors and "NOBODY_SET_THIS" in errors


def test_flags_win_over_the_file(configured):
    gateway = configured("--max-message-bytes", "100")
    _, (code, _) = call(gateway, HELLO + "SayHello", {"greeting": "x" * 200})
    assert code == 1009


# --- routes ---


def test_prefix_and_template(configured):
    gateway = configured(routes="""
  - {path: /exact, upstream: main, method: headgate.demo.v1.HelloService/SayHello}
  - {prefix: /hello, upstream: main, service: headgate.demo.v1.HelloService}
  - {template: "/greet/{greeting}", upstream: main, method: headgate.demo.v1.HelloService/SayHello}
""")
    assert greet(gateway, "/exact")
    assert greet(gateway, "/hello/SayHello")
    assert greet(gateway, "/hello/any/thing/SayHello")
    assert call_json(gateway, "/greet/ann", {}) == [{"reply": "hello, ann"}]
    assert call_json(gateway, "/greet/a%2Fb", {}) == [{"reply": "hello, a/b"}]
    for path in ("/helloSayHello", "/greet/a/b", "/greet", "/exact/", "/other",
                 HELLO + "SayHello"):
        assert refusal(gateway, path) == 404, path


# `check` allows it any codec, and so does what serves it.
def test_template_without_variables_takes_its_codec(configured):
    gateway = configured(routes=f"""
  - {{template: /rooms/join, upstream: main, method: {SAY_HELLO}, codec: protobuf}}
  - {{template: "/rooms/any", upstream: main, method: {SAY_HELLO}}}
""")
    ann, reply = message((1, "ann")), message((1, "hello, ann"))
    assert call(gateway, "/rooms/join", ann, subprotocols=()) == (
        [reply], (1000, ""))
    assert call(gateway, "/rooms/any", ann, subprotocols=()) == (
        [reply], (1000, ""))
    assert call_json(gateway, "/rooms/any", {"greeting": "ann"}) == [
        {"reply": "hello, ann"}]


def test_the_first_route_that_fits_wins(configured):
    gateway = configured(routes="""
  - {template: "/a/*", upstream: main, method: headgate.demo.v1.HelloService/LotsOfReplies}
  - {prefix: /a, upstream: main, method: headgate.demo.v1.HelloService/SayHello}
""")
    assert len(call_json(gateway, "/a/b", {})) == 10
    assert len(call_json(gateway, "/a/b/c", {})) == 1


def test_what_a_route_sets_wins_over_the_file(configured):
    gateway = configured(
        routes=f"""
  - {{path: /small, upstream: main, method: {SAY_HELLO}, max_message_bytes: 64}}
  - {{upstream: main}}
""", more="limits: {max_message_bytes: 1KiB}")
    big = {"greeting": "x" * 500}
    assert call(gateway, "/small", big)[1][0] == 1009
    assert call(gateway, HELLO + "SayHello", big)[1][0] == 1000


# --- SIGHUP ---


def test_without_a_file_the_log_says_that_nothing_is_reloaded():
    with Gateway.demo() as gateway:
        for times in (1, 2):
            gateway.signal(signal.SIGHUP)
            eventually(lambda: gateway.stderr().count(
                "SIGHUP: there is no configuration file to reload") == times,
                "a line")
        assert call_json(gateway, HELLO + "BidiHello", half_close=True) == []


def test_reload_adds_and_takes_routes_and_leaves_sessions_alone(
        configured, backend):
    gateway = configured(routes="""
  - {path: /old, upstream: main, method: headgate.demo.v1.HelloService/BidiHello}
""")
    with Client(gateway, "/old", JSON) as session:
        session.send({"greeting": "ann"})
        assert session.receive_json() == {"reply": "hello, ann"}
        rewrite(gateway, serving(backend.target, """
  - {path: /new, upstream: main, method: headgate.demo.v1.HelloService/SayHello}
"""))
        reload(gateway)
        eventually(lambda: refusal_or_none(gateway, "/old") == 404,
                   "the old route is gone")
        assert greet(gateway, "/new")
        session.send({"greeting": "bob"})
        assert session.receive_json() == {"reply": "hello, bob"}
        session.half_close()
        assert session.receive_close() == (1000, "")


def refusal_or_none(gateway, path):
    try:
        return refusal(gateway, path)
    except AssertionError:
        return None


# The session of the old upstream goes on with it, a new one with the new.
def test_reload_changes_an_upstream(configured, backend):
    with Backend() as other:
        gateway = configured()
        with Client(gateway, HELLO + "BidiHello", JSON) as session:
            session.send({"greeting": "ann"})
            session.receive()
            rewrite(gateway, serving(other.target))
            reload(gateway)
            other_only = eventually(
                lambda: greet(gateway), "the new upstream answers")
            assert other_only
            session.send({"greeting": "bob"})
            assert session.receive_json() == {"reply": "hello, bob"}


def test_reload_of_a_file_with_faults_changes_nothing(configured):
    gateway = configured()
    assert greet(gateway)
    rewrite(gateway, "routes: [{path: nonsense}]\nlimits: 3\n")
    reload(gateway, "routes[0]")
    assert greet(gateway)


def test_reload_says_what_needs_a_restart(configured, backend):
    gateway = configured(more="threads: 1")
    rewrite(gateway, serving(backend.target, more="threads: 2").replace(
        "127.0.0.1:0", "127.0.0.1:1"))
    reload(gateway, "restart")
    assert greet(gateway)


def test_reload_names_hub_settings_that_need_a_restart(configured, backend):
    gateway = configured()
    rewrite(gateway, serving(backend.target, more="""
hub: {groups: [{pattern: "cursor:*", slow: drop-oldest}]}"""))
    reload(gateway, "hub.groups")
    assert greet(gateway)


def test_reload_under_load(configured, backend):
    gateway = configured()
    for round in range(10):
        rewrite(gateway, serving(backend.target, f"""
  - {{path: /r{round}, upstream: main, method: {SAY_HELLO}}}
  - {{upstream: main}}
"""))
        gateway.signal(signal.SIGHUP)
        assert greet(gateway)
    eventually(lambda: refusal_or_none(gateway, "/r9") is None,
               "the last configuration is in force")
    assert greet(gateway, "/r9")


# --- what is not a regular file ---


# Whatever waits at its other end, or comes without end: it is not waited for.
@pytest.mark.parametrize("kind", ["FIFO", "device"])
@pytest.mark.parametrize("setting", ["config", "descriptors", "tls", "ca"])
def test_what_is_not_a_regular_file_is_said_at_once(tmp_path, kind, setting):
    path = tmp_path / "special"
    if kind == "FIFO":
        os.mkfifo(path)
    else:
        path = "/dev/zero"
    file = tmp_path / "headgate.yaml"
    file.write_text({
        "config": "",
        "descriptors": f"upstreams: [{{descriptors: {{files: [{path}]}}}}]",
        "tls": f"listeners: [{{tls: {{certificate: {path}, key: {path}}}}}]",
        "ca": f"upstreams: [{{tls: {{ca: {path}}}}}]"}[setting])
    config = path if setting == "config" else file
    for words in (["check", config],
                  ["serve", "--config", config, "--admin", "off"]):
        result = run(*words, timeout=soon(5))
        assert result.returncode == 1
        text = (result.stdout + result.stderr).decode()
        assert str(path) in text
        assert f"cannot be read: it is a {kind}, and a regular file" in text


# As a Kubernetes volume has them.
def test_links_to_files_are_followed(tmp_path):
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "headgate.yaml").write_text("threads: 1\n")
    (tmp_path / "headgate.yaml").symlink_to("..data/headgate.yaml")
    result = run("check", tmp_path / "headgate.yaml")
    assert result.returncode == 0
