"""deploy/prometheus and deploy/grafana: the alerts do what their tests say and
have a place in the runbook, and every metric and label that alerts, dashboard
and documents name is one that the gateway has."""

import json
import os
import pathlib
import re
import select
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import yaml

import kustomize
import schemas

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
DASHBOARD = ROOT / "deploy/grafana/headgate.json"
RULE = ROOT / "deploy/kubernetes/components/monitoring/prometheusrule.yaml"
HEADGATE = os.environ.get("HEADGATE", str(ROOT / "build/dev/bin/headgate"))
TIMEOUT = 60.0

# Prometheus gives them to every series, and histograms one of their own.
OF_ALL = {"job", "instance"}
METRIC = re.compile(r"\b((?:headgate|process)_\w+)(?:\{([^}]*)\})?")


def promtool(*words):
    return subprocess.run(["promtool", *map(str, words)], timeout=TIMEOUT,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)


def alerts():
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries():
    """(where, expression, [labels in its legend]) of the dashboard."""
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield (panel["title"], target["expr"],
                   re.findall(r"{{(\w+)}}", target["legendFormat"]))
    for annotation in dashboard["annotations"]["list"]:
        yield (annotation["name"], annotation["expr"],
               re.findall(r"{{(\w+)}}", annotation["titleFormat"]))
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            query = variable["query"]["query"]
            found = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
            yield variable["name"], found[1], [found[2]]


def plain(expression):
    """The expression, with values in the place of Grafana's variables."""
    return re.sub(r"\$\w+", "5m", expression)


class Demo:
    """`headgate demo` with ports of its own, and what it tells of itself."""

    def __init__(self, *flags):
        self._process = subprocess.Popen(
            [HEADGATE, "demo", "--listen", "127.0.0.1:0", "--admin",
             "127.0.0.1:0", "--max-message-bytes", "1KiB", *flags],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        self._output = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(TIMEOUT)
        self._process.stdout.close()

    def told(self, pattern):
        """What its stdout has for the pattern's group."""
        end = time.monotonic() + TIMEOUT
        while not (found := re.search(pattern, self._output)):
            left = end - time.monotonic()
            ready, _, _ = select.select([self._process.stdout], [], [],
                                        max(left, 0))
            more = ready and os.read(self._process.stdout.fileno(), 4096)
            assert more, f"no {pattern!r}: {self._output}"
            self._output += more.decode()
        return found[1]

    def listener(self):
        return self.told(r"headgate: listening on wss?://(127\S+:\d+)\s")

    def metrics(self):
        admin = self.told(r"headgate: admin on (http://\S+)\s")
        with urllib.request.urlopen(f"{admin}/metrics",
                                    timeout=TIMEOUT) as response:
            return response.read().decode()

    def dial(self, path, line):
        subprocess.run(
            [HEADGATE, "dial", "--codec", "json", "--end",
             f"ws://{self.listener()}{path}"], input=line.encode(),
            timeout=TIMEOUT, capture_output=True)

    def get(self, path):
        try:
            urllib.request.urlopen(f"http://{self.listener()}{path}",
                                   timeout=TIMEOUT).close()
        except urllib.error.HTTPError as error:
            error.close()


class Families:
    """The metrics in what /metrics has printed."""

    def __init__(self):
        self.types = {}
        self.labels = {}

    def add(self, text):
        for name, type in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M):
            self.types[name] = type
        for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.M):
            family = self.family(name)
            assert family, f"{name} has no type"
            self.labels.setdefault(family, set()).update(
                re.findall(r'(\w+)="', labels))
        return self

    def family(self, name):
        """The family that a series is of, or none."""
        if name in self.types:
            return name
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        return base if self.types.get(base) == "histogram" else None


def scrape():
    """The families of a gateway where each has happened, as far as a client can
    make it happen."""
    families = Families()
    with Demo() as demo:
        hello = "/headgate.demo.v1.HelloService/SayHello"
        demo.dial(hello, '{"greeting":"ann"}\n')
        demo.dial(hello, f'{{"greeting":"{"x" * 2000}"}}\n')
        demo.get("/nothing/here")
        # Sessions are counted when they have ended, which dial does not see.
        end = time.monotonic() + TIMEOUT
        while True:
            text = demo.metrics()
            closed = re.findall(
                r"^headgate_sessions_closed_total{.*} (\d+)$", text, re.M)
            if sum(map(int, closed)) == 2:
                break
            assert time.monotonic() < end, text
            time.sleep(0.05)
        families.add(text)
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
             "-days", "2", "-subj", "/CN=localhost", "-out", "tls.crt",
             "-keyout", "tls.key"], cwd=directory, check=True, timeout=TIMEOUT,
            capture_output=True)
        with Demo("--tls-cert", f"{directory}/tls.crt",
                  "--tls-key", f"{directory}/tls.key") as demo:
            demo.listener()
            families.add(demo.metrics())
        hub = pathlib.Path(directory, "hub.yaml")
        hub.write_text('hub: {api: {address: "127.0.0.1:0"}, engine: nats,\n'
                       '      nats: {servers: ["nats://127.0.0.1:1"]}}\n')
        with Demo("--config", str(hub)) as demo:
            demo.listener()
            families.add(demo.metrics())
    return families


class AlertsTest(unittest.TestCase):

    def test_prometheus_takes_its_files(self):
        result = promtool("check", "config", PROMETHEUS / "prometheus.yml")
        self.assertEqual(result.returncode, 0, result.stdout)
        kustomize.validate(
            yaml.safe_load((PROMETHEUS / "alerts.yml").read_text()),
            schemas.struct("groups", groups=schemas.RULE_GROUPS), "alerts.yml")

    def test_alerts_come_when_they_should(self):
        result = promtool("test", "rules", PROMETHEUS / "alerts_test.yml")
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_each_alert_is_seen_to_come(self):
        tests = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())
        seen = {case["alertname"] for test in tests["tests"]
                for case in test["alert_rule_test"] if case["exp_alerts"]}
        self.assertEqual({rule["alert"] for rule in alerts()}, seen)

    # By its name as a heading, and no heading is for an alert that is gone.
    def test_each_alert_is_in_the_runbook(self):
        runbook = (ROOT / "docs/runbook.md").read_text()
        headings = re.findall(r"^## (Headgate\w+)$", runbook, re.M)
        self.assertEqual(headings, [rule["alert"] for rule in alerts()])
        for rule in alerts():
            file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
            self.assertEqual(file, "docs/runbook.md")
            # As GitHub and GitLab make anchors of headings.
            self.assertEqual([heading for heading in headings
                              if heading.lower() == anchor], [rule["alert"]])

    # To make it so: the part below "groups:", two columns to the right.
    def test_kubernetes_has_the_same_alerts(self):
        text = (PROMETHEUS / "alerts.yml").read_text()
        default, = re.findall(
            r"`max_sessions` \| a number \| (\d{3,}) \|",
            (ROOT / "docs/configuration.md").read_text())
        config = yaml.safe_load(
            (ROOT / "deploy/kubernetes/base/headgate.yaml").read_text())
        limit, its = (f"(headgate_sessions) > {int(most) * 8 // 10}" for most
                      in (default, config["limits"]["max_sessions"]))
        self.assertEqual(text.count(limit), 1)
        self.assertEqual(
            yaml.safe_load(RULE.read_text())["spec"],
            yaml.safe_load(text.replace(limit, its)))


class DashboardTest(unittest.TestCase):

    def setUp(self):
        self.dashboard = json.loads(DASHBOARD.read_text())
        self.panels = self.dashboard["panels"]

    def test_panels_have_their_own_place_and_number(self):
        ids = [panel["id"] for panel in self.panels]
        self.assertEqual(len(ids), len(set(ids)))
        taken = set()
        for panel in self.panels:
            at = panel["gridPos"]
            self.assertLessEqual(at["x"] + at["w"], 24)
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                     for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(taken & cells, panel["title"])
            taken |= cells

    def test_everything_asks_the_data_source_that_was_chosen(self):
        source = {"type": "prometheus", "uid": "${datasource}"}
        asking = [panel for panel in self.panels if panel["type"] != "row"]
        asking += self.dashboard["annotations"]["list"]
        asking += [variable for variable in
                   self.dashboard["templating"]["list"]
                   if variable["type"] == "query"]
        self.assertEqual([one["datasource"] for one in asking],
                         [source] * len(asking))

    def test_variables_that_are_used_exist(self):
        known = {variable["name"] for variable in
                 self.dashboard["templating"]["list"]} | {"__rate_interval"}
        for title, expression, _ in queries():
            self.assertLessEqual(set(re.findall(r"\$(\w+)", expression)), known,
                                 title)

    def test_expressions_are_such(self):
        rules = [{"record": f"query:number_{number}", "expr": plain(expression)}
                 for number, (_, expression, _) in enumerate(queries())]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]},
                           file)
            file.flush()
            result = promtool("check", "rules", file.name)
        self.assertEqual(result.returncode, 0, result.stdout)


class MetricsTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.families = scrape()

    def check_expression(self, where, expression, shown):
        """That the metrics and labels of an expression are the gateway's, and
        that it has those that are shown."""
        # What stands in quotes is no metric.
        bare = re.sub(r'"[^"]*"', '""', expression)
        there = set(OF_ALL)
        for name, selector in METRIC.findall(bare):
            family = self.families.family(name)
            self.assertIsNotNone(family, f"{where}: there is no {name}")
            labels = self.families.labels.get(family)
            self.assertIsNotNone(
                labels, f"{where}: {name} was not seen, nor were its labels")
            for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector):
                self.assertIn(label, labels | OF_ALL, f"{where}: {name}")
            there |= labels
            if self.families.types[family] == "counter":
                self.assertTrue(name.endswith("_total"), name)
        by = [set(re.findall(r"\w+", labels)) for labels in
              re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", bare)]
        for labels in by:
            self.assertLessEqual(labels, there | {"le"}, where)
        if re.match(r"(histogram_quantile|topk|sum|min|max|count)\b", bare):
            # Only those are left that it was summed by; the first one decides.
            there = by[0] if by and re.search(r"\bby\b", bare) else set()
        self.assertLessEqual(set(shown), there, where)

    def test_alerts_ask_for_what_there_is(self):
        for rule in alerts():
            if rule["alert"] == "HeadgateDown":
                continue  # Of `up`, which is Prometheus's own.
            self.assertTrue(METRIC.search(rule["expr"]), rule["alert"])
            self.check_expression(
                rule["alert"], rule["expr"],
                re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))

    def test_the_dashboard_asks_for_what_there_is(self):
        for where, expression, shown in queries():
            self.check_expression(where, expression, shown)

    # What is measured is to be seen.
    def test_the_dashboard_or_an_alert_has_every_metric(self):
        text = DASHBOARD.read_text() + (PROMETHEUS / "alerts.yml").read_text()
        used = {self.families.family(name)
                for name, _ in METRIC.findall(text)}
        self.assertEqual(
            {name for name in self.families.types if name not in used},
            {"process_virtual_memory_bytes"})

    def test_documents_name_what_there_is(self):
        for document in (ROOT / "docs").glob("*.md"):
            for name in re.findall(r"`((?:headgate|process)_[a-z_]+)\b(?!\.)",
                                   document.read_text()):
                self.assertIsNotNone(self.families.family(name),
                                     f"{document.name}: there is no {name}")

    # | `name` | type | `label`, `label` | ...
    def test_operations_has_a_row_for_each_metric(self):
        rows = {}
        for line in (ROOT / "docs/operations.md").read_text().splitlines():
            if not line.startswith("| `"):
                continue
            cells = line.split("|")[1:-1]
            names = re.findall(r"`((?:headgate|process)_\w+)`", cells[0])
            for name in names:
                rows[name] = cells[1:]
        self.assertEqual(set(rows), set(self.families.types))
        for name, (type, labels, *_) in rows.items():
            with self.subTest(name):
                self.assertEqual(type.strip(), self.families.types[name])
                seen = self.families.labels.get(name, set()) - {"le"}
                self.assertEqual(set(re.findall(r"`(\w+)`", labels)), seen)


if __name__ == "__main__":
    unittest.main()
