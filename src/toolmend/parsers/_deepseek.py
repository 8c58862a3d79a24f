"""What the formats of DeepSeek share: sections, calls and separators between tokens with fullwidth bars.

Distilled models write the tokens with plain bars, underscores or blanks, because they are no tokens to them.
"""

from __future__ import annotations

from typing import ClassVar

from toolmend.parsers._named_json import NamedJson

__all__ = ["BEGIN", "CALL", "SEPARATOR", "DeepSeek"]


_BLANK = r"(?:▁|\\?_| )"


def _token(*words: str) -> str:
    return rf"<[｜|]{_BLANK.join(words)}[｜|]>"


_SECTION = _token("tool", rf"calls(?:{_BLANK}begin)?")
CALL = _token("tool", "call", "begin")
"""Begins a call."""

SEPARATOR = _token("tool", "sep")
"""Stands before or behind the name."""

BEGIN = rf"(?:{_SECTION}\s{{0,64}}(?:{CALL})?|{CALL})\s{{0,64}}"
"""Begins a section, a call or both."""


class DeepSeek(NamedJson):
    """Calls in a section."""

    closers: ClassVar[str] = rf"{_token('tool', 'call', 'end')}|{_token('tool', 'calls', 'end')}"
    again: ClassVar[str] = CALL
    around: ClassVar[tuple[str, str, str]] = ("<｜tool▁calls▁begin｜>", "\n", "<｜tool▁calls▁end｜>")
