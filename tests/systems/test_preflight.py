"""Real servers are asked about themselves before the first request, once."""

from __future__ import annotations

import socket
from typing import Any

import httpx2
import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from pydantic_ai.messages import ModelRequest, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition

from tests.adapters.langchain_scripts import WAYS, Way, get_weather
from tests.servers import MlxServer
from toolmend._refusal import Refusals
from toolmend.adapters import _probe
from toolmend.adapters._probe import ask_first
from toolmend.adapters.langchain import FallbackToolChatModel
from toolmend.adapters.pydantic_ai import FallbackToolModel
from toolmend.demo.llamacpp import LlamaServer
from toolmend.demo.ollama_standin import OllamaStandin

FACTS = ("tools", "choice", "system")


def known(server: str, model: str = "tiny") -> list[str]:
    refusals = Refusals()
    ask_first(refusals, server, model)
    return [fact for fact in FACTS if refusals.has(server, model, fact)]


@pytest.mark.parametrize(
    ("fixture", "facts"),
    [
        ("llama", ["tools", "choice"]),
        ("llama_turns", ["tools", "choice", "system"]),
        ("llama_hermes", ["choice"]),
        ("llama_coder", ["choice"]),
        ("ollama_rejecting", ["tools", "choice"]),
        ("ollama_accepting", ["choice"]),
        ("mlx_server", []),
    ],
)
def test_what_servers_say(request: pytest.FixtureRequest, fixture: str, facts: list[str]) -> None:
    server: LlamaServer | OllamaStandin | MlxServer = request.getfixturevalue(fixture)
    assert known(server.base_url) == facts


def test_nobody_there_and_no_address() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert known(f"http://127.0.0.1:{free.getsockname()[1]}/v1") == []
    assert known("openai") == []


def test_a_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _probe._SECONDS == 2
    monkeypatch.setattr(_probe, "_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert known(f"http://127.0.0.1:{listener.getsockname()[1]}/v1") == []


@pytest.mark.parametrize("preflight", [True, False])
@pytest.mark.parametrize("mode", ["auto", "native"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_pydantic_ai(ollama_rejecting: OllamaStandin, preflight: bool, mode: Any, stream: bool) -> None:
    async with httpx2.AsyncClient() as http:
        provider = OpenAIProvider(base_url=ollama_rejecting.base_url, api_key="none", http_client=http)
        model = FallbackToolModel(OpenAIChatModel("tiny", provider=provider), mode=mode, preflight=preflight)
        question: list[Any] = [ModelRequest(parts=[UserPromptPart("say hello")])]
        await model.request(question, None, ModelRequestParameters())
        assert paths(ollama_rejecting) == ["/v1/chat/completions"]  # without tools there is nothing to ask
        params = ModelRequestParameters(function_tools=[ToolDefinition(name="get_weather")])
        for _ in range(2 if mode == "auto" else 0):
            if stream:
                async with model.request_stream(question, None, params) as response:
                    [event async for event in response]
            else:
                await model.request(question, None, params)
    check(ollama_rejecting, preflight=preflight and mode == "auto", asked=mode == "auto")


@pytest.mark.parametrize("preflight", [True, False])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_langchain(ollama_rejecting: OllamaStandin, preflight: bool, way: Way) -> None:
    with httpx2.Client() as http:
        async with httpx2.AsyncClient() as ahttp:
            inner = ChatOpenAI(
                model="tiny",
                base_url=ollama_rejecting.base_url,
                api_key=SecretStr("none"),
                max_retries=0,
                http_client=http,
                http_async_client=ahttp,
            )
            model = FallbackToolChatModel(inner, preflight=preflight)
            await way(model, "say hello")
            assert paths(ollama_rejecting) == ["/v1/chat/completions"]
            for _ in range(2):
                await way(model.bind_tools([get_weather]), "say hello")
    check(ollama_rejecting, preflight=preflight, asked=True)


def paths(server: OllamaStandin) -> list[str]:
    return [request["path"] for request in server.requests]


def check(server: OllamaStandin, *, preflight: bool, asked: bool) -> None:
    assert paths(server).count("/api/show") == preflight
    chats = [request for request in server.requests if request["path"] == "/v1/chat/completions"]
    refused = [request["status"] for request in chats].count(400)
    assert refused == (asked and not preflight)  # who has asked runs into no refusal
    assert len(chats) == 1 + 2 * asked + refused
