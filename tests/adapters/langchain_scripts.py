"""Models whose words are written down: they decide what the model says and nothing else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import httpx2
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.chat_models import BaseChatModel, generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from pydantic import Field

from toolmend.adapters.langchain import FallbackToolChatModel

USAGE = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
REFUSAL = "registry.ollama.ai/library/gemma:latest does not support tools"


def call(name: str, /, **arguments: Any) -> str:
    """A call as a model writes it in a fence."""
    return f"```json\n{json.dumps({'name': name, 'arguments': arguments})}\n```"


PARIS = call("get_weather", city="Paris")
ROME = call("get_weather", city="Rome")


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"sunny in {city}"


@tool
def get_time(city: str) -> str:
    """Tell the time in a city."""
    return f"noon in {city}"


class RefusedError(Exception):
    """What a client library raises when the server refuses tools."""

    status_code = 400


def turns_so_far(messages: Sequence[BaseMessage]) -> int:
    return sum(isinstance(message, AIMessage) for message in messages)


class Script(BaseChatModel):
    """Says its replies in turn, as text: the n-th where n assistant messages stand before it.

    It has no `bind_tools`. With `refuses` it raises where tools are sent, as such a server does.
    """

    replies: list[str]
    size: int = 7
    refuses: bool = False
    finish: dict[str, Any] = Field(default_factory=lambda: {"finish_reason": "stop", "model_name": "script-1"})
    model: str = "script-1"
    leaks: list[str] = Field(default_factory=list)
    seen: list[tuple[list[BaseMessage], dict[str, Any]]] = Field(default_factory=list, exclude=True)

    @property
    def _llm_type(self) -> str:
        return "script"

    def _says(self, messages: list[BaseMessage], arguments: dict[str, Any]) -> str:
        self.seen.append((messages, arguments))
        if self.refuses and arguments.get("tools"):
            raise RefusedError(REFUSAL)
        return self.replies[min(turns_so_far(messages), len(self.replies) - 1)]

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        text = self._says(messages, kwargs)
        if run_manager:
            run_manager.on_llm_new_token(text)
        message = AIMessage(content=text, usage_metadata=USAGE)
        return ChatResult(generations=[ChatGeneration(message=message, generation_info=self.finish)])

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        text = self._says(messages, kwargs)
        for start in range(0, len(text), self.size):
            piece = text[start : start + self.size]
            if run_manager:
                run_manager.on_llm_new_token(piece)
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=USAGE), generation_info=self.finish)


class BindingScript(Script):
    """The same with `bind_tools`, which ignores the tool choice as ChatOllama's does."""

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any) -> Runnable[Any, AIMessage]:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)


class ChunkScript(BaseChatModel):
    """Streams exactly the chunks it was given."""

    chunks: list[ChatGenerationChunk]
    breaks: Exception | None = None
    closed: list[bool] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "chunks"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return generate_from_stream(self._stream(messages))

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        try:
            for chunk in self.chunks:
                yield chunk.model_copy(deep=True)
            if self.breaks:
                raise self.breaks
        finally:
            self.closed.append(True)

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        try:
            for chunk in self.chunks:
                yield chunk.model_copy(deep=True)
            if self.breaks:
                raise self.breaks
        finally:
            self.closed.append(True)


def chunk(content: Any = "", *, info: dict[str, Any] | None = None, **fields: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=content, **fields), generation_info=info)


def streaming(*chunks: ChatGenerationChunk, **fields: Any) -> Runnable[Any, AIMessage]:
    """A wrapped model with tools that streams these chunks."""
    return FallbackToolChatModel(ChunkScript(chunks=list(chunks)), **fields).bind_tools([get_weather, get_time])


def wrapped(*replies: str, binds: bool = True, **fields: Any) -> tuple[Script, FallbackToolChatModel]:
    """A script and the model around it; fields of the script may be given beside those of the model."""
    own = {key: fields.pop(key) for key in list(fields) if key in Script.model_fields}
    script = (BindingScript if binds else Script)(replies=list(replies), **own)
    return script, FallbackToolChatModel(script, **fields)


@dataclass
class OllamaServer:
    """Answers the ollama client as Ollama does for a model without tools, or with them if `accepts`."""

    replies: list[str]
    accepts: bool = False
    native: list[dict[str, Any]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)

    def model(self, name: str = "gemma", **fields: Any) -> ChatOllama:
        transport = httpx.MockTransport(self._answer)
        clients = {"sync_client_kwargs": {"transport": transport}, "async_client_kwargs": {"transport": transport}}
        return ChatOllama(model=name, base_url="http://ollama.test", **clients, **fields)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        self.requests.append(body)
        if body.get("tools") and not self.accepts:
            return httpx.Response(400, json={"error": REFUSAL})
        past = sum(message["role"] == "assistant" for message in body["messages"])
        text = self.replies[min(past, len(self.replies) - 1)]
        pieces = [{"content": text[i : i + 7]} for i in range(0, len(text), 7)]
        pieces += [{"content": "", "tool_calls": [{"function": function}]} for function in self.native]
        lines = [self._line(body, {"role": "assistant", **piece}) for piece in pieces]
        counts = {"prompt_eval_count": 5, "eval_count": 7}
        end = self._line(body, {"role": "assistant", "content": ""}, done=True, done_reason="stop", **counts)
        return httpx.Response(200, text="\n".join([*lines, end]))

    def _line(self, body: dict[str, Any], message: dict[str, Any], **more: Any) -> str:
        line = {"model": body["model"], "created_at": "2026-01-01T00:00:00Z", "message": message, "done": False}
        return json.dumps({**line, **more})


@dataclass
class VllmServer:
    """Answers the openai client as vLLM does without a parser for tool calls, or with one if `accepts`."""

    reply: str
    accepts: bool = False
    requests: list[dict[str, Any]] = field(default_factory=list)

    def model(self, **fields: Any) -> ChatOpenAI:
        transport = httpx2.MockTransport(self._answer)
        clients = {
            "http_client": httpx2.Client(transport=transport),
            "http_async_client": httpx2.AsyncClient(transport=transport),
        }
        return ChatOpenAI(
            model="mistral", api_key="none", base_url="http://vllm.test/v1", stream_usage=True, **clients, **fields
        )

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        self.requests.append(body)
        if body.get("tools") and not self.accepts:
            message = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
            error = {"message": message, "type": "BadRequestError", "param": None, "code": 400}
            return httpx2.Response(400, json={"error": error})
        usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
        if not body.get("stream"):
            message = {"role": "assistant", "content": self.reply}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            return httpx2.Response(200, json=self._body(body, "chat.completion", choices, usage))
        deltas = [{"content": self.reply[i : i + 7]} for i in range(0, len(self.reply), 7)]
        choices = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
        choices.append([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        events = [self._body(body, "chat.completion.chunk", choice, None) for choice in choices]
        events.append(self._body(body, "chat.completion.chunk", [], usage))
        text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, text=text)

    def _body(self, request: dict[str, Any], kind: str, choices: Any, usage: Any) -> dict[str, Any]:
        return {
            "id": "c",
            "object": kind,
            "created": 1,
            "model": request["model"],
            "choices": choices,
            "usage": usage,
        }


class Counter(BaseCallbackHandler):
    """Counts runs and keeps the tokens that are reported."""

    def __init__(self) -> None:
        self.starts = 0
        self.ends = 0
        self.metadata: list[dict[str, Any]] = []
        self.tags: list[list[str]] = []
        self.tokens: list[str] = []

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.starts += 1
        self.metadata.append(kwargs.get("metadata") or {})
        self.tags.append(kwargs.get("tags") or [])

    def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        self.ends += 1

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.tokens.append(token)


class Limiter(BaseRateLimiter):
    """Counts who waits."""

    def __init__(self) -> None:
        self.count = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.count += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        return self.acquire()


@dataclass(frozen=True)
class Way:
    """One of the four ways to ask a model; each gives one whole message."""

    name: str
    ask: Callable[..., Any]

    async def __call__(self, asked: Any, question: Any, /, **kwargs: Any) -> AIMessage:
        return await self.ask(asked, question, **kwargs)


async def _invoke(asked: Any, question: Any, /, **kwargs: Any) -> AIMessage:
    return asked.invoke(question, **kwargs)


async def _ainvoke(asked: Any, question: Any, /, **kwargs: Any) -> AIMessage:
    return await asked.ainvoke(question, **kwargs)


async def _stream(asked: Any, question: Any, /, **kwargs: Any) -> AIMessage:
    return joined(list(asked.stream(question, **kwargs)))


async def _astream(asked: Any, question: Any, /, **kwargs: Any) -> AIMessage:
    return joined([piece async for piece in asked.astream(question, **kwargs)])


def joined(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    return chunks[0] if len(chunks) == 1 else chunks[0] + chunks[1:]


WAYS = [Way("invoke", _invoke), Way("ainvoke", _ainvoke), Way("stream", _stream), Way("astream", _astream)]


def named(message: AIMessage) -> list[tuple[str, dict[str, Any]]]:
    """The calls of a message as name and arguments."""
    return [(call["name"], call["args"]) for call in message.tool_calls]
