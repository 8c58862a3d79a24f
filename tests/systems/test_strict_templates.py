"""Real chat templates that refuse roles: the conversation is made flat, and the agents get through."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from pydantic_ai import Agent
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition

from tests.adapters.broken_server import error, serving
from tests.adapters.langchain_scripts import WAYS, Way, get_weather
from tests.adapters.pydantic_ai_scripts import fence, run_agent
from tests.adapters.wire_ways import CHATS, before, calls_in, transport
from tests.systems import Weather
from toolmend.adapters.langchain import FallbackToolChatModel
from toolmend.adapters.pydantic_ai import FallbackToolModel
from toolmend.demo.replies import DEFAULT

STRICT = pytest.mark.parametrize("fixture", ["llama_strict", "llama_turns"])
Sent = list[dict[str, Any]]


def roles(body: dict[str, Any]) -> list[str]:
    return [message["role"] for message in body["messages"]]


def pydantic_history() -> list[ModelMessage]:
    """An assistant speaks first, users and assistants twice in a row, and there is a system prompt in the middle."""
    return [
        ModelRequest(parts=[SystemPromptPart("Be brief.")]),
        ModelResponse(parts=[TextPart("Hello, I am here.")]),
        ModelResponse(parts=[TextPart("Ask me.")]),
        ModelRequest(parts=[UserPromptPart("weather?"), SystemPromptPart("Be kind."), UserPromptPart("in Rome!")]),
        ModelResponse(parts=[ToolCallPart("get_weather", {"city": "Rome"}, tool_call_id="1")]),
        ModelRequest(parts=[ToolReturnPart("get_weather", "sunny", tool_call_id="1")]),
        ModelResponse(parts=[TextPart("Sunny.")]),
    ]


@STRICT
@pytest.mark.parametrize("mode", ["auto", "prompt"])
@pytest.mark.parametrize("history", [[], pydantic_history()], ids=["new", "old"])
@pytest.mark.parametrize("way", ["run", "run_stream_events"])
async def test_pydantic_ai(
    request: pytest.FixtureRequest, fixture: str, mode: Any, history: list[ModelMessage], way: str
) -> None:
    sent: Sent = []
    weather = Weather()

    async def note(said: httpx2.Request) -> None:
        sent.append(json.loads(said.content))

    async with httpx2.AsyncClient(event_hooks={"request": [note]}) as http:
        base_url = request.getfixturevalue(fixture).base_url
        client = openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0, http_client=http)
        inner = OpenAIChatModel("tiny", provider=OpenAIProvider(openai_client=client))
        model = FallbackToolModel(inner, mode=mode)
        agent = Agent(model, tools=[weather.get_weather], instructions="You are helpful.")
        for _ in range(2):
            output, _ = await run_agent(way, agent, "weather in Paris", message_history=history)
            assert output == DEFAULT
    # llama.cpp moves a lone system message itself; the tiny model then does not know its question any more.
    asked = bool(history) or fixture == "llama_strict"
    assert weather.cities == ["Paris", "Paris"] * asked
    first = sent[-1]["messages"][0]
    assert "You are helpful." in first["content"]
    assert first["role"] == ("user" if fixture == "llama_turns" and history else "system")
    assert len(sent) <= 4 + 2  # what was refused is not tried again


@STRICT
@pytest.mark.parametrize("mode", ["auto", "prompt"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_langchain(request: pytest.FixtureRequest, fixture: str, mode: Any, way: Way) -> None:
    sent: Sent = []

    def note(said: httpx2.Request) -> None:
        sent.append(json.loads(said.content))

    async def anote(said: httpx2.Request) -> None:
        note(said)

    history = [
        SystemMessage("Be brief."),
        AIMessage("Hello, I am here."),
        AIMessage("Ask me."),
        HumanMessage("weather?"),
        SystemMessage("Be kind."),
        HumanMessage("in Rome!"),
        AIMessage("", tool_calls=[{"name": "get_weather", "args": {"city": "Rome"}, "id": "1"}]),
        ToolMessage("sunny", tool_call_id="1"),
        AIMessage("Sunny."),
        HumanMessage("weather in Paris"),
    ]
    with httpx2.Client(event_hooks={"request": [note]}) as http:
        async with httpx2.AsyncClient(event_hooks={"request": [anote]}) as ahttp:
            inner = ChatOpenAI(
                model="tiny",
                base_url=request.getfixturevalue(fixture).base_url,
                api_key=SecretStr("none"),
                max_retries=0,
                http_client=http,
                http_async_client=ahttp,
            )
            llm = FallbackToolChatModel(inner, mode=mode).bind_tools([get_weather])
            for _ in range(2):
                made = await way(llm, history)
                assert [call["args"] for call in made.tool_calls] == [{"city": "Paris"}]
    flat = fixture == "llama_turns"
    assert roles(sent[-1])[:2] == (["user", "assistant"] if flat else ["system", "assistant"])
    assert "Be brief.\n\nBe kind.\n\nYou can call tools." in sent[-1]["messages"][0]["content"]
    assert len(sent) <= 2 + 2


NO_TOOLS = error(400, "m does not support tools")
NO_SYSTEM = error(404, "System role not supported")
CALL = fence("get_weather", city="Paris")
REFUSED = [
    pytest.param([NO_TOOLS, NO_SYSTEM, CALL, CALL], [["system", "user"], ["user"], ["user"]], id="one by one"),
    pytest.param([NO_SYSTEM, CALL, CALL], [["user"], ["user"]], id="at once"),
]


@pytest.mark.parametrize(("answers", "expected"), REFUSED)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_no_system_role_in_pydantic_ai(answers: Any, expected: list[list[str]], stream: bool) -> None:
    with serving(*answers) as server:
        async with httpx2.AsyncClient() as http:
            client = openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0, http_client=http)
            model = FallbackToolModel(OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client)))
            params = ModelRequestParameters(function_tools=[ToolDefinition(name="get_weather")])
            asked: list[ModelMessage] = [
                ModelRequest(parts=[SystemPromptPart("Be brief."), UserPromptPart("Weather?")])
            ]
            for _ in range(2):
                if stream:
                    async with model.request_stream(asked, None, params) as response:
                        async for _ in response:
                            pass
                    parts = response.get().parts
                else:
                    parts = (await model.request(asked, None, params)).parts
                assert [part.part_kind for part in parts] == ["tool-call"]
    assert [roles(body) for body in server.bodies[1:]] == expected
    text = server.bodies[-1]["messages"][0]["content"]
    assert text.startswith("Be brief.\n\nYou can call tools.")
    assert text.endswith("\n\nWeather?")


@pytest.mark.parametrize(("answers", "expected"), REFUSED)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_no_system_role_in_langchain(answers: Any, expected: list[list[str]], way: Way) -> None:
    with serving(*answers) as server, httpx2.Client() as http:
        async with httpx2.AsyncClient() as ahttp:
            clients: Any = {"http_client": http, "http_async_client": ahttp}
            inner = ChatOpenAI(model="m", base_url=server.base_url, api_key=SecretStr("none"), max_retries=0, **clients)
            llm = FallbackToolChatModel(inner).bind_tools([get_weather])
            for _ in range(2):
                made = await way(llm, [SystemMessage("Be brief."), HumanMessage("Weather?")])
                assert made.tool_calls
    assert [roles(body) for body in server.bodies[1:]] == expected
    text = server.bodies[-1]["messages"][0]["content"]
    assert text.startswith("Be brief.\n\nYou can call tools.")
    assert text.endswith("\n\nWeather?")


@STRICT
@pytest.mark.parametrize("mode", ["auto", "prompt"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("way", [transport, before])
def test_on_the_wire(request: pytest.FixtureRequest, fixture: str, mode: Any, stream: bool, way: Any) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": "Hello, I am here."},
        {"role": "assistant", "content": "Ask me."},
        {"role": "user", "content": "weather?"},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "in Rome!"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
        {"role": "assistant", "content": "Sunny."},
        {"role": "user", "content": "weather in Paris"},
    ]
    city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": city}}]
    sent: Sent = []
    with way(request.getfixturevalue(fixture).base_url, sent, mode) as post:
        for _ in range(2):
            reply = post(CHATS, {"model": "tiny", "messages": messages, "tools": tools, "stream": stream})
            assert calls_in(reply, CHATS, stream=stream)[0] == [("get_weather", {"city": "Paris"})]
    first = sent[-1]["messages"][0]
    assert "Be brief." in first["content"]
    assert first["role"] == ("user" if fixture == "llama_turns" else "system")
    assert len(sent) <= 2 + 2  # what was refused is not tried again
