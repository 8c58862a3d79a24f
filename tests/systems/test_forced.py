"""A forced choice on a real llama.cpp: the model would rather say hello, and calls a tool all the same."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal

import httpx2
import openai
import pytest
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelRequest, ModelResponse, ToolCallPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition

from tests.adapters.broken_server import Answer, BrokenServer, delta, error, events, serving, whole
from tests.adapters.langchain_scripts import WAYS, Way
from tests.servers import MlxServer
from toolmend.adapters.langchain import FallbackToolChatModel
from toolmend.adapters.pydantic_ai import FallbackToolModel

Sent = list[dict[str, Any]]
CITY = {"enum": ["Oslo", "Paris", "Rome"]}
PARAMETERS = {"type": "object", "properties": {"city": CITY}, "required": ["city"]}
TOOLS = [
    ToolDefinition(name=name, description="Tells.", parameters_json_schema=PARAMETERS)
    for name in ("get_weather", "get_time")
]
OPENAI = [
    {"type": "function", "function": {"name": tool.name, "description": "Tells.", "parameters": PARAMETERS}}
    for tool in TOOLS
]
CHOICES = [("required", {"get_weather", "get_time"}), (["get_time"], {"get_time"})]
QUESTIONS = ["say hello", "What is a JSON tool call?", "weather in Paris"]
SERVERS = pytest.mark.parametrize("fixture", ["llama", "llama_strict", "llama_hermes", "llama_nojinja"])


@asynccontextmanager
async def pydantic_model(
    base_url: str, **options: Any
) -> AsyncIterator[tuple[FallbackToolModel, list[dict[str, Any]]]]:
    """A wrapped model, and the requests that it sends."""
    sent: list[dict[str, Any]] = []

    async def note(request: httpx2.Request) -> None:
        sent.append(json.loads(request.content))

    async with httpx2.AsyncClient(event_hooks={"request": [note]}) as http:
        client = openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0, http_client=http)
        provider = OpenAIProvider(openai_client=client)
        settings: Any = {"max_tokens": 600, "extra_body": {"top_k": 1}}
        inner = OpenAIChatModel("default_model", provider=provider, settings=settings)
        yield FallbackToolModel(inner, **options), sent


@contextmanager
def langchain_model(base_url: str, **options: Any) -> Iterator[tuple[FallbackToolChatModel, Sent]]:
    sent: list[dict[str, Any]] = []

    def note(request: httpx2.Request) -> None:
        sent.append(json.loads(request.content))

    async def anote(request: httpx2.Request) -> None:
        note(request)

    with httpx2.Client(event_hooks={"request": [note]}) as http:
        clients: dict[str, Any] = {
            "http_client": http,
            "http_async_client": httpx2.AsyncClient(event_hooks={"request": [anote]}),
        }
        inner = ChatOpenAI(
            model="default_model",
            base_url=base_url,
            api_key=SecretStr("none"),
            max_retries=0,
            max_tokens=600,
            **clients,
        )
        yield FallbackToolChatModel(inner, **options), sent


async def answer_of(model: FallbackToolModel, question: str, choice: Any, *, stream: bool) -> ModelResponse:
    asked: list[Any] = [ModelRequest(parts=[UserPromptPart(question)])]
    params = ModelRequestParameters(function_tools=TOOLS)
    if not stream:
        return await model.request(asked, {"tool_choice": choice}, params)
    async with model.request_stream(asked, {"tool_choice": choice}, params) as response:
        async for _ in response:
            pass
    return response.get()


@SERVERS
@pytest.mark.parametrize(("choice", "names"), CHOICES, ids=["required", "named"])
@pytest.mark.parametrize("mode", ["auto", "prompt"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_pydantic_ai(
    request: pytest.FixtureRequest, fixture: str, choice: Any, names: set[str], mode: Any, stream: bool
) -> None:
    async with pydantic_model(request.getfixturevalue(fixture).base_url, mode=mode) as (model, sent):
        for question in QUESTIONS:
            response = await answer_of(model, question, choice, stream=stream)
            calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
            assert calls
            assert {call.tool_name for call in calls} <= names
            if "response_format" in sent[-1]:  # else it is llama.cpp's own way of forcing, which is looser
                assert all(call.args_as_dict()["city"] in CITY["enum"] for call in calls)
    assert len(sent) <= len(QUESTIONS) + (mode == "auto")  # in vain it is asked only once


@SERVERS
@pytest.mark.parametrize(("choice", "names"), CHOICES, ids=["required", "named"])
@pytest.mark.parametrize("mode", ["auto", "prompt"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_langchain(
    request: pytest.FixtureRequest, fixture: str, choice: Any, names: set[str], mode: Any, way: Way
) -> None:
    with langchain_model(request.getfixturevalue(fixture).base_url, mode=mode) as (model, sent):
        llm = model.bind_tools(OPENAI, tool_choice=choice if choice == "required" else choice[0])
        for question in QUESTIONS:
            made = await way(llm, question)
            assert made.tool_calls
            assert {call["name"] for call in made.tool_calls} <= names
            if "response_format" in sent[-1]:
                assert all(call["args"]["city"] in CITY["enum"] for call in made.tool_calls)
        await model.inner.http_async_client.aclose()
    assert len(sent) <= len(QUESTIONS) + (mode == "auto")


class Capital(BaseModel):
    """A capital."""

    city: Literal["Oslo", "Paris", "Rome"]


@SERVERS
async def test_structured_output(request: pytest.FixtureRequest, fixture: str) -> None:
    base_url = request.getfixturevalue(fixture).base_url
    async with pydantic_model(base_url) as (model, sent):
        result = await Agent(model, output_type=Capital).run("say hello")
        assert result.output.city in CITY["enum"]
        assert len(sent) <= 2
    with langchain_model(base_url) as (model, sent):
        made = model.with_structured_output(Capital, method="function_calling").invoke("say hello")
        assert isinstance(made, Capital)
        assert len(sent) <= 2


async def test_several_calls_stay_possible(llama: Any) -> None:
    async with pydantic_model(llama.base_url, mode="prompt") as (model, sent):
        await answer_of(model, "weather in Paris", "required", stream=False)
    schema = sent[0]["response_format"]["json_schema"]["schema"]
    assert schema["type"] == "array"
    assert schema["maxItems"] > 1


async def test_a_server_that_ignores_schemas_gets_the_words(mlx_server: MlxServer) -> None:
    async with pydantic_model(mlx_server.base_url, mode="prompt") as (model, sent):
        made = await answer_of(model, "weather in Paris", "required", stream=False)
        assert [part.args_as_dict() for part in made.parts if isinstance(part, ToolCallPart)] == [{"city": "Paris"}]
        plain = await answer_of(model, "say hello", "required", stream=False)
        assert not any(isinstance(part, ToolCallPart) for part in plain.parts)
    assert "You must call at least one tool" in sent[0]["messages"][0]["content"]
    assert len(sent) == 2


LCP = error(500, "1 validation error: 'response_format', 'type' Input should be 'text' or 'json_object'")
CALL = '[{"name": "get_time", "arguments": {"city": "Oslo"}}]'


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_server_that_refuses_schemas_is_asked_without_by_pydantic_ai(stream: bool) -> None:
    with serving(LCP, CALL, CALL) as server:
        async with pydantic_model(server.base_url, mode="prompt") as (model, _):
            for _ in range(2):
                response = await answer_of(model, "Go", "required", stream=stream)
                assert any(isinstance(part, ToolCallPart) for part in response.parts)
    assert ["response_format" in body for body in server.bodies] == [True, False, False]
    assert "JSON list" not in server.bodies[1]["messages"][0]["content"]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_a_server_that_refuses_schemas_is_asked_without_by_langchain(way: Way) -> None:
    with serving(LCP, CALL, CALL) as server, langchain_model(server.base_url, mode="prompt") as (model, _):
        for _ in range(2):
            made: AIMessage = await way(model.bind_tools(OPENAI, tool_choice="any"), "Go")
            assert made.tool_calls
        await model.inner.http_async_client.aclose()
    assert ["response_format" in body for body in server.bodies] == [True, False, False]
    assert "JSON list" not in server.bodies[1]["messages"][0]["content"]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_langchain_passes_what_other_servers_say(way: Way) -> None:
    busy = error(503, "busy")
    with serving(busy) as server, langchain_model(server.base_url, mode="prompt") as (model, _):
        with pytest.raises(openai.APIStatusError):
            await way(model.bind_tools(OPENAI, tool_choice="any"), "Go")
        await model.inner.http_async_client.aclose()
    assert len(server.bodies) == 1


LM_STUDIO = error(400, "Invalid tool_choice type: 'object'. Supported string values: none, auto, required")
NATIVE = {
    "id": "1",
    "type": "function",
    "index": 0,
    "function": {"name": "get_time", "arguments": '{"city": "Oslo"}'},
}
THINKS = error(400, "Thinking mode does not support this tool_choice")


def calls_natively(*, stream: bool) -> Answer:
    if stream:
        return events(delta(role="assistant", tool_calls=[NATIVE]), delta("tool_calls"))
    return whole("tool_calls", content="", tool_calls=[NATIVE])


def forms(server: BrokenServer) -> list[Any]:
    """How each request asks for a call: in a word, with an object, or with a schema for the reply."""
    choices = [body.get("tool_choice") for body in server.bodies]
    schemas = ["response_format" in body and "tools" not in body for body in server.bodies]
    return [
        "schema" if schema else "object" if isinstance(choice, dict) else choice
        for choice, schema in zip(choices, schemas, strict=True)
    ]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_server_that_takes_a_choice_in_words_only_is_not_named_a_tool_twice(stream: bool) -> None:
    with serving(LM_STUDIO, CALL, CALL, calls_natively(stream=stream), "Hello.") as server:
        async with pydantic_model(server.base_url) as (model, _):
            for choice in (["get_time"], ["get_time"], "required", "auto"):
                response = await answer_of(model, "Go", choice, stream=stream)
                assert any(isinstance(part, ToolCallPart) for part in response.parts) is (choice != "auto")
            assert model._server not in model.refusals
    assert forms(server) == ["object", "schema", "schema", "required", "auto"]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_langchain_does_not_name_a_tool_twice_either(way: Way) -> None:
    native = calls_natively(stream=way.name.endswith("stream"))
    with serving(LM_STUDIO, CALL, CALL, native, "Hello.") as server, langchain_model(server.base_url) as (model, _):
        for choice in ("get_time", "get_time", "any", None):
            made: AIMessage = await way(model.bind_tools(OPENAI, tool_choice=choice), "Go")
            assert [call["name"] for call in made.tool_calls] == (["get_time"] if choice else [])
        await model.inner.http_async_client.aclose()
    assert forms(server) == ["object", "schema", "schema", "required", None]


async def test_a_model_that_thinks_may_take_no_forced_choice_at_all() -> None:
    with serving(THINKS, CALL, CALL) as server:
        async with pydantic_model(server.base_url) as (model, _):
            for _ in range(2):
                await answer_of(model, "Go", "required", stream=False)
    assert forms(server) == ["required", "schema", "schema"]
    with serving(THINKS, CALL, CALL) as server, langchain_model(server.base_url) as (model, _):
        for _ in range(2):
            assert model.bind_tools(OPENAI, tool_choice="any").invoke("Go").tool_calls
        await model.inner.http_async_client.aclose()
    assert forms(server) == ["required", "schema", "schema"]


async def test_a_refused_choice_passes_where_nothing_may_be_asked_again() -> None:
    with serving(LM_STUDIO, LM_STUDIO, LM_STUDIO) as server:
        async with pydantic_model(server.base_url, mode="native") as (model, _):
            with pytest.raises(ModelHTTPError, match="tool_choice"):
                await answer_of(model, "Go", ["get_time"], stream=False)
        langchain = langchain_model(server.base_url, mode="native")
        with langchain as (model, _), pytest.raises(openai.BadRequestError, match="tool_choice"):
            model.bind_tools(OPENAI, tool_choice="get_time").invoke("Go")
        async with pydantic_model(server.base_url) as (model, _):
            with pytest.raises(ModelHTTPError, match="tool_choice"):
                await answer_of(model, "Go", "auto", stream=False)
    assert len(server.bodies) == 3


async def test_what_the_caller_sends_along_stays() -> None:
    with serving(CALL, CALL) as server:
        async with pydantic_model(server.base_url, mode="prompt") as (model, _):
            await answer_of(model, "Go", "required", stream=False)
        with langchain_model(server.base_url, mode="prompt") as (model, _):
            model.bind_tools(OPENAI, tool_choice="any").invoke("Go", extra_body={"top_k": 1})
            await model.inner.http_async_client.aclose()
    assert [body["top_k"] for body in server.bodies] == [1, 1]


async def test_no_schema_where_the_choice_is_free_or_native_only() -> None:
    with serving("Hello.", whole("stop", content="Hello."), "Hello.") as server:
        async with pydantic_model(server.base_url, mode="prompt") as (model, _):
            await answer_of(model, "Go", "auto", stream=False)
        async with pydantic_model(server.base_url, mode="native") as (model, _):
            await answer_of(model, "Go", "required", stream=False)
        with langchain_model(server.base_url, mode="prompt") as (model, _):
            model.bind_tools(OPENAI).invoke("Go")
            await model.inner.http_async_client.aclose()
    assert not any("response_format" in body for body in server.bodies)
