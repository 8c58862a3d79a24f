"""Keys for what is made from a value: the same for what holds the same, and for nothing else."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolmend._frozen import frozen, thawed

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
