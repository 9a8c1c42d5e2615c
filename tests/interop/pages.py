"""Serves the page of node/page.mjs and opens it in headless Chromium."""

import contextlib
import functools
import http.server
import json
import pathlib
import queue
import shutil
import subprocess
import tempfile
import threading
import urllib.parse

from clients import NODE, descriptor_set
from harness import TIMEOUT

CHROMIUM_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
    "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"]
PACKAGES = ["@bufbuild/protobuf", "@connectrpc/connect",
            "@connectrpc/connect-web", "@protobuf-ts/grpcweb-transport",
            "@protobuf-ts/runtime", "@protobuf-ts/runtime-rpc", "grpc-web"]


def chosen(target):
    """The file that an `import` in a browser means."""
    while isinstance(target, dict):
        target = target.get("browser") or target.get("import") or target.get(
            "default")
    return target


@functools.cache
def import_map():
    """As a bundler would resolve the packages."""
    imports = {}
    for name in PACKAGES:
        folder = NODE / "node_modules" / name
        package = json.loads((folder / "package.json").read_text())
        exports = package.get("exports") or {
            ".": package.get("module") or package.get("main")}
        for path, target in exports.items():
            file = chosen(target)
            if file and file.endswith(".js"):
                imports[name + path[1:]] = (
                    f"/node_modules/{name}/{file.removeprefix('./')}")
    # The rest of its files are CommonJS.
    imports["grpc-web"] = "/node_modules/grpc-web/index.esm.js"
    return {"imports": imports}


class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *arguments, seen, **options):
        self._seen = seen
        super().__init__(*arguments, directory=NODE, **options)

    extensions_map = {".mjs": "text/javascript", ".js": "text/javascript",
                      ".html": "text/html",
                      "": "application/octet-stream"}

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        if path == "/":
            page = ("<!doctype html><script type=importmap>"
                    f"{json.dumps(import_map())}</script>"
                    "<script type=module>import('/page.mjs').catch((error) => "
                    "fetch('/seen', {method: 'POST', "
                    "body: JSON.stringify({error: String(error.stack)})}));"
                    "</script>").encode()
            return self._reply("text/html", page)
        if path == "/demo.pb":
            return self._reply("application/octet-stream",
                               descriptor_set().read_bytes())
        # What a bundler adds.
        if "." not in pathlib.PurePosixPath(path).name:
            self.path += ".js"
        super().do_GET()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._reply("text/plain", b"")
        self._seen.put(json.loads(body))

    def _reply(self, media_type, body):
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class PageServer:
    """`origin` is that of its pages."""

    def __enter__(self):
        self._seen = queue.Queue()
        self._server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Handler, seen=self._seen))
        threading.Thread(target=self._server.serve_forever,
                         daemon=True).start()
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()

    @contextlib.contextmanager
    def open(self, path, *flags):
        """Yields what the page has seen, as long as it is open."""
        with tempfile.TemporaryDirectory(prefix="headgate-chromium-",
                                         ignore_cleanup_errors=True) as profile:
            browser = subprocess.Popen(
                [shutil.which("chromium"), *CHROMIUM_FLAGS, *flags,
                 "--remote-debugging-port=0",
                 f"--user-data-dir={profile}", f"{self.origin}{path}"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                seen = self._seen.get(timeout=3 * TIMEOUT)
                assert "error" not in seen, seen
                yield seen
            finally:
                browser.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    browser.wait(TIMEOUT)

    def run(self, gateway, *scenarios):
        """{client: {scenario: what it saw}}"""
        query = urllib.parse.urlencode(
            {"gateway": f"http://{gateway.host}:{gateway.port}",
             "scenario": scenarios}, doseq=True)
        with self.open(f"/?{query}") as seen:
            return seen
