"""RoutingTable at a real API server: the whole one, or k8s.io/apiextensions-apiserver as Debian packages it.

Optional: where neither is at hand (api_server.py tells how), this says so."""

import contextlib

import pytest
import yaml

from api_server import Server, small_is_there, whole_is_there
from processes import ROOT
from test_chart import objects, template
from test_contract import Yaml12

TABLES = "/apis/faregate.dev/v1alpha1/namespaces/shop/routingtables"
EXAMPLES = [p for p in sorted((ROOT / "config").glob("**/*.yaml")) if p.name not in ("presets.yaml", "sdk-env.yaml")]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The definition as the chart renders it."""
    if not (small_is_there() or whole_is_there()):
        pytest.skip("NOT TESTED at a real API server: it was not built (tests/e2e/apiserver/build)")
    with contextlib.ExitStack() as stack:
        server = Server(tmp_path_factory.mktemp("apiserver"), stack, whole_is_there())
        (definition,) = objects(template("helm4", {}, "--show-only", "templates/crd.yaml"))
        server.install_definition(definition)
        if whole_is_there():
            server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}})
        yield server


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_taken_and_comes_back_as_it_was(installed, example):
    spec = yaml.load(example.read_text(), Yaml12)
    status, said = installed.apply_table(spec, example.stem)
    assert status in (200, 201), said
    _, back = installed.ask("GET", f"{TABLES}/{example.stem}")
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
    status, said = installed.apply_table(spec, "wrong")
    assert status >= 400 and word in said["message"], said


def test_status_has_an_owner_of_its_own(installed):
    """The control plane writes the status and nothing else; who applies a table cannot."""
    spec = {"providers": {"openai": {}}}
    installed.apply_table(spec, "owned")
    condition = {"type": "Accepted", "status": "True", "reason": "Valid", "message": "", "observedGeneration": 1,
                 "lastTransitionTime": "2026-11-26T00:00:00Z"}
    patch = {"status": {"conditions": [condition]}, "spec": {"providers": {}}}
    status, said = installed.ask("PATCH", f"{TABLES}/owned/status", patch, "application/merge-patch+json")
    assert status == 200, said
    _, found = installed.ask("GET", f"{TABLES}/owned")
    assert found["spec"] == spec and found["status"]["conditions"][0]["reason"] == "Valid"
    assert found["metadata"]["generation"] == 1
    installed.apply_table({"providers": {"openai": {}, "anthropic": {}}}, "owned")
    _, found = installed.ask("GET", f"{TABLES}/owned")
    assert found["metadata"]["generation"] == 2 and found["status"]["conditions"], "applying left the status alone"
    _, printed = installed.ask("GET", TABLES, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert "Accepted" in [column["name"] for column in printed["columnDefinitions"]], printed["columnDefinitions"]
