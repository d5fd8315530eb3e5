"""A real `faregate control` before the API server of the tests in Rust (tests/control/api_server.rs): objects come as an
operator applies them, certificates from an authority of the tests' own, renewed by hand."""

import base64
import json
import os
import pathlib
import subprocess
import urllib.error
import urllib.request

import yaml

from processes import BINARY, ROOT, Faregate, Process, eventually, fetch

API_SERVER = os.environ.get("FAREGATE_API_SERVER", str(ROOT / "target/debug/examples/api_server"))
NAMESPACE = "faregate-system"
SERVICE = f"faregate-control.{NAMESPACE}.svc"
PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Endpoints": "/api/v1/namespaces/{}/endpoints",
    "RoutingTable": "/apis/faregate.dev/v1alpha1/namespaces/{}/routingtables",
    "MutatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "ValidatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
}


class ApiServer(Process):
    """Where the operator applies things. It asks the webhooks about what is created."""

    def __init__(self, folder: pathlib.Path):
        assert pathlib.Path(API_SERVER).exists(), f"no {API_SERVER}: cargo build --example api_server"
        super().__init__([API_SERVER, str(folder)], env={}, cwd=folder, log=folder / "api-server.log")
        self.url = self.first_line()
        self.kubeconfig = folder / "kubeconfig"

    def request(self, method: str, kind: str, namespace: str | None, name: str = "", body: dict | None = None) -> dict:
        path = PATHS[kind].format(namespace) + (f"/{name}" if name else "")
        headers = {"authorization": "Bearer operator", "content-type": "application/json"}
        data = json.dumps(body).encode() if body else None
        try:
            request = urllib.request.Request(self.url + path, data, headers, method=method)
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()}") from None

    def create(self, body: dict) -> dict:
        return self.request("POST", body["kind"], body["metadata"].get("namespace"), body=body)


class Authority:
    """Makes certificates for the control plane's Service, by openssl."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.request("-days", "365", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.crt")

    def issue(self, days: int):
        """A certificate that ends so soon, with its key, in the place of the one before."""
        names = f"subjectAltName=DNS:{SERVICE},IP:127.0.0.1"
        usage = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", names]
        signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-subj", "/CN=control", "-days", str(days)]
        self.request(*signed, *usage, "-keyout", "new.key", "-out", "new.crt")
        for kind in ("key", "crt"):
            (self.folder / f"new.{kind}").rename(self.folder / f"tls.{kind}")

    def request(self, *arguments: str):
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    @property
    def pem(self) -> str:
        return (self.folder / "ca.crt").read_text()


class Control(Process):
    """The control plane itself; `addresses` are those of one before."""

    def __init__(self, folder: pathlib.Path, api: ApiServer, authority: Authority, addresses: dict | None = None):
        listen = addresses or dict.fromkeys(("webhook", "distribution", "admin"), "127.0.0.1:0")
        arguments = [BINARY, "control", "--print-addresses", "--image=registry.example.com/faregate:0.1.0"]
        arguments += ["--certificates=existing-secret", f"--certificate-directory={authority.folder}", "--lease-duration=2s"]
        arguments += [f"--{name}={address}" for name, address in listen.items()]
        super().__init__(arguments, env={"KUBECONFIG": str(api.kubeconfig)}, cwd=folder, log=folder / "control.log")
        self.addresses = json.loads(self.first_line())
        eventually("the control plane is ready", self.is_ready)

    def is_ready(self) -> bool:
        try:
            return fetch(f"http://{self.addresses['admin']}/readyz") == "ready\n"
        except OSError:
            return False


class Cluster:
    """A control plane that is installed, and what an operator does with it."""

    def __init__(self, folder: pathlib.Path):
        folder.mkdir()
        self.folder = folder
        self.applied = set()
        self.api = ApiServer(folder)
        (folder / "tls").mkdir()
        self.authority = Authority(folder / "tls")
        self.authority.issue(days=90)
        self.control = Control(folder, self.api, self.authority)
        host, port = self.control.addresses["webhook"].split(":")
        subset = {"addresses": [{"ip": host}], "ports": [{"port": int(port)}]}
        metadata = {"name": "faregate-control", "namespace": NAMESPACE}
        self.api.create({"kind": "Endpoints", "metadata": metadata, "subsets": [subset]})
        bundle = base64.b64encode(self.authority.pem.encode()).decode()
        for configuration in yaml.safe_load_all((ROOT / "deploy/kubernetes/webhook.yaml").read_text()):
            for entry in configuration["webhooks"]:
                entry["clientConfig"]["caBundle"] = bundle
            self.api.create(configuration)

    def restart(self):
        """Another control process at the same addresses, where the one before has ended."""
        self.control.end()
        self.control = Control(self.folder, self.api, self.authority, self.control.addresses)

    def pod(self, namespace: str, name: str) -> dict:
        """Makes one; as it is stored."""
        metadata = {"name": name, "namespace": namespace, "labels": {"app": name.rpartition("-")[0]}}
        containers = [{"name": "app", "image": "registry.example.com/app:1"}]
        return self.api.create({"kind": "Pod", "metadata": metadata, "spec": {"containers": containers}})

    def table(self, namespace: str, spec: dict):
        """Applies the routing table of a namespace."""
        self.apply({"kind": "RoutingTable", "metadata": {"name": "default", "namespace": namespace}, "spec": spec})

    def namespace(self, name: str, **metadata):
        self.apply({"kind": "Namespace", "metadata": {"name": name, **metadata}})

    def apply(self, body: dict):
        """Creates it, or replaces what was applied before."""
        key = (body["kind"], body["metadata"].get("namespace"), body["metadata"]["name"])
        if key in self.applied:
            self.api.request("PUT", body["kind"], key[1], key[2], body)
        else:
            self.api.create(body)
            self.applied.add(key)

    def sidecar(self, folder: pathlib.Path, namespace: str, pod: str, env: dict) -> Faregate:
        """What runs in a pod that was injected, with the token that kubelet gives it."""
        folder.mkdir()
        (folder / "state").mkdir()
        (folder / "token").write_text(f"{namespace}/{pod}")
        control = {
            "FAREGATE_CONTROL": f"https://{self.control.addresses['distribution']}",
            "FAREGATE_CONTROL_CA": self.authority.pem,
            "FAREGATE_CONTROL_TOKEN": str(folder / "token"),
            "FAREGATE_STATE": str(folder / "state"),
        }
        return Faregate(folder, None, {**control, **env}, ["--listen=127.0.0.1:0", "--admin=127.0.0.1:0"])

    def end(self):
        self.control.end()
        self.api.end()
