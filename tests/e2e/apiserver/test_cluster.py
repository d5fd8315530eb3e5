"""The control plane at a whole API server: what the chart renders is taken, and `faregate control` does its work there with
the rights that the chart gives it, the API server's own admission, tokens and conditions.

No kubelet: pods stay pending, sidecars are processes. No network of services: webhooks are reached by URL.

Optional: KUBEBUILDER_ASSETS names a folder with `kube-apiserver` and `etcd`. Where it does not, this says so."""

import base64
import contextlib
import json
import signal

import pytest
import yaml

from api_server import APPLY, Server, free_port, whole_is_there
from processes import BINARY, PATIENCE, ROOT, Process, eventually, fetch
from test_chart import GOOD, objects, template

SYSTEM = "faregate-system"
TABLE = {"providers": {"mine": {"base_url": "http://127.0.0.1:1/v1", "credentials": "none"}},
         "routes": [{"name": "all", "targets": [{"provider": "mine"}]}]}
INJECT = "faregate.dev/inject"
PODS = sorted((ROOT / "tests/inject/pods").glob("*.yaml"))


class Cluster(Server):
    """A server that knows its kinds, with the chart's objects in it."""

    def __init__(self, folder, stack):
        super().__init__(folder, stack, whole=True)
        self.kinds = {}
        for name, labels in {SYSTEM: {}, "shop": {INJECT: "enabled"}, "bank": {}, "strict": {
                INJECT: "enabled", "pod-security.kubernetes.io/enforce": "restricted"}}.items():
            self.make("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
            # Where a controller makes them.
            self.make(f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})

    def make(self, path, body):
        status, said = self.ask("POST", f"{path}?fieldValidation=Strict", body)
        assert status == 201, said
        return said

    def path(self, thing):
        """Where an object is, by the server's own list of kinds."""
        group, kind = thing["apiVersion"], thing["kind"]
        root = f"/apis/{group}" if "/" in group else f"/api/{group}"
        if group not in self.kinds:
            self.kinds[group] = {r["kind"]: r for r in self.ask("GET", root)[1]["resources"] if "/" not in r["name"]}
        found = self.kinds[group][kind]
        where = f"/namespaces/{thing['metadata'].get('namespace', SYSTEM)}" if found["namespaced"] else ""
        return f"{root}{where}/{found['name']}/{thing['metadata']['name']}"

    def apply(self, thing, *more):
        query = "&".join(["fieldManager=helm", "fieldValidation=Strict", "force=true", *more])
        return self.ask("PATCH", f"{self.path(thing)}?{query}", thing, APPLY)

    def token(self, namespace, account, **more):
        asked = {"spec": {"expirationSeconds": 3600, **more}}
        return self.make(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", asked)["status"]["token"]

    def create_pod(self, pod, namespace="shop", query="dryRun=All"):
        return self.ask("POST", f"/api/v1/namespaces/{namespace}/pods?{query}", pod)


class Control(Process):
    """`faregate control` as the Deployment runs it, but for its addresses."""

    def __init__(self, cluster, rendered, webhook_port, stack):
        (deployment,) = [thing for thing in rendered if thing["kind"] == "Deployment"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        (settings,) = [thing for thing in rendered if thing["metadata"]["name"] == "faregate-injection"]
        file = cluster.folder / "injection.yaml"
        file.write_text(settings["data"]["injection.yaml"])
        self.cluster = cluster
        ports = {"webhook": webhook_port, "distribution": free_port(), "admin": free_port()}
        self.tables, self.admin = f"127.0.0.1:{ports['distribution']}", f"127.0.0.1:{ports['admin']}"
        drop = ("--settings=", "--peers=")
        self.arguments = [BINARY, *[a for a in container["args"] if not a.startswith(drop)], f"--settings={file}",
                          *[f"--{name}=127.0.0.1:{port}" for name, port in ports.items()], "--print-addresses",
                          "--certificate-name=127.0.0.1", "--lease-duration=3s", "--status-pause=100ms"]
        account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
        access = cluster.kubeconfig("control", {"token": cluster.token(SYSTEM, account)})
        image = next(v["value"] for v in container["env"] if v["name"] == "FAREGATE_IMAGE")
        self.env = {"KUBECONFIG": str(access), "FAREGATE_IMAGE": image, "FAREGATE_NAMESPACE": SYSTEM,
                    "FAREGATE_POD": "one", "RUST_LOG": "info,faregate=debug"}
        self.run()
        stack.callback(self.end)

    def run(self, *more):
        instead = tuple(f"{argument.split('=')[0]}=" for argument in more)
        kept = [argument for argument in self.arguments if not argument.startswith(instead)]
        super().__init__([*kept, *more], env=self.env, cwd=self.cluster.folder,
                         log=self.cluster.folder / f"control-{free_port()}.log")
        self.first_line()
        eventually("the control plane is ready", self.is_ready)

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        assert self.child.wait(PATIENCE) == 0
        self.end()

    def is_ready(self):
        assert self.child.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError):
            return fetch(f"http://{self.admin}/readyz")

    def metric(self, series):
        found = [line for line in fetch(f"http://{self.admin}/metrics").splitlines() if line.startswith(series + " ")]
        return float(found[0].rsplit(" ", 1)[1]) if found else None


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if not whole_is_there():
        pytest.skip("NOT TESTED at a whole API server: KUBEBUILDER_ASSETS names none")
    with contextlib.ExitStack() as stack:
        yield Cluster(tmp_path_factory.mktemp("cluster"), stack)


@pytest.fixture(scope="module")
def rendered():
    return objects(template("helm4", {}))


@pytest.fixture(scope="module")
def control(cluster, rendered):
    """The chart's objects, in the order in which Helm makes them, and the control plane at work."""
    for thing in rendered:
        if thing["kind"] == "CustomResourceDefinition":
            cluster.install_definition(thing)
    with contextlib.ExitStack() as stack:
        for thing in rendered:
            if thing["kind"] == "CustomResourceDefinition" or "helm.sh/hook" in thing["metadata"].get("annotations", {}):
                continue
            if "WebhookConfiguration" not in thing["kind"]:
                status, said = cluster.apply(thing)
                assert status in (200, 201), said
        webhooks = [thing for thing in rendered if "WebhookConfiguration" in thing["kind"]]
        # They are made without an authority: the control plane fills it in.
        webhook_port = free_port()
        for thing in webhooks:
            for webhook in thing["webhooks"]:
                service = webhook["clientConfig"].pop("service")
                assert service["name"] == "faregate-control"
                webhook["clientConfig"]["url"] = f"https://127.0.0.1:{webhook_port}{service['path']}"
            status, said = cluster.apply(thing)
            assert status == 201, said
        one = Control(cluster, rendered, webhook_port, stack)
        eventually("a pod is injected", lambda: injected(cluster.create_pod(pod("first"))))
        yield one


def pod(name, labels=None, **spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {}},
            "spec": {"containers": [{"name": "app", "image": "app"}], **spec}}


def injected(answer):
    status, said = answer
    return status == 201 and [c["name"] for c in said["spec"].get("initContainers", [])] == ["faregate"]


@pytest.mark.parametrize("name", [name for name in GOOD if name not in ("monitoring", "cert-manager", "cert-manager-issuer")])
def test_all_that_the_chart_renders_is_taken(cluster, control, name):
    """Each object is looked at as if it were applied; webhook configurations as they are, with their Service."""
    for thing in objects(template("helm4", GOOD[name])):
        status, said = cluster.apply(thing, "dryRun=All")
        assert status in (200, 201), f"{thing['kind']} {thing['metadata']['name']}: {said}"


def test_the_authority_is_written_beside_what_helm_owns(cluster, control):
    for kind in ("mutating", "validating"):
        _, found = cluster.ask("GET", f"/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations/faregate")
        for webhook in found["webhooks"]:
            assert base64.b64decode(webhook["clientConfig"]["caBundle"]).startswith(b"-----BEGIN CERTIFICATE")
        owners = {entry["manager"]: json.dumps(entry["fieldsV1"]) for entry in found["metadata"]["managedFields"]}
        (own,) = [manager for manager in owners if manager != "helm"]
        assert "f:caBundle" in owners[own] and "f:rules" not in owners[own], owners
        assert "f:caBundle" not in owners["helm"]


def test_pods_that_ask_get_the_sidecar_and_no_others(cluster, control):
    assert injected(cluster.create_pod(pod("plain")))
    assert not injected(cluster.create_pod(pod("no-thanks", {INJECT: "false"})))
    # A condition in CEL, which the API server evaluates: the control plane is not even asked.
    questions = 'faregate_control_admissions_total{result="injected",webhook="inject"}'
    before = control.metric(questions)
    status, said = cluster.create_pod(pod("on-its-node", hostNetwork=True))
    assert status == 201 and "initContainers" not in said["spec"], said
    assert control.metric(questions) == before
    assert injected(cluster.create_pod(pod("off-its-node", hostNetwork=False)))
    assert not injected(cluster.create_pod(pod("elsewhere"), "bank"))
    assert injected(cluster.create_pod(pod("asks-itself", {INJECT: "true"}), "bank"))
    assert not injected(cluster.create_pod(pod("our-own", {INJECT: "true"}), SYSTEM))
    # Under the rules of `restricted`, enforced by the API server itself.
    safe = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    strict = pod("strict", securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}})
    strict["spec"]["containers"][0]["securityContext"] = safe
    assert injected(cluster.create_pod(strict, "strict"))
    assert cluster.create_pod(pod("loose"), "strict")[0] == 403


@pytest.mark.parametrize("file", PODS, ids=lambda file: file.stem)
def test_the_api_server_takes_each_shape_with_the_sidecar_in_it(cluster, control, file):
    """It gives what `faregate inject` gives, plus its own defaults; a pod that it refuses it refuses without us too."""
    text = file.read_text()
    for thing in [json.loads(text)] if text.startswith("{") else yaml.safe_load_all(text):
        for found in things(thing):
            spec = template_of(found)
            if spec is None:
                continue
            name = (found.get("metadata") or {}).get("name", "shape")
            asked = {"apiVersion": "v1", "kind": "Pod", "spec": spec["spec"],
                     "metadata": {**(spec.get("metadata") or {}), "namespace": "shop", "name": name}}
            asked["metadata"].pop("generateName", None)
            asked["metadata"].pop("ownerReferences", None)
            # Where nothing is injected.
            taken = cluster.create_pod({**asked, "metadata": {**asked["metadata"], "namespace": SYSTEM}}, SYSTEM)
            status, said = cluster.create_pod(asked)
            if taken[0] != 201:
                assert status != 201, said
                continue
            if status != 201:
                # Ours to refuse: it says what to change.
                assert "faregate" in said["message"] and "admission webhook" in said["message"], said
                continue
            names = [c["name"] for c in said["spec"].get("initContainers", []) + said["spec"]["containers"]]
            assert len(names) == len(set(names))
            for container in asked["spec"].get("initContainers") or []:
                assert container["name"] in names
            again = cluster.create_pod({"apiVersion": "v1", "kind": "Pod", "spec": said["spec"],
                                        "metadata": {k: said["metadata"][k] for k in ("name", "namespace", "labels",
                                                     "annotations") if k in said["metadata"]}})
            assert (again[0], again[1].get("spec")) == (201, said["spec"]), "asked again, it changed"


def things(thing):
    if not isinstance(thing, dict):
        return []
    if thing.get("kind", "").endswith("List"):
        return [found for item in thing["items"] for found in things(item)]
    return [thing]


def template_of(thing):
    """The pod in an object, if it has one."""
    if thing.get("kind") == "Pod":
        return thing
    spec = thing.get("spec") or {}
    if thing.get("kind") == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec.get("template") if isinstance(spec.get("template"), dict) and "spec" in spec["template"] else None


def test_wrong_annotations_are_refused_with_what_to_write(cluster, control):
    wrong = pod("wrong")
    wrong["metadata"]["annotations"] = {"faregate.dev/cpu-limit": "lots"}
    status, said = cluster.create_pod(wrong)
    assert status != 201 and "faregate.dev/cpu-limit" in said["message"], said
    mode = pod("mode")
    mode["metadata"]["annotations"] = {"faregate.dev/mode": "transparent"}
    status, said = cluster.create_pod(mode)
    assert status != 201 and "faregate.dev/mode" in said["message"], said


def test_wrong_tables_are_refused_with_line_key_and_reason(cluster, control):
    wrong = {**TABLE, "routes": [{"name": "all", "targets": [{"provider": "nobody"}]}]}
    status, said = cluster.apply_table(wrong)
    assert status >= 400 and "nobody" in said["message"] and "routes[0].targets[0]" in said["message"], said
    assert cluster.apply_table(TABLE)[0] in (200, 201)
    text = yaml.safe_dump(wrong)

    def labelled(labels, text):
        return {"apiVersion": "v1", "kind": "ConfigMap", "data": {"faregate.yaml": text},
                "metadata": {"name": "by-file", "namespace": "bank", "labels": labels}}

    status, said = cluster.apply(labelled({"faregate.dev/routing-table": "true"}, text))
    assert status >= 400 and "nobody" in said["message"], said
    assert cluster.apply(labelled({}, text), "dryRun=All")[0] in (200, 201), "not ours"
    assert cluster.apply(labelled({"faregate.dev/routing-table": "true"}, yaml.safe_dump(TABLE)), "dryRun=All")[0] == 201


class Sidecar(Process):
    """`faregate run` as injection starts it, with a token from the API server."""

    def __init__(self, control, cluster, namespace, stack, audience=None, name="sidecar"):
        asked = json.loads(json.dumps(cluster.create_pod(pod("look"))[1]))
        projected = [source["serviceAccountToken"] for volume in asked["spec"]["volumes"]
                     for source in volume.get("projected", {}).get("sources", []) if "serviceAccountToken" in source]
        self.audience = next(p["audience"] for p in projected if p.get("audience"))
        folder = cluster.folder / f"{name}-{namespace}"
        folder.mkdir()
        token = folder / "token"
        token.write_text(cluster.token(namespace, "default", audiences=[audience or self.audience]))
        _, secret = cluster.ask("GET", f"/api/v1/namespaces/{SYSTEM}/secrets/faregate-control-tls")
        env = {"FAREGATE_CONTROL": f"https://{control.tables}", "FAREGATE_CONTROL_TOKEN": str(token),
               "FAREGATE_CONTROL_CA": base64.b64decode(secret["data"]["ca.crt"]).decode(), "FAREGATE_STATE": str(folder),
               "RUST_LOG": "info,faregate=debug"}
        super().__init__([BINARY, "run", "--print-addresses", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0"],
                         env=env, cwd=folder, log=folder / "log")
        stack.callback(self.end)
        self.admin = json.loads(self.first_line())["admin"]

    def table(self):
        with contextlib.suppress(OSError):
            return json.loads(fetch(f"http://{self.admin}/admin/table"))["hash"]


def table_status(cluster, namespace):
    _, found = cluster.ask("GET", f"/apis/faregate.dev/v1alpha1/namespaces/{namespace}/routingtables/default")
    return found.get("status") or {}


def reasons(cluster, namespace):
    return {c["type"]: (c["status"], c["reason"]) for c in table_status(cluster, namespace).get("conditions", [])}


def test_sidecars_show_a_token_and_run_the_table_of_their_namespace(cluster, control):
    other = {**TABLE, "routes": [{"name": "other", "targets": [{"provider": "mine"}]}]}
    assert cluster.apply_table(TABLE, namespace=SYSTEM)[0] in (200, 201)
    assert cluster.apply_table(other)[0] in (200, 201)
    with contextlib.ExitStack() as stack:
        shop, bank = (Sidecar(control, cluster, namespace, stack) for namespace in ("shop", "bank"))
        eventually("the shop's own table", lambda: shop.table() == table_status(cluster, "shop").get("hash"))
        eventually("the cluster's table", lambda: bank.table() == table_status(cluster, SYSTEM).get("hash"))
        assert shop.table() != bank.table()
        eventually("the status tells", lambda: reasons(cluster, "shop").get("Programmed") == ("True", "Programmed"))
        assert table_status(cluster, "shop")["sidecars"] == {"connected": 1, "programmed": 1, "refused": 0}
        _, found = cluster.ask("GET", "/apis/faregate.dev/v1alpha1/namespaces/shop/routingtables/default")
        assert found["status"]["conditions"][0]["observedGeneration"] == found["metadata"]["generation"]
        assert found["spec"] == other
        # Without a table of its own, the shop has the cluster's.
        assert cluster.ask("DELETE", "/apis/faregate.dev/v1alpha1/namespaces/shop/routingtables/default")[0] == 200
        eventually("the cluster's table in the shop", lambda: shop.table() == bank.table())
        # A token for somebody else is none.
        stranger = Sidecar(control, cluster, "shop", stack, audience="https://kubernetes.default.svc", name="stranger")
        denied = 'faregate_control_token_reviews_total{result="denied"}'
        eventually("it is refused", lambda: (control.metric(denied) or 0) > 0)
        assert stranger.table() != bank.table()


def test_pods_that_were_there_before_are_counted(cluster, control):
    cluster.make("/api/v1/namespaces", {"metadata": {"name": "late"}})
    cluster.make("/api/v1/namespaces/late/serviceaccounts", {"metadata": {"name": "default"}})
    assert cluster.create_pod(pod("early"), "late", "")[0] == 201
    label = {"metadata": {"labels": {INJECT: "enabled"}}}
    assert cluster.ask("PATCH", "/api/v1/namespaces/late", label, "application/merge-patch+json")[0] == 200
    series = 'faregate_control_uninjected_pods{namespace="late"}'
    eventually("one is without", lambda: control.metric(series) == 1.0)
    assert injected(cluster.create_pod(pod("late"), "late", ""))
    assert cluster.ask("DELETE", "/api/v1/namespaces/late/pods/early?gracePeriodSeconds=0")[0] == 200
    eventually("none is", lambda: control.metric(series) in (None, 0.0))


def test_while_it_is_gone_pods_that_ask_wait_and_nobody_else(cluster, control):
    control.stop()
    status, said = cluster.create_pod(pod("waits"))
    assert status == 500 and "failed calling webhook" in said["message"], said
    assert cluster.create_pod(pod("goes-on", {INJECT: "false"}))[0] == 201
    assert cluster.create_pod(pod("goes-on"), "bank")[0] == 201
    assert cluster.create_pod(pod("goes-on"), SYSTEM)[0] == 201
    control.run()
    eventually("pods are injected again", lambda: injected(cluster.create_pod(pod("waits"))))


def test_certificates_are_renewed_while_pods_are_made(cluster, control):
    """Lives of seconds: the API server asks by the trust that it has heard of, and no question fails."""
    control.stop()
    assert cluster.ask("DELETE", f"/api/v1/namespaces/{SYSTEM}/secrets/faregate-control-tls")[0] == 200
    control.run("--authority-lifetime=24s", "--certificate-lifetime=9s", "--authority-settling=3s", "--clock-skew=0")
    eventually("pods are injected by the new authority", lambda: injected(cluster.create_pod(pod("waits"))))
    made = 0

    def renewed(what):
        return control.metric(f'faregate_control_certificate_rotations_total{{certificate="{what}"}}') or 0

    def enough():
        nonlocal made
        answer = cluster.create_pod(pod("under-way"))
        assert injected(answer), f"pod {made}: {answer[1]}"
        made += 1
        return renewed("authority") >= 3 and renewed("certificate") >= 6

    eventually("two more authorities", enough)
    print(f"{made} pods while certificates were renewed, none failed")
    control.stop()
    control.run()


def test_nothing_was_asked_that_the_chart_does_not_allow(cluster, control):
    said = "".join(log.read_text() for log in cluster.folder.glob("control-*.log"))
    assert "orbidden" not in said, said[said.index("orbidden") - 500:][:1000]
