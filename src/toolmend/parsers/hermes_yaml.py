"""Hermes YAML: a YAML mapping where Hermes has JSON; Granite 4.0 and small models.

The values are text unless they are quoted, so their types come from the schema. Without the tags the mapping must be
the whole reply, and have the keys of the parameters.
Source: replies of ibm-granite/granite-4.0-h-tiny.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import regex

from toolmend._blocks import LEFTOVER, LINE, Block, NotHere
from toolmend._coerce import allows
from toolmend._composed_body import TextBody
from toolmend._dialect import Dialect, Region
from toolmend._json_body import ARGUMENT_KEYS, NAME_KEYS
from toolmend._toolbox import Description, NotACall, Toolbox, Written
from toolmend._types import ToolCall, ToolSpec
from toolmend.parsers._program import is_signature
from toolmend.parsers._yaml import NotYAML, Plain, read_yaml

__all__ = ["HermesYaml"]

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_KEYS = "|".join((*NAME_KEYS, *ARGUMENT_KEYS, "type", "id"))
_END = regex.compile(rf"(?P<last>{_CLOSE}|{LEFTOVER})")
_ENDS = re.compile(rf"(?:{_CLOSE}|{LEFTOVER})\Z")
_WORD = re.compile(r"(?!(?i:true|false|null|yes|no|on|off|y|n)\Z)[A-Za-z_][A-Za-z0-9_.-]*")
_BARE = r"name[ \t]{0,4}:[ \t]{1,4}[\"']?NAMES[\"']?[ \t]{0,8}\n(?:arguments|parameters|args|params|input)[ \t]{0,4}:"
_BESIDE = frozenset({"type", "id"})


class HermesYaml(Dialect):
    """``name: …`` and ``arguments:`` with an indented mapping, in ``<tool_call>`` tags."""

    name = "hermes_yaml"
    sample = '<tool_call>\nname: find_book\narguments:\n  title: "Dune"\n  max_hits: 3\n</tool_call>'

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """The tag with the first key behind it."""

        def alone(_: str, lead: str) -> TextBody:
            if lead.strip():
                raise NotHere
            return TextBody(_END)

        return (
            Block(rf"{_OPEN}\s{{0,64}}(?:- )?[\"']?(?:{_KEYS})[\"']?[ \t]{{0,8}}:", lambda _, __: TextBody(_END)),
            Block(LINE + _BARE.replace("NAMES", f"(?:{tools.names})"), alone, "plain"),
        )

    def parse(self, region: Region) -> list[Written]:
        """The mapping.

        Raises:
            NotACall: it is not closed, no YAML, or no call.
        """
        bare = not region.text.startswith(_OPEN)
        text = region.text.removeprefix(_OPEN)
        end = _ENDS.search(text)
        if not end and not bare:
            raise NotACall("not closed, so it may be cut")
        try:
            value = read_yaml(text[: end.start()] if end else text)
        except NotYAML as error:
            raise NotACall(f"not readable as YAML: {error}", meant=not bare) from error
        items = cast("list[object]", value) if isinstance(value, list) else [value]
        try:
            calls = [_call(item, region.tools) for item in items]
        except NotACall as error:
            raise NotACall(str(error), meant=not bare) from error
        if bare and any(is_signature(call.arguments) for call in calls):
            raise Description("a tool's parameters, not a call")
        return [replace(call, loose=True) for call in calls] if bare else calls

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """A tag pair a call; text is quoted, lists and objects are written as JSON."""
        return "\n".join(_render(call) for call in calls)


def _call(value: object, tools: Toolbox) -> Written:
    fields: Mapping[str, Any] = cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
    name = next((fields[key] for key in NAME_KEYS if isinstance(fields.get(key), str)), None)
    given = [key for key in ARGUMENT_KEYS if key in fields]
    if not name or len(fields.keys() - _BESIDE) > 1 + len(given) or len(given) > 1:
        raise NotACall("a mapping that is no call")
    arguments = fields[given[0]] if given else None
    if not isinstance(arguments, Mapping) and arguments is not None:
        raise NotACall("arguments are no mapping")
    tool = tools.get(str(name))
    written = cast("Mapping[str, Any]", arguments or {})
    return Written(name=str(name), arguments={key: _typed(written[key], key, tool) for key in written}, textual=True)


def _typed(value: object, key: str, tool: ToolSpec | None) -> Any:
    """A value without quotes is text where the schema says a type, and what it looks like elsewhere."""
    if isinstance(value, Plain):
        says = tool and key in tool.properties and not allows("", tool.properties[key], tool.parameters)
        return str(value) if says else value.typed()
    if isinstance(value, Mapping):
        inside = cast("Mapping[str, Any]", value)
        return {inner: _typed(item, "", None) for inner, item in inside.items()}
    if isinstance(value, list):
        return [_typed(item, "", None) for item in cast("list[object]", value)]
    return value


def _render(call: ToolCall) -> str:
    lines = [f"  {_word(key)}: {_json(value)}" for key, value in call.arguments.items()]
    arguments = "\n".join(["arguments:", *lines]) if lines else "arguments: {}"
    return f"{_OPEN}\nname: {_word(call.name)}\n{arguments}\n{_CLOSE}"


def _word(text: str) -> str:
    return text if _WORD.fullmatch(text) else _json(text)


def _json(value: object) -> str:
    """JSON, in which nothing looks like a tag."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
