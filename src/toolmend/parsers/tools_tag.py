"""Tools tag: an object in ``<tools>`` tags, the ones in which the prompt offers tools; Qwen2.5-Coder.

A model also repeats the offer in these tags, so the name must be a declared one and a definition is no call.
Source: replies of Qwen/Qwen2.5-Coder-7B-Instruct, whose chat template has the tags in its system text.
"""

from __future__ import annotations

from collections.abc import Sequence

from toolmend._blocks import Block
from toolmend._json_body import CallHead, JsonBody
from toolmend._toolbox import Toolbox
from toolmend.parsers._tagged_json import TaggedJson, any_of

__all__ = ["ToolsTag"]


class ToolsTag(TaggedJson):
    """``<tools>{"name": …, "arguments": {…}}</tools>``."""

    name = "tools_tag"
    sample = '<tools>\n{"name": "find_book", "arguments": {"title": "Dune", "max_hits": 3}}\n</tools>'
    opener = r"<tools>"
    closers = ("</tools>",)
    head = "<tools>\n"
    tail = "\n</tools>"

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """The tag with an object behind it that may be a call."""

        def body(opener: str, _: str) -> JsonBody:
            return JsonBody(opener, any_of(self.closers), CallHead(tools))

        return (Block(rf"{self.opener}\s{{0,64}}{self.first}", body, "plain", json=True),)
