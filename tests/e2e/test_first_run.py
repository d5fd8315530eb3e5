"""A newcomer's first run: no configuration, no key. The simulated provider answers every SDK in every API, the
environment variables that SDKs read are enough, and nothing hides that the text is made up.

The embedded default listens on fixed ports, so the same table is given here as a file, with ports of its own."""

import anthropic
import openai
import pytest

from processes import PATIENCE, node

ASK = [{"role": "user", "content": "Hello"}]
SIMULATED = {"providers": {"simulated": {"simulate": {"output_tokens": 12}}}}


@pytest.fixture
def gateway(start):
    return start(SIMULATED)


@pytest.fixture
def environment(monkeypatch, gateway):
    """What docs/getting-started.md tells a newcomer to export, and no argument in the code."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"{gateway.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "unused")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", gateway.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "unused")


def test_openai_by_environment(gateway, environment):
    client = openai.OpenAI(max_retries=0, timeout=PATIENCE)
    raw = client.chat.completions.with_raw_response.create(model="gpt-5", messages=ASK)
    answer = raw.parse()
    assert answer.choices[0].message.content and answer.usage.completion_tokens == 12
    assert raw.headers["x-faregate-provider"] == "simulated" and "x-faregate-simulated" in raw.headers
    chunks = list(client.chat.completions.create(model="gpt-5", messages=ASK, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks).strip()
    assert client.responses.create(model="gpt-5", input="Hello").output_text
    events = list(client.responses.create(model="gpt-5", input="Hello", stream=True))
    assert events[-1].type == "response.completed" and events[-1].response.usage.output_tokens == 12
    assert client.completions.create(model="gpt-5", prompt="Hello").choices[0].text
    assert client.embeddings.create(model="text-embedding-3-small", input="Hello").data[0].embedding
    gateway.record(6)
    assert [r["outcome"] for r in gateway.records()] == ["ok"] * 6


def test_anthropic_by_environment(gateway, environment):
    client = anthropic.Anthropic(max_retries=0, timeout=PATIENCE)
    answer = client.messages.create(model="claude-5", messages=ASK, max_tokens=50)
    assert answer.content[0].text and answer.usage.output_tokens == 12
    with client.messages.stream(model="claude-5", messages=ASK, max_tokens=50) as stream:
        assert "".join(stream.text_stream).strip()
        assert stream.get_final_message().stop_reason == "end_turn"
    gateway.record(2)
    assert [r["outcome"] for r in gateway.records()] == ["ok"] * 2


@pytest.mark.parametrize("prefix", ["/openai/v1", "/v1", "/simulated/v1", "/simulated"])
def test_openai_base_urls(gateway, prefix):
    """With and without version, with a provider's prefix. The table has no provider `openai`, so its prefix is only
    a mount."""
    client = openai.OpenAI(base_url=f"{gateway.url}{prefix}", api_key="unused", max_retries=0, timeout=PATIENCE)
    assert client.chat.completions.create(model="m", messages=ASK).choices[0].message.content


@pytest.mark.parametrize("prefix", ["", "/anthropic", "/simulated"])
def test_anthropic_base_urls(gateway, prefix):
    client = anthropic.Anthropic(base_url=f"{gateway.url}{prefix}", api_key="unused", max_retries=0, timeout=PATIENCE)
    assert client.messages.create(model="m", messages=ASK, max_tokens=9).content[0].text


def test_a_simulated_fire_drill(start):
    """An error rate of 1 and another provider behind it: the drill that the documentation describes."""
    gateway = start(
        {
            "providers": {
                "failing": {"preset": "simulated", "simulate": {"error_rate": 1.0, "error_status": 529}},
                "steady": {"preset": "simulated"},
            },
            "routes": [{"name": "drill", "targets": [{"provider": "failing"}, {"provider": "steady"}]}],
        }
    )
    client = anthropic.Anthropic(base_url=gateway.url, api_key="unused", max_retries=0, timeout=PATIENCE)
    assert client.messages.create(model="m", messages=ASK, max_tokens=9).content[0].text
    record = gateway.record()
    assert [(a["provider"], a["status"]) for a in record["attempts"]] == [("failing", 529), ("steady", 200)]


def test_node_by_environment(gateway):
    """openai, @anthropic-ai/sdk and @ai-sdk/openai read the variables; each API plain and streamed."""
    seen = node(
        "first_run.mjs",
        {
            "OPENAI_BASE_URL": f"{gateway.url}/v1",
            "OPENAI_API_KEY": "unused",
            "ANTHROPIC_BASE_URL": gateway.url,
            "ANTHROPIC_API_KEY": "unused",
        },
    )
    assert len(seen) == 10 and all(seen.values()), seen
    gateway.record(10)
    assert {r["outcome"] for r in gateway.records()} == {"ok"}
