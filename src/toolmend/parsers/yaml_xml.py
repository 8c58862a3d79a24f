"""YAML in an element with the tool's own name: prompts of @ai-sdk-tool/parser.

    <find_book>
    title: Dune
    </find_book>

As ordinary text may look like this, it counts for declared names at the start of a line, with arguments that are all
declared and none missing that is required.
Source: the prompts of @ai-sdk-tool/parser.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from toolmend._blocks import LINE
from toolmend._coerce import allows, part
from toolmend._dialect import Region
from toolmend._element_tags import NEVER, Tags
from toolmend._elements import FoundCall
from toolmend._errors import RenderError
from toolmend._toolbox import NotACall, Written
from toolmend._types import Schema, ToolCall
from toolmend.parsers._element_dialect import ElementDialect
from toolmend.parsers._yaml import NotYAML, Plain, read_yaml

__all__ = ["YamlXml"]

_NAME = re.compile(r"\s*+<([^<>]++)>")
_KEY = r"[A-Za-z_][\w.-]{0,63}"


@lru_cache(maxsize=256)
def _tags(name: str) -> Tags:
    name = re.escape(name)
    return Tags(call=f"<(?P<name>{name})>", end=rf"\n[ \t]{{0,16}}</{name}>", value=NEVER, stop=NEVER)


class YamlXml(ElementDialect):
    """``<name>`` with a YAML mapping in it, for declared names."""

    name = "yaml_xml"
    sample = "<find_book>\ntitle: Dune\nmax_hits: 3\n</find_book>"
    kind = "plain"
    openers = (rf"{LINE}<NAMES>[ \t]{{0,8}}\r?\n[ \t]{{0,16}}[\"']?{_KEY}[\"']?[ \t]{{0,4}}:[ \t\n]",)

    def tags_of(self, region: str) -> Tags:
        """The tags with the name of the region."""
        name = _NAME.match(region)
        return _tags(name[1] if name else "")

    def read(self, call: FoundCall, region: Region) -> Written:
        """One call, whose arguments must fit."""
        if call.error:
            raise NotACall(call.error)
        try:
            value = read_yaml(region.text[call.start : call.end])
        except NotYAML as error:
            raise NotACall(f"not readable as YAML: {error}") from error
        if not isinstance(value, Mapping):
            raise NotACall("no mapping")
        tool = region.tools.get(call.name)
        root: Schema = tool.parameters if tool else {}
        arguments = _typed(cast("Mapping[str, Any]", value), root, root)
        return Written(name=call.name, arguments=arguments, textual=True, loose=True)

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """An element a call, the values as JSON.

        Raises:
            RenderError: a name or a key is no plain word.
        """
        return "\n".join(map(_written, calls))


def _written(call: ToolCall) -> str:
    for word in (call.name, *call.arguments):
        if not re.fullmatch(_KEY, word):
            raise RenderError(f"{word!r} in a call of {call.name!r} is no plain word; choose a JSON format")
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in call.arguments.items()]
    return "\n".join((f"<{call.name}>", *lines, f"</{call.name}>"))


def _typed(value: object, schema: object, root: Schema) -> Any:
    """A value without quotes is text where the schema says a type, and what it looks like elsewhere."""
    if isinstance(value, Plain):
        return value.typed() if allows("", schema, root) else str(value)
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        return {key: _typed(member, part(schema, root, key), root) for key, member in members.items()}
    if isinstance(value, list):
        return [_typed(item, part(schema, root), root) for item in cast("list[object]", value)]
    return value
