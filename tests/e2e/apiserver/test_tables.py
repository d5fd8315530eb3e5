"""RoutingTable at a real API server (k8s.io/apiextensions-apiserver and etcd, as Debian packages them).

By HTTP, since kubectl wants to know of all groups first, which only a whole cluster tells.

Optional: tests/e2e/apiserver/build makes the server. Where it was not made, this says so."""

import contextlib
import http.client
import json
import pathlib
import socket
import ssl
import subprocess

import pytest
import yaml

from processes import PATIENCE, ROOT, eventually
from test_chart import HELM, TOOLS
from test_contract import Yaml12

SERVER = TOOLS.parent / "apiserver"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
TABLES = "/apis/faregate.dev/v1alpha1/namespaces/shop/routingtables"
EXAMPLES = [p for p in sorted((ROOT / "config").glob("**/*.yaml")) if p.name not in ("presets.yaml", "sdk-env.yaml")]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def authority(folder: pathlib.Path):
    """A client of the group that may do all."""

    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], cwd=folder, capture_output=True, check=True)

    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *new, "-subj", "/CN=clients", "-keyout", "ca.key", "-out", "ca.crt")
    openssl("req", *new, "-subj", "/O=system:masters/CN=admin", "-keyout", "admin.key", "-out", "admin.csr")
    openssl("x509", "-req", "-in", "admin.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "admin.crt")


class Server:
    def __init__(self, folder, stack):
        self.folder, self.port, self.children = folder, free_port(), []
        authority(folder)
        etcd = f"http://127.0.0.1:{free_port()}"
        self.start(stack, "etcd", SERVER / "etcd", "--data-dir", folder / "etcd-data", "--listen-client-urls", etcd,
                   "--advertise-client-urls", etcd, "--listen-peer-urls", f"http://127.0.0.1:{free_port()}")
        # It asks itself who is who and who may what, where a cluster has a server for that.
        access = folder / "kubeconfig"
        user = {"client-certificate": str(folder / "admin.crt"), "client-key": str(folder / "admin.key")}
        cluster = {"server": f"https://127.0.0.1:{self.port}", "insecure-skip-tls-verify": True}
        access.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "self",
            "clusters": [{"name": "self", "cluster": cluster}], "users": [{"name": "self", "user": user}],
            "contexts": [{"name": "self", "context": {"cluster": "self", "user": "self"}}],
        }))
        self.start(stack, "apiserver", SERVER / "apiextensions-apiserver", "--etcd-servers", etcd,
                   "--secure-port", self.port, "--bind-address", "127.0.0.1", "--cert-dir", folder / "serving",
                   "--kubeconfig", access, "--authentication-kubeconfig", access, "--authorization-kubeconfig", access,
                   "--client-ca-file", folder / "ca.crt", "--authentication-skip-lookup",
                   "--enable-priority-and-fairness=false",
                   "--disable-admission-plugins",
                   "NamespaceLifecycle,MutatingAdmissionWebhook,ValidatingAdmissionWebhook,"
                   "MutatingAdmissionPolicy,ValidatingAdmissionPolicy")
        eventually("the API server", self.answers)

    def answers(self):
        assert all(child.poll() is None for child in self.children), "\n".join(
            log.read_text()[-2000:] for log in self.folder.glob("*.log"))
        # /readyz waits for kinds that only a whole cluster has.
        with contextlib.suppress(OSError):
            return self.ask("GET", DEFINITIONS)[0] == 200

    def start(self, stack, name, *arguments):
        log = (self.folder / f"{name}.log").open("w")
        child = subprocess.Popen([str(a) for a in arguments], stdout=log, stderr=log, cwd=self.folder)
        stack.callback(child.wait)
        stack.callback(child.kill)
        self.children.append(child)

    def ask(self, method, path, body=None, kind="application/json", accept="application/json"):
        """Status and answer."""
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        trust.load_cert_chain(self.folder / "admin.crt", self.folder / "admin.key")
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=trust, timeout=PATIENCE)
        with contextlib.closing(connection):
            headers = {"content-type": kind, "accept": accept}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")

    def apply(self, spec, name="default"):
        """As `kubectl apply --server-side --validate=strict` does."""
        table = {"apiVersion": "faregate.dev/v1alpha1", "kind": "RoutingTable", "spec": spec,
                 "metadata": {"name": name, "namespace": "shop"}}
        query = "?fieldManager=test&fieldValidation=Strict&force=true"
        return self.ask("PATCH", f"{TABLES}/{name}{query}", table, "application/apply-patch+yaml")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if not (SERVER / "apiextensions-apiserver").exists():
        pytest.skip("NOT TESTED at a real API server: it was not built (tests/e2e/apiserver/build)")
    with contextlib.ExitStack() as stack:
        yield Server(tmp_path_factory.mktemp("apiserver"), stack)


@pytest.fixture(scope="module")
def installed(server):
    """The definition as the chart renders it."""
    command = [str(HELM["helm4"]), "template", "faregate", str(ROOT / "helm/faregate"), "--namespace", "faregate-system",
               "--set", "image.repository=faregate", "--show-only", "templates/crd.yaml"]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    status, said = server.ask("POST", f"{DEFINITIONS}?fieldValidation=Strict", yaml.safe_load(rendered))
    assert status == 201, said

    def conditions():
        _, found = server.ask("GET", f"{DEFINITIONS}/routingtables.faregate.dev")
        return {c["type"]: c for c in found.get("status", {}).get("conditions", [])}

    eventually("the kind", lambda: conditions().get("Established", {}).get("status") == "True")
    assert "NonStructuralSchema" not in conditions(), conditions()
    eventually("its tables", lambda: server.ask("GET", TABLES)[0] == 200)
    return server


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_taken_and_comes_back_as_it_was(installed, example):
    spec = yaml.load(example.read_text(), Yaml12)
    status, said = installed.apply(spec, example.stem)
    assert status in (200, 201), said
    _, back = installed.ask("GET", f"{TABLES}/{example.stem}")
    assert back["spec"] == without_nulls(spec)


def without_nulls(value):
    """What the API server keeps: nothing of fields that are null."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [without_nulls(inner) for inner in value]
    return value


@pytest.mark.parametrize("spec, word", [
    ({"providres": {}}, "providres"),
    ({"routes": [{"name": "a", "targets": [{"provider": "a"}], "strategy": "random"}]}, "strategy"),
    ({"routes": [{"targets": [{"provider": "a"}]}]}, "name"),
    ({"defaults": {"retry": {"max_attempts": 0}}}, "max_attempts"),
    ({"server": {"workers": "many"}}, "workers"),
])
def test_what_the_schema_knows_to_be_wrong_is_refused(installed, spec, word):
    status, said = installed.apply(spec, "wrong")
    assert status >= 400 and word in said["message"], said


def test_status_has_an_owner_of_its_own(installed):
    """The control plane writes the status and nothing else; who applies a table cannot."""
    spec = {"providers": {"openai": {}}}
    installed.apply(spec, "owned")
    condition = {"type": "Accepted", "status": "True", "reason": "Valid", "message": "", "observedGeneration": 1,
                 "lastTransitionTime": "2026-11-26T00:00:00Z"}
    patch = {"status": {"conditions": [condition]}, "spec": {"providers": {}}}
    status, said = installed.ask("PATCH", f"{TABLES}/owned/status", patch, "application/merge-patch+json")
    assert status == 200, said
    _, found = installed.ask("GET", f"{TABLES}/owned")
    assert found["spec"] == spec and found["status"]["conditions"][0]["reason"] == "Valid"
    assert found["metadata"]["generation"] == 1
    installed.apply({"providers": {"openai": {}, "anthropic": {}}}, "owned")
    _, found = installed.ask("GET", f"{TABLES}/owned")
    assert found["metadata"]["generation"] == 2 and found["status"]["conditions"], "applying left the status alone"
    _, printed = installed.ask("GET", TABLES, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert "Accepted" in [column["name"] for column in printed["columnDefinitions"]], printed["columnDefinitions"]
