"""Phi-4-mini: a list of objects behind the word ``functools``; also Firefunction v2.

Source: vLLM's chat template for microsoft/Phi-4-mini-instruct, the template of fireworks-ai/llama-3-firefunction-v2.
"""

from __future__ import annotations

from toolmend.parsers._tagged_json import TaggedJson

__all__ = ["Phi4MiniJson"]


class Phi4MiniJson(TaggedJson):
    """``functools[{"name": …, "arguments": {…}}]``."""

    name = "phi4_mini_json"
    aliases = ("firefunction",)
    models = ("*phi-4-mini*", "*phi4-mini*", "*firefunction*")
    sample = 'functools[{"name": "find_book", "arguments": {"title": "Dune", "max_hits": 3}}]'
    opener = r"(?<![\w.])functools"
    first = r"\[(?=\s{0,64}\{)"
    head = "functools"
    listed = True
