"""A name and JSON: ``name{…}``, what is left of several formats after a server has dropped their special tokens.

DeepSeek V3.1 and Mistral end so. The name must be a declared one at the start of a line, and nothing may follow the
object on its line but another call.
"""

from __future__ import annotations

from toolmend._blocks import LINE
from toolmend.parsers._named_json import ALONE, Form, NamedJson

__all__ = ["BareNamedJson"]


class BareNamedJson(NamedJson):
    """``name{…}`` on a line of its own."""

    name = "named_json"
    sample = 'find_book{"title": "Dune", "max_hits": 3}'
    forms = (Form(LINE, r"[ \t]{0,2}", ahead=ALONE, names="declared", kind="plain"),)
    around = ("", "\n", "")
