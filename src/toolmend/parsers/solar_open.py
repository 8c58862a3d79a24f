"""Solar Open: an id, the name and a JSON object between tokens.

Source: the chat template of upstage/Solar-Open-100B.
"""

from __future__ import annotations

import re

from toolmend._types import ToolCall
from toolmend.parsers._named_json import Form, NamedJson

__all__ = ["SolarOpen"]

_BEGIN = r"<\|tool_call:begin\|>\s{0,16}[A-Za-z0-9_-]{0,64}\s{0,16}"
_ID = re.compile(r"<\|tool_call:begin\|>\s*([A-Za-z0-9_-]+)")
_GOOD_ID = re.compile(r"[a-z0-9]{10}")


class SolarOpen(NamedJson):
    """``<|tool_call:begin|>id<|tool_call:name|>name<|tool_call:args|>{…}<|tool_call:end|>``."""

    name = "solar_open"
    models = ("*solar-open*",)
    sample = (
        "<|tool_calls|><|tool_call:begin|>a1b2c3d4e5<|tool_call:name|>find_book<|tool_call:args|>"
        '{"title": "Dune", "max_hits": 3}<|tool_call:end|><|calls|>'
    )
    forms = (
        Form(
            rf"(?:<\|tool_calls\|>\s{{0,64}})?(?:{_BEGIN})?<\|tool_call:name\|>\s{{0,16}}",
            r"\s{0,16}<\|tool_call:args\|>\s{0,64}",
        ),
    )
    closers = r"<\|tool_call:end\|>|<\|calls\|>"
    again = r"<\|tool_call:begin\|>"
    around = ("<|tool_calls|>", "", "<|calls|>")

    def call_id(self, head: str) -> str | None:
        """What stands before the name."""
        found = _ID.search(head)
        return found[1] if found else None

    def render_call(self, call: ToolCall, number: int) -> str:
        """The tokens of one call; an id has ten small letters or digits."""
        call_id = call.id if call.id and _GOOD_ID.fullmatch(call.id) else f"call{number:06d}"
        return (
            f"<|tool_call:begin|>{call_id}<|tool_call:name|>{call.name}"
            f"<|tool_call:args|>{self.render_arguments(call)}<|tool_call:end|>"
        )
