"""The life of the process, of its backend, and of many sessions at once
(docs/protocol.md, "Endings"; docs/design/endings.md)."""

import asyncio
import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import time

import pytest
import websockets

from client import (ECHO, HELLO, JSON, PROTOBUF, Client, call, call_json,
                    connect, stats)
from harness import (HEADGATE, TIMEOUT, Backend, Gateway, Process, eventually,
                     held_port, run, sanitized, soon)
from wire import RawClient, message

BIDI = HELLO + "BidiHello"


# --- without a backend, and with one that comes and goes ---


@pytest.mark.parametrize("subprotocols, data", [
    ((JSON,), "{}"), ((PROTOBUF,), b""), ((), "{}"), ((), b"")])
def test_calls_without_a_backend_are_4014(subprotocols, data):
    with Gateway.serve(f"127.0.0.1:{held_port()}") as gateway:
        with Client(gateway, BIDI, *subprotocols) as client:
            with contextlib.suppress(websockets.ConnectionClosed):
                client.send(data)
            code, reason = client.receive_close()
    assert code == 4014
    assert reason


# Nothing is said, and the session ends all the same.
def test_session_without_a_backend_ends_by_itself():
    with Gateway.serve(f"127.0.0.1:{held_port()}") as gateway:
        with Client(gateway, BIDI) as client:
            assert client.receive_close()[0] == 4014


def test_gateway_says_that_its_backend_is_not_there_yet():
    target = f"127.0.0.1:{held_port()}"
    with Gateway.serve(target) as gateway:
        eventually(lambda: target in gateway.stderr(),
                   "a line in the log that names the upstream")


# It can be connected to, and then says nothing.
def test_calls_to_a_silent_upstream_are_4014():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with Gateway.serve(f"127.0.0.1:{silent.getsockname()[1]}",
                           "--reflection-timeout", "300ms") as gateway:
            assert call(gateway, BIDI, {})[1][0] == 4014


def works(gateway):
    """Whether a new session works; else it must be told UNAVAILABLE."""
    answers, (code, reason) = call(gateway, HELLO + "SayHello",
                                   {"greeting": "ann"})
    assert code in (1000, 4014), reason
    return answers == ['{"reply":"hello, ann"}']


def test_backend_that_appears_later_is_found():
    port = held_port()
    with Gateway.serve(f"127.0.0.1:{port}") as gateway:
        assert not works(gateway)
        with Backend(port):
            eventually(lambda: works(gateway), "new sessions to work")


# What is open ends with 4014; what comes after the restart works.
def test_backend_that_is_killed_and_restarted(stack):
    backend = Backend()
    gateway = stack.enter_context(Gateway.serve(backend.target))
    flood = stack.enter_context(Client(gateway, ECHO + "Flood", PROTOBUF))
    flood.send(message((2, 1000)))
    flood.receive()
    streams = [stack.enter_context(Client(gateway, BIDI, JSON))
               for _ in range(20)]
    for stream in streams:
        stream.send({"greeting": "ann"})
        stream.receive()

    backend.kill()
    for stream in streams:
        code, reason = stream.receive_close()
        assert code == 4014
        assert reason
    _, (code, _) = flood.receive_all()
    assert code == 4014
    assert not works(gateway)

    with Backend(backend.port):
        # On every worker: each has a connection, and a backoff, of its own.
        eventually(lambda: all(works(gateway) for _ in range(10)),
                   "new sessions to work")
        assert call(gateway, ECHO + "Flood", message((1, 3)),
                    subprotocols=(PROTOBUF,))[1] == (1000, "")


# --- the end of the process ---


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_sigterm_while_idle_ends_with_status_0(backend, command):
    gateway = (Gateway.serve(backend.target) if command == "serve" else
               Gateway.demo())
    gateway.signal(signal.SIGTERM)
    gateway.wait(expected=0, timeout=soon(3))


def test_backend_ends_with_status_0_on_sigterm():
    Backend().stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_closes_every_session_with_1001(backend, number):
    gateway = Gateway.serve(backend.target, "--drain", "2s")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(gateway, BIDI, JSON))
                   for _ in range(10)]
        for client in clients[:5]:
            client.send({"greeting": "ann"})
            client.receive()
        gateway.signal(number)
        for client in clients:
            code, reason = client.receive_close()
            assert code == 1001
            assert reason
    gateway.wait(expected=0)


# A person who pressed Ctrl-C does not wait for the drain.
def test_sigint_ends_within_about_a_second(backend):
    gateway = Gateway.serve(backend.target, "--drain", "60s")
    with RawClient(gateway) as client:
        client.upgrade(BIDI)
        client.send_frame(1, b"{}")
        client.read_message()
        gateway.signal(signal.SIGINT)
        # Though the client does not answer the Close frame.
        gateway.wait(expected=0, timeout=soon(3))


# Nobody waits for a client that does not take its Close frame.
def test_drain_is_bounded(backend):
    gateway = Gateway.serve(backend.target, "--drain", "1s",
                            "--close-timeout", "60s", "--send-timeout", "60s")
    with RawClient(gateway, receive_buffer=4096) as client:
        client.upgrade(ECHO + "Flood")
        client.send_frame(2, message((2, 65536)))
        client.read_message()
        gateway.signal(signal.SIGTERM)
        gateway.wait(expected=0, timeout=soon(4))


# Whoever connects while the gateway drains learns it at once, not by silence.
def test_new_sessions_are_refused_while_draining(backend):
    gateway = Gateway.serve(backend.target, "--drain", "60s",
                            "--close-timeout", "60s")
    with RawClient(gateway) as client:
        client.upgrade(BIDI)
        gateway.signal(signal.SIGTERM)
        client.read_frame()  # Close 1001, which stays without an answer.
        try:
            with RawClient(gateway) as late:
                assert late.request(BIDI).status == 503
        except (ConnectionError, EOFError):
            pass  # Nobody listens any more.
        gateway.signal(signal.SIGTERM)
        gateway.wait(expected=1, timeout=soon(3))


# What it cuts off is no drain: exit status 1.
@pytest.mark.parametrize("first, second", [
    (signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)])
def test_second_signal_ends_at_once(backend, first, second):
    gateway = Gateway.serve(backend.target, "--drain", "60s",
                            "--close-timeout", "60s")
    with RawClient(gateway) as client:
        client.upgrade(BIDI)
        gateway.signal(first)
        assert client.read_frame().payload[:2] == b"\x03\xe9"
        gateway.signal(second)
        gateway.wait(expected=1, timeout=soon(3))


def test_calls_are_cancelled_when_the_gateway_ends(backend):
    with Gateway.serve(backend.target) as observer:
        _, before = stats(observer)
        gateway = Gateway.serve(backend.target)
        with Client(gateway, ECHO + "Echo", JSON) as client:
            client.send({"payload": "AA=="})
            client.receive()
            gateway.stop()
            assert client.receive_close()[0] == 1001
        eventually(lambda: stats(observer) == (0, before + 1),
                   "the call to end")


# --- what cannot start ---


def test_port_in_use_is_one_clear_line_and_status_1(backend):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for command in (["serve", "--upstream", backend.target], ["demo"],
                        ["backend"]):
            result = run(*command, "--listen", address)
            assert result.returncode == 1
            line, = result.stderr.decode().splitlines()
            assert address in line
            assert result.stdout == b""


# Of two listeners one cannot listen: then nothing is served.
def test_one_bad_listener_is_enough_to_serve_nothing():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run("demo", "--listen", "127.0.0.1:0", "--listen", address)
    assert result.returncode == 1
    assert address in result.stderr.decode()
    assert b"listening" not in result.stdout


@pytest.mark.parametrize("flags, word", [
    (["--listen", "nonsense"], "HOST:PORT"),
    (["--listen", "127.0.0.1:99999"], "127.0.0.1:99999"),
    (["--max-sessions", "0"], "max_sessions"),
    (["--max-sessions", "many"], "--max-sessions"),
    (["--max-message-bytes", "0"], "max_message_bytes"),
    (["--max-message-bytes", "1XiB"], "--max-message-bytes"),
    (["--send-timeout", "soon"], "--send-timeout"),
    (["--send-timeout", "0s"], "send"),
    (["--threads", "-1"], "threads"),
    (["--codec", "xml"], "--codec"),
    (["--route", "/x"], "--route"),
    (["--route", "x=a.B/C"], "path"),
    (["--route", "/x=nonsense"], "package.Service/Method"),
    (["--allow-origin", "example"], "origin"),
    (["--trusted-proxy", "10.0.0.0/40"], "10.0.0.0/40"),
    (["--allow-host", "https://example.com"], "allowed_hosts"),
    (["--packet-container-types", "100,x"], "--packet-container-types"),
    (["--packet-order", "random"], "--packet-order"),
    (["--refusals", "maybe"], "--refusals"),
    (["--no-such-flag"], "--no-such-flag"),
])
def test_bad_flag_is_an_error_that_names_it(flags, word):
    result = run("serve", "--upstream", "127.0.0.1:1", *flags)
    assert result.returncode != 0
    assert result.returncode < 128
    assert word in result.stderr.decode()
    assert b"listening" not in result.stdout


@pytest.mark.parametrize("command", [[], ["serve"], ["demo"], ["backend"],
                                     ["dial"]])
def test_help_is_complete(command):
    result = run(*command, "--help")
    assert result.returncode == 0
    help = result.stdout.decode()
    if not command:
        for name in ("serve", "demo", "backend", "dial"):
            assert name in help
    if command in (["serve"], ["demo"]):
        for flag in ("listen", "threads", "route", "codec", "allow-origin", "allow-host",
                     "trusted-proxy", "refusals", "token-cookie",
                     "token-query", "forward-header", "deadline",
                     "json-field-names", "json-envelope", "packet-order",
                     "packet-container-types", "max-sessions",
                     "max-message-bytes", "handshake-timeout", "send-timeout",
                     "stall-timeout", "drain", "log-level"):
            assert f"--{flag}" in help


def test_version_is_told():
    result = run("--version")
    assert result.returncode == 0
    assert any(c.isdigit() for c in result.stdout.decode())


@pytest.mark.parametrize("words, error", [
    (["fly"], "headgate: there is no command 'fly'"),
    (["serv"], "headgate: there is no command 'serv'; did you mean 'serve'?"),
    (["--verson"],
     "headgate: there is no flag '--verson'; did you mean '--version'?"),
    (["dail", "ws://127.0.0.1:1/"],
     "headgate: there is no command 'dail'; did you mean 'dial'?"),
    (["help", "dail"],
     "headgate: there is no command 'dail'; did you mean 'dial'?"),
    (["serve", "--upsteam", "127.0.0.1:1"],
     "headgate serve: there is no flag '--upsteam'; "
     "did you mean '--upstream'?"),
    # Whatever else is wrong then.
    (["dial", "--codek", "json"],
     "headgate dial: there is no flag '--codek'; did you mean '--codec'?"),
    (["dial", "--codek=json", "ws://127.0.0.1:1/"],
     "headgate dial: there is no flag '--codek'; did you mean '--codec'?"),
    (["bench", "--qwertyuiop"],
     "headgate bench: there is no flag '--qwertyuiop'"),
    ([], "headgate: a command is missing"),
    (["replay"], "headgate replay: FILE is required"),
    (["dial"], "headgate dial: URL is required"),
])
def test_a_fault_of_the_command_line_is_told_with_what_was_meant(words, error):
    result = run(*words)
    assert result.returncode == 64
    assert result.stdout == b""
    assert result.stderr.decode().splitlines()[0] == error


def test_help_and_version_are_commands():
    for words, flags in ((["help"], ["--help"]),
                         (["help", "dial"], ["dial", "--help"]),
                         (["help", "serve"], ["serve", "--help"]),
                         (["version"], ["--version"])):
        result = run(*words)
        assert (result.returncode, result.stderr) == (0, b"")
        assert result.stdout == run(*flags).stdout
        assert len(result.stdout) > 10


# --- many sessions ---


async def converse(gateway, number, rounds):
    socket = await connect(gateway, BIDI, JSON)
    for i in range(rounds):
        greeting = f"{number}-{i}"
        await socket.send(json.dumps({"greeting": greeting}))
        assert json.loads(await socket.recv()) == {"reply":
                                                   f"hello, {greeting}"}
    return socket


async def open_many(gateway, count, rounds):
    """`count` sessions, all open at the end, opened a hundred at a time."""
    gate = asyncio.Semaphore(100)

    async def one(number):
        async with gate:
            return await converse(gateway, number, rounds)

    return await asyncio.gather(*[one(number) for number in range(count)])


def test_a_thousand_sockets_at_once(start_serve):
    gateway = start_serve()

    async def test():
        sockets = await open_many(gateway, 1000, rounds=2)

        async def finish(number, socket):
            # All are still open, and each still has its own call.
            await socket.send(json.dumps({"greeting": f"last {number}"}))
            assert json.loads(await socket.recv()) == {
                "reply": f"hello, last {number}"}
            await socket.send("")
            with pytest.raises(websockets.ConnectionClosedOK):
                await socket.recv()
            assert socket.close_code == 1000

        await asyncio.gather(*[finish(*pair) for pair in enumerate(sockets)])

    asyncio.run(asyncio.wait_for(test(), 4 * TIMEOUT))


def test_a_thousand_sockets_that_leave_at_once(start_serve):
    gateway = start_serve()
    _, before = stats(gateway)

    async def test():
        gate = asyncio.Semaphore(100)

        async def one():
            async with gate:
                socket = await connect(gateway, ECHO + "Echo", JSON)
                await socket.send('{"payload":"AA=="}')
                await socket.recv()
                return socket

        sockets = await asyncio.gather(*[one() for _ in range(1000)])
        for socket in sockets:
            socket.transport.abort()

    asyncio.run(asyncio.wait_for(test(), 4 * TIMEOUT))
    eventually(lambda: stats(gateway) == (0, before + 1000),
               "every call to be cancelled", 2 * TIMEOUT)


# Sessions of one process do not wait for one another, nor mix.
@pytest.mark.parametrize("threads", ["1", "2", "5"])
def test_any_number_of_threads_serves(start_serve, threads):
    gateway = start_serve("--threads", threads)

    async def test():
        sockets = await open_many(gateway, 50, rounds=20)
        await asyncio.gather(*[socket.close() for socket in sockets])

    asyncio.run(asyncio.wait_for(test(), 2 * TIMEOUT))
    assert len(call_json(gateway, HELLO + "LotsOfReplies", {})) == 10


def test_sigterm_among_many_sessions(backend):
    gateway = Gateway.serve(backend.target, "--drain", "2s")

    async def test():
        sockets = await open_many(gateway, 200, rounds=1)
        gateway.signal(signal.SIGTERM)

        async def ending(socket):
            with pytest.raises(websockets.ConnectionClosed):
                await socket.recv()
            return socket.close_code

        return await asyncio.gather(*[ending(socket) for socket in sockets])

    assert set(asyncio.run(asyncio.wait_for(test(), 2 * TIMEOUT))) == {1001}
    gateway.wait(expected=0)


# --- signals while the process starts ---


def with_pending(*signals):
    """A preexec_fn: the process begins with these signals pending, as if they
    had come with its first instruction."""

    def prepare():
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        for number in signals:
            signal.raise_signal(number)  # For this thread, if there are more.

    return prepare


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_sighup_at_the_start_is_a_reload_and_not_the_end(command):
    with Gateway(command, preexec_fn=with_pending(signal.SIGHUP)) as gateway:
        eventually(lambda: "there is no configuration file to reload"
                   in gateway.stderr(), "the reload that SIGHUP asks for")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", ["serve", "demo"])
def test_signal_to_stop_at_the_start_is_exit_status_0(command, number):
    process = Process(HEADGATE, command, "--listen", "127.0.0.1:0", "--admin",
                      "off", preexec_fn=with_pending(number))
    process.wait()
    assert "listening" not in process.stdout().replace("backend", "")
    assert "stopped by a signal before anything was served" in process.stderr()


def test_backend_that_is_stopped_at_the_start_exits_with_0():
    Process(HEADGATE, "backend", "--listen", "127.0.0.1:0",
            preexec_fn=with_pending(signal.SIGTERM)).wait()


# The other commands have no use for them.
@pytest.mark.parametrize("command", [
    ("backend", "--listen", "127.0.0.1:0"),
    ("dial", "ws://127.0.0.1:1/"),
])
def test_sighup_ends_commands_that_reload_nothing(command):
    Process(HEADGATE, *command, preexec_fn=with_pending(signal.SIGHUP)).wait(
        expected=-signal.SIGHUP)


# A constructor of a shared library stands for whatever takes time before main.
def test_signals_are_held_before_the_libraries_are_initialised(tmp_path):
    library = tmp_path / "early.so"
    subprocess.run(
        ["c++", "-shared", "-fPIC", "-x", "c", "-o", library, "-"], check=True,
        text=True, input="""
            #include <signal.h>
            #include <stdio.h>
            __attribute__((constructor)) static void Start(void) {
              raise(SIGHUP);
              puts("early");
              fflush(stdout);
            }
            """)
    process = Process(HEADGATE, "serve", "--listen", "127.0.0.1:0", "--admin",
                      "127.0.0.1:0", env={**os.environ, "LD_PRELOAD": library})
    process.wait_for_output("early")
    for _ in range(50):
        process.signal(signal.SIGHUP)
        time.sleep(0.002)
    process.wait_for_output("listening on")
    eventually(lambda: "there is no configuration file to reload"
               in process.stderr(), "the reload that SIGHUP asks for")
    process.stop()


# --- limits of the process ---


def limited(*flags):
    """Runs the gateway in a shell with such a `ulimit`, to its end."""
    return subprocess.run(
        ["bash", "-c", f"ulimit {' '.join(flags)} && exec {HEADGATE} serve "
         "--listen 127.0.0.1:0 --admin 127.0.0.1:0"],
        capture_output=True, timeout=TIMEOUT, text=True)


@pytest.mark.parametrize("descriptors", [8, 12, 16])
def test_too_few_file_descriptors_are_one_clear_line(descriptors):
    result = limited("-n", str(descriptors))
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1, result.stderr
    assert re.match(
        rf"headgate: the process may have {descriptors} file descriptors, and "
        r"needs at least \d+ to serve this configuration: raise the limit",
        result.stderr)
    assert result.stdout == ""


# What is asked for is enough to serve.
def test_the_least_number_of_file_descriptors_is_enough():
    least = re.search(r"at least (\d+)", limited("-n", "8").stderr)[1]
    with Gateway.serve("127.0.0.1:1", preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (int(least), int(least)))) as gateway:
        assert gateway.admin("/healthz")[0] == 200
        with Client(gateway, BIDI) as client:
            assert client.receive_close()[0] == 4014


@pytest.mark.skipif(sanitized(), reason="it needs terabytes of addresses")
def test_too_little_memory_for_a_thread_is_one_clear_line():
    result = limited("-v", "50000")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("headgate: "), result.stderr


# Else the log would be written to whatever is opened first.
def test_closed_standard_streams_are_opened():
    def close():
        os.close(0)
        os.close(2)

    with Gateway.demo(preexec_fn=close) as gateway:
        for stream in 0, 2:
            assert (os.readlink(f"/proc/{gateway.pid}/fd/{stream}")
                    == "/dev/null")
        assert call_json(gateway, HELLO + "SayHello", {"greeting": "ann"},
                         ) == [{"reply": "hello, ann"}]
