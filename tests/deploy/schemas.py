"""JSON schemas of the manifests in deploy/kubernetes: the parts of the
Kubernetes API that they use, and nothing else, so that a key that is misspelt or
misplaced is a fault. What is used anew is added here, from the API's reference."""

# What every object of Kubernetes is called, and the parts of its name.
NAME = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "maxLength": 63}
PORT_NAME = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
             "maxLength": 15}
TEXT = {"type": "string", "minLength": 1}
BOOL = {"type": "boolean"}
COUNT = {"type": "integer", "minimum": 0}
POSITIVE = {"type": "integer", "minimum": 1}
PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
PORT_OR_NAME = {"anyOf": [PORT, PORT_NAME]}
COUNT_OR_PERCENT = {"anyOf": [COUNT, {"type": "string",
                                      "pattern": r"^\d{1,3}%$"}]}
QUANTITY = {"type": "string", "pattern": r"^\d+(\.\d+)?(m|k|M|G|Ki|Mi|Gi)?$"}
PATH = {"type": "string", "pattern": "^/"}
DURATION = {"type": "string", "pattern": r"^\d+(ms|s|m|h|d)$"}
LABELS = {
    "type": "object", "minProperties": 1,
    "propertyNames": {
        "pattern": r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?"
                   r"[A-Za-z0-9]([-\w.]*[A-Za-z0-9])?$"},
    "additionalProperties": {"type": "string", "maxLength": 63,
                             "pattern": r"^([A-Za-z0-9]([-\w.]*[A-Za-z0-9])?)?$"}}


def one_of(*values):
    return {"enum": list(values)}


def several(items, least=1):
    return {"type": "array", "items": items, "minItems": least}


def struct(*required, **properties):
    """An object with these properties only; `required` of them must be there."""
    assert set(required) <= set(properties), required
    return {"type": "object", "additionalProperties": False,
            "required": list(required), "properties": properties}


def exactly_one(**properties):
    return {**struct(**properties), "minProperties": 1, "maxProperties": 1}


def manifest(version, kind, *required, **properties):
    return struct("apiVersion", "kind", "metadata", *required,
                  apiVersion=one_of(version), kind=one_of(kind),
                  metadata=struct("name", "labels", name=NAME, labels=LABELS,
                                  namespace=NAME),
                  **properties)


SELECTOR = struct("matchLabels", matchLabels=LABELS)

HTTP_PROBE = struct(
    "httpGet", httpGet=struct("path", "port", path=PATH, port=PORT_OR_NAME),
    periodSeconds=POSITIVE, timeoutSeconds=POSITIVE, failureThreshold=POSITIVE)

RESOURCES = struct(
    "requests", "limits",
    requests=struct("cpu", "memory", cpu=QUANTITY, memory=QUANTITY),
    limits=struct("memory", cpu=QUANTITY, memory=QUANTITY))

# As the "restricted" Pod Security Standard has it, and a root that is read-only.
CONTAINER_SECURITY = struct(
    "allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities",
    allowPrivilegeEscalation=one_of(False), readOnlyRootFilesystem=one_of(True),
    capabilities=struct("drop", drop={"const": ["ALL"]}))
POD_SECURITY = struct(
    "runAsNonRoot", "runAsUser", "seccompProfile",
    runAsNonRoot=one_of(True), runAsUser=POSITIVE, runAsGroup=POSITIVE,
    fsGroup=POSITIVE,
    seccompProfile=struct("type", type=one_of("RuntimeDefault")))

CONTAINER = struct(
    "name", "image", "imagePullPolicy", "args", "resources", "securityContext",
    name=NAME, image=TEXT,
    imagePullPolicy=one_of("IfNotPresent", "Always", "Never"),
    args=several(TEXT),
    env=several({**struct(
        "name", name=TEXT, value=TEXT,
        valueFrom=struct("secretKeyRef", secretKeyRef=struct(
            "name", "key", name=NAME, key=TEXT))),
                 "minProperties": 2, "maxProperties": 2}),
    ports=several(struct("name", "containerPort", name=PORT_NAME,
                         containerPort=PORT)),
    startupProbe=HTTP_PROBE, livenessProbe=HTTP_PROBE,
    readinessProbe=HTTP_PROBE,
    lifecycle=struct("preStop", preStop=exactly_one(
        exec=struct("command", command=several(TEXT)),
        sleep=struct("seconds", seconds=POSITIVE))),
    resources=RESOURCES, securityContext=CONTAINER_SECURITY,
    volumeMounts=several(struct("name", "mountPath", name=NAME, mountPath=PATH,
                                readOnly=BOOL)))

VOLUME = {
    **struct(
        "name", name=NAME,
        configMap=struct("name", name=NAME),
        secret=struct("secretName", secretName=NAME,
                      defaultMode={"type": "integer", "maximum": 0o777}),
        emptyDir=struct(medium=one_of("Memory"), sizeLimit=QUANTITY)),
    "minProperties": 2, "maxProperties": 2}

POD = struct(
    "containers", "securityContext", "terminationGracePeriodSeconds",
    "automountServiceAccountToken",
    serviceAccountName=NAME, automountServiceAccountToken=one_of(False),
    enableServiceLinks=one_of(False), securityContext=POD_SECURITY,
    terminationGracePeriodSeconds=POSITIVE,
    topologySpreadConstraints=several(struct(
        "topologyKey", "maxSkew", "whenUnsatisfiable", "labelSelector",
        topologyKey=one_of("topology.kubernetes.io/zone",
                           "kubernetes.io/hostname"),
        maxSkew=POSITIVE,
        whenUnsatisfiable=one_of("ScheduleAnyway", "DoNotSchedule"),
        labelSelector=SELECTOR)),
    containers=several(CONTAINER), volumes=several(VOLUME))

DEPLOYMENT = manifest(
    "apps/v1", "Deployment", "spec",
    spec=struct(
        "selector", "template",
        replicas=POSITIVE, revisionHistoryLimit=COUNT, minReadySeconds=COUNT,
        strategy={"oneOf": [
            struct("type", "rollingUpdate", type=one_of("RollingUpdate"),
                   rollingUpdate=struct(maxUnavailable=COUNT_OR_PERCENT,
                                        maxSurge=COUNT_OR_PERCENT)),
            struct("type", type=one_of("Recreate"))]},
        selector=SELECTOR,
        template=struct("metadata", "spec",
                        metadata=struct("labels", labels=LABELS), spec=POD)))

SERVICE = manifest(
    "v1", "Service", "spec",
    spec=struct(
        "type", "selector", "ports",
        type=one_of("ClusterIP", "LoadBalancer"), selector=LABELS,
        externalTrafficPolicy=one_of("Cluster", "Local"),
        ports=several(struct("name", "port", "targetPort", name=PORT_NAME,
                             port=PORT, targetPort=PORT_OR_NAME,
                             appProtocol=one_of("http", "https")))))

SCALING = struct(
    "policies", stabilizationWindowSeconds={**COUNT, "maximum": 3600},
    policies=several(struct(
        "type", "value", "periodSeconds", type=one_of("Percent", "Pods"),
        value=POSITIVE, periodSeconds={**POSITIVE, "maximum": 1800})))

AUTOSCALER = manifest(
    "autoscaling/v2", "HorizontalPodAutoscaler", "spec",
    spec=struct(
        "scaleTargetRef", "minReplicas", "maxReplicas", "metrics",
        scaleTargetRef=struct("apiVersion", "kind", "name",
                              apiVersion=one_of("apps/v1"),
                              kind=one_of("Deployment"), name=NAME),
        minReplicas=POSITIVE, maxReplicas=POSITIVE,
        metrics=several(struct(
            "type", "resource", type=one_of("Resource"),
            resource=struct(
                "name", "target", name=one_of("cpu", "memory"),
                target=struct("type", "averageUtilization",
                              type=one_of("Utilization"),
                              averageUtilization=POSITIVE)))),
        behavior=struct(scaleUp=SCALING, scaleDown=SCALING)))

DISRUPTION_BUDGET = manifest(
    "policy/v1", "PodDisruptionBudget", "spec",
    spec=struct("selector", "maxUnavailable", selector=SELECTOR,
                maxUnavailable=COUNT_OR_PERCENT,
                unhealthyPodEvictionPolicy=one_of("AlwaysAllow",
                                                  "IfHealthyBudget")))

NETWORK_PORTS = several(struct("protocol", "port", protocol=one_of("TCP", "UDP"),
                               port=PORT_OR_NAME))
NETWORK_PEERS = several({**struct(
    podSelector=SELECTOR, namespaceSelector=SELECTOR,
    ipBlock=struct("cidr", cidr={"type": "string",
                                 "pattern": r"^[0-9a-f.:]+/\d+$"})),
                         "minProperties": 1})

NETWORK_POLICY = manifest(
    "networking.k8s.io/v1", "NetworkPolicy", "spec",
    spec=struct(
        "podSelector", "policyTypes", podSelector=SELECTOR,
        policyTypes=several(one_of("Ingress", "Egress")),
        ingress=several(struct("ports", **{"from": NETWORK_PEERS},
                               ports=NETWORK_PORTS)),
        egress=several(struct("ports", to=NETWORK_PEERS, ports=NETWORK_PORTS))))

POD_MONITOR = manifest(
    "monitoring.coreos.com/v1", "PodMonitor", "spec",
    spec=struct("selector", "podMetricsEndpoints", selector=SELECTOR,
                podMetricsEndpoints=several(struct(
                    "port", "path", port=PORT_NAME, path=PATH,
                    interval=DURATION))))

RULE_GROUPS = several(struct(
    "name", "rules", name=TEXT,
    rules=several(struct(
        "alert", "expr", "labels", "annotations",
        alert={"type": "string", "pattern": r"^Headgate([A-Z][a-z]+)+$"},
        expr=TEXT, **{"for": DURATION},
        labels=struct("severity", severity=one_of("warning", "critical")),
        annotations=struct("summary", "runbook_url", summary=TEXT,
                           runbook_url=TEXT)))))

PROMETHEUS_RULE = manifest(
    "monitoring.coreos.com/v1", "PrometheusRule", "spec",
    spec=struct("groups", groups=RULE_GROUPS))

SCHEMAS = {
    "ConfigMap": manifest(
        "v1", "ConfigMap", "data",
        data=exactly_one(**{"headgate.yaml": TEXT, "nats.conf": TEXT})),
    "Deployment": DEPLOYMENT,
    "HorizontalPodAutoscaler": AUTOSCALER,
    "NetworkPolicy": NETWORK_POLICY,
    "PodDisruptionBudget": DISRUPTION_BUDGET,
    "PodMonitor": POD_MONITOR,
    "PrometheusRule": PROMETHEUS_RULE,
    "Service": SERVICE,
    "ServiceAccount": manifest("v1", "ServiceAccount",
                               "automountServiceAccountToken",
                               automountServiceAccountToken=one_of(False)),
}

GENERATOR = struct(
    "name", "files", name=NAME, files=several(TEXT),
    behavior=one_of("create", "replace", "merge"),
    options=struct("labels", labels=LABELS))
# Strategic merge patches; the target is not chosen by its name, which an overlay
# may change.
PATCH = struct("target", "patch",
               target=struct("kind", "labelSelector", kind=TEXT,
                             labelSelector=TEXT), patch=TEXT)

KUSTOMIZATION = struct(
    "apiVersion", "kind", "resources",
    apiVersion=one_of("kustomize.config.k8s.io/v1beta1"),
    kind=one_of("Kustomization"), namespace=NAME, resources=several(TEXT),
    components=several(TEXT), configMapGenerator=several(GENERATOR),
    images=several(struct("name", name=TEXT, newName=TEXT, newTag=TEXT)))
# No configMapGenerator: a component must not have a say in what is served.
COMPONENT = struct(
    "apiVersion", "kind",
    apiVersion=one_of("kustomize.config.k8s.io/v1alpha1"),
    kind=one_of("Component"), resources=several(TEXT), patches=several(PATCH))
