"""WebSocket sessions through the `websockets` library: a client that is not
ours, so that both sides cannot be wrong in the same way."""

import asyncio
import contextlib
import json

import websockets

from harness import TIMEOUT

HELLO = "/headgate.demo.v1.HelloService/"
ECHO = "/headgate.demo.v1.EchoService/"

HUB_JSON = "headgate.hub.json.v1"
HUB_PROTOBUF = "headgate.hub.protobuf.v1"
JSON = "headgate.json.v1"
PACKET = "headgate.packet.v1"
PROTOBUF = "headgate.protobuf.v1"
RAW = "headgate.raw.v1"


class Client:
    """One session, for a test that is written as a conversation. Nothing is
    read or answered between two calls."""

    def __init__(self, gateway, path, *subprotocols, headers=(), origin=None,
                 timeout=TIMEOUT, **options):
        self._timeout = timeout
        self._loop = asyncio.new_event_loop()
        try:
            self._socket = self._run(connect(
                gateway, path, *subprotocols, headers=headers, origin=origin,
                **options))
        except BaseException:
            self._loop.close()
            raise

    def _run(self, coroutine, timeout=None):
        return self._loop.run_until_complete(
            asyncio.wait_for(coroutine, timeout or self._timeout))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        try:
            self.close()
        finally:
            self._loop.close()

    @property
    def subprotocol(self):
        return self._socket.subprotocol

    def send(self, *messages):
        """Each a message: str is text, bytes binary, a list its fragments, a
        dict JSON."""
        for message in messages:
            if isinstance(message, dict):
                message = json.dumps(message)
            self._run(self._socket.send(message))

    def half_close(self):
        self.send("")

    def receive(self, timeout=None):
        return self._run(self._socket.recv(), timeout)

    def receive_json(self):
        """One text message: one line of JSON."""
        text = self.receive()
        assert isinstance(text, str), f"binary: {text!r}"
        assert "\n" not in text
        return json.loads(text)

    def receive_all(self):
        """Every message until the Close frame, then (code, reason)."""
        messages = []
        while True:
            try:
                messages.append(self.receive())
            except websockets.ConnectionClosed as closed:
                assert closed.rcvd is not None, (
                    f"no Close frame came, after {messages}")
                return messages, (closed.rcvd.code, closed.rcvd.reason)

    def receive_close(self):
        """The next thing is the Close frame: (code, reason)."""
        messages, ending = self.receive_all()
        assert messages == [], f"before the end {ending}: {messages}"
        return ending

    def ping(self):
        """Sends a ping and waits for its pong."""

        async def ping():
            await (await self._socket.ping())

        self._run(ping())

    def close(self, code=1000, reason=""):
        self._run(self._socket.close(code, reason))


async def connect(gateway, path, *subprotocols, headers=(), origin=None,
                  unix=None, url=None, **options):
    """`unix`: the socket file to connect to; `options`: of websockets.connect,
    such as ssl."""
    settings = {
        "subprotocols": list(subprotocols) or None,
        "extra_headers": list(headers), "origin": origin,
        "ping_interval": None, "open_timeout": TIMEOUT,
        "close_timeout": TIMEOUT, "max_size": None, **options}
    if unix is not None:
        return await websockets.unix_connect(
            str(unix), f"ws://localhost{path}", **settings)
    return await websockets.connect(url or gateway.url(path), **settings)


def call(gateway, path, *messages, subprotocols=(JSON,), half_close=False,
         **options):
    """One call from beginning to end: sends `messages`, and returns all answers
    and (code, reason)."""
    with Client(gateway, path, *subprotocols, **options) as client:
        # The session may be over before all is said; its ending tells.
        with contextlib.suppress(websockets.ConnectionClosed):
            client.send(*messages)
            if half_close:
                client.half_close()
        return client.receive_all()


def call_json(gateway, path, *messages, **options):
    """As call, with the answers parsed; the call must end with OK."""
    answers, ending = call(gateway, path, *messages, **options)
    assert ending == (1000, ""), f"after {answers}"
    return [json.loads(answer) for answer in answers]


def refusal(gateway, path, *subprotocols, **options):
    """The HTTP status of a handshake that must fail."""
    try:
        client = Client(gateway, path, *subprotocols, **options)
    except websockets.InvalidStatusCode as error:
        return error.status_code
    client.close()
    raise AssertionError("the handshake was accepted")


def stats(gateway):
    """What the demo backend says of the calls of EchoService."""
    answer, = call_json(gateway, ECHO + "Stats", {})
    return (int(answer.get("openCalls", 0)),
            int(answer.get("cancelledCalls", 0)))
