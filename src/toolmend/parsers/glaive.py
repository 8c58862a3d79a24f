"""Glaive: an object behind ``<functioncall>``, its arguments often JSON once more, in single quotes.

Models tuned on the open function calling data write it, and whatever small model was tuned on a mixture that holds it.
Source: the data set glaiveai/glaive-function-calling-v2.
"""

from __future__ import annotations

from toolmend.parsers._tagged_json import TaggedJson

__all__ = ["Glaive"]


class Glaive(TaggedJson):
    """``<functioncall> {"name": …, "arguments": {…}}``, mostly without a closing tag."""

    name = "glaive"
    models = ("*glaive*",)
    sample = """<functioncall> {"name": "find_book", "arguments": '{"title": "Dune", "max_hits": 3}'}"""
    opener = r"<functioncall>"
    closers = ("</functioncall>",)
    head = "<functioncall> "
