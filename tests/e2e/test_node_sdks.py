"""The Node.js SDKs against a real model; each program is one process that prints what it saw."""

from processes import node, table
from test_python_sdks import routed_by_name


def test_usage_in_records_is_what_the_sdks_saw(gateway):
    told = node("model.mjs", {"FAREGATE_URL": gateway.url})
    gateway.record(len(told))
    for record, usage in zip(gateway.records(), told, strict=True):
        tokens = record["tokens"]
        assert record["outcome"] == "ok", (usage, record)
        seen = {"input": tokens["input"] + tokens["cache_read"], "output": tokens["output"]}
        # `ai` counts only what its Anthropic answers call input; how much of that was cached is not told apart.
        if usage["name"] == "ai messages":
            assert usage["output"] == seen["output"], (usage, record)
        else:
            assert {"input": usage["input"], "output": usage["output"]} == seen, (usage, record)


def test_errors_have_the_classes_that_callers_catch(start, model):
    keys = [{"name": "team-a", "key": {"env": "TEAM_A_KEY"}}]
    gateway = start({**routed_by_name(model), "server": {"keys": keys}}, env={"TEAM_A_KEY": "right-key"})
    assert node("errors.mjs", {"FAREGATE_URL": gateway.url}) == {
        "openai wrong key": "AuthenticationError",
        "anthropic wrong key": "AuthenticationError",
        "openai unknown model": "NotFoundError",
        "anthropic unknown model": "NotFoundError",
        "openai good": "nothing",
    }


def test_fallback_is_no_business_of_the_sdk(start, model):
    gateway = start(table(gone="http://127.0.0.1:9", model=model.url))
    assert len(node("model.mjs", {"FAREGATE_URL": gateway.url})) == 8
    gateway.record(8)
    assert {(r["provider"], r["outcome"]) for r in gateway.records()} == {("model", "ok")}
