"""A forced choice on a real llama.cpp and Ollama's stand-in, for clients of the transports and of the gateway."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.adapters.broken_server import Answer, delta, error, events, serving, whole
from tests.adapters.test_wire import calls_of, line, lines, pieces, reply, text_of, through
from tests.adapters.wire_ways import CHATS, OLLAMAS, Post, Sent, apost, before, calls_in, transport
from toolmend.adapters._exchange import Exchange
from toolmend.adapters._negotiation import Settings
from toolmend.adapters._ollama_chat import OllamaExchange
from toolmend.adapters._openai_chat import ChatExchange

CITIES = ["Oslo", "Paris", "Rome"]
CITY = {"type": "object", "properties": {"city": {"enum": CITIES}}, "required": ["city"]}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": "Tells.", "parameters": CITY}}
    for name in ("get_weather", "get_time")
]
NAMED = {"type": "function", "function": {"name": "get_time"}}
CHOICES = [("required", {"get_weather", "get_time"}), (NAMED, {"get_time"})]
QUESTIONS = ["say hello", "What is a JSON tool call?", "weather in Paris"]


def asked(question: str, choice: Any, stream: bool, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}]
    limit = {"max_tokens": 600, "options": {"num_predict": 600}}
    return (
        {"model": "tiny", "messages": messages, "tools": TOOLS, "tool_choice": choice, "stream": stream} | limit | more
    )


WAYS = [
    pytest.param(transport, CHATS, "llama", id="transport, llama.cpp"),
    pytest.param(transport, CHATS, "llama_strict", id="transport, a strict template"),
    pytest.param(transport, CHATS, "llama_hermes", id="transport, llama.cpp that knows tools"),
    pytest.param(transport, CHATS, "llama_nojinja", id="transport, llama.cpp without jinja"),
    pytest.param(transport, CHATS, "ollama_accepting", id="transport, Ollama with OpenAI's protocol"),
    pytest.param(transport, OLLAMAS, "ollama_accepting", id="transport, Ollama"),
    pytest.param(transport, OLLAMAS, "ollama_rejecting", id="transport, Ollama that refuses tools"),
    pytest.param(before, CHATS, "llama", id="gateway, llama.cpp"),
    pytest.param(before, CHATS, "llama_hermes", id="gateway, llama.cpp that knows tools"),
    pytest.param(before, OLLAMAS, "llama", id="gateway, translated"),
    pytest.param(before, OLLAMAS, "ollama_rejecting", id="gateway, Ollama"),
]


@pytest.mark.parametrize(("way", "path", "fixture"), WAYS)
@pytest.mark.parametrize("chosen", CHOICES, ids=["required", "named"])
@pytest.mark.parametrize("mode", ["auto", "prompt"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_call_is_made_whatever_the_model_would_rather_say(
    request: pytest.FixtureRequest,
    way: Callable[[str, Sent, Any], AbstractContextManager[Post]],
    path: str,
    fixture: str,
    chosen: tuple[Any, set[str]],
    mode: Any,
    stream: bool,
) -> None:
    choice, names = chosen
    sent: Sent = []
    with way(request.getfixturevalue(fixture).base_url, sent, mode) as post:
        for question in QUESTIONS:
            calls, text = calls_in(post(path, asked(question, choice, stream)), path, stream=stream)
            assert calls
            assert {name for name, _ in calls} <= names
            if {"response_format", "format"} & sent[-1].keys():  # else it is llama.cpp's own way, which is looser
                assert not text  # what was said before it was asked again is not shown
                assert all(arguments["city"] in CITIES for _, arguments in calls)
    assert len(sent) <= len(QUESTIONS) + (mode == "auto")  # in vain it is asked only once


# ---------------------------------------------------------------------------- what is sent, shown and remembered

LIST = '[{"name": "get_time", "arguments": {"city": "Oslo"}}]'
LCP = error(500, "1 validation error: 'response_format', 'type' Input should be 'text' or 'json_object'")
WRONG = [{"index": 0, "id": "a", "function": {"name": "get_weather", "arguments": "{}"}}]


def first(stream: bool) -> list[Answer]:
    """Replies of which none is the call that had to be made."""
    if not stream:
        return [whole("stop", content="Hi."), whole("length", content="Well"), whole("tool_calls", tool_calls=WRONG)]
    said = [delta(role="assistant"), delta(content="I look. ")]
    return [events(*said, delta("stop")), events(*said, done=False), events(*said, delta(tool_calls=WRONG))]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("number", range(3))
async def test_a_reply_without_the_call_is_asked_for_again_and_not_shown(stream: bool, number: int) -> None:
    body = asked("Go", NAMED, stream)
    with serving(first(stream)[number], LIST, LIST, first(stream)[number], LIST) as server:
        sent: Sent = []
        with transport(server.base_url, sent) as post:
            for _ in range(2):  # it is known from then on
                calls, text = calls_in(post(CHATS, body), CHATS, stream=stream)
                assert (calls, text) == ([("get_time", {"city": "Oslo"})], "")
        calls, text = calls_in(await apost(server.base_url, CHATS, body), CHATS, stream=stream)
        assert (calls, text) == ([("get_time", {"city": "Oslo"})], "")
        assert server.sent_tools == [True, False, False, True, False]
        assert ["response_format" in body for body in server.bodies] == [False, True, True, False, True]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("failed", [error(503, "busy"), Answer(hangs_up=True)])
async def test_where_asking_again_fails_the_first_reply_counts(stream: bool, failed: Answer) -> None:
    answer = first(stream)[0]
    with serving(answer, failed, answer, failed, answer, failed) as server:
        replies = [await apost(server.base_url, CHATS, asked("Go", "required", stream))]
        for way in (transport, before):
            with way(server.base_url, []) as post:
                replies.append(post(CHATS, asked("Go", "required", stream)))
        assert server.sent_tools == [True, False] * 3
    for each in replies:
        assert calls_in(each, CHATS, stream=stream) == ([], "I look. " if stream else "Hi.")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("way", [transport, before])
@pytest.mark.parametrize("mode", ["auto", "prompt"])
def test_a_server_that_refuses_schemas_is_asked_without(stream: bool, way: Any, mode: Any) -> None:
    answers = [first(stream)[0]] if mode == "auto" else []
    fence = f"```json\n{LIST}\n```"
    with serving(*answers, LCP, fence, *answers, fence) as server:
        with way(server.base_url, [], mode) as post:
            for _ in range(2):
                calls, _ = calls_in(post(CHATS, asked("Go", "required", stream)), CHATS, stream=stream)
                if mode == "auto" and len(server.bodies) > 3:
                    assert not calls  # the reply as it is: nothing could be enforced
                else:
                    assert calls == [("get_time", {"city": "Oslo"})]
        schemas = ["response_format" in body for body in server.bodies]
        assert schemas == ([False, True, False, False] if mode == "auto" else [True, False, False])
        assert "JSON list" not in server.bodies[len(answers) + 1]["messages"][0]["content"]


LM_STUDIO = error(400, "Invalid tool_choice type: 'object'. Supported string values: none, auto, required")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("way", [transport, before])
def test_a_server_that_refuses_only_a_named_tool(stream: bool, way: Any) -> None:
    with serving(LM_STUDIO, LIST, LIST, LIST, "Hello") as server, way(server.base_url, []) as post:
        for choice in (NAMED, NAMED, "required", "auto"):
            post(CHATS, asked("Go", choice, stream))
        assert server.sent_tools == [True, False, False, True, True]
        assert ["response_format" in body for body in server.bodies] == [False, True, True, False, False]
    with serving(LM_STUDIO) as server, way(server.base_url, []) as post:
        assert post(CHATS, asked("Go", "auto", stream)).content == LM_STUDIO.body


@pytest.mark.parametrize("status", [401, 503])
@pytest.mark.parametrize("way", [transport, before])
def test_other_errors_of_a_request_with_a_schema_pass(status: int, way: Any) -> None:
    answer = error(status, "not now")
    with serving(answer) as server, way(server.base_url, [], "prompt") as post:
        reply = post(CHATS, asked("Go", "required", False))
        assert (reply.status_code, reply.content) == (status, answer.body)


def body_of(kind: type[Exchange], mode: Any = "prompt", **fields: Any) -> dict[str, Any]:
    path = CHATS if kind is ChatExchange else OLLAMAS
    negotiation = Settings(mode).open("POST", path, json.dumps(asked("Go", "required", False, **fields)).encode(), "s")
    assert negotiation
    return json.loads(negotiation.sent)


def test_several_calls_are_possible_unless_the_client_wants_one() -> None:
    for more, most in (({}, 8), ({"parallel_tool_calls": False}, 1)):
        schema = body_of(ChatExchange, **more)["response_format"]["json_schema"]["schema"]
        assert (schema["type"], schema["maxItems"]) == ("array", most)
        assert body_of(OllamaExchange, **more)["format"] == schema


def test_what_the_client_demands_of_its_answers_is_said_in_words() -> None:
    form = {"type": "object", "properties": {"mood": {"type": "string"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": form}}
    for sent in (body_of(ChatExchange, response_format=wanted), body_of(OllamaExchange, format=form)):
        assert json.dumps(form) in sent["messages"][0]["content"]
        assert "mood" not in json.dumps([sent.get("response_format"), sent.get("format")])


@pytest.mark.parametrize("own", ["grammar", "json_schema", "structured_outputs", "guided_regex", "ebnf"])
def test_what_the_client_holds_the_reply_to_stays(own: str) -> None:
    sent = body_of(ChatExchange, **{own: "x"})
    assert (sent[own], "response_format" in sent) == ("x", False)
    with serving(first(False)[0]) as server, transport(server.base_url, []) as post:
        post(CHATS, asked("Go", "required", False, **{own: "x"}))
        assert server.sent_tools == [True]


@pytest.mark.parametrize("more", [{"tool_choice": "auto"}, {"tool_choice": "none"}, {"tools": [], "tool_choice": None}])
def test_a_free_choice_is_held_to_nothing(more: dict[str, Any]) -> None:
    exchange = ChatExchange(asked("Go", "required", False, **more))
    assert not exchange.enforceable
    assert "response_format" not in exchange.as_text()
    assert body_of(ChatExchange, "native")["tools"] == TOOLS


def insisting(kind: type[Exchange]) -> Exchange:
    exchange = kind(asked("Go", NAMED, True))
    exchange.insists = True
    return exchange


def test_reasoning_is_shown_while_the_call_is_awaited() -> None:
    thought = events(delta(reasoning_content="Let me see."), delta(content="Hi.")).body
    stream = insisting(ChatExchange).stream()
    shown = stream.feed(thought)
    assert text_of(shown, key="reasoning_content") == "Let me see."
    assert not text_of(shown)
    assert text_of(stream.close()) == "Hi."


def test_the_text_before_the_call_comes_with_it() -> None:
    said = 'I look.\n<tool_call>{"name": "get_time", "arguments": {}}</tool_call>'
    stream = insisting(ChatExchange).stream()
    assert stream.feed(events(*[delta(content=piece) for piece in pieces(said[:20])], done=False).body) == b""
    rest = stream.feed(events(delta(content=said[20:]), delta("stop")).body)
    assert (text_of(rest), calls_of(rest)) == ("I look.", [(0, "get_time", {})])
    assert stream.close() == b""
    row_by_row = lines(*[line(piece) for piece in pieces(said)], line(done=True))
    stream = insisting(OllamaExchange).stream()
    rest = stream.feed(row_by_row)
    assert (text_of(rest), calls_of(rest)) == ("I look.", [(0, "get_time", {})])


@pytest.mark.parametrize(
    "rest",
    [
        [delta("content_filter")],
        [b'data: {"error": "out of memory"}\n\n'],
        [{"index": 1, **delta(content="Hello")}, delta("stop")],
    ],
    ids=["a filter", "an error", "several choices"],
)
def test_what_is_not_asked_for_again_is_shown(rest: list[Any]) -> None:
    exchange = insisting(ChatExchange)
    shown = through(exchange, events(delta(content="Hi :)"), *rest).body)
    assert (text_of(shown), text_of(shown, index=1)) == ("Hi :)", "Hello" if len(rest) > 1 else "")
    assert exchange.watched
    assert not exchange.watched.missing


def test_one_of_several_whole_choices_may_be_good() -> None:
    exchange = insisting(ChatExchange)
    several = reply("Hi.")
    several["choices"].append({**several["choices"][0], "index": 1})
    exchange.reply(several)
    assert exchange.watched
    assert not exchange.watched.missing
