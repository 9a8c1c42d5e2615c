"""Limits by a client's identity (docs/security.md, "Identities")."""

import base64
import contextlib
import json
import urllib.error
import urllib.request

import pytest

from client import HELLO, JSON, Client, refusal
from grpcweb import GrpcWebClient, Multiplexed, data
from harness import Gateway, eventually

BIDI = HELLO + "BidiHello"
REASON = "max_sessions_per_identity"
HELLO_ANN = b"\x0a\x03ann"  # HelloRequest{greeting: "ann"}


def token(**claims):
    def part(value):
        text = json.dumps(value).encode()
        return base64.urlsafe_b64encode(text).decode().rstrip("=")

    return f"{part({'alg': 'HS256'})}.{part(claims)}.c2ln"


def configured(tmp_path, **limits):
    file = tmp_path / "headgate.yaml"
    file.write_text(json.dumps({
        "listeners": [{"address": "127.0.0.1:0",
                       "trusted_proxies": ["127.0.0.0/8"]}],
        "limits": limits}))
    return Gateway.configured(file, command="demo")


def refused(gateway):
    return gateway.metric("headgate_handshakes_refused_total", reason=REASON)


def coming_from(number):
    return {"headers": [("X-Forwarded-For", f"203.0.113.{number}")]}


def test_a_client_is_counted_by_its_claim_whatever_its_address(tmp_path, stack):
    with configured(tmp_path, max_sessions_per_identity=2,
                    identity_claim="sub") as gateway:
        ann = [token(sub="annabel7", jti=i) for i in range(4)]
        first = stack.enter_context(
            Client(gateway, BIDI, JSON, "Bearer", ann[0], **coming_from(1)))
        stack.enter_context(
            Client(gateway, BIDI, JSON, "Bearer", ann[1], **coming_from(2)))
        assert refusal(gateway, BIDI, JSON, "Bearer", ann[2],
                       **coming_from(3)) == 503
        # Others are not hindered, nor is who has no identity.
        stack.enter_context(
            Client(gateway, BIDI, JSON, "Bearer", token(sub="bob")))
        for _ in range(3):
            stack.enter_context(Client(gateway, BIDI, JSON))
            stack.enter_context(Client(gateway, BIDI, JSON, "Bearer", "opaque"))
        assert refused(gateway) == 1
        first.close()
        eventually(lambda: len(gateway.sessions()) == 8, "the place is free")
        stack.enter_context(
            Client(gateway, BIDI, JSON, "Bearer", ann[3], **coming_from(4)))
        # Neither the log nor a label names anybody.
        log = gateway.stderr()
        assert not [t for t in ann if t in log] and "annabel7" not in log
        assert "annabel7" not in gateway.admin("/metrics")[1]


def test_calls_over_plain_http_count_while_they_last(tmp_path, stack):
    with configured(tmp_path, max_sessions_per_identity=1,
                    identity_header="x-user") as gateway:
        def say_hello(user):
            request = urllib.request.Request(
                gateway.url(HELLO + "SayHello").replace("ws:", "http:"),
                data=b'{"greeting":"x"}',
                headers={"Content-Type": "application/json", "X-User": user})
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status

        # One after the other, they never meet.
        for _ in range(3):
            eventually(lambda: not gateway.sessions(), "the call has ended")
            assert say_hello("ann") == 200
        eventually(lambda: not gateway.sessions(), "the call has ended")
        held = stack.enter_context(
            Client(gateway, BIDI, JSON, headers=[("X-User", "ann")]))
        with pytest.raises(urllib.error.HTTPError) as error:
            say_hello("ann")
        assert error.value.code == 503
        assert error.value.headers["Retry-After"]
        assert say_hello("bob") == 200
        assert refused(gateway) == 1
        held.close()


# The dialects of sockets whose calls have headers of their own.
def test_tokens_that_come_in_band_count_until_the_socket_is_closed(
        tmp_path, stack):
    with configured(tmp_path, max_sessions_per_identity=1,
                    identity_claim="sub") as gateway:
        def head(name):
            return f"authorization: Bearer {token(sub=name)}\r\n"

        def hits():
            return gateway.metric("headgate_limits_hit_total", limit=REASON)

        first = stack.enter_context(GrpcWebClient(gateway, BIDI, head("ann")))
        first.say(data(HELLO_ANN))
        first.receive()  # The call has begun.
        assert refusal(gateway, BIDI, JSON, "Bearer", token(sub="ann")) == 503
        with GrpcWebClient(gateway, BIDI, head("ann")) as second:
            _, trailers, code = second.outcome()
        assert (trailers["grpc-status"], code) == ("8", 4008)
        assert hits() == 1
        many = stack.enter_context(Multiplexed(gateway))
        many.open(1, BIDI, head("bob"))
        many.open(2, BIDI, head("bob"))
        many.open(3, BIDI, head("ann"))
        assert many.outcome()[3][1]["grpc-status"] == "8"
        assert hits() == 2
        first.close()
        eventually(lambda: len(gateway.sessions()) == 1, "the place is free")
        many.open(4, HELLO + "SayHello", head("ann"))
        many.put(4, data(HELLO_ANN))
        many.half_close(4)
        assert many.outcome()[4][1]["grpc-status"] == "0"


# Somebody who invents a name for each session gets no further than the limits
# that hold for all, and nothing of it stays.
def test_invented_identities_leave_nothing_behind(tmp_path):
    with configured(tmp_path, max_sessions_per_identity=1, max_sessions=20,
                    identity_claim="sub") as gateway:
        with contextlib.ExitStack() as stack:
            for i in range(20):
                stack.enter_context(Client(gateway, BIDI, JSON, "Bearer",
                                           token(sub=f"nobody{i}")))
            assert refusal(gateway, BIDI, JSON, "Bearer",
                           token(sub="ann")) == 503
            assert gateway.metric("headgate_handshakes_refused_total",
                                  reason="max_sessions") == 1
        eventually(lambda: not gateway.sessions(), "all have ended")
        for bad in ("a.b.c", "..", "e30.W10.", f"e30.{'A' * 4000}.x"):
            with Client(gateway, BIDI, JSON, "Bearer", bad):
                pass
        with Client(gateway, BIDI, JSON, "Bearer", token(sub="nobody0")):
            pass
        assert refused(gateway) == 0
