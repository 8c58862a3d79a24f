"""Arguments that are sent on while they are written, and calls that turn out to be none."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, LLMResult
from langchain_core.tools import tool
from langchain_core.utils.json import parse_partial_json

from tests.adapters.langchain_scripts import (
    WAYS,
    BindingScript,
    ChunkScript,
    Counter,
    Way,
    chunk,
    get_time,
    get_weather,
    joined,
    named,
    wrapped,
)
from tests.test_corpus import ALL
from toolmend._turn import ArgumentsDelta
from toolmend.adapters._langchain_numbers import CallNumbers, CallsInPieces
from toolmend.adapters.langchain import FallbackToolChatModel


def tagged(name: str, /, **arguments: Any) -> str:
    """A call in tags: in a fence it would not be certain before its end that it is one."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


@tool
def plan(city: str, more: list[Any], last: str | None = None) -> str:
    """Plan a journey."""
    return city


PARIS, ROME = (tagged("get_weather", city=city) for city in ("Paris", "Rome"))
LONG = tagged("plan", city='a "b" \\ [c] {d}', more=[[1, {"e": "]"}], ["f"]], last=None)
TOOLS = [get_weather, get_time, plan]
ASKED = [("get_weather", {"city": "Paris"})]
BOTH = [*ASKED, ("get_weather", {"city": "Rome"})]
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


def pieces_of(chunks: list[AIMessageChunk]) -> list[Any]:
    return [piece for one in chunks for piece in one.tool_call_chunks]


def streamed(*chunks: ChatGenerationChunk) -> Any:
    return FallbackToolChatModel(ChunkScript(chunks=list(chunks)), stream_arguments=True).bind_tools(TOOLS)


def added_up(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    """Joined one by one, as they come; `joined` joins them when all are there."""
    whole = chunks[0]
    for one in chunks[1:]:
        whole = whole + one
    return whole


def test_a_call_comes_in_pieces_under_one_index_and_one_id() -> None:
    _, model = wrapped(f"Look.\n{PARIS}\n{ROME}", size=1, stream_arguments=True)
    chunks = list(model.bind_tools(TOOLS).stream("?"))
    groups = [list(group) for _, group in itertools.groupby(pieces_of(chunks), key=lambda piece: piece["index"])]
    assert [group[0]["index"] for group in groups] == [0, 1]
    for group, city in zip(groups, ("Paris", "Rome"), strict=True):
        assert len(group) > 5
        assert [piece["name"] for piece in group] == ["get_weather"] + [None] * (len(group) - 1)
        assert [bool(piece["id"]) for piece in group] == [True] + [False] * (len(group) - 1)
        assert json.loads("".join(piece["args"] for piece in group)) == {"city": city}
    message = joined(chunks)
    assert named(message) == BOTH
    assert [one["id"] for one in message.tool_calls] == [group[0]["id"] for group in groups]


def test_pieces_come_while_the_call_is_written() -> None:
    told: list[str] = []

    class Telling(BindingScript):
        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
            for piece in super()._stream(*args, **kwargs):
                told.append(piece.text)
                yield piece

    model = FallbackToolChatModel(Telling(replies=[PARIS], size=1), stream_arguments=True).bind_tools(TOOLS)
    for piece in model.stream("?"):
        if piece.tool_call_chunks and piece.tool_call_chunks[0]["args"] == "P":
            break
    assert "".join(told).endswith(("P", "Pa"))


@every_way
@pytest.mark.parametrize("version", [None, "v1"])
async def test_the_message_is_the_same_with_and_without(way: Way, version: str | None) -> None:
    fields = {"output_version": version} if version else {}
    for size in (1, 7, 10_000):
        messages = []
        for flag in (False, True):
            _, model = wrapped(f"Look.\n{PARIS}\n{ROME}\nok", size=size, stream_arguments=flag, **fields)
            messages.append(await way(model.bind_tools(TOOLS), "?"))
        plain, in_pieces = messages
        assert named(in_pieces) == named(plain) == BOTH
        assert in_pieces.text == plain.text == "Look.\nok"
        assert [block["type"] for block in in_pieces.content_blocks] == [
            block["type"] for block in plain.content_blocks
        ]
        assert in_pieces.response_metadata == plain.response_metadata


async def test_blocks_and_v3_streams() -> None:
    text = {"type": "text", "text": f"Look.\n{PARIS}\n{ROME}"}
    for metadata in ({}, {"output_version": "v1"}):
        model = streamed(chunk([text], response_metadata=metadata))
        assert named(joined(list(model.stream("?")))) == BOTH
        stream = await model.astream_events("?", version="v3")
        async for _ in stream:
            pass
        assert named(await stream.output) == BOTH


def test_every_case_of_the_corpus_is_read_the_same() -> None:
    for case in ALL:
        cut = {"finish": {"finish_reason": "length"}} if case.truncated else {}
        messages = []
        for flag in (False, True):
            _, model = wrapped(case.text, size=13, stream_arguments=flag, **cut)
            chunks = list(model.stream("?", tools=list(case.tools)))
            messages.append((joined(chunks), added_up(chunks)))
        (plain, _), (in_pieces, one_by_one) = messages
        for message in (in_pieces, one_by_one):
            assert message.content == plain.content, str(case)
            assert _exact(named(message)) == _exact(named(plain)), str(case)
        assert in_pieces.invalid_tool_calls == [], str(case)


def _exact(calls: list[Any]) -> str:
    return json.dumps(calls)


# ---- calls that turn out to be none


class Streaming(BindingScript):
    """Streams behind `invoke` too, since someone listens."""

    streaming: bool = True


def taken_back(text: str, *, finish: str = "length") -> None:
    """The text is a call that was begun and is none: nothing of it is left in whatever is joined of its chunks."""
    fields = {"replies": [text], "size": 1, "finish": {"finish_reason": finish}}
    model = FallbackToolChatModel(Streaming(**fields), stream_arguments=True).bind_tools(TOOLS)
    chunks: list[AIMessageChunk] = []
    one_by_one: AIMessageChunk | None = None
    for piece in model.stream("?"):
        chunks.append(piece)
        one_by_one = piece if one_by_one is None else one_by_one + piece
    assert one_by_one is not None
    for message in (joined(chunks), model.invoke("?", {"callbacks": [Counter()]})):
        assert (message.content, message.tool_calls, message.invalid_tool_calls) == (text, [], [])
    # Who adds up what comes as it comes has an unreadable call in the end, never half of one.
    assert (one_by_one.content, one_by_one.tool_calls) == (text, [])


@pytest.mark.parametrize("end", range(LONG.index("arguments"), LONG.rindex("}") + 1))
def test_a_call_cut_off_anywhere_is_taken_back(end: int) -> None:
    taken_back(LONG[:end])


def test_a_call_that_breaks_is_taken_back() -> None:
    taken_back(f"{PARIS[:50]}]]]\n</tool_call>", finish="stop")
    taken_back(f"{LONG[:90]}]]}}]\n</tool_call>", finish="stop")


def test_what_was_shown_before_it_broke_was_a_piece_of_a_call() -> None:
    # Else the tests above would show nothing.
    _, model = wrapped(LONG[:90], finish={"finish_reason": "length"}, size=1, stream_arguments=True)
    shown = [list(piece.tool_call_chunks) for piece in model.bind_tools(TOOLS).stream("?")]
    assert sum(map(bool, shown)) > 5


async def test_a_tracer_is_not_told_of_a_call_that_was_taken_back() -> None:
    script = BindingScript(replies=[LONG[:90]], size=1, finish={"finish_reason": "length"})
    model = FallbackToolChatModel(script, stream_arguments=True).bind_tools(TOOLS)
    told: list[AIMessage] = []

    class Witness(Counter):
        def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
            told.append(response.generations[0][0].message)

    list(model.stream("?", {"callbacks": [Witness()]}))
    async for _ in model.astream("?", {"callbacks": [Witness()]}):
        pass
    assert [(one.content, one.tool_calls, one.invalid_tool_calls) for one in told] == [(LONG[:90], [], [])] * 2


@pytest.mark.parametrize("metadata", [{}, {"output_version": "v1"}], ids=["blocks", "v1"])
def test_a_call_in_blocks_is_taken_back(metadata: dict[str, Any]) -> None:
    parts = [{"type": "text", "text": letter, "index": 0} for letter in LONG[:90]]
    pieces = [chunk([part], response_metadata=metadata) for part in parts]
    model = streamed(*pieces, chunk([], info={"finish_reason": "length"}))
    message = joined(list(model.stream("?")))
    assert message.text == LONG[:90]
    assert (message.tool_calls, message.invalid_tool_calls) == ([], [])
    assert {block["type"] for block in message.content_blocks} == {"text"}


@pytest.mark.parametrize("way", WAYS[2:], ids=lambda way: way.name)
async def test_a_stream_that_breaks_in_a_call_takes_it_back(way: Way) -> None:
    script = ChunkScript(chunks=[chunk(letter) for letter in LONG[:90]], breaks=ConnectionError("gone"))
    model = FallbackToolChatModel(script, stream_arguments=True).bind_tools(TOOLS)
    shown: list[AIMessageChunk] = []

    async def show() -> None:
        if way.name == "stream":
            for piece in model.stream("?"):
                shown.append(piece)  # noqa: PERF402 - what came before the error counts
        else:
            async for piece in model.astream("?"):
                shown.append(piece)  # noqa: PERF401

    with pytest.raises(ConnectionError):
        await show()
    assert joined(shown).content == LONG[:90]
    assert joined(shown).tool_calls == []


def test_a_native_call_in_the_middle_of_one_in_text_takes_it_back() -> None:
    native = {"name": "get_time", "args": '{"city": "Rome"}', "id": "n", "index": 0, "type": "tool_call_chunk"}
    pieces = [*(chunk(letter) for letter in LONG[:90]), chunk(tool_call_chunks=[native])]
    message = joined(list(streamed(*pieces).stream("?")))
    assert named(message) == [("get_time", {"city": "Rome"})]
    assert (message.content, message.invalid_tool_calls) == (LONG[:90], [])


def test_the_end_of_a_call_that_is_none_cannot_be_read() -> None:
    # What the tests above rest on: the framework closes what stands open, unless it does not match.
    assert parse_partial_json('{"city": "Par') == {"city": "Par"}
    assert parse_partial_json('{"city": "Par"]') is None


def test_whatever_was_shown_can_be_made_unreadable() -> None:
    written = LONG[LONG.index("arguments") + 12 : LONG.rindex("}")]
    for end in range(len(written) + 1):
        calls = CallsInPieces(CallNumbers())
        calls.piece(ArgumentsDelta("1", "plan", written[:end]))
        assert parse_partial_json(written[:end] + (calls.unreadable_end("1")["args"] or "")) is None


# ---- agents


@pytest.mark.parametrize("mode", ["native", "prompt"])
async def test_an_agent_runs_whole_calls_and_shows_them_in_pieces(mode: str) -> None:
    question = {"messages": [("user", "Weather in Paris and Rome?")]}
    broken = f"{PARIS[:60]}]]]\n</tool_call>"
    for first, calls in ((f"Look.\n{PARIS}\n{ROME}", BOTH), (broken, [])):
        _, model = wrapped(first, "Sunny.", size=1, mode=mode, stream_arguments=True)
        agent = create_agent(model, TOOLS)
        shown, state = [], {}
        async for kind, value in agent.astream(question, stream_mode=["messages", "values"]):
            if kind == "values":
                state = value
            else:
                shown += value[0].tool_call_chunks if isinstance(value[0], AIMessageChunk) else []
        assert named(state["messages"][1]) == calls
        assert state["messages"][1].invalid_tool_calls == []
        assert len(shown) > 3
        assert len(state["messages"]) == (5 if calls else 2)
