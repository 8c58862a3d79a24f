"""Morph XML: an element with the tool's own name, in it an element for each argument; the prompts of Cline, Roo, Morph.

    <find_book>
    <title>Dune</title>
    </find_book>

or ``<tool name="find_book">`` around them. As any XML looks like this, it counts for declared names at the start of a
line, with arguments that are all declared and none missing that is required. Objects and lists are JSON, or elements
in elements.
Source: the prompts of Cline and of @ai-sdk-tool/parser.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from toolmend._blocks import LINE
from toolmend._coerce import allows
from toolmend._dialect import Region
from toolmend._element_tags import Tags
from toolmend._elements import FoundCall
from toolmend._toolbox import NotACall, Written
from toolmend._types import Schema, ToolSpec
from toolmend.parsers._element_arguments import gathered
from toolmend.parsers._element_dialect import ElementDialect
from toolmend.parsers._element_forms import SPACE, Form, quoted
from toolmend.parsers._nested_elements import nested
from toolmend.parsers._program import is_signature

__all__ = ["MorphXml"]

_KEY = r"[A-Za-z_][\w.-]{0,63}"
_TAG = re.compile(rf"<(?:(?P<open>{_KEY})|/(?P<close>{_KEY}))>")
_NAME = re.compile(r"\s*+<([^<>]++)>")
_KIND = r"(?:tool|tool_use|function_call|call|action)"  # in `function` and `invoke` others have elements of their own
_KINDS = re.compile(rf"\s*+<({_KIND})[ \t]")


@lru_cache(maxsize=256)
def _tags(name: str) -> Tags:
    name = re.escape(name)
    return Tags(
        call=f"<(?P<name>{name})>",
        end=f"</{name}>",
        value=rf"<(?P<key>(?!{name}>){_KEY})>",
        stop=rf"</(?P<stop_key>(?!{name}>){_KEY})>",
    )


@lru_cache(maxsize=16)
def _kind_tags(kind: str) -> Tags:
    """Where the name is an attribute."""
    return replace(_tags(kind), call=rf"<{kind}[ \t]{{1,4}}name[ \t]{{0,4}}={quoted('name')}>")


class MorphXml(ElementDialect):
    """``<name>`` with ``<key>`` elements, for declared names."""

    name = "morph_xml"
    sample = "<find_book>\n<title>Dune</title>\n<max_hits>3</max_hits>\n</find_book>"
    kind = "plain"
    repeats = True
    form = Form(call="<{name}>\n", value="<{key}>{value}</{key}>\n", end="</{name}>", framing="pair")
    openers = (
        rf"{LINE}<NAMES>{SPACE}(?:<[A-Za-z_]|</NAMES>)",
        rf"{LINE}<{_KIND}[ \t]{{1,4}}name[ \t]{{0,4}}=[ \t]{{0,4}}[\"']?NAMES[\"']?[ \t]{{0,4}}>{SPACE}<[A-Za-z_/]",
    )

    def tags_of(self, region: str) -> Tags:
        """The tags with the name of the region."""
        kind = _KINDS.match(region)
        if kind:
            return _kind_tags(kind[1])
        name = _NAME.match(region)
        return _tags(name[1] if name else "")

    def read(self, call: FoundCall, region: Region) -> Written:
        """One call, whose arguments must fit.

        Raises:
            NotACall: it tells the types of the parameters.
        """
        written = super().read(call, region)
        if _KINDS.match(region.text) and is_signature(written.arguments):
            raise NotACall("a tool's parameters, not a call")
        return replace(written, loose=True)

    def collect(self, pairs: Sequence[tuple[str, Any]], tool: ToolSpec | None) -> dict[str, Any]:
        """The arguments, with elements in them as objects and lists where the schema has no text."""
        return super().collect(gathered(pairs, tool, _value), tool)


def _value(text: str, schema: object, root: Schema) -> Any:
    if allows("string", schema, root) or not text.lstrip().startswith("<"):
        return text
    return nested(_TAG, text, schema, root)
