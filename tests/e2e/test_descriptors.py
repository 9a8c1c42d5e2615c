"""Descriptors as servers really have them, and what they cost
(docs/operations.md, "Descriptors")."""

import base64
import contextlib
import http.client
import json
import re
import threading
import time

import grpc
import pytest
from google.protobuf import any_pb2, descriptor_pb2

from certificates import Authority
from client import HELLO, JSON, Client, call, call_json
from foreign import LibraryServer
from harness import TIMEOUT, Gateway, eventually, run
from hub_backend import Command, HubBackend, Payload, pb
from reflecting import V1, ReflectingServer, Reflection, file_of
from wire import END_PACKET, fields, packet, parse_packets


def upstream(target, *lines):
    more = "".join(f"\n    {line}" for line in lines)
    return f"""
upstreams:
  - name: one
    target: "{target}"{more}
routes: [{{upstream: one}}]
"""


def service_file(name="A", package="a", methods=("Get",), imports=(),
                 field=""):
    """A file "NAME.proto": a service whose methods send back messages with a
    text and, perhaps, a `field`."""
    return file_of(f"""
        name: "{name}.proto" package: "{package}" syntax: "proto3"
        {' '.join(f'dependency: "{one}"' for one in imports)}
        message_type {{
          name: "Message"
          field {{ name: "text" number: 1 label: LABEL_OPTIONAL
                   type: TYPE_STRING }}
          {field}
        }}
        service {{
          name: "{name}"
          {' '.join(f'''method {{ name: "{one}"
                                  input_type: ".{package}.Message"
                                  output_type: ".{package}.Message" }}'''
                    for one in methods)}
        }}""")


# --- what they cost ---


def test_unknown_methods_do_not_keep_reflection_busy(configured):
    with ReflectingServer(Reflection(service_file())) as server:
        gateway = configured(upstream(server.target) + "threads: 4\n")
        assert call_json(gateway, "/a.A/Get", {"text": "x"}) == [{"text": "x"}]
        before = server.calls.count(V1)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            # Connections go to the workers in turn.
            assert call(gateway, "/a.A/No", {})[1][0] == 4012
        # After 1, 2 and 4 s; by each worker each second it would be 20.
        assert 1 <= server.calls.count(V1) - before <= 4


# As servers send them all at once: more than gRPC's limit of a message, 4 MiB.
@pytest.mark.parametrize("transport", ["h2", "grpc"])
def test_descriptors_may_be_longer_than_other_answers(configured, transport):
    class AllAtOnce(Reflection):
        def by_symbol(self, name, context):
            return self.found(self.files.values())

    files = [big_file(i, ["Get"]) for i in range(3)]
    for file in files:  # A comment costs nothing to build.
        file.source_code_info.location.add(
            path=[4], span=[0, 0, 1], leading_comments="x" * 2_000_000)
    with ReflectingServer(AllAtOnce(*files)) as server:
        gateway = configured(upstream(server.target,
                                      f"transport: {transport}") +
                             "timeouts: {reflection: 30s}\n")
        assert call_json(gateway, "/big2.Big/Get", {}) == [{}]
        # Other answers have their limit.
        long = message_of_length(5_000_000)
        answers, (code, _) = call(gateway, "/big2.Big/Get", long)
        assert code in (1009, 4008), answers


def message_of_length(size):
    return {"unknown": "x" * size}


# The table that its conversion begins with would hold up the worker.
def test_message_with_hundreds_of_thousands_of_fields_is_not_served(
        configured, tmp_path):
    wide = descriptor_pb2.FileDescriptorProto(
        name="wide.proto", package="wide", syntax="proto3")
    message = wide.message_type.add(name="Wide")
    for i in range(100_000):
        message.field.add(name=f"f{i}", number=i + 1 + 1000 * (i >= 18_999),
                          label=1, type=9)
    service = wide.service.add(name="Service")
    service.method.add(name="Get", input_type=".wide.Wide",
                       output_type=".wide.Wide")
    path = tmp_path / "wide.pb"
    path.write_bytes(descriptor_pb2.FileDescriptorSet(
        file=[wide, service_file()]).SerializeToString())
    with ReflectingServer() as server:
        gateway = configured(upstream(
            server.target,
            f"descriptors: {{reflection: false, files: [{path}]}}"))
        assert call_json(gateway, "/a.A/Get", {"text": "x"}) == [{"text": "x"}]
        eventually(lambda: "wide.proto: message Wide has 100000 fields, may "
                   "have 10000" in gateway.stderr(), "the log says so")
        assert call(gateway, "/wide.Service/Get", {})[1][0] == 4012


# protoc refuses them, what a server's reflection tells need not be protoc's.
def test_no_answer_has_the_same_key_twice(configured):
    file = file_of("""
        name: "twice.proto" package: "twice" syntax: "proto2"
        message_type {
          name: "Message"
          field { name: "one" number: 1 label: LABEL_OPTIONAL
                  type: TYPE_STRING json_name: "same" }
          field { name: "two" number: 2 label: LABEL_OPTIONAL
                  type: TYPE_STRING json_name: "same" }
        }
        service { name: "S" method { name: "Get" input_type: ".twice.Message"
                                     output_type: ".twice.Message" } }""")
    with ReflectingServer(Reflection(file)) as server:
        gateway = configured(upstream(server.target))
        sent = {"same": "a", "two": "b"}
        assert call_json(gateway, "/twice.S/Get", sent) == [sent]


def big_file(index, methods):
    """Some 90 kB."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"big{index}.proto", package=f"big{index}", syntax="proto3")
    for i in range(100):
        message = file.message_type.add(name=f"Message{i}")
        for k in range(20):
            field = message.field.add(
                name=f"field_number_{k}", number=k + 1, label=1, type=11,
                json_name=f"fieldNumber{k}")
            field.type_name = f".big{index}.Message{(i + k) % 100}"
    service = file.service.add(name="Big")
    for method in methods:
        service.method.add(name=method, input_type=f".big{index}.Message0",
                           output_type=f".big{index}.Message0")
    return file


# One worker, whose clients are served while another thread builds.
def test_building_descriptors_holds_up_nobody(configured, tmp_path):
    path = tmp_path / "big.pb"

    def write(methods):
        files = [big_file(i, methods) for i in range(60)]
        descriptors = descriptor_pb2.FileDescriptorSet(file=files)
        scratch = path.with_suffix(".new")
        scratch.write_bytes(descriptors.SerializeToString())
        scratch.rename(path)

    write(["Get"])
    with ReflectingServer() as server:
        gateway = configured(upstream(
            server.target,
            f"descriptors: {{reflection: false, files: [{path}]}}")
            + "threads: 1\n")
        assert call_json(gateway, "/big0.Big/Get", {}) == [{}]

        worker = gateway.task("worker-0")
        gaps = []  # What the worker and the others spent in each.
        stop = threading.Event()

        def spent():
            of_worker = gateway.cpu_seconds(worker)
            return of_worker, gateway.cpu_seconds() - of_worker

        def ask():
            with contextlib.closing(http.client.HTTPConnection(
                    gateway.host, gateway.port, timeout=TIMEOUT)) as client:
                while not stop.is_set():
                    begin = spent()
                    client.request("GET", "/")
                    client.getresponse().read()
                    gaps.append([after - before for after, before
                                 in zip(spent(), begin)])

        asking = threading.Thread(target=ask)
        asking.start()
        _, before = spent()
        write(["Get", "New"])
        eventually(lambda: call(gateway, "/big0.Big/New", {})[1][0] == 1000,
                   "the new method is known")
        stop.set()
        asking.join()
        building = spent()[1] - before
        # Another thread did work that takes long; the worker did nothing like
        # it between a request and its answer, nor waited until it was done.
        assert building > 0.05
        longest = [max(gap) for gap in zip(*gaps)]
        assert max(longest) < building / 3, (building, longest)


# --- as servers really have them ---


class EndsWithStatus(Reflection):
    """tonic's: a name that it does not know ends the call."""

    def __init__(self, *files, lost=()):
        super().__init__(*files)
        self.lost = lost

    def services(self):
        yield from self.lost
        yield from super().services()

    def not_found(self, name, context):
        context.abort(grpc.StatusCode.NOT_FOUND, f"no {name}")


class AnswersOnce(Reflection):
    """Ends the call after one response."""

    def __call__(self, requests, context):
        for response in super().__call__(requests, context):
            yield response
            return


def field(name, kind):
    """Field 2."""
    return (f'field {{ name: "{name}" number: 2 label: LABEL_OPTIONAL '
            f'type: TYPE_MESSAGE type_name: "{kind}" }}')


TYPES = file_of("""
    name: "types.proto" package: "common" syntax: "proto3"
    message_type {
      name: "Shared"
      field { name: "n" number: 1 label: LABEL_OPTIONAL type: TYPE_INT32 }
    }""")

ODD = {
    "a name ends the call": (
        EndsWithStatus(service_file(), lost=("z.Lost", "y.Lost")),
        {"text": "x"}, "z.Lost: "),
    "an import ends the call": (
        EndsWithStatus(service_file(imports=["validate/validate.proto"])),
        {"text": "x"}, None),
    "one answer for each call": (
        AnswersOnce(service_file(), service_file("B", "b")),
        {"text": "x"}, None),
    "imports for options are not served": (
        Reflection(service_file(imports=["validate/validate.proto",
                                         "google/api/annotations.proto"])),
        {"text": "x"}, None),
    "a file under another name": (
        Reflection(service_file(imports=["common/types.proto"],
                                field=field("shared", ".common.Shared")),
                   TYPES),
        {"text": "x", "shared": {"n": 2}}, None),
    "a type that nobody has": (
        Reflection(service_file(imports=["lost.proto"],
                                field=field("lost", ".lost.Type"))),
        {"text": "x", "lost": "CAI="}, "nothing defines .lost.Type"),
    "two files with the same message": (
        Reflection(service_file(imports=["types.proto", "twin.proto"],
                                field=field("shared", ".common.Shared")),
                   TYPES,
                   file_of(str(TYPES).replace("types.proto", "twin.proto"))),
        {"text": "x", "shared": {"n": 2}}, "defines it, too"),
}


ANYS = file_of("""
    name: "anys.proto" package: "anys" syntax: "proto3"
    dependency: "google/protobuf/any.proto"
    message_type {
      name: "One"
      field { name: "any" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
              type_name: ".google.protobuf.Any" }
    }
    message_type {
      name: "Raw"
      field { name: "any" number: 1 label: LABEL_OPTIONAL type: TYPE_BYTES }
    }
    service {
      name: "Anys"
      method { name: "Echo" input_type: ".anys.One" output_type: ".anys.One"
               client_streaming: true server_streaming: true }
      method { name: "Raw" input_type: ".anys.Raw" output_type: ".anys.One"
               client_streaming: true server_streaming: true }
      method { name: "Get" input_type: ".anys.One" output_type: ".anys.One" }
      method { name: "GetRaw" input_type: ".anys.Raw"
               output_type: ".anys.One" }
    }
    """)
# No service imports it.
HIDDEN = file_of("""
    name: "hidden.proto" package: "hidden" syntax: "proto3"
    dependency: "deep.proto" dependency: "validate/validate.proto"
    message_type {
      name: "Detail"
      field { name: "why" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
      field { name: "deep" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE
              type_name: ".hidden.Deep" }
    }""")
DEEP = file_of("""
    name: "deep.proto" package: "hidden" syntax: "proto3"
    message_type {
      name: "Deep"
      field { name: "n" number: 1 label: LABEL_OPTIONAL type: TYPE_INT32 }
    }""")


def detail_of(n):
    """An Any of hidden.Detail as JSON."""
    return {"@type": "type.googleapis.com/hidden.Detail", "why": "because",
            "deep": {"n": n}}


def serialized_any(value=b"\n\x07because\x12\x02\x08\x05",
                   name="hidden.Detail"):
    return any_pb2.Any(type_url="type.googleapis.com/" + name,
                       value=value).SerializeToString()


ANY_RULES = """
http:
  rules:
    - {selector: anys.Anys.Get, post: /v1/get, body: any, response_body: any}
    - {selector: anys.Anys.GetRaw, post: /v1/raw, body: "*"}
"""


def post(gateway, path, message):
    """A request, by HTTP rules or Connect: (status, JSON)."""
    connection = http.client.HTTPConnection(gateway.host, gateway.port,
                                            timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request("POST", path, json.dumps(message),
                           {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())


@pytest.fixture
def anys(configured, tmp_path):
    """A server with a type that no service imports, and a gateway that has
    not met it yet."""
    (tmp_path / "rules.yaml").write_text(ANY_RULES)
    reflection = Reflection(ANYS, HIDDEN, DEEP)
    with ReflectingServer(reflection) as server:
        server.gateway = configured(f"""
upstreams:
  - {{name: one, target: "{server.target}", http_rules_files: [rules.yaml]}}
routes:
  - {{upstream: one, prefix: /v1, http_rules: true}}
  - path: /packets
    upstream: one
    codec: packet
    packet:
      content: json
      methods: {{1: anys.Anys/Echo, 2: anys.Anys/Raw}}
  - {{upstream: one}}
""")
        yield server


def websocket(gateway, method, message):
    answer, = call_json(gateway, "/anys.Anys/" + method, message)
    return answer


# The first message waits for the server's answer, in every dialect that has
# JSON.
def test_first_request_with_an_unknown_type_waits_for_it(anys):
    assert websocket(anys.gateway, "Get", {"any": detail_of(5)}) == {
        "any": detail_of(5)}


def test_first_request_by_connect_waits_for_an_unknown_type(anys):
    assert post(anys.gateway, "/anys.Anys/Get", {"any": detail_of(5)}) == (
        200, {"any": detail_of(5)})


def test_first_request_by_rules_waits_for_an_unknown_type(anys):
    assert post(anys.gateway, "/v1/get", detail_of(5)) == (200, detail_of(5))


RAW = {"any": base64.b64encode(serialized_any()).decode()}


def test_first_response_with_an_unknown_type_waits_for_it(anys):
    assert websocket(anys.gateway, "GetRaw", RAW) == {"any": detail_of(5)}


def test_first_response_by_connect_waits_for_an_unknown_type(anys):
    assert post(anys.gateway, "/anys.Anys/GetRaw", RAW) == (
        200, {"any": detail_of(5)})


def test_first_response_by_rules_waits_for_an_unknown_type(anys):
    assert post(anys.gateway, "/v1/raw", RAW) == (200, {"any": detail_of(5)})


# One call waits; the other calls of its socket do not, and its own messages
# keep their order.
@pytest.mark.parametrize("kind, message", [
    (1, {"any": detail_of(5)}), (2, RAW)])
def test_a_call_in_packets_waits_for_an_unknown_type(anys, kind, message):
    def content(message):
        return json.dumps(message).encode()

    with Client(anys.gateway, "/packets") as client:
        client.send(packet(kind, 7, content(message)) +
                    packet(kind, 7, content({})) + packet(END_PACKET, 7))
        client.send(packet(kind, 8, content({})) + packet(END_PACKET, 8))
        got = {7: [], 8: []}
        while any(messages[-1:] != ["end"] for messages in got.values()):
            for type, call, body in parse_packets(client.receive()):
                got[call].append("end" if type == END_PACKET
                                 else json.loads(body))
        assert got == {7: [{"any": detail_of(5)}, {}, "end"], 8: [{}, "end"]}


# One client's inventions keep no other's type from being asked for.
def test_types_that_nobody_knows_keep_no_other_unknown(anys):
    with Client(anys.gateway, "/packets") as client:
        for first in range(0, 300, 10):  # The server has 16 threads.
            client.send(b"".join(
                packet(1, number, json.dumps(
                    {"any": {"@type": f"a/invented.T{number}"}}).encode())
                for number in range(first + 1, first + 11)))
            ended = set()
            while len(ended) < 10:
                ended |= {number for type, number, _ in parse_packets(
                    client.receive()) if type == END_PACKET}
    assert post(anys.gateway, "/v1/get", detail_of(5)) == (200, detail_of(5))


# What a client of a hub sends waits for it; what the backend sends does not,
# as all sessions would wait (docs/hub.md).
def test_a_message_to_a_hub_waits_for_an_unknown_type(configured):
    reflection = Reflection(ANYS, HIDDEN, DEEP)
    with HubBackend(reflection=reflection) as hub:
        gateway = configured(f"""
upstreams: [{{name: one, target: "{hub.target}"}}]
routes: [{{path: /hub, upstream: one, hub: {{message: anys.One}}}}]
""")
        with Client(gateway, "/hub", JSON) as client:
            client.send(json.dumps({"any": detail_of(5)}) + "{}")
            first, second = hub.wait("message", 2)
            held = any_pb2.Any.FromString(
                fields(first.message.payload.message)[1][0])
            assert held.SerializeToString() == serialized_any()
            assert second.message.payload.message == b""
            # By now the type is known.
            hub.send(Command(broadcast=pb.Broadcast(payload=Payload(
                message=first.message.payload.message))))
            assert client.receive_json() == {"any": detail_of(5)}


def test_details_of_an_unknown_type_are_waited_for(anys):
    anys.statuses["/anys.Anys/Get"] = grpc.StatusCode.NOT_FOUND
    any_bytes = serialized_any()
    anys.details = (b"\x08\x05\x1a" + bytes([len(any_bytes)]) + any_bytes)
    status, failure = post(anys.gateway, "/v1/get", {})
    assert (status, failure["details"]) == (404, [detail_of(5)])


# Asked of reflection while the first message is on its way; an Any of a type
# that nobody knows ends no stream.
def test_type_of_an_any_is_asked_of_reflection(configured):
    reflection = Reflection(ANYS, HIDDEN, DEEP)
    with ReflectingServer(reflection) as server:
        gateway = configured(upstream(server.target))
        known = {"any": {"@type": "type.googleapis.com/hidden.Detail",
                         "why": "because", "deep": {"n": 5}}}
        lost = {"any": {"@type": "type.googleapis.com/hidden.Lost",
                        "why": "x"}}

        def answer(message):
            answers, (code, reason) = call(
                gateway, "/anys.Anys/Echo", json.dumps(message),
                half_close=True)
            assert code in (1000, 4003), (code, reason)
            return [json.loads(one) for one in answers]

        for _ in range(3):
            assert answer(lost) == []
            assert answer(known) == [known]
        asked = [name for kind, name in reflection.asked if kind == "symbol"]
        assert asked.count("hidden.Lost") == 1
        assert asked.count("hidden.Detail") == 1


# What nobody knows does not end a stream; what is known by then is in JSON.
def test_any_of_an_unknown_type_in_answers(configured):
    reflection = Reflection(ANYS, HIDDEN, DEEP)
    with ReflectingServer(reflection) as server:
        gateway = configured(upstream(server.target))
        detail = any_pb2.Any(type_url="a/hidden.Detail", value=b"\n\x01x")
        lost = any_pb2.Any(type_url="a/hidden.Lost", value=b"\n\x01x")

        def raw(any):
            return {"any": base64.b64encode(any.SerializeToString()).decode()}

        with Client(gateway, "/anys.Anys/Raw", JSON) as client:

            def answer(any):
                client.send(raw(any))
                return client.receive_json()["any"]

            for _ in range(3):
                assert answer(lost) == {"@type": "a/hidden.Lost",
                                        "value": "CgF4"}
            assert answer(detail) == {"@type": "a/hidden.Detail", "why": "x"}
            client.half_close()
            assert client.receive_close() == (1000, "")


def edition(file, *features):
    """The file in edition 2023, with features of the file (its option 50)."""
    file = file_of(str(file).replace('"proto3"', '"editions"'))
    features = b"".join(bytes(one) for one in features)
    file.options.MergeFromString(
        b"\x92\x03" + bytes([len(features)]) + features)
    file.MergeFromString(b"\x70\xe8\x07")  # `edition`.
    return file


# protobuf 3.21 does not know "editions". protobuf.dev/editions/features.
@pytest.mark.parametrize("features,sent,received", [
    ([], {"text": "", "shared": {"n": 1}}, None),
    ([(8, 2)], {"text": "", "shared": {"n": 1}}, {"shared": {"n": 1}}),
    ([(40, 2)], {"text": "x", "shared": {"n": 1}}, None),
], ids=["defaults", "implicit presence", "delimited"])
def test_editions(configured, features, sent, received):
    files = [edition(service_file(imports=["types.proto"],
                                  field=field("shared", ".common.Shared")),
                     *features), TYPES]
    with ReflectingServer(Reflection(*files)) as server:
        gateway = configured(upstream(server.target))
        assert call_json(gateway, "/a.A/Get", sent) == [received or sent]
        assert "descriptors are incomplete" not in gateway.stderr()


@pytest.mark.parametrize("odd", ODD)
def test_odd_reflection_is_used_as_far_as_it_goes(configured, odd):
    reflection, message, warning = ODD[odd]
    with ReflectingServer(reflection) as server:
        gateway = configured(upstream(server.target))
        assert call_json(gateway, "/a.A/Get", message) == [message]
        if warning is None:
            assert "descriptors are incomplete" not in gateway.stderr()
        else:
            eventually(lambda: warning in gateway.stderr(), "a warning")
            time.sleep(0.5)
            assert gateway.stderr().count(warning) == 1


def test_descriptor_set_without_its_imports_says_what_to_do(
        configured, tmp_path):
    path = tmp_path / "a.pb"
    path.write_bytes(descriptor_pb2.FileDescriptorSet(file=[
        service_file(imports=["lost.proto"],
                     field=field("lost", ".lost.Type"))]).SerializeToString())
    with ReflectingServer() as server:
        gateway = configured(upstream(
            server.target,
            f"descriptors: {{reflection: false, files: [{path}]}}"))
        assert call_json(gateway, "/a.A/Get", {"text": "x"}) == [{"text": "x"}]
        eventually(lambda: "protoc --include_imports" in gateway.stderr(),
                   "the log says what to do")


def test_no_reflection_names_descriptor_sets(configured):
    with ReflectingServer() as server:
        gateway = configured(upstream(server.target))
        answers, (code, reason) = call(gateway, "/a.A/Get", {})
        assert (answers, code) == ([], 4012)
        eventually(lambda: "(descriptors.files, --descriptors)" in gateway.stderr(),
                   "the log names the setting")


# As Node's proto-loader drops options.
def test_no_annotations_are_told(configured):
    with ReflectingServer(Reflection(service_file())) as server:
        gateway = configured(f"""
upstreams: [{{name: one, target: "{server.target}"}}]
routes: [{{upstream: one, prefix: /, http_rules: true}}]
""")
        with contextlib.closing(http.client.HTTPConnection(
                gateway.host, gateway.port, timeout=TIMEOUT)) as client:
            client.request("GET", "/v1/things")
            assert client.getresponse().status == 404
        eventually(lambda: "have no google.api.http annotations; give a "
                   "descriptor set" in gateway.stderr(), "the log says why")
        # And so does the line of the request itself.
        eventually(lambda: re.search(
            r'msg="handshake refused" .* http=404 .*/v1/things \(the upstream\'s '
            r"descriptors have no google\.api\.http annotations\)",
            gateway.stderr()), "the 404 says why")


# --- flags ---


def test_flags_do_what_a_file_does(stack, tmp_path):
    paths = []
    for name in "ab":
        path = tmp_path / f"{name}.pb"
        path.write_bytes(descriptor_pb2.FileDescriptorSet(file=[
            service_file(name.upper(), name)]).SerializeToString())
        paths.append(str(path))
    with ReflectingServer() as server:
        gateway = stack.enter_context(Gateway.serve(
            server.target, "--reflection", "off", "--descriptors", paths[0],
            "--descriptors", paths[1]))
        for path in ("/a.A/Get", "/b.B/Get"):
            assert call_json(gateway, path, {"text": "x"}) == [{"text": "x"}]
        assert V1 not in server.calls


def test_http_rules_by_flag(stack, backend):
    gateway = stack.enter_context(
        Gateway.serve(backend.target, "--http-rules"))
    with contextlib.closing(http.client.HTTPConnection(
            gateway.host, gateway.port, timeout=TIMEOUT)) as client:
        client.request("GET", "/v1/shelves/1/books?page_size=1")
        response = client.getresponse()
        assert response.status in (200, 404), response.read()
        assert response.getheader("content-type") == "application/json"
        body = response.read()
        assert b"no rule is for" not in body, body
    # The methods' own paths are still there.
    assert call_json(gateway, HELLO + "SayHello", {"greeting": "ann"}) == [
        {"reply": "hello, ann"}]


def test_upstream_tls_by_flag(stack, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server", "DNS:server.test")
    library = stack.enter_context(
        LibraryServer(TLS_CERT=certificate, TLS_KEY=key))

    def close_code(*flags):
        with Gateway.serve(library.target, *flags) as gateway:
            return call(gateway, "/library.v1.Library/GetBook",
                        {"title": "Dune"})[1][0]

    assert close_code("--upstream-ca", str(authority.ca),
                      "--upstream-authority", "server.test") == 1000
    assert close_code("--upstream-tls", "on",
                      "--upstream-authority", "server.test") == 4014


# --- list, describe, check ---


def output(*words, expected=0):
    result = run(*words)
    assert result.returncode == expected, result.stderr
    return result.stdout.decode(), result.stderr.decode()


def test_list_and_describe_ask_the_upstream():
    with ReflectingServer(Reflection(
            service_file(methods=("Get", "Put")),
            service_file("B", "b"))) as server:
        ask = ("--upstream", server.target)
        assert output("list", *ask)[0] == "a.A\nb.B\n"
        assert output("list", *ask, "a.A")[0] == "a.A.Get\na.A.Put\n"
        assert output("list", *ask, "a.A/Put")[0] == "a.A.Put\n"
        assert json.loads(output("list", *ask, "--json")[0]) == [
            {"service": "a.A", "methods": ["a.A.Get", "a.A.Put"]},
            {"service": "b.B", "methods": ["b.B.Get"]}]
        text, _ = output("describe", *ask, "a.A.Get")
        assert text == ("a.A.Get is a method:\n"
                        "rpc Get(.a.Message) returns (.a.Message);\n")
        text, _ = output("describe", *ask, "a.Message")
        assert text.startswith("a.Message is a message:\nmessage Message {\n")
        one, = json.loads(output("describe", *ask, "--json", "b.B")[0])
        assert (one["name"], one["kind"]) == ("b.B", "service")
        assert one["descriptor"]["method"][0]["name"] == "Get"
        assert "there is no service or method a.C" in output(
            "list", *ask, "a.C", expected=1)[1]
        assert "there is no a.C" in output(
            "describe", *ask, "a.C", expected=1)[1]


def groups_of(scope, *groups):
    """Messages {scope}0, {scope}1, ... with fields that are groups of the
    types named."""
    return "".join(
        f'message_type {{ name: "{scope}{number}" ' + "".join(
            f'field {{ name: "f{i}" number: {i + 1} label: LABEL_OPTIONAL '
            f'type: TYPE_GROUP type_name: ".g.{name}" }} '
            for i, name in enumerate(names)) + "} "
        for number, names in enumerate(groups))


# A group is written out wherever it is.
@pytest.mark.parametrize("name, groups", [
    ("Itself0", groups_of("Itself", ["Itself0"])),
    ("Itself0.f0", groups_of("Itself", ["Itself0"])),
    ("Deep0", groups_of("Deep", *[[f"Deep{n + 1}"] for n in range(5000)], [])),
    ("Twice0", groups_of("Twice", *[[f"Twice{n + 1}"] * 2 for n in range(60)],
                         [])),
], ids=["itself", "field of itself", "deep", "twice"])
def test_groups_without_end_are_not_described(tmp_path, name, groups):
    path = tmp_path / "g.pb"
    path.write_bytes(descriptor_pb2.FileDescriptorSet(file=[file_of(
        f'name: "g.proto" package: "g" {groups}')]).SerializeToString())
    text, errors = output("describe", "--descriptors", path, f"g.{name}",
                          expected=1)
    assert text == ""
    assert errors == (
        f"headgate describe: the groups in g.{name} are too deep or too many "
        "to be written out; --json shows the descriptor\n")
    one, = json.loads(output("describe", "--json", "--descriptors", path,
                             f"g.{name}")[0])
    assert one["name"] == f"g.{name}"


def test_groups_are_described(tmp_path):
    path = tmp_path / "g.pb"
    path.write_bytes(descriptor_pb2.FileDescriptorSet(file=[file_of(
        'name: "g.proto" package: "g" ' + groups_of(
            "Few", ["Few1", "Few2"], ["Few2"], []))]).SerializeToString())
    text, _ = output("describe", "--descriptors", path, "g.Few0")
    assert text.count("optional group Few") == 3


def test_list_without_reflection_names_descriptor_sets(tmp_path):
    with ReflectingServer() as server:
        assert "name a descriptor set (--descriptors)" in output(
            "list", "--upstream", server.target, expected=1)[1]
        target = server.target
    assert "list: " in output("list", "--upstream", target, expected=1)[1]
    path = tmp_path / "a.pb"
    path.write_bytes(descriptor_pb2.FileDescriptorSet(
        file=[service_file()]).SerializeToString())
    assert output("list", "--descriptors", path)[0] == "a.A\n"


def test_gen_ts_writes_a_module_for_each_package(tmp_path):
    out = tmp_path / "new" / "gen"
    with ReflectingServer(Reflection(
            service_file(), service_file("B", "b"))) as server:
        gen = ("gen", "ts", "--upstream", server.target, "--out", out)
        assert output(*gen)[0] == f"{out}/a.ts\n{out}/b.ts\n"
        module = (out / "a.ts").read_text()
        assert 'Get: "a.A/Get" as $Method<"unary", Message, Message>' in module
        assert output(*gen, "b.B")[0] == f"{out}/b.ts\n"
        assert "there is no package, service, message or enum c" in output(
            *gen, "c", expected=1)[1]


def test_gen_ts_keeps_files_of_others(tmp_path):
    (tmp_path / "b.ts").write_text("mine\n")
    (tmp_path / "a.pb").write_bytes(descriptor_pb2.FileDescriptorSet(file=[
        service_file(), service_file("B", "b")]).SerializeToString())
    gen = ("gen", "ts", "--descriptors", tmp_path / "a.pb", "--out", tmp_path)
    assert f"{tmp_path}/b.ts was not written by this command" in output(
        *gen, expected=1)[1]
    assert not (tmp_path / "a.ts").exists()
    assert (tmp_path / "b.ts").read_text() == "mine\n"
    output(*gen, "a")
    (tmp_path / "b.ts").unlink()
    (tmp_path / "b.ts").mkdir()
    assert f"{tmp_path}/b.ts was not written by this command" in output(
        *gen, "b", expected=1)[1]
    assert "--out" in output("gen", "ts", "a", expected=64)[1]


def test_check_live_asks_the_upstreams(tmp_path):
    file = tmp_path / "headgate.yaml"

    def check(target, *flags, expected=0, route="{upstream: one}"):
        file.write_text(f"""
listeners: [{{address: "127.0.0.1:0"}}]
upstreams: [{{name: one, target: "{target}"}}]
routes: [{route}]
""")
        return output("check", *flags, file, expected=expected)

    with ReflectingServer(Reflection(service_file())) as server:
        assert "a.A/Get" not in check(server.target)[0]
        stdout, stderr = check(server.target, "--live")
        assert ("a.A/Get" in stdout, stderr) == (True, "")
        assert "do not know a.A/No" in check(
            server.target, "--live",
            route="{path: /x, upstream: one, method: a.A/No}")[1]
        assert "have no google.api.http annotations" in check(
            server.target, "--live",
            route="{prefix: /, upstream: one, http_rules: true}")[1]
    assert "upstream 'one'" in check(server.target, "--live", expected=1)[1]
    check(server.target)
    with ReflectingServer() as server:
        assert "no server reflection" in check(server.target, "--live")[1]


def test_check_without_files(tmp_path):
    file = tmp_path / "headgate.yaml"
    file.write_text("""
listeners:
  - address: "127.0.0.1:0"
    tls: {certificate: no.crt, key: no.key}
upstreams:
  - name: one
    target: "127.0.0.1:1"
    tls: {ca: no.pem}
    descriptors: {reflection: false, files: [no.pb]}
routes: [{upstream: one}]
""")
    faults = output("check", file, expected=1)[1]
    for name in ("no.crt", "no.key", "no.pem", "no.pb"):
        assert name in faults
    assert "listeners" in output("check", "--without-files", file)[0]
    file.write_text(file.read_text() + "thread: 1\n")
    assert "thread" in output("check", "--without-files", file, expected=1)[1]


def test_check_names_include_imports(tmp_path):
    (tmp_path / "a.pb").write_bytes(descriptor_pb2.FileDescriptorSet(file=[
        service_file(imports=["lost.proto"],
                     field=field("lost", ".lost.Type"))]).SerializeToString())
    file = tmp_path / "headgate.yaml"
    file.write_text("""
listeners: [{address: "127.0.0.1:0"}]
upstreams:
  - {name: one, target: "127.0.0.1:1", descriptors: {files: [a.pb]}}
routes: [{upstream: one}]
""")
    stderr = output("check", file)[1]
    assert "nothing defines .lost.Type" in stderr
    assert "protoc --include_imports" in stderr
