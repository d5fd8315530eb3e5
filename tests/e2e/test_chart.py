"""The chart, by Helm 3 and 4 themselves: what is rendered is what Kubernetes takes, twice the same, and wrong values are
refused with what to change."""

import json
import os
import pathlib
import re
import subprocess
import tarfile

import kubernetes_validate
import pytest
import yaml

from processes import ROOT

CHART = ROOT / "helm" / "faregate"
TOOLS = pathlib.Path(os.environ.get("FAREGATE_TOOLS", ROOT / "target" / "tools")) / "kubernetes"
HELM = {line: TOOLS / line / "helm" / "helm" for line in ("helm3", "helm4")}
IMAGE = {"repository": "registry.example.com/team/faregate"}
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
TABLE = {
    "providers": {"openai": {}, "openrouter": {}},
    "routes": [{"name": "chat", "match": {"model": "gpt-*"}, "targets": [{"provider": "openai"}]}],
}
KEYS = {"clientKeysSecret": "clients", "clientKeys": ["search", "mobile.app"]}
ALL_MONITORS = {
    "podMonitor": {"enabled": True, "labels": {"release": "kps"}},
    "serviceMonitor": {"enabled": True, "interval": "15s"},
    "prometheusRule": {"enabled": True, "labels": {"release": "kps"}, "runbooks": "https://wiki.example.com/faregate/"},
    "dashboards": {"enabled": True, "annotations": {"grafana_folder": "LLM"}},
}

# What people install.
GOOD = {
    "least": {},
    "table": {"routingTable": TABLE},
    "one-replica": {"control": {"replicas": 1, "watchdog": False}},
    "cert-manager": {"control": {"certificates": {"source": "certManager"}}},
    "cert-manager-issuer": {
        "control": {"certificates": {"source": "certManager", "issuerRef": {"name": "corp", "kind": "ClusterIssuer"}}}
    },
    "existing-secret": {
        "control": {"certificates": {"source": "existingSecret", "existingSecret": "own-tls", "caBundle": PEM}}
    },
    "ignore": {"webhook": {"failurePolicy": "Ignore", "timeoutSeconds": 3, "excludedNamespaces": ["flux-system"]}},
    "injection": {
        "injection": {
            "credentialsSecret": "llm-keys",
            "configMap": "faregate",
            "sdks": ["openai"],
            "runAsUser": None,
            "adminAddress": "::",
            "logLevel": "debug",
            "env": {"HTTPS_PROXY": "http://proxy.example.com:3128"},
            "resources": {"cpuLimit": "", "memoryLimit": "1Gi"},
        }
    },
    "gateway-alone": {
        "control": {"enabled": False},
        "gateway": {"enabled": True, "config": TABLE, "credentialsSecret": "llm-keys", **KEYS},
    },
    "gateway-open": {"gateway": {"enabled": True, "config": TABLE, "allowOpen": True, "replicas": 1}},
    "gateway-full": {
        "gateway": {
            "enabled": True,
            **KEYS,
            "tlsSecret": "gateway-tls",
            "service": {"type": "LoadBalancer", "port": 443, "annotations": {"example.com/internal": "true"}},
            "autoscaling": {"enabled": True, "maxReplicas": 20},
            "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {"matchLabels": {"llm": "yes"}}}]},
            "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/llm"}},
            "config": {**TABLE, "server": {"grace": "40s"}},
        }
    },
    "gateway-own-config-map": {"gateway": {"enabled": True, "existingConfigMap": "mine"}},
    "monitoring": {"monitoring": ALL_MONITORS, "gateway": {"enabled": True, "config": TABLE, "allowOpen": True}},
    "placement": {
        "fullnameOverride": "llm",
        "commonLabels": {"team": "platform"},
        "control": {
            "nodeSelector": {"kubernetes.io/arch": "arm64"},
            "tolerations": [{"key": "infra", "operator": "Exists"}],
            "priorityClassName": "system-cluster-critical",
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
            ],
            "networkPolicy": {"enabled": True, "metricsFrom": [{"podSelector": {}}]},
            "podAnnotations": {"a": "b"},
        },
        "image": {"digest": "sha256:" + "a" * 64, "pullSecrets": ["registry"]},
    },
    "openshift": {"podUser": None, "injection": {"runAsUser": None}},
    "without-the-kind": {"crds": {"install": False}},
}

# What people mistype, and a word of what they must be told.
BAD = {
    "no-image": ({"image": {"repository": ""}}, "image.repository is missing"),
    "unknown": ({"contrl": {"replicas": 1}}, "contrl"),
    "unknown-deep": ({"control": {"replica": 1}}, "replica"),
    "type": ({"control": {"replicas": "two"}}, "replicas"),
    "none-at-all": ({"control": {"replicas": 0}}, "replicas"),
    "source": ({"control": {"certificates": {"source": "vault"}}}, "source"),
    "policy": ({"webhook": {"failurePolicy": "fail"}}, "failurePolicy"),
    "root": ({"injection": {"runAsUser": 0}}, "runAsUser"),
    "port": ({"injection": {"port": 80}}, "port"),
    "quantity": ({"injection": {"resources": {"memoryLimit": "lots"}}}, "memoryLimit"),
    "digest": ({"image": {"digest": "latest"}}, "digest"),
    "no-ca": (
        {"control": {"certificates": {"source": "existingSecret", "existingSecret": "s"}}},
        "control.certificates.caBundle is missing",
    ),
    "no-secret": (
        {"control": {"certificates": {"source": "existingSecret", "caBundle": PEM}}},
        "control.certificates.existingSecret is missing",
    ),
    "runbooks": ({"monitoring": {"prometheusRule": {"runbooks": "wiki.example.com"}}}, "runbooks"),
    "no-keys": ({"gateway": {"enabled": True, "config": TABLE}}, "gateway.clientKeysSecret"),
    "no-providers": ({"gateway": {"enabled": True, "allowOpen": True}}, "gateway.config"),
    "nobody-distributes": ({"control": {"enabled": False}, "routingTable": TABLE}, "control.enabled"),
}


def helm(line, *arguments, values=None, cwd=None):
    command = [str(HELM[line]), *arguments]
    if values is not None:
        command += ["--values", "-"]
    text = None if values is None else yaml.safe_dump({"image": IMAGE, **values, **merged_image(values)})
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd or TOOLS)}
    return subprocess.run(command, input=text, capture_output=True, text=True, env=environment, cwd=cwd, check=False)


def merged_image(values):
    return {"image": {**IMAGE, **values.get("image", {})}}


def template(line, values, *more):
    done = helm(line, "template", "faregate", str(CHART), "--namespace", "faregate-system", *more, values=values)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(text):
    return [found for found in yaml.safe_load_all(text) if found]


def in_any_order(text):
    return sorted(json.dumps(found, sort_keys=True) for found in objects(text))


def by_kind(text, kind):
    return [found for found in objects(text) if found["kind"] == kind]


@pytest.fixture(scope="session", autouse=True)
def programs():
    for line, program in HELM.items():
        said = subprocess.run([program, "version", "--short"], capture_output=True, text=True, check=True).stdout
        assert said.startswith("v3.18" if line == "helm3" else "v4."), said


@pytest.mark.parametrize("line", HELM)
@pytest.mark.parametrize("name", GOOD)
def test_what_is_rendered_is_what_kubernetes_takes(line, name):
    values = GOOD[name]
    linted = helm(line, "lint", str(CHART), "--strict", values=values)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    text = template(line, values)
    assert text == template(line, values), "two renders differ"
    seen = set()
    for found in objects(text):
        metadata = found["metadata"]
        key = (found["kind"], metadata.get("namespace"), metadata["name"])
        assert key not in seen, f"twice: {key}"
        seen.add(key)
        if "monitoring.coreos.com" in found["apiVersion"] or "cert-manager.io" in found["apiVersion"]:
            continue
        # matchConditions, native sidecars and sleep are known to both.
        for version in ("1.29.0", "1.37.0"):
            if version == "1.29.0" and "sleep" in json.dumps(found.get("spec", {})):
                continue
            kubernetes_validate.validate(found, version, strict=True)


@pytest.mark.parametrize("name", GOOD)
def test_both_lines_of_helm_say_the_same(name):
    assert in_any_order(template("helm3", GOOD[name])) == in_any_order(template("helm4", GOOD[name]))


@pytest.mark.parametrize("line", HELM)
@pytest.mark.parametrize("name", BAD)
def test_wrong_values_are_refused_with_what_to_change(line, name):
    values, word = BAD[name]
    done = helm(line, "template", "faregate", str(CHART), values=values)
    assert done.returncode != 0, "it was accepted"
    assert word in done.stderr, done.stderr


@pytest.mark.parametrize("line", HELM)
def test_it_packages_with_its_files(line, tmp_path):
    done = helm(line, "package", str(CHART), "--destination", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("faregate-*.tgz")
    names = tarfile.open(package).getnames()
    for needed in ("files/routing-table.crd.yaml", "values.schema.json", "README.md", "files/monitoring/rules/alerts.yaml"):
        assert f"faregate/{needed}" in names, names
    values = {"monitoring": ALL_MONITORS}
    done = helm(line, "template", "faregate", str(package), "--namespace", "faregate-system", values=values)
    assert done.returncode == 0, done.stderr
    assert in_any_order(done.stdout) == in_any_order(template(line, values))


@pytest.mark.parametrize("place", ["http://127.0.0.1:4001/runbooks/", "https://wiki.example.com/faregate/"])
def test_alerts_lead_to_the_pages_where_the_values_say(place):
    rule = {"enabled": True} if "127.0.0.1" in place else {"enabled": True, "runbooks": place}
    found = by_kind(template("helm4", {"monitoring": {"prometheusRule": rule}}), "PrometheusRule")
    rules = [rule for resource in found for group in resource["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    assert len(rules) > 10
    assert all(rule["annotations"]["runbook_url"] == f"{place}{rule['alert']}.md" for rule in rules)


@pytest.mark.parametrize("line", HELM)
def test_an_older_kubernetes_is_refused(line):
    done = helm(line, "template", "faregate", str(CHART), "--kube-version", "1.28.9", values={})
    assert done.returncode != 0 and "1.29" in done.stderr, done.stderr
    # What came with 1.30 is left out of 1.29.
    for version, sleeps in (("1.29.4", False), ("1.30.0", True)):
        (found,) = by_kind(template(line, GOOD["gateway-alone"], "--kube-version", version), "Deployment")
        container = found["spec"]["template"]["spec"]["containers"][0]
        assert ("lifecycle" in container) == sleeps


def pods(text):
    for found in objects(text):
        if found["kind"] == "Pod":
            yield found["metadata"]["name"], found["spec"]
        elif found["kind"] == "Deployment":
            yield found["metadata"]["name"], found["spec"]["template"]["spec"]


@pytest.mark.parametrize("name", GOOD)
def test_every_pod_meets_the_restricted_standard(name):
    text = template("helm4", GOOD[name])
    for pod, spec in pods(text):
        assert spec["securityContext"]["runAsNonRoot"] is True, pod
        assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", pod
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), pod
        for volume in spec.get("volumes", []):
            assert set(volume) <= {"name", "configMap", "secret", "emptyDir", "projected"}, volume
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False and security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"], container["name"]
            image = container["image"]
            assert image.startswith("registry.example.com/team/faregate") and ":latest" not in image


def selects(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


@pytest.mark.parametrize("name", GOOD)
def test_services_and_policies_select_the_pods_that_they_are_for(name):
    text = template("helm4", GOOD[name])
    deployments = by_kind(text, "Deployment")
    for service in by_kind(text, "Service"):
        selected = [d for d in deployments if selects(service["spec"]["selector"], d["spec"]["template"]["metadata"]["labels"])]
        assert len(selected) == 1, service["metadata"]["name"]
        ports = {p["name"] for c in selected[0]["spec"]["template"]["spec"]["containers"] for p in c["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for kind, key in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        for found in by_kind(text, kind):
            labels = found["spec"][key]["matchLabels"]
            assert sum(selects(labels, d["spec"]["template"]["metadata"]["labels"]) for d in deployments) == 1
    names = {found["metadata"]["name"] for found in by_kind(text, "ServiceAccount")}
    assert {d["spec"]["template"]["spec"]["serviceAccountName"] for d in deployments} == names


def test_certificates_of_its_own_are_never_in_what_is_rendered():
    text = template("helm4", {})
    assert "caBundle" not in json.dumps(objects(text)) and not by_kind(text, "Secret")
    text = template("helm4", GOOD["existing-secret"])
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        (found,) = by_kind(text, kind)
        assert all(webhook["clientConfig"]["caBundle"] for webhook in found["webhooks"])
    text = template("helm4", GOOD["cert-manager"])
    (found,) = by_kind(text, "MutatingWebhookConfiguration")
    assert found["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] == "faregate-system/faregate-control"
    (certificate,) = by_kind(text, "Certificate")
    (deployment,) = by_kind(text, "Deployment")
    volumes = {v["name"]: v for v in deployment["spec"]["template"]["spec"]["volumes"]}
    assert volumes["tls"]["secret"]["secretName"] == certificate["spec"]["secretName"]


def test_grants_and_webhooks_are_those_that_the_program_is_tested_with():
    """`tests/control` holds these two files to the calls that the process makes and to the paths that it serves."""

    def essence(text):
        found = {}
        for one in objects(text):
            if one["kind"] in ("ClusterRole", "Role"):
                found[one["kind"]] = one["rules"]
            elif one["kind"].endswith("WebhookConfiguration"):
                found[one["kind"]] = one["webhooks"]
        return found

    sources = [(ROOT / "deploy/kubernetes" / name).read_text() for name in ("control-rbac.yaml", "webhook.yaml")]
    tested = {**essence(sources[0]), **essence(sources[1])}
    assert len(tested) == 4
    assert essence(template("helm4", {})) == tested


def test_what_is_kept_and_what_is_not():
    (found,) = by_kind(template("helm4", {}), "CustomResourceDefinition")
    assert found["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    source = yaml.safe_load((ROOT / "deploy/kubernetes/routing-table.crd.yaml").read_text())
    assert found["spec"] == source["spec"]
    (found,) = by_kind(template("helm4", {"crds": {"keep": False}}), "CustomResourceDefinition")
    assert "annotations" not in found["metadata"]


def faregate(*arguments, **more):
    return subprocess.run([os.environ["FAREGATE_BIN"], *arguments], capture_output=True, text=True, check=False, **more)


def test_the_gateways_configuration_passes_the_check(tmp_path):
    for name in ("gateway-alone", "gateway-open", "gateway-full"):
        text = template("helm4", GOOD[name])
        (found,) = [m for m in by_kind(text, "ConfigMap") if m["metadata"]["name"].endswith("-gateway")]
        path = tmp_path / f"{name}.yaml"
        path.write_text(found["data"]["faregate.yaml"].replace("/etc/faregate/", f"{tmp_path}/"))
        for directory in ("client-keys", "tls"):
            (tmp_path / directory).mkdir(exist_ok=True)
        for entry in ("search", "mobile.app"):
            (tmp_path / "client-keys" / entry).write_text(f"a-key-of-its-own-for-{entry}")
        new = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=gateway -keyout tls.key -out tls.crt"
        subprocess.run(new.split(), cwd=tmp_path / "tls", capture_output=True, check=True)
        done = faregate("check", str(path), env={"OPENAI_API_KEY": "k", "OPENROUTER_API_KEY": "k"})
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_argument_is_known_to_the_program():
    """The control plane and the test pod are given what their command lines know."""
    for name in GOOD:
        for _, spec in pods(template("helm4", GOOD[name])):
            for container in spec["containers"]:
                command, *options = container["args"]
                known = faregate(command, "--help").stdout
                for option in options:
                    assert re.search(rf"{option.split('=')[0]}\s", known), f"{command}: {option}"


def test_injection_settings_are_read(tmp_path):
    pod = tmp_path / "pod.yaml"
    pod.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {faregate.dev/inject: 'true'}}\n"
        "spec: {containers: [{name: a, image: a}]}\n"
    )
    for name in GOOD:
        for found in by_kind(template("helm4", GOOD[name]), "ConfigMap"):
            if not found["metadata"]["name"].endswith("-injection"):
                continue
            settings = tmp_path / "settings.yaml"
            settings.write_text(found["data"]["injection.yaml"])
            done = faregate("inject", "-f", str(pod), "--settings", str(settings), "--image", "r/f:1")
            assert done.returncode == 0, f"{name}: {done.stderr}"
            assert "restartPolicy: Always" in done.stdout


def test_values_in_the_docs_render():
    seen = 0
    for page in (ROOT / "docs").glob("**/*.md"):
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
            if block.startswith("# values:"):
                template("helm4", yaml.safe_load(block))
                seen += 1
    assert seen


def test_the_readme_is_fresh():
    done = subprocess.run([ROOT / "scripts/chart-readme", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_plain_manifests_are_fresh():
    environment = {**os.environ, "HELM": str(HELM["helm4"])}
    script = ROOT / "scripts/plain-manifests"
    done = subprocess.run([script, "--print"], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == (ROOT / "deploy/kubernetes/faregate.yaml").read_text(), "run scripts/plain-manifests"


def test_kustomize_gives_the_image_to_control_plane_and_sidecars(tmp_path):
    base = os.path.relpath(ROOT / "deploy/kubernetes", tmp_path)
    (tmp_path / "kustomization.yaml").write_text(
        f"resources: [{base}]\nimages: [{{name: faregate, newName: registry.example.com/f, newTag: '7'}}]\n"
        f"replacements: [{{path: {base}/sidecar-image.yaml}}]\n"
    )
    kubectl = [TOOLS / "helm4" / "kubectl" / "kubectl", "kustomize", "--load-restrictor=LoadRestrictionsNone", str(tmp_path)]
    done = subprocess.run(kubectl, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (deployment,) = by_kind(done.stdout, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.com/f:7"
    assert {"name": "FAREGATE_IMAGE", "value": "registry.example.com/f:7"} in container["env"]
    for found in objects(done.stdout):
        assert found["metadata"].get("namespace", "faregate-system") == "faregate-system"
        kubernetes_validate.validate(found, "1.37.0", strict=True)


def leaves(value, path=()):
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path


def test_every_value_has_a_schema_a_default_and_a_comment():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())

    def named(schema, path=()):
        for key, inner in schema.get("properties", {}).items():
            if "properties" in inner:
                yield from named(inner, (*path, key))
            else:
                yield (*path, key)

    in_schema = {path for path in named(schema) if path != ("global",)}
    short = {path[:2] if path[:1] == ("routingTable",) else path for path in leaves(values)}
    for path in in_schema:
        found = values
        for key in path:
            assert key in found, f"no default: {'.'.join(path)}"
            found = found[key]
    for path in short:
        assert any(path[: len(known)] == known for known in in_schema), f"no schema: {'.'.join(path)}"
    readme = (CHART / "README.md").read_text()
    for path in in_schema:
        ancestors = [".".join(path[:n]) for n in range(1, len(path) + 1)]
        assert any(f"| `{name}` |" in readme for name in ancestors), f"no comment: {ancestors[-1]}"


# What checkov says of it that stays, each with the reason.
EXCEPTIONS = {
    "CKV_K8S_155": "the control plane writes the caBundle of its own two webhook configurations, which resourceNames name",
    "CKV_K8S_11": "a CPU limit makes a proxy slow before the node is busy; values can set one",
    "CKV_K8S_43": "image.digest pins the image; a test has no digest to pin",
    "CKV_K8S_38": "the control plane speaks to the API server",
    "CKV_K8S_15": "tags are versions, so that what is there need not be asked for again; values can say Always",
    "CKV_K8S_8": "the pod of `helm test` ends by itself",
    "CKV_K8S_9": "the pod of `helm test` serves nobody",
    "CKV2_K8S_6": "the pod of `helm test` serves nobody",
}


def test_checkov_finds_nothing_but_what_has_a_reason(tmp_path):
    checkov = TOOLS.parent / "checkov" / "bin" / "checkov"
    found = set()
    for name in ("gateway-full", "placement", "cert-manager"):
        values = json.loads(json.dumps(GOOD[name]))
        values.setdefault("control", {}).setdefault("networkPolicy", {"enabled": True})
        path = tmp_path / f"{name}.yaml"
        path.write_text(template("helm4", values))
        arguments = ["-f", str(path), "--framework", "kubernetes", "--compact", "--quiet", "--output", "json"]
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        done = subprocess.run([checkov, *arguments], capture_output=True, text=True, env=environment, check=False)
        report = json.loads(done.stdout)
        assert report["summary"]["passed"] > 100, report["summary"]
        failed = {check["check_id"]: check["resource"] for check in report["results"]["failed_checks"]}
        found |= set(failed)
        unexpected = {check: of for check, of in failed.items() if check not in EXCEPTIONS}
        assert not unexpected, unexpected
    assert found == set(EXCEPTIONS), "an exception that nothing needs any more"
