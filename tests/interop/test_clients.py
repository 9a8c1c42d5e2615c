"""Clients of gRPC-Web, Connect and gRPC from npm, each with what it can."""

import os
import signal
import subprocess

import pytest

from clients import command, run
from harness import Gateway, Process, eventually
from client import stats

GRPC_WEB = [
    "connect-node-grpc-web", "connect-node-grpc-web-gzip",
    "connect-web-grpc-web", "improbable-fetch", "improbable-node",
    "nice-grpc-web", "protobuf-ts-binary", "protobuf-ts-text"]
CONNECT = [
    "connect-node-proto", "connect-node-json", "connect-node-gzip",
    "connect-node-get", "connect-web"]
HTTP2 = [
    "grpc-js", "connect-node-grpc", "connect-node-grpc-gzip",
    "connect-node-proto-http2", "connect-node-grpc-web-http2"]
STREAMS_REQUESTS = HTTP2 + [
    "connect-node-proto", "connect-node-json", "connect-node-gzip",
    "connect-node-grpc-web", "nice-grpc-web"]

CANCELLED, DEADLINE, NOT_FOUND, EXHAUSTED, UNIMPLEMENTED, UNAVAILABLE = (
    1, 4, 5, 8, 12, 14)


@pytest.fixture(scope="module")
def demo():
    with Gateway.demo() as gateway:
        yield gateway


@pytest.fixture(scope="module")
def seen(demo):
    """seen(client, scenario): each client runs once."""
    results = {}

    def look(client, scenario):
        if client not in results:
            scenarios = ["unary", "metadata", "both_metadata", "failure",
                         "unknown", "replies", "long", "too_long", "deadline",
                         "cancel"]
            if client in STREAMS_REQUESTS:
                scenarios += ["greetings", "bidi"]
            results[client] = run(demo, client, *scenarios)
        return results[client][scenario]

    return look


every_client = pytest.mark.parametrize("client", GRPC_WEB + CONNECT + HTTP2)


@every_client
def test_unary(seen, client):
    assert seen(client, "unary")["messages"] == [{"reply": "hello, ann"}]
    assert seen(client, "unary")["code"] == 0


@every_client
def test_server_streaming(seen, client):
    replies = seen(client, "replies")
    assert replies["code"] == 0, replies
    assert replies["messages"] == [
        {"reply": f"hello, ann ({i})"} for i in range(1, 11)]


@pytest.mark.parametrize("client", STREAMS_REQUESTS)
def test_streams_of_requests(seen, client):
    assert seen(client, "greetings")["messages"] == [
        {"reply": "hello, ann and bob"}]
    assert seen(client, "bidi")["messages"] == [
        {"reply": "hello, ann"}, {"reply": "hello, bob"}]


@every_client
def test_headers_are_metadata(seen, client):
    message, = seen(client, "metadata")["messages"]
    metadata = {key: value.get("values") for key, value
                in message["metadata"].items()}
    assert metadata["x-tenant"] == ["a, b"]
    assert metadata["x-key-bin"] == ["AQID"]
    assert metadata["authorization"] == ["Bearer t0ken"]


@every_client
def test_metadata_of_the_backend(seen, client):
    result = seen(client, "both_metadata")
    assert result["messages"][0]["title"] == "Dune", result
    assert result["headers"]["library-branch"] == "main"
    assert result["headers"]["x-reader"] == "ann"
    assert int(result["trailers"]["library-books"]) > 0


@every_client
def test_errors_with_details(seen, client):
    failure = seen(client, "failure")
    assert failure["code"] == NOT_FOUND, failure
    # improbable's client does not decode it.
    assert failure["text"] in ("nothing “here” 100%",
                               "nothing %E2%80%9Chere%E2%80%9D 100%25")
    assert failure["details"] == ["why"]


@every_client
def test_unknown_method(seen, client):
    assert seen(client, "unknown")["code"] == UNIMPLEMENTED


@every_client
def test_long_messages(seen, client):
    message, = seen(client, "long")["messages"]
    assert message["reply"] == "hello, " + "x" * 20000
    # A GET of that length is too long before it is anything.
    if client != "connect-node-get":
        assert seen(client, "too_long")["code"] == EXHAUSTED


@every_client
def test_deadline(seen, client):
    deadline = seen(client, "deadline")
    assert deadline["code"] == DEADLINE, deadline
    assert deadline["count"] > 0


@every_client
def test_cancel(demo, seen, client):
    assert seen(client, "cancel")["code"] == CANCELLED
    assert len(seen(client, "cancel")["messages"]) == 3
    eventually(lambda: stats(demo)[0] == 0, "the end of the calls")


@every_client
def test_a_drain_ends_calls_with_unavailable(client):
    # The client takes its time for what was sent before.
    with Gateway.demo("--drain", "20s", "--close-timeout", "20s") as gateway:
        with Process(*command(gateway, client, "held"),
                     env={**os.environ, "NODE_NO_WARNINGS": "1"}) as process:
            eventually(lambda: "held" in process.stderr(), "a call")
            gateway.signal(signal.SIGTERM)
            process.wait_for_output(rf'"code":{UNAVAILABLE}\b')
            process.wait()
            gateway.wait()
