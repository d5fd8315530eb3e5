// Which error class each SDK raises; prints them by name.
import Anthropic, * as anthropicErrors from "@anthropic-ai/sdk";
import OpenAI, * as openaiErrors from "openai";

const url = process.env.FAREGATE_URL;
const seen = {};
async function raised(name, classes, call) {
  try {
    await call();
    seen[name] = "nothing";
  } catch (error) {
    const known = ["AuthenticationError", "NotFoundError", "BadRequestError", "APIError"];
    seen[name] = known.find((c) => error instanceof classes[c]) ?? `not an API error: ${error}`;
  }
}
const messages = [{ role: "user", content: "Hello" }];
const clients = (apiKey) => [
  new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 }),
  new Anthropic({ baseURL: url, apiKey, maxRetries: 0 }),
];
const [openai, anthropic] = clients("right-key");
const [openaiWrong, anthropicWrong] = clients("wrong-key");
await raised("openai wrong key", openaiErrors, () => openaiWrong.chat.completions.create({ model: "known", messages }));
await raised("anthropic wrong key", anthropicErrors, () =>
  anthropicWrong.messages.create({ model: "known", messages, max_tokens: 4 }));
await raised("openai unknown model", openaiErrors, () => openai.chat.completions.create({ model: "nobody", messages }));
await raised("anthropic unknown model", anthropicErrors, () =>
  anthropic.messages.create({ model: "nobody", messages, max_tokens: 4 }));
await raised("openai good", openaiErrors, () =>
  openai.chat.completions.create({ model: "known", messages, max_tokens: 2 }));
console.log(JSON.stringify(seen));
