"""PydanticAI over HTTP: the refusals of servers, and the very requests they are sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, Tool
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelRequest, PartStartEvent, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.tools import ToolDefinition

from tests.adapters.pydantic_ai_scripts import (
    WAYS,
    ChatServer,
    essence,
    fence,
    refusing_tools,
    run_agent,
)
from toolmend._refusal import Refusals
from toolmend.adapters.pydantic_ai import FallbackToolModel

PARIS = fence("get_weather", city="Paris")


class City(BaseModel):
    """A city."""

    name: str
    population: int


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def agent_on(model: Model, **arguments: Any) -> Agent[None, Any]:
    return Agent(FallbackToolModel(model), tools=[get_weather], **arguments)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["ollama", "openai"])
async def test_a_server_that_refuses_tools_gets_plain_conversation(way: str, kind: str) -> None:
    server = ChatServer(PARIS, "It is sunny.", "Bye.", refusal=refusing_tools)
    agent = agent_on(getattr(server, kind)(), instructions="Be nice.", system_prompt="You are I.")
    output, messages = await run_agent(way, agent, "Weather in Paris?")
    assert output == "It is sunny."
    assert [part[:2] for parts in essence(messages)[1:] for part in parts] == [
        *(("call", "get_weather"), ("tool-return", "get_weather"), ("text", None))
    ]
    await run_agent(way, agent, "Bye", message_history=messages)
    refused, *plain = server.bodies
    assert [tool["function"]["name"] for tool in refused["tools"]] == ["get_weather"]
    assert server.roles[1:] == [
        ["system", "user"],
        ["system", "user", "assistant", "user"],
        ["system", "user", "assistant", "user", "assistant", "user"],
    ]
    for body in plain:
        assert not {"tools", "tool_choice", "parallel_tool_calls", "response_format"} & set(body)
        assert all(isinstance(message["content"], str) for message in body["messages"])
        assert not any("tool_calls" in message for message in body["messages"])
    last = plain[1]["messages"]
    assert last[0]["content"].startswith("You are I.\n\nBe nice.\n\nYou can call tools.")
    assert last[2]["content"] == PARIS
    assert "sunny in Paris" in last[3]["content"]


NO_JINJA = {"error": {"code": 500, "message": "tools param requires --jinja flag"}}
NO_PARSER = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
REFUSALS = {
    "an error with a message": (400, {"json": {"error": {"message": "m does not support tools"}}}),
    "an error that is a string": (400, {"json": {"error": "m does not support tools"}}),
    "a bare message": (400, {"json": {"object": "error", "message": NO_PARSER, "code": 400}}),
    "a detail": (400, {"json": {"detail": NO_PARSER}}),
    "plain text": (400, {"text": "m does not support tools"}),
    "JSON in JSON": (
        400,
        {"json": {"error": '{"error": {"message": "Only user and assistant roles are supported!"}}'}},
    ),
    "an internal error": (500, {"json": NO_JINJA}),
}


@pytest.mark.parametrize("way", ["run", "run_stream"])
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_refusals_are_understood_in_every_shape(way: str, refusal: str) -> None:
    status, body = REFUSALS[refusal]

    def refuse(request: dict[str, Any]) -> httpx2.Response | None:
        return httpx2.Response(status, **body) if request.get("tools") else None

    server = ChatServer(PARIS, "Sunny.", refusal=refuse)
    agent = agent_on(server.ollama())
    assert (await run_agent(way, agent, "Go"))[0] == "Sunny."
    assert len(server.bodies) == 3


@pytest.mark.parametrize("way", ["run", "run_stream"])
@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "invalid tool call arguments"),
        (401, "gemma does not support tools"),
        (404, 'model "gemma" not found, try pulling it first'),
        (400, "the request exceeds the available context size"),
    ],
)
async def test_other_errors_pass(way: str, status: int, message: str) -> None:
    server = ChatServer("never", refusal=lambda _: httpx2.Response(status, json={"error": {"message": message}}))
    with pytest.raises(ModelHTTPError) as caught:
        await run_agent(way, agent_on(server.ollama()), "Go")
    assert caught.value.status_code == status
    assert len(server.bodies) == 1


async def test_a_verdict_holds_for_one_model_on_one_server() -> None:
    refusals = Refusals()

    def refuse(body: dict[str, Any]) -> httpx2.Response | None:
        return refusing_tools(body) if body["model"] == "gemma" else None

    server = ChatServer(*["ok"] * 5, refusal=refuse)
    for name in ("gemma", "gemma", "llama"):
        model = FallbackToolModel(server.ollama(name), refusals=refusals)
        await Agent(model, tools=[get_weather]).run("Go")
    assert [(body["model"], "tools" in body) for body in server.bodies] == [
        *(("gemma", True), ("gemma", False), ("gemma", False), ("llama", True))
    ]
    assert ("http://server/v1/", "gemma") in refusals or ("http://server/v1", "gemma") in refusals


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("output", [City, NativeOutput(City), PromptedOutput(City)])
async def test_structured_output_from_a_server_without_tools(way: str, output: Any) -> None:
    final = {"name": "Paris", "population": 2}
    last = fence("final_result", **final) if output is City else '{"name":"Paris","population":2}'
    server = ChatServer(PARIS, last, refusal=refusing_tools)
    answer, _ = await run_agent(way, agent_on(server.ollama(), output_type=output), "Go")
    assert answer == City(**final)
    forced = output is City  # else the answer is text
    assert ["response_format" in body for body in server.bodies[1:]] == [forced, forced]
    assert '"population"' in server.bodies[1]["messages"][0]["content"]


@pytest.mark.parametrize("way", WAYS)
async def test_a_server_that_takes_tools_keeps_them_and_the_history_is_native(way: str) -> None:
    server = ChatServer(f"So.\n{PARIS}" if way != "run_stream" else PARIS, "Sunny.")
    output, _ = await run_agent(way, agent_on(server.ollama()), "Go")
    assert output == "Sunny."
    assert all(body["tools"] for body in server.bodies)
    assert server.roles == [["user"], ["user", "assistant", "tool"]]
    (made,) = server.bodies[1]["messages"][1]["tool_calls"]
    assert made["function"]["name"] == "get_weather"
    assert json.loads(made["function"]["arguments"]) == {"city": "Paris"}
    assert made["id"] == server.bodies[1]["messages"][2]["tool_call_id"]


async def test_a_reply_cut_by_its_length_runs_no_unfinished_call() -> None:
    unfinished = PARIS.removesuffix("}\n```")
    for way in WAYS:
        server = ChatServer(unfinished, finish_reason="length")
        output, _ = await run_agent(way, agent_on(server.ollama()), "Go")
        assert output == unfinished


async def test_each_candidate_of_a_fallback_model_gets_tools_its_own_way() -> None:
    def down(_: dict[str, Any]) -> httpx2.Response:
        return httpx2.Response(503, json={"error": {"message": "loading model"}})

    first = ChatServer(refusal=down)
    second = ChatServer(PARIS, "Sunny.", refusal=refusing_tools)
    servers = [FallbackToolModel(server.ollama()) for server in (first, second)]
    agent = Agent(FallbackModel(*servers), tools=[get_weather])
    assert (await agent.run("Go")).output == "Sunny."
    assert ["tools" in body for body in first.bodies] == [True, True]
    assert ["tools" in body for body in second.bodies] == [True, False, False]


class Endless(httpx2.AsyncByteStream):
    """A reply that goes on until its connection is closed."""

    def __init__(self) -> None:
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunk = (
            'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m",'
            '"choices":[{"index":0,"delta":{"content":"on "},"finish_reason":null}]}\n\n'
        )
        while not self.closed:
            yield chunk.encode()

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("cancels", [True, False])
async def test_a_stream_that_is_given_up_is_closed(cancels: bool) -> None:
    endless = Endless()
    reply = httpx2.Response(200, stream=endless, headers={"content-type": "text/event-stream"})
    model = FallbackToolModel(ChatServer(reply).ollama())
    question: list[Any] = [ModelRequest(parts=[UserPromptPart("Go")])]
    tool = ToolDefinition(name="f", parameters_json_schema={"type": "object", "properties": {}})
    offered = ModelRequestParameters(function_tools=[tool])
    async with model.request_stream(question, None, offered) as stream:
        async for event in stream:
            if isinstance(event, PartStartEvent):
                if cancels:
                    await stream.cancel()
                    assert endless.closed
                break
    assert endless.closed
    response = stream.get()
    assert response.state == ("interrupted" if cancels else "incomplete")
    assert isinstance(response.parts[0], TextPart)


@pytest.mark.parametrize("refusal", [refusing_tools, lambda body: None], ids=["refusing", "accepting"])
@pytest.mark.parametrize("way", WAYS)
async def test_tools_that_the_model_searches_for(way: str, refusal: Any) -> None:
    if not hasattr(ModelRequestParameters, "visibility_of"):
        pytest.skip("this version withholds no tools")
    server = ChatServer(fence("search_tools", queries=["weather"]), PARIS, "Sunny.", refusal=refusal)
    agent = Agent(FallbackToolModel(server.ollama()), tools=[Tool(get_weather, defer_loading=True)])
    output, messages = await run_agent(way, agent, "Weather in Paris?")
    assert output == "Sunny."
    called = [part.tool_name for message in messages for part in message.parts if isinstance(part, ToolCallPart)]
    assert called == ["search_tools", "get_weather"]
    offered = [json.dumps(body.get("tools") or body["messages"][0]["content"]) for body in server.bodies]
    assert ["get_weather" in tools for tools in offered[-3:]] == [False, True, True]
