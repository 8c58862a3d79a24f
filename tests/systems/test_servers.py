"""Real servers of other kinds: ones that parse calls themselves, refuse tools, refuse the tool role, cut replies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelAPIError, UnexpectedModelBehavior
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition

from tests.adapters.pydantic_ai_scripts import run_agent
from tests.servers import MlxServer
from tests.systems import Weather
from toolmend.adapters.langchain import FallbackToolChatModel
from toolmend.adapters.pydantic_ai import FallbackToolModel
from toolmend.demo.agents import Server, ask_langgraph, ask_pydantic_ai
from toolmend.demo.llamacpp import LlamaServer
from toolmend.demo.replies import DEFAULT, REPLIES

ASK = pytest.mark.parametrize("ask", [ask_pydantic_ai, ask_langgraph], ids=["pydantic_ai", "langgraph"])
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@ASK
@STREAM
@pytest.mark.parametrize(
    ("question", "cities"),
    [
        ("weather in Paris", ["Paris"]),
        ("weather in Oslo", ["Oslo"]),
        ("weather in Bonn", ["Bonn"]),
        ("weather in Kyiv", ["Kyiv"]),
        ("weather in Bern, long", ["Bern"]),
        ("compare Paris and Rome", ["Paris", "Rome"]),
        ("think about Lima", ["Lima"]),
    ],
)
def test_every_way_to_write_a_call(llama: LlamaServer, ask, stream: bool, question: str, cities: list[str]) -> None:
    weather = Weather()
    answer = ask(Server(llama.base_url, "tiny"), question, [weather.get_weather], wrapped=True, stream=stream)
    assert weather.cities == cities
    assert answer == DEFAULT


@ASK
@STREAM
def test_a_server_that_refuses_tools_without_jinja(llama_nojinja: LlamaServer, ask, stream: bool) -> None:
    weather = Weather()
    server = Server(llama_nojinja.base_url, "tiny")
    assert ask(server, "weather in Paris", [weather.get_weather], wrapped=True, stream=stream) == DEFAULT
    assert weather.cities == ["Paris"]


@ASK
@STREAM
def test_a_template_that_refuses_the_tool_role(llama_strict: LlamaServer, ask, stream: bool) -> None:
    weather = Weather()
    server = Server(llama_strict.base_url, "tiny")
    assert ask(server, "weather in Paris", [weather.get_weather], wrapped=True, stream=stream) == DEFAULT
    assert weather.cities == ["Paris"]


@ASK
@STREAM
def test_calls_that_the_server_parsed_itself(llama_hermes: LlamaServer, ask, stream: bool) -> None:
    weather = Weather()
    server = Server(llama_hermes.base_url, "tiny")
    assert ask(server, "weather in Paris", [weather.get_weather], wrapped=True, stream=stream) == DEFAULT
    assert weather.cities == ["Paris"]


@asynccontextmanager
async def chat_model(base_url: str, **settings: Any) -> AsyncIterator[OpenAIChatModel]:
    async with httpx2.AsyncClient() as http:
        provider = OpenAIProvider(base_url=base_url, api_key="none", http_client=http)
        yield OpenAIChatModel("tiny", provider=provider, settings=settings)


async def test_a_native_call_is_passed_through_untouched(llama_hermes: LlamaServer) -> None:
    async with chat_model(llama_hermes.base_url) as model:
        await check_native_calls(model)


async def check_native_calls(model: OpenAIChatModel) -> None:
    bare = await Agent(model, tools=[Weather().get_weather]).run("weather in Paris")
    wrapped = await Agent(FallbackToolModel(model), tools=[Weather().get_weather]).run("weather in Paris")
    for run in (bare, wrapped):
        call = run.all_messages()[1].parts[0]
        assert isinstance(call, ToolCallPart)
        assert not call.tool_call_id.startswith("call_")  # llama.cpp's own id, not ours
        assert call.args_as_dict() == {"city": "Paris"}


@pytest.mark.parametrize("limit", range(2, 24))
async def test_a_reply_cut_by_its_length_calls_nothing_by_half(llama: LlamaServer, limit: int) -> None:
    reply = REPLIES["weather in Paris"]
    weather = Weather()
    async with chat_model(llama.base_url, max_tokens=limit) as model:
        run = await Agent(FallbackToolModel(model), tools=[weather.get_weather]).run("weather in Paris")
    first = run.all_messages()[1]
    assert isinstance(first, ModelResponse)
    calls = [part for part in first.parts if isinstance(part, ToolCallPart)]
    text = "".join(part.content for part in first.parts if isinstance(part, TextPart))
    if calls:
        assert [call.args_as_dict() for call in calls] == [{"city": "Paris"}]
    else:
        assert reply.startswith(text)
        assert text
    assert weather.cities == ["Paris"] * len(calls)


@pytest.mark.parametrize("limit", [4, 8, 12, 16, 100])
def test_a_stream_cut_by_its_length_calls_nothing_by_half(llama: LlamaServer, limit: int) -> None:
    whole = None
    with httpx2.Client() as http:
        model = ChatOpenAI(model="tiny", base_url=llama.base_url, api_key="none", max_tokens=limit, http_client=http)
        llm = FallbackToolChatModel(model).bind_tools([Weather().get_weather])
        for chunk in llm.stream([HumanMessage("weather in Paris")]):
            whole = chunk if whole is None else whole + chunk
    assert isinstance(whole, AIMessage)
    if limit == 100:
        assert [call["args"] for call in whole.tool_calls] == [{"city": "Paris"}]
        assert whole.text == ""
    else:
        assert not whole.tool_calls
        assert not whole.invalid_tool_calls
        assert whole.text
        assert REPLIES["weather in Paris"].startswith(whole.text)


@pytest.mark.parametrize("stop", [None, ["Par", "Paris"]])
@pytest.mark.parametrize("limit", [*range(2, 24, 3), 100])
async def test_a_native_call_that_was_cut_never_runs_by_half(
    llama_hermes: LlamaServer, limit: int, stop: list[str] | None
) -> None:
    cut: dict[str, Any] = {"max_tokens": limit, **({"stop": stop} if stop else {})}
    with httpx2.Client() as http:
        inner = ChatOpenAI(model="tiny", base_url=llama_hermes.base_url, api_key="none", http_client=http, **cut)
        model = FallbackToolChatModel(inner).bind_tools([Weather().get_weather])
        for made in (model.invoke("weather in Paris"), sum_of(list(model.stream("weather in Paris")))):
            assert [call["args"] for call in made.tool_calls] in ([], [{"city": "Paris"}])
            assert limit < 100 or stop or made.tool_calls
    weather = Weather()
    settings = {"max_tokens": limit, **({"stop_sequences": stop} if stop else {})}
    async with chat_model(llama_hermes.base_url, **settings) as model:
        agent = Agent(FallbackToolModel(model), tools=[weather.get_weather])
        for run in ("run", "run_stream_events"):
            with suppress(UnexpectedModelBehavior):  # a reply that was cut to nothing
                await run_agent(run, agent, "weather in Paris")
    whole = limit == 100 and not stop
    assert weather.cities == ["Paris"] * 2 if whole else set(weather.cities) <= {"Paris"}


def sum_of(chunks: list[Any]) -> Any:
    return chunks[0] + chunks[1:]


@ASK
@STREAM
def test_mlx_with_a_fence(mlx_server: MlxServer, ask, stream: bool) -> None:
    weather = Weather()
    server = Server(mlx_server.base_url, mlx_server.model)
    assert ask(server, "weather in Bern, long", [weather.get_weather], wrapped=True, stream=stream) == DEFAULT
    assert weather.cities == ["Bern"]


@asynccontextmanager
async def counted(base_url: str) -> AsyncIterator[tuple[FallbackToolModel, list[bool]]]:
    """A wrapped model on a server, and for each request whether tools went beside it."""
    sent: list[bool] = []

    async def note(request: httpx2.Request) -> None:
        sent.append("tools" in json.loads(request.content))

    async with httpx2.AsyncClient(event_hooks={"request": [note]}) as http:
        client = openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0, http_client=http)
        inner = OpenAIChatModel("default_model", provider=OpenAIProvider(openai_client=client))
        yield FallbackToolModel(inner), sent


TOOL = ToolDefinition(
    name="get_weather",
    parameters_json_schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


async def answer_of(model: FallbackToolModel, question: str, *, stream: bool) -> ModelResponse:
    asked: list[Any] = [ModelRequest(parts=[UserPromptPart(question)])]
    params = ModelRequestParameters(function_tools=[TOOL])
    if not stream:
        return await model.request(asked, None, params)
    async with model.request_stream(asked, None, params) as response:
        async for _ in response:
            pass
    return response.get()


@STREAM
@pytest.mark.parametrize("question", ["weather in Oslo", "Find all definitions"])
async def test_mlx_swallows_a_call_and_is_asked_once_more(mlx_hermes: MlxServer, question: str, stream: bool) -> None:
    async with counted(mlx_hermes.base_url) as (model, sent):
        response = await answer_of(model, question, stream=stream)
    # The tiny model says the same again, and the same is swallowed again.
    assert not any(isinstance(part, ToolCallPart) for part in response.parts)
    assert sent == [True, False]
    assert response.usage.output_tokens > len(REPLIES[question]) / 10


@STREAM
async def test_mlx_hangs_up_and_is_asked_once_more(mlx_hermes: MlxServer, stream: bool) -> None:
    async with counted(mlx_hermes.base_url) as (model, sent):
        with pytest.raises((ModelAPIError, UnexpectedModelBehavior)):
            await answer_of(model, "what time is it", stream=stream)
    assert sent == [True, False]


@STREAM
async def test_mlx_reads_a_call_itself(mlx_hermes: MlxServer, stream: bool) -> None:
    async with counted(mlx_hermes.base_url) as (model, sent):
        response = await answer_of(model, "weather in Paris", stream=stream)
    assert [part.args_as_dict() for part in response.parts if isinstance(part, ToolCallPart)] == [{"city": "Paris"}]
    assert sent == [True]


@pytest.mark.parametrize(
    ("fixture", "sent"),
    [
        ("llama", [True]),  # its template does not look at arguments
        ("llama_hermes", [True, False]),
        ("llama_coder", [True, False]),
        ("mlx_server", [True, False]),
        ("mlx_hermes", [True, False]),
    ],
)
def test_half_a_call_in_the_history_is_written_as_text_where_the_server_minds(
    request: pytest.FixtureRequest, fixture: str, sent: list[bool]
) -> None:
    half = {"name": "get_weather", "args": '{"city": "Par', "id": "1", "error": None}
    answered = ToolMessage("cut", tool_call_id="1", status="error")
    asked: list[bool] = []

    def note(sent: httpx2.Request) -> None:
        asked.append("tools" in json.loads(sent.content))

    with httpx2.Client(event_hooks={"request": [note]}) as http:
        base_url = request.getfixturevalue(fixture).base_url
        inner = ChatOpenAI(model="default_model", base_url=base_url, api_key="none", http_client=http, max_retries=0)
        model = FallbackToolChatModel(inner).bind_tools([Weather().get_weather])
        history = [HumanMessage("weather in Paris"), AIMessage("", invalid_tool_calls=[half]), answered]
        assert model.invoke(history).text == DEFAULT
    assert asked == sent
