"""The console (docs/operations.md, "The console"): what is served, to whom.
tests/web has its pages in a browser."""

import contextlib
import http.client
import json

from harness import TIMEOUT, Backend, Gateway, eventually
from reflecting import ReflectingServer, Reflection, file_of
from wire import RawClient


def get(gateway, path, method="GET", **headers):
    connection = http.client.HTTPConnection(gateway.host, gateway.port,
                                            timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request(method, path, headers={
            name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response, response.read()


def get_json(gateway, path):
    response, body = get(gateway, path)
    assert response.status == 200, body
    return json.loads(body)


def test_demo_serves_it_and_root_leads_there():
    with Gateway.demo() as gateway:
        # Printed last, once it is served.
        gateway.wait_for_output(
            f"headgate: console at http://{gateway.host}:{gateway.port}"
            "/_headgate/\n")
        response, _ = get(gateway, "/")
        assert (response.status, response.headers["Location"]) == (
            308, "/_headgate/")
        response, body = get(gateway, "/_headgate/")
        assert response.status == 200
        assert b"<title>Headgate console</title>" in body
        assert "frame-ancestors 'none'" in response.headers[
            "Content-Security-Policy"]
        index = get_json(gateway, "/_headgate/api/index")
        assert index["upstreams"] == ["default"]
        assert {"/chat", "/packets"} <= {
            route.get("path") for route in index["routes"]}
        schema = get_json(gateway, "/_headgate/api/schema?upstream=default")
        hello, = (service for service in schema["services"]
                  if service["name"] == "headgate.demo.v1.HelloService")
        assert {method["name"]: method["kind"]
                for method in hello["methods"]} == {
            "SayHello": "unary", "LotsOfReplies": "serverStream",
            "LotsOfGreetings": "clientStream", "BidiHello": "bidi"}


def test_it_is_off_unless_asked_for(tmp_path):
    with Backend() as backend:
        with Gateway.serve(backend.target) as gateway:
            assert get(gateway, "/_headgate/")[0].status == 404
            assert get(gateway, "/")[0].status == 404
            assert "console" not in gateway.stdout()
        with Gateway.serve(backend.target, "--console", "on") as gateway:
            assert get(gateway, "/_headgate/")[0].status == 200
        file = tmp_path / "headgate.yaml"
        file.write_text(f"""
listeners:
  - {{address: "127.0.0.1:0", console: true}}
  - {{address: "127.0.0.1:0"}}
upstreams: [{{name: one, target: "{backend.target}"}}]
routes: [{{upstream: one}}]
""")
        with Gateway.configured(file, listeners=2) as gateway:
            assert get(gateway, "/_headgate/chat")[0].status == 200
            gateway.host, gateway.port = gateway.addresses[1]
            assert get(gateway, "/_headgate/")[0].status == 404
    with Gateway.demo("--console", "off") as gateway:
        assert get(gateway, "/_headgate/")[0].status == 404


def test_pages_of_others_get_nothing():
    with Gateway.demo("--allow-origin", "*") as gateway:
        index = "/_headgate/api/index"
        # DNS rebinding: the page's own name leads to this machine.
        for path in ("/", "/_headgate/", index):
            response, _ = get(gateway, path, Host="evil.example")
            assert response.status == 403
        for site, status in (("cross-site", 403), ("same-site", 403),
                             ("same-origin", 200), ("none", 200)):
            response, _ = get(gateway, index, Sec_Fetch_Site=site,
                              Origin="http://evil.example")
            assert response.status == status
            assert response.headers["Access-Control-Allow-Origin"] is None
            assert response.headers[
                "Cross-Origin-Resource-Policy"] == "same-origin"


def test_get_and_head_only_on_a_connection_that_goes_on():
    with Gateway.demo() as gateway:
        connection = http.client.HTTPConnection(gateway.host, gateway.port,
                                                timeout=TIMEOUT)
        with contextlib.closing(connection):
            def ask(method, path):
                connection.request(method, path)
                response = connection.getresponse()
                return response, response.read()

            response, page = ask("GET", "/_headgate/")
            assert response.status == 200
            response, body = ask("HEAD", "/_headgate/")
            assert (response.status, body) == (200, b"")
            assert int(response.headers["Content-Length"]) == len(page)
            response, _ = ask("POST", "/_headgate/api/index")
            assert (response.status, response.headers["Allow"]) == (
                405, "GET, HEAD")
            assert ask("GET", "/_headgate/nothing")[0].status == 404
            assert ask("GET", "/_headgate/api/schema?upstream=no")[
                0].status == 404
            assert ask("GET", "/_headgate/console.js")[0].status == 200


def test_an_upstream_that_cannot_be_asked():
    with Backend() as backend:
        target = backend.target
    with Gateway.serve(target, "--console", "on") as gateway:
        response, body = get(gateway, "/_headgate/api/schema?upstream=default")
        assert response.status == 503
        assert "cannot be reached" in json.loads(body)["message"]
        assert target not in body.decode()


def test_descriptors_are_data_whatever_they_say():
    file = file_of("""
        name: "a.proto" package: "a" syntax: "proto3"
        message_type { name: "M" field {
          name: "f" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING
          json_name: "</script><img src=x onerror=alert(1)>" } }
        service { name: "S" method {
          name: "Do" input_type: ".a.M" output_type: ".a.M" } }
    """)
    with ReflectingServer(Reflection(file)) as server:
        with Gateway.serve(server.target, "--console", "on") as gateway:
            response, body = get(gateway,
                                 "/_headgate/api/schema?upstream=default")
            assert response.headers["Content-Type"] == "application/json"
            assert b"<" not in body
            field, = json.loads(body)["messages"]["a.M"]["fields"]
            assert field["name"] == "</script><img src=x onerror=alert(1)>"


def wide_file(index):
    """A file whose schema is some 300 kB of JSON."""
    fields = " ".join(
        f'field {{ name: "field_number_{k}" number: {k + 1} '
        f"label: LABEL_OPTIONAL type: TYPE_STRING }}" for k in range(4000))
    return file_of(f"""
        name: "wide{index}.proto" package: "wide{index}" syntax: "proto3"
        message_type {{ name: "Message" {fields} }}
        service {{ name: "Wide" method {{
          name: "Get" input_type: ".wide{index}.Message"
          output_type: ".wide{index}.Message" }} }}""")


# Each of them holds a copy of some MiB for as long as its client likes.
def test_clients_that_do_not_read_schemas_are_few(tmp_path):
    path = "/_headgate/api/schema?upstream=one"
    request = (f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").encode()
    with ReflectingServer(Reflection(
            *[wide_file(i) for i in range(12)])) as server:
        file = tmp_path / "headgate.yaml"
        file.write_text(f"""
threads: 1
listeners: [{{address: "127.0.0.1:0", console: true}}]
upstreams: [{{name: one, target: "{server.target}"}}]
""")
        with Gateway.configured(file) as gateway, contextlib.ExitStack() as slow:
            response, body = get(gateway, path)
            assert response.status == 200 and len(body) > 2_500_000
            before = gateway.rss()
            for _ in range(20):
                client = slow.enter_context(
                    RawClient(gateway, receive_buffer=4096))
                client.send(request)
            eventually(lambda: get(gateway, path)[0].status == 503,
                       "there is no place left")
            assert gateway.rss() - before < 64 * 1024 * 1024
            # Everything else is served.
            assert get(gateway, "/_headgate/api/index")[0].status == 200
            slow.close()
            eventually(lambda: get(gateway, path)[0].status == 200,
                       "there are places again")
