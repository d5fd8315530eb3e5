"""What others read of Faregate, held by their own tools: metrics by promtool, the schema by a JSON Schema
library, the snippets of the documentation by running them."""

import json
import os
import re
import subprocess
import sys

import jsonschema
import pytest
import yaml

from processes import HERE, ROOT, table
from test_python_sdks import ASK, SHORT, anthropic_client, openai_client

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def promtool(*arguments, text=None):
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_metrics_of_a_busy_gateway_pass_promtool(start, model):
    gateway = start(table(gone="http://127.0.0.1:9", model=model.url))
    openai_client(gateway).chat.completions.create(model="any", messages=ASK, **SHORT)
    list(openai_client(gateway).chat.completions.create(model="any", messages=ASK, stream=True, **SHORT))
    anthropic_client(gateway).messages.create(model="any", messages=ASK, max_tokens=4)
    gateway.record(3)
    text = gateway.metrics()
    assert 'outcome="ok"' in text and "faregate_fallbacks_total{" in text
    code, said = promtool("check", "metrics", text=text)
    assert code == 0, said


def test_promtool_is_heard():
    code, _ = promtool("check", "metrics", text="# TYPE a counter\na{ 1\n")
    assert code != 0


class Yaml12(yaml.SafeLoader):
    """As Faregate and editors read it: `on` is a word, not a truth as YAML 1.1 had it."""


Yaml12.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Yaml12.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))


def test_the_schema_admits_every_example_and_refuses_a_wrong_key():
    schema = json.loads((ROOT / "config/faregate.schema.json").read_text())
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    validator = validator(schema)
    examples = [p for p in sorted((ROOT / "config").glob("**/*.yaml")) if p.name not in ("presets.yaml", "sdk-env.yaml")]
    assert examples
    for example in examples:
        document = yaml.load(example.read_text(), Yaml12)
        errors = [f"{example.name}: {error.json_path}: {error.message}" for error in validator.iter_errors(document)]
        assert not errors, errors
    assert list(validator.iter_errors({"providres": {}}))
    assert list(validator.iter_errors({"server": {"workers": "many"}}))


def snippets(*languages):
    found = []
    for document in DOCUMENTS:
        for language, body in re.findall(r"^```(\w+)[^\n]*\n(.*?)^```", document.read_text(), re.M | re.S):
            if language in languages:
                found.append(pytest.param(body, id=f"{document.name}:{body.splitlines()[0][:40]}"))
    return found


@pytest.fixture
def newcomer(start):
    """The simulated provider, and the environment of somebody who follows the documentation."""
    gateway = start({"providers": {"simulated": {"simulate": {"output_tokens": 12}}}})

    def run(*command, text):
        text = text.replace("http://127.0.0.1:4000", gateway.url).replace("http://localhost:4000", gateway.url)
        env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, input=text, env=env, cwd=HERE / "node", capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip(), "printed nothing"
        assert gateway.record()["outcome"] == "ok"

    return run


@pytest.mark.parametrize("body", snippets("python"))
def test_python_snippets_run_as_they_stand(newcomer, body):
    newcomer(sys.executable, "-", text=body)


@pytest.mark.parametrize("body", snippets("js", "javascript", "ts", "typescript"))
def test_javascript_snippets_run_as_they_stand(newcomer, body):
    newcomer("node", "--input-type=module", "-", text=body)


def test_the_lock_file_names_no_registry():
    lock = json.loads((HERE / "node/package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
