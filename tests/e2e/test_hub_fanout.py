"""One message to many sockets: frames are shared, and every client gets each
message whole, once and in order."""

import asyncio

import pytest
from websockets.extensions import permessage_deflate

from client import JSON, PACKET, RAW, connect
from harness import TIMEOUT, Gateway
from hub_backend import Command, HubBackend, pb, text

CONFIG = """
threads: 2
listeners: [{{address: "127.0.0.1:0",
             compression: {{enabled: true, min_bytes: 64}}}}]
upstreams: [{{name: default, target: "{target}"}}]
routes:
  - path: /all
    hub: {{admission: open, slow: {{max_bytes: 8MiB, max_messages: 100000}}}}
"""


@pytest.fixture
def hub():
    with HubBackend() as backend:
        yield backend


@pytest.fixture
def gateway(stack, hub, tmp_path):

    file = tmp_path / "headgate.yaml"
    file.write_text(CONFIG.format(target=hub.target))
    return stack.enter_context(Gateway.configured(file))


def broadcast(content):
    return Command(broadcast=pb.Broadcast(payload=text(content)))


def window(bits):
    return [permessage_deflate.ClientPerMessageDeflateFactory(
        server_max_window_bits=bits, client_max_window_bits=True)]


async def gather(gateway, sockets, said, messages):
    """What each of `sockets` has received, all in order."""
    connections = await asyncio.gather(*(
        connect(gateway, "/all", *protocols, **options)
        for protocols, options in sockets))
    await said(len(connections))

    async def receive(connection):
        return [await asyncio.wait_for(connection.recv(), TIMEOUT)
                for _ in range(messages)]

    received = await asyncio.gather(*map(receive, connections))
    await asyncio.gather(*(connection.close() for connection in connections))
    return received


def run(gateway, hub, sockets, contents):
    async def say(count):
        await asyncio.get_running_loop().run_in_executor(
            None, hub.wait, "joined", count)
        # In few batches, so that several leave for a socket at once.
        for begin in range(0, len(contents), 50):
            hub.send(*map(broadcast, contents[begin:begin + 50]))

    return asyncio.run(gather(gateway, sockets, say, len(contents)))


def test_every_client_gets_every_message_in_order(gateway, hub):
    contents = [f'"{number}{"x" * (number % 300)}"' for number in range(500)]
    received = run(gateway, hub, [((RAW,), {"compression": None})] * 60,
                   contents)
    assert all(each == contents for each in received)


def test_clients_of_all_codecs_and_windows_share_a_publication(gateway, hub):
    # Compressible, and with what lies further back than a small window.
    words = [f"word{number * 7919 % 10007}" for number in range(1500)]
    contents = ['"' + " ".join(words[number:] + words[:number]) + '"'
                for number in range(0, 60)] + ['"short"']
    sockets = [((RAW,), {"compression": None}), ((RAW,), {}),
               ((JSON,), {}), ((PACKET,), {}), ((RAW,), {})]
    sockets += [((RAW,), {"compression": None, "extensions": window(bits)})
                for bits in range(9, 16)]
    received = run(gateway, hub, sockets * 3, contents)
    for (protocols, _), each in zip(sockets * 3, received):
        if protocols == (PACKET,):
            each = [packet[12:].decode() for packet in each]
        assert each == contents


def test_a_client_that_reads_nothing_holds_up_nobody(gateway, hub):
    contents = [f'"{number} {"y" * 2000}"' for number in range(1000)]

    async def converse():
        idle = await connect(gateway, "/all", compression=None, max_queue=1)
        idle.transport.pause_reading()
        others = [await connect(gateway, "/all", compression=None)
                  for _ in range(5)]
        await asyncio.get_running_loop().run_in_executor(
            None, hub.wait, "joined", 6)
        for begin in range(0, len(contents), 50):
            hub.send(*map(broadcast, contents[begin:begin + 50]))
        for other in others:
            for content in contents:
                assert await asyncio.wait_for(other.recv(), TIMEOUT) == content
        # It takes what waits for it, late but whole.
        idle.transport.resume_reading()
        for content in contents:
            assert await asyncio.wait_for(idle.recv(), TIMEOUT) == content
        for connection in (idle, *others):
            await connection.close()

    asyncio.run(converse())
