"""The transports under real clients, through real HTTP: openai, PydanticAI, LangChain and Ollama's own."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import httpx2
import ollama
import openai
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.providers.ollama import OllamaProvider

import toolmend.adapters.httpx as legacy_adapter
import toolmend.adapters.httpx2 as adapter
from tests.adapters import broken_server
from tests.adapters.broken_server import Answer, serving
from tests.adapters.test_wire import calls_of, chunk, delta, pieces, sse, tagged, text_of
from toolmend import Recovery, ToolmendError
from toolmend._refusal import Refusals
from toolmend.demo.llamacpp import LlamaServer
from toolmend.demo.ollama_standin import OllamaStandin

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
COMMAND = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
RUN: Any = {"type": "function", "function": {"name": "run_command", "parameters": COMMAND}}
QUESTION = "weather in Paris"
FINAL = "Done. The task is finished."
FAMILIES = {"httpx2": (httpx2, adapter), "httpx": (httpx, legacy_adapter)}
LLAMAS = ["llama", "llama_strict", "llama_hermes", "llama_coder", "llama_nojinja"]
SERVERS = [*LLAMAS, "ollama_accepting", "ollama_rejecting"]


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def client_of(family: str, **settings: Any) -> Any:
    module, ours = FAMILIES[family]
    return module.Client(transport=ours.ToolTransport(**settings), timeout=30)


def async_client_of(family: str, **settings: Any) -> Any:
    module, ours = FAMILIES[family]
    return module.AsyncClient(transport=ours.AsyncToolTransport(**settings), timeout=30)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


def run_command(command: str) -> str:
    """Run a command."""
    return f"ran {command}"


@dataclass(frozen=True)
class Case:
    """A server, and what the model calls when it is asked there."""

    url: str
    question: str = QUESTION
    name: str = "get_weather"
    arguments: Any = field(default_factory=lambda: {"city": "Paris"})

    def answered(self, calls: list[Any], text: str | None) -> list[Any]:
        """The history after an answer with one call, and its result."""
        [call] = calls
        assert (call.function.name, json.loads(call.function.arguments)) == (self.name, self.arguments)
        made = {"id": call.id, "type": "function", "function": call.function.model_dump(include={"name", "arguments"})}
        return [
            {"role": "user", "content": self.question},
            {"role": "assistant", "content": text or "", "tool_calls": [made]},
            {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
        ]


@pytest.fixture(params=SERVERS)
def case(request: pytest.FixtureRequest) -> Case:
    """Each of the servers treats tools in its own way."""
    running: LlamaServer | OllamaStandin = request.getfixturevalue(request.param)
    if request.param == "llama_coder":  # whatever the model means, this one makes it write calls with tagged parameters
        return Case(running.base_url, "Find all definitions", "run_command", {"command": 'grep -rn "def " .'})
    return Case(running.base_url)


# ------------------------------------------------------------------------------- conversations on real servers


def test_openai_whole(family: str, case: Case) -> None:
    with openai.OpenAI(base_url=case.url, api_key="none", http_client=client_of(family), max_retries=0) as client:
        ask: Any = {"model": "tiny", "tools": [WEATHER, RUN]}
        first = client.chat.completions.create(messages=[{"role": "user", "content": case.question}], **ask).choices[0]
        assert first.finish_reason == "tool_calls"
        assert not first.message.content
        history = case.answered(first.message.tool_calls or [], first.message.content)
        last = client.chat.completions.create(messages=history, **ask).choices[0]
        assert (last.message.content, last.message.tool_calls, last.finish_reason) == (FINAL, None, "stop")


async def test_openai_whole_async(family: str, case: Case) -> None:
    http_client = async_client_of(family)
    async with openai.AsyncOpenAI(base_url=case.url, api_key="none", http_client=http_client, max_retries=0) as client:
        ask: Any = {"model": "tiny", "tools": [WEATHER, RUN]}
        question: Any = [{"role": "user", "content": case.question}]
        first = (await client.chat.completions.create(messages=question, **ask)).choices[0]
        history = case.answered(first.message.tool_calls or [], first.message.content)
        last = (await client.chat.completions.create(messages=history, **ask)).choices[0]
        assert (last.message.content, last.finish_reason) == (FINAL, "stop")


def test_openai_streaming(family: str, case: Case) -> None:
    """With the SDK's own gathering of pieces, which is strict about indexes."""
    with openai.OpenAI(base_url=case.url, api_key="none", http_client=client_of(family), max_retries=0) as client:
        ask: Any = {"model": "tiny", "tools": [WEATHER, RUN], "stream_options": {"include_usage": True}}
        question: Any = [{"role": "user", "content": case.question}]
        with client.chat.completions.stream(messages=question, **ask) as stream:
            first = stream.get_final_completion()
        assert first.choices[0].finish_reason == "tool_calls"
        assert first.usage
        history = case.answered(first.choices[0].message.tool_calls or [], first.choices[0].message.content)
        with client.chat.completions.stream(messages=history, **ask) as stream:
            texts = [event.delta for event in stream if event.type == "content.delta"]
        assert "".join(texts) == FINAL
        assert len(texts) > 1


async def test_openai_streaming_async(family: str, case: Case) -> None:
    http_client = async_client_of(family)
    async with openai.AsyncOpenAI(base_url=case.url, api_key="none", http_client=http_client, max_retries=0) as client:
        ask: Any = {"model": "tiny", "tools": [WEATHER, RUN]}
        cities = ["Paris", "Rome"] if case.name == "get_weather" else []
        asked_for = "compare Paris and Rome" if cities else case.question
        question: Any = [{"role": "user", "content": asked_for}]
        calls: dict[int, str] = {}
        async for event in await client.chat.completions.create(messages=question, stream=True, **ask):
            for call in event.choices[0].delta.tool_calls or () if event.choices else ():
                assert call.function
                calls[call.index] = calls.get(call.index, "") + (call.function.arguments or "")
        expected = [{"city": city} for city in cities] or [case.arguments]
        assert [json.loads(args) for _, args in sorted(calls.items())] == expected
        assert sorted(calls) == [*range(len(expected))]


class GetWeather(BaseModel):
    """The weather in a city."""

    city: str


@pytest.mark.parametrize("case", ["ollama_rejecting", "llama"], indirect=True)
def test_openai_parses_arguments_into_a_class(family: str, case: Case) -> None:
    tool: Any = openai.pydantic_function_tool(GetWeather, name="get_weather")
    with openai.OpenAI(base_url=case.url, api_key="none", http_client=client_of(family)) as client:
        reply = client.beta.chat.completions.parse(
            model="tiny", messages=[{"role": "user", "content": case.question}], tools=[tool]
        )
    [call] = reply.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == GetWeather(city="Paris")


@pytest.mark.parametrize("streams", [False, True])
async def test_pydantic_ai(streams: bool, case: Case) -> None:
    async with async_client_of("httpx2") as http_client:
        model = OllamaModel("tiny", provider=OllamaProvider(base_url=case.url, http_client=http_client))
        agent = Agent(model, tools=[get_weather, run_command])
        if streams:
            async with agent.run_stream(case.question) as run:
                assert await run.get_output() == FINAL
                messages = run.all_messages()
        else:
            result = await agent.run(case.question)
            assert result.output == FINAL
            messages = result.all_messages()
    parts = [part.part_kind for message in messages for part in message.parts]
    assert [kind for kind in parts if kind.startswith("tool")] == ["tool-call", "tool-return"]


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke"])
async def test_langchain(way: str, family: str, case: Case) -> None:
    sync, later = client_of(family), async_client_of(family)
    model = ChatOpenAI(
        model="tiny",
        base_url=case.url,
        api_key=lambda: "none",
        http_client=sync,
        http_async_client=later,
        max_retries=0,
    ).bind_tools([get_weather, run_command])

    async def ask(messages: list[Any]) -> Any:
        if way == "ainvoke":
            return await model.ainvoke(messages)
        if way == "invoke":
            return model.invoke(messages)
        first, *others = model.stream(messages)
        return sum(others, first)

    question = [HumanMessage(case.question)]
    reply = await ask(question)
    [call] = reply.tool_calls
    assert (call["name"], call["args"]) == (case.name, case.arguments)
    last = await ask([*question, reply, ToolMessage("sunny", tool_call_id=call["id"])])
    assert (last.text, last.tool_calls) == (FINAL, [])
    sync.close()
    await later.aclose()


@pytest.mark.parametrize("accepts", [True, False])
@pytest.mark.parametrize("streams", [True, False])
async def test_ollamas_own_client(streams: bool, accepts: bool, request: pytest.FixtureRequest) -> None:
    standin: OllamaStandin = request.getfixturevalue("ollama_accepting" if accepts else "ollama_rejecting")
    messages: list[Any] = [{"role": "user", "content": QUESTION}]

    def taken(replies: Iterator[Any] | Any) -> tuple[str, list[Any]]:
        parts = list(replies) if streams else [replies]
        assert parts[-1].done
        text = "".join(part.message.content or "" for part in parts)
        return text, [call for part in parts for call in part.message.tool_calls or ()]

    client = ollama.Client(host=standin.url, transport=legacy_adapter.ToolTransport())
    later = ollama.AsyncClient(host=standin.url, transport=legacy_adapter.AsyncToolTransport())
    text, [call] = taken(client.chat("tiny", messages, tools=[get_weather], stream=streams))
    assert (text, call.function.name, call.function.arguments) == ("", "get_weather", {"city": "Paris"})
    messages += [{"role": "assistant", "content": "", "tool_calls": [call]}]
    messages += [{"role": "tool", "tool_name": "get_weather", "content": "sunny"}]
    assert taken(client.chat("tiny", messages, tools=[get_weather], stream=streams)) == (FINAL, [])

    reply: Any = await later.chat("tiny", messages[:1], tools=[get_weather], stream=streams)
    parts = [part async for part in reply] if streams else [reply]
    assert [c.function.arguments for part in parts for c in part.message.tool_calls or ()] == [{"city": "Paris"}]
    client.close()
    await later.close()
    sent = [("tools" in each["body"], each["status"]) for each in standin.requests if each["path"] == "/api/chat"]
    refused = [(True, 400), (False, 200)]
    assert sent == ([(True, 200)] * 3 if accepts else [*refused, (False, 200), *refused])  # two memories, one each


@pytest.mark.parametrize("question", ["say hello", "show me JSON", "What is a JSON tool call?"])
def test_a_plain_answer_is_the_same_with_and_without(question: str, family: str, llama: LlamaServer) -> None:
    module = FAMILIES[family][0]
    body = {"model": "tiny", "messages": [{"role": "user", "content": question}], "tools": [WEATHER], "seed": 1}
    with client_of(family) as ours, module.Client() as bare:
        url = f"{llama.base_url}/chat/completions"
        said = [client.post(url, json=body).json()["choices"] for client in (ours, bare)]
        assert said[0] == said[1]


# ------------------------------------------------------------------------------------- a server that is told what to do


@dataclass
class Scripted:
    """What it answers, and what it has seen."""

    status: int = 200
    kind: str = "application/json"
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    endless: bytes = b""
    breaks: bool = False
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list[Any])
    left: threading.Event = field(default_factory=threading.Event)
    url: str = ""


def body_of(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("transfer-encoding") != "chunked":
        return handler.rfile.read(int(handler.headers.get("content-length") or 0))
    data = b""
    while size := int(handler.rfile.readline(), 16):
        data += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return data


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    script = Scripted()

    class Exchange(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            script.seen.append((self.command, self.path, headers, body_of(self)))
            self.close_connection = True
            self.send_response(script.status)
            length = len(script.body) + (100 if script.breaks else 0)
            ending = {} if script.endless else {"content-length": str(length)}
            kind = {"content-type": script.kind} if script.kind else {}
            for name, value in {**kind, **ending, **script.headers, "connection": "close"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(script.body)
            try:
                while script.endless:
                    self.wfile.write(script.endless)
                    time.sleep(0.005)
            except OSError:
                script.left.set()

        do_PUT = do_POST  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
    listener.daemon_threads = True
    threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()
    script.url = f"http://127.0.0.1:{listener.server_port}"
    yield script
    script.endless = b""
    listener.shutdown()
    listener.server_close()


CHAT = "/v1/chat/completions"


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "Go"}], "tools": [WEATHER], **fields}


def whole(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()


def events(text: str) -> bytes:
    return sse(*(chunk(delta(piece)) for piece in pieces(text)), chunk(delta(finish="stop")), "[DONE]")


@contextmanager
def both_ways(family: str, **settings: Any) -> Iterator[Any]:
    """Posts a request with a blocking client, and with an asynchronous one; both must get the same."""

    def post(url: str, **arguments: Any) -> Any:
        async def later() -> Any:
            async with async_client_of(family, **settings) as client:
                return await client.post(url, **arguments)

        with client_of(family, **settings) as client:
            one, other = client.post(url, **arguments), asyncio.run(later())
        assert (one.status_code, len(one.content)) == (other.status_code, len(other.content))
        return one

    yield post


def test_compressed_replies_are_read(family: str, scripted: Scripted) -> None:
    scripted.headers = {"content-encoding": "gzip"}
    for stream, kind, body in (
        (False, "application/json", whole(tagged())),
        (True, "text/event-stream", events(tagged())),
    ):
        scripted.kind, scripted.body = kind, gzip.compress(body)
        with both_ways(family) as post:
            response = post(scripted.url + CHAT, json=asked(stream=stream))
        assert '"tool_calls"' in response.text
        assert "content-encoding" not in response.headers
        assert scripted.seen[-1][2]["accept-encoding"] == "identity"


def test_the_rest_of_the_head_passes(family: str, scripted: Scripted) -> None:
    scripted.body, scripted.headers = whole(tagged()), {"x-request-id": "7"}
    with both_ways(family) as post:
        response = post(f"{scripted.url}{CHAT}?a=1", json=asked(), headers={"authorization": "Bearer x", "x-mine": "y"})
    assert response.headers["x-request-id"] == "7"
    assert int(response.headers["content-length"]) == len(response.content)
    _, path, headers, body = scripted.seen[0]
    assert path == f"{CHAT}?a=1"
    assert (headers["authorization"], headers["x-mine"]) == ("Bearer x", "y")
    assert int(headers["content-length"]) == len(body)
    assert json.loads(body) == asked()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", json.dumps(asked()).encode()),
        (CHAT, b"\x00 no JSON"),
        (CHAT, b'{"messages": 5, "tools": [{}]}'),
        (CHAT, json.dumps(asked(tools=[])).encode()),
    ],
)
def test_what_is_no_request_with_tools_passes_untouched(
    path: str, body: bytes, family: str, scripted: Scripted
) -> None:
    scripted.body = whole(tagged())
    scripted.headers = {"content-encoding": "gzip"}
    scripted.body = gzip.compress(scripted.body)
    with both_ways(family) as post:
        response = post(scripted.url + path, content=body)
    assert response.content == whole(tagged())
    assert response.headers["content-encoding"] == "gzip"
    assert [seen[3] for seen in scripted.seen] == [body] * 2
    assert "gzip" in scripted.seen[0][2]["accept-encoding"]


def test_uploads_to_other_paths_are_not_gathered(family: str, scripted: Scripted) -> None:
    module = FAMILIES[family][0]
    taken: list[int] = []

    class Counting(module.BaseTransport):
        def handle_request(self, request: Any) -> Any:
            taken.extend(len(piece) for piece in request.stream)
            return module.Response(200)

    def upload() -> Iterator[bytes]:
        for n in range(3):
            assert len(taken) == n  # the one before has left before the next is asked for
            yield b"x"

    with client_of(family, inner=Counting()) as client:
        client.post("http://server/v1/files", content=upload())
    assert len(taken) == 3

    async def later() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"y" * 10

    async def send() -> None:
        async with async_client_of(family) as client:
            await client.put(f"{scripted.url}/v1/files", content=later())

    asyncio.run(send())
    assert scripted.seen[-1][3] == b"y" * 30
    assert scripted.seen[-1][2]["transfer-encoding"] == "chunked"


def test_a_request_may_be_uploaded_in_pieces(family: str, scripted: Scripted) -> None:
    scripted.body = whole(tagged())
    raw = json.dumps(asked()).encode()
    with client_of(family) as client:
        response = client.post(scripted.url + CHAT, content=iter([raw[:20], raw[20:]]))
    assert "tool_calls" in response.json()["choices"][0]["message"]
    assert scripted.seen[0][3] == raw


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
@pytest.mark.parametrize("stream", [True, False])
def test_other_errors_pass_untouched(status: int, stream: bool, family: str, scripted: Scripted) -> None:
    scripted.status, scripted.body = status, b'{"error": {"message": "it is  broken"}}'
    scripted.headers = {"retry-after": "3"}
    with both_ways(family) as post:
        response = post(scripted.url + CHAT, json=asked(stream=stream))
    assert (response.status_code, response.content) == (status, scripted.body)
    assert response.headers["retry-after"] == "3"
    assert len(scripted.seen) == 2
    http_client = client_of(family)
    with openai.OpenAI(base_url=f"{scripted.url}/v1", api_key="x", http_client=http_client, max_retries=0) as client:
        with pytest.raises(openai.APIStatusError, match="it is  broken") as caught:
            client.chat.completions.create(**asked(stream=stream))
        assert caught.value.status_code == status


def test_a_refusal_is_met_once_and_remembered(family: str, ollama_rejecting: OllamaStandin) -> None:
    shared = Refusals()
    for _ in range(2):
        with client_of(family, refusals=shared) as client:
            for stream in (True, False):
                body = {**asked(stream=stream), "messages": [{"role": "user", "content": QUESTION}]}
                assert "tool_calls" in client.post(f"{ollama_rejecting.base_url}/chat/completions", json=body).text
    assert [each["status"] for each in ollama_rejecting.requests] == [400, 200, 200, 200, 200]
    with client_of(family, mode="native") as client:
        assert client.post(f"{ollama_rejecting.base_url}/chat/completions", json=body).status_code == 400
    with client_of(family, mode="prompt") as client:
        assert client.post(f"{ollama_rejecting.base_url}/chat/completions", json=body).status_code == 200
    assert [each["status"] for each in ollama_rejecting.requests][5:] == [400, 200]


def test_a_refusal_is_told_in_the_log(
    family: str, ollama_rejecting: OllamaStandin, caplog: pytest.LogCaptureFixture
) -> None:
    with client_of(family) as client, caplog.at_level(logging.WARNING, "toolmend"):
        for _ in range(2):
            client.post(f"{ollama_rejecting.base_url}/chat/completions", json=asked())
    [record] = [record for record in caplog.records if record.name == "toolmend"]
    assert record.getMessage().startswith(f"m at {ollama_rejecting.url} refuses tools")


def test_a_request_as_text_that_is_refused_too_is_the_callers(family: str, scripted: Scripted) -> None:
    scripted.status, scripted.body = 400, b'{"error": "m does not support tools"}'
    with both_ways(family) as post:
        response = post(scripted.url + CHAT, json=asked())
    assert (response.status_code, response.content) == (400, scripted.body)
    assert ["tools" in json.loads(seen[3]) for seen in scripted.seen] == [True, False] * 2


ON = sse(chunk(delta("on and ")))


def test_a_stream_that_is_given_up_hangs_up(family: str, scripted: Scripted) -> None:
    scripted.kind, scripted.endless = "text/event-stream", ON
    http_client = client_of(family)
    with openai.OpenAI(base_url=f"{scripted.url}/v1", api_key="x", http_client=http_client) as client:
        stream: Any = client.chat.completions.create(**asked(stream=True))
        assert next(stream).choices[0].delta.content == "on and"
        stream.close()
        assert scripted.left.wait(60)


async def test_an_asynchronous_stream_that_is_given_up_hangs_up(family: str, scripted: Scripted) -> None:
    scripted.kind, scripted.endless = "text/event-stream", ON
    http_client = async_client_of(family)
    async with openai.AsyncOpenAI(base_url=f"{scripted.url}/v1", api_key="x", http_client=http_client) as client:
        stream: Any = await client.chat.completions.create(**asked(stream=True))
        assert (await anext(stream)).choices[0].delta.content == "on and"
        await stream.close()
        assert await asyncio.to_thread(scripted.left.wait, 60)


def test_text_arrives_before_the_rest_is_written(family: str, scripted: Scripted) -> None:
    """Also where a server forgets to say that it streams."""
    for kind in ("text/event-stream", "text/plain", ""):
        scripted.kind, scripted.endless = kind, ON
        with client_of(family) as client, client.stream("POST", scripted.url + CHAT, json=asked(stream=True)) as reply:
            assert b"on and" in next(reply.iter_raw())


def test_a_stream_that_breaks_off_shows_its_text_first(family: str, scripted: Scripted) -> None:
    module = FAMILIES[family][0]
    text = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
    scripted.kind, scripted.breaks = "text/event-stream", True
    scripted.body = sse(*(chunk(delta(piece)) for piece in pieces(text)))
    request: Any = {"method": "POST", "url": scripted.url + CHAT, "json": asked(stream=True)}
    shown: list[bytes] = []
    with client_of(family) as client, client.stream(**request) as reply, pytest.raises(module.RemoteProtocolError):
        shown.extend(reply.iter_raw())
    assert text_of(b"".join(shown)) == text
    assert calls_of(b"".join(shown)) == []

    async def later() -> list[bytes]:
        said: list[bytes] = []

        async def read() -> None:
            async with async_client_of(family) as client, client.stream(**request) as reply:
                async for data in reply.aiter_raw():
                    said.append(data)  # noqa: PERF401 - what came before the error counts

        with pytest.raises(module.RemoteProtocolError):
            await read()
        return said

    assert asyncio.run(later()) == shown


def test_a_dead_server_raises_what_it_did(family: str) -> None:
    module = FAMILIES[family][0]
    tried: list[str] = []

    class Dead(module.HTTPTransport):
        def handle_request(self, request: Any) -> Any:
            tried.append(request.url.path)
            return super().handle_request(request)

    with client_of(family, inner=Dead()) as client, pytest.raises(module.ConnectError):
        client.post(f"http://127.0.0.1:9{CHAT}", json=asked())
    assert tried == [CHAT]


def test_what_was_done_is_told_whoever_ends_the_stream(family: str, scripted: Scripted) -> None:
    """The SDK reads no further than `[DONE]`."""
    told: list[Recovery] = []
    http_client = client_of(family, on_recovery=told.append)
    with openai.OpenAI(base_url=f"{scripted.url}/v1", api_key="x", http_client=http_client) as client:
        scripted.kind, scripted.body = "text/event-stream", events(tagged())
        list(client.chat.completions.create(**asked(stream=True)))
        scripted.kind, scripted.body = "application/json", whole(tagged())
        client.chat.completions.create(**asked())
    assert [(each.server, [call.name for call in each.calls]) for each in told] == [(scripted.url, ["get_weather"])] * 2


async def test_what_was_done_is_told_asynchronously_too(family: str, scripted: Scripted) -> None:
    told: list[Recovery] = []
    http_client = async_client_of(family, on_recovery=told.append)
    async with openai.AsyncOpenAI(base_url=f"{scripted.url}/v1", api_key="x", http_client=http_client) as client:
        scripted.kind, scripted.body = "text/event-stream", events(tagged())
        stream: Any = await client.chat.completions.create(**asked(stream=True))
        async for _ in stream:
            pass
    assert len(told) == 1


def test_mistakes_of_the_caller_are_told(family: str, scripted: Scripted) -> None:
    broken = {"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}
    with client_of(family) as client, pytest.raises(ToolmendError, match="tool 'f'"):
        client.post(scripted.url + CHAT, json=asked(tools=[broken]))
    for make in (client_of, async_client_of):
        with pytest.raises(ToolmendError, match="mode 'never'"):
            make(family, mode="never")
    assert not scripted.seen


def test_the_inner_transport_is_closed(family: str) -> None:
    module = FAMILIES[family][0]
    closed: list[str] = []

    class Inner(module.BaseTransport):
        def close(self) -> None:
            closed.append("sync")

    class AsyncInner(module.AsyncBaseTransport):
        async def aclose(self) -> None:
            closed.append("async")

    async def later() -> None:
        async with async_client_of(family, inner=AsyncInner()):
            pass

    with client_of(family, inner=Inner()):
        pass
    asyncio.run(later())
    assert closed == ["sync", "async"]


# -------------------------------------------------------------------------- calls that the server's parser has lost

PARIS = tagged()
LOST = "error parsing tool call: raw='{\"name\": ', err=unexpected end"
EMPTY = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
HALF = broken_server.events(broken_server.delta(role="assistant"), done=False)
SWALLOWED: dict[str, tuple[bool, Answer]] = {
    "an error of the parser": (False, broken_server.error(500, LOST)),
    "an error of the parser, streaming": (True, broken_server.error(500, LOST)),
    "a connection that closes": (False, Answer(hangs_up=True)),
    "a connection that closes, streaming": (True, Answer(hangs_up=True)),
    "calls without any": (False, broken_server.whole("tool_calls", content=None)),
    "calls without any, but reasons": (False, broken_server.whole("tool_calls", content=None, reasoning="hm")),
    "tokens without text": (False, broken_server.whole("stop", tokens=40, content="")),
    "calls without any, streaming": (
        True,
        broken_server.events(broken_server.delta(role="assistant"), broken_server.delta("tool_calls")),
    ),
    "tokens without text, streaming": (True, broken_server.events(broken_server.delta("stop"), tokens=40)),
    "no end": (True, HALF),
    "half an answer": (
        True,
        Answer(HALF.body, kind=HALF.kind, short=True),
    ),
    "an error in the stream": (
        True,
        broken_server.events(b'data: {"error": {"message": "%b"}}\n\n' % b"empty function name"),
    ),
}


@pytest.mark.parametrize("name", SWALLOWED)
def test_a_call_that_the_server_has_lost_is_asked_for_as_text(name: str, family: str) -> None:
    stream, answer = SWALLOWED[name]
    with serving(*[answer, PARIS, PARIS, answer, PARIS]) as server:
        url = f"{server.base_url}/chat/completions"
        with client_of(family) as client:
            for _ in range(2):  # it is known from then on
                response = client.post(url, json=asked(stream=stream))
                assert response.text.count("get_weather") == 1
                assert "tool_calls" in response.text
                assert "error" not in response.text

        async def later() -> str:
            async with async_client_of(family) as client:
                return (await client.post(url, json=asked(stream=stream))).text

        assert asyncio.run(later()).count("get_weather") == 1
        assert server.sent_tools == [True, False, False, True, False]


@pytest.mark.parametrize("name", SWALLOWED)
def test_where_asking_again_does_not_help_the_first_answer_counts(name: str, family: str) -> None:
    stream, answer = SWALLOWED[name]
    module = FAMILIES[family][0]

    def post(**settings: Any) -> Any:
        async def later() -> Any:
            async with async_client_of(family, **settings) as client:
                return await client.post(f"{server.base_url}/chat/completions", json=asked(stream=stream))

        try:
            with client_of(family, **settings) as client:
                one: Any = client.post(f"{server.base_url}/chat/completions", json=asked(stream=stream)).content
        except module.RemoteProtocolError as error:
            one = type(error)
        try:
            other: Any = asyncio.run(later()).content
        except module.RemoteProtocolError as error:
            other = type(error)
        assert one == other
        return one

    down = broken_server.error(503, "down")
    with serving(answer, answer) as server:
        bare = post(mode="native")
        assert server.sent_tools == [True, True]
    with serving(answer, down, answer, down) as server:
        again = post()
        assert server.sent_tools == [True, False] * 2
    assert again == (down.body if name.startswith(("an error of the parser", "a connection")) else bare)


@pytest.mark.parametrize("tokens", [2, 40])
@pytest.mark.parametrize("stream", [True, False])
def test_ollamas_empty_answer(tokens: int, stream: bool, family: str) -> None:
    body = EMPTY | {"eval_count": tokens}
    kind = "application/x-ndjson" if stream else "application/json"
    first = Answer(json.dumps(body).encode() + b"\n", kind=kind)
    said = Answer(json.dumps({**body, "message": {"content": PARIS}}).encode() + b"\n", kind=kind)
    failed = Answer(b'{"error": "empty function name"}\n', kind=kind)
    for answer, again in ((first, tokens > 2), (failed, stream)):
        with serving(answer, said) as server, client_of(family) as client:
            url = server.base_url.removesuffix("/v1") + "/api/chat"
            response = client.post(url, json=asked(stream=stream))
            assert ("get_weather" in response.text) == again
            assert server.sent_tools == ([True, False] if again else [True])
            if not again:
                assert response.json() == json.loads(answer.body)


@pytest.mark.parametrize(
    ("stream", "answer"),
    [
        (False, broken_server.whole("tool_calls", content="So.")),
        (False, broken_server.whole("length", content="", tokens=40)),
        (False, broken_server.whole("stop", content="", tokens=1)),
        (False, broken_server.whole("stop", content="", reasoning="hm", tokens=40)),
        (
            False,
            Answer(b'{"choices": [{"finish_reason": "stop"}, {"index": 1}], "usage": {"completion_tokens": 9}}'),
        ),
        (False, Answer(b"no JSON")),
        (False, broken_server.error(500, "failed to parse tool call arguments as JSON: x")),
        (True, broken_server.events(broken_server.delta(content="Hi :)"), done=False)),
        (True, broken_server.events(broken_server.delta(content="Hi :)"), broken_server.delta("stop"), tokens=40)),
        (True, broken_server.events(broken_server.delta("stop"), tokens=1)),
        (True, broken_server.events(broken_server.delta(role="assistant"))),
        (True, Answer(b'{"error": "out of memory"}\n', kind="application/x-ndjson")),
        (True, broken_server.events(b'data: {"error": "out of memory"}\n\n', done=False)),
    ],
)
def test_an_answer_that_is_one_is_not_asked_for_again(stream: bool, answer: Answer, family: str) -> None:
    with serving(answer, answer) as server:
        for settings in ({}, {"mode": "prompt"}):
            with client_of(family, **settings) as client:
                path = "/api/chat" if answer.kind == "application/x-ndjson" else "/chat/completions"
                response = client.post(f"{server.base_url}{path}", json=asked(stream=stream))
        assert response.content == answer.body
        assert server.sent_tools == [True, False]


def test_an_error_about_calls_in_the_history_is_asked_again_as_text_but_not_remembered(family: str) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": "{"}}
    history = [{"role": "user", "content": "Go"}, {"role": "assistant", "content": "", "tool_calls": [call]}]
    history.append({"role": "tool", "tool_call_id": "a", "content": "sunny"})
    failed = broken_server.error(500, "Failed to parse tool call arguments as JSON: x")
    with serving(failed, PARIS, PARIS) as server, client_of(family) as client:
        for messages in (history, history[:1]):
            body = asked() | {"messages": messages}
            assert "tool_calls" in client.post(f"{server.base_url}/chat/completions", json=body).text
        assert server.sent_tools == [True, False, True]
