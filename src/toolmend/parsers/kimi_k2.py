"""Kimi K2: the tool's name and number, then a JSON object, between tokens; Kimi K2, K2 Thinking, K2.5.

The model leaves out any of its tokens now and then, and servers that drop special tokens leave the number and the
object: both are read for declared names. The name with its number is the call's id.
Source: the chat template of moonshotai/Kimi-K2-Instruct.
"""

from __future__ import annotations

import re

from toolmend._blocks import LINE
from toolmend._types import ToolCall
from toolmend.parsers._named_json import ALONE, Form, NamedJson

__all__ = ["KimiK2"]

_SECTION, _CALL = r"<\|tool_calls_section_begin\|>", r"<\|tool_call_begin\|>"
_ARGUMENTS = r"(?::\d{1,6})?\s{0,16}<\|tool_call_argument_begin\|>\s{0,64}"
_ID = re.compile(r"functions\.[\w.-]+:\d+")


class KimiK2(NamedJson):
    """``functions.name:0<|tool_call_argument_begin|>{…}``."""

    name = "kimi_k2"
    models = ("*kimi-k2*", "*kimi_k2*")
    sample = (
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.find_book:0<|tool_call_argument_begin|>"
        '{"title": "Dune", "max_hits": 3}<|tool_call_end|><|tool_calls_section_end|>'
    )
    forms = (
        Form(rf"(?:{_SECTION}\s{{0,64}})?{_CALL}\s{{0,64}}(?:functions\.)?", _ARGUMENTS),
        Form(rf"(?:{_SECTION}\s{{0,64}}|(?<![\w.-]))(?:functions\.)?", _ARGUMENTS, names="listed"),
        Form(rf"{LINE}functions\.", r"(?::\d{1,6})?\s{0,4}", ahead=ALONE, names="declared", kind="plain"),
        Form(LINE, r":\d{1,6}\s{0,4}", ahead=ALONE, names="declared", kind="plain"),
    )
    closers = r"<\|tool_call_end\|>|<\|tool_calls_section_end\|>"
    again = _CALL
    around = ("<|tool_calls_section_begin|>", "", "<|tool_calls_section_end|>")

    def call_id(self, head: str) -> str | None:
        """The name with its number, as the template wants it back."""
        found = _ID.search(head)
        return found.group() if found else None

    def render_call(self, call: ToolCall, number: int) -> str:
        """The tokens of one call."""
        written = f"functions.{call.name}:{number}<|tool_call_argument_begin|>{self.render_arguments(call)}"
        return f"<|tool_call_begin|>{written}<|tool_call_end|>"
