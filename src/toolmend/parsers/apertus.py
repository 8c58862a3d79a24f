"""Apertus: a list of objects with one key, the tool's name, between tokens.

Source: the chat template of swiss-ai/Apertus-8B-Instruct-2509.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from toolmend._toolbox import Written
from toolmend._types import ToolCall
from toolmend.parsers._bodies import json_calls
from toolmend.parsers._tagged_json import TaggedJson

__all__ = ["Apertus"]

_KEYED = "took a key for the name"


class Apertus(TaggedJson):
    """``<|tools_prefix|>[{name: {…}}]<|tools_suffix|>``."""

    name = "apertus"
    models = ("*apertus*",)
    sample = '<|tools_prefix|>[{"find_book": {"title": "Dune", "max_hits": 3}}]<|tools_suffix|>'
    opener = r"<\|tools_prefix\|>"
    closers = ("<|tools_suffix|>",)
    head = "<|tools_prefix|>"
    tail = "<|tools_suffix|>"
    listed = True
    usual = (_KEYED,)

    def read(self, text: str) -> list[Written]:
        """That a key is the name needs no other proof here."""
        return [replace(call, loose=call.loose and _KEYED not in call.repairs) for call in json_calls(text)]

    def fields(self, call: ToolCall, number: int) -> dict[str, Any]:
        """The key is the name."""
        return {call.name: call.arguments}
