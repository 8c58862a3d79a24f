"""PydanticAI: what can be seen of a recovery, in the response, by a callback, in the log and in spans."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.instrumented import InstrumentationSettings, InstrumentedModel
from pydantic_ai.tools import ToolDefinition

from tests.adapters.pydantic_ai_scripts import WAYS, EventModel, Recorder, Reply, Script, call, fence, run_agent
from toolmend.adapters.pydantic_ai import FallbackToolModel, Recovery, Refusals

OFFERED = ModelRequestParameters(function_tools=[ToolDefinition(name="get_weather")])
QUESTION: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Weather in Paris?")])]
PARIS = fence("get_weather", city="Paris")
BROKEN = "<tool_call>{}</tool_call>"
REFUSAL = ModelHTTPError(400, "m", {"message": "m does not support tools\nor thinking"})


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


async def ask(model: Any, stream: bool, offered: ModelRequestParameters = OFFERED) -> ModelResponse:
    if not stream:
        return await model.request(QUESTION, None, offered)
    async with model.request_stream(QUESTION, None, offered) as streamed:
        [event async for event in streamed]
    return streamed.get()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reply", "mode", "expected"),
    [
        (PARIS, "native", {"mode": "native", "dialect": "fenced_json", "repairs": [], "failures": []}),
        (PARIS, "prompt", {"mode": "prompt", "dialect": "fenced_json", "repairs": [], "failures": []}),
        ("Hi.", "prompt", {"mode": "prompt", "dialect": None, "repairs": [], "failures": []}),
        (
            f"{PARIS.replace(chr(34), chr(39))}\n{BROKEN}",
            "native",
            {
                "mode": "native",
                "dialect": "fenced_json",
                "repairs": ["some"],
                "failures": ["an object without a tool's name"],
            },
        ),
        ("Hi.", "native", None),
        ([call("get_weather", city="Paris")], "native", None),
    ],
)
async def test_the_response_says_what_was_done(
    reply: Reply, mode: Any, expected: dict[str, Any] | None, stream: bool
) -> None:
    response = await ask(FallbackToolModel(Script(reply).model, mode=mode), stream)
    found = (response.provider_details or {}).get("toolmend")
    if expected and expected["repairs"]:
        assert found
        assert found["repairs"]
        expected = {**expected, "repairs": found["repairs"]}
    assert found == expected
    assert ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json([response])) == [response]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_provider_says_stays_beside_it(stream: bool) -> None:
    stamps = {"provider_details": {"of": "provider"}}
    events = EventModel(*[event async for event in _events(PARIS)], stamps=stamps)
    model: Any = FallbackToolModel(events if stream else Stamped(Script(PARIS).model))
    details = (await ask(model, stream)).provider_details
    assert details is not None
    assert details.keys() == {"of", "toolmend"}
    assert details["of"] == "provider"


class Stamped(Recorder):
    async def request(self, *arguments: Any) -> ModelResponse:
        response = await super().request(*arguments)
        response.provider_details = {"of": "provider"}
        return response


async def _events(text: str) -> Any:
    async with Script(text).model.request_stream(QUESTION, None, OFFERED) as stream:
        async for event in stream:
            if hasattr(event, "index") and not hasattr(event, "next_part_kind"):
                yield event


async def test_without_tools_nothing_is_said() -> None:
    for stream in (False, True):
        model = FallbackToolModel(Script("Hi.").model, mode="prompt")
        assert (await ask(model, stream, ModelRequestParameters())).provider_details is None


@pytest.mark.parametrize("way", WAYS)
async def test_the_callback_hears_once_of_each_reply_with_a_call(way: str) -> None:
    heard: list[Recovery] = []
    script = Script(REFUSAL, f"{PARIS}\n{PARIS}", BROKEN, "Hi.")
    agent = Agent(FallbackToolModel(script.model, on_recovery=heard.append), tools=[get_weather])
    output, messages = await run_agent(way, agent, "Go")
    assert output == BROKEN
    await run_agent(way, agent, "Go")
    assert [[found.name for found in recovery.calls] for recovery in heard] == [["get_weather"] * 2, []]
    first, second = heard
    assert (first.model, first.server, first.mode) == (script.model.model_name, script.model.system, "prompt")
    assert [found.id for found in first.calls] == [part.tool_call_id for part in messages[1].tool_calls]  # type: ignore[union-attr]
    assert second.failures == ("an object without a tool's name",)


async def test_the_callback_hears_of_a_stream_that_is_left_early() -> None:
    heard: list[Recovery] = []
    model = FallbackToolModel(Script(f"{PARIS}\nAnd so on and on.").model, on_recovery=heard.append)
    async with model.request_stream(QUESTION, None, OFFERED) as stream:
        async for _ in stream:
            break
    assert len(heard) == 1
    assert (stream.get().provider_details or {})["toolmend"]["dialect"] == "fenced_json"


async def test_a_stream_that_only_hands_out_a_response_is_told_of_once() -> None:
    heard: list[Recovery] = []
    inner = EventModel()
    model = FallbackToolModel(inner, on_recovery=heard.append)
    async with model.request_stream(QUESTION, None, OFFERED) as stream:
        inner.opened[0].get = lambda: ModelResponse(parts=[TextPart(PARIS)])  # type: ignore[method-assign]
        first, second = stream.get(), stream.get()
    assert len(heard) == 1
    assert first.provider_details == second.provider_details
    assert first.provider_details is not None


# The log.


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_first_fallback_of_a_model_is_logged_with_its_reason(
    stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    refusals = Refusals()
    for replies in ((REFUSAL, PARIS), (PARIS,)):
        script = Script(*replies)
        await ask(FallbackToolModel(script.model, refusals=refusals), stream)
    name = script.model.model_name
    rest = (
        "cannot take tools (m does not support tools or thinking): from now on its tools are written into the prompt."
    )
    assert warnings_in(caplog) == [f"{name} at function {rest}"]


async def test_the_reason_of_a_fallback_model_is_its_first(caplog: pytest.LogCaptureFixture) -> None:
    replies = [(REFUSAL, PARIS), (ModelHTTPError(400, "m", {"message": '"auto" tool choice requires x'}), PARIS)]
    inner = FallbackModel(*(Script(*two).model for two in replies))
    await ask(FallbackToolModel(inner), stream=False)
    [message] = warnings_in(caplog)
    assert "(m does not support tools or thinking)" in message


@pytest.mark.parametrize(("mode", "count"), [("auto", 1), ("prompt", 0), ("native", 0)])
async def test_a_profile_without_tools_is_logged_once(mode: Any, count: int, caplog: pytest.LogCaptureFixture) -> None:
    script = Script(PARIS, PARIS, profile={"supports_tools": False})
    model = FallbackToolModel(script.model, mode=mode)
    await ask(model, stream=False)
    await ask(model, stream=True)
    assert len(warnings_in(caplog)) == count
    assert all("says its profile" in message for message in warnings_in(caplog))


async def test_recoveries_are_logged_for_who_debugs(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="toolmend"):
        await ask(FallbackToolModel(Script(PARIS).model), stream=False)
    [record] = caplog.records
    assert record.levelno == logging.DEBUG
    assert "['get_weather'] recovered from ['fenced_json']" in record.getMessage()


# Spans.


@pytest.mark.parametrize("way", WAYS)
async def test_spans_show_one_request_with_the_recovered_call(way: str) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    script = Script(REFUSAL, PARIS, "Sunny.")
    model = InstrumentedModel(FallbackToolModel(script.model), InstrumentationSettings(tracer_provider=provider))
    assert (await run_agent(way, Agent(model, tools=[get_weather]), "Go"))[0] == "Sunny."
    spans = [span for span in exporter.get_finished_spans() if span.name.startswith("chat")]
    assert [attributes(span) for span in spans] == [
        {"toolmend.mode": "prompt", "toolmend.dialect": "fenced_json", "toolmend.repairs": ()},
        {"toolmend.mode": "prompt", "toolmend.repairs": ()},
    ]
    first = spans[0].attributes or {}
    assert first["gen_ai.response.finish_reasons"] == ("tool_call",)
    assert "get_weather" in str(first["gen_ai.output.messages"])
    assert all(span.status.is_unset for span in spans)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return {name: value for name, value in (span.attributes or {}).items() if name.startswith("toolmend.")}
