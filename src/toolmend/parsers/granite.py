"""Granite: a list of objects behind ``<|tool_call|>``, without a closer; IBM Granite 3, and Phi-4-mini with a closer.

Granite 3.1 to 3.3 write ``<tool_call>`` in its place, which `hermes` reads.
Source: the chat template of ibm-granite/granite-3.0-8b-instruct, the model card of microsoft/Phi-4-mini-instruct.
"""

from __future__ import annotations

from toolmend.parsers._tagged_json import TaggedJson

__all__ = ["Granite"]


class Granite(TaggedJson):
    """``<|tool_call|>[{"name": …, "arguments": {…}}]``."""

    name = "granite"
    models = ("*granite-3.0*", "*granite3-*")
    sample = '<|tool_call|>[{"name": "find_book", "arguments": {"title": "Dune", "max_hits": 3}}]'
    opener = r"<\|tool_call\|>"
    closers = ("<|/tool_call|>", "</tool_call>")
    head = "<|tool_call|>"
    listed = True
