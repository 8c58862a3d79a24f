"""The arguments of calls written as elements, where they are no plain texts: objects, lists, elements in elements."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from toolmend._coerce import allows, only_text, part
from toolmend._elements import FoundCall
from toolmend._json import NotJSON, read_value, strict
from toolmend._toolbox import NotACall, Toolbox
from toolmend._types import Schema, ToolSpec

__all__ = ["declared_by", "gathered", "held", "json_or_text", "nested", "read_object"]

_HOLDERS = frozenset({"arguments", "parameters", "args", "input", "params", "kwargs", "properties"})
_MAX_DEPTH = 32


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


@dataclass(slots=True)
class _Node:
    """An element and what is in it."""

    name: str
    texts: list[str] = field(default_factory=list[str])
    children: list[_Node] = field(default_factory=list["_Node"])


def nested(tag: re.Pattern[str], text: str, schema: object, root: Schema) -> Any:
    """The value of a text that may hold elements.

    Args:
        tag: matches a tag; its group ``open`` or ``close`` is the name.
        text: the text.
        schema: the schema of the value.
        root: the schema it belongs to.

    Raises:
        NotACall: the elements do not fit into each other.
    """
    stack, at = [_Node("")], 0
    for found in tag.finditer(text):
        stack[-1].texts.append(text[at : found.start()])
        at = found.end()
        if found["open"]:
            node = _Node(found["open"])
            stack[-1].children.append(node)
            stack.append(node)
        elif stack.pop().name != found["close"]:
            raise NotACall(f"an element {found['close']} closes where none is open")
        if len(stack) > _MAX_DEPTH:
            raise NotACall("nested too deeply")
    if len(stack) > 1:
        raise NotACall(f"an element {stack[-1].name} is not closed")
    stack[0].texts.append(text[at:])
    return _value(stack[0], schema, root)


def _value(node: _Node, schema: object, root: Schema) -> Any:
    text = "".join(node.texts)
    lists, maps = allows("array", schema, root), allows("object", schema, root)
    if not node.children:
        if text.strip() or lists == maps or allows("string", schema, root):
            return text
        return [] if lists else {}
    if only_text(schema, root):
        raise NotACall("a text with elements in it")
    names = Counter(child.name for child in node.children)
    if lists and not maps and len(names) > 1:
        raise NotACall("a list whose elements have different names")
    if lists and (not maps or names.keys() == {"item"}):
        return [_value(child, part(schema, root), root) for child in node.children]
    found: dict[str, Any] = {"$text": text} if text.strip() else {}
    for child in node.children:
        value = _value(child, part(schema, root, child.name), root)
        if names[child.name] == 1:
            found[child.name] = value
        else:
            found.setdefault(child.name, []).append(value)
    return found
