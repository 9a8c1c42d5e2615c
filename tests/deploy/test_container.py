"""deploy/Dockerfile and deploy/docker-compose.yml against the built binary and
against each other."""

import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

import yaml

import kustomize
from schemas import BOOL, TEXT, one_of, several, struct

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
HEADGATE = os.environ.get("HEADGATE", str(ROOT / "build/dev/bin/headgate"))
TIMEOUT = 120.0

# What a sanitizer build is linked to besides.
SANITIZERS = {"libasan8", "libtsan2", "libubsan1"}
# On the image of Debian before anything is installed.
BASE = {"libc6", "libgcc-s1", "libstdc++6", "zlib1g"}


def run(*words, **options):
    return subprocess.run([str(word) for word in words], check=True,
                          timeout=TIMEOUT, capture_output=True, text=True,
                          **options).stdout


def on_debian_12():
    release = pathlib.Path("/etc/os-release").read_text()
    return "VERSION_CODENAME=bookworm" in release


def instructions():
    """The stages of the Dockerfile, each a list of (instruction, words)."""
    text = re.sub(r"(?m)^#.*\n", "", (DEPLOY / "Dockerfile").read_text())
    stages = []
    for line in text.replace("\\\n", " ").splitlines():
        name, _, rest = line.strip().partition(" ")
        if name == "FROM":
            stages.append([])
        if name:
            stages[-1].append((name, " ".join(rest.split())))
    return stages


def of(stage, name):
    return [rest for instruction, rest in stage if instruction == name]


def owner(path):
    """The Debian package that a library is of."""
    # What was found in /lib was installed to /usr/lib where the one is the
    # other.
    for name in (path, f"/usr{path}", str(pathlib.Path(path).resolve())):
        found = subprocess.run(["dpkg", "-S", name], capture_output=True,
                               text=True, timeout=TIMEOUT)
        if found.returncode == 0:
            return found.stdout.partition(":")[0]
    raise AssertionError(f"{path} is of no package")


def packages_of_binary():
    libraries = re.findall(r"=> (/\S+)", run("ldd", HEADGATE))
    return {owner(library) for library in libraries} - SANITIZERS


def with_dependencies(packages):
    """The packages and all that come with them."""
    found, ask = set(), list(packages)
    while ask:
        package = ask.pop()
        if package in found:
            continue
        found.add(package)
        depends = run("dpkg-query", "-W", "-f", "${Depends}", package)
        ask += [re.match(r"[\w.+-]+", part.strip())[0]
                for part in depends.split(",") if part.strip()]
    return found


HEALTHCHECK = struct("test", "interval", "timeout", "retries", "start_period",
                     test=several(TEXT, 2), interval=TEXT, timeout=TEXT,
                     retries={"type": "integer"}, start_period=TEXT)
SERVICE = struct(
    "image", "healthcheck", "restart", "read_only", "cap_drop", "security_opt",
    "stop_grace_period", "networks",
    image=TEXT, healthcheck=HEALTHCHECK, restart=one_of("unless-stopped"),
    read_only=one_of(True), cap_drop={"const": ["ALL"]},
    security_opt={"const": ["no-new-privileges:true"]}, stop_grace_period=TEXT,
    build=struct("context", "dockerfile", context=TEXT, dockerfile=TEXT),
    command=several(TEXT), networks=several(TEXT), volumes=several(TEXT),
    tmpfs=several(TEXT),
    environment={"type": "object", "additionalProperties": TEXT},
    # Not to the world: that is for whoever knows what is in front.
    ports=several({"type": "string", "pattern": r"^127\.0\.0\.1:\d+:\d+$"}),
    depends_on={"type": "object", "additionalProperties": struct(
        "condition", condition=one_of("service_healthy"))},
    ulimits=struct(nofile=struct("soft", "hard", soft={"type": "integer"},
                                 hard={"type": "integer"})))
COMPOSE = {
    **struct("name", "services", "networks", "volumes", name=TEXT,
             services={"type": "object", "additionalProperties": SERVICE},
             networks={"type": "object",
                       "additionalProperties": struct(internal=BOOL)},
             volumes={"type": "object", "additionalProperties": struct()}),
    "patternProperties": {"^x-": {}}}


class DockerfileTest(unittest.TestCase):

    def setUp(self):
        self.build, self.runtime = instructions()

    # As a machine that has nothing yet, so that what the image needs is what
    # script/setup installs.
    def test_it_is_built_as_on_a_new_machine(self):
        self.assertEqual(of(self.build, "RUN"), [
            "script/setup", "script/build release",
            "cmake --install build/release --prefix /install --strip"])

    # Libraries of the one are then those of the other.
    def test_both_stages_begin_with_the_same_debian(self):
        self.assertEqual(of(self.build, "FROM"), ["debian:12-slim AS build"])
        self.assertEqual(of(self.runtime, "FROM"), ["debian:12-slim"])

    def installed(self):
        command, = of(self.runtime, "RUN")
        words = re.search(r"apt-get install -y --no-install-recommends (.*?) &&",
                          command)[1].split()
        self.assertEqual(words, sorted(set(words)))
        return set(words)

    @unittest.skipUnless(on_debian_12(), "its packages are those of Debian 12")
    def test_its_packages_are_those_of_the_binary(self):
        needed = packages_of_binary()
        self.assertIn("libgrpc29", needed)
        packages = self.installed()
        self.assertEqual(needed - with_dependencies(packages) - BASE, set())
        # The roots of TLS are no library.
        self.assertEqual(packages - needed, {"ca-certificates"})

    def test_cmake_installs_the_binary_and_nothing_else(self):
        with tempfile.TemporaryDirectory() as prefix:
            run("cmake", "--install", pathlib.Path(HEADGATE).parents[1],
                "--prefix", prefix)
            files = [path.relative_to(prefix) for path in
                     pathlib.Path(prefix).rglob("*") if not path.is_dir()]
            self.assertEqual(files, [pathlib.Path("bin/headgate")])
            self.assertRegex(run(f"{prefix}/bin/headgate", "--version"),
                             r"^headgate \d")

    def test_what_it_copies_is_there(self):
        copied = of(self.build, "COPY") + of(self.runtime, "COPY")
        for words in map(str.split, copied):
            if words[0] == "--from=build":
                self.assertEqual(words[1], "/install/bin/headgate")
            else:
                self.assertTrue((ROOT / words[0]).exists(), words)
        self.assertIn("--from=build /install/bin/headgate /usr/local/bin/",
                      of(self.runtime, "COPY"))

    def test_it_runs_as_nobody(self):
        user, = of(self.runtime, "USER")
        self.assertRegex(user, r"^[1-9]\d*:[1-9]\d*$")
        names = [name for name, _ in self.runtime]
        self.assertGreater(names.index("USER"), names.index("RUN"))

    def test_it_serves_the_file_that_it_has(self):
        self.assertEqual(of(self.runtime, "ENTRYPOINT"), ['["headgate"]'])
        command = yaml.safe_load(of(self.runtime, "CMD")[0])
        self.assertEqual(command[:2], ["serve", "--config"])
        self.assertIn(f"deploy/container.yaml {command[2]}",
                      of(self.runtime, "COPY"))
        self.assertEqual(of(self.runtime, "STOPSIGNAL"), ["SIGTERM"])

    def test_it_is_healthy_when_its_gateway_is_ready(self):
        check, = of(self.runtime, "HEALTHCHECK")
        self.assertTrue(check.endswith('CMD ["headgate", "probe"]'), check)

    def test_its_ports_are_those_of_its_configuration(self):
        config = (DEPLOY / "container.yaml").read_text()
        # The probe's, unless it is told another.
        self.assertIn("http://127.0.0.1:9901/", run(HEADGATE, "probe", "--help"))
        self.assertIn('"${HEADGATE_ADMIN:-127.0.0.1:9901}"', config)
        self.assertIn('address: "*:8080"', config)
        self.assertEqual(of(self.runtime, "EXPOSE"), ["8080 9901"])

    def test_the_gateway_takes_its_configuration(self):
        file = DEPLOY / "container.yaml"
        self.assertIn("app: 127.0.0.1:50051", run(HEADGATE, "check", file))
        self.assertIn("app: dns:///chat:1", run(
            HEADGATE, "check", file,
            env={**os.environ, "HEADGATE_UPSTREAM": "dns:///chat:1",
                 "HEADGATE_ADMIN": "0.0.0.0:9901",
                 "HEADGATE_ORIGIN": "https://app.example.com"}))


class ComposeTest(unittest.TestCase):

    def setUp(self):
        self.compose = yaml.safe_load(
            (DEPLOY / "docker-compose.yml").read_text())
        self.services = self.compose["services"]

    def test_it_is_what_compose_takes(self):
        kustomize.validate(self.compose, COMPOSE, "docker-compose.yml")

    def test_what_it_names_exists(self):
        for name, service in self.services.items():
            with self.subTest(name):
                self.assertLessEqual(set(service.get("depends_on", [])),
                                     set(self.services))
                self.assertLessEqual(set(service["networks"]),
                                     set(self.compose["networks"]))
                for volume in service.get("volumes", []):
                    source = volume.split(":")[0]
                    if source.startswith("."):
                        self.assertTrue((DEPLOY / source).exists(), source)
                    else:
                        self.assertIn(source, self.compose["volumes"])
                if "build" in service:
                    context = DEPLOY / service["build"]["context"]
                    self.assertEqual(context.resolve(), ROOT)
                    self.assertTrue(
                        (context / service["build"]["dockerfile"]).exists())

    def test_no_volume_or_network_is_left_over(self):
        used = {volume.split(":")[0] for service in self.services.values()
                for volume in service.get("volumes", [])}
        self.assertLessEqual(set(self.compose["volumes"]), used)
        used = {network for service in self.services.values()
                for network in service["networks"]}
        self.assertEqual(set(self.compose["networks"]), used)

    def address(self, target):
        """(service, port) of "host:port"."""
        host, _, port = target.rpartition("/")[2].partition(":")
        self.assertIn(host, self.services)
        return host, int(port)

    def linked(self, one, other):
        return set(self.services[one]["networks"]) & set(
            self.services[other]["networks"])

    def test_the_gateway_finds_its_backend(self):
        target = self.services["gateway"]["environment"]["HEADGATE_UPSTREAM"]
        host, port = self.address(target)
        command = self.services[host]["command"]
        self.assertEqual(command, ["backend", "--listen", f"0.0.0.0:{port}"])
        self.assertIn("--listen", run(HEADGATE, "backend", "--help"))
        self.assertTrue(self.linked("gateway", host))
        self.assertIn(f"/{port}", self.services[host]["healthcheck"]["test"][-1])

    def test_prometheus_finds_the_gateway(self):
        config = yaml.safe_load(
            (DEPLOY / "prometheus/prometheus.yml").read_text())
        job, = config["scrape_configs"]
        target, = job["static_configs"][0]["targets"]
        host, port = self.address(target)
        admin = self.services[host]["environment"]["HEADGATE_ADMIN"]
        self.assertEqual(admin, f"0.0.0.0:{port}")
        self.assertTrue(self.linked("prometheus", host))
        self.assertNotIn(f":{port}", " ".join(self.services[host]["ports"]))

    def test_grafana_finds_prometheus_and_the_dashboard(self):
        provisioning = DEPLOY / "grafana/provisioning"
        source, = yaml.safe_load(
            (provisioning / "datasources/prometheus.yaml").read_text()
        )["datasources"]
        self.assertEqual(self.address(source["url"])[0], "prometheus")
        self.assertTrue(self.linked("grafana", "prometheus"))
        provider, = yaml.safe_load(
            (provisioning / "dashboards/headgate.yaml").read_text()
        )["providers"]
        grafana = self.services["grafana"]
        home = grafana["environment"][
            "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
        self.assertTrue(home.startswith(provider["options"]["path"] + "/"))
        self.assertIn(f"./grafana/headgate.json:{home}:ro", grafana["volumes"])

    def test_the_gateway_has_time_to_drain(self):
        config = yaml.safe_load((DEPLOY / "container.yaml").read_text())
        # The defaults.
        self.assertNotIn("timeouts", config)
        reference = (ROOT / "docs/configuration.md").read_text()
        drain = sum(int(re.search(rf"\| `{key}` \| a duration \| (\d+)s \|",
                                  reference)[1])
                    for key in ("drain_delay", "drain"))
        grace = self.services["gateway"]["stop_grace_period"]
        self.assertGreaterEqual(int(grace.removesuffix("s")), drain + 5)


class CheckContainerTest(unittest.TestCase):

    # It reads the steps from there; a form that it does not know would be left
    # out.
    def test_it_does_the_steps_of_the_dockerfile(self):
        steps = run(DEPLOY / "check-container", "--print").splitlines()
        build, runtime = instructions()
        self.assertEqual(steps, [*of(build, "RUN"), *of(runtime, "RUN")])


if __name__ == "__main__":
    unittest.main()
