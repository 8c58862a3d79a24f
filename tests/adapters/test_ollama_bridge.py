"""Ollama's protocol translated for servers that only know OpenAI's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from toolmend.adapters._exchange import NotReadable
from toolmend.adapters._ollama_bridge import OllamaReply, as_openai, listed_with_tools, tags, with_tools

CITY = {"name": "get_weather", "arguments": '{"city": "Paris"}'}


def lines(raw: bytes) -> list[Any]:
    return [json.loads(line) for line in raw.splitlines()]


def sent(*choices: dict[str, Any], **more: Any) -> bytes:
    events = [{"choices": [choice], **more} for choice in choices]
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


DONE = b"data: [DONE]\n\n"


def test_options_and_formats_keep_their_meaning() -> None:
    body = {
        "model": "m", "messages": [], "stream": False, "keep_alive": "5m", "tools": [], "format": {"type": "object"},
        "options": {"num_predict": 5, "temperature": 0, "num_ctx": 9, "stop": ["x"]},
    }  # fmt: skip
    schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
    assert as_openai(body) == {
        "model": "m", "messages": [], "stream": False, "max_tokens": 5, "temperature": 0, "stop": ["x"],
        "response_format": schema,
    }  # fmt: skip
    plain = as_openai({"messages": [], "format": "json", "options": 1})
    assert plain["response_format"] == {"type": "json_object"}
    assert plain["stream_options"] == {"include_usage": True}


def test_results_are_given_the_ids_of_their_calls() -> None:
    call = {"function": {"name": "f", "arguments": {"a": "ä"}}}
    messages = [
        {"role": "tool", "content": "early"},
        {"role": "assistant", "content": "", "tool_calls": [call, {"id": "mine", **call}]},
        {"role": "tool", "tool_name": "f", "content": "1"},
        {"role": "tool", "content": "2"},
        {"role": "user", "content": "look", "images": ["aGk="]},
    ]
    early, said, one, two, seen = as_openai({"messages": messages})["messages"]
    assert early["tool_call_id"] == "call_0"
    assert [each["id"] for each in said["tool_calls"]] == ["call_1_0", "mine"]
    assert said["tool_calls"][0]["function"]["arguments"] == '{"a": "ä"}'
    assert (one["tool_call_id"], one["name"]) == ("call_1_0", "f")
    assert two["tool_call_id"] == "mine"
    assert seen["content"][1]["image_url"]["url"] == "data:image/png;base64,aGk="


@pytest.mark.parametrize(
    "body",
    [None, {}, {"messages": 1}, {"messages": [1]}, {"messages": [{"role": "assistant", "tool_calls": [1]}]}],
)
def test_what_is_no_request_is_told(body: object) -> None:
    with pytest.raises(NotReadable):
        as_openai(body)


def test_native_calls_are_put_together() -> None:
    reply = OllamaReply("m")
    head = {"index": 0, "id": "a", "function": {"name": "get_weather", "arguments": '{"city": '}}
    got = reply.feed(sent({"delta": {"content": "Well.", "reasoning_content": "hm"}}))
    got += reply.feed(sent({"delta": {"tool_calls": [head]}}))
    got += reply.feed(sent({"delta": {"tool_calls": [{"index": 0, "function": {"arguments": '"Paris"}'}}]}}))
    got += reply.feed(sent({"delta": {}, "finish_reason": "tool_calls"}, usage={"completion_tokens": 7}) + DONE + DONE)
    said, called, last = lines(got + reply.close())
    assert (said["message"]["content"], said["message"]["thinking"]) == ("Well.", "hm")
    function = {"index": 0, "name": "get_weather", "arguments": {"city": "Paris"}}
    assert called["message"]["tool_calls"] == [{"id": "a", "function": function}]
    assert (last["done"], last["done_reason"], last["eval_count"]) == (True, "stop", 7)


def test_a_cut_call_is_no_call() -> None:
    call = {"index": 0, "id": "a", "function": {"name": "get_weather", "arguments": '{"city": '}}
    for reason, says in (("length", "length"), ("tool_calls", "stop")):
        reply = OllamaReply("m")
        got = reply.feed(sent({"delta": {"tool_calls": [call]}}, {"delta": {}, "finish_reason": reason}) + DONE)
        *_, last = lines(got)
        assert b"tool_calls" not in got
        assert last["done_reason"] == says
    assert not lines(OllamaReply("m").close())


def test_events_that_say_nothing_are_no_lines() -> None:
    reply = OllamaReply("m")
    nothing = b': ping\n\ndata: {\n\ndata: 1\n\ndata: {"choices": []}\n\n' + sent({"delta": None}, {"delta": {}})
    assert reply.feed(nothing + b'data: {"choices": [1]}\n\n') == b""
    assert reply.feed(b"data: {") == b""
    assert reply.pending == 7


@pytest.mark.parametrize("error", [{"message": "too long"}, "too long"])
def test_an_error_ends_the_reply(error: Any) -> None:
    reply = OllamaReply("m")
    got = reply.feed(b"data: " + json.dumps({"error": error}).encode() + b"\n\n" + sent({"delta": {"content": "x"}}))
    assert lines(got + reply.close()) == [{"error": "too long"}]


def test_a_whole_reply() -> None:
    message = {"content": None, "reasoning": "hm", "tool_calls": [{"id": "a", "function": CITY}]}
    body = {"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": {"prompt_tokens": 3}}
    said = json.loads(OllamaReply("m").whole(json.dumps(body).encode()))
    assert said["message"]["tool_calls"][0]["function"]["arguments"] == {"city": "Paris"}
    assert (said["message"]["thinking"], said["done"], said["prompt_eval_count"]) == ("hm", True, 3)
    message["tool_calls"] = [{"id": "a", "function": {"name": "f", "arguments": "{"}}]
    broken = json.loads(OllamaReply("m").whole(json.dumps(body).encode()))
    assert "tool_calls" not in broken["message"]
    assert json.loads(broken["message"]["content"]) == {"name": "f", "arguments": "{"}
    assert OllamaReply("m").whole(b"<html>") == b"<html>"


def test_every_model_that_chats_takes_tools() -> None:
    for able in ({}, {"capabilities": ["embedding"]}, {"capabilities": ["completion", "tools"]}):
        assert with_tools(able) == able
    assert with_tools({"capabilities": ["completion"]}) == {"capabilities": ["completion", "tools"]}
    assert listed_with_tools({}) == {}
    assert tags({"data": [{"id": "m"}, 1]})["models"][0]["name"] == "m"
    assert tags(None) == tags({}) == {"models": []}
