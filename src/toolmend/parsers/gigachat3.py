"""GigaChat 3: one object behind a token, without a closer; the text before it ends with a separator.

GigaChat 3 writes ``function call<|role_sep|>`` and a line feed, 3.1 ``<|function_call|>``.
Source: the chat templates of ai-sage/GigaChat3-10B-A1.8B and ai-sage/GigaChat3.1-10B-A1.8B.
"""

from __future__ import annotations

from toolmend.parsers._tagged_json import TaggedJson

__all__ = ["Gigachat3"]


class Gigachat3(TaggedJson):
    """``<|function_call|>{"name": …, "arguments": {…}}``."""

    name = "gigachat3"
    models = ("*gigachat*",)
    sample = '<|function_call|>{"name": "find_book", "arguments": {"title": "Dune", "max_hits": 3}}'
    opener = r"(?:<\|message_sep\|>\s{0,8})?(?:function call<\|role_sep\|>|<\|function_call\|>)"
    closers = ("<|message_sep|>",)
    head = "<|function_call|>"
