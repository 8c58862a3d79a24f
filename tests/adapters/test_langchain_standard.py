"""LangChain's own conformance suites for chat models, on the wrapper around models that only write text.

Four worlds: a script in this process; the tiny model on llama.cpp, asked directly and through a server that takes tools
and ignores them; ChatOllama on the stand-in that accepts tools and on the one that refuses them. Where a suite asks for
a fixed answer, a grammar makes the tiny model say it.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.integration_tests import chat_models as suite
from langchain_tests.unit_tests import ChatModelUnitTests

from tests.adapters.langchain_scripts import BindingScript, call
from toolmend.adapters.langchain import FallbackToolChatModel
from toolmend.demo._voices import Piece, Question, UpstreamVoice
from toolmend.demo.llamacpp import LlamaServer
from toolmend.demo.ollama_standin import OllamaStandin

# Nobody closes the clients of these models, and reading the certificates for each would take half of the time.
CLIENT: dict[str, Any] = {"headers": {"Connection": "close"}, "verify": False}
JOKE = {"setup": "Why do cats purr?", "punchline": "Because they can."}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "magic_function": {"input": 3},
    "magic_function_no_args": {},
    "greeting_generator": {"answer_style": "pirate"},
    "get_weather": {"location": "San Francisco"},
    "my_adder_tool": {"a": 3, "b": 4},
    "Joke": JOKE,
    "JokeDict": JOKE,
}


def answer(messages: list[dict[str, Any]], tools: list[dict[str, Any]], *, as_json: bool) -> str | None:
    """What a suite wants to hear: a call of the first tool offered, JSON where that is enforced, after a result words.

    `None` where anything will do.
    """
    texts = [(message["role"], _text(message["content"])) for message in messages]
    role, last = texts[-1]
    if role == "tool" or "tool_result" in last:
        return None
    customer = re.search("customer named '(.+?)'", last)
    if customer:
        return call("unicode_customer", customer_name=customer[1], description="a company")
    lines = "\n".join(text for role, text in texts if role == "system").splitlines()
    heard = [tool["function"] for tool in tools] + [json.loads(line) for line in lines if line.startswith('{"name"')]
    if as_json and not heard:  # with tools in the prompt it is a call that is enforced
        return json.dumps(JOKE)
    names = [tool["name"] for tool in heard if tool["name"] in ARGUMENTS]
    return call(names[0], **ARGUMENTS[names[0]]) if names else None


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content or ())


def grammar(text: str) -> str:
    """A grammar in which this text is the only sentence."""
    return f"root ::= {json.dumps(text, ensure_ascii=False)}"


# ---- who speaks


class Answers(BindingScript):
    """Says it in this process."""

    replies: list[str] = []  # noqa: RUF012 - a pydantic field

    def _says(self, messages: list[BaseMessage], arguments: dict[str, Any]) -> str:
        self.finish = {"finish_reason": "stop", "model_name": arguments.get("model", self.model)}
        plain = [{"role": message.type, "content": message.text} for message in messages]
        return answer(plain, arguments.get("tools", []), as_json=False) or "Hello there."


class Tiny(ChatOpenAI):
    """Asks the tiny model on llama.cpp, which takes no grammar beside tools."""

    def _get_request_payload(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        payload = super()._get_request_payload(*args, **kwargs)
        assert "tools" not in payload
        as_json = bool(payload.get("response_format"))
        said = answer(payload["messages"], [], as_json=as_json) or ""
        if as_json:  # the client insists on the format it asked for, so it is narrowed here
            schema = {"type": "json_schema", "json_schema": {"schema": {"const": json.loads(said)}}}
            payload["extra_body"] = {"response_format": schema}
        elif said:
            payload["extra_body"] = {"grammar": grammar(said)}
        return payload


def openai_settings(url: str) -> dict[str, Any]:
    clients = {"http_client": httpx2.Client(**CLIENT), "http_async_client": httpx2.AsyncClient(**CLIENT)}
    return {"model": "tiny", "api_key": "none", "base_url": url, "temperature": 0, "stream_usage": True, **clients}


class Standin(OllamaStandin):
    """Passes what it is asked on to the tiny model; its template ignores tools, but the script reads them."""

    def __init__(self, llama: LlamaServer, *, tools: bool) -> None:
        super().__init__(tools=tools, upstream=llama.base_url)
        self._asked = threading.local()  # one thread for each connection
        self._voice = self
        self._tiny = UpstreamVoice(llama.base_url)

    def answer(self, method: str, path: str, raw: bytes) -> Any:
        self._asked.body = json.loads(raw) if raw else {}
        return super().answer(method, path, raw)

    def speak(self, question: Question) -> Iterator[Piece]:
        settings = dict(question.settings)
        as_json = settings.pop("response_format", None) is not None
        said = answer(question.messages, self._asked.body.get("tools") or [], as_json=as_json)
        if said:
            settings["grammar"] = grammar(said)
        return self._tiny.speak(replace(question, settings=settings))


# ---- what is asked


class World:
    """A chat model to wrap, and what it can do."""

    mode = "auto"
    images = False
    files = False

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return FallbackToolChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"inner": self.inner(), "mode": self.mode}

    def inner(self) -> BaseChatModel:
        raise NotImplementedError

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "other-model"

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return self.images

    @property
    def supports_image_urls(self) -> bool:
        return self.files

    @property
    def supports_image_tool_message(self) -> bool:
        return self.files

    @property
    def supports_pdf_inputs(self) -> bool:
        return self.files

    @property
    def supports_pdf_tool_message(self) -> bool:
        return self.files

    @property
    def supports_audio_inputs(self) -> bool:
        return self.files

    @property
    def supports_anthropic_inputs(self) -> bool:
        return self.files


class ByCalling(World):
    """Structured answers by a call of a tool, where the model would by itself enforce a schema."""

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {"method": "function_calling"}


class Native(World):
    """A script that is sent tools the native way and answers with text all the same; it takes whatever it is sent."""

    mode = "native"
    images = files = True
    enable_vcr_tests = True

    @pytest.fixture
    def vcr(self) -> SimpleNamespace:
        return SimpleNamespace(responses=["there is no traffic to record"])

    def inner(self) -> BaseChatModel:
        return Answers()


class Prompt(Native):
    """The same with tools in the prompt."""

    mode = "prompt"


class Llama(World):
    """The tiny model on llama.cpp itself. It takes no tools beside a grammar, so they are in the prompt."""

    mode = "prompt"
    url = "http://llama.test/v1"
    model_override_value = "tiny"  # the server has one model and names it by its file

    @pytest.fixture(autouse=True)
    def _server(self, llama: LlamaServer) -> None:
        self.url = llama.base_url

    def inner(self) -> BaseChatModel:
        return Tiny(**openai_settings(self.url))


class OpenAIAccepting(World):
    """The tiny model behind a server that takes tools and ignores them."""

    tools = True
    url = "http://ollama.test"
    images = True

    @pytest.fixture(autouse=True)
    def _server(self, llama: LlamaServer) -> Iterator[None]:
        with Standin(llama, tools=self.tools) as standin:
            self.url = standin.url
            yield

    def inner(self) -> BaseChatModel:
        return ChatOpenAI(**openai_settings(f"{self.url}/v1"))


class OpenAIRefusing(OpenAIAccepting):
    """The tiny model behind a server that refuses tools."""

    tools = False


class OllamaAccepting(OpenAIAccepting):
    """ChatOllama where tools are taken and ignored."""

    def inner(self) -> BaseChatModel:
        return ChatOllama(model="tiny", base_url=self.url, temperature=0, client_kwargs=CLIENT)


class OllamaRefusing(OllamaAccepting):
    """ChatOllama where tools are refused."""

    tools = False


# ---- the suites


@pytest.mark.filterwarnings(
    "ignore::langchain_core._api.LangChainBetaWarning",
    "ignore:Received a Pydantic BaseModel V1 schema:UserWarning",  # the suite asks for just that
    "ignore:Pydantic serializer warnings:UserWarning",  # of langchain-openai, about its own parsed answers
)
class Integration(ChatModelIntegrationTests):
    """The suite that asks the model; what it would download is a few bytes of ours."""

    @pytest.fixture(autouse=True)
    def _no_download(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "toolmend")
        monkeypatch.setattr(suite.httpx, "get", lambda *_, **__: SimpleNamespace(content=b"bytes"))


class TestNativeUnit(Native, ChatModelUnitTests): ...


class TestPromptUnit(Prompt, ChatModelUnitTests): ...


class TestLlamaUnit(Llama, ChatModelUnitTests): ...


class TestOpenAIAcceptingUnit(OpenAIAccepting, ChatModelUnitTests): ...


class TestOpenAIRefusingUnit(OpenAIRefusing, ChatModelUnitTests): ...


class TestOllamaAcceptingUnit(OllamaAccepting, ChatModelUnitTests): ...


class TestOllamaRefusingUnit(OllamaRefusing, ChatModelUnitTests): ...


class TestNativeIntegration(Native, Integration): ...


class TestPromptIntegration(Prompt, Integration): ...


class TestLlamaIntegration(Llama, Integration): ...


class TestOpenAIAcceptingIntegration(OpenAIAccepting, Integration): ...


class TestOpenAIRefusingIntegration(OpenAIRefusing, Integration): ...


class TestOllamaAcceptingIntegration(OllamaAccepting, Integration): ...


class TestOllamaRefusingIntegration(OllamaRefusing, Integration): ...


class TestLlamaByCalling(ByCalling, Llama, Integration): ...


class TestOllamaAcceptingByCalling(ByCalling, OllamaAccepting, Integration): ...


class TestOllamaRefusingByCalling(ByCalling, OllamaRefusing, Integration): ...
