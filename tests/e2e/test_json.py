"""The JSON codec: a stream of proto3 JSON objects, an answer a line
(docs/protocol/json.md)."""

import base64
import json

import pytest

from client import ECHO, HELLO, JSON, Client, call, call_json
from reflecting import Reflection, ReflectingServer, file_of
from wire import BINARY, TEXT, RawClient, message

BIDI = HELLO + "BidiHello"
CHAT = "/headgate.demo.v1.ChatService/Join"


def greet(gateway, *pieces, subprotocols=(JSON,)):
    """Sends pieces of JSON to BidiHello and returns the replies."""
    answers = call_json(gateway, BIDI, *pieces, subprotocols=subprotocols,
                        half_close=True)
    return [answer["reply"] for answer in answers]


# --- the bytes that the client sends are one stream ---


ANN, BOB = '{"greeting":"ann"}', '{"greeting":"bob"}'


@pytest.mark.parametrize("pieces", [
    [ANN, BOB],
    [ANN + "\n" + BOB + "\n"],
    [ANN + BOB],
    [f"  {ANN} \r\n\t\n {BOB}  "],
    [ANN + "\n" + BOB[:7], BOB[7:]],
    [ANN[:1], ANN[1:-1], ANN[-1:] + BOB],
    list(ANN + BOB),
    ["\n", ANN, "\n", "   ", BOB],
    ["{\n", '"greeting"', ": ", '"ann"', "\n}", BOB],
])
def test_messages_may_be_cut_and_joined_anywhere(demo, pieces):
    assert greet(demo, *pieces) == ["hello, ann", "hello, bob"]


# The opcode of what the client sends does not matter; answers are text.
@pytest.mark.parametrize("pieces", [
    [ANN.encode(), BOB.encode()], [ANN.encode(), BOB],
    [ANN[:5].encode(), ANN[5:], BOB.encode()]])
def test_binary_messages_count_as_well(demo, pieces):
    assert greet(demo, *pieces) == ["hello, ann", "hello, bob"]


# Even a character may be cut in two: its halves are no text messages then.
def test_character_cut_in_two(demo):
    data = '{"greeting":"žluť"}'.encode()
    cut = data.index("ž".encode()) + 1
    assert greet(demo, data[:cut], data[cut:]) == ["hello, žluť"]


def test_text_without_subprotocol_is_json(demo):
    assert greet(demo, ANN, subprotocols=()) == ["hello, ann"]


def test_empty_binary_message_is_no_half_close(demo):
    with Client(demo, BIDI, JSON) as client:
        client.send(b"", ANN)
        assert client.receive_json() == {"reply": "hello, ann"}
        client.half_close()
        assert client.receive_close() == (1000, "")


def test_each_answer_is_one_text_message_of_one_line(demo):
    with RawClient(demo) as client:
        client.upgrade(BIDI)
        client.send_frame(TEXT, ANN.encode() + BOB.encode())
        assert client.read_message() == (TEXT, b'{"reply":"hello, ann"}')
        assert client.read_message() == (TEXT, b'{"reply":"hello, bob"}')


@pytest.mark.parametrize("greeting", [
    "", "ž", "\U0001f600", 'quo"te', "back\\slash", "line\nbreak", "\u0000",
    "\u2028", "</script>", "x" * 100000])
def test_any_string_survives(demo, greeting):
    assert greet(demo, json.dumps({"greeting": greeting})) == [
        f"hello, {greeting}"]


# --- what does not fit ---


def fault(gateway, *pieces, path=BIDI, half_close=False):
    """The reason of the ending, which must be INVALID_ARGUMENT."""
    _, (code, reason) = call(gateway, path, *pieces, half_close=half_close)
    assert code == 4003
    return reason


@pytest.mark.parametrize("pieces, place", [
    (["}"], "line 1, byte 0"),
    (['{"greeting" "ann"}'], "line 1, byte 12"),
    ([ANN + "\n" + ANN + "\n{]"], f"line 3, byte {2 * len(ANN) + 3}"),
    ([ANN, "\n\n", "x"], f"line 3, byte {len(ANN) + 2}"),
    (['{"greet', 'ing":nope}'], "line 1, byte 13"),
    (["{'greeting':1}"], "line 1, byte 1"),
    ([b'{"greeting":"\xff"}'], "line 1, byte 13"),
    (["[" * 200], "line 1, byte"),
])
def test_invalid_json_is_told_with_line_and_byte(demo, pieces, place):
    assert place in fault(demo, *pieces)


@pytest.mark.parametrize("text, field", [
    ('{"greeting": {}}', "greeting"),
    ('{"nope": 1}', "nope"),
    ('{"greeting": "a", "more": {"x": 1}}', "more"),
])
def test_field_that_does_not_fit_is_named(demo, text, field):
    reason = fault(demo, text)
    assert "line 1, byte" in reason
    assert field in reason


def test_field_deep_inside_is_named_with_its_path(demo):
    reason = fault(demo, '{"type": 1, "packets": [{"who": 1}, {"who": "x"}]}',
                   path="/packets")
    assert "packets[1].who" in reason


@pytest.mark.parametrize("text", ["[]", "1", '"ann"', "true"])
def test_json_that_is_no_object_is_an_error(demo, text):
    assert fault(demo, text, half_close=True)


# Never a silent half-close.
def test_half_close_inside_an_object_is_an_error(demo):
    assert "line 1, byte 10" in fault(demo, ANN[:10], half_close=True)


def test_answers_to_what_came_before_the_fault_are_not_lost(demo):
    with Client(demo, BIDI, JSON) as client:
        client.send(ANN)
        assert client.receive_json() == {"reply": "hello, ann"}
        client.send("oops")
        code, _ = client.receive_close()
    assert code == 4003


# --- options ---


# messageType is its name in JSON, message_type its own.
@pytest.mark.parametrize("flags, name", [
    ([], "messageType"), (["--json-field-names", "json"], "messageType"),
    (["--json-field-names", "proto"], "message_type")])
def test_field_names(start_demo, flags, name):
    gateway = start_demo(*flags)
    with Client(gateway, CHAT, JSON) as client:
        # Requests may use either.
        for sent in ("messageType", "message_type"):
            client.send({sent: "text", "data": "hi"})
            assert client.receive_json() == {name: "text", "data": "hi"}


@pytest.mark.parametrize("flags, answer", [
    ([], {}), (["--json-unpopulated", "omit"], {}),
    (["--json-unpopulated", "emit"], {"index": "0", "payload": ""})])
def test_unpopulated_fields(start_demo, flags, answer):
    assert call_json(start_demo(*flags), ECHO + "Flood", {"count": 1}) == [
        answer]


@pytest.mark.parametrize("value", ["reject", "ignore"])
def test_unknown_fields(start_demo, value):
    gateway = start_demo("--json-unknown-fields", value)
    answers, (code, reason) = call(
        gateway, HELLO + "SayHello", {"greeting": "ann", "nope": {"a": [1]}})
    if value == "ignore":
        assert (answers, code) == (['{"reply":"hello, ann"}'], 1000)
    else:
        assert (answers, code) == ([], 4003)
        assert "nope" in reason


# int64 is a string in proto3's JSON, bytes are base64, Duration "1.5s".
def test_well_known_forms(demo):
    assert call_json(demo, ECHO + "Sink", {"payload": "AAEC", "delay": "0.01s"},
                     {"payload": base64.b64encode(b"abc").decode()},
                     half_close=True) == [{"messages": "2", "bytes": "6"}]


# RFC 8259, by the names that protobuf's conformance suite has for them;
# script/conformance runs the suite itself.
NOT_JSON = {
    "JsonWithComments": '{"greeting": "a" // b\n}',
    "JsonWithBlockComments": '{/* a */"greeting": "a"}',
    "FieldNameNotQuoted": '{greeting: "a"}',
    "StringFieldSingleQuoteKey": """{'greeting': "a"}""",
    "StringFieldSingleQuoteValue": """{"greeting": 'a'}""",
    "StringFieldSingleQuoteBoth": """{'greeting': 'a'}""",
    "StringFieldInvalidEscape": r'{"greeting": "\x"}',
    "StringFieldUnterminatedEscape": r'{"greeting": "\u12"}',
    "StringFieldUppercaseEscapeLetter": r'{"greeting": "\U8C37"}',
    "StringFieldUnpairedHighSurrogate": r'{"greeting": "\ud800"}',
    "StringFieldUnpairedLowSurrogate": r'{"greeting": "\udc00"}',
    "StringFieldSurrogateInWrongOrder": r'{"greeting": "\ude01\ud83d"}',
    "StringEndsWithEscapeChar": '{"greeting": "a\\',
    "StringWithControlCharacter": '{"greeting": "a\nb"}',
    "TrailingCommaInAnObject": '{"greeting": "a",}',
    "TrailingCommaInAnObjectWithSpace": '{"greeting": "a" , }',
    "TrailingCommaInAnObjectWithSpaceCommaSpace": '{"greeting": "a" , , }',
    "TrailingCommaInAnObjectWithNewlines": '{\n"greeting": "a",\n}',
    "RepeatedFieldTrailingComma": '{"greeting": ["a",]}',
    "RepeatedFieldTrailingCommaWithSpaceCommaSpace": '{"greeting": ["a", , ]}',
    "MissingCommaOneLine": '{"greeting": "a" "greeting": "b"}',
    "MissingCommaMultiline": '{"greeting": "a"\n"greeting": "b"}',
    "BoolFieldAllCapitalTrue": '{"greeting": TRUE}',
    "BoolFieldCamelCaseTrue": '{"greeting": True}',
    "DoubleFieldNanNotQuoted": '{"greeting": NaN}',
    "DoubleFieldInfinityNotQuoted": '{"greeting": Infinity}',
    "DoubleFieldNegativeInfinityNotQuoted": '{"greeting": -Infinity}',
    "Int32FieldPlusSign": '{"greeting": +1}',
    "Int32FieldLeadingZero": '{"greeting": 01}',
    "Int32FieldNegativeWithLeadingZero": '{"greeting": -01}',
    "NumberWithoutFraction": '{"greeting": 1.}',
    "MapKeyNotQuoted": '{1: "a"}',
    "ByteOrderMark": '\ufeff{}',
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_what_is_not_json_is_refused(demo, name):
    answers, (code, reason) = call(demo, BIDI, NOT_JSON[name],
                                   half_close=True)
    assert (answers, code) == ([], 4003), reason


VALUES = file_of("""
    name: "values.proto" package: "values" syntax: "proto3"
    dependency: "google/protobuf/struct.proto"
    message_type {
      name: "One"
      field { name: "value" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
              type_name: ".google.protobuf.Value" }
    }
    service { name: "Values" method {
      name: "Echo" input_type: ".values.One" output_type: ".values.One" } }
    """)


# The same for requests, which the gateway refuses, and responses.
@pytest.mark.parametrize("depth", [3, 100, 1000])
def test_depth_is_a_setting(configured, depth):
    with ReflectingServer(Reflection(VALUES)) as server:
        setting = "" if depth == 100 else f", json: {{max_depth: {depth}}}"
        gateway = configured(f"""
upstreams: [{{target: "{server.target}"}}]
routes: [{{prefix: /{setting}}}]
""")
        lists = "[" * (depth - 1) + "]" * (depth - 1)
        text = '{"value":' + lists + "}"
        assert call(gateway, "/values.Values/Echo", text) == (
            [text], (1000, ""))
        answers, (code, reason) = call(gateway, "/values.Values/Echo",
                                       '{"value":[' + lists + "]}")
        assert (answers, code) == ([], 4003), reason


# --- envelopes ---


DETAIL = {"@type": "type.googleapis.com/headgate.demo.v1.HelloRequest",
          "greeting": "why"}
FAIL = {"code": 5, "message": "no such thing", "details": [DETAIL]}


def start_with(start_demo, shape):
    return start_demo("--json-envelope", "result", "--json-error-shape",
                      f"grpc-gateway-{shape}")


def test_without_envelope_the_close_frame_alone_tells_a_failure(demo):
    assert call(demo, ECHO + "Fail", FAIL) == ([], (4005, "no such thing"))


def test_details_of_a_known_type_are_json(start_demo):
    answers, ending = call(start_with(start_demo, "v2"), ECHO + "Fail", FAIL)
    assert [json.loads(answer) for answer in answers] == [
        {"code": 5, "message": "no such thing", "details": [DETAIL]}]
    assert ending == (4005, "no such thing")


def test_error_of_a_unary_method_in_v1_has_no_details(start_demo):
    answers, ending = call(start_with(start_demo, "v1"), ECHO + "Fail", FAIL)
    assert [json.loads(answer) for answer in answers] == [
        {"error": "no such thing", "message": "no such thing", "code": 5}]
    assert ending == (4005, "no such thing")


@pytest.mark.parametrize("shape", ["v1", "v2"])
def test_error_of_a_streaming_method(start_demo, shape):
    # The backend refuses a negative count.
    answers, (code, reason) = call(start_with(start_demo, shape),
                                   ECHO + "Flood", {"count": -1})
    assert code == 4003
    error = {"code": 3, "message": reason, "details": []}
    if shape == "v1":
        error = {"grpc_code": 3, "http_code": 400, "message": reason,
                 "http_status": "Bad Request", "details": []}
    assert [json.loads(answer) for answer in answers] == [{"error": error}]


# Also where the fault is the client's and the gateway's to find.
def test_invalid_json_is_told_in_the_envelope(start_demo):
    answers, (code, reason) = call(start_with(start_demo, "v2"), BIDI, "oops")
    assert code == 4003
    error = json.loads(answers[-1])["error"]
    assert error["code"] == 3
    assert error["message"].startswith(reason)


# --- envelope: status ---


LIBRARY = "/headgate.demo.v1.LibraryService/"


def status_of(answers):
    return json.loads(answers[-1])["status"]


def test_the_status_message_comes_last_where_the_route_has_it(start_demo):
    demo = start_demo("--json-envelope", "status")
    answers, ending = call(demo, ECHO + "Fail", FAIL)
    assert status_of(answers) == {**FAIL, "trailers": {}}
    assert ending == (4005, "no such thing")


def test_a_client_asks_for_the_status_message(demo):
    answers, ending = call(demo, BIDI + "?status=1", ANN,
                           half_close=True)
    assert [json.loads(answer) for answer in answers] == [
        {"reply": "hello, ann"},
        {"status": {"code": 0, "message": "", "details": [], "trailers": {}}}]
    assert ending == (1000, "")
    answers, ending = call(demo, ECHO + "Fail?status=1", FAIL)
    assert status_of(answers)["details"] == [DETAIL]
    assert ending == (4005, "no such thing")
    assert call(demo, ECHO + "Fail?status=0", FAIL)[0] == []


def test_metadata_is_around_the_answers(demo):
    answers, ending = call(demo, LIBRARY + "GetBook?status=1",
                           {"name": "shelves/none/books/none"},
                           headers=[("Grpc-Metadata-X-Reader", "ann")])
    assert json.loads(answers[0]) == {
        "headers": {"library-branch": ["main"], "x-reader": ["ann"]}}
    assert status_of(answers)["code"] == 5
    assert list(status_of(answers)["trailers"]) == ["library-books"]
    assert ending[0] == 4005


# Also where the fault is the client's.
def test_invalid_json_is_told_in_the_status(demo):
    answers, (code, reason) = call(demo, BIDI + "?status=1", "oops")
    assert code == 4003
    assert status_of(answers)["code"] == 3
    assert status_of(answers)["message"].startswith(reason)


@pytest.mark.parametrize("path, messages, answers", [
    ("SayHello", [ANN], [{"reply": "hello, ann"}]),
    ("LotsOfGreetings", [ANN, BOB], [{"reply": "hello, ann and bob"}]),
    ("BidiHello", [ANN, BOB], [{"result": {"reply": "hello, ann"}},
                               {"result": {"reply": "hello, bob"}}]),
    ("LotsOfReplies", [ANN], [{"result": {"reply": f"hello, ann ({i})"}}
                              for i in range(1, 11)]),
])
@pytest.mark.parametrize("shape", ["v1", "v2"])
def test_answers_of_streaming_methods_are_results(start_demo, path, messages,
                                                  answers, shape):
    gateway = start_with(start_demo, shape)
    assert call_json(gateway, HELLO + path, *messages,
                     half_close=True) == answers


# --- the chat ---


def test_chat_sends_to_everyone_the_sender_included(demo):
    with Client(demo, "/chat") as ann, Client(demo, "/chat") as bob:
        # Each says something first, so that both are known to be there.
        ann.send({"messageType": "text", "data": "ann is here"})
        assert ann.receive_json()["data"] == "ann is here"
        bob.send({"messageType": "text", "data": "bob is here"})
        assert bob.receive_json()["data"] in ("ann is here", "bob is here")
        assert ann.receive_json() == {"messageType": "text",
                                      "data": "bob is here"}
        ann.send({"messageType": "image", "data": "cat.png"})
        assert ann.receive_json()["data"] == "cat.png"


def test_answer_that_comes_before_the_codec_is_known_waits_for_it(demo):
    with Client(demo, CHAT) as early, Client(demo, CHAT, JSON) as other:
        # The demo backend sends to everyone; `early` has not said a word.
        other.send({"data": "first"})
        assert other.receive_json() == {"data": "first"}
        early.send({"data": "second"})
        assert {"data": "second"} in [early.receive_json() for _ in range(2)]


def test_json_is_not_for_a_method_without_descriptors(demo):
    answers, (code, reason) = call(demo, "/nobody.Knows/This", "{}")
    assert (answers, code) == ([], 4012)
    assert reason


def test_protobuf_bytes_are_no_json(demo):
    with RawClient(demo) as client:
        client.upgrade(BIDI, [("Sec-WebSocket-Protocol", JSON)])
        client.send_frame(BINARY, message((1, "ann")))
        assert client.read_close()[0] == 4003
