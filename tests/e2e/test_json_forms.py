"""What has one right form in JSON, as tables: requests that become these bytes,
responses that become this JSON, and both that are refused (docs/protocol/
json.md). tests/schema/json_conformance_test.cc has more of them."""

import base64
import contextlib
import http.client
import json
import subprocess

import pytest

from client import call
from harness import TIMEOUT, Gateway
from reflecting import ReflectingServer

# What is sent to Bytes is a message and comes back as its bytes; Message is
# the other way round.
PROTO3 = """
syntax = "proto3";
package three;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum E { ZERO = 0; ONE = 1; }
message T {
  int64 n = 1;
  repeated int32 ns = 2;
  repeated string tags = 3;
  repeated T kids = 4;
  map<string, string> ms = 5;
  map<string, google.protobuf.StringValue> msv = 6;
  google.protobuf.Timestamp ts = 7;
  google.protobuf.Duration du = 8;
  int32 i = 9;
  bytes b = 10;
  bool bo = 11;
  map<bool, int32> mb = 12;
  google.protobuf.FieldMask fm = 13;
  google.protobuf.ListValue lv = 14;
  repeated E es = 15;
  map<string, E> me = 16;
  google.protobuf.Any any = 17;
  google.protobuf.NullValue nv = 18;
  google.protobuf.Value v = 19;
  T kid = 20;
  map<string, T> mt = 24;
  map<int32, int32> mi = 56;
}
message Json { T m = 1; }
message Wire { bytes m = 1; }
service Forms {
  rpc Bytes(Json) returns (Wire);
  rpc Message(Wire) returns (Json);
  rpc Query(T) returns (T);
}
"""
PROTO2 = """
syntax = "proto2";
package two;
message T {
  optional string s = 1;
  repeated group Item = 4 { optional int32 x = 1; }
  extensions 100 to 199;
}
extend T { optional int32 ext = 100; repeated string exs = 101; }
message Json { optional T m = 1; }
message Wire { optional bytes m = 1; }
service Forms {
  rpc Bytes(Json) returns (Wire);
  rpc Message(Wire) returns (Json);
}
"""
RULES = """
http:
  rules: [{selector: three.Forms.Query, get: /v1/query}]
"""
OPTIONS = {"": "", "ignore": "unknown_fields: ignore",
           "emit": "unpopulated: emit", "deep": "max_depth: 30"}


@pytest.fixture(scope="module")
def gateways(tmp_path_factory):
    """By what is set of `json:`."""
    folder = tmp_path_factory.mktemp("forms")
    (folder / "three.proto").write_text(PROTO3)
    (folder / "two.proto").write_text(PROTO2)
    (folder / "rules.yaml").write_text(RULES)
    subprocess.run(
        ["protoc", f"-I{folder}", "--include_imports",
         f"--descriptor_set_out={folder}/forms.pb", "three.proto",
         "two.proto"], check=True)
    with contextlib.ExitStack() as stack:
        echo = stack.enter_context(ReflectingServer())
        started = {}
        for name, options in OPTIONS.items():
            file = folder / f"{name or 'plain'}.yaml"
            file.write_text(f"""
listeners: [{{address: "127.0.0.1:0"}}]
upstreams:
  - name: forms
    target: "{echo.target}"
    descriptors: {{reflection: false, files: [forms.pb]}}
    http_rules_files: [rules.yaml]
routes:
  - {{prefix: /v1, upstream: forms, http_rules: true}}
  - {{upstream: forms, json: {{{options}}}}}
""")
            started[name] = stack.enter_context(Gateway.configured(file))
        yield started


def to_bytes(gateway, text, package="three"):
    """What the message is on the wire, in hexadecimal; or (code, reason)."""
    answers, ending = call(gateway, f"/{package}.Forms/Bytes",
                           '{"m":%s}' % text)
    if ending[0] != 1000:
        return ending
    return base64.b64decode(json.loads(answers[0]).get("m", "")).hex()


def to_json(gateway, wire, package="three"):
    """What such bytes are as a response's `m`; or (code, reason)."""
    m = base64.b64encode(bytes.fromhex(wire)).decode()
    answers, ending = call(gateway, f"/{package}.Forms/Message",
                           json.dumps({"m": m}))
    return ending if ending[0] != 1000 else answers[0]


REFUSED = [
    '{"n":-9223372036854775809}', '{"ns":[1,null,3]}', '{"ns":[[1],[2,3]]}',
    '{"tags":"x"}', '{"kids":{"n":1}}', '{"ms":{"k":null}}',
    '{"msv":{"k":null}}', '{"ts":"0001-01-01T00:00:00+01:00"}',
    '{"ts":"9999-12-31T23:59:59-01:00"}',
    '{"ts":"2020-01-01T00:00:00.1234567890Z"}',
    '{"ts":"999-01-01T00:00:00Z"}', '{"ts":"1970-1-01T00:00:00Z"}',
    '{"ts":"1970-01-1T00:00:00Z"}', '{"bo":"true"}', '{"mb":{"yes":1}}',
    '{"fm":"a_b"}', '{"lv":{}}', '{"any":{"@type":"x/none.T","a":1}}',
    # A field twice, also under both of its names.
    '{"n":1,"n":2}', '{"kid":{},"kid":{}}', '{"ms":{"a":"1","a":"2"}}',
]


@pytest.mark.parametrize("text", REFUSED)
def test_request_that_is_refused(gateways, text):
    code, reason = to_bytes(gateways[""], text)
    assert code == 4003
    assert reason


@pytest.mark.parametrize("json_options, package, text, wire", [
    ("", "three", '{"i":"1e5"}', "48 a08d06"),
    ("", "three", '{"b":"-_"}', "52 01 fb"),
    # The entry is dropped, not made zero.
    ("ignore", "three", '{"es":["ONE","NOPE","ONE"],"me":{"k":"NOPE"}}',
     "7a 02 0101"),
    ("", "two", '{"item":[{"x":1}],"s":"a"}', "2308 0124 0a0161"),
    ("", "two", '{"[two.ext]":5,"[two.exs]":["q"]}', "a00605 aa060171"),
])
def test_request_becomes(gateways, json_options, package, text, wire):
    assert to_bytes(gateways[json_options], text, package) == (
        wire.replace(" ", ""))


def field(number, content):
    """A length-delimited field, in hexadecimal."""
    tag = bytes([number << 3 & 0x7f | 0x82, number >> 4]) if number > 15 \
        else bytes([number << 3 | 2])
    return (tag + bytes([len(content)]) + content).hex()


def an_any(name, value=b""):
    """The field `any` with such a message of google.protobuf."""
    content = bytes.fromhex(field(1, f"x/google.protobuf.{name}".encode()))
    return field(17, content + bytes.fromhex(field(2, value)) * bool(value))


@pytest.mark.parametrize("json_options, package, wire, part", [
    ("", "two", "0a0161 230801 24 230802 24",
     '{"m":{"s":"a","item":[{"x":1},{"x":2}]}}'),
    ("", "three", an_any("BoolValue"), '"value":false'),
    ("", "three", an_any("Duration"), '"value":"0s"'),
    ("", "three", an_any("Struct"), '"value":{}'),
    ("emit", "three", an_any("FieldMask", b"\n\x01a"), '"value":"a"}'),
    ("emit", "three", "", '"nv":null'),
    ("emit", "three", "", '"kid":null'),
    # A key twice: the last entry counts, nothing is merged.
    ("", "three", "c2030408011000 c2030408011001", '{"m":{"mi":{"1":1}}}'),
    ("", "three", "c2030408011000 4805 c2030408011001", '"mi":{"1":1}'),
    ("", "three", "c201070a016b12020801 c201070a016b12024805",
     '{"m":{"mt":{"k":{"i":5}}}}'),
    # A varint of 40 bits whose last 32 are 0, for an int32.
    ("", "three", "48 808080808001", '{"m":{}}'),
    ("", "two", "a00605 aa060171", '{"m":{"[two.ext]":5,"[two.exs]":["q"]}}'),
])
def test_response_becomes(gateways, json_options, package, wire, part):
    assert part in to_json(gateways[json_options], wire, package)


@pytest.mark.parametrize("wire", [
    field(8, bytes.fromhex("08011080b6cb91feffffffff01")),  # 1 s, -0.5 s
    field(13, b"\n\x0ecustom_label_0"),
    field(19, bytes.fromhex("11000000000000f87f")),  # NaN
    field(19, bytes.fromhex("11000000000000f07f")),  # Infinity
])
def test_response_that_has_no_form(gateways, wire):
    code, reason = to_json(gateways[""], wire)
    assert code == 4013
    assert reason


# Around these there is one message more.
@pytest.mark.parametrize("json_options, depth", [("", 100), ("deep", 30)])
def test_responses_are_as_deep_as_requests(gateways, json_options, depth):
    gateway = gateways[json_options]
    deepest = '{"kid":' * (depth - 2) + "{}" + "}" * (depth - 2)
    wire = to_bytes(gateway, deepest)
    assert to_json(gateway, wire) == '{"m":%s}' % deepest
    code, _ = to_bytes(gateway, '{"kid":%s}' % deepest)
    assert code == 4003
    size, length = len(wire) // 2, b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    code, _ = to_json(gateway, "a201" + (length + bytes([size])).hex() + wire)
    assert code == 4013


@pytest.mark.parametrize("value, status", [
    ("2020-01-01T00:00:00Z", 200),
    ("0001-01-01T00:00:00%2B01:00", 400),
    ("9999-12-31T23:59:59-01:00", 400),
    ("2020-01-01T00:00:00.1234567890Z", 400),
    ("999-01-01T00:00:00Z", 400),
])
def test_timestamp_in_the_query(gateways, value, status):
    gateway = gateways[""]
    connection = http.client.HTTPConnection(gateway.host, gateway.port,
                                            timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request("GET", f"/v1/query?ts={value}")
        response = connection.getresponse()
        assert response.status == status, response.read()
        if status == 200:
            assert json.loads(response.read()) == {"ts": value}
