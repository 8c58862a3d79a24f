"""Fenced JSON: the call object in a Markdown code fence; Qwen2.5-Coder at long prompts, and what prompt mode asks for.

A fence passes every known server untouched, which tags do not. It also is how answers show JSON, so the name must be
a declared one.
"""

from __future__ import annotations

from collections.abc import Sequence

from toolmend._blocks import LINE, Block
from toolmend._dialect import Dialect, Region
from toolmend._fence_body import LATER, unfenced
from toolmend._json_body import CallHead, JsonBody
from toolmend._toolbox import Toolbox, Written
from toolmend._types import ToolCall
from toolmend.parsers._bodies import call_object, json_calls

__all__ = ["FencedJson"]

_INFO = r"[A-Za-z0-9_+#.-]{0,20}"  # models name any language, and none


def _body(opener: str, tools: Toolbox) -> JsonBody:
    return JsonBody(opener, "`" * opener.count("`"), CallHead(tools), only=True)


class FencedJson(Dialect):
    """A fence that holds one call object, several, or a list."""

    name = "fenced_json"
    models = ("*qwen2.5-coder*",)
    sample = '```json\n{"name": "find_book", "arguments": {"title": "Dune", "max_hits": 3}}\n```'

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """A fence for JSON, or for nothing in particular, with a bracket behind it; it may begin within a line."""
        value = r"\s{1,64}(?:\[\s{0,16}){0,3}\{"
        opener, later = rf"{LINE}`{{3,8}}[ \t]{{0,8}}{_INFO}[ \t]{{0,8}}{value}", f"{LATER}{value}"
        inline = rf"{LINE}`{{3}}(?:json[ \t]{{1,4}})?(?:\[\s{{0,16}}){{0,3}}\{{"

        def body(opener: str, _: str) -> JsonBody:
            return _body(opener, tools)

        return Block(opener, body, "fence"), Block(inline, body, "plain"), Block(later, body, "plain")

    def parse(self, region: Region) -> list[Written]:
        """The objects between the fences."""
        return json_calls(unfenced(region.text) or "", tools=region.tools, value=region.value)

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """A fence a call."""
        return "\n".join(f"```json\n{call_object(call)}\n```" for call in calls)
