"""Lenient JSON: what is mended, how it is told, and what is refused because it has no single reading."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus import load
from toolmend._json import NotJSON, Reader, read_value, read_values, strict

ROWS = load("_json")


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['text']!r}" for row in ROWS])
def test_rows(row: dict[str, Any]) -> None:
    assert row.keys() <= {"text", "python", "value", "values", "repairs", "refused"}

    def read() -> tuple[list[Any], tuple[str, ...]]:
        return Reader(row["text"], python=True).values() if row.get("python") else read_values(row["text"])

    if "refused" in row:
        with pytest.raises(NotJSON) as refusal:
            read()
        assert str(refusal.value) == row["refused"]
        return
    values, repairs = read()
    assert [typed(value) for value in values] == [typed(value) for value in row.get("values", [row.get("value")])]
    assert list(repairs) == row.get("repairs", [])


def typed(value: Any) -> str:
    """JSON text, so that 1, 1.0 and True differ."""
    return json.dumps(value)


def test_one_value_is_one() -> None:
    assert read_value('{"a": 1}') == ({"a": 1}, ())
    with pytest.raises(NotJSON, match="2 values where one is wanted"):
        read_value("1 2")


TOO_DEEP = ["[" * 102 + "]" * 102, "[" * 101 + "0" + "]" * 101, '{"a":' * 200 + "1" + "}" * 200, "[" * 50_000]


@pytest.mark.parametrize("text", [*TOO_DEEP, "[" * 900 + "]" * 900], ids=lambda text: f"{text[:6]}{len(text)}")
def test_nesting_has_a_bound(text: str) -> None:
    with pytest.raises(NotJSON, match="nested too deeply"):
        read_values(text)
    with pytest.raises(NotJSON, match="nested too deeply"):
        Reader(text, python=True).values()


@pytest.mark.parametrize("text", ["[" * 101 + "]" * 101, "[" * 100 + "0" + "]" * 100], ids=["empty", "scalar"])
def test_nesting_up_to_the_bound_is_read_by_either_reader(text: str) -> None:
    assert strict(text) == Reader(text).value() == json.loads(text)


def test_a_number_of_five_thousand_digits_is_refused_not_raised() -> None:
    with pytest.raises(NotJSON, match="a number is too long"):
        read_values("1" * 5000)


def test_a_value_in_the_middle_of_a_text_is_read_from_its_start() -> None:
    reader = Reader('x = {"a": 1}; y', 4)
    assert reader.value() == {"a": 1}
    assert reader.text[reader.at :] == "; y"
    assert reader.repairs == ()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300)
@given(values, st.booleans(), st.sampled_from([None, 2]))
def test_what_is_json_needs_no_repair_and_both_readers_agree(value: Any, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    reader = Reader(text)
    assert typed(reader.value()) == typed(value)
    assert reader.repairs == ()
    found, repairs = read_value(text)
    assert (typed(found), repairs) == (typed(value), ())


@settings(max_examples=300)
@given(values)
def test_what_is_python_is_read_as_python_reads_it(value: Any) -> None:
    reader = Reader(repr(value), python=True)
    assert typed(reader.value()) == typed(value)
    assert reader.repairs == ()


@settings(max_examples=500)
@given(st.text("{}[]()\"'\\,:;aut0189.-+eE_xXN# /*\n\ud83d", max_size=24), st.booleans())
def test_any_text_is_read_or_refused_and_numbers_are_finite(text: str, python: bool) -> None:
    try:
        found, _ = Reader(text, python=python).values()
    except NotJSON:
        return
    assert all(math.isfinite(number) for number in numbers(found))


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return numbers(list(value.values()))
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, float) else []
