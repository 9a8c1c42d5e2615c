"""nginx and HAProxy as WebSocket tunnels: what a proxy costs that only passes
bytes on."""

import contextlib
import pathlib
import resource
import shutil
import socket
import tempfile
import time

from comparison.processes import START_TIMEOUT, Failure, end, start

NGINX = """
worker_processes 1;
daemon off;
master_process off;
error_log stderr;
pid {folder}/nginx.pid;
events {{ worker_connections {descriptors}; }}
http {{
  access_log off;
  client_body_temp_path {folder};
  proxy_temp_path {folder};
  fastcgi_temp_path {folder};
  uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://{target};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_set_header Host $host;
      proxy_read_timeout 1h;
    }}
  }}
}}
"""

NGINX_GRPC = """
worker_processes 1;
daemon off;
master_process off;
error_log stderr;
pid {folder}/nginx.pid;
events {{ worker_connections {descriptors}; }}
http {{
  access_log off;
  client_body_temp_path {folder};
  proxy_temp_path {folder};
  fastcgi_temp_path {folder};
  uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  keepalive_requests 100000000;
  client_max_body_size 0;
  upstream backend {{
    server {target};
    keepalive 128;
    keepalive_requests 100000000;
  }}
  server {{
    listen 127.0.0.1:{port} http2;
    http2_max_concurrent_streams 256;
    location / {{
      grpc_pass grpc://backend;
      grpc_read_timeout 1h;
      grpc_send_timeout 1h;
      client_body_timeout 1h;
    }}
  }}
}}
"""

HAPROXY = """
global
  nbthread 1
  maxconn {connections}
defaults
  mode http
  timeout connect 10s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend front
  bind 127.0.0.1:{port}
  default_backend back
backend back
  server one {target}
"""


def _nginx(folder, binary):
    return [binary, "-p", folder, "-c", folder / "config", "-e", "stderr"]


def _haproxy(folder, binary):
    return [binary, "-db", "-f", folder / "config"]


KINDS = {"nginx": (NGINX, _nginx), "haproxy": (HAPROXY, _haproxy)}


def binary(kind):
    """Its path, or None; Debian has both where only root's PATH looks."""
    found = shutil.which(kind) or shutil.which(kind, path="/usr/sbin")
    return pathlib.Path(found) if found else None


@contextlib.contextmanager
def tunnel(kind, target):
    """One process, one thread; yields (pid, address)."""
    with _proxy(kind, *KINDS[kind], target) as front:
        yield front


@contextlib.contextmanager
def grpc_pass(target, prefix=()):
    """nginx that passes gRPC on, under `prefix`; yields (pid, address)."""
    def command(folder, program):
        return [*prefix, *_nginx(folder, program)]

    with _proxy("nginx", NGINX_GRPC, command, target) as front:
        yield front


@contextlib.contextmanager
def _proxy(program, template, command, target):
    with tempfile.TemporaryDirectory(prefix="headgate-") as directory:
        folder = pathlib.Path(directory)
        port = _free_port()
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        (folder / "config").write_text(template.format(
            folder=folder, port=port, target=target, descriptors=descriptors,
            # Each takes two, and HAProxy keeps some to itself.
            connections=descriptors // 2 - 100))
        with tempfile.TemporaryFile() as errors:
            process = start(command(folder, binary(program)), stdout=errors,
                            stderr=errors)
            try:
                _await(process, port, errors)
                yield process.pid, f"127.0.0.1:{port}"
            finally:
                end(process)


def _free_port():
    """Neither of them takes port 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _await(process, port, errors):
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        if process.poll() is not None:
            errors.seek(0)
            raise Failure(f"{process.args[0]} ended with "
                          f"{process.returncode}: "
                          f"{errors.read().decode(errors='replace').strip()}")
        time.sleep(0.02)
    raise Failure(f"{process.args[0]} does not listen after {START_TIMEOUT} s")
