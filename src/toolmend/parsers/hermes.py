"""Hermes: a JSON object between ``<tool_call>`` tags; Hermes 2/3, Qwen2.5, Qwen3 and many fine-tunes.

Source: the chat templates of NousResearch/Hermes-2-Pro and Qwen/Qwen2.5-Instruct.
"""

from __future__ import annotations

from collections.abc import Sequence

from toolmend._blocks import Block
from toolmend._dialect import Dialect, Region
from toolmend._json_body import JsonBody
from toolmend._toolbox import Toolbox, Written
from toolmend._types import ToolCall
from toolmend.parsers._bodies import call_object, json_calls

__all__ = ["Hermes"]

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"


class Hermes(Dialect):
    """One object with ``name`` and ``arguments`` a tag pair; the closer may be missing."""

    name = "hermes"
    aliases = ("qwen", "qwen25", "qwen3_json", "trinity", "ernie45", "granite4")
    models = ("*hermes*", "*qwen2.5*", "*qwen3*", "*qwq*", "*smollm3*", "*granite-4*")
    sample = '<tool_call>\n{"name": "find_book", "arguments": {"title": "Dune", "max_hits": 3}}\n</tool_call>'

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """``<tool_call>`` with a bracket behind it."""
        opener = _OPEN + r"\s{0,64}(?:\{|\[(?=[^A-Za-z_]))"
        return (Block(opener, lambda opener, _: JsonBody(opener, _CLOSE, again=_OPEN), json=True),)

    def parse(self, region: Region) -> list[Written]:
        """The objects between the tags."""
        return json_calls(region.text.removeprefix(_OPEN).removesuffix(_CLOSE).strip(), value=region.value)

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """A tag pair a call."""
        return "\n".join(f"{_OPEN}\n{call_object(call)}\n{_CLOSE}" for call in calls)
