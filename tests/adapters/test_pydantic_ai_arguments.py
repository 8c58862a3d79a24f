"""PydanticAI: calls shown while they are being written, and what becomes of those that turn out broken."""

from __future__ import annotations

import json
import math
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic_ai import Agent, capture_run_messages
from pydantic_ai._parts_manager import ModelResponsePartsManager
from pydantic_ai.messages import (
    FinalResultEvent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    PartEndEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ToolCallPart,
    ToolCallPartDelta,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from tests.adapters.pydantic_ai_scripts import EventModel, Script, cut_up, essence
from tests.damage import cut
from tests.test_laws import TOOLS, texts
from toolmend import ArgumentsDelta, ToolCall
from toolmend.adapters._pydantic_ai_parts import ShownParts
from toolmend.adapters.pydantic_ai import FallbackToolModel

QUESTION: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Weather in Paris?")])]
OFFERED = ModelRequestParameters(
    function_tools=[
        ToolDefinition(
            name="get_weather",
            parameters_json_schema={
                "type": "object",
                "properties": {"city": {"type": "string"}, "height": {"type": "number"}},
            },
        )
    ]
)
LIBRARY = ModelRequestParameters(
    function_tools=[
        ToolDefinition(name=tool.name, description=tool.description, parameters_json_schema=dict(tool.parameters))
        for tool in TOOLS
    ]
)
PARIS = '{"name": "get_weather", "arguments": {"city": "Paris, the capital"}}'
HALF = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris, the cap'
CALLED = ("call", "get_weather", {"city": "Paris, the capital"})


def tagged(*calls: str) -> str:
    return f"<tool_call>{''.join(calls)}</tool_call>"


def pieces(written: str, size: int = 3) -> list[Any]:
    start = PartStartEvent(index=0, part=TextPart(""))
    return [start, *(PartDeltaEvent(index=0, delta=TextPartDelta(piece)) for piece in cut_up(written, size))]


async def streamed(
    *events: Any,
    show: bool = True,
    hold_text: bool = False,
    offered: ModelRequestParameters = OFFERED,
    stamps: dict[str, Any] | None = None,
) -> tuple[list[Any], ModelResponse]:
    inner = EventModel(*events, stamps=stamps)
    model = FallbackToolModel(inner, stream_arguments=show, hold_text=hold_text)
    async with model.request_stream(QUESTION, None, offered) as stream:
        seen = [event async for event in stream]
    return seen, stream.get()


def said(response: ModelResponse) -> list[Any]:
    """The parts, neighbouring texts joined: where a call was taken back, there are two."""
    joined: list[Any] = []
    for part in essence([response])[0]:
        if part[0] == "text" and joined and joined[-1][0] == "text":
            joined[-1] = ("text", joined[-1][1] + part[3])
        else:
            joined.append(("text", part[3]) if part[0] == "text" else part)
    return joined


def assembled(events: list[Any]) -> list[Any]:
    """The parts as somebody who follows the events has them in the end."""
    parts: dict[int, Any] = {}
    for event in events:
        if isinstance(event, PartStartEvent):
            parts[event.index] = event.part
        elif isinstance(event, PartDeltaEvent):
            delta: Any = event.delta
            parts[event.index] = delta.apply(parts[event.index])
    return [parts[index] for index in sorted(parts)]


def arguments(events: list[Any]) -> list[str]:
    """What the pieces of the first call are."""
    found: list[str] = []
    for event in events:
        if isinstance(event, PartStartEvent) and isinstance(event.part, ToolCallPart):
            found.append(str(event.part.args))
        elif isinstance(event, PartDeltaEvent) and isinstance(event.delta, ToolCallPartDelta):
            found.append(str(event.delta.args_delta))
    return found


@pytest.mark.parametrize("size", [1, 4, 1000])
async def test_a_call_is_shown_while_it_is_written(size: int) -> None:
    events, response = await streamed(*pieces(f"So.\n{tagged(PARIS)}\nDone.", size))
    plain, expected = await streamed(*pieces(f"So.\n{tagged(PARIS)}\nDone.", size), show=False)
    assert said(response) == said(expected) == [("text", "So."), CALLED, ("text", "Done.")]
    assert assembled(events) == list(response.parts)
    assert "".join(arguments(events)) == response.tool_calls[0].args
    assert len(arguments(events)) >= {1: 10, 4: 5, 1000: 1}[size]
    assert len(arguments(plain)) == 1
    deltas = [event.delta for event in events if isinstance(event, PartDeltaEvent)]
    ids = {delta.tool_call_id for delta in deltas if isinstance(delta, ToolCallPartDelta)}
    assert ids <= {response.tool_calls[0].tool_call_id}
    ends = [event.part for event in events if isinstance(event, PartEndEvent)]
    assert ends == list(response.parts)


@pytest.mark.parametrize("written", [tagged(PARIS, PARIS), tagged(f"[{PARIS}, {PARIS}]"), tagged(PARIS) * 2])
async def test_parallel_calls(written: str) -> None:
    events, response = await streamed(*pieces(f"So.\n{written}"))
    assert said(response) == [("text", "So."), CALLED, CALLED]
    assert assembled(events) == list(response.parts)
    assert len({call.tool_call_id for call in response.tool_calls}) == 2


def test_arguments_that_json_cannot_hold_come_again_whole() -> None:
    # No format of ours writes them; one from outside may.
    shown = ShownParts(ModelResponsePartsManager(OFFERED), hold_text=False)
    nan = ToolCall(name="get_weather", arguments={"height": math.nan}, id="1")
    events = list(shown.show(shown.passage(), [ArgumentsDelta("1", "get_weather", '{"height": NaN}'), nan]))
    assert [(part.args, part.tool_call_id) for part in assembled(events)] == [('{"height": "NaN"}', "1")]


@settings(max_examples=250)
@given(text=texts, edges=st.lists(st.integers(0, 10_000), max_size=12), truncated=st.booleans())
async def test_the_calls_are_the_same_as_without(text: str, edges: list[int], truncated: bool) -> None:
    stamps = {"finish_reason": "length"} if truncated else None
    inner = pieces("")[:1] + [PartDeltaEvent(index=0, delta=TextPartDelta(piece)) for piece in cut(text, edges)]
    for hold_text in (False, True):
        events, response = await streamed(*inner, offered=LIBRARY, stamps=stamps, hold_text=hold_text)
        _, expected = await streamed(*inner, offered=LIBRARY, stamps=stamps, show=False)
        assert said(response) == said(expected)
        assert response.finish_reason == expected.finish_reason
        begun: dict[int, str] = {}
        for event in events:
            if isinstance(event, PartStartEvent):
                begun[event.index] = event.part.part_kind
            elif isinstance(event, PartEndEvent):
                assert event.part.part_kind == begun[event.index]
        if not hold_text:
            assert assembled(events) == list(response.parts)
            ends = {event.index: event.part for event in events if isinstance(event, PartEndEvent)}
            assert [ends[index] for index in sorted(ends)] == list(response.parts)


# Calls that turn out broken.


@pytest.mark.parametrize("lead", ["", "\n", "So.\n"])
async def test_a_cut_call_becomes_text(lead: str) -> None:
    events, response = await streamed(*pieces(lead + HALF), stamps={"finish_reason": "length"})
    assert len(arguments(events)) > 3  # something was shown
    assert said(response) == [("text", lead + HALF)]
    assert assembled(events) == list(response.parts)
    assert isinstance(assembled(events)[-1], TextPart)


async def test_behind_a_broken_call_others_run() -> None:
    broken = tagged(PARIS[:-1] + ', "name": "other"}')
    events, response = await streamed(*pieces(f"So.\n{broken}\n{tagged(PARIS)}\nDone."))
    assert said(response) == [("text", f"So.\n{broken}"), CALLED, ("text", "Done.")]
    assert assembled(events) == list(response.parts)
    assert len(response.tool_calls) == 1


async def test_several_calls_of_a_broken_region() -> None:
    broken = tagged(PARIS, PARIS[:-1] + ', "name": "other"}')
    events, response = await streamed(*pieces(f"So.\n{broken}\nDone."))
    _, expected = await streamed(*pieces(f"So.\n{broken}\nDone."), show=False)
    assert said(response) == said(expected)
    assert assembled(events) == list(response.parts)


async def test_a_native_call_makes_text_of_what_is_being_written() -> None:
    native = PartStartEvent(index=1, part=ToolCallPart("get_weather", '{"city": "Rome"}', "native"))
    late = PartDeltaEvent(index=0, delta=TextPartDelta('"}}'))
    events, response = await streamed(*pieces(f"So.\n{HALF}"), native, late)
    assert said(response) == [("text", f'So.\n{HALF}"}}}}'), ("call", "get_weather", {"city": "Rome"})]
    assert [call.tool_call_id for call in response.tool_calls] == ["native"]
    assert assembled(events) == list(response.parts)


async def test_another_part_ends_what_is_being_written() -> None:
    thinking = PartStartEvent(index=1, part=ThinkingPart("hm"))
    events, response = await streamed(*pieces(HALF), thinking)
    _, expected = await streamed(*pieces(HALF), thinking, show=False)
    assert said(response) == said(expected)
    assert assembled(events) == list(response.parts)


async def test_texts_that_arrive_side_by_side() -> None:
    second = PartStartEvent(index=1, part=TextPart("And"))
    a, b = pieces(tagged(PARIS))[1:], pieces(f" so on.\n{HALF}")[1:]
    for piece in b:
        piece.index = 1
    mixed = [event for pair in zip(a, b, strict=False) for event in pair]
    events, response = await streamed(pieces("")[0], second, *mixed, *a[len(b) :], *b[len(a) :])
    _, expected = await streamed(pieces("")[0], second, *mixed, *a[len(b) :], *b[len(a) :], show=False)
    assert sorted(map(str, said(response))) == sorted(map(str, said(expected)))
    assert assembled(events) == list(response.parts)


async def test_with_hold_text_the_broken_call_is_shown_at_the_end() -> None:
    events, response = await streamed(*pieces(f"So.\n{HALF}"), hold_text=True, stamps={"finish_reason": "length"})
    assert said(response) == [("text", f"So.\n{HALF}")]
    assert assembled(events) == list(response.parts)


async def test_at_the_start_of_the_text_the_response_has_it_already() -> None:
    model = FallbackToolModel(EventModel(*pieces(HALF), stamps={"finish_reason": "length"}), stream_arguments=True)
    async with model.request_stream(QUESTION, None, OFFERED) as stream:
        starts = 0
        async for event in stream:
            starts += isinstance(event, PartStartEvent)
            if starts == 2:
                assert said(stream.get()) == [("text", HALF)]
                break
    assert starts == 2
    assert said(stream.get()) == [("text", HALF)]


async def test_a_wrapper_around_a_wrapper_drops_the_broken_call_too() -> None:
    for events in (pieces(f"So.\n{HALF}"), [*pieces(HALF), PartStartEvent(index=1, part=ThinkingPart("hm"))]):
        inner = FallbackToolModel(EventModel(*events, stamps={"finish_reason": "length"}), stream_arguments=True)
        async with FallbackToolModel(inner).request_stream(QUESTION, None, OFFERED) as stream:
            shown = [event async for event in stream]
        assert not stream.get().tool_calls
        assert HALF in "".join(part.content for part in stream.get().parts if isinstance(part, TextPart))
        assert assembled(shown) == list(stream.get().parts)


@pytest.mark.parametrize("content", ["", "So."])
async def test_an_inner_stream_that_takes_a_call_back(content: str) -> None:
    call = PartStartEvent(index=0, part=ToolCallPart("get_weather", '{"city": "P', "1"))
    _, response = await streamed(call, PartStartEvent(index=0, part=TextPart(content)))
    assert said(response) == ([("text", content)] if content else [])


# Given up half way.


@pytest.mark.parametrize("lead", ["", "So.\n"])
@pytest.mark.parametrize("how", ["left", "cancelled", "broken"])
async def test_a_stream_given_up_within_a_call_keeps_its_text(how: str, lead: str) -> None:
    broken = [httpx2.ReadError("gone")] if how == "broken" else pieces('ital"}}')[1:]
    model = FallbackToolModel(EventModel(*pieces(lead + HALF), *broken), stream_arguments=True)
    async with model.request_stream(QUESTION, None, OFFERED) as stream:
        try:
            async for event in stream:
                begun = isinstance(event, PartDeltaEvent) and isinstance(event.delta, ToolCallPartDelta)
                if begun and "the ca" in str(stream.get().tool_calls[0].args) and how != "broken":
                    assert not stream.get().tool_calls[0].args_as_dict(raise_if_invalid=False).get("x")
                    break
        except httpx2.ReadError:
            assert how == "broken"
        if how == "cancelled":
            await stream.cancel()
    response = stream.get()
    assert response.state == ("interrupted" if how == "cancelled" else "incomplete")
    assert not response.tool_calls
    (kind, text), *rest = said(response)
    assert (kind, rest) == ("text", [])
    assert text.startswith(f"{lead}<tool_call>")
    assert (lead + HALF).startswith(text)


async def test_a_run_that_fails_within_a_call_leaves_none_behind() -> None:
    script = Script(tagged(PARIS))
    agent = Agent(FallbackToolModel(script.model, stream_arguments=True), tools=[get_weather])

    async def stop_early(_: Any, events: Any) -> None:
        async for event in events:
            if isinstance(event, PartDeltaEvent):
                raise RuntimeError("enough")

    with capture_run_messages() as messages, pytest.raises(RuntimeError, match="enough"):
        await agent.run("Go", event_stream_handler=stop_early)
    assert isinstance(messages[-1], ModelResponse)
    assert [part.part_kind for part in messages[-1].parts] == ["text"]


# In an agent.


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


async def test_a_run_is_the_same() -> None:
    histories: list[Any] = []
    for show in (False, True):
        script = Script(f"So.\n{tagged(PARIS)}", f"So.\n{HALF}")
        script.finish_reason = None
        agent = Agent(FallbackToolModel(script.model, stream_arguments=show), tools=[get_weather])
        async with agent.run_stream_events("Go") as events:
            result: Any = [event async for event in events][-1]
        histories.append((result.result.output, [said(m) for m in result.result.all_messages()]))
    assert histories[0] == histories[1]


class Weather(BaseModel):
    city: str
    notes: str = ""


async def test_structured_output_is_shown_while_it_is_written() -> None:
    written = tagged(json.dumps({"name": "final_result", "arguments": {"city": "Paris", "notes": "sunny and warm"}}))
    script = Script(written)
    agent = Agent(FallbackToolModel(script.model, stream_arguments=True), output_type=Weather)
    async with agent.run_stream("Go") as stream:
        seen = [output.notes async for output in stream.stream_output(debounce_by=None)]
    assert seen[-1] == "sunny and warm"
    assert len(set(seen)) > 3
    events, _ = await streamed(
        *pieces(written),
        offered=ModelRequestParameters(
            output_tools=[ToolDefinition(name="final_result", kind="output")],
            output_mode="tool",
            allow_text_output=False,
        ),
    )
    final = next(i for i, event in enumerate(events) if isinstance(event, FinalResultEvent))
    assert isinstance(events[final - 1], PartStartEvent)
