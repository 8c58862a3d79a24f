"""The laws hold for broken calls, and a half call never runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
import regex
from hypothesis import find, given, settings
from hypothesis import strategies as st

import toolmend
from tests.damage import DAMAGES, Draw, check_laws, damaged, read
from tests.test_laws import TOOLS, some_calls, texts
from toolmend import DIALECTS, RenderError, Reply, ToolCall
from toolmend._openers import Search, openers_of
from toolmend._quotation import Quotation
from toolmend._toolbox import Toolbox

edges = st.lists(st.integers(0, 10_000), max_size=8)


@settings(max_examples=200)
@given(text=damaged(), edges=edges)
def test_the_laws_hold_for_damaged_calls(text: str, edges: list[int]) -> None:
    check_laws(text, edges)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@settings(max_examples=30)
@given(calls=some_calls, data=st.data())
def test_of_a_reply_cut_by_its_length_only_whole_calls_run(
    dialect: toolmend.Dialect, calls: list[ToolCall], data: st.DataObject
) -> None:
    try:
        text = dialect.render_calls(calls)
    except RenderError:
        return
    half = text[: data.draw(st.integers(0, len(text)))]
    run = [json.dumps(call.arguments) for call in Reply.of(read([half], truncated=True)).calls]
    assert run == [json.dumps(call.arguments) for call in calls][: len(run)], half


RICH = (
    '<tool_call>\n{"name": "find_book", "arguments": {"title": "a\\n\\"b\\"", "exact": true, "max_hits": null}}\n'
    "</tool_call> True"
)


@st.composite
def before_and_after(draw: Draw, kind: str) -> tuple[str, str]:
    text = draw(st.sampled_from([RICH, *(dialect.sample for dialect in DIALECTS)]))
    return text, DAMAGES[kind](draw, text)


@pytest.mark.parametrize("kind", sorted(DAMAGES))
def test_every_kind_of_damage_changes_some_reply(kind: str) -> None:
    """A kind that changes nothing would test nothing; `find` raises if there is no such reply."""
    find(before_and_after(kind), lambda pair: pair[0] != pair[1])


OPENERS = openers_of(DIALECTS, Toolbox(TOOLS))
QUOTATIONS = ["<think>", "[THINK]", "<|channel|>analysis<|message|>", "analysis", "```\n", "  ~~~~json\n"]
SEARCHES = [OPENERS.outside, *(OPENERS.inside(Quotation.opened_by(opener).closer) for opener in QUOTATIONS)]


def spot(label: str | None, found: regex.Match[str] | None) -> object:
    return found and found.group() and (found.span(), found.partial, found.partial or label)


def as_one(search: Search, text: str, at: int) -> object:
    """What one alternation of all the expressions finds."""
    expressions = [f"(?P<l{label}>{expression})" for label, expression in search.expressions]
    found = regex.compile("|".join(expressions)).search(text, at, partial=True)
    return spot((found.lastgroup or "")[1:], found) if found else None


@settings(max_examples=300)
@given(text=texts | damaged(), search=st.sampled_from(SEARCHES), at=st.integers(0, 30))
def test_what_is_skipped_would_not_have_opened_anything(text: str, search: Search, at: int) -> None:
    at = min(at, len(text))
    assert (spot(*(search.search(text, at) or (None, None))) or None) == (as_one(search, text, at) or None)


@pytest.mark.parametrize(
    "expression", [r"\w{2}!", r"\n!", r"[^a]b", "(?!)", "(?<![^\\n])a", "(?<=:)a", "(?<=[ab])b", "(?<!:)a", r"\ba"]
)
@given(text=st.text("ab:!\n \u00e9", max_size=8))
def test_any_expression_can_be_searched_for(expression: str, text: str) -> None:
    search = Search([("", expression)])
    assert (spot(*(search.search(text, 0) or (None, None))) or None) == (as_one(search, text, 0) or None)


def test_beginnings_are_not_kept_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolmend._openers._KEPT", 2)
    search = Search([("", "a[b-z]!")])
    found = [search.search(f"ab acx {text}", 0) for text in ("ad!", "ae!", "af!", "ad!")]
    assert [match[1].group() for match in found if match] == ["ad!", "ae!", "af!", "ad!"]
    assert all(len(kept) <= 2 for kept in search._promising)  # pyright: ignore[reportPrivateUsage]


def test_beginnings_may_be_forgotten_at_any_time_by_another_thread() -> None:
    class Forgetful(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            pass

    search = Search([("", "a[b-z]!")])
    search._promising = (Forgetful(), Forgetful())  # pyright: ignore[reportPrivateUsage]
    found = search.search("ab ac!", 0)
    assert found
    assert found[1].group() == "ac!"
