"""A pod as kubelet would run it, in containers: an app with the real SDK and no key, the injected sidecar beside it, and a
vendor that demands the key. Podman knows no native sidecars, so the containers are started here in kubelet's order, each
from what `faregate inject` printed."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import pytest
import yaml

from processes import BINARY, PATIENCE, ROOT, eventually

FIRST, SECOND = "sk-of-the-first-secret", "sk-of-the-second-secret"
POD = """
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: shop
  labels: {app: web, faregate.dev/inject: "true"}
spec:
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: app
    image: APP
    command: [PYTHON, -c, "import signal; signal.pause()"]
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""
CONFIG = {
    "providers": {"openai": {"base_url": "http://127.0.0.1:9000/v1"}},
    "observe": {"usage_records": {"path": "-"}},
}
ASK = (
    "from openai import OpenAI\n"
    "answer = OpenAI().chat.completions.create(model='gpt-5', messages=[{'role': 'user', 'content': 'Hello'}])\n"
    "print(answer.choices[0].message.content)"
)
# Everything that an app can look at: its environment, every process that it sees, every file that it may read but those of
# the system, which are the machine's own.
SEARCH = """
import os, sys
keys = [k.encode() for k in sys.argv[1:]]
found = []
for name, value in os.environ.items():
    if any(k in value.encode() for k in keys): found.append(name)
skip = tuple(os.environ.get("SYSTEM", "").split(":"))
for folder, inner, names in os.walk("/"):
    if folder.startswith(skip) or folder == "/sys": inner[:] = []; continue
    for name in names:
        path = os.path.join(folder, name)
        try:
            if not os.path.isfile(path) or folder.startswith("/proc") and name not in ("environ", "cmdline"): continue
            with open(path, "rb") as file:
                if any(k in file.read(1 << 20) for k in keys): found.append(path)
        except OSError: pass
print(found)
"""
VENDOR = """
import http.server, json, os
keys = os.environ["KEYS"].split(",")
class Vendor(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        key = self.headers.get("authorization", "").removeprefix("Bearer ")
        known = key in keys
        answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-5",
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}, "choices": [{"index": 0,
            "finish_reason": "stop", "message": {"role": "assistant", "content": f"key {keys.index(key) + 1}"}}],
        } if known else {"error": {"message": "wrong key"}}
        body = json.dumps(answer).encode()
        self.send_response(200 if known else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("127.0.0.1", 9000), Vendor).serve_forever()
"""


def run(*command, check=True, timeout=PATIENCE * 2, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=timeout, **more)
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done


class Mounted:
    """A Secret or ConfigMap as kubelet mounts it: files are links into a folder that is swapped as a whole."""

    def __init__(self, folder: pathlib.Path):
        self.folder, self.version = folder, 0
        folder.mkdir()

    def write(self, files):
        self.version += 1
        inner = self.folder / f"..{self.version}"
        inner.mkdir()
        for name, text in files.items():
            (inner / name).write_text(text)
            (inner / name).chmod(0o444)
        link = self.folder / "..data_tmp"
        link.symlink_to(inner.name)
        link.rename(self.folder / "..data")
        for name in files:
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")


class Sandbox:
    """One pod."""

    def __init__(self, folder: pathlib.Path):
        self.folder, self.name = folder, f"faregate-{os.getpid()}"
        settings = folder / "containers.conf"
        settings.write_text(
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
            '[containers]\ndefault_ulimits = ["nofile=20000:20000", "nproc=8192:8192"]\n'
        )
        self.environment = {**os.environ, "CONTAINERS_CONF": str(settings)}
        self.images = []

    def podman(self, *arguments, **more):
        return run("podman", *arguments, env=self.environment, **more)

    def image_of_sidecar(self):
        name, program = f"localhost/{self.name}-sidecar", self.folder / "faregate"
        run("strip", "-o", program, BINARY)
        run(ROOT / "deploy/image/build", program, name)
        self.images.append(name)
        return name

    def image_of_app(self):
        """An empty image: the machine's own Python is mounted into it."""
        name = f"localhost/{self.name}-app"
        container = run("buildah", "from", "scratch").stdout.strip()
        run("buildah", "commit", "--quiet", container, name)
        run("buildah", "rm", container)
        self.images.append(name)
        return name

    def create(self):
        self.podman("pod", "create", "--network", "none", "--name", self.name)

    def start(self, container, pod, volumes, *options):
        """Starts one container of a manifest."""
        security = {**pod["spec"].get("securityContext", {}), **container.get("securityContext", {})}
        arguments = ["run", "--detach", "--pod", self.name, "--name", f"{self.name}-{container['name']}", *options]
        user = security.get("runAsUser", 1000)
        arguments += ["--user", f"{user}:{security.get('runAsGroup', user)}", "--cap-drop=all"]
        assert security["allowPrivilegeEscalation"] is False
        arguments.append("--security-opt=no-new-privileges")
        if security.get("readOnlyRootFilesystem"):
            arguments.append("--read-only")
        known = {}
        for variable in container.get("env", []):
            value = variable.get("value")
            if value is None:
                path = variable["valueFrom"]["fieldRef"]["fieldPath"]
                value = {"metadata.namespace": "shop", "metadata.name": "web"}.get(path, "")
            # As kubelet does: $(NAME) of a variable before this one.
            value = re.sub(r"\$\((\w+)\)", lambda name: known.get(name[1], name[0]), value)
            known[variable["name"]] = value
            arguments += ["--env", f"{variable['name']}={value}"]
        for mount in container.get("volumeMounts", []):
            assert mount.get("readOnly"), mount
            arguments += ["--volume", f"{volumes[mount['name']]}:{mount['mountPath']}:ro"]
        self.podman(*arguments, container["image"], *container.get("command", []), *container.get("args", []))

    def inspect(self, name, what):
        return self.podman("inspect", "--format", "{{" + what + "}}", f"{self.name}-{name}").stdout.strip()

    def logs(self, name):
        done = self.podman("logs", f"{self.name}-{name}", check=False)
        return done.stdout + done.stderr

    def in_app(self, program, *arguments, environment=(), check=True):
        variables = [option for pair in environment for option in ("--env", pair)]
        return self.podman("exec", *variables, f"{self.name}-app", sys.executable, "-c", program, *arguments, check=check)

    def is_ready(self):
        done = self.podman("exec", f"{self.name}-faregate", "/faregate", "ready", check=False)
        return done.returncode == 0

    def end(self):
        self.podman("pod", "rm", "--force", "--time", "5", self.name, check=False)
        for image in self.images:
            self.podman("rmi", "--force", image, check=False)


def python_of_this_machine():
    """What the app's container needs of the machine, mounted read-only: Python, the SDK, the C library."""
    folders = ["/usr", "/lib", "/lib64", "/bin", sys.prefix, sys.base_prefix]
    kept = []
    for folder in map(pathlib.Path, folders):
        if folder.exists() and not any(folder.is_relative_to(other) for other in kept):
            kept.append(folder)
    return kept


@pytest.fixture(scope="module")
def pod(tmp_path_factory):
    missing = [program for program in ("podman", "buildah", "runc", "catatonit", "strip") if not shutil.which(program)]
    assert not missing, f"scripts/setup test installs them: {missing}"
    folder = tmp_path_factory.mktemp("sandbox")
    sandbox = Sandbox(folder)
    with contextlib.ExitStack() as stack:
        stack.callback(sandbox.end)
        app, sidecar = sandbox.image_of_app(), sandbox.image_of_sidecar()
        try:
            sandbox.create()
            sandbox.podman("run", "--rm", "--pod", sandbox.name, sidecar, "--version")
        except AssertionError as error:
            pytest.skip(f"podman runs nothing on this machine: {error}")
        manifest = folder / "pod.yaml"
        manifest.write_text(POD.replace("APP", app).replace("PYTHON", sys.executable))
        names = ("--credentials-secret", "llm-keys", "--config-map", "gateway")
        injected = run(BINARY, "inject", "-f", manifest, "--image", sidecar, *names)
        spec = yaml.safe_load(injected.stdout)

        secret, config = Mounted(folder / "secret"), Mounted(folder / "config")
        secret.write({"OPENAI_API_KEY": FIRST})
        config.write({"faregate.yaml": json.dumps(CONFIG)})
        of = {"llm-keys": secret.folder, "gateway": config.folder}
        volumes = {}
        for volume in spec["spec"]["volumes"]:
            source = volume.get("secret", {}).get("secretName") or volume.get("configMap", {}).get("name")
            volumes[volume["name"]] = of[source]

        (first,) = spec["spec"]["initContainers"]
        assert (first["name"], first["restartPolicy"]) == ("faregate", "Always")
        sandbox.start(first, spec, volumes, "--restart=always")
        eventually("the sidecar is ready", sandbox.is_ready)
        mounts = [option for folder in python_of_this_machine() for option in ("--volume", f"{folder}:{folder}:ro")]
        quiet = ("--env", "PYTHONDONTWRITEBYTECODE=1")
        vendor = {"name": "vendor", "image": app, "command": [sys.executable, "-c", VENDOR]}
        vendor["securityContext"] = {"allowPrivilegeEscalation": False}
        sandbox.start(vendor, spec, {}, *mounts, *quiet, "--env", f"KEYS={FIRST},{SECOND}")
        (main,) = spec["spec"]["containers"]
        sandbox.start(main, spec, volumes, *mounts, *quiet)
        sandbox.secret = secret
        yield sandbox


def answered(pod):
    done = pod.in_app(ASK, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def test_the_app_has_no_key_and_is_answered(pod):
    assert eventually("an answer", lambda: answered(pod)) == "key 1", pod.logs("faregate")

    def of_a_call():
        return next((json.loads(line) for line in pod.logs("faregate").splitlines() if '"outcome":"ok"' in line), None)

    record = eventually("its record", of_a_call)
    assert (record["provider"], record["app"].split("/")[0]) == ("openai", "shop"), record


def test_nothing_that_the_app_can_see_holds_the_key(pod):
    system = ":".join(str(folder) for folder in python_of_this_machine())
    found = pod.in_app(SEARCH, FIRST, SECOND, environment=[f"SYSTEM={system}"]).stdout.strip()
    # The arguments of the search itself hold what it looks for.
    assert all(path.endswith("/cmdline") for path in eval(found)), found
    # The search finds what is there.
    planted = pod.in_app(SEARCH, "planted", environment=[f"SYSTEM={system}", "PLANTED=planted"]).stdout
    assert "PLANTED" in planted and "environ" in planted
    # And the key is where it belongs, out of the app's reach.
    assert FIRST not in pod.logs("faregate")


def test_a_rotated_key_is_used_without_a_restart(pod):
    before = pod.inspect("faregate", ".State.Pid")
    pod.secret.write({"OPENAI_API_KEY": SECOND})
    eventually("the second key", lambda: answered(pod) == "key 2")
    assert pod.inspect("faregate", ".State.Pid") == before


def test_a_sidecar_that_is_killed_comes_back(pod):
    before = int(pod.inspect("faregate", ".State.Pid"))
    os.kill(before, signal.SIGKILL)
    eventually("another process", lambda: pod.inspect("faregate", ".State.Pid") not in ("0", str(before)))
    assert eventually("an answer", lambda: answered(pod)) == "key 2"
    assert pod.inspect("app", ".State.Running") == "true"
