"""Injected manifests by the measures of others: the schemas of Kubernetes, the Pod Security Standards, a JSON Patch that
somebody else applies, a reader of YAML 1.1 that is not ours."""

import json
import os
import subprocess
from random import Random, randrange

import jsonpatch
import kubernetes_validate
import pytest
import yaml

from processes import BINARY, ROOT

FOLDER = ROOT / "tests/inject"
# The oldest that has native sidecars without a feature gate, and the newest that the schemas are there for.
VERSIONS = ["1.29.0", "1.37.0"]
TEMPLATES = {"Pod": [], "PodTemplate": ["template"], "CronJob": ["spec", "jobTemplate", "spec", "template"]}
NAMES = sorted(path.stem for path in (FOLDER / "pods").glob("*.yaml"))


class Yaml(yaml.SafeLoader):
    """YAML 1.1, with times as the texts that Kubernetes takes."""


Yaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def objects(text):
    """The objects of a text, those of lists one by one."""
    # JSON indented with tabs is no YAML.
    for document in [json.loads(text)] if text.startswith("{") else yaml.load_all(text, Yaml):
        yield from (document or {}).get("items", [document] if document else [])


def template(value):
    """The pod in an object, if there is one."""
    group = value["apiVersion"].rpartition("/")[0]
    if group not in ("", "apps", "batch") or value["kind"] in ("Service", "ConfigMap", "Namespace"):
        return None
    for key in TEMPLATES.get(value["kind"], ["spec", "template"]):
        value = value.get(key, {})
    return value or None


def injected(name):
    text = (FOLDER / "injected" / f"{name}.yaml").read_text()
    return [] if "# problem:" in text else list(objects(text))


def original(name):
    return list(objects((FOLDER / "pods" / f"{name}.yaml").read_text()))


def all_injected():
    for name in NAMES:
        for value, before in zip(injected(name), original(name), strict=False):
            pod = template(value)
            if pod and "faregate.dev/status" in (pod["metadata"].get("annotations") or {}):
                yield name, value, pod, template(before)


CASES = [pytest.param(*case, id=f"{case[0]}-{case[1]['kind']}") for case in all_injected()]


def test_there_are_enough_shapes():
    assert len(NAMES) >= 60 and len(CASES) >= 40, (len(NAMES), len(CASES))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("name", "value", "pod", "before"), CASES)
def test_it_passes_the_schema(version, name, value, pod, before):
    kubernetes_validate.validate(value, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schema_is_heard(version):
    value = json.loads(json.dumps(CASES[0].values[1]))
    value["spec"]["initContainers"][0]["restartPolice"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(value, version, strict=True)


def refused_by_restricted(pod, only=None):
    """What the Pod Security Standard `restricted` (v1.29 and later, Linux) refuses, `baseline` included; of the pod, or of
    one container of it. https://kubernetes.io/docs/concepts/security/pod-security-standards/"""
    spec, found = pod["spec"], []
    context = spec.get("securityContext") or {}
    containers = [
        container
        for key in ("initContainers", "containers", "ephemeralContainers")
        for container in spec.get(key) or []
        if only in (None, container["name"])
    ]
    if only is None:
        found += [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
        allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
        found += [f"volume {v['name']}" for v in spec.get("volumes") or [] if not set(v) - {"name"} <= allowed]
        safe = {
            "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
            "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
            "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
            "net.ipv4.tcp_keepalive_probes",
        }
        found += [f"sysctl {s['name']}" for s in context.get("sysctls") or [] if s["name"] not in safe]
    for container in containers:
        own = container.get("securityContext") or {}

        def of(key, own=own):
            return own[key] if key in own else context.get(key)

        def say(what, container=container):
            found.append(f"{container['name']}: {what}")

        capabilities = own.get("capabilities") or {}
        if own.get("privileged"):
            say("privileged")
        if own.get("allowPrivilegeEscalation") is not False:
            say("allowPrivilegeEscalation")
        if "ALL" not in (capabilities.get("drop") or []) or set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
            say("capabilities")
        if of("runAsNonRoot") is not True or of("runAsUser") == 0:
            say("runAsNonRoot")
        if (of("seccompProfile") or {}).get("type") not in ("RuntimeDefault", "Localhost"):
            say("seccompProfile")
        if own.get("procMount", "Default") != "Default":
            say("procMount")
        if (of("appArmorProfile") or {}).get("type", "RuntimeDefault") not in ("RuntimeDefault", "Localhost"):
            say("appArmorProfile")
        linux = of("seLinuxOptions") or {}
        if linux.get("user") or linux.get("role") or linux.get("type", "") not in (
            "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t",
        ):
            say("seLinuxOptions")
        if (of("windowsOptions") or {}).get("hostProcess"):
            say("hostProcess")
        if any(port.get("hostPort") for port in container.get("ports") or []):
            say("hostPort")
        handlers = [container.get(key) or {} for key in ("livenessProbe", "readinessProbe", "startupProbe")]
        handlers += list((container.get("lifecycle") or {}).values())
        if any((h.get("httpGet") or h.get("tcpSocket") or {}).get("host") for h in handlers if isinstance(h, dict)):
            say("a probe of another host")
    return found


@pytest.mark.parametrize(("name", "value", "pod", "before"), CASES)
def test_the_sidecar_is_restricted_and_makes_no_pod_less_so(name, value, pod, before):
    assert refused_by_restricted(pod, only="faregate") == []
    assert set(refused_by_restricted(pod)) <= set(refused_by_restricted(before))


def test_the_rules_are_heard():
    pods = {name: template(original(name)[0]) for name in ("restricted", "baseline", "privileged", "plain", "host-network")}
    assert refused_by_restricted(pods["restricted"]) == []
    assert "app: capabilities" in refused_by_restricted(pods["baseline"])
    assert {"hostPID", "app: privileged"} <= set(refused_by_restricted(pods["privileged"]))
    assert len(refused_by_restricted(pods["plain"])) == 4
    assert "hostNetwork" in refused_by_restricted(pods["host-network"])


def test_patches_applied_by_somebody_else_make_the_same_pods():
    seen = 0
    for name in NAMES:
        expected = [case.values[1:] for case in CASES if case.values[0] == name]
        if not expected:
            continue
        arguments = ["--settings", FOLDER / "settings.yaml", "--namespace", "shop", "--output", "patch"]
        done = subprocess.run(
            [BINARY, "inject", "-f", FOLDER / "pods" / f"{name}.yaml", *arguments], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        patches = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(patches) == len(expected)
        for patch, (value, after, before) in zip(patches, expected, strict=True):
            assert patch["kind"] == value["kind"]
            # What stands at an anchor is one object to Python, and would be patched at all its places.
            alone = json.loads(json.dumps(before))
            assert jsonpatch.apply_patch(alone, patch["patch"]) == after, name
            seen += 1
    assert seen == len(CASES)


@pytest.mark.parametrize("name", ["comments-and-other-objects", "yaml-of-the-old-kind", "as-the-api-server-gives-it"])
def test_a_reader_of_yaml_1_1_finds_the_users_values_unchanged(name):
    for before, after in zip(original(name), injected(name), strict=True):
        assert kept(before, after) == [], name


def kept(before, after, place=""):
    if isinstance(before, dict) and isinstance(after, dict):
        return [lost for key in before for lost in kept(before[key], after.get(key, "gone"), f"{place}/{key}")]
    if isinstance(before, list) and isinstance(after, list) and all(isinstance(item, dict) for item in before):
        by_name = {item.get("name"): item for item in after}
        return [lost for item in before for lost in kept(item, by_name.get(item.get("name")), f"{place}/{item.get('name')}")]
    return [] if before == after and type(before) is type(after) else [f"{place}: {before} became {after}"]


def some_pod(random, number):
    """A pod of parts that Kubernetes takes, in numbers and orders that nobody thought of."""

    def maybe(value, chance=0.5):
        return value if random.random() < chance else None

    def some(values, most):
        return random.sample(values, random.randint(0, min(most, len(values))))

    names = [
        "OPENAI_BASE_URL", "OPENAI_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "GEMINI_API_KEY", "GROQ_BASE_URL",
        "HTTP_PROXY", "NO_PROXY", "JAVA_TOOL_OPTIONS", "OTHER",
    ]
    values = [
        {"value": ""}, {"value": "http://127.0.0.1:4000/openai/v1"}, {"value": "yes"}, {"value": "a\nb\n"}, {},
        {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"valueFrom": {"secretKeyRef": {"name": "app", "key": "k", "optional": True}}},
    ]
    volumes = [
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
        {"name": "keys", "secret": {"secretName": "llm-keys", "defaultMode": 256}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "host", "hostPath": {"path": "/var/log", "type": "Directory"}},
        {"name": "info", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]

    def container(name, initial=False):
        parts = {
            "name": name,
            "image": f"registry.example.com/{name}:{random.randint(1, 9)}",
            "env": maybe([{"name": n, **random.choice(values)} for n in some(names, 6)]),
            "envFrom": maybe([{"configMapRef": {"name": "app"}}], 0.3),
            "ports": maybe([{"containerPort": random.choice([80, 4000, 4001, 8080]), "protocol": "TCP"}]),
            "resources": maybe({"requests": {"cpu": "1"}, "limits": {"cpu": 1, "memory": "1Gi"}}),
            "securityContext": maybe({"runAsUser": random.randint(1, 9999), "readOnlyRootFilesystem": True}),
            "volumeMounts": maybe([{"name": v["name"], "mountPath": f"/{v['name']}"} for v in some(volumes, 3)]),
            "livenessProbe": None if initial else maybe({"tcpSocket": {"port": 80}}),
            "lifecycle": None if initial else maybe({"preStop": {"exec": {"command": ["sleep", "5"]}}}),
            "restartPolicy": maybe("Always") if initial else None,
            "tty": maybe(True),
        }
        return {key: value for key, value in parts.items() if value is not None}

    main = random.sample(["app", "web", "worker", "istio-proxy"], random.randint(1, 4))
    first = some(["init", "migrate", "linkerd-proxy", "istio-init"], 3)
    metadata = {
        "name": f"pod-{number}",
        "labels": maybe({"app": "x", "app.kubernetes.io/name": "shop"}),
        "annotations": maybe({"sidecar.istio.io/status": "{}", "faregate.dev/sdks": random.choice(["all", "openai", "groq,cohere"])}),
    }
    spec = {
        "containers": [container(name) for name in main],
        "initContainers": [container(name, initial=True) for name in first] or maybe([]),
        "volumes": maybe(volumes),
        "imagePullSecrets": maybe([{"name": random.choice(["registry", "own"])}]),
        "restartPolicy": maybe(random.choice(["Always", "OnFailure", "Never"])),
        "securityContext": maybe({"fsGroup": 2000, "sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]}),
        "shareProcessNamespace": maybe(True, 0.2),
        "tolerations": maybe([{"operator": "Exists"}]),
        "topologySpreadConstraints": maybe(
            [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}]
        ),
        "hostAliases": maybe([{"ip": "10.0.0.1", "hostnames": ["db"]}]),
        "terminationGracePeriodSeconds": maybe(0),
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {key: value for key, value in metadata.items() if value is not None},
        "spec": {key: value for key, value in spec.items() if value is not None},
    }
    return pod


def test_whatever_validates_still_does_and_keeps_all_it_had(tmp_path):
    seed = int(os.environ.get("FAREGATE_SEED") or randrange(2**32))
    random = Random(seed)
    pods = [some_pod(random, number) for number in range(80)]
    file = tmp_path / "pods.yaml"
    # Now as YAML, now as JSON.
    dumps = [lambda pod: yaml.safe_dump(pod, sort_keys=False), lambda pod: json.dumps(pod) + "\n"]
    file.write_text("---\n".join(random.choice(dumps)(pod) for pod in pods))
    command = [BINARY, "inject", "-f", file, "--settings", FOLDER / "settings.yaml", "--all"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (seed, done.stderr)
    assert subprocess.run(command, capture_output=True, text=True, timeout=120).stdout == done.stdout, seed
    after = list(objects(done.stdout))
    assert len(after) == len(pods)
    for before, now in zip(pods, after, strict=True):
        for version in VERSIONS:
            kubernetes_validate.validate(before, version, strict=True)
            kubernetes_validate.validate(now, version, strict=True)
        assert "faregate.dev/status" in now["metadata"]["annotations"]
        assert kept(before, now) == [], seed
        assert refused_by_restricted(now, only="faregate") == []
