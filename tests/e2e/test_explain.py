"""`headgate explain`: says before what the gateway does then."""

import http.client
import json

import pytest

from client import Client, refusal
from harness import Gateway, TIMEOUT, run

CONFIG = """
listeners: [{{address: "127.0.0.1:0"}}]
upstreams: [{{name: main, target: "{target}"}}]
routes:
  - {{path: /hello, upstream: main, method: headgate.demo.v1.HelloService/SayHello, codec: json,
     allowed_codecs: [json]}}
  - {{path: /told, upstream: main, method: headgate.demo.v1.HelloService/SayHello, refusals: close}}
  - {{path: /expiring, upstream: main, method: headgate.demo.v1.HelloService/SayHello, token: {{expiry: close}}}}
  - {{prefix: /connect, upstream: main, service: headgate.demo.v1.HelloService, dialects: [connect]}}
"""
# {"exp": 1}, unsigned.
EXPIRED = "e30.eyJleHAiOjF9.x"


@pytest.fixture(scope="module")
def file(tmp_path_factory, backend):
    path = tmp_path_factory.mktemp("explain") / "headgate.yaml"
    path.write_text(CONFIG.format(target=backend.target))
    return path


@pytest.fixture(scope="module")
def gateway(file):
    with Gateway.configured(file) as gateway:
        yield gateway


def explained(file, *words):
    """(what --json says, the exit status)"""
    result = run("explain", "--json", "--config", file, *words)
    assert result.stdout, result.stderr.decode()
    return json.loads(result.stdout), result.returncode


def over_http(gateway, verb, path, headers):
    connection = http.client.HTTPConnection(
        gateway.host, gateway.port, timeout=TIMEOUT)
    connection.request(verb, path, headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("path, subprotocols, origin", [
    ("/hello", ["headgate.protobuf.v1"], None),
    ("/hello", ["headgate.jsn.v1"], None),
    ("/hello", ["Bearer"], None),
    ("/hello", [], "https://elsewhere.example"),
    ("/expiring", ["Bearer", EXPIRED], None),
    ("/connect/SayHello", ["headgate.json.v1"], None),
    ("/nowhere", [], None),
])
def test_a_websocket_is_refused_with_the_status_that_explain_names(
        file, gateway, path, subprotocols, origin):
    words = [f"--subprotocol={name}" for name in subprotocols]
    words += ["--origin", origin] if origin else []
    facts, status = explained(file, *words, gateway.url(path))
    assert (facts["outcome"], status) == ("refused", 1)
    assert facts["refusal"]["told"] == (
        f"HTTP {refusal(gateway, path, *subprotocols, origin=origin)}")


def test_a_refusal_by_a_close_frame_has_the_code_that_explain_names(
        file, gateway):
    facts, _ = explained(file, "--subprotocol=Bearer", gateway.url("/told"))
    with Client(gateway, "/told", "Bearer") as client:
        assert client.receive_all()[1] == (
            facts["refusal"]["close_code"], facts["refusal"]["message"])


@pytest.mark.parametrize("verb, path, headers", [
    ("GET", "/hello", {}),
    ("POST", "/connect/SayHello", {"content-type": "text/plain"}),
    ("POST", "/connect/SayHello",
     {"content-type": "application/json", "origin": "null"}),
    ("POST", "/connect/SayHello",
     {"content-type": "application/json", "grpc-timeout": "soon"}),
])
def test_plain_http_is_refused_with_the_status_that_explain_names(
        file, gateway, verb, path, headers):
    words = [f"--header={name}: {value}" for name, value in headers.items()]
    url = f"http://{gateway.host}:{gateway.port}{path}"
    facts, status = explained(file, "-X", verb, *words, url)
    assert status == 1
    assert facts["refusal"]["http_status"] == over_http(
        gateway, verb, path, headers)


def test_what_is_served_is_what_explain_says(file, gateway):
    facts, status = explained(
        file, "--live", "--bearer", "s3cret", gateway.url("/hello"))
    assert status == 0
    assert facts["route"] == {
        "name": "/hello", "setting": "routes[0]", "path": "/hello"}
    assert facts["call"]["kind"] == "unary"
    assert facts["credentials"] == {"authorization": "subprotocol Bearer"}
    assert "s3cret" not in json.dumps(facts)
    with Client(gateway, "/hello", "Bearer", "s3cret") as client:
        assert client.subprotocol == facts["codec"]["subprotocol"]
        session, = gateway.sessions("?route=/hello")
        assert session["codec"] in ("none", facts["codec"]["name"])
        assert session["method"] == "/" + facts["call"]["method"]


def test_people_read_a_line_for_each_fact(file, gateway):
    result = run("explain", "--config", file, gateway.url("/hello"))
    assert result.returncode == 0
    lines = {tuple(line.split(None, 1))
             for line in result.stdout.decode().splitlines()}
    assert ("outcome", "session") in lines
    assert ("method", "headgate.demo.v1.HelloService/SayHello") in lines


def test_a_file_with_a_fault_is_told_apart_from_a_refusal(tmp_path):
    file = tmp_path / "headgate.yaml"
    file.write_text("listener: []\n")
    result = run("explain", "--config", file, "/x")
    assert result.returncode == 2
    assert b"did you mean 'listeners'" in result.stderr


def test_a_header_that_is_none_is_a_fault_of_the_command_line(file):
    result = run("explain", "--config", file, "-H", "nothing", "/hello")
    assert result.returncode == 64
    assert b"must be 'Name: value'" in result.stderr
