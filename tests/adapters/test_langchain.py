"""The LangChain adapter around models that only write text."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Annotated, Any, TypedDict

import ollama
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.globals import set_llm_cache
from langchain_core.language_models.fake_chat_models import FakeListChatModel, FakeMessagesListChatModel
from langchain_core.load import dumpd
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import LLMResult
from langchain_core.runnables import RunnableLambda
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode, create_react_agent, tools_condition
from pydantic import BaseModel

from tests.adapters.langchain_scripts import (
    PARIS,
    REFUSAL,
    ROME,
    USAGE,
    WAYS,
    BindingScript,
    ChunkScript,
    Counter,
    Limiter,
    OllamaServer,
    RefusedError,
    Script,
    VllmServer,
    Way,
    call,
    chunk,
    get_time,
    get_weather,
    joined,
    named,
    streaming,
    wrapped,
)
from toolmend import Options, ToolmendError, Turn
from toolmend._forced import response_format
from toolmend.adapters.langchain import FallbackToolChatModel

TOOLS = [get_weather, get_time]
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
ASKED = [("get_weather", {"city": "Paris"})]
BOTH = [*ASKED, ("get_weather", {"city": "Rome"})]

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


def own(message: AIMessage) -> dict[str, Any]:
    """A reply's metadata without our note."""
    return {key: value for key, value in message.response_metadata.items() if key != "toolmend"}


class City(BaseModel):
    """A city."""

    name: str


# ---- calls in text


@every_way
@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_a_call_in_text_becomes_a_tool_call(way: Way, size: int) -> None:
    _, model = wrapped(f"Let me look.\n{PARIS}\n", size=size)
    message = await way(model.bind_tools(TOOLS), "weather?")
    assert message.content == "Let me look."
    assert named(message) == ASKED
    assert message.tool_calls[0]["id"].startswith("call_")
    assert message.tool_calls[0]["type"] == "tool_call"
    assert message.invalid_tool_calls == []


@every_way
async def test_text_on_both_sides_of_a_call_stays_apart(way: Way) -> None:
    _, model = wrapped(f"Let me look.\n{PARIS}\nDone.")
    message = await way(model.bind_tools(TOOLS), "weather?")
    assert message.content == "Let me look.\nDone."


@every_way
async def test_white_space_next_to_a_call_is_no_text(way: Way) -> None:
    _, model = wrapped(f"\n\n{PARIS}\n\n{ROME}\n")
    message = await way(model.bind_tools(TOOLS), "weather?")
    assert message.content == ""
    assert named(message) == BOTH


def test_white_space_next_to_a_call_is_never_streamed() -> None:
    _, model = wrapped(f"\n\n{PARIS}\n\n{ROME}\n", size=1)
    chunks = list(model.bind_tools(TOOLS).stream("weather?"))
    assert [piece.content for piece in chunks if piece.content] == []
    # Nor are there chunks that say nothing: two calls, usage with the reason, the note, the last.
    assert len(chunks) == 5


@every_way
async def test_text_without_calls_keeps_every_character(way: Way) -> None:
    text = "\n It is ```python\nprint()\n``` and\n\n{more}  \n"
    _, model = wrapped(text, size=1)
    message = await way(model.bind_tools(TOOLS), "weather?")
    assert message.content == text
    assert message.tool_calls == []


@every_way
async def test_what_cannot_run_stays_text_and_is_never_an_invalid_call(way: Way) -> None:
    # An invalid call would end the loop of every agent.
    text = f'{call("get_stocks", name="A")} and ```json\n{{"name": "get_weather", "arguments": {{]]]\n```'
    _, model = wrapped(text)
    message = await way(model.bind_tools(TOOLS), "weather?")
    assert message.content == text
    assert (message.tool_calls, message.invalid_tool_calls) == ([], [])


@every_way
async def test_what_a_tool_said_is_not_run(way: Way) -> None:
    _, model = wrapped("", "Let me look.", PARIS)
    history = [
        HumanMessage("weather?"),
        AIMessage("", tool_calls=[{"name": "get_time", "args": {"city": "Oslo"}, "id": "1"}]),
        ToolMessage(f"the page says {PARIS}", tool_call_id="1"),
        AIMessage("hm"),
        HumanMessage("go on"),
    ]
    message = await way(model.bind_tools(TOOLS), history)
    assert message.tool_calls == []
    assert message.content == PARIS
    other = await way(model.bind_tools(TOOLS), [*history[:2], ToolMessage("noon", tool_call_id="1"), *history[3:]])
    assert named(other) == ASKED


@every_way
async def test_batches(way: Way) -> None:
    _, model = wrapped(PARIS)
    bound = model.bind_tools(TOOLS)
    messages = await bound.abatch(["a", "b"]) if way.name.startswith("a") else bound.batch(["a", "b"])
    assert [named(message) for message in messages] == [ASKED, ASKED]


# ---- the end of a reply

UNFINISHED = PARIS.removesuffix("}\n```")


@every_way
@pytest.mark.parametrize("key", ["finish_reason", "done_reason"])
async def test_a_call_cut_off_by_the_limit_never_runs(way: Way, key: str) -> None:
    _, model = wrapped(UNFINISHED, finish={key: "length"})
    message = await way(model.bind_tools(TOOLS), "weather?")
    assert message.tool_calls == []
    assert message.content == UNFINISHED
    assert message.response_metadata[key] == "length"
    _, model = wrapped(UNFINISHED, finish={key: "stop"})
    assert named(await way(model.bind_tools(TOOLS), "weather?")) == ASKED


@every_way
async def test_the_limit_may_be_told_on_the_last_text(way: Way) -> None:
    for reason, calls in (("length", []), ("stop", ASKED)):
        model = streaming(
            chunk(UNFINISHED[:20]),
            chunk(UNFINISHED[20:], response_metadata={"finish_reason": reason}),
            chunk(usage_metadata=USAGE, chunk_position="last"),
        )
        assert named(await way(model, "weather?")) == calls


@every_way
async def test_metadata_and_usage_of_a_reply_are_kept(way: Way) -> None:
    _, model = wrapped(f"Look.\n{PARIS}", finish={"finish_reason": "stop", "model_name": "script-1"})
    message = await way(model.bind_tools(TOOLS), "weather?")
    assert message.usage_metadata == USAGE
    assert own(message) == {"finish_reason": "stop", "model_name": "script-1"}


def test_usage_and_finish_come_once_and_after_all_text() -> None:
    unfinished = f"Look.\n{UNFINISHED}"
    for reply in (
        [chunk(unfinished, usage_metadata=USAGE, info={"finish_reason": "length"})],
        [chunk(unfinished), chunk(usage_metadata=USAGE), chunk(info={"finish_reason": "length"})],
        [
            chunk(unfinished),
            chunk(usage_metadata=USAGE, info={"finish_reason": "length"}),
            chunk(chunk_position="last"),
        ],
    ):
        chunks = list(streaming(*reply).stream("?"))
        assert joined(chunks).content == unfinished
        assert joined(chunks).usage_metadata == USAGE
        assert own(joined(chunks)) == {"finish_reason": "length"}
        first = min(i for i, piece in enumerate(chunks) if piece.usage_metadata or own(piece))
        assert not any(piece.content for piece in chunks[first:])
        assert [piece.chunk_position for piece in chunks].index("last") == len(chunks) - 1


def test_metadata_of_a_chunk_is_not_multiplied_by_its_pieces() -> None:
    model = streaming(chunk(f"{PARIS}\n{ROME}\nok", response_metadata={"system": "x", "model_provider": "y"}))
    message = joined(list(model.stream("?")))
    assert named(message) == BOTH
    assert own(message) == {"system": "x", "model_provider": "y"}


def test_reasoning_streams_on_while_usage_is_told() -> None:
    thought, ends = {"reasoning_content": "hm"}, {"usage_metadata": USAGE, "info": {"finish_reason": "stop"}}
    stream = streaming(*(chunk(additional_kwargs=thought, **ends) for _ in range(3)), chunk(PARIS)).stream("?")
    assert [next(stream).additional_kwargs for _ in range(3)] == [thought] * 3
    held = streaming(chunk("\n"), chunk(additional_kwargs=thought)).stream("?")
    assert next(held).additional_kwargs == thought
    words = ["The sun", " shines", " today."]
    texts = streaming(*(chunk(text, **ends) for text in words)).stream("?")
    assert [next(texts).content for _ in words] == words


def test_providers_that_tell_usage_on_every_chunk_stay_searchable() -> None:
    pieces = [PARIS[i : i + 9] for i in range(0, len(PARIS), 9)]
    model = streaming(*(chunk(piece, usage_metadata=USAGE, info={"finish_reason": "stop"}) for piece in pieces))
    message = joined(list(model.stream("?")))
    assert named(message) == ASKED
    assert message.usage_metadata["total_tokens"] == USAGE["total_tokens"] * len(pieces)


@pytest.mark.parametrize("text", [f"Look.\n{PARIS}", f"Look.\n{UNFINISHED}"], ids=["whole", "unfinished"])
async def test_the_last_chunk_is_last_even_if_it_carries_the_text(text: str) -> None:
    model = FallbackToolChatModel(FakeListChatModel(responses=[text])).bind_tools(TOOLS)
    for chunks in (list(model.stream("?")), [piece async for piece in model.astream("?")]):
        assert [piece.chunk_position for piece in chunks].index("last") == len(chunks) - 1
        assert named(joined(chunks)) == ASKED


@every_way
async def test_an_empty_reply_is_an_empty_message(way: Way) -> None:
    message = await way(streaming(chunk("")), "?")
    assert message.content == ""


# ---- native calls


NATIVE = {"name": "get_time", "args": {"city": "Rome"}, "id": "native", "type": "tool_call"}
NATIVE_CHUNK = {"name": "get_time", "args": '{"city": "Rome"}', "id": "native", "index": 0, "type": "tool_call_chunk"}


async def test_a_message_with_native_calls_is_not_touched() -> None:
    given = AIMessage(f"\n{PARIS}\n", tool_calls=[NATIVE])
    inner = FakeMessagesListChatModel(responses=[given])
    model = FallbackToolChatModel(inner, mode="native").bind_tools(TOOLS)
    for message in (model.invoke("?"), await model.ainvoke("?")):
        assert message.content == f"\n{PARIS}\n"
        assert message.tool_calls == [NATIVE]


@pytest.mark.parametrize("way", WAYS[2:], ids=lambda way: way.name)
async def test_held_text_is_shown_when_a_native_call_comes(way: Way) -> None:
    held, later = f"a\n{PARIS[:-7]}", f"{PARIS[-7:]}\n{PARIS}"
    model = streaming(chunk(held), chunk(tool_call_chunks=[NATIVE_CHUNK]), chunk(later))
    message = await way(model, "?")
    assert message.content == held + later
    assert message.tool_calls == [NATIVE]


def test_held_text_comes_before_the_native_call_of_the_same_chunk() -> None:
    chunks = list(streaming(chunk(UNFINISHED, tool_call_chunks=[NATIVE_CHUNK])).stream("?"))
    assert [(piece.content, bool(piece.tool_call_chunks)) for piece in chunks][:2] == [(UNFINISHED, False), ("", True)]


def test_white_space_between_a_call_in_text_and_a_native_one_is_dropped() -> None:
    message = joined(list(streaming(chunk(f"{PARIS}\n\n"), chunk(tool_call_chunks=[NATIVE_CHUNK])).stream("?")))
    assert message.content == ""
    assert len(message.tool_calls) == 2


def test_native_calls_in_pieces_pass_as_they_are() -> None:
    pieces = [
        {"name": "get_time", "args": "", "id": "a", "index": 0},
        {"name": None, "args": '{"city":', "id": None, "index": 0},
        {"name": "get_weather", "args": "", "id": "b", "index": 1},
        {"name": None, "args": ' "Rome"}', "id": None, "index": 0},
        {"name": None, "args": '{"city": "Oslo"}', "id": None, "index": 1},
    ]
    model = streaming(*(chunk(tool_call_chunks=[piece]) for piece in pieces))
    chunks = list(model.stream("?"))
    assert [(c["index"], c["args"]) for piece in chunks for c in piece.tool_call_chunks] == [
        (piece["index"], piece["args"]) for piece in pieces
    ]
    assert named(joined(chunks)) == [("get_time", {"city": "Rome"}), ("get_weather", {"city": "Oslo"})]


@pytest.mark.parametrize("index", [None, 0], ids=["without index", "all with one index"])
async def test_native_calls_get_an_index_of_their_own(index: int | None) -> None:
    ones = [{**NATIVE_CHUNK, "id": str(i), "index": index} for i in range(3)]
    model = streaming(*(chunk(tool_call_chunks=[one]) for one in ones))
    stream = await model.astream_events("?", version="v3")
    async for _ in stream:
        pass
    message = await stream.output
    assert [one["id"] for one in message.tool_calls] == ["0", "1", "2"]
    assert message.invalid_tool_calls == []


def test_a_native_call_behind_a_call_in_text_has_another_index() -> None:
    model = streaming(chunk(PARIS), chunk(tool_call_chunks=[NATIVE_CHUNK]))
    chunks = list(model.stream("?"))
    indices = [one["index"] for piece in chunks for one in piece.tool_call_chunks]
    assert len(set(indices)) == 2
    assert named(joined(chunks)) == [*ASKED, ("get_time", {"city": "Rome"})]


# ---- parallel calls in v3 streams


async def both_v3(model: Any, question: str) -> list[AIMessage]:
    stream = await model.astream_events(question, version="v3")
    async for _ in stream:
        pass
    sync = model.stream_events(question, version="v3")
    for _ in sync:
        pass
    return [await stream.output, sync.output]


async def test_parallel_calls_in_v3_streams() -> None:
    _, model = wrapped(f"Look.\n{PARIS}\n{ROME}")
    for message in await both_v3(model.bind_tools(TOOLS), "?"):
        assert named(message) == BOTH
        assert message.invalid_tool_calls == []
        assert message.text == "Look."
        assert message.usage_metadata["total_tokens"] == 12


async def test_parallel_native_calls_of_chat_ollama_in_v3_streams() -> None:
    native = [{"name": "get_weather", "arguments": {"city": city}} for city in ("Paris", "Rome")]
    server = OllamaServer([""], accepts=True, native=native)
    for message in await both_v3(FallbackToolChatModel(server.model()).bind_tools(TOOLS), "?"):
        assert named(message) == BOTH
        assert message.invalid_tool_calls == []


# ---- content blocks

BLOCKS = [
    {"type": "reasoning", "reasoning": "hm"},
    {"type": "text", "text": f"Look.\n{PARIS[:20]}"},
    {"type": "text", "text": PARIS[20:]},
    {"type": "image", "url": "http://x.test/a.png"},
]


@every_way
@pytest.mark.parametrize("version", [None, "v1"])
async def test_calls_in_text_blocks(way: Way, version: str | None) -> None:
    metadata = {"output_version": version} if version else {}
    indexed = [{**block, "index": i} for i, block in enumerate(BLOCKS)]
    model = streaming(*(chunk([block], response_metadata=metadata) for block in indexed))
    message = await way(model, "?")
    assert named(message) == ASKED
    assert message.text == "Look."
    kinds = [block["type"] for block in message.content_blocks]
    assert kinds[:2] == ["reasoning", "text"]
    assert sorted(kinds[2:]) == ["image", "tool_call"]


@every_way
async def test_text_and_other_blocks_in_one_chunk(way: Way) -> None:
    image = {"type": "image", "url": "http://x.test/a.png"}
    texts = [{"type": "text", "text": text} for text in ("Look at it.\n", PARIS)]
    message = await way(streaming(chunk([texts[0], image, "Really.\n", texts[1]])), "?")
    assert named(message) == ASKED
    parts = [part if isinstance(part, str) else part.get("text", "image") for part in message.content]
    assert parts == ["Look at it.", "image", "\nReally."]


@every_way
async def test_v1_content(way: Way) -> None:
    _, model = wrapped(f"Look.\n{PARIS}\n{ROME}", output_version="v1")
    message = await way(model.bind_tools(TOOLS), "?")
    assert isinstance(message.content, list)
    assert [block["type"] for block in message.content if block.get("text") != ""] == [
        "text",
        "tool_call",
        "tool_call",
    ]
    assert named(message) == BOTH


# ---- what was done


@every_way
async def test_a_note_tells_what_was_done(way: Way) -> None:
    broken = '<tool_call>{"name": "get_stocks", "arguments": {}}</tool_call>'
    clumsy = "```json\n{'name': 'get_weather', 'arguments': {'city': 'Paris'}}\n```"
    note = {"mode": "native", "dialect": "fenced_json", "repairs": [], "failures": []}
    for text, more in (
        (PARIS, {}),
        (clumsy, {"repairs": ["single quotes"]}),
        (f"{PARIS}\n{broken}", {"failures": ["no tool 'get_stocks' is offered"]}),
        (broken, {"dialect": None, "failures": ["no tool 'get_stocks' is offered"]}),
    ):
        _, model = wrapped(text)
        message = await way(model.bind_tools(TOOLS), "?")
        assert message.response_metadata["toolmend"] == {**note, **more}
    for settings, mode in (({"mode": "prompt"}, "prompt"), ({"refuses": True}, "prompt"), ({"binds": False}, "prompt")):
        _, model = wrapped("Sunny.", **settings)
        for _ in range(2):
            message = await way(model.bind_tools(TOOLS), "?")
            assert message.response_metadata["toolmend"] == {**note, "dialect": None, "mode": mode}


@every_way
async def test_where_nothing_was_done_there_is_no_note(way: Way) -> None:
    _, model = wrapped("Sunny.")
    assert "toolmend" not in (await way(model.bind_tools(TOOLS), "?")).response_metadata
    assert "toolmend" not in (await way(model, "?")).response_metadata
    native = streaming(chunk("Look."), chunk(tool_call_chunks=[NATIVE_CHUNK], chunk_position="last"))
    assert "toolmend" not in (await way(native, "?")).response_metadata


# ---- no tools, tool choice


@every_way
async def test_without_tools_nothing_is_read(way: Way) -> None:
    script, model = wrapped(PARIS)
    message = await way(model, "weather?")
    assert (message.content, message.tool_calls) == (PARIS, [])
    assert script.seen == [([HumanMessage("weather?")], {})]


@every_way
@pytest.mark.parametrize("mode", ["native", "prompt"])
async def test_tool_choice_none(way: Way, mode: str) -> None:
    script, model = wrapped(PARIS, mode=mode)
    message = await way(model.bind_tools(TOOLS, tool_choice="none"), "weather?")
    assert (message.content, message.tool_calls) == (PARIS, [])
    messages, arguments = script.seen[0]
    assert messages == [HumanMessage("weather?")]
    assert [tool["function"]["name"] for tool in arguments.pop("tools", [])] == (
        ["get_weather", "get_time"] if mode == "native" else []
    )
    assert arguments == {}


def offered(choice: Any) -> str:
    return Turn([convert_to_openai_tool(tool) for tool in TOOLS], tool_choice=choice).instructions


NAMED = {"type": "function", "function": {"name": "get_time"}}


@every_way
@pytest.mark.parametrize("choice", ["get_time", NAMED, {"type": "tool", "name": "get_time"}], ids=str)
async def test_only_the_chosen_tool_is_called(way: Way, choice: Any) -> None:
    time = call("get_time", city="Paris")
    script, model = wrapped(f"{PARIS}\n{time}", mode="prompt")
    message = await way(model.bind_tools(TOOLS, tool_choice=choice), "weather?")
    assert named(message) == [("get_time", {"city": "Paris"})]
    assert script.seen[0][0][0].content == offered(["get_time"])


@every_way
@pytest.mark.parametrize("choice", ["any", "required", True, {"type": "any"}], ids=str)
async def test_a_forced_choice_is_said_in_the_prompt(way: Way, choice: Any) -> None:
    script, model = wrapped(PARIS, mode="prompt")
    await way(model.bind_tools(TOOLS, tool_choice=choice), "weather?")
    await way(model.bind_tools(TOOLS, tool_choice="auto"), "weather?")
    said = [messages[0].content for messages, _ in script.seen]
    assert said == [offered("required"), offered("auto")]
    assert said[0] != said[1]


def test_nothing_about_tools_is_sent_beside_the_prompt() -> None:
    script, model = wrapped(PARIS, mode="prompt")
    model.bind_tools(TOOLS).invoke("?", tool_choice="any", parallel_tool_calls=False, temperature=0)
    assert script.seen[0][1] == {"temperature": 0}


@every_way
async def test_a_choice_the_inner_model_drops_is_kept_and_not_sent(way: Way) -> None:
    script, model = wrapped(f"{PARIS}\n{call('get_time', city='Paris')}", mode="native")
    message = await way(model.bind_tools(TOOLS, tool_choice="get_time"), "weather?")
    assert [name for name, _ in named(message)] == ["get_time"]
    assert script.seen[0][1].keys() == {"tools"}


async def test_a_choice_in_the_call_wins_over_the_bound_one() -> None:
    _, model = wrapped(PARIS)
    message = await WAYS[0](model.bind_tools(TOOLS, tool_choice="any"), "weather?", tool_choice="none")
    assert message.tool_calls == []


def test_a_tool_may_be_called_any() -> None:
    tools = [{"name": name, "description": "d", "parameters": {"type": "object"}} for name in ("any", "other")]
    _, model = wrapped(f"{call('any')}\n{call('other')}")
    assert named(model.bind_tools(tools, tool_choice="any").invoke("?")) == [("any", {})]


SEARCH = {"type": "web_search", "name": "web_search"}


class Passing(Script):
    """Binds tools as they come, as models with tools of their own do."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=list(tools), **kwargs)


@pytest.mark.parametrize("mode", ["auto", "prompt"])
def test_tools_of_the_provider_are_passed_on(mode: str) -> None:
    weather = {"name": "get_weather", "description": "d", "input_schema": {"type": "object"}}
    script = Passing(replies=[f"{PARIS}\n{call('web_search')}"])
    model = FallbackToolChatModel(script, mode=mode)
    message = model.bind_tools([SEARCH, weather], tool_choice={"type": "web_search"}).invoke("?")
    assert named(message) == ASKED
    assert SEARCH in script.seen[0][1]["tools"]
    assert (weather in script.seen[0][1]["tools"]) is (mode == "auto")
    alone = model.bind_tools([SEARCH]).invoke("?")
    assert alone.tool_calls == []


def test_tools_in_a_form_of_the_provider_s_own_are_passed_on() -> None:
    own = object()
    script = Passing(replies=[PARIS])
    message = FallbackToolChatModel(script).bind_tools([own, convert_to_openai_tool(get_weather)]).invoke("?")
    assert named(message) == ASKED
    assert script.seen[0][1]["tools"][0] is own


@pytest.mark.parametrize("mode", ["auto", "native", "prompt"])
def test_a_broken_tool_is_told_before_any_request(mode: str) -> None:
    script, model = wrapped(PARIS, mode=mode)
    broken = {"type": "function", "function": {"name": "get_rain", "parameters": {"type": "array"}}}
    with pytest.raises(ToolmendError, match="get_rain"):
        model.bind_tools([get_weather, broken])
    with pytest.raises(ToolmendError, match="get_rain"):
        model.invoke("?", tools=[broken])
    with pytest.raises(ToolmendError, match="get_rain"):
        list(model.stream("?", tools=[broken]))
    with pytest.raises(ToolmendError, match="nope"):
        model.bind_tools([get_weather], tool_choice="nope")
    assert script.seen == []


def test_of_two_tools_with_one_name_the_later_counts() -> None:
    script, model = wrapped(call("get_rain", city="Paris"), mode="prompt")
    first, later = ({"name": "get_rain", "description": text, "parameters": {}} for text in ("first", "later"))
    assert named(model.bind_tools([first, later]).invoke("?")) == [("get_rain", {"city": "Paris"})]
    assert "later" in script.seen[0][0][0].content
    assert "first" not in script.seen[0][0][0].content


# ---- servers that refuse tools


@every_way
async def test_a_refusal_is_answered_with_a_prompt_and_remembered(way: Way) -> None:
    script, model = wrapped(PARIS, refuses=True)
    bound = model.bind_tools(TOOLS)
    assert named(await way(bound, [SystemMessage("Be nice."), HumanMessage("weather?")])) == ASKED
    assert ["tools" in arguments for _, arguments in script.seen] == [True, False]
    system, human = script.seen[1][0]
    assert system.content.startswith("Be nice.\n\n")
    assert '"get_weather"' in system.content
    assert human == HumanMessage("weather?")
    assert named(await way(bound, "weather?")) == ASKED
    assert named(await way(model.bind_tools([get_time, get_weather]), "weather?")) == ASKED
    assert ["tools" in arguments for _, arguments in script.seen[2:]] == [False, False]
    await way(bound, "weather?", model="other")
    assert ["tools" in arguments for _, arguments in script.seen[4:]] == [True, False]


@every_way
async def test_only_auto_mode_asks_again(way: Way) -> None:
    script, model = wrapped(PARIS, refuses=True, mode="native")
    with pytest.raises(RefusedError):
        await way(model.bind_tools(TOOLS), "weather?")
    assert len(script.seen) == 1
    script, model = wrapped(PARIS, refuses=True, mode="prompt")
    assert named(await way(model.bind_tools(TOOLS), "weather?")) == ASKED
    assert "tools" not in script.seen[0][1]


class Failing(BindingScript):
    """Fails with the error it was given."""

    error: Any = None

    def _says(self, messages: Any, arguments: dict[str, Any]) -> str:
        super()._says(messages, arguments)
        raise self.error


@every_way
@pytest.mark.parametrize(
    "error",
    [
        ollama.ResponseError("model 'x' not found", 404),
        ollama.ResponseError("does not support tools", -1),
        ConnectionError("refused"),
        RuntimeError("does not support tools"),
    ],
    ids=repr,
)
async def test_other_errors_pass_unchanged(way: Way, error: Exception) -> None:
    script = Failing(replies=[PARIS], error=error)
    with pytest.raises(type(error)) as caught:
        await way(FallbackToolChatModel(script).bind_tools(TOOLS), "?")
    assert caught.value is error
    assert len(script.seen) == 1


@every_way
async def test_a_refusal_without_tools_in_the_request_passes(way: Way) -> None:
    error = ollama.ResponseError("Conversation roles must alternate user/assistant", 400)
    script = Failing(replies=[PARIS], error=error)
    with pytest.raises(ollama.ResponseError) as caught:
        await way(FallbackToolChatModel(script), "?")
    assert caught.value is error
    assert len(script.seen) == 1


@every_way
@pytest.mark.parametrize("fields", [{}, {"output_version": "v1"}], ids=["v0", "v1"])
@pytest.mark.parametrize("accepts", [True, False], ids=["accepting", "refusing"])
async def test_chat_openai(way: Way, fields: dict[str, Any], accepts: bool) -> None:
    server = VllmServer(f"Look.\n{PARIS}\n{ROME}", accepts=accepts)
    model = FallbackToolChatModel(server.model(**fields))
    message = await way(model.bind_tools([get_weather], tool_choice="any"), "?")
    assert (message.text, named(message)) == ("Look.", BOTH)
    assert message.usage_metadata["total_tokens"] == 12
    assert message.response_metadata["finish_reason"] == "stop"
    assert [block["type"] for block in message.content_blocks if block.get("text") != ""] == [
        "text",
        "tool_call",
        "tool_call",
    ]
    assert server.requests[0]["tool_choice"] == "required"
    if not accepts:
        turn = Turn([convert_to_openai_tool(get_weather)], tool_choice="required")
        assert server.requests[1]["response_format"] == response_format(turn.enforce())
        offer = turn.instructions
        assert server.requests[1]["messages"] == [
            {"role": "system", "content": offer},
            {"role": "user", "content": "?"},
        ]
        assert not {"tools", "tool_choice"} & server.requests[1].keys()
    assert (model.server, model.model_name) == ("http://vllm.test/v1", "mistral")


@pytest.mark.parametrize("way", WAYS[2:], ids=lambda way: way.name)
async def test_a_stream_that_breaks_shows_what_it_held_and_is_not_asked_again(way: Way) -> None:
    error = ollama.ResponseError(REFUSAL, 400)
    script = ChunkScript(chunks=[chunk("Look: "), chunk(PARIS[:-5])], breaks=error)
    model = FallbackToolChatModel(script).bind_tools(TOOLS)
    shown: list[AIMessageChunk] = []

    async def show() -> None:
        if way.name == "stream":
            for piece in model.stream("?"):
                shown.append(piece)  # noqa: PERF402 - what came before the error counts
        else:
            async for piece in model.astream("?"):
                shown.append(piece)  # noqa: PERF401

    with pytest.raises(ollama.ResponseError) as caught:
        await show()
    assert caught.value is error
    assert joined(shown).content == f"Look: {PARIS[:-5]}"
    assert joined(shown).tool_calls == []
    assert len(script.closed) == 1


async def test_a_stream_that_is_given_up_is_closed_at_once() -> None:
    script = ChunkScript(chunks=[chunk("a"), chunk("b")])
    model = FallbackToolChatModel(script)
    stream = model._astream([HumanMessage("?")])
    await anext(stream)
    assert script.closed == []
    await stream.aclose()
    assert script.closed == [True]
    sync = model._stream([HumanMessage("?")])
    next(sync)
    sync.close()
    assert script.closed == [True, True]


@every_way
async def test_models_without_bind_tools_are_prompted(way: Way) -> None:
    script, model = wrapped(PARIS, binds=False)
    assert named(await way(model.bind_tools(TOOLS), "?")) == ASKED
    messages, arguments = script.seen[0]
    assert arguments == {}
    assert '"get_weather"' in messages[0].content
    script, model = wrapped(PARIS, binds=False, mode="native")
    assert named(await way(model.bind_tools(TOOLS, tool_choice="any"), "?")) == ASKED
    messages, arguments = script.seen[0]
    assert messages == [HumanMessage("?")]
    assert arguments.keys() == {"tools"}


class Refusing(Script):
    """Has a `bind_tools` only to say that it has none."""

    def bind_tools(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


def test_models_that_only_pretend_to_bind_are_prompted() -> None:
    script = Refusing(replies=[PARIS])
    assert named(FallbackToolChatModel(script).bind_tools(TOOLS).invoke("?")) == ASKED
    assert script.seen[0][1] == {}


@every_way
async def test_models_that_do_not_stream(way: Way) -> None:
    inner = FakeMessagesListChatModel(responses=[AIMessage(f"Look.\n{PARIS}", usage_metadata=USAGE, name="n")])
    message = await way(FallbackToolChatModel(inner).bind_tools(TOOLS), "?")
    assert message.text == "Look."
    assert named(message) == ASKED
    assert message.usage_metadata == USAGE


# ---- the request as text


def conversation() -> list[AnyMessage]:
    return [
        SystemMessage("Be nice."),
        HumanMessage("Hello."),
        HumanMessage("Weather in Paris and Rome?"),
        AIMessage(
            "Let me look.",
            tool_calls=[
                {"name": "get_weather", "args": {"city": "Paris"}, "id": "1"},
                {"name": "get_weather", "args": {"city": "Rome"}, "id": "2"},
            ],
        ),
        ToolMessage("sunny", tool_call_id="1"),
        ToolMessage("no such city", tool_call_id="2", status="error"),
        HumanMessage("And?"),
        SystemMessage("Be brief."),
    ]


@every_way
async def test_the_request_chat_ollama_sends_after_the_refusal(way: Way) -> None:
    server = OllamaServer(["", "Only Paris is sunny."])
    model = FallbackToolChatModel(server.model()).bind_tools([get_weather], tool_choice="any")
    message = await way(model, conversation())
    assert message.content == "Only Paris is sunny."
    refused, asked = server.requests
    assert [tool["function"]["name"] for tool in refused["tools"]] == ["get_weather"]
    assert asked.keys() == refused.keys() | {"format"}
    assert not asked["tools"]
    system, *others = asked["messages"]
    turn = Turn([convert_to_openai_tool(get_weather)], tool_choice="required")
    assert asked["format"] == turn.enforce()
    offer = turn.instructions
    assert "Tell the weather in a city." in offer
    assert system == {"role": "system", "content": f"Be nice.\n\nBe brief.\n\n{offer}"}
    assert others == [
        {"role": "user", "content": "Hello.\n\nWeather in Paris and Rome?"},
        {"role": "assistant", "content": f"Let me look.\n{PARIS}\n{ROME}"},
        {
            "role": "user",
            "content": '<tool_result name="get_weather">\nsunny\n</tool_result>\n'
            '<tool_result name="get_weather" error>\nno such city\n</tool_result>\n\nAnd?',
        },
    ]


@every_way
async def test_chat_ollama_on_a_server_that_takes_tools(way: Way) -> None:
    server = OllamaServer([f"Look.\n{PARIS}"], accepts=True)
    message = await way(FallbackToolChatModel(server.model()).bind_tools([get_weather]), "?")
    assert named(message) == ASKED
    assert message.text == "Look."
    assert message.response_metadata["done_reason"] == "stop"
    assert message.response_metadata["model_name"] == "gemma"
    assert message.usage_metadata == USAGE
    assert len(server.requests) == 1


def test_history_is_text_even_where_no_tools_are_bound() -> None:
    # Ollama drops results that it has no template for without a word.
    script, model = wrapped("", "Sunny.", mode="prompt")
    model.invoke(conversation())
    roles = [message.type for message in script.seen[0][0]]
    assert roles == ["system", "human", "ai", "human"]
    assert script.seen[0][0][0].content == "Be nice.\n\nBe brief."
    assert "sunny" in script.seen[0][0][3].content
    untouched = [SystemMessage("a"), HumanMessage("b"), HumanMessage("c"), SystemMessage("d")]
    model.invoke(untouched)
    assert script.seen[1][0] == untouched


def test_parts_that_are_no_text_stay_in_the_history() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    script, model = wrapped("", "", "Nice.", mode="prompt")
    model.bind_tools(TOOLS).invoke(
        [
            SystemMessage([{"type": "text", "text": "Be"}, "nice."]),
            HumanMessage([{"type": "text", "text": "Look"}, "there", {"type": "text", "text": "!"}]),
            AIMessage(
                [{"type": "text", "text": "Let me "}, {"type": "text", "text": "look."}],
                tool_calls=[{"name": "get_time", "args": {"city": "Oslo"}, "id": "1"}],
                response_metadata={"output_version": "v1"},
                additional_kwargs={"reasoning_content": "hm", "tool_calls": [{"id": "1"}]},
            ),
            ToolMessage([{"type": "text", "text": "noon"}, image], tool_call_id="1"),
            HumanMessage(["See", image]),
        ]
    )
    system, human, ai, result = script.seen[0][0]
    assert system.content.startswith("Be\nnice.\n\nYou can call tools.")
    assert human.content == "Look\nthere\n!"
    assert ai.content == f"Let me look.\n{call('get_time', city='Oslo')}"
    assert ai.additional_kwargs == {"reasoning_content": "hm"}
    assert (ai.tool_calls, ai.response_metadata) == ([], {})
    assert result.content == [
        {"type": "text", "text": '<tool_result name="get_time">\nnoon\n</tool_result>'},
        image,
        {"type": "text", "text": "See"},
        image,
    ]


def test_roles_by_name_are_understood_and_the_history_is_not_changed() -> None:
    script, model = wrapped("", "Nice.", mode="prompt")
    history = [
        ChatMessage(role="developer", content="Be nice."),
        ChatMessage(role="user", content="Hi."),
        ChatMessage(role="assistant", content="Hello."),
        ChatMessage(role="critic", content="Hm."),
        HumanMessage("Bye."),
    ]
    before = [message.model_copy(deep=True) for message in history]
    model.bind_tools(TOOLS).invoke(history)
    assert history == before
    system, *others = script.seen[0][0]
    assert system.content.startswith("Be nice.\n\nYou can")
    assert others == [HumanMessage("Hi."), AIMessage("Hello."), history[3], HumanMessage("Bye.")]


@pytest.mark.parametrize(
    ("demand", "said"),
    [
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"title": "X"}}}}, '"title": "X"'),
        ({"response_format": City}, '"name"'),
        ({"response_format": {"type": "json_object"}}, "nothing but JSON, without a code fence."),
        ({"format": "json"}, "nothing but JSON, without a code fence."),
        ({"format": {"title": "X"}}, '"title": "X"'),
        ({"response_format": {"type": "text"}}, None),
    ],
    ids=str,
)
def test_an_enforced_answer_format_becomes_words(demand: dict[str, Any], said: str | None) -> None:
    script, model = wrapped(PARIS, mode="prompt")
    assert named(model.bind_tools(TOOLS).invoke("?", **demand)) == ASKED
    messages, arguments = script.seen[0]
    assert arguments == {}
    assert ("write nothing but JSON" in messages[0].content) is (said is not None)
    assert (said or "You can call tools") in messages[0].content
    model.bind_tools(TOOLS, tool_choice="none").invoke("?", **demand)
    assert script.seen[1][1] == demand


# ---- agents and graphs


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def graph(model: Any, *, sync: bool = True) -> Any:
    def thinker(state: State) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    async def athinker(state: State) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(State)
    builder.add_node("thinker", thinker if sync else athinker)
    builder.add_node("tools", ToolNode(TOOLS))
    builder.add_edge(START, "thinker")
    builder.add_conditional_edges("thinker", tools_condition)
    builder.add_edge("tools", "thinker")
    return builder.compile()


QUESTION = {"messages": [{"role": "user", "content": "Weather in Paris and Rome?"}]}
ANSWERS = (f"Let me look.\n{PARIS}\n{ROME}", "Sunny in both.")
TALK = [
    ("human", "Weather in Paris and Rome?"),
    ("ai", "Let me look."),
    ("tool", "sunny in Paris"),
    ("tool", "sunny in Rome"),
    ("ai", "Sunny in both."),
]


def talk(state: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message.type, message.text) for message in state["messages"]]


@pytest.mark.parametrize("mode", ["native", "prompt", "refused"])
@pytest.mark.parametrize("build", ["graph", "create_agent", "create_react_agent"])
@pytest.mark.filterwarnings("ignore:create_react_agent has been moved")
async def test_agents(build: str, mode: str) -> None:
    settings = {"refuses": True} if mode == "refused" else {"mode": mode}
    _, model = wrapped(*ANSWERS, **settings)
    if build == "graph":
        sync, with_await = (graph(model.bind_tools(TOOLS), sync=flag) for flag in (True, False))
    elif build == "create_agent":
        sync = with_await = create_agent(model, TOOLS)
    else:
        sync, with_await = create_react_agent(model, TOOLS), create_react_agent(model.bind_tools(TOOLS), TOOLS)
    counter, usage = Counter(), UsageMetadataCallbackHandler()
    assert talk(sync.invoke(QUESTION, {"callbacks": [counter, usage]})) == TALK
    # One run for each call, with its tokens counted once, though the server may have been asked twice.
    assert (counter.starts, counter.ends) == (2, 2)
    assert usage.usage_metadata["script-1"]["total_tokens"] == 24
    assert talk(await with_await.ainvoke(QUESTION)) == TALK


async def test_streamed_messages_of_an_agent() -> None:
    _, model = wrapped(*ANSWERS, refuses=True, size=3)
    agent = create_agent(model, TOOLS)
    sync = [(piece, data["langgraph_node"]) for piece, data in agent.stream(QUESTION, stream_mode="messages")]
    with_await = [
        (piece, data["langgraph_node"]) async for piece, data in agent.astream(QUESTION, stream_mode="messages")
    ]
    for pieces in (sync, with_await):
        shown = [piece.text for piece, node in pieces if node == "model" and piece.text]
        assert "".join(shown) == "Let me look.Sunny in both."
        assert len(shown) > 4
        calls = [piece.tool_call_chunks for piece, node in pieces if node == "model" and piece.tool_call_chunks]
        assert [one["name"] for chunks in calls for one in chunks] == ["get_weather", "get_weather"]
        assert [one["index"] for chunks in calls for one in chunks] == [0, 1]
        tools = sorted(piece.content for piece, node in pieces if node == "tools")  # they run side by side
        assert tools == ["sunny in Paris", "sunny in Rome"]


async def test_events_v2_of_an_agent() -> None:
    _, model = wrapped(*ANSWERS)
    events = [event async for event in create_agent(model, TOOLS).astream_events(QUESTION, version="v2")]
    kinds = [event["event"] for event in events]
    assert (kinds.count("on_chat_model_start"), kinds.count("on_chat_model_end")) == (2, 2)
    assert (kinds.count("on_tool_start"), kinds.count("on_tool_end")) == (2, 2)
    tokens = [event["data"]["chunk"].text for event in events if event["event"] == "on_chat_model_stream"]
    assert "".join(tokens) == "Let me look.Sunny in both."
    ends = [event["data"]["output"] for event in events if event["event"] == "on_chat_model_end"]
    assert named(ends[0]) == BOTH


async def test_events_v3_of_an_agent() -> None:
    _, model = wrapped(*ANSWERS, refuses=True)
    agent = create_agent(model, TOOLS)
    with_await = await agent.astream_events(QUESTION, version="v3")
    async for _ in with_await:
        pass
    sync = agent.stream_events(QUESTION, version="v3")
    for _ in sync:
        pass
    for state in (await with_await.output(), sync.output):
        assert talk(state) == TALK


class Wrapping(AgentMiddleware):
    """Wraps the model of every request, as an agent that is not one's own may need it."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(request.override(model=FallbackToolChatModel(request.model)))

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return await handler(request.override(model=FallbackToolChatModel(request.model)))


async def test_as_middleware() -> None:
    agent = create_agent(OllamaServer(list(ANSWERS)).model(), TOOLS, middleware=[Wrapping()])
    assert talk(agent.invoke(QUESTION)) == TALK
    assert talk(await agent.ainvoke(QUESTION)) == TALK
    shown = [piece.text for piece, _ in agent.stream(QUESTION, stream_mode="messages") if piece.type != "tool"]
    assert "".join(shown) == "Let me look.Sunny in both."


@pytest.mark.parametrize("mode", ["auto", "prompt"])
@pytest.mark.parametrize("strategy", [City, ToolStrategy(City), ProviderStrategy(City)], ids=["plain", "tool", "json"])
def test_structured_answers_of_agents(strategy: Any, mode: str) -> None:
    final = '{"name": "Paris"}' if isinstance(strategy, ProviderStrategy) else call("City", name="Paris")
    server = OllamaServer([PARIS, final])
    agent = create_agent(FallbackToolChatModel(server.model(), mode=mode), TOOLS, response_format=strategy)
    state = agent.invoke(QUESTION)
    assert state["structured_response"] == City(name="Paris")
    assert next(message.content for message in state["messages"] if message.type == "tool") == "sunny in Paris"
    asked = [request for request in server.requests if not request.get("tools")]
    forced = not isinstance(strategy, ProviderStrategy)
    assert ["format" in request and request["format"] is not None for request in asked] == [forced, forced]


def test_bindings_of_runnables_keep_working() -> None:
    _, model = wrapped(PARIS)
    broken = RunnableLambda(lambda _: 1 / 0)
    assert named(model.bind_tools(TOOLS).with_retry().invoke("?")) == ASKED
    assert named(broken.with_fallbacks([model.bind_tools(TOOLS)]).invoke("?")) == ASKED
    assert named(model.with_fallbacks([model]).bind_tools(TOOLS).invoke("?")) == ASKED
    assert named(model.bind_tools(TOOLS).with_config(tags=["t"]).invoke("?")) == ASKED


# ---- runs and callbacks


async def test_no_token_is_reported_raw_or_twice() -> None:
    _, model = wrapped(f"Look.\n{PARIS}")
    bound = model.bind_tools(TOOLS)
    for way in WAYS:
        counter = Counter()
        await way(bound, "?", config={"callbacks": [counter]})
        assert (counter.starts, counter.ends) == (1, 1)
        assert "".join(counter.tokens) == ("Look." if "stream" in way.name else "")
    counter = Counter()
    for message in await both_v3(bound.with_config(callbacks=[counter]), "?"):
        assert named(message) == ASKED
    assert counter.starts == 2
    assert "".join(counter.tokens) == "Look.Look."


async def test_one_run_inside_another_runnable() -> None:
    _, model = wrapped(PARIS)
    bound = model.bind_tools(TOOLS)
    counter, usage = Counter(), UsageMetadataCallbackHandler()
    config = {"callbacks": [counter, usage]}

    def outer(question: str) -> AIMessage:
        return bound.invoke(question)

    RunnableLambda(outer).invoke("?", config)
    assert (counter.starts, usage.usage_metadata["script-1"]["total_tokens"]) == (1, 12)


async def test_the_inner_model_s_settings_hold() -> None:
    limiter, counter = Limiter(), Counter()
    script, model = wrapped(
        PARIS, rate_limiter=limiter, callbacks=[counter], tags=["mine"], metadata={"who": "me"}, cache=InMemoryCache()
    )
    bound = model.bind_tools(TOOLS)
    for _ in range(2):
        assert named(bound.invoke("?")) == ASKED
    assert len(script.seen) == 1
    assert limiter.count == 1
    assert named(await bound.ainvoke("other")) == ASKED
    assert limiter.count == 2
    assert counter.starts == 3
    assert counter.tags[0] == ["mine"]
    assert counter.metadata[0]["who"] == "me"


def test_what_is_said_on_the_wrapper_wins() -> None:
    script = Script(replies=[PARIS], tags=["inner"], output_version="v1")
    model = FallbackToolChatModel(script, tags=["outer"], output_version="v0")
    assert (model.tags, model.output_version) == (["outer"], "v0")


@pytest.mark.parametrize("value", [True, "tool_calling"])
def test_disabled_streaming_stays_disabled(value: Any) -> None:
    _, model = wrapped(f"a b c {PARIS}", disable_streaming=value)
    assert len(list(model.bind_tools(TOOLS).stream("?"))) == 1
    _, model = wrapped("a b c d e f g")
    assert len(list(model.bind_tools(TOOLS).stream("?"))) > 1


class Streaming(BindingScript):
    """Has the field with which many integrations switch streaming on."""

    streaming: bool = False


def test_the_inner_model_s_streaming_field_holds() -> None:
    for flag, parts in ((True, True), (False, False)):
        counter = Counter()
        model = FallbackToolChatModel(Streaming(replies=["a b c d e f g"], streaming=flag))
        model.bind_tools(TOOLS).invoke("?", {"callbacks": [counter]})
        assert (len(counter.tokens) > 1) is parts
        assert (len(list(model.stream("?"))) > 1) is parts


async def test_two_models_do_not_share_cached_replies() -> None:
    set_llm_cache(InMemoryCache())
    try:
        one, two = OllamaServer(["one"]), OllamaServer(["two"])
        models = [FallbackToolChatModel(one.model("a")), FallbackToolChatModel(two.model("b"))]
        assert [model.invoke("?").content for model in models] == ["one", "two"]
        assert [model.invoke("?").content for model in models] == ["one", "two"]
        assert len(one.requests) == 1
        bound = FallbackToolChatModel(Script(replies=[PARIS])).bind_tools(TOOLS)
        assert bound.invoke("?").tool_calls
        other = FallbackToolChatModel(Script(replies=[PARIS])).bind_tools(TOOLS, tool_choice="none")
        assert not other.invoke("?").tool_calls
    finally:
        set_llm_cache(None)


def test_settings_of_the_inner_model_are_part_of_the_cache_key() -> None:
    models = [FallbackToolChatModel(VllmServer("?").model(temperature=t)) for t in (0.1, 0.1, 0.9)]
    one, same, other = (model._get_llm_string() for model in models)
    assert one == same != other


def test_dialects_are_part_of_the_cache_key() -> None:
    script = Script(replies=[PARIS])
    keys = {
        FallbackToolChatModel(script, **fields)._get_llm_string()
        for fields in ({}, {"mode": "prompt"}, {"options": Options(prompt_dialect="hermes")})
    }
    assert len(keys) == 3


# ---- what the model says about itself


def test_tracing_parameters_name_the_model_that_is_asked() -> None:
    model = FallbackToolChatModel(OllamaServer([""]).model("gemma", temperature=0.5))
    assert model._get_ls_params(stop=["x"]) == {
        "ls_provider": "ollama",
        "ls_model_name": "gemma",
        "ls_model_type": "chat",
        "ls_temperature": 0.5,
        "ls_stop": ["x"],
    }
    assert model._get_ls_params(model="other")["ls_model_name"] == "other"
    assert model.model_name == "gemma"
    assert not hasattr(model, "model")


def test_profile() -> None:
    script = BindingScript(replies=[""], profile={"max_input_tokens": 9, "structured_output": True})
    assert FallbackToolChatModel(script).profile == {
        "max_input_tokens": 9,
        "structured_output": True,
        "tool_calling": True,
    }
    assert FallbackToolChatModel(script, mode="prompt").profile["structured_output"] is False
    assert FallbackToolChatModel(Script(replies=[""])).profile == {"tool_calling": True, "structured_output": False}


def test_tokens_are_counted_by_the_inner_model() -> None:
    script = Script(replies=[""], custom_get_token_ids=lambda text: list(range(len(text))))
    model = FallbackToolChatModel(script)
    assert (model.get_num_tokens("abc"), model.get_token_ids("ab")) == (3, [0, 1])
    assert model.get_num_tokens_from_messages([HumanMessage("abc")]) == script.get_num_tokens_from_messages(
        [HumanMessage("abc")]
    )


class Reporting(Script):
    """Adds up what its results report."""

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        return {"results": len(llm_outputs)}


def test_outputs_are_combined_by_the_inner_model() -> None:
    result: LLMResult = FallbackToolChatModel(Reporting(replies=[""])).generate([[HumanMessage("a")]] * 2)
    assert result.llm_output == {"results": 2}


def test_traces_do_not_show_the_inner_model_s_settings() -> None:
    inner = OllamaServer([""]).model(client_kwargs={"headers": {"Authorization": "Bearer secret"}})
    assert "secret" in repr(inner)
    model = FallbackToolChatModel(inner)
    assert "secret" not in str(dumpd(model)) + repr(model) + str(model)
    assert "gemma" in repr(model)


def test_a_wrapper_around_a_wrapper_works_once() -> None:
    script, model = wrapped(PARIS, refuses=True, tags=["t"])
    twice = FallbackToolChatModel(FallbackToolChatModel(model), metadata={"a": 1})
    assert twice.inner is script
    assert (twice.tags, twice.metadata["a"]) == (["t"], 1)
    assert named(twice.bind_tools(TOOLS).invoke("?")) == ASKED
    assert len(script.seen) == 2
    model.bind_tools(TOOLS).invoke("?")
    assert len(script.seen) == 3
    with pytest.raises(RefusedError):  # what is remembered is no reason to prompt where that is not wanted
        FallbackToolChatModel(model, mode="native").bind_tools(TOOLS).invoke("?")
    options = Options(prompt_dialect="hermes")
    inner = FallbackToolChatModel(script, mode="prompt", options=options)
    kept = FallbackToolChatModel(inner)
    assert (kept.mode, kept.options) == ("prompt", options)
    changed = FallbackToolChatModel(inner, mode="native")
    assert (changed.mode, changed.profile) == ("native", {"tool_calling": True})


def test_by_position_or_by_name() -> None:
    script = Script(replies=[""])
    assert FallbackToolChatModel(script).inner is FallbackToolChatModel(inner=script).inner
    with pytest.raises(ValueError, match="mode"):
        FallbackToolChatModel(script, mode="sometimes")
    with pytest.raises(ValueError, match="options"):
        FallbackToolChatModel(script, options={"prompt_dialect": "hermes"})


def test_options_choose_the_prompted_format() -> None:
    script, model = wrapped(
        '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>',
        mode="prompt",
        options=Options(prompt_dialect="hermes"),
    )
    assert named(model.bind_tools(TOOLS).invoke("?")) == ASKED
    assert "<tool_call>" in script.seen[0][0][0].content


# ---- structured output


@every_way
@pytest.mark.parametrize("schema", [City, City.model_json_schema()], ids=["class", "schema"])
async def test_structured_output_by_calling(way: Way, schema: Any) -> None:
    _, model = wrapped(call("City", name="Paris"), refuses=True)
    chain = model.with_structured_output(schema, include_raw=True)
    if "stream" not in way.name:
        answer = await way(chain, "?")
        assert answer["parsed"] in (City(name="Paris"), {"name": "Paris"})
        assert named(answer["raw"]) == [("City", {"name": "Paris"})]
    plain = model.with_structured_output(schema, method="function_calling", strict=True)
    assert plain.invoke("?") in (City(name="Paris"), {"name": "Paris"})


@pytest.mark.parametrize("method", ["function_calling", "json_mode", "json_schema"])
def test_structured_output_of_a_model_that_knows_only_calls(method: str) -> None:
    _, model = wrapped(call("City", name="Paris"))
    assert model.with_structured_output(City, method=method).invoke("?") == City(name="Paris")


def test_structured_output_by_schema_is_left_to_the_inner_model() -> None:
    server = OllamaServer(['{"name": "Paris"}'])
    model = FallbackToolChatModel(server.model())
    assert model.with_structured_output(City).invoke("?") == City(name="Paris")
    assert server.requests[0]["format"]["title"] == "City"
    assert not server.requests[0].get("tools")
    server.replies = [call("City", name="Paris")]
    assert model.with_structured_output(City, method="function_calling").invoke("?") == City(name="Paris")
    turn = Turn([convert_to_openai_tool(City)], tool_choice="required")
    assert server.requests[-1]["format"] == turn.enforce()
    assert server.requests[-1]["messages"][0]["content"] == turn.instructions


# ---- packaging


def test_only_langchain_core_is_loaded() -> None:
    code = (
        "import sys, toolmend.adapters.langchain\n"
        "roots = {name.partition('.')[0] for name in sys.modules}\n"
        "print(roots & {'langchain', 'langgraph', 'langchain_ollama', 'langchain_openai', 'openai', 'ollama'})"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


async def test_concurrent_requests_do_not_mix() -> None:
    _, model = wrapped(f"a {PARIS} b {ROME}", size=3)
    bound = model.bind_tools(TOOLS)
    messages = await asyncio.gather(*(WAYS[i % 4](bound, "?") for i in range(12)))
    assert all(named(message) == BOTH for message in messages)
    ids = [one["id"] for message in messages for one in message.tool_calls]
    assert len(set(ids)) == 24
