"""A small fleet under traffic before a real Prometheus: a control plane, sidecars that follow it, a gateway, a provider that
fails, routers that take 15 % and 30 %, a router that tells of its own time, calls that are made twice. Rules and dashboards
run as they stand, with minutes made seconds."""

import http.server
import json
import pathlib
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import yaml

from control_plane import NAMESPACE, Cluster
from processes import ROOT, Faregate, eventually

MONITORING = ROOT / "deploy/monitoring"
SECONDS = {"5m": "10s", "15m": "12s", "30m": "12s", "1h": "15s", "2h": "18s", "6h": "20s", "1d": "25s", "3d": "30s"}
PRICES = "\n".join(
    ["cards:"]
    + [
        f'- {{provider: {name}, model: "*", reference: true, prices: {{input: 2.5, output: 10}}}}'
        for name in ("vendor", "router", "dear")
    ]
)


def quick(expression: str) -> str:
    """The same with shorter windows, as a test can wait for them."""
    return re.sub(r"\[(\w+)\]|offset (\w+)", lambda m: m[0].replace(m[1] or m[2], SECONDS[m[1] or m[2]]), expression)


def panel_query(expression: str) -> str:
    """A dashboard's query as Grafana would send it, everything chosen."""
    for variable, value in {"$__rate_interval": "10s", "$__range": "60s"}.items():
        expression = expression.replace(variable, value)
    return re.sub(r"\$(namespace|app|provider|model)\b", ".*", expression)


def dashboards() -> dict[str, dict]:
    return {file.stem: json.loads(file.read_text()) for file in sorted((MONITORING / "dashboards").glob("*.json"))}


def panels(dashboard: dict) -> list[dict]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def rules() -> list[dict]:
    groups = [g for file in sorted((MONITORING / "rules").glob("*.yaml")) for g in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


class Router(http.server.BaseHTTPRequestHandler):
    """A router that tells how long the generation took, and takes 50 ms of its own."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(0.06)
        told = {"generation_time": 10, "attempt": 1, "endpoints": {"total": 1, "available": []}}
        usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100, "cost": 0.0035}
        message = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
        answer = {"id": "g", "model": "openai/gpt-4o", "provider": "OpenAI", "choices": [message], "usage": usage}
        body = json.dumps({**answer, "openrouter_metadata": told}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Prometheus:
    def __init__(self, folder: pathlib.Path, targets: list[tuple[str, str, str, str]]):
        folder.mkdir()
        for file in (MONITORING / "rules").glob("*.yaml"):
            document = yaml.safe_load(file.read_text())
            for group in document["groups"]:
                group["interval"] = "1s"
                for rule in group["rules"]:
                    rule["expr"] = quick(rule["expr"])
                    if "for" in rule:
                        rule["for"] = "1s"
            (folder / file.name).write_text(yaml.safe_dump(document))
        jobs = sorted({job for job, *_ in targets})
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["recording.yaml", "alerts.yaml"],
            "scrape_configs": [
                {
                    "job_name": job,
                    # As the chart's monitors have it.
                    "honor_labels": True,
                    "static_configs": [
                        {"targets": [address], "labels": {"namespace": namespace, "pod": pod}}
                        for of, namespace, pod, address in targets
                        if of == job
                    ],
                }
                for job in jobs
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = "{}:{}".format(*free.getsockname())
        self.url = f"http://{address}"
        self.log = (folder / "log").open("w")
        arguments = [f"--web.listen-address={address}", "--query.lookback-delta=10s", "--storage.tsdb.path=data"]
        self.child = subprocess.Popen(
            ["prometheus", "--config.file=prometheus.yml", "--log.level=warn", *arguments], cwd=folder, stderr=self.log
        )
        eventually("Prometheus is ready", lambda: self.answers("/-/ready"))

    def answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(self.url + path, timeout=30) as answer:
                return answer.status == 200
        except OSError:
            return False

    def get(self, path: str, **parameters) -> dict:
        try:
            with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(parameters)}", timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def ask(self, query: str) -> list[dict]:
        """What an instant query finds now."""
        answer = self.get("/api/v1/query", query=query)
        return answer["result"] if answer["resultType"] == "vector" else [answer]

    def over(self, query: str, begin: float, end: float) -> list[dict]:
        return self.get("/api/v1/query_range", query=query, start=begin, end=end, step=1)["result"]

    def firing(self) -> list[dict]:
        """The labels of each alert that fires now."""
        return [alert["labels"] for alert in self.get("/api/v1/alerts")["alerts"] if alert["state"] == "firing"]

    def end(self):
        self.child.kill()
        self.child.wait()
        self.log.close()


class Fleet:
    """The processes, the traffic and the Prometheus; what happens to them is up to the tests.

    Two sidecars in `shop` follow the table of their namespace, one in `batch` that of the cluster, which changes all the
    time. Pods of `old` were made before its label. The gateway and a process for large bodies have files."""

    CALLS = ("chat", "direct", "dear", "down", "local", "twice", "hop", "nobody")
    BUSY = ("web-1", "web-2", "gateway")

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        (folder / "prices.yaml").write_text(PRICES)
        self.router = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Router)
        threading.Thread(target=self.router.serve_forever, daemon=True).start()
        self.cluster = Cluster(folder / "cluster")
        self.cluster.namespace("old")
        self.cluster.pod("old", "web-0")
        for name in ("shop", "batch", "old"):
            self.cluster.namespace(name, labels={"faregate.dev/inject": "enabled"})
        self.cluster.table("shop", self.table())
        self.publish(0)
        self.processes = {
            "web-1": self.sidecar("shop", "web-1", {"NEXT_API_KEY": "a key that web-2 has not"}),
            "web-2": self.sidecar("shop", "web-2"),
            "batch-1": self.sidecar("batch", "batch-1"),
            "gateway": self.alone("gateway"),
            "images-1": self.alone("images-1"),
        }
        # What a pod gets has changed since.
        limit = {"faregate.dev/cpu-limit": "2"}
        self.cluster.namespace("shop", labels={"faregate.dev/inject": "enabled"}, annotations=limit)
        namespaces = {"web-1": "shop", "web-2": "shop", "batch-1": "batch", "images-1": "images", "gateway": NAMESPACE}
        targets = [
            ("gateway" if name == "gateway" else "sidecars", namespaces[name], name, process.admin.removeprefix("http://"))
            for name, process in self.processes.items()
        ]
        targets.append(("control", NAMESPACE, "control-1", self.cluster.control.addresses["admin"]))
        self.prometheus = Prometheus(folder / "prometheus", targets)
        self.began = time.time()
        self.calls = list(self.CALLS)
        self.stopping = threading.Event()
        self.publishing, self.large = threading.Event(), threading.Event()
        self.publishing.set()
        work = [(self.call, (name,)) for name in self.BUSY] + [(self.publish_again, ()), (self.call_large, ())]
        self.threads = [threading.Thread(target=target, args=arguments) for target, arguments in work]
        for thread in self.threads:
            thread.start()

    def sidecar(self, namespace: str, pod: str, env: dict | None = None) -> Faregate:
        made = self.cluster.pod(namespace, pod)
        assert [it["name"] for it in made["spec"]["initContainers"]] == ["faregate"], made
        return self.cluster.sidecar(self.folder / pod, namespace, pod, env or {})

    def alone(self, name: str) -> Faregate:
        (self.folder / name).mkdir()
        return Faregate(self.folder / name, self.table())

    def publish(self, number: int):
        """Another table for the cluster."""
        route = {"name": "any", "match": {"model": f"model-{number}"}, "targets": [{"provider": "local", "model": "tiny"}]}
        self.cluster.table(NAMESPACE, {"providers": {"local": {"preset": "simulated"}}, "routes": [route]})

    def publish_again(self):
        """Two tables in turns, so that sidecars have something to take within every window of a rate."""
        turn = 0
        while not self.stopping.wait(6):
            if self.publishing.is_set():
                turn += 1
                self.publish(turn % 2)

    def table(self, router_prices=("2.875", "11.5")) -> dict:
        def simulated(delay="20ms", prices=None, **more):
            priced = {"input_price": prices[0], "output_price": prices[1]} if prices else {}
            return {"preset": "simulated", "simulate": {"delay": delay, "output_tokens": 20, **priced, **more}}

        def route(name, *targets, **more):
            return {"name": name, "match": {"model": name}, "targets": [dict(zip(("provider", "model"), t)) for t in targets], **more}

        host, port = self.router.server_address
        return {
            # Equal on all, so that equal tables have equal hashes.
            "observe": {"usage_records": {"path": "usage.jsonl"}},
            "prices": {"overlays": [str(self.folder / "prices.yaml")]},
            "providers": {
                "vendor": simulated(prices=("2.5", "10"), tokens_per_second=400),
                "router": simulated("35ms", prices=router_prices, tokens_per_second=300),
                "dear": simulated(prices=("3.25", "13")),
                "shaky": simulated(error_rate=1.0, error_status=529),
                # Keeps no connection, so that connecting goes on.
                "local": {**simulated("5ms", tokens_per_second=500), "max_idle": 0},
                "hop": {"preset": "openrouter", "base_url": f"http://{host}:{port}", "credentials": "none"},
            },
            "routes": [
                route("chat", ("shaky", "big"), ("router", "big"), ("vendor", "big")),
                route("direct", ("vendor", "big")),
                route("dear", ("dear", "big")),
                route("down", ("shaky", "small")),
                route("local", ("local", "tiny")),
                route("twice", ("router", "big"), probe={"target": "vendor/big", "share": 1.0, "budget_usd_per_day": 5}),
                route("hop", ("hop", "openai/gpt-4o")),
            ],
        }

    def call(self, name: str):
        faregate = self.processes[name]
        turn = 0
        while not self.stopping.is_set():
            model = self.calls[turn % len(self.calls)]
            turn += 1
            ask = {"model": model, "stream": model in ("chat", "direct", "twice", "local")}
            ask["messages"] = [{"role": "user", "content": "Hello there"}]
            self.ask(faregate, ask, ("shop", "search", "support")[turn % 3])
            self.stopping.wait(0.02)

    def call_large(self):
        """An app that sends twenty megabytes with each call, while it does."""
        content = "All work and no play makes Jack a dull boy. " * 500_000
        ask = {"model": "direct", "messages": [{"role": "user", "content": content}]}
        while not self.stopping.wait(0.2):
            if self.large.is_set():
                self.ask(self.processes["images-1"], ask, "images")

    def ask(self, faregate: Faregate, ask: dict, app: str) -> int | None:
        """The status of the answer."""
        headers = {"content-type": "application/json", "x-faregate-app": app}
        request = urllib.request.Request(f"{faregate.url}/v1/chat/completions", json.dumps(ask).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()
                return answer.status
        except urllib.error.HTTPError as refused:
            refused.read()
            return refused.code
        except OSError:
            if not self.stopping.is_set():
                raise
            return None

    def end(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
        self.prometheus.end()
        for process in self.processes.values():
            process.end()
        self.cluster.end()
        self.router.shutdown()
