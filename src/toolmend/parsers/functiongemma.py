"""FunctionGemma: ``call:name{…}`` between tags, strings between ``<escape>`` tokens.

Source: the chat template of google/functiongemma-270m-it.
"""

from __future__ import annotations

from toolmend.parsers._gemma import GemmaCalls
from toolmend.parsers._named_json import Form

__all__ = ["FunctionGemma"]


class FunctionGemma(GemmaCalls):
    """``<start_function_call>call:name{key:<escape>text<escape>}<end_function_call>``."""

    name = "functiongemma"
    aliases = ("function_gemma",)
    models = ("*functiongemma*",)
    sample = "<start_function_call>call:find_book{title:<escape>Dune<escape>,max_hits:3}<end_function_call>"
    forms = (Form(r"<start_function_call>\s{0,16}(?:call\s{0,4})?:?\s{0,4}", r"\s{0,4}", r"[{(]"),)
    closers = r"<end_function_call>|<start_function_response>"
    again = "<start_function_call>"
    delimiter = "<escape>"
    markers = ("<start_function_call>", "<end_function_call>")
