"""nghttp2's own clients, nghttp and h2load (Debian's nghttp2-client), and curl
against the HTTP/2 listener."""

import json
import re
import subprocess

import pytest

from certificates import Authority
from client import HELLO
from harness import Gateway

CONNECT_JSON = ("-H", "content-type: application/json")
# A gRPC message: HelloRequest{greeting: "ann"}.
GRPC_REQUEST = b"\0\0\0\0\5\x0a\3ann"
GRPC = ("-H", "content-type: application/grpc", "-H", "te: trailers")
TIMEOUT = 120


@pytest.fixture(scope="module")
def demo():
    with Gateway.demo() as gateway:
        yield gateway


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    certificate, key = Authority(tmp_path_factory.mktemp("tls")).issue(
        "gateway", "IP:127.0.0.1")
    with Gateway.demo("--tls-cert", certificate, "--tls-key", key) as gateway:
        yield gateway


def url(gateway, path, scheme="http"):
    return f"{scheme}://{gateway.host}:{gateway.port}{path}"


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True,
                          text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def body(tmp_path):
    def write(content):
        path = tmp_path / "body"
        path.write_bytes(content)
        return path

    return write


class Load:
    """What h2load has counted."""

    def __init__(self, *arguments):
        self.output = run("h2load", *arguments)
        self.requests = self._counts("requests")
        self.statuses = self._counts("status codes")

    def _counts(self, line):
        [text] = re.findall(rf"^{line}: (.*)$", self.output, re.MULTILINE)
        return {what: int(count)
                for count, what in re.findall(r"(\d+) (\w+)", text)}


def check_load(load, requests, status="2xx"):
    assert load.requests == {
        "total": requests, "started": requests, "done": requests,
        "succeeded": requests if status == "2xx" else 0,
        "failed": 0 if status == "2xx" else requests,
        "errored": 0, "timeout": 0}, load.output
    assert load.statuses == {
        each: requests if each == status else 0
        for each in ("2xx", "3xx", "4xx", "5xx")}, load.output


LOAD = ("-n", 400, "-c", 4, "-m", 20)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_h2load_with_json_calls(demo, secure, body, scheme):
    gateway = demo if scheme == "http" else secure
    connections = gateway.metric("headgate_http2_connections_total") or 0
    load = Load(*LOAD, *CONNECT_JSON, "-d", body(b'{"greeting":"ann"}'),
                url(gateway, HELLO + "SayHello", scheme))
    check_load(load, 400)
    assert gateway.metric(
        "headgate_http2_connections_total") == connections + 4
    if scheme == "https":
        assert "Application protocol: h2\n" in load.output


def test_h2load_with_grpc_calls(demo, body):
    check_load(Load(*LOAD, *GRPC, "-d", body(GRPC_REQUEST),
                    url(demo, HELLO + "SayHello")), 400)


def test_h2load_over_http1(demo, body):
    check_load(Load("--h1", "-n", 100, "-c", 4, *CONNECT_JSON, "-d",
                    body(b'{"greeting":"ann"}'),
                    url(demo, HELLO + "SayHello")), 100)


@pytest.mark.parametrize("method, content, status", [
    ("NoSuch", b"{}", "5xx"), ("SayHello", b'{"greeting":', "4xx")])
def test_h2load_with_calls_that_fail(demo, body, method, content, status):
    check_load(Load(*LOAD, *CONNECT_JSON, "-d", body(content),
                    url(demo, HELLO + method)), 400, status)


# h2load opens streams before it knows the limit: those are refused, which says
# that they may be tried again, and the others are served.
def test_h2load_with_more_streams_than_allowed(body, tmp_path):
    file = tmp_path / "headgate.yaml"
    file.write_text(json.dumps({"listeners": [
        {"address": "127.0.0.1:0", "http2_max_streams": 5}]}))
    with Gateway.configured(file, command="demo") as gateway:
        load = Load("-n", 200, "-c", 1, "-m", 50, *CONNECT_JSON, "-d",
                    body(b'{"greeting":"ann"}'),
                    url(gateway, HELLO + "SayHello"))
        refused = load.requests["errored"]
        assert refused <= 45, load.output
        assert load.requests["succeeded"] == 200 - refused, load.output
        assert load.statuses["2xx"] == 200 - refused, load.output


def frames(output):
    """(direction, type) of each frame in what `nghttp -v` prints."""
    return re.findall(r"(send|recv) (\w+) frame", re.sub(
        r"\x1b\[[0-9;]*m", "", output))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nghttp_shows_the_frames_of_a_call(demo, secure, body, scheme):
    gateway = demo if scheme == "http" else secure
    output = run("nghttp", "-v", *CONNECT_JSON, "-d",
                 body(b'{"greeting":"ann"}'),
                 url(gateway, HELLO + "SayHello", scheme))
    assert '{"reply":"hello, ann"}' in output
    assert ":status: 200" in output
    received = [kind for way, kind in frames(output) if way == "recv"]
    assert received[0] == "SETTINGS"
    assert received.count("HEADERS") == 1
    assert "DATA" in received
    assert "RST_STREAM" not in received and "GOAWAY" not in received


def test_nghttp_shows_trailers_of_a_grpc_call(demo, body):
    output = run("nghttp", "-v", *GRPC, "-d",
                 body(GRPC_REQUEST), url(demo, HELLO + "SayHello"))
    assert "grpc-status: 0" in output
    received = [kind for way, kind in frames(output) if way == "recv"]
    assert [kind for kind in received if kind in ("HEADERS", "DATA")] == [
        "HEADERS", "DATA", "HEADERS"]


@pytest.mark.parametrize("flags, version", [
    (("--http2-prior-knowledge",), "2"), (("--http1.1",), "1.1")])
def test_curl_in_the_clear(demo, flags, version):
    output = run("curl", "-s", *flags, "-w", "\n%{http_version}",
                 "-H", "content-type: application/json", "-d",
                 '{"greeting":"ann"}', url(demo, HELLO + "SayHello"))
    reply, spoken = output.split("\n")
    assert json.loads(reply) == {"reply": "hello, ann"}
    assert spoken == version


# By ALPN.
@pytest.mark.parametrize("flags, version", [
    ((), "2"), (("--http1.1",), "1.1")])
def test_curl_over_tls(secure, flags, version):
    output = run("curl", "-sk", *flags, "-w", "\n%{http_version}",
                 "-H", "content-type: application/json", "-d",
                 '{"greeting":"ann"}', url(secure, HELLO + "SayHello", "https"))
    reply, spoken = output.split("\n")
    assert json.loads(reply) == {"reply": "hello, ann"}
    assert spoken == version
