"""DeepSeek V3: the word ``function``, the name, and a JSON fence between tokens; DeepSeek V3, R1 and its distillations.

Source: the chat templates of deepseek-ai/DeepSeek-V3 and DeepSeek-R1.
"""

from __future__ import annotations

from toolmend._types import ToolCall
from toolmend.parsers._deepseek import BEGIN, SEPARATOR, DeepSeek
from toolmend.parsers._named_json import FENCED, Form

__all__ = ["DeepSeekV3"]


class DeepSeekV3(DeepSeek):
    """``function<｜tool▁sep｜>name`` and the arguments in a fence; the section's opener or the fence may be missing."""

    name = "deepseek_v3"
    aliases = ("deepseekv3",)
    models = ("*deepseek-v3", "*deepseek-v3-*", "*deepseek-v3:*", "*deepseek-r1*")
    sample = (
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>find_book\n```json\n"
        '{"title": "Dune", "max_hits": 3}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
    )
    forms = (Form(rf"(?:{BEGIN})?function\s{{0,4}}{SEPARATOR}\s{{0,16}}", r"\s{0,64}", FENCED),)

    def render_call(self, call: ToolCall, number: int) -> str:
        """The tokens of one call around a fence."""
        fence = f"```json\n{self.render_arguments(call)}\n```"
        return f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{call.name}\n{fence}<｜tool▁call▁end｜>"
