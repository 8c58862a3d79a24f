"""Jamba: a list of objects in ``<tool_calls>`` tags; Jamba, Hunyuan-A13B, Apriel, and MiniMax-M1 with an object a line.

Hunyuan puts ``助手：`` in front and ends its answer tag behind; Apriel gives every object an ``id``
and puts markers around what is not reasoning. Its reasoning begins in the prompt: before the first marker nothing tells
it from an answer, so it is text.
Source: the chat templates of ai21labs/AI21-Jamba-1.5-Mini, tencent/Hunyuan-A13B-Instruct,
ServiceNow-AI/Apriel-1.5-15b-Thinker and MiniMaxAI/MiniMax-M1-40k.
"""

from __future__ import annotations

from toolmend.parsers._tagged_json import SEVERAL, TaggedJson

__all__ = ["Jamba"]


class Jamba(TaggedJson):
    """``<tool_calls>[{"name": …, "arguments": {…}}]</tool_calls>``."""

    name = "jamba"
    aliases = ("hunyuan_a13b", "minimax", "apriel")
    models = ("*jamba*", "*hunyuan-a13b*", "*apriel*", "*minimax-m1*")
    sample = '<tool_calls>[{"name": "find_book", "arguments": {"title": "Dune", "max_hits": 3}}]</tool_calls>'
    opener = r"(?:助手：\s{0,8})?<tool_calls>"
    closers = ("</tool_calls>",)
    trailers = ("</answer>",)
    around = (r"\[(?:BEGIN|END) FINAL RESPONSE\]",)
    head = "<tool_calls>"
    tail = "</tool_calls>"
    listed = True
    usual = (SEVERAL,)
