"""The JSON conversion beside another one, Python's google.protobuf.json_format,
over messages with fields of every kind: an echoing server behind the gateway
makes a response of each request."""

import contextlib
import json
import random
import re
import subprocess
import sys

import pytest
from google.protobuf import json_format

from client import JSON, Client, call
from harness import ROOT, Gateway, Process
from test_interop import MIRROR, python_mirror

PROTOS = ROOT / "tests" / "json"

SERVICE = """
syntax = "proto3";
package mirror.v1;
import "{file}.proto";
service Mirror {{
  rpc Echo(stream headgate.test.{type}) returns (stream headgate.test.{type});
}}
"""

CONFIG = """
listeners: [{{address: "127.0.0.1:0"}}]
upstreams:
  - name: mirror
    target: "{target}"
    descriptors: {{reflection: false, files: ["{descriptors}"]}}
routes: [{{upstream: mirror}}]
"""


class Every:
    """A type, its class, and a gateway before an echo of it."""

    def __init__(self, stack, folder, target, type, *flags):
        file = type.lower()
        descriptors = folder / f"{file}.bin"
        (folder / f"{file}_service.proto").write_text(
            SERVICE.format(file=file, type=type))
        subprocess.run(
            ["protoc", f"-I{PROTOS}", f"-I{folder}", "--include_imports",
             f"--descriptor_set_out={descriptors}", f"--python_out={folder}",
             f"{file}_service.proto", f"{file}.proto"], check=True)
        sys.path.insert(0, str(folder))
        self.type = getattr(__import__(f"{file}_pb2"), type)
        config = folder / f"{file}.yaml"
        config.write_text(CONFIG.format(target=target,
                                        descriptors=descriptors))
        self.gateway = stack.enter_context(
            Gateway.configured(config, *flags))

    def read(self, text):
        """The message, or None where json_format refuses it."""
        try:
            return json_format.Parse(text, self.type())
        except (json_format.ParseError, ValueError, TypeError, KeyError,
                AttributeError, OverflowError):
            return None

    def echo(self, texts):
        """What becomes of each of these, which must be taken."""
        with Client(self.gateway, MIRROR + "Echo", JSON) as client:
            for text in texts:
                client.send(text)
                yield client.receive()

    def takes(self, text):
        """Whether it is taken: (yes or no, why not)."""
        answers, (code, reason) = call(self.gateway, MIRROR + "Echo", text,
                                       half_close=True)
        assert code == (1000 if answers else 4003), (text, code, reason)
        return bool(answers), reason


@pytest.fixture(scope="module", params=["Every3", "Every2"])
def every(request, tmp_path_factory):
    with contextlib.ExitStack() as stack:
        folder = tmp_path_factory.mktemp(request.param)
        server = stack.enter_context(
            Process(*python_mirror(), f"unix:{folder}/back"))
        server.wait_for_output("listening on")
        yield Every(stack, folder, f"unix:{folder}/back", request.param)


VALUES = [
    "null", "true", "false", "0", "1", "-1", "1.5", "-0.5", "1e5", "1.0",
    "2147483648", "-2147483649", "4294967295", "9223372036854775807",
    "18446744073709551616", "1e300", '""', '"1"', '"-1"', '"x"', '"FOO"',
    '"BAZ"', '"NaN"', '"-Infinity"', '"AQI="', '"-_8"', '"1s"', '"-1.5s"',
    '"1970-01-01T00:00:00Z"', '"2026-11-30T12:34:56.789+01:30"', '"a,bC.d"',
    r'"\u00e4\ud83d\ude00"', "[]", "[1]", '["1",2]', "[null]", '["x"]',
    "[{}]", "[[1]]", '[{"a":1}]', "{}", '{"a":1}', '{"a":"b"}', '{"a":null}',
    '{"1":1}', '{"1":"1"}', '{"true":true}', '{"a":{}}', '{"a":"BAR"}',
    '{"c":-1}', '{"a":[1,null,{"b":true}],"d":{}}', '{"zz":1}',
    '{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}',
    '{"value":{"a":[1]},"@type":"type.googleapis.com/google.protobuf.Value"}',
]



def cases(every):
    """JSON texts with one field, in no order and always the same ones."""
    texts = [json.dumps({field.json_name: None}).replace("null", value)
             for field in every.type.DESCRIPTOR.fields for value in VALUES
             # Whatever is in it, a NullValue is null.
             if not field.name.endswith("null_value") or value == "null"]
    return random.Random(20261130).sample(texts, 1500)


# json_format takes these, and protobuf's specification does not.
LAX = re.compile(r"""
    must\ be\ (a\ float|a\ double),\ is\ (true|false)
  | must\ be\ base64,\ is\ ".*[^A-Za-z0-9+/=_-].*"
  | must\ be\ an\ object,\ is\ (""|a\ list)
  | must\ be\ a\ value\ of\ \S+,\ is\ (true|false|[-.0-9e]+)
""", re.VERBOSE)
# And it does not take these: null for the list, and as a NullValue.
STRICT = re.compile(r"repeatedValue|NullValue.*null")


def expect_same(every, text, answer):
    """As bytes, for NaN is not equal to itself."""
    sent, received = every.read(text), every.read(answer)
    assert received is not None, (text, answer)
    assert (received.SerializeToString(deterministic=True) ==
            sent.SerializeToString(deterministic=True)), (text, answer)


# What both take is the same message, there and back, alone and together.
def test_messages_are_those_of_json_format(every):
    taken = []
    for text in cases(every):
        message = every.read(text)
        yes, why = every.takes(text)
        if not yes:
            assert message is None or LAX.search(why), (text, why)
        elif message is None:
            assert STRICT.search(text), text
        else:
            taken.append(text)
    assert len(taken) > 150
    for text, answer in zip(taken, every.echo(taken)):
        expect_same(every, text, answer)

    members = [text[1:-1] for text in taken
               if "oneof" not in text and "null" not in text]
    chance = random.Random(20261130)
    together = []
    for _ in range(200):
        by_name = {member.partition(":")[0]: member
                   for member in chance.sample(members, 20)}
        together.append("{" + ",".join(by_name.values()) + "}")
    for text, answer in zip(together, every.echo(together)):
        expect_same(every, text, answer)
