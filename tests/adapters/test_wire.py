"""Requests and replies on the wire, as data: OpenAI's chat as JSON and as events, Ollama's as JSON and as lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolmend import Recovery, ToolmendError
from toolmend._refusal import Refusals
from toolmend._turn import Options
from toolmend.adapters._exchange import Exchange, NotReadable
from toolmend.adapters._negotiation import Negotiation, Settings, exchange_class
from toolmend.adapters._ollama_chat import OllamaExchange
from toolmend.adapters._openai_chat import ChatExchange
from toolmend.adapters._sse import EventSplitter, data_of

Json = dict[str, Any]

ID = re.compile(rb"call_[0-9a-f]{24}")
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": CITY}}
TIME = {"type": "function", "function": {"name": "get_time"}}
USER = {"role": "user", "content": "Weather in Paris?"}


def tagged(city: str = "Paris") -> str:
    return f'<tool_call>\n{{"name": "get_weather", "arguments": {{"city": "{city}"}}}}\n</tool_call>'


def request(**fields: Any) -> Json:
    return {"model": "m", "messages": [USER], "tools": [WEATHER, TIME], **fields}


def chat(**fields: Any) -> ChatExchange:
    return ChatExchange(request(**fields))


def ollama(**fields: Any) -> OllamaExchange:
    return OllamaExchange(request(**fields))


def marked(kind: type[Exchange]) -> Exchange:
    """A request whose tools are in the prompt, with a tool result in which markers are broken."""
    history = [
        USER,
        {"role": "assistant", "content": "", "tool_calls": [{"id": "a", "function": {"name": "get_time"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "<tool_call> is how it writes"},
    ]
    exchange = kind(request(messages=history))
    assert "<\u2063tool_call> is how" in json.dumps(exchange.as_text(), ensure_ascii=False)
    return exchange


def delta(content: str | None = None, finish: str | None = None, index: int = 0, **fields: Any) -> Json:
    said = fields if content is None else {"content": content, **fields}
    return {"index": index, "delta": said, "finish_reason": finish}


def chunk(*choices: Json, **fields: Any) -> Json:
    frame = {"id": "x1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    return {**frame, "choices": list(choices), **fields}


def sse(*chunks: Json | str, end: str = "\n\n") -> bytes:
    return "".join(f"data: {c if isinstance(c, str) else json.dumps(c)}{end}" for c in chunks).encode()


def lines(*chunks: Json) -> bytes:
    return b"".join(json.dumps(chunk).encode() + b"\n" for chunk in chunks)


def line(content: str = "", *, done: bool = False, **fields: Any) -> Json:
    ending = {"done_reason": "stop", "eval_count": 9} if done else {}
    message = {"role": "assistant", "content": content, **fields.pop("message", {})}
    return {"model": "m", "created_at": "now", "message": message, "done": done, **ending, **fields}


def through(exchange: Exchange, *data: bytes) -> bytes:
    stream = exchange.stream()
    return b"".join(map(stream.feed, data)) + stream.close()


def chunks_of(data: bytes) -> list[Json]:
    """The chunks in events or lines, which must all be readable."""
    if not data.startswith(b"{"):
        splitter = EventSplitter()
        events = [data_of(event) for event in (*splitter.feed(data), splitter.close())]
        return [json.loads(event) for event in events if event and event.strip() != b"[DONE]"]
    return [json.loads(text) for text in data.splitlines()]


def deltas(data: bytes, index: int = 0) -> Iterator[Json]:
    for each in chunks_of(data):
        if isinstance(each.get("message"), dict):
            yield each["message"]
        for choice in each.get("choices", ()):
            if choice["index"] == index:
                yield choice["delta"]


def text_of(data: bytes, index: int = 0, key: str = "content") -> str:
    return "".join(said.get(key) or "" for said in deltas(data, index))


def calls_of(data: bytes, index: int = 0) -> list[tuple[int, str, Any]]:
    """Each call with its index."""
    found: dict[int, tuple[str, Any]] = {}
    for said in deltas(data, index):
        for call in said.get("tool_calls") or ():
            function = call["function"]
            at = call["index"] if "index" in call else function["index"]
            assert at not in found or not function.get("name"), "two calls share an index"
            name, before = found.get(at, (function.get("name"), ""))
            now = function["arguments"]
            found[at] = name, before + now if isinstance(now, str) else now
    read = {at: (name, json.loads(args) if isinstance(args, str) else args) for at, (name, args) in found.items()}
    return [(at, *call) for at, call in sorted(read.items())]


def finishes(data: bytes, index: int = 0) -> list[str]:
    choices = [choice for each in chunks_of(data) for choice in each.get("choices", ()) if choice["index"] == index]
    return [choice["finish_reason"] for choice in choices if choice["finish_reason"]]


def pieces(text: str, size: int = 4) -> Iterable[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


def streamed(text: str, finish: str | None = "stop") -> bytes:
    parts = [chunk(delta(piece)) for piece in pieces(text)]
    return sse(*parts, chunk(delta(finish=finish)), "[DONE]")


PARIS = (0, "get_weather", {"city": "Paris"})
ROME = (1, "get_weather", {"city": "Rome"})


# ---------------------------------------------------------------------------------------------- whole replies


def reply(content: Any, finish: str | None = "stop", **message: Any) -> Json:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **message},
        "logprobs": {"content": []},
        "finish_reason": finish,
    }
    return {"id": "x", "choices": [choice], "usage": {"total_tokens": 3}, "timings": {"n": 1}}


def test_a_whole_reply_gets_its_calls_and_keeps_the_rest() -> None:
    before = reply(f"I look.\n{tagged()}\n{tagged('Rome')}", reasoning_content="hm", x=1)
    after = chat().reply(before)
    [choice] = after.pop("choices")
    made = choice["message"].pop("tool_calls")
    assert after == {"id": "x", "usage": {"total_tokens": 3}, "timings": {"n": 1}}
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {"role": "assistant", "content": "I look.", "reasoning_content": "hm", "x": 1}
    assert choice["logprobs"] == {"content": []}
    assert [json.loads(call["function"]["arguments"])["city"] for call in made] == ["Paris", "Rome"]
    assert [call["type"] for call in made] == ["function"] * 2
    assert len({call["id"] for call in made}) == 2
    assert before == reply(f"I look.\n{tagged()}\n{tagged('Rome')}", reasoning_content="hm", x=1)


def test_nothing_but_a_call_leaves_no_text() -> None:
    assert chat().reply(reply(tagged()))["choices"][0]["message"]["content"] is None
    assert ollama().reply(line(tagged(), done=True))["message"]["content"] == ""


@pytest.mark.parametrize("finish", ["length", "content_filter", "abort"])
def test_a_whole_reply_that_was_cut_yields_no_half_call_and_keeps_its_reason(finish: str) -> None:
    half = tagged().partition('"}')[0]
    assert chat().reply(reply(half, finish)) == reply(half, finish)
    [choice] = chat().reply(reply(f"{tagged()}\n{half}", finish))["choices"]
    assert len(choice["message"]["tool_calls"]) == 1
    assert choice["finish_reason"] == finish
    cut = {**line(half, done=True), "done_reason": finish}
    assert ollama().reply(cut) == cut


def test_without_a_reason_a_whole_reply_is_complete() -> None:
    [choice] = chat().reply(reply(tagged(), None))["choices"]
    assert choice["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "body",
    [
        reply("Sunny."),
        reply(None),
        reply(""),
        reply([{"type": "text", "text": "Sunny."}, {"type": "image_url"}, 3]),
        reply(tagged(), "tool_calls", tool_calls=[{"id": "n", "function": {"name": "get_time", "arguments": "{}"}}]),
        {"error": {"message": "no"}},
        {"choices": None},
        {"choices": [None, 3, {}, {"message": None}, {"message": []}, {"message": {"content": 5}}]},
        [],
        None,
        "text",
    ],
)
def test_what_holds_no_call_as_text_comes_back_as_it_was(body: Any) -> None:
    assert chat().reply(body) == body
    assert ollama().reply(body) == body


THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}


@pytest.mark.parametrize("others", [[], [THOUGHT]])
def test_content_in_parts_is_read(others: list[Any]) -> None:
    [choice] = chat().reply(reply([*others, {"type": "text", "text": f"I look.\n{tagged()}"}]))["choices"]
    assert choice["message"]["content"] == ([*others, {"type": "text", "text": "I look."}] if others else "I look.")
    assert [call["function"]["name"] for call in choice["message"]["tool_calls"]] == ["get_weather"]
    parts = [[*others, {"type": "text", "text": piece}] for piece in pieces(tagged())]
    events = sse(
        *[chunk({"index": 0, "delta": {"content": part}}) for part in parts], chunk(delta(finish="stop")), "[DONE]"
    )
    said = through(chat(), events)
    assert calls_of(said) == [PARIS]
    shown = [part for each in deltas(said) for part in each.get("content") or ()]
    assert shown == others * len(parts)


def test_text_in_parts_passes_as_it_comes() -> None:
    events = sse(*[chunk({"index": 0, "delta": {"content": [{"type": "text", "text": "Hi :)"}]}})] * 2)
    assert through(chat(), events) == events


def test_every_choice_is_read_for_itself() -> None:
    both = {"choices": [reply(tagged())["choices"][0], {**reply("No.")["choices"][0], "index": 1}]}
    one, other = chat(n=2).reply(both)["choices"]
    assert one["message"]["tool_calls"]
    assert other == both["choices"][1]


def test_an_ollama_reply_gets_its_calls_and_keeps_the_rest() -> None:
    before = line(f"{tagged()}\n{tagged('Rome')}", done=True, message={"thinking": "hm"}, x=1)
    after = ollama().reply(before)
    made = after["message"].pop("tool_calls")
    assert after == {**before, "message": {"role": "assistant", "content": "", "thinking": "hm"}}
    assert [call["function"] for call in made] == [
        {"index": n, "name": "get_weather", "arguments": {"city": city}} for n, city in enumerate(["Paris", "Rome"])
    ]


# ------------------------------------------------------------------------------------------------- streams

OPENAI_STREAMS = {
    "one call": (streamed(tagged()), "", [PARIS], ["tool_calls"]),
    "text and two calls": (
        streamed(f"I look.\n{tagged()}\n{tagged('Rome')}"),
        "I look.",
        [PARIS, ROME],
        ["tool_calls"],
    ),
    "no call": (streamed("It is < 3 degrees.\n"), "It is < 3 degrees.\n", [], ["stop"]),
    "carriage returns": (sse(chunk(delta(tagged(), "stop")), "[DONE]", end="\r\n\r\n"), "", [PARIS], ["tool_calls"]),
    "mixed line ends": (
        sse(chunk(delta(tagged())), end="\n\r\n") + sse(chunk(delta(finish="stop")), end="\r\r") + sse("[DONE]"),
        *("", [PARIS], ["tool_calls"]),
    ),
    "comments": (
        b": keepalive 1/2\n\n" + streamed(tagged()).replace(b"\n\n", b"\n\n: ping\n\n"),
        *("", [PARIS], ["tool_calls"]),
    ),
    "no space behind data": (streamed(tagged()).replace(b"data: ", b"data:"), "", [PARIS], ["tool_calls"]),
    "invalid lines": (b"data: {\n\n" + streamed(tagged()), None, [PARIS], ["tool_calls"]),
    "cut": (streamed(tagged()[:-30], "length"), tagged()[:-30], [], ["length"]),
    "a call, then cut": (streamed(f"{tagged()}{tagged()[:-30]}", "length"), tagged()[:-30], [PARIS], ["length"]),
    "without a reason": (sse(chunk(delta(tagged())), "[DONE]"), "", [PARIS], []),
    "without a blank line at the end": (streamed(tagged()).rstrip(), "", [PARIS], ["tool_calls"]),
    "without an index": (
        streamed(tagged()).replace(b'"index": 0, ', b""),
        *("", [PARIS], ["tool_calls"]),
    ),
    "the role with every piece": (
        streamed(f"I look.{tagged()}").replace(b'"delta": {"', b'"delta": {"role": "assistant", "'),
        *("I look.", [PARIS], None),
    ),
}
OLLAMA_STREAMS = {
    "one call": (lines(*map(line, pieces(tagged())), line(done=True)), "", [PARIS]),
    "two calls": (lines(*map(line, pieces(tagged() + tagged("Rome"))), line(done=True)), "", [PARIS, ROME]),
    "no call": (lines(line("Su"), line("nny.\n"), line(done=True)), "Sunny.\n", []),
    "text with the end": (lines(line(f"So.\n{tagged()}", done=True)), "So.", [PARIS]),
    "cut": (
        lines(*map(line, pieces(tagged()[:-30])), line(done=True) | {"done_reason": "length"}),
        *(tagged()[:-30], []),
    ),
    "carriage returns": (lines(line(tagged()), line(done=True)).replace(b"\n", b"\r\n"), "", [PARIS]),
    "without a line break at the end": (lines(line(tagged()), line(done=True)).rstrip(), "", [PARIS]),
    "no content at the end": (
        lines(line(tagged()), {"message": {"content": None}, "done": False}, {**line(done=True), "message": {}}),
        "",
        [PARIS],
    ),
}


def same(data: bytes) -> bytes:
    """Without what is fresh in every run."""
    return ID.sub(b"call_", data)


@pytest.mark.parametrize("name", OPENAI_STREAMS)
def test_openais_stream_means_what_was_written(name: str) -> None:
    data, text, calls, finish = OPENAI_STREAMS[name]
    out = through(chat(), data)
    if text is None:
        assert out.startswith(b"data: {\n\n")
        out = out.removeprefix(b"data: {\n\n")
    assert text_of(out) == (text or "")
    assert calls_of(out) == calls
    assert finish is None or finishes(out) == finish
    assert b"[DONE]" in out
    assert not re.search(rb"\}\s*data: \{", out.replace(b"\n\n", b"|").replace(b"\r\n\r\n", b"|"))


@pytest.mark.parametrize("name", OLLAMA_STREAMS)
def test_ollamas_stream_means_what_was_written(name: str) -> None:
    data, text, calls = OLLAMA_STREAMS[name]
    out = through(ollama(), data)
    assert text_of(out) == text
    assert calls_of(out) == calls
    assert [each["done"] for each in chunks_of(out)].count(True) == 1
    last = chunks_of(out)[-1]
    assert last["done"]
    assert last["eval_count"] == 9


ALL_STREAMS = [(chat, each[0]) for each in OPENAI_STREAMS.values()]
ALL_STREAMS += [(ollama, each[0]) for each in OLLAMA_STREAMS.values()]


@pytest.mark.parametrize(("make", "data"), ALL_STREAMS)
def test_a_stream_is_read_the_same_at_every_cut(make: Any, data: bytes) -> None:
    whole = same(through(make(), data))
    assert same(through(make(), *(data[at : at + 1] for at in range(len(data))))) == whole
    for at in range(0, len(data), len(data) // 16):
        assert same(through(make(), data[:at], data[at:])) == whole


@given(st.sampled_from(ALL_STREAMS), st.lists(st.integers(0, 5000), max_size=20))
@settings(max_examples=60)
def test_a_stream_is_read_the_same_in_any_pieces(case: tuple[Any, bytes], cuts: list[int]) -> None:
    make, data = case
    edges = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    cut_up = [data[a:b] for a, b in pairwise(edges)]
    assert same(through(make(), *cut_up)) == same(through(make(), data))


def test_what_does_not_change_passes_byte_for_byte() -> None:
    odd = (
        b': h\r\n\r\nevent: m\ndata:  {"choices" :[{"index":0,"delta":{"content":"Hi :)"},"x":[1.0]}]}\n\nretry: 1\n\n'
    )
    native = {"index": 0, "id": "n", "function": {"name": "get_weather", "arguments": '{"ci'}}
    calls = sse(
        chunk(delta(role="assistant", content=None)),
        chunk(delta(tool_calls=[native])),
        chunk(delta(tool_calls=[{"index": 0, "function": {"arguments": 'ty": "<tool_call>"}'}}])),
        chunk(delta(finish="tool_calls"), usage=None),
        chunk(usage={"total_tokens": 3}),
        "[DONE]",
    )
    assert through(chat(), odd) == odd
    assert through(chat(), calls) == calls
    call = {"function": {"name": "get_time", "arguments": {}}}
    said = lines(line("Hi :)", message={"thinking": "hm"}), line(message={"tool_calls": [call]}))
    said += lines(line(tagged()), line(done=True))
    assert through(ollama(), said) == said


@pytest.mark.parametrize("choice", ["none", {"type": "none"}, {"type": "custom", "custom": {"name": "x"}}])
def test_nothing_is_read_where_no_tool_may_be_called(choice: Any) -> None:
    for fields in ({"tool_choice": choice}, {"tools": []}, {"tools": None}):
        assert chat(**fields).reply(reply(tagged())) == reply(tagged())
        assert through(chat(**fields), streamed(tagged())) == streamed(tagged())
        said = lines(*map(line, pieces(tagged())), line(done=True))
        assert through(ollama(**fields), said) == said
        assert through(ollama(**fields), said[:-9]) == said[:-9]


OPENER = (
    "<|start|>assistant<|channel|>commentary to=functions.get_weather<|message|>"  # none is longer, as models write
)
PLAIN = ["README.md", "CONTRIBUTING.md", "docs/safety.md", "docs/why.md", "src/toolmend/_foreign.py"]


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("make", [chat, ollama])
def test_no_more_of_a_plain_answer_is_held_back_than_an_opener_is_long(make: Callable[[], Exchange], name: str) -> None:
    text = (Path(__file__).parents[2] / name).read_text(encoding="utf-8")
    exchange = make()
    stream, written, shown, held = exchange.stream(), 0, 0, 0
    for piece in pieces(text):
        event = sse(chunk(delta(piece))) if isinstance(exchange, ChatExchange) else lines(line(piece))
        shown += len(text_of(stream.feed(event)))
        written += len(piece)
        held = max(held, len(text[shown:written].strip()))  # white space is none of the answer until more comes
    assert held <= len(OPENER)


@pytest.mark.parametrize("size", [2, 50, 400])
def test_a_stream_without_an_end_is_text(size: int) -> None:
    """Whatever came is shown, and a call that was not finished, or whose reply was not, is none."""
    text = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
    data = sse(*(chunk(delta(piece)) for piece in pieces(text)))
    assert text_of(through(chat(), data)) == text
    assert calls_of(through(chat(), data)) == []
    out = through(chat(), data[:-size])
    whole = (data[:-size] + b"\n\n").count(b"null}]}\n\n")
    assert text_of(out.rpartition(b"\n\n")[0] + b"\n\n") == text[: 4 * whole]
    written = lines(*map(line, pieces(text)))
    assert text_of(through(ollama(), written)) == text
    assert calls_of(through(ollama(), written)) == []


def test_half_an_event_at_the_end_hides_nothing() -> None:
    out = through(chat(), sse(chunk(delta("<tool_call>"))) + b'data: {"choices": [{')
    assert chunks_of(out.removesuffix(b'data: {"choices": [{'))[-1]["choices"][0]["delta"] == {"content": "<tool_call>"}
    out = through(ollama(), lines(line("<tool_call>")) + b'{"mess')
    assert chunks_of(out.removesuffix(b'{"mess'))[-1]["message"]["content"] == "<tool_call>"


@pytest.mark.parametrize("error", [{"error": {"message": "no"}}, {"object": "error", "message": "no"}])
def test_what_is_held_back_when_an_error_comes_is_text(error: Json) -> None:
    data = sse(chunk(delta('{"name": "get_time", "arguments": {}}')), error, "[DONE]")
    out = through(chat(), data)
    *_, held, last = chunks_of(out)
    assert held["choices"][0]["delta"]["content"] == '{"name": "get_time", "arguments": {}}'
    assert last == error
    assert calls_of(out) == []
    out = through(ollama(), lines(line('{"name": "get_time", "arguments": {}}'), {"error": "no"}, line(done=True)))
    assert [each.get("error") for each in chunks_of(out)] == [None, "no", None]
    assert text_of(out) == '{"name": "get_time", "arguments": {}}'
    assert calls_of(out) == []


def test_interleaved_choices_are_read_apart() -> None:
    one, two = list(pieces(tagged(), 9)), list(pieces(f"So:{tagged('Rome')}", 9))
    mixed = [chunk(delta(a, index=0), delta(b, index=1)) for a, b in zip(one, two, strict=False)]
    mixed += [chunk(delta(b, index=1)) for b in two[len(one) :]]
    ends = [chunk(delta(finish="stop", index=1)), chunk(delta("Done.", index=2), delta(finish="stop", index=0))]
    out = through(chat(n=3), sse(*mixed, *ends, "[DONE]"))
    assert calls_of(out, 0) == [PARIS]
    assert calls_of(out, 1) == [(0, *ROME[1:])]
    assert [text_of(out, n) for n in range(3)] == ["", "So:", "Done."]
    assert [finishes(out, n) for n in range(3)] == [["tool_calls"], ["tool_calls"], []]


def test_usage_is_told_as_often_as_the_server_tells_it() -> None:
    parts = list(pieces(tagged()))
    every = [chunk(delta(piece), usage={"total_tokens": n}) for n, piece in enumerate(parts)]
    out = through(chat(), sse(*every, chunk(delta(finish="stop"), usage={"total_tokens": 99}), "[DONE]"))
    assert [each["usage"]["total_tokens"] for each in chunks_of(out) if each.get("usage")] == [*range(len(parts)), 99]
    nothing = [chunk(delta(piece), usage=None) for piece in parts]
    own = sse(*nothing, chunk(delta(finish="stop"), usage=None), chunk(usage={"total_tokens": 99}), "[DONE]")
    told = [each["usage"] for each in chunks_of(through(chat(), own)) if each.get("usage")]
    assert told == [{"total_tokens": 99}]
    assert calls_of(through(chat(), own)) == [PARIS]


def test_unknown_fields_and_log_probabilities_are_kept_where_text_is_held_back() -> None:
    data = sse(chunk({**delta("<tool"), "logprobs": {"content": [1]}}, seen=1), chunk(delta("_call>"), seen=2))
    data += sse(
        chunk(delta(tagged()[11:], refusal="no")), chunk({**delta(finish="stop"), "stop": 5}, timings=3), "[DONE]"
    )
    out = chunks_of(through(chat(), data))
    assert [each["seen"] for each in out if "seen" in each] == [1, 2]
    assert out[0]["choices"][0]["logprobs"] == {"content": [1]}
    assert all(each["id"] == "x1" for each in out)
    assert [choice["delta"].get("refusal") for each in out for choice in each["choices"]].count("no") == 1
    assert out[-1]["choices"][0]["stop"] == 5
    assert out[-1]["timings"] == 3
    said = lines(line("<tool", logprobs=[1], message={"thinking": "a"}), line(tagged()[5:]), line(done=True, x=2))
    told = chunks_of(through(ollama(), said))
    assert [each.get("logprobs") for each in told] == [[1], None, None]
    assert told[0]["message"]["thinking"] == "a"
    assert told[-1]["x"] == 2


def test_the_role_is_told_once_where_pieces_are_held_back() -> None:
    data = (
        streamed(tagged())
        .replace(b'"delta": {', b'"delta": {"role": "assistant"')
        .replace(b'"content"', b', "content"')
    )
    first, *others = deltas(through(chat(), data))
    assert first["role"] == "assistant"
    assert not any("role" in said for said in others)


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_passes_unread(key: str) -> None:
    data = sse(
        chunk(delta(**{key: tagged()})), chunk(delta(tagged(), **{key: "so"})), chunk(delta(finish="stop")), "[DONE]"
    )
    out = through(chat(), data)
    assert text_of(out, key=key) == tagged() + "so"
    assert calls_of(out) == [PARIS]
    out = through(ollama(), lines(line(message={key: tagged()}), line(tagged(), message={key: "so"}), line(done=True)))
    assert text_of(out, key=key) == tagged() + "so"
    assert calls_of(out) == [PARIS]


def test_native_calls_behind_recovered_ones_get_the_next_numbers() -> None:
    native = [{"index": n, "id": str(n), "function": {"name": "get_time", "arguments": "{}"}} for n in range(2)]
    data = sse(chunk(delta(tagged())), chunk(delta(tool_calls=native)), chunk(delta(finish="stop")), "[DONE]")
    out = through(chat(), data)
    assert calls_of(out) == [PARIS, (1, "get_time", {}), (2, "get_time", {})]
    assert finishes(out) == ["tool_calls"]
    calls = [{"function": {"index": n, "name": "get_time", "arguments": {}}} for n in range(2)]
    out = through(ollama(), lines(line(tagged()), line(message={"tool_calls": calls}), line(done=True)))
    assert calls_of(out) == [PARIS, (1, "get_time", {}), (2, "get_time", {})]


def test_text_before_native_calls_is_shown_before_them_and_not_read() -> None:
    native = {"index": 0, "id": "n", "function": {"name": "get_time", "arguments": "{}"}}
    data = sse(chunk(delta('{"name": "get_weather", ')), chunk(delta(tool_calls=[native])), chunk(delta(tagged())))
    out = through(chat(), data + sse(chunk(delta(finish="tool_calls")), "[DONE]"))
    assert calls_of(out) == [(0, "get_time", {})]
    assert text_of(out) == '{"name": "get_weather", ' + tagged()
    assert "content" in next(deltas(out))
    call = {"function": {"index": 0, "name": "get_time", "arguments": {}}}
    data = lines(line('{"name": "get_weather", '), line(message={"tool_calls": [call]}), line(done=True))
    out = through(ollama(), data)
    assert calls_of(out) == [(0, "get_time", {})]
    assert text_of(out) == '{"name": "get_weather", '


def test_what_comes_behind_the_end_passes() -> None:
    late = sse(chunk(delta(tagged())), chunk(delta(finish="stop")), "[DONE]")
    out = through(chat(), sse(chunk(delta(tagged())), chunk(delta(finish="stop"))) + late)
    assert calls_of(out) == [PARIS]
    assert finishes(out) == ["tool_calls", "tool_calls"]
    assert text_of(out) == tagged()
    out = through(ollama(), lines(line(tagged(), done=True), line("more")))
    assert text_of(out) == "more"


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00"])
def test_halves_of_characters_pass(half: str) -> None:
    """JSON can say what UTF-8 cannot, and models that write byte by byte do."""
    text = json.loads(f'"Smile {half} <tool"')
    assert text_of(through(chat(), streamed(text))) == text
    assert text_of(through(ollama(), lines(*map(line, pieces(text)), line(done=True)))) == text
    said = f"{tagged(half)}"
    [whole] = chat().reply(json.loads(json.dumps(reply(said))))["choices"]
    assert whole["message"]["tool_calls"]
    assert calls_of(through(chat(), streamed(tagged(half)))) == [(0, "get_weather", {"city": "\ufffd"})]


def test_markers_broken_in_results_are_mended_in_all_the_model_writes() -> None:
    copied = "as <\u2063tool_call> says"
    plain = "as <tool_call> says"
    whole = marked(ChatExchange).reply(reply(f"{copied}. {tagged(copied)}", reasoning=copied))["choices"][0]["message"]
    assert whole["reasoning"] == plain
    assert json.loads(whole["tool_calls"][0]["function"]["arguments"]) == {"city": plain}
    assert marked(ChatExchange).reply(reply(copied)) == reply(plain)
    assert marked(OllamaExchange).reply(line(copied, done=True)) == line(plain, done=True)
    assert marked(OllamaExchange).reply(line(message={"thinking": copied})) == line(message={"thinking": plain})
    native = {"index": 0, "id": "n", "function": {"name": "f", "arguments": copied}}
    said = [delta(reasoning=copied), delta(copied, reasoning=copied), delta(tool_calls=[native]), delta(copied)]
    out = through(marked(ChatExchange), sse(*map(chunk, said), chunk(delta(finish="stop")), "[DONE]"))
    assert "\u2063" not in json.dumps(chunks_of(out), ensure_ascii=False)
    assert text_of(out) == plain * 2
    data = lines(line(message={"thinking": copied}), line(copied, message={"thinking": copied}))
    data += lines(line(message={"tool_calls": [native]}), line(copied), line(done=True))
    out = through(marked(OllamaExchange), data)
    assert "\u2063" not in json.dumps(chunks_of(out), ensure_ascii=False)
    assert text_of(out) == plain * 2


@pytest.mark.parametrize("kind", [ChatExchange, OllamaExchange])
def test_a_call_copied_from_a_result_stays_text(kind: type[Exchange]) -> None:
    history = [USER, {"role": "tool", "content": [{"type": "text", "text": tagged("Rome")}]}]
    exchange = kind(request(messages=history))
    whole = exchange.reply({**reply(tagged("Rome")), **line(tagged("Rome"), done=True)})
    assert "tool_calls" not in json.dumps(whole)


def test_what_is_kept_of_an_unfinished_event_can_be_asked() -> None:
    for stream in (chat().stream(), ollama().stream()):
        stream.feed(b'data: {"')
        assert stream.pending == 8
        stream.close()
        assert stream.pending == 0


@pytest.mark.timeout(120)  # quadratic time would take longer, linear time a second
@pytest.mark.parametrize("size", [1, 1000])
def test_time_grows_with_the_input(size: int) -> None:
    """An event in tiny pieces, and many events at once."""
    long = sse(chunk(delta("a " * 100_000))) if size == 1 else streamed("a <b " * 10_000)
    through(chat(), *(long[at : at + size] for at in range(0, len(long), size)))
    row = lines(line("a " * 100_000)) if size == 1 else lines(*map(line, pieces("a <b " * 10_000)))
    through(ollama(), *(row[at : at + size] for at in range(0, len(row), size)))


# ------------------------------------------------------------------------------------------------ requests


def written(*messages: Json, kind: type[Exchange] = ChatExchange, **fields: Any) -> list[Json]:
    return kind(request(messages=list(messages), **fields)).as_text()["messages"]


def called(*calls: Json, content: Any = None) -> Json:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def call(name: str, arguments: Any, call_id: str | None = None) -> Json:
    return {
        **({"id": call_id} if call_id else {}),
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def test_a_request_is_written_as_text() -> None:
    body = request(
        messages=[
            {"role": "system", "content": "Be nice."},
            USER,
            called(call("get_weather", '{"city": "Paris"}', "a"), call("get_time", "", "b"), content="I look."),
            {"role": "tool", "tool_call_id": "b", "content": "noon"},
            {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "sunny"}]},
            {"role": "developer", "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief."}]},
            {"role": "user", "content": "Thanks."},
        ],
        tool_choice="auto",
        parallel_tool_calls=True,
        temperature=0.5,
        unknown={"a": 1},
        stream=True,
    )
    before = json.dumps(body)
    after = ChatExchange(body).as_text()
    assert json.dumps(body) == before
    messages = after.pop("messages")
    assert after == {"model": "m", "temperature": 0.5, "unknown": {"a": 1}, "stream": True}
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[0]["content"].startswith("Be nice.\n\nBe\nbrief.\n\nYou can call tools.")
    assert "get_time" in messages[0]["content"]
    assert messages[2]["content"].startswith("I look.\n```json")
    results = messages[3]["content"]
    assert results.endswith("Thanks.")
    assert results.index("get_time") < results.index("noon") < results.index("get_weather") < results.index("sunny")


def test_neighbours_of_one_role_become_one() -> None:
    messages = written(USER, USER, {"role": "assistant", "content": "A"}, {"role": "assistant", "content": "B"}, USER)
    assert [(each["role"], each["content"]) for each in messages[1:]] == [
        *(("user", "Weather in Paris?\n\nWeather in Paris?"), ("assistant", "A\n\nB"), ("user", "Weather in Paris?"))
    ]


def test_images_stay() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    seen = {"role": "user", "content": [{"type": "text", "text": "See"}, image]}
    shown = {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "shot"}, image]}
    alone, *_ = written(seen)[1:]
    assert alone == seen
    joined, _, answer = written(USER, seen, called(call("get_time", "{}", "a")), shown)[1:]
    assert joined["content"] == [{"type": "text", "text": USER["content"]}, *seen["content"]]
    assert [part["type"] for part in answer["content"]] == ["text", "image_url"]
    assert "shot" in answer["content"][0]["text"]
    looked = {"role": "user", "content": "See", "images": ["AA=="]}
    results = {"role": "tool", "tool_name": "get_time", "content": "shot", "images": ["BB=="]}
    kept = written(looked, called(call("get_time", {})), results, {**looked, "images": ["CC=="]}, kind=OllamaExchange)
    assert [each.get("images") for each in kept] == [None, ["AA=="], None, ["BB==", "CC=="]]


def test_results_are_named_by_id_by_name_or_by_their_order() -> None:
    two = called(call("get_weather", {}), call("get_time", {}))
    plain = [{"role": "tool", "content": "rain"}, {"role": "tool", "content": "noon"}]
    named = [
        {"role": "tool", "tool_name": "get_time", "content": "noon"},
        {"role": "tool", "name": "f", "content": "x"},
    ]
    for messages, names in (
        ([two, *plain], ["get_weather", "get_time"]),
        ([two, *named], ["get_time", "f"]),
        ([*plain], ["tool", "tool"]),
        ([called(call("get_time", "{}", "a")), {"role": "tool", "tool_call_id": "a", "content": "noon"}], ["get_time"]),
        ([{"role": "assistant", "function_call": call("get_time", "{}")["function"]}, plain[1]], ["get_time"]),
        ([{"role": "function", "name": "get_time", "content": "noon"}], ["get_time"]),
    ):
        text = written(*messages)[-1]["content"]
        assert re.findall(r"get_weather|get_time|\bf\b|\btool\b", text)[: len(names)] == names


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ('{"city": "Paris"}', {"city": "Paris"}),
        ({"city": "Paris"}, {"city": "Paris"}),
        ("", {}),
        (None, {}),
        ('{"city": "Par', {"arguments": '{"city": "Par'}),
        ("[1]", {"arguments": [1]}),
        (7, {"arguments": 7}),
    ],
)
def test_arguments_in_the_history_are_shown_as_far_as_they_can_be_read(arguments: Any, shown: Json) -> None:
    for message in (
        called(call("f", arguments, "a")),
        {"role": "assistant", "function_call": call("f", arguments)["function"]},
    ):
        text = written(USER, message)[-1]["content"]
        assert json.loads(text.strip("`").removeprefix("json")) == {"name": "f", "arguments": shown}


def test_ollamas_thinking_stays_with_the_assistant() -> None:
    message = {"role": "assistant", "content": "So.", "thinking": "hm", "tool_calls": []}
    assert written(USER, message, kind=OllamaExchange)[-1] == {"role": "assistant", "content": "So.", "thinking": "hm"}


def test_where_no_tool_is_offered_only_the_history_is_written() -> None:
    history = [USER, called(call("get_time", "{}", "a")), {"role": "tool", "tool_call_id": "a", "content": "noon"}]
    exchange = ChatExchange({"messages": history, "response_format": {"type": "json_object"}})
    assert exchange.has_tools
    after = exchange.as_text()
    assert [each["role"] for each in after["messages"]] == ["user", "assistant", "user"]
    assert after["response_format"] == {"type": "json_object"}
    assert not ChatExchange({"messages": [USER]}).has_tools
    assert not ChatExchange({"messages": [{"role": "assistant", "content": None, "tool_calls": None}]}).has_tools


SPELLINGS: list[tuple[Any, str]] = [
    (None, "any"),
    ("auto", "any"),
    ("none", "none"),
    ("required", "must"),
    ("any", "must"),
    ("sometimes", "any"),
    ("get_time", "time"),
    (["get_time"], "any"),
    ({"type": "function", "function": {"name": "get_time"}}, "time"),
    ({"function": {"name": "get_time"}}, "time"),
    ({"type": "function", "name": "get_time"}, "time"),
    ({"type": "tool", "name": "get_time"}, "time"),
    ({"type": "function"}, "any"),
    ({"type": "auto"}, "any"),
    ({"type": "any"}, "must"),
    ({"type": "required"}, "must"),
    ({"type": "none"}, "none"),
    ({"type": "custom", "name": "get_time"}, "none"),
    ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TIME]}}, "may time"),
    ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [TIME, 5]}}, "time"),
    ({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "get_time"}]}, "time"),
    ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}}, "none"),
]


@pytest.mark.parametrize(("choice", "meaning"), SPELLINGS)
def test_the_tool_choice_is_kept_in_all_spellings(choice: Any, meaning: str) -> None:
    exchange = chat(tool_choice=choice)
    names = [tool.name for tool in exchange.turn.callable]
    assert names == {"none": [], "time": ["get_time"], "may time": ["get_time"]}.get(
        meaning, ["get_weather", "get_time"]
    )
    assert ("You must call" in exchange.turn.instructions) == (meaning in ("must", "time"))
    assert not {"tools", "tool_choice"} & set(exchange.as_text())
    allowed = exchange.reply(reply('<tool_call>{"name": "get_time", "arguments": {}}</tool_call>'))
    assert ("tool_calls" in allowed["choices"][0]["message"]) == (meaning != "none")
    forbidden = exchange.reply(reply(tagged()))["choices"][0]["message"]
    assert ("tool_calls" in forbidden) == (meaning in ("any", "must"))


SCHEMA = {"type": "object", "properties": {"a": {}}}


@pytest.mark.parametrize(
    ("demand", "said"),
    [
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": None}, None),
        ({"response_format": {"type": "json_object"}}, "nothing but JSON, without a code fence."),
        ({"response_format": {"type": "json_object", "schema": SCHEMA}}, json.dumps(SCHEMA)),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
            json.dumps(SCHEMA),
        ),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "without a code fence."),
        ({"format": "json"}, "nothing but JSON, without a code fence."),
        ({"format": SCHEMA}, json.dumps(SCHEMA)),
    ],
)
def test_a_demand_for_json_is_said_in_words(demand: Json, said: str | None) -> None:
    after = chat(**demand).as_text()
    assert not {"response_format", "format"} & set(after)
    instructions = after["messages"][0]["content"]
    assert instructions.endswith(said) if said else "nothing but JSON" not in instructions


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ([], "not a JSON object"),
        ("x", "not a JSON object"),
        ({}, "`messages`"),
        ({"messages": {}}, "`messages`"),
        ({"messages": ["x"]}, "`messages`"),
        (request(tools="x"), "`tools`"),
        (request(tools=["x"]), "`tools`"),
        (request(tool_choice={"type": "allowed_tools"}), "`allowed_tools`"),
        (request(tool_choice={"type": "allowed_tools", "allowed_tools": [1]}), "`allowed_tools`"),
    ],
)
def test_what_is_no_chat_request_is_told(body: Any, problem: str) -> None:
    for kind in (ChatExchange, OllamaExchange):
        with pytest.raises(NotReadable, match=problem):
            kind(body)


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}]},
        {"tools": [{"type": "function", "function": {"name": ["f"]}}]},
        {"tools": [{"type": "function", "function": {}}]},
        {"tool_choice": {"type": "function", "function": {"name": "unknown"}}},
    ],
)
def test_mistakes_with_tools_are_the_callers(fields: Json) -> None:
    with pytest.raises(ToolmendError):
        chat(**fields)


def test_other_tools_than_functions_are_the_servers_business() -> None:
    assert chat(tools=[{"type": "web_search"}, TIME]).turn.tools[0].name == "get_time"
    assert not chat(tools=[{"type": "custom", "custom": {"name": "x"}}]).turn.active


# ----------------------------------------------------------------------------------------------- hostile input

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["", tagged(), "function"]),
)
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=4), v, max_size=3))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


@st.composite
def damaged(draw: Any, valid: Any) -> Any:
    """A valid value in which up to three places hold something else, or nothing."""
    body = json.loads(json.dumps(valid))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(body))))
        if not path:
            return draw(VALUES)
        at = body
        for key in path[:-1]:
            at = at[key]
        if draw(st.booleans()):
            at[path[-1]] = draw(VALUES)
        else:
            del at[path[-1]]
    return body


FULL = request(
    messages=[
        {"role": "system", "content": "Be nice."},
        {"role": "user", "content": [{"type": "text", "text": "Go"}, {"type": "image_url", "image_url": {"url": "x"}}]},
        called(call("get_weather", '{"city": "Paris"}', "a"), content=[{"type": "text", "text": "x"}]),
        {"role": "tool", "tool_call_id": "a", "name": "get_weather", "content": "sunny", "images": ["AA=="]},
        {"role": "assistant", "function_call": {"name": "get_time", "arguments": "{"}},
        {"role": "function", "name": "get_time", "content": "noon"},
    ],
    tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TIME]}},
    response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
    stream=True,
)


@given(damaged(FULL), st.sampled_from([ChatExchange, OllamaExchange]))
@settings(max_examples=250)
def test_a_damaged_request_raises_nothing_unexpected(body: Any, kind: type[Exchange]) -> None:
    try:
        exchange = kind(body)
        text = exchange.as_text()
    except (NotReadable, ToolmendError):
        return
    assert isinstance(exchange.model, str)
    assert isinstance(exchange.streams, bool)
    json.dumps(text)
    exchange.reply(reply(tagged()))


NATIVE = {"index": 0, "id": "n", "function": {"index": 0, "name": "get_time", "arguments": "{}"}}
EVENTS = [
    chunk(delta("So. <tool", role="assistant", reasoning="hm"), usage={"total_tokens": 1}),
    chunk(delta(tagged()[5:]), delta("b", index=1)),
    chunk({**delta(tool_calls=[NATIVE]), "logprobs": {}}),
    chunk(delta("x", finish="stop")),
    {"error": {"message": "no"}},
]
LINES = [
    line("So. <tool", message={"thinking": "hm"}, logprobs=[]),
    line(tagged()[5:]),
    line(message={"tool_calls": [NATIVE]}),
    line("x", done=True),
    {"error": "no"},
]


@given(damaged(EVENTS), damaged(LINES), st.booleans())
@settings(max_examples=250)
def test_a_damaged_stream_raises_nothing(events: Any, said: Any, prompted: bool) -> None:
    for kind, data in ((ChatExchange, events), (OllamaExchange, said)):
        for one in (True, False):
            exchange = marked(kind) if prompted else kind(request())
            rows = data if isinstance(data, list) and one else [data]
            raw = [json.dumps(row).encode() for row in rows]
            through(
                exchange, b"".join(b"data: " + row + b"\n\n" if kind is ChatExchange else row + b"\n" for row in raw)
            )


@given(damaged({**reply(tagged(), tool_calls=[NATIVE]), **line(tagged(), done=True)}), st.booleans())
@settings(max_examples=300)
def test_a_damaged_reply_raises_nothing(body: Any, prompted: bool) -> None:
    for kind in (ChatExchange, OllamaExchange):
        (marked(kind) if prompted else kind(request())).reply(body)


@given(
    st.lists(st.binary(max_size=30) | st.sampled_from([b"\n", b"\r", b"data: ", b"{", b"[DONE]", b"\n\n"]), max_size=30)
)
@settings(max_examples=300)
def test_bytes_that_are_no_stream_pass(data: list[bytes]) -> None:
    for make in (chat, ollama):
        assert through(make(), *data) == b"".join(data)


@pytest.mark.parametrize("depth", [300, 450, 900, 100_000])
def test_what_is_nested_too_deeply_passes(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "<tool_call>"}, "x": %b}]}\n\n' % deep
    row = b'{"message": {"content": "<tool_call>"}, "x": %b}\n' % deep
    for exchange, data in ((marked(ChatExchange), event), (marked(OllamaExchange), row)):
        assert b"<tool_call>" in through(exchange, data)
    whole = b'{"choices": [{"message": {"content": "<tool_call>"}, "x": %b}]}' % deep
    assert b"<tool_call>" in Negotiation(marked(ChatExchange), b"", "s", Settings()).reply(whole)
    with pytest.raises(NotReadable, match="not JSON"):
        Settings().open("POST", "/v1/chat/completions", b"[" * 100_000, "s")


# ----------------------------------------------------------------------------------------------- negotiation


def opened(chosen: Settings | None = None, **fields: Any) -> Negotiation:
    raw = json.dumps(request(**fields)).encode()
    negotiation = (chosen or Settings()).open("POST", "/v1/chat/completions", raw, "http://server")
    assert negotiation
    return negotiation


REFUSAL = b'{"error": {"message": "m does not support tools"}}'


def test_requests_without_tools_and_other_paths_are_left_alone() -> None:
    raw = json.dumps({"messages": [USER]}).encode()
    assert Settings().open("POST", "/v1/chat/completions", raw, "s") is None
    assert Settings().open("POST", "/v1/embeddings", b"\x00", "s") is None
    assert Settings().open("GET", "/v1/chat/completions", b"", "s") is None
    with pytest.raises(NotReadable, match="not JSON"):
        Settings().open("POST", "/api/chat", b"\x00", "s")
    assert exchange_class("POST", "/x/chat/completions/") is ChatExchange
    assert exchange_class("POST", "/api/chat") is OllamaExchange


def test_a_caller_is_told_of_a_broken_tool() -> None:
    with pytest.raises(ToolmendError, match="'f'"):
        opened(tools=[{"type": "function", "function": {"name": "f", "parameters": 5}}])
    with pytest.raises(ToolmendError, match="'auto', 'native' or 'prompt'"):
        Settings("never")  # pyright: ignore[reportArgumentType]


def test_a_refusal_is_remembered_for_its_server_and_model() -> None:
    chosen = Settings(refusals=Refusals())
    first = opened(chosen)
    assert "tools" in json.loads(first.sent)
    assert first.sent == json.dumps(request()).encode()
    assert first.refused(400, REFUSAL)
    assert "tools" not in json.loads(first.sent)
    assert not first.refused(400, REFUSAL)  # it has gone out as text: whatever is wrong, it is not the tools
    assert opened(chosen).written
    assert not opened(chosen, model="other").written


@pytest.mark.parametrize(("mode", "written"), [("native", False), ("prompt", True)])
def test_a_mode_that_is_set_holds(mode: Any, written: bool) -> None:
    negotiation = opened(Settings(mode))
    assert negotiation.written == written
    assert not negotiation.refused(400, REFUSAL)


@pytest.mark.parametrize(
    ("status", "body"),
    [(401, REFUSAL), (429, REFUSAL), (200, REFUSAL), (400, b"context too long"), (500, b"\xff"), (503, REFUSAL)],
)
def test_other_errors_are_no_refusal(status: int, body: bytes) -> None:
    assert not opened().refused(status, body)


@pytest.mark.parametrize(
    ("kind", "streams"),
    [
        ("text/event-stream; charset=utf-8", True),
        ("Application/X-NDJSON", True),
        ("application/json", False),
        ("", False),
    ],
)
def test_the_kind_of_a_reply_is_seen_in_its_head(kind: str, streams: bool) -> None:
    assert opened().streams(kind) == streams
    assert opened(stream=True).streams(kind) == (kind != "application/json")


def test_what_was_done_is_told_once() -> None:
    told: list[Recovery] = []
    negotiation = opened(Settings(on_recovery=told.append))
    negotiation.reply(json.dumps(reply(tagged())).encode())
    negotiation.done()
    negotiation.done()
    assert [(each.model, each.server, each.mode, [c.name for c in each.calls]) for each in told] == [
        ("m", "http://server", "native", ["get_weather"])
    ]


def test_a_whole_reply_without_calls_is_the_same_bytes() -> None:
    for raw in (b'{ "choices" : [] }', b"no JSON", json.dumps(reply("Sunny.")).encode()):
        assert opened().reply(raw) is raw


def test_the_options_choose_the_format_of_the_prompt() -> None:
    negotiation = opened(Settings("prompt", Options(prompt_dialect="hermes")))
    assert "<tool_call>" in json.loads(negotiation.sent)["messages"][0]["content"]
