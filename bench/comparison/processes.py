"""Starts the processes that are compared, and sees to it that none is left."""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import tempfile
import time

START_TIMEOUT = 60.0  # Under valgrind a process takes its time.
STOP_TIMEOUT = 30.0

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


class Failure(Exception):
    """Something that was started did not do what it should."""


def _end_with_parent():
    """In the child: even if we are killed, it does not stay behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def start(command, **options):
    """A session of its own, so that Ctrl-C is ours alone to pass on."""
    return subprocess.Popen([str(word) for word in command],
                            stdin=subprocess.DEVNULL, start_new_session=True,
                            preexec_fn=_end_with_parent, **options)


def end(process):
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def server(command, **environment):
    """A process that says on stdout where it listens; yields its pid and that
    address. It has ended when the context ends."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = start(command, stdout=out, stderr=errors,
                        env={**os.environ, **environment})
        try:
            yield process.pid, _address(process, out, errors)
        finally:
            end(process)
        _check_end(process, errors)


def _check_end(process, errors):
    """What breaks at its end may have been broken all the while."""
    if process.returncode not in (0, -signal.SIGTERM):
        raise Failure(f"{process.args[0]} ended with {process.returncode}"
                      f"{_reason(process.returncode)}: "
                      f"{_text(errors)[-500:].strip()}")


def _reason(returncode):
    if returncode == -signal.SIGKILL:
        return f", {STOP_TIMEOUT:.0f} s after SIGTERM"
    return ""


def _address(process, out, errors):
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        found = re.search(r"listening on (?:\w+://)?(\S+:\d+)\n", _text(out))
        if found:
            return found[1]
        if process.poll() is not None:
            raise Failure(f"{process.args[0]} ended with "
                          f"{process.returncode}: {_text(errors).strip()}")
        time.sleep(0.02)
    raise Failure(f"{process.args[0]} does not listen after {START_TIMEOUT} s")


def _text(file):
    # pread, for the child shares the offset.
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode(errors="replace")


def bench(command, timeout):
    """Runs `headgate bench ... --json`: (its result, its CPU seconds)."""
    before = _children_seconds()
    process = start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failure(f"no end after {timeout:.0f} s") from None
    finally:
        end(process)
    try:
        result = json.loads(out)
    except ValueError:
        raise Failure(errors.decode(errors="replace").strip() or
                      f"ended with {process.returncode}") from None
    return result, _children_seconds() - before


def _children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def allow_descriptors(count):
    """Raises the limit for us and our children; returns what it came to."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        with contextlib.suppress(ValueError, OSError):  # That is for root.
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
            return count
    # All that there is where that is finite; an infinite one makes programs
    # that look at each descriptor slow.
    limit = count if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def end_on_signals():
    """SIGTERM and SIGHUP unwind like Ctrl-C does."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)


def cpu_seconds(pid):
    """What a process has spent of a processor so far; 0 when it is gone."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
