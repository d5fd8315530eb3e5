"""The commands of the runbooks that ask Kubernetes, by kubectl itself, while what their pages are about goes on.

Optional, as all that wants a whole API server: KUBEBUILDER_ASSETS names it."""

import contextlib
import os
import re
import subprocess

import pytest

from processes import ROOT, eventually
from test_chart import TOOLS
from test_cluster import INJECT, SYSTEM, TABLE, Sidecar, injected, pod, reasons
from test_cluster import cluster, control, rendered  # noqa: F401 (fixtures)

# What nobody answers here, with the reason.
ELSEWHERE = {
    "kubectl logs": "there is no kubelet",
    "kubectl port-forward": "there is no kubelet",
    "kubectl describe certificate": "a kind of cert-manager's",
}
# What each of the others prints, by its beginning.
SAYS = {
    "kubectl get pods --namespace late": r"early +\S+ +<none>\s+late +\S+ +\S*[0-9a-f]{8}",
    "kubectl get pods --namespace faregate-system": "",
    "kubectl describe routingtable": r"NOWHERE_KEY[^\0]*ResolvedRefs|ResolvedRefs[^\0]*NOWHERE_KEY",
    "kubectl get secret": "notAfter=",
    "kubectl auth can-i": "^yes$",
    "kubectl rollout restart deployment": "deployment.apps/web restarted",
    "kubectl delete secret": 'secret "faregate-control-tls" deleted',
}


def commands() -> list[str]:
    found = set()
    for page in (ROOT / "docs/runbooks").glob("*.md"):
        text = page.read_text()
        found |= {*re.findall("^kubectl .*$", text, re.MULTILINE), *re.findall("`(kubectl [^`]*)`", text)}
    found = {command.replace("NAMESPACE", "late") for command in found}
    # What takes something away comes last.
    return sorted((it for it in found if not it.startswith(tuple(ELSEWHERE))), key=lambda it: (" delete " in it, it))


@pytest.fixture(scope="module")
def late(cluster, control):  # noqa: F811
    """A namespace with a pod from before its label, a Deployment, and a sidecar that refuses its table."""
    cluster.make("/api/v1/namespaces", {"metadata": {"name": "late"}})
    cluster.make("/api/v1/namespaces/late/serviceaccounts", {"metadata": {"name": "default"}})
    assert cluster.create_pod(pod("early"), "late", "")[0] == 201
    label = {"metadata": {"labels": {INJECT: "enabled"}}}
    assert cluster.ask("PATCH", "/api/v1/namespaces/late", label, "application/merge-patch+json")[0] == 200
    eventually("a pod with the sidecar", lambda: injected(cluster.create_pod(pod("late"), "late", "")))
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "app"}]}}
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template}
    cluster.make("/apis/apps/v1/namespaces/late/deployments", {"metadata": {"name": "web"}, "spec": spec})
    mine = {**TABLE["providers"]["mine"], "credentials": {"env": "NOWHERE_KEY"}}
    assert cluster.apply_table({**TABLE, "providers": {"mine": mine}}, namespace="late")[0] in (200, 201)
    with contextlib.ExitStack() as stack:
        Sidecar(control, cluster, "late", stack)
        refused = ("False", "Refused")
        eventually("the sidecar's refusal", lambda: reasons(cluster, "late").get("ResolvedRefs") == refused)
        yield


@pytest.mark.parametrize("command", commands())
def test_the_command_does_what_its_page_says(cluster, late, command):  # noqa: F811
    user = {"client-certificate": str(cluster.folder / "admin.crt"), "client-key": str(cluster.folder / "admin.key")}
    path = f"{TOOLS / 'helm4' / 'kubectl'}:{os.environ['PATH']}"
    env = {"PATH": path, "KUBECONFIG": str(cluster.kubeconfig("admin", user)), "HOME": str(cluster.folder)}
    shell = ["bash", "-o", "pipefail", "-euc", command]
    done = subprocess.run(shell, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (says,) = [words for start, words in SAYS.items() if command.startswith(start)]
    assert re.search(says, done.stdout, re.MULTILINE), done.stdout
    if " delete secret " in command:
        secret = f"/api/v1/namespaces/{SYSTEM}/secrets/faregate-control-tls"
        eventually("another authority", lambda: cluster.ask("GET", secret)[0] == 200)
        eventually("pods are injected by its trust", lambda: injected(cluster.create_pod(pod("after"), "late")))
