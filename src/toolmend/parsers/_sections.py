"""Texts in CDATA sections, and in replies that may have the tokenizer's glyphs for white space."""

from __future__ import annotations

import re

from toolmend._element_deltas import Framed
from toolmend._toolbox import NotACall

__all__ = ["CDATA", "CDATA_END", "SectionText", "refuse_glyphs", "section_of"]

CDATA, CDATA_END = "<![CDATA[", "]]>"
"""What opens a section and what closes it."""

_SECTION_END = re.compile(r"\]\]>|\]{1,2}\Z")
_AHEAD = 32  # how much of a text is looked at for the beginning of a section
_GLYPH = re.compile("[ĠĊ]")


class SectionText(Framed):
    """A text that may stand in a section."""

    _inside = False

    def begin(self, text: str) -> int | None:
        """See `Framed.begin`."""
        head = text[:_AHEAD].lstrip()
        self._inside = head.startswith(CDATA)
        if self._inside:
            return text.index(CDATA) + len(CDATA)
        if CDATA.startswith(head):
            self.waits = len(text) >= _AHEAD
            return None
        return super().begin(text)

    def certain(self, text: str) -> int:
        """See `Framed.certain`. It ends with a glyph, or with what may end the section."""
        glyph = _GLYPH.search(text)
        end = _SECTION_END.search(text) if self._inside else None
        self.waits = bool(glyph or (end and end.group() == CDATA_END))
        return min(found.start() if found else len(text) for found in (glyph, end))

    def rest(self, text: str) -> str:
        """See `Framed.rest`."""
        refuse_glyphs(text)
        return section_of(text) if self._inside else text


def section_of(text: str) -> str:
    """A text without the end of its section.

    Raises:
        NotACall: that is not there.
    """
    text = text.rstrip()
    if not text.endswith(CDATA_END):
        raise NotACall("a CDATA section is not closed, or something stands behind it")
    return text.removesuffix(CDATA_END)


def refuse_glyphs(text: str) -> None:
    """See to it that a text has no glyph.

    Raises:
        NotACall: it has one, and whether that is the text's own is not known.
    """
    if _GLYPH.search(text):
        raise NotACall("a glyph may be the tokenizer's")
