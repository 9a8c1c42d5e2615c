"""A HubBackend in the test's own process, on python3-grpcio: it notes every
event, and sends what the test tells it to."""

import concurrent.futures
import functools
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading

import grpc
from google.protobuf import timestamp_pb2

import reflecting
from harness import ROOT, TIMEOUT, eventually, held_port

METHOD = "/headgate.v1.HubBackend/Attach"


@functools.cache
def generated():
    """The folder with the messages of proto/headgate/v1 for Python."""
    folder = tempfile.mkdtemp(prefix="headgate-e2e-proto-")
    protos = ROOT / "proto"
    subprocess.run(
        ["protoc", f"-I{protos}", f"--python_out={folder}",
         "google/rpc/status.proto", "headgate/v1/packet.proto",
         "google/api/annotations.proto", "google/api/http.proto",
         "headgate/v1/hub.proto", "headgate/v1/hub_backend.proto",
         "headgate/v1/hub_client.proto",
         "headgate/v1/hub_service.proto", "headgate/v1/hub_engine.proto"],
        cwd=protos, check=True)
    return folder


def _import():
    # `google` is the package of the library; the generated google/rpc joins it.
    import google
    folder = generated()
    google.__path__.append(str(pathlib.Path(folder, "google")))
    sys.path.append(folder)
    from headgate.v1 import (hub_backend_pb2, hub_client_pb2, hub_engine_pb2,
                             hub_pb2, hub_service_pb2, packet_pb2)
    return (hub_backend_pb2, hub_pb2, packet_pb2, hub_service_pb2,
            hub_engine_pb2, hub_client_pb2)


pb, hub_pb, packet_pb, api_pb, engine_pb, client_pb = _import()
Command = pb.Command
Payload = hub_pb.Payload


def text(content):
    return Payload(text=content)


def timestamp(seconds):
    return timestamp_pb2.Timestamp(
        seconds=int(seconds), nanos=int(seconds % 1 * 1e9))


def accept(joined):
    """Lets everybody in."""
    return Command(accept=pb.Accept(who=joined.who))


class HubBackend:
    """`policy`: from the Joined event of a session that asks to the command
    that answers it, or None. `reflection`: as ReflectingServer's. `options`: of
    the gRPC server."""

    method = METHOD
    request = pb.FromGateway

    def __init__(self, policy=accept, port=None, reflection=None, options=()):
        self.policy = policy
        self._options = list(options)
        self._reflection = reflection
        self.events = []   # Of all streams.
        self.streams = []  # The events of each.
        self.reading = threading.Event()  # Cleared: nothing is read.
        self.reading.set()
        self._commands = None
        self._lock = threading.Lock()
        self._start(port or held_port())

    def _start(self, port):
        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(16),
            options=[("grpc.so_reuseport", 0), *self._options])
        handler = grpc.stream_stream_rpc_method_handler(
            self._attach, request_deserializer=self.request.FromString,
            response_serializer=lambda message: message.SerializeToString())
        service, method = self.method[1:].split("/")
        self._server.add_generic_rpc_handlers((
            grpc.method_handlers_generic_handler(service, {method: handler}),))
        if self._reflection is not None:
            self._server.add_generic_rpc_handlers((
                reflecting.handler(self._reflection),))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        assert self.port
        self.target = f"127.0.0.1:{self.port}"
        self._server.start()

    def _attach(self, requests, context):
        commands = queue.Queue()
        with self._lock:
            stream = []
            self.streams.append(stream)
            self._commands = commands

        def read():
            try:
                for message in requests:
                    self._take(stream, message, commands)
                    self.reading.wait()
            except Exception:  # The stream has ended.
                pass
            commands.put(None)

        threading.Thread(target=read, daemon=True).start()
        context.add_callback(lambda: commands.put(None))
        while (batch := commands.get()) is not None:
            if batch == "end":
                return
            yield batch

    def _take(self, stream, batch, commands):
        for event in batch.events:
            self._note(stream, event, commands)

    def _note(self, stream, event, commands):
        with self._lock:
            stream.append(event)
            self.events.append(event)
        if event.joined.asks and self.policy is not None:
            command = self.policy(event)
            if command is not None:
                commands.put(pb.ToGateway(commands=[command]))

    # --- for tests ---

    def send(self, *commands):
        """In one message."""
        self._commands.put(pb.ToGateway(commands=commands))

    def end_stream(self):
        """With OK."""
        self._commands.put("end")

    def of_kind(self, kind):
        with self._lock:
            return [event for event in self.events
                    if event.WhichOneof("kind") == kind]

    def wait(self, kind, count=1, timeout=TIMEOUT):
        """The first `count` events of that kind; with 1 the event itself."""
        found = eventually(
            lambda: len(self.of_kind(kind)) >= count and self.of_kind(kind),
            f"{count} of {kind}", timeout)
        return found[0] if count == 1 else found[:count]

    def stop(self, grace=None):
        self._server.stop(grace).wait()

    def restart(self):
        """As another process would be at the same address."""
        self._start(self.port)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self._commands is not None:
            self._commands.put(None)
        self.stop()
