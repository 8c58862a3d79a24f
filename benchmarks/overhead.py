"""What the wrapper adds to an agent's run: against the same run on a scripted model with native calls, bare.

usage: python benchmarks/overhead.py

A run is one question, one call and the answer: two requests to the model. The model costs nothing, so the ratio is the
worst case; a real model takes seconds. The two programs take turns of a quarter of a second: in shorter ones each finds
the processor's caches full of the other.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial

from _table import ratio, write
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from pydantic_ai import Agent
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import DeltaToolCall, FunctionModel

from toolmend.adapters.langchain import FallbackToolChatModel
from toolmend.adapters.pydantic_ai import FallbackToolModel

ARGUMENTS = {"city": "Paris"}
FENCE = f"I will look.\n```json\n{json.dumps({'name': 'get_weather', 'arguments': ARGUMENTS})}\n```"
ANSWER = "It is sunny in Paris."
TURN = 0.25
"""How long one of the two programs runs at a time, in seconds."""


def answered(text: object) -> bool:
    """Whether the latest message brings the tool's result; its mere text, for what it costs must not depend on it."""
    return "sunny in" in str(text)


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"sunny in {city}"


def pydantic_ai(*, native: bool) -> FunctionModel:
    def reply(messages, _info) -> ModelResponse:
        if answered(messages[-1].parts[-1].content):
            return ModelResponse(parts=[TextPart(ANSWER)])
        return ModelResponse(parts=[ToolCallPart("get_weather", ARGUMENTS) if native else TextPart(FENCE)])

    async def stream(messages, _info) -> AsyncIterator:
        if answered(messages[-1].parts[-1].content):
            for start in range(0, len(ANSWER), 4):
                yield ANSWER[start : start + 4]
        elif native:
            yield {0: DeltaToolCall(name="get_weather")}
            for char in json.dumps(ARGUMENTS):  # about as many pieces as the text has
                yield {0: DeltaToolCall(json_args=char)}
        else:
            for start in range(0, len(FENCE), 4):
                yield FENCE[start : start + 4]

    return FunctionModel(reply, stream_function=stream)


class Scripted(BaseChatModel):
    """Says one call, then the answer."""

    native: bool

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools, **kwargs):
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        if answered(messages[-1].content):
            message = AIMessage(ANSWER)
        elif self.native:
            message = AIMessage("", tool_calls=[{"name": "get_weather", "args": ARGUMENTS, "id": "1"}])
        else:
            message = AIMessage(FENCE)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        text = ANSWER if answered(messages[-1].content) else FENCE
        if text is FENCE and self.native:
            call = {"name": "get_weather", "args": "", "id": "1", "index": 0}
            yield ChatGenerationChunk(message=AIMessageChunk("", tool_call_chunks=[call]))
            for char in json.dumps(ARGUMENTS):  # about as many pieces as the text has
                piece = {"name": None, "args": char, "id": None, "index": 0}
                yield ChatGenerationChunk(message=AIMessageChunk("", tool_call_chunks=[piece]))
            return
        for start in range(0, len(text), 4):
            yield ChatGenerationChunk(message=AIMessageChunk(text[start : start + 4]))


def graph(model: BaseChatModel):
    llm = model.bind_tools([tool(get_weather)])
    builder = StateGraph(MessagesState)
    builder.add_node("thinker", lambda state: {"messages": [llm.invoke(state["messages"])]})
    builder.add_node("tools", ToolNode([tool(get_weather)]))
    builder.add_edge(START, "thinker")
    builder.add_conditional_edges("thinker", tools_condition)
    builder.add_edge("tools", "thinker")
    return builder.compile()


def turns(count: int) -> list[ModelMessage]:
    """A history of so many questions, each with a call."""
    return [
        message
        for n in range(count)
        for message in (
            ModelRequest(parts=[UserPromptPart(f"Question {n}?")]),
            ModelResponse(parts=[ToolCallPart("get_weather", '{"city": "Rome"}', f"call_{n}")]),
            ModelRequest(parts=[ToolReturnPart("get_weather", "cold in Rome", f"call_{n}")]),
            ModelResponse(parts=[TextPart("It is cold.")]),
        )
    ]


async def events(agent: Agent) -> None:
    async with agent.run_stream_events("Weather?") as stream:
        async for _ in stream:
            pass


def pydantic_ai_rows() -> Iterator[tuple[str, ...]]:
    loop = asyncio.new_event_loop()
    bare = Agent(pydantic_ai(native=True), tools=[get_weather])
    for mode in ("native", "prompt"):
        wrapped = Agent(FallbackToolModel(pydantic_ai(native=False), mode=mode), tools=[get_weather])
        assert wrapped.run_sync("Weather in Paris?").output == bare.run_sync("Weather in Paris?").output == ANSWER
        for count in (0, 1, 200):

            def run(agent: Agent, history=turns(count)) -> None:  # noqa: B008 - made once, outside of what is timed
                loop.run_until_complete(agent.run("Weather?", message_history=history))

            label = f"PydanticAI `run`, turns before: {count}"
            yield row(label, mode, partial(run, wrapped), partial(run, bare))
        yield row(
            "PydanticAI `run_stream_events`",
            mode,
            lambda w=wrapped: loop.run_until_complete(events(w)),
            lambda: loop.run_until_complete(events(bare)),
        )


def langgraph_rows() -> Iterator[tuple[str, ...]]:
    bare = graph(Scripted(native=True))
    for mode in ("native", "prompt"):
        wrapped = graph(FallbackToolChatModel(Scripted(native=False), mode=mode))
        start = {"messages": [HumanMessage("Weather in Paris?")]}
        assert wrapped.invoke(start)["messages"][-1].text == bare.invoke(start)["messages"][-1].text == ANSWER
        for count in (0, 1, 200):
            past = {"messages": [*spoken(count), *start["messages"]]}
            yield row(f"LangGraph `invoke`, turns before: {count}", mode, *invoked(wrapped, bare, past))
        yield row("LangGraph `stream`", mode, partial(streamed, wrapped, start), partial(streamed, bare, start))


def invoked(wrapped, bare, past) -> tuple[partial, partial]:
    return partial(wrapped.invoke, past), partial(bare.invoke, past)


def spoken(count: int) -> list[BaseMessage]:
    """A history of so many questions, each with a call."""
    call = {"name": "get_weather", "args": {"city": "Rome"}}
    return [
        message
        for n in range(count)
        for message in (
            HumanMessage(f"Question {n}?"),
            AIMessage("", tool_calls=[{**call, "id": f"call_{n}"}]),
            ToolMessage("cold in Rome", tool_call_id=f"call_{n}"),
            AIMessage("It is cold."),
        )
    ]


def main() -> None:
    rows = list(pydantic_ai_rows())
    rows.extend(langgraph_rows())
    write("overhead", ("run", "mode", "wrapped", "bare, native", "ratio"), rows)


def streamed(app, start) -> list:
    return list(app.stream(start, stream_mode="messages"))


def row(run: str, mode: str, work, base) -> tuple[str, ...]:
    base()
    since = time.process_time()
    base()
    runs = max(10, round(TURN / (time.process_time() - since)))
    wrapped, bare, times = ratio(lambda: [work() for _ in range(runs)], lambda: [base() for _ in range(runs)])
    return run, mode, f"{wrapped / runs * 1000:.2f} ms", f"{bare / runs * 1000:.2f} ms", f"{times:.2f}"


if __name__ == "__main__":
    main()
