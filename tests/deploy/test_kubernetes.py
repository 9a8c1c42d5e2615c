"""deploy/kubernetes: what kustomize makes of it is what Kubernetes takes, its
parts fit each other, and the gateway takes its configuration."""

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
# What a person applies.
TOP = ["base", "overlays/production", "sidecar"]
TIMEOUT = 60.0


def of_kind(objects, kind):
    return [found for found in objects if found["kind"] == kind]


def seconds(text):
    """A duration as the configuration has it."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    parts = re.findall(r"([\d.]+)(ms|s|m|h)", text)
    assert "".join(map("".join, parts)) == text, text
    return sum(float(number) * units[unit] for number, unit in parts)


def drain_of(config):
    timeouts = config["timeouts"]
    return seconds(timeouts["drain_delay"]) + seconds(timeouts["drain"])


def kubectl(directory):
    """What kubectl makes of it, without the hashes in ConfigMaps' names."""
    output = subprocess.run(["kubectl", "kustomize", str(directory)],
                            check=True, timeout=TIMEOUT, capture_output=True)
    objects = list(yaml.safe_load_all(output.stdout))
    for found in of_kind(objects, "ConfigMap"):
        found["metadata"]["name"] = found["metadata"]["name"].rpartition("-")[0]
    for found in of_kind(objects, "Deployment"):
        for volume in found["spec"]["template"]["spec"]["volumes"]:
            if "configMap" in volume:
                volume["configMap"]["name"] = (
                    volume["configMap"]["name"].rpartition("-")[0])
    return objects


def in_order(objects):
    return sorted(objects, key=lambda o: (o["kind"], o["metadata"]["name"]))


class KubernetesTest(unittest.TestCase):

    def each(self):
        return [kustomize.build(KUBERNETES / name) for name in TOP]

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
        for name in TOP:
            with self.subTest(name):
                self.assertEqual(
                    in_order(kubectl(KUBERNETES / name)),
                    in_order(kustomize.build(KUBERNETES / name)))

    def test_no_two_objects_have_the_same_name(self):
        for objects in self.each():
            names = [(found["kind"], found["metadata"]["name"])
                     for found in objects]
            self.assertEqual(len(names), len(set(names)))

    # Of whatever kind: a selector that fits nothing is silent.
    def test_selectors_fit_the_pods(self):
        for objects, _, labels in self.workloads():
            for found in objects:
                spec = found.get("spec", {})
                selectors = [spec[key] for key in ("selector", "podSelector")
                             if key in spec]
                if found["kind"] == "Deployment":
                    selectors += [
                        constraint["labelSelector"] for constraint in
                        spec["template"]["spec"].get(
                            "topologySpreadConstraints", [])]
                for selector in selectors:
                    wanted = selector.get("matchLabels", selector)
                    self.assertLessEqual(wanted.items(), labels.items(),
                                         found["kind"])

    def test_ports_that_are_named_exist(self):
        for objects, pod, _ in self.workloads():
            ports = {port["name"]: port["containerPort"]
                     for container in pod["containers"]
                     for port in container.get("ports", [])}
            self.assertEqual(len(ports), len(set(ports.values())))
            named = [port["targetPort"] for service in
                     of_kind(objects, "Service")
                     for port in service["spec"]["ports"]]
            named += [port["port"] for policy in
                      of_kind(objects, "NetworkPolicy")
                      for rule in policy["spec"]["ingress"]
                      for port in rule["ports"]]
            named += [endpoint["port"] for monitor in
                      of_kind(objects, "PodMonitor")
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
            policy, = of_kind(objects, "NetworkPolicy")
            self.assertIn("Ingress", policy["spec"]["policyTypes"])
            rules = [rule for rule in policy["spec"]["ingress"]
                     if "admin" in [port["port"] for port in rule["ports"]]]
            self.assertEqual(
                [rule.get("from") for rule in rules],
                [[{"namespaceSelector": {"matchLabels": {
                    "kubernetes.io/metadata.name": "monitoring"}}}]])

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
        self.assertEqual(seen, 1)

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
                self.assertIn(spec["scaleTargetRef"]["name"], [
                    found["metadata"]["name"] for found in
                    of_kind(objects, "Deployment")])
                self.assertLess(spec["minReplicas"], spec["maxReplicas"])
                # Applying it again would undo what the scaler has done.
                for deployment in of_kind(objects, "Deployment"):
                    self.assertNotIn("replicas", deployment["spec"])

    def test_files_of_tls_are_where_the_secret_is(self):
        seen = 0
        for _, pod, container, config in self.gateways():
            for tls in [listener["tls"] for listener in config["listeners"]
                        if "tls" in listener]:
                seen += 1
                for file in (tls["certificate"], tls["key"]):
                    path = pathlib.PurePosixPath(file)
                    mount, = [mount for mount in container["volumeMounts"]
                              if mount["mountPath"] == str(path.parent)]
                    volume, = [volume for volume in pod["volumes"]
                               if volume["name"] == mount["name"]]
                    self.assertIn("secret", volume)
                    # As type kubernetes.io/tls has them.
                    self.assertIn(path.name, ("tls.crt", "tls.key"))
        self.assertEqual(seen, 1)

    # Apart from TLS, the gateway with TLS is the one without.
    def test_the_configuration_with_tls_differs_only_by_it(self):
        plain = yaml.safe_load((KUBERNETES / "base/headgate.yaml").read_text())
        tls = yaml.safe_load(
            (KUBERNETES / "components/tls/headgate.yaml").read_text())
        del plain["listeners"], tls["listeners"]
        self.assertEqual(plain, tls)

    def test_the_gateway_takes_the_configuration(self):
        for objects in self.each():
            for found in of_kind(objects, "ConfigMap"):
                with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                    file.write(found["data"]["headgate.yaml"])
                    file.flush()
                    result = subprocess.run(
                        [HEADGATE, "check", file.name], timeout=TIMEOUT,
                        capture_output=True, text=True)
                # The Secret's files are not here.
                faults = [line for line in result.stderr.splitlines()
                          if "/etc/headgate-tls/" not in line]
                self.assertEqual(faults, [])
                if "/etc/headgate-tls/" not in found["data"]["headgate.yaml"]:
                    self.assertEqual(result.returncode, 0)


if __name__ == "__main__":
    unittest.main()
