"""Functionary v3.2: the name on a line, a JSON object on the next; Functionary v3.2, GLM-4.

Every call after the first has ``>>>`` in front; text between calls is a call of ``all``. Ordinary text may look like
this, so the name must be a declared one and nothing may follow the object on its line. Where the name is glued to the
sentence before it, the object must be the tool's arguments, all of them and nothing else.
Source: the chat templates of meetkai/functionary-small-v3.2 and THUDM/glm-4-9b-chat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from toolmend._blocks import LINE, Block
from toolmend._dialect import Region
from toolmend._toolbox import Toolbox, Written
from toolmend._types import ToolCall
from toolmend.parsers._named_json import ALONE, Form, NamedJson

__all__ = ["FunctionaryV32"]

_GLUED = r"(?:(?<=\.)|(?<![\s\S]))"  # behind a full stop, which the region itself does not hold


class FunctionaryV32(NamedJson):
    """``name`` and ``{…}`` on lines of their own; ``>>>all`` before text is taken away."""

    name = "functionary_v32"
    models = ("*functionary*v3.2*", "*glm-4-9b*", "*glm4:*")
    sample = 'find_book\n{"title": "Dune", "max_hits": 3}'
    forms = (
        Form(r">>>\s{0,2}", r"[ \t]{0,8}\n\s{0,16}", ahead=ALONE, names="declared", kind="plain"),
        Form(LINE, r"[ \t]{0,8}\n\s{0,16}", ahead=ALONE, names="declared", kind="plain"),
        Form(_GLUED, r"[ \t]{0,8}\n\s{0,16}", ahead=ALONE, names="listed", kind="plain"),
    )
    around = ("", ">>>", "")

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """What opens text behind a call, which must not be taken for a name, and the calls."""
        return [Block.markup(r">>>all[ \t]{0,8}\n"), *super().blocks(tools)]

    def parse(self, region: Region) -> list[Written]:
        """The one call; see `NamedJson.parse`."""
        glued = region.lead.endswith(".")
        return [replace(call, loose=glued) for call in super().parse(region)]

    def render_call(self, call: ToolCall, number: int) -> str:
        """Two lines."""
        return f"{call.name}\n{self.render_arguments(call)}"
