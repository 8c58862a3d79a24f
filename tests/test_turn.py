"""A turn: what goes into the request, and what an adapter gets to show and to run."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus import TOOLS
from toolmend import (
    DIALECTS,
    ArgumentsDelta,
    Dialect,
    Options,
    RenderError,
    Reply,
    TextDelta,
    ToolCall,
    ToolCallFailed,
    ToolCallParsed,
    ToolmendError,
    ToolResult,
    ToolSpec,
    Turn,
    UnknownDialect,
    get_dialect,
    parse,
)
from toolmend._dialect import Region
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._turn import Item
from toolmend._types import specs_of

LIBRARY = TOOLS["library"]
PING = '<tool_call>{"name": "ping", "arguments": {}}</tool_call>'
DUNE = '<tool_call>{"name": "find_book", "arguments": {"title": "Dune"}}</tool_call>'


def shown(items: list[Any]) -> list[Any]:
    """Texts as they are, calls by their names."""
    return [item if isinstance(item, str) else (item.name,) for item in items]


class TestToolChoice:
    def test_auto_offers_all(self) -> None:
        turn = Turn(LIBRARY)
        assert turn.active
        assert turn.callable == turn.tools
        assert [tool.name for tool in turn.tools] == ["find_book", "ping"]
        assert shown(turn.read(PING + DUNE)) == [("ping",), ("find_book",)]

    def test_none_offers_nothing_and_recovers_nothing(self) -> None:
        turn = Turn(LIBRARY, tool_choice="none")
        assert not turn.active
        assert turn.instructions == ""
        assert turn.read(PING) == [PING]

    @pytest.mark.parametrize("tools", [[], ()])
    def test_no_tools(self, tools: Any) -> None:
        turn = Turn(tools)
        assert not turn.active
        assert turn.instructions == ""
        assert turn.read(PING) == [PING]

    def test_required_offers_all_and_insists(self) -> None:
        turn = Turn(LIBRARY, tool_choice="required")
        assert turn.instructions.startswith(Turn(LIBRARY).instructions)
        assert turn.instructions.endswith("\n\nYou must call at least one tool now; do not answer without a call.")

    def test_required_with_one_tool_names_it(self) -> None:
        turn = Turn(LIBRARY[1:], tool_choice="required")
        assert turn.instructions.endswith("You must call the tool 'ping' now; do not answer without a call.")

    @pytest.mark.parametrize("choice", [["ping"], ("ping",), {"ping": 1}])
    def test_a_name_offers_that_tool_alone(self, choice: Any) -> None:
        turn = Turn(LIBRARY, tool_choice=choice)
        assert [tool.name for tool in turn.callable] == ["ping"]
        assert '"find_book"' not in turn.instructions
        assert turn.instructions.endswith("You must call the tool 'ping' now; do not answer without a call.")
        assert shown(turn.read(PING)) == [("ping",)]
        assert turn.read(DUNE) == [DUNE]

    def test_several_names(self) -> None:
        turn = Turn([*LIBRARY, *TOOLS["math"]], tool_choice=["calculate", "ping"])
        assert [tool.name for tool in turn.callable] == ["ping", "calculate"]
        assert "You must call at least one tool now" in turn.instructions

    def test_no_name_at_all(self) -> None:
        assert not Turn(LIBRARY, tool_choice=[]).active

    def test_a_tool_that_is_not_offered(self) -> None:
        with pytest.raises(
            ToolmendError, match=r"tool_choice names 'pong', but the tools offered are \['find_book', 'ping'\]"
        ):
            Turn(LIBRARY, tool_choice=["ping", "pong"])

    def test_an_unknown_word(self) -> None:
        with pytest.raises(
            ToolmendError,
            match="tool_choice 'any' is not known; use 'auto', 'none', 'required' or a list of tool names",
        ):
            Turn(LIBRARY, tool_choice="any")  # pyright: ignore[reportArgumentType] - the point

    def test_a_broken_tool(self) -> None:
        with pytest.raises(ToolmendError, match="tool 'f'"):
            Turn([{"name": "f", "parameters": 5}])


class TestOptions:
    def test_an_unknown_prompt_dialect(self) -> None:
        with pytest.raises(UnknownDialect, match=r"no dialect 'hermse'; did you mean 'hermes'\? Known: "):
            Options(prompt_dialect="hermse")

    def test_nothing_near(self) -> None:
        with pytest.raises(LookupError, match=r"no dialect '123'\. Known: .*\bhermes\b"):
            get_dialect("123")

    def test_names_that_servers_use(self) -> None:
        names = {dialect.name for dialect in DIALECTS}
        aliases = [alias for dialect in DIALECTS for alias in dialect.aliases]
        assert len({*names, *aliases}) == len(names) + len(aliases)
        for alias, name in (("qwen3_xml", "qwen3_coder"), ("gpt-oss", "openai"), ("glm47", "glm45"), ("xlam", "json")):
            assert get_dialect(alias).name == name
        assert Turn(LIBRARY, options=Options(prompt_dialect="qwen25"))

    def test_the_prompt_dialect_must_be_one_that_is_read(self) -> None:
        with pytest.raises(UnknownDialect, match="no dialect 'fenced_json'"):
            Options(dialects=(get_dialect("hermes"),))

    def test_only_the_dialects_given_are_read(self) -> None:
        turn = Turn(LIBRARY, options=Options(dialects=(get_dialect("json"),), prompt_dialect="json"))
        assert turn.read(PING) == [PING]
        assert shown(turn.read('{"name": "ping", "arguments": {}}')) == [("ping",)]

    def test_an_outside_dialect(self) -> None:
        class Shout(type(get_dialect("hermes"))):
            name = "shout"

        shout = Shout()
        turn = Turn(LIBRARY, options=Options(dialects=(shout,), prompt_dialect="shout"))
        assert get_dialect("shout", [shout]) is shout
        assert turn.reader().reply.dialect is None
        assert shown(turn.read(PING)) == [("ping",)]

    def test_no_two_dialects_have_one_name(self) -> None:
        assert len({dialect.name for dialect in DIALECTS}) == len(DIALECTS)


class TestInstructions:
    def test_the_tools_are_offered_with_their_schemas(self) -> None:
        text = Turn(LIBRARY).instructions
        assert '{"name": "ping", "description": "Says pong."' in text
        assert '"title": {"type": "string", "title": "Title"}' in text
        assert '```json\n{"name": "tool_name", "arguments": {"argument": "value"}}\n```' in text

    @pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
    def test_every_dialect_can_offer_and_shows_its_own_form(self, dialect: Dialect) -> None:
        turn = Turn(LIBRARY, options=Options(prompt_dialect=dialect.name))
        assert "find_book" in turn.instructions
        example = dialect.render_calls([ToolCall(name="tool_name", arguments={"argument": "value"})])
        assert example in turn.instructions

    @pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
    def test_instructions_repeated_by_the_model_are_no_call(self, dialect: Dialect) -> None:
        turn = Turn(LIBRARY, options=Options(prompt_dialect=dialect.name))
        assert not [item for item in turn.read(turn.instructions) if isinstance(item, ToolCall)]

    def test_not_ascii_stays_readable(self) -> None:
        assert "Sucht Bücher" in Turn([ToolSpec(name="suche", description="Sucht Bücher")]).instructions


class TestRender:
    def test_calls_in_the_prompt_dialect(self) -> None:
        calls = [ToolCall(name="ping", arguments={}), ToolCall(name="find_book", arguments={"title": "Dune"})]
        assert Turn(LIBRARY).render_calls(calls) == (
            '```json\n{"name": "ping", "arguments": {}}\n```\n'
            '```json\n{"name": "find_book", "arguments": {"title": "Dune"}}\n```'
        )
        hermes = Turn(LIBRARY, options=Options(prompt_dialect="hermes"))
        assert hermes.render_calls(calls[:1]) == '<tool_call>\n{"name": "ping", "arguments": {}}\n</tool_call>'

    def test_results(self) -> None:
        results = [
            ToolResult(name="ping", content="pong", call_id="call_1"),
            ToolResult(name="find_book", content="no shelf", is_error=True),
        ]
        assert Turn(LIBRARY).render_results(results) == (
            '<tool_result name="ping">\npong\n</tool_result>\n'
            '<tool_result name="find_book" error>\nno shelf\n</tool_result>'
        )

    @pytest.mark.parametrize(
        ("dialect", "call", "message"),
        [
            ("pythonic", ToolCall(name="web-search", arguments={}), "'web-search' in a call of 'web-search'"),
            ("pythonic", ToolCall(name="f", arguments={"from": 1}), "'from' in a call of 'f' is no Python name"),
            ("pythonic", ToolCall(name="f", arguments={"a b": 1}), "'a b' in a call of 'f' is no Python name"),
            ("pythonic", ToolCall(name="f", arguments={"a": ["\ud800"]}), "holds half a character"),
            ("prose", ToolCall(name="class", arguments={}), "'class' in a call of 'class' is no Python name"),
            (
                "qwen3_coder",
                ToolCall(name="f", arguments={"a": "b</parameter>\n</function>"}),
                "a call of 'f' holds markup that would end it",
            ),
            ("qwen3_coder", ToolCall(name="f", arguments={"a": "x\n<parameter=b>\ny"}), "choose a JSON format"),
            ("gemma4", ToolCall(name="f", arguments={"a": 'b<|"|>'}), r'gemma4 cannot write a text that holds <\|"\|>'),
            ("mistral", ToolCall(name="a b", arguments={}), "the name 'a b' cannot be written in mistral"),
            (
                "minimax_m3",
                ToolCall(name="f", arguments={"a": "]<]minimax[>["}),
                "a text holds the sigil of the format",
            ),
            ("minimax_m3", ToolCall(name="f", arguments={"a": {"b c": 1}}), "'b c' is no name of an element"),
            ("yaml_xml", ToolCall(name="f", arguments={"a b": 1}), "'a b' in a call of 'f' is no plain word"),
        ],
    )
    def test_what_a_dialect_cannot_write(self, dialect: str, call: ToolCall, message: str) -> None:
        with pytest.raises(RenderError, match=message):
            get_dialect(dialect).render_calls([call])

    def test_a_dotted_name_is_a_python_name(self) -> None:
        assert get_dialect("pythonic").render_calls([ToolCall(name="a.b", arguments={"c": 1})]) == "[a.b(c=1)]"

    def test_a_backslash_that_looks_like_half_a_character(self) -> None:
        call = ToolCall(name="f", arguments={"a": "\\ud800"})
        assert get_dialect("pythonic").render_calls([call]) == r"[f(a='\\ud800')]"


class TestEchoes:
    RESULT = f"Found on a page: {PING} and that was it."

    def test_a_call_copied_from_a_result_does_not_run(self) -> None:
        turn = Turn(LIBRARY, echoes=[self.RESULT])
        reader = turn.reader()
        items = [*reader.feed(f"I do it: {PING}"), *reader.close()]
        assert not [item for item in items if isinstance(item, ToolCall)]
        assert [failed.reason for failed in reader.reply.failed] == ["copied from a tool result"]

    def test_white_space_around_does_not_hide_the_copy(self) -> None:
        turn = Turn(LIBRARY, echoes=["x", self.RESULT])
        assert not [item for item in turn.read(f"\n\n{PING}\n") if isinstance(item, ToolCall)]

    def test_another_call_of_the_same_tool_runs(self) -> None:
        turn = Turn(LIBRARY, echoes=[self.RESULT])
        assert shown(turn.read(DUNE)) == [("find_book",)]

    def test_a_generator_of_echoes_serves_every_reader(self) -> None:
        turn = Turn(LIBRARY, echoes=(text for text in [self.RESULT]))
        assert turn.read(PING) == [PING]
        assert turn.read(PING) == [PING]


class TestReader:
    def test_calls_are_complete_and_carry_fresh_ids(self) -> None:
        text = PING + '<tool_call>{"name": "ping", "id": "7", "arguments": {}}</tool_call>'
        calls = [item for item in Turn(LIBRARY).read(text) if isinstance(item, ToolCall)]
        assert [call.name for call in calls] == ["ping", "ping"]
        assert all(re.fullmatch(r"call_[0-9a-f]{24}", call.id or "") for call in calls)
        assert calls[0].id != calls[1].id

    def test_the_events_keep_the_id_that_the_model_wrote(self) -> None:
        parser = Turn(LIBRARY).parser()
        events = parser.feed('<tool_call>{"name": "ping", "id": "7", "arguments": {}}</tool_call>')
        assert [event.calls[0].id for event in events if isinstance(event, ToolCallParsed)] == ["7"]

    @pytest.mark.parametrize("pieces", [1, 3, 1000])
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (f"A b.\n\n{PING}\n\n", ["A b.", ("ping",)]),
            (f"\n\n{PING}", [("ping",)]),
            (f"\n\n A.{PING}", ["\n\n A.", ("ping",)]),
            (f"{PING}\n{DUNE}\n", [("ping",), ("find_book",)]),
            (f"{PING}\n\nB.\n", [("ping",), "B.\n"]),
            (f"{PING}\n B. {DUNE} C. ", [("ping",), "B.", ("find_book",), "C. "]),
            (f"<think>\nHm.\n</think>\n{PING}", ["<think>\nHm.\n</think>", ("ping",)]),
            (f"{PING}<|im_end|>\n", [("ping",)]),
            (f"{PING} <|im_end|> <|endoftext|>", [("ping",)]),
            ("A b. <tool_call>{}</tool_call> B.", ["A b. <tool_call>{}</tool_call> B."]),
            (f"<tool_call>{{}}</tool_call>\n{PING}", ["<tool_call>{}</tool_call>", ("ping",)]),
        ],
    )
    def test_white_space_around_calls_is_never_shown(self, text: str, expected: list[Any], pieces: int) -> None:
        reader = Turn(LIBRARY).reader()
        items: list[Any] = []
        for start in range(0, len(text), pieces):
            items += reader.feed(text[start : start + pieces])
        items += reader.close()
        joined: list[Any] = []
        for item in shown(items):
            if joined and isinstance(item, str) and isinstance(joined[-1], str):
                joined[-1] += item
            else:
                joined.append(item)
        assert joined == expected
        assert all(item for item in items)

    @pytest.mark.parametrize(
        "text", ["", " ", "\n\n", " a ", "a\n\n", "\n a \n b \n", "a <tool_call> b ", "```\n \n```\n "]
    )
    def test_in_a_reply_without_calls_every_character_stays(self, text: str) -> None:
        assert Turn(LIBRARY).read(text) == ([text] if text else [])

    def test_what_is_held(self) -> None:
        reader = Turn(LIBRARY).reader()
        assert reader.held == ""
        assert reader.feed("A b. \n") == ["A b."]
        assert reader.held == " \n"
        assert reader.feed("<tool_call>") == []
        assert reader.held == " \n<tool_call>"
        assert reader.feed('{"name": "ping"') == []
        assert reader.held == ' \n<tool_call>{"name": "ping"'
        assert shown(reader.feed("}</tool_call>")) == [("ping",)]
        assert reader.held == ""

    def test_what_is_held_in_suspense(self) -> None:
        reader = Turn(LIBRARY).reader()
        assert reader.feed(f"<think>a {PING} b") == ["<think>a"]
        assert reader.held == f" {PING} b"
        assert reader.feed("</think>") == [f" {PING} b</think>"]
        assert reader.held == ""

    def test_after_close_nothing_is_held_and_nothing_more_taken(self) -> None:
        reader = Turn(LIBRARY).reader()
        reader.feed("<tool_call>{")
        assert reader.close() == ["<tool_call>{"]
        assert reader.held == ""
        assert reader.close() == []
        with pytest.raises(RuntimeError, match="the parser is closed; make a new one for the next reply"):
            reader.feed("x")

    def test_a_cut_reply_runs_what_was_finished(self) -> None:
        reader = Turn(LIBRARY).reader()
        items = reader.feed(f'{PING}\n<tool_call>{{"name": "find_book", "arg')
        assert shown(items) == [("ping",)]
        assert reader.close(truncated=True) == ['<tool_call>{"name": "find_book", "arg']
        assert Turn(LIBRARY).read(f"{DUNE[:-12]}", truncated=True)[0] != DUNE

    def test_the_reply(self) -> None:
        reader = Turn(LIBRARY).reader()
        reader.feed(f"<think>Hm.</think>A. {PING} B. <tool_call>{{}}</tool_call>")
        reader.close()
        assert reader.reply == Reply(
            text="A.  B. <tool_call>{}</tool_call>",
            reasoning="Hm.",
            calls=(ToolCall(name="ping", arguments={}),),
            failed=(ToolCallFailed("hermes", "<tool_call>{}</tool_call>", "an object without a tool's name"),),
            dialect="hermes",
        )

    @settings(max_examples=200)
    @given(
        st.lists(
            st.sampled_from(["a", " ", "\n", PING, DUNE, "<tool_call>", "<think>", "</think>", "</s>"]), max_size=8
        )
    )
    def test_read_is_a_reader_fed_once(self, parts: list[str]) -> None:
        turn, text = Turn(LIBRARY), "".join(parts)
        reader = turn.reader()
        items = [item for char in text for item in reader.feed(char)] + reader.close()
        assert [item for item in shown(items) if not isinstance(item, str)] == [
            item for item in shown(turn.read(text)) if not isinstance(item, str)
        ]
        assert "".join(item for item in items if isinstance(item, str)) == "".join(
            item for item in turn.read(text) if isinstance(item, str)
        )
        if not any(isinstance(item, ToolCall) for item in items):
            assert turn.read(text) == ([text] if text else [])


def test_a_reply_of_no_events() -> None:
    assert Reply.of([]) == Reply(text="", reasoning="", calls=(), failed=(), dialect=None)


def test_events_of_kinds_to_come_are_ignored() -> None:
    class Parser:
        def feed(self, delta: str) -> list[Any]:
            return [object(), TextDelta(delta, delta)]

    class Later(Turn):
        def parser(self, **_: Any) -> Any:
            return Parser()

    reader = Later(LIBRARY).reader()
    assert reader.feed("a") == ["a"]
    assert reader.reply.text == "a"


class TestArguments:
    """Pieces of a call that is still being written."""

    def items(self, text: str, pieces: int = 1, *, truncated: bool = False) -> list[Item]:
        reader = Turn(LIBRARY).reader(stream_arguments=True)
        items = [item for at in range(0, len(text), pieces) for item in reader.feed(text[at : at + pieces])]
        return items + reader.close(truncated=truncated)

    @pytest.mark.parametrize("pieces", [1, 7, 1000])
    def test_the_pieces_bear_the_id_of_the_call_they_add_up_to(self, pieces: int) -> None:
        items = self.items(f"A.\n{DUNE}\n{PING}\n{DUNE}", pieces)
        calls = [item for item in items if isinstance(item, ToolCall)]
        assert shown(calls) == [("find_book",), ("ping",), ("find_book",)]
        assert len({call.id for call in calls}) == 3
        for call in calls:
            before = items[: items.index(call)]
            of_it = [item for item in before if isinstance(item, ArgumentsDelta) and item.id == call.id]
            assert {item.name for item in of_it} == {call.name}
            assert json.loads("".join(item.arguments or "" for item in of_it)) == call.arguments
            assert all(item.arguments for item in of_it)
        assert len([item for item in items if isinstance(item, ArgumentsDelta)]) > 3 * (pieces == 1)

    def test_several_calls_in_one_region(self) -> None:
        objects = '{"name": "ping", "arguments": {}}\n{"name": "find_book", "arguments": {"title": "Dune"}}'
        items = self.items(f"<tool_call>{objects}</tool_call>")
        calls = [item for item in items if isinstance(item, ToolCall)]
        pieces = [item for item in items if isinstance(item, ArgumentsDelta)]
        assert list(dict.fromkeys(piece.id for piece in pieces)) == [call.id for call in calls]
        assert len(calls) == 2

    @pytest.mark.parametrize(
        ("text", "truncated"),
        [
            (DUNE[:-15], True),
            (DUNE.replace("}}", '}, "name": "ping"}'), False),
            (f"<tool_call>{{}}</tool_call>{DUNE[:-15]}", True),
        ],
    )
    def test_a_call_that_turns_out_broken_is_taken_back(self, text: str, truncated: bool) -> None:
        items = self.items(text, truncated=truncated)
        pieces = [item for item in items if isinstance(item, ArgumentsDelta)]
        assert not [item for item in items if isinstance(item, ToolCall)]
        assert len(pieces) > 1
        assert len({piece.id for piece in pieces}) == 1
        assert all(piece.arguments for piece in pieces[:-1])
        assert pieces[-1].arguments is None
        assert "".join(item for item in items if isinstance(item, str)) == text

    def test_behind_a_broken_call_the_next_has_an_id_of_its_own(self) -> None:
        items = self.items(DUNE.replace("}}", '}, "name": "ping"}') + DUNE)
        broken, whole = dict.fromkeys(item.id for item in items if isinstance(item, ArgumentsDelta))
        assert [item.id for item in items if isinstance(item, ToolCall)] == [whole]
        assert broken != whole

    def test_they_are_for_who_asks_for_them(self) -> None:
        reader = Turn(LIBRARY).reader()
        assert shown(reader.feed(DUNE)) == [("find_book",)]
        reply = reader.reply
        reader = Turn(LIBRARY).reader(stream_arguments=True)
        assert len(reader.feed(DUNE)) == 2
        assert reader.reply == reply


def test_a_dialect_whose_opener_begins_with_anything() -> None:
    class Suffixed(type(get_dialect("json"))):
        name = "suffixed"

        def blocks(self, tools: Any) -> Any:
            return [replace(super().blocks(tools)[0], opener=r"\S{1,8}::\s{0,4}\{")]

    turn = Turn(LIBRARY, options=Options(dialects=(Suffixed(),), prompt_dialect="suffixed"))
    assert shown(turn.read('Hm. call::{"name": "ping", "arguments": {}}')) == ["Hm.", ("ping",)]
    assert turn.read("Hm. a::b") == ["Hm. a::b"]


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"id": "a1", "name": "ping", "arguments": {}}</tool_call>',
        '<tool_call>{"call_id": "a1", "name": "ping", "arguments": {}}</tool_call>',
        '<|START_ACTION|>[{"tool_call_id": "a1", "tool_name": "ping"}]<|END_ACTION|>',
        '[{"id": "a1", "type": "function", "function": {"name": "ping", "arguments": "{}"}}]',
    ],
)
def test_the_id_that_the_model_wrote(text: str) -> None:
    assert [call.id for call in parse(text, LIBRARY).calls] == ["a1"]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_dialect_says_no_to_a_text_that_holds_no_call(dialect: Dialect) -> None:
    for text in ("no call at all", "{", "[", "<", "```\n```", "", "<find_book>\n- title\n</find_book>"):
        try:
            found = dialect.parse(Region(text, "", Toolbox(specs_of(LIBRARY))))
        except NotACall:
            continue
        assert not [item for item in found if isinstance(item, Written)]


def test_what_a_dialect_must_say() -> None:
    class Nothing(Dialect):
        name = "nothing"

    nothing = Nothing()
    with pytest.raises(NotImplementedError):
        nothing.blocks(None)  # pyright: ignore[reportArgumentType] - never looked at
    with pytest.raises(NotImplementedError):
        nothing.parse(None)  # pyright: ignore[reportArgumentType] - never looked at
    with pytest.raises(NotImplementedError):
        nothing.render_calls([])


def test_a_whole_reply_read_at_once_has_no_pieces_of_calls() -> None:
    reader = Turn(LIBRARY).reader(stream_arguments=True)
    [text, call] = reader.read("Look.\n" + PING)
    assert text == "Look."
    assert isinstance(call, ToolCall)
