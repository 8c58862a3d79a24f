"""Inkling: a message of its own for every call, an object with ``name`` and ``args``.

Source: the chat template of the Inkling models.
"""

from __future__ import annotations

from toolmend.parsers._tagged_json import TaggedJson

__all__ = ["Inkling"]


class Inkling(TaggedJson):
    """``<|message_model|><|content_invoke_tool_json|>{"name": …, "args": {…}}<|end_message|>``."""

    name = "inkling"
    models = ("*inkling*",)
    sample = (
        '<|message_model|><|content_invoke_tool_json|>{"name": "find_book", "args": {"title": "Dune", "max_hits": 3}}'
        "<|end_message|>"
    )
    opener = r"(?:<\|message_model\|>\s{0,8})?<\|content_invoke_tool_json\|>"
    closers = ("<|end_message|>", "<|content_model_end_sampling|>")
    trailers = ("<|content_model_end_sampling|>",)
    around = (r"(?<![^\n>])(?:<\|message_model\|>\s{0,8})?<\|content_text\|>",)
    head = "<|message_model|><|content_invoke_tool_json|>"
    tail = "<|end_message|>"
    keys = ("name", "args")
