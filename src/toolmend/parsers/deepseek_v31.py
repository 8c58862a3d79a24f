"""DeepSeek V3.1: the name and a JSON object between tokens; DeepSeek V3.1 and Cogito.

Source: the chat template of deepseek-ai/DeepSeek-V3.1.
"""

from __future__ import annotations

from toolmend._blocks import LINE
from toolmend._types import ToolCall
from toolmend.parsers._deepseek import BEGIN, SEPARATOR, DeepSeek
from toolmend.parsers._named_json import FENCED, Form

__all__ = ["DeepSeekV31"]


class DeepSeekV31(DeepSeek):
    """``name<｜tool▁sep｜>{…}``; without the tokens before it only for declared names."""

    name = "deepseek_v31"
    aliases = ("deepseekv31", "deepseek3", "cogito")
    models = ("*deepseek-v3.1*", "*cogito*")
    sample = (
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>find_book<｜tool▁sep｜>"
        '{"title": "Dune", "max_hits": 3}<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
    )
    forms = (
        Form(BEGIN, rf"\s{{0,16}}{SEPARATOR}\s{{0,64}}", FENCED),
        Form(LINE, rf"\s{{0,16}}{SEPARATOR}\s{{0,64}}", FENCED, names="declared"),
    )
    around = ("<｜tool▁calls▁begin｜>", "", "<｜tool▁calls▁end｜>")

    def render_call(self, call: ToolCall, number: int) -> str:
        """The tokens of one call."""
        return f"<｜tool▁call▁begin｜>{call.name}<｜tool▁sep｜>{self.render_arguments(call)}<｜tool▁call▁end｜>"
