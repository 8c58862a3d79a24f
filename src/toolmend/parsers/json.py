"""Bare JSON: the call object and nothing around it; Qwen2.5-Coder, Llama 3 and small models.

The object stands at the start of a line, behind a label such as ``Tool call:``, or at the end of the reply, behind the
sentence that announces it. Any JSON answer looks like this
too, so the name must be a declared one and the arguments must be there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from toolmend._blocks import LINE, Block, Body, NotHere
from toolmend._dialect import Dialect, Region
from toolmend._json_body import CallHead, JsonBody
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._types import ToolCall
from toolmend.parsers._announcement import SAID, closing, said
from toolmend.parsers._bodies import call_object, json_calls
from toolmend.parsers._dress import ITEM, announces_calls, dressed

__all__ = ["Json"]

_LABEL = r"(?i:\b(?:tool|function)[ _-]?calls?|\bcall|\baction)[ \t]{0,4}:\s{0,8}"
_MARKS = r"(?:`|\*{2})"
_MARK = re.compile(rf"{_MARKS}[{{\[]")
_START = re.compile(r"[{\[]")


class Json(Dialect):
    """An object with ``name`` and ``arguments``, or a list of them."""

    name = "json"
    aliases = ("xlam",)
    models = ("*qwen2.5-coder*", "*llama-3*", "*llama3*")
    sample = '{"name": "find_book", "arguments": {"title": "Dune", "max_hits": 3}}'

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """A brace at the start of a line, behind a label, or in backticks on a line of its own."""
        start = r"(?:\{(?=\s{0,16}[\"'A-Za-z])|\[(?=\s{0,16}\{))"
        behind = r"(?<=>)"  # the end of reasoning that began in the prompt

        def after_reasoning(opener: str, lead: str) -> JsonBody:
            if not lead.endswith("</think>"):
                raise NotHere
            return JsonBody(opener, head=CallHead(tools))

        def item(opener: str, lead: str) -> Body:
            if lead.strip() and not announces_calls(lead):
                raise NotHere
            return marked(opener, lead) if _MARK.search(opener) else JsonBody(opener, head=CallHead(tools))

        def marked(opener: str, _: str) -> Body:
            return dressed(JsonBody(opener, rf"{_MARKS}(?=[ \t]{{0,16}}\n)", CallHead(tools), only=True), opener)

        def on_line(opener: str, lead: str) -> Body:
            if not said(lead):
                raise NotHere
            return closing(JsonBody(opener, head=CallHead(tools)))

        return (
            Block(f"(?:{LINE}|{_LABEL}){start}", lambda opener, _: JsonBody(opener, head=CallHead(tools)), "plain"),
            Block(f"{LINE}{_MARKS}{start}", marked, "plain"),
            Block(f"{LINE}{ITEM}{_MARKS}?{start}", item, "plain"),
            Block(f"{behind}{start}", after_reasoning, "plain"),
            Block(f"{SAID}{start}", on_line, "plain"),
        )

    def parse(self, region: Region) -> list[Written]:
        """The object, without its label."""
        start = _START.search(region.text)
        if not start:
            raise NotACall("no JSON")
        return json_calls(
            region.text[start.start() :].rstrip("`*"), alone=False, tools=region.tools, value=region.value
        )

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """An object a line."""
        return "\n".join(map(call_object, calls))
