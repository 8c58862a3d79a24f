// What every client asks, with which tools, and how it tells what came of it; see ../asking.py.
export const [url, model] = process.argv.slice(2);
const questions = {
  one: "weather in Paris",
  parallel: "compare Paris and Rome",
  streamed: "weather in Bern, long",
  plain: "say hello",
  openclaw: "Show the gateway config",
  csv: "Turn one to three into CSV",
};
let called = [];
export const tools = {
  get_weather: ({ city }) => (called.push(["get_weather", { city }]), `sunny in ${city}`),
  gateway: ({ action }) => (called.push(["gateway", { action }]), '{"port": 18789}'),
};
export const fields = { get_weather: "city", gateway: "action" };
export const schema = (name) => ({
  type: "object",
  properties: { [fields[name]]: { type: "string" } },
  required: [fields[name]],
});

export async function run(ask) {
  const found = {};
  for (const [name, question] of Object.entries(questions)) {
    called = [];
    const answer = await ask(question, name === "streamed");
    found[name] = [called, answer];
  }
  console.log(JSON.stringify(found));
}
