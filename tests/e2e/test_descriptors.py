"""Descriptors as servers really have them, and what they cost
(docs/operations.md, "Descriptors")."""

import contextlib
import http.client
import threading
import time

import pytest
from google.protobuf import descriptor_pb2

from client import JSON, PROTOBUF, Client, call, call_json
from harness import TIMEOUT, eventually
from reflecting import (V1, ReflectingServer, Reflection, file_of, hanging)


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

        gaps = []
        stop = threading.Event()

        def ask():
            with contextlib.closing(http.client.HTTPConnection(
                    gateway.host, gateway.port, timeout=TIMEOUT)) as client:
                while not stop.is_set():
                    begin = time.monotonic()
                    client.request("GET", "/")
                    client.getresponse().read()
                    gaps.append((time.monotonic() - begin, begin))

        asking = threading.Thread(target=ask)
        asking.start()
        write(["Get", "New"])
        cpu = gateway.cpu_seconds()
        eventually(lambda: call(gateway, "/big0.Big/New", {})[1][0] == 1000,
                   "the new method is known")
        stop.set()
        asking.join()
        # Building took long enough to be noticed.
        worst = max(gap for gap, _ in gaps)
        assert worst < max(0.25, (gateway.cpu_seconds() - cpu) / 3), (
            sorted(gaps)[-3:])
