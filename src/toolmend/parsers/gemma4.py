"""Gemma 4: ``call:name{…}`` between tokens, strings between ``<|"|>`` tokens.

The model also leaves out ``call``, takes round brackets or other tags, and forgets closers. Where a server has dropped
the tokens, ``call:name{…}`` at the start of a line is read for declared names.
Source: the chat template of google/gemma-4.
"""

from __future__ import annotations

from toolmend._blocks import LINE
from toolmend.parsers._gemma import GemmaCalls
from toolmend.parsers._named_json import Form

__all__ = ["Gemma4"]


class Gemma4(GemmaCalls):
    """``<|tool_call>call:name{key:<|"|>text<|"|>,number:3}<tool_call|>``."""

    name = "gemma4"
    models = ("*gemma-4*", "*gemma4*")
    sample = '<|tool_call>call:find_book{title:<|"|>Dune<|"|>,max_hits:3}<tool_call|>'
    forms = (
        Form(r"<\|tool_call>\s{0,16}(?:call\s{0,4})?:?\s{0,4}", r"\s{0,4}", r"[{(]"),
        Form(r"<call>\s{0,16}(?:call\s{0,4})?:?\s{0,4}", r"\s{0,4}", r"[{(]", names="declared"),
        Form(rf"{LINE}(?:[,;]\s{{0,4}})?call\s{{0,2}}:\s{{0,4}}", r"\s{0,2}", r"[{(]", names="declared", kind="plain"),
    )
    closers = r"<tool_call\|>|<turn\|>|<\|tool_response>|</call>"
    again = r"<\|tool_call>"
    delimiter = '<|"|>'
    markers = ("<|tool_call>", "<tool_call|>")
