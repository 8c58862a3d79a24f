"""Qwen3-Coder: an element for the function and one for each parameter; Qwen3-Coder, Qwen3.5, Nemotron 3, Step 3.5.

The values are text, so their types come from the schema. The template puts each value on lines of its own: exactly
one line feed on either side of it is framing, all else is value. The outer ``<tool_call>`` is often missing.
Source: the chat template of Qwen/Qwen3-Coder-30B-A3B-Instruct.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import regex

from toolmend._blocks import Block
from toolmend._dialect import Dialect, Region
from toolmend._element_body import ElementBody
from toolmend._errors import RenderError
from toolmend._json import past
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._types import ToolCall

__all__ = ["Qwen3Coder"]

_EMPTY = regex.compile(
    r"(?:<tool_call>\s{0,64})?<function=[^>\n]{1,200}>\s{0,64}(?:</function>|(?P<last></tool_call>))"
)
_END = regex.compile(r"</parameter>\s{0,64}</function>|(?P<last></(?:parameter|function)>\s{0,64}</tool_call>)")
_AFTER = regex.compile(r"\s{0,64}(?:(?P<last></tool_call>)|(?P<more><function=))")
_FUNCTION = re.compile(r"<function=\s*+([^>\n]{1,200}?)\s*+>")
_PARAMETER = re.compile(r"\s*+<parameter=\s*+([^>\n]{1,200}?)\s*+>")
_CLOSERS = ("</function>", "</tool_call>")
_SPACE = re.compile(r"\s*+")
_FUNCTION_END = re.compile(r"\s*+(?:</function>)?+\s*+(?:</tool_call>\s*+\Z)?+")


@lru_cache(maxsize=256)
def _value_end(keys: str) -> re.Pattern[str]:
    """What ends a value. A closing tag counts where the next tag of the form follows it: a value may hold markup.

    Models also forget the closing tag; then the next parameter ends the value, if it is a declared one.
    """
    return re.compile(
        r"</parameter>(?=\s*+(?:<parameter=|</function>|</tool_call>|<function=|\Z))|"
        rf"(?=\n<parameter=(?:{keys})>)|(?=</function>\s*+(?:</tool_call>|<function=|\Z))"
    )


class Qwen3Coder(Dialect):
    """``<function=…>`` with ``<parameter=…>`` elements, in ``<tool_call>`` tags or, for declared names, without."""

    name = "qwen3_coder"
    models = ("*qwen3-coder*", "*qwen3.5*", "*nemotron-3*", "*step-3.5*")
    sample = (
        "<tool_call>\n<function=find_book>\n<parameter=title>\nDune\n</parameter>\n"
        "<parameter=max_hits>\n3\n</parameter>\n</function>\n</tool_call>"
    )

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """The outer tag with a function behind it, or a function with a declared name."""
        bare = rf"<function=\s{{0,4}}(?:{tools.names})\s{{0,4}}>(?=\s{{0,64}}[^\s{{])"  # a brace is Functionary's

        def body(_: str, __: str) -> ElementBody:
            return ElementBody(_EMPTY, _END, _AFTER)

        return Block(r"<tool_call>\s{0,64}<function=", body), Block(bare, body)

    def parse(self, region: Region) -> list[Written]:
        """The functions with their parameters."""
        found: list[Written] = []
        start = _FUNCTION.search(region.text)
        while start:
            tool = region.tools.get(start[1])
            keys = "|".join(map(re.escape, tool.properties)) if tool else ""
            arguments, at = _parameters(region.text, start.end(), _value_end(keys or "(?!)"))
            if not arguments and not region.text.startswith(
                ("</function>", "</tool_call>"), past(_SPACE, region.text, at)
            ):
                raise NotACall(f"the function {start[1]} is not closed")
            found.append(Written(name=start[1], arguments=arguments, textual=True))
            at = past(_FUNCTION_END, region.text, at)
            start = _FUNCTION.match(region.text, at)
            if not start and at < len(region.text):
                raise NotACall(f"something that belongs to no parameter at character {at}")
        if not found:
            raise NotACall("no function element")
        return found

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """A tag pair a call; values that are no text are written as JSON.

        Raises:
            RenderError: a value holds what would end it.
        """
        return "\n".join(_render(call) for call in calls)


def _parameters(text: str, at: int, value_end: re.Pattern[str]) -> tuple[dict[str, Any], int]:
    arguments: dict[str, Any] = {}
    while key := _PARAMETER.match(text, at):
        end = value_end.search(text, key.end())
        if not end:
            raise NotACall(f"the value of {key[1]} is not closed")
        if key[1] in arguments:
            raise NotACall(f"{key[1]} is given twice")
        value = text[key.end() : end.start()]
        if not end.group() and "</parameter>" in value:
            raise NotACall(f"{key[1]} has something behind its closing tag")
        arguments[key[1]] = value.removeprefix("\n").removesuffix("\n")
        at = end.end()
    return arguments, at


def _render(call: ToolCall) -> str:
    parts = [f"<function={call.name}>"]
    for key, value in call.arguments.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        end = _value_end(r"[^>\n]++").search(f"\n{text}\n</parameter>\n</function>\n</tool_call>")
        if not end or end.start() <= len(text) + 1:
            raise RenderError(f"argument {key!r} of {call.name!r} holds markup that would end it; choose a JSON format")
        parts.append(f"<parameter={key}>\n{text}\n</parameter>")
    parts.append("</function>")
    return "\n".join(["<tool_call>", *parts, "</tool_call>"])
