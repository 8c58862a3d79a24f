"""Cohere: a list of objects between action tokens; Command R7B, Command A and later.

The keys are ``tool_call_id``, ``tool_name`` and ``parameters``. Commas between the objects get lost.
Source: the chat templates of CohereLabs/c4ai-command-r7b-12-2024 and CohereLabs/c4ai-command-a-03-2025.
"""

from __future__ import annotations

from typing import Any

from toolmend._toolbox import NotACall, Written
from toolmend._types import ToolCall
from toolmend.parsers._bodies import json_calls
from toolmend.parsers._tagged_json import TaggedJson

__all__ = ["CohereCommand3"]


class CohereCommand3(TaggedJson):
    """``<|START_ACTION|>[{"tool_call_id": …, "tool_name": …, "parameters": {…}}]<|END_ACTION|>``."""

    name = "cohere_command3"
    aliases = ("cohere_command4", "cohere")
    models = ("*command-r7b*", "*command-a*", "*command-3*", "*command-4*")
    sample = (
        '<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "find_book", '
        '"parameters": {"title": "Dune", "max_hits": 3}}]<|END_ACTION|>'
    )
    opener = r"<\|START_ACTION\|>"
    closers = ("<|END_ACTION|>",)
    around = (r"(?<![^\n>])<\|START_(?:RESPONSE|TEXT)\|>",)
    head = "<|START_ACTION|>"
    tail = "<|END_ACTION|>"
    listed = True

    def read(self, text: str) -> list[Written]:
        """The calls of the list, or the objects that its brackets hold."""
        try:
            return json_calls(text)
        except NotACall as error:
            try:
                return json_calls(text.removeprefix("[").removesuffix("]"))
            except NotACall:
                raise error from None

    def fields(self, call: ToolCall, number: int) -> dict[str, Any]:
        """The calls are numbered."""
        return {"tool_call_id": str(number), "tool_name": call.name, "parameters": call.arguments}
