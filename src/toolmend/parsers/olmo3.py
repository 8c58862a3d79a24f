"""Olmo 3: a call in Python's syntax on each line between ``<function_calls>`` tags; the values are JSON.

Source: the chat template of allenai/Olmo-3-7B-Instruct.
"""

from __future__ import annotations

from toolmend.parsers._tagged_calls import TaggedCalls

__all__ = ["Olmo3"]


class Olmo3(TaggedCalls):
    """``<function_calls>``, a line a call, ``</function_calls>``."""

    name = "olmo3"
    models = ("*olmo-3*", "*olmo3*")
    sample = '<function_calls>\nfind_book(title="Dune", max_hits=3)\n</function_calls>'
    opener = r"<function_calls>"
    closers = ("</function_calls>",)
    head = "<function_calls>\n"
    between = "\n"
    tail = "\n</function_calls>"
