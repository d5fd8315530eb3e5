"""Rules, alerts and dashboards of deploy/monitoring: by promtool, and against a real Prometheus that scrapes a real fleet.

MONITORING_PICTURES names a folder for pictures of the dashboards."""

import json
import math
import os
import pathlib
import time

import pytest

from monitoring import MONITORING, Fleet, dashboards, panel_query, panels, quick, rules
from processes import ROOT, eventually, node
from test_contract import promtool

# What a test cannot bring about, with the reason; everything else must fire.
NOT_STAGED = {
    "FaregateOverheadHigh": "a debug build on a busy machine may or may not be so slow",
    "FaregatePriceCardOld": "the age of the shipped cards is what it is",
    "FaregateSidecarsBehind": "wants a control plane, which wants a cluster",
    "FaregateUninjectedPods": "wants a control plane, which wants a cluster",
    "FaregateCertificateExpires": "wants a control plane, which wants a cluster",
}
# Panels that this fleet has no numbers for, with the reason; every other one must have some.
WITHOUT_NUMBERS = {
    "Faregate / Fleet: Sidecars by state": "wants a control plane, which wants a cluster",
    "Faregate / Fleet: Time until sidecars run a table": "wants a control plane, which wants a cluster",
    "Faregate / Fleet: Pods that want a restart": "wants a control plane, which wants a cluster",
    "Faregate / Fleet: Certificates end in": "wants a control plane, which wants a cluster",
}


def test_rules_are_valid():
    code, said = promtool("check", "rules", *map(str, sorted((MONITORING / "rules").glob("*.yaml"))))
    assert code == 0, said


def test_the_laptop_s_prometheus_is_configured():
    code, said = promtool("check", "config", "--syntax-only", str(ROOT / "deploy/compose/prometheus.yml"))
    assert code == 0, said


def test_every_alert_fires_and_keeps_silent_in_its_unit_test():
    code, said = promtool("test", "rules", *map(str, sorted((MONITORING / "tests").glob("*.yaml"))))
    assert code == 0, said


def test_dashboards_have_the_types_that_grafana_states(tmp_path):
    seen = node("types.mjs", {"DASHBOARDS": str(MONITORING / "dashboards")})
    assert seen == {"checked": 4, "said": []}
    wrong = dashboards()["fleet"]
    wrong["panels"][0]["fieldConfig"]["defaults"]["thresholds"]["mode"] = "absolut"
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    assert len(node("types.mjs", {"DASHBOARDS": str(tmp_path)})["said"]) == 1


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    fleet = Fleet(tmp_path_factory.mktemp("fleet"))
    yield fleet
    fleet.end()


def has_numbers(results: list[dict]) -> bool:
    return any(math.isfinite(float(it["value"][1])) for it in results)


def missing(prometheus, queries: dict[str, str]) -> list[str]:
    return [name for name, query in queries.items() if not has_numbers(prometheus.ask(query))]


def eventually_all(prometheus, queries: dict[str, str]):
    left = dict(queries)

    def look():
        for name in queries.keys() & left.keys():
            if name not in missing(prometheus, {name: left[name]}):
                del left[name]
        return not left

    try:
        eventually("numbers for every query", look)
    except AssertionError:
        raise AssertionError("no numbers: " + "\n".join(f"{name}: {query}" for name, query in left.items())) from None


def test_every_panel_finds_something(fleet):
    queries = {}
    for dashboard in dashboards().values():
        for panel in panels(dashboard):
            title = f"{dashboard['title']}: {panel['title']}"
            for target in panel["targets"] if title not in WITHOUT_NUMBERS else []:
                queries[f"{title}: {target['refId']}"] = panel_query(target["expr"])
    assert len(queries) > 60
    eventually_all(fleet.prometheus, queries)


def test_variables_find_something(fleet):
    for dashboard in dashboards().values():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] != "query":
                continue
            selector, label = variable["query"]["query"].removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
            asked = panel_query(selector)
            eventually(asked, lambda: any(label in it["metric"] for it in fleet.prometheus.ask(asked)))


def test_every_rule_runs_and_records(fleet):
    # Those of a control plane have a fleet of their own.
    own = [rule for rule in rules() if "faregate_control_" not in rule["expr"]]
    records = {rule["record"]: rule["record"] for rule in own if "record" in rule}
    eventually_all(fleet.prometheus, records)
    # What an alert compares is there to be compared.
    compared = {f"{r['alert']} {r['expr']}": r["expr"].split(" > ")[0].split(" == ")[0] for r in own if "alert" in r}
    compared = {name: quick(left) + ")" * (left.count("(") - left.count(")")) for name, left in compared.items()}
    eventually_all(fleet.prometheus, compared)
    for group in fleet.prometheus.get("/api/v1/rules")["groups"]:
        for rule in group["rules"]:
            assert rule["health"] == "ok", rule


def test_the_numbers_are_right(fleet):
    """A ratio, a sum and a count whose values are known."""
    ask = fleet.prometheus.ask
    eventually("the markup of both routers", lambda: len(ask("provider:faregate_markup:ratio1h")) >= 3)
    markup = {it["metric"]["provider"]: float(it["value"][1]) for it in ask("provider:faregate_markup:ratio1h")}
    assert markup["router"] == pytest.approx(0.15, abs=0.002)
    assert markup["dear"] == pytest.approx(0.30, abs=0.002)
    assert markup["vendor"] == pytest.approx(0, abs=0.002)
    assert [it["value"][1] for it in ask("count(faregate_build_info)")] == ["3"]
    hop = float(ask('histogram_quantile(0.5, sum by (le) (faregate_router_hop_seconds_bucket{provider="hop"}))')[0]["value"][1])
    assert hop > 0.025, "the router takes 50 ms"


def test_dashboards_can_be_drawn(fleet, tmp_path):
    """An approximation of what Grafana shows, from the numbers of this fleet, in a real browser."""
    pictures = os.environ.get("MONITORING_PICTURES")
    if pictures:
        time.sleep(150)  # For the documentation: so that there is something to see.
    now = time.time()
    begin = max(fleet.began + 15, now - 150)
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                query = panel_query(target["expr"])
                instant = target.get("instant")
                target["result"] = fleet.prometheus.ask(query) if instant else fleet.prometheus.over(query, begin, now)
        (tmp_path / f"{name}.json").write_text(json.dumps({**dashboard, "from": begin, "to": now}))
    seen = node("draw.mjs", {"DASHBOARDS": str(tmp_path), "PICTURES": pictures or str(tmp_path)})
    assert seen["complaints"] == []
    assert seen["panels"] == sum(len(panels(it)) for it in dashboards().values())
    assert set(seen["empty"]) == WITHOUT_NUMBERS.keys()
    assert len(list(pathlib.Path(pictures or tmp_path).glob("*.png"))) >= 4


def test_alerts_fire_on_their_faults_and_end_with_them(fleet):
    expected = {rule["alert"] for rule in rules() if "alert" in rule} - NOT_STAGED.keys()
    assert not {"FaregateTablesDiffer", "FaregateReloadFailed", "FaregateBilledDrift"} & fleet.prometheus.firing()
    # A price that moves and a table that only one of two sidecars gets; a configuration that is refused.
    dearer = fleet.table(router_prices=("4", "16"))
    fleet.processes["web-1"].write(dearer)
    fleet.processes["gateway"].write({**fleet.table(), "ruotes": []})
    fired = set()

    def all_fired():
        fired.update(fleet.prometheus.firing())
        return expected <= fired

    try:
        eventually("every alert", all_fired)
    except AssertionError:
        raise AssertionError(f"never fired: {expected - fired}") from None
    # Mended: the other sidecar follows, the configuration is taken back, and nobody calls what is down.
    fleet.processes["web-2"].write(dearer)
    fleet.processes["gateway"].write(fleet.table())
    fleet.calls = ["direct", "chat"]
    ended = {"FaregateReloadFailed", "FaregateTablesDiffer", "FaregateErrorBudgetBurnFast", "FaregateErrorBudgetBurnSlow"}
    try:
        eventually("the end of what was mended", lambda: not ended & fleet.prometheus.firing())
    except AssertionError:
        raise AssertionError(f"still firing: {ended & fleet.prometheus.firing()}") from None
