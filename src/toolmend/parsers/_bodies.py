"""Calls in JSON, whatever keys the model used for them: shared by every format with a JSON body."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from toolmend._json import NotJSON, read_value, read_values
from toolmend._json_body import ARGUMENT_KEYS, ID_KEYS, NAME_KEYS, WRAPPER_KEYS
from toolmend._toolbox import Description, NotACall, Written
from toolmend._types import ToolCall

__all__ = ["call_object", "json_calls"]

_ENCODER = json.JSONEncoder(ensure_ascii=False)  # `json.dumps` would make one for each call of a history
_BESIDE = frozenset({*NAME_KEYS, "type", "id"}) - {"action"}  # a common parameter


def call_object(call: ToolCall) -> str:
    """A call as ``{"name": …, "arguments": {…}}``."""
    return _ENCODER.encode({"name": call.name, "arguments": call.arguments})


def json_calls(text: str, *, alone: bool = True) -> list[Written]:
    """Read calls from JSON text: an object, several, a list, the OpenAI wire object.

    Args:
        text: the JSON, with nothing around it.
        alone: whether an object with a name and nothing else is a call without arguments.

    Raises:
        NotACall: it is no JSON, or not the shape of a call.
    """
    try:
        values, repairs = read_values(text)
    except NotJSON as error:
        raise NotACall(f"not readable as JSON: {error}") from error
    return [written for value in values for written in _calls(value, repairs, alone=alone)]


def _calls(value: object, repairs: Sequence[str], *, alone: bool) -> list[Written]:
    if isinstance(value, list):
        found = [written for item in cast("list[object]", value) for written in _calls(item, repairs, alone=alone)]
        if not found:
            raise NotACall("an empty list", meant=False)
        return found
    if not isinstance(value, dict):
        raise NotACall("no call object", meant=False)
    fields = cast("dict[str, Any]", value)
    named = _text(fields, NAME_KEYS)
    for key in WRAPPER_KEYS if named is None else ():
        if key in fields and _may_be_calls(fields[key]):
            return _calls(fields[key], repairs, alone=alone)
    call_id = _text(fields, ID_KEYS)
    if isinstance(fields.get("function"), dict):
        return [_call(fields["function"], repairs, alone=alone, call_id=call_id)]
    return [_call(fields, repairs, alone=alone, call_id=call_id)]


def _may_be_calls(value: object) -> bool:
    """Whether what stands under a wrapper's key is no argument."""
    if isinstance(value, list):
        return True
    return isinstance(value, dict) and any(key in NAME_KEYS for key in cast("dict[str, Any]", value))


def _text(fields: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    """The text under the first of some keys that has one."""
    for key in keys:
        if key in fields and isinstance(fields[key], str):
            return fields[key]
    return None


def _call(fields: Mapping[str, Any], repairs: Sequence[str], *, alone: bool, call_id: str | None) -> Written:
    name = _text(fields, NAME_KEYS)
    if not name:
        return _keyed(fields, repairs)
    key = next((key for key in ARGUMENT_KEYS if key in fields), None)
    if key is None and not (alone and fields.keys() <= _BESIDE.union(ID_KEYS)):
        beside = {key: value for key, value in fields.items() if key not in _BESIDE}
        if not beside:
            raise NotACall("an object without arguments", meant=False)
        return Written(name=name, arguments=beside, loose=True, repairs=(*repairs, "took the other keys for arguments"))
    value = fields[key] if key else None
    if isinstance(value, str) and value.strip() and value.lstrip()[0] not in "{[":
        return Written(name=name, text=value, id=call_id, repairs=(*repairs, "took a text for the only argument"))
    arguments, mended = _arguments(value)
    if "description" in fields and "properties" in arguments:
        raise Description("a tool's definition, not a call")
    return Written(
        name=name,
        arguments=arguments,
        id=call_id,
        repairs=(*repairs, *mended),
    )


def _keyed(fields: Mapping[str, Any], repairs: Sequence[str]) -> Written:
    """``{name: {arguments}}``."""
    [(name, arguments)] = fields.items() if len(fields) == 1 else [("", None)]
    if not isinstance(arguments, dict):
        raise NotACall("an object without a tool's name", meant=False)
    inside = cast("dict[str, Any]", arguments)
    return Written(name=name, arguments=inside, loose=True, repairs=(*repairs, "took a key for the name"))


def _arguments(value: object) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Arguments as an object; the wire form of OpenAI writes them as JSON inside a string."""
    repairs: tuple[str, ...] = ()
    if isinstance(value, str) and value.strip():
        try:
            value, repairs = read_value(value)
        except NotJSON as error:
            raise NotACall(f"arguments are not readable as JSON: {error}") from error
    if value is None or value == "" or (isinstance(value, str) and not value.strip()):
        return {}, repairs
    if not isinstance(value, dict):
        raise NotACall("arguments are no object")
    return cast("dict[str, Any]", value), repairs
