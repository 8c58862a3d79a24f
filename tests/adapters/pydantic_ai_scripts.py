"""Models that say what a script tells them, for PydanticAI, and a chat completions server that does.

A script is a list of replies; a reply is text, a list of parts, or an error. `as_text` writes the
calls of a reply as a model without native calls would, so that one script serves both ways.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2
import openai
from pydantic_ai import Agent, AgentRunResultEvent
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    ModelResponsePart,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.function import (
    AgentInfo,
    DeltaThinkingPart,
    DeltaToolCall,
    FunctionModel,
)
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

Reply = str | Sequence[ModelResponsePart] | Exception
WAYS = ("run", "run_stream", "run_stream_events", "iter")


def fence(name: str, /, **arguments: Any) -> str:
    call = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"```json\n{call}\n```"


def call(name: str, /, **arguments: Any) -> ToolCallPart:
    return ToolCallPart(name, json.dumps(arguments, ensure_ascii=False))


def as_text(reply: Reply) -> Reply:
    """The reply with its calls written into one text."""
    if isinstance(reply, (str, Exception)):
        return reply
    written: list[str] = []
    others: list[ModelResponsePart] = []
    for part in reply:
        if isinstance(part, ToolCallPart):
            written.append(fence(part.tool_name, **part.args_as_dict()))
        elif isinstance(part, TextPart):
            written.append(part.content)
        else:
            others.append(part)
    return [*others, TextPart("\n".join(written))]


def cut_up(text: str, size: int) -> Iterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


@dataclass
class Asked:
    """What a model was asked."""

    messages: list[ModelMessage]
    info: AgentInfo


class Script:
    """A `FunctionModel` that says one reply after the other, whole or in pieces."""

    def __init__(
        self,
        *replies: Reply,
        size: int = 3,
        finish_reason: Any = None,
        **model_arguments: Any,
    ) -> None:
        self.replies = list(replies)
        self.size = size
        self.finish_reason = finish_reason
        self.asked: list[Asked] = []
        self.model = FunctionModel(self._whole, stream_function=self._stream, **model_arguments)

    def _next(self, messages: list[ModelMessage], info: AgentInfo) -> Sequence[ModelResponsePart]:
        self.asked.append(Asked(messages, info))
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return [TextPart(reply)] if isinstance(reply, str) else reply

    def _whole(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        parts = list(self._next(messages, info))
        return ModelResponse(parts=parts, finish_reason=self.finish_reason)

    async def _stream(self, messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        for index, part in enumerate(self._next(messages, info)):
            if isinstance(part, TextPart):
                for piece in cut_up(part.content, self.size):
                    yield piece
            elif isinstance(part, ThinkingPart):
                yield {index: DeltaThinkingPart(content=part.content)}
            elif isinstance(part, ToolCallPart):
                yield {index: DeltaToolCall(part.tool_name, tool_call_id=part.tool_call_id)}
                for piece in cut_up(part.args_as_json_str(), self.size):
                    yield {index: DeltaToolCall(json_args=piece)}


@dataclass
class EventStream(StreamedResponse):
    """Gives out the events it is told to; an exception among them is raised."""

    events: Sequence[Any]
    stamps: dict[str, Any] = field(default_factory=dict[str, Any])
    closed: bool = False
    _timestamp: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        for event in self.events:
            if self.closed:
                return
            if isinstance(event, Exception):
                raise event
            self._note(event)
            yield event
        for name, value in self.stamps.items():
            setattr(self, name, value)

    def _note(self, event: ModelResponseStreamEvent) -> None:
        """Keep the parts, since the base class asks for them."""
        parts = self._parts_manager._parts
        if isinstance(event, PartStartEvent):
            parts.append(event.part)
        elif isinstance(event, PartDeltaEvent):
            delta: Any = event.delta
            parts[event.index] = delta.apply(parts[event.index])

    async def close_stream(self) -> None:
        self.closed = True

    @property
    def model_name(self) -> str:
        return "scripted"

    @property
    def provider_name(self) -> str:
        return "scripted-provider"

    @property
    def provider_url(self) -> str:
        return "http://scripted"

    @property
    def timestamp(self) -> datetime:
        return self._timestamp


@dataclass(init=False)
class EventModel(Model):
    """Streams scripted events, for what a `FunctionModel` cannot say."""

    def __init__(self, *events: Any, stamps: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.events = events
        self.stamps = stamps or {}
        self.opened: list[EventStream] = []

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        raise NotImplementedError

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncGenerator[StreamedResponse]:
        _, params = self.prepare_request(model_settings, model_request_parameters)
        self.opened.append(EventStream(params, self.events, self.stamps))
        yield self.opened[-1]

    @property
    def model_name(self) -> str:
        return "scripted"

    @property
    def system(self) -> str:
        return "scripted-provider"


@dataclass(init=False)
class Recorder(WrapperModel):
    """Keeps the arguments with which a model was called, and what it gave back."""

    def __init__(self, wrapped: Model) -> None:
        super().__init__(wrapped)
        self.calls: list[tuple[Any, ...]] = []
        self.given: list[Any] = []

    async def request(self, *arguments: Any) -> ModelResponse:
        self.calls.append(arguments)
        response = await self.wrapped.request(*arguments)
        self.given.append(response)
        return response

    @asynccontextmanager
    async def request_stream(self, *arguments: Any) -> AsyncGenerator[StreamedResponse]:
        self.calls.append(arguments)
        async with self.wrapped.request_stream(*arguments) as stream:
            self.given.append(stream)
            yield stream

    async def count_tokens(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        return None

    def batch_decode(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        return self.wrapped.batch_decode(*arguments)


class ChatServer:
    """A chat completions server: refuses tools if told to, else says one reply after the other."""

    def __init__(
        self,
        *replies: str | httpx2.Response,
        refusal: Callable[[dict[str, Any]], httpx2.Response | None] = lambda body: None,
        finish_reason: str = "stop",
    ) -> None:
        self.replies = list(replies)
        self.refusal = refusal
        self.finish_reason = finish_reason
        self.bodies: list[dict[str, Any]] = []
        self._client = openai.AsyncOpenAI(
            base_url="http://server/v1",
            api_key="none",
            max_retries=0,
            http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(self._handle)),
        )

    def ollama(self, name: str = "gemma") -> OllamaModel:
        return OllamaModel(name, provider=OllamaProvider(openai_client=self._client))

    def openai(self, name: str = "gemma") -> OpenAIChatModel:
        return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=self._client))

    @property
    def roles(self) -> list[list[str]]:
        """The roles in each request."""
        return [[message["role"] for message in body["messages"]] for body in self.bodies]

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        self.bodies.append(body)
        refused = self.refusal(body)
        if refused is not None:
            return refused
        reply = self.replies.pop(0)
        if isinstance(reply, httpx2.Response):
            return reply
        return self._streamed(reply) if body.get("stream") else self._complete(reply)

    def _complete(self, text: str) -> httpx2.Response:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        return httpx2.Response(200, json=_chunk("chat.completion", choice))

    def _streamed(self, text: str) -> httpx2.Response:
        choices: list[dict[str, Any]] = [
            {"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": None}
            for piece in cut_up(text, 4)
        ]
        choices.append({"index": 0, "delta": {}, "finish_reason": self.finish_reason})
        lines = [json.dumps(_chunk("chat.completion.chunk", choice)) for choice in choices]
        content = "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"])
        return httpx2.Response(200, content=content.encode(), headers={"content-type": "text/event-stream"})


def _chunk(kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {"id": "1", "object": kind, "created": 1, "model": "gemma", "choices": [choice]}


def refusing_tools(body: dict[str, Any]) -> httpx2.Response | None:
    """Ollama's answer when the template of a model knows no tools."""
    if not body.get("tools"):
        return None
    message = f"registry.ollama.ai/library/{body['model']}:latest does not support tools"
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return httpx2.Response(400, json={"error": error})


async def run_agent(way: str, agent: Agent[None, Any], prompt: str, **arguments: Any) -> tuple[Any, list[ModelMessage]]:
    """Run an agent in one of the `WAYS`; return its output and all messages."""
    if way == "run":
        result = await agent.run(prompt, **arguments)
        return result.output, result.all_messages()
    if way == "run_stream":
        async with agent.run_stream(prompt, **arguments) as stream:
            return await stream.get_output(), stream.all_messages()
    if way == "run_stream_events":
        async with agent.run_stream_events(prompt, **arguments) as events:
            result = [event async for event in events][-1]
        assert isinstance(result, AgentRunResultEvent)
        return result.result.output, result.result.all_messages()
    async with agent.iter(prompt, **arguments) as run:
        async for node in run:
            if Agent.is_model_request_node(node):
                async with node.stream(run.ctx) as events:
                    [event async for event in events]
    assert run.result is not None
    return run.result.output, run.result.all_messages()


def essence(messages: Iterable[ModelMessage]) -> list[list[Any]]:
    """What was said, without ids, times, usage and the way it came."""
    return [[_essence(part) for part in message.parts] for message in messages]


def _essence(part: Any) -> tuple[Any, ...]:
    if isinstance(part, ToolCallPart):
        return "call", part.tool_name, part.args_as_dict()
    outcome = getattr(part, "outcome", None)
    return part.part_kind, getattr(part, "tool_name", None), outcome, part.content
