"""HTTP/2 without a library: frames as bytes (RFC 9113), header blocks of
literals without Huffman codes (RFC 7541), so that a test can be wrong on
purpose."""

import contextlib
import dataclasses
import socket
import struct
import threading

from wire import RawClient

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
(DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY,
 WINDOW_UPDATE, CONTINUATION) = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
NO_ERROR, PROTOCOL_ERROR, CANCEL, ENHANCE_YOUR_CALM = 0, 1, 8, 11
REFUSED_STREAM = 7
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, ENABLE_CONNECT = 3, 4, 8
# The first byte of the header block of a response with :status 200: the 8th
# entry of the static table.
OK_BLOCK = 0x88


@dataclasses.dataclass
class H2Frame:
    type: int
    flags: int
    stream: int
    payload: bytes


def h2_frame(type, flags=0, stream=0, payload=b"", *, length=None):
    """`length` is what the header says, if not the truth."""
    length = len(payload) if length is None else length
    return (struct.pack(">I", length)[1:] + bytes([type, flags])
            + struct.pack(">I", stream) + payload)


def _string(text):
    data = text.encode() if isinstance(text, str) else text
    if len(data) < 127:
        return bytes([len(data)]) + data
    rest, prefix = len(data) - 127, bytes([127])
    while rest > 127:
        prefix += bytes([rest & 127 | 128])
        rest >>= 7
    return prefix + bytes([rest]) + data


def block(*fields):
    """A header block of (name, value), each a literal without indexing."""
    return b"".join(b"\0" + _string(name) + _string(value)
                    for name, value in fields)


def request_fields(method, path, *more, scheme="http", authority="localhost"):
    return [(":method", method), (":scheme", scheme), (":path", path),
            (":authority", authority), *more]


def websocket_fields(path, *more):
    """An extended CONNECT, RFC 8441 section 5."""
    return [(":method", "CONNECT"), (":protocol", "websocket"),
            (":scheme", "https"), (":path", path), (":authority", "localhost"),
            ("sec-websocket-version", "13"), *more]


class H2Client(RawClient):
    """A connection with prior knowledge, or with TLS that has selected h2. It
    acknowledges nothing by itself."""

    def __init__(self, gateway, settings=(), **options):
        super().__init__(gateway, **options)
        self.send(PREFACE)
        self.send_settings(settings)
        self.next_stream = 1

    def send_h2(self, *arguments, **options):
        self.send(h2_frame(*arguments, **options))

    def send_settings(self, settings=()):
        self.send_h2(SETTINGS, payload=b"".join(
            struct.pack(">HI", key, value) for key, value in settings))

    def open(self, fields, end_stream=True):
        """Sends the head of a request; returns its stream's number."""
        stream = self.next_stream
        self.next_stream += 2
        self.send_h2(HEADERS, END_HEADERS | (END_STREAM if end_stream else 0),
                     stream, block(*fields))
        return stream

    def reset_stream(self, stream, code=CANCEL):
        self.send_h2(RST_STREAM, 0, stream, struct.pack(">I", code))

    def give_window(self, stream, size):
        self.send_h2(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))

    def read_h2(self):
        head = self._take(9)
        length, = struct.unpack(">I", b"\0" + head[:3])
        stream, = struct.unpack(">I", head[5:])
        return H2Frame(head[3], head[4], stream, self._take(length))

    def await_h2(self, type, stream=None, *, without_flags=0):
        """The next frame of that type; those before it are dropped."""
        while True:
            frame = self.read_h2()
            if (frame.type == type and stream in (None, frame.stream)
                    and not frame.flags & without_flags):
                return frame

    def read_settings(self):
        """The gateway's, {key: value}."""
        payload = self.await_h2(SETTINGS, without_flags=ACK).payload
        return dict(struct.iter_unpack(">HI", payload))

    def read_goaway(self):
        """(last stream, error code)"""
        frame = self.await_h2(GOAWAY)
        return struct.unpack(">II", frame.payload[:8])

    def read_data(self, stream):
        """All the DATA of a stream, to its end."""
        data = b""
        while True:
            frame = self.read_h2()
            if frame.stream != stream:
                continue
            assert frame.type in (DATA, HEADERS), frame
            if frame.type == DATA:
                data += frame.payload
            if frame.flags & END_STREAM:
                return data


class H2Server:
    """Responds to each request, as soon as its head has come, with
    `respond(stream)`: bytes."""

    def __init__(self, respond):
        self._respond = respond
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._connections = []

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, daemon=True,
                                 args=(connection,)).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection.makefile("rb") as reader:
            connection.sendall(h2_frame(SETTINGS))
            reader.read(len(PREFACE))
            while len(head := reader.read(9)) == 9:
                length, = struct.unpack(">I", b"\0" + head[:3])
                stream, = struct.unpack(">I", head[5:])
                payload = reader.read(length)
                if head[3] == HEADERS:
                    connection.sendall(self._respond(stream))
                elif head[3] in (SETTINGS, PING) and not head[4] & ACK:
                    connection.sendall(h2_frame(
                        head[3], ACK,
                        payload=payload if head[3] == PING else b""))


def response_head(stream, *more, end_stream=False):
    """The head of a gRPC response, with `more` fields."""
    return h2_frame(
        HEADERS, END_HEADERS | (END_STREAM if end_stream else 0), stream,
        block((":status", "200"), ("content-type", "application/grpc"), *more))


def without_status(stream):
    """A response that has ended without a grpc-status, which a server of gRPC
    must not do: that of a proxy, say."""
    return response_head(stream, end_stream=True)
