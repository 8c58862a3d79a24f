"""What may open in a reply, searched for all at once, and the region that did open.

To try some hundred expressions at each character of plain prose is what would cost most. `Search` therefore finds out,
by trying them, with which characters each expression can begin at all, has the standard library's `re` skip to such
places, and tries there only the expressions that can begin so. An opener may look back: to refuse a place, to begin a
line, or to demand one character.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import regex

from toolmend._beginnings import ANY, BEFORE, REACH, beginnings, compiled, fits, one_of, tree
from toolmend._blocks import LEFTOVER, Block, Body
from toolmend._deltas import JsonDeltas, Shown
from toolmend._dialect import Dialect
from toolmend._element_deltas import ElementDeltas
from toolmend._quotation import CODE, REASONING
from toolmend._toolbox import Toolbox
from toolmend._types import Tool, specs_of

__all__ = ["Found", "OpenBlock", "Openers", "Search", "Undecided", "offered", "openers_of"]

_PIECES = 512  # how many small pieces of a region are kept apart before they are joined


class Undecided(Exception):
    """What opens depends on text that has not come yet."""


@dataclass(frozen=True, slots=True)
class Openers:
    """All openers, and the blocks they belong to, by label."""

    outside: Search
    marked: tuple[tuple[str, str], ...]
    blocks: Mapping[str, tuple[Dialect, Block]]
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
        return _search((("closer", closer), *self.marked))


_DEMANDED = re.compile(r"\(\?<=([^)]*)\)")
_EVERY = r"[\s\S]"
_HERE = (0,)
_AHEAD = 6  # how many characters of a place decide what is tried there
_FIRST = 1  # how many of them are looked at first
_INDENTED = 40  # and how many of white space in front of them
_MARKS = "<{`"  # what begins so does open something as a rule; to ask for halves as well costs twice as much
_FURTHER = 10  # so that many characters decide then
_INDENT = " \t"
_KEPT = 4096  # how many beginnings are kept in mind
_OFFERS = 64  # how many lists of tools

Found = tuple[str, regex.Match[str]]
"""A label and what was found, whole or half."""
_Expressions = tuple[tuple[str, regex.Pattern[str]], ...]


class Search:
    """Several labelled expressions, searched for as one alternation would be, with partial matches.

    Args:
        expressions: label and expression, in order of precedence.
    """

    def __init__(self, expressions: Iterable[tuple[str, str]]) -> None:
        self.expressions = tuple(expressions)
        sources = [source for _, source in self.expressions]
        demands = {source: set("".join(_DEMANDED.findall(source)).replace("\\", "")) for source in sources}
        self._edges = frozenset("\n").union(*demands.values())
        edges = tuple(sorted(self._edges))
        self._begins = [(beginnings(source, BEFORE), beginnings(source, ("", *edges))) for source in sources]
        self._compiled = [(label, compiled(source)) for label, source in self.expressions]
        self._fitting: dict[str, _Expressions] = {}
        self._promising: tuple[dict[str, _Expressions], dict[str, _Expressions]] = ({}, {})
        anywhere = frozenset[str]().union(*(begins for begins, _ in self._begins))
        begins = {"\n": frozenset[str]().union(*(begins for _, begins in self._begins))}
        for edge in self._edges - {"\n"}:  # behind most of them next to nothing begins
            begins[edge] = frozenset[str]().union(*(beginnings(s, (edge,)) for s in sources if edge in demands[s]))
        firsts = {begin[0] for begin in anywhere}
        self._steps = {edge: (0, 1) if edge in firsts or ANY in firsts else (1,) for edge in edges}
        # each alternative begins with a character: then `re` knows them all and skips to the next of them
        places = "|".join((tree(anywhere), *(f"{re.escape(edge)}(?={one_of(begins[edge])})" for edge in edges)))
        self._places = re.compile(_EVERY if ANY in firsts else places.removeprefix("|"))

    def search(self, text: str, at: int) -> Found | None:
        """The first match from a place on, and its label; without one, what the end of the text may be half of."""
        half: Found | None = None
        tried, last = at - 1, len(text)
        if at < last and (not at or text[tried] in self._edges):
            tried = at
            half = self._try(text, at)
            if half and not half[1].partial:
                return half
        steps, kept = self._steps, self._promising[1]
        for candidate in self._places.finditer(text, at):
            place = candidate.start()
            for step in steps.get(text[place], _HERE):
                start = place + step
                if tried < start < last:
                    tried = start
                    if start and kept.get(text[start - 1 : start + _AHEAD]) == ():
                        continue  # the rule in prose
                    found = self._try(text, start)
                    if found and not found[1].partial:
                        return found
                    half = half or found
        return half

    def _try(self, text: str, place: int) -> Found | None:
        """What matches at a place, or could once there is more text."""
        char = text[place]
        end = _end(text, place, _AHEAD) if char in _INDENT else place + (_FURTHER if char in _MARKS else _AHEAD)
        around = text[place - 1 : end] if place else text[:end]
        promising = self._promising[place > 0].get(around)
        if promising is None:
            promising = self._which(around, int(place > 0))
        if char in _MARKS and end < len(text):
            for label, expression in promising:
                found = expression.match(text, place)
                if found:
                    return label, found
        half: Found | None = None
        for label, expression in promising:
            found = expression.match(text, place, partial=True)
            if found:
                if not found.partial:
                    return label, found
                half = half or (label, found)
        return half

    def _which(self, around: str, place: int) -> _Expressions:
        """The expressions that may match what begins so: few, so that they are kept in mind.

        Args:
            around: the beginning, with the character before it if there is one.
            place: where in that it begins.
        """
        short = around[: _end(around, place, _AHEAD)]
        if len(short) == len(around):
            short = around[: _end(around, place, _FIRST)]
        if len(short) < len(around):
            fitting = self._promising[place].get(short)
            fitting = self._which(short, place) if fitting is None else fitting
        else:
            fitting = self._fits(around[place : place + REACH], edge=not place or around[0] in self._edges)
        found = tuple((label, e) for label, e in fitting if e.match(around, place, partial=True))
        _keep(self._promising[place], around, found)  # never read again here: another thread may have cleared it
        return found

    def _fits(self, begin: str, *, edge: bool) -> _Expressions:
        """The expressions that can begin so, as far as that is known of them."""
        key = f"{'^' if edge else '-'}{begin}"
        fitting = self._fitting.get(key)
        if fitting is None:
            fitting = tuple(
                expression
                for expression, (anywhere, behind) in zip(self._compiled, self._begins, strict=True)
                if fits(begin, anywhere) or (edge and fits(begin, behind))
            )
            _keep(self._fitting, key, fitting)
        return fitting


def _end(text: str, place: int, ahead: int) -> int:
    """Where the characters of a place end that decide what is tried there; of an indented line others count."""
    indented = text[place : place + _INDENTED]
    return place + ahead + len(indented) - len(indented.lstrip(_INDENT))


def _keep(kept: dict[str, _Expressions], key: str, found: _Expressions) -> None:
    if len(kept) >= _KEPT:
        kept.clear()
    kept[key] = found


_search = lru_cache(maxsize=256)(Search)


@lru_cache(maxsize=256)
def openers_of(dialects: tuple[Dialect, ...], tools: Toolbox) -> Openers:
    opened = tuple((dialect, block) for dialect in dialects for block in dialect.blocks(tools))
    fences = tuple((d, block, regex.compile(block.opener)) for d, block in opened if block.kind == "fence")
    blocks = {str(number): both for number, both in enumerate(opened) if both[1].kind != "fence"}
    marked = tuple((label, block.opener) for label, (_, block) in blocks.items() if block.kind == "marked")
    others = (("code", CODE), ("reasoning", REASONING), ("leftover", LEFTOVER))
    outside = Search((*((label, block.opener) for label, (_, block) in blocks.items()), *others))
    return Openers(outside, marked, blocks, fences)


_offers: dict[tuple[int, ...], tuple[tuple[object, ...], Toolbox, Openers | None]] = {}
"""By the identities of dialects and tools, which stay theirs as long as they are held here."""


def offered(tools: Iterable[Tool], dialects: Sequence[Dialect]) -> tuple[Toolbox, Openers | None]:
    """The tools as a toolbox and what may open for them; the same ones come with every request.

    Returns:
        The toolbox, and the openers unless it is empty.

    Raises:
        ToolmendError: a tool is broken.
    """
    given = (dialects, *tools)
    identity = tuple(map(id, given))
    known = _offers.get(identity)
    if known:
        return known[1], known[2]
    specs = specs_of(given[1:])
    toolbox = Toolbox(specs)
    openers = openers_of(tuple(dialects), toolbox) if specs else None
    if isinstance(dialects, tuple) and all(map(operator.is_, specs, given[1:])):  # what is given cannot change
        if len(_offers) >= _OFFERS:
            _offers.clear()
        _offers[identity] = given, toolbox, openers
    return toolbox, openers


class OpenBlock:
    """A region under way."""

    __slots__ = ("_joined", "_pieces", "_skip", "block", "body", "deltas", "dialect", "lead", "opener")

    def __init__(self, dialect: Dialect, block: Block, body: Body, opener: str, lead: str) -> None:
        self.dialect = dialect
        self.block = block
        self.body = body
        self.opener = opener
        self.lead = lead
        self.deltas: JsonDeltas | ElementDeltas | None = None
        self._skip = 0  # how much stands before the JSON that is shown
        self._joined: list[str] = []
        self._pieces: list[str] = []

    def add(self, text: str) -> None:
        """Keep a piece; many small ones would take many times their text in memory."""
        self._pieces.append(text)
        if len(self._pieces) >= _PIECES:
            self._joined.append("".join(self._pieces))
            self._pieces.clear()

    def show_with(self, deltas: JsonDeltas | ElementDeltas | None) -> None:
        """Have the arguments shown while they are written."""
        self.deltas = deltas
        self._skip = len(self.opener.rstrip("[{ \t\r\n")) if self.block.json else 0

    @property
    def sent(self) -> list[Shown]:
        """Of each call of the region with a declared name, what has been shown of its arguments."""
        return self.deltas.sent if self.deltas else []

    def show(self, deltas: JsonDeltas | ElementDeltas, text: str) -> list[tuple[int, str, str]]:
        """What the next piece makes certain of the arguments: number of the call, its name, JSON text."""
        dropped = min(self._skip, len(text))
        self._skip -= dropped
        return deltas.feed(text[dropped:])

    @property
    def text(self) -> str:
        """All of the region so far, and what came with its last piece."""
        if len(self._pieces) == 1 and not self._joined:
            return self._pieces[0]
        if len(self._joined) != 1 or self._pieces:  # the pieces would be a second copy
            self._joined = ["".join((*self._joined, *self._pieces))]
            self._pieces.clear()
        return self._joined[0]
