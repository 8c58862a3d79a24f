"""Hermes pythonic: calls in Python's syntax where Hermes has JSON; models that mix the two.

Source: replies of small Qwen and Llama models that are prompted for ``<tool_call>`` tags.
"""

from __future__ import annotations

from collections.abc import Sequence

from toolmend._blocks import Block
from toolmend._toolbox import Toolbox
from toolmend.parsers._tagged_calls import TaggedCalls

__all__ = ["HermesPythonic"]


class HermesPythonic(TaggedCalls):
    """``<tool_call>f(a=1)</tool_call>``."""

    name = "hermes_pythonic"
    sample = '<tool_call>\nfind_book(title="Dune", max_hits=3)\n</tool_call>'
    opener = r"<tool_call>"
    closers = ("</tool_call>",)
    head = "<tool_call>\n"
    between = "\n"
    tail = "\n</tool_call>"

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """Only the calls: JSON between these tags is read by `hermes`."""
        return super().blocks(tools)[:1]
