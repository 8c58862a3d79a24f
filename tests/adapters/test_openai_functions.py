"""Clients that still send `functions` get `function_call`, whatever the server knows of either."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.adapters import broken_server
from tests.adapters.broken_server import events, serving, whole
from tests.adapters.test_wire import CITY, chunk, chunks_of, request, sse, streamed, tagged
from tests.adapters.wire_ways import CHATS, Sent, apost, before, transport
from toolmend import ToolmendError
from toolmend.adapters._exchange import NotReadable
from toolmend.adapters._negotiation import Negotiation, Settings
from toolmend.demo.replies import DEFAULT

Json = dict[str, Any]
FUNCTIONS = [{"name": "get_weather", "parameters": CITY}, {"name": "get_time", "parameters": {"type": "object"}}]
QUESTION = {"role": "user", "content": "weather in Paris"}


def asked(**fields: Any) -> Json:
    return {"model": "m", "messages": [QUESTION], "functions": FUNCTIONS, **fields}


def opened(mode: Any = "auto", **fields: Any) -> Negotiation:
    negotiation = Settings(mode).open("POST", CHATS, json.dumps(asked(**fields)).encode(), "s")
    assert negotiation
    return negotiation


def told(raw: bytes) -> Json:
    """What a client makes of a reply, whole or streamed."""
    if raw.startswith(b"{"):
        choice = json.loads(raw)["choices"][0]
        return {**choice["message"], "finish": choice["finish_reason"]}
    message: Json = {"content": "", "finish": None}
    for each in chunks_of(raw):
        for choice in each.get("choices", ()):
            message["content"] += choice["delta"].get("content") or ""
            message["finish"] = choice["finish_reason"] or message["finish"]
            for key, value in choice["delta"].get("function_call", {}).items():
                call = message.setdefault("function_call", {})
                call[key] = call.get(key, "") + value
            assert "tool_calls" not in choice["delta"]
    return message


@pytest.mark.parametrize("fixture", ["llama", "llama_hermes", "llama_nojinja", "ollama_rejecting"])
@pytest.mark.parametrize("way", [transport, before])
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_and_its_result(request: pytest.FixtureRequest, fixture: str, way: Any, stream: bool) -> None:
    sent: Sent = []
    with way(request.getfixturevalue(fixture).base_url, sent) as post:
        first = told(post(CHATS, asked(stream=stream)).content)
        assert json.loads(first["function_call"]["arguments"]) == {"city": "Paris"}
        assert (first["function_call"]["name"], first["finish"]) == ("get_weather", "function_call")
        call = {"role": "assistant", "content": None, "function_call": first["function_call"]}
        result = {"role": "function", "name": "get_weather", "content": "sunny"}
        last = told(post(CHATS, asked(stream=stream, messages=[QUESTION, call, result])).content)
        assert (last["content"], last["finish"], "function_call" in last) == (DEFAULT, "stop", False)
    assert not any("functions" in body for body in sent)


async def test_asynchronously() -> None:
    with serving(tagged()) as server:
        assert told((await apost(server.base_url, CHATS, asked())).content)["function_call"]["name"] == "get_weather"


def test_requests_are_sent_in_todays_form() -> None:
    call = {"name": "get_time", "arguments": "{}"}
    messages = [
        QUESTION,
        {"role": "assistant", "content": None, "function_call": call},
        {"role": "function", "name": "get_time", "content": "9"},
        "nonsense",
    ]
    sent = json.loads(opened(messages=messages[:3], function_call={"name": "get_time"}, temperature=0).sent)
    assert [tool["function"] for tool in sent["tools"]] == FUNCTIONS
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "get_time"}}
    assert (sent["parallel_tool_calls"], sent["temperature"], sent["model"]) == (False, 0, "m")
    assert not {"functions", "function_call"} & sent.keys()
    [_, said, result] = sent["messages"]
    assert said == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "call_1", "type": "function", "function": call}],
    }
    assert (result["role"], result["tool_call_id"], result["content"]) == ("tool", "call_1", "9")
    assert json.loads(opened(function_call="none").sent)["tool_choice"] == "none"
    assert "tool_choice" not in json.loads(opened().sent)
    prompted = json.loads(opened("prompt", messages=messages[:3]).sent)
    assert "get_weather" in prompted["messages"][0]["content"]
    with pytest.raises(NotReadable):
        opened(messages=messages)


def test_one_call_is_told_and_the_others_stay_text() -> None:
    text = f"I look.\n{tagged()}\n{tagged('Rome')}"
    made = told(opened().reply(json.dumps(json.loads(whole("stop", content=text).body)).encode()))
    rest = '\n{"name": "get_weather", "arguments": "{\\"city\\": \\"Rome\\"}"}'
    assert made["function_call"] == {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    assert (made["content"], made["finish"]) == ("I look." + rest, "function_call")
    assert through(opened(stream=True), streamed(text)) == {k: v for k, v in made.items() if k != "role"}


def through(negotiation: Negotiation, *data: bytes) -> Json:
    stream = negotiation.exchange.stream()
    return told(b"".join(map(stream.feed, data)) + stream.close())


def native(index: int, **function: str) -> Json:
    return {"tool_calls": [{"index": index, "id": "a", "function": function}]}


@pytest.mark.parametrize("size", [1, 7, 4000])
def test_native_calls_in_pieces(size: int) -> None:
    parts = [native(0, name="get_time", arguments=""), native(0, arguments='{"a"'), native(0, arguments=": 1}")]
    more = [native(1, name="get_weather", arguments="{"), native(1, arguments="}")]
    data = events(*[broken_server.delta(**part) for part in (*parts, *more)], broken_server.delta("tool_calls")).body
    made = through(opened(stream=True), *(data[at : at + size] for at in range(0, len(data), size)))
    assert made["function_call"] == {"name": "get_time", "arguments": '{"a": 1}'}
    assert made["content"] == '\n{"name": "get_weather", "arguments": "{}"}'
    assert made["finish"] == "function_call"


DAMAGED = [
    sse(chunk({"index": 0, "delta": {"tool_calls": [3]}, "finish_reason": None})),
    sse(chunk({"index": 0, "delta": {"tool_calls": [{"function": None}]}, "finish_reason": None})),
    b'data: {"tool_calls": 1}\n\n',
    b'data: "tool_calls"\n\n: comment "tool_calls"\n\n',
    b'data: {"tool_calls": ',
]


@pytest.mark.parametrize("data", DAMAGED)
def test_what_is_damaged_passes(data: bytes) -> None:
    stream = opened(stream=True).exchange.stream()
    assert stream.feed(data) + stream.close() == data
    assert not stream.pending


@pytest.mark.parametrize(
    "body", [3, {"choices": 1}, {"choices": [1, {"message": {"tool_calls": [1]}}]}, {"error": "x"}]
)
def test_a_damaged_whole_reply_passes(body: Any) -> None:
    raw = json.dumps(body).encode()
    assert opened().reply(raw) == raw


def test_nothing_is_read_where_no_function_may_be_called() -> None:
    raw = whole("stop", content=tagged()).body
    assert opened(function_call="none").reply(raw) == raw
    data = streamed(tagged())
    stream = opened(function_call="none", stream=True).exchange.stream()
    assert b"".join(map(stream.feed, [data[:50], data[50:]])) + stream.close() == data


def test_mistakes_are_the_callers() -> None:
    with pytest.raises(NotReadable, match="functions"):
        opened(functions={"name": "f"})
    with pytest.raises(ToolmendError):
        opened(function_call={"name": "nothing"})
    tools = Settings().open("POST", CHATS, json.dumps(request(functions=FUNCTIONS)).encode(), "s")
    assert tools
    assert [tool.name for tool in tools.exchange.turn.tools] == ["get_weather", "get_time"]
    assert "functions" in json.loads(tools.sent)
