"""The corpus: what models write in each format, and what becomes of it however the text is cut.

A file of `corpus/` without an underscore belongs to the dialect of its name; `_prose.yaml` holds replies without calls,
`_complaints.yaml` what users of servers complain about most, in groups.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

import toolmend
from tests.corpus import DIALECT_FILES, TOOLS, load
from toolmend import RenderError, Reply, TextDelta, ToolCall, ToolCallParsed, Turn, get_dialect

CASE_FIELDS = {"group", "kind", "case", "source", "tools", "text", "expect", "truncated", "render"}
EXPECT_FIELDS = {"text", "calls", "failed", "reasoning", "dialect"}


@dataclass(frozen=True)
class Case:
    """A reply and what it should be taken apart into."""

    file: str
    case: str
    source: str
    tools: Sequence[Any]
    text: str
    expect: dict[str, Any] = field(default_factory=dict)  # nothing: it comes back unchanged
    truncated: bool = False
    render: bool = False
    group: str = ""
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.case}"

    def expected(self) -> dict[str, Any]:
        calls = self.expect.get("calls", [])
        return {
            "text": self.expect.get("text", "" if self.expect else self.text),
            "reasoning": self.expect.get("reasoning", ""),
            "calls": [plain(call["name"], call.get("arguments", {}), call.get("repairs", [])) for call in calls],
            "failed": self.expect.get("failed", []),
            "dialect": self.expect.get("dialect", self.file if calls else None),
        }


def plain(name: str, arguments: dict[str, Any], repairs: Iterable[str]) -> dict[str, Any]:
    """A call in a form where 1, 1.0 and true differ and a mismatch is easy to read."""
    return {"name": name, "arguments": json.dumps(arguments, sort_keys=True), "repairs": list(repairs)}


def cases(name: str) -> list[Case]:
    found = []
    for entry in load(name):
        unknown = entry.keys() - CASE_FIELDS | entry.get("expect", {}).keys() - EXPECT_FIELDS
        assert not unknown, f"{entry['case']}: unknown fields {unknown}"
        sets = entry.get("tools", "library")
        tools = [tool for one in ([sets] if isinstance(sets, str) else sets) for tool in TOOLS[one]]
        found.append(Case(name, **{**entry, "tools": tools}))
    return found


CALLS = [case for name in DIALECT_FILES for case in cases(name)]
PROSE = cases("_prose")
COMPLAINTS = cases("_complaints")
ALL = [*CALLS, *PROSE, *COMPLAINTS]
every_case = pytest.mark.parametrize("case", ALL, ids=str)


def taken_apart(
    case: Case, pieces: Iterable[str], dialects: Sequence[toolmend.Dialect] = toolmend.DIALECTS
) -> dict[str, Any]:
    """Feed a reply in pieces."""
    parser = toolmend.StreamParser(case.tools, dialects=dialects)
    events = [event for piece in pieces for event in parser.feed(piece)]
    events += parser.close(truncated=case.truncated)
    assert "".join(event.raw for event in events) == case.text
    reply = Reply.of(events)
    return {
        "text": reply.text,
        "reasoning": reply.reasoning,
        "calls": [plain(call.name, call.arguments, call.repairs) for call in reply.calls],
        "failed": [event.reason for event in reply.failed],
        "dialect": reply.dialect,
    }


def test_titles_are_unique() -> None:
    titles = [str(case) for case in ALL]
    assert sorted(titles) == sorted(set(titles))


@every_case
def test_whole(case: Case) -> None:
    assert taken_apart(case, [case.text]) == case.expected()


@every_case
def test_character_by_character(case: Case) -> None:
    assert taken_apart(case, case.text) == case.expected()


@every_case
def test_at_three_cuts(case: Case) -> None:
    for seed in range(3):
        cuts = random.Random(f"{case} {seed}").choices(range(len(case.text) + 1), k=3)
        edges = [0, *sorted(cuts), len(case.text)]
        pieces = [case.text[start:end] for start, end in pairwise(edges)]
        assert taken_apart(case, pieces) == case.expected(), pieces


@every_case
def test_as_an_adapter_shows_it(case: Case) -> None:
    """The same calls, with ids; no white space around them; without calls all but the markup of messages."""
    items = Turn(case.tools).read(case.text, truncated=case.truncated)
    calls = [item for item in items if isinstance(item, ToolCall)]
    assert [plain(call.name, call.arguments, call.repairs) for call in calls] == case.expected()["calls"]
    assert len({call.id for call in calls}) == len(calls)
    if not calls:
        parser = toolmend.StreamParser(case.tools)
        events = [*parser.feed(case.text), *parser.close(truncated=case.truncated)]
        shown = "".join(event.text if isinstance(event, TextDelta) else event.raw for event in events)
        assert items == ([shown] if shown else [])
        assert case.file != "_prose" or shown == case.text
        return
    for before, item in zip([None, *items], items, strict=False):
        if isinstance(item, str):
            assert item.strip()
            assert item == item.lstrip() or not isinstance(before, ToolCall)
        elif isinstance(before, str):
            assert before == before.rstrip()


@pytest.mark.parametrize("case", [case for case in ALL if case.expect.get("calls")], ids=str)
def test_a_reply_without_tools_is_left_alone(case: Case) -> None:
    reply = toolmend.parse(case.text)
    assert (reply.text, reply.calls, reply.failed) == (case.text, (), ())


@pytest.mark.parametrize("case", [case for case in CALLS if case.expect.get("calls")], ids=str)
def test_its_calls_are_written_and_read_back(case: Case) -> None:
    dialect = get_dialect(case.file)
    calls = [ToolCall(name=call["name"], arguments=call.get("arguments", {})) for call in case.expect["calls"]]
    try:
        text = dialect.render_calls(calls)
    except RenderError:
        assert not case.render
        return
    if case.render:
        assert text == case.text
    events = [*(parser := toolmend.StreamParser(case.tools)).feed(text), *parser.close()]
    assert {event.dialect for event in events if isinstance(event, ToolCallParsed)} == {case.file}
    read_back = Reply.of(events).calls
    assert [plain(call.name, call.arguments, ()) for call in read_back] == [
        plain(call.name, call.arguments, ()) for call in calls
    ]


def test_every_complaint_is_seen_from_three_sides() -> None:
    groups: dict[str, set[str]] = {}
    for case in COMPLAINTS:
        groups.setdefault(case.group, set()).add(case.kind)
    assert len(groups) == 25
    assert not {group: kinds for group, kinds in groups.items() if kinds != {"wild", "neighbour", "negative"}}


LEADS = load("_leads")
SHAPES = {
    "marked": '<tool_call>{"name": "ping", "arguments": {}}</tool_call>',
    "fenced": '```json\n{"name": "ping", "arguments": {}}\n```',
    "bare": '{"name": "ping", "arguments": {}}',
    "list": "[ping()]",
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("kind", "lead"), [(kind, lead) for kind, leads in LEADS.items() for lead in leads])
def test_what_is_said_before_a_call_tells_whether_it_is_made(kind: str, lead: str, shape: str) -> None:
    made = kind == "made" or (kind == "plain" and shape == "marked")
    for gap in ("\n", "\n\n"):
        reply = toolmend.parse(f"{lead}{gap}{SHAPES[shape]}", TOOLS["library"])
        assert [call.name for call in reply.calls] == ["ping"] * made


@pytest.mark.parametrize("dialect", toolmend.DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    ("lead", "made"),
    [
        ("For example:\n", False),
        ("Here is an example of a call:\n\n", False),
        ("A call would look like this:\n", False),
        ("I would never call this:\n", False),
        ("Now I do it:\n", True),
    ],
)
def test_an_example_may_be_of_several_calls(lead: str, made: bool, dialect: toolmend.Dialect) -> None:
    calls = [
        ToolCall(name="find_book", arguments={"title": "Dune", "max_hits": 3}),
        ToolCall(name="ping", arguments={}),
        ToolCall(name="find_book", arguments={"title": "Emma"}),
    ]
    for count in (1, 2, 3):
        try:
            text = dialect.render_calls(calls[:count])
        except RenderError:
            continue
        found = toolmend.parse(lead + text, TOOLS["library"]).calls
        assert [call.name for call in found] == [call.name for call in calls[:count]] * made


@pytest.mark.parametrize("dialect", toolmend.DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("between", ["\n\nNow I do it:\n", "\n\nI will now make the call.\n", "\n</think>\n"])
def test_behind_an_example_a_call_is_made(between: str, dialect: toolmend.Dialect) -> None:
    shown = dialect.render_calls([ToolCall(name="find_book", arguments={"title": "Dune", "max_hits": 3})])
    try:
        made = dialect.render_calls([ToolCall(name="ping", arguments={})])
    except RenderError:
        made = shown
    reply = toolmend.parse(f"For example:\n{shown}{between}{made}", TOOLS["library"])
    assert [call.name for call in reply.calls] == ["find_book" if made == shown else "ping"]


ANNOUNCEMENTS = load("_announcements")


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in ANNOUNCEMENTS.items() for text in texts])
def test_a_sentence_announces_a_call_or_speaks_of_it(kind: str, text: str) -> None:
    for call in ("find_book(title='Dune')", "find_book(title=Dune)"):
        reply = toolmend.parse(text.replace("CALL", call), TOOLS["library"])
        assert [(call.name, call.arguments) for call in reply.calls] == [("find_book", {"title": "Dune"})] * (
            kind == "made"
        )


def test_replies_without_calls_have_none() -> None:
    assert not [case for case in PROSE if case.expect.get("calls")]
