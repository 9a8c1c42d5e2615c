"""`headgate probe`: what a health check is told, by exit status and stderr."""

import contextlib
import socket
import threading
import time

import pytest

from harness import TIMEOUT, run, soon


class Answers:
    """Listens, and gives each connection the same bytes; `heard` is what the
    connections have said. With bytes of None it never answers."""

    def __init__(self, answer, path=None):
        if path is None:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.port = self._listener.getsockname()[1]
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            self._listener.listen()
        self._answer = answer
        self._open = []
        self.heard = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                connection.settimeout(TIMEOUT)
                heard = b""
                while not heard.endswith(b"\r\n\r\n"):
                    more = connection.recv(4096)
                    if not more:
                        break
                    heard += more
                self.heard.append(heard)
                if self._answer is not None:
                    # The other side may leave in the middle of it.
                    with contextlib.suppress(ConnectionError):
                        connection.sendall(self._answer)
                    connection.close()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()
        self._thread.join(TIMEOUT)

    def url(self, path="/readyz"):
        return f"http://127.0.0.1:{self.port}{path}"


def response(status, body=b"", *headers):
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def probe(*words):
    """(exit status, stderr) of it; stdout stays empty."""
    result = run("probe", *words)
    assert result.stdout == b""
    return result.returncode, result.stderr.decode()


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "299 Fine"])
def test_a_success_is_0_and_silent(status):
    with Answers(response(status)) as server:
        assert probe(server.url("/readyz?full=1")) == (0, "")
    request, = server.heard
    lines = request.decode().split("\r\n")
    assert lines[0] == "GET /readyz?full=1 HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}" in lines


@pytest.mark.parametrize("status", [
    "300 Many", "302 Found", "404 Not Found",
    "503 Service Unavailable"])
def test_any_other_status_is_1_with_the_first_line_of_the_body(status):
    body = b'{"ready":false,"reason":"draining"}\r\nmore of it\n'
    with Answers(response(status, body, "Location: /elsewhere")) as server:
        assert probe(server.url()) == (
            1, f'headgate probe: {server.url()}: {status[:3]} '
               '{"ready":false,"reason":"draining"}\n')
    assert len(server.heard) == 1


def test_a_failure_without_a_body_is_told_by_its_status():
    with Answers(response("503 No")) as server:
        assert probe(server.url()) == (
            1, f"headgate probe: {server.url()}: 503\n")


# A terminal must not be told to do things.
def test_control_characters_of_a_body_are_not_passed_on():
    with Answers(response("503 No", b"\x1b[2Jgone\n")) as server:
        _, stderr = probe(server.url())
    assert "\x1b" not in stderr and "gone" in stderr


# What never ends is not waited for, and not read for ever.
@pytest.mark.parametrize("status, expected", [("200 OK", 0), ("500 No", 1)])
def test_a_long_body_is_not_read_to_its_end(status, expected):
    head = f"HTTP/1.1 {status}\r\n\r\n".encode()
    with Answers(head + b"x" * (8 << 20)) as server:
        returncode, stderr = probe(server.url())
    assert returncode == expected
    assert len(stderr) < 5000


@pytest.mark.parametrize("answer", [
    b"", b"HTTP/1.1 200", b"SSH-2.0-OpenSSH\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"],
    ids=["nothing", "half", "not-http", "long-head"])
def test_what_is_no_answer_is_1(answer):
    with Answers(answer) as server:
        returncode, stderr = probe(server.url())
    assert returncode == 1
    assert stderr.startswith(f"headgate probe: {server.url()}: no answer: ")


def test_the_timeout_counts_for_the_whole():
    with Answers(None) as server:
        start = time.monotonic()
        assert probe("--timeout", "300ms", server.url()) == (
            1, f"headgate probe: {server.url()}: no answer within 300ms\n")
        assert 0.3 <= time.monotonic() - start < 0.3 + soon(2)


def test_the_timeout_counts_for_a_body_that_does_not_come():
    answer = b"HTTP/1.1 503 No\r\nContent-Length: 10\r\n\r\nx"

    class Halting(Answers):
        def __init__(self):
            super().__init__(None)

        def _serve(self):
            connection, _ = self._listener.accept()
            self._open.append(connection)
            connection.sendall(answer)

    with Halting() as server:
        assert probe("--timeout", "300ms", server.url()) == (
            1, f"headgate probe: {server.url()}: no answer within 300ms\n")


def test_nobody_there_is_1():
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/readyz"
    assert probe(url) == (
        1, f"headgate probe: {url}: cannot connect: Connection refused\n")


# The names of a host may have an address where nobody listens.
def test_names_are_looked_up_and_each_address_is_tried():
    with Answers(response("200 OK")) as server:
        assert probe(f"http://localhost:{server.port}/") == (0, "")
    assert f"Host: localhost:{server.port}\r\n".encode() in server.heard[0]


def test_a_name_that_nobody_has_is_1():
    url = "http://nobody.invalid:9901/readyz"
    returncode, stderr = probe("--timeout", "20s", url)
    assert returncode == 1
    assert stderr.startswith(
        f"headgate probe: {url}: cannot look up 'nobody.invalid': ")


def test_a_socket_file_is_asked_for_the_path_behind_it(tmp_path):
    path = tmp_path / "admin.sock"
    with Answers(response("503 No", b"draining"), path) as server:
        assert probe(f"unix:{path}:/readyz") == (
            1, f"headgate probe: unix:{path}:/readyz: 503 draining\n")
    assert server.heard[0].startswith(b"GET /readyz HTTP/1.1\r\n")
    assert b"\r\nHost: localhost\r\n" in server.heard[0]
    returncode, stderr = probe(f"unix:{tmp_path}/none:/readyz")
    assert (returncode, "cannot connect: No such file" in stderr) == (1, True)


@pytest.mark.parametrize("query", ["", "?verbose=1"])
def test_without_a_path_it_asks_readyz(query):
    with Answers(response("200 OK")) as server:
        assert probe(server.url(query)) == (0, "")
    assert server.heard[0].startswith(f"GET /readyz{query} HTTP/1.1".encode())


def test_without_a_path_a_socket_file_is_asked_readyz(tmp_path):
    path = tmp_path / "admin.sock"
    with Answers(response("200 OK"), path) as server:
        assert probe(f"unix:{path}") == (0, "")
    assert server.heard[0].startswith(b"GET /readyz HTTP/1.1\r\n")


@pytest.mark.parametrize("words", [
    ["https://127.0.0.1/readyz"], ["ftp://127.0.0.1/"], ["127.0.0.1:9901"],
    ["http://"], ["http:///readyz"], ["http://127.0.0.1:0/"],
    ["http://127.0.0.1:65536/"], ["http://a:b/"], ["http://me@127.0.0.1/"],
    ["http://127.0.0.1/#x"], ["http://127.0.0.1/a b"], ["unix:"],
    ["unix:run/x.sock"], ["unix:run/x.sock:/readyz"],
    ["unix:/" + "x" * 120 + ":/readyz"], ["unix:/x:/a\r\nX: y"], [""],
    ["--timeout", "0s"], ["--timeout", "soon"], ["--timeout", "-1s"],
    ["--timeout", "inf"], ["--timeout", "2h"], ["--unknown"],
    ["http://127.0.0.1/", "http://127.0.0.1/"],
], ids=lambda words: " ".join(words)[:40].encode("unicode_escape").decode())
def test_a_command_line_that_makes_no_sense_is_64(words):
    returncode, stderr = probe(*words)
    assert returncode == 64
    assert stderr.count("\n") >= 1
