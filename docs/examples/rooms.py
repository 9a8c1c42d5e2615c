"""A chat and its rooms as a hub backend (docs/hub.md): rooms.py [HOST:PORT].
The gateway's configuration is rooms.yaml. Needs python3-grpcio and, from
proto/, what this writes:

    protoc --python_out=. google/rpc/status.proto headgate/v1/*.proto
"""

import collections
import queue
import sys
import threading
from concurrent import futures

import grpc

from headgate.v1 import hub_backend_pb2 as pb, hub_pb2


def attach(events, context):
    """One stream holds all sessions of a route. On a new stream the gateway
    names them again, so what is known of them can end with the stream."""
    commands = queue.Queue()

    def read():
        rooms = {}  # By session; "" is the chat.
        members = collections.Counter()
        try:
            for event in (event for batch in events for event in batch.events):
                kind, who = event.WhichOneof("kind"), event.who
                if kind == "joined":
                    room = event.joined.path_variables.get("room", "")
                    rooms[who] = room
                    members[room] += 1
                    if event.joined.asks:  # Its handshake waits for this.
                        greeting = f'{{"members":{members[room]}}}'
                        commands.put(pb.Command(accept=pb.Accept(
                            who=who, greeting=hub_pb2.Payload(text=greeting))))
                elif kind == "message":  # For the room, or the whole chat.
                    groups = [f"room:{rooms[who]}"] if rooms[who] else []
                    commands.put(pb.Command(broadcast=pb.Broadcast(
                        to=hub_pb2.Audience(groups=groups),
                        payload=event.message.payload)))
                elif kind == "left":
                    members -= collections.Counter([rooms.pop(who)])
        except grpc.RpcError:
            pass  # The stream is lost.
        commands.put(None)

    threading.Thread(target=read, daemon=True).start()
    for command in iter(commands.get, None):
        yield pb.ToGateway(commands=[command])


def main():
    server = grpc.server(futures.ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
        "headgate.v1.HubBackend", {
            "Attach": grpc.stream_stream_rpc_method_handler(
                attach, pb.FromGateway.FromString,
                pb.ToGateway.SerializeToString)}),))
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"
    port = server.add_insecure_port(address)
    server.start()
    print(f"listening on {address.rpartition(':')[0]}:{port}", flush=True)
    server.wait_for_termination()


main()
