#!/usr/bin/env python3
"""Fails if a source file includes what its room may not see.

The rooms of gateway/ stand in one order; a room sees those before it, and the
libraries named here. client/ sees the rooms of bytes, cmd/ everything, backend/
nothing of gateway/.
"""

import pathlib
import re
import sys

# In order. room -> the libraries it may include, by the prefix of the header.
ROOMS = {
    "base": {"absl", "zlib"},
    "tls": {"absl", "openssl"},
    "schema": {"absl", "google/api", "google/protobuf", "headgate/v1"},
    "codec": {"absl", "boost/json", "google/api", "google/protobuf", "headgate/v1"},
    "route": {"absl"},
    "config": {"absl", "google/api", "google/protobuf", "headgate/config", "yaml-cpp"},
    "console": {"absl", "google/protobuf"},
    "ws": {"absl", "openssl/sha", "zlib"},
    "http": {"absl", "boost/json", "boost/url", "openssl/sha"},
    "h2": {"absl", "nghttp2"},
    "upstream": {"absl", "boost/asio", "google/protobuf", "grpcpp", "headgate/reflection", "openssl/evp"},
    "trace": {"absl", "boost"},
    "hub": {"absl", "google/protobuf", "headgate/v1", "openssl/crypto", "openssl/evp", "openssl/hmac"},
    "nats": {"absl", "nats"},
    "session": {"absl"},
    "net": {"absl", "boost"},
    "admin": {"absl", "boost", "prometheus"},
    "api": {"absl", "grpc", "grpcpp", "headgate/v1"},
    "server": {"absl", "boost/asio", "boost/system"},
}
# Of client/.
CLIENT_ROOMS = {"base", "tls", "codec", "ws"}
CLIENT_LIBRARIES = ("absl", "boost/asio/buffer.hpp", "boost/beast", "boost/url")
# What of a room its followers may not see: the transports behind the interface.
PRIVATE = {
    "gateway/upstream/pooled_upstream.h": {"upstream", "server"},
    "gateway/upstream/grpc_upstream.h": {"upstream"},
    "gateway/upstream/h2_upstream.h": {"upstream"},
}
LIBRARIES = ("absl", "boost", "google/api", "google/protobuf", "grpc", "grpcpp", "headgate/", "CLI", "nats/", "nghttp2", "openssl/", "prometheus/", "yaml-cpp", "zlib")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]', re.M)


def includes(path: pathlib.Path):
    return INCLUDE.findall(path.read_text())


def gateway_errors(root: pathlib.Path):
    order = list(ROOMS)
    for path in sorted((root / "gateway").rglob("*.[hc]*")):
        if path.suffix not in (".h", ".cc"):
            continue
        room = path.relative_to(root / "gateway").parts[0]
        if room not in ROOMS:
            yield f"{path}: there is no room '{room}' in tools/check_layers.py"
            continue
        visible = order[: order.index(room) + 1]
        for name in includes(path):
            if name.startswith(("backend/", "client/", "cmd/", "tests/")):
                yield f"{path}: {room} may not include {name}"
            elif name.startswith("gateway/"):
                if name.split("/")[1] not in visible:
                    yield f"{path}: {room} may not include {name}"
                elif room not in PRIVATE.get(name, {room}):
                    yield f"{path}: {room} may not include {name}, only its interface"
            elif name.startswith(LIBRARIES) and not name.startswith(tuple(ROOMS[room])):
                yield f"{path}: {room} may not include {name}"


def client_errors(root: pathlib.Path):
    for path in sorted((root / "client").rglob("*.[hc]*")):
        for name in includes(path):
            rooms = name.startswith("gateway/") and name.split("/")[1] not in CLIENT_ROOMS
            library = name.startswith(LIBRARIES) and not name.startswith(CLIENT_LIBRARIES)
            if rooms or library or name.startswith(("backend/", "cmd/", "tests/")):
                yield f"{path}: the client may not include {name}"


def backend_errors(root: pathlib.Path):
    for path in sorted((root / "backend").rglob("*.[hc]*")):
        for name in includes(path):
            if name.startswith(("gateway/", "client/", "cmd/", "tests/")):
                yield f"{path}: the backend may not include {name}"


if __name__ == "__main__":
    top = pathlib.Path(sys.argv[1])
    found = [*gateway_errors(top), *client_errors(top), *backend_errors(top)]
    print("\n".join(found) or "layers: ok")
    sys.exit(bool(found))
