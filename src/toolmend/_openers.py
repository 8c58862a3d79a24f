"""What may open in a reply, searched for as one expression, and the region that did open."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import regex

from toolmend._blocks import LEFTOVER, Block, Body
from toolmend._deltas import JsonDeltas
from toolmend._dialect import Dialect
from toolmend._quotation import CODE, REASONING
from toolmend._toolbox import Toolbox

__all__ = ["OpenBlock", "Openers", "Undecided", "openers_of"]

_PIECES = 512  # how many small pieces of a region are kept apart before they are joined


class Undecided(Exception):
    """What opens depends on text that has not come yet."""


@dataclass(frozen=True, slots=True)
class Openers:
    """All openers as one expression, and the blocks by group name."""

    outside: regex.Pattern[str]
    marked: str
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

    def inside(self, closer: str) -> regex.Pattern[str]:
        """What to look for inside of a quotation: its end, and openers that mean a call wherever they stand."""
        return _compiled(f"(?P<closer>{closer})|{self.marked}")


_compiled = lru_cache(maxsize=256)(regex.compile)


@lru_cache(maxsize=256)
def openers_of(dialects: tuple[Dialect, ...], tools: Toolbox) -> Openers:
    blocks = tuple((dialect, block) for dialect in dialects for block in dialect.blocks(tools))
    fences = tuple((d, block, regex.compile(block.opener)) for d, block in blocks if block.kind == "fence")
    groups = [(f"(?P<b{n}>{block.opener})", block.kind) for n, (_, block) in enumerate(blocks)]
    marked = "|".join(group for group, kind in groups if kind == "marked")
    others = (f"(?P<code>{CODE})", f"(?P<reasoning>{REASONING})", f"(?P<leftover>{LEFTOVER})")
    outside = "|".join((*(group for group, kind in groups if kind != "fence"), *others))
    return Openers(regex.compile(outside), marked or "(?!)", blocks, fences)


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
        return "".join((*self._joined, *self._pieces))
