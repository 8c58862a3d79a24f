"""Finds where a code fence ends, whatever is in it."""

from __future__ import annotations

import re

import regex

__all__ = ["LATER", "FenceBody", "unfenced"]

LATER = r"(?!\A)(?<![\n`])`{3}[A-Za-z_]{2,16}(?=\s{0,8}\n)"
"""A fence that does not begin its line; one without the name of a language could as well be the end of inline code."""

_OPENING = re.compile(r"\s*+(?P<mark>`|~)(?P=mark){2,}+[^\n`\[{]*+\s*+")


def unfenced(text: str) -> str | None:
    """What is in a code fence, whether it is closed or not; `None` if the text is no fence."""
    opening = _OPENING.match(text)
    return text[opening.end() :].rstrip().rstrip(opening["mark"]).rstrip() if opening else None


class FenceBody:
    """The body of a region that is a code fence and ends with its closing line.

    Args:
        opener: the opener as found; it begins with the fence's own marks.
    """

    value = None

    def __init__(self, opener: str) -> None:
        self.whole = False
        marks = opener.lstrip(" \t")
        width = len(marks) - len(marks.lstrip(marks[0]))
        self._closer = regex.compile(rf"\n[ \t]{{0,32}}{marks[0]}{{{width}}}")
        self._skip = len(opener) - 1
        self._carry: str = ""
        self._at: int = 0

    def feed(self, text: str) -> int | None:
        """See `Body.feed`."""
        dropped = min(self._skip, len(text))
        self._skip -= dropped
        self._at += dropped
        text = self._carry + text[dropped:]
        self._carry = ""
        found = self._closer.search(text, partial=True)
        if found and not found.partial:
            return self._at + found.end()
        self._carry = text[found.start() :] if found else ""
        self._at += len(text) - len(self._carry)
        return None

    def close(self) -> int:
        """See `Body.close`."""
        return self._at + len(self._carry)
