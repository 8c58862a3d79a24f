"""With which characters an expression can begin, found out by trying them: so that text can be skipped to there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import regex

__all__ = ["ANY", "BEFORE", "REACH", "beginnings", "compiled", "fits", "one_of", "tree"]

ANY = "\U0010ffff"
"""Stands for any character outside of ASCII."""
REACH = 3
"""How many characters of a beginning are found out."""
BEFORE = (" ", "x", ">", ")")
"""What may stand before an expression that does not have to begin a line."""
_ASCII = tuple(map(chr, range(128)))
_FOLDED = ("\u017f", "\u212a", "\u0131", "\u0130")  # what some ASCII letters are but another case of
_OTHERS = ("\u00e9", "\u4e2d", "\U0001f600", "\u2003", "\u0663", ANY)
"""One of each kind of character outside of ASCII."""

compiled = lru_cache(maxsize=2048)(regex.compile)


@lru_cache(maxsize=2048)
def beginnings(expression: str, before: tuple[str, ...]) -> frozenset[str]:
    """The first characters, up to three, of all that an expression can match behind one of some texts."""
    pattern = compiled(expression)
    characters = (*_ASCII, *sorted({c for c in expression if not c.isascii()}), *_FOLDED, *_OTHERS)
    reach = REACH if before is BEFORE else 1
    if "(?<" not in expression and "\\b" not in expression:  # it does not look back
        before = before[:1] if reach == REACH else ()
    found: set[str] = set()
    pending = [""]
    while pending:
        begin = pending.pop()
        going_on = [c for c in characters if any(pattern.match(b + begin + c, len(b), partial=True) for b in before)]
        if begin and (len(going_on) > len(_ASCII) // 2 or any(c in _OTHERS for c in going_on)):
            found.add(begin)  # nearly anything may follow
        else:
            for c in going_on:
                (found.add if len(begin) + 1 == reach or c in _OTHERS else pending.append)(begin + c)
    return frozenset(b[:-1] + ANY if b[-1] in _OTHERS else b for b in found)


def tree(begins: Iterable[str], end: str = "(?=") -> str:
    """An expression for one of some beginnings, or what the end of the text leaves of it; takes one character."""
    following: dict[str, list[str]] = {}
    for begin in sorted(begins):
        following.setdefault(begin[0], []).append(begin[1:])
    return "|".join(
        re.escape(first) + ("" if "" in rests else rf"{end}\Z|{tree(rests, '(?:')})")
        for first, rests in following.items()
    )


def one_of(begins: Iterable[str]) -> str:
    """An expression for the first characters of some beginnings."""
    firsts = {begin[0] for begin in begins}
    if ANY in firsts:
        return r"[\s\S]"
    return f"[{''.join(map(re.escape, sorted(firsts)))}]" if firsts else "(?!)"


def fits(text: str, begins: Iterable[str]) -> bool:
    return any(
        all(c == b or (b == ANY and not c.isascii()) for c, b in zip(text, begin, strict=False)) for begin in begins
    )
