r"""Tool code: calls in an element that says what they are, as many a prompt asks for.

In Python's syntax or as JSON, in ``<tool_code>``, ``<tool_use>``, ``<execute>``, ``<answer>`` and the like. Answers
stand in such elements, too: the names must be declared ones, the element must begin a line and hold nothing else.
Models that were taught to box their answers write ``\boxed{f(a=1)}`` at the end.
Source: prompts in the field; the format is named after the fences of Gemma's prompt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import regex

from toolmend._blocks import LEFTOVER, LINE, Block, Body
from toolmend._call_body import CallBody
from toolmend._composed_body import FollowedBody
from toolmend._dialect import Dialect, Region
from toolmend._json_body import CallHead, JsonBody
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._types import ToolCall
from toolmend.parsers._bodies import json_calls
from toolmend.parsers._fitting import fitting
from toolmend.parsers._pythonic import read_calls, render_call

__all__ = ["ToolCode"]

_TAGS = (
    r"(?:tool_code|tool_use|tool|tools|function|functions|call|calls|action|execute|execute_tool|invoke|"
    r"answer|final|final_answer|output|response)"
)
_TAG = re.compile(rf"\s*+<({_TAGS})>\s*+")
_BOX = r"\\boxed\{\s{0,8}(?:\\(?:text|texttt|mathtt)\{\s{0,8})?"
_BOXED = re.compile(_BOX)
_BEHIND_BOX = regex.compile(rf"[\s$.\\\])]{{0,64}}(?P<end>{LEFTOVER})(?P<more>(?!))?")  # the end of a formula
_WRAPPER = r"(?:print\s{0,4}\(\s{0,4}|return\s{1,4}|await\s{1,4}|[A-Za-z_]\w{0,60}\s{0,4}=\s{0,4}){0,2}"


class ToolCode(Dialect):
    """``<tool_code>f(a=1)</tool_code>``, for declared names."""

    name = "tool_code"
    sample = "<tool_code>\nfind_book(title='Dune', max_hits=3)\n</tool_code>"

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """The opening tag with a call behind it, or with an object that may be one."""
        call = rf"{_WRAPPER}[\"'`]{{0,3}}(?:{tools.names})[\"']{{0,3}}\s{{0,4}}\("
        after = regex.compile(rf"(?P<more>[\s,;)\]]{{0,64}}{call})|[\s;]{{0,64}}(?P<end></{_TAGS}>|{LEFTOVER})")

        def calls(opener: str, _: str) -> Body:
            return FollowedBody(CallBody(after), regex.compile(rf"[\s;]{{0,64}}{_closer(opener)}"))

        def objects(opener: str, _: str) -> Body:
            return JsonBody(opener, _closer(opener), CallHead(tools), only=True)

        return (
            Block(rf"{_BOX}(?:\[\s{{0,16}}){{0,2}}{call}", lambda _, __: CallBody(_BEHIND_BOX, last=True), "plain"),
            Block(rf"{LINE}<{_TAGS}>\s{{0,64}}(?:\[\s{{0,16}}){{0,2}}{call}", calls, "plain"),
            Block(rf"{LINE}<{_TAGS}>\s{{0,64}}(?:\[\s{{0,16}}){{0,2}}\{{", objects, "plain", json=True),
        )

    def parse(self, region: Region) -> Sequence[Written | NotACall]:
        """The calls in the element.

        Raises:
            NotACall: it is no such element.
        """
        box = _BOXED.match(region.text)
        if box:
            calls = read_calls(region.text[box.end() :].rstrip().rstrip("}").rstrip(), region.tools)
            return fitting(calls, region, always=True)
        opening = _TAG.match(region.text)
        if not opening:
            raise NotACall("no element")
        text = region.text[opening.end() :].rstrip().removesuffix(f"</{opening[1]}>").rstrip()
        return json_calls(text) if text.lstrip("[ \t\r\n").startswith("{") else read_calls(text, region.tools)

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """All calls in one element, one a line.

        Raises:
            RenderError: a name is no Python identifier.
        """
        return "<tool_code>\n" + "\n".join(map(render_call, calls)) + "\n</tool_code>"


def _closer(opener: str) -> str:
    """The closing tag of the element that an opener begins."""
    tag = opener.lstrip()
    return f"</{tag[1 : tag.index('>')]}>"
