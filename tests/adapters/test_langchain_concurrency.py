"""One wrapper for many requests at once, over real HTTP: nothing mixes, nothing is left open, nothing half is run."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_ollama import ChatOllama

from tests.adapters.langchain_scripts import call, named
from toolmend import Recovery
from toolmend.adapters.langchain import FallbackToolChatModel
from toolmend.demo._voices import Piece, Question
from toolmend.demo.ollama_standin import OllamaStandin

CLOSE = {"headers": {"Connection": "close"}, "verify": False}
ran: list[str] = []


@tool
def look(city: str) -> str:
    """Look at a city."""
    ran.append(city)
    return f"sunny in {city}"


class Echo:
    """Calls a tool with the city it is asked about, then says what the tool has said; as slowly as wanted."""

    def __init__(self) -> None:
        self.pause = 0.0
        self.padding = ""
        self.spoken = self.finished = self.ended = 0
        self._lock = threading.Lock()

    def speak(self, question: Question) -> Iterator[Piece]:
        said = "\n".join(message["content"] for message in question.messages if message["role"] in ("user", "tool"))
        city, result = re.search(r"city (\w+)", said), re.search(r"sunny in \w+", said)
        text = f"It is {result[0]}." if result else f"I look.\n{call('look', city=city and city[1])}"
        try:
            for piece in re.findall(r".{1,6}", text + self.padding, re.DOTALL):
                yield Piece(text=piece)
                self._count("spoken")
                time.sleep(self.pause)
            yield Piece(reason="stop", prompt_tokens=1, reply_tokens=1)
            self._count("finished")
        finally:
            self._count("ended")

    def _count(self, name: str) -> None:
        with self._lock:
            setattr(self, name, getattr(self, name) + 1)


@pytest.fixture(params=["accepting", "refusing"])
def standin(request: pytest.FixtureRequest) -> Iterator[OllamaStandin]:
    ran.clear()
    with OllamaStandin(tools=request.param == "accepting") as standin:
        standin._voice = Echo()
        yield standin


def ollama(standin: OllamaStandin, **fields: Any) -> FallbackToolChatModel:
    return FallbackToolChatModel(ChatOllama(model="tiny", base_url=standin.url, client_kwargs=CLOSE), **fields)


def ask(city: str) -> dict[str, Any]:
    return {"messages": [("user", f"How is the city {city}?")]}


def is_answered(state: dict[str, Any], city: str) -> None:
    [_, calls, result, answer] = state["messages"]
    assert named(calls) == [("look", {"city": city})]
    assert (result.text, result.tool_call_id) == (f"sunny in {city}", calls.tool_calls[0]["id"])
    assert answer.text == f"It is sunny in {city}."


@pytest.mark.parametrize("stream_arguments", [False, True])
async def test_two_hundred_at_once_do_not_mix(standin: OllamaStandin, stream_arguments: bool) -> None:
    told: list[Recovery] = []
    agent = create_agent(ollama(standin, stream_arguments=stream_arguments, on_recovery=told.append), [look])
    gate = asyncio.Semaphore(40)  # the server has a thread for each connection

    async def one(n: int) -> None:
        async with gate:
            if n % 2:
                state = await agent.ainvoke(ask(f"C{n}"))
            else:
                state = [one async for one in agent.astream(ask(f"C{n}"), stream_mode="values")][-1]
            is_answered(state, f"C{n}")

    await asyncio.gather(*(one(n) for n in range(200)))
    assert sorted(ran) == sorted(f"C{n}" for n in range(200))
    ids = [one.id for recovery in told for one in recovery.calls]
    assert len(ids) == len(set(ids)) == 200


def test_threads_do_not_mix(standin: OllamaStandin) -> None:
    agent = create_agent(ollama(standin), [look])

    def one(n: int) -> None:
        if n % 2:
            state = agent.invoke(ask(f"C{n}"))
        else:
            *_, state = agent.stream(ask(f"C{n}"), stream_mode="values")
        is_answered(state, f"C{n}")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(100)))
    assert sorted(ran) == sorted(f"C{n}" for n in range(100))


async def holds(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
async def test_cancelled_anywhere_the_connection_is_closed_and_nothing_half_runs(
    standin: OllamaStandin, way: str
) -> None:
    voice: Any = standin._voice
    voice.pause, voice.padding = 0.005, " and so on" * 500
    agent = create_agent(ollama(standin, stream_arguments=True), [look])

    async def run() -> None:
        if way == "ainvoke":
            await agent.ainvoke(ask("Oslo"))
        else:
            async for _ in agent.astream(ask("Oslo"), stream_mode="messages"):
                pass

    for pieces in range(1, 25, 3):
        begun, ended, finished = voice.spoken, voice.ended, voice.finished
        task = asyncio.create_task(run())
        await holds(lambda at=begun + pieces: voice.spoken >= at)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        await holds(lambda at=ended + 1: voice.ended >= at)
        assert voice.finished == finished  # the server was hung up on in the middle
    assert ran == []


def test_a_stream_left_early_closes_its_connection(standin: OllamaStandin) -> None:
    voice: Any = standin._voice
    voice.pause, voice.padding = 0.005, " and so on" * 500
    stream = ollama(standin).bind_tools([look]).stream("How is the city Oslo?")
    next(stream)
    stream.close()
    asyncio.run(holds(lambda: voice.ended == 1))
    assert voice.finished == 0


def test_what_a_stream_was_asked_is_its_own(standin: OllamaStandin) -> None:
    # Two streams read in turn, out of one wrapper.
    model = ollama(standin, stream_arguments=True).bind_tools([look])
    streams = {city: model.stream(f"How is the city {city}?") for city in ("Oslo", "Rome")}
    parts: dict[str, Any] = {}
    while streams:
        for city, stream in list(streams.items()):
            piece = next(stream, None)
            if piece is None:
                del streams[city]
            else:
                parts[city] = piece if city not in parts else parts[city] + piece
    assert {city: named(whole) for city, whole in parts.items()} == {
        city: [("look", {"city": city})] for city in ("Oslo", "Rome")
    }
    assert ran == []
