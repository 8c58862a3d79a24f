"""A name and JSON: ``name{…}``, what is left of several formats after a server has dropped their special tokens.

DeepSeek V3.1 and Mistral end so. The name must be a declared one at the start of a line, and nothing may follow the
object on its line but another call. With a colon between them, as in YAML, they must be the whole reply, and the keys
those of the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from toolmend._blocks import LINE, Block, Body, NotHere
from toolmend._dialect import Region
from toolmend._toolbox import Description, Toolbox, Written
from toolmend.parsers._announcement import closing
from toolmend.parsers._named_json import ALONE, Form, NamedJson
from toolmend.parsers._program import is_signature

__all__ = ["BareNamedJson"]

_COLON = r"[ \t]{0,2}:[ \t]{0,4}"


class BareNamedJson(NamedJson):
    """``name{…}`` on a line of its own."""

    name = "named_json"
    sample = 'find_book{"title": "Dune", "max_hits": 3}'
    forms = (
        Form(LINE, r"[ \t]{0,2}", ahead=ALONE, names="declared", kind="plain"),
        Form(LINE, _COLON, ahead=ALONE, names="listed", kind="plain"),
    )
    around = ("", "\n", "")

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """A block a form; the one with the colon where nothing else is said."""
        glued, apart = super().blocks(tools)

        def alone(opener: str, lead: str) -> Body:
            if lead.strip():
                raise NotHere
            return closing(apart.body(opener, lead))

        return (glued, replace(apart, body=alone))

    def parse(self, region: Region) -> list[Written]:
        """The one call.

        Raises:
            NotACall: its arguments cannot be read, they are none, or it is a tool with its types.
        """
        calls = super().parse(region)
        if ":" not in region.text[: region.text.index("{")]:
            return calls
        if any(is_signature(call.arguments) for call in calls):
            raise Description("a tool's parameters, not a call")
        return [replace(call, loose=True) for call in calls]
