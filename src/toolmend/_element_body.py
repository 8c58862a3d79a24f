"""Finds where XML-like calls end: an element for the function, one for each parameter, plain text between.

A value may hold anything, markup included, so a closing tag counts only where the next tag of the form follows it.
The end of a function is certain where it stands directly behind its own opening tag, behind a parameter, or before
the end of the region.
"""

from __future__ import annotations

import regex

__all__ = ["ElementBody"]


class ElementBody:
    """The body of a region that holds function elements.

    Args:
        empty: regular expression, bounded, of a whole function without parameters, from the start of the region or of
            the function. Its group ``last`` means that the region ends with it as well.
        end: regular expression, bounded, of what certainly ends a function with parameters; ``last`` as above.
        after: regular expression, bounded, of what belongs to the region behind a function. Its group ``more`` means
            that another function begins, its group ``last`` that the region is over; with neither it is over before.
    """

    def __init__(self, empty: regex.Pattern[str], end: regex.Pattern[str], after: regex.Pattern[str]) -> None:
        self.whole = False
        self._empty = empty
        self._end = end
        self._after = after
        self._carry = ""
        self._at = 0
        self._begins = True
        self._function_end: int | None = None

    def feed(self, text: str) -> int | None:
        """See `Body.feed`."""
        text = self._carry + text
        self._carry = ""
        position = 0
        while position < len(text) and not self._carry:
            end, position = (self._read_function if self._function_end is None else self._read_after)(text, position)
            if end is not None:
                return end
        self._at += len(text) - len(self._carry)
        return None

    def close(self) -> int:
        """See `Body.close`."""
        if self._function_end is None:
            return self._at + len(self._carry)
        self.whole = True
        return self._function_end

    def _read_function(self, text: str, position: int) -> tuple[int | None, int]:
        """Look for the end of the function; return the region's end, if it is that too, and where to go on."""
        found = (self._empty.match if self._begins else self._end.search)(text, position, partial=True)
        if found is None:
            position = position if self._begins else len(text)
            self._begins = False
            return None, position
        if found.partial:
            self._carry = text[found.start() :]
            return None, len(text)
        if found["last"] is not None:
            return self._at + found.end(), found.end()
        self._function_end = self._at + found.end()
        return None, found.end()

    def _read_after(self, text: str, position: int) -> tuple[int | None, int]:
        """Look behind a function; return as `_read_function` does."""
        found = self._after.match(text, position, partial=True)
        if found is None:
            return self._function_end, position
        if found.partial:
            self._carry = text[position:]
            return None, len(text)
        if found["more"] is None:
            return self._at + found.end(), found.end()
        self._function_end = None
        self._begins = True
        return None, found.start("more")
