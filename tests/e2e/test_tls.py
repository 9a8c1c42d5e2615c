"""TLS on listeners (docs/configuration.md, "ListenerTls")."""

import base64
import concurrent.futures
import contextlib
import ctypes
import ctypes.util
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import time

import pytest

from certificates import Authority
from client import ECHO, HELLO, JSON, Client, call_json
from harness import HEADGATE, TIMEOUT, Gateway, eventually, run, soon
from wire import BINARY, CLOSE, RawClient, frame, message, upgrade_request

BIDI = HELLO + "BidiHello"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def identity(authority):
    """(certificate, key) of the gateway."""
    return authority.issue("gateway", "DNS:localhost", "IP:127.0.0.1")


class OpenSsl:
    """A TLS connection by OpenSSL itself, which asks for what Python's ssl
    would not. It trusts any server."""

    TLS_1_2, TLS_1_3 = 0x303, 0x304

    def __init__(self, gateway, version):
        name = ctypes.util.find_library("ssl")
        self._library = ctypes.CDLL(name)
        for function in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
            getattr(self._library, function).restype = ctypes.c_void_p
        method = self._library.TLS_client_method
        self._context = ctypes.c_void_p(
            self._library.SSL_CTX_new(ctypes.c_void_p(method())))
        for bound in (123, 124):  # SSL_CTRL_SET_MIN_ and _MAX_PROTO_VERSION
            assert self._library.SSL_CTX_ctrl(self._context, bound,
                                              ctypes.c_long(version), None) == 1
        self._tls = ctypes.c_void_p(self._library.SSL_new(self._context))
        self.socket = socket.create_connection(
            (gateway.host, gateway.port), timeout=TIMEOUT)
        self.socket.setblocking(True)
        self._library.SSL_set_fd(self._tls, self.socket.fileno())
        assert self._library.SSL_connect(self._tls) == 1

    def write(self, data):
        return self._library.SSL_write(self._tls, data, len(data)) == len(data)

    def update_keys(self):
        """Whether that could be sent."""
        return (self._library.SSL_key_update(self._tls, 0) == 1
                and self._library.SSL_do_handshake(self._tls) == 1)

    def renegotiate(self):
        """Whether the server has responded, by refusing."""
        self._library.SSL_renegotiate(self._tls)
        self._library.ERR_clear_error()
        self._library.SSL_do_handshake(self._tls)
        self._library.ERR_get_error.restype = ctypes.c_ulong
        # SSL_R_NO_RENEGOTIATION
        return self._library.ERR_get_error() & 0x7FFFFF == 339

    def close(self):
        self.socket.close()
        self._library.SSL_free(self._tls)
        self._library.SSL_CTX_free(self._context)


def trusting(authority, **limits):
    """A client's context that trusts the authority."""
    context = ssl.create_default_context(cafile=authority.ca)
    for name, value in limits.items():
        setattr(context, name, value)
    return context


def secured(gateway, path, *subprotocols, context, **options):
    return Client(gateway, path, *subprotocols, ssl=context,
                  url=f"wss://localhost:{gateway.port}{path}", **options)


def hello(gateway, context):
    with secured(gateway, BIDI, JSON, context=context) as client:
        client.send({"greeting": "ann"})
        answer = client.receive_json()
        client.half_close()
        assert client.receive_close() == (1000, "")
        return answer


@pytest.fixture(scope="module")
def gateway(identity):
    with Gateway.demo("--tls-cert", identity[0], "--tls-key",
                      identity[1]) as process:
        yield process


def test_sessions_run_over_tls(gateway, authority):
    assert hello(gateway, trusting(authority)) == {"reply": "hello, ann"}
    assert f"listening on wss://127.0.0.1:{gateway.port}" in gateway.stdout()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2,
                                     ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls_are_spoken(gateway, authority, version):
    context = trusting(authority, minimum_version=version,
                       maximum_version=version)
    assert hello(gateway, context) == {"reply": "hello, ann"}


# As deploy/kubernetes/components/tls asks for it: beside any file, whose
# listeners stay what they are otherwise.
def test_environment_adds_a_certificate_to_the_files_listeners(
        identity, authority, tmp_path):
    file = tmp_path / "headgate.yaml"
    file.write_text(json.dumps({"listeners": [
        {"address": "127.0.0.1:0", "allowed_origins": ["https://own.example"]},
        {"address": "127.0.0.1:0"}]}))
    with Gateway.configured(
            file, command="demo", listeners=2,
            env={**os.environ, "HEADGATE_TLS_CERT": str(identity[0]),
                 "HEADGATE_TLS_KEY": str(identity[1])}) as gateway:
        assert gateway.stdout().count("listening on wss://") == 2
        with secured(gateway, BIDI, JSON, context=trusting(authority),
                     origin="https://own.example") as client:
            client.half_close()
            assert client.receive_close() == (1000, "")


# RFC 8996: TLS 1.0 and 1.1 are no more. OpenSSL's command will still offer
# them when the security level is lowered.
@pytest.mark.parametrize("flag", ["-tls1", "-tls1_1"])
def test_older_versions_are_refused(gateway, flag):
    import subprocess
    result = subprocess.run(
        ["openssl", "s_client", flag, "-cipher", "ALL:@SECLEVEL=0", "-connect",
         f"127.0.0.1:{gateway.port}"], stdin=subprocess.DEVNULL,
        capture_output=True, timeout=TIMEOUT)
    assert b"Cipher is (NONE)" in result.stdout
    assert b"protocol version" in result.stderr


def test_min_version_refuses_tls_1_2(identity, authority, tmp_path):
    file = tmp_path / "headgate.yaml"
    file.write_text(json.dumps({"listeners": [{
        "address": "127.0.0.1:0",
        "tls": {"certificate": str(identity[0]), "key": str(identity[1]),
                "min_version": "1.3"}}]}))
    with Gateway.configured(file, command="demo") as gateway:
        assert hello(gateway, trusting(authority))
        old = trusting(authority, maximum_version=ssl.TLSVersion.TLSv1_2)
        with pytest.raises(ssl.SSLError):
            hello(gateway, old)


def negotiated(gateway, authority, protocols):
    context = trusting(authority)
    context.set_alpn_protocols(protocols)
    with RawClient(gateway, tls=context) as client:
        return client._socket.selected_alpn_protocol()


# RFC 7301 section 3.2: no protocol in common is a fatal alert.
def test_alpn_prefers_http_2(gateway, authority):
    assert negotiated(gateway, authority, ["http/1.1", "h2"]) == "h2"
    assert negotiated(gateway, authority, ["http/1.1"]) == "http/1.1"
    with pytest.raises(ssl.SSLError, match="no application protocol"):
        negotiated(gateway, authority, ["h3"])


# A client that speaks HTTP/2 only must not be left to wonder.
def test_alpn_is_http_1_1_where_http_2_is_off(identity, authority, tmp_path,
                                              backend):
    file = tmp_path / "headgate.yaml"
    file.write_text(f"""
listeners:
- address: 127.0.0.1:0
  http2: false
  tls: {{certificate: {identity[0]}, key: {identity[1]}}}
upstreams: [{{name: demo, target: "{backend.target}"}}]
""")
    with Gateway.configured(file) as gateway:
        assert negotiated(gateway, authority, ["h2", "http/1.1"]) == "http/1.1"
        with pytest.raises(ssl.SSLError, match="no application protocol"):
            negotiated(gateway, authority, ["h2"])


def test_https_serves_http_rules(gateway, authority):
    import http.client
    connection = http.client.HTTPSConnection(
        "localhost", gateway.port, context=trusting(authority),
        timeout=TIMEOUT)
    with contextlib.closing(connection):
        for _ in range(2):  # Kept alive.
            connection.request("GET", "/v1/shelves/classics/books/dune")
            response = connection.getresponse()
            assert response.status == 200
            assert json.loads(response.read())["title"] == "Dune"
        connection.request("GET", "/nothing", headers={"Connection": "close"})
        assert connection.getresponse().status == 404


def test_the_backend_hears_that_it_was_tls(gateway, authority):
    with secured(gateway, ECHO + "Metadata", JSON,
                 context=trusting(authority)) as client:
        client.half_close()
        metadata = client.receive_json()["metadata"]
    assert metadata["x-forwarded-proto"]["values"] == ["https"]


def test_what_is_no_tls_is_hung_up_on_and_counted(gateway):
    before = gateway.metric("headgate_tls_handshakes_failed_total")
    with RawClient(gateway) as client:
        client.send(upgrade_request(BIDI))
        data = b""
        with contextlib.suppress(ConnectionError):
            while chunk := client._socket.recv(4096):
                data += chunk
        assert b"HTTP" not in data
    eventually(lambda: gateway.metric("headgate_tls_handshakes_failed_total")
               == before + 1, "the failure is counted")
    eventually(lambda: 'msg="TLS handshake failed" peer=127.0.0.1'
               in gateway.stderr(), "a line in the log")


# Slowloris below HTTP: the handshake's time counts from accept.
def test_slow_tls_handshakes_are_cut_off(identity):
    with Gateway.demo("--tls-cert", identity[0], "--tls-key", identity[1],
                      "--handshake-timeout", "300ms") as gateway:
        with RawClient(gateway) as client:
            client.send(b"\x16\x03\x01\x02\x00")  # The head of a record.
            assert client._socket.recv(100) == b""
        assert gateway.metric("headgate_tls_handshakes_failed_total") == 1


# A browser hangs up without close_notify, or with it: neither is a fault.
def test_endings_over_tls_are_clean(gateway, authority):
    with RawClient(gateway, tls=trusting(authority)) as client:
        client.send(upgrade_request(BIDI, [("Sec-WebSocket-Protocol", JSON)]))
        assert b"101" in client._socket.recv(4096)
        client.reset()
    eventually(lambda: gateway.metric(
        "headgate_sessions_closed_total", cause="connection-lost") >= 1,
        "the loss is seen")


# RFC 8446 section 6.1: a client can tell the end from a cut cable.
def test_both_ends_of_a_websocket_are_told_by_close_notify(gateway, authority):
    context = trusting(authority)
    with RawClient(gateway, tls=context) as client:
        client.upgrade(BIDI)
        client.send_frame(CLOSE, struct.pack("!H", 1000))
        assert client.read_frame().opcode == CLOSE
        assert client._socket.recv(100) == b""  # Not a ragged end.
        raw = client._socket.unwrap()
        assert raw.recv(100) == b""
        raw.close()


def test_a_refused_request_ends_with_close_notify(gateway, authority):
    with RawClient(gateway, tls=trusting(authority)) as client:
        client.send(b"GET / HTTP/2.7\r\nHost: h\r\n\r\n")
        assert client.read_response().status == 400
        assert client._socket.recv(100) == b""
        client._socket.unwrap().close()


# --- flow, as test_flow has it without TLS ---


def start_flood(gateway, client, size):
    client.upgrade(ECHO + "Flood")
    client.send_frame(BINARY, message((1, 0), (2, size)))


@pytest.fixture
def impatient(identity):
    with Gateway.demo("--tls-cert", identity[0], "--tls-key", identity[1],
                      "--send-timeout", "1s") as process:
        yield process


def test_slow_client_over_tls_is_not_cut_off(impatient, authority):
    with RawClient(impatient, receive_buffer=4096,
                   tls=trusting(authority)) as client:
        start_flood(impatient, client, size=1000)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            client.read_message()
            time.sleep(0.01)
        client.read_message()


def test_client_over_tls_that_takes_nothing_is_cut_off(impatient, authority):
    with RawClient(impatient, receive_buffer=4096,
                   tls=trusting(authority)) as client:
        start_flood(impatient, client, size=65536)
        client.read_message()
        eventually(lambda: impatient.metric(
            "headgate_sessions_closed_total", cause="send-timeout") == 1,
            "the stalled session to end")


def test_client_over_tls_is_not_read_while_the_backend_takes_nothing(
        gateway, authority):
    with RawClient(gateway, tls=trusting(authority)) as client:
        client.upgrade(ECHO + "Sink")
        client.send_frame(BINARY, message((1, b"x"), (2, message((1, 3000)))))
        data = frame(BINARY, message((1, b"x" * 60000)))
        assert client.send_until_blocked(data, patience=soon(1)) < 64 << 20


# Records come in pieces of any size, and several in one.
def test_long_messages_and_split_records_arrive_whole(gateway, authority):
    with secured(gateway, ECHO + "Echo", JSON,
                 context=trusting(authority)) as client:
        for size in (1, 16000, 16384, 16385, 200_000):
            payload = base64.b64encode(os.urandom(size)).decode()
            client.send({"payload": payload})
            assert client.receive_json() == {"payload": payload}


# --- reload ---


def subject_of(gateway, authority):
    with RawClient(gateway, tls=trusting(authority)) as client:
        return dict(entry[0] for entry in client._socket.getpeercert()[
            "subject"])["commonName"]


def test_certificates_are_reloaded_and_sessions_stay(authority, tmp_path):
    files = tmp_path / "tls.crt", tmp_path / "tls.key"
    authority.issue("first", "DNS:localhost", into=files)
    with Gateway.demo("--tls-cert", files[0], "--tls-key",
                      files[1]) as gateway:
        assert subject_of(gateway, authority) == "first"
        expiry = gateway.metric("headgate_certificate_expiry_timestamp_seconds")
        assert expiry > 0
        with secured(gateway, BIDI, JSON,
                     context=trusting(authority)) as client:
            client.send({"greeting": "ann"})
            assert client.receive_json()
            # Half of the change is there: the old ones stay in use.
            shutil.copy(files[1], tmp_path / "old.key")
            authority.issue("second", "DNS:localhost", into=files)
            new_key = files[1].read_bytes()
            files[1].write_bytes((tmp_path / "old.key").read_bytes())
            eventually(lambda: "TLS files cannot be used" in gateway.stderr(),
                       "the log says what is wrong")
            assert hello(gateway, trusting(authority))
            files[1].write_bytes(new_key)
            eventually(lambda: subject_of(gateway, authority) == "second",
                       "the new certificate is in use")
            client.send({"greeting": "bob"})
            assert client.receive_json() == {"reply": "hello, bob"}
        gateway.wait_for_log('msg="certificate reloaded"')


# --- resumption ---


def resume(gateway, context, session=None):
    """Whether the session was resumed, and the one for the next time."""
    raw = socket.create_connection((gateway.host, gateway.port), TIMEOUT)
    with context.wrap_socket(raw, server_hostname="localhost",
                             session=session) as client:
        client.sendall(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n"
                       b"Connection: close\r\n\r\n")
        while client.recv(4096):  # With TLS 1.3 the ticket comes late.
            pass
        return client.session_reused, client.session


def with_ticket_keys(identity, keys, file):
    file.write_text(json.dumps({"listeners": [{
        "address": "127.0.0.1:0",
        "tls": {"certificate": str(identity[0]), "key": str(identity[1]),
                "session_ticket_keys": [str(key) for key in keys]}}]}))
    return Gateway.configured(file, command="demo")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2,
                                     ssl.TLSVersion.TLSv1_3])
def test_replicas_resume_sessions_and_keys_are_rotated(
        identity, authority, tmp_path, version):
    current, previous = tmp_path / "current.key", tmp_path / "previous.key"
    current.write_bytes(os.urandom(80))
    previous.write_bytes(os.urandom(80))
    keys = [current, previous]
    context = trusting(authority, minimum_version=version,
                       maximum_version=version)
    name = "1.2" if version == ssl.TLSVersion.TLSv1_2 else "1.3"
    with with_ticket_keys(identity, keys, tmp_path / "a.yaml") as one, \
            with_ticket_keys(identity, keys, tmp_path / "b.yaml") as two:
        assert one.metric("headgate_tls_handshakes_total", resumed="false",
                          version=name) == 0
        reused, session = resume(one, context)
        assert not reused
        reused, session = resume(two, context, session)
        assert reused
        assert one.metric("headgate_tls_handshakes_total", resumed="false",
                          version=name) == 1
        assert two.metric("headgate_tls_handshakes_total", resumed="true",
                          version=name) == 1
        # Rotated without a restart: the new key first, the old one second.
        previous.write_bytes(current.read_bytes())
        current.write_bytes(os.urandom(80))
        eventually(lambda: 'msg="certificate reloaded"' in two.stderr(),
                   "the keys are read again")
        reused, session = resume(two, context, session)
        assert reused
        # A file that is no key changes nothing.
        current.write_bytes(b"short")
        eventually(lambda: "must have 80 bytes, has 5" in two.stderr(),
                   "the log says what is wrong")
        assert resume(two, context, session)[0]


def test_check_finds_ticket_keys_that_cannot_be_used(identity, tmp_path):
    file = tmp_path / "headgate.yaml"
    (tmp_path / "ticket.key").write_bytes(b"short")
    file.write_text(json.dumps({"listeners": [{"tls": {
        "certificate": str(identity[0]), "key": str(identity[1]),
        "session_ticket_keys": ["ticket.key"]}}]}))
    result = run("check", file)
    assert result.returncode == 1
    assert "listeners[0].tls: " in result.stderr.decode()
    assert "must have 80 bytes, has 5" in result.stderr.decode()


# --- clients' certificates ---


def with_client_ca(identity, ca, mode, tmp_path):
    file = tmp_path / "headgate.yaml"
    file.write_text(json.dumps({"listeners": [{
        "address": "127.0.0.1:0",
        "tls": {"certificate": str(identity[0]), "key": str(identity[1]),
                "client_ca": str(ca), "client_certificates": mode}}]}))
    return Gateway.configured(file, command="demo")


def metadata_with(gateway, context, **options):
    with secured(gateway, ECHO + "Metadata", JSON, context=context,
                 **options) as client:
        client.half_close()
        return client.receive_json()["metadata"]


def test_client_certificates_tell_the_backend_who_it_is(
        authority, identity, tmp_path):
    other = Authority(tmp_path, "other")
    ann = authority.issue("ann")
    eve = other.issue("eve")
    with with_client_ca(identity, authority.ca, "required",
                        tmp_path) as gateway:
        known = trusting(authority)
        known.load_cert_chain(*ann)
        lie = {"headers": [("Grpc-Metadata-X-Headgate-Client-Subject", "x")]}
        entries = metadata_with(gateway, known, **lie)
        assert entries["x-headgate-client-subject"]["values"] == ["CN=ann"]
        stranger = trusting(authority)
        stranger.load_cert_chain(*eve)
        for context in (trusting(authority), stranger):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                with RawClient(gateway, tls=context) as client:
                    client.send(upgrade_request(BIDI))
                    if not client._socket.recv(100):
                        raise ConnectionError
        eventually(lambda: gateway.metric(
            "headgate_tls_handshakes_failed_total") == 2, "both counted")


def test_client_certificates_may_be_optional(authority, identity, tmp_path):
    ann = authority.issue("ann")
    with with_client_ca(identity, authority.ca, "optional",
                        tmp_path) as gateway:
        assert "x-headgate-client-subject" not in metadata_with(
            gateway, trusting(authority))
        known = trusting(authority)
        known.load_cert_chain(*ann)
        assert metadata_with(gateway, known)[
            "x-headgate-client-subject"]["values"] == ["CN=ann"]


# --- what is wrong at the start ---


def test_files_that_cannot_be_used_stop_the_start(identity, tmp_path):
    other = Authority(tmp_path, "other").issue("other")
    missing = tmp_path / "none.crt"
    for certificate, key, told in (
            (missing, identity[1], "none.crt"),
            (identity[0], other[1], "is not the key of"),
            (identity[0], identity[0], "holds no private key")):
        result = run("serve", "--listen", "127.0.0.1:0", "--admin", "off",
                     "--tls-cert", certificate, "--tls-key", key)
        assert result.returncode == 1
        assert told in result.stderr.decode()
        assert result.stdout == b""
    result = run("serve", "--listen", "127.0.0.1:0", "--tls-cert", identity[0])
    assert result.returncode == 1
    assert "listeners[0].tls.key: is missing" in result.stderr.decode()


def test_check_finds_files_that_do_not_fit_together(identity, tmp_path):
    other = Authority(tmp_path, "other").issue("other")
    file = tmp_path / "headgate.yaml"
    file.write_text(json.dumps({"listeners": [{"tls": {
        "certificate": str(identity[0]), "key": str(other[1])}}]}))
    result = run("check", file)
    assert result.returncode == 1
    assert "listeners[0].tls: " in result.stderr.decode()
    assert "is not the key of" in result.stderr.decode()


def test_reload_with_files_that_cannot_be_used_changes_nothing(
        authority, identity, tmp_path):
    file = tmp_path / "headgate.yaml"

    def write(key):
        file.write_text(json.dumps({"listeners": [{
            "address": "127.0.0.1:0",
            "tls": {"certificate": str(identity[0]), "key": str(key)}}]}))

    write(identity[1])
    with Gateway.configured(file, command="demo") as gateway:
        write(identity[0])
        gateway.signal(signal.SIGHUP)
        eventually(lambda: "holds no private key" in gateway.stderr(),
                   "the fault is told")
        assert hello(gateway, trusting(authority))
        assert gateway.metric("headgate_config_last_reload_successful") == 0
        assert gateway.metric("headgate_config_reloads_total",
                              result="failed") == 1
        write(identity[1])
        gateway.signal(signal.SIGHUP)
        eventually(lambda: gateway.metric(
            "headgate_config_last_reload_successful") == 1, "the reload")
        assert hello(gateway, trusting(authority))


# --- several certificates ---


def with_tls(tmp_path, identity, certificates=(), **tls):
    """A gateway with one worker, whose further certificates are so."""
    file = tmp_path / "headgate.yaml"
    file.write_text(json.dumps({"threads": 1, "listeners": [{
        "address": "127.0.0.1:0",
        "tls": {"certificate": str(identity[0]), "key": str(identity[1]),
                "certificates": [
                    {"certificate": str(certificate), "key": str(key)}
                    for certificate, key in certificates], **tls}}]}))
    return Gateway.configured(file, command="demo")


def certificate_for(gateway, context, name):
    """The common name of what a client gets that wants to speak to `name`."""
    context.check_hostname = False
    with socket.create_connection((gateway.host, gateway.port),
                                  timeout=TIMEOUT) as plain:
        with context.wrap_socket(plain, server_hostname=name) as tls:
            return dict(pair for part in tls.getpeercert()["subject"]
                        for pair in part)["commonName"]


def test_certificate_is_chosen_by_the_name_that_the_client_wants(
        authority, identity, tmp_path):
    chat = authority.issue("chat", "DNS:chat.example.org", "DNS:talk.example")
    wild = authority.issue("wild", "DNS:*.example.org")
    with with_tls(tmp_path, identity, [chat, wild]) as gateway:
        context = trusting(authority)
        for name, wanted in (("chat.example.org", "chat"),
                             ("CHAT.example.org", "chat"),
                             ("talk.example", "chat"),
                             ("other.example.org", "wild"),
                             ("a.b.example.org", "gateway"),
                             ("localhost", "gateway"),
                             ("unknown.example", "gateway"),
                             (None, "gateway")):
            assert certificate_for(gateway, context, name) == wanted, name
        assert hello(gateway, trusting(authority)) == {"reply": "hello, ann"}
        # Each is read again.
        authority.issue("later", "DNS:chat.example.org", into=chat)
        eventually(lambda: certificate_for(
            gateway, context, "chat.example.org") == "later", "it is read again")


def test_ecdsa_and_rsa_for_one_name(authority, identity, tmp_path):
    rsa = authority.issue("rsa", "DNS:localhost", rsa=True)
    with with_tls(tmp_path, identity, [rsa]) as gateway:
        context = trusting(authority,
                           maximum_version=ssl.TLSVersion.TLSv1_2)
        assert certificate_for(gateway, context, "localhost") == "gateway"
        context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
        assert certificate_for(gateway, context, "localhost") == "rsa"


def test_certificates_must_be_complete(identity, tmp_path):
    file = tmp_path / "headgate.yaml"
    file.write_text(json.dumps({"listeners": [{
        "address": "127.0.0.1:0",
        "tls": {"certificate": str(identity[0]), "key": str(identity[1]),
                "certificates": [{"certificate": str(identity[0])}]}}]}))
    result = run("check", file)
    assert result.returncode == 1
    assert (b"listeners[0].tls.certificates[0].key: is missing"
            in result.stdout + result.stderr)


# --- OCSP stapling ---


def staple(gateway, name="localhost"):
    """What openssl says of the OCSP response that comes with a certificate."""
    return subprocess.run(
        ["openssl", "s_client", "-connect", f"{gateway.host}:{gateway.port}",
         "-servername", name, "-status"], input=b"", capture_output=True,
        timeout=TIMEOUT).stdout.decode(errors="replace")


GOOD = "OCSP Response Status: successful"
NONE = "OCSP response: no response sent"


# RFC 6066 section 8.
def test_ocsp_response_is_stapled_and_read_again(authority, identity, tmp_path):
    response = tmp_path / "ocsp.der"
    other = authority.issue("other", "DNS:other.example")
    authority.respond(identity[0], response)
    with with_tls(tmp_path, identity, [other],
                  ocsp_file=str(response)) as gateway:
        assert GOOD in staple(gateway)
        assert NONE in staple(gateway, "other.example")
        assert hello(gateway, trusting(authority)) == {"reply": "hello, ann"}
        # One for another certificate would make clients refuse.
        authority.respond(other[0], response)
        eventually(lambda: NONE in staple(gateway), "it is not used")
        gateway.wait_for_log("an OCSP response is not used")
        gateway.wait_for_log("is for another certificate")
        response.write_bytes(b"no response")
        eventually(lambda: "is no successful OCSP response" in gateway.stderr(),
                   "the log says so")
        authority.respond(identity[0], response)
        eventually(lambda: GOOD in staple(gateway), "it is used")


def test_missing_ocsp_response_does_not_stop_the_start(
        authority, identity, tmp_path):
    with with_tls(tmp_path, identity,
                  ocsp_file=str(tmp_path / "later.der")) as gateway:
        assert NONE in staple(gateway)
        gateway.wait_for_log("later.der")
        authority.respond(identity[0], tmp_path / "later.der")
        eventually(lambda: GOOD in staple(gateway), "it is used")


# --- the rate of handshakes ---


def test_handshakes_above_the_rate_wait(authority, identity, tmp_path):
    with with_tls(tmp_path, identity, handshakes_per_second=4) as gateway:
        context = trusting(authority)
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            assert set(pool.map(
                lambda _: certificate_for(gateway, trusting(authority),
                                          "localhost"), range(12))) == {
                                              "gateway"}
        # Four at once, and eight at four in a second.
        assert time.monotonic() - began > 1.5
        delayed = gateway.metric("headgate_tls_handshakes_delayed_total")
        assert 6 <= delayed <= 8
        assert gateway.metric("headgate_tls_handshake_seconds_count") == 12
        assert gateway.metric("headgate_tls_handshake_seconds_sum") > 4
        time.sleep(1)
        assert hello(gateway, context) == {"reply": "hello, ann"}


# --- floods ---


def floods(gateway):
    return gateway.metric("headgate_tls_floods_total")


# RFC 8446 section 4.6.3.
def test_floods_of_key_updates_end_the_connection(gateway, authority):
    before = floods(gateway)
    with contextlib.closing(OpenSsl(gateway, OpenSsl.TLS_1_3)) as client:
        assert client.write(b"GET ")
        for _ in range(60):
            assert client.update_keys()
        time.sleep(0.2)
        assert floods(gateway) == before
        eventually(lambda: not client.update_keys(), "the connection ends")
    eventually(lambda: floods(gateway) == before + 1, "it is counted")
    assert hello(gateway, trusting(authority)) == {"reply": "hello, ann"}


# RFC 5746. OpenSSL's client gives up after it.
def test_renegotiation_is_refused(gateway, authority):
    with contextlib.closing(OpenSsl(gateway, OpenSsl.TLS_1_2)) as client:
        assert client.write(b"GET ")
        assert client.renegotiate()
    assert hello(gateway, trusting(authority)) == {"reply": "hello, ann"}
