// Each Node.js SDK against the real model; prints the usage that each was told, in order of the calls.
import Anthropic from "@anthropic-ai/sdk";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, jsonSchema, streamText, tool } from "ai";
import OpenAI from "openai";

const url = process.env.FAREGATE_URL;
const apiKey = "unused";
const messages = [{ role: "user", content: "Name one colour." }];
const usage = [];
const told = (name, input, output) => usage.push({ name, input, output });

const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
let answer = await openai.chat.completions.create({ model: "any", messages, max_tokens: 8 });
told("openai chat", answer.usage.prompt_tokens, answer.usage.completion_tokens);
let last;
const asked = { model: "any", messages, max_tokens: 8, stream: true, stream_options: { include_usage: true } };
for await (const chunk of await openai.chat.completions.create(asked)) last = chunk;
told("openai chat stream", last.usage.prompt_tokens, last.usage.completion_tokens);

const anthropic = new Anthropic({ baseURL: url, apiKey, maxRetries: 0 });
answer = await anthropic.messages.create({ model: "any", messages, max_tokens: 8 });
told("anthropic", answer.usage.input_tokens + (answer.usage.cache_read_input_tokens ?? 0), answer.usage.output_tokens);
answer = await anthropic.messages.stream({ model: "any", messages, max_tokens: 8 }).finalMessage();
told("anthropic stream", answer.usage.input_tokens + (answer.usage.cache_read_input_tokens ?? 0), answer.usage.output_tokens);

const aiOpenai = createOpenAI({ baseURL: `${url}/v1`, apiKey });
const ask = { prompt: "Name one colour.", maxRetries: 0, maxOutputTokens: 8 };
let text = await generateText({ model: aiOpenai.chat("any"), ...ask });
told("ai chat", text.usage.inputTokens, text.usage.outputTokens);
const weather = tool({
  description: "Weather",
  inputSchema: jsonSchema({ type: "object", properties: { city: { type: "string" } }, required: ["city"] }),
});
let stream = streamText({ model: aiOpenai.chat("any"), tools: { weather }, ...ask });
await stream.consumeStream();
told("ai chat stream, a tool declared", (await stream.usage).inputTokens, (await stream.usage).outputTokens);
text = await generateText({ model: aiOpenai("any"), ...ask });
told("ai responses", text.usage.inputTokens, text.usage.outputTokens);
const aiAnthropic = createAnthropic({ baseURL: `${url}/v1`, apiKey });
text = await generateText({ model: aiAnthropic("any"), ...ask });
told("ai messages", text.usage.inputTokens, text.usage.outputTokens);

console.log(JSON.stringify(usage));
