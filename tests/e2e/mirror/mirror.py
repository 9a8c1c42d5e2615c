"""mirror.v1.Mirror (README.md) by python3-grpcio: `mirror.py unix:/path`."""

import concurrent.futures
import signal
import sys
import threading

import grpc

# Before there are threads that could take it.
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

cancelled = 0
lock = threading.Lock()


def echo(requests, context):
    context.send_initial_metadata([("x-initial", "yes")])
    yield from requests


def told(requests, context):
    for _ in requests:
        pass
    lines = [f"{key}={value.hex() if isinstance(value, bytes) else value}"
             for key, value in context.invocation_metadata()]
    if context.time_remaining() is not None:
        lines.append("timeout=yes")
    yield "\n".join(sorted(lines)).encode()


def fail(requests, context):
    next(requests)
    context.abort(grpc.StatusCode.ABORTED, "no: ünï 100%\n")


def long(requests, context):
    where, size = next(requests).decode().split()
    fill = "%" * int(size)
    if where == "initial":
        context.send_initial_metadata([("x-long", fill)])
    elif where == "many":
        context.set_trailing_metadata(
            [(f"x-{i}", "y") for i in range(int(size))])
    elif where == "binary":
        context.set_trailing_metadata([("x-long-bin", fill.encode())])
    elif where == "trailers":
        context.set_trailing_metadata([("x-long", fill)])
    context.abort(grpc.StatusCode.INVALID_ARGUMENT,
                  fill if where == "status" else "short")


def flood(requests, context):
    count, size = map(int, next(requests).split())
    for _ in range(count):
        yield b"x" * size


def count(requests, context):
    sizes = [len(request) for request in requests]
    yield f"{len(sizes)} {sum(sizes)}".encode()


def wait(requests, context):
    ended = threading.Event()

    def end():
        global cancelled
        with lock:
            cancelled += 1
        ended.set()

    # What is behind a yield is not run when the client leaves during it.
    context.add_callback(end)
    yield b"here"
    ended.wait()


def tell_cancelled(requests, context):
    for _ in requests:
        pass
    yield str(cancelled).encode()


server = grpc.server(
    concurrent.futures.ThreadPoolExecutor(50),
    compression=grpc.Compression.Gzip,
    options=[("grpc.max_receive_message_length", -1)])
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(
    "mirror.v1.Mirror", {
        name: grpc.stream_stream_rpc_method_handler(behaviour)
        for name, behaviour in {
            "Echo": echo, "Told": told, "Fail": fail, "Flood": flood, "Long": long,
            "Count": count, "Wait": wait, "Cancelled": tell_cancelled}.items()
    })])
assert server.add_insecure_port(sys.argv[1])
server.start()
print(f"listening on {sys.argv[1]}", flush=True)
signal.sigwait([signal.SIGTERM])
server.stop(0).wait()
