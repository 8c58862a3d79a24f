"""Finds where XML-like calls end: an element for the function, one for each parameter, plain text between.

A value may hold anything, markup included, so a closing tag counts only where the next tag of the form follows it.
The end of a function is certain where it stands directly behind a parameter or its own opening tag, or directly
before the end of the region.
"""

from __future__ import annotations

import regex

__all__ = ["ElementBody"]


class ElementBody:
    """The body of a region that holds function elements.

    Args:
        opener: the opener as found.
        end: regular expression, bounded, of what certainly ends a function. A group ``last`` in it means that the
            region ends with it as well.
        after: regular expression, bounded, of what belongs to the region behind a function. Its group ``more`` means
            that another function begins, its group ``last`` that the region is over; with neither it is over before.
    """

    def __init__(self, opener: str, end: regex.Pattern[str], after: regex.Pattern[str]) -> None:
        self.whole = False
        self._end = end
        self._after = after
        self._carry = ""
        self._at = 0
        self._function_end: int | None = None

    def feed(self, text: str) -> int | None:
        """See `Body.feed`."""
        text = self._carry + text
        self._carry = ""
        position = 0
        while position < len(text) and not self._carry:
            if self._function_end is None:
                found = self._end.search(text, position, partial=True)
                if found is None:
                    break
                if found.partial:
                    self._carry = text[found.start() :]
                    break
                if found["last"] is not None:
                    return self._at + found.end()
                self._function_end = self._at + found.end()
                position = found.end()
                continue
            found = self._after.match(text, position, partial=True)
            if found is None:
                return self._function_end
            if found.partial:
                self._carry = text[position:]
            elif found["more"] is not None:
                self._function_end = None
                position = found.end()
            else:
                return self._at + found.end()
        self._at += len(text) - len(self._carry)
        return None

    def close(self) -> int:
        """See `Body.close`."""
        if self._function_end is None:
            return self._at + len(self._carry)
        self.whole = True
        return self._function_end
