"""Where the `authorization` metadata comes from, and what else a backend gets
to know of a client (docs/protocol.md, "Credentials and metadata")."""

import base64
import contextlib
import json
import re
import time

import pytest

from client import ECHO, HELLO, JSON, Client, call_json, refusal
from harness import Gateway, eventually, run
from wire import RawClient

METADATA = ECHO + "Metadata"
KUBERNETES = "base64url.bearer.authorization.k8s.io."


def metadata_of(gateway, *subprotocols, path=METADATA, **options):
    """The metadata that the backend got, {key: [value, ...]}."""
    answer, = call_json(gateway, path, {}, subprotocols=(JSON, *subprotocols),
                        **options)
    return {key: entry["values"] for key, entry in answer["metadata"].items()}


def authorization_of(*arguments, **options):
    return metadata_of(*arguments, **options).get("authorization")


def k8s(token):
    if isinstance(token, str):
        token = token.encode()
    return KUBERNETES + base64.urlsafe_b64encode(token).decode().rstrip("=")


# --- the five sources ---


@pytest.fixture(scope="module")
def all_sources(backend):
    """A gateway that takes a token from wherever it can."""
    with Gateway.serve(backend.target, "--token-cookie", "session",
                       "--token-query", "access_token") as gateway:
        yield gateway


# Each source, strongest first, as options of metadata_of.
SOURCES = [
    ("Basic Zm9vOmJhcg==",
     {"headers": [("Authorization", "Basic Zm9vOmJhcg==")]}),
    ("Bearer from-kubernetes", {"subprotocols": [k8s("from-kubernetes")]}),
    ("Bearer from-pair", {"subprotocols": ["Bearer", "from-pair"]}),
    ("Bearer from-cookie", {"headers": [("Cookie", "session=from-cookie")]}),
    ("Bearer from-query", {"path": METADATA + "?access_token=from-query"}),
]


@pytest.mark.parametrize("strongest", range(5))
def test_first_source_that_matches_wins(all_sources, strongest):
    options = {"headers": [], "subprotocols": [], "path": METADATA}
    for _, source in SOURCES[strongest:]:
        options["headers"] += source.get("headers", [])
        options["subprotocols"] += source.get("subprotocols", [])
        options["path"] = source.get("path", options["path"])
    subprotocols = options.pop("subprotocols")
    assert authorization_of(all_sources, *subprotocols, **options) == [
        SOURCES[strongest][0]]


@pytest.mark.parametrize("source", range(5))
def test_each_source_alone(all_sources, source):
    authorization, options = SOURCES[source]
    options = dict(options)
    subprotocols = options.pop("subprotocols", [])
    assert authorization_of(all_sources, *subprotocols, **options) == [
        authorization]


def test_without_credentials_there_is_no_authorization(all_sources):
    assert authorization_of(all_sources) is None


# grpc-websocket-proxy sends an empty one then, which servers reject.
def test_foreign_subprotocol_sets_no_authorization(gateway):
    assert authorization_of(gateway, "chat") is None


def test_cookie_and_query_count_only_where_the_gateway_names_them(gateway):
    assert authorization_of(gateway, path=METADATA + "?access_token=t",
                            headers=[("Cookie", "session=t")]) is None


def test_kubernetes_token_may_hold_any_printable_characters(gateway):
    token = "a.b-c_d~e+f/g=h with blanks?"
    assert authorization_of(gateway, k8s(token)) == [f"Bearer {token}"]


def raw_authorization(gateway, lines):
    """As authorization_of, with the Sec-WebSocket-Protocol lines as they are."""
    with RawClient(gateway) as client:
        client.upgrade(METADATA,
                       [("Sec-WebSocket-Protocol", line) for line in lines])
        client.send_frame(1, b"{}")
        _, answer = client.read_message()
        found = re.search(rb'"authorization":\{"values":\["([^"]*)"', answer)
        return found and found[1].decode()


@pytest.mark.parametrize("lines", [
    ["Bearer, t0ken"], ["Bearer,t0ken"], ["Bearer", "t0ken"],
    ["Bearer  ,  t0ken , chat"], ["chat, Bearer, t0ken"],
    ["headgate.json.v1, Bearer, t0ken"], ["Bearer, t0ken, headgate.json.v1"],
    ["headgate.json.v1", "chat,Bearer", "t0ken"]])
def test_token_is_the_entry_right_after_bearer(gateway, lines):
    assert raw_authorization(gateway, lines) == "Bearer t0ken"


@pytest.mark.parametrize("cookie, token", [
    ("session=a", "a"), ("other=x; session=a", "a"),
    ("session=a;other=x", "a"),
    ('session="a"', "a"), ("session=a=b==", "a=b==")])
def test_cookie_is_found_among_others(all_sources, cookie, token):
    assert authorization_of(all_sources, headers=[("Cookie", cookie)]) == [
        f"Bearer {token}"]


@pytest.mark.parametrize("cookie", ["xsession=a", "Session=a", "session"])
def test_other_cookie_is_no_credential(all_sources, cookie):
    assert authorization_of(all_sources, headers=[("Cookie", cookie)]) is None


def test_query_token_is_percent_decoded(all_sources):
    assert authorization_of(
        all_sources, path=METADATA + "?x=1&access_token=a%2Fb%2B%3d") == [
            "Bearer a/b+="]


# A script of another site may open a socket, and the browser adds the cookie.
def test_cookie_counts_only_with_an_allowed_origin(start_serve):
    gateway = start_serve("--token-cookie", "session",
                          "--allow-origin", "https://app.test")
    cookie = [("Cookie", "session=t")]
    assert refusal(gateway, METADATA, origin="https://evil.test",
                   headers=cookie) == 403
    assert authorization_of(gateway, origin="https://app.test",
                            headers=cookie) == ["Bearer t"]


@pytest.mark.parametrize("entries", [
    ["Bearer"],
    [JSON, "Bearer"],
    [KUBERNETES],
    [KUBERNETES + "*"],
    [KUBERNETES + "YQ=="],
    [k8s(b"\xff\xfe")],
    [k8s("two\r\nlines")],
    [k8s("a"), k8s("b")],
    [k8s("a"), k8s("a")],
])
def test_malformed_credentials_are_401(gateway, entries):
    with RawClient(gateway) as client:
        response = client.request(
            METADATA, [("Sec-WebSocket-Protocol", ", ".join(entries))])
    assert response.status == 401
    assert response.json()["code"] == 16  # UNAUTHENTICATED
    for entry in entries:
        # The token is nobody's business, not even in the refusal.
        assert entry in ("Bearer", JSON, KUBERNETES) or (
            entry not in response.json()["message"])


@pytest.mark.parametrize("headers", [
    [("Authorization", "")],
    [("Authorization", "Bearer \xff")],
    [("Authorization", "Bearer a"), ("Authorization", "Bearer b")],
])
def test_malformed_authorization_header_is_401(gateway, headers):
    with RawClient(gateway) as client:
        assert client.request(METADATA, headers).status == 401


# --- metadata ---


def test_grpc_metadata_headers_become_metadata(gateway):
    metadata = metadata_of(gateway, headers=[
        ("Grpc-Metadata-X-User", "ann"), ("grpc-metadata-flavour", "a b, c"),
        ("Grpc-Metadata-Twice", "1"), ("Grpc-Metadata-Twice", "2")])
    assert metadata["x-user"] == ["ann"]
    assert metadata["flavour"] == ["a b, c"]
    assert metadata["twice"] == ["1", "2"]


@pytest.mark.parametrize("value", ["AAH/", "AAH/gA==", "AAH/gA"])
def test_bin_metadata_is_decoded(gateway, value):
    sent = base64.b64decode(value + "=" * (-len(value) % 4))
    got, = metadata_of(gateway, headers=[
        ("Grpc-Metadata-Blob-Bin", value)])["blob-bin"]
    assert base64.b64decode(got) == sent


@pytest.mark.parametrize("headers", [
    [("Grpc-Metadata-Blob-Bin", "***")],
    [("Grpc-Metadata-Name", "caf\xe9")],
    [("Grpc-Metadata-", "v")],
    [("Grpc-Metadata-a!b", "v")],
    [("Grpc-Timeout", "5")],
    [("Grpc-Timeout", "5X")],
    [("Grpc-Timeout", "S")],
    [("Grpc-Timeout", "-5S")],
    [("Grpc-Timeout", "123456789S")],
])
def test_header_that_cannot_be_sent_on_is_400_and_named(gateway, headers):
    with RawClient(gateway) as client:
        response = client.request(METADATA, headers)
    assert response.status == 400
    assert headers[0][0].lower() in response.json()["message"].lower()


# They are the gateway's, gRPC's or one hop's, and never a client's to set.
@pytest.mark.parametrize("name, value", [
    ("grpc-timeout", "1H"), ("grpc-encoding", "gzip"), ("grpc-status", "0"),
    ("te", "planted"), ("connection", "planted"), ("host", "planted"),
    ("content-type", "text/planted"), ("user-agent", "planted"),
    ("transfer-encoding", "planted"), ("authorization", "Bearer planted"),
    ("cookie", "planted"), ("origin", "http://planted.test"),
    ("x-forwarded-for", "6.6.6.6"), ("x-forwarded-host", "planted.test"),
    ("x-forwarded-proto", "gopher"), ("x-headgate-session", "planted"),
    ("x-request-id", "planted")])
def test_reserved_name_is_not_taken_from_a_client(gateway, name, value):
    metadata = metadata_of(gateway,
                           headers=[(f"Grpc-Metadata-{name}", value)])
    assert value not in metadata.get(name, [])


def test_other_headers_do_not_reach_the_backend(gateway):
    metadata = metadata_of(gateway, headers=[("X-Private", "p"),
                                             ("Cookie", "session=p"),
                                             ("Accept-Language", "eo")])
    assert {"x-private", "cookie", "accept-language",
            "sec-websocket-key", "sec-websocket-protocol"}.isdisjoint(metadata)


def test_forward_header_passes_on_what_it_names(start_serve):
    gateway = start_serve("--forward-header", "Accept-Language",
                          "--forward-header", "x-tenant")
    metadata = metadata_of(gateway, headers=[
        ("accept-language", "eo"), ("X-Tenant", "acme"), ("X-Other", "o")])
    assert metadata["accept-language"] == ["eo"]
    assert metadata["x-tenant"] == ["acme"]
    assert "x-other" not in metadata


def test_trace_headers_always_pass(gateway):
    trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-"
                            "00f067aa0ba902b7-01",
             "tracestate": "a=1,b=2", "baggage": "user=ann"}
    metadata = metadata_of(gateway, headers=trace.items())
    for key, value in trace.items():
        assert metadata[key] == [value]


def test_request_id_is_kept_or_made_up(gateway):
    assert metadata_of(gateway, headers=[("X-Request-Id", "mine")])[
        "x-request-id"] == ["mine"]
    made_up = [metadata_of(gateway)["x-request-id"] for _ in range(2)]
    assert made_up[0][0] and made_up[0] != made_up[1]


def test_each_session_has_an_id_which_the_log_knows(gateway):
    ids = [metadata_of(gateway)["x-headgate-session"] for _ in range(3)]
    assert all(len(values) == 1 and values[0] for values in ids)
    assert len({values[0] for values in ids}) == 3
    for id, in ids:
        eventually(lambda: id in gateway.stderr(), "the session in the log")


def test_client_is_described_by_forwarded_headers(gateway):
    metadata = metadata_of(gateway, origin=f"http://127.0.0.1:{gateway.port}",
                           headers=[("User-Agent", "test/1.0")])
    assert metadata["x-forwarded-for"] == ["127.0.0.1"]
    assert metadata["x-forwarded-host"] == [f"127.0.0.1:{gateway.port}"]
    assert metadata["x-forwarded-proto"] == ["http"]
    assert "test/1.0" in metadata["x-forwarded-user-agent"]
    assert metadata["origin"] == [f"http://127.0.0.1:{gateway.port}"]


FORWARDED = [("X-Forwarded-For", "203.0.113.7, 10.0.0.1"),
             ("X-Forwarded-Host", "public.test"),
             ("X-Forwarded-Proto", "https")]


def test_forwarded_headers_of_a_stranger_are_dropped(gateway):
    metadata = metadata_of(gateway, headers=FORWARDED)
    assert metadata["x-forwarded-for"] == ["127.0.0.1"]
    assert metadata["x-forwarded-host"] == [f"127.0.0.1:{gateway.port}"]
    assert metadata["x-forwarded-proto"] == ["http"]


@pytest.mark.parametrize("network, trusted", [
    ("127.0.0.0/8", True), ("127.0.0.1", True), ("10.0.0.0/8", False)])
def test_forwarded_headers_of_a_trusted_proxy_are_kept(start_serve, network,
                                                       trusted):
    gateway = start_serve("--trusted-proxy", network)
    metadata = metadata_of(gateway, headers=FORWARDED)
    if trusted:
        assert metadata["x-forwarded-for"] == [
            "203.0.113.7, 10.0.0.1, 127.0.0.1"]
        assert metadata["x-forwarded-host"] == ["public.test"]
        assert metadata["x-forwarded-proto"] == ["https"]
    else:
        assert metadata["x-forwarded-for"] == ["127.0.0.1"]


# --- deadlines ---


def seconds_left(gateway, **options):
    answer, = call_json(gateway, METADATA, {}, **options)
    left = answer.get("timeRemaining")
    return left and float(left.removesuffix("s"))


# gRPC rounds a deadline up on the wire, by a hundredth or so.
def test_grpc_timeout_is_the_deadline_of_the_call(gateway):
    assert seconds_left(gateway) is None
    assert 3000 < seconds_left(gateway,
                               headers=[("Grpc-Timeout", "1H")]) <= 3700
    assert 60 < seconds_left(gateway,
                             headers=[("Grpc-Timeout", "100000m")]) <= 105


def test_deadline_of_the_gateway_caps_the_clients(start_serve):
    gateway = start_serve("--deadline", "100s")
    assert 50 < seconds_left(gateway) <= 105
    assert 50 < seconds_left(gateway, headers=[("Grpc-Timeout", "1H")]) <= 105
    assert 5 < seconds_left(gateway, headers=[("Grpc-Timeout", "50S")]) <= 55


def test_call_over_its_deadline_ends_with_deadline_exceeded(gateway):
    with Client(gateway, HELLO + "BidiHello", JSON,
                headers=[("Grpc-Timeout", "2S")]) as client:
        client.send({"greeting": "ann"})
        messages, (code, _) = client.receive_all()
    assert len(messages) == 1
    assert code == 4004


def test_call_over_the_gateways_deadline_ends_with_deadline_exceeded(
        start_serve):
    gateway = start_serve("--deadline", "300ms")
    with Client(gateway, HELLO + "BidiHello", JSON) as client:
        code, _ = client.receive_close()
    assert code == 4004


# --- secrets ---


# Whatever the log level, and whether the call succeeds or is refused.
def test_no_secret_is_ever_written_to_a_log(start_serve):
    gateway = start_serve("--token-cookie", "session", "--token-query", "token",
                          "--log-level", "debug")
    secret = "s3cr3t-hunter2"
    options = [
        {"headers": [("Authorization", f"Bearer {secret}")]},
        {"subprotocols": (JSON, "Bearer", secret)},
        {"subprotocols": (JSON, k8s(secret))},
        {"headers": [("Cookie", f"session={secret}; other={secret}")]},
        {"path": METADATA + f"?token={secret}"},
        {"path": METADATA + f"?other={secret}"},
    ]
    for option in options:
        option = {"path": METADATA, **option}
        call_json(gateway, option.pop("path"), {}, **option)
    # Refused ones: a path, an origin, a malformed pair, and what is no upgrade.
    for path, headers in [
            (f"/nothing?token={secret}", []),
            (f"{METADATA}?token={secret}", [("Origin", "https://evil.test"),
                                            ("Cookie", f"session={secret}")]),
            (METADATA, [("Sec-WebSocket-Protocol", f"{k8s(secret)}, "
                                                   f"{k8s(secret)}")]),
            (METADATA, [("Authorization", secret), ("Authorization", secret)]),
            (METADATA, [("Grpc-Timeout", secret)]),
    ]:
        with RawClient(gateway) as client:
            response = client.request(path, headers)
        assert response.status >= 400
        assert secret.encode() not in response.body
    gateway.stop()
    output = gateway.stderr() + gateway.stdout()
    assert "Metadata" in output, "sessions leave a line in the log"
    for form in (secret, k8s(secret).removeprefix(KUBERNETES)):
        assert form not in output


def test_query_token_does_not_reach_the_backend_by_another_name(all_sources):
    metadata = metadata_of(all_sources, path=METADATA + "?access_token=s3cr3t",
                           headers=[("Authorization", "Bearer other")])
    assert "s3cr3t" not in str(metadata)


# --- the expiry of a token (RFC 7519) ---

EXPIRING = """
routes:
  - path: /expiring
    upstream: main
    method: headgate.demo.v1.HelloService/BidiHello
    token_query: access_token
    token: {expiry: close, leeway: 1s}
  - path: /lasting
    upstream: main
    method: headgate.demo.v1.HelloService/BidiHello
"""


def jwt(**claims):
    def part(value):
        text = json.dumps(value).encode()
        return base64.urlsafe_b64encode(text).decode().rstrip("=")

    return f"{part({'alg': 'HS256'})}.{part(claims)}.c2lnbmF0dXJl"


@pytest.fixture
def expiring(configured, backend):
    return configured(
        f"upstreams: [{{name: main, target: '{backend.target}'}}]" + EXPIRING)


def test_session_ends_when_its_token_has_expired(expiring):
    token = jwt(sub="ann", exp=int(time.time()) + 2)
    others = [jwt(exp=int(time.time()) + 3600), jwt(sub="bob"), "opaque",
              jwt(exp="never")]
    with contextlib.ExitStack() as stack:
        lasting = [stack.enter_context(
            Client(expiring, "/expiring", JSON, "Bearer", other))
            for other in others]
        lasting.append(stack.enter_context(
            Client(expiring, "/lasting", JSON, "Bearer", token)))
        ending = [
            stack.enter_context(Client(
                expiring, "/expiring", JSON,
                headers=[("Authorization", "Bearer " + token)])),
            stack.enter_context(Client(expiring, "/expiring", JSON, k8s(token))),
            stack.enter_context(Client(
                expiring, "/expiring?access_token=" + token, JSON))]
        for client in lasting + ending:
            client.send({"greeting": "ann"})
            assert client.receive_json() == {"reply": "hello, ann"}
        for client in ending:
            assert client.receive_close() == (4016, "the token has expired")
            # A second of leeway, and a fifth.
            assert time.time() > json.loads(base64.urlsafe_b64decode(
                token.split(".")[1] + "=="))["exp"] + 1
        for client in lasting:
            client.send({"greeting": "ann"})
            assert client.receive_json() == {"reply": "hello, ann"}
    assert expiring.metric("headgate_limits_hit_total",
                           limit="token_expiry") == len(ending)
    eventually(lambda: expiring.stderr().count(
        "limit=token_expiry") == len(ending), "each is in the log")
    assert token not in expiring.stderr()


def test_expired_token_is_401(expiring):
    expired = jwt(exp=int(time.time()) - 60)
    assert refusal(expiring, "/expiring", JSON, "Bearer", expired) == 401
    assert refusal(expiring, "/expiring?access_token=" + expired) == 401
    expiring.wait_for_log('reason="the token has expired"')
    assert expiring.metric("headgate_handshakes_refused_total",
                           reason="token_expired") == 2
    with Client(expiring, "/lasting", JSON, "Bearer", expired) as client:
        client.send({"greeting": "ann"})
        assert client.receive_json() == {"reply": "hello, ann"}


def test_leeway_without_expiry_is_a_fault(tmp_path):
    file = tmp_path / "headgate.yaml"
    file.write_text(EXPIRING.replace("expiry: close, ", "").replace(
        "upstream: main", "upstream: default") +
        "upstreams: [{target: 'localhost:1'}]")
    result = run("check", file)
    assert result.returncode == 1
    assert (b"token.leeway: means nothing without expiry: close"
            in result.stdout + result.stderr)
