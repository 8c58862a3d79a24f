"""Granite 20B function calling: an object behind every ``<function_call>``, without a closer.

Source: the model card of ibm-granite/granite-20b-functioncalling.
"""

from __future__ import annotations

from toolmend.parsers._tagged_json import TaggedJson

__all__ = ["Granite20bFc"]


class Granite20bFc(TaggedJson):
    """``<function_call> {"name": …, "arguments": {…}}``."""

    name = "granite_20b_fc"
    models = ("*granite-20b-functioncalling*",)
    sample = '<function_call> {"name": "find_book", "arguments": {"title": "Dune", "max_hits": 3}}'
    opener = r"<function_call>"
    closers = ("</function_call>",)
    head = "<function_call> "
