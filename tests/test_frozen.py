"""Keys for what is made from a value: the same for what holds the same, and for nothing else."""

from __future__ import annotations

import json
from copy import deepcopy
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolmend._frozen import Snapshot, frozen, thawed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, VALUES)
def test_it_is_the_same_if_and_only_if_the_json_is(value: Any, other: Any) -> None:
    again = json.loads(json.dumps(value))
    assert frozen(again) == frozen(value)
    assert (frozen(value) == frozen(other)) == (json.dumps(value) == json.dumps(other))
    assert json.dumps(thawed(frozen(value) or b"")) == json.dumps(value)


def test_which_parts_are_one_object_does_not_matter() -> None:
    part = ["".join(("a", "b"))]
    assert frozen([part, part]) == frozen([["ab"], ["ab"]])


@pytest.mark.parametrize("value", [object(), MappingProxyType({}), [len]])
def test_what_cannot_be_told(value: Any) -> None:
    assert frozen(value) is None


def test_what_holds_itself() -> None:
    value: list[Any] = []
    value.append(value)
    assert frozen(value) is None


@given(st.lists(VALUES, max_size=3), st.lists(VALUES, max_size=3))
def test_a_snapshot_agrees_with_what_holds_the_same_and_with_nothing_else(row: list[Any], other: list[Any]) -> None:
    snapshot = Snapshot.of([tuple(row)])
    assert snapshot is not None
    assert snapshot.agrees([tuple(json.loads(json.dumps(row)))])
    if snapshot.agrees([tuple(other)]):
        assert json.dumps(row, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert not snapshot.agrees([tuple(row), ()])


@pytest.mark.parametrize("value", [[], {}, ["a"], {"a": "b"}, {"a": 1}, {"a": {}}, [[{"a": "b"}]]])
@pytest.mark.parametrize("more", ["c", 1, True, None])
def test_a_snapshot_sees_what_changes_in_place(value: Any, more: object) -> None:
    value = deepcopy(value)
    snapshot = Snapshot.of([("text", value)])
    inner: Any = value["a"] if value == {"a": {}} else value
    inner.append(more) if isinstance(inner, list) else inner.update(b=more)
    assert snapshot is not None
    assert not snapshot.agrees([("text", value)])


@pytest.mark.parametrize("other", [True, 1.0])
def test_a_snapshot_sees_another_type(other: object) -> None:
    snapshot = Snapshot.of([("text", {"a": 1})])
    assert snapshot is not None
    assert not snapshot.agrees([("text", {"a": other})])


def test_of_what_cannot_be_told_there_is_no_snapshot() -> None:
    assert Snapshot.of([("text", object())]) is None


class Odd:
    """Cannot be compared, as arrays cannot."""

    def __eq__(self, other: object) -> bool:
        raise ValueError

    __hash__ = None


@given(
    st.dictionaries(st.text(max_size=3), VALUES, max_size=3), st.dictionaries(st.text(max_size=3), VALUES, max_size=3)
)
def test_a_snapshot_of_dicts(row: dict[str, Any], other: dict[str, Any]) -> None:
    snapshot = Snapshot.of([row])
    assert snapshot is not None
    assert snapshot.agrees([json.loads(json.dumps(row))])
    if snapshot.agrees([other]):
        assert json.dumps(row, sort_keys=True) == json.dumps(other, sort_keys=True)


@pytest.mark.parametrize("value", [None, "text", {"a": 1}, Odd(), {"a": Odd()}])
def test_what_is_ignored_may_be_anything(value: Any) -> None:
    row = {"text": "a", "beside": value}
    snapshot = Snapshot.of([row], {"beside"})
    assert snapshot is not None
    assert snapshot.agrees([dict(row)])
    assert not snapshot.agrees([{**row, "text": "b"}])
    assert not snapshot.agrees([{"text": "a"}])


def test_what_cannot_be_told_is_only_ignored_in_its_place() -> None:
    assert Snapshot.of([{"text": Odd(), "beside": Odd()}], {"beside"}) is None
    snapshot = Snapshot.of([{"text": "a", "beside": Odd()}], {"beside"})
    assert snapshot is not None
    assert snapshot.agrees([{"text": "a", "beside": "else"}])


@pytest.mark.parametrize("value", [Odd(), [Odd()]])
def test_a_value_that_cannot_be_compared_does_not_raise(value: Any) -> None:
    snapshot = Snapshot.of([{"text": "a", "beside": None}, {"text": "b", "beside": ["c"]}], {"beside"})
    assert snapshot is not None
    assert not snapshot.agrees([{"text": "a", "beside": value}, {"text": "b", "beside": value}])
