"""MiniCPM5: an element ``function`` with ``param`` elements and nothing around it.

    <function name="find_book"><param name="title">Dune</param></function>

As any XML looks like this, the name must be a declared one and no required argument may be missing. Text with markup
in it stands in CDATA sections; a section that begins a value has to end it. Some servers lose the blank in
``<function name=`` or leave glyphs of the tokenizer where there should be white space.
Source: the chat template of openbmb/MiniCPM5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from toolmend._blocks import Block
from toolmend._dialect import Region
from toolmend._element_deltas import ElementDeltas, Framed
from toolmend._element_tags import Tags
from toolmend._elements import FoundValue
from toolmend._errors import RenderError
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._types import ToolSpec
from toolmend.parsers._element_dialect import ElementDialect
from toolmend.parsers._element_forms import Form, closing, quoted
from toolmend.parsers._sections import CDATA, CDATA_END, SectionText, refuse_glyphs, section_of

__all__ = ["MiniCPM5"]

_BLANK = r"[ \t\r\nĠĊ]"
_GLYPHS = re.compile(r"<(?:function|param)Ġ|>Ċ|Ċ<")


def _closing(name: str) -> str:
    return closing(name).replace(r"[ \t]", r"[ \tĠ]")


class MiniCPM5(ElementDialect):
    """``<function name="…">`` with ``<param name="…">`` elements, for declared names."""

    name = "minicpm5"
    models = ("*minicpm5*",)
    sample = '<function name="find_book"><param name="title">Dune</param><param name="max_hits">3</param></function>'
    tags = Tags(
        call=rf"<function{_BLANK}?name={quoted('name')}>",
        end=_closing("function"),
        value=rf"<param{_BLANK}?name={quoted('key')}>",
        stop=_closing("param"),
        blank=_BLANK,
    )
    complete = True
    form = Form(
        call='<function name="{name}">',
        value='<param name="{key}">{value}</param>',
        end="</function>",
        framing="pair",
    )
    openers = (
        rf"<function{_BLANK}?name=[ \t]{{0,4}}[\"']?NAMES[\"']?[ \t]{{0,4}}>{_BLANK}{{0,64}}<(?:param[ nĠ\t]|/f)",
    )

    def deltas(self, block: Block, opener: str, tools: Toolbox) -> ElementDeltas | None:
        """Not where the reply has glyphs from the start."""
        return None if set(opener) & set("ĠĊ") else super().deltas(block, opener, tools)

    def text(self, value: FoundValue) -> Framed:
        """What is in its section, if it has one."""
        refuse_glyphs(value.key)
        return SectionText(self.form.framing)

    def certain(self, values: Sequence[tuple[FoundValue, str]], tool: ToolSpec) -> dict[str, Any]:
        """Only those without glyphs: whether these are replaced, what follows may tell."""
        for _, text in values:
            refuse_glyphs(text)
        return super().certain(values, tool)

    def parse(self, region: Region) -> Sequence[Written | NotACall]:
        """The call; without the glyphs, if its tags have any."""
        if not _GLYPHS.search(region.text):
            return super().parse(region)
        text = region.text.replace("Ġ", " ").replace("Ċ", "\n")
        return [
            call if isinstance(call, NotACall) else replace(call, repairs=("replaced glyphs", *call.repairs))
            for call in super().parse(replace(region, text=text))
        ]

    def pair(self, value: FoundValue, text: str) -> tuple[str, Any]:
        """The text, out of its CDATA section.

        Raises:
            NotACall: the section begins the text, but does not end it.
        """
        inside = text.lstrip()
        return value.key, section_of(inside.removeprefix(CDATA)) if inside.startswith(CDATA) else text

    def written(self, value: Any) -> tuple[str, str]:
        """Text with markup in it stands in a CDATA section.

        Raises:
            RenderError: it holds the end of one.
        """
        text, _ = super().written(value)
        if not re.search(r"[<&ĠĊ]", text):
            return text, ""
        if re.search(r"\]\]>|[ĠĊ]", text):
            raise RenderError("a value holds the end of a CDATA section or a glyph; choose a JSON format")
        return f"{CDATA}{text}{CDATA_END}", ""
