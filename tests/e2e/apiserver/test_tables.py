"""RoutingTable at a real API server (k8s.io/apiextensions-apiserver and etcd, as Debian packages them), by kubectl.

Optional: tests/e2e/apiserver/build makes the server. Where it was not made, this says so."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess

import pytest
import yaml

from processes import ROOT, eventually
from test_chart import HELM, TOOLS
from test_contract import Yaml12

SERVER = TOOLS.parent / "apiserver"
KUBECTL = TOOLS / "helm4" / "kubectl" / "kubectl"
CRD = ROOT / "deploy/kubernetes/routing-table.crd.yaml"
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
        self.folder, self.port = folder, free_port()
        authority(folder)
        etcd = f"http://127.0.0.1:{free_port()}"
        self.start(stack, "etcd", SERVER / "etcd", "--data-dir", folder / "etcd-data", "--listen-client-urls", etcd,
                   "--advertise-client-urls", etcd, "--listen-peer-urls", f"http://127.0.0.1:{free_port()}")
        self.start(stack, "apiserver", SERVER / "apiextensions-apiserver", "--etcd-servers", etcd,
                   "--secure-port", self.port, "--bind-address", "127.0.0.1", "--cert-dir", folder / "serving",
                   "--client-ca-file", folder / "ca.crt", "--authentication-skip-lookup",
                   "--disable-admission-plugins",
                   "NamespaceLifecycle,MutatingAdmissionWebhook,ValidatingAdmissionWebhook,"
                   "MutatingAdmissionPolicy,ValidatingAdmissionPolicy")
        eventually("the API server", lambda: self.kubectl("get", "--raw", "/readyz", check=False).stdout == "ok")

    def start(self, stack, name, *arguments):
        log = (self.folder / f"{name}.log").open("w")
        child = subprocess.Popen([str(a) for a in arguments], stdout=log, stderr=log, cwd=self.folder)
        stack.callback(child.wait)
        stack.callback(child.kill)

    def kubectl(self, *arguments, check=True, text=None):
        access = ["--server", f"https://127.0.0.1:{self.port}", "--insecure-skip-tls-verify",
                  "--client-certificate", self.folder / "admin.crt", "--client-key", self.folder / "admin.key"]
        environment = {"HOME": str(self.folder), "PATH": os.environ["PATH"]}
        command = [str(part) for part in (KUBECTL, *access, *arguments)]
        done = subprocess.run(command, input=text, capture_output=True, text=True, env=environment, check=False)
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done

    def apply(self, spec, name="default", check=True, *more):
        table = {"apiVersion": "faregate.dev/v1alpha1", "kind": "RoutingTable", "spec": spec,
                 "metadata": {"name": name, "namespace": "shop"}}
        arguments = ["apply", "--server-side", "--validate=strict", "--field-manager=test", "-f", "-", *more]
        return self.kubectl(*arguments, check=check, text=json.dumps(table))


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
    server.kubectl("apply", "--server-side", "-f", "-", text=rendered)
    server.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/routingtables.faregate.dev")
    condition = json.loads(server.kubectl("get", "crd", "routingtables.faregate.dev", "-o", "json").stdout)["status"]
    structural = [c for c in condition["conditions"] if c["type"] == "NonStructuralSchema"]
    assert not structural, structural
    return server


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_taken_and_comes_back_as_it_was(installed, example):
    spec = yaml.load(example.read_text(), Yaml12)
    installed.apply(spec, example.stem)
    back = json.loads(installed.kubectl("get", "routingtable", example.stem, "-n", "shop", "-o", "json").stdout)
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
    done = installed.apply(spec, "wrong", False)
    assert done.returncode != 0 and word in done.stderr, done.stderr


def test_status_has_an_owner_of_its_own(installed):
    """The control plane writes the status and nothing else; who applies a table cannot."""
    spec = {"providers": {"openai": {}}}
    installed.apply(spec, "owned")
    raw = "/apis/faregate.dev/v1alpha1/namespaces/shop/routingtables/owned"
    condition = {"type": "Accepted", "status": "True", "reason": "Valid", "message": "", "observedGeneration": 1,
                 "lastTransitionTime": "2026-11-26T00:00:00Z"}
    patch = json.dumps({"status": {"conditions": [condition]}, "spec": {"providers": {}}})
    installed.kubectl("patch", "routingtable", "owned", "-n", "shop", "--subresource=status", "--type=merge", "-p", patch)
    found = json.loads(installed.kubectl("get", "--raw", raw).stdout)
    assert found["spec"] == spec and found["status"]["conditions"][0]["reason"] == "Valid"
    assert found["metadata"]["generation"] == 1
    installed.apply({"providers": {"openai": {}, "anthropic": {}}}, "owned")
    found = json.loads(installed.kubectl("get", "--raw", raw).stdout)
    assert found["metadata"]["generation"] == 2 and found["status"]["conditions"], "applying left the status alone"
    printed = installed.kubectl("get", "routingtables", "-n", "shop").stdout
    assert "ACCEPTED" in printed.splitlines()[0], printed
