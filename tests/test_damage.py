"""The laws hold for broken calls, and a half call never runs."""

from __future__ import annotations

import json

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

import toolmend
from tests.damage import DAMAGES, Draw, check_laws, damaged, read
from tests.test_laws import some_calls
from toolmend import DIALECTS, RenderError, Reply, ToolCall

edges = st.lists(st.integers(0, 10_000), max_size=8)


@settings(max_examples=300, deadline=None)
@given(text=damaged(), edges=edges)
def test_the_laws_hold_for_damaged_calls(text: str, edges: list[int]) -> None:
    check_laws(text, edges)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@settings(max_examples=30, deadline=None)
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
