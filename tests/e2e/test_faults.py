"""What SDK users must not notice, and what must end when they leave: a model server that dies, a table that changes
under a stream, a client that goes away."""

import concurrent.futures
import socket

import openai
import pytest

from processes import PATIENCE, Model, eventually, fetch, table
from test_python_sdks import ASK, anthropic_client, openai_client

LONG = dict(model="any", messages=[{"role": "user", "content": "Tell a long story."}], max_tokens=400)


@pytest.fixture
def second(tmp_path):
    server = Model(tmp_path)
    yield server
    server.end()


def test_a_client_that_leaves_stops_the_model(gateway, model):
    with openai_client(gateway).chat.completions.create(stream=True, **LONG) as stream:
        next(iter(stream))
        eventually("the model at work", model.busy)
    record = gateway.record()
    assert record["outcome"] == "client_disconnected", record
    eventually("the model at rest", lambda: not model.busy())
    # At rest because it was stopped, not because it was done.
    tokens = record["tokens"]
    assert tokens == "unknown" or tokens["output"] < LONG["max_tokens"]


def test_a_client_that_leaves_before_the_answer_stops_the_model(gateway, model):
    host, port = gateway.url.removeprefix("http://").split(":")
    body = '{"model": "any", "max_tokens": 400, "messages": [{"role": "user", "content": "Tell a long story."}]}'
    with socket.create_connection((host, int(port))) as client:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        client.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
        eventually("the model at work", model.busy)
    assert gateway.record()["outcome"] == "client_disconnected"
    eventually("the model at rest", lambda: not model.busy())


def test_one_of_two_model_servers_dies_under_traffic(start, model, second):
    """The first target dies while calls run: none fails, and those after it are served by the other."""
    gateway = start(table(first=second.url, spare=model.url))
    ask = dict(model="any", messages=ASK, max_tokens=4)

    def call(number):
        if number % 2:
            return openai_client(gateway).chat.completions.create(**ask).choices[0].message.content
        return anthropic_client(gateway).messages.create(**ask).content[0].text

    calls, killed_after = 24, 6
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = [pool.submit(call, n) for n in range(calls)]
        eventually("some calls done", lambda: len(gateway.records()) >= killed_after)
        second.kill()
        answers = [one.result() for one in running]
    assert all(answer for answer in answers), answers
    gateway.record(calls)
    records = gateway.records()
    assert [r["outcome"] for r in records] == ["ok"] * calls
    assert {r["provider"] for r in records} == {"first", "spare"}
    assert records[-1]["provider"] == "spare"
    fallen = [r for r in records if len(r["attempts"]) == 2]
    assert fallen and all(r["attempts"][0]["provider"] == "first" for r in fallen)
    counted = [line for line in gateway.metrics().splitlines() if line.startswith("faregate_fallbacks_total{")]
    assert sum(float(line.rsplit(" ", 1)[1]) for line in counted) == len(fallen), counted


def test_a_table_that_changes_under_a_stream(start, model, second):
    gateway = start(table(old=second.url))
    with openai_client(gateway).chat.completions.create(
        stream=True, stream_options={"include_usage": True}, **{**LONG, "max_tokens": 120}
    ) as stream:
        chunks = iter(stream)
        first = next(chunks)
        before = generation(gateway)
        gateway.write(table(new=model.url))
        eventually("the new table", lambda: generation(gateway) > before)
        # The next call goes by the new table, while the stream goes on by the old one.
        answer = openai_client(gateway).chat.completions.with_raw_response.create(model="any", messages=ASK, max_tokens=4)
        rest = list(chunks)
    assert first.choices and rest[-1].usage.completion_tokens > 1
    assert any(chunk.choices and chunk.choices[0].finish_reason for chunk in rest)
    assert answer.headers["x-faregate-provider"] == "new"
    gateway.record(2)
    assert {(r["provider"], r["outcome"]) for r in gateway.records()} == {("old", "ok"), ("new", "ok")}


def test_a_bad_table_changes_nothing(start, model):
    gateway = start(table(model=model.url))
    gateway.write({"routes": [{"name": "broken", "targets": [{"provider": "nobody"}]}]})
    eventually("the failed reload", lambda: "faregate_config_last_reload_success 0" in gateway.metrics())
    openai_client(gateway).chat.completions.create(model="any", messages=ASK, max_tokens=4)
    assert gateway.record()["outcome"] == "ok"
    assert "nobody" in gateway.log.read_text()


def test_sigterm_lets_a_stream_end(gateway):
    stream = openai_client(gateway).chat.completions.create(stream=True, **{**LONG, "max_tokens": 60})
    chunks = iter(stream)
    next(chunks)
    gateway.child.terminate()

    def closed():
        try:
            fetch(f"{gateway.admin}/readyz")
        except OSError:
            return True
        return False

    eventually("readiness off", closed)
    assert any(c.choices and c.choices[0].finish_reason for c in chunks)
    assert gateway.child.wait(PATIENCE) == 0
    assert [r["outcome"] for r in gateway.records()] == ["ok"]


def generation(gateway) -> float:
    line = next(x for x in gateway.metrics().splitlines() if x.startswith("faregate_config_generation "))
    return float(line.split()[1])


def test_a_stream_that_breaks_raises_in_the_sdk(start, second):
    """After content has reached the client nothing is tried again: the SDK sees an error, not a silent end."""
    gateway = start(table(only=second.url))
    stream = openai_client(gateway).chat.completions.create(stream=True, **LONG)
    chunks = iter(stream)
    next(chunks)
    next(chunks)
    second.kill()
    with pytest.raises(openai.APIError):
        for _ in chunks:
            pass
    assert gateway.record()["outcome"] == "stream_broken"
