"""What holds for every dialect alike (docs/protocol.md): where routes lead, and
metadata that a backend's gRPC library must not see as it came."""

import base64
import contextlib
import http.client
import struct

import grpc
import pytest

from client import ECHO, HELLO
from grpcweb import END, GrpcWebClient, data, framed
from harness import TIMEOUT

SAY_HELLO = HELLO + "SayHello"
ANN = b"\x0a\x03ann"  # HelloRequest{greeting: "ann"}
HELLO_ANN = b"\x0a\x0ahello, ann"  # HelloResponse


def post(gateway, path, body, media_type, **headers):
    """The body of the response."""
    connection = http.client.HTTPConnection(gateway.host, gateway.port,
                                            timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request("POST", path, body, {
            "Content-Type": media_type,
            **{name.replace("_", "-"): value
               for name, value in headers.items()}})
        response = connection.getresponse()
        assert response.status == 200
        return response.read()


def first_frame(body):
    flags, size = struct.unpack(">BI", body[:5])
    assert flags == 0
    return body[5:5 + size]


def connect(gateway, path):
    return post(gateway, path, ANN, "application/proto")


def connect_stream(gateway, path):
    return first_frame(post(gateway, path, framed(ANN),
                            "application/connect+proto"))


def grpc_web(gateway, path):
    return first_frame(post(gateway, path, framed(ANN),
                            "application/grpc-web"))


def grpc_web_text(gateway, path):
    body = post(gateway, path, base64.b64encode(framed(ANN)),
                "application/grpc-web-text")
    # 17 bytes, whether or not they are padded before the next frame.
    return first_frame(base64.b64decode(body[:24]))


def grpc_websockets(gateway, path):
    with GrpcWebClient(gateway, path) as client:
        client.say(data(ANN), END)
        return client.outcome()[0][0]


def native_grpc(gateway, path):
    with grpc.insecure_channel(f"{gateway.host}:{gateway.port}") as channel:
        call = channel.unary_unary(path, request_serializer=None,
                                   response_deserializer=None)
        return call(ANN, timeout=TIMEOUT)


UNARY = [connect, grpc_web, grpc_web_text, grpc_websockets, native_grpc]


@pytest.fixture
def routed(configured, backend):
    return configured(f"""
upstreams: [{{name: one, target: "{backend.target}"}}]
routes:
  - {{path: /hello, upstream: one,
      method: headgate.demo.v1.HelloService/SayHello}}
  - {{prefix: /app, strip_prefix: true, upstream: one}}
  - {{prefix: /greeter, upstream: one,
      service: headgate.demo.v1.HelloService}}
  - {{prefix: /, upstream: one}}
""")


@pytest.mark.parametrize("speak", UNARY, ids=lambda speak: speak.__name__)
def test_routes_lead_to_the_same_methods(routed, speak):
    """The path itself, below a prefix, the route's service, its only method."""
    for path in (SAY_HELLO, "/app" + SAY_HELLO, "/greeter/SayHello", "/hello"):
        assert speak(routed, path) == HELLO_ANN, path


def test_streams_have_the_same_routes(routed):
    replies = HELLO + "LotsOfReplies"
    for path in (replies, "/app" + replies, "/greeter/LotsOfReplies"):
        assert connect_stream(routed, path) == b"\x0a\x0ehello, ann (1)", path


@pytest.mark.parametrize("transport", ["h2", "grpc"])
def test_joined_binary_values_are_several(start_demo, transport):
    """connect-es joins them by ", ". gRPC C++ would end the whole connection
    over such a value."""
    demo = start_demo("--transport", transport)
    for _ in range(2):
        body = post(demo, ECHO + "Metadata", framed(b""),
                    "application/grpc-web", x_key_bin="AAE, /w==,Ag")
        echoed = first_frame(body)
        for value in (b"AAE=", b"/w==", b"Ag=="):
            assert b"\x04" + value in echoed, echoed
