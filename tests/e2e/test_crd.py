"""The kind RoutingTable by the measures of others: the schemas of Kubernetes for the definition, and the definition's own
schema for every example of a configuration."""

import copy

import jsonschema
import kubernetes_validate
import pytest
import yaml

from processes import ROOT
from test_contract import Yaml12

CRD = yaml.safe_load((ROOT / "deploy/kubernetes/routing-table.crd.yaml").read_text())
SCHEMA = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
EXAMPLES = [p for p in sorted((ROOT / "config").glob("**/*.yaml")) if p.name not in ("presets.yaml", "sdk-env.yaml")]


@pytest.mark.parametrize("version", ["1.29.0", "1.37.0"])
def test_the_definition_passes_the_schema(version):
    kubernetes_validate.validate(CRD, version, strict=True)
    wrong = copy.deepcopy(CRD)
    wrong["spec"]["scopes"] = "Namespaced"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


def as_json_schema(schema):
    """A structural schema as the API server holds it against an object, with `fieldValidation=Strict`: what is not named is
    an error."""
    out = {key: value for key, value in schema.items() if not key.startswith("x-") and key not in ("nullable", "format")}
    if schema.get("x-kubernetes-int-or-string"):
        out["type"] = ["integer", "string"]
    if schema.get("nullable") and "type" in out:
        out["type"] = [*(out["type"] if isinstance(out["type"], list) else [out["type"]]), "null"]
    for key in ("items", "additionalProperties"):
        if key in schema:
            out[key] = as_json_schema(schema[key])
    if "properties" in schema:
        out["properties"] = {name: as_json_schema(inner) for name, inner in schema["properties"].items()}
        out["additionalProperties"] = False
    return out


def errors(spec):
    schema = as_json_schema(SCHEMA["properties"]["spec"])
    return [f"{error.json_path}: {error.message}" for error in jsonschema.Draft202012Validator(schema).iter_errors(spec)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_a_table(example):
    assert errors(yaml.load(example.read_text(), Yaml12)) == []


def test_what_is_no_table_is_refused():
    assert EXAMPLES
    for spec in [
        {"providres": {}},
        {"routes": [{"targets": [{"provider": "a"}]}]},
        {"routes": [{"name": "a", "targets": []}]},
        {"routes": [{"name": "a", "targets": [{"provider": "a"}], "strategy": "random"}]},
        {"defaults": {"retry": {"max_attempts": 0}}},
        {"defaults": {"timeouts": {"total": "soon"}}},
        {"server": {"workers": "many"}},
    ]:
        assert errors(spec), spec
    assert errors({"defaults": {"timeouts": {"total": None}}, "providers": {"a": {"dialect": None}}}) == []
