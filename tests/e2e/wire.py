"""The bytes on the wire: HTTP, WebSocket frames, packets and protobuf, without
a library between the test and the socket, so that a test can be wrong on
purpose."""

import base64
import dataclasses
import json
import os
import select
import socket
import struct
import time

from harness import TIMEOUT

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10

END_PACKET = 0xFFFFFFFF
CONTAINER_PACKET = 0xFFFFFFFE


# --- HTTP ---


def upgrade_request(path, headers=(), *, method="GET", version="HTTP/1.1",
                    without=()):
    """The handshake of RFC 6455 section 4.1, plus `headers`, less `without`."""
    lines = [("Host", "localhost"), ("Connection", "Upgrade"),
             ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
             ("Sec-WebSocket-Key", base64.b64encode(os.urandom(16)).decode())]
    lines = [line for line in lines if line[0] not in without]
    text = f"{method} {path} {version}\r\n"
    for name, value in [*lines, *headers]:
        text += f"{name}: {value}\r\n"
    return (text + "\r\n").encode("latin-1")


@dataclasses.dataclass
class Response:
    status: int
    headers: list  # Of (lower-case name, value).
    body: bytes

    def header(self, name):
        """The one value of a header; None when it is absent."""
        values = [value for key, value in self.headers if key == name.lower()]
        assert len(values) <= 1, f"{name} more than once: {values}"
        return values[0] if values else None

    def json(self):
        assert self.header("Content-Type") == "application/json"
        return json.loads(self.body)


@dataclasses.dataclass
class Frame:
    fin: bool
    opcode: int
    payload: bytes


def limit_buffers(client, receive_buffer=4096, segment=536):
    """Has kernels hold little of what is sent to `client`, a socket that is
    not connected yet: the receive buffer sets the TCP window, and by the
    segment size the peer's kernel sizes its send buffer, up to some MB with
    the large segments of the loopback device (segment=None)."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if segment:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)


class RawClient:
    """A TCP connection to a gateway."""

    def __init__(self, gateway, receive_buffer=None, preamble=b"", tls=None,
                 segment=536):
        """`preamble`: sent before all else, and before TLS; `tls`: an
        ssl.SSLContext."""
        self._socket = socket.socket(
            socket.AF_INET6 if ":" in gateway.host else socket.AF_INET)
        if receive_buffer:
            limit_buffers(self._socket, receive_buffer, segment)
        self._socket.settimeout(TIMEOUT)
        self._socket.connect((gateway.host, gateway.port))
        if preamble:
            self._socket.sendall(preamble)
        if tls:
            self._socket = tls.wrap_socket(self._socket,
                                           server_hostname="localhost")
        self._received = b""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        self._socket.close()

    def reset(self):
        """Breaks the connection with RST, as a crash or a cut cable does."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                struct.pack("ii", 1, 0))
        self._socket.close()

    def half_close(self):
        self._socket.shutdown(socket.SHUT_WR)

    def has_input(self):
        """Whether the kernel has bytes, or the end, for a read."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def set_timeout(self, seconds):
        self._socket.settimeout(seconds)

    def send(self, data):
        self._socket.sendall(data)

    def send_until_blocked(self, data, patience, most=1 << 30):
        """Sends `data` again and again until nothing was taken for `patience`
        seconds, `most` bytes were, or the connection ended. Returns how many
        bytes were taken."""
        self._socket.settimeout(patience)
        sent = 0
        rest = memoryview(data)
        try:
            while sent < most:
                count = self._socket.send(rest)
                sent += count
                rest = rest[count:] or memoryview(data)
        except (TimeoutError, ConnectionError):
            pass
        finally:
            self._socket.settimeout(TIMEOUT)
        return sent

    def _fill(self):
        data = self._socket.recv(65536)
        if not data:
            raise EOFError
        self._received += data

    def _take(self, count):
        if len(self._received) < count:
            pieces, have = [self._received], len(self._received)
            while have < count:
                piece = self._socket.recv(
                    min(1 << 20, max(count - have, 65536)))
                if not piece:
                    raise EOFError
                pieces.append(piece)
                have += len(piece)
            self._received = b"".join(pieces)
        taken, self._received = self._received[:count], self._received[count:]
        return taken

    def read_head(self):
        """(status, [(lower-case name, value)]), without the body."""
        while b"\r\n\r\n" not in self._received:
            self._fill()
        head, self._received = self._received.split(b"\r\n\r\n", 1)
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = []
        for line in lines:
            name, value = line.split(":", 1)
            headers.append((name.lower(), value.strip()))
        return int(status_line.split()[1]), headers

    def read_response(self):
        status, headers = self.read_head()
        response = Response(status, headers, b"")
        if response.status not in (100, 101, 204):
            response.body = self._take(int(response.header("Content-Length")))
        return response

    def receive_some(self):
        """What comes next, at least a byte."""
        if not self._received:
            self._fill()
        data, self._received = self._received, b""
        return data

    def receive_to_end(self):
        data = b""
        try:
            while True:
                data += self.receive_some()
        except EOFError:
            return data

    def request(self, *arguments, **options):
        """Sends a handshake and returns the answer to it."""
        self.send(upgrade_request(*arguments, **options))
        return self.read_response()

    def upgrade(self, *arguments, **options):
        """As request; it must succeed."""
        response = self.request(*arguments, **options)
        assert response.status == 101, response
        return response

    def readable(self):
        """Whether there is something to read now."""
        if self._received:
            return True
        return bool(select.select([self._socket], [], [], 0)[0])

    def at_end(self):
        """Whether the connection ends here, without a further byte."""
        try:
            return self._received == b"" and self._socket.recv(1) == b""
        except ConnectionResetError:
            return True

    # --- WebSocket ---

    def send_frame(self, opcode, payload=b"", **options):
        self.send(frame(opcode, payload, **options))

    def read_frame(self):
        first, second = self._take(2)
        assert first & 0x70 == 0, "a reserved bit is set"
        assert second & 0x80 == 0, "the gateway masks"
        length = second
        if length == 126:
            length, = struct.unpack(">H", self._take(2))
        elif length == 127:
            length, = struct.unpack(">Q", self._take(8))
        return Frame(bool(first & 0x80), first & 0x0F, self._take(length))

    def read_slowly(self, bytes_at_once, pause, seconds):
        """Reads frames for so long, with a pause before each so many bytes,
        and answers the pings among them."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            data = self._socket.recv(bytes_at_once)
            assert data, "the connection has ended"
            self._received += data
            while (size := frame_size(self._received)) is not None:
                if self._received[0] & 0x0F == PING:
                    self.send_frame(PONG, self._received[2:size])
                self._received = self._received[size:]
            time.sleep(pause)

    def read_message(self):
        """The next data message, joined, as (opcode, payload)."""
        opcode, payload = None, b""
        while True:
            piece = self.read_frame()
            assert piece.opcode in (TEXT, BINARY, CONTINUATION), piece
            if piece.opcode != CONTINUATION:
                opcode = piece.opcode
            payload += piece.payload
            if piece.fin:
                return opcode, payload

    def read_close(self):
        """Skips what comes before the Close frame; answers it; the connection
        must end after it. Returns (code, reason)."""
        while True:
            piece = self.read_frame()
            if piece.opcode == CLOSE:
                break
        code, = struct.unpack(">H", piece.payload[:2])
        try:
            self.send_frame(CLOSE, piece.payload[:2])
        except ConnectionError:
            pass  # The gateway need not wait for it after a broken message.
        assert self.at_end(), "bytes after the Close frame"
        return code, piece.payload[2:].decode()


def frame_size(data):
    """The bytes of the gateway's frame that `data` begins with; None when it
    is not all there."""
    if len(data) < 2:
        return None
    length = 2 + data[1]
    if data[1] >= 126:
        wide = 2 if data[1] == 126 else 8
        if len(data) < 2 + wide:
            return None
        length = 2 + wide + int.from_bytes(data[2:2 + wide], "big")
    return length if len(data) >= length else None


def frame(opcode, payload=b"", *, fin=True, masked=True, reserved=0,
          length=None):
    """One frame of RFC 6455 section 5.2. The mask is zero, which is a mask like
    any other. `length` is what the header says, if not the truth."""
    length = len(payload) if length is None else length
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    mask_bit = 0x80 if masked else 0
    if length < 126:
        head = bytes([first, mask_bit | length])
    elif length < 1 << 16:
        head = bytes([first, mask_bit | 126]) + struct.pack(">H", length)
    else:
        head = bytes([first, mask_bit | 127]) + struct.pack(">Q", length)
    return head + (b"\0\0\0\0" if masked else b"") + payload


# --- packets ---


@dataclasses.dataclass
class PacketFormat:
    order: str = "type-length-who"
    endian: str = "big"
    length_counts: str = "content"

    def flags(self):
        return ["--packet-order", self.order, "--packet-endian", self.endian,
                "--packet-length-counts", self.length_counts]

    def _struct(self):
        return struct.Struct(">III" if self.endian == "big" else "<III")

    def packet(self, type, who, content=b""):
        length = len(content) + (12 if self.length_counts == "packet" else 0)
        fields = ((type, length, who) if self.order == "type-length-who" else
                  (type, who, length))
        return self._struct().pack(*fields) + content

    def parse(self, data):
        """Whole packets, as a list of (type, who, content)."""
        packets = []
        while data:
            type, second, third = self._struct().unpack_from(data)
            length, who = ((second, third) if self.order == "type-length-who"
                           else (third, second))
            if self.length_counts == "packet":
                length -= 12
            assert len(data) >= 12 + length, "a packet cut short"
            packets.append((type, who, data[12:12 + length]))
            data = data[12 + length:]
        return packets


DEFAULT_FORMAT = PacketFormat()
packet = DEFAULT_FORMAT.packet
parse_packets = DEFAULT_FORMAT.parse


# --- protobuf ---


def varint(value):
    data = b""
    while value > 0x7F:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])


def message(*fields):
    """A serialized message of (number, value): an int, bytes or str each."""
    data = b""
    for number, value in fields:
        if isinstance(value, int):
            data += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            data += varint(number << 3 | 2) + varint(len(value)) + value
    return data


def fields(data):
    """The fields of a serialized message: {number: [int or bytes, ...]}."""

    def read_varint():
        nonlocal data
        value = shift = 0
        while True:
            byte, data = data[0], data[1:]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    found = {}
    while data:
        tag = read_varint()
        assert tag & 7 in (0, 2), f"wire type {tag & 7}"
        value = read_varint()
        if tag & 7 == 2:
            assert len(data) >= value
            value, data = data[:value], data[value:]
        found.setdefault(tag >> 3, []).append(value)
    return found


def rpc_status(data):
    """A serialized google.rpc.Status as (code, message)."""
    found = fields(data)
    return found.get(1, [0])[0], found.get(2, [b""])[0].decode()
