"""A gRPC server whose reflection and answers a test decides: python3-grpcio,
in a thread of the test."""

import concurrent.futures
import threading

import grpc
from google.protobuf import descriptor_pb2, message_factory, text_format

from harness import held_port

V1 = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
V1ALPHA = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def _fields(*fields):
    return " ".join(
        "field { name: \"%s\" number: %d label: LABEL_%s type: TYPE_%s %s}" % (
            name, number, label, kind,
            f'type_name: "{kind_name}" ' if kind_name else "")
        for name, number, label, kind, kind_name in fields)


# The wire format of grpc/reflection/v1/reflection.proto, as far as it is used.
_FILE = text_format.Parse(
    'name: "reflecting.proto" package: "reflecting" syntax: "proto3" '
    'message_type { name: "Request" ' + _fields(
        ("file_by_filename", 3, "OPTIONAL", "STRING", ""),
        ("file_containing_symbol", 4, "OPTIONAL", "STRING", ""),
        ("list_services", 7, "OPTIONAL", "STRING", "")) + "} "
    'message_type { name: "Files" ' + _fields(
        ("file_descriptor_proto", 1, "REPEATED", "BYTES", "")) + "} "
    'message_type { name: "Service" ' + _fields(
        ("name", 1, "OPTIONAL", "STRING", "")) + "} "
    'message_type { name: "Services" ' + _fields(
        ("service", 1, "REPEATED", "MESSAGE", ".reflecting.Service")) + "} "
    'message_type { name: "Error" ' + _fields(
        ("error_code", 1, "OPTIONAL", "INT32", ""),
        ("error_message", 2, "OPTIONAL", "STRING", "")) + "} "
    'message_type { name: "Response" ' + _fields(
        ("file_descriptor_response", 4, "OPTIONAL", "MESSAGE",
         ".reflecting.Files"),
        ("list_services_response", 6, "OPTIONAL", "MESSAGE",
         ".reflecting.Services"),
        ("error_response", 7, "OPTIONAL", "MESSAGE", ".reflecting.Error"))
    + "}", descriptor_pb2.FileDescriptorProto())
_MESSAGES = message_factory.GetMessages([_FILE])
Request = _MESSAGES["reflecting.Request"]
Response = _MESSAGES["reflecting.Response"]


def file_of(text):
    """A FileDescriptorProto in the text format."""
    return text_format.Parse(text, descriptor_pb2.FileDescriptorProto())


def symbols_of(file):
    """The full names of a file's services and messages."""
    prefix = f"{file.package}." if file.package else ""

    def messages(scope, of):
        for message in of:
            yield scope + message.name
            yield from messages(f"{scope}{message.name}.", message.nested_type)

    yield from messages(prefix, file.message_type)
    for service in file.service:
        yield prefix + service.name


class Reflection:
    """Answers as servers do, one answer for each question. Subclasses spoil
    it."""

    def __init__(self, *files):
        self.files = {file.name: file for file in files}
        self.asked = []  # (kind, name), over all conversations.

    def services(self):
        for file in self.files.values():
            for service in file.service:
                yield f"{file.package}." * bool(file.package) + service.name

    def found(self, files):
        response = Response()
        for file in files:
            response.file_descriptor_response.file_descriptor_proto.append(
                file.SerializeToString())
        return response

    def not_found(self, name, context):
        del context
        response = Response()
        response.error_response.error_code = 5
        response.error_response.error_message = f"{name} is not found"
        return response

    def by_symbol(self, name, context):
        for file in self.files.values():
            if name in symbols_of(file):
                return self.found([file])
        return self.not_found(name, context)

    def by_file(self, name, context):
        if name in self.files:
            return self.found([self.files[name]])
        return self.not_found(name, context)

    def __call__(self, requests, context):
        for request in requests:
            if request.file_by_filename:
                self.asked.append(("file", request.file_by_filename))
                yield self.by_file(request.file_by_filename, context)
            elif request.file_containing_symbol:
                self.asked.append(("symbol", request.file_containing_symbol))
                yield self.by_symbol(request.file_containing_symbol, context)
            else:
                self.asked.append(("list", ""))
                response = Response()
                response.list_services_response.SetInParent()
                for name in self.services():
                    response.list_services_response.service.add().name = name
                yield response


def hanging(requests, context):
    """Reflection that takes every question and answers none."""
    del requests
    released = threading.Event()
    context.add_callback(released.set)
    released.wait(30)
    return iter(())


def handler(reflection):
    """`reflection` beside the handlers of another server."""
    service, method = V1[1:].split("/")
    return grpc.method_handlers_generic_handler(service, {
        method: grpc.stream_stream_rpc_method_handler(
            reflection, Request.FromString, Response.SerializeToString)})


class ReflectingServer:
    """Sends each request of every method back, but for what `statuses` says:
    {path or "*": grpc.StatusCode}, which may change meanwhile, with `details`
    (a serialized google.rpc.Status) if that is set. `reflection` is
    called with the requests and the context; None: there is none."""

    def __init__(self, reflection=None, port=None, path=V1):
        self.statuses = {}
        self.details = None
        self.calls = []  # The paths that were called.
        server = self

        class Handlers(grpc.GenericRpcHandler):
            def service(self, details):
                method = details.method
                server.calls.append(method)
                if method == path and reflection is not None:
                    return grpc.stream_stream_rpc_method_handler(
                        reflection, Request.FromString,
                        Response.SerializeToString)
                if "ServerReflection" in method or "Health" in method:
                    if "*" not in server.statuses:
                        return None

                def echo(requests, context):
                    status = server.statuses.get(
                        method, server.statuses.get("*"))
                    if status is not None:
                        if server.details is not None:
                            context.set_trailing_metadata([
                                ("grpc-status-details-bin", server.details)])
                        context.abort(status, "as the test says")
                    yield from requests

                return grpc.stream_stream_rpc_method_handler(echo)

        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(16),
            handlers=[Handlers()],
            options=[("grpc.max_receive_message_length", -1),
                     ("grpc.max_send_message_length", -1),
                     ("grpc.so_reuseport", 0)])
        self.port = self._server.add_insecure_port(
            f"127.0.0.1:{port or held_port()}")
        assert self.port, f"port {port} is in use"
        self.target = f"127.0.0.1:{self.port}"
        self._server.start()

    def stop(self):
        self._server.stop(None).wait(5)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()
