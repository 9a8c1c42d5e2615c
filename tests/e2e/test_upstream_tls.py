"""TLS between the gateway and its upstreams, whatever carries the calls
(docs/configuration.md, "upstreams[].tls")."""

import select
import socket
import ssl
import threading
import time

import pytest

from certificates import Authority
from client import JSON, Client, call
from foreign import LibraryServer
from harness import eventually, soon
from test_upstreams import DUNE, LIBRARY, title, transport, write  # noqa: F401


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def secured(stack, authority):
    """secured(names...) -> a library with a certificate for them."""

    def start(*names, issuer=authority, **environment):
        certificate, key = issuer.issue("server", *names or ("IP:127.0.0.1",))
        return stack.enter_context(LibraryServer(
            TLS_CERT=certificate, TLS_KEY=key, **environment))

    return start


def tls_upstream(target, transport, *lines):
    return "\n".join([
        f'upstreams: [{{name: library, target: "{target}", '
        f"{transport}, tls: {{", ",\n".join(lines), "}}]",
        "routes: [{upstream: library}]", "threads: 1"])


def refused(gateway):
    """Whether a call ends with UNAVAILABLE."""
    return call(gateway, LIBRARY + "GetBook", DUNE)[1][0] == 4014


def test_tls_with_a_certificate_authority(configured, authority, secured,
                                          transport):
    gateway = configured(tls_upstream(
        secured().target, transport, f'ca: "{authority.ca}"'))
    assert title(gateway) == "Dune"


# Nothing is lost of what takes many records.
def test_long_messages_over_tls(configured, authority, secured, transport):
    gateway = configured(tls_upstream(
        secured().target, transport, f'ca: "{authority.ca}"'))
    book = {"title": "x" * 700_000}
    with Client(gateway, LIBRARY + "Exchange", JSON) as client:
        for _ in range(3):
            client.send(book)
            assert client.receive_json() == book


# What is trusted without `ca`, as the environment names it for both.
def test_tls_with_the_systems_roots(configured, authority, secured, transport,
                                    monkeypatch):
    monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(authority.ca))
    gateway = configured(tls_upstream(secured().target, transport))
    assert title(gateway) == "Dune"
    assert refused(configured(tls_upstream(
        secured("DNS:elsewhere.test").target, transport)))


# The name that the certificate is for, where the target is only an address.
def test_tls_authority_is_the_name_that_is_checked(configured, authority,
                                                   secured, transport):
    library = secured("DNS:library.internal")
    gateway = configured(tls_upstream(
        library.target, transport, f'ca: "{authority.ca}"',
        "authority: library.internal"))
    assert title(gateway) == "Dune"
    assert refused(configured(tls_upstream(
        library.target, transport, f'ca: "{authority.ca}"',
        "authority: other.internal")))


# The log says what clients need not know.
@pytest.mark.parametrize("fault, log", [
    ("another authority", "certificate verify failed"),
    ("another name", "it must be for 127.0.0.1, and is for DNS:elsewhere.test"),
    ("plaintext", "TLS: wrong version number: the server does not speak TLS"),
])
def test_a_server_that_cannot_be_trusted_is_unavailable(
        stack, configured, authority, secured, tmp_path, transport, fault,
        log):
    if fault == "plaintext":
        library = stack.enter_context(LibraryServer())
    elif fault == "another name":
        library = secured("DNS:elsewhere.test")
    else:
        library = secured(issuer=Authority(tmp_path, "other"))
    gateway = configured(tls_upstream(library.target, transport,
                                      f'ca: "{authority.ca}"'))
    answers, (code, reason) = call(gateway, LIBRARY + "GetBook", DUNE)
    assert (answers, code) == ([], 4014)
    assert "certificate" not in reason and str(library.port) not in reason
    if "h2" in transport:
        eventually(lambda: log in gateway.stderr(), "the reason in the log")


def test_mutual_tls(configured, authority, secured, tmp_path, transport):
    library = secured(TLS_CLIENT_CA=authority.ca)

    def with_certificate_of(issuer):
        certificate, key = issuer.issue("client", "DNS:gateway.test")
        return configured(tls_upstream(
            library.target, transport, f'ca: "{authority.ca}"',
            f'certificate: "{certificate}"', f'key: "{key}"'))

    assert title(with_certificate_of(authority)) == "Dune"
    assert refused(with_certificate_of(Authority(tmp_path, "other")))
    assert refused(configured(tls_upstream(
        library.target, transport, f'ca: "{authority.ca}"')))


# The files are read again: a server whose certificate comes from another
# authority is trusted once the file says so, without a restart.
def test_rotated_files_are_read_again(configured, authority, secured, tmp_path,
                                      transport):
    other = Authority(tmp_path, "next")
    library = secured(issuer=other)
    trusted = tmp_path / "trusted.crt"
    trusted.write_text(authority.ca.read_text())
    gateway = configured(tls_upstream(library.target, transport,
                                      f'ca: "{trusted}"'))
    assert refused(gateway)

    write(trusted, other.ca.read_text())
    eventually(lambda: not refused(gateway), "the new authority is trusted")


# What is open keeps its connection; what begins has to do with the new files.
def test_rotated_files_leave_sessions_alone(configured, authority, secured,
                                            tmp_path, transport):
    library = secured()
    trusted = tmp_path / "trusted.crt"
    trusted.write_text(authority.ca.read_text())
    gateway = configured(tls_upstream(library.target, transport,
                                      f'ca: "{trusted}"'))
    with Client(gateway, LIBRARY + "Exchange", JSON) as before:
        before.send(DUNE)
        assert before.receive_json()["title"] == "Dune"

        write(trusted, Authority(tmp_path, "next").ca.read_text())
        eventually(lambda: refused(gateway), "the old one is not trusted")
        # A file that is no certificate changes nothing.
        write(trusted, "-----BEGIN CERTIFICATE-----\nnothing\n")
        eventually(lambda: "trusted.crt holds no certificate"
                   in gateway.stderr(), "the log says so")
        assert refused(gateway)
        write(trusted, authority.ca.read_text())
        eventually(lambda: not refused(gateway), "the old one is trusted again")

        before.send({"title": "still here"})
        assert before.receive_json()["title"] == "still here"
        before.half_close()
        assert before.receive_close()[0] == 1000


class Peer(threading.Thread):
    """Takes connections and does with each what `treat(socket)` does."""

    def __init__(self, treat):
        super().__init__(daemon=True)
        self._treat = treat
        self._kept = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.start()

    def run(self):
        while True:
            connection = self._listener.accept()[0]
            threading.Thread(target=self._run, daemon=True,
                             args=(connection,)).start()

    def _run(self, connection):
        try:
            self._kept.append(self._treat(connection))
        except OSError:
            pass


def cut(connection):
    """Ends in the middle of the handshake."""
    connection.recv(65536)
    connection.sendall(b"\x16\x03\x03\x00\x7a\x02")
    connection.close()


def silence(connection):
    """Takes the connection and never says a word."""
    return connection


@pytest.mark.parametrize("treat, log", [
    (cut, "TLS: during the handshake"),
    (silence, "TLS: no end of the handshake in time"),
])
def test_a_server_that_stops_in_the_handshake_is_unavailable(
        configured, authority, transport, treat, log):
    # Whose limit is as long as that of connecting.
    gateway = configured(tls_upstream(
        Peer(treat).target, transport, f'ca: "{authority.ca}"') +
        "\ntimeouts: {reflection: 20s}")
    start = time.monotonic()
    assert refused(gateway)
    assert time.monotonic() - start < soon(10)
    if "h2" in transport:
        eventually(lambda: log in gateway.stderr(), "the reason in the log")


# Python's server: what it selects is up to it, and without ALPN is nothing.
@pytest.mark.parametrize("protocols", [None, ["http/1.1"]])
def test_a_server_without_http2_is_unavailable(configured, authority,
                                               transport, protocols):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", "IP:127.0.0.1"))
    if protocols:
        context.set_alpn_protocols(protocols)
    peer = Peer(lambda connection: context.wrap_socket(
        connection, server_side=True))
    gateway = configured(tls_upstream(peer.target, transport,
                                      f'ca: "{authority.ca}"'))
    assert refused(gateway)
    if "h2" in transport:
        eventually(lambda: "the server must select the protocol h2 (ALPN), "
                   "and has selected none" in gateway.stderr(),
                   "the reason in the log")
