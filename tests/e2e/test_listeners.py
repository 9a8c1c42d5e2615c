"""Where clients come in: several listeners, socket files, shared ports, PROXY
headers, sockets that systemd has opened (docs/operations.md)."""

import asyncio
import json
import os
import signal
import socket
import stat
import struct
import sys

import pytest

from client import ECHO, HELLO, JSON, Client, call_json
from harness import HEADGATE, Gateway, Process, eventually, run
from wire import RawClient, upgrade_request

BIDI = HELLO + "BidiHello"
METADATA = ECHO + "Metadata"


def configured(tmp_path, wanted, **options):
    file = tmp_path / "headgate.yaml"
    file.write_text(json.dumps({"listeners": wanted}))
    return Gateway.configured(file, command="demo", **options)


def entries(gateway, **options):
    answer, = call_json(gateway, METADATA, half_close=True, **options)
    return answer["metadata"]


# --- several ---


def test_each_listener_has_its_own_settings(tmp_path):
    with configured(tmp_path, [
            {"address": "127.0.0.1:0",
             "allowed_origins": ["https://app.example"]},
            {"address": "127.0.0.1:0"}], listeners=2) as gateway:
        import client as clients
        origin = {"origin": "https://app.example"}
        first, second = gateway.addresses
        assert call_json(gateway, BIDI, half_close=True, **origin) == []
        gateway.host, gateway.port = second
        assert clients.refusal(gateway, BIDI, JSON, **origin) == 403
        assert gateway.metric("headgate_connections_accepted_total") == 2


# --- socket files ---


def test_socket_files_are_listened_on(tmp_path):
    path = tmp_path / "ws.sock"
    with configured(tmp_path, [{"address": "127.0.0.1:0"},
                               {"address": f"unix:{path}"}]) as gateway:
        eventually(lambda: f"listening on ws+unix:{path}\n" in gateway.stdout(),
                   "the line on stdout")
        assert stat.S_ISSOCK(path.stat().st_mode)
        with Client(gateway, BIDI, JSON, unix=path) as client:
            client.send({"greeting": "ann"})
            assert client.receive_json() == {"reply": "hello, ann"}
        with Client(gateway, METADATA, JSON, unix=path) as client:
            client.half_close()
            metadata = client.receive_json()["metadata"]
        assert metadata["x-forwarded-for"]["values"] == ["unix"]
        # A second one is not let in.
        result = run("serve", "--listen", f"unix:{path}", "--admin", "off")
        assert result.returncode == 1
        assert "Address already in use" in result.stderr.decode()
        assert path.exists()
    assert not path.exists()


def test_a_socket_file_that_was_left_behind_is_replaced(tmp_path):
    path = tmp_path / "ws.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with configured(tmp_path, [{"address": "127.0.0.1:0"},
                               {"address": f"unix:{path}"}]) as gateway:
        with Client(gateway, BIDI, JSON, unix=path) as client:
            client.half_close()
            assert client.receive_close() == (1000, "")


# A new version takes the path over while the old one drains.
def test_the_file_of_another_process_is_left_alone(tmp_path):
    path = tmp_path / "ws.sock"
    listeners = [{"address": "127.0.0.1:0"}, {"address": f"unix:{path}"}]
    with configured(tmp_path, listeners) as old:
        with Client(old, BIDI, JSON, unix=path) as client:
            client.send({"greeting": "ann"})
            client.receive()
            old.signal(signal.SIGTERM)
            eventually(lambda: not path.exists(), "the file is gone")
            with configured(tmp_path, listeners) as new:
                assert path.exists()
                assert client.receive_close()[0] == 1001
                old.wait()
                with Client(new, BIDI, JSON, unix=path) as second:
                    second.half_close()
                    assert second.receive_close() == (1000, "")
    assert not path.exists()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "precious"
    path.write_text("data")
    result = run("serve", "--listen", f"unix:{path}", "--admin", "off")
    assert result.returncode == 1
    assert str(path) in result.stderr.decode()
    assert path.read_text() == "data"


# --- shared ports ---


def test_two_processes_share_a_port_where_both_say_so(tmp_path):
    shared = [{"address": "127.0.0.1:0", "reuse_port": True}]
    with configured(tmp_path, shared) as first:
        shared[0]["address"] = f"127.0.0.1:{first.port}"
        with configured(tmp_path, shared) as second:
            for _ in range(40):
                call_json(first, BIDI, half_close=True)
            accepted = [gateway.metric("headgate_connections_accepted_total")
                        for gateway in (first, second)]
            assert sum(accepted) == 40
            assert min(accepted) > 0, accepted
        result = run("serve", "--listen", shared[0]["address"], "--admin",
                     "off")
        assert result.returncode == 1
        assert "Address already in use" in result.stderr.decode()


# --- PROXY ---


def v1(line):
    return f"PROXY {line}\r\n".encode()


def v2(command, family, addresses, extra=b""):
    body = addresses + extra
    return (b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x20 | command, family])
            + struct.pack("!H", len(body)) + body)


IPV4 = socket.inet_aton("203.0.113.9") + socket.inet_aton("10.0.0.1") + (
    struct.pack("!HH", 5678, 443))
IPV6 = (socket.inet_pton(socket.AF_INET6, "2001:db8::9")
        + socket.inet_pton(socket.AF_INET6, "::1")
        + struct.pack("!HH", 5678, 443))

GOOD = [
    (v1("TCP4 203.0.113.9 10.0.0.1 5678 443"), "203.0.113.9"),
    (v1("TCP6 2001:db8::9 ::1 5678 443"), "2001:db8::9"),
    (v1("UNKNOWN"), "127.0.0.1"),
    (v1("UNKNOWN ffff::1 ffff::2 1 2"), "127.0.0.1"),
    (v2(1, 0x11, IPV4), "203.0.113.9"),
    (v2(1, 0x11, IPV4, b"\x04\x00\x01x" * 100), "203.0.113.9"),
    (v2(1, 0x21, IPV6), "2001:db8::9"),
    (v2(0, 0x00, b""), "127.0.0.1"),
    (v2(1, 0x31, b"/path".ljust(216, b"\0")), "127.0.0.1"),
]

BAD = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    v1("TCP4 203.0.113.9 10.0.0.1 5678"),
    v1("TCP4 203.0.113.999 10.0.0.1 5678 443"),
    v1("TCP4 203.0.113.9 10.0.0.1 5678 99999"),
    v1("TCP5 203.0.113.9 10.0.0.1 5678 443"),
    b"PROXY " + b"x" * 200,
    v2(1, 0x11, IPV4[:8]),
    v2(2, 0x11, IPV4),
    b"\r\n\r\n\0\r\nQUIT\n\x31\x11\x00\x0c" + IPV4,
    v2(1, 0x11, IPV4, b"\0" * 5000),
]


@pytest.fixture(scope="module")
def behind_balancer():
    with Gateway.demo("--proxy-protocol", "on") as gateway:
        yield gateway


def handshake_after(gateway, preamble, slowly=False):
    with RawClient(gateway, preamble=b"" if slowly else preamble) as client:
        if slowly:
            for i in range(len(preamble)):
                client.send(preamble[i:i + 1])
        client.send(upgrade_request(
            METADATA, [("Sec-WebSocket-Protocol", JSON)]))
        assert client.read_response().status == 101
        client.send_frame(1, b"")
        return json.loads(client.read_frame().payload)["metadata"]


@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize("preamble, address", GOOD)
def test_proxy_headers_tell_the_client(behind_balancer, preamble, address,
                                       slowly):
    metadata = handshake_after(behind_balancer, preamble, slowly)
    assert metadata["x-forwarded-for"]["values"] == [address]
    eventually(lambda: f"peer={address} " in behind_balancer.stderr(),
               "the log has the client's address")


@pytest.mark.parametrize("preamble", BAD)
def test_connections_without_a_proxy_header_are_closed(behind_balancer,
                                                       preamble):
    before = behind_balancer.metric("headgate_proxy_headers_failed_total")
    with RawClient(behind_balancer, preamble=preamble) as client:
        try:
            assert client._socket.recv(100) == b""
        except ConnectionResetError:
            pass  # What it had not read yet.
    eventually(lambda: behind_balancer.metric(
        "headgate_proxy_headers_failed_total") == before + 1, "it is counted")


# Whoever reaches a listener without the option must not choose its address.
def test_proxy_headers_are_garbage_where_they_are_not_expected():
    with Gateway.demo() as gateway:
        with RawClient(gateway, preamble=GOOD[0][0]) as client:
            assert client.read_response().status == 400


def test_a_socket_file_is_for_whom_the_settings_say(tmp_path):
    path = tmp_path / "ws.sock"
    group = os.getgroups()[-1] if os.getgroups() else os.getgid()
    with configured(tmp_path, [
            {"address": "127.0.0.1:0"},
            {"address": f"unix:{path}", "mode": "0620", "group": str(group),
             "user": str(os.getuid())}]):
        eventually(path.exists, "the file")
        eventually(lambda: stat.S_IMODE(path.stat().st_mode) == 0o620, "mode")
        assert path.stat().st_gid == group
        assert path.stat().st_uid == os.getuid()


def test_flags_say_whom_a_socket_file_is_for(tmp_path, stack):
    path = tmp_path / "ws.sock"
    stack.enter_context(Gateway.demo(
        "--unix-mode", "666", listen=("127.0.0.1:0", f"unix:{path}"),
        listeners=1))
    eventually(lambda: path.exists()
               and stat.S_IMODE(path.stat().st_mode) == 0o666, "mode")


@pytest.mark.parametrize("words,fault", [
    (["--unix-mode", "rwx"],
     "listeners[0].mode: must be octal digits such as 0660, is \"rwx\""),
    (["--unix-user", "no-such-user"],
     "cannot listen on unix:{path}: there is no user no-such-user"),
    (["--unix-group", "no-such-group"],
     "cannot listen on unix:{path}: there is no group no-such-group"),
])
def test_a_bad_mode_user_or_group_is_told(tmp_path, words, fault):
    path = tmp_path / "ws.sock"
    result = run("serve", "--listen", f"unix:{path}", "--admin", "off", *words)
    assert result.returncode == 1
    assert result.stderr.decode() == "headgate: " + fault.format(
        path=path) + "\n"
    assert not path.exists()


# --- systemd ---

ACTIVATE = """
import os, socket, sys
names = sys.argv[1].split(":")
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
copies = [os.dup2(each.fileno(), 50 + i) for i, each in enumerate(sockets)]
for i, copy in enumerate(copies):
    os.dup2(copy, 3 + i, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(names)),
                  LISTEN_FDNAMES=sys.argv[1])
os.execv(sys.argv[2], sys.argv[2:])
"""


def activated(names, *words):
    return Process(sys.executable, "-c", ACTIVATE, names, HEADGATE, *words,
                   "--admin", "off", "--drain", "1s", close_fds=False)


def test_sockets_of_systemd_are_listened_on():
    with activated("other:ws", "demo", "--listen", "systemd:ws") as process:
        found = process.wait_for_output(r"listening on ws://(\S+):(\d+)\n")
        process.host, process.port = found[1], int(found[2])
        process.url = lambda path: f"ws://{found[1]}:{found[2]}{path}"
        assert call_json(process, BIDI, {"greeting": "ann"},
                         half_close=True) == [{"reply": "hello, ann"}]


def test_a_socket_that_systemd_has_not_passed_is_told():
    with activated("other", "demo", "--listen", "systemd:ws") as process:
        process.wait(expected=1)
        assert "has passed only: other" in process.stderr()
    result = run("serve", "--listen", "systemd:ws", "--admin", "off")
    assert result.returncode == 1
    assert "has passed no sockets" in result.stderr.decode()


# (what descriptor 3 is, LISTEN_FDS, what is said)
NOT_LISTENING = [
    ("socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)", "bind,listen", "1",
     "descriptor 3 is a SOCK_SEQPACKET socket (ListenSequentialPacket=)"),
    ("socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "bind", "1",
     "descriptor 3 is a SOCK_DGRAM socket (ListenDatagram=)"),
    ("socket.socket(socket.AF_INET, socket.SOCK_STREAM)", "bind", "1",
     "descriptor 3 is a socket that does not listen (Accept=yes?)"),
    ("open('/dev/null')", "", "1", "descriptor 3 is not a socket"),
    # Whatever it is by then: something of the gateway's own.
    ("None", "", "1", "descriptor 3 is not a socket"),
    ("None", "", "one", 'LISTEN_FDS must be a number of sockets, is "one"'),
    ("None", "", "-1", 'LISTEN_FDS must be a number of sockets, is "-1"'),
    ("None", "", "99999999999999999999",
     'LISTEN_FDS must be a number of sockets, is "99999999999999999999"'),
]

PASS = """
import os, socket, sys
passed = eval(sys.argv[1])
if "bind" in sys.argv[2]:
    passed.bind(("127.0.0.1", 0) if passed.family == socket.AF_INET
                else sys.argv[4])
if "listen" in sys.argv[2]:
    passed.listen()
if passed is not None:
    os.dup2(os.dup(passed.fileno()), 3, inheritable=True)
    os.set_inheritable(3, True)
else:
    os.closerange(3, 50)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=sys.argv[3],
                  LISTEN_FDNAMES="ws")
os.execv(sys.argv[5], sys.argv[5:])
"""


@pytest.mark.parametrize("what,calls,fds,fault", NOT_LISTENING)
def test_what_systemd_passed_and_cannot_be_used_is_told(
        tmp_path, what, calls, fds, fault):
    process = Process(sys.executable, "-c", PASS, what, calls, fds,
                      tmp_path / "passed.sock", HEADGATE, "serve", "--listen",
                      "systemd:ws", "--admin", "off", close_fds=False)
    process.wait(expected=1)
    assert process.stderr().startswith(
        f"headgate: cannot listen on systemd:ws: {fault}")
    assert process.stderr().count("\n") == 1
