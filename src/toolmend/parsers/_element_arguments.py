"""The arguments of calls written as elements, where they are no plain texts: objects, lists, one object for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from toolmend._coerce import allows, part
from toolmend._elements import FoundCall
from toolmend._json import NotJSON, read_value, strict
from toolmend._toolbox import NotACall, Toolbox
from toolmend._types import Schema, ToolSpec

__all__ = ["declared_by", "gathered", "held", "json_or_text", "read_object"]

_HOLDERS = frozenset({"arguments", "parameters", "args", "input", "params", "kwargs", "properties"})


def declared_by(tools: Toolbox) -> Callable[[str, str], bool]:
    """Tells whether a tool, by its name, has an argument of a name."""

    def declares(name: str, key: str) -> bool:
        tool = tools.get(name)
        return tool is not None and key in tool.properties

    return declares


def read_object(call: FoundCall, text: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The arguments of a call whose content is a JSON object.

    Raises:
        NotACall: it is something else.
    """
    if call.values or not text.lstrip().startswith("{"):
        raise NotACall(f"the call of {call.name} holds something that is no argument")
    try:
        value, repairs = read_value(text)
    except NotJSON as error:
        raise NotACall(f"not readable as JSON: {error}") from error
    return dict(cast("Mapping[str, Any]", value)), repairs


def json_or_text(text: str) -> Any:
    """The value of a text that should be JSON."""
    try:
        return strict(text)
    except (ValueError, RecursionError):
        return text


def held(arguments: Mapping[str, Any], tool: ToolSpec | None) -> dict[str, Any] | None:
    """All arguments, where the model put them as one object into an argument that the tool does not have."""
    if tool is None or len(arguments) != 1:
        return None
    (key, value) = next(iter(arguments.items()))
    if key not in _HOLDERS or key in tool.properties or not tool.properties:
        return None
    if isinstance(value, str):
        try:
            value, _ = read_value(value)
        except NotJSON:
            return None
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else None


def gathered(
    pairs: Sequence[tuple[str, str]], tool: ToolSpec | None, value: Callable[[str, object, Schema], Any]
) -> list[tuple[str, Any]]:
    """The arguments, those given several times as a list where the schema has one.

    Args:
        pairs: names and texts.
        tool: the tool, if it is offered.
        value: makes the value of a text, by its schema and the schema that belongs to.
    """
    root: Schema = tool.parameters if tool else {}
    schemas: Mapping[str, Any] = tool.properties if tool else {}
    found: dict[str, list[str]] = {}
    for key, text in pairs:
        found.setdefault(key, []).append(text)
    values: list[tuple[str, Any]] = []
    for key, texts in found.items():
        schema = schemas.get(key)
        if len(texts) > 1 and allows("array", schema, root):
            values.append((key, [value(text, part(schema, root), root) for text in texts]))
        else:
            values.extend((key, value(text, schema, root)) for text in texts)
    return values
