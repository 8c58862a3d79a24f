"""PydanticAI: what a recovered stream shows, in which order, and what is left when it is given up."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import httpx2
import pytest
from pydantic_ai import Agent, capture_run_messages
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
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from tests.adapters.pydantic_ai_scripts import EventModel, Recorder, Script, essence, fence
from toolmend.adapters.pydantic_ai import FallbackToolModel

PARIS = fence("get_weather", city="Paris")
OPEN = PARIS.removesuffix("}\n```")  # a call, if it is known that nothing more comes
HALF = '```json\n{"name": "get_weather", "argum'
WEATHER = ToolDefinition(
    name="get_weather",
    parameters_json_schema={"type": "object", "properties": {"city": {"type": "string"}}},
)
OFFERED = ModelRequestParameters(function_tools=[WEATHER])
QUESTION: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Weather in Paris?")])]


def text(content: str, index: int = 0, **fields: Any) -> PartStartEvent:
    return PartStartEvent(index=index, part=TextPart(content, **fields))


def more(content: str, index: int = 0, **fields: Any) -> PartDeltaEvent:
    return PartDeltaEvent(index=index, delta=TextPartDelta(content, **fields))


def thinking(content: str, index: int) -> PartStartEvent:
    return PartStartEvent(index=index, part=ThinkingPart(content))


def native(index: int) -> PartStartEvent:
    return PartStartEvent(index=index, part=ToolCallPart("get_weather", '{"city":', "native"))


async def streamed(*events: Any, hold_text: bool = False, **model_arguments: Any) -> tuple[list[Any], ModelResponse]:
    """All events that a scripted stream becomes, and its response."""
    model = FallbackToolModel(EventModel(*events, **model_arguments), hold_text=hold_text)
    async with model.request_stream(QUESTION, None, OFFERED) as stream:
        seen = [event async for event in stream]
    return seen, stream.get()


def shown(events: list[Any]) -> list[Any]:
    """The events in short: starts, pieces and ends of parts by index; pieces that meet are joined."""
    short: list[Any] = []
    for event in events:
        match event:
            case PartStartEvent(index=index, part=ToolCallPart() as part):
                short.append((index, part.tool_name, part.args))
            case PartStartEvent(index=index, part=part):
                short.append((index, part.part_kind, part.content))
            case PartDeltaEvent(index=index, delta=ToolCallPartDelta() as delta):
                short.append((index, "+", delta.args_delta))
            case PartDeltaEvent(index=index, delta=delta):
                assert delta.content_delta != "" or delta.provider_details
                at = len(short) - (2 if short[-1] == "final" else 1)
                if short[at][0] == index and short[at][1] in ("text", "thinking", "+"):
                    short[at] = (*short[at][:2], short[at][2] + delta.content_delta)
                else:
                    short.append((index, "+", delta.content_delta))
            case PartEndEvent(index=index):
                short.append((index, "end"))
            case _:
                short.append("final")
    return short


def said(response: ModelResponse) -> list[tuple[Any, ...]]:
    return essence([response])[0]


CALLED = ("call", "get_weather", {"city": "Paris"})


def wrote(content: str) -> tuple[Any, ...]:
    return "text", None, None, content


async def test_parts_are_numbered_anew() -> None:
    # One inner part becomes three, so the parts after it move.
    events, response = await streamed(
        text("So.\n"),
        more(PARIS),
        more("\nDone."),
        thinking("h", 1),
        PartDeltaEvent(index=1, delta=ThinkingPartDelta(content_delta="m")),
        text("Bye.", 2),
        PartEndEvent(index=2, part=TextPart("Bye.")),
        FinalResultEvent(tool_name=None, tool_call_id=None),
    )
    assert shown(events) == [
        *((0, "text", "So."), "final", (0, "end")),
        *((1, "get_weather", '{"city": "Paris"}'), (1, "end")),
        *((2, "text", "Done."), (2, "end")),
        *((3, "thinking", "hm"), (3, "end")),
        *((4, "text", "Bye."), (4, "end")),
    ]
    ends = [event for event in events if isinstance(event, PartEndEvent)]
    assert [end.part for end in ends] == list(response.parts)
    assert [end.next_part_kind for end in ends] == [*("tool-call", "text", "thinking", "text", None)]
    assert said(response) == [
        *(wrote("So."), CALLED, wrote("Done.")),
        *(("thinking", None, None, "hm"), wrote("Bye.")),
    ]


async def test_a_recovered_call_is_one_complete_event_with_an_id() -> None:
    events, response = await streamed(text(f"{PARIS}\n{PARIS}"))
    starts = [event.part for event in events if isinstance(event, PartStartEvent)]
    assert starts == list(response.parts)
    assert [part.args for part in response.tool_calls] == ['{"city": "Paris"}'] * 2
    assert len({part.tool_call_id for part in response.tool_calls} - {""}) == 2


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
async def test_the_cuts_of_a_stream_do_not_matter(size: int) -> None:
    written = f"\n\nI will look.\n{PARIS}\n{PARIS}\nAnd: `x`\n```py\nf()\n```\n"
    pieces = [more(written[i : i + size]) for i in range(0, len(written), size)]
    _, response = await streamed(text(""), *pieces)
    parts = said(response)
    # White space at the very start and end stays in a stream, where no call stands beside it.
    assert parts[0][3].strip() == "I will look."
    assert parts[1:3] == [CALLED, CALLED]
    assert parts[3][3].strip() == "And: `x`\n```py\nf()\n```"


async def test_text_without_a_call_keeps_every_character() -> None:
    written = "\n \nIt is\n\n```py\nx\n```  sunny. \n"
    events, response = await streamed(text(""), *[more(c) for c in written])
    assert said(response) == [wrote(written)]
    starts = [event for event in events if isinstance(event, PartStartEvent)]
    assert starts[0].part.content.strip()  # never white space alone


@pytest.mark.parametrize("blank", ["", " \n"])
async def test_nothing_but_white_space_is_an_answer_of_its_own(blank: str) -> None:
    events, response = await streamed(text(blank))
    assert said(response) == [wrote(blank)]
    assert shown(events) == [(0, "text", blank), "final", (0, "end")]


@pytest.mark.parametrize("hold_text", [False, True])
async def test_white_space_before_a_call_ends_no_run(hold_text: bool) -> None:
    # `run_stream` takes the first text, be it empty, for the final answer.
    script = Script(f"\n\n{PARIS}", "Sunny.")
    agent = Agent(FallbackToolModel(script.model, hold_text=hold_text), tools=[get_weather])
    async with agent.run_stream("Go") as stream:
        assert await stream.get_output() == "Sunny."


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


async def test_text_is_shown_while_it_arrives() -> None:
    words = [more(f"{word} ") for word in ("I", "will", "look", "at", "the", "sky", "first.")]
    events, _ = await streamed(text(""), *words, more(PARIS))
    events = [event for event in events if not isinstance(event, FinalResultEvent)]
    texts = [event for event in events if event.index == 0 and not isinstance(event, PartEndEvent)]
    assert len(texts) > 1


async def test_held_text_is_shown_when_no_call_follows() -> None:
    events, response = await streamed(text("It "), thinking("hm", 1), more("is", 0), text("sunny.", 2), hold_text=True)
    assert shown(events) == [
        *((1, "thinking", "hm"), (1, "end")),
        *((0, "text", "It is"), "final", (0, "end")),
        *((2, "text", "sunny."), (2, "end")),
    ]
    assert said(response) == [wrote("It is"), ("thinking", None, None, "hm"), wrote("sunny.")]


@pytest.mark.parametrize("call", [more("\n" + PARIS), native(1)])
async def test_held_text_beside_a_call_goes_into_the_history_only(call: Any) -> None:
    late = [] if call.index else [more("Bye.")]
    events, response = await streamed(text("I will look."), call, *late, hold_text=True)
    assert [event for event in shown(events) if event[1] == "text"] == []
    assert "final" not in shown(events)
    assert said(response)[0] == wrote("I will look.")
    assert [part.part_kind for part in response.parts[1:]] == ["tool-call", *["text"] * len(late)]


async def test_hold_text_lets_run_stream_wait_for_the_answer() -> None:
    script = Script(f"I will look.\n{PARIS}", "It is sunny.", f"I will look.\n{PARIS}")
    agent = Agent(FallbackToolModel(script.model, hold_text=True), tools=[get_weather])
    async with agent.run_stream("Go") as stream:
        assert await stream.get_output() == "It is sunny."
        assert [part[0] for parts in essence(stream.all_messages()) for part in parts] == [
            *("user-prompt", "text", "call", "tool-return", "text")
        ]
    agent = Agent(FallbackToolModel(script.model), tools=[get_weather])
    async with agent.run_stream("Go") as stream:
        assert await stream.get_output() == "I will look."


# Native calls and other parts.


async def test_native_calls_pass_and_end_the_search() -> None:
    events, response = await streamed(
        text(f"So.\n{OPEN}"),
        native(1),
        PartDeltaEvent(index=1, delta=ToolCallPartDelta(args_delta='"Rome"}')),
        more(PARIS, 0),
        text(PARIS, 2),
    )
    assert shown(events) == [
        *((0, "text", f"So.\n{OPEN}"), "final", (0, "end")),
        *((1, "get_weather", '{"city":'), (1, "+", '"Rome"}'), (0, "+", PARIS), (1, "end")),
        *((2, "text", PARIS), (2, "end")),
    ]
    assert said(response) == [
        wrote(f"So.\n{OPEN}{PARIS}"),
        ("call", "get_weather", {"city": "Rome"}),
        wrote(PARIS),
    ]
    assert response.tool_calls[0].tool_call_id == "native"
    assert response.finish_reason is None


async def test_a_text_is_decided_before_the_next_one_begins() -> None:
    events, response = await streamed(text(f"So.\n{OPEN}"), text("Bye.", 1))
    assert shown(events)[-4:] == [
        *((1, "get_weather", '{"city": "Paris"}'), (1, "end")),
        *((2, "text", "Bye."), (2, "end")),
    ]
    assert said(response) == [wrote("So."), CALLED, wrote("Bye.")]


async def test_a_call_is_no_final_result_though_its_text_was() -> None:
    model = EventModel(text(PARIS))
    async with FallbackToolModel(model).request_stream(QUESTION, None, OFFERED) as stream:
        [event async for event in stream]
    assert model.opened[0].final_result_event is not None
    assert stream.final_result_event is None


async def test_text_that_is_all_shown_is_not_shown_again_before_a_native_call() -> None:
    events, _ = await streamed(text("So. Then."), native(1))
    assert shown(events) == [
        *((0, "text", "So. Then."), "final", (0, "end")),
        *((1, "get_weather", '{"city":'), (1, "end")),
    ]


async def test_white_space_before_a_native_call_is_no_part() -> None:
    events, response = await streamed(text("\n"), native(1))
    assert shown(events) == [(0, "get_weather", '{"city":'), (0, "end")]
    assert len(response.parts) == 1


async def test_the_inner_streams_own_parts_are_not_written_to() -> None:
    begun = thinking("h", 1)
    await streamed(text(PARIS), begun, stamps={"finish_reason": "stop"})
    assert begun.part == ThinkingPart("h")
    model = EventModel(text(PARIS), native(1))
    async with FallbackToolModel(model).request_stream(QUESTION, None, OFFERED) as stream:
        parts = [event.part async for event in stream if isinstance(event, PartStartEvent)]
    assert parts[1] == model.events[1].part
    assert parts[1] is not model.events[1].part


async def test_text_that_goes_on_after_another_part_goes_on() -> None:
    # The OpenAI models keep one text part for all of a reply's text.
    events, response = await streamed(text("It "), thinking("hm", 1), more("is ", 0), more("sunny.\n" + PARIS, 0))
    assert shown(events) == [
        *((0, "text", "It "), "final", (0, "end")),
        *((1, "thinking", "hm"), (0, "+", "is sunny."), (1, "end")),
        *((2, "get_weather", '{"city": "Paris"}'), (2, "end")),
    ]
    assert said(response) == [wrote("It is sunny."), ("thinking", None, None, "hm"), CALLED]


async def test_white_space_that_a_part_interrupted_before_a_call_is_dropped() -> None:
    _, response = await streamed(text("\n"), thinking("hm", 1), more(PARIS, 0), more("\nDone.", 0))
    assert said(response) == [("thinking", None, None, "hm"), CALLED, wrote("Done.")]


async def test_what_a_provider_says_about_its_text_is_kept() -> None:
    about = {"provider_name": "p", "provider_details": {"a": 1}}
    _, response = await streamed(
        text("", id="1", **about),
        more("So it is.\n"),
        more("", provider_name="p", provider_details={"b": 2}),
        more(PARIS),
    )
    part = response.parts[0]
    assert isinstance(part, TextPart)
    assert (part.content, part.id, part.provider_name) == ("So it is.", "1", "p")
    assert part.provider_details == {"a": 1, "b": 2}


async def test_kinds_of_parts_we_do_not_know_pass() -> None:
    messages = pytest.importorskip("pydantic_ai.messages")
    if not hasattr(messages, "SpeechPartDelta"):
        pytest.skip("this version has no other kind")
    start = PartStartEvent(index=1, part=messages.SpeechPart(speaker="assistant", transcript="He"))
    delta = messages.SpeechPartDelta(transcript_delta="llo")
    events, response = await streamed(text(PARIS), start, PartDeltaEvent(index=1, delta=delta))
    assert events[-1] == PartDeltaEvent(index=1, delta=delta)
    assert response.parts[1].transcript == "Hello"


# The end.


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, "tool_call"), ("stop", "tool_call"), ("length", "length"), ("tool_call", "tool_call")],
)
async def test_the_finish_reason_tells_of_a_recovered_call(given: Any, expected: str) -> None:
    _, response = await streamed(text(PARIS), stamps={"finish_reason": given})
    assert response.finish_reason == expected


@pytest.mark.parametrize("stamps", [{"finish_reason": "length"}, {"state": "incomplete"}, {"state": "suspended"}])
async def test_an_unfinished_call_does_not_run_when_the_reply_was_cut(stamps: Any) -> None:
    events, response = await streamed(text(OPEN), stamps=stamps)
    assert said(response) == [wrote(OPEN)]
    assert shown(events)[-1] == (0, "end")
    _, response = await streamed(text(OPEN))
    assert said(response) == [CALLED]  # else nothing was shown by the above


async def test_what_a_stream_tells_about_itself_is_copied() -> None:
    own = [f.name for f in fields(StreamedResponse) if not f.init and not f.name.startswith("_")]
    stamps: dict[str, Any] = {name: {"of": name} for name in own if name != "final_result_event"}
    stamps.update(finish_reason="stop", state="complete")
    _, response = await streamed(text("Hi"), stamps=stamps)
    for name, value in stamps.items():
        assert getattr(response, name) == value
    assert response.model_name == "scripted"
    assert response.provider_name == "scripted-provider"
    assert response.provider_url == "http://scripted"


async def test_usage_is_the_inner_streams() -> None:
    script = Script(PARIS)
    model = FallbackToolModel(script.model)
    async with model.request_stream(QUESTION, None, OFFERED) as stream:
        [event async for event in stream]
    plain = Script(PARIS)
    async with plain.model.request_stream(QUESTION, None, OFFERED) as expected:
        [event async for event in expected]
    assert stream.usage == expected.usage == stream.get().usage
    assert stream.usage.output_tokens > 0


async def test_what_the_inner_stream_learns_at_its_very_end_is_told() -> None:
    inner = EventModel(text("Hi"))
    async with FallbackToolModel(inner).request_stream(QUESTION, None, OFFERED) as stream:
        [event async for event in stream]
    inner.opened[0]._usage = RequestUsage(output_tokens=9)
    assert stream.usage.output_tokens == 9
    inner.opened[0].provider_details = {"pinned": True}
    assert stream.get().provider_details == {"pinned": True}
    assert stream.get().usage.output_tokens == 9


@pytest.mark.parametrize("mode", ["native", "prompt"])
async def test_a_recovered_output_tool_is_the_final_result(mode: Any) -> None:
    out = ToolDefinition(name="out", kind="output", parameters_json_schema={"type": "object"})
    offered = ModelRequestParameters(output_tools=[out], output_mode="tool", allow_text_output=False)
    model = FallbackToolModel(EventModel(text(f"So: {fence('out')}")), mode=mode)
    async with model.request_stream(QUESTION, None, offered) as stream:
        finals = [event async for event in stream if isinstance(event, FinalResultEvent)]
    assert [final.tool_name for final in finals] == ["out"]


async def test_what_ends_a_run_is_for_the_model_that_answers_to_say() -> None:
    # A `FallbackModel` settles how structured output comes only when one of its models answers.
    profile = ModelProfile(default_structured_output_mode="native", supports_json_schema_output=True)
    script = Script('{"x": 1}', profile=profile)
    offered = ModelRequestParameters(
        function_tools=[WEATHER],
        output_mode="auto",
        output_object=OutputObjectDefinition(json_schema={"type": "object"}),
    )
    model = FallbackToolModel(FallbackModel(script.model))
    async with model.request_stream(QUESTION, None, offered) as stream:
        assert any([isinstance(event, FinalResultEvent) async for event in stream])


async def test_what_models_around_it_note_on_the_stream_stays() -> None:
    down = Script(RuntimeError("down"))
    inner = EventModel(text("Hi"), stamps={"provider_response_id": "inner"})
    model = FallbackModel(down.model, FallbackToolModel(inner), fallback_on=(RuntimeError,))
    async with model.request_stream(QUESTION, None, OFFERED) as stream:
        stream.provider_details = {"outer": 1}
        [event async for event in stream]
    response = stream.get()
    assert response.provider_details == {"outer": 1}
    assert response.provider_response_id == "inner"
    if hasattr(response, "failed_attempts"):  # newer versions note them on the stream
        assert len(response.failed_attempts or []) == 1


async def test_without_tools_the_stream_itself_passes() -> None:
    inner = Recorder(Script(PARIS, PARIS).model)
    model = FallbackToolModel(inner)
    for settings, offered in ((None, ModelRequestParameters()), ({"tool_choice": "none"}, OFFERED)):
        async with model.request_stream(QUESTION, settings, offered, None) as stream:  # type: ignore[arg-type]
            assert stream is inner.given[-1]
        assert inner.calls[-1][:3] == (QUESTION, settings, offered)
        assert inner.calls[-1][2] is offered


async def test_a_stream_without_events_may_still_have_a_response() -> None:
    # Durable engines read the stream elsewhere and hand out what came of it.
    model = EventModel()
    async with FallbackToolModel(model).request_stream(QUESTION, None, OFFERED) as stream:
        model.opened[0].get = lambda: ModelResponse(parts=[TextPart(PARIS)])
        assert [event async for event in stream] == []
    assert said(stream.get()) == [CALLED]


# Given up half way.


async def test_a_response_half_way_does_not_show_what_is_held() -> None:
    model = FallbackToolModel(EventModel(text("So.\n"), more(HALF), more("\nx")))
    async with model.request_stream(QUESTION, None, OFFERED) as stream:
        await anext(aiter(stream))
        assert said(stream.get()) == [wrote("So.")]


async def test_leaving_early_keeps_what_was_held() -> None:
    model = FallbackToolModel(EventModel(text(f"So.\n{HALF}"), more(" never")))
    async with model.request_stream(QUESTION, None, OFFERED) as stream:
        await anext(aiter(stream))
    response = stream.get()
    assert response.state == "incomplete"
    assert said(response) == [wrote(f"So.\n{HALF}")]


async def test_leaving_early_keeps_what_was_held_after_a_call() -> None:
    model = FallbackToolModel(EventModel(text(f"So.\n{PARIS}\n{HALF}"), more(" never")))
    async with model.request_stream(QUESTION, None, OFFERED) as stream:
        async for event in stream:
            if isinstance(event, PartStartEvent) and event.index:
                break
    assert said(stream.get()) == [wrote("So."), CALLED, wrote(HALF)]


async def test_leaving_early_keeps_what_was_held_before_any_text_was_shown() -> None:
    hm = PartDeltaEvent(index=0, delta=ThinkingPartDelta(content_delta="m"))
    model = FallbackToolModel(EventModel(thinking("h", 0), text(f"\n{HALF}", 1), hm, more("!", 1)))
    async with model.request_stream(QUESTION, None, OFFERED) as stream:
        async for event in stream:
            if isinstance(event, PartDeltaEvent):
                break
    assert said(stream.get()) == [("thinking", None, None, "hm"), wrote(f"\n{HALF}")]
    model = FallbackToolModel(EventModel(text("\n"), thinking("h", 1), more(HALF), hm, more("!")))
    model.wrapped.events[3].index = 1
    async with model.request_stream(QUESTION, None, OFFERED) as stream:
        async for event in stream:
            if isinstance(event, PartDeltaEvent):
                break
    assert said(stream.get()) == [("thinking", None, None, "hm"), wrote(f"\n{HALF}")]


async def test_cancelling_reaches_the_inner_stream_and_keeps_what_was_held() -> None:
    inner = EventModel(text(f"So.\n{HALF}"), more("never"))
    model = FallbackToolModel(inner)
    async with model.request_stream(QUESTION, None, OFFERED) as stream:
        await anext(aiter(stream))
        await stream.cancel()
        assert said(stream.get()) == [wrote(f"So.\n{HALF}")]
        rest = [event async for event in stream]
    assert shown(rest) == ["final", (0, "+", f"\n{HALF}"), (0, "end")]
    assert inner.opened[0].cancelled
    response = stream.get()
    assert response.state == "interrupted"
    assert said(response) == [wrote(f"So.\n{HALF}")]


async def test_a_cancelled_stream_runs_no_unfinished_call() -> None:
    model = FallbackToolModel(EventModel(thinking("hm", 0), text(OPEN, 1)))
    async with model.request_stream(QUESTION, None, OFFERED) as stream:
        events = aiter(stream)
        await anext(events)
        inner = model.wrapped.opened[0]
        inner.close_stream = _nothing  # what had arrived before is still given out
        await stream.cancel()
        [event async for event in events]
    assert [part.part_kind for part in stream.get().parts] == ["thinking", "text"]


async def test_a_broken_connection_keeps_what_was_held() -> None:
    broken = httpx2.ReadError("gone")
    model = FallbackToolModel(EventModel(text("So.\n"), more(HALF), broken))
    async with model.request_stream(QUESTION, None, OFFERED) as stream:
        with pytest.raises(httpx2.ReadError) as caught:
            [event async for event in stream]
        assert caught.value is broken
        response = stream.get()
    assert response.state == "incomplete"
    assert said(response) == [wrote(f"So.\n{HALF}")]


async def test_a_broken_connection_before_any_text_was_shown() -> None:
    model = FallbackToolModel(EventModel(text(f"\n{HALF}"), httpx2.ReadError("gone")))
    async with model.request_stream(QUESTION, None, OFFERED) as stream:
        with pytest.raises(httpx2.ReadError):
            [event async for event in stream]
    assert said(stream.get()) == [wrote(f"\n{HALF}")]


async def test_errors_of_a_cancelled_transport_are_the_inner_streams_to_name() -> None:
    class Gone(Exception):
        """What some transport raises when it is closed."""

    model = FallbackToolModel(EventModel(text("So it is."), Gone()))
    async with model.request_stream(QUESTION, None, OFFERED) as stream:
        model.wrapped.opened[0].get_stream_cancel_errors = lambda: (Gone,)
        assert stream.get_stream_cancel_errors() == (Gone,)
        events = aiter(stream)
        await anext(events)
        model.wrapped.opened[0].close_stream = _nothing
        await stream.cancel()
        [event async for event in events]
    assert stream.get().state == "interrupted"


async def _nothing() -> None:
    pass


async def test_an_agent_that_stops_early_keeps_what_was_held() -> None:
    script = Script(f"So.\n{HALF}", size=1000)
    agent = Agent(FallbackToolModel(script.model), tools=[get_weather])

    async def stop_early(_: Any, events: Any) -> None:
        await anext(aiter(events))
        raise RuntimeError("enough")

    with capture_run_messages() as messages, pytest.raises(RuntimeError, match="enough"):
        await agent.run("Go", event_stream_handler=stop_early)
    assert messages[-1].parts == [TextPart(f"So.\n{HALF}")]
