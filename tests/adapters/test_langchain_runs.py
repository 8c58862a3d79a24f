"""What LangChain does around a request: runs and callbacks, caches, limits, retries, fallbacks, cancellation."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult, LLMResult
from langchain_core.runnables import RunnableLambda
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, use_span
from pydantic import BaseModel, Field

from tests.adapters.langchain_scripts import (
    PARIS,
    REFUSAL,
    ROME,
    USAGE,
    WAYS,
    BindingScript,
    Counter,
    Limiter,
    OllamaServer,
    RefusedError,
    Script,
    Way,
    call,
    chunk,
    get_time,
    get_weather,
    named,
    streaming,
    wrapped,
)
from toolmend import Recovery, ToolmendError
from toolmend.adapters.langchain import FallbackToolChatModel

TOOLS = [get_weather, get_time]
ASKED = [("get_weather", {"city": "Paris"})]
BOTH = [*ASKED, ("get_weather", {"city": "Rome"})]
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
whole = pytest.mark.parametrize("way", WAYS[:2], ids=lambda way: way.name)
streamed = pytest.mark.parametrize("way", WAYS[2:], ids=lambda way: way.name)

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


# ---- runs and callbacks


def test_what_is_said_of_a_request_is_what_langchain_would_say() -> None:
    model = FallbackToolChatModel(BindingScript(replies=["Hello."]), tags=["mine"])
    said = model._get_invocation_params(["END"], temperature=0.5)  # pyright: ignore[reportPrivateUsage]
    assert said == BaseChatModel._get_invocation_params(model, ["END"], temperature=0.5)  # pyright: ignore[reportPrivateUsage]
    assert said["_type"] == "toolmend-script"


@pytest.mark.parametrize(("first", "second"), [(Script, BindingScript), (BindingScript, Script)])
def test_a_copy_with_another_model_goes_the_way_of_that_one(first: type[Script], second: type[Script]) -> None:
    model = FallbackToolChatModel(first(replies=[PARIS]))
    model.bind_tools(TOOLS).invoke("Weather in Paris?")
    other = second(replies=[PARIS])
    copied = model.model_copy(update={"inner": other})
    assert named(copied.bind_tools(TOOLS).invoke("Weather in Paris?")) == ASKED
    assert ("tools" in other.seen[0][1]) == (second is BindingScript)


@pytest.mark.parametrize("name", ["_generate", "_agenerate"])
def test_the_signatures_that_are_kept_are_right(name: str) -> None:
    model = FallbackToolChatModel(BindingScript(replies=["Hello."]))
    kept = inspect.signature(getattr(model, name)).parameters.values()
    theirs = [*inspect.signature(getattr(BaseChatModel, name)).parameters.values()][1:]
    assert [(p.name, p.kind, p.default) for p in kept] == [(p.name, p.kind, p.default) for p in theirs]


class Witness(BaseCallbackHandler):
    """Keeps what a tracer is told."""

    def __init__(self) -> None:
        self.results: list[AIMessage] = []
        self.errors: list[BaseException] = []

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        self.results.append(response.generations[0][0].message)

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.errors.append(error)


@every_way
@pytest.mark.parametrize("refuses", [False, True], ids=["taken", "refused"])
async def test_a_tracer_sees_one_run_with_the_calls_and_the_tokens_once(way: Way, refuses: bool) -> None:
    _, model = wrapped(f"Look.\n{PARIS}\n{ROME}", refuses=refuses)
    witness, usage, counter = Witness(), UsageMetadataCallbackHandler(), Counter()
    message = await way(model.bind_tools(TOOLS), "?", config={"callbacks": [witness, usage, counter]})
    [told] = witness.results
    assert named(told) == named(message) == BOTH
    assert [one["id"] for one in told.tool_calls] == [one["id"] for one in message.tool_calls]
    assert (told.text, witness.errors) == ("Look.", [])
    assert usage.usage_metadata["script-1"]["total_tokens"] == USAGE["total_tokens"]
    assert (counter.starts, counter.ends) == (1, 1)


@every_way
async def test_a_tracer_sees_one_error(way: Way) -> None:
    _, model = wrapped(PARIS, refuses=True, mode="native")
    witness = Witness()
    with pytest.raises(RefusedError) as caught:
        await way(model.bind_tools(TOOLS), "?", config={"callbacks": [witness]})
    assert witness.errors == [caught.value]
    assert witness.results == []


# ---- seeing what happened

BROKEN = '<tool_call>{"name": "get_weather", "arguments": {]]]</tool_call>'


@every_way
@pytest.mark.parametrize("settings", [{"mode": "native"}, {"mode": "prompt"}, {"refuses": True}], ids=str)
async def test_a_callback_is_told_once_of_each_reply(way: Way, settings: dict[str, Any]) -> None:
    told: list[Recovery] = []
    _, model = wrapped(f"{PARIS}\n{BROKEN}", on_recovery=told.append, **settings)
    message = await way(model.bind_tools(TOOLS), "?")
    [recovery] = told
    assert [(one.name, one.arguments, one.id) for one in recovery.calls] == [
        (one["name"], one["args"], one["id"]) for one in message.tool_calls
    ]
    assert (recovery.model, recovery.server) == ("script-1", "BindingScript")
    assert recovery.mode == ("native" if settings == {"mode": "native"} else "prompt")
    assert recovery.dialects == ("fenced_json",)
    assert len(recovery.failures) == 1
    assert message.response_metadata["toolmend"] == recovery.details


@every_way
async def test_a_callback_is_told_nothing_where_there_was_nothing(way: Way) -> None:
    told: list[Recovery] = []
    _, model = wrapped("Sunny.", on_recovery=told.append, refuses=True)
    await way(model.bind_tools(TOOLS), "?")
    await way(model, "?")
    assert told == []


@every_way
async def test_what_a_callback_raises_is_its_caller_s(way: Way) -> None:
    def strict(recovery: Recovery) -> None:
        raise PermissionError(recovery.failures[0])

    _, model = wrapped(BROKEN, on_recovery=strict)
    with pytest.raises(PermissionError, match="JSON"):
        await way(model.bind_tools(TOOLS), "?")


def test_a_callback_is_no_part_of_what_a_model_is() -> None:
    script = BindingScript(replies=[PARIS])
    models = [FallbackToolChatModel(script, on_recovery=one) for one in (None, print)]
    assert models[0]._get_llm_string() == models[1]._get_llm_string()
    assert "print" not in str(dumpd(models[1]))


@every_way
async def test_the_first_fallback_of_a_model_is_logged(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    _, model = wrapped(PARIS, refuses=True)
    with caplog.at_level("WARNING", "toolmend"):
        for _ in range(2):
            await way(model.bind_tools(TOOLS), "?")
    assert [record.getMessage() for record in caplog.records] == [
        f"script-1 at BindingScript cannot take tools ({REFUSAL}): from now on its tools are written into the prompt."
    ]


class Span(NonRecordingSpan):
    """A span that records."""

    def __init__(self) -> None:
        super().__init__(INVALID_SPAN_CONTEXT)
        self.attributes: dict[str, Any] = {}

    def is_recording(self) -> bool:
        return True

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value


@every_way
async def test_the_span_of_a_request_is_marked(way: Way) -> None:
    span = Span()
    _, model = wrapped(PARIS, mode="prompt")
    with use_span(span):
        await way(model.bind_tools(TOOLS), "?")
    assert span.attributes == {
        "toolmend.mode": "prompt",
        "toolmend.dialect": "fenced_json",
        "toolmend.repairs": [],
    }


# ---- caches and limits


@whole
@pytest.mark.parametrize("refuses", [False, True], ids=["taken", "refused"])
async def test_a_cached_reply_has_the_same_calls(way: Way, refuses: bool) -> None:
    script, model = wrapped(f"Look.\n{PARIS}", cache=InMemoryCache(), refuses=refuses)
    bound = model.bind_tools(TOOLS)
    first = await way(bound, "?")
    asked = len(script.seen)
    again = await way(bound, "?")
    assert (again.content, again.tool_calls) == (first.content, first.tool_calls)
    assert named(again) == ASKED
    assert len(script.seen) == asked
    await way(model.bind_tools([get_weather]), "?")
    assert len(script.seen) > asked


@every_way
async def test_a_request_waits_once(way: Way) -> None:
    limiter = Limiter()
    _, model = wrapped(PARIS, rate_limiter=limiter)
    for count in (1, 2):
        assert named(await way(model.bind_tools(TOOLS), "?")) == ASKED
        assert limiter.count == count


# ---- retries and fallbacks


class Flaky(BindingScript):
    """The connection breaks the first times; while it streams, in the middle of the reply."""

    breaks: int = 1

    def _broken(self) -> bool:
        self.breaks -= 1
        return self.breaks >= 0

    def _says(self, messages: list[BaseMessage], arguments: dict[str, Any]) -> str:
        text = super()._says(messages, arguments)
        if self._broken():
            raise ConnectionError("gone")
        return text


@whole
async def test_with_retry(way: Way) -> None:
    script = Flaky(replies=[PARIS], breaks=2)
    model = FallbackToolChatModel(script).bind_tools(TOOLS)
    patient = model.with_retry(retry_if_exception_type=(ConnectionError,), wait_exponential_jitter=False)
    counter = Counter()
    assert named(await way(patient, "?", config={"callbacks": [counter]})) == ASKED
    assert (len(script.seen), counter.starts, counter.ends) == (3, 3, 1)
    script.breaks = 3
    with pytest.raises(ConnectionError):
        await way(patient, "?")


@every_way
async def test_with_fallbacks_to_another_model(way: Way) -> None:
    first, second = Flaky(replies=[PARIS], breaks=1), BindingScript(replies=[ROME])
    models = [FallbackToolChatModel(script) for script in (first, second)]
    patient = models[0].with_fallbacks([models[1]], exceptions_to_handle=(ConnectionError,)).bind_tools(TOOLS)
    assert named(await way(patient, "?")) == BOTH[1:]
    assert named(await way(patient, "?")) == ASKED
    assert (len(first.seen), len(second.seen)) == (2, 1)


@every_way
async def test_with_fallbacks_to_another_mode(way: Way) -> None:
    script, native = wrapped(PARIS, refuses=True, mode="native")
    prompted = FallbackToolChatModel(script, mode="prompt")
    patient = native.bind_tools(TOOLS).with_fallbacks([prompted.bind_tools(TOOLS)])
    assert named(await way(patient, "?")) == ASKED
    assert ["tools" in arguments for _, arguments in script.seen] == [True, False]


def test_fallbacks_go_around_the_wrapper_and_not_inside_of_it() -> None:
    script = BindingScript(replies=[PARIS])
    for chain in (script.with_fallbacks([script]), script.bind_tools(TOOLS), script.with_retry(), "ollama:gemma"):
        with pytest.raises(ToolmendError, match=r"inner is a .*go around the wrapper"):
            FallbackToolChatModel(chain)  # type: ignore[arg-type]


# ---- cancellation


class Slow(BindingScript):
    """Says its reply piece by piece and waits after each; tells when it was closed."""

    begun: list[str] = Field(default_factory=list)
    closed: list[str] = Field(default_factory=list)
    pause: float = 30

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        self.begun.append("generate")
        try:
            await asyncio.sleep(self.pause)
            return self._generate(*args, **kwargs)
        finally:
            self.closed.append("generate")

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        try:
            for piece in super()._stream(messages, **kwargs):
                yield piece
                await asyncio.sleep(self.pause)
        finally:
            self.closed.append("stream")


async def test_a_cancelled_request_is_cancelled_inside() -> None:
    script = Slow(replies=[PARIS])
    model = FallbackToolChatModel(script).bind_tools(TOOLS)
    task = asyncio.create_task(model.ainvoke("?"))
    while not script.begun:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert script.closed == ["generate"]


@pytest.mark.parametrize("awaits", range(1, 12))
async def test_a_cancelled_stream_is_closed_inside_and_yields_no_half_call(awaits: int) -> None:
    script = Slow(replies=[f"Look at it.\n{PARIS}"], pause=0, size=11)
    model = FallbackToolChatModel(script).bind_tools(TOOLS)
    seen: list[Any] = []

    async def read() -> None:
        async for piece in model.astream("?"):
            seen.append(piece)  # noqa: PERF401 - what came before the end counts

    task = asyncio.create_task(read())
    for _ in range(awaits):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert script.closed == ["stream"]
    assert [one for piece in seen for one in piece.tool_calls if one["args"] != {"city": "Paris"}] == []


async def test_a_stream_left_early_is_closed_inside() -> None:
    script = Slow(replies=[f"Look at it.\n{PARIS}"], pause=0)
    async for _ in FallbackToolChatModel(script).bind_tools(TOOLS).astream("?"):
        break
    for _ in range(50):  # the framework leaves it to the loop to close what is left
        await asyncio.sleep(0)
    assert script.closed == ["stream"]


# ---- v3 streams


async def test_calls_in_text_and_native_ones_in_v3_streams() -> None:
    native = {"name": "get_time", "args": '{"city": "Oslo"}', "id": "n", "index": 0, "type": "tool_call_chunk"}
    for pieces in (
        [chunk(f"Look.\n{PARIS}\n{ROME}"), chunk(tool_call_chunks=[native])],
        [chunk(f"Look.\n{PARIS}\n"), chunk(ROME, tool_call_chunks=[native])],
    ):
        stream = await streaming(*pieces).astream_events("?", version="v3")
        async for _ in stream:
            pass
        message = await stream.output
        assert named(message) == [*BOTH, ("get_time", {"city": "Oslo"})]
        assert message.invalid_tool_calls == []
        assert message.text.strip() == "Look."


async def test_a_prompted_model_in_v3_streams_and_what_follows_it() -> None:
    # In these streams a message's content is a list of blocks; the next request has to read it.
    server = OllamaServer([f"Look.\n{PARIS}", "Sunny."])
    model = FallbackToolChatModel(server.model()).bind_tools(TOOLS)
    stream = await model.astream_events("weather?", version="v3")
    async for _ in stream:
        pass
    message = await stream.output
    assert isinstance(message.content, list)
    answers = [get_weather.invoke(one) for one in message.tool_calls]
    assert (await model.ainvoke(["weather?", message, *answers])).content == "Sunny."
    said = [one["content"] for one in server.requests[-1]["messages"] if one["role"] == "assistant"]
    assert said == [f"Look.\n{PARIS}"]


# ---- structured output


class City(BaseModel):
    """A city."""

    name: str


METHODS = ["function_calling", "json_mode", "json_schema"]


@every_way
@pytest.mark.parametrize("accepts", [True, False], ids=["accepting", "refusing"])
@pytest.mark.parametrize("method", METHODS)
async def test_structured_output(way: Way, method: str, accepts: bool) -> None:
    text = call("City", name="Paris") if method == "function_calling" else '{"name": "Paris"}'
    server = OllamaServer([text], accepts=accepts)
    model = FallbackToolChatModel(server.model())
    counter = Counter()
    plain = model.with_structured_output(City, method=method)
    assert await _last(way, plain, {"callbacks": [counter]}) == City(name="Paris")
    assert (counter.starts, counter.ends) == (1, 1)
    raw = await _last(way, model.with_structured_output(City, method=method, include_raw=True), {})
    assert (raw["parsed"], raw["parsing_error"]) == (City(name="Paris"), None)
    assert bool(raw["raw"].tool_calls) is (method == "function_calling")


@every_way
@pytest.mark.parametrize("method", METHODS)
async def test_structured_output_after_calls(way: Way, method: str) -> None:
    # Ollama drops what tools have answered where the template knows no tools.
    text = call("City", name="Paris") if method == "function_calling" else '{"name": "Paris"}'
    server = OllamaServer([PARIS, text])
    model = FallbackToolChatModel(server.model())
    made = model.bind_tools(TOOLS).invoke("weather?")
    asked = [HumanMessage("weather?"), made, get_weather.invoke(made.tool_calls[0]), HumanMessage("Where was it?")]
    for raw in (False, True):
        chain = model.with_structured_output(City, method=method, include_raw=raw)
        answer = await _last(way, chain, {}, asked)
        assert (answer["parsed"] if raw else answer) == City(name="Paris")
        *_, said, last = server.requests[-1]["messages"]
        assert "tool_calls" not in said
        assert "sunny in Paris" in last["content"]
        assert last["role"] == "user"
        assert "format" in server.requests[-1]


async def test_structured_output_of_an_integration_that_builds_it_otherwise() -> None:
    class Other(BindingScript):
        def with_structured_output(self, schema: Any, *, method: str = "json_schema", **kwargs: Any) -> Any:
            return RunnableLambda(lambda _: self.invoke("?").text)

    assert FallbackToolChatModel(Other(replies=["ok"])).with_structured_output(City).invoke("?") == "ok"


@whole
@pytest.mark.parametrize("method", METHODS)
async def test_structured_output_that_does_not_fit_is_told_as_the_framework_does(way: Way, method: str) -> None:
    text = call("City", title="Paris") if method == "function_calling" else '{"title": "Paris"}'
    model = FallbackToolChatModel(OllamaServer([text], accepts=True).model())
    raw = await _last(way, model.with_structured_output(City, method=method, include_raw=True), {})
    assert raw["parsed"] is None
    assert raw["parsing_error"] is not None


async def _last(way: Way, chain: Any, config: dict[str, Any], asked: Any = "?") -> Any:
    """The whole answer; of a stream, its pieces put together as the framework does."""
    if way.name == "invoke":
        return chain.invoke(asked, config)
    if way.name == "ainvoke":
        return await chain.ainvoke(asked, config)
    pieces = [piece async for piece in chain.astream(asked, config)] if way.name == "astream" else None
    pieces = pieces or list(chain.stream(asked, config))
    if not isinstance(pieces[-1], dict):
        return pieces[-1]
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = whole + piece
    return whole
