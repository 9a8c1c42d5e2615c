"""google.api.http: requests over plain HTTP and over WebSockets, by the rules
that the demo's LibraryService is annotated with (docs/protocol.md, "HTTP and
JSON")."""

import contextlib
import http.client
import json
import subprocess
import time
import urllib.parse
import uuid

import pytest

from client import Client, call, call_json, refusal
from harness import ROOT, TIMEOUT, Backend, Gateway, eventually, run
from reflecting import Reflection, ReflectingServer, file_of
from wire import RawClient

CLASSICS = "/v1/shelves/classics"


@pytest.fixture(scope="module")
def start_library(backend, tmp_path_factory):
    with contextlib.ExitStack() as stack:

        def start(route="", listener="", general=""):
            file = tmp_path_factory.mktemp("library") / "library.yaml"
            file.write_text(f"""
listeners: [{{address: "127.0.0.1:0"{listener}}}]
upstreams: [{{name: library, target: "{backend.target}"}}]
routes:
  - {{prefix: /v1, upstream: library, http_rules: true{route}}}
  - {{upstream: library}}
{general}
""")
            return stack.enter_context(
                Gateway.configured(file, "--drain", "2s"))

        yield start


@pytest.fixture(scope="module")
def library(start_library):
    return start_library()


# With a backend of its own, whose shelves hold what they began with.
@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    file = tmp_path_factory.mktemp("pristine") / "library.yaml"
    with Backend() as backend:
        file.write_text(f"""
listeners: [{{address: "127.0.0.1:0"}}]
upstreams: [{{name: library, target: "{backend.target}"}}]
routes: [{{prefix: /v1, upstream: library, http_rules: true}}]
""")
        with Gateway.configured(file) as gateway:
            yield gateway


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.body)

    def lines(self):
        return [json.loads(line) for line in self.body.splitlines()]


def request(gateway, verb, path, body=None, **headers):
    connection = http.client.HTTPConnection(gateway.host, gateway.port,
                                            timeout=TIMEOUT)
    with contextlib.closing(connection):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        connection.request(verb, path, body, {
            name.replace("_", "-"): value for name, value in headers.items()})
        return Answer(connection.getresponse())


def get(gateway, path, **headers):
    answer = request(gateway, "GET", path, **headers)
    assert answer.status == 200, answer.body
    return answer.json()


def titles(gateway, query):
    return [book["title"] for book in get(
        gateway, "/v1/shelves/-/books" + query).get("books", [])]


@pytest.fixture
def shelf():
    """The name of a shelf that no other test uses."""
    return f"shelves/{uuid.uuid4().hex}"


# --- templates, body, response_body ---


def test_a_variable_of_several_segments(library):
    book = get(library, CLASSICS + "/books/dune")
    assert book["name"] == "shelves/classics/books/dune"
    assert book["author"] == {"fullName": "Frank Herbert"}
    assert book["pages"] == "412"


# %2F is part of a segment, not a border of two.
def test_an_additional_binding_and_an_escaped_slash(library):
    book = get(library, "/v1/books/shelves%2Fclassics%2Fbooks%2Fdune")
    assert book["title"] == "Dune"
    assert request(library, "GET", "/v1/books/shelves/classics").status == 404


def test_response_body_is_one_field(library):
    found = get(library, CLASSICS + "/titles")
    assert [book["title"] for book in found] == ["Dune", "Emma"]
    assert get(library, "/v1/shelves/none/titles") == []


def test_body_is_one_field(library, shelf):
    made = request(library, "POST", f"/v1/{shelf}/books?book_id=b1",
                   {"title": "Sula", "pages": 174})
    assert made.status == 200
    assert made.json() == {"name": f"{shelf}/books/b1", "title": "Sula",
                           "pages": "174"}
    again = request(library, "POST", f"/v1/{shelf}/books?book_id=b1", {})
    assert (again.status, again.json()["code"]) == (409, 6)


# The path is stronger than the body: {book.name=...}.
def test_a_nested_variable_overrides_the_body(library, shelf):
    request(library, "POST", f"/v1/{shelf}/books?book_id=b", {"title": "a"})
    for verb in ("PATCH", "PUT"):
        changed = request(
            library, verb, f"/v1/{shelf}/books/b?update_mask=title,pages",
            {"name": "shelves/other/books/x", "title": verb, "pages": 7})
        assert changed.json() == {"name": f"{shelf}/books/b", "title": verb,
                                  "pages": "7"}


def test_verbs_after_the_colon_and_custom_ones(library, shelf):
    name = f"/v1/{shelf}/books/b"
    request(library, "POST", f"/v1/{shelf}/books?book_id=b", {"title": "a"})
    assert request(library, "POST", name + ":archive", {}).json()["archived"]
    assert request(library, "ARCHIVE", name).json()["archived"]
    moved = request(library, "POST", name + ":move", {"to": shelf + "2"})
    assert moved.json()["name"] == f"{shelf}2/books/b"
    assert request(library, "DELETE", f"/v1/{shelf}2/books/b").json() == {}
    gone = request(library, "GET", f"/v1/{shelf}2/books/b")
    assert (gone.status, gone.json()["code"]) == (404, 5)


# --- query parameters ---


@pytest.mark.parametrize("query,expected", [
    ("", ["Dune", "Emma", "Leaves of Grass"]),
    ("?page_size=1", ["Dune"]),
    ("?pageSize=1", ["Dune"]),
    ("?genres=GENRE_POEM", ["Leaves of Grass"]),
    ("?genres=GENRE_POEM&genres=1", ["Dune", "Emma", "Leaves of Grass"]),
    ("?filter.title_contains=un", ["Dune"]),
    ("?filter.author.full_name=Jane%20Austen", ["Emma"]),
    ("?filter.author.fullName=Jane+Austen", ["Emma"]),
    ("?published_after=1900-01-01T00:00:00Z", ["Dune"]),
    ("?archived=true", []),
    ("?copies[main]=2&copies[main2]=0&page_size=2", []),
    ("?copies[main]=2", ["Dune", "Emma", "Leaves of Grass"]),
])
def test_query_parameters(pristine, query, expected):
    assert titles(pristine, query) == expected


def test_field_mask(library):
    assert get(library, CLASSICS + "/books/dune?read_mask=title,pages") == {
        "title": "Dune", "pages": "412"}


@pytest.mark.parametrize("query,parameter", [
    ("?page_size=ten", "page_size"),
    ("?page_size=1&page_size=2", "page_size"),
    ("?genres=GENRE_OPERA", "genres"),
    ("?published_after=yesterday", "published_after"),
    ("?published_after=0001-01-01T00:00:00%2B01:00", "published_after"),
    ("?published_after=9999-12-31T23:59:59-01:00", "published_after"),
    ("?published_after=2026-01-01T00:00:00.0123456789Z", "published_after"),
    ("?copies=1", "copies"),
    ("?filter=x", "filter"),
    ("?colour=red", "colour"),
    ("?parent=shelves/x", "parent"),
    ("?filter.author=x", "filter.author"),
])
def test_faults_name_the_parameter(library, query, parameter):
    answer = request(library, "GET", CLASSICS + "/books" + query)
    assert answer.status == 400
    assert answer.json()["code"] == 3
    assert parameter in answer.json()["message"]


def test_unknown_parameters_can_be_ignored(start_library):
    library = start_library(", json: {unknown_fields: ignore}")
    assert len(get(library, CLASSICS + "/books?utm_source=x")["books"]) == 2


def test_body_faults_name_line_and_field(library, shelf):
    answer = request(library, "POST", f"/v1/{shelf}/books",
                     '{"title": "a",\n "pages": "many"}')
    assert answer.status == 400
    assert "line 2" in answer.json()["message"]
    assert "pages" in answer.json()["message"]
    answer = request(library, "POST", f"/v1/{shelf}/books", '{"title": ')
    assert answer.status == 400


# --- templates that services are published with ---


ODD_RULES = """
syntax = "proto3";
package headgate.demo.v1;
import "google/api/annotations.proto";
message HelloRequest { string greeting = 1; Nested nested = 2; }
message Nested { string x = 1; }
message HelloResponse { string reply = 1; }
service HelloService {
  rpc SayHello(HelloRequest) returns (HelloResponse) {
    option (google.api.http) = {
      get: "/v1/{greeting}:do"
      additional_bindings {get: "/v1/{greeting=p/*/d/*/**}/{nested.x}"}
      additional_bindings {get: "/"}
      additional_bindings {get: "/v1/things/"}
      additional_bindings {post: "/v1/{greeting=**}" body: "*"}
      additional_bindings {get: "/v1/shared"}
    };
  }
  rpc LotsOfReplies(HelloRequest) returns (stream HelloResponse) {
    option (google.api.http) = {
      get: "/v1/{greeting}:do:do"
      additional_bindings {post: "/v1/nested" body: "nested.x"}
      additional_bindings {post: "/v1/shared" body: "*"}
    };
  }
}
"""


@pytest.fixture(scope="module")
def odd(backend, tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    (folder / "odd.proto").write_text(ODD_RULES)
    subprocess.run(["protoc", f"-I{folder}", f"-I{ROOT / 'proto'}",
                    "--include_imports", f"--descriptor_set_out={folder}/odd.pb",
                    "odd.proto"], check=True)
    (folder / "odd.yaml").write_text(f"""
listeners: [{{address: "127.0.0.1:0"}}]
upstreams:
  - name: odd
    target: "{backend.target}"
    descriptors: {{reflection: false, files: [odd.pb]}}
routes:
  - {{prefix: /api, upstream: odd, strip_prefix: true, http_rules: true}}
  - {{prefix: /grpc, upstream: odd, strip_prefix: true}}
  - {{prefix: /, upstream: odd, http_rules: true}}
""")
    with Gateway.configured(folder / "odd.yaml") as gateway:
        yield gateway


def test_verb_with_colons(odd):
    assert get(odd, "/v1/ann:do") == {"reply": "hello, ann"}
    replies = request(odd, "GET", "/v1/ann:do:do").lines()
    assert len(replies) > 1 and "ann" in replies[0]["reply"]


def test_segments_behind_two_stars(odd):
    assert get(odd, "/v1/p/1/d/2/a/b/c") == {"reply": "hello, p/1/d/2/a/b"}
    assert get(odd, "/v1/p/1/d/2/c") == {"reply": "hello, p/1/d/2"}


def test_the_root_and_a_trailing_slash(odd):
    assert get(odd, "/") == {"reply": "hello, "}
    assert get(odd, "/v1/things/") == {"reply": "hello, "}
    assert request(odd, "GET", "/v1/things").status == 405  # POST.


# `body` names a field of the request itself; another method's rule would take
# the path, too.
def test_rule_that_cannot_be_used_keeps_its_path_from_others(odd):
    assert request(odd, "POST", "/v1/other", {}).json() == {
        "reply": "hello, other"}
    answer = request(odd, "POST", "/v1/nested", {})
    assert (answer.status, answer.json()["code"]) == (501, 12)
    assert "nested.x" in answer.json()["message"]
    odd.wait_for_log(
        "body: headgate.demo.v1.HelloRequest has no field nested.x")


def test_prefix_can_be_stripped(odd):
    assert get(odd, "/api/v1/ann:do") == {"reply": "hello, ann"}
    assert get(odd, "/api") == {"reply": "hello, "}
    allowed = request(odd, "OPTIONS", "/api/v1/ann:do").headers["Allow"]
    assert "GET" in allowed
    assert call_json(odd, "/grpc/headgate.demo.v1.HelloService/SayHello",
                     {"greeting": "ann"}) == [{"reply": "hello, ann"}]
    assert call_json(odd, "/api/v1/ann:do", subprotocols=()) == [
        {"reply": "hello, ann"}]
    assert refusal(odd, "/grpc/nothing") == 404


# --- rules of a service configuration, as grpc-gateway and Envoy take them ---


# A server without a single annotation that sends back what it gets.
PLAIN = file_of("""
    name: "things.proto" package: "things" syntax: "proto3"
    dependency: "google/protobuf/struct.proto"
    message_type {
      name: "Thing"
      field { name: "text" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
      field { name: "ids" number: 2 label: LABEL_REPEATED type: TYPE_INT32 }
      field { name: "value" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE
              type_name: ".google.protobuf.Value" }
      field { name: "structure" number: 4 label: LABEL_OPTIONAL
              type: TYPE_MESSAGE type_name: ".google.protobuf.Struct" }
      field { name: "list" number: 5 label: LABEL_OPTIONAL type: TYPE_MESSAGE
              type_name: ".google.protobuf.ListValue" }
      field { name: "count" number: 6 label: LABEL_OPTIONAL type: TYPE_INT64 }
    }
    service {
      name: "Things"
      method { name: "Get" input_type: ".things.Thing"
               output_type: ".things.Thing" }
      method { name: "List" input_type: ".things.Thing"
               output_type: ".things.Thing" }
      method { name: "Set" input_type: ".things.Thing"
               output_type: ".things.Thing" }
    }""")

RULES = """
type: google.api.Service
config_version: 3
name: things.example.com
apis: [{name: things.Things}]
http:
  rules:
    - selector: things.Things.Get
      get: /v1/{text=things/*}
      additional_bindings:
        - {get: "/v1/ids/{ids}"}
        - {post: "/v1/things", body: "*"}
    - selector: things.Things.List
      get: /v1/things
"""
MORE_RULES = """
http:
  rules:
    - {selector: things.Things.List, get: /v2/things, response_body: ids}
    - {selector: things.Things.Set, put: "/v1/{text=**}/broken/{ids=**}"}
    - {selector: things.Things.Gone, put: /v1/gone}
"""


@pytest.fixture
def things(configured, tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "more.yaml").write_text(MORE_RULES)
    with ReflectingServer(Reflection(PLAIN)) as server:
        yield configured(f"""
upstreams:
  - {{name: things, target: "{server.target}",
      http_rules_files: [rules.yaml, more.yaml]}}
routes:
  - {{upstream: things, prefix: /lax, strip_prefix: true, http_rules: true,
      json: {{unknown_fields: ignore}}}}
  - {{upstream: things, prefix: /, http_rules: true}}
""")


def test_rules_of_a_service_configuration(things, tmp_path):
    assert get(things, "/v1/things/a?count=1") == {
        "text": "things/a", "count": "1"}
    assert request(things, "POST", "/v1/things", {"text": "x"}).json() == {
        "text": "x"}
    # The last file counts.
    assert get(things, "/v2/things?ids=1&ids=2") == [1, 2]
    assert request(things, "GET", "/v1/things").status == 405
    eventually(lambda: "the selector things.Things.Gone names no method"
               in things.stderr(), "the log names the selector")
    (tmp_path / "more.new").write_text(MORE_RULES.replace("/v2/", "/v3/"))
    (tmp_path / "more.new").rename(tmp_path / "more.yaml")
    eventually(lambda: request(things, "GET", "/v3/things").status == 200,
               "the new rules")
    assert request(things, "GET", "/v2/things").status == 404


def test_repeated_field_in_the_path_is_a_list(things):
    assert get(things, "/v1/ids/1,2e1") == {"ids": [1, 20]}
    answer = request(things, "GET", "/v1/ids/1,x")
    assert (answer.status, answer.json()["code"]) == (400, 3)
    assert '"ids": must be an int32, is "x"' in answer.json()["message"].replace(
        "\\", "")


def test_json_in_the_query(things):
    assert get(things, "/v1/things/a?" + urllib.parse.quote(
        'value={"a":[1,null]}&structure={"b":{"c":true}}&list=[1,"x"]'
        "&count=1e3", safe="=&")) == {
        "text": "things/a", "value": {"a": [1, None]},
        "structure": {"b": {"c": True}}, "list": [1, "x"], "count": "1000"}
    for query in ["value=x", "structure=[]", "list={}", 'value={"a":1',
                  "count=1e99", "count=0x1"]:
        answer = request(things, "GET", "/v1/things/a?" + urllib.parse.quote(
            query, safe="=&"))
        assert (answer.status, answer.json()["code"]) == (400, 3), query


# As grpc-gateway does where a rule has no `body`; the call does not begin
# before it is clear that there is none.
def test_body_that_no_rule_wants(things):
    for body in ['{"text": "x"}', "no JSON", "x" * 100_000]:
        with RawClient(things) as client:
            client.send("GET /v1/things/a HTTP/1.1\r\nHost: localhost\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n".encode())
            time.sleep(0.1)
            client.send(body.encode())
            assert client.read_response().status == 400
        assert get_with_body(things, "/lax/v1/things/a", body) == {
            "text": "things/a"}


def get_with_body(gateway, path, body):
    answer = request(gateway, "GET", path, body)
    assert answer.status == 200, answer.body
    return answer.json()


# Another rule's template would take the path.
def test_template_that_does_not_parse_is_not_left_to_others(things):
    answer = request(things, "PUT", "/v1/things/broken/x")
    assert (answer.status, answer.json()["code"]) == (501, 12)
    assert "only one ** is allowed" in answer.json()["message"]
    eventually(lambda: "only one ** is allowed" in things.stderr(),
               "the log to name the template's fault")


def test_service_configuration_is_checked(tmp_path):
    (tmp_path / "rules.yaml").write_text("http:\n  rules:\n  - gett: /a\n")
    config = tmp_path / "headgate.yaml"
    config.write_text("upstreams: [{http_rules_files: [rules.yaml]}]\n")
    checked = run("check", config)
    assert checked.returncode == 1
    assert (f"upstreams[0].http_rules_files[0]: {tmp_path}/rules.yaml:3:5: "
            "http.rules[0].gett: there is no such key; did you mean 'get'?"
            in checked.stderr.decode()), checked.stderr


# --- paths and verbs that no rule has ---


def test_unknown_path(library):
    answer = request(library, "GET", "/v1/nothing/here")
    assert (answer.status, answer.json()["code"]) == (404, 5)


def test_unknown_verb_says_which_there_are(library):
    answer = request(library, "POST", CLASSICS + "/books/dune")
    assert answer.status == 405
    assert {"GET", "PUT", "PATCH", "DELETE"} <= set(
        verb.strip() for verb in answer.headers["Allow"].split(","))


# Where no rules are served a plain GET is still told to upgrade.
def test_other_routes_want_a_websocket(library):
    answer = request(library, "GET",
                     "/headgate.demo.v1.HelloService/SayHello")
    assert answer.status == 426


# --- streaming ---


def test_server_streaming_is_lines_of_json(library):
    answer = request(library, "GET", CLASSICS + "/books:stream")
    assert answer.status == 200
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert [book["title"] for book in answer.lines()] == ["Dune", "Emma"]


def test_envelope_as_grpc_gateway_has_it(start_library):
    library = start_library(", json: {envelope: result}")
    answer = request(library, "GET", CLASSICS + "/books:stream")
    assert [line["result"]["title"] for line in answer.lines()] == [
        "Dune", "Emma"]


def test_events(library):
    answer = request(library, "GET", CLASSICS + "/books:stream",
                     Accept="text/event-stream")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    retry, *events, end, rest = answer.body.decode().split("\n\n")
    assert (retry, rest) == ("retry: 3000", "")
    assert [json.loads(event.removeprefix("data: "))["title"]
            for event in events] == ["Dune", "Emma"]
    assert end == ('event: end\n'
                   'data: {"code":0,"message":"","details":[]}')


NOTES = (b"POST /v1/shelves/a/notes HTTP/1.1\r\nHost: localhost\r\n"
         b"Transfer-Encoding: chunked\r\nAccept: ")
RETRY = b"d\r\nretry: 3000\n\n\r\n"


# Its name is none that EventSource gives to failures of its own.
def test_failure_among_events(library):
    with RawClient(library) as client:
        client.send(NOTES + b"text/event-stream\r\n\r\n"
                    b'f\r\n{"text": "one"}\r\n')
        assert client.read_head()[0] == 200
        begin = RETRY + b'2a\r\ndata: {"shelf":"shelves/a","text":"one"}\n\n\r\n'
        assert client._take(len(begin)) == begin
        client.send(b"1\r\n]\r\n")
        failure, _, rest = client.receive_to_end().partition(b"\n\n")
        event, data = failure.partition(b"\r\n")[2].decode().split("\n")
        assert event == "event: status-error"
        assert json.loads(data.removeprefix("data: "))["error"]["code"] == 3
        assert rest == b"\r\n0\r\n\r\n"


# The backend has said that it is there; who waits for the first message of a
# stream should know.
def test_head_of_a_stream_does_not_wait_for_a_message(library):
    for accept, begin in ((b"*/*", b""), (b"text/event-stream", RETRY)):
        with RawClient(library) as client:
            client.send(NOTES + accept + b"\r\n\r\n")
            status, headers = client.read_head()
            assert status == 200
            assert ("grpc-metadata-library-branch", "main") in headers
            assert client._take(len(begin)) == begin


def test_comments_keep_a_stream_of_events_alive(start_library):
    library = start_library(general="keepalive: {interval: 500ms}")
    with RawClient(library) as client:
        client.send(NOTES + b"text/event-stream\r\n\r\n")
        assert client.read_head()[0] == 200
        assert client._take(len(RETRY)) == RETRY
        assert client._take(20) == b"3\r\n:\n\n\r\n" * 2 + b"3\r\n:"


# RFC 9110 section 12.4.2: a weight of 0 is "not acceptable".
@pytest.mark.parametrize("accept, media_type", [
    ("text/event-stream;q=0", "application/json"),
    ("text/event-stream; q=0.0, */*", "application/json"),
    ("text/event-stream;q=0.1, application/json", "application/json"),
    ("text/event-stream;q=0.1", "text/event-stream"),
    ("application/json;q=0.5, text/event-stream", "text/event-stream")])
def test_events_are_for_those_who_accept_them(library, accept, media_type):
    answer = request(library, "GET", CLASSICS + "/books:stream", Accept=accept)
    assert answer.headers["Content-Type"] == media_type


def test_client_streaming(library, shelf):
    body = "\n".join(json.dumps({"bookId": f"b{i}", "book": {"pages": i}})
                     for i in range(1, 4))
    answer = request(library, "POST", f"/v1/{shelf}/books:add", body)
    assert answer.json() == {"books": 3, "pages": "6"}


# Path and query belong to the first message only.
def test_bidirectional(library):
    answer = request(library, "POST", "/v1/shelves/a/notes",
                     '{"text": "one"}{"shelf": "shelves/b", "text": "two"}')
    assert answer.lines() == [{"shelf": "shelves/a", "text": "one"},
                              {"shelf": "shelves/b", "text": "two"}]


# Each answer leaves at once, while the request is still being sent.
def test_an_answer_does_not_wait_for_the_rest(library):
    with RawClient(library) as client:
        client.send(b"POST /v1/shelves/a/notes HTTP/1.1\r\nHost: localhost\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n")
        for text in ("one", "two"):
            body = json.dumps({"text": text}).encode()
            client.send(b"%x\r\n%s\r\n" % (len(body), body))
            data = b""
            while text.encode() not in data:
                data += client.receive_some()
        client.send(b"0\r\n\r\n")
        while not data.endswith(b"0\r\n\r\n"):
            data += client.receive_some()


# --- google.api.HttpBody ---


def test_http_body_both_ways(library):
    path = f"/v1/files/a/b/{uuid.uuid4().hex}"
    picture = bytes(range(256)) * 20
    stored = request(library, "POST", path, picture, Content_Type="image/x")
    assert stored.json() == {"path": path.removeprefix("/v1/files/"),
                             "contentType": "image/x", "bytes": "5120"}
    answer = request(library, "GET", path)
    assert (answer.status, answer.body) == (200, picture)
    assert answer.headers["Content-Type"] == "image/x"
    answer = request(library, "GET", path.replace("files", "streams"))
    assert (answer.body, answer.headers["Content-Type"]) == (picture, "image/x")
    missing = request(library, "GET", "/v1/files/none")
    assert (missing.status, missing.json()["code"]) == (404, 5)


# --- HTTP itself ---


def test_keep_alive_and_pipelining(library):
    with RawClient(library) as client:
        one = (f"GET {CLASSICS}/books/dune?read_mask=title HTTP/1.1\r\n"
               "Host: localhost\r\n\r\n").encode()
        two = one.replace(b"dune", b"emma")
        client.send(one + two + one.replace(b"dune", b"none"))
        assert client.read_response().json() == {"title": "Dune"}
        assert client.read_response().json() == {"title": "Emma"}
        assert client.read_response().status == 404
        client.send(one)
        assert client.read_response().status == 200


# RFC 9112 sections 2.2, 5.2, 6 and 7.1: what a proxy in front could take for
# another request than the gateway does is 400, and nothing behind it is read.
LENGTH = b"Content-Length: 2\r\n\r\n{}"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"2\r\n{}\r\n0\r\n\r\n"
UNCLEAR = {
    "folded coding": b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKS,
    "folded header": b"X: a\r\n b\r\n" + LENGTH,
    "blank line": b"X: a\r\n\t\r\n" + LENGTH,
    "bare LF": b"X: a\nY: b\r\n" + LENGTH,
    "bare CR": b"X: a\rY: b\r\n" + LENGTH,
    "blank before the colon": b"X : a\r\n" + LENGTH,
    "signed length": b"Content-Length: +2\r\n\r\n{}",
    "list of lengths": b"Content-Length: 2,2\r\n\r\n{}",
    "two lengths": b"Content-Length: 2\r\n" + LENGTH,
    "length and coding": b"Content-Length: 2\r\n" + CHUNKED + CHUNKS,
    "two codings": b"Transfer-Encoding: chunked\r\n" + CHUNKED + CHUNKS,
    "size and a blank": CHUNKED + b"2 \r\n{}\r\n0\r\n\r\n",
    "size and text": CHUNKED + b"2 x\r\n{}\r\n0\r\n\r\n",
    "size with 0x": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "signed size": CHUNKED + b"+2\r\n{}\r\n0\r\n\r\n",
    "bare LF after a size": CHUNKED + b"2\n{}\r\n0\r\n\r\n",
    "many zeros": CHUNKED + b"0" * 10000 + CHUNKS,
    "long extension": CHUNKED + b"2;" + b"x" * 10000 + b"\r\n{}\r\n0\r\n\r\n",
    "many extensions":
        CHUNKED + 20 * (b"1;" + b"x" * 1000 + b"\r\n \r\n") + CHUNKS,
    "folded trailer": CHUNKED + b"2\r\n{}\r\n0\r\nA: b\r\n c\r\n\r\n",
    "blank in a trailer": CHUNKED + b"2\r\n{}\r\n0\r\nA : b\r\n\r\n",
}


@pytest.mark.parametrize("rest", UNCLEAR.values(), ids=UNCLEAR.keys())
def test_framing_that_is_not_clear_is_400(library, shelf, rest):
    head = f"POST /v1/{shelf}/books HTTP/1.1\r\nHost: localhost\r\n".encode()
    smuggled = f"GET {CLASSICS}/books/dune HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with RawClient(library) as client:
        client.send(head + rest + smuggled.encode())
        response = client.read_response()
        assert response.status == 400
        assert response.header("Connection") == "close"
        assert client.at_end()


# RFC 9110 section 4.2.3.
def test_address_without_a_path_is_of_the_root(library):
    with RawClient(library) as client:
        client.send(b"GET http://localhost HTTP/1.1\r\nHost: localhost\r\n"
                    b"\r\n")
        response = client.read_response()
        assert response.json()["message"] == "nothing is served at /"


# RFC 9110 sections 4.2.1 and 4.2.4: refused like a bad Host.
@pytest.mark.parametrize("address", (
    "http://localhost@localhost", "http://user:pass@localhost", "http://",
    "http://:80"))
def test_address_needs_a_host_and_takes_no_userinfo(library, address):
    with RawClient(library) as client:
        client.send(f"GET {address}{CLASSICS}/books/dune HTTP/1.1\r\n"
                    "Host: localhost\r\n\r\n".encode())
        response = client.read_response()
        assert response.status == 400
        assert response.json()["message"] == ("the request's target is not a "
                                              "path")


def test_line_feeds_are_no_empty_lines_before_a_request(library):
    request = f"GET {CLASSICS}/books/dune HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for before, status in ((b"\r\n\r\n", 200), (b"\n", 400), (b"\r\r\n", 400)):
        with RawClient(library) as client:
            client.send(before + request.encode())
            assert client.read_response().status == status


def test_chunks_may_have_extensions_and_trailers(library, shelf):
    with RawClient(library) as client:
        client.send(f"POST /v1/{shelf}/books HTTP/1.1\r\n".encode()
                    + b"Host: localhost\r\n" + CHUNKED + b'2 ;a="b";c\r\n{}\r\n0\r\nX: y\r\n\r\n')
        assert client.read_response().status == 200


def test_close_is_honoured(library):
    with RawClient(library) as client:
        client.send((f"GET {CLASSICS}/books/dune HTTP/1.1\r\n"
                     "Host: localhost\r\n"
                     "Connection: close\r\n\r\n").encode())
        response = client.read_response()
        assert response.status == 200
        assert "close" in response.header("Connection").lower()
        assert client.at_end()


def test_100_continue(library, shelf):
    with RawClient(library) as client:
        client.send((f"POST /v1/{shelf}/books HTTP/1.1\r\nHost: localhost\r\n"
                     "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
                     ).encode())
        assert client.read_response().status == 100
        client.send(b"{}")
        assert client.read_response().status == 200
        # What is refused anyway is not asked for.
        client.send(b"POST /v1/nothing HTTP/1.1\r\nHost: localhost\r\n"
                    b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert client.read_response().status == 404


def test_head(library):
    answer = request(library, "HEAD", CLASSICS + "/books/dune")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["Content-Length"]) == len(
        request(library, "GET", CLASSICS + "/books/dune").body)


def test_a_body_that_is_too_big(start_library, shelf):
    library = start_library(", max_message_bytes: 1KiB")
    answer = request(library, "POST", f"/v1/{shelf}/books",
                     {"title": "x" * 2000})
    assert answer.status == 413


# GetBook says which branch it is, and gives x-reader back.
def test_metadata_comes_back_as_headers(library):
    answer = request(library, "GET", CLASSICS + "/books/dune",
                     Grpc_Metadata_X_Reader="ann")
    assert answer.headers["Grpc-Metadata-Library-Branch"] == "main"
    assert answer.headers["Grpc-Metadata-X-Reader"] == "ann"
    assert "Library-Books" not in str(answer.headers)


def test_trailers_come_to_those_who_ask(library):
    with RawClient(library) as client:
        client.send((f"GET {CLASSICS}/books/dune HTTP/1.1\r\n"
                     "Host: localhost\r\n"
                     "TE: trailers\r\nConnection: TE, close\r\n\r\n").encode())
        data = client.receive_to_end().decode()
    head, _, rest = data.partition("\r\n\r\n")
    assert "transfer-encoding: chunked" in head.lower()
    assert "\r\ntrailer: " in head.lower()
    assert "\r\n0\r\ngrpc-trailer-library-books: " in rest.lower()


@pytest.mark.parametrize("origin,allowed", [
    ("https://app.example.com", True), ("https://evil.test", False)])
def test_cors(start_library, origin, allowed):
    library = start_library(
        listener=', allowed_origins: ["https://*.example.com"]')
    answer = request(library, "GET", CLASSICS + "/books/dune", Origin=origin)
    assert answer.status == (200 if allowed else 403)
    assert answer.headers["Access-Control-Allow-Origin"] == (
        origin if allowed else None)
    preflight = request(library, "OPTIONS", CLASSICS + "/books/dune",
                        Origin=origin,
                        Access_Control_Request_Method="PATCH",
                        Access_Control_Request_Headers="content-type")
    assert preflight.status == (204 if allowed else 403)
    if allowed:
        assert preflight.headers["Access-Control-Allow-Origin"] == origin
        assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
        assert "content-type" in preflight.headers[
            "Access-Control-Allow-Headers"].lower()


def test_the_upstream_is_away(stack, tmp_path):
    file = tmp_path / "g.yaml"
    file.write_text("""
listeners: [{address: "127.0.0.1:0"}]
upstreams: [{name: away, target: "127.0.0.1:1"}]
routes: [{prefix: /v1, upstream: away, http_rules: true}]
""")
    gateway = stack.enter_context(Gateway.configured(file))
    answer = request(gateway, "GET", "/v1/x")
    assert (answer.status, answer.json()["code"]) == (503, 14)


# --- the same rules on a WebSocket ---


def test_websocket_of_a_get_starts_at_once(library):
    assert call_json(library, CLASSICS + "/books:stream?page_size=1",
                     subprotocols=())[0]["title"] == "Dune"


def test_websocket_messages_are_the_body(library):
    answers, ending = call(library, "/v1/shelves/a/notes",
                           '{"text": "one"}', '{"text": "two"}',
                           subprotocols=(), half_close=True)
    assert ending == (1000, "")
    assert [json.loads(answer) for answer in answers] == [
        {"shelf": "shelves/a", "text": "one"},
        {"shelf": "shelves/a", "text": "two"}]


# A client that only connects, or half-closes, must not have updated anything.
def test_websocket_of_several_verbs_is_the_get(library):
    with Client(library, CLASSICS + "/books/dune") as client:
        assert client.receive_json()["title"] == "Dune"
        assert client.receive_close() == (1000, "")
    listed, = call_json(library, CLASSICS + "/books", subprotocols=())
    assert [book["title"] for book in listed["books"]] == ["Dune", "Emma"]


# It was opened for a stream.
def test_websocket_of_several_verbs_is_the_one_that_streams(odd):
    assert get(odd, "/v1/shared?greeting=ann") == {"reply": "hello, ann"}
    assert call_json(odd, "/v1/shared", {"greeting": "bob"},
                     subprotocols=()) == [
        {"reply": f"hello, bob ({i})"} for i in range(1, 11)]


# GET before POST before PUT before PATCH before DELETE; ?method= chooses where
# the route allows it.
def test_websocket_method_override(start_library, shelf):
    library = start_library(", method_override: method")
    made, = call_json(library, f"/v1/{shelf}/books?book_id=b&method=POST",
                      {"title": "Sula"}, subprotocols=())
    assert made["title"] == "Sula"
    listed, = call_json(library, f"/v1/{shelf}/books", subprotocols=())
    assert [book["title"] for book in listed["books"]] == ["Sula"]
    changed, = call_json(
        library, f"/v1/{shelf}/books/b?update_mask=title&method=put",
        {"title": "Jazz"}, subprotocols=())
    assert changed["title"] == "Jazz"
    assert refusal(library, f"/v1/{shelf}/books?method=PATCH") == 404


def test_websocket_refusals(library):
    assert refusal(library, "/v1/nothing") == 404
    assert refusal(library, "/v1/shelves/a/notes",
                   "headgate.protobuf.v1") == 400
    answers, (code, reason) = call(
        library, CLASSICS + "/books:stream?page_size=x", subprotocols=())
    assert (answers, code) == ([], 4003)
    assert "page_size" in reason
