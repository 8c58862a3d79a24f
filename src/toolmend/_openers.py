"""What may open in a reply, searched for as one expression, and the region that did open.

To try some sixty expressions at each character of plain prose is what would cost most. `Search` therefore finds out,
by trying them, with which characters the expressions can begin at all, and has the standard library's `re` skip to
those places. An opener may look back: to refuse a place, to begin a line, or to demand one character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import regex

from toolmend._blocks import LEFTOVER, Block, Body
from toolmend._deltas import JsonDeltas
from toolmend._dialect import Dialect
from toolmend._quotation import CODE, REASONING
from toolmend._toolbox import Toolbox

__all__ = ["OpenBlock", "Openers", "Search", "Undecided", "openers_of"]

_PIECES = 512  # how many small pieces of a region are kept apart before they are joined


class Undecided(Exception):
    """What opens depends on text that has not come yet."""


@dataclass(frozen=True, slots=True)
class Openers:
    """All openers as one expression, and the blocks by group name."""

    outside: Search
    marked: tuple[str, ...]
    blocks: tuple[tuple[Dialect, Block], ...]
    fences: tuple[tuple[Dialect, Block, regex.Pattern[str]], ...]

    def fence(self, text: str, at: int) -> tuple[Dialect, Block, str] | None:
        """The block that a code fence opens, the first whose opener matches; `None` for code.

        Raises:
            Undecided: more text has to come first.
        """
        for dialect, block, opener in self.fences:
            found = opener.match(text, at, partial=True)
            if found and found.partial:
                raise Undecided
            if found:
                return dialect, block, found.group()
        return None

    def inside(self, closer: str) -> Search:
        """What to look for inside of a quotation: its end, and openers that mean a call wherever they stand."""
        return _search((f"(?P<closer>{closer})", *self.marked))


_ANY = "\U0010ffff"
"""Stands for any character outside of ASCII."""
_REACH = 3  # how many characters of a beginning are found out
_BEFORE = (" ", "x", ">", ")")
"""What may stand before an expression that does not have to begin a line."""
_DEMANDED = re.compile(r"\(\?<=([^)]*)\)")
_ASCII = tuple(map(chr, range(128)))
_FOLDED = ("\u017f", "\u212a", "\u0131", "\u0130")  # what some ASCII letters are but another case of
_OTHERS = ("\u00e9", "\u4e2d", "\U0001f600", "\u2003", "\u0663", _ANY)
"""One of each kind of character outside of ASCII."""


@lru_cache(maxsize=2048)
def _beginnings(expression: str, before: tuple[str, ...]) -> frozenset[str]:
    """The first characters, up to three, of all that an expression can match behind one of some texts."""
    compiled = regex.compile(expression)
    characters = (*_ASCII, *sorted({c for c in expression if not c.isascii()}), *_FOLDED, *_OTHERS)
    reach = _REACH if before is _BEFORE else 1
    if "(?<" not in expression and "\\b" not in expression:  # it does not look back
        before = before[:1] if reach == _REACH else ()
    found: set[str] = set()
    pending = [""]
    while pending:
        begin = pending.pop()
        going_on = [c for c in characters if any(compiled.match(b + begin + c, len(b), partial=True) for b in before)]
        if begin and (len(going_on) > len(_ASCII) // 2 or any(c in _OTHERS for c in going_on)):
            found.add(begin)  # nearly anything may follow
        else:
            for c in going_on:
                (found.add if len(begin) + 1 == reach or c in _OTHERS else pending.append)(begin + c)
    return frozenset(b[:-1] + _ANY if b[-1] in _OTHERS else b for b in found)


def _tree(begins: Iterable[str], end: str = "(?=") -> str:
    """An expression for one of some beginnings, or what the end of the text leaves of it; takes one character."""
    following: dict[str, list[str]] = {}
    for begin in sorted(begins):
        following.setdefault(begin[0], []).append(begin[1:])
    return "|".join(
        re.escape(first) + ("" if "" in rests else rf"{end}\Z|{_tree(rests, '(?:')})")
        for first, rests in following.items()
    )


class Search:
    """Several expressions as one, searched for with partial matches.

    Args:
        expressions: what to search for, in order of precedence.

    Attributes:
        whole: all of them as one.
    """

    def __init__(self, expressions: Iterable[str]) -> None:
        expressions = tuple(expressions)
        self.whole = regex.compile("|".join(expressions))
        demanded = {c for expression in expressions for d in _DEMANDED.findall(expression) for c in d}
        self._edges = frozenset({"\n", *demanded})
        anywhere = {begin for expression in expressions for begin in _beginnings(expression, _BEFORE)}
        self._firsts = frozenset(begin[0] for begin in anywhere)
        starts = ("", *sorted(self._edges))
        behind = {begin[0] for expression in expressions for begin in _beginnings(expression, starts)}
        some = f"[{''.join(map(re.escape, sorted(behind)))}]" if behind else "(?!)"
        following = r"[\s\S]" if _ANY in behind else some
        self._following = re.compile(following)
        edges = f"[{''.join(map(re.escape, sorted(self._edges)))}](?={following})"
        self._places = re.compile(f"{_tree(anywhere)}|{edges}" if anywhere else edges)

    def search(self, text: str, at: int) -> regex.Match[str] | None:
        """The first match from a place on; if there is none, what could still become one at the end of the text."""
        if _ANY in self._firsts:
            return self.whole.search(text, at, partial=True)
        half: regex.Match[str] | None = None
        for place in self._candidates(text, at):
            found = self.whole.match(text, place, partial=True)
            if found and not found.partial:
                return found
            half = half or found
        return half

    def _candidates(self, text: str, at: int) -> Iterator[int]:
        if (not at or text[at - 1] in self._edges) and self._following.match(text, at):
            yield at
        for found in self._places.finditer(text, at):
            place, character = found.start(), found.group()
            if character in self._firsts:
                yield place
            if character in self._edges:
                yield place + 1


_search = lru_cache(maxsize=256)(Search)


@lru_cache(maxsize=256)
def openers_of(dialects: tuple[Dialect, ...], tools: Toolbox) -> Openers:
    blocks = tuple((dialect, block) for dialect in dialects for block in dialect.blocks(tools))
    fences = tuple((d, block, regex.compile(block.opener)) for d, block in blocks if block.kind == "fence")
    groups = [(f"(?P<b{n}>{block.opener})", block.kind) for n, (_, block) in enumerate(blocks)]
    marked = tuple(group for group, kind in groups if kind == "marked")
    others = (f"(?P<code>{CODE})", f"(?P<reasoning>{REASONING})", f"(?P<leftover>{LEFTOVER})")
    outside = Search((*(group for group, kind in groups if kind != "fence"), *others))
    return Openers(outside, marked, blocks, fences)


class OpenBlock:
    """A region under way."""

    def __init__(self, dialect: Dialect, block: Block, body: Body, opener: str, lead: str) -> None:
        self.dialect = dialect
        self.block = block
        self.body = body
        self.opener = opener
        self.lead = lead
        self.deltas: JsonDeltas | None = None
        self._skip = len(opener.rstrip("[{ \t\r\n"))  # what stands before the JSON
        self._joined: list[str] = []
        self._pieces: list[str] = []

    def add(self, text: str) -> None:
        """Keep a piece; many small ones would take many times their text in memory."""
        self._pieces.append(text)
        if len(self._pieces) >= _PIECES:
            self._joined.append("".join(self._pieces))
            self._pieces.clear()

    @property
    def sent(self) -> list[tuple[str, str]]:
        """Of each call of the region with a declared name: the name and the JSON of its arguments shown so far."""
        return self.deltas.sent if self.deltas else []

    def show(self, text: str) -> list[tuple[int, str, str]]:
        """What the next piece makes certain of the arguments: number of the call, its name, JSON text."""
        if not self.deltas:
            return []
        dropped = min(self._skip, len(text))
        self._skip -= dropped
        return self.deltas.feed(text[dropped:])

    @property
    def text(self) -> str:
        """All of the region so far, and what came with its last piece."""
        if len(self._joined) != 1 or self._pieces:  # the pieces would be a second copy
            self._joined = ["".join((*self._joined, *self._pieces))]
            self._pieces.clear()
        return self._joined[0]
