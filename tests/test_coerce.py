"""Arguments fitted to schemas: types from the schema, bytes as they were, everything told, nothing guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus import load
from toolmend import ToolSpec
from toolmend._coerce import allows, fit

ROWS = load("_coerce")
FIELDS = {"schema", "defs", "text", "json", "value", "report"}


def tool(schema: Any, defs: Any = None) -> ToolSpec:
    return ToolSpec(name="f", parameters={"type": "object", "properties": {"x": schema}, "$defs": defs or {}})


def title(row: dict[str, Any]) -> str:
    return f"{json.dumps(row['schema'])} {row.get('text', row.get('json'))!r}"


@pytest.mark.parametrize("row", ROWS, ids=title)
def test_rows(row: dict[str, Any]) -> None:
    assert row.keys() <= FIELDS
    assert ("text" in row) != ("json" in row)
    given_value = row["text"] if "text" in row else row["json"]
    fitted, report = fit({"x": given_value}, tool(row["schema"], row.get("defs")), textual="text" in row)
    assert json.dumps(fitted["x"], sort_keys=True) == json.dumps(row["value"], sort_keys=True)
    assert list(report) == row.get("report", [])


def test_what_is_not_declared_is_kept_and_told() -> None:
    declared = tool({"type": "integer"})
    assert fit({"x": 1, "y": "3"}, declared) == ({"x": 1, "y": "3"}, ("y: not declared, kept as written",))
    assert fit({"y": "3"}, declared, textual=True) == ({"y": "3"}, ("y: not declared, kept as written",))


def test_what_is_not_declared_is_not_told_where_anything_goes() -> None:
    assert fit({"y": 3}, ToolSpec(name="f")) == ({"y": 3}, ())
    open_schema = {"type": "object", "properties": {"x": {}}, "additionalProperties": True}
    assert fit({"y": 3}, ToolSpec(name="f", parameters=open_schema)) == ({"y": 3}, ())


def test_the_order_of_the_arguments_is_kept_and_the_given_ones_are_not_changed() -> None:
    written = {"b": "1", "x": ["2"], "a": None}
    fitted, _ = fit(written, tool({"type": "array", "items": {"type": "integer"}}))
    assert list(fitted) == ["b", "x", "a"]
    assert written == {"b": "1", "x": ["2"], "a": None}
    assert fitted["x"] == [2]


@pytest.mark.parametrize(
    ("schema", "kind", "expected"),
    [
        ({"type": "string"}, "string", True),
        ({"type": "string"}, "integer", False),
        ({"type": "number"}, "integer", True),
        ({"type": "integer"}, "number", False),
        ({}, "string", True),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "null", True),
        ({"enum": ["a", 1]}, "integer", True),
    ],
)
def test_allows(schema: Any, kind: str, expected: bool) -> None:
    assert allows(kind, schema, {}) is expected


def test_deep_values_under_a_schema_that_refers_to_itself() -> None:
    spec = tool({"$ref": "#/$defs/L"}, {"L": {"type": "array", "items": {"$ref": "#/$defs/L"}}})
    deep = "[" * 5000 + "]" * 5000
    assert fit({"x": deep}, spec, textual=True)[0] == {"x": deep}
    shallow = "[" * 90 + "]" * 90
    assert json.dumps(fit({"x": shallow}, spec, textual=True)[0]["x"]) == shallow


kinds = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object", "float", "any"])
schemas = st.recursive(
    st.fixed_dictionaries({"type": kinds | st.lists(kinds, max_size=3)})
    | st.fixed_dictionaries({"enum": st.lists(st.integers(0, 3) | st.sampled_from(["a", "1", "null"]), max_size=3)})
    | st.just({"$ref": "#/$defs/D"})
    | st.just({}),
    lambda inner: (
        st.fixed_dictionaries({"anyOf": st.lists(inner, max_size=3)})
        | st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=2)})
        | st.fixed_dictionaries({"type": st.just("array"), "items": inner})
        | st.fixed_dictionaries({"type": st.just("object"), "properties": st.dictionaries(st.just("a"), inner)})
    ),
    max_leaves=6,
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([1.0, 2.5, "a", "1", "null", "[1]", '{"a": "1"}', ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=5,
)


@settings(max_examples=500)
@given(schemas, schemas, json_values)
def test_a_second_fit_changes_nothing(schema: Any, definition: Any, value: Any) -> None:
    spec = tool(schema, {"D": definition})
    once, _ = fit({"x": value}, spec)
    twice, report = fit(once, spec)
    assert json.dumps(twice) == json.dumps(once)
    assert all(line.endswith("kept as written") for line in report)


@settings(max_examples=500)
@given(schemas, schemas, json_values)
def test_what_changes_is_told(schema: Any, definition: Any, value: Any) -> None:
    fitted, report = fit({"x": value}, tool(schema, {"D": definition}))
    assert report or json.dumps(fitted["x"]) == json.dumps(value)


@settings(max_examples=300)
@given(st.text(max_size=12), st.booleans())
def test_a_string_is_a_string(text: str, textual: bool) -> None:
    assert fit({"x": text}, tool({"type": "string"}), textual=textual) == ({"x": text}, ())
