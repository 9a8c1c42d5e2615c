"""deploy/systemd: the units are what systemd takes, and fit the configuration."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
SYSTEMD = ROOT / "deploy/systemd"
HEADGATE = os.environ.get("HEADGATE", str(ROOT / "build/dev/bin/headgate"))
INSTALLED = "/usr/local/bin/headgate"
TIMEOUT = 60.0


def unit(name):
    """{(section, key): [values]}."""
    settings = {}
    section = None
    for line in (SYSTEMD / name).read_text().splitlines():
        if found := re.fullmatch(r"\[(\w+)\]", line):
            section = found[1]
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            settings.setdefault((section, key), []).append(value)
    return settings


def seconds(text):
    found = re.fullmatch(r"(\d+)s", text)
    return int(found[1])


def analyze(*words):
    """systemd-analyze about the units, with the built binary in its place."""
    with tempfile.TemporaryDirectory() as directory:
        for name in ("headgate.service", "headgate.socket"):
            text = (SYSTEMD / name).read_text()
            (pathlib.Path(directory) / name).write_text(
                text.replace(INSTALLED, HEADGATE))
        return subprocess.run(
            ["systemd-analyze", *words], cwd=directory, timeout=TIMEOUT,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class SystemdTest(unittest.TestCase):

    def setUp(self):
        self.service = unit("headgate.service")
        self.socket = unit("headgate.socket")
        self.config = yaml.safe_load((SYSTEMD / "headgate.yaml").read_text())

    # Settings that it does not know are told, and left at that.
    def test_systemd_takes_the_units(self):
        result = analyze("verify", "--man=no", "./headgate.service",
                         "./headgate.socket")
        self.assertEqual((result.returncode, result.stdout), (0, ""))

    # Of 10; what is left is the network, which is what it is for.
    def test_the_service_is_exposed_as_little_as_it_can(self):
        result = analyze("security", "--offline=yes", "--threshold=16",
                         "--no-pager", "./headgate.service")
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_it_is_started_with_the_file_that_it_checks(self):
        self.assertEqual(
            self.service["Service", "ExecStart"],
            [f"{INSTALLED} serve --config /etc/headgate/headgate.yaml"])
        self.assertEqual(
            self.service["Service", "ExecReload"],
            [f"{INSTALLED} check /etc/headgate/headgate.yaml",
             "/bin/kill -HUP $MAINPID"])

    def test_it_has_time_to_drain(self):
        timeouts = self.config["timeouts"]
        stop, = self.service["Service", "TimeoutStopSec"]
        self.assertGreaterEqual(
            seconds(stop), seconds(timeouts["drain_delay"]) +
            seconds(timeouts["drain"]) + 5)
        self.assertEqual(self.service["Service", "KillSignal"], ["SIGTERM"])

    def test_each_session_can_have_its_file_descriptor(self):
        files, = self.service["Service", "LimitNOFILE"]
        default = re.search(r"`max_sessions` \| a number \| (\d{3,}) \|",
                            (ROOT / "docs/configuration.md").read_text())
        self.assertGreater(int(files), 1.5 * int(default[1]))

    def test_the_socket_is_the_listener(self):
        name, = self.socket["Socket", "FileDescriptorName"]
        self.assertEqual([listener["address"] for listener in
                          self.config["listeners"]], [f"systemd:{name}"])

    def test_the_gateway_takes_the_configuration(self):
        result = subprocess.run(
            [HEADGATE, "check", SYSTEMD / "headgate.yaml"], timeout=TIMEOUT,
            capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
