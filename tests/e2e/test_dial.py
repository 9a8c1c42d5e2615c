"""`headgate dial`: lines in, messages out, and an exit status that tells how
the session ended."""

import base64
import hashlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from certificates import Authority
from client import ECHO, HELLO
from dialed import Dialed
from harness import HEADGATE, SANITIZER_REPORT, TIMEOUT, Gateway, eventually, run, soon
from wire import message

BIDI = HELLO + "BidiHello"


def dial(gateway, path, *flags, lines=(), stdin=None):
    """Runs dial in a pipe. Returns (exit status, lines of stdout, stderr)."""
    if stdin is None:
        stdin = "".join(line + "\n" for line in lines).encode()
    result = run("dial", *flags, gateway.url(path), stdin=stdin)
    return (result.returncode, result.stdout.decode().splitlines(),
            result.stderr.decode())


def ending(stderr):
    """The one line that says how the session ended."""
    line, = [line for line in stderr.splitlines() if "closed" in line or
             "refused" in line or "lost" in line or "could not" in line]
    return line


# --- what the documentation shows ---


def test_json_lines(demo):
    assert dial(demo, BIDI, "--codec", "json",
                stdin=b'{"greeting":"ann"}\n{"greeting":"bob"}\n') == (
                    0, ['{"reply":"hello, ann"}', '{"reply":"hello, bob"}'],
                    "headgate dial: closed 1000 (OK)\n")


def test_packet_line(demo):
    status, out, _ = dial(demo, "/packets", "--codec", "packet", "--packet",
                          "7:42", stdin=b"hello\n")
    assert (status, out) == (0, ["7:42 hello", "end:0 OK"])


# A method without parameters needs no input.
def test_bearer_reaches_the_backend(demo):
    status, out, _ = dial(demo, ECHO + "Metadata", "--codec", "json",
                          "--bearer", "s3cret")
    assert status == 0
    answer, = out
    assert json.loads(answer)["metadata"]["authorization"] == {
        "values": ["Bearer s3cret"]}


# --- TLS and socket files ---

HELLO_LINE, HELLO_REPLY = '{"greeting":"ann"}', '{"reply":"hello, ann"}'


def dial_url(url, *flags, lines=(HELLO_LINE,)):
    """As dial, for a URL."""
    result = run("dial", "--codec", "json", *flags, url,
                 stdin="".join(line + "\n" for line in lines).encode())
    return (result.returncode, result.stdout.decode().splitlines(),
            result.stderr.decode())


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def secured(authority):
    """A gateway whose certificate is for localhost and 127.0.0.1."""
    certificate, key = authority.issue("gateway", "DNS:localhost",
                                       "IP:127.0.0.1")
    with Gateway.demo("--tls-cert", certificate, "--tls-key",
                      key) as process:
        yield process


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_wss_with_a_certificate_that_is_trusted(secured, authority, host):
    assert dial_url(f"wss://{host}:{secured.port}{BIDI}", "--ca",
                    authority.ca) == (
                        0, [HELLO_REPLY], "headgate dial: closed 1000 (OK)\n")


def test_many_lines_over_tls(secured, authority):
    lines = [json.dumps({"greeting": "x" * 1000 + str(i)})
             for i in range(1000)]
    status, out, _ = dial_url(f"wss://localhost:{secured.port}{BIDI}", "--ca",
                              authority.ca, lines=lines)
    assert status == 0
    assert out == [f'{{"reply":"hello, {"x" * 1000}{i}"}}'
                   for i in range(1000)]


# Neither from an authority that nobody has named, nor from another one.
def test_wss_refuses_a_certificate_that_is_not_trusted(secured, tmp_path):
    url = f"wss://localhost:{secured.port}{BIDI}"
    for flags in [], ["--ca", Authority(tmp_path, "other").ca]:
        status, out, err = dial_url(url, *flags)
        assert (status, out) == (21, [])
        assert "TLS: the certificate cannot be trusted: " in ending(err)


@pytest.mark.parametrize("flags", [("--ca",), ("--cert", "--key")])
def test_files_of_tls_that_are_a_fifo_are_not_waited_for(tmp_path, flags):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    words = [word for flag in flags for word in (flag, fifo)]
    result = run("dial", *words, "wss://127.0.0.1:1/x", timeout=20)
    assert result.returncode == 64
    assert "it is a FIFO" in result.stderr.decode()


def test_wss_refuses_a_certificate_of_another_host(authority):
    certificate, key = authority.issue("elsewhere", "DNS:elsewhere.example")
    with Gateway.demo("--tls-cert", certificate, "--tls-key",
                      key) as gateway:
        for host, why in (("localhost", "hostname mismatch"),
                          ("127.0.0.1", "IP address mismatch")):
            url = f"wss://{host}:{gateway.port}{BIDI}"
            status, out, err = dial_url(url, "--ca", authority.ca)
            assert (status, out) == (21, [])
            assert ending(err) == (
                "headgate dial: could not connect: TLS: the certificate cannot "
                f"be trusted: {why}: it must be for {host}, and is for "
                "DNS:elsewhere.example")
            status, out, _ = dial_url(url, "--insecure")
            assert (status, out) == (0, [HELLO_REPLY])


def test_wss_with_a_certificate_of_the_clients_own(authority):
    certificate, key = authority.issue("gateway2")
    own = authority.issue("ann")
    with Gateway.demo("--tls-cert", certificate, "--tls-key", key,
                      "--tls-client-ca", authority.ca) as gateway:
        url = f"wss://localhost:{gateway.port}{ECHO}Metadata"
        status, (answer,), _ = dial_url(url, "--ca", authority.ca, "--cert",
                                        own[0], "--key", own[1], lines=())
        assert status == 0
        assert json.loads(answer)["metadata"]["x-headgate-client-subject"] == {
            "values": ["CN=ann"]}
        status, out, err = dial_url(url, "--ca", authority.ca, lines=())
        assert (status, out) == (21, [])
        assert "certificate required" in ending(err)


def test_wss_to_what_speaks_no_tls(demo):
    status, _, err = dial_url(f"wss://127.0.0.1:{demo.port}{BIDI}",
                              "--insecure")
    assert status == 21
    assert "could not connect: TLS: " in ending(err)


def test_lost_tls_connection_is_22(authority, backend):
    certificate, key = authority.issue("gateway3")
    gateway = Gateway.serve(backend.target, "--tls-cert", certificate,
                            "--tls-key", key)
    with Dialed(gateway, BIDI, "--codec", "json", "--ca", authority.ca,
                url=f"wss://localhost:{gateway.port}{BIDI}") as client:
        client.send(HELLO_LINE)
        client.receive(HELLO_REPLY)
        gateway.kill()
        assert client.wait() == 22
        assert "lost" in ending(client.errors())


def test_socket_file(start_demo, tmp_path):
    start_demo(listen=("127.0.0.1:0", f"unix:{tmp_path}/ws"), listeners=1)
    assert dial_url(f"ws+unix:{tmp_path}/ws:{BIDI}") == (
        0, [HELLO_REPLY], "headgate dial: closed 1000 (OK)\n")
    status, _, err = dial_url(f"ws+unix:{tmp_path}/nobody:{BIDI}")
    assert status == 21
    assert "No such file or directory" in ending(err)


def test_socket_file_with_tls(start_demo, authority, tmp_path):
    certificate, key = authority.issue("gateway4")
    start_demo("--tls-cert", certificate, "--tls-key", key,
               listen=("127.0.0.1:0", f"unix:{tmp_path}/ws"), listeners=1)
    assert dial_url(f"wss+unix:{tmp_path}/ws:{BIDI}", "--ca",
                    authority.ca)[:2] == (0, [HELLO_REPLY])


# --- input and output ---


def test_header_reaches_the_backend(demo):
    _, (answer,), _ = dial(demo, ECHO + "Metadata", "--codec", "json",
                           "--header", "Grpc-Metadata-X-User: ann",
                           "--header", "Grpc-Metadata-X-Team: red, blue")
    metadata = json.loads(answer)["metadata"]
    assert metadata["x-user"]["values"] == ["ann"]
    assert metadata["x-team"]["values"] == ["red, blue"]


def test_last_line_needs_no_newline(demo):
    status, out, _ = dial(demo, BIDI, "--codec", "json", "--end",
                          stdin=b'{"greeting":"ann"}')
    assert (status, out) == (0, ['{"reply":"hello, ann"}'])


def test_object_over_several_lines(demo):
    status, out, _ = dial(demo, BIDI, "--codec", "json", "--end",
                          lines=["{", '"greeting":', "", '"ann"}'])
    assert (status, out) == (0, ['{"reply":"hello, ann"}'])


def test_many_lines(demo):
    lines = [json.dumps({"greeting": str(i)}) for i in range(2000)]
    status, out, _ = dial(demo, BIDI, "--codec", "json", "--end", lines=lines)
    assert status == 0
    assert out == [f'{{"reply":"hello, {i}"}}' for i in range(2000)]


def test_protobuf_lines_are_base64(demo):
    line = base64.b64encode(message((1, "ann"))).decode()
    status, out, _ = dial(demo, HELLO + "SayHello", "--codec", "protobuf",
                          "--end", lines=[line])
    assert status == 0
    assert [base64.b64decode(line) for line in out] == [
        message((1, "hello, ann"))]


# --- what both sides say besides messages ---

GET_BOOK = "/headgate.demo.v1.LibraryService/GetBook"
DUNE = "shelves/classics/books/dune"


def test_verbose_tells_the_metadata_of_json(demo):
    line = json.dumps({"name": DUNE, "readMask": "title"})
    status, out, err = dial(demo, GET_BOOK, "--codec", "json", "-v",
                            "--header", "Grpc-Metadata-x-reader: ann",
                            lines=[line])
    assert (status, [json.loads(text) for text in out]) == (0, [
        {"title": "Dune"}])
    told = err.splitlines()
    assert told[0] == "headgate dial: > Grpc-Metadata-x-reader: ann"
    assert "headgate dial: < library-branch: main" in told
    assert "headgate dial: < x-reader: ann" in told
    assert "headgate dial: < status: OK" in told
    assert any(text.startswith("headgate dial: < library-books: ")
               for text in told)


def test_verbose_tells_the_details_of_a_failure(demo):
    detail = {"@type": "type.googleapis.com/headgate.demo.v1.HelloRequest",
              "greeting": "ann"}
    line = json.dumps({"code": 5, "message": "gone", "details": [detail]})
    status, out, err = dial(demo, ECHO + "Fail", "--codec", "json",
                            "--verbose", lines=[line])
    assert (status, out) == (5, [])
    told = err.splitlines()
    assert told[0] == "headgate dial: < status: NOT_FOUND: gone"
    assert json.loads(told[1].partition("< detail: ")[2]) == detail


def test_grpc_websockets(demo):
    line = base64.b64encode(message((1, DUNE))).decode()
    status, out, err = dial(demo, GET_BOOK, "--codec", "grpc-websockets", "-v",
                            "--header", "X-Reader: ann", "--bearer", "s3cret",
                            lines=[line])
    assert status == 0
    assert b"Dune" in base64.b64decode(out[0])
    told = [text.partition("headgate dial: ")[2] for text in err.splitlines()]
    assert told[:3] == ["> content-type: application/grpc-web+proto",
                        "> x-reader: ann", "> authorization: (not shown)"]
    assert "< library-branch: main" in told
    assert told.index("< status: OK") > told.index("< x-reader: ann")
    assert "s3cret" not in err


def test_grpc_websockets_has_the_status_in_full(demo):
    text = "gone \u20ac " + 200 * "x"
    line = base64.b64encode(message((1, 5), (2, text))).decode()
    status, out, err = dial(demo, ECHO + "Fail", "--codec", "grpc-websockets",
                            lines=[line])
    assert (status, out) == (5, [])
    assert ending(err) == f"headgate dial: closed 4005 (NOT_FOUND): {text}"


def test_raw_lines_are_texts(demo):
    status, out, err = dial(demo, "/echo", "--codec", "raw", "--linger", "1s",
                            lines=["hello", "", "you"])
    assert (status, out) == (0, ["hello", "", "you"])
    assert ending(err) == ("headgate dial: closed 1000 (OK): "
                           "ended here, --linger 1s")


def test_without_codec_lines_are_texts(demo):
    status, out, _ = dial(demo, BIDI, "--end", lines=['{"greeting":"ann"}'])
    assert (status, out) == (0, ['{"reply":"hello, ann"}'])


@pytest.mark.parametrize("address, printed", [
    ("7:42", "7:42"), ("0:0", "0:0"), ("0x10:0xFFFFFFFF", "16:4294967295")])
def test_packet_has_the_type_and_who_of_the_flag(demo, address, printed):
    status, out, _ = dial(demo, "/packets", "--codec", "packet", "--packet",
                          address, "--end", lines=["a", "", "žluť"])
    assert (status, out) == (0, [f"{printed} a", f"{printed} ",
                                 f"{printed} žluť", "end:0 OK"])


# A container's content is packets, which are shown inside it.
def test_nested_packets_are_shown_nested(demo):
    inner = "".join(chr(c) for c in bytes.fromhex("000000010000000100000002"))
    status, out, _ = dial(demo, "/packets", "--codec", "packet", "--packet",
                          "0xFFFFFFFE:9", "--end",
                          stdin=(inner + "x\n").encode())
    assert status == 0
    assert out == ["4294967294:9 {1}", "  1:2 x", "end:0 OK"]


def test_content_that_is_no_text_is_base64(demo):
    status, out, _ = dial(demo, "/packets", "--codec", "packet", "--packet",
                          "1:2", "--end", stdin=b"\xff\x00\n")
    assert (status, out) == (0, ["1:2 base64:/wA=", "end:0 OK"])


@pytest.mark.parametrize("form, line", [("hex", "00ff"), ("base64", "AP8=")])
def test_content_in_a_form_goes_both_ways(demo, form, line):
    status, out, _ = dial(demo, "/packets", "--codec", "packet", "--packet",
                          "1:2", "--content", form, lines=[line])
    assert (status, out) == (0, [f"1:2 {line}", "end:0 OK"])


def test_protobuf_lines_in_hexadecimal(demo):
    status, out, _ = dial(demo, HELLO + "SayHello", "--codec", "protobuf",
                          "--content", "hex",
                          lines=[message((1, "ann")).hex()])
    assert (status, out) == (0, [message((1, "hello, ann")).hex()])


# --- several calls on one socket ---

JOIN, CHAT, SCORE, REPLAY = 1, 2, 3, 4


# Its end packet is shown; the session, which would stay open, is closed.
@pytest.mark.parametrize("who", [0, 7])
def test_call_of_a_route_with_several_ends(demo, who):
    status, out, err = dial(demo, "/game", "--codec", "packet", "--packet",
                            f"{SCORE}:{who}", "--content", "hex",
                            lines=[message((1, f"ann{who}"), (2, 5)).hex()])
    assert status == 0
    assert out == [f"{SCORE}:{who} {message((1, 5)).hex()}", f"end:{who} OK"]
    assert ending(err) == "headgate dial: closed 1000 (OK)"


# The end of the input is the end of the client's side: Replay waits for it.
def test_end_of_the_input_half_closes_the_call(demo):
    status, out, _ = dial(demo, "/game", "--codec", "packet", "--packet",
                          f"{REPLAY}:9", "--content", "hex",
                          lines=[message((1, 3)).hex()] * 2)
    assert (status, out) == (0, [
        f"{REPLAY}:9 {message((1, 2), (2, 6)).hex()}", "end:9 OK"])


# One call of two is ended by hand, the other goes on.
def test_each_line_may_be_of_another_call(demo):
    with Dialed(demo, "/game", "--codec", "packet", "--packet", "line",
                "--content", "hex") as client:
        client.send(f"{REPLAY}:1 {message((1, 1)).hex()}")
        client.send(f"{REPLAY}:2 {message((1, 2)).hex()}")
        client.send("end:2")
        client.receive("end:2 OK\n")
        client.send(f"{REPLAY}:1 {message((1, 1)).hex()}")
        client.process.stdin.close()
        client.process.stdin = None
        client.receive(f"{REPLAY}:1 {message((1, 2), (2, 2)).hex()}\nend:1 OK\n")
        assert client.wait() == 0


def test_exit_status_is_that_of_the_call_that_failed(demo):
    status, out, err = dial(demo, "/game", "--codec", "packet", "--packet",
                            "line", "--content", "hex", lines=[
                                f"{SCORE}:1 {message((1, 'ann')).hex()}",
                                "99:2"])
    assert status == 12
    assert "end:1 OK" in out
    assert "end:2 UNIMPLEMENTED: there is no method of type 99" in out
    assert ending(err) == ("headgate dial: closed 1000 (UNIMPLEMENTED): "
                           "call 2: there is no method of type 99")


# --- endings ---


@pytest.mark.parametrize("code, name", [
    (1, "CANCELLED"), (3, "INVALID_ARGUMENT"), (5, "NOT_FOUND"),
    (14, "UNAVAILABLE"), (16, "UNAUTHENTICATED")])
def test_exit_status_is_the_grpc_code(demo, code, name):
    status, out, err = dial(demo, ECHO + "Fail", "--codec", "json", "--end",
                            lines=[f'{{"code":{code},"message":"no"}}'])
    assert (status, out) == (code, [])
    assert ending(err) == f"headgate dial: closed {4000 + code} ({name}): no"


# The end packet has room for all of it.
def test_status_of_the_end_packet_is_told_in_full(start_demo):
    gateway = start_demo("--deadline", "200ms")
    status, _, err = dial(gateway, "/packets", "--codec", "packet", "--packet",
                          "1:2", "--stay")
    assert status == 4
    assert "4004 (DEADLINE_EXCEEDED)" in ending(err)


@pytest.mark.parametrize("path, http", [("/nothing", 404)])
def test_refusal_is_20(demo, path, http):
    status, out, err = dial(demo, path)
    assert (status, out) == (20, [])
    assert f"refused: HTTP {http}" in ending(err)


def test_codec_that_is_not_served_is_20(demo):
    status, _, err = dial(demo, BIDI, "--codec", "raw")
    assert status == 20
    assert "HTTP 400" in ending(err)


def test_unreachable_is_21():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # Bound, but nobody listens.
        result = run("dial", f"ws://127.0.0.1:{probe.getsockname()[1]}/x")
    assert result.returncode == 21
    assert "could not connect" in ending(result.stderr.decode())


def test_lost_connection_is_22(backend):
    gateway = Gateway.serve(backend.target)
    with Dialed(gateway, BIDI, "--codec", "json", "--stay") as client:
        client.send('{"greeting":"ann"}')
        client.receive("hello, ann")
        gateway.kill()
        assert client.wait() == 22
        assert "lost" in ending(client.errors())


def test_other_close_code_is_23(backend):
    gateway = Gateway.serve(backend.target)
    with Dialed(gateway, BIDI, "--codec", "json", "--stay") as client:
        client.send('{"greeting":"ann"}')
        client.receive("hello, ann")
        gateway.stop()
        assert client.wait() == 23
        assert "closed 1001 (going away)" in ending(client.errors())


def test_input_that_the_codec_cannot_take_is_64(demo):
    status, _, err = dial(demo, HELLO + "SayHello", "--codec", "protobuf",
                          "--end", lines=["***"])
    assert status == 64
    assert "line 1" in err


@pytest.mark.parametrize("words", [
    [], ["--no-such-flag", "ws://127.0.0.1:1/"], ["http://127.0.0.1:1/"],
    ["nonsense"], ["ws://"], ["ws://127.0.0.1:99999/"],
    ["--codec", "xml", "ws://127.0.0.1:1/"],
    ["--packet", "seven", "--codec", "packet", "ws://127.0.0.1:1/"],
    ["--content", "hex", "--codec", "json", "ws://127.0.0.1:1/"],
    ["--ca", "/dev/null", "wss://127.0.0.1:1/"],
    ["--ca", "/nowhere", "wss://127.0.0.1:1/"],
    ["--cert", "/nowhere", "wss://127.0.0.1:1/"],
    ["--insecure", "ws://127.0.0.1:1/"],
    ["--insecure", "--ca", "/nowhere", "wss://127.0.0.1:1/"],
    ["ws+unix:relative:/"],
    ["--header", "no colon", "ws://127.0.0.1:1/"],
    ["--header", "Sec-WebSocket-Key: x", "ws://127.0.0.1:1/"]])
def test_wrong_usage_is_64(words):
    result = run("dial", *words)
    assert result.returncode == 64
    assert result.stderr
    assert result.stdout == b""


def test_print_status_tells_a_program(demo):
    _, out, _ = dial(demo, ECHO + "Fail", "--codec", "json", "--end",
                     "--print-status", lines=['{"code":5,"message":"no"}'])
    assert json.loads(out[-1]) == {"close": 4005, "code": 5,
                                   "status": "NOT_FOUND", "message": "no"}


def test_print_status_of_a_success_and_of_a_refusal(demo):
    _, out, _ = dial(demo, HELLO + "SayHello", "--codec", "json", "--end",
                     "--print-status", lines=["{}"])
    assert json.loads(out[-1]) == {"close": 1000, "code": 0, "status": "OK",
                                   "message": ""}
    _, out, _ = dial(demo, "/nothing", "--print-status")
    status = json.loads(out[-1])
    assert (status["http"], status["code"]) == (404, 5)


# A peer must not be able to write to somebody's terminal what it likes.
def test_reason_cannot_control_the_terminal(demo):
    _, _, err = dial(demo, ECHO + "Fail", "--codec", "json", "--end", lines=[
        json.dumps({"code": 5, "message": "\x1b[31mred\nline"})])
    assert "\x1b" not in err
    assert "red" in ending(err)


def test_reader_that_leaves_ends_it(demo):
    """dial … | head -1"""
    read, write = os.pipe()
    process = subprocess.Popen(
        [HEADGATE, "dial", "--codec", "json", "--stay",
         demo.url(ECHO + "Flood")], stdin=subprocess.PIPE, stdout=write,
        stderr=subprocess.PIPE)
    os.close(write)
    process.stdin.write(b'{"size":1}\n')
    process.stdin.close()
    assert os.read(read, 1)
    os.close(read)
    # What it had asked for did not come to its end.
    assert process.wait(TIMEOUT) == 1
    assert not SANITIZER_REPORT.search(process.stderr.read().decode())
    process.stderr.close()


# --- the end of the input is not the end of the call ---

SINK = ECHO + "Sink"


# Nothing comes for longer than anybody would have guessed.
@pytest.mark.parametrize("flags", [[], ["--end"]])
def test_answer_that_takes_long_is_awaited(demo, flags):
    assert dial(demo, SINK, "--codec", "json", *flags,
                lines=['{"payload":"aGk=","delay":"2.5s"}']) == (
                    0, ['{"messages":"1","bytes":"2"}'],
                    "headgate dial: closed 1000 (OK)\n")


def test_status_that_takes_long_is_the_exit_status(start_demo):
    gateway = start_demo("--deadline", "1500ms")
    status, _, err = dial(gateway, SINK, "--codec", "json",
                          lines=['{"delay":"30s"}'])
    assert status == 4
    assert "closed 4004 (DEADLINE_EXCEEDED)" in ending(err)


def test_timeout_ends_it_with_4(demo):
    start = time.monotonic()
    status, out, err = dial(demo, SINK, "--codec", "json", "--timeout", "500ms",
                            "--print-status", lines=['{"delay":"60s"}'])
    assert 0.5 <= time.monotonic() - start < soon(5)
    assert status == 4
    assert ending(err) == ("headgate dial: closed 1000 (DEADLINE_EXCEEDED): "
                           "not over within --timeout 500ms")
    assert json.loads(out[-1]) == {
        "close": 1000, "code": 4, "status": "DEADLINE_EXCEEDED",
        "message": "not over within --timeout 500ms"}


def test_timeout_counts_attempts_to_connect():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        result = run("dial", "--reconnect", "--timeout", "1s",
                     f"ws://127.0.0.1:{probe.getsockname()[1]}/x")
    assert result.returncode == 4
    assert result.stderr.decode().splitlines()[-1] == (
        "headgate dial: gave up (DEADLINE_EXCEEDED): "
        "not over within --timeout 1s")


def test_linger_closes_what_does_not_end(demo):
    status, out, err = dial(demo, BIDI, "--codec", "json", "--stay", "--linger",
                            "700ms", lines=['{"greeting":"ann"}'])
    assert (status, out) == (0, ['{"reply":"hello, ann"}'])
    assert ending(err) == ("headgate dial: closed 1000 (OK): "
                           "ended here, --linger 700ms")


def test_somebody_who_waits_in_vain_hears_what_can_be_done(demo):
    with Dialed(demo, "/echo", "--codec", "raw") as client:
        client.send("hello")
        client.receive("hello")
        client.process.stdin.close()
        client.process.stdin = None
        line = client.process.stderr.readline().decode()
        assert "--timeout" in line and "--linger" in line
        client.process.send_signal(signal.SIGINT)
        assert client.wait() == 1


# --- the other side does not hang up ---


def serve_once(after_handshake):
    """A WebSocket server that answers one handshake, says `after_handshake`,
    and then keeps the connection open. Returns its port and its threads' end."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve():
        peer, _ = listener.accept()
        request = b""
        while b"\r\n\r\n" not in request:
            request += peer.recv(4096)
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", request)[1]
        accept = base64.b64encode(hashlib.sha1(
            key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\n"
                     b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
                     + after_handshake)
        done.wait(TIMEOUT)
        peer.close()
        listener.close()

    thread = threading.Thread(target=serve)
    thread.start()

    def finish():
        done.set()
        thread.join()

    return listener.getsockname()[1], finish


# The Close frame waits behind the message that was not taken.
def test_timeout_does_not_wait_for_a_peer_that_reads_nothing():
    port, finish = serve_once(b"")
    try:
        result = subprocess.run(
            [HEADGATE, "dial", "--timeout", "500ms", f"ws://127.0.0.1:{port}/"],
            input=(b"x" * 1_000_000 + b"\n") * 15, capture_output=True,
            timeout=TIMEOUT)
    finally:
        finish()
    assert result.returncode == 4
    assert b"DEADLINE_EXCEEDED" in result.stderr


@pytest.mark.parametrize("frames, status, word", [
    (b"\x88\x06" + struct.pack(">H", 4005) + b"gone", 5, "4005 (NOT_FOUND): gone"),
    (b"\x83\x00", 22, "broke the WebSocket protocol")])
def test_peer_that_does_not_hang_up_is_left(frames, status, word):
    port, finish = serve_once(frames)
    try:
        result = subprocess.run(
            [HEADGATE, "dial", "--stay", f"ws://127.0.0.1:{port}/"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT)
    finally:
        finish()
    assert result.returncode == status
    assert word in result.stderr.decode()


# --- a conversation ---


def test_conversation_in_a_pipe(demo):
    with Dialed(demo, BIDI, "--codec", "json", "--end") as client:
        for name in ("ann", "bob"):
            client.send(f'{{"greeting":"{name}"}}')
            client.receive(f'{{"reply":"hello, {name}"}}\n')
        client.process.stdin.close()
        client.process.stdin = None
        assert client.wait() == 0


def test_conversation_at_a_terminal(demo):
    with Dialed(demo, BIDI, "--codec", "json", terminal=True) as client:
        client.receive("connected")  # With a hint how to leave.
        client.receive("Ctrl-D")
        client.send('{"greeting":"ann"}')
        client.receive('{"reply":"hello, ann"}')
        client.type(b"\x04")  # Ctrl-D: half-close.
        assert client.wait() == 0
        assert "closed 1000 (OK)" in client.errors()


# As README has it: neither names a codec, and one of them only listens.
def test_chat_in_two_terminals(demo):
    with Dialed(demo, "/chat", terminal=True) as ann:
        with Dialed(demo, "/chat", terminal=True) as bob:
            ann.receive("connected")
            bob.receive("connected")

            def heard():
                bob.send('{"messageType":"text","data":"hello, all"}')
                return ann.has("hello, all")

            eventually(heard, "ann hears bob")
            bob.receive('"data":"hello, all"}\r\n{"messageType":"text"')
            ann.type(b"\x04")
            assert ann.wait() == 0


# Somebody who mistypes can try again.
def test_bad_line_at_a_terminal_is_told_and_forgotten(demo):
    with Dialed(demo, HELLO + "SayHello", "--codec", "protobuf",
                terminal=True) as client:
        client.send("***")
        client.receive("not base64")
        client.send("CgNhbm4=")
        client.receive(base64.b64encode(message((1, "hello, ann"))).decode())
        assert client.wait() == 0


# Which cancels the call.
def test_ctrl_c_closes_the_session(demo):
    with Dialed(demo, BIDI, "--codec", "json", "--stay") as client:
        client.send('{"greeting":"ann"}')
        client.receive("hello, ann")
        client.process.send_signal(signal.SIGINT)
        assert client.wait() == 1
        assert ending(client.errors()) == (
            "headgate dial: closed 1000 (CANCELLED): interrupted")


def test_ctrl_d_of_raw_closes_the_session(demo):
    with Dialed(demo, "/echo", "--codec", "raw", terminal=True) as client:
        client.receive("Ctrl-D closes")
        client.send("hello")
        client.receive("hello\r\nhello")
        client.type(b"\x04")
        assert client.wait() == 0


# What a peer sends is shown, but cannot take the terminal over.
def test_answer_cannot_control_the_terminal(demo):
    with Dialed(demo, "/echo", "--codec", "raw", terminal=True) as client:
        client.receive("connected")
        client.send("a\tb")
        client.receive("a\tb")
        client.type(b"\x16\x1b[31mred\n")  # Ctrl-V takes ESC literally.
        client.receive("\\x1b[31mred")


# --- reconnecting ---


def test_reconnect_survives_a_restart_of_the_gateway(backend):
    gateway = Gateway.serve(backend.target)
    port = gateway.port
    with Dialed(gateway, BIDI, "--codec", "json", "--reconnect") as client:
        client.send('{"greeting":"ann"}')
        client.receive("hello, ann")
        gateway.stop()
        with Gateway.serve(backend.target, listen=[f"127.0.0.1:{port}"]):
            client.send('{"greeting":"bob"}')
            client.receive("hello, bob")
            client.process.send_signal(signal.SIGINT)
            assert client.wait() == 1
    # Not before the time that the gateway has asked for.
    asked, waited = re.search(
        r"retry-after=(\d)s; connecting again in (\S+)s\n",
        client.errors()).groups()
    assert float(asked) <= float(waited) < float(asked) + 0.25


def test_reconnect_waits_as_long_as_a_refusal_asks_for():
    attempts = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        process = subprocess.Popen(
            [HEADGATE, "dial", "--reconnect",
             f"ws://127.0.0.1:{listener.getsockname()[1]}/"],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for answer in (b"503 Service Unavailable\r\nRetry-After: 2",
                           b"404 Not Found"):
                peer, _ = listener.accept()
                attempts.append(time.monotonic())
                with peer:
                    peer.recv(4096)
                    peer.sendall(b"HTTP/1.1 " + answer +
                                 b"\r\nContent-Length: 0\r\n\r\n")
            assert process.wait(TIMEOUT) == 20
        finally:
            process.kill()
            process.wait()
    assert attempts[1] - attempts[0] >= 2
