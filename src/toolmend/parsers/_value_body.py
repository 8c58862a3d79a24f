"""Finds where a call ends that is one JSON value and the markers behind it."""

from __future__ import annotations

from functools import lru_cache

import regex

from toolmend._blocks import NotHere
from toolmend._json_body import JsonBody

__all__ = ["ValueBody"]

_NEVER = "(?!)"


class ValueBody(JsonBody):
    """The body of a region with one JSON value and the markers behind it.

    Args:
        opener: the opener as found.
        closers: regular expression of the markers that may end the region.
        again: regular expression of what begins the next region.
        then: regular expression of what must follow; anything may where there is none.
        empty: the opener holds the end of the arguments already.
    """

    def __init__(self, opener: str, closers: str, again: str, then: str = "", *, empty: bool = False) -> None:
        fence = "`{3}" if "```" in opener else _NEVER
        ends = "|".join(end for end in (fence, closers) if end != _NEVER)
        super().__init__(opener, ends or _NEVER, again=again)
        self._strict = bool(then)
        self._first = _trail(f"{fence}|{closers}", then)
        self._next = _trail(closers, then)
        if empty:
            self._skip = self._value_end = len(opener)

    def _read_value(self, text: str, position: int) -> tuple[int | None, int]:
        end, position = super()._read_value(text, position)
        if end is not None and end == self._at + position:  # a closing marker; others may follow it
            self._value_end = end
            return None, position
        return end, position

    def _take(self, token: str) -> bool:
        if not self._previous and token not in "{[(":  # a fence for something else
            raise NotHere
        return super()._take(token)

    def _read_tail(self, text: str, position: int, value_end: int) -> tuple[int | None, int]:
        found = self._first.match(text, position, partial=True)
        if found is None:
            if self._strict:
                raise NotHere(value_end)
            return value_end, position
        if found.partial:
            self._carry = text[position:]
            return None, len(text)
        if found["end"] is not None:
            return value_end, position
        self._value_end = self._at + found.end()
        if found["bracket"] is None:
            self._first = self._next
        return None, found.end()


@lru_cache(maxsize=256)
def _trail(closers: str, then: str) -> regex.Pattern[str]:
    """What may follow a value: brackets too many, closing markers, and where it must be so, the end of the line."""
    space, end = (r"[ \t]", then) if then else (r"\s", _NEVER)
    behind = rf"{space}{{0,64}}(?:(?P<bracket>[}}\]])|{closers})|{space}{{0,64}}(?P<end>{end})"
    return regex.compile(behind)
