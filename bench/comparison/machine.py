"""What the measurements ran on, and what else ran there."""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import time

from comparison.processes import cpu_seconds

# A process that takes this much of a core is company.
NOTICEABLE = 0.1

LIBRARIES = ("libgrpc++-dev", "libprotobuf-dev", "libboost1.81-dev",
             "libabsl-dev", "libnghttp2-dev", "libssl-dev")
PEER_PACKAGES = ("golang-go", "golang-github-tmc-grpc-websocket-proxy-dev",
                 "golang-github-grpc-ecosystem-grpc-gateway-dev",
                 "golang-google-grpc-dev", "golang-goprotobuf-dev")


def describe(headgate, baseline, peer, descriptors):
    """[(what, text)]"""
    facts = [
        ("cpu", f"{len(os.sched_getaffinity(0))} cores of {_cpu_model()}"),
        ("memory", f"{_memory_gib():.0f} GiB"),
        ("kernel", f"{os.uname().sysname} {os.uname().release}"),
        ("load average", " ".join(f"{load:.2f}" for load in os.getloadavg())),
        ("open files", f"at most {descriptors}"),
        ("headgate", _binary(headgate)),
    ]
    if baseline:
        facts.append(("headgate (before)", _binary(baseline)))
    facts.append(("libraries", _packages(LIBRARIES)))
    if peer:
        facts.append(("peer", _packages(PEER_PACKAGES)))
    return [(what, text or "unknown") for what, text in facts]


def build_type(binary):
    """CMAKE_BUILD_TYPE of the build directory that the binary lies in, or ''
    where that cannot be told."""
    try:
        cache = (binary.resolve().parents[1] / "CMakeCache.txt").read_text()
    except (IndexError, OSError):
        return ""
    found = re.search(r"^CMAKE_BUILD_TYPE:\w+=(\w+)$", cache, re.MULTILINE)
    return found[1] if found else ""


def _cpu_model():
    found = re.search(r"^model name\s*:\s*(.+)$",
                      pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else os.uname().machine


def _memory_gib():
    return (os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) / 2**30


def _binary(path):
    content = path.read_bytes()
    version = subprocess.run([path, "--version"], capture_output=True,
                             text=True, check=False).stdout.strip()
    compilers = {found.decode() for found in
                 re.findall(rb"(?:GCC: \([^)]*\)|clang version) [\d.]+",
                            content)}
    parts = [version, build_type(path), *sorted(compilers),
             f"sha256 {hashlib.sha256(content).hexdigest()[:12]}"]
    return ", ".join(part for part in parts if part)


def _packages(names):
    """Their versions, of those that Debian's dpkg has installed."""
    if not shutil.which("dpkg-query"):
        return ""
    listed = subprocess.run(
        ["dpkg-query", "--show", "--showformat",
         "${db:Status-Status} ${Package} ${Version}\n", *names],
        capture_output=True, text=True, check=False).stdout
    found = [line.split(" ", 2)[1:] for line in listed.splitlines()
             if line.startswith("installed ")]
    return ", ".join(f"{name} {version}" for name, version in found)


def wait_for_quiet(patience):
    """Returns when others leave the machine to us, or after `patience`
    seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        company = Company()
        time.sleep(0.3)
        if company.share() <= NOTICEABLE:
            return


class Company:
    """How much of the machine others take while we measure: all that the
    kernel counts, less what our own processes took."""

    def __init__(self, own_pids=()):
        self._own_pids = own_pids
        self._began = time.monotonic()
        self._busy = _busy_seconds()
        self._own = sum(map(cpu_seconds, own_pids))
        self._all = _all_seconds()

    def share(self, own_seconds=0.0):
        """In cores. `own_seconds`: of children that have ended meanwhile."""
        own = sum(map(cpu_seconds, self._own_pids)) - self._own + own_seconds
        elapsed = time.monotonic() - self._began
        return max(0.0, (_busy_seconds() - self._busy - own) / elapsed)

    def names(self):
        """Of the other processes that took a noticeable part."""
        elapsed = time.monotonic() - self._began
        ours = {*self._own_pids, os.getpid()}
        names = set()
        for pid, (name, seconds) in _all_seconds().items():
            spent = seconds - self._all.get(pid, (name, 0.0))[1]
            if pid not in ours and spent / elapsed > NOTICEABLE:
                names.add(name)
        return names


def _busy_seconds():
    """Of all processors, in processes: without interrupts, which our own
    traffic causes as well."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system = stat.readline().split()[1:4]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


def _all_seconds():
    """{pid: (name, CPU seconds)}"""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            name = (entry / "comm").read_text().strip()
        except OSError:
            continue
        found[int(entry.name)] = (name, cpu_seconds(entry.name))
    return found
