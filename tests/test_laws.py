"""The laws of the parser, as properties: text is built from the fragments of all markers and cut anywhere."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import toolmend
from toolmend import DIALECTS, Event, ReasoningDelta, RenderError, Reply, TextDelta, ToolCall, ToolCallParsed
from toolmend._dialect import Region
from toolmend._toolbox import NotACall, Toolbox

TOOLS = [
    toolmend.ToolSpec(
        name="find_book",
        description="Finds a book.",
        parameters={
            "type": "object",
            "properties": {
                "title": {"type": "string"},
                "max_hits": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                "tags": {"type": "array", "items": {"type": "string"}},
                "where": {"$ref": "#/$defs/Place"},
                "exact": {"type": "boolean"},
                "score": {"type": "number"},
            },
            "$defs": {"Place": {"type": "object", "properties": {"shelf": {"type": "string"}}}},
        },
    ),
    toolmend.ToolSpec(name="ping"),
    toolmend.ToolSpec(
        name="calculate",
        parameters={"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
    ),
]

FRAGMENTS = [
    "<tool_call>", "</tool_call>", "<function=ping>", "<function=find_book>", "<function=", "</function>", "<parameter=title>",
    "<parameter=", "</parameter>", "```json\n", "```\n", "```", "`", "~~~\n", "<think>", "</think>", "[THINK]", "<|im_end|>", "</s>",
    "Tool call: ", "for example", "I will call ", "Calling ", "if ", "find_book(", "ping()", "ping(", "[ping()]", "[", "]", "(", ")",
    "{", "}", '"', "'", "\\", ",", ":", "=", " ", "\n", "\n\n", ".", "?", ". ", "and ", "title=", "max_hits=3", "Dune", "name", "arguments",
    '{"name": "ping", "arguments": {}}', '{"name": "find_book", "arguments": {"title": "Dune"}}', '{"name": "nope", "arguments": {}}',
    '{"name": "ping"}', '{"a": 1}', "'''", '"""', "r'", "\u00e9", "\U0001f600", "\ud800", "\x00", "<", "</", "<|", "tool_call>", "//",
    "<|tool_call|>", "<|/tool_call|>", "<function_call>", "</function_call>", "<tool_calls>", "</tool_calls>", "</answer>", "助手：", "<TOOLCALL>",
    "</TOOLCALL>", "functools", "<|action_start|>", "<|plugin|>", "<|action_end|>", "<|python_tag|>", "; ", "<|START_ACTION|>", "<|END_ACTION|>",
    "<|START_THINKING|>", "<|END_THINKING|>", "<|START_RESPONSE|>", "Action:", "Action: ping", "Action: calculate\n", "Action Input:", "Observation:",
    "Thought: ", "<|tools_prefix|>", "<|tools_suffix|>", "[{", "<|message_sep|>", "function call<|role_sep|>\n", "<|function_call|>",
    "<longcat_tool_call>", "</longcat_tool_call>", "<ifm|tool_calls>", "<ifm|tool_call>", "</ifm|tool_call>", "</ifm|tool_calls>",
    "<|message_model|>", "<|content_invoke_tool_json|>", "<|end_message|>", "<|content_model_end_sampling|>", "<|tool_call_start|>",
    "<|tool_call_end|>", "<function_calls>", "</function_calls>", "<|python_start|>", "<|python_end|>", "[TOOL_REQUEST]", "[END_TOOL_REQUEST]",
    "<tools>", "</tools>", "name: ping\n", "arguments:\n", "  title: ", "- ", "|\n", "  ", '{"ping": {}}', '{"tool_name": "ping", "parameters": {}}',
    "<|tool_calls_section_begin|>", "<|tool_call_begin|>", "functions.ping:0", "functions.find_book:1{",
    "<|tool_call_argument_begin|>", "<|tool_calls_section_end|>", "[TOOL_CALLS]", "[TOOL_CALLS", "[ARGS]",
    "[CALL_ID]a1", "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "function<｜tool▁sep｜>ping\n", "<｜tool▁sep｜>",
    "<｜tool▁call▁end｜>", "<|channel|>", "<|channel|>analysis", "<|channel|>commentary", "<|channel|>final<|message|>",
    " to=functions.ping", " to=ping", " json", "<|constrain|>json", "<|message|>", "<|call|>", "<|end|>", "<|return|>",
    "<|start|>assistant", "analysis", "assistantfinal", "assistantcommentary to=functions.ping json", "<|tool_call>",
    "<tool_call|>", "<|tool_call>call:ping{", "call:ping{", "call:find_book(", '<|"|>', '"|>', "title:", "<escape>",
    "<start_function_call>", "<end_function_call>", "<|channel>thought", "<channel|>", "<turn|>", "<call>", ">>>",
    ">>>all\n", "ping\n{}", "ping{}", 'find_book{"title": "Dune"', "<|plamo:begin_tool_name:plamo|>",
    "<|plamo:end_tool_name:plamo|>", "<|plamo:msg|>", "<|tool_call:begin|>a1", "<|tool_call:name|>",
    "<|tool_call:args|>", "<|calls|>", "<function=ping>{",
    "<function name=", "<function name=\"ping\">", "</function_name>", "<parameter name=\"title\">", "<seed:tool_call>", "</seed:tool_call>",
    "<minimax:tool_call>", "</minimax:tool_call>", "<invoke name=\"ping\">", "<invoke name=find_book>", "<invoke ", "</invoke>", "]<]minimax[>[",
    "]<]minimax[>[<tool_call>", "]<]minimax[>[</tool_call>", "]<]minimax[>[<title>", "]<]minimax[>[</title>", "]<]minimax[>[<item>",
    "<｜DSML｜function_calls>", "</｜DSML｜function_calls>", "<｜DSML｜ invoke name=\"ping\">", "</｜DSML｜invoke>", "<｜｜DSML｜｜tool_calls>",
    "<｜DSML｜parameter name=\"title\" string=\"true\">", "</｜DSML｜parameter>", "<｜tool_calls_begin｜>", "<｜tool_calls_end｜>", "<｜tool_call_begin｜>",
    "<｜tool_call_end｜>", "<steptml:invoke name=\"ping\">", "</steptml:invoke>", "<steptml:parameter name=\"title\">", "</steptml:parameter>",
    "<param name=\"title\">", "<paramname=\"title\">", "</param>", "<![CDATA[", "]]>", "Ġ", "Ċ", "<atem:function_calls>", "</atem:function_calls>",
    "<atem:invoke name=\"ping\">", "</atem:invoke>", "<atem:parameter name=\"title\">", "</atem:parameter>", " to=self<|message|>", "to=ping<|message|>",
    "<|eom|>", "<|open|>tools<|sep|>", "<|close|>tools<|sep|>", "<|open|>call tool=\"ping\" index=\"1\"<|sep|>", "<|close|>call<|sep|>",
    "<|open|>argument key=\"title\" type=\"string\"<|sep|>", "<|close|>argument<|sep|>", "<|open|>json<|sep|>", "<|close|>json<|sep|>",
    "<|close|>response<|sep|>", "<|end_of_msg|>", "<dots_function_call>", "</dots_function_call>", "<tool_call>ping", "<tool_call>find_book\n",
    "<tool_call>find_booktitle", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "<arg_key>title</arg_key>", "<arg_key>max_hits</arg_key>",
    "\\n", "</assistant>", "<tool_call:ab>ping", "<tool_sep>", "<tool_sep:ab>", "</tool_call:ab>", "<arg_key:ab>title</arg_key:ab>", "<name>ping</name>",
    "<name>", "</name>", "<tool_call name=\"ping\">", "<find_book>", "<find_book>\n", "</find_book>", "<title>", "</title>", "<max_hits>3</max_hits>",
    "<ping>", "</ping>", "title: Dune", "title: |\n", "max_hits: 3\n",
    *(dialect.sample for dialect in DIALECTS),
]  # fmt: skip
texts = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), max_size=14).map("".join)


def read(pieces: list[str], *, truncated: bool = False) -> list[Event]:
    parser = toolmend.StreamParser(TOOLS)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return joined([*events, *parser.close(truncated=truncated)])


def joined(events: list[Event]) -> list[Event]:
    """Neighbouring deltas as one: where a stream is cut must not matter."""
    result: list[Event] = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, (TextDelta, ReasoningDelta)) and type(last) is type(event):
            result[-1] = type(event)(last.text + event.text, last.raw + event.raw)
        else:
            result.append(event)
    return result


@settings(max_examples=300)
@given(texts, st.booleans())
@example('<tool_call>{"name": "ping", "arguments": {}}</tool_call>', False)
@example('```json\n{"name": "ping", "arguments": {}}\n````', False)
@example("<tool_call>\n```\n", False)
@example("```<function=ping>\n<think>", False)
def test_lossless_total_and_the_same_in_every_chunking(text: str, truncated: bool) -> None:
    whole = read([text], truncated=truncated)
    assert "".join(event.raw for event in whole) == text
    assert read(list(text), truncated=truncated) == whole
    for cut in range(1, len(text)):
        assert read([text[:cut], text[cut:]], truncated=truncated) == whole


@settings(max_examples=300)
@given(st.text(max_size=60), st.lists(st.integers(1, 60), max_size=4))
def test_any_text_in_any_pieces(text: str, cuts: list[int]) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in pairwise(edges)]
    assert read(pieces) == read([text])


@settings(max_examples=300)
@given(texts)
def test_only_declared_names_become_calls(text: str) -> None:
    names = {tool.name for tool in TOOLS}
    assert all(call.name in names for call in Reply.of(read([text])).calls)


@given(texts)
def test_without_tools_nothing_is_recovered(text: str) -> None:
    parser = toolmend.StreamParser()
    assert joined([*parser.feed(text), *parser.close()]) == ([TextDelta(text, text)] if text else [])


@settings(max_examples=300)
@given(texts)
def test_whole_text_is_the_same_path(text: str) -> None:
    assert toolmend.parse(text, TOOLS) == Reply.of(read([text]))


@settings(max_examples=150)
@given(texts)
def test_a_reply_cut_by_its_length_gives_no_call_that_was_not_there_before_the_cut(text: str) -> None:
    """Whatever comes behind the cut, the calls of the cut reply are the first ones of some whole reply."""
    cut = Reply.of(read([text], truncated=True)).calls
    assert list(cut) == list(Reply.of(read([text])).calls)[: len(cut)]


plain_text = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(FRAGMENTS)
arguments = st.fixed_dictionaries(
    {},
    optional={
        "title": plain_text,
        "max_hits": st.integers() | st.none(),
        "tags": st.lists(plain_text, max_size=3),
        "where": st.fixed_dictionaries({"shelf": plain_text}),
        "exact": st.booleans(),
        "score": st.floats(allow_nan=False, allow_infinity=False),
    },
)
some_calls = st.lists(arguments.map(lambda args: ToolCall(name="find_book", arguments=args)), min_size=1, max_size=3)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@settings(max_examples=300)
@given(calls=some_calls)
def test_what_a_dialect_writes_is_read_back(dialect: toolmend.Dialect, calls: list[ToolCall]) -> None:
    try:
        text = dialect.render_calls(calls)
    except RenderError:
        return
    read_back = Reply.of(read([text])).calls
    assert [(call.name, typed(call.arguments)) for call in read_back] == [
        (call.name, typed(call.arguments)) for call in calls
    ], text


def typed(value: object) -> str:
    """JSON text, so that 1, 1.0 and True differ."""
    return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_the_sample_is_read_by_its_own_dialect_alone(dialect: toolmend.Dialect) -> None:
    events = read([dialect.sample])
    assert [event.dialect for event in events if isinstance(event, ToolCallParsed)] == [dialect.name]
    assert toolmend.parse(dialect.sample, TOOLS).calls[0].arguments["title"] == "Dune"


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_dialect_works_without_the_others(dialect: toolmend.Dialect) -> None:
    reply = toolmend.parse(f"<think>Hm.</think>\n{dialect.sample}", TOOLS, dialects=[dialect])
    assert (reply.reasoning, reply.dialect) == ("Hm.", dialect.name)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_what_a_dialect_cannot_write_it_refuses(dialect: toolmend.Dialect) -> None:
    """Text that is full of markers, and a name with a bracket."""
    for name, title in (("ping", "".join(dialect.sample for dialect in DIALECTS)), ("pi(ng", "Dune")):
        call = ToolCall(name=name, arguments={"title": title})
        try:
            text = dialect.render_calls([call])
        except RenderError:
            continue
        tool = toolmend.ToolSpec(name=name, parameters={"type": "object", "properties": {"title": {"type": "string"}}})
        assert [(c.name, c.arguments) for c in toolmend.parse(text, [tool]).calls] == [(name, call.arguments)]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_dialect_makes_no_more_than_an_objection_to_any_region(dialect: toolmend.Dialect) -> None:
    for sample in ("", "x", *(other.sample for other in DIALECTS)):
        for text in (sample, sample[: len(sample) // 2]):
            with contextlib.suppress(NotACall):
                dialect.parse(Region(text, "", Toolbox(TOOLS)))


def steps(text: str, size: int) -> int:
    """How many lines of our own code run: a measure of work that does not depend on the machine."""
    count = 0

    def trace(frame, event, _argument):
        nonlocal count
        if "toolmend" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    read(pieces)  # what is compiled or found out once, and kept, is not counted
    previous = sys.gettrace()  # a coverage run has one
    sys.settrace(trace)
    try:
        read(pieces)
    finally:
        sys.settrace(previous)
    return count


ADVERSARIAL = [
    "<tool_call>", '<tool_call>{"', "{", '{"', "[", '"', "\\", "\n{", '\n{"name": "ping", "arguments": {', "ping(", "\nping(", "I will call ping(",
    "```json\n{", "```\n", "`", "<function=ping>", "<tool_call><function=ping><parameter=title>", "</parameter>", "<think>", "[ping(", "\n", " ",
    "<think><tool_call>{}", "I will call ping() ", "<|im_end|>", '<tool_call>{"name": "ping", "arguments": {}}', "'", "<",
    '<|tool_call|>[{"name": "ping", "arguments": {}},', "<tool_calls>[", '<TOOLCALL>[{"', "functools[{", "<|action_start|><|plugin|>{",
    '<|python_tag|>{"name": "ping"}; ', '<|START_ACTION|>[{"tool_name": "ping"} ', "Action:\n```json\n[{", "Action: ping\nAction Input: ",
    "\nAction: calculate\nAction Input: 1\n", '<|tools_prefix|>[{"ping": {}}', '<|function_call|>{"name": "ping"}<|message_sep|>',
    '<ifm|tool_calls><ifm|tool_call>{"name": "ping"}</ifm|tool_call>', '<|content_invoke_tool_json|>{"name": "ping"}<|end_message|>',
    "<|tool_call_start|>[ping()]<|tool_call_end|>", "<|tool_call_start|>[ping(), ", "[ping()]<|tool_call_end|>", "<function_calls>\nping()\n", "ping()\n",
    "<|python_start|>[ping(", '[TOOL_REQUEST]{"name": "ping"}[END_', '<tools>{"name": "ping"}', "<tool_call>name: ping\n", " - ", "\n  a:", "<tool_call>name: |\n",
    '<|tool_call_begin|>ping<|tool_call_argument_begin|>{"',
    "<|tool_call_begin|>ping<|tool_call_argument_begin|>{}<|tool_call_end|>", "<|tool_call_begin|>",
    "functions.ping:0{}", "\nfunctions.ping:0{", '[TOOL_CALLS]ping[ARGS]{"', "[TOOL_CALLS]ping[ARGS]{}",
    "[TOOL_CALLS]{} ", "[TOOL_CALLS]", "function<｜tool▁sep｜>ping\n```json\n{}\n```",
    "<｜tool▁call▁begin｜>ping<｜tool▁sep｜>{", "<|channel|>final<|message|>", "<|channel|>analysis<|message|>",
    "<|channel|>commentary to=functions.ping <|constrain|>json<|message|>{",
    "<|start|>assistant to=ping<|message|>{}<|call|>", "<|start|>assistant", "to=",
    "assistantcommentary to=ping json{}", "<|tool_call>call:ping{}<tool_call|>", '<|tool_call>call:ping{a:<|"|>',
    "<|tool_call>call:find_book{title:b,", "<|tool_call>call:find_book(((", "\ncall:ping{}", "\ncall:find_book{title:",
    "<start_function_call>call:ping{a:<escape>b<escape>,", "\nping{}", "\nping\n{}", ">>>ping\n{}", ">>>all\n",
    "<function=ping>{}</function>", "<|tool_call:name|>ping<|tool_call:args|>{}<|tool_call:end|>",
    "<|tool_call:begin|>", "ping[ARGS]{}",
    "<minimax:tool_call><invoke name=ping>", "<invoke name=\"ping\"><parameter name=\"a\">", "<function=ping></function>", "<function=ping><parameter=a>",
    "<parameter=a></parameter>", "<tool_call><function=ping><parameter=a><function=ping><parameter=a>", "<function=find_book>\n<parameter=title>\n",
    "<tool_call><function=ping><parameter=a>x</parameter></function>", "]<]minimax[>[<tool_call>", "]<]minimax[>[<invoke name=ping>]<]minimax[>[<a>",
    "]<]minimax[>[<tool_call>]<]minimax[>[<invoke name=ping>]<]minimax[>[<a>]<]minimax[>[</a>", "<｜DSML｜function_calls><｜DSML｜invoke name=ping>",
    "<｜DSML｜invoke name=ping><｜DSML｜parameter name=a>", "<｜tool_calls_begin｜><｜tool_call_begin｜>", "<steptml:invoke name=ping></steptml:invoke>",
    "<function name=ping><param name=a>", "<function name=ping></function>", "<atem:function_calls><atem:invoke name=ping>", "to=ping<|message|>",
    "<|open|>tools<|sep|><|open|>call tool=\"ping\"<|sep|>", "<|open|>call tool=\"ping\"<|sep|><|open|>argument key=\"a\"<|sep|>",
    "<dots_function_call><invoke name=ping>", "<tool_call>ping</tool_call>", "<tool_call>ping<arg_key>a</arg_key>", "<tool_call>ping{", "<tool_call>ping\\n",
    "<tool_call>find_book<arg_key>title</arg_key><arg_value>", "</arg_value><arg_key>title</arg_key><arg_value>", "<tool_calls><tool_call>ping<tool_sep>",
    "<tool_call><name>ping</name>", "\n<ping></ping>", "\n<find_book><title>", "\n<find_book><title></title>", "\n<find_book>\ntitle: ", "</function>",
    "<tool_call><function=find_book><parameter=title><parameter=title></parameter>", "</tool_call>", "<tool_call><function=find_book><parameter=title></parameter>\n",
]  # fmt: skip


@pytest.mark.parametrize("unit", ADVERSARIAL)
@pytest.mark.parametrize(("size", "length"), [(4, 4000), (1 << 20, 16000)], ids=["stream", "whole"])
def test_work_grows_no_faster_than_the_input(unit: str, size: int, length: int) -> None:
    # A whole text is read in slices, and what half begins at the end of one is looked at once more: there are several.
    small, large = (steps(unit * (characters // len(unit)), size) for characters in (length, 4 * length))
    assert math.log(large / small, 4) < 1.25


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_no_regular_expression_turns_quadratic_on_a_long_value(dialect: toolmend.Dialect) -> None:
    """What matches inside of one expression is no step of ours, so the time counts: two seconds for what takes hundredths."""
    for unit in (" ", "\n", "`", "\\", '"', "'", "<", "(", "</parameter>", " = "):
        call = ToolCall(name="find_book", arguments={"title": unit * (16000 // len(unit))})
        try:
            text = dialect.render_calls([call])
        except RenderError:
            continue
        start = time.process_time()
        found = toolmend.parse(text, TOOLS).calls
        assert time.process_time() - start < 2, unit
        assert [typed(one.arguments) for one in found] == [typed(call.arguments)], unit
