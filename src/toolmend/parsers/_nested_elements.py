"""The value of an argument that is written as elements in elements."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from toolmend._coerce import allows, only_text, part
from toolmend._toolbox import NotACall
from toolmend._types import Schema

__all__ = ["nested"]

_MAX_DEPTH = 32


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
