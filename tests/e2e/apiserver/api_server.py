"""An API server with its etcd, on loopback: the whole one where KUBEBUILDER_ASSETS names a folder that holds it
(`kube-apiserver` and `etcd`, as envtest wants them), else the one for custom resources that `build` makes.

By HTTP, since kubectl wants to know of all groups first, which the smaller one does not tell."""

import contextlib
import http.client
import json
import os
import pathlib
import socket
import ssl
import subprocess

from processes import PATIENCE, eventually
from test_chart import TOOLS

WHOLE = pathlib.Path(os.environ.get("KUBEBUILDER_ASSETS") or "/nowhere")
SMALL = TOOLS.parent / "apiserver"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
APPLY = "application/apply-patch+yaml"


def whole_is_there():
    return all((WHOLE / name).exists() for name in ("kube-apiserver", "etcd"))


def small_is_there():
    return (SMALL / "apiextensions-apiserver").exists()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def credentials(folder: pathlib.Path):
    """A client of the group that may do all, and the key that tokens of service accounts are signed with."""

    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], cwd=folder, capture_output=True, check=True)

    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *new, "-subj", "/CN=clients", "-keyout", "ca.key", "-out", "ca.crt")
    openssl("req", *new, "-subj", "/O=system:masters/CN=admin", "-keyout", "admin.key", "-out", "admin.csr")
    openssl("x509", "-req", "-in", "admin.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "admin.crt")
    openssl("genrsa", "-out", "accounts.key", "2048")
    openssl("rsa", "-in", "accounts.key", "-pubout", "-out", "accounts.pub")


class Server:
    def __init__(self, folder, stack, whole):
        self.folder, self.port, self.children = folder, free_port(), []
        credentials(folder)
        etcd = f"http://127.0.0.1:{free_port()}"
        self.start(stack, "etcd", (WHOLE if whole else SMALL) / "etcd", "--data-dir", folder / "etcd-data",
                   "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
                   "--listen-peer-urls", f"http://127.0.0.1:{free_port()}")
        common = ["--etcd-servers", etcd, "--secure-port", self.port, "--bind-address", "127.0.0.1",
                  "--cert-dir", folder / "serving", "--client-ca-file", folder / "ca.crt"]
        if whole:
            self.start(stack, "apiserver", WHOLE / "kube-apiserver", *common, "--advertise-address", "127.0.0.1",
                       "--service-cluster-ip-range", "10.96.0.0/16", "--authorization-mode", "RBAC",
                       "--allow-privileged", "--service-account-issuer", "https://kubernetes.default.svc",
                       "--service-account-key-file", folder / "accounts.pub",
                       "--service-account-signing-key-file", folder / "accounts.key")
            eventually("the API server", lambda: self.answers("/readyz"))
        else:
            # It asks itself who is who and who may what, where a cluster has a server for that.
            user = {"client-certificate": str(folder / "admin.crt"), "client-key": str(folder / "admin.key")}
            access = self.kubeconfig("self", user)
            self.start(stack, "apiserver", SMALL / "apiextensions-apiserver", *common,
                       "--kubeconfig", access, "--authentication-kubeconfig", access, "--authorization-kubeconfig", access,
                       "--authentication-skip-lookup", "--enable-priority-and-fairness=false",
                       "--disable-admission-plugins",
                       "NamespaceLifecycle,MutatingAdmissionWebhook,ValidatingAdmissionWebhook,"
                       "MutatingAdmissionPolicy,ValidatingAdmissionPolicy")
            # /readyz waits for kinds that only a whole cluster has.
            eventually("the API server", lambda: self.answers(DEFINITIONS))

    def kubeconfig(self, name, user):
        """A file by which this user finds the server."""
        file = self.folder / f"{name}.kubeconfig"
        cluster = {"server": f"https://127.0.0.1:{self.port}", "insecure-skip-tls-verify": True}
        file.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": cluster}], "users": [{"name": "it", "user": user}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        }))
        return file

    def answers(self, path):
        assert all(child.poll() is None for child in self.children), "\n".join(
            log.read_text()[-2000:] for log in self.folder.glob("*.log"))
        with contextlib.suppress(OSError):
            return self.ask("GET", path)[0] == 200

    def start(self, stack, name, *arguments):
        log = (self.folder / f"{name}.log").open("w")
        child = subprocess.Popen([str(a) for a in arguments], stdout=log, stderr=log, cwd=self.folder)
        stack.callback(child.wait)
        stack.callback(child.kill)
        self.children.append(child)

    def ask(self, method, path, body=None, kind="application/json", accept="application/json"):
        """Status and answer, as an administrator."""
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        trust.load_cert_chain(self.folder / "admin.crt", self.folder / "admin.key")
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=trust, timeout=PATIENCE)
        with contextlib.closing(connection):
            headers = {"content-type": kind, "accept": accept}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            said = answer.read()
            try:
                return answer.status, json.loads(said or b"null")
            except json.JSONDecodeError:
                return answer.status, said.decode()

    def install_definition(self, definition):
        status, said = self.ask("POST", f"{DEFINITIONS}?fieldValidation=Strict", definition)
        assert status == 201, said
        name, tables = definition["metadata"]["name"], "/apis/faregate.dev/v1alpha1/routingtables"

        def conditions():
            _, found = self.ask("GET", f"{DEFINITIONS}/{name}")
            return {c["type"]: c for c in found.get("status", {}).get("conditions", [])}

        eventually("the kind", lambda: conditions().get("Established", {}).get("status") == "True")
        assert "NonStructuralSchema" not in conditions(), conditions()
        eventually("its tables", lambda: self.ask("GET", tables)[0] == 200)

    def apply_table(self, spec, name="default", namespace="shop"):
        """As `kubectl apply --server-side --validate=strict` does."""
        table = {"apiVersion": "faregate.dev/v1alpha1", "kind": "RoutingTable", "spec": spec,
                 "metadata": {"name": name, "namespace": namespace}}
        path = f"/apis/faregate.dev/v1alpha1/namespaces/{namespace}/routingtables/{name}"
        return self.ask("PATCH", f"{path}?fieldManager=test&fieldValidation=Strict&force=true", table, APPLY)
