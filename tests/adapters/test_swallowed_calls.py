"""Servers whose own parser loses the call: read what is left of it, ask once more as text, and never twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.messages import ModelRequest, ModelResponse, ToolCallPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition

from tests.adapters.broken_server import Answer, BrokenServer, delta, error, events, serving, whole
from tests.adapters.langchain_scripts import WAYS, Way
from tests.adapters.pydantic_ai_scripts import fence, run_agent
from toolmend.adapters.langchain import FallbackToolChatModel
from toolmend.adapters.pydantic_ai import FallbackToolModel

PARIS = fence("get_weather", city="Paris")
CALL = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
HARMONY = f"error parsing tool call: raw='{CALL}', err=unexpected end of JSON input"
LOOK = delta(role="assistant", content="I will look. ")
NO_PARSE = b'data: {"error": "json parser could not parse region as JSON.\nContent: \'{\'\nError: char 1"}\n\n'

ERRORS = {
    "Ollama, one of its parsers": error(500, "failed to parse JSON: unexpected end of JSON input", type="api_error"),
    "Ollama, another one": error(500, 'tool "get_weather2" is not declared', type="api_error"),
    "llama-server": error(500, "The model produced output that does not match the expected hermes format"),
    "transformers serve": Answer(b"Internal Server Error", 500, "text/plain"),
    "mlx-lm hangs up": Answer(hangs_up=True),
}
WHOLE = {
    **ERRORS,
    "mlx-lm says that there are calls": whole("tool_calls", content=None),
    "mlx-lm leaves white space": whole("tool_calls", content="\n"),
    "the words before the call are left": whole("tool_calls", content="I will look."),
    "only tokens are left": whole("stop", content=""),
}
STREAMED = {
    **ERRORS,
    "mlx-lm says that there are calls": events(delta(role="assistant"), delta("tool_calls"), tokens=9),
    "the words before the call are left": events(LOOK, delta("tool_calls"), tokens=9),
    "only tokens are left": events(delta(role="assistant", content=""), delta("stop"), tokens=9),
    "mlx-lm ends without a word": Answer(b": keepalive 1/2\n\n", kind="text/event-stream"),
    "Ollama ends without an end": events(delta(role="assistant", content=""), done=False),
    "llama-server breaks off": events(
        LOOK, b'data: {"error": {"code": 500, "message": "Failed to parse input at pos 12"}}\n\n', done=False
    ),
    "transformers serve breaks off": events(delta(role="assistant"), NO_PARSE, done=False),
}
CASES = [
    *(pytest.param(answer, False, id=f"{name}, whole") for name, answer in WHOLE.items()),
    *(pytest.param(answer, True, id=f"{name}, streamed") for name, answer in STREAMED.items()),
]


def each_way(cases: list[Any]) -> list[Any]:
    """The cases of LangChain's ways, each with the answers that fit it."""
    return [
        pytest.param(way, case.values[0], id=f"{case.id}-{way.name}")
        for case in cases
        for way in WAYS
        if case.values[1] is way.name.endswith("stream")
    ]


@dataclass
class Weather:
    """A tool that writes down what it was asked."""

    cities: list[str] = field(default_factory=list)

    def get_weather(self, city: str) -> str:
        """Tell the weather in a city."""
        self.cities.append(city)
        return "sunny"


@asynccontextmanager
async def pydantic_model(server: BrokenServer, **options: Any) -> AsyncIterator[FallbackToolModel]:
    async with httpx2.AsyncClient() as http:
        client = openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0, http_client=http)
        yield FallbackToolModel(OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client)), **options)


@asynccontextmanager
async def langchain_model(server: BrokenServer, **options: Any) -> AsyncIterator[FallbackToolChatModel]:
    with httpx2.Client() as http:
        async with httpx2.AsyncClient() as ahttp:
            clients: dict[str, Any] = {"http_client": http, "http_async_client": ahttp}
            inner = ChatOpenAI(
                model="m", base_url=server.base_url, api_key="none", max_retries=0, stream_usage=True, **clients
            )
            yield FallbackToolChatModel(inner, **options)


@pytest.mark.parametrize(("lost", "stream"), CASES)
async def test_pydantic_ai_asks_once_more_as_text(lost: Answer, stream: bool) -> None:
    weather = Weather()
    with serving(lost, PARIS, "Sunny.") as server:
        async with pydantic_model(server) as model:
            agent = Agent(model, tools=[weather.get_weather])
            output, messages = await run_agent("run_stream_events" if stream else "run", agent, "Weather?")
            assert model._server in model.refusals
    assert (output, weather.cities) == ("Sunny.", ["Paris"])
    assert server.sent_tools == [True, False, False]
    assert not any(server.sent_calls)
    response = messages[1]
    assert isinstance(response, ModelResponse)
    assert response.finish_reason == "tool_call"
    if lost.body and lost.status == 200 and b"usage" in lost.body:
        assert response.usage.output_tokens > 7  # both replies were paid for


@pytest.mark.parametrize(("way", "lost"), each_way(CASES))
async def test_langchain_asks_once_more_as_text(way: Way, lost: Answer) -> None:
    with serving(lost, PARIS, "Sunny.") as server:
        async with langchain_model(server) as model:
            llm = model.bind_tools([Weather().get_weather])
            made = await way(llm, "Weather?")
            answers = [HumanMessage("Weather?"), made, ToolMessage("sunny", tool_call_id=made.tool_calls[0]["id"])]
            last = await way(llm, answers)
    assert [call["args"] for call in made.tool_calls] == [{"city": "Paris"}]
    assert made.response_metadata.get("finish_reason") == "stop"
    assert last.text == "Sunny."
    assert server.sent_tools == [True, False, False]
    assert not any(server.sent_calls)
    if lost.body and lost.status == 200 and b"usage" in lost.body:
        assert made.usage_metadata
        assert made.usage_metadata["output_tokens"] > 7


READABLE = [
    pytest.param(error(500, HARMONY), False, id="an error quotes the text"),
    pytest.param(error(500, HARMONY), True, id="an error quotes the text, streamed"),
    pytest.param(
        events(LOOK, b'data: {"error": {"message": "%s"}}\n\n' % HARMONY.replace('"', '\\"').encode(), done=False),
        True,
        id="an error in the stream quotes the text",
    ),
    pytest.param(whole("tool_calls", content=CALL), False, id="the text is in the content"),
    pytest.param(
        events(delta(role="assistant", content=CALL), delta("tool_calls")),
        True,
        id="the text is in the content, streamed",
    ),
]


@pytest.mark.parametrize("mode", ["auto", "native"])
class TestReadable:
    @pytest.mark.parametrize(("lost", "streamed"), READABLE)
    async def test_pydantic_ai(self, mode: Any, lost: Answer, streamed: bool) -> None:
        weather = Weather()
        with serving(lost, "Sunny.") as server:
            async with pydantic_model(server, mode=mode) as model:
                agent = Agent(model, tools=[weather.get_weather])
                output, _ = await run_agent("run_stream_events" if streamed else "run", agent, "Weather?")
        assert (output, weather.cities) == ("Sunny.", ["Paris"])
        assert server.sent_tools == [True, True]

    @pytest.mark.parametrize(("way", "lost"), each_way(READABLE))
    async def test_langchain(self, mode: Any, way: Way, lost: Answer) -> None:
        with serving(lost) as server:
            async with langchain_model(server, mode=mode) as model:
                made = await way(model.bind_tools([Weather().get_weather]), "Weather?")
        assert [call["args"] for call in made.tool_calls] == [{"city": "Paris"}]
        assert server.sent_tools == [True]


@pytest.mark.parametrize("mode", ["auto", "native", "prompt"])
@pytest.mark.parametrize("way", ["run", "run_stream_events"])
@pytest.mark.parametrize("lost", ERRORS.values(), ids=ERRORS.keys())
async def test_where_nothing_helps_pydantic_ai_raises_what_the_server_said(lost: Answer, way: str, mode: Any) -> None:
    with serving(lost, lost, "never") as server:
        async with pydantic_model(server, mode=mode) as model:
            with pytest.raises(ModelAPIError) as caught:
                await run_agent(way, Agent(model, tools=[Weather().get_weather]), "Weather?")
            assert model._server not in model.refusals
    assert isinstance(caught.value, ModelHTTPError) is bool(lost.body)
    assert server.sent_tools == {"auto": [True, False], "native": [True], "prompt": [False]}[mode]


@pytest.mark.parametrize("mode", ["auto", "native", "prompt"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@pytest.mark.parametrize("lost", ERRORS.values(), ids=ERRORS.keys())
async def test_where_nothing_helps_langchain_raises_what_the_server_said(lost: Answer, way: Way, mode: Any) -> None:
    with serving(lost, lost, "never") as server:
        async with langchain_model(server, mode=mode) as model:
            with pytest.raises(openai.APIError) as caught:
                await way(model.bind_tools([Weather().get_weather]), "Weather?")
    assert isinstance(caught.value, openai.APIStatusError) is bool(lost.body)
    assert server.sent_tools == {"auto": [True, False], "native": [True], "prompt": [False]}[mode]


async def test_an_empty_reply_is_asked_for_again_only_once() -> None:
    empty = whole("tool_calls", content=None)
    with serving(empty, empty, "never") as server:
        async with langchain_model(server) as model:
            made = await model.bind_tools([Weather().get_weather]).ainvoke("Weather?")
            assert (made.text, made.tool_calls) == ("", [])
    assert server.sent_tools == [True, False]


HISTORY = "Failed to parse tool call arguments as JSON: [json.exception.parse_error.101]"
CALLED = ToolCallPart("get_weather", '{"city": "Par', tool_call_id="1")


async def test_broken_arguments_in_the_history_are_sent_as_text() -> None:
    history = [
        ModelRequest(parts=[UserPromptPart("Weather?")]),
        ModelResponse(parts=[CALLED]),
        ModelRequest(parts=[ToolReturnPart("get_weather", "sunny", tool_call_id="1")]),
    ]
    refusal = error(500, HISTORY)
    with serving(refusal, "Sunny.", refusal, "Sunny.") as server:
        async with pydantic_model(server) as model:
            agent = Agent(model, tools=[Weather().get_weather])
            assert (await agent.run(message_history=history)).output == "Sunny."
            assert model._server not in model.refusals
        async with langchain_model(server) as model:
            calls = [{"name": "get_weather", "args": {"city": "Par"}, "id": "1"}]
            asked = [HumanMessage("Weather?"), AIMessage("", tool_calls=calls), ToolMessage("sunny", tool_call_id="1")]
            assert model.bind_tools([Weather().get_weather]).invoke(asked).text == "Sunny."
    assert server.sent_tools == [True, False] * 2
    assert server.sent_calls == [True, False] * 2


WANTS_TEXT = error(500, "7 validation errors: [{'loc': ('body', 'ChatCompletionRequestAssistantMessage', 'content')}]")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_that_wants_a_text_beside_calls_gets_text(stream: bool) -> None:
    weather = Weather()
    with serving(PARIS, WANTS_TEXT, "Sunny.", PARIS, "Sunny.") as server:
        async with pydantic_model(server) as model:
            for _ in range(2):
                agent = Agent(model, tools=[weather.get_weather])
                output, _ = await run_agent("run_stream_events" if stream else "run", agent, "Weather?")
                assert output == "Sunny."
    assert weather.cities == ["Paris", "Paris"]
    assert server.sent_tools == [True, True, False, False, False]
    with serving(WANTS_TEXT, "Sunny.") as server:
        async with langchain_model(server) as model:
            calls = [{"name": "get_weather", "args": {"city": "Paris"}, "id": "1"}]
            asked = [HumanMessage("Weather?"), AIMessage("", tool_calls=calls), ToolMessage("sunny", tool_call_id="1")]
            assert model.bind_tools([weather.get_weather]).invoke(asked).text == "Sunny."
    assert server.sent_tools == [True, False]


async def test_without_a_call_in_the_history_it_is_not_to_blame() -> None:
    with serving(error(500, HISTORY), error(500, HISTORY)) as server:
        async with pydantic_model(server) as model:
            with pytest.raises(ModelHTTPError):
                await Agent(model, tools=[Weather().get_weather]).run("Weather?")
        async with langchain_model(server) as model:
            with pytest.raises(openai.InternalServerError):
                model.bind_tools([Weather().get_weather]).invoke("Weather?")
    assert server.sent_tools == [True, True]


OTHERS = [
    whole("stop", tokens=1, content=""),
    whole("length", content=""),
    whole("stop", content="Done."),
]


@pytest.mark.parametrize("lost", [*OTHERS, whole("stop", content="", reasoning_content="I am done.")])
async def test_other_replies_are_as_they_are_in_pydantic_ai(lost: Answer) -> None:
    tool = ToolDefinition(name="get_weather")
    with serving(lost) as server:
        async with pydantic_model(server) as model:
            asked: list[Any] = [ModelRequest(parts=[UserPromptPart("Weather?")])]
            await model.request(asked, None, ModelRequestParameters(function_tools=[tool]))
    assert server.sent_tools == [True]


@pytest.mark.parametrize("lost", OTHERS)
async def test_other_replies_are_as_they_are_in_langchain(lost: Answer) -> None:
    with serving(lost) as server:
        async with langchain_model(server) as model:
            model.bind_tools([Weather().get_weather]).invoke("Weather?")
    assert server.sent_tools == [True]


async def test_a_stream_without_an_end_is_not_asked_for_again_once_there_is_text() -> None:
    broken = events(LOOK, done=False)
    with serving(broken, broken) as server:
        async with pydantic_model(server) as model:
            output, _ = await run_agent("run_stream_events", Agent(model, tools=[Weather().get_weather]), "Weather?")
            assert output == "I will look. "
        async with langchain_model(server) as model:
            said = "".join(chunk.text for chunk in model.bind_tools([Weather().get_weather]).stream("Weather?"))
            assert said == "I will look. "
    assert server.sent_tools == [True, True]  # there was text: to ask again would say it twice


NDJSON = "application/x-ndjson"
LINE = b'{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"%s"},"done":false}\n'
END = (
    b'{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":""},"done":true,'
    b'"done_reason":"stop","prompt_eval_count":5,"eval_count":9}\n'
)


@pytest.mark.parametrize(
    "lost",
    [
        Answer(b'{"error":"failed to parse XML: EOF"}\n', kind=NDJSON),
        Answer(LINE % b"I will look. " + b'{"error":"failed to parse XML: EOF"}\n', kind=NDJSON),
        Answer(b'{"error":"empty function name"}', 500),
        Answer(END, kind=NDJSON),
    ],
    ids=["an error line", "an error line after text", "an error", "only tokens"],
)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_ollamas_own_endpoint(way: Way, lost: Answer) -> None:
    fenced = LINE % PARIS.replace("\n", "\\n").replace('"', '\\"').encode()
    with serving(lost, Answer(fenced + END, kind=NDJSON)) as server:
        base_url = server.base_url.removesuffix("/v1")
        model = FallbackToolChatModel(ChatOllama(model="m", base_url=base_url))
        made = await way(model.bind_tools([Weather().get_weather]), "Weather?")
        close_clients(model.inner)
    assert [call["args"] for call in made.tool_calls] == [{"city": "Paris"}]
    assert [bool(body.get("tools")) for body in server.bodies] == [True, False]


def close_clients(model: Any) -> None:
    model._client._client.close()


async def test_a_call_that_a_stream_without_an_end_has_left_open_does_not_run() -> None:
    weather = Weather()
    broken = events(delta(role="assistant", content=CALL[:-20]), done=False)
    with serving(broken) as server:
        async with pydantic_model(server) as model:
            await run_agent("run_stream_events", Agent(model, tools=[weather.get_weather]), "Weather?")
    assert not weather.cities
    assert server.sent_tools == [True]
