"""Mistral before its tokenizer's version 11: a list of JSON calls behind a marker; Mistral 7B v0.3, Nemo, Mixtral.

A bare object, several objects and a missing bracket of the marker are read too.
Source: the chat template of mistralai/Mistral-7B-Instruct-v0.3.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import regex

from toolmend._blocks import Block
from toolmend._dialect import Dialect, Region
from toolmend._json import past
from toolmend._json_body import JsonBody
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._types import ToolCall
from toolmend.parsers._bodies import json_calls
from toolmend.parsers._marked_calls import are_calls, calls_behind
from toolmend.parsers._pythonic import read_calls

__all__ = ["MistralV3"]

_MARKER = re.compile(r"\[TOOL_CALLS\]?+\s*+")
_GOOD_ID = re.compile(r"[A-Za-z0-9]{9}")
_CLOSER = r"\[/TOOL_CALLS\]"
_ANOTHER = regex.compile(r"[\s,;]{0,64}(?:\{|\[\s{0,16}\{)")


class _Body(JsonBody):
    """Several values, of which each begins an object: text behind the calls may begin with a bracket too."""

    def _read_tail(self, text: str, position: int, value_end: int) -> tuple[int | None, int]:
        found = _ANOTHER.match(text, position, partial=True)
        if found is None:
            return value_end, position
        if found.partial:
            self._carry = text[position:]
            return None, len(text)
        self._value_end = None
        return None, position


class MistralV3(Dialect):
    """``[TOOL_CALLS] [{"name": …, "arguments": {…}, "id": …}]``."""

    name = "mistral_v3"
    models = ("*mistral-7b*", "*mistral-nemo*", "*mixtral*", "*mistral-large-2*", "*ministral-8b*")
    sample = '[TOOL_CALLS] [{"name": "find_book", "arguments": {"title": "Dune", "max_hits": 3}, "id": "aB3dE5gH7"}]'

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """The marker with a bracket behind it."""
        opener = r"\[TOOL_CALLS\]?\s{0,64}(?:\{|\[\s{0,16}\{)"
        json_body = Block(opener, lambda opener, _: _Body(opener, again=r"\[TOOL_CALLS\]"))
        return (calls_behind(r"\[TOOL_CALLS\]?", _CLOSER), json_body)

    def parse(self, region: Region) -> Sequence[Written | NotACall]:
        """The calls behind the marker."""
        text = region.text[past(_MARKER, region.text, 0) :]
        return read_calls(text.removesuffix("[/TOOL_CALLS]"), region.tools) if are_calls(text) else json_calls(text)

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """A list of all calls; an id has nine letters or digits."""
        written: list[dict[str, object]] = []
        for number, call in enumerate(calls):
            call_id = call.id if call.id and _GOOD_ID.fullmatch(call.id) else f"call{number:05d}"
            written.append({"name": call.name, "arguments": call.arguments, "id": call_id})
        return f"[TOOL_CALLS] {json.dumps(written, ensure_ascii=False)}"
