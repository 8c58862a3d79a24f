"""Real servers of other kinds: ones that parse calls themselves, refuse tools, refuse the tool role, cut replies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import ChatOpenAI
from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.servers import MlxServer
from toolmend.adapters.langchain import FallbackToolChatModel
from toolmend.adapters.pydantic_ai import FallbackToolModel
from toolmend.demo.agents import Server, ask_langgraph, ask_pydantic_ai
from toolmend.demo.llamacpp import LlamaServer
from toolmend.demo.replies import DEFAULT, REPLIES

ASK = pytest.mark.parametrize("ask", [ask_pydantic_ai, ask_langgraph], ids=["pydantic_ai", "langgraph"])
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


class Weather:
    """A tool that writes down what it was asked."""

    def __init__(self) -> None:
        self.cities: list[str] = []

    def get_weather(self, city: str) -> str:
        """Get the weather of a city."""
        self.cities.append(city)
        return f"sunny in {city}"


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


@ASK
@STREAM
def test_mlx_with_a_fence(mlx_server: MlxServer, ask, stream: bool) -> None:
    weather = Weather()
    server = Server(mlx_server.base_url, mlx_server.model)
    assert ask(server, "weather in Bern, long", [weather.get_weather], wrapped=True, stream=stream) == DEFAULT
    assert weather.cities == ["Bern"]
