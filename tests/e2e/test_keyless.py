"""Real SDKs in the environment of an injected container, which has no key: the sidecar's Secret makes the call succeed."""

import http.server
import json
import os
import subprocess
import sys
import threading

import pytest
import yaml

from processes import ROOT

KEYS = {"OPENAI_API_KEY": "sk-of-the-secret", "ANTHROPIC_API_KEY": "sk-ant-of-the-secret"}
# What each SDK is asked for; nothing but the environment tells it where to go and with which key.
PROGRAMS = {
    "openai": "from openai import OpenAI\n"
    "answer = OpenAI().chat.completions.create(model='gpt-5', messages=[{'role': 'user', 'content': 'Hello'}])\n"
    "print(answer.choices[0].message.content)",
    "anthropic": "from anthropic import Anthropic\n"
    "answer = Anthropic().messages.create(model='claude-5', max_tokens=9, messages=[{'role': 'user', 'content': 'Hello'}])\n"
    "print(answer.content[0].text)",
}


class Vendor(http.server.BaseHTTPRequestHandler):
    """Both vendors: they answer who brings their key, and nobody else."""

    protocol_version = "HTTP/1.1"
    seen: list[str] = []

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        key, text = bearer or self.headers.get("x-api-key", ""), "Hello from there."
        type(self).seen.append(key)
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        answers = {
            KEYS["OPENAI_API_KEY"]: {
                "id": "c", "object": "chat.completion", "created": 1, "model": "gpt-5", "usage": usage,
                "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            },
            KEYS["ANTHROPIC_API_KEY"]: {
                "id": "m", "type": "message", "role": "assistant", "model": "claude-5", "stop_reason": "end_turn",
                "content": [{"type": "text", "text": text}], "usage": {"input_tokens": 1, "output_tokens": 1},
            },
        }
        body = json.dumps(answers.get(key, {"error": {"message": "wrong key"}})).encode()
        self.send_response(200 if key in answers else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def vendor():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Vendor.seen = []
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def container(name):
    pod = yaml.safe_load((ROOT / "tests/inject/injected/plain.yaml").read_text())
    return next(c for key in ("initContainers", "containers") for c in pod["spec"][key] if c["name"] == name)


@pytest.mark.parametrize("sdk", PROGRAMS)
def test_an_sdk_without_a_key_is_answered(start, vendor, tmp_path, sdk):
    secret = tmp_path / "secret"
    secret.mkdir()
    for name, key in KEYS.items():
        (secret / name).write_text(key)
    mount = next(m for m in container("faregate")["volumeMounts"] if m["name"] == "faregate-credentials")
    assert {"name": "FAREGATE_CREDENTIALS", "value": mount["mountPath"]} in container("faregate")["env"]
    providers = {"openai": {"base_url": f"{vendor}/v1"}, "anthropic": {"base_url": f"{vendor}/v1"}}
    gateway = start({"providers": providers}, {"FAREGATE_CREDENTIALS": str(secret)})

    app = container("app")
    assert "volumeMounts" not in app
    environment = {v["name"]: v["value"].replace("http://127.0.0.1:4000", gateway.url) for v in app["env"]}
    assert not [value for value in environment.values() if value in KEYS.values()]
    environment |= {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAMS[sdk]], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "Hello from there."
    assert Vendor.seen == [KEYS[f"{sdk.upper()}_API_KEY"]]
    record = gateway.record()
    assert (record["outcome"], record["provider"]) == ("ok", sdk), record
    assert not any(key in gateway.log.read_text() + json.dumps(record) for key in KEYS.values())
