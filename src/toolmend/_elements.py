"""Follows the tags of calls written as elements: where the region ends, and what is in it.

The body of a region asks for its end, tag by tag as the text arrives. The dialect asks for the calls, once the region
is there. A value that holds a whole call of the same format is followed to the end of that call, so that its tags are
not taken for those around it. What has two readings becomes an error, not a value.

    BETWEEN ──call──▶ HEAD ──value──▶ OPEN ──opens, if there is such a tag──▶ VALUE
       ▲               │ ▲                                                      │
       └──end, unwrap──┤ └─────────────────────────stop─────────────────────────┘
                       └──other text──▶ BARE
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import regex

from toolmend._element_tags import NEVER, SEARCHED, Tags

__all__ = ["Elements", "FoundCall", "FoundValue", "read_elements"]

_Match = regex.Match[str] | re.Match[str]
_BLANK_END = re.compile(r"\s*+\Z")


class _State(Enum):
    BETWEEN, HEAD, OPEN, VALUE, BARE = range(5)


@dataclass(slots=True)
class FoundValue:
    """An argument.

    Attributes:
        key: its name; empty where its opening tag is lost, so that the call's name ends with it.
        start: where its text begins.
        type: what its tag says of its type.
        opened: its text has its own opening tag, or needs none.
        end: where its text ends.
        holds: it holds a call of the same format.
        depth: how many elements of the same name are open in it.
    """

    key: str
    start: int
    type: str | None
    opened: bool
    end: int = -1
    holds: bool = False
    depth: int = 0


@dataclass(slots=True)
class FoundCall:
    """A call.

    Attributes:
        name: its name.
        start: where its content begins.
        values: its arguments.
        end: where its content ends.
        closed: it has its closing tag.
        bare: its content is no elements.
        repairs: what had to be mended.
        error: why it cannot be read.
    """

    name: str
    start: int
    values: list[FoundValue] = field(default_factory=list[FoundValue])
    end: int = -1
    closed: bool = False
    bare: bool = False
    repairs: list[str] = field(default_factory=list[str])
    error: str = ""

    def fail(self, reason: str) -> None:
        """Note why it cannot be read; the first reason counts."""
        self.error = self.error or reason


def read_elements(text: str, tags: Tags, declares: Callable[[str, str], bool]) -> list[FoundCall]:
    """The calls of a region, as far as it can be told what is one.

    Args:
        text: the region.
        tags: what its tags look like.
        declares: whether a tool, by its name, has an argument of that name.
    """
    elements = Elements(tags, declares)
    position = 0
    while not elements.over:
        pattern, searches = tags.whole[elements.place], elements.place in SEARCHED
        found = pattern.search(text, position) if searches else pattern.match(text, position)
        if found is None and (searches or _BLANK_END.match(text, position)):
            break
        position = elements.take(found, position)
    elements.close(len(text))
    return elements.calls


@dataclass(slots=True)
class _Level:
    """The region itself, or a call inside of a value and what belongs to it."""

    calls: list[FoundCall] = field(default_factory=list[FoundCall])
    state: _State = _State.BETWEEN
    wraps: int = 0  # how many wrappers are open
    unwrapped: bool = False


class Elements:
    """Follows the tags of a region.

    Args:
        tags: what they look like.
        declares: whether a tool, by its name, has an argument of that name; matters to the values, not to the end.

    Attributes:
        end: where the region ends if nothing more of it follows; `None` inside of a call.
        over: nothing more of it follows.
        base: where in the region the text begins that the matches are made in.
    """

    def __init__(self, tags: Tags, declares: Callable[[str, str], bool] | None = None) -> None:
        self.end: int | None = None
        self.over = False
        self.base = 0
        self._tags = tags
        self._declares = declares
        self._levels = [_Level()]

    @property
    def calls(self) -> list[FoundCall]:
        """The calls so far."""
        return self._levels[0].calls

    @property
    def place(self) -> str:
        """In which of the places of `Tags` the next tag stands."""
        state = self._levels[-1].state
        if state is _State.VALUE:
            return "inside"
        return "bare" if state is _State.BARE else "next"

    @property
    def in_value(self) -> bool:
        """Whether what comes next belongs to the text of an argument."""
        return self._levels[-1].state is _State.VALUE

    def take(self, found: _Match | None, at: int) -> int:
        """Take the next tag; return where to go on.

        Args:
            found: the tag; `None` where another text stands in its place.
            at: where it was looked for.
        """
        if found is None:
            return self._miss(at)
        step = {
            _State.BETWEEN: self._between,
            _State.HEAD: self._head,
            _State.OPEN: self._open,
            _State.VALUE: self._value,
            _State.BARE: self._bare,
        }[self._level.state]
        return step(found, found.lastgroup or "", at)

    def close(self, at: int) -> None:
        """The text is over.

        Args:
            at: where.
        """
        del self._levels[1:]
        state = self._level.state
        if state in (_State.OPEN, _State.VALUE):
            self._call.fail(f"the value of {self._call.values[-1].key} is not closed")
        elif state is _State.BARE:
            self._call.fail(f"the call of {self._call.name} is not closed")
        if state is not _State.BETWEEN:
            self._finish(at)

    @property
    def _level(self) -> _Level:
        return self._levels[-1]

    @property
    def _is_inner(self) -> bool:
        return len(self._levels) > 1

    @property
    def _call(self) -> FoundCall:
        return self._level.calls[-1]

    def _miss(self, at: int) -> int:
        """No tag stands where one is due."""
        if self._level.state is _State.OPEN:
            self._level.state = _State.VALUE
        elif self._level.state is _State.HEAD and not self._is_inner:
            self._level.state = _State.BARE
        else:
            self._leave()
        return at

    def _leave(self) -> None:
        """The region is over, or the call inside of a value."""
        self.over = not self._is_inner
        if self._is_inner:
            self._levels.pop()

    def _mark(self, at: int) -> None:
        """The region may end here."""
        if not self._is_inner:
            self.end = self.base + at

    def _between(self, found: _Match, kind: str, at: int) -> int:
        level = self._level
        if not self._continues(kind):
            self._leave()
            return at
        if kind == "call":
            self._begin(found)
        elif kind == "wrapper":
            level.wraps += 1
        else:
            self._mark(found.end())
        if kind == "unwrap":
            level.wraps -= 1
            level.unwrapped = level.wraps <= 0
            if level.unwrapped and self._tags.tail == NEVER:
                self._leave()
        return found.end()

    def _continues(self, kind: str) -> bool:
        """Whether a tag belongs to the region, before its first call or behind another."""
        level = self._level
        if not level.calls:
            return kind in ("wrapper", "call")
        if level.unwrapped or kind == "tail":
            return kind == "tail"
        if kind == "unwrap":
            return level.wraps > 0 or not self._is_inner
        return kind == "end" or (kind in ("wrapper", "call") and self._tags.wrapper != NEVER)

    def _begin(self, found: _Match) -> None:
        calls = self._level.calls
        if self._is_inner:
            calls.clear()  # nobody asks for them
        else:
            self.end = None
        calls.append(FoundCall(found["name"], self.base + found.end("call")))
        self._level.state = _State.HEAD

    def _finish(self, at: int, *, closed: bool = False) -> None:
        """The call ends at an index of the text at hand."""
        self._mark(at)
        self._call.end, self._call.closed = self.base + at, closed
        if not closed and not self._call.values:
            self._call.fail(f"the call of {self._call.name} is not closed")
        self._level.state = _State.BETWEEN

    def _head(self, found: _Match, kind: str, at: int) -> int:
        fused = kind == "key_end" and self.base + found.start() == self._call.start
        if kind == "value" or fused:
            self._enter(found, "" if fused else found["key"] or "")
        elif kind == "end":
            self._finish(found.start(kind), closed=True)
            self._mark(found.end())
        elif kind in ("unwrap", "wrapper", "call"):
            self._finish(found.start(kind), closed=kind == "unwrap")
            return self._between(found, kind, at)
        elif kind == "stop" and not self._call.values:
            self._call.repairs.append("dropped a stray closing tag")
        elif kind != "skip":
            return self._miss(at)
        return found.end()

    def _enter(self, found: _Match, key: str) -> None:
        kind, opened = found.groupdict().get("type"), self._tags.opens == NEVER
        self._call.values.append(FoundValue(key, self.base + found.end(), kind, opened))
        self._level.state = _State.VALUE if opened else _State.OPEN

    def _open(self, found: _Match, kind: str, at: int) -> int:
        if kind == "key_end":
            self._call.repairs.append("dropped a stray closing tag")
        if kind in ("key_end", "skip"):
            return found.end()
        self._level.state = _State.VALUE
        if kind != "opens":
            return at
        self._call.values[-1].opened = True
        self._call.values[-1].start = self.base + found.end()
        return found.end()

    def _value(self, found: _Match, kind: str, _: int) -> int:
        value = self._call.values[-1]
        if kind == "stop":
            if found.groupdict().get("stop_key") not in (None, value.key):
                return found.end()
            if not value.depth:
                self._end_value(found)
            value.depth = max(0, value.depth - 1)
        elif kind in ("end", "unwrap"):
            self._end_value(found, "added a missing closing tag")
            return found.start()
        elif kind == "call":
            value.holds = True
            self._levels.append(_Level(wraps=int(bool(found["wrapper"]))))
            self._begin(found)
        elif kind == "value" and self._tags.nests:
            value.depth += found["key"] == value.key
        elif kind == "value" and self._declared(found):
            self._end_value(found, "added a missing closing tag")
            return found.start()
        elif self._tags.clear:
            self._call.fail(f"the value of {value.key} holds a tag of the call")
        return found.end()

    def _end_value(self, found: _Match, repair: str = "") -> None:
        value = self._call.values[-1]
        value.end = self.base + found.start()
        if repair:
            self._call.repairs.append(f"{value.key}: {repair}")
            if not value.opened:
                self._call.fail(f"the value of {value.key} has lost its tags")
        closes = self._tags.closes if repair else self._tags.closes_last
        if (repair and value.holds) or (self._declares and closes(found.string, value.start, value.end)):
            self._call.fail(f"{value.key} has something behind its closing tag")
        self._level.state = _State.HEAD

    def _declared(self, found: _Match) -> bool:
        """Whether an argument opens here for certain, though the one before is not closed."""
        if self._declares is None or self._tags.repeats_key:
            return False
        line = self._tags.clear or found.string[found.start() - 1] == "\n"
        return line and self._declares(self._call.name, found["key"])

    def _bare(self, found: _Match, kind: str, at: int) -> int:
        self._call.bare = True
        self._finish(found.start(), closed=True)
        if kind == "unwrap":
            return self._between(found, kind, at)
        self._mark(found.end())
        return found.end()
