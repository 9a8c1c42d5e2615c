"""What the dialects of gRPC-Web clients have on the wire, written from its
description (docs/protocol/grpc-websockets.md)."""

import contextlib
import struct

import websockets

from client import HELLO, Client

GRPC_WEBSOCKETS = "grpc-websockets"
MULTIPLEX = "grpc-websockets-multiplex"
CONTENT_TYPE = "content-type: application/grpc-web+proto\r\n"
END = b"\1"
LAST = 1 << 31  # Of a number on a multiplexed socket.


def framed(message, flags=0):
    return struct.pack(">BI", flags, len(message)) + message


def data(*messages):
    """A message of the socket with these of the call."""
    return b"\0" + b"".join(framed(message) for message in messages)


def blocks(messages):
    """(headers, responses, trailers) of what the gateway has sent: a dict, a
    list of bytes and a dict."""
    first, *middle, last = [message for message in messages]
    return fields(first), [unframed(message) for message in middle], fields(last)


def unframed(message):
    flags, length = struct.unpack(">BI", message[:5])
    assert (flags, length) == (0, len(message) - 5), message[:40]
    return message[5:]


def fields(block):
    flags, length = struct.unpack(">BI", block[:5])
    assert (flags, length) == (0x80, len(block) - 5), block[:40]
    lines = block[5:].decode("ascii").split("\r\n")
    assert lines.pop() == ""
    return dict(line.split(": ", 1) for line in lines)


class GrpcWebClient(Client):
    """A socket of one call."""

    def __init__(self, gateway, path, head=CONTENT_TYPE, **options):
        super().__init__(gateway, path, GRPC_WEBSOCKETS, **options)
        if head is not None:
            self.say(head.encode("latin-1"))

    def say(self, *messages):
        """Sends what the gateway may have closed the socket before."""
        with contextlib.suppress(websockets.ConnectionClosed):
            self.send(*messages)

    def outcome(self):
        """(responses, trailers, close code) once the call is over."""
        messages, (code, _) = self.receive_all()
        _, responses, trailers = blocks(messages)
        return responses, trailers, code


class Multiplexed(Client):
    """Many calls on one socket."""

    def __init__(self, gateway, path=HELLO + "SayHello", offered=None):
        super().__init__(gateway, path,
                         *(offered or [MULTIPLEX, GRPC_WEBSOCKETS]))

    def put(self, number, content):
        self.send(struct.pack(">I", number) + content)

    def open(self, number, path, head=""):
        self.put(number, f"grpc-websockets-path: {path.lstrip('/')}\r\n"
                 f"content-type: application/grpc-web+proto\r\n{head}".encode())

    def half_close(self, number):
        self.put(number | LAST, END)

    def take(self):
        """(number, whether it is the last, content) of one message."""
        message = self.receive()
        number, = struct.unpack(">I", message[:4])
        return number & ~LAST, bool(number & LAST), message[4:]

    def outcome(self, count=1):
        """{number: (responses, trailers)} of as many calls that end."""
        calls, ended = {}, {}
        while len(ended) < count:
            number, is_last, content = self.take()
            if number not in calls:
                assert "content-type" in fields(content)
                calls[number] = []
            elif is_last:
                ended[number] = (calls[number], fields(content))
            else:
                calls[number].append(unframed(content))
        return ended
