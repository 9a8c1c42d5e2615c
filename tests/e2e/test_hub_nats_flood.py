"""Somebody on NATS who never stops asking (docs/security.md): what else gateways
have to do goes on."""

import socket
import threading

from harness import TIMEOUT, eventually
from hub_backend import Command, engine_pb, hub_pb, pb, text
from test_hub_nats import nats, replicas, settle  # noqa: F401


def question(number):
    """A record: how many sessions there are. The response's subject has the
    number."""
    return engine_pb.EngineRecord(question=engine_pb.EngineQuestion(
        instance="flood", number=number,
        count={"of": hub_pb.Audience(groups=["room:1"])})).SerializeToString()


class Flood:
    """Questions to `gateways` gateways, in batches. Two batches wait there at
    any time: less than what a gateway drops, on a machine of any speed."""

    BATCH = 1000
    RESPONSE = b"MSG headgate.r.flood.0 "

    def __init__(self, nats, gateways):  # noqa: F811
        self.answered = 0  # Batches.
        self._gateways = gateways
        self._stopping = False
        self._socket = socket.create_connection(("127.0.0.1", nats.port),
                                                TIMEOUT)
        # Of a batch, the last response is enough.
        self._socket.sendall(b'CONNECT {"verbose":false}\r\n'
                             b"SUB headgate.r.flood.0 1\r\n")
        self._batch = b"".join(
            b"PUB headgate.cmd %d\r\n%s\r\n" % (len(record), record)
            for record in [question(1)] * (self.BATCH - 1) + [question(0)])
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        tail = b""
        responses = 0
        self._socket.sendall(self._batch)
        while not self._stopping:
            self._socket.sendall(self._batch)
            while responses < (self.answered + 1) * self._gateways:
                received = self._socket.recv(1 << 16)
                assert received, "NATS has closed the connection"
                # One may begin in what was received before.
                tail += received
                responses += tail.count(self.RESPONSE)
                tail = tail[-(len(self.RESPONSE) - 1):]
            self.answered += 1

    def goes_on(self):
        """Waits until two more batches have been answered."""
        until = self.answered + 2
        eventually(lambda: self.answered >= until, "the flood goes on")

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._stopping = True
        self._thread.join()
        self._socket.close()


def test_a_flood_of_questions_keeps_nobody_waiting(replicas, nats):  # noqa: F811
    one, two = replicas()
    near, session = one.join()
    far, _ = two.join()
    settle(one, "room:1", near, far)
    who = one.hub.of_kind("joined")[0].who
    with Flood(nats, gateways=2) as flood:
        for round_ in range(5):
            flood.goes_on()
            near.send(f"echo {round_}")
            message = eventually(
                lambda: one.hub.of_kind("message")[round_:],
                "the backend has it")[0].message
            one.hub.send(Command(send=pb.Send(who=who,
                                              payload=message.payload)))
            assert near.receive() == f"echo {round_}"
            one.api.Send(session=session, payload=text(f"sent {round_}"))
            assert near.receive() == f"sent {round_}"
            one.api.Publish(group="room:1", payload=text(f"to all {round_}"))
            assert near.receive() == far.receive() == f"to all {round_}"
        flood.goes_on()
    for replica in (one, two):
        assert replica.metric("engine_dropped_total") == 0
