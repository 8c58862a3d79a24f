"""What the model wrote stands in the error of the server's parser: it is read there, by transports and gateway."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from tests.adapters.broken_server import Answer, delta, error, events, serving
from tests.adapters.test_wire import line, lines, request, tagged
from tests.adapters.wire_ways import CHATS, OLLAMAS, apost, before, calls_in, transport
from toolmend import Recovery
from toolmend.adapters.httpx2 import ToolTransport

CALL = tagged().replace("\n", "")
HARMONY = f"error parsing tool call: raw='I look.{CALL}', err=unexpected end of JSON input"
TRANSFORMERS = f"json parser could not parse region as JSON.\nContent: 'I look.{CALL}'\nError: char 1"
FOUND = ([("get_weather", {"city": "Paris"})], "I look.")


def in_stream(message: str, *, raw: bool = False) -> Answer:
    said = f'{{"error": "{message}"}}' if raw else json.dumps({"error": {"message": message}})
    return events(delta(role="assistant", content="So: "), f"data: {said}\n\n".encode(), done=raw)


def in_lines(message: str) -> Answer:
    return Answer(lines(line("So: "), {"error": message}), kind="application/x-ndjson")


ERRORS = [
    pytest.param(CHATS, error(500, HARMONY), False, id="OpenAI's protocol"),
    pytest.param(CHATS, error(500, HARMONY), True, id="OpenAI's protocol, a stream was wanted"),
    pytest.param(OLLAMAS, Answer(json.dumps({"error": HARMONY}).encode(), 500), False, id="Ollama's"),
    pytest.param(OLLAMAS, Answer(json.dumps({"error": HARMONY}).encode(), 500), True, id="Ollama's, a stream"),
]
STREAMED = [
    pytest.param(CHATS, in_stream(HARMONY), id="OpenAI's protocol"),
    pytest.param(CHATS, in_stream(TRANSFORMERS, raw=True), id="no JSON"),
    pytest.param(OLLAMAS, in_lines(HARMONY), id="Ollama's"),
]


@pytest.mark.parametrize("mode", ["auto", "native", "prompt"])
@pytest.mark.parametrize(("path", "answer", "stream"), ERRORS)
async def test_an_error_that_quotes_the_call(mode: Any, path: str, answer: Answer, stream: bool) -> None:
    with serving(answer, answer) as server:
        body = request(stream=stream)
        with transport(server.base_url, [], mode) as post:
            replies = [post(path, body), await apost(server.base_url, path, body, mode)]
        assert server.sent_tools == [mode != "prompt"] * 2
    for reply in replies:
        assert calls_in(reply, path, stream=stream) == FOUND
        assert reply.headers["content-type"].startswith("text/event" if stream and path == CHATS else "application/")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("mode", ["auto", "native", "prompt"])
@pytest.mark.parametrize("path", [CHATS, OLLAMAS])
def test_an_error_that_quotes_the_call_behind_the_gateway(mode: Any, stream: bool, path: str) -> None:
    with serving(error(500, HARMONY)) as server, before(server.base_url, [], mode) as post:
        reply = post(path, request(stream=stream))
        assert calls_in(reply, path, stream=stream) == FOUND
        assert server.sent_tools == [mode != "prompt"]


@pytest.mark.parametrize("mode", ["auto", "native", "prompt"])
@pytest.mark.parametrize(("path", "answer"), STREAMED)
async def test_an_error_in_a_stream_that_quotes_the_call(mode: Any, path: str, answer: Answer) -> None:
    with serving(*[answer] * 3) as server:
        body = request(stream=True)
        with transport(server.base_url, [], mode) as post:
            replies = [post(path, body), await apost(server.base_url, path, body, mode)]
        if path == CHATS:
            with before(server.base_url, [], mode) as post:
                replies.append(post(path, body))
    for reply in replies:
        calls, text = calls_in(reply, path, stream=True)
        assert (calls, text.replace(" ", "")) == (FOUND[0], "So:Ilook.")
        assert "error" not in reply.text
        last = reply.text.split()[-2:] if path == CHATS else [json.loads(reply.text.splitlines()[-1])["done"]]
        assert last == (["data:", "[DONE]"] if path == CHATS else [True])


def test_a_call_before_the_error_stays_the_first() -> None:
    answer = events(delta(content=CALL), json_event(HARMONY), done=False)
    with serving(answer) as server, transport(server.base_url, []) as post:
        reply = post(CHATS, request(stream=True))
    assert [call for call, _ in [calls_in(reply, CHATS, stream=True)]] == [FOUND[0] * 2]
    assert '"index":1' in reply.text


def json_event(message: str) -> bytes:
    return b"data: " + json.dumps({"error": message}).encode() + b"\n\n"


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_read_from_an_error_is_told(stream: bool) -> None:
    told: list[Recovery] = []
    inner = ToolTransport(on_recovery=told.append)
    with serving(error(500, HARMONY)) as server, httpx2.Client(transport=inner) as client:
        client.post(f"{server.base_url}/chat/completions", json=request(stream=stream))
    assert [(each.mode, [call.name for call in each.calls]) for each in told] == [("native", ["get_weather"])]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", ["none", "auto"])
def test_an_error_that_quotes_no_call_is_none(choice: str, stream: bool) -> None:
    answer = error(500, HARMONY.replace("get_weather", "get_wether"))
    tools = {"tool_choice": choice}
    with serving(answer, answer) as server, transport(server.base_url, [], "native") as post:
        reply = post(CHATS, request(stream=stream, **tools))
        assert (reply.status_code, reply.content) == (500, answer.body)
        broken = in_stream(HARMONY.replace("get_weather", "get_wether"))
        server.answers[0] = broken
        assert "error" in post(CHATS, request(stream=True, **tools)).text
