// The Vercel AI SDK.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { model, run, schema, tools, url } from "./asking.mjs";

const provider = createOpenAICompatible({ name: "local", baseURL: `${url}/v1` });
const offered = Object.fromEntries(
  Object.entries(tools).map(([name, execute]) => [name, tool({ inputSchema: jsonSchema(schema(name)), execute })]),
);

await run(async (prompt, stream) => {
  const asked = { model: provider(model), tools: offered, prompt, stopWhen: stepCountIs(4) };
  return stream ? await streamText(asked).text : (await generateText(asked)).text;
});
