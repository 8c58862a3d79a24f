"""Morph XML: an element with the tool's own name, in it an element for each argument; the prompts of Cline, Roo, Morph.

    <find_book>
    <title>Dune</title>
    </find_book>

As any XML looks like this, it counts for declared names at the start of a line, with arguments that are all declared
and none missing that is required. Objects and lists are JSON, or elements in elements.
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
from toolmend._toolbox import Written
from toolmend._types import Schema, ToolSpec
from toolmend.parsers._element_arguments import gathered
from toolmend.parsers._element_dialect import ElementDialect
from toolmend.parsers._element_forms import SPACE, Form
from toolmend.parsers._nested_elements import nested

__all__ = ["MorphXml"]

_KEY = r"[A-Za-z_][\w.-]{0,63}"
_TAG = re.compile(rf"<(?:(?P<open>{_KEY})|/(?P<close>{_KEY}))>")
_NAME = re.compile(r"\s*+<([^<>]++)>")


@lru_cache(maxsize=256)
def _tags(name: str) -> Tags:
    name = re.escape(name)
    return Tags(
        call=f"<(?P<name>{name})>",
        end=f"</{name}>",
        value=rf"<(?P<key>(?!{name}>){_KEY})>",
        stop=rf"</(?P<stop_key>(?!{name}>){_KEY})>",
    )


class MorphXml(ElementDialect):
    """``<name>`` with ``<key>`` elements, for declared names."""

    name = "morph_xml"
    sample = "<find_book>\n<title>Dune</title>\n<max_hits>3</max_hits>\n</find_book>"
    kind = "plain"
    repeats = True
    form = Form(call="<{name}>\n", value="<{key}>{value}</{key}>\n", end="</{name}>", framing="pair")
    openers = (rf"{LINE}<NAMES>{SPACE}(?:<[A-Za-z_]|</NAMES>)",)

    def tags_of(self, region: str) -> Tags:
        """The tags with the name of the region."""
        name = _NAME.match(region)
        return _tags(name[1] if name else "")

    def read(self, call: FoundCall, region: Region) -> Written:
        """One call, whose arguments must fit."""
        return replace(super().read(call, region), loose=True)

    def collect(self, pairs: Sequence[tuple[str, Any]], tool: ToolSpec | None) -> dict[str, Any]:
        """The arguments, with elements in them as objects and lists where the schema has no text."""
        return super().collect(gathered(pairs, tool, _value), tool)


def _value(text: str, schema: object, root: Schema) -> Any:
    if allows("string", schema, root) or not text.lstrip().startswith("<"):
        return text
    return nested(_TAG, text, schema, root)
