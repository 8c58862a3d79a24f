"""Llama 3 JSON: an object with ``parameters`` behind ``<|python_tag|>``, several with semicolons between.

Most often the token is missing and the object stands alone, which `json` reads.
Source: Meta's prompt format for Llama 3.1 and vLLM's chat template for it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from toolmend._blocks import Block
from toolmend._toolbox import Toolbox
from toolmend._types import ToolCall
from toolmend.parsers._marked_calls import calls_behind
from toolmend.parsers._tagged_json import SEVERAL, TaggedJson

__all__ = ["Llama3Json"]


class Llama3Json(TaggedJson):
    """``<|python_tag|>{"name": …, "parameters": {…}}; {…}``."""

    name = "llama3_json"
    aliases = ("llama3", "llama4_json")
    sample = '<|python_tag|>{"name": "find_book", "parameters": {"title": "Dune", "max_hits": 3}}'
    opener = r"<\|python_tag\|>"
    head = "<|python_tag|>"
    keys = ("name", "parameters")
    usual = (SEVERAL,)

    def calls(self, closer: str, tools: Toolbox) -> Block:
        """For declared names: what else stands here is code for an interpreter."""
        return calls_behind(self.opener, closer, tools.names)

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """All objects behind one marker."""
        objects = [json.dumps(self.fields(call, number), ensure_ascii=False) for number, call in enumerate(calls)]
        return self.head + "; ".join(objects)
