"""The OpenAI Agents SDK."""

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from asking import MODEL, TOOLS, URL, run
from openai import AsyncOpenAI

set_tracing_disabled(True)
client = AsyncOpenAI(base_url=f"{URL}/v1", api_key="none")
model = OpenAIChatCompletionsModel(MODEL, openai_client=client)
agent = Agent("assistant", model=model, tools=[function_tool(each) for each in TOOLS.values()])


async def ask(question: str, stream: bool) -> str:
    if not stream:
        return (await Runner.run(agent, question)).final_output
    result = Runner.run_streamed(agent, question)
    async for _ in result.stream_events():
        pass
    return result.final_output


run(ask)
