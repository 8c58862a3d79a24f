"""What may follow calls in Python's syntax: more of them, or an end; and what they are the last thing of."""

from __future__ import annotations

import re
from functools import lru_cache

import regex

from toolmend._blocks import LEFTOVER, Body
from toolmend._call_body import CallBody
from toolmend._composed_body import ChosenBody
from toolmend.parsers._dress import BEHIND
from toolmend.parsers._program import explains, unexplained

__all__ = ["after", "goes_on", "in_line"]

_GAP = r"(?:\s|\\(?=\n)|\\n){0,64}"  # a line may go on behind a backslash; some write line feeds as two characters
_EMPTY = regex.compile(r"\s{0,16}\)")


@lru_cache(maxsize=64)
def after(call: str, where: str) -> regex.Pattern[str]:
    """What may follow a call or a list: more of them, or an end.

    A list ends wherever its bracket does. A call that is the first thing said ends with its line, any other one with
    the reply.
    """
    if where == "list":
        return regex.compile(
            rf"(?P<more>[\])'\"]{{0,8}}[ \t]{{0,16}}(?:[,;+|]|or\s){_GAP}(?:\[\s{{0,16}})?{call})(?P<end>(?!))?"
        )
    if where in ("line", "empty"):
        end = unexplained(empty=where == "empty")
        more = rf"[ \t]{{0,64}}(?:(?:[,;+|]|and\s|then\s){_GAP})?(?:\[\s{{0,16}})?{call}"
        behind = rf"(?:\[[^\]\n]{{0,60}}\])?{BEHIND}?[ \t.;]{{0,8}}"
        return regex.compile(rf"(?P<more>{more})|{behind}(?P<end>{end}|{LEFTOVER})")
    more = rf"(?:[\s,;+]|\\(?=\n)){{0,64}}(?:\[\s{{0,16}})?{call}"
    return regex.compile(rf"(?P<more>{more})|[\s;]{{0,64}}(?P<end>{LEFTOVER})")


def in_line(opener: str, call: str) -> Body:
    """The body of a call that ends with its line."""

    def choose(text: str) -> Body | None:
        found = _EMPTY.match(text, len(opener), partial=True)
        if found and found.partial:
            return None
        empty = found is not None
        says = explains(empty=empty)
        return CallBody(after(call, "empty" if empty else "line"), never=lambda tail: says.match(tail) is not None)

    return ChosenBody(choose)


def goes_on(tail: str) -> bool:
    """Whether the reply goes on behind calls that have to be its end: with half of what may be another one."""
    return re.match(r"[^<\w]*+\w", tail) is not None
