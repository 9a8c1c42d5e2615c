"""Any gRPC server with reflection is served without further configuration:
here one in JavaScript, of which the gateway knows nothing beforehand, and
which has reflection v1 but not v1alpha."""

import json

import pytest

from client import JSON, PROTOBUF, Client, call, call_json, refusal
from foreign import LibraryServer
from harness import Gateway, eventually
from wire import fields, message

LIBRARY = "/library.v1.Library/"


@pytest.fixture(scope="module")
def server():
    with LibraryServer() as process:
        yield process


@pytest.fixture(scope="module")
def library(server):
    with Gateway.serve(server.target) as gateway:
        yield gateway


@pytest.fixture
def start_library(stack, server):
    return lambda *flags: stack.enter_context(
        Gateway.serve(server.target, *flags))


BOOK = {"title": "Dune", "author": {"fullName": "Frank Herbert"},
        "genre": "GENRE_NOVEL", "pages": "412", "copies": {"main": 2},
        "published": "1965-08-01T00:00:00.250Z"}

# The same, serialized; field order and map entry as any encoder has them.
BOOK_BYTES = message(
    (1, "Dune"), (2, message((1, "Frank Herbert"))), (3, 1), (4, 412),
    (5, message((1, "main"), (2, 2))),
    (6, message((1, (1 << 64) - 139363200), (2, 250000000))))


# --- the four kinds, json ---


def test_unary_json(library):
    assert call_json(library, LIBRARY + "GetBook", {"title": "Dune"},
                     subprotocols=(JSON, "Bearer", "t0ken")) == [{
                         "title": "Dune",
                         "author": {"fullName": "Bearer t0ken"},
                         "genre": "GENRE_NOVEL",
                         "pages": "9007199254740993",
                         "copies": {"main": 2, "west": 1},
                         "published": "2023-11-14T22:13:20.500Z"}]


def test_server_streaming_json(library):
    assert call_json(library, LIBRARY + "ListBooks", {"count": 50}) == [
        {"title": f"book {i}"} for i in range(50)]


def test_client_streaming_json(library):
    assert call_json(library, LIBRARY + "AddBooks", BOOK, {"pages": "8"},
                     half_close=True) == [{"books": 2, "pages": "420"}]


def test_bidirectional_json(library):
    with Client(library, LIBRARY + "Exchange", JSON) as client:
        for _ in range(3):
            client.send(BOOK)
            assert client.receive_json() == BOOK
        client.half_close()
        assert client.receive_close() == (1000, "")


# An Any of a type that only the server's descriptors know.
def test_any_of_a_type_of_the_server(library):
    book = {"attachment": {"@type": "type.googleapis.com/library.v1.Author",
                           "fullName": "Ann"}}
    assert call_json(library, LIBRARY + "Exchange", book,
                     half_close=True) == [book]


def test_any_of_an_unknown_type_is_a_fault_of_the_request(library):
    book = {"attachment": {"@type": "type.googleapis.com/no.Such", "a": 1}}
    _, (code, reason) = call(library, LIBRARY + "Exchange", book)
    assert code == 4003
    assert "no.Such" in reason


@pytest.mark.parametrize("flags, genre", [
    ([], "GENRE_NOVEL"), (["--json-enums", "name"], "GENRE_NOVEL"),
    (["--json-enums", "number"], 1)])
def test_enums(start_library, flags, genre):
    gateway = start_library(*flags)
    # Requests may use either.
    for sent in ("GENRE_NOVEL", 1):
        assert call_json(gateway, LIBRARY + "Exchange", {"genre": sent},
                         half_close=True) == [{"genre": genre}]


# On the wire the server writes what it could leave out.
def test_default_value_on_the_wire_is_omitted(library):
    assert call_json(library, LIBRARY + "AddBooks", half_close=True) == [{}]


@pytest.mark.parametrize("book, field", [
    ({"genre": "GENRE_OPERA"}, "genre"),
    ({"author": {"fullName": "Ann", "age": 3}}, "author.age"),
    ({"copies": {"main": "many"}}, "copies"),
    ({"published": "yesterday"}, "published"),
    ({"pages": "9223372036854775808"}, "pages")])
def test_field_that_does_not_fit_is_named_with_its_path(library, book, field):
    _, (code, reason) = call(library, LIBRARY + "Exchange", book)
    assert code == 4003
    assert field in reason


# --- the four kinds, protobuf ---


def call_protobuf(gateway, method, *messages):
    answers, ending = call(gateway, LIBRARY + method, *messages,
                           subprotocols=(PROTOBUF,), half_close=True)
    assert ending == (1000, "")
    return answers


def test_unary_protobuf(library):
    answer, = call_protobuf(library, "GetBook", message((1, "Dune")))
    assert fields(answer)[1] == [b"Dune"]
    assert fields(answer)[4] == [9007199254740993]


def test_server_streaming_protobuf(library):
    assert call_protobuf(library, "ListBooks", message((1, 3))) == [
        message((1, f"book {i}")) for i in range(3)]


def test_client_streaming_protobuf(library):
    assert call_protobuf(library, "AddBooks", BOOK_BYTES, BOOK_BYTES) == [
        message((1, 2), (2, 824))]


def test_bidirectional_protobuf(library):
    answer, = call_protobuf(library, "Exchange", BOOK_BYTES)
    assert fields(answer) == fields(BOOK_BYTES)


# --- failures ---


def test_unknown_method_of_a_known_service(library):
    assert call(library, LIBRARY + "Burn", {})[1][0] == 4012


def test_unknown_service(library):
    assert call(library, "/library.v9.Nothing/Here", {})[1][0] == 4012


def test_failure_is_told(library):
    assert call(library, LIBRARY + "GetBook", {}) == (
        [], (4005, "no book without a title"))


# What the backend sent before its status is always delivered.
@pytest.mark.parametrize("count", [1, 7, 200])
def test_messages_before_a_failing_status_are_delivered(library, count):
    answers, ending = call(library, LIBRARY + "ListBooks",
                           {"count": count, "code": 10})
    assert [json.loads(answer)["title"] for answer in answers] == [
        f"book {i}" for i in range(count)]
    assert ending == (4010, f"after {count}")


def test_failure_in_the_middle_of_a_stream_in_its_envelope(start_library):
    gateway = start_library("--json-envelope", "result")
    answers, ending = call(gateway, LIBRARY + "ListBooks",
                           {"count": 1, "code": 5})
    assert [json.loads(answer) for answer in answers] == [
        {"result": {"title": "book 0"}},
        {"error": {"code": 5, "message": "after 1", "details": []}}]
    assert ending == (4005, "after 1")


def test_path_that_is_no_method_is_404(library):
    assert refusal(library, "/library") == 404


# --- a server that changes ---


def test_method_of_a_newer_server_is_found_without_a_restart(stack):
    old = LibraryServer()
    gateway = stack.enter_context(Gateway.serve(old.target))
    assert call_json(gateway, LIBRARY + "GetBook", {"title": "a"})
    ask = "/library.v2.Desk/Ask"
    assert call(gateway, ask, {"text": "not"})[1][0] == 4012
    old.stop()

    stack.enter_context(LibraryServer(old.port, "newer"))

    def ask_again():
        answers, (code, reason) = call(gateway, ask, {"text": "not"})
        # While the gateway has not found the server again, or asked it.
        assert code in (1000, 4012, 4014), reason
        return answers

    assert eventually(ask_again, "the new method") == ['{"text":"why not"}']
    # Each worker finds it again by itself.
    eventually(lambda: call(gateway, LIBRARY + "GetBook",
                            {"title": "a"})[1][0] == 1000, "the old method")


# --- a server without reflection ---


# Its methods are taken for bidirectional, and its messages as they are.
def test_protobuf_needs_no_reflection(stack):
    server = stack.enter_context(LibraryServer(0, "bare"))
    gateway = stack.enter_context(Gateway.serve(server.target))
    answer, = call_protobuf(gateway, "GetBook", message((1, "Dune")))
    assert fields(answer)[1] == [b"Dune"]
    assert call_protobuf(gateway, "ListBooks", message((1, 3))) == [
        message((1, f"book {i}")) for i in range(3)]
    assert call_protobuf(gateway, "AddBooks", BOOK_BYTES) == [
        message((1, 1), (2, 412))]


def test_json_needs_reflection_and_says_so(stack):
    server = stack.enter_context(LibraryServer(0, "bare"))
    gateway = stack.enter_context(Gateway.serve(server.target))
    answers, (code, reason) = call(gateway, LIBRARY + "GetBook", {})
    assert (answers, code) == ([], 4012)
    assert "descriptor" in reason or "reflection" in reason
