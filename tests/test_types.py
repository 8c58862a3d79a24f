"""Tools as callers hand them in: what is read, and errors that name the tool and say what to change."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

import toolmend
from toolmend import TextDelta, ToolCall, ToolmendError, ToolResult, ToolSpec
from toolmend._types import resolve, specs_of

SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
EMPTY = {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "function": {"name": "f", "description": "Does.", "parameters": SCHEMA}},
        {"name": "f", "description": "Does.", "parameters": SCHEMA},
        {"name": "f", "description": "Does.", "input_schema": SCHEMA},
        MappingProxyType({"function": MappingProxyType({"name": "f", "description": "Does.", "parameters": SCHEMA})}),
        ToolSpec(name="f", description="Does.", parameters=SCHEMA),
    ],
    ids=["openai", "bare", "anthropic", "mapping", "spec"],
)
def test_the_forms_of_a_tool(tool: Any) -> None:
    spec = ToolSpec.of(tool)
    assert spec == ToolSpec(name="f", description="Does.", parameters=SCHEMA)
    assert spec.properties == {"title": {"type": "string"}}
    assert spec.required == ("title",)
    assert spec.to_openai() == {
        "type": "function",
        "function": {"name": "f", "description": "Does.", "parameters": SCHEMA},
    }


@pytest.mark.parametrize(
    "tool", [{"name": "f"}, {"name": "f", "parameters": None}, {"name": "f", "description": None}, ToolSpec(name="f")]
)
def test_a_tool_without_arguments(tool: Any) -> None:
    spec = ToolSpec.of(tool)
    assert (spec.description, spec.parameters, spec.properties, spec.required) == ("", EMPTY, {}, ())


def test_an_object_schema_may_leave_out_almost_everything() -> None:
    spec = ToolSpec(name="f", parameters={"properties": None, "required": None})
    assert (spec.properties, spec.required) == ({}, ())


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        (5, "a tool must be a ToolSpec or an OpenAI tool dict, not int"),
        ("f", "a tool must be a ToolSpec or an OpenAI tool dict, not str"),
        ({}, r"not a function tool: {}; expected"),
        ({"type": "web_search"}, r"not a function tool: {'type': 'web_search'}; expected"),
        ({"function": 5}, r"not a function tool: {'function': 5}; expected"),
        ({"function": {}}, r"not a function tool: {'function': {}}; expected"),
        ({"name": ""}, "a tool needs a name, got ''"),
        ({"name": None}, "a tool needs a name, got None"),
        ({"name": 5}, "a tool needs a name, got 5"),
    ],
)
def test_what_is_no_tool(tool: Any, message: str) -> None:
    with pytest.raises(ToolmendError, match=message):
        ToolSpec.of(tool)


def test_a_long_object_is_shortened_in_the_message() -> None:
    with pytest.raises(ToolmendError) as error:
        ToolSpec.of({"type": "x" * 500})
    assert len(str(error.value)) < 250


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        (5, "its schema is 5, not an object"),
        ([], r"its schema is \[\], not an object"),
        ({"type": "string"}, "its schema has type 'string'"),
        ({"type": ["string", "null"]}, r"its schema has type \['string', 'null'\]"),
        ({"properties": ["title"]}, "`properties` is not an object"),
        ({"required": "title"}, "`required` is not a list of names"),
        ({"required": [5]}, "`required` is not a list of names"),
        ({"properties": {"title": "string"}}, "the schema of argument 'title' is 'string', not an object"),
        ({"properties": {"title": {"$ref": "#/$defs/Title"}}}, "`\\$ref` '#/\\$defs/Title' leads nowhere"),
        ({"properties": {"a": {"items": [{"$ref": "#/$defs/A/b"}]}}, "$defs": {"A": 5}}, ".* leads nowhere"),
        ({"properties": {"a": {"default": {1, 2}}}}, "its schema cannot be written as JSON"),
    ],
)
def test_a_broken_schema_is_named_with_its_tool(parameters: Any, problem: str) -> None:
    with pytest.raises(ToolmendError, match=f"tool 'find_book': {problem}.*`parameters` must be a JSON Schema like"):
        ToolSpec(name="find_book", parameters=parameters)


def test_a_schema_that_holds_itself() -> None:
    schema: dict[str, Any] = {"type": "object"}
    schema["properties"] = {"me": schema}
    with pytest.raises(ToolmendError, match="cannot be written as JSON"):
        ToolSpec(name="f", parameters=schema)


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {"$ref": "#/$defs/Title"},
        {"$ref": "#"},
        {"$ref": "https://example.org/title.json"},
        {"anyOf": [{"$ref": "#/$defs/Title"}, {"type": "null"}]},
        {"$ref": "#/properties/title/anyOf/0", "anyOf": [{"type": "string"}]},
    ],
)
def test_schemas_that_are_fine(schema: Any) -> None:
    ToolSpec(name="f", parameters={"properties": {"title": schema}, "$defs": {"Title": {"type": "string"}}})


def test_a_parameter_named_like_a_keyword() -> None:
    spec = ToolSpec(name="f", parameters={"properties": {"$ref": {"type": "string"}, "properties": {"type": "string"}}})
    assert set(spec.properties) == {"$ref", "properties"}


def test_a_name_given_twice() -> None:
    with pytest.raises(ToolmendError, match="tool 'f' is given twice; names must be unique"):
        specs_of([ToolSpec(name="f"), {"name": "g"}, {"name": "f"}])
    with pytest.raises(ToolmendError, match="given twice"):
        toolmend.parse("", [{"name": "f"}, {"name": "f"}])


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("#/$defs/A", {"type": "integer"}),
        ("#/list/1/x", 5),
        ("#/a~1b/c~0d", 7),
        ("#", "root"),
        ("#/", "root"),
        ("other.json#/A", {}),
        ("#/nothing", None),
        ("#/list/2", None),
        ("#/list/x", None),
        ("#/list/1/x/deeper", None),
    ],
)
def test_references(reference: str, found: Any) -> None:
    root = {"$defs": {"A": {"type": "integer"}}, "list": [0, {"x": 5}], "a/b": {"c~d": 7}}
    assert resolve(reference, root) == (root if found == "root" else found)


def test_calls_and_results_are_values() -> None:
    assert ToolCall(name="f", arguments={}) == ToolCall(name="f", arguments={}, id=None, repairs=())
    assert ToolResult(name="f", content="x") == ToolResult(name="f", content="x", call_id=None, is_error=False)
    assert len({TextDelta("a", "b"), TextDelta("a", "b"), TextDelta("a", "c")}) == 2  # they have hashes, too
    assert not hasattr(ToolCall(name="f", arguments={}), "__dict__")
