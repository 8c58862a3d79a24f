"""Arguments told while they are written: what the pieces add up to, in every chunking, for whole and broken calls."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import toolmend
from tests.damage import cut, damaged
from tests.test_laws import TOOLS, joined, some_calls, texts
from toolmend import DIALECTS, Event, RenderError, ToolCall, ToolCallDelta, ToolCallFailed, ToolCallParsed
from toolmend._toolbox import Toolbox
from toolmend.parsers._element_dialect import ElementDialect

BOX = Toolbox(tuple(TOOLS))
SHOWING = [d for d in DIALECTS if any(d.deltas(b, "", BOX) for b in d.blocks(BOX) if b.kind == "marked")]


def stream(pieces: Sequence[str], *, show: bool = True, truncated: bool = False) -> list[Event]:
    parser = toolmend.StreamParser(TOOLS, stream_arguments=show)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return [*events, *parser.close(truncated=truncated)]


def shown(events: list[Event]) -> dict[int, tuple[set[str], str]]:
    """For each index: the names its deltas bear, and their arguments, joined."""
    found: dict[int, tuple[set[str], str]] = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            names, sent = found.get(event.index, (set[str](), ""))
            found[event.index] = names | {event.name}, sent + event.arguments
    return found


def check(text: str, edges: Sequence[int], *, truncated: bool = False) -> list[Event]:
    """All laws for one text and one way to cut it; the events."""
    events = stream(cut(text, edges), truncated=truncated)
    others = [event for event in events if not isinstance(event, ToolCallDelta)]
    assert joined(others) == joined(stream([text], show=False, truncated=truncated))
    assert shown(events) == shown(stream([text], truncated=truncated))
    assert shown(events) == shown(stream(list(text), truncated=truncated))
    add_up(events)
    return events


def add_up(events: list[Event]) -> None:
    """Pieces are followed by the calls they add up to, none of them missing, or by a failure."""
    begun: dict[int, str] = {}
    told: set[int] = set()
    for event in events:
        if isinstance(event, ToolCallDelta):
            assert event.index not in told
            assert not event.raw
            begun[event.index] = begun.get(event.index, "") + event.arguments
        elif isinstance(event, ToolCallParsed):
            expected = [json.dumps(call.arguments, ensure_ascii=False) for call in event.calls]
            assert [begun[index] for index in sorted(begun)] == expected
            told |= begun.keys()
            begun = {}
        elif isinstance(event, ToolCallFailed):
            told |= begun.keys()
            begun = {}
        else:
            assert not begun, "text stands between the pieces of a call and its end"
    assert not begun


edges = st.lists(st.integers(0, 10_000), max_size=12)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@settings(max_examples=40)
@given(calls=some_calls, edges=edges)
def test_the_pieces_of_written_calls_add_up(dialect: toolmend.Dialect, calls: list[ToolCall], edges: list[int]) -> None:
    try:
        text = dialect.render_calls(calls)
    except RenderError:
        return
    events = check(text, edges)
    names = [names for _, (names, _) in sorted(shown(events).items())]
    assert names == [{"find_book"}] * len([call for e in events if isinstance(e, ToolCallParsed) for call in e.calls])


@settings(max_examples=300)
@given(text=texts, edges=edges, truncated=st.booleans())
def test_any_text_keeps_the_laws(text: str, edges: list[int], truncated: bool) -> None:
    check(text, edges, truncated=truncated)


@settings(max_examples=150)
@given(text=damaged(SHOWING), edges=edges, truncated=st.booleans())
def test_damaged_calls_keep_the_laws(text: str, edges: list[int], truncated: bool) -> None:
    check(text, edges, truncated=truncated)


def call(arguments: str, name: str = "find_book") -> str:
    return f'<tool_call>{{"name": "{name}", "arguments": {arguments}}}</tool_call>'


@pytest.mark.parametrize(
    "text",
    [
        call('{"title": "a", "title": "b"}'),
        call('{"max_hits": 1, "title": "a", "max_hits": 2}'),
        call('{"title": "a",}'),
        call('{"title": "a" "max_hits": 3}'),
        call('{"title": "a" // here\n}'),
        call('{"title": "a"b"}'),
        call('{"title": "a\nb"}'),
        call('{"title": "a\\qb"}'),
        call('{"title": "\\ud83d\\ude00 \\ud83d \\u00e9"}'),
        call('{"title": "\ud800"}'),
        call("{\"title\": 'a'}"),
        call('{title: "a"}'),
        call('{"title": 5}'),
        call('{"max_hits": "5"}'),
        call('{"max_hits": 5.0, "score": 1e400, "exact": "true"}'),
        call('{"max_hits": 5, "tags": ["a", "b\\n", {"c": [1]}], "where": {"shelf": "x"}}'),
        call('{"max_hits": "' + "1" * 500 + '"}'),
        call('{"max_hits": ' + "1" * 500 + "}"),
        call('{"max_hits": None, "exact": True}'),
        call('{"title": "a", "tags": "[1"}'),
        call('{"title": "a", "tags": ["a" "b"]}'),
        call('{"title": "a", "unknown": 1}'),
        call('{"title": "a"', "find_book"),
        call('{"title": "a"}, "arguments": {"title": "b"}'),
        call('{"title": "a"}, "name": "ping"'),
        call('{"title": "a"}, "parameters": {"title": "b"}'),
        call("{}", "ping"),
        call("{ }"),
        call("null"),
        call('"{\\"title\\": \\"a\\"}"'),
        call('{"title": "a"}', "nope"),
        call('{"title": "a"}', "find\\\\_book"),
        call('{"title": "a"}', "functions.find_book:0"),
        call('{"title": "a"}', "calculate"),
        '<tool_call>{"arguments": {"title": "a"}, "name": "find_book"}</tool_call>',
        '<tool_call>{"name": "find_book", "title": "a"}</tool_call>',
        '<tool_call>{"type": "function", "function": {"name": "find_book", "arguments": {"title": "a"}}}</tool_call>',
        '<tool_call>{"tool_calls": [{"name": "find_book", "arguments": {"title": "a"}}]}</tool_call>',
        '<tool_call>{"find_book": {"title": "a"}}</tool_call>',
        '<tool_call>{"find_book": {"title": "a"}, "ping": {}}</tool_call>',
        '<tool_call>[{"find_book": {"title": "a"}, "ping": {}}, {"find_book": {"title": "b"}}]</tool_call>',
        '<tool_call>{"name": "find_book", "tool": "ping", "arguments": {"title": "a"}}</tool_call>',
        '<tool_call>[{"name": "find_book", "arguments": {"title": "a"}}, {"name": "ping"}]</tool_call>',
        '<tool_call>[{"name": "ping", "arguments": {}}; {"name": "nope", "arguments": {}}]</tool_call>',
        '<tool_call>[{"name": "nope", "arguments": {}}, {"name": "ping", "arguments": {}}]</tool_call>',
        '<tool_call>{"name": "ping"}{"name": "find_book", "arguments": {"title": "a"}}</tool_call>',
        '<tool_call>{"name": "find_book", "args": {"title": "a"}} x</tool_call>' + call('{"title": "b"}'),
        "<think>" + call('{"title": "a"}') + "</think>" + call('{"title": "b"}'),
        "<think>" + call('{"title": "a"}'),
        "```\n" + call('{"title": "a"}') + "\n```",
        call('{"title": "a"}') + " and again " + call('{"title": "a"}'),
        call('{"title": "a"}').removesuffix("}</tool_call>"),
        call('{"title": "a"}').removesuffix('"}}</tool_call>'),
        "<tool_call>{5}</tool_call>",
        "<tool_call>" + "[" * 5000,
        call('{"where": ' + '{"a": ' * 3000),
    ],
)
@pytest.mark.parametrize("truncated", [False, True])
def test_odd_calls_keep_the_laws(text: str, truncated: bool) -> None:
    check(text, range(0, len(text), 7), truncated=truncated)


@pytest.mark.parametrize("dialect", SHOWING, ids=lambda dialect: dialect.name)
def test_a_long_text_is_told_while_it_is_written(dialect: toolmend.Dialect) -> None:
    title = "It was a bright cold day. " * 1200
    text = dialect.render_calls([ToolCall(name="find_book", arguments={"title": title})])
    if '{"' not in text and not isinstance(dialect, ElementDialect):  # its own way is another one
        marker = text[: text.index("find_book")].rstrip("[\n")
        text = marker + json.dumps([{"name": "find_book", "arguments": {"title": title}}])
    middle = text.index(title) + len(title) // 2
    parser = toolmend.StreamParser(TOOLS, stream_arguments=True)
    early = shown([event for piece in cut(text[:middle], range(0, middle, 4)) for event in parser.feed(piece)])
    assert early == {0: ({"find_book"}, '{"title": "' + title[: len(title) // 2])}


def test_a_value_that_has_to_be_fitted_waits_for_its_end() -> None:
    parser = toolmend.StreamParser(TOOLS, stream_arguments=True)
    half = parser.feed('<tool_call>{"name": "find_book", "arguments": {"title": "Dune", "max_hits": "1')
    assert shown(half) == {0: ({"find_book"}, '{"title": "Dune", "max_hits": ')}
    assert shown(parser.feed('2", "exact": t')) == {0: ({"find_book"}, '12, "exact": ')}


CODER = "<function=find_book>\n<parameter=title>\n{title}\n</parameter>\n{more}</function>"
KEYS = "<tool_call>find_book<arg_key>title</arg_key>{value}</tool_call>"
DSML = (
    '<｜DSML｜invoke name="find_book">'
    '<｜DSML｜parameter name="title"{kind}>{value}</｜DSML｜parameter></｜DSML｜invoke>'
)
PARAM = '<function name="find_book"><param name="title">{value}</param>{more}</function>'
NESTED = "]<]minimax[>[<invoke name={name}>{value}]<]minimax[>[</invoke>"


def m3(text: str, name: str = '"find_book"') -> str:
    """A call of MiniMax M3, its arguments written with short tags."""
    return NESTED.format(name=name, value=text.replace("<", "]<]minimax[>[<"))


@pytest.mark.parametrize(
    "text",
    [
        CODER.format(title="a", more=""),
        CODER.format(title="", more=""),
        CODER.format(title="\n", more=""),
        CODER.format(title="\n a\n\n", more="<parameter=max_hits>\n 3\n</parameter>\n"),
        CODER.format(title="a", more="<parameter=max_hits>three</parameter><parameter=exact>true</parameter>"),
        CODER.format(title="a", more="<parameter=title>b</parameter>"),
        CODER.format(title="a", more="<parameter=unknown>b</parameter><parameter=exact>true</parameter>"),
        CODER.format(title="a", more="text between"),
        CODER.format(title='a < b </ c </parameter d <parameterx> \\ " é 😀', more=""),
        CODER.format(title="a\n</parameter>\nb", more=""),
        CODER.format(title="a\n<parameter=b>\nb", more=""),
        CODER.format(title="a\n<parameter=max_hits>\n3", more=""),
        CODER.format(title="a", more="<parameter=max_hits>\n3\n<parameter=exact>\ntrue\n</parameter>\n"),
        CODER.format(title="a\n</tool_call>\nb", more=""),
        CODER.format(title="a\n" + CODER.format(title="b", more="") + "\nc", more=""),
        CODER.format(title="a\n</function>\nb", more="") + CODER.format(title="c", more=""),
        CODER.format(title="a", more="").replace("\n</parameter>", ""),
        CODER.format(title="a", more="").replace("find_book", "nope"),
        CODER.format(title="a", more="").replace("find_book", "functions.find_book"),
        "<tool_call>" + CODER.format(title="a", more="").replace("</function>", "") + "</tool_call>",
        "<tool_call>" + CODER.format(title="a", more="") + CODER.format(title="b", more="") + "</tool_call>",
        "<tool_call>" + CODER.format(title="a", more="") + "<function=nope></function></tool_call>",
        "<tool_call><function=ping></function><function=ping>\n</function></tool_call>",
        '<tool_call><function=find_book>{"title": "a"}</function></tool_call>',
        CODER.format(title="a", more="").removesuffix("</function>"),
        CODER.format(title="a", more="").removesuffix("\n</parameter>\n</function>"),
        "<think>" + CODER.format(title="a", more="") + "</think>" + CODER.format(title="b", more=""),
        KEYS.format(value="<arg_value>a</arg_value>"),
        KEYS.format(value="a</arg_value>"),
        KEYS.format(value="</arg_key><arg_value>a</arg_value>"),
        KEYS.format(value="<arg_value>a<arg_key>b</arg_value>"),
        KEYS.format(value="<arg_value>a<arg_key>b</arg_key>c</arg_value>"),
        KEYS.format(value="<arg_value>a</arg_value><arg_key>max_hits</arg_key><arg_value>3</arg_value>"),
        KEYS.format(value="<arg_value>a</arg_value>").replace("book<arg_key>title", "booktitle"),
        DSML.format(kind=' string="true"', value="a"),
        DSML.format(kind=' string="false"', value='"a"'),
        DSML.format(kind="", value="\na\n"),
        DSML.format(kind="", value="a").replace('"title"', '"arguments"'),
        "<seed:tool_call><function=find_book><parameter=title>\na\n</parameter></function></seed:tool_call>",
        "<seed:tool_call><function=find_book><parameter=title>\na</parameter></function></seed:tool_call>",
        "<seed:tool_call><function=find_book><parameter=title>a\n</parameter></function></seed:tool_call>",
        PARAM.format(value="<![CDATA[<p>a]] > ]]]></p>]]>", more=""),
        PARAM.format(value="\n <![CDATA[\na ]]>\n", more='<param name="max_hits"> <![CDATA[3]]></param>'),
        PARAM.format(value="<![CDATA[]]>", more='<param name="where">{"shelf": "]]>"}</param>'),
        PARAM.format(value="<![CDATA[a]]> b ]]>", more=""),
        PARAM.format(value="<![CDATA[a]]> b", more=""),
        PARAM.format(value="<![CDATA[a", more=""),
        PARAM.format(value="<![CDATA", more=""),
        PARAM.format(value=" " * 40 + "<![CDATA[a]]>", more=""),
        PARAM.format(value=" <![C a", more=""),
        PARAM.format(value="\na\n", more=""),
        PARAM.format(value="<![CDATA[a </param> b]]>", more=""),
        PARAM.format(value="<![CDATA[a </param></function> b]]>", more=""),
        PARAM.format(value="aĠb", more=""),
        PARAM.format(value="aĠb", more='Ċ<param name="max_hits">3</param>'),
        PARAM.format(value="a", more='Ċ<param name="max_hits">3</param>'),
        PARAM.format(value="a", more='<param name="where">{"shelf": "Ġ"}</param>'),
        PARAM.format(value="a", more='<param name="where">{"shelf": "Ġ"}</param>Ċ'),
        PARAM.format(value="a", more='<param name="maxĠhits">3</param>'),
        PARAM.format(value="a</Ġparam> b</", more="Ċ"),
        PARAM.format(value="<![CDATA[aĠb]]>", more="Ċ"),
        PARAM.format(value="a", more="").replace("function name", "functionĠname"),
        m3("<title>a</title><max_hits>3</max_hits><where><shelf>b</shelf></where><exact>true</exact>"),
        m3("<title>a</title><tags><item>b</item></tags><max_hits>3</max_hits>"),
        m3("<tags>b</tags><title>a</title><tags>c</tags>"),
        m3("<tags>b</tags><title>a</title>") + m3("<title>b</title>") + m3("", '"ping"'),
        m3("<title>a</title><title>b</title>"),
        m3("<title>a</title><tags>b</tags><title>c</title>"),
        m3("<title>a<b>c</b></title>"),
        m3("<title>a<b>c</title>"),
        m3("<where><title>b</title></where><title>a</title>"),
        m3("<where><shelf>b</where><title>a</title>"),
        m3('<where>{"shelf": "b"}</where><unknown>1</unknown><title>a</title>'),
        m3("<title>a ] ]< ]<] b</title><max_hits><a>3</a></max_hits>"),
        m3("<title>a</title><max_hits>3"),
    ],
)
@pytest.mark.parametrize("truncated", [False, True])
def test_odd_elements_keep_the_laws(text: str, truncated: bool) -> None:
    check(text, range(0, len(text), 7), truncated=truncated)


def test_elements_are_told_as_far_as_they_are_certain() -> None:
    parser = toolmend.StreamParser(TOOLS, stream_arguments=True)
    assert shown(parser.feed("<tool_call><function=find_book><parameter=title>\n a\n")) == {
        0: ({"find_book"}, '{"title": " a')
    }
    assert shown(parser.feed("b </para")) == {0: ({"find_book"}, "\\nb ")}
    assert shown(parser.feed("meter>\n<parameter=max_hits>1")) == {0: ({"find_book"}, '", "max_hits": ')}
    assert not shown(parser.feed("2</parameter>\n</function"))
    assert shown(parser.feed(">")) == {0: ({"find_book"}, "12}")}


def test_a_section_is_told_as_far_as_it_is_certain() -> None:
    parser = toolmend.StreamParser(TOOLS, stream_arguments=True)
    assert shown(parser.feed('<function name="find_book"><param name="title"> <![CDATA[a <b> ]')) == {
        0: ({"find_book"}, '{"title": "a <b> ')
    }
    assert shown(parser.feed("] c]]> ")) == {0: ({"find_book"}, "]] c")}
    assert not shown(parser.feed(" ]]>\n"))
    assert shown(parser.feed("</param></function>")) == {0: ({"find_book"}, ']]>  "}')}


def test_what_may_become_a_list_waits_for_the_end_of_its_call() -> None:
    parser = toolmend.StreamParser(TOOLS, stream_arguments=True)
    text = m3("<title>a</title><where><shelf>b</shelf></where><tags>c</tags><exact>true</exact>")
    tags, end = text.index("]<]minimax[>[<tags>"), text.index("]<]minimax[>[</invoke>")
    assert shown(parser.feed(text[:tags])) == {0: ({"find_book"}, '{"title": "a", "where": {"shelf": "b"}')}
    assert not shown(parser.feed(text[tags:end]))
    assert shown(parser.feed(text[end:])) == {0: ({"find_book"}, ', "tags": "c", "exact": true}')}


def test_a_call_that_fails_is_said_to_fail() -> None:
    events = check(call('{"title": "a", "exact": ?!', "find_book"), [50, 60, 70])
    assert shown(events)
    assert [type(event) for event in events if not isinstance(event, ToolCallDelta)] == [ToolCallFailed]


def test_nothing_is_told_of_calls_in_a_quotation_before_it_is_known_to_be_none() -> None:
    text = "<think>" + call('{"title": "a"}')
    parser = toolmend.StreamParser(TOOLS, stream_arguments=True)
    assert not shown(parser.feed(text))
    assert shown(parser.close()) == {0: ({"find_book"}, '{"title": "a"}')}
    assert not shown(stream([text + "</think>"]))


def test_a_reply_gathers_the_calls_and_not_their_pieces() -> None:
    events = stream(list(call('{"title": "a"}')))
    assert shown(events)
    assert toolmend.Reply.of(events) == toolmend.parse(call('{"title": "a"}'), TOOLS)


def test_without_the_switch_there_are_no_deltas() -> None:
    assert not shown(stream([call('{"title": "a"}')], show=False))


def test_a_call_that_is_read_differently_than_it_was_shown_fails() -> None:
    events = stream(
        ['<tool_call>{"name": "find_book", "args": {"title": "b"}, "arguments": {"title": "a"}}</tool_call>']
    )
    add_up(events)
    [failed] = [event for event in events if isinstance(event, ToolCallFailed)]
    assert failed.reason == "its arguments changed after they were shown"


def test_a_call_that_was_only_thought_of_is_no_earlier_call() -> None:
    thought = "<think>I could say " + call('{"title": "a"}') + " now.</think>Okay.\n"
    events = check(thought + call('{"title": "a"}'), [30, 90])
    assert shown(events) == {0: ({"find_book"}, '{"title": "a"}')}
