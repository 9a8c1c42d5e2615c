"""What becomes a session, and how a request that does not is refused
(docs/protocol.md, "Handshake")."""

import pytest

from client import ECHO, HELLO, JSON, Client, call_json, refusal
from harness import Gateway, eventually
from wire import CLOSE, TEXT, RawClient, frame, upgrade_request

BIDI = HELLO + "BidiHello"


def refuse(gateway, *arguments, **options):
    """Sends a handshake that must be refused; checks what all refusals have in
    common and returns the answer."""
    with RawClient(gateway) as client:
        response = client.request(*arguments, **options)
    return check_refusal(response)


def check_refusal(response):
    """A JSON body {"code", "message"}: a gRPC code and a text for people."""
    body = response.json()
    assert set(body) == {"code", "message"}
    assert body["code"] in range(1, 17)
    assert body["message"]
    return response


# --- refusals ---


@pytest.mark.parametrize("path", [
    "/", "/nothing", "/a/b/c", "/headgate.demo.v1.HelloService",
    "/headgate.demo.v1.HelloService/", "//", "/../etc/passwd", "/%00/x"])
def test_unknown_path_is_404(demo, path):
    response = refuse(demo, path)
    assert response.status == 404
    assert response.json()["code"] == 5  # NOT_FOUND


@pytest.mark.parametrize("missing", [("Upgrade",), ("Upgrade", "Connection")])
def test_request_that_is_no_upgrade_is_426_and_names_websocket(demo, missing):
    response = refuse(demo, BIDI, without=missing)
    assert response.status == 426
    assert response.header("Upgrade") == "websocket"


@pytest.mark.parametrize("version", ["8", "12", "14", "x"])
def test_wrong_websocket_version_is_426_and_names_13(demo, version):
    response = refuse(demo, BIDI, [("Sec-WebSocket-Version", version)],
                      without=("Sec-WebSocket-Version",))
    assert response.status == 426
    assert response.header("Sec-WebSocket-Version") == "13"


@pytest.mark.parametrize("key", [
    "", "short", "dGhlIHNhbXBsZSBub25jZQ", "*" * 24])
def test_key_that_is_not_16_bytes_in_base64_is_400(demo, key):
    response = refuse(demo, BIDI, [("Sec-WebSocket-Key", key)],
                      without=("Sec-WebSocket-Key",))
    assert response.status == 400
    assert response.json()["code"] == 3  # INVALID_ARGUMENT


def test_handshake_without_a_key_is_400(demo):
    assert refuse(demo, BIDI, without=("Sec-WebSocket-Key",)).status == 400


# RFC 6455 section 4.1: the method of the request MUST be GET.
def test_handshake_that_is_no_get_is_refused(demo):
    response = refuse(demo, BIDI, [("Content-Length", "0")], method="POST")
    assert response.status in (400, 405, 426)


@pytest.mark.parametrize("garbage", [
    b"GARBAGE\r\n\r\n", b"\0\1\2\3\r\n\r\n", b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"\xaa" * 64 + b"\r\n\r\n"])
def test_what_is_not_http_is_400(demo, garbage):
    with RawClient(demo) as client:
        client.send(garbage)
        response = check_refusal(client.read_response())
        assert response.status == 400
        assert client.at_end()


def test_headers_over_the_limit_are_431(start_demo):
    gateway = start_demo("--max-header-bytes", "1KiB")
    response = refuse(gateway, BIDI, [("X-Long", "x" * 1024)])
    assert response.status == 431


def test_many_short_headers_over_the_limit_are_431(start_demo):
    gateway = start_demo("--max-header-bytes", "1KiB")
    response = refuse(gateway, BIDI, [(f"X-{i}", "x") for i in range(200)])
    assert response.status == 431


# An endless header must not be waited for, nor kept.
def test_endless_request_line_is_431_before_it_ends(start_demo):
    gateway = start_demo("--max-header-bytes", "1KiB")
    with RawClient(gateway) as client:
        client.send(b"GET /" + b"x" * 4096)
        assert check_refusal(client.read_response()).status == 431


def test_headers_within_the_limit_are_taken(start_demo):
    gateway = start_demo("--max-header-bytes", "8KiB")
    with RawClient(gateway) as client:
        client.upgrade(BIDI, [("X-Long", "x" * 4096)])


@pytest.mark.parametrize("begun", [b"", b"GET / HT",
                                   b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_slow_handshake_is_408_and_the_connection_ends(start_demo, begun):
    gateway = start_demo("--handshake-timeout", "300ms")
    with RawClient(gateway) as client:
        client.send(begun)
        assert check_refusal(client.read_response()).status == 408
        assert client.at_end()


# The limit is on the handshake as a whole, not on the pause between two bytes.
def test_handshake_that_drips_is_408(start_demo):
    gateway = start_demo("--handshake-timeout", "500ms")
    with RawClient(gateway) as client:
        request = iter(upgrade_request(BIDI, [("X-Long", "x" * 4000)]))

        def drip():
            client.send(bytes([next(request)]))
            return client.readable()

        eventually(drip, "an answer while the headers drip in")
        assert client.read_response().status == 408


def test_session_outlives_the_handshake_timeout(start_demo):
    gateway = start_demo("--handshake-timeout", "2s")
    slow = RawClient(gateway)
    with Client(gateway, BIDI, JSON) as client:
        assert slow.read_response().status == 408  # So the time has passed.
        slow.close()
        client.send({"greeting": "ann"})
        assert client.receive_json() == {"reply": "hello, ann"}


def test_session_over_the_limit_is_503_with_retry_after(start_demo):
    gateway = start_demo("--max-sessions", "2")
    with Client(gateway, BIDI), Client(gateway, BIDI):
        response = refuse(gateway, BIDI)
        assert response.status == 503
        assert int(response.header("Retry-After")) >= 1


def test_place_of_an_ended_session_is_free_again(start_demo):
    gateway = start_demo("--max-sessions", "1")
    with Client(gateway, BIDI):
        assert refusal(gateway, BIDI) == 503

    def try_again():
        with RawClient(gateway) as client:
            return client.request(BIDI).status == 101

    eventually(try_again, "a place for a new session")


def test_refused_request_takes_no_place(start_demo):
    gateway = start_demo("--max-sessions", "1")
    for _ in range(5):
        assert refuse(gateway, "/nothing").status == 404
    assert call_json(gateway, BIDI, {"greeting": "ann"}, half_close=True)


# A browser's script sees the code of a Close frame, but not an HTTP status.
def close_of(gateway, *arguments):
    with RawClient(gateway) as client:
        client.upgrade(*arguments)
        return client.read_close()


def test_refusals_close_tells_not_found_by_the_close_frame(start_demo):
    gateway = start_demo("--refusals", "close")
    code, reason = close_of(gateway, "/nothing")
    assert code == 4005
    assert "/nothing" in reason


def test_refusals_close_tells_a_forbidden_origin_by_the_close_frame(start_demo):
    gateway = start_demo("--refusals", "close")
    code, reason = close_of(gateway, BIDI, [("Origin", "https://evil.test")])
    assert code == 4007
    assert reason


def test_refusals_close_tells_bad_credentials_by_the_close_frame(start_demo):
    gateway = start_demo("--refusals", "close")
    code, reason = close_of(gateway, BIDI,
                            [("Sec-WebSocket-Protocol", f"{JSON}, Bearer")])
    assert code == 4016
    assert reason


def test_refusals_close_tells_too_many_sessions_by_the_close_frame(start_demo):
    gateway = start_demo("--refusals", "close", "--max-sessions", "1")
    with Client(gateway, BIDI):
        code, reason = close_of(gateway, BIDI)
    assert code == 4014
    assert "session" in reason


# A socket that carries no WebSocket cannot be closed as one.
@pytest.mark.parametrize("options", [
    {"without": ("Upgrade",)}, {"without": ("Sec-WebSocket-Version",)}])
def test_refusals_close_keeps_http_for_what_is_no_websocket(start_demo,
                                                            options):
    gateway = start_demo("--refusals", "close")
    assert refuse(gateway, BIDI, **options).status == 426


# --- the rest of the handshake ---


# RFC 9110 section 5.3: lines of one name are one list.
def test_connection_may_have_several_lines(demo):
    with RawClient(demo) as client:
        client.upgrade(BIDI, [("Connection", "keep-alive"),
                              ("Connection", "Upgrade")],
                       without=("Connection",))


# The name of a codec that is spelled wrong would else be ignored, and the
# session speak another one.
def test_own_subprotocol_that_is_none_is_400_and_names_the_nearest(demo):
    response = refuse(demo, BIDI, [("Sec-WebSocket-Protocol",
                                    "headgate.jsno.v1")])
    assert response.status == 400
    assert "did you mean 'headgate.json.v1'?" in response.json()["message"]
    with RawClient(demo) as client:
        response = client.upgrade(BIDI, [(
            "Sec-WebSocket-Protocol", "headgate.json.v9, headgate.json.v1")])
        assert response.header("Sec-WebSocket-Protocol") == JSON


# RFC 6455 section 4.2.2, 5.4: the worked example of the key.
def test_accept_header_is_the_answer_to_the_key(demo):
    with RawClient(demo) as client:
        response = client.upgrade(
            BIDI, [("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")],
            without=("Sec-WebSocket-Key",))
    assert (response.header("Sec-WebSocket-Accept") ==
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    assert response.header("Upgrade").lower() == "websocket"
    assert response.header("Connection").lower() == "upgrade"


# RFC 6455 section 4.1: once its handshake is sent, the client waits for the
# answer.
def test_data_before_the_answer_is_400(demo):
    with RawClient(demo) as client:
        client.send(upgrade_request(BIDI) + frame(TEXT, b"{}"))
        assert check_refusal(client.read_response()).status == 400
        assert client.at_end()


@pytest.mark.parametrize("headers", [
    [("Connection", "keep-alive, Upgrade"), ("Upgrade", "WebSocket")],
    [("connection", "UPGRADE"), ("upgrade", "websocket")]])
def test_header_names_and_their_words_have_no_case(demo, headers):
    with RawClient(demo) as client:
        client.upgrade(BIDI, headers, without=("Connection", "Upgrade"))


def test_query_is_no_part_of_the_path(demo):
    with Client(demo, BIDI + "?a=1&b=%20", JSON) as client:
        client.send({"greeting": "ann"})
        assert client.receive_json() == {"reply": "hello, ann"}


# permessage-deflate is off: offered, it is passed over in silence.
def test_extension_that_is_offered_is_not_taken(demo):
    with RawClient(demo) as client:
        response = client.upgrade(
            BIDI, [("Sec-WebSocket-Extensions", "permessage-deflate")])
    assert response.header("Sec-WebSocket-Extensions") is None


def test_ipv6_listener():
    with Gateway.demo(listen=["[::1]:0"]) as gateway:
        assert gateway.host == "::1"
        with RawClient(gateway) as client:
            client.upgrade(BIDI)
            client.send_frame(CLOSE, b"\x03\xe8")
            assert client.read_close()[0] == 1000


def test_several_listeners_serve_the_same(start_demo):
    gateway = start_demo(listen=["127.0.0.1:0", "127.0.0.1:0", "[::1]:0"])
    assert len({port for _, port in gateway.addresses}) == 3
    for gateway.host, gateway.port in gateway.addresses:
        with RawClient(gateway) as client:
            client.upgrade(ECHO + "Echo")


def test_own_route_leads_to_its_method(start_demo):
    gateway = start_demo("--route",
                         "/greet=headgate.demo.v1.HelloService/SayHello")
    assert call_json(gateway, "/greet", {"greeting": "ann"}) == [
        {"reply": "hello, ann"}]
    assert refuse(gateway, "/greet/more/so").status == 404
