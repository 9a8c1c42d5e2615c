"""deploy/Dockerfile and the Compose files beside it against the built binary and
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
    command=several(TEXT), entrypoint=several(TEXT),
    networks=several(TEXT), volumes=several(TEXT), tmpfs=several(TEXT),
    secrets=several(TEXT), hostname=kustomize.schemas.NAME,
    user={"type": "string", "pattern": r"^[1-9]\d*:[1-9]\d*$"},
    environment={"type": "object", "additionalProperties": TEXT},
    # Not to the world: that is for whoever knows what is in front.
    ports=several({"type": "string", "pattern": r"^127\.0\.0\.1:\d+:\d+$"}),
    depends_on={"type": "object", "additionalProperties": struct(
        "condition", condition=one_of("service_healthy"))},
    ulimits=struct(nofile=struct("soft", "hard", soft={"type": "integer"},
                                 hard={"type": "integer"})))
COMPOSE = {
    **struct("name", "services", "networks", name=TEXT,
             services={"type": "object", "additionalProperties": SERVICE},
             networks={"type": "object",
                       "additionalProperties": struct(internal=BOOL)},
             volumes={"type": "object", "additionalProperties": struct()},
             secrets={"type": "object", "additionalProperties": struct(
                 "file", file=TEXT)}),
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


class ComposeFilesTest(unittest.TestCase):
    """What holds for each of them."""

    def setUp(self):
        self.files = {path.name: yaml.safe_load(path.read_text())
                      for path in DEPLOY.glob("docker-compose*.yml")}
        self.assertEqual(len(self.files), 2)

    def services(self):
        """(file's content, name, service)"""
        return [(compose, name, service) for compose in self.files.values()
                for name, service in compose["services"].items()]

    def test_they_are_what_compose_takes(self):
        for file, compose in self.files.items():
            kustomize.validate(compose, COMPOSE, file)

    def test_what_they_name_exists(self):
        for compose, name, service in self.services():
            with self.subTest(name):
                self.assertLessEqual(set(service.get("depends_on", [])),
                                     set(compose["services"]))
                self.assertLessEqual(set(service["networks"]),
                                     set(compose["networks"]))
                self.assertLessEqual(set(service.get("secrets", [])),
                                     set(compose.get("secrets", [])))
                for volume in service.get("volumes", []):
                    source = volume.split(":")[0]
                    if source.startswith("."):
                        self.assertTrue((DEPLOY / source).exists(), source)
                    else:
                        self.assertIn(source, compose["volumes"])
                if "build" in service:
                    context = DEPLOY / service["build"]["context"]
                    self.assertEqual(context.resolve(), ROOT)
                    self.assertTrue(
                        (context / service["build"]["dockerfile"]).exists())

    def test_no_volume_network_or_secret_is_left_over(self):
        for compose in self.files.values():
            services = compose["services"].values()

            def used(key):
                return {name.split(":")[0] for service in services
                        for name in service.get(key, [])}

            self.assertLessEqual(set(compose.get("volumes", [])),
                                 used("volumes"))
            self.assertEqual(set(compose["networks"]), used("networks"))
            self.assertEqual(set(compose.get("secrets", [])), used("secrets"))

    def test_no_two_projects_share_a_name(self):
        self.assertEqual(
            len({compose["name"] for compose in self.files.values()}),
            len(self.files))

    def test_gateways_have_time_to_drain(self):
        reference = (ROOT / "docs/configuration.md").read_text()
        drain = sum(int(re.search(rf"\| `{key}` \| a duration \| (\d+)s \|",
                                  reference)[1])
                    for key in ("drain_delay", "drain"))
        # The defaults.
        for name in ("container.yaml", "nats/headgate.yaml"):
            self.assertNotIn("timeouts",
                             yaml.safe_load((DEPLOY / name).read_text()))
        graces = [service["stop_grace_period"] for _, name, service in
                  self.services() if name.startswith("gateway")]
        self.assertEqual(len(graces), 3)
        for grace in graces:
            self.assertGreaterEqual(int(grace.removesuffix("s")), drain + 5)


class ComposeTest(unittest.TestCase):

    def setUp(self):
        self.compose = yaml.safe_load(
            (DEPLOY / "docker-compose.yml").read_text())
        self.services = self.compose["services"]

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


class NatsComposeTest(unittest.TestCase):
    """deploy/docker-compose.nats.yml; tests/e2e/test_replicas.py runs its
    configuration of the gateways and of NATS."""

    def setUp(self):
        self.compose = yaml.safe_load(
            (DEPLOY / "docker-compose.nats.yml").read_text())
        self.services = self.compose["services"]
        self.gateways = [self.services["gateway-1"],
                         self.services["gateway-2"]]

    def linked(self, service, name):
        return set(service["networks"]) & set(self.services[name]["networks"])

    def test_gateways_differ_in_their_name_and_port_alone(self):
        ports = set()
        for number, gateway in enumerate(self.gateways, 1):
            self.assertEqual(gateway.pop("hostname"), f"gateway-{number}")
            port, = gateway.pop("ports")
            self.assertTrue(port.endswith(":8080"))
            ports.add(port)
        self.assertEqual(len(ports), 2)
        self.assertEqual(*self.gateways)

    def test_gateways_find_nats_and_the_backend(self):
        conf = (DEPLOY / "nats/nats.conf").read_text()
        for gateway in self.gateways:
            self.assertEqual(gateway["environment"]["HEADGATE_NATS"],
                             "nats://nats:4222")
            self.assertEqual(gateway["environment"]["HEADGATE_UPSTREAM"],
                             "dns:///backend:50051")
            self.assertTrue(self.linked(gateway, "nats"))
            self.assertTrue(self.linked(gateway, "backend"))
        self.assertIn("\nport: 4222\n", conf)
        self.assertEqual(self.services["backend"]["command"],
                         ["backend", "--listen", "0.0.0.0:50051"])
        self.assertIn("\nhttp_port: 8222\n", conf)
        self.assertIn("http://127.0.0.1:8222/healthz",
                      self.services["nats"]["healthcheck"]["test"])

    # Anyone who can publish there can do everything with sessions.
    def test_only_gateways_reach_nats(self):
        self.assertNotIn("ports", self.services["nats"])
        network, = self.services["nats"]["networks"]
        self.assertEqual(self.compose["networks"][network], {"internal": True})
        self.assertEqual({name for name, service in self.services.items()
                          if network in service["networks"]},
                         {"nats", "gateway-1", "gateway-2"})

    # What gateways need, and no more.
    def test_permissions_are_those_of_the_documentation(self):
        page = (ROOT / "docs/hub.md").read_text()
        documented, = re.findall(
            r"permissions: \{\n\s+(publish: \[\"headgate.>.*?)\}", page, re.S)
        conf = (DEPLOY / "nats/nats.conf").read_text()
        ours, = re.findall(r"permissions: \{\n\s+(.*?)\}", conf, re.S)
        self.assertEqual(ours.split(), documented.split())

    def test_the_history_fits_into_what_nats_may_take(self):
        hub = yaml.safe_load((DEPLOY / "nats/headgate.yaml").read_text())["hub"]
        limit, = re.findall(r"max_memory_store: (\d+)MB",
                            (DEPLOY / "nats/nats.conf").read_text())
        size = re.fullmatch(r"(\d+)MiB", hub["nats"]["max_bytes"])
        self.assertLess(int(size[1]) * 2 ** 20, int(limit) * 10 ** 6)

    # The operator makes it; it is neither in git nor in the image.
    def test_the_password_is_a_file_that_is_ignored(self):
        secret, = self.compose["secrets"]
        file = self.compose["secrets"][secret]["file"]
        self.assertEqual(file, "./nats/password")
        for name in (".gitignore", ".dockerignore"):
            self.assertIn("deploy/nats/password", [
                line.lstrip("/") for line in
                (ROOT / name).read_text().splitlines()])
        for gateway in self.gateways:
            self.assertEqual(
                gateway["environment"]["HEADGATE_NATS_PASSWORD_FILE"],
                f"/run/secrets/{secret}")

    # As it is started there, but for the paths: also with a password that
    # would be a number.
    def test_nats_takes_its_configuration_and_the_password(self):
        shell, flags, script = self.services["nats"]["entrypoint"]
        for password in ("0b1d5c8e\n", "123456\n", "12e4567", "1k"):
            with self.subTest(password), tempfile.TemporaryDirectory() as name:
                file = pathlib.Path(name, "password")
                file.write_text(password)
                text = script.replace("$$", "$").replace(
                    "/run/secrets/nats-password", str(file)).replace(
                    "/etc/nats/", f"{DEPLOY}/nats/")
                self.assertIn(f"exec nats-server --config {DEPLOY}", text)
                result = subprocess.run(
                    [shell, flags, text.rstrip() + " -t"], timeout=TIMEOUT,
                    capture_output=True, text=True, env={
                        **os.environ,
                        "PATH": os.environ["PATH"] + ":/usr/sbin"})
                self.assertEqual(result.returncode, 0, result.stderr)

    def test_the_gateway_takes_its_configuration(self):
        gateway = self.gateways[0]
        self.assertEqual(
            gateway["volumes"],
            ["./nats/headgate.yaml:/etc/headgate/headgate.yaml:ro"])
        with tempfile.NamedTemporaryFile("w") as password:
            password.write("secret")
            password.flush()
            self.assertIn("/rooms/{room}", run(
                HEADGATE, "check", DEPLOY / "nats/headgate.yaml",
                env={**os.environ, **gateway["environment"],
                     "HOSTNAME": gateway["hostname"],
                     "HEADGATE_NATS_PASSWORD_FILE": password.name}))

    # What the documentation has to be pasted makes a file that nobody's
    # processes in the containers can read.
    def test_the_documented_password_can_be_used(self):
        command, = re.findall(r"(?m)^    (\(umask .*nats/password\))$",
                              (ROOT / "docs/deploying.md").read_text())
        self.assertIn(f"#     {command}\n",
                      (DEPLOY / "docker-compose.nats.yml").read_text())
        with tempfile.TemporaryDirectory() as name:
            pathlib.Path(name, "deploy/nats").mkdir(parents=True)
            run("bash", "-c", f"umask 077; {command}", cwd=name)
            file = pathlib.Path(name, "deploy/nats/password")
            self.assertRegex(file.read_text(), r"^[0-9a-f]{48}\n$")
            self.assertEqual(file.stat().st_mode & 0o444, 0o444)


class CheckContainerTest(unittest.TestCase):

    # It reads the steps from there; a form that it does not know would be left
    # out.
    def test_it_does_the_steps_of_the_dockerfile(self):
        steps = run(DEPLOY / "check-container", "--print").splitlines()
        build, runtime = instructions()
        self.assertEqual(steps, [*of(build, "RUN"), *of(runtime, "RUN")])


if __name__ == "__main__":
    unittest.main()
