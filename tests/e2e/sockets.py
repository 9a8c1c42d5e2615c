"""What a process has open, as /proc tells it."""

import contextlib
import pathlib
import re


def descriptors(process):
    """How many file descriptors it has."""
    return len(list(pathlib.Path(f"/proc/{process.pid}/fd").iterdir()))


def client_sockets(gateway):
    """How many sockets it has at the port of its first listener, that of the
    listener itself aside: connections that it accepted and has not closed."""
    inodes = set()
    for each in pathlib.Path(f"/proc/{gateway.pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # Closed meanwhile.
            inodes.update(re.findall(r"socket:\[(\d+)\]", str(each.readlink())))
    count = 0
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        port, state, inode = columns[1].split(":")[1], columns[3], columns[9]
        is_listener = state == "0A"
        if int(port, 16) == gateway.port and inode in inodes:
            count += not is_listener
    return count
