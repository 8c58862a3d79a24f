"""Dots: Claude's elements in tags of its own, or a JSON object there.

    <dots_function_call>
    <invoke name="find_book">
    <parameter name="title">Dune</parameter>
    </invoke>
    </dots_function_call>

Source: the chat template of rednote-hilab's dots.llm2.
"""

from __future__ import annotations

from collections.abc import Sequence

from toolmend._blocks import Block
from toolmend._dialect import Region
from toolmend._json_body import JsonBody
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend.parsers._bodies import json_calls
from toolmend.parsers._element_dialect import ElementDialect
from toolmend.parsers._element_forms import SPACE, Form, invoke_tags

__all__ = ["Dots"]

_OPEN, _CLOSE = "<dots_function_call>", "</dots_function_call>"


class Dots(ElementDialect):
    """``<invoke name="…">`` with ``<parameter name="…">`` elements in ``<dots_function_call>`` tags."""

    name = "dots"
    models = ("*dots.llm*", "*dots-llm*")
    sample = (
        '<dots_function_call>\n<invoke name="find_book">\n<parameter name="title">Dune</parameter>\n'
        '<parameter name="max_hits">3</parameter>\n</invoke>\n</dots_function_call>'
    )
    tags = invoke_tags("dots_function_call")
    form = Form(
        wrapper=f"{_OPEN}\n",
        call='<invoke name="{name}">\n',
        value='<parameter name="{key}">{value}</parameter>\n',
        end="</invoke>\n",
        unwrap=_CLOSE,
        together=True,
        framing="pair",
    )
    openers = (rf"{_OPEN}{SPACE}<invoke[ \t]",)

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """The tag with an element or with a bracket behind it."""
        json = Block(rf"{_OPEN}{SPACE}[{{\[]", lambda opener, _: JsonBody(opener, _CLOSE))
        return [*super().blocks(tools), json]

    def parse(self, region: Region) -> Sequence[Written | NotACall]:
        """The calls with their arguments."""
        inside = region.text.removeprefix(_OPEN).strip()
        return super().parse(region) if inside.startswith("<") else json_calls(inside.removesuffix(_CLOSE))
