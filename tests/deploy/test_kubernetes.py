"""deploy/kubernetes: what kustomize makes of it is what Kubernetes takes, its
parts fit each other, and the gateway takes its configuration."""

import itertools
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml

import kustomize
import schemas

ROOT = pathlib.Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
HEADGATE = os.environ.get("HEADGATE", str(ROOT / "build/dev/bin/headgate"))
# What can be applied as it is.
TOP = ["base", "overlays/nats", "overlays/production", "sidecar"]
# What overlays are made of.
GATEWAYS = {"base": "headgate", "sidecar": "app-headgate"}  # Their ConfigMaps.
COMPONENTS = sorted(f"components/{path.name}" for path in
                    (KUBERNETES / "components").iterdir())
NATS = "headgate-nats"  # What all objects of components/nats are called.
TIMEOUT = 60.0

# A configuration that nobody would take for one of ours.
OWN_CONFIG = """\
listeners:
  - {address: "*:8080", allowed_origins: ["https://own.example"]}
upstreams: [{name: own, target: "dns:///own:1234"}]
routes: [{path: /own, method: own.Service/Method}]
admin: {address: "0.0.0.0:9901"}
timeouts: {drain_delay: 3s, drain: 4s}
"""


def of_kind(objects, kind):
    return [found for found in objects if found["kind"] == kind]


def served(objects):
    """The headgate.yaml of the ConfigMaps that have one."""
    return [found["data"]["headgate.yaml"]
            for found in of_kind(objects, "ConfigMap")
            if "headgate.yaml" in found["data"]]


def seconds(text):
    """A duration as the configuration has it."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    parts = re.findall(r"([\d.]+)(ms|s|m|h)", text)
    assert "".join(map("".join, parts)) == text, text
    return sum(float(number) * units[unit] for number, unit in parts)


def drain_of(config):
    timeouts = config["timeouts"]
    return seconds(timeouts["drain_delay"]) + seconds(timeouts["drain"])


def without_hash(name):
    return re.sub(r"-[a-z0-9]{10}$", "", name)


def kubectl(directory):
    """What kubectl makes of it, without the hashes in the names of ConfigMaps
    that it has generated."""
    output = subprocess.run(["kubectl", "kustomize", str(directory)],
                            check=True, timeout=TIMEOUT, capture_output=True)
    objects = list(yaml.safe_load_all(output.stdout))
    for found in of_kind(objects, "ConfigMap"):
        found["metadata"]["name"] = without_hash(found["metadata"]["name"])
    for found in of_kind(objects, "Deployment"):
        for volume in found["spec"]["template"]["spec"]["volumes"]:
            if "configMap" in volume:
                volume["configMap"]["name"] = without_hash(
                    volume["configMap"]["name"])
    return objects


def overlay(directory, gateway, components, own_config):
    """Writes an overlay as docs/deploying.md has it."""
    directory.mkdir()

    def relative(name):
        return os.path.relpath((KUBERNETES / name).resolve(),
                               directory.resolve())

    what = {"apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization", "namespace": "chat",
            "resources": [relative(gateway)]}
    if components:
        what["components"] = [relative(name) for name in components]
    if own_config:
        (directory / "headgate.yaml").write_text(OWN_CONFIG)
        what["configMapGenerator"] = [
            {"name": GATEWAYS[gateway], "behavior": "replace",
             "files": ["headgate.yaml"]}]
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(what))
    return directory


def overlays(directory):
    """[(directory, gateway, components, own_config)], each combination."""
    return [(overlay(directory / f"overlay-{number}", *choice), *choice)
            for number, choice in enumerate(
                (gateway, components, own_config)
                for gateway in GATEWAYS
                for count in range(len(COMPONENTS) + 1)
                for components in itertools.combinations(COMPONENTS, count)
                for own_config in (False, True))]


def fits(selector, labels):
    return selector.get("matchLabels", selector).items() <= labels.items()


def missing(before, after, where=""):
    """The places where `after` does not have what `before` has; elements of
    lists may have moved."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [place for key, value in before.items()
                for place in (missing(value, after[key], f"{where}/{key}")
                              if key in after else [f"{where}/{key}"])]
    if isinstance(before, list) and isinstance(after, list):
        return [f"{where}/-" for one in before
                if all(missing(one, other) for other in after)]
    return [] if before == after else [where]


def named(objects):
    return {(found["kind"], found["metadata"]["name"]): found
            for found in objects}


def in_order(objects):
    return sorted(objects, key=lambda o: (o["kind"], o["metadata"]["name"]))


class KubernetesTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.overlays = overlays(pathlib.Path(directory.name))
        cls.directories = [KUBERNETES / name for name in TOP] + [
            directory for directory, *_ in cls.overlays]
        cls.built = {directory: kustomize.build(directory)
                     for directory in cls.directories}

    def each(self):
        return list(self.built.values())

    def workloads(self):
        """(objects, pod, labels) of each Deployment."""
        for objects in self.each():
            for deployment in of_kind(objects, "Deployment"):
                template = deployment["spec"]["template"]
                yield objects, template["spec"], template["metadata"]["labels"]

    def config_of(self, objects, container, pod):
        """The headgate.yaml that the container is started with."""
        words = container["args"]
        self.assertEqual(words[0], "serve")
        path = pathlib.PurePosixPath(words[words.index("--config") + 1])
        mount, = [mount for mount in container["volumeMounts"]
                  if mount["mountPath"] == str(path.parent)]
        volume, = [volume for volume in pod["volumes"]
                   if volume["name"] == mount["name"]]
        name = volume["configMap"]["name"]
        config, = [found for found in of_kind(objects, "ConfigMap")
                   if found["metadata"]["name"] == name]
        return config["data"][path.name]

    def gateways(self):
        """(objects, pod, container, configuration) of each gateway."""
        for objects, pod, _ in self.workloads():
            for container in pod["containers"]:
                if container["args"][0] == "serve":
                    yield (objects, pod, container, yaml.safe_load(
                        self.config_of(objects, container, pod)))

    def test_every_file_belongs_to_what_is_applied(self):
        used = set()

        def follow(directory):
            file = directory / "kustomization.yaml"
            used.add(file)
            what = yaml.safe_load(file.read_text())
            for name in [*what.get("resources", []),
                         *what.get("components", []),
                         *[name for generator in
                           what.get("configMapGenerator", [])
                           for name in generator["files"]]]:
                path = (directory / name).resolve()
                follow(path) if path.is_dir() else used.add(path)

        for name in TOP:
            follow(KUBERNETES / name)
        self.assertEqual(
            {path for path in KUBERNETES.rglob("*") if path.is_file()}, used)

    def test_manifests_are_what_their_kinds_have(self):
        for objects in self.each():
            self.assertGreater(len(objects), 3)
            for found in objects:
                kustomize.validate(found, schemas.SCHEMAS[found["kind"]],
                                   found["kind"])

    @unittest.skipUnless(shutil.which("kubectl"), "there is no kubectl")
    def test_kubectl_makes_the_same_of_it(self):
        for directory in self.directories:
            with self.subTest((directory / "kustomization.yaml").read_text()):
                self.assertEqual(in_order(kubectl(directory)),
                                 in_order(self.built[directory]))

    # An overlay's headgate.yaml is what is served, whatever else it asks for.
    def test_components_leave_the_configuration_alone(self):
        self.assertEqual(len(COMPONENTS), 3)
        for directory, gateway, components, own_config in self.overlays:
            with self.subTest(gateway=gateway, components=components,
                              own_config=own_config):
                self.assertEqual(
                    served(self.built[directory]),
                    [OWN_CONFIG if own_config else
                     (KUBERNETES / gateway / "headgate.yaml").read_text()])

    # They work on both gateways, and what they are added to stays. But TLS takes
    # the place of HTTP at the Service.
    def test_components_only_add(self):
        plain = {(gateway, own_config): named(self.built[directory])
                 for directory, gateway, components, own_config in
                 self.overlays if not components}
        for directory, gateway, components, own_config in self.overlays:
            with self.subTest(gateway=gateway, components=components):
                before = plain[gateway, own_config]
                after = named(self.built[directory])
                tls = "components/tls" in components
                self.assertEqual(
                    {f"{kind}{place}" for (kind, name), found in before.items()
                     for place in missing(found, after[kind, name])},
                    {"Service/spec/type", "Service/spec/ports/-"} if tls
                    else set())
                added = {"components/monitoring": {"PodMonitor",
                                                   "PrometheusRule"},
                         "components/nats": {"ConfigMap", "Deployment",
                                             "NetworkPolicy", "Service"},
                         "components/tls": set()}
                self.assertEqual(
                    {kind for kind, _ in after.keys() - before.keys()},
                    set().union(*(added[name] for name in components)))

    # The one that deploying.md shows, and TLS and monitoring with it.
    def test_the_overlay_in_the_documentation_is_one(self):
        text = (ROOT / "docs/deploying.md").read_text()
        shown, = re.findall(r"```yaml\n# kustomization.yaml\n(.*?)```", text,
                            re.S)
        with tempfile.TemporaryDirectory() as name:
            directory = pathlib.Path(name)
            ours = os.path.relpath(KUBERNETES, directory.resolve())
            (directory / "kustomization.yaml").write_text(
                shown.replace("../headgate/deploy/kubernetes", ours))
            (directory / "headgate.yaml").write_text(OWN_CONFIG)
            objects = kustomize.build(directory)
            if shutil.which("kubectl"):
                self.assertEqual(in_order(kubectl(directory)),
                                 in_order(objects))
        self.assertEqual(served(objects), [OWN_CONFIG])
        deployment, = of_kind(objects, "Deployment")
        container, = deployment["spec"]["template"]["spec"]["containers"]
        self.assertEqual(container["image"], "registry.example.com/headgate:1.2")
        self.assertTrue(of_kind(objects, "PodMonitor"))
        self.assertIn("HEADGATE_TLS_CERT",
                      [variable["name"] for variable in container["env"]])

    def test_no_two_objects_have_the_same_name(self):
        for objects in self.each():
            names = [(found["kind"], found["metadata"]["name"])
                     for found in objects]
            self.assertEqual(len(names), len(set(names)))

    # Of whatever kind: a selector that fits nothing is silent.
    def test_selectors_fit_the_pods(self):
        for objects in self.each():
            everything = self.labels_of_pods(objects)
            for found in objects:
                spec = found.get("spec", {})
                pods, selectors = everything, [
                    spec[key] for key in ("selector", "podSelector")
                    if key in spec]
                if found["kind"] == "Deployment":
                    template = spec["template"]
                    pods = [template["metadata"]["labels"]]
                    selectors += [
                        constraint["labelSelector"] for constraint in
                        template["spec"].get("topologySpreadConstraints", [])]
                for selector in selectors:
                    self.assertTrue(
                        [labels for labels in pods
                         if fits(selector, labels)],
                        found["kind"])

    def labels_of_pods(self, objects):
        return [found["spec"]["template"]["metadata"]["labels"]
                for found in of_kind(objects, "Deployment")]

    def test_ports_that_are_named_exist(self):
        for objects, pod, labels in self.workloads():
            ports = {port["name"]: port["containerPort"]
                     for container in pod["containers"]
                     for port in container.get("ports", [])}
            self.assertEqual(len(ports), len(set(ports.values())))
            named = [port["targetPort"] for service in
                     of_kind(objects, "Service")
                     if fits(service["spec"]["selector"], labels)
                     for port in service["spec"]["ports"]]
            named += [port["port"] for policy in
                      of_kind(objects, "NetworkPolicy")
                      if fits(policy["spec"]["podSelector"], labels)
                      for rule in policy["spec"]["ingress"]
                      for port in rule["ports"]]
            named += [endpoint["port"] for monitor in
                      of_kind(objects, "PodMonitor")
                      if fits(monitor["spec"]["selector"], labels)
                      for endpoint in monitor["spec"]["podMetricsEndpoints"]]
            named += [probe["httpGet"]["port"]
                      for container in pod["containers"]
                      for key, probe in container.items()
                      if key.endswith("Probe")]
            self.assertGreater(len(named), 3)
            self.assertLessEqual(set(named), set(ports))

    def test_ports_are_those_of_the_configuration(self):
        for _, _, container, config in self.gateways():
            listening = {int(address.rpartition(":")[2]) for address in
                         [listener["address"] for listener in
                          config["listeners"]] + [config["admin"]["address"]]}
            self.assertEqual(
                listening, {port["containerPort"] for port in
                            container["ports"]})
            admin, = [port["containerPort"] for port in container["ports"]
                      if port["name"] == "admin"]
            # Not on loopback, where the kubelet would not reach it.
            self.assertEqual(config["admin"]["address"], f"0.0.0.0:{admin}")

    def test_probes_ask_the_admin_port(self):
        for _, _, container, _ in self.gateways():
            self.assertEqual(
                {key: (probe["httpGet"]["path"], probe["httpGet"]["port"])
                 for key, probe in container.items() if key.endswith("Probe")},
                {"startupProbe": ("/healthz", "admin"),
                 "livenessProbe": ("/healthz", "admin"),
                 "readinessProbe": ("/readyz", "admin")})

    # It can close sessions.
    def test_the_admin_port_is_for_monitoring_only(self):
        for objects in self.each():
            for service in of_kind(objects, "Service"):
                for port in service["spec"]["ports"]:
                    self.assertNotIn(port["targetPort"], ("admin", 9901))
            policies = of_kind(objects, "NetworkPolicy")
            for policy in policies:
                self.assertIn("Ingress", policy["spec"]["policyTypes"])
            self.assertTrue(all(
                any(fits(policy["spec"]["podSelector"], labels)
                    for policy in policies)
                for labels in self.labels_of_pods(objects)))
            rules = [rule for policy in policies
                     for rule in policy["spec"]["ingress"]
                     if "admin" in [port["port"] for port in rule["ports"]]]
            self.assertEqual(
                [rule.get("from") for rule in rules],
                [[{"namespaceSelector": {"matchLabels": {
                    "kubernetes.io/metadata.name": "monitoring"}}}]])

    # Whoever can name any address passes max_sessions_per_address, and writes
    # into the log what he likes.
    def test_no_range_of_pods_is_trusted(self):
        for _, _, _, config in self.gateways():
            for listener in config["listeners"]:
                self.assertNotIn("trusted_proxies", listener)

    def test_names_can_be_looked_up(self):
        for objects in self.each():
            policy, = [policy for policy in of_kind(objects, "NetworkPolicy")
                       if policy["metadata"]["name"] != NATS]
            if "Egress" not in policy["spec"]["policyTypes"]:
                continue
            ports = [{"protocol": "UDP", "port": 53},
                     {"protocol": "TCP", "port": 53}]
            peers = [peer for rule in policy["spec"]["egress"]
                     if rule["ports"] == ports for peer in rule["to"]]
            self.assertIn({"namespaceSelector": {"matchLabels": {
                "kubernetes.io/metadata.name": "kube-system"}}}, peers)
            # NodeLocal DNSCache.
            self.assertIn({"ipBlock": {"cidr": "169.254.20.10/32"}}, peers)

    def test_the_grace_period_is_longer_than_the_drain(self):
        for _, pod, _, config in self.gateways():
            self.assertGreaterEqual(pod["terminationGracePeriodSeconds"],
                                    drain_of(config) + 5)

    def test_the_server_of_a_sidecar_outlives_its_drain(self):
        seen = 0
        for _, pod, gateway, config in self.gateways():
            for container in pod["containers"]:
                if container is gateway:
                    continue
                seen += 1
                command = container["lifecycle"]["preStop"]["exec"]["command"]
                self.assertEqual(command[0], "sleep")
                self.assertGreater(int(command[1]), drain_of(config))
                self.assertGreaterEqual(pod["terminationGracePeriodSeconds"],
                                        int(command[1]) + 5)
        self.assertEqual(seen, len([1 for objects in self.each() if "app" in [
            found["metadata"]["name"] for found in
            of_kind(objects, "Deployment")]]))

    def test_volumes_are_mounted_and_mounts_are_volumes(self):
        for objects, pod, _ in self.workloads():
            mounts = {mount["name"] for container in pod["containers"]
                      for mount in container.get("volumeMounts", [])}
            self.assertEqual(mounts,
                             {volume["name"] for volume in pod["volumes"]})
            for volume in pod["volumes"]:
                if "configMap" in volume:
                    self.assertIn(volume["configMap"]["name"], [
                        found["metadata"]["name"] for found in
                        of_kind(objects, "ConfigMap")])
            self.assertIn(pod.get("serviceAccountName"), [
                None, *[found["metadata"]["name"] for found in
                        of_kind(objects, "ServiceAccount")]])

    def test_the_autoscaler_scales_the_deployment(self):
        for objects in self.each():
            for scaler in of_kind(objects, "HorizontalPodAutoscaler"):
                spec = scaler["spec"]
                deployment, = [
                    found for found in of_kind(objects, "Deployment")
                    if found["metadata"]["name"] ==
                    spec["scaleTargetRef"]["name"]]
                self.assertLess(spec["minReplicas"], spec["maxReplicas"])
                # Applying it again would undo what the scaler has done.
                self.assertNotIn("replicas", deployment["spec"])

    def test_files_of_tls_are_where_the_secret_is(self):
        seen = 0
        for _, pod, container, _ in self.gateways():
            for variable in container.get("env", []):
                if not variable["name"].startswith("HEADGATE_TLS_"):
                    continue
                seen += 1
                path = pathlib.PurePosixPath(variable["value"])
                mount, = [mount for mount in container["volumeMounts"]
                          if mount["mountPath"] == str(path.parent)]
                volume, = [volume for volume in pod["volumes"]
                           if volume["name"] == mount["name"]]
                self.assertIn("secret", volume)
                # As type kubernetes.io/tls has them.
                self.assertEqual(path.name, {
                    "HEADGATE_TLS_CERT": "tls.crt",
                    "HEADGATE_TLS_KEY": "tls.key"}[variable["name"]])
        with_tls = [1 for _, _, components, _ in self.overlays
                    if "components/tls" in components]
        self.assertEqual(seen, 2 * (len(with_tls) + 1))  # And production.

    def test_the_gateway_takes_the_configuration(self):
        for text in {text for objects in self.each()
                     for text in served(objects)}:
            with tempfile.TemporaryDirectory() as name:
                file = pathlib.Path(name, "headgate.yaml")
                file.write_text(text)
                password = pathlib.Path(name, "password")
                password.write_text("secret")
                result = subprocess.run(
                    [HEADGATE, "check", file], timeout=TIMEOUT,
                    capture_output=True, text=True,
                    env={**os.environ, "HOSTNAME": "headgate-1",
                         "HEADGATE_NATS": "nats://headgate-nats:4222",
                         "HEADGATE_NATS_PASSWORD_FILE": str(password)})
            self.assertEqual((result.returncode, result.stderr), (0, ""))


class NatsTest(unittest.TestCase):
    """components/nats, on both gateways, and the overlay that has it."""

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.built = [kustomize.build(KUBERNETES / "overlays/nats")] + [
            kustomize.build(overlay(pathlib.Path(directory.name, gateway),
                                    gateway, ["components/nats"], False))
            for gateway in GATEWAYS]

    def each(self):
        """(objects, pod of the gateway, its container, container of NATS)"""
        for objects in self.built:
            pods = {found["metadata"]["name"]: found["spec"]["template"]["spec"]
                    for found in of_kind(objects, "Deployment")}
            nats, = pods.pop(NATS)["containers"]
            pod, = pods.values()
            gateway, = [container for container in pod["containers"]
                        if container["name"] == "headgate"]
            yield objects, pod, gateway, nats

    def test_gateways_find_nats(self):
        for objects, _, gateway, nats in self.each():
            url = {variable["name"]: variable.get("value")
                   for variable in gateway["env"]}["HEADGATE_NATS"]
            name, port = re.fullmatch(r"nats://([a-z-]+):(\d+)", url).groups()
            service = named(objects)["Service", name]
            self.assertEqual(
                [(port["port"], port["targetPort"])
                 for port in service["spec"]["ports"]], [(int(port), "nats")])
            self.assertIn({"name": "nats", "containerPort": int(port)},
                          nats["ports"])

    def test_both_have_the_password_of_the_secret(self):
        for _, pod, gateway, nats in self.each():
            file = pathlib.PurePosixPath({
                variable["name"]: variable.get("value") for variable in
                gateway["env"]}["HEADGATE_NATS_PASSWORD_FILE"])
            mount, = [mount for mount in gateway["volumeMounts"]
                      if mount["mountPath"] == str(file.parent)]
            volume, = [volume for volume in pod["volumes"]
                       if volume["name"] == mount["name"]]
            password, quoted = nats["env"]
            self.assertEqual(
                password["valueFrom"]["secretKeyRef"],
                {"name": volume["secret"]["secretName"], "key": file.name})
            self.assertEqual(quoted, {"name": "GATEWAY_PASSWORD",
                                      "value": f'"$({password["name"]})"'})

    # Anyone who can publish there can do everything with sessions.
    def test_only_gateways_reach_it_and_it_reaches_nobody(self):
        for objects, *_ in self.each():
            policy = named(objects)["NetworkPolicy", NATS]["spec"]
            self.assertEqual(policy["policyTypes"], ["Ingress", "Egress"])
            self.assertEqual(policy["ingress"], [{
                "from": [{"podSelector": {"matchLabels": {
                    "headgate/gateway": "true"}}}],
                "ports": [{"protocol": "TCP", "port": "nats"}]}])
            self.assertNotIn("egress", policy)

    def test_gateways_are_let_out_to_it(self):
        for objects, *_ in self.each():
            labels = named(objects)["Deployment", NATS]["spec"]["template"][
                "metadata"]["labels"]
            for policy in of_kind(objects, "NetworkPolicy"):
                spec = policy["spec"]
                if ("Egress" not in spec["policyTypes"] or
                        policy["metadata"]["name"] == NATS):
                    continue
                ports = [rule["ports"] for rule in spec["egress"]
                         for peer in rule["to"] if "podSelector" in peer and
                         fits(peer["podSelector"], labels)]
                self.assertEqual(ports, [[{"protocol": "TCP", "port": 4222}]])

    # Two that are not a cluster would each have a part of the gateways.
    def test_there_is_never_a_second_one(self):
        for objects, *_ in self.each():
            spec = named(objects)["Deployment", NATS]["spec"]
            self.assertEqual((spec["replicas"], spec["strategy"]),
                             (1, {"type": "Recreate"}))

    def test_it_is_the_nats_of_compose(self):
        compose = yaml.safe_load(
            (ROOT / "deploy/docker-compose.nats.yml").read_text())
        for objects, _, _, nats in self.each():
            self.assertEqual(f"{nats['image']}-alpine",
                             compose["services"]["nats"]["image"])
            self.assertEqual(
                named(objects)["ConfigMap", NATS]["data"],
                {"nats.conf": (ROOT / "deploy/nats/nats.conf").read_text()})

    def test_the_overlay_is_the_base_with_a_hub(self):
        config = yaml.safe_load(
            (KUBERNETES / "overlays/nats/headgate.yaml").read_text())
        ours = yaml.safe_load((ROOT / "deploy/nats/headgate.yaml").read_text())
        self.assertEqual(config.pop("hub"), ours["hub"])
        self.assertEqual(config["routes"], ours["routes"])
        base = yaml.safe_load((KUBERNETES / "base/headgate.yaml").read_text())
        self.assertEqual({**config, "routes": base["routes"]}, base)


if __name__ == "__main__":
    unittest.main()
