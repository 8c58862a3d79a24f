"""Mistral: a marker, the name, a marker, a JSON object; Mistral Small 3, Devstral, Magistral, Ministral 3.

Some releases put an id between name and arguments, some leave out the second marker, some write the name first.
Source: the tokenizer of Mistral AI from version 11 on, mistralai/mistral-common.
"""

from __future__ import annotations

import re

from toolmend._blocks import LINE
from toolmend._types import ToolCall
from toolmend.parsers._named_json import Form, NamedJson

__all__ = ["Mistral"]

_CALLS, _ARGS = r"\[TOOL_CALLS\]?", r"\[ARGS\]?"
_CALL_ID = r"\[CALL_ID\]?\s{0,4}[A-Za-z0-9_-]{1,64}"
_ID = re.compile(r"\[CALL_ID\]?\s*([A-Za-z0-9_-]+)")


class Mistral(NamedJson):
    """``[TOOL_CALLS]name[ARGS]{…}``; brackets of the markers may be missing."""

    name = "mistral"
    aliases = ("ministral",)
    models = (
        "*mistral-small-3*",
        "*mistral-small3*",
        "*devstral*",
        "*magistral*",
        "*ministral-3*",
        "*mistral-large-3*",
    )
    sample = '[TOOL_CALLS]find_book[ARGS]{"title": "Dune", "max_hits": 3}'
    forms = (
        Form(rf"{_CALLS}\s{{0,16}}", rf"(?:\s{{0,4}}{_CALL_ID})?(?:\s{{0,4}}{_ARGS})?\s{{0,64}}"),
        Form(r"(?<![\w.-])", rf"\s{{0,4}}{_CALLS}(?:\s{{0,4}}{_ARGS})?\s{{0,64}}", names="listed"),
        Form(LINE, rf"(?:\s{{0,4}}{_CALL_ID})?\s{{0,4}}{_ARGS}\s{{0,64}}", names="declared"),
    )
    again = r"\[TOOL_CALLS\]"

    def call_id(self, head: str) -> str | None:
        """What follows ``[CALL_ID]``."""
        found = _ID.search(head)
        return found[1] if found else None

    def render_call(self, call: ToolCall, number: int) -> str:
        """The markers of one call."""
        return f"[TOOL_CALLS]{call.name}[ARGS]{self.render_arguments(call)}"
