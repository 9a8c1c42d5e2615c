"""What the dialects of gRPC-Web clients have on the wire, written from its
description (docs/protocol/grpc-websockets.md)."""

import contextlib
import struct

import websockets

from client import Client

GRPC_WEBSOCKETS = "grpc-websockets"
CONTENT_TYPE = "content-type: application/grpc-web+proto\r\n"
END = b"\1"


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
