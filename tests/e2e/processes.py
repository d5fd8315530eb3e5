"""The processes of a test: Faregate, model servers, Node.js programs. Each is ended by its own id."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.request

import yaml

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
BINARY = os.environ.get("FAREGATE_BIN", str(ROOT / "target/debug/faregate"))
# Bounds on waiting: a loaded machine may take long, and nothing here measures speed.
PATIENCE = 120


def eventually(what, condition):
    """The first true value of `condition`; fails after a long time."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"never came: {what}")


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return answer.read().decode()


class Process:
    def __init__(self, arguments, *, env, cwd, log: pathlib.Path):
        self.log = log
        self.child = subprocess.Popen(
            arguments, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log.open("w"), text=True
        )

    def first_line(self) -> str:
        line = self.child.stdout.readline()
        if not line:
            raise AssertionError(f"ended before it was ready:\n{self.log.read_text()}")
        return line.strip()

    def kill(self):
        self.child.kill()
        self.child.wait()

    def end(self):
        if self.child.poll() is None:
            self.kill()
        self.child.stdin.close()
        self.child.stdout.close()


class Model(Process):
    """A model server (model_server.py)."""

    def __init__(self, folder: pathlib.Path, *arguments: str):
        log = folder / f"model-{len(list(folder.glob('model-*')))}.log"
        super().__init__(
            [sys.executable, str(HERE / "model_server.py"), *arguments], env=dict(os.environ), cwd=folder, log=log
        )
        self.url = self.first_line()

    def busy(self) -> bool:
        """Whether it works on a call at this moment."""
        return any(slot["is_processing"] for slot in json.loads(fetch(f"{self.url}/slots")))


class Faregate(Process):
    """The binary under test, in an empty environment and with ports that the system chooses."""

    def __init__(self, folder: pathlib.Path, config: dict | None, env: dict | None = None, more: list[str] | None = None):
        self.folder = folder
        arguments = [BINARY, "run", "--print-addresses", *(more or [])]
        if config is not None:
            self.write(config)
            arguments += ["--config", str(self.file)]
        environment = {"PATH": os.environ["PATH"], **(env or {})}
        super().__init__(arguments, env=environment, cwd=folder, log=folder / "faregate.log")
        addresses = json.loads(self.first_line())
        self.url, self.admin = f"http://{addresses['api']}", f"http://{addresses['admin']}"

    @property
    def file(self) -> pathlib.Path:
        return self.folder / "faregate.yaml"

    def write(self, config: dict):
        """Replaces the configuration by renaming a new file over it, as editors do."""
        server = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", **config.get("server", {})}
        observe = {"usage_records": {"path": str(self.folder / "usage.jsonl")}, **config.get("observe", {})}
        new = self.folder / ".faregate.yaml.new"
        new.write_text(yaml.safe_dump({**config, "server": server, "observe": observe}))
        new.rename(self.file)

    def records(self) -> list[dict]:
        """The usage records on file now."""
        with contextlib.suppress(FileNotFoundError):
            text = (self.folder / "usage.jsonl").read_text()
            return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return []

    def record(self, number: int = 1) -> dict:
        """Waits for so many records in all; the newest."""
        eventually(f"usage record {number}", lambda: len(self.records()) >= number)
        records = self.records()
        assert len(records) == number, records
        return records[-1]

    def metrics(self) -> str:
        return fetch(f"{self.admin}/metrics")

    def stop(self) -> list[dict]:
        """Stops it in good order; every record there will ever be."""
        self.child.send_signal(signal.SIGTERM)
        assert self.child.wait(PATIENCE) == 0, self.log.read_text()
        return self.records()


def node(program: str, env: dict) -> dict:
    """Runs a program of tests/e2e/node; it prints one JSON value on its last line."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **env}
    done = subprocess.run(
        ["node", str(HERE / "node" / program)], env=environment, capture_output=True, text=True, timeout=5 * PATIENCE
    )
    assert done.returncode == 0, f"{program}:\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout.strip().splitlines()[-1])


def provider(url: str) -> dict:
    """A model server as a provider: both dialects, and no key."""
    return {
        "endpoints": {"openai": f"{url}/v1", "anthropic": f"{url}/v1"},
        "credentials": "none",
        "timeouts": {"first_byte": "300s", "idle": "300s"},
    }


def table(**providers: str) -> dict:
    """Providers by name and URL, and one route that tries them in this order."""
    return {
        "providers": {name: provider(url) for name, url in providers.items()},
        "routes": [{"name": "all", "targets": [{"provider": name, "model": "smollm2"} for name in providers]}],
    }
