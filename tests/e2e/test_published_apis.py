"""Descriptor sets in the style of large published APIs: long-running
operations, documents whose paths have segments after `**`, and services that
are mixed in by a service configuration (docs/protocol.md, "HTTP and JSON"), by
servers in Python, Go and Node, whose reflection differs."""

import base64
import concurrent.futures
import contextlib
import http.client
import json
import shutil
import subprocess
import sys

import grpc
import pytest

from client import JSON, Client, call_json
from foreign import NODE
from harness import LISTENING, ROOT, TIMEOUT, Gateway, Process, run
from test_hub_examples import go

OPERATIONS = """
syntax = "proto3";
package longrunning;
import "google/api/annotations.proto";
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/rpc/status.proto";

message Operation {
  string name = 1;
  google.protobuf.Any metadata = 2;
  bool done = 3;
  oneof result {
    google.rpc.Status error = 4;
    google.protobuf.Any response = 5;
  }
}
message GetOperationRequest { string name = 1; }
message ListOperationsRequest {
  string name = 4;
  string filter = 1;
  int32 page_size = 2;
  string page_token = 3;
}
message ListOperationsResponse {
  repeated Operation operations = 1;
  string next_page_token = 2;
}
message CancelOperationRequest { string name = 1; }
message WaitOperationRequest {
  string name = 1;
  google.protobuf.Duration timeout = 2;
}

service Operations {
  rpc ListOperations(ListOperationsRequest) returns (ListOperationsResponse) {
    option (google.api.http) = {get: "/v1/{name=operations}"};
  }
  rpc GetOperation(GetOperationRequest) returns (Operation) {
    option (google.api.http) = {get: "/v1/{name=operations/**}"};
  }
  rpc CancelOperation(CancelOperationRequest)
      returns (google.protobuf.Empty) {
    option (google.api.http) = {
      post: "/v1/{name=operations/**}:cancel" body: "*"
    };
  }
  rpc WaitOperation(WaitOperationRequest) returns (Operation) {
    option (google.api.http) = {
      post: "/v1/{name=operations/**}:wait" body: "*"
    };
  }
}
"""

DOCUMENTS = """
syntax = "proto3";
package documents;
import "google/api/annotations.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "longrunning.proto";

message Value {
  oneof value_type {
    google.protobuf.NullValue null_value = 11;
    bool boolean_value = 1;
    int64 integer_value = 2;
    double double_value = 3;
    google.protobuf.Timestamp timestamp_value = 10;
    string string_value = 17;
    bytes bytes_value = 18;
    ArrayValue array_value = 9;
    MapValue map_value = 6;
  }
}
message ArrayValue { repeated Value values = 1; }
message MapValue { map<string, Value> fields = 1; }
message Document {
  string name = 1;
  map<string, Value> fields = 2;
  google.protobuf.Timestamp create_time = 3;
}
message DocumentMask { repeated string field_paths = 1; }
message GetDocumentRequest {
  string name = 1;
  DocumentMask mask = 2;
  oneof consistency {
    bytes transaction = 3;
    google.protobuf.Timestamp read_time = 5;
  }
}
message CreateDocumentRequest {
  string parent = 1;
  string collection_id = 2;
  string document_id = 3;
  Document document = 4;
  DocumentMask mask = 5;
}
message UpdateDocumentRequest {
  Document document = 1;
  google.protobuf.FieldMask update_mask = 2;
  google.protobuf.BoolValue must_exist = 3;
}
message RunQueryRequest {
  string parent = 1;
  message Query {
    string collection = 1;
    google.protobuf.Int32Value limit = 2;
  }
  oneof query_type { Query structured_query = 2; }
}
message RunQueryResponse { Document document = 1; int32 skipped_results = 4; }
message WriteRequest { string database = 1; repeated Document writes = 2; }
message WriteResponse { string stream_id = 1; int32 count = 2; }
message ExportRequest { string name = 1; repeated string collection_ids = 2; }
message ExportMetadata { string collection = 1; int64 done_bytes = 2; }

service Documents {
  rpc GetDocument(GetDocumentRequest) returns (Document) {
    option (google.api.http) = {
      get: "/v1/{name=projects/*/databases/*/documents/*/**}"
    };
  }
  rpc CreateDocument(CreateDocumentRequest) returns (Document) {
    option (google.api.http) = {
      post: "/v1/{parent=projects/*/databases/*/documents/**}/{collection_id}"
      body: "document"
    };
  }
  rpc UpdateDocument(UpdateDocumentRequest) returns (Document) {
    option (google.api.http) = {
      patch: "/v1/{document.name=projects/*/databases/*/documents/*/**}"
      body: "document"
    };
  }
  rpc DeleteDocument(GetDocumentRequest) returns (google.protobuf.Empty) {
    option (google.api.http) = {
      delete: "/v1/{name=projects/*/databases/*/documents/*/**}"
    };
  }
  rpc RunQuery(RunQueryRequest) returns (stream RunQueryResponse) {
    option (google.api.http) = {
      post: "/v1/{parent=projects/*/databases/*/documents}:runQuery" body: "*"
      additional_bindings {
        post: "/v1/{parent=projects/*/databases/*/documents/*/**}:runQuery"
        body: "*"
      }
    };
  }
  rpc Write(stream WriteRequest) returns (stream WriteResponse) {
    option (google.api.http) = {
      post: "/v1/{database=projects/*/databases/*}/documents:write" body: "*"
    };
  }
  rpc ExportDocuments(ExportRequest) returns (longrunning.Operation) {
    option (google.api.http) = {
      post: "/v1/{name=projects/*/databases/*}:exportDocuments" body: "*"
    };
  }
}
"""

# Published without annotations: the API that mixes them in says where they are.
MIXINS = """
syntax = "proto3";
package mixins;
import "google/protobuf/any.proto";
message Location {
  string name = 1;
  map<string, string> labels = 2;
  google.protobuf.Any metadata = 3;
}
message GetLocationRequest { string name = 1; }
message ListLocationsRequest { string name = 1; int32 page_size = 3; }
message ListLocationsResponse { repeated Location locations = 1; }
service Locations {
  rpc ListLocations(ListLocationsRequest) returns (ListLocationsResponse);
  rpc GetLocation(GetLocationRequest) returns (Location);
}
message Binding { string role = 1; repeated string members = 2; }
message Policy { repeated Binding bindings = 4; bytes etag = 3; }
message SetPolicyRequest { string resource = 1; Policy policy = 2; }
message GetPolicyRequest {
  string resource = 1;
  message Options { int32 requested_policy_version = 1; }
  Options options = 2;
}
service Policies {
  rpc SetPolicy(SetPolicyRequest) returns (Policy);
  rpc GetPolicy(GetPolicyRequest) returns (Policy);
}
"""
MIXED_IN = """
type: google.api.Service
config_version: 3
name: documents.example.com
title: Documents
apis:
  - name: documents.Documents
  - name: longrunning.Operations
  - name: mixins.Locations
  - name: mixins.Policies
documentation: {summary: Documents with fields.}
backend: {rules: [{selector: "documents.*", deadline: 60.0}]}
http:
  rules:
    - selector: mixins.Locations.ListLocations
      get: "/v1/{name=projects/*}/locations"
    - selector: mixins.Locations.GetLocation
      get: "/v1/{name=projects/*/locations/*}"
    - selector: mixins.Policies.GetPolicy
      get: "/v1/{resource=projects/*/databases/*}:getIamPolicy"
    - selector: mixins.Policies.SetPolicy
      post: "/v1/{resource=projects/*/databases/*}:setIamPolicy"
      body: "*"
    - selector: longrunning.Operations.GetOperation
      get: "/v1/{name=projects/*/databases/*/operations/*}"
      additional_bindings:
        - {get: "/v1/{name=operations/**}"}
authentication:
  rules: [{selector: "documents.*", oauth: {canonical_scopes: https://x.test}}]
"""

# The annotations of the files above, for a server whose reflection has none.
UNANNOTATED = """
type: google.api.Service
config_version: 3
http:
  rules:
    - selector: longrunning.Operations.ListOperations
      get: "/v1/{name=operations}"
    - selector: longrunning.Operations.CancelOperation
      post: "/v1/{name=operations/**}:cancel"
      body: "*"
    - selector: longrunning.Operations.WaitOperation
      post: "/v1/{name=operations/**}:wait"
      body: "*"
    - selector: documents.Documents.GetDocument
      get: "/v1/{name=projects/*/databases/*/documents/*/**}"
    - selector: documents.Documents.CreateDocument
      post: "/v1/{parent=projects/*/databases/*/documents/**}/{collection_id}"
      body: document
    - selector: documents.Documents.UpdateDocument
      patch: "/v1/{document.name=projects/*/databases/*/documents/*/**}"
      body: document
    - selector: documents.Documents.DeleteDocument
      delete: "/v1/{name=projects/*/databases/*/documents/*/**}"
    - selector: documents.Documents.RunQuery
      post: "/v1/{parent=projects/*/databases/*/documents}:runQuery"
      body: "*"
      additional_bindings:
        - post: "/v1/{parent=projects/*/databases/*/documents/*/**}:runQuery"
          body: "*"
    - selector: documents.Documents.Write
      post: "/v1/{database=projects/*/databases/*}/documents:write"
      body: "*"
    - selector: documents.Documents.ExportDocuments
      post: "/v1/{name=projects/*/databases/*}:exportDocuments"
      body: "*"
"""

DATABASE = "projects/p/databases/(default)"
DOCS = DATABASE + "/documents"


class Backend:
    """In Python, without reflection. Answers with what it was asked, so that a
    test sees what arrived."""

    def __init__(self, folder):
        sys.path.insert(0, str(folder))
        self.l = __import__("longrunning_pb2")
        self.d = __import__("documents_pb2")
        self.m = __import__("mixins_pb2")
        from google.protobuf import empty_pb2
        d, l, m = self.d, self.l, self.m
        empty = empty_pb2.Empty
        methods = {
            "/longrunning.Operations/ListOperations":
                (l.ListOperationsRequest, self.list_operations),
            "/longrunning.Operations/GetOperation":
                (l.GetOperationRequest, self.get_operation),
            "/longrunning.Operations/CancelOperation":
                (l.CancelOperationRequest, self.cancel),
            "/longrunning.Operations/WaitOperation":
                (l.WaitOperationRequest, lambda q, c: l.Operation(
                    name=f"{q.name} {q.timeout.seconds}")),
            "/documents.Documents/GetDocument":
                (d.GetDocumentRequest, self.get_document),
            "/documents.Documents/CreateDocument":
                (d.CreateDocumentRequest, self.create),
            "/documents.Documents/UpdateDocument":
                (d.UpdateDocumentRequest, self.update),
            "/documents.Documents/DeleteDocument":
                (d.GetDocumentRequest, lambda q, c: empty()),
            "/documents.Documents/ExportDocuments":
                (d.ExportRequest, self.export),
            "/mixins.Locations/ListLocations":
                (m.ListLocationsRequest, lambda q, c: m.ListLocationsResponse(
                    locations=[{"name": f"{q.name}/locations/{i}"}
                               for i in range(q.page_size)])),
            "/mixins.Locations/GetLocation":
                (m.GetLocationRequest, self.get_location),
            "/mixins.Policies/SetPolicy":
                (m.SetPolicyRequest, lambda q, c: q.policy),
            "/mixins.Policies/GetPolicy":
                (m.GetPolicyRequest, lambda q, c: m.Policy(bindings=[{
                    "role": q.resource,
                    "members": [str(q.options.requested_policy_version)]}])),
        }

        class Handlers(grpc.GenericRpcHandler):
            def service(self, details):
                if details.method == "/documents.Documents/RunQuery":
                    return grpc.unary_stream_rpc_method_handler(
                        run_query, d.RunQueryRequest.FromString,
                        lambda message: message.SerializeToString())
                if details.method == "/documents.Documents/Write":
                    return grpc.stream_stream_rpc_method_handler(
                        write, d.WriteRequest.FromString,
                        lambda message: message.SerializeToString())
                if details.method not in methods:
                    return None
                kind, answer = methods[details.method]
                return grpc.unary_unary_rpc_method_handler(
                    answer, kind.FromString,
                    lambda message: message.SerializeToString())

        def run_query(request, context):
            del context
            for i in range(request.structured_query.limit.value):
                yield d.RunQueryResponse(document=d.Document(
                    name=f"{request.parent}/"
                         f"{request.structured_query.collection}/{i}"))

        def write(requests, context):
            del context
            for request in requests:
                yield d.WriteResponse(stream_id=request.database,
                                      count=len(request.writes))

        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(8), handlers=[Handlers()])
        self.target = "127.0.0.1:%d" % self._server.add_insecure_port(
            "127.0.0.1:0")
        self._server.start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._server.stop(None).wait(5)

    def get_location(self, request, context):
        asked = dict(context.invocation_metadata())
        back = [("x-told" + key, asked["x-ask" + key])
                for key in ("", "-bin") if "x-ask" + key in asked]
        context.send_initial_metadata(back)
        context.set_trailing_metadata(back)
        return self.m.Location(name=request.name, labels={"a": "b"})

    def list_operations(self, request, context):
        del context
        return self.l.ListOperationsResponse(
            operations=[{"name": request.filter}] * request.page_size,
            next_page_token=request.page_token)

    def get_operation(self, request, context):
        del context
        operation = self.l.Operation(name=request.name, done=True)
        operation.metadata.Pack(
            self.d.ExportMetadata(collection="c", done_bytes=2**53 + 1))
        if request.name.endswith("failed"):
            operation.error.code = 9
            operation.error.message = "no room"
            operation.error.details.add().Pack(self.d.ExportMetadata())
        else:
            operation.response.Pack(self.d.Document(name="exported"))
        return operation

    def cancel(self, request, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.name)

    def get_document(self, request, context):
        del context
        document = self.d.Document(name=request.name)
        for path in request.mask.field_paths:
            document.fields[path].string_value = path
        if request.WhichOneof("consistency") == "read_time":
            document.create_time.CopyFrom(request.read_time)
        return document

    def create(self, request, context):
        del context
        request.document.name = (f"{request.parent}|{request.collection_id}|"
                                 f"{request.document_id}")
        return request.document

    def update(self, request, context):
        del context
        for path in request.update_mask.paths:
            request.document.fields["mask"].array_value.values.add(
                string_value=path)
        if request.HasField("must_exist"):
            request.document.fields["must"].boolean_value = (
                request.must_exist.value)
        return request.document

    def export(self, request, context):
        del context
        operation = self.l.Operation(name=request.name + "/operations/1")
        operation.metadata.Pack(self.d.ExportMetadata(
            collection=",".join(request.collection_ids)))
        return operation


class Server(Process):
    """One in another language."""

    def __init__(self, *command):
        super().__init__(*command)
        self.target = "127.0.0.1:" + self.wait_for_output(LISTENING)[2]


FILES = {"longrunning.proto": OPERATIONS, "documents.proto": DOCUMENTS,
         "mixins.proto": MIXINS}


def go_server(folder):
    """published/server.go; each .proto file is a package of its own."""
    go(folder, "build", "-o", folder / "protoc-gen-go",
       "github.com/golang/protobuf/protoc-gen-go")
    packages = {
        "google/api/annotations.proto":
            "google.golang.org/genproto/googleapis/api/annotations",
        "google/rpc/status.proto":
            "google.golang.org/genproto/googleapis/rpc/status",
        "google/protobuf/field_mask.proto":
            "google.golang.org/genproto/protobuf/field_mask",
        **{f"google/protobuf/{name}.proto":
               f"github.com/golang/protobuf/ptypes/{name}"
           for name in ("any", "duration", "empty", "struct", "timestamp",
                        "wrappers")},
        **{name: name.removesuffix(".proto") for name in FILES}}
    options = ",".join(["plugins=grpc", *(
        f"M{file}={package}" for file, package in packages.items())])
    for name in FILES:
        package = folder / "src" / packages[name]
        package.mkdir(parents=True)
        subprocess.run(
            ["protoc", f"-I{folder}", f"-I{ROOT}/proto",
             f"--plugin={folder}/protoc-gen-go", f"--go_out={options}:{package}",
             name], check=True)
    source = ROOT / "tests/e2e/published/server.go"
    go(folder, "build", "-o", folder / "server", source)
    return Server(folder / "server")


def node_server(folder, *arguments):
    return Server(shutil.which("node"), NODE / "published.mjs", folder,
                  ROOT / "proto", *arguments)


# What a server has of its descriptors, and what the gateway is given of them:
# grpc-go's reflection is v1alpha with annotations, that of grpc-js has v1 as
# well and knows no options.
SERVERS = {
    "python": (Backend, "reflection: false, files: [api.pb]", "service.yaml"),
    "grpc-go": (go_server, "reflection: true", "service.yaml"),
    "grpc-js": (node_server, "reflection: true",
                "service.yaml, unannotated.yaml"),
    "grpc-js-without-reflection": (
        lambda folder: node_server(folder, "bare"), "files: [api.pb]",
        "service.yaml"),
    "grpc-js-and-files": (node_server, "files: [api.pb]", "service.yaml"),
}


@pytest.fixture(scope="module", params=SERVERS)
def api(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "service.yaml").write_text(MIXED_IN)
    (folder / "unannotated.yaml").write_text(UNANNOTATED)
    subprocess.run(
        ["protoc", f"-I{folder}", f"-I{ROOT / 'proto'}", "--include_imports",
         f"--descriptor_set_out={folder}/api.pb", f"--python_out={folder}",
         *FILES, "google/api/annotations.proto", "google/api/http.proto",
         "google/rpc/status.proto"], check=True)
    server, descriptors, rules = SERVERS[request.param]
    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(server(folder))
        (folder / "api.yaml").write_text(f"""
listeners: [{{address: "127.0.0.1:0"}}]
upstreams:
  - name: api
    target: "{backend.target}"
    descriptors: {{{descriptors}}}
    http_rules_files: [{rules}]
routes:
  - {{prefix: /v1, upstream: api, http_rules: true}}
  - {{upstream: api}}
""")
        gateway = stack.enter_context(
            Gateway.configured(folder / "api.yaml"))
        gateway.file = folder / "api.yaml"
        yield gateway


def request(gateway, verb, path, body=None):
    """(status, JSON)"""
    connection = http.client.HTTPConnection(gateway.host, gateway.port,
                                            timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request(verb, path,
                           None if body is None else json.dumps(body),
                           {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        try:
            return response.status, json.loads(text)
        except json.JSONDecodeError:
            return response.status, [json.loads(line)
                                     for line in text.splitlines()]


def get(gateway, path):
    status, answer = request(gateway, "GET", path)
    assert status == 200, answer
    return answer


METADATA = {"@type": "type.googleapis.com/documents.ExportMetadata",
            "collection": "c", "doneBytes": "9007199254740993"}


def test_check_finds_no_fault(api):
    for flags in [], ["--live"]:
        done = run("check", *flags, str(api.file))
        assert done.returncode == 0, done.stderr
        assert b"cannot" not in done.stdout + done.stderr


def test_operations(api):
    assert get(api, "/v1/operations?filter=f&page_size=2&pageToken=t") == {
        "operations": [{"name": "f"}, {"name": "f"}], "nextPageToken": "t"}
    assert request(api, "POST", "/v1/operations/a/b:wait",
                   {"timeout": "90s"}) == (200, {"name": "operations/a/b 90"})
    status, failure = request(api, "POST", "/v1/operations/a/b:cancel", {})
    assert (status, failure["code"], failure["message"]) == (
        400, 9, "operations/a/b")


# A rule of the service configuration replaces the annotation.
@pytest.mark.parametrize("name", [
    "operations/a/b", DATABASE + "/operations/a"])
def test_results_of_operations(api, name):
    assert get(api, "/v1/" + name) == {
        "name": name, "metadata": METADATA, "done": True,
        "response": {"@type": "type.googleapis.com/documents.Document",
                     "name": "exported"}}
    assert get(api, f"/v1/{name}failed") == {
        "name": name + "failed", "metadata": METADATA, "done": True,
        "error": {"code": 9, "message": "no room", "details": [
            {"@type": "type.googleapis.com/documents.ExportMetadata"}]}}


def test_method_that_starts_an_operation(api):
    assert request(api, "POST", f"/v1/{DATABASE}:exportDocuments",
                   {"collectionIds": ["a", "b"]}) == (200, {
        "name": DATABASE + "/operations/1",
        "metadata": {"@type": METADATA["@type"], "collection": "a,b"}})


@pytest.mark.parametrize("document", ["c/d", "c/d/e/f", "c/d/e/f/g/h"])
def test_documents_of_any_depth(api, document):
    name = f"{DOCS}/{document}"
    assert get(api, f"/v1/{name}?mask.field_paths=a&mask.fieldPaths=b.c"
               "&readTime=2026-01-02T03:04:05Z") == {
        "name": name, "createTime": "2026-01-02T03:04:05Z",
        "fields": {"a": {"stringValue": "a"}, "b.c": {"stringValue": "b.c"}}}
    assert request(api, "DELETE", "/v1/" + name) == (200, {})
    fields = {"n": {"integerValue": "1"}, "z": {"nullValue": None},
              "l": {"arrayValue": {"values": [
                  {"doubleValue": 0.5}, {"mapValue": {"fields": {
                      "b": {"bytesValue": "AQI="}}}}]}}}
    status, changed = request(
        api, "PATCH", f"/v1/{name}?updateMask=fields.n,createTime"
        "&must_exist=false", {"fields": fields})
    assert status == 200
    assert changed["name"] == name
    assert changed["fields"] == fields | {
        "mask": {"arrayValue": {"values": [{"stringValue": "fields.n"},
                                           {"stringValue": "create_time"}]}},
        "must": {"booleanValue": False}}


# The last segment is the variable behind `**`, which may be none.
@pytest.mark.parametrize("parent", [DOCS, DOCS + "/c/d", DOCS + "/c/d/e/f"])
def test_collection_is_the_segment_behind_any_depth(api, parent):
    assert request(api, "POST", f"/v1/{parent}/coll?documentId=x",
                   {"fields": {"s": {"stringValue": "é"}}}) == (200, {
        "name": f"{parent}|coll|x", "fields": {"s": {"stringValue": "é"}}})


@pytest.mark.parametrize("parent", [DOCS, DOCS + "/c/d", DOCS + "/c/d/e/f"])
def test_queries_of_any_depth(api, parent):
    query = {"structuredQuery": {"collection": "k", "limit": 3}}
    expected = [{"document": {"name": f"{parent}/k/{i}"}} for i in range(3)]
    assert request(api, "POST", f"/v1/{parent}:runQuery", query) == (
        200, expected)
    assert call_json(api, f"/v1/{parent}:runQuery", query,
                     subprotocols=()) == expected


# The path is part of the first message.
def test_stream_of_writes_on_a_websocket(api):
    with Client(api, f"/v1/{DATABASE}/documents:write", JSON) as client:
        for count in range(3):
            client.send(json.dumps({"writes": [{"name": "x"}] * count}))
            assert client.receive_json() == (
                {"count": count} if count else {"streamId": DATABASE})
        client.half_close()
        assert client.receive_close() == (1000, "")


def test_services_that_are_mixed_in(api):
    assert get(api, "/v1/projects/p/locations?page_size=1") == {
        "locations": [{"name": "projects/p/locations/0"}]}
    assert get(api, "/v1/projects/p/locations/l") == {
        "name": "projects/p/locations/l", "labels": {"a": "b"}}
    policy = {"bindings": [{"role": "r", "members": ["m"]}], "etag": "AQ=="}
    assert request(api, "POST", f"/v1/{DATABASE}:setIamPolicy",
                   {"policy": policy}) == (200, policy)
    assert get(api, f"/v1/{DATABASE}:getIamPolicy"
               "?options.requestedPolicyVersion=3") == {
        "bindings": [{"role": DATABASE, "members": ["3"]}]}


# Both ways, as text and as bytes, before the response and behind it.
def test_metadata(api):
    value = base64.b64encode(bytes(range(256))).decode()
    connection = http.client.HTTPConnection(api.host, api.port,
                                            timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request("GET", "/v1/projects/p/locations/l", headers={
            "Grpc-Metadata-X-Ask": "a b", "Grpc-Metadata-X-Ask-Bin": value})
        response = connection.getresponse()
        assert response.status == 200, response.read()
        told = response.headers
    assert told["Grpc-Metadata-X-Told"] == "a b"
    assert base64.b64decode(told["Grpc-Metadata-X-Told-Bin"] + "==") == bytes(
        range(256))


# The same methods by their own paths, for which no rule is needed.
def test_documents_by_connect(api):
    document = {"fields": {"m": {"mapValue": {"fields": {
        "n": {"integerValue": "-9007199254740993"}}}}}}
    assert request(api, "POST", "/documents.Documents/CreateDocument", {
        "parent": "p", "collectionId": "c", "document": document}) == (
            200, {"name": "p|c|"} | document)


def test_paths_of_no_method(api):
    assert request(api, "GET", "/v1/projects/p/databases/d/nothing")[0] == 404
    assert request(api, "GET", f"/v1/{DOCS}")[0] == 404
    assert request(api, "PUT", f"/v1/{DOCS}/c/d")[0] == 405
    # What no rule has as its verb is part of the last segment.
    assert request(api, "POST", f"/v1/{DOCS}/c/d:walk", {}) == (
        200, {"name": f"{DOCS}/c|d:walk|"})
