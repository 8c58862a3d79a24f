"""LongCat: an object in ``<longcat_tool_call>`` tags.

Source: the chat template of meituan-longcat/LongCat-Flash-Chat.
"""

from __future__ import annotations

from toolmend.parsers._tagged_json import TaggedJson

__all__ = ["Longcat"]


class Longcat(TaggedJson):
    """``<longcat_tool_call>{"name": …, "arguments": {…}}</longcat_tool_call>``."""

    name = "longcat"
    models = ("*longcat*",)
    sample = (
        '<longcat_tool_call>{"name": "find_book", "arguments": {"title": "Dune", "max_hits": 3}}</longcat_tool_call>'
    )
    opener = r"<longcat_tool_call>"
    closers = ("</longcat_tool_call>",)
    head = "<longcat_tool_call>"
    tail = "</longcat_tool_call>"
