"""The schema of the calls that may be made, and who refuses it."""

from __future__ import annotations

from typing import Any

import pytest

from toolmend import Options, ToolCall, ToolSpec, Turn, get_dialect
from toolmend._forced import refuses_schema, response_format, schema_of_calls

WEATHER = ToolSpec(
    name="get_weather",
    parameters={
        "type": "object",
        "$defs": {"Unit": {"enum": ["c", "f"]}, "Day": {"properties": {"unit": {"$ref": "#/$defs/Unit"}}}},
        "properties": {"unit": {"$ref": "#/$defs/Unit"}, "days": {"type": "array", "items": [{"$ref": "#/$defs/Day"}]}},
        "required": ["unit"],
    },
)
PING = ToolSpec(name="ping")
OPEN = ToolSpec(name="open", parameters={"type": "object"})


def test_one_tool() -> None:
    schema = schema_of_calls([PING], parallel=False)
    assert schema == {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"name": {"const": "ping"}, "arguments": {"$ref": "#/$defs/tool0"}},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        },
        "minItems": 1,
        "maxItems": 1,
        "$defs": {"tool0": {"type": "object", "additionalProperties": False, "properties": {}}},
    }
    assert response_format(schema)["json_schema"]["schema"] is schema


def test_references_lead_where_they_led() -> None:
    schema = schema_of_calls([PING, WEATHER])
    assert [call["properties"]["name"]["const"] for call in schema["items"]["anyOf"]] == ["ping", "get_weather"]
    assert schema["maxItems"] > 1
    moved = schema["$defs"]["tool1"]
    assert moved["properties"]["unit"] == {"$ref": "#/$defs/tool1/$defs/Unit"}
    assert moved["properties"]["days"]["items"] == [{"$ref": "#/$defs/tool1/$defs/Day"}]
    assert moved["$defs"]["Day"]["properties"]["unit"] == {"$ref": "#/$defs/tool1/$defs/Unit"}
    assert moved["$defs"]["Unit"] == {"enum": ["c", "f"]}
    assert WEATHER.parameters["properties"]["unit"] == {"$ref": "#/$defs/Unit"}  # it is not changed


def test_a_tool_that_lists_no_arguments_takes_any() -> None:
    assert schema_of_calls([OPEN])["$defs"]["tool0"] == {"type": "object"}


def test_outer_references_and_properties_of_that_name_stay() -> None:
    fields = {"$ref": {"type": "string"}, "a": {"$ref": "https://example.org/a.json"}, "b": {"$ref": "#"}}
    tool = ToolSpec(name="f", parameters={"type": "object", "properties": fields})
    moved = schema_of_calls([tool])["$defs"]["tool0"]["properties"]
    assert moved == {**fields, "b": {"$ref": "#/$defs/tool0"}}


@pytest.mark.parametrize(
    ("status", "body", "refused"),
    [
        (500, {"error": {"message": "1 validation error: 'response_format', 'type': Input should be 'text'"}}, True),
        (400, {"error": "'response_format.type' must be 'json_schema' or 'text'"}, True),
        (400, {"error": {"message": "Failed to initialize samplers: failed to parse grammar"}}, True),
        (500, {"error": 'invalid format: []; expected "json" or a valid JSON Schema object'}, True),
        (422, {"detail": "Unexpected fields in the request: {'response_format'}"}, True),
        (401, {"error": "no response_format for you"}, False),
        (500, {"error": {"message": "Internal error"}}, False),
        (400, {"error": "information is missing"}, False),
    ],
)
def test_refusals(status: int, body: Any, refused: bool) -> None:
    assert refuses_schema(status, body) is refused


def test_a_turn_asks_for_what_it_enforces_and_reads_it() -> None:
    options = Options(dialects=(get_dialect("hermes"),), prompt_dialect="hermes")
    turn = Turn([PING, WEATHER], tool_choice="required", options=options)
    assert turn.forced
    text = '[{"name": "ping", "arguments": {}}, {"name": "get_weather", "arguments": {"unit": "c"}}]'
    assert turn.read(text) == [text]
    assert "JSON list" not in turn.instructions
    assert turn.enforce() == schema_of_calls([PING, WEATHER])
    assert "JSON list" in turn.instructions
    calls = [item for item in turn.read(text) if isinstance(item, ToolCall)]
    assert [(call.name, call.arguments) for call in calls] == [("ping", {}), ("get_weather", {"unit": "c"})]
    turn.enforce(False)
    assert "JSON list" not in turn.instructions


@pytest.mark.parametrize(("choice", "forced"), [("auto", False), ("none", False), (["ping"], True)])
def test_which_turns_are_forced(choice: Any, forced: bool) -> None:
    turn = Turn([PING], tool_choice=choice)
    assert turn.forced is forced
    if choice != "none":
        assert ("JSON list" in turn.instructions) is False
        turn.enforce()
        assert ("JSON list" in turn.instructions) is forced
