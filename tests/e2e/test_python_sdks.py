"""The Python SDKs of both dialects against a real model: plain, stream, tools, errors, and what is metered."""

import asyncio
import json

import anthropic
import openai
import pytest

from processes import PATIENCE, table

SHORT = {"max_tokens": 12, "temperature": 0}
SHORT_MESSAGES = {"max_tokens": 12}
ASK = [{"role": "user", "content": "Name one colour."}]
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}},
    "required": ["city"],
}


def openai_client(gateway, **more):
    return openai.OpenAI(base_url=f"{gateway.url}/v1", **{"api_key": "unused", "max_retries": 0, "timeout": PATIENCE} | more)


def anthropic_client(gateway, **more):
    return anthropic.Anthropic(base_url=gateway.url, **{"api_key": "unused", "max_retries": 0, "timeout": PATIENCE} | more)


def assert_openai_usage(record, usage):
    """The record's disjoint classes add up to what the SDK was told."""
    tokens = record["tokens"]
    assert record["outcome"] == "ok" and record["usage_state"] == "reported", record
    assert tokens["input"] + tokens["cache_read"] == usage.prompt_tokens
    assert tokens["output"] == usage.completion_tokens
    cached = usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens
    assert tokens["cache_read"] == (cached or 0)


def assert_anthropic_usage(record, usage):
    tokens = record["tokens"]
    assert record["outcome"] == "ok" and record["usage_state"] == "reported", record
    assert tokens["input"] == usage.input_tokens
    assert tokens["cache_read"] == (usage.cache_read_input_tokens or 0)
    assert tokens["output"] == usage.output_tokens


def test_openai_chat(gateway):
    raw = openai_client(gateway).chat.completions.with_raw_response.create(model="any", messages=ASK, **SHORT)
    answer = raw.parse()
    assert answer.choices[0].message.content.strip()
    assert raw.headers["x-faregate-route"] == "all"
    record = gateway.record()
    assert_openai_usage(record, answer.usage)
    assert record["request_id"] == raw.headers["x-faregate-request-id"]
    assert (record["dialect"], record["operation"], record["stream"]) == ("openai", "chat", False)
    assert (record["model_asked"], record["model_sent"]) == ("any", "smollm2")


def test_openai_chat_stream_with_usage(gateway):
    chunks = list(
        openai_client(gateway).chat.completions.create(
            model="any", messages=ASK, stream=True, stream_options={"include_usage": True}, **SHORT
        )
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices).strip()
    assert len(chunks) > 4
    record = gateway.record()
    assert_openai_usage(record, chunks[-1].usage)
    assert record["stream"] and record["ttft_ms"] > 0


def test_openai_chat_stream_without_usage_is_metered_all_the_same(gateway):
    plain = openai_client(gateway).chat.completions.create(model="any", messages=ASK, **SHORT).usage
    chunks = list(openai_client(gateway).chat.completions.create(model="any", messages=ASK, stream=True, **SHORT))
    # The client did not ask, so it sees neither usage nor the chunk without choices that would carry it.
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    record = gateway.record(2)
    assert record["tokens"]["output"] == plain.completion_tokens
    assert record["tokens"]["input"] + record["tokens"]["cache_read"] == plain.prompt_tokens


def test_openai_tools(gateway):
    """The model is too small to call a tool when asked, and its server cannot force it; the declaration must reach it
    (the prompt grows by it) and the answer must come back in either form."""
    tool = {"type": "function", "function": {"name": "weather", "description": "Weather", "parameters": WEATHER}}
    history = [
        *ASK,
        {"role": "assistant", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
        ]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    ask = dict(model="any", messages=history, tools=[tool], tool_choice="auto", **SHORT)
    answer = openai_client(gateway).chat.completions.create(**ask)
    message = answer.choices[0].message
    assert message.content or message.tool_calls
    assert_openai_usage(gateway.record(1), answer.usage)
    deltas = [c.choices[0].delta for c in openai_client(gateway).chat.completions.create(stream=True, **ask)]
    assert any(delta.content or delta.tool_calls for delta in deltas)
    assert gateway.record(2)["outcome"] == "ok"


def test_openai_structured_output(gateway):
    """The server forces the schema by a grammar, so that an answer in it shows that the schema arrived."""
    schema = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
    answer = openai_client(gateway).chat.completions.create(
        model="any", messages=ASK, max_tokens=40, temperature=0,
        response_format={"type": "json_schema", "json_schema": {"name": "colour", "schema": schema, "strict": True}},
    )
    assert json.loads(answer.choices[0].message.content)["colour"] in ("red", "blue")
    assert_openai_usage(gateway.record(), answer.usage)


def test_openai_responses(gateway):
    client = openai_client(gateway)
    answer = client.responses.create(model="any", input="Name one colour.", max_output_tokens=12)
    assert answer.output_text.strip()
    record = gateway.record(1)
    assert record["operation"] == "responses" and record["outcome"] == "ok"
    assert record["tokens"]["input"] + record["tokens"]["cache_read"] == answer.usage.input_tokens
    assert record["tokens"]["output"] == answer.usage.output_tokens

    events = list(client.responses.create(model="any", input="Name one colour.", max_output_tokens=12, stream=True))
    assert events[-1].type == "response.completed"
    assert any(e.type == "response.output_text.delta" for e in events)
    record = gateway.record(2)
    assert record["tokens"]["output"] == events[-1].response.usage.output_tokens


def test_openai_embeddings(start, embedder):
    gateway = start(table(embedder=embedder.url))
    answer = openai_client(gateway).embeddings.create(model="any", input=["one", "two"])
    assert [len(d.embedding) for d in answer.data] == [576, 576]
    record = gateway.record()
    assert record["operation"] == "embeddings" and record["outcome"] == "ok"
    assert record["tokens"]["input"] == answer.usage.prompt_tokens


def test_openai_models_and_other_paths_pass_through(gateway):
    models = openai_client(gateway).models.list()
    assert "smollm2" in [m.id for m in models.data]


def test_openai_async(gateway):
    async def three():
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="unused", timeout=PATIENCE) as client:
            calls = [client.chat.completions.create(model="any", messages=ASK, **SHORT) for _ in range(3)]
            return await asyncio.gather(*calls)

    assert all(answer.choices[0].message.content.strip() for answer in asyncio.run(three()))
    gateway.record(3)


def test_anthropic_messages(gateway):
    answer = anthropic_client(gateway).messages.create(model="any", messages=ASK, **SHORT_MESSAGES)
    assert answer.content[0].text.strip()
    record = gateway.record()
    assert_anthropic_usage(record, answer.usage)
    assert (record["dialect"], record["operation"]) == ("anthropic", "messages")


def test_anthropic_stream(gateway):
    with anthropic_client(gateway).messages.stream(model="any", messages=ASK, **SHORT_MESSAGES) as stream:
        assert "".join(stream.text_stream).strip()
        final = stream.get_final_message()
    assert_anthropic_usage(gateway.record(), final.usage)


def test_anthropic_tools(gateway):
    tool = {"name": "weather", "description": "Weather", "input_schema": WEATHER}
    history = [
        *ASK,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Rome"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "sunny"}]},
    ]
    answer = anthropic_client(gateway).messages.create(model="any", messages=history, tools=[tool], **SHORT_MESSAGES)
    assert answer.content[0].type in ("text", "tool_use")
    assert_anthropic_usage(gateway.record(), answer.usage)


def test_anthropic_count_tokens(gateway):
    counted = anthropic_client(gateway).messages.count_tokens(model="any", messages=ASK)
    assert counted.input_tokens > 0


# Errors: each becomes the exception that the SDK's users catch, with the client's own dialect in the body.


def routed_by_name(model):
    """A table that knows one model only."""
    config = table(model=model.url)
    config["routes"][0]["match"] = {"model": "known"}
    # What no route matches goes to the provider that lists the model, or to the only one there is.
    config["providers"]["model"]["models"] = ["known"]
    config["providers"]["other"] = {**config["providers"]["model"], "models": ["another"]}
    return config


def test_unknown_model(start, model):
    gateway = start(routed_by_name(model))
    with pytest.raises(openai.NotFoundError) as raised:
        openai_client(gateway).chat.completions.create(model="nobody", messages=ASK)
    assert raised.value.body["type"] and "nobody" in raised.value.message
    with pytest.raises(anthropic.NotFoundError) as raised:
        anthropic_client(gateway).messages.create(model="nobody", messages=ASK, max_tokens=4)
    assert raised.value.body["type"] == "error"
    assert raised.value.body["error"]["type"] == "not_found_error" and "nobody" in raised.value.message
    assert [record["outcome"] for record in (gateway.record(2), gateway.records()[0])] == ["no_route"] * 2


def test_what_the_provider_refuses_is_what_the_sdk_raises(gateway):
    with pytest.raises(openai.BadRequestError) as raised:
        openai_client(gateway).chat.completions.create(model="any", messages=[{"role": "user", "content": 7}])
    assert raised.value.response.headers["x-faregate-attempts"] == "1"
    assert gateway.record(1)["outcome"] == "upstream_rejected"
    # This server answers 500 where Anthropic would say 400: the status and the words are its own.
    with pytest.raises(anthropic.InternalServerError, match="messages.* is required"):
        anthropic_client(gateway).post("/v1/messages", cast_to=object, body={"model": "any", "max_tokens": 4})
    assert gateway.record(2)["outcome"] == "upstream_error"


def test_a_body_that_is_no_json(gateway):
    client = openai_client(gateway)
    with pytest.raises(openai.BadRequestError):
        client.post("/chat/completions", cast_to=object, content=b'{"model": "any", ', options={"headers": {"content-type": "application/json"}})
    assert gateway.record()["outcome"] == "client_invalid"


def test_too_large(start, model):
    gateway = start({**table(model=model.url), "server": {"limits": {"body": "4KiB"}}})
    big = [{"role": "user", "content": "x" * 8192}]
    with pytest.raises(openai.APIStatusError) as raised:
        openai_client(gateway).chat.completions.create(model="any", messages=big)
    assert raised.value.status_code == 413
    with pytest.raises(anthropic.APIStatusError) as raised:
        anthropic_client(gateway).messages.create(model="any", messages=big, max_tokens=4)
    assert raised.value.status_code == 413 and raised.value.body["error"]["type"] == "request_too_large"


def test_inbound_key(start, model):
    keys = [{"name": "team-a", "key": {"env": "TEAM_A_KEY"}}]
    gateway = start({**table(model=model.url), "server": {"keys": keys}}, env={"TEAM_A_KEY": "right-key"})
    with pytest.raises(openai.AuthenticationError):
        openai_client(gateway, api_key="wrong").chat.completions.create(model="any", messages=ASK)
    with pytest.raises(anthropic.AuthenticationError):
        anthropic_client(gateway, api_key="wrong").messages.create(model="any", messages=ASK, max_tokens=4)
    openai_client(gateway, api_key="right-key").chat.completions.create(model="any", messages=ASK, **SHORT)
    anthropic_client(gateway, api_key="right-key").messages.create(model="any", messages=ASK, max_tokens=4)
    records = [gateway.record(4), *gateway.records()]
    assert records[0]["app"] == "team-a" and records[0]["outcome"] == "ok"
    assert records[1]["outcome"] == "policy_denied"
    assert "right-key" not in gateway.log.read_text() + gateway.metrics()


def test_no_provider_answers(start):
    # A port that nobody listens on.
    gateway = start(table(gone="http://127.0.0.1:9"))
    with pytest.raises(openai.InternalServerError) as raised:
        openai_client(gateway).chat.completions.create(model="any", messages=ASK)
    assert raised.value.status_code == 502
    with pytest.raises(anthropic.InternalServerError):
        anthropic_client(gateway).messages.create(model="any", messages=ASK, max_tokens=4)
    assert gateway.record(2)["outcome"] == "upstream_connect"
