"""Spans for an OpenTelemetry collector (docs/operations.md, "Tracing")."""

import contextlib
import http.server
import json
import re
import socket
import threading

import pytest

from client import ECHO, HELLO, Client, call, call_json
from harness import Gateway, eventually, run

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SAMPLED = [("Traceparent", f"00-{TRACE}-{PARENT}-01")]
UNSAMPLED = [("Traceparent", f"00-{TRACE}-{PARENT}-00")]
SAY_HELLO = HELLO + "SayHello"


class Collector:
    """Takes traces, answering each request with `status`."""

    def __init__(self, status=200):
        self.requests = []  # (path, content type, body)
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests.append(
                    (self.path, self.headers["Content-Type"],
                     json.loads(body)))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                       Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def spans(self):
        return [span for _, _, body in self.requests
                for resource in body["resourceSpans"]
                for scope in resource["scopeSpans"]
                for span in scope["spans"]]

    def wait(self, count):
        return eventually(
            lambda: self.spans() if len(self.spans()) >= count else None,
            f"{count} spans")


@pytest.fixture
def collector(stack):
    return stack.enter_context(Collector())


@pytest.fixture
def traced(stack, backend, tmp_path):
    """traced(url, ratio) -> a gateway that exports to it."""

    def start(url, ratio="0"):
        file = tmp_path / "headgate.yaml"
        file.write_text(f"""
listeners: [{{address: "127.0.0.1:0"}}]
admin: {{address: "127.0.0.1:0"}}
upstreams: [{{name: main, target: "{backend.target}"}}]
routes: [{{upstream: main}}]
tracing: {{endpoint: "{url}", sample_ratio: {ratio}, service_name: edge}}
""")
        return stack.enter_context(
            Gateway.configured(file, "--drain", "2s", admin=None))

    return start


def attributes(span):
    return {entry["key"]: next(iter(entry["value"].values()))
            for entry in span["attributes"]}


def traceparent(gateway, headers):
    """The one that the backend gets."""
    answer, = call_json(gateway, ECHO + "Metadata", {}, headers=headers)
    value, = answer["metadata"]["traceparent"]["values"]
    return value


def greet(gateway, **options):
    return call_json(gateway, SAY_HELLO, {"greeting": "ann"}, **options)


# --- what is sent ---


def test_a_sampled_call_is_a_span_below_the_clients(traced, collector):
    gateway = traced(collector.url)
    upstream = traceparent(gateway, SAMPLED)
    span, = collector.wait(1)
    assert span["traceId"] == TRACE
    assert span["parentSpanId"] == PARENT
    assert re.fullmatch("[0-9a-f]{16}", span["spanId"])
    assert upstream == f"00-{TRACE}-{span['spanId']}-01"
    assert span["kind"] == 2
    assert span["name"] == ECHO.strip("/") + "/Metadata"
    assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
    assert span["status"] == {}
    assert attributes(span) == {
        "rpc.system": "grpc", "rpc.service": ECHO.strip("/"),
        "rpc.method": "Metadata", "rpc.grpc.status_code": "0",
        "http.route": "/", "client.address": "127.0.0.1"}
    path, content_type, body = collector.requests[0]
    assert (path, content_type) == ("/v1/traces", "application/json")
    resource = body["resourceSpans"][0]["resource"]
    assert attributes(resource)["service.name"] == "edge"
    eventually(lambda: gateway.metric("headgate_spans_total",
                                      outcome="exported") == 1, "counted")


def test_no_token_and_no_payload_is_in_a_span(traced, collector):
    gateway = traced(collector.url)
    call_json(gateway, SAY_HELLO + "?greeting=in-query",
              {"greeting": "in-payload"},
              headers=SAMPLED + [("Authorization", "Bearer in-header"),
                                 ("Grpc-Metadata-X-Any", "in-metadata")])
    collector.wait(1)
    text = json.dumps(collector.requests)
    for secret in ("in-query", "in-payload", "in-header", "in-metadata"):
        assert secret not in text


def test_a_failed_call_is_an_error(traced, collector):
    gateway = traced(collector.url)
    call(gateway, ECHO + "Fail", {"code": 5, "message": "no such thing"},
         headers=SAMPLED)
    span, = collector.wait(1)
    assert attributes(span)["rpc.grpc.status_code"] == "5"
    assert span["status"] == {"code": 2, "message": "no such thing"}


def test_a_client_that_leaves_cancels_its_span(traced, collector):
    gateway = traced(collector.url)
    with Client(gateway, HELLO + "BidiHello", "headgate.json.v1",
                headers=SAMPLED) as client:
        client.send({"greeting": "ann"})
        client.receive_json()
    span, = collector.wait(1)
    assert attributes(span)["rpc.grpc.status_code"] == "1"


# --- what is sampled ---


def test_what_is_not_sampled_is_not_sent_and_stays_as_it_is(traced, collector):
    gateway = traced(collector.url, ratio="0")
    assert traceparent(gateway, UNSAMPLED) == UNSAMPLED[0][1]
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00",
                        traceparent(gateway, []))
    # Spans leave in the order of the calls' ends.
    traceparent(gateway, SAMPLED)
    span, = collector.wait(1)
    assert span["traceId"] == TRACE
    assert span["parentSpanId"] == PARENT


def test_a_call_without_a_parent_is_sampled_by_the_ratio(traced, collector):
    gateway = traced(collector.url, ratio="1")
    upstream = traceparent(gateway, [])
    span, = collector.wait(1)
    assert "parentSpanId" not in span
    assert upstream == f"00-{span['traceId']}-{span['spanId']}-01"


def test_the_gateway_sends_nothing_by_default(gateway):
    assert traceparent(gateway, SAMPLED) == SAMPLED[0][1]
    assert gateway.metric("headgate_spans_total") == 0


# --- collectors that fail ---


@pytest.mark.parametrize("status", [500, 429])
def test_spans_that_are_not_taken_are_counted(traced, stack, status):
    collector = stack.enter_context(Collector(status))
    gateway = traced(collector.url)
    greet(gateway, headers=SAMPLED)
    eventually(lambda: gateway.metric("headgate_spans_total",
                                      outcome="failed") == 1, "counted")
    greet(gateway, headers=SAMPLED)
    eventually(lambda: gateway.metric("headgate_spans_total",
                                      outcome="failed") == 2, "counted")
    assert len(collector.spans()) == 2  # Each is sent once.
    gateway.wait_for_log("the collector does not take spans")
    lines = [line for line in gateway.stderr().splitlines()
             if "the collector does not take spans" in line]
    assert len(lines) == 1 and f"HTTP status {status}" in lines[0]


def test_a_collector_that_is_not_there_costs_no_session(traced):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gateway = traced(f"http://127.0.0.1:{unused.getsockname()[1]}/")
        for _ in range(5):
            greet(gateway, headers=SAMPLED)
        eventually(lambda: gateway.metric("headgate_spans_total",
                                          outcome="failed") == 5, "counted")


def test_a_silent_collector_costs_no_session(traced):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        gateway = traced(f"http://127.0.0.1:{silent.getsockname()[1]}/")
        greet(gateway, headers=SAMPLED)
        connection, _ = silent.accept()  # The batch is on its way.
        with contextlib.closing(connection):
            for _ in range(5):
                greet(gateway, headers=SAMPLED)
            # Stopping does not wait for it.
            gateway.stop()


# --- configuration ---


@pytest.mark.parametrize("tracing, fault", [
    ('{endpoint: "https://c/v1/traces"}', "tracing.endpoint: must be an http"),
    ("{endpoint: c}", "tracing.endpoint: must be a URL"),
    ("{sample_ratio: 2}", "tracing.sample_ratio: must be a number from 0 to 1"),
])
def test_check_refuses_what_cannot_be_used(tmp_path, tracing, fault):
    file = tmp_path / "headgate.yaml"
    file.write_text(f"tracing: {tracing}\n")
    result = run("check", file)
    assert result.returncode != 0
    assert fault in (result.stdout + result.stderr).decode()
