"""MiniCPM5: an element ``function`` with ``param`` elements and nothing around it.

    <function name="find_book"><param name="title">Dune</param></function>

As any XML looks like this, the name must be a declared one and no required argument may be missing. Text with markup
in it stands in CDATA sections. Some servers lose the blank in ``<function name=`` or leave glyphs of the tokenizer
where there should be white space.
Source: the chat template of openbmb/MiniCPM5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from toolmend._dialect import Region
from toolmend._element_tags import Tags
from toolmend._elements import FoundValue
from toolmend._errors import RenderError
from toolmend._toolbox import NotACall, Written
from toolmend.parsers._element_dialect import ElementDialect
from toolmend.parsers._element_forms import Form, closing, quoted

__all__ = ["MiniCPM5"]

_BLANK = r"[ \t\r\nĠĊ]"
_GLYPHS = re.compile(r"<(?:function|param)Ġ|>Ċ|Ċ<")
_CDATA, _CDATA_END = "<![CDATA[", "]]>"


class MiniCPM5(ElementDialect):
    """``<function name="…">`` with ``<param name="…">`` elements, for declared names."""

    name = "minicpm5"
    models = ("*minicpm5*",)
    sample = '<function name="find_book"><param name="title">Dune</param><param name="max_hits">3</param></function>'
    tags = Tags(
        call=rf"<function{_BLANK}?name={quoted('name')}>",
        end=closing("function"),
        value=rf"<param{_BLANK}?name={quoted('key')}>",
        stop=closing("param"),
        blank=_BLANK,
    )
    complete = True
    shows = False  # glyphs and sections are replaced
    form = Form(
        call='<function name="{name}">',
        value='<param name="{key}">{value}</param>',
        end="</function>",
        framing="pair",
    )
    openers = (
        rf"<function{_BLANK}?name=[ \t]{{0,4}}[\"']?NAMES[\"']?[ \t]{{0,4}}>{_BLANK}{{0,64}}<(?:param[ nĠ\t]|/f)",
    )

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
        """The text, out of its CDATA section."""
        inside = text.strip()
        section = inside.startswith(_CDATA) and inside.endswith(_CDATA_END)
        return value.key, inside[len(_CDATA) : -len(_CDATA_END)] if section else text

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
        return f"{_CDATA}{text}{_CDATA_END}", ""
