"""Native calls that end half way, since the reply was cut or a stop word came, or are broken: they never run."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest
from langchain.agents import create_agent
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic_ai import Agent
from pydantic_ai.exceptions import IncompleteToolCall
from pydantic_ai.messages import ModelResponse, ToolCallPart
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider

from tests.adapters.broken_server import Answer, BrokenServer, delta, error, events, serving, whole
from tests.adapters.langchain_scripts import WAYS, ChunkScript, Script, Way, chunk, get_weather, joined, named
from tests.adapters.pydantic_ai_scripts import WAYS as RUNS
from tests.adapters.pydantic_ai_scripts import run_agent
from tests.adapters.test_langchain_arguments import added_up
from tests.adapters.test_swallowed_calls import langchain_model
from toolmend.adapters.langchain import FallbackToolChatModel, FallbackToolMiddleware
from toolmend.adapters.pydantic_ai import FallbackToolModel

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
every_run = pytest.mark.parametrize("run", RUNS)

WHOLE = '{"city": "Paris", "days": [1, {"a": "]\\""}]}'
HALVES = [WHOLE[:end] for end in range(1, len(WHOLE))]
BROKEN = "{'city': 'Paris'}"  # as vLLM streams them
SOME_HALVES = ["{", '{"ci', '{"city": "Par', '{"city": "Paris"', '{"city": "Paris", "days": [1, {']


def native(arguments: str, index: int = 0) -> dict[str, Any]:
    function = {"name": "get_weather", "arguments": arguments}
    return {"index": index, "id": f"id{index}", "type": "function", "function": function}


def called(*calls: str, reason: str, stream: bool) -> Answer:
    """An answer with native calls of these arguments, streamed in pieces of five characters."""
    if not stream:
        return whole(reason, content="", tool_calls=[native(arguments, i) for i, arguments in enumerate(calls)])
    pieces = [delta(role="assistant", content="")]
    for i, arguments in enumerate(calls):
        pieces.append(delta(tool_calls=[native(arguments[:5], i)]))
        rest = [arguments[start : start + 5] for start in range(5, len(arguments), 5)]
        pieces += [delta(tool_calls=[{"index": i, "function": {"arguments": piece}}]) for piece in rest]
    return events(*pieces, delta(reason), tokens=9)


class Forecast:
    """A tool that could run without any argument; it writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[Any]]] = []

    def get_weather(self, city: str = "here", days: list[Any] | None = None) -> str:
        """Tell the weather."""
        self.asked.append((city, days or []))
        return "sunny"


# ---- LangChain closes what stands open in arguments


@every_way
@pytest.mark.parametrize("reason", ["length", "tool_calls", "stop"])
@pytest.mark.parametrize("half", [*SOME_HALVES, BROKEN])
async def test_half_a_native_call_is_an_invalid_one(way: Way, reason: str, half: str) -> None:
    with serving(called(half, reason=reason, stream=way.name.endswith("stream"))) as server:
        async with langchain_model(server) as model:
            made = await way(model.bind_tools([Forecast().get_weather]), "Weather?")
    assert made.tool_calls == []
    assert [one["name"] for one in made.invalid_tool_calls] == ["get_weather"]
    assert (made.invalid_tool_calls[0]["args"] or "").startswith(half)
    assert server.sent_tools == [True]


@every_way
async def test_of_several_native_calls_the_whole_ones_are_left(way: Way) -> None:
    answer = called(WHOLE, "", '{"city": "Ro', reason="length", stream=way.name.endswith("stream"))
    with serving(answer) as server:
        async with langchain_model(server) as model:
            made = await way(model.bind_tools([Forecast().get_weather]), "Weather?")
    assert [call["id"] for call in made.tool_calls] == ["id0", "id1"]
    assert [call["id"] for call in made.invalid_tool_calls] == ["id2"]


@every_way
async def test_a_whole_native_call_is_untouched(way: Way) -> None:
    for reason in ("length", "tool_calls"):
        with serving(called(WHOLE, reason=reason, stream=way.name.endswith("stream"))) as server:
            async with langchain_model(server) as model:
                made = await way(model.bind_tools([Forecast().get_weather]), "Weather?")
        assert named(made) == [("get_weather", {"city": "Paris", "days": [1, {"a": ']"'}]})]
        assert made.invalid_tool_calls == []


@pytest.mark.parametrize("reason", ["length", "tool_calls"])
async def test_without_arguments_only_a_call_that_was_cut_is_half(reason: str) -> None:
    with serving(called("", reason=reason, stream=True)) as server:
        async with langchain_model(server) as model:
            made = joined(list(model.bind_tools([Forecast().get_weather]).stream("Weather?")))
    assert len(made.tool_calls) == (reason == "tool_calls")
    assert len(made.invalid_tool_calls) == (reason == "length")


def chunks_of(half: str) -> list[Any]:
    first = {"name": "get_weather", "args": half[:3], "id": "1", "index": 0, "type": "tool_call_chunk"}
    rest = {"name": None, "args": half[3:], "id": None, "index": 0, "type": "tool_call_chunk"}
    return [chunk(tool_call_chunks=[first]), chunk(tool_call_chunks=[rest])]


def bound(script: Any, **fields: Any) -> Any:
    return FallbackToolChatModel(script, **fields).bind_tools([get_weather])


@pytest.mark.parametrize("version", [None, "v1"])
async def test_however_a_stream_is_joined(version: str | None) -> None:
    fields = {"output_version": version} if version else {}
    for half in HALVES:
        model = bound(
            ChunkScript(chunks=[*chunks_of(half), chunk(info={"finish_reason": "length"})]), streaming=True, **fields
        )
        chunks = list(model.stream("?"))
        stream = await model.astream_events("?", version="v3")
        async for _ in stream:
            pass
        for message in (joined(chunks), added_up(chunks), model.invoke("?"), await stream.output):
            assert (message.tool_calls, len(message.invalid_tool_calls)) == ([], 1), half
            assert not [block for block in message.content_blocks if block["type"] == "tool_call"], half


def test_a_half_call_in_the_last_chunk() -> None:
    first, rest = chunks_of('{"city": "Par')
    rest.message.chunk_position = "last"
    rest.message.tool_call_chunks[0].update(index=1, id="2", name="get_weather", args='{"city": ["Rome"')
    message = joined(list(bound(ChunkScript(chunks=[first, rest])).stream("?")))
    assert (message.tool_calls, len(message.invalid_tool_calls)) == ([], 2)


async def test_a_half_call_of_a_model_that_does_not_stream() -> None:
    class Whole(Script):
        _stream = BaseChatModel._stream

        def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
            broken = {"name": "get_weather", "args": '{"city": "Par', "id": "1", "error": None}
            return ChatResult(generations=[ChatGeneration(message=AIMessage("", invalid_tool_calls=[broken]))])

    for way in WAYS:
        message = await way(bound(Whole(replies=[])), "?")
        assert (message.tool_calls, len(message.invalid_tool_calls)) == ([], 1)


def test_a_stream_that_breaks_in_a_native_call() -> None:
    model = bound(ChunkScript(chunks=chunks_of('{"city": "Par'), breaks=ConnectionError("gone")))
    shown: list[AIMessageChunk] = []

    def show() -> None:
        for piece in model.stream("?"):
            shown.append(piece)  # noqa: PERF402 - what came before the error counts

    with pytest.raises(ConnectionError):
        show()
    assert added_up(shown).tool_calls == []


@pytest.mark.parametrize("modes", [["values"], ["messages", "updates", "values"]])
async def test_an_agent_does_not_run_half_a_native_call(modes: list[str]) -> None:
    forecast = Forecast()
    answers = [called(half, reason="length", stream="messages" in modes) for half in SOME_HALVES]
    with serving(*answers) as server:
        async with langchain_model(server) as model:
            agent = create_agent(model, [forecast.get_weather])
            for _ in answers:
                states = [value async for _, value in agent.astream({"messages": ["Weather?"]}, stream_mode=modes)]
                assert states
    assert forecast.asked == []
    assert len(server.bodies) == len(answers)


@pytest.mark.parametrize(("half", "reason"), [('{"city": "Par', "length"), (BROKEN, "tool_calls")])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_agent_may_be_told_to_ask_again(half: str, reason: str, stream: bool) -> None:
    forecast = Forecast()
    answers = [called(half, reason=reason, stream=stream), called(WHOLE, reason="stop", stream=stream)]
    with serving(*answers, "Sunny.") as server:
        async with langchain_model(server) as model:
            middleware = FallbackToolMiddleware(reask=1)
            agent = create_agent(model.inner, [forecast.get_weather], middleware=[middleware])
            question = {"messages": [HumanMessage("Weather?")]}
            if stream:
                states = [value async for value in agent.astream(question, stream_mode=["messages", "values"])]
                state: Any = states[-1][1]
            else:
                state = await agent.ainvoke(question)
    assert forecast.asked == [("Paris", [1, {"a": ']"'}])]
    assert [message.type for message in state["messages"]] == ["human", "ai", "tool", "ai"]
    *_, said, complaint = server.bodies[1]["messages"]
    assert said["tool_calls"][0]["id"] == complaint["tool_call_id"] == "id0"
    assert "the arguments of 'get_weather' are not whole JSON" in complaint["content"]


async def test_half_a_call_in_the_history_is_written_as_text_where_the_server_minds() -> None:
    refusal = error(500, "Failed to parse tool call arguments as JSON: [json.exception.parse_error.101]")
    broken = {"name": "get_weather", "args": '{"city": "Par', "id": "1", "error": None}
    history = [
        HumanMessage("Weather?"),
        AIMessage("", invalid_tool_calls=[broken]),
        ToolMessage("cut", name="get_weather", tool_call_id="1", status="error"),
    ]
    with serving(refusal, "Sunny.", "Sunny.") as server:
        async with langchain_model(server) as model:
            assert model.bind_tools([Forecast().get_weather]).invoke(history).text == "Sunny."
            assert model.bind_tools([Forecast().get_weather]).invoke(history[:2]).text == "Sunny."
    assert server.sent_calls == [True, False, True]
    written = server.bodies[1]["messages"]
    assert [message["role"] for message in written] == ["system", "user", "assistant", "user"]
    assert '{\\"city\\": \\"Par' in written[2]["content"]


# ---- PydanticAI checks arguments by itself, but takes none for `{}`


def pydantic_model(server: BrokenServer, http: httpx2.AsyncClient, kind: str, **settings: Any) -> FallbackToolModel:
    client = openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0, http_client=http)
    if kind == "ollama":
        return FallbackToolModel(OllamaModel("m", provider=OllamaProvider(openai_client=client), **settings))
    return FallbackToolModel(OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client), **settings))


@every_run
@pytest.mark.parametrize("kind", ["ollama", "openai"])
@pytest.mark.parametrize("half", ["", *SOME_HALVES, BROKEN])
async def test_half_a_native_call_is_retried(run: str, kind: str, half: str) -> None:
    forecast, stream = Forecast(), run != "run"
    reason = "tool_calls" if half == BROKEN else "length"
    answers = [called(half, reason=reason, stream=stream), called(WHOLE, reason="stop", stream=stream)]
    with serving(*answers, "Sunny.") as server:
        async with httpx2.AsyncClient() as http:
            agent = Agent(pydantic_model(server, http, kind), tools=[forecast.get_weather])
            output, messages = await run_agent(run, agent, "Weather?")
    assert (output, forecast.asked) == ("Sunny.", [("Paris", [1, {"a": ']"'}])])
    response = messages[1]
    assert isinstance(response, ModelResponse)
    assert response.finish_reason == ("tool_call" if half == BROKEN else "length")
    assert [part.args for part in response.parts if isinstance(part, ToolCallPart)] == [half or "{"]


@every_run
@pytest.mark.parametrize("half", ["", '{"city": "Par'])
async def test_the_framework_says_what_to_do_about_half_a_call(run: str, half: str) -> None:
    forecast = Forecast()
    with serving(called(half, reason="length", stream=run != "run")) as server:
        async with httpx2.AsyncClient() as http:
            agent = Agent(pydantic_model(server, http, "openai"), tools=[forecast.get_weather], retries=0)
            with pytest.raises(IncompleteToolCall, match="Increase the `max_tokens`"):
                await run_agent(run, agent, "Weather?")
    assert forecast.asked == []


@every_run
@pytest.mark.parametrize(
    ("calls", "reason"), [([""], "tool_calls"), (["{}"], "length"), (["", "{}"], "length"), ([WHOLE], "length")]
)
async def test_other_native_calls_are_untouched(run: str, calls: list[str], reason: str) -> None:
    forecast = Forecast()
    with serving(called(*calls, reason=reason, stream=run != "run"), "Sunny.") as server:
        async with httpx2.AsyncClient() as http:
            agent = Agent(pydantic_model(server, http, "openai"), tools=[forecast.get_weather])
            _, messages = await run_agent(run, agent, "Weather?")
    assert len(forecast.asked) == len(calls)
    assert [part.args or "" for part in messages[1].parts if isinstance(part, ToolCallPart)] == calls
