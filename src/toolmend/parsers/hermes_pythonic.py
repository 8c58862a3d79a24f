"""Hermes pythonic: calls in Python's syntax where Hermes has JSON, or a name and its values behind equals signs.

Source: replies of small Qwen and Llama models that are prompted for ``<tool_call>`` tags; without the brackets, of
GLM 4.7, for which mlx-lm has a fallback.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import regex

from toolmend._blocks import Block
from toolmend._composed_body import TextBody
from toolmend._dialect import Region
from toolmend._json import NotJSON, Reader, past
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._types import ToolSpec
from toolmend.parsers._tagged_calls import TaggedCalls

__all__ = ["HermesPythonic"]

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_END = regex.compile(rf"(?P<last>{_CLOSE})")
_NAME = re.compile(rf"{_OPEN}\s*+(?P<name>[\w.-]++)\s++(?=\w++=)")
_KEY = re.compile(r"(?:\A|(?<=\s))(?P<key>\w++)=")
_SPACE = re.compile(r"\s*+")


class HermesPythonic(TaggedCalls):
    """``<tool_call>f(a=1)</tool_call>``, or ``<tool_call>f a=1</tool_call>``."""

    name = "hermes_pythonic"
    sample = '<tool_call>\nfind_book(title="Dune", max_hits=3)\n</tool_call>'
    opener = _OPEN
    closers = (_CLOSE,)
    head = "<tool_call>\n"
    between = "\n"
    tail = "\n</tool_call>"

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """The calls, JSON between these tags is read by `hermes`; without brackets, of declared names only."""
        pairs = rf"{_OPEN}\s{{0,64}}(?:{tools.names})\s{{1,64}}[A-Za-z_]\w{{0,63}}="
        return (*super().blocks(tools)[:1], Block(pairs, lambda _, __: TextBody(_END)))

    def parse(self, region: Region) -> Sequence[Written | NotACall]:
        """The calls between the tags."""
        head = _NAME.match(region.text)
        tool = region.tools.get(head["name"]) if head else None
        if not head or not tool:
            return super().parse(region)
        text = region.text[head.end() :]
        if not text.endswith(_CLOSE):
            raise NotACall("the closing tag is missing, and it is not clear where the last value ends")
        return [Written(name=head["name"], arguments=_pairs(text.removesuffix(_CLOSE), tool), textual=True)]


def _pairs(text: str, tool: ToolSpec) -> dict[str, str]:
    """Names and texts; a text without quotes goes on up to the next name of a parameter.

    Raises:
        NotACall: they have more than one reading.
    """
    keys = [found for found in _KEY.finditer(text) if found["key"] in tool.properties]
    found: dict[str, str] = {}
    at = 0
    for number, key in enumerate(keys):
        if key.start() < at:
            continue  # in the quotes of the one before
        if key["key"] in found or text[at : key.start()].strip():
            raise NotACall(f"{key['key']} has something before it, or is given twice")
        ahead = [later.start() for later in keys[number + 1 :]]
        found[key["key"]], at = _value(text, key.end(), ahead[0] if ahead else len(text))
    if not keys or text[at:].strip():
        raise NotACall("something that is no argument")
    return found


def _value(text: str, at: int, end: int) -> tuple[str, int]:
    """The value that begins at a place, and where it ends: at the next name, unless it is in quotes."""
    if text[at : at + 1] not in ('"', "'"):
        return text[at:end].strip(), end
    reader = Reader(text, at, python=True)
    try:
        return reader.string(), past(_SPACE, text, reader.at)
    except NotJSON as error:
        raise NotACall(f"a value is not readable: {error}") from error
