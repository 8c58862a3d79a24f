"""Llama 4: a list of calls in Python's syntax between Python tokens; JSON stands there as well.

Without the tokens the list is read by `pythonic`.
Source: Meta's prompt format for Llama 4 and vLLM's chat template for it.
"""

from __future__ import annotations

from toolmend.parsers._tagged_calls import TaggedCalls

__all__ = ["Llama4Pythonic"]


class Llama4Pythonic(TaggedCalls):
    """``<|python_start|>[f(a=1), g()]<|python_end|>``."""

    name = "llama4_pythonic"
    sample = "<|python_start|>[find_book(title='Dune', max_hits=3)]<|python_end|>"
    opener = r"<\|python_start\|>"
    closers = ("<|python_end|>",)
    head = "<|python_start|>["
    tail = "]<|python_end|>"
    json = False
