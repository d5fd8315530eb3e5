"""Rules, alerts and dashboards of deploy/monitoring: by promtool, and against a real Prometheus that scrapes a real fleet.

MONITORING_PICTURES names a folder for pictures of the dashboards."""

import json
import math
import os
import pathlib
import re
import signal
import time

import pytest

from monitoring import MONITORING, Fleet, dashboards, panel_query, panels, quick, rules
from processes import ROOT, eventually, fetch, node
from test_contract import promtool

# What a test cannot bring about, with the reason; everything else must fire on its fault and end with it.
NOT_STAGED = {"FaregatePriceCardOld": "prices are as old as the build: only months make them old, only an update young"}
# What fires while the fleet has all its faults: each alert, and what tells its cases apart.
FAULTS = [
    ("FaregateErrorBudgetBurnFast", {"namespace": "shop", "window": "1h"}),
    ("FaregateErrorBudgetBurnFast", {"namespace": "shop", "window": "6h"}),
    ("FaregateErrorBudgetBurnSlow", {"namespace": "shop", "window": "1d"}),
    ("FaregateErrorBudgetBurnSlow", {"namespace": "shop", "window": "3d"}),
    ("FaregateMarkupHigh", {"namespace": "shop", "provider": "dear"}),
    ("FaregateBilledDrift", {"namespace": "shop", "provider": "router"}),
    ("FaregateUnpricedTraffic", {"namespace": "shop", "provider": "local", "model": "tiny"}),
    ("FaregateOverheadHigh", {"namespace": "images"}),
    ("FaregateReloadFailed", {"job": "gateway"}),
    ("FaregateReloadFailed", {"job": "sidecars", "namespace": "shop"}),
    ("FaregateTablesDiffer", {"job": "sidecars", "namespace": "shop"}),
    ("FaregateSidecarsBehind", {"table": "shop", "state": "refused"}),
    ("FaregateSidecarsBehind", {"table": "*", "state": "pending"}),
    ("FaregateUninjectedPods", {"namespace": "old"}),
    ("FaregateCertificateExpires", {"certificate": "serving"}),
]
# And while the control plane is gone.
WITHOUT_CONTROL = [("FaregateSidecarsDisconnected", {"job": "sidecars", "namespace": name}) for name in ("shop", "batch")]
# Of those, what there is from the beginning.
FROM_THE_BEGINNING = {"Burn", "Markup", "Unpriced", "Uninjected"}
# Queries of the runbooks that find nothing while their alert fires, with the reason.
NOTHING_FOUND = {
    "container_cpu_cfs_throttled_periods_total": "kubelet's",
    "faregate_control_api_errors_total": "the API server refuses nothing here",
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
            for target in panel["targets"]:
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
    records = {rule["record"]: rule["record"] for rule in rules() if "record" in rule}
    eventually_all(fleet.prometheus, records)
    # What an alert compares is there to be compared.
    compared = {f"{r['alert']} {r['expr']}": re.split(" > | == | < ", r["expr"])[0] for r in rules() if "alert" in r}
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
    assert [it["value"][1] for it in ask("count(faregate_build_info)")] == ["6"], "five proxies and the control plane"
    assert [it["value"][1] for it in ask('faregate_control_uninjected_pods{namespace="old"}')] == ["1"]
    assert [it["value"][1] for it in ask('faregate_control_outdated_pods{namespace="shop"}')] == ["2"]
    assert [it["value"][1] for it in ask('faregate_control_sidecars{table="shop", state="programmed"}')] == ["2"]
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
    assert seen["empty"] == []
    assert len(list(pathlib.Path(pictures or tmp_path).glob("*.png"))) >= 4


def fits(alert: tuple[str, dict], labels: dict) -> bool:
    name, wanted = alert
    return labels["alertname"] == name and wanted.items() <= labels.items()


def all_fire(fleet, alerts: list):
    """Each at some time, not all at one."""
    left = list(alerts)

    def look():
        firing = fleet.prometheus.firing()
        left[:] = [alert for alert in left if not any(fits(alert, labels) for labels in firing)]
        return not left

    try:
        eventually("every alert", look)
    except AssertionError:
        raise AssertionError(f"never fired: {left}") from None


def all_end(fleet):
    """None fires at one moment; how fast a debug build is on a busy machine is nobody's fault."""
    last = []

    def look():
        last[:] = [
            labels
            for labels in fleet.prometheus.firing()
            if labels["alertname"] != "FaregateOverheadHigh" or labels["namespace"] == "images"
        ]
        return not last

    try:
        eventually("the end of every alert", look)
    except AssertionError:
        raise AssertionError(f"still firing: {last}") from None


def runbook_finds_what_fires(fleet, alerts: set[str]):
    """Whoever is called finds something where the page tells them to look, now."""
    for page in sorted(ROOT.glob("docs/runbooks/Faregate*.md")):
        for query in re.findall("```promql\n(.*?)```", page.read_text(), re.DOTALL) if page.stem in alerts else []:
            found = fleet.prometheus.ask(quick(query))
            assert found or any(name in query for name in NOTHING_FOUND), f"{page.stem}: {query}"


def test_alerts_fire_on_their_faults_and_end_with_them(fleet):
    staged = {name for name, _ in FAULTS + WITHOUT_CONTROL}
    assert staged | NOT_STAGED.keys() == {rule["alert"] for rule in rules() if "alert" in rule}
    early = [it for it in fleet.prometheus.firing() if not any(word in it["alertname"] for word in FROM_THE_BEGINNING)]
    early = [it for it in early if it["alertname"] != "FaregateOverheadHigh" or it["namespace"] == "images"]
    assert not early, early

    # A price that moves, in a table that names a key which one of two sidecars has not.
    dearer = fleet.table(router_prices=("4", "16"))
    local = {"base_url": "http://127.0.0.1:1/v1", "credentials": {"env": "NEXT_API_KEY"}}
    fleet.cluster.table("shop", {**dearer, "providers": {**dearer["providers"], "next": local}})
    # A sidecar that hears of another table and does nothing about it.
    fleet.publishing.clear()
    fleet.processes["batch-1"].child.send_signal(signal.SIGSTOP)
    fleet.publish(2)
    # A configuration that is refused, a certificate that nobody renews, an app that sends what takes time to read.
    fleet.processes["gateway"].write({**fleet.table(), "ruotes": []})
    fleet.cluster.authority.issue(days=1)
    fleet.large.set()
    all_fire(fleet, FAULTS)
    runbook_finds_what_fires(fleet, {name for name, _ in FAULTS})

    # Mended, each as its page says; and nobody calls what is down, dear or without a price.
    fleet.cluster.table("shop", dearer)
    fleet.processes["batch-1"].child.send_signal(signal.SIGCONT)
    fleet.processes["gateway"].write(fleet.table())
    fleet.cluster.authority.issue(days=90)
    fleet.cluster.api.request("DELETE", "Pod", "old", "web-0")
    assert fleet.cluster.pod("old", "web-0")["spec"]["initContainers"]
    fleet.large.clear()
    fleet.calls = ["direct"]
    all_end(fleet)

    # The control plane goes without a word; calls go on, and when it is back, so do the tables.
    fleet.cluster.control.kill()
    all_fire(fleet, WITHOUT_CONTROL)
    runbook_finds_what_fires(fleet, {name for name, _ in WITHOUT_CONTROL})
    hello = {"model": "direct", "messages": [{"role": "user", "content": "Hello"}]}
    assert fleet.ask(fleet.processes["web-1"], hello, "shop") == 200
    fleet.cluster.restart()
    all_end(fleet)


def test_alerts_lead_to_a_page(fleet):
    """Where `runbook_url` leads, whichever Faregate stands behind the port."""
    for rule in rules():
        for admin in (fleet.processes["web-1"].admin, f"http://{fleet.cluster.control.addresses['admin']}"):
            if "alert" in rule:
                page = fetch(rule["annotations"]["runbook_url"].replace("http://127.0.0.1:4001", admin))
                assert page.startswith(f"# {rule['alert']}\n")
