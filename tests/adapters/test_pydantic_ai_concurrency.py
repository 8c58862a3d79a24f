"""PydanticAI: many requests through one wrapper, and streams that are cancelled anywhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from typing import Any

import httpx2
import openai
import pytest
from pydantic_ai import Agent
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.messages import (
    FunctionToolResultEvent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    TextPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.providers.ollama import OllamaProvider

from tests.adapters.pydantic_ai_scripts import WAYS, cut_up, run_agent
from toolmend.adapters.pydantic_ai import FallbackToolModel

MANY = 200

cancels_cleanly = pytest.mark.skipif(
    not hasattr(AbstractCapability, "get_wrapper_model"),
    reason="older versions leave a task of their own behind when they are cancelled, around bare models too",
)


def told(messages: list[ModelMessage]) -> tuple[str, str]:
    """Which city the user asked for, and what the last request says."""
    asked, said = "", ""
    for message in messages:
        for part in message.parts if isinstance(message, ModelRequest) else ():
            if isinstance(part, (UserPromptPart, ToolReturnPart)):
                said = str(part.content)
                asked = asked or said
    return asked, said


def reply_to(messages: list[ModelMessage]) -> str:
    """A call for the city asked for, in a format that depends on it; then the result."""
    asked, said = told(messages)
    if "sunny in" in said:
        return said
    call = json.dumps({"name": "get_weather", "arguments": {"city": asked}})
    return f"<tool_call>{call}</tool_call>" if asked.endswith(("1", "3")) else f"So.\n```json\n{call}\n```"


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def refuses(info: AgentInfo) -> None:
    if info.function_tools:
        raise ModelHTTPError(400, "m", {"message": "m does not support tools"})


async def whole(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    await asyncio.sleep(0)
    refuses(info)
    await asyncio.sleep(0)
    return ModelResponse(parts=[TextPart(reply_to(messages))])


async def pieces(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
    await asyncio.sleep(0)
    refuses(info)
    for piece in cut_up(reply_to(messages), 3):
        await asyncio.sleep(0)
        yield piece


@pytest.mark.parametrize("stream_arguments", [False, True])
async def test_many_runs_through_one_wrapper_do_not_mix(stream_arguments: bool) -> None:
    model = FallbackToolModel(FunctionModel(whole, stream_function=pieces), stream_arguments=stream_arguments)
    agent = Agent(model, tools=[get_weather])
    ways = [WAYS[n % len(WAYS)] for n in range(MANY)]
    # `run_stream` takes the text before a call for the answer, so it is asked for cities without any.
    cities = [f"City {n}{1 if way == 'run_stream' else n % 10}" for n, way in enumerate(ways)]
    runs = await asyncio.gather(*(run_agent(way, agent, city) for way, city in zip(ways, cities, strict=True)))
    ids: list[str] = []
    for city, (output, messages) in zip(cities, runs, strict=True):
        assert f"sunny in {city}" in output
        calls = [call for message in messages if isinstance(message, ModelResponse) for call in message.tool_calls]
        assert [call.args_as_dict() for call in calls] == [{"city": city}]
        ids += [call.tool_call_id for call in calls]
    assert len(set(ids)) == MANY


@cancels_cleanly
@pytest.mark.parametrize("stream_arguments", [False, True])
async def test_cancelling_a_stream_anywhere_runs_no_half_call(stream_arguments: bool) -> None:
    cities: list[str] = []

    async def get_weather(city: str) -> str:
        cities.append(city)
        return f"sunny in {city}"

    model = FallbackToolModel(FunctionModel(whole, stream_function=pieces), stream_arguments=stream_arguments)
    agent = Agent(model, tools=[get_weather])
    finished = cancelled = 0
    for steps in range(0, 400, 3):
        run = asyncio.create_task(run_agent("run_stream_events", agent, "City 1"))
        for _ in range(steps):
            await asyncio.sleep(0)
        run.cancel()
        try:
            await run
            finished += 1
        except asyncio.CancelledError:
            cancelled += 1
    assert set(cities) <= {"City 1"}
    assert cancelled > 10
    assert finished


# Over HTTP.


class SlowServer:
    """Streams a chat completion piece by piece and notices when nobody reads on."""

    def __init__(self) -> None:
        self.begun = self.written = self.ended = self.dropped = 0
        self.port = 0
        self._open: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[SlowServer]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            if self._open:
                await asyncio.wait(self._open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.split("content-length:")[1].split("\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                await self._answer(body, reader, writer)

    async def _answer(self, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.begun += 1
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        said = str(body["messages"][-1]["content"])
        call = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
        gone = asyncio.ensure_future(reader.read(1))
        for piece in [*cut_up("Sunny." if "sunny in" in said else call, 6), None]:
            delta = {"role": "assistant", "content": piece} if piece else {}
            choice = {"index": 0, "delta": delta, "finish_reason": None if piece else "stop"}
            chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
            line = f"data: {json.dumps(chunk)}\n\n".encode()
            writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            await writer.drain()
            self.written += 1
            await asyncio.wait([gone], timeout=0.004)
            if gone.done():
                self.dropped += 1
                raise ConnectionResetError
        end = b"data: [DONE]\n\n"
        writer.write(f"{len(end):x}\r\n".encode() + end + b"\r\n0\r\n\r\n")
        gone.cancel()
        await asyncio.wait([gone])
        self.ended += 1


@asynccontextmanager
async def served(**arguments: Any) -> AsyncIterator[tuple[SlowServer, Agent[None, str]]]:
    async with SlowServer().running() as server, httpx2.AsyncClient() as http:
        address = f"http://127.0.0.1:{server.port}/v1"
        client = openai.AsyncOpenAI(base_url=address, api_key="none", max_retries=0, http_client=http)
        inner = OllamaModel("m", provider=OllamaProvider(openai_client=client))
        yield server, Agent(FallbackToolModel(inner, **arguments), tools=[get_weather])


async def settled(server: SlowServer) -> bool:
    """Whether every stream has come to its end or was closed by us, soon."""
    for _ in range(3000):
        if server.begun == server.ended + server.dropped:
            return True
        await asyncio.sleep(0.01)
    return False


@cancels_cleanly
@pytest.mark.parametrize("stream_arguments", [False, True])
async def test_a_cancelled_run_closes_its_http_stream(stream_arguments: bool) -> None:
    async with served(mode="native", stream_arguments=stream_arguments) as (server, agent):
        for pieces in (0, 1, 2, 4, 6, 8, 10, 12):
            written = server.written
            run = asyncio.create_task(run_agent("run_stream_events", agent, "Go"))
            while server.written < written + pieces:
                await asyncio.sleep(0.001)
            run.cancel()
            with suppress(asyncio.CancelledError):
                await run
        assert await settled(server)
        assert server.dropped
        output, _ = await run_agent("run_stream_events", agent, "Go")
        assert output == "Sunny."


@pytest.mark.parametrize("stream_arguments", [False, True])
async def test_leaving_a_stream_closes_its_http_stream(stream_arguments: bool) -> None:
    async with served(mode="native", stream_arguments=stream_arguments) as (server, agent):
        seen: list[Any] = []
        async with agent.iter("Go") as run:
            async for node in run:
                if not Agent.is_model_request_node(node):
                    continue
                # The error is what the framework makes of the closed connection; bare models raise it, too.
                with suppress(ModelAPIError):
                    async with node.stream(run.ctx) as stream:
                        async for event in stream:
                            seen.append(event)
                            await stream.cancel()
                break
        assert await settled(server)
        assert server.dropped == 1
        assert not any(isinstance(event, FunctionToolResultEvent) for event in seen)
        if stream_arguments:
            assert not any(isinstance(event, PartDeltaEvent) and "Paris" in str(event) for event in seen)
