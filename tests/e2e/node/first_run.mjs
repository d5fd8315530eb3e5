// Each Node.js SDK by its environment variables alone, in each API, plain and streamed. Prints what each answered.
import Anthropic from "@anthropic-ai/sdk";
import { createAnthropic } from "@ai-sdk/anthropic";
import { openai as aiOpenai } from "@ai-sdk/openai";
import { generateText, streamText } from "ai";
import OpenAI from "openai";

const messages = [{ role: "user", content: "Hello" }];
const seen = {};

const openai = new OpenAI({ maxRetries: 0 });
seen.chat = (await openai.chat.completions.create({ model: "gpt-5", messages })).choices[0].message.content;
seen.chatStream = "";
for await (const chunk of await openai.chat.completions.create({ model: "gpt-5", messages, stream: true })) {
  seen.chatStream += chunk.choices[0]?.delta?.content ?? "";
}
seen.responses = (await openai.responses.create({ model: "gpt-5", input: "Hello" })).output_text;
seen.responsesStream = "";
for await (const event of await openai.responses.create({ model: "gpt-5", input: "Hello", stream: true })) {
  if (event.type === "response.output_text.delta") seen.responsesStream += event.delta;
}

const anthropic = new Anthropic({ maxRetries: 0 });
seen.messages = (await anthropic.messages.create({ model: "claude-5", max_tokens: 50, messages })).content[0].text;
seen.messagesStream = await anthropic.messages.stream({ model: "claude-5", max_tokens: 50, messages }).finalText();

// `ai`: the responses API by default, and /messages without a version, as its Anthropic provider asks for it.
const ask = { prompt: "Hello", maxRetries: 0 };
seen.ai = (await generateText({ model: aiOpenai("gpt-5"), ...ask })).text;
seen.aiStream = await streamText({ model: aiOpenai("gpt-5"), ...ask }).text;
const unversioned = createAnthropic({ baseURL: process.env.ANTHROPIC_BASE_URL });
seen.aiMessages = (await generateText({ model: unversioned("claude-5"), ...ask })).text;
const versioned = createAnthropic({ baseURL: `${process.env.ANTHROPIC_BASE_URL}/v1` });
seen.aiMessagesStream = await streamText({ model: versioned("claude-5"), ...ask }).text;

console.log(JSON.stringify(seen));
