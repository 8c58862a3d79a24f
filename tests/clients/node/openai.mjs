// The openai package and its tool runner.
import OpenAI from "openai";
import { model, run, schema, tools, url } from "./asking.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
const functions = Object.keys(tools).map((name) => ({
  type: "function",
  function: { name, parameters: schema(name), function: tools[name], parse: JSON.parse },
}));

await run((question, stream) =>
  client.chat.completions
    .runTools({ model, stream, messages: [{ role: "user", content: question }], tools: functions })
    .finalContent(),
);
