"""Clients of gRPC-Web and Connect in a page of another origin, in headless
Chromium."""

import pytest

from certificates import Authority
from client import stats
from harness import Gateway, eventually
from pages import PageServer

CLIENTS = [
    "grpc-web-text", "grpc-web-binary", "connect-web", "connect-web-get",
    "connect-web-grpc-web", "protobuf-ts-text", "protobuf-ts-binary",
    "improbable-fetch", "improbable-xhr"]
SCENARIOS = ["unary", "metadata", "both_metadata", "failure", "unknown",
             "replies", "long", "deadline", "cancel"]


@pytest.fixture(scope="module")
def pages():
    with PageServer() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(pages):
    with Gateway.demo("--allow-origin", pages.origin) as process:
        yield process


@pytest.fixture(scope="module")
def seen(pages, gateway):
    return pages.run(gateway, *SCENARIOS)


every_client = pytest.mark.parametrize("client", CLIENTS)
# The official client has server streaming in text only.
every_client_that_streams = pytest.mark.parametrize(
    "client", [client for client in CLIENTS if client != "grpc-web-binary"])
# An address holds no long message.
every_client_with_a_body = pytest.mark.parametrize(
    "client", [client for client in CLIENTS if client != "connect-web-get"])


@every_client
def test_unary(seen, client):
    unary = seen[client]["unary"]
    assert (unary["code"], unary["messages"]) == (
        0, [{"reply": "hello, ann"}]), unary


@every_client_that_streams
def test_server_streaming(seen, client):
    replies = seen[client]["replies"]
    assert replies["code"] == 0, replies
    assert [message["reply"] for message in replies["messages"]] == [
        f"hello, ann ({i})" for i in range(1, 11)]


@every_client
def test_metadata_both_ways(seen, client):
    message, = seen[client]["metadata"]["messages"]
    metadata = {key: value["values"]
                for key, value in message["metadata"].items()}
    assert metadata["x-tenant"] == ["a, b"]
    assert metadata["x-key-bin"] == ["AQID"]
    assert metadata["authorization"] == ["Bearer t0ken"]
    book = seen[client]["both_metadata"]
    assert book["messages"][0]["title"] == "Dune", book
    assert book["headers"]["library-branch"] == "main"
    assert int(book["trailers"]["library-books"]) > 0


@every_client
def test_errors_with_details(seen, client):
    failure = seen[client]["failure"]
    assert failure["code"] == 5, failure
    assert failure["details"] == ["why"], failure
    assert seen[client]["unknown"]["code"] == 12


@every_client_with_a_body
def test_long_messages(seen, client):
    message, = seen[client]["long"]["messages"]
    assert message["reply"] == "hello, " + "x" * 20000


@every_client_that_streams
def test_deadline_and_cancel(gateway, seen, client):
    assert seen[client]["deadline"]["code"] == 4, seen[client]["deadline"]
    assert seen[client]["cancel"]["code"] == 1
    eventually(lambda: stats(gateway)[0] == 0, "the end of the calls")


def test_an_origin_that_is_not_allowed_sees_nothing(pages):
    with Gateway.demo() as gateway:
        seen = pages.run(gateway, "unary")
        for client in CLIENTS:
            assert seen[client]["unary"].get("code") != 0, client


# RFC 8441, as Chromium does it by itself where it has a connection of HTTP/2 to
# the origin.
def test_a_hundred_websockets_of_a_page_share_one_connection(pages, tmp_path):
    certificate, key = Authority(tmp_path).issue("gateway", "IP:127.0.0.1")
    with Gateway.demo("--allow-origin", pages.origin, "--tls-cert",
                      certificate, "--tls-key", key) as gateway:
        address = f"{gateway.host}:{gateway.port}"
        with pages.open(f"/sockets.html?gateway={address}&count=100",
                        "--ignore-certificate-errors") as seen:
            assert seen["echoes"] == [f"hello {i}" for i in range(100)]
            assert len(gateway.sessions("?limit=1000")) == 100
            assert gateway.metric("headgate_connections") == 1
            assert gateway.metric("headgate_http2_connections_total") == 1
