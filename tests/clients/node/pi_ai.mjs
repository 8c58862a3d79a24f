// pi-ai as OpenClaw drives it, with the configuration of the docs: everything is streamed, and only `delta.tool_calls`
// makes a call.
import { readFileSync } from "node:fs";
import { streamSimple } from "@mariozechner/pi-ai";
import { fields, model as id, run, schema, tools, url } from "./asking.mjs";

const config = JSON.parse(readFileSync(new URL("openclaw.json", import.meta.url)));
const [provider, name] = config.agents.defaults.model.primary.split("/");
const { baseUrl, api, apiKey, models } = config.models.providers[provider];
const model = {
  reasoning: false,
  input: ["text"],
  cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 },
  ...models.find((each) => each.id === name),
  id,
  api,
  provider,
  baseUrl: baseUrl.replace("http://localhost:8811", url),
};
const offered = Object.keys(fields).map((name) => ({ name, description: "A tool.", parameters: schema(name) }));
const text = (message) => message.content.filter((part) => part.type === "text").map((part) => part.text).join("");

await run(async (question) => {
  const messages = [{ role: "user", content: question, timestamp: Date.now() }];
  for (;;) {
    const context = { systemPrompt: "You are a personal assistant running inside OpenClaw.", messages, tools: offered };
    const reply = await streamSimple(model, context, { apiKey }).result();
    if (reply.stopReason === "error") throw new Error(reply.errorMessage);
    messages.push(reply);
    const calls = reply.content.filter((part) => part.type === "toolCall");
    if (!calls.length) return text(reply);
    if (reply.stopReason !== "toolUse") throw new Error(`calls, but it stopped for ${reply.stopReason}`);
    for (const { id: toolCallId, name: toolName, arguments: given } of calls) {
      const content = [{ type: "text", text: tools[toolName](given) }];
      messages.push({ role: "toolResult", toolCallId, toolName, content, isError: false, timestamp: Date.now() });
    }
  }
});
