"""Muse: elements ``atem:invoke`` in a message to the tool; Muse Spark and Muse Glimmer.

    <|start|>assistant to=find_book<|message|><atem:function_calls>
    <atem:invoke name="find_book">
    <atem:parameter name="title">Dune</atem:parameter>
    </atem:invoke>
    </atem:function_calls><|eom|>

The beginning of the header is part of the prompt. What stands in a message to ``self`` or ``user`` is no call.
Source: the chat template of Muse Glimmer.
"""

from __future__ import annotations

import re
from dataclasses import replace

from toolmend._blocks import Body, NotHere
from toolmend.parsers._element_dialect import ElementDialect
from toolmend.parsers._element_forms import SPACE, Form, invoke_tags

__all__ = ["Muse"]

_HEADER = rf"(?:<\|start\|>assistant[ ]?)?(?:to=(?!(?:self|user)<)[\w.*-]{{1,128}})?<\|message\|>{SPACE}"
_TAGS = invoke_tags("function_calls", "atem:", r"(?:<\|message\|>[^<>\"'\n]{0,200})?", clear=True)
_RECIPIENT = re.compile(r"(?:to=(?P<name>[\w.*-]++))?<\|(?:message|eom|eot|start)\|>")


class Muse(ElementDialect):
    """``<atem:invoke name="…">`` with ``<atem:parameter name="…">`` elements, and the message around them."""

    name = "muse"
    aliases = ("muse_glimmer", "glimmer")
    models = ("*muse-spark*", "*muse-glimmer*")
    sample = (
        "<|start|>assistant to=find_book<|message|><atem:function_calls>\n"
        '<atem:invoke name="find_book">\n<atem:parameter name="title">Dune</atem:parameter>\n'
        '<atem:parameter name="max_hits">3</atem:parameter>\n</atem:invoke>\n</atem:function_calls><|eom|>'
    )
    tags = replace(_TAGS, wrapper=f"(?:{_HEADER})?{_TAGS.wrapper}")
    form = Form(
        wrapper="<atem:function_calls>\n",
        call='<atem:invoke name="{name}">\n',
        value='<atem:parameter name="{key}">{value}</atem:parameter>\n',
        end="</atem:invoke>\n",
        unwrap="</atem:function_calls>",
        together=True,
    )
    openers = (rf"(?:{_HEADER})?<atem:function_calls>{SPACE}<atem:invoke",)

    def body(self, opener: str, lead: str) -> Body:
        """The body, if the message is for a tool."""
        last = [found["name"] for found in _RECIPIENT.finditer(lead + opener)][-1:]
        if last and last[0] in ("self", "user"):
            raise NotHere
        return super().body(opener, lead)
