#!/usr/bin/python3
"""A testee of protobuf's conformance suite (conformance/conformance.proto in
protobuf's sources): each JSON payload goes through a gateway as a request, and
each protobuf payload that is to become JSON as a response. script/conformance
runs it.

    testee.py MESSAGES CODE    in place of the suite's own testees

MESSAGES: a descriptor set with the suite's test messages. CODE: a directory
with the Python code of conformance.proto."""

import asyncio
import concurrent.futures
import contextlib
import os
import pathlib
import struct
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "e2e"), sys.argv[2]]

# What others print is not for the runner.
runner = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)

import grpc  # noqa: E402
import websockets  # noqa: E402
from google.protobuf import descriptor_pb2  # noqa: E402

from client import JSON, Client  # noqa: E402
from conformance import conformance_pb2 as suite  # noqa: E402
from harness import Gateway  # noqa: E402

CONFIG = """
listeners: [{{address: "127.0.0.1:0"}}]
upstreams:
  - name: testee
    target: "{target}"
    descriptors: {{reflection: false, files: [types.pb]}}
routes:
  - {{prefix: /strict, strip_prefix: true, upstream: testee}}
  - {{prefix: /lax, strip_prefix: true, upstream: testee,
      json: {{unknown_fields: ignore}}}}
"""


class Backend:
    """Sends each message back, or `canned` in its place."""

    def __init__(self, target, names):
        self.received = None
        self.canned = None
        handler = grpc.stream_stream_rpc_method_handler(self.answer)
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        self.server.add_generic_rpc_handlers([
            grpc.method_handlers_generic_handler(
                "testee.Testee", dict.fromkeys(names, handler))])
        self.server.add_insecure_port(target)
        self.server.start()

    def answer(self, requests, context):
        del context
        for request in requests:
            self.received = request
            yield request if self.canned is None else self.canned


def descriptors(path):
    """The descriptor set, with a method for each TestAllTypes message, and
    {message: method}."""
    files = descriptor_pb2.FileDescriptorSet.FromString(
        pathlib.Path(path).read_bytes())
    service = files.file.add(name="testee.proto", package="testee",
                             syntax="proto3")
    methods = service.service.add(name="Testee").method
    names = {}
    for file in files.file[:-1]:
        for message in file.message_type:
            if not message.name.startswith("TestAllTypes"):
                continue
            full = f"{file.package}.{message.name}"
            names[full] = f"M{len(names)}"
            methods.add(name=names[full], input_type=f".{full}",
                        output_type=f".{full}", client_streaming=True,
                        server_streaming=True)
            if file.name not in service.dependency:
                service.dependency.append(file.name)
    return files, names


class Testee:
    def __init__(self, stack):
        folder = pathlib.Path(stack.enter_context(
            tempfile.TemporaryDirectory()))
        files, self.methods = descriptors(sys.argv[1])
        (folder / "types.pb").write_bytes(files.SerializeToString())
        target = f"unix:{folder}/backend"
        self.backend = Backend(target, self.methods.values())
        stack.callback(self.backend.server.stop, 0)
        (folder / "headgate.yaml").write_text(CONFIG.format(target=target))
        self.gateway = stack.enter_context(
            Gateway.configured(folder / "headgate.yaml"))
        self.sessions = {}
        stack.callback(self.close)

    def close(self):
        for session in self.sessions.values():
            with contextlib.suppress(websockets.ConnectionClosed):
                session.__exit__()

    def exchange(self, path, text, canned):
        """The answer, or None and why the session ended."""
        self.backend.received, self.backend.canned = None, canned
        if path not in self.sessions:
            self.sessions[path] = Client(self.gateway, path, JSON)
        session = self.sessions[path]
        try:
            session.send(text)
            try:
                return session.receive(timeout=2), ""
            except asyncio.TimeoutError:  # The text is not complete.
                session.half_close()
                return session.receive(), ""
        except websockets.ConnectionClosed as closed:
            del self.sessions[path]
            session.__exit__()
            return None, str(closed.rcvd)

    def run(self, request):
        response = suite.ConformanceResponse()
        kind = request.WhichOneof("payload")
        wanted = request.requested_output_format
        if request.message_type == "conformance.FailureSet":
            response.protobuf_payload = b""
        elif (request.message_type not in self.methods or
              kind not in ("json_payload", "protobuf_payload") or
              wanted not in (suite.JSON, suite.PROTOBUF) or
              (kind == "protobuf_payload" and wanted == suite.PROTOBUF)):
            response.skipped = "no JSON"
        else:
            lax = (request.test_category ==
                   suite.JSON_IGNORE_UNKNOWN_PARSING_TEST)
            path = (f"/{'lax' if lax else 'strict'}/testee.Testee/"
                    f"{self.methods[request.message_type]}")
            text, canned = "{}", request.protobuf_payload
            if kind == "json_payload":
                text, canned = request.json_payload, None
            answer, why = self.exchange(path, text, canned)
            if self.backend.received is None:
                response.parse_error = why
            elif wanted == suite.PROTOBUF:
                response.protobuf_payload = self.backend.received
            elif answer is None:
                response.serialize_error = why
            else:
                response.json_payload = answer
        return response


with contextlib.ExitStack() as stack:
    testee = Testee(stack)
    while size := sys.stdin.buffer.read(4):
        asked = suite.ConformanceRequest.FromString(
            sys.stdin.buffer.read(struct.unpack("<I", size)[0]))
        told = testee.run(asked).SerializeToString()
        runner.write(struct.pack("<I", len(told)) + told)
        runner.flush()
