"""Command R: ``Action:`` and a fenced list of objects with ``tool_name`` and ``parameters``; Command R and R+.

An action list is also how other texts look, so the name must be a declared one.
Source: the chat template of CohereLabs/c4ai-command-r-plus.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import regex

from toolmend._blocks import LINE, Block, NotHere
from toolmend._composed_body import ChosenBody
from toolmend._dialect import Dialect, Region
from toolmend._fence_body import unfenced
from toolmend._json_body import CallHead, JsonBody
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._types import ToolCall
from toolmend.parsers._bodies import json_calls

__all__ = ["CommandR"]

_FENCE = regex.compile(r"\s{0,32}Action[ \t]{0,4}:\s{0,16}(?P<marks>`{3,8})[ \t]{0,8}(?i:json)?\s{0,64}[{\[]")


class CommandR(Dialect):
    """``Action:``, a fence and in it ``[{"tool_name": …, "parameters": {…}}]``."""

    name = "command_r"
    models = ("*command-r*",)
    sample = 'Action:\n```json\n[{"tool_name": "find_book", "parameters": {"title": "Dune", "max_hits": 3}}]\n```'

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """``Action:`` with a fence behind it; what the fence holds is seen to then."""

        def body(text: str) -> JsonBody | None:
            found = _FENCE.match(text, partial=True)
            if not found:
                raise NotHere
            return None if found.partial else JsonBody(found.group(), found["marks"], CallHead(tools))

        return (Block(rf"{LINE}Action[ \t]{{0,4}}:\s{{0,16}}(?=`{{3}})", lambda _, __: ChosenBody(body), "plain"),)

    def parse(self, region: Region) -> list[Written]:
        """The objects in the fence.

        Raises:
            NotACall: there are none.
        """
        _, mark, rest = region.text.partition("`")
        inside = unfenced(mark + rest)
        if not inside:
            raise NotACall("a fence that never got its text", meant=False)
        return json_calls(inside)

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """One list of all calls."""
        objects = [{"tool_name": call.name, "parameters": call.arguments} for call in calls]
        return f"Action:\n```json\n{json.dumps(objects, ensure_ascii=False)}\n```"
