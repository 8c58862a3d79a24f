"""Calls in JSON, whatever keys the model used for them: shared by every format with a JSON body."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from toolmend._json import NotJSON, read_value, read_values
from toolmend._json_body import ARGUMENT_KEYS, ID_KEYS, KINDS, NAME_KEYS, WRAPPER_KEYS
from toolmend._toolbox import Description, NotACall, Toolbox, Written
from toolmend._types import ToolCall
from toolmend.parsers._pythonic import read_calls

__all__ = ["call_object", "json_calls"]

_ENCODER = json.JSONEncoder(ensure_ascii=False)  # `json.dumps` would make one for each call of a history
_BESIDE = frozenset({"type", "id"})


def call_object(call: ToolCall) -> str:
    """A call as ``{"name": …, "arguments": {…}}``."""
    return _ENCODER.encode({"name": call.name, "arguments": call.arguments})


def json_calls(
    text: str, *, alone: bool = True, tools: Toolbox | None = None, value: tuple[str, object] | None = None
) -> list[Written]:
    """Read calls from JSON text: an object, several, a list, the OpenAI wire object.

    Args:
        text: the JSON, with nothing around it.
        alone: whether an object with a name and nothing else is a call without arguments.
        tools: the tools that may be called, where a text in place of an object may be a call in Python's syntax.
        value: a text that has been read already, and what it means: `Region.value`.

    Raises:
        NotACall: it is no JSON, or not the shape of a call.
    """
    if value and value[0] == text:
        return _calls(value[1], (), alone=alone, tools=tools)
    try:
        values, repairs = read_values(text)
    except NotJSON as error:
        raise NotACall(f"not readable as JSON: {error}") from error
    if len(values) == 1:
        return _calls(values[0], repairs, alone=alone, tools=tools)
    return [written for value in values for written in _calls(value, repairs, alone=alone, tools=tools)]


def _calls(value: object, repairs: Sequence[str], *, alone: bool, tools: Toolbox | None) -> list[Written]:
    if isinstance(value, dict):
        return _in_object(cast("dict[str, Any]", value), repairs, alone=alone, tools=tools)
    if isinstance(value, str) and tools is not None:
        return _in_text(value, tools)
    if not isinstance(value, list):
        raise NotACall("no call object", meant=False)
    items = cast("list[object]", value)
    found = [written for item in items for written in _calls(item, repairs, alone=alone, tools=tools)]
    if not found:
        raise NotACall("an empty list", meant=False)
    return found


def _in_object(
    fields: Mapping[str, Any], repairs: Sequence[str], *, alone: bool, tools: Toolbox | None
) -> list[Written]:
    named = _textual(fields, NAME_KEYS)
    for key in WRAPPER_KEYS if named is None else ():
        if key in fields and _may_be_calls(fields[key]):
            return _calls(fields[key], repairs, alone=alone, tools=tools)
    identified = _textual(fields, ID_KEYS)
    call_id = fields[identified] if identified else None
    if isinstance(fields.get("function"), dict):
        fields = cast("dict[str, Any]", fields["function"])
        named = _textual(fields, NAME_KEYS)
    if named and fields[named]:
        return [_call(fields, named, repairs, alone=alone, call_id=call_id)]
    return _keyed(fields, repairs)


def _in_text(text: str, tools: Toolbox) -> list[Written]:
    """Calls in Python's syntax inside of a string."""
    found: list[Written] = []
    for call in read_calls(text, tools):
        if isinstance(call, NotACall):
            raise call
        found.append(call)
    return found


def _may_be_calls(value: object) -> bool:
    """Whether what stands under a wrapper's key is no argument."""
    if isinstance(value, list):
        return True
    return isinstance(value, dict) and any(key in NAME_KEYS for key in cast("dict[str, Any]", value))


def _textual(fields: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    """The first of some keys that has a text."""
    for key in keys:
        if key in fields and isinstance(fields[key], str):
            return key
    return None


def _call(
    fields: Mapping[str, Any], named: str, repairs: Sequence[str], *, alone: bool, call_id: str | None
) -> Written:
    name = fields[named]
    key = "arguments" if "arguments" in fields else next(filter(fields.__contains__, ARGUMENT_KEYS), None)
    if key is None and not (alone and fields.keys() <= _BESIDE.union(ID_KEYS, NAME_KEYS)):
        unsaid = {named, "id", *(("type",) if _textual(fields, ("type",)) and fields["type"] in KINDS else ())}
        beside = {key: value for key, value in fields.items() if key not in unsaid}
        if not beside:
            raise NotACall("an object without arguments", meant=False)
        return Written(name=name, arguments=beside, loose=True, repairs=(*repairs, "took the other keys for arguments"))
    value = fields[key] if key else None
    if isinstance(value, str) and value.strip() and value.lstrip()[0] not in "{[":
        return Written(name=name, text=value, id=call_id, repairs=(*repairs, "took a text for the only argument"))
    arguments, mended = _arguments(value)
    if "description" in fields and "properties" in arguments:
        raise Description("a tool's definition, not a call")
    return Written(name=name, arguments=arguments, id=call_id, repairs=(*repairs, *mended))


def _keyed(fields: Mapping[str, Any], repairs: Sequence[str]) -> list[Written]:
    """``{name: {arguments}}``, perhaps with several names."""
    if not fields or not all(isinstance(arguments, dict) for arguments in fields.values()):
        raise NotACall("an object without a tool's name", meant=False)
    repairs = (*repairs, "took a key for the name")
    return [Written(name=name, arguments=inside, loose=True, repairs=repairs) for name, inside in fields.items()]


def _arguments(value: object) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Arguments as an object; the wire form of OpenAI writes them as JSON inside a string."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value), ()
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
