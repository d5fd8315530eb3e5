"""The status page of the admin port in a real browser, before a Faregate with one target that works, one that fails and
names that try to be markup."""

from processes import node

PRICES = 'cards:\n- {provider: router, model: "*", reference: true, prices: {input: 2.5, output: 10}}\n'
ODD = "<script>alert(1)</script>"
ODD_MODEL = "<img src=x onerror=alert(1)>"
TABLE = {
    "defaults": {"health": {"eject": "300s", "max_eject": "300s"}},
    "providers": {
        "shaky": {"preset": "simulated", "simulate": {"error_rate": 1.0, "error_status": 529}},
        "router": {
            "preset": "simulated",
            "simulate": {"output_tokens": 7, "input_price": "2.875", "output_price": "11.5", "delay": "20ms"},
        },
        "local": {"preset": "simulated", "simulate": {"output_tokens": 3}},
    },
    "routes": [
        {
            "name": "chat",
            "match": {"model": "chat"},
            "targets": [{"provider": "shaky", "model": "big"}, {"provider": "router", "model": "big"}],
        },
        {"name": ODD, "match": {"model": "odd"}, "targets": [{"provider": "local", "model": ODD_MODEL}]},
    ],
}


def test_the_page_shows_what_happens_and_stays_usable(start, tmp_path):
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICES)
    gateway = start({**TABLE, "prices": {"overlays": [str(prices)]}})
    seen = node(
        "status.mjs",
        {"FAREGATE_URL": gateway.url, "FAREGATE_ADMIN": gateway.admin, "FAREGATE_CONFIG": str(gateway.file)},
    )
    assert seen["complaints"] == []
    assert seen["markup"] == 0, "data became markup"
    assert seen["title"].startswith("▲")
    assert seen["notices"] == ["Taken out of service for failures: shaky / big."]

    routes = seen["routes"]
    heads = [row[0] for row in routes if len(row) == 1]
    assert heads[0].startswith("chat · 8 calls · 100% ok") and "5 fallbacks" in heads[0], heads
    assert heads[1].startswith(f"{ODD} · 1 call"), heads
    targets = {row[0]: row[1:] for row in routes if len(row) > 1}
    assert targets["shaky / big"][0].startswith("▲ out, ")
    assert targets["shaky / big"][1:3] == ["5", "0%"]
    assert targets["shaky / big"][4:6] == ["unknown", "unknown"]
    assert targets["router / big"][:3] == ["● up", "8", "100%"]
    assert all(time.endswith("ms") for time in targets["router / big"][4:6])
    assert targets[f"local / {ODD_MODEL}"][:3] == ["● up", "1", "100%"]

    outcomes = {(row[0], row[1]): row[2] for row in seen["outcomes"]}
    assert outcomes == {("chat", "ok"): "8", (ODD, "ok"): "1", ("no route", "no_route"): "1"}
    money = {row[0]: row[1:] for row in seen["money"]}
    told, lists, billed, effective, markup, unpriced = money["router / big"]
    assert "output 56" in told and markup == "+15%" and unpriced == "0"
    tokens_in = int(told.split("input ")[1].split(" ")[0].replace(",", ""))
    pico = tokens_in * 2_875_000 + 56 * 11_500_000
    assert billed == effective == f"${pico / 1e12:.12f}".rstrip("0") and lists != billed
    assert money[f"local / {ODD_MODEL}"][1:] == ["unknown"] * 4 + ["1"]
    latency = {row[0]: row[1:] for row in seen["latency"]}
    assert latency["Time to first token (streams)"][-1] == "8"
