"""The arguments of calls written as elements, while they are still being written.

The same automaton that finds the region's end follows it here. Where an argument can be nothing but text, its text
goes out as it comes, except what may be the beginning of a tag or a line feed of the format's own; every other argument
waits for its end, to be fitted to the schema. Tags inside of a value, a lost tag, a name that is not declared: whatever
a repair might change ends the showing, and what is missing then comes with the whole call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from toolmend._coerce import fit
from toolmend._deltas import Pieces, canonical, is_text
from toolmend._element_tags import Tags
from toolmend._elements import Elements, FoundCall, FoundValue
from toolmend._toolbox import Toolbox
from toolmend._types import ToolSpec

__all__ = ["ElementDeltas", "Reading"]


class _Stop(Exception):
    """A repair may change what follows."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a format reads its arguments.

    Attributes:
        pair: the name and the value of an argument from its text, framing included.
        verbatim: whether the text of an argument is its value, but for the framing.
        framing: see `Form` of the dialects.
        textual: values are texts without a type of their own.
    """

    pair: Callable[[FoundValue, str], tuple[str, Any]]
    verbatim: Callable[[FoundValue], bool]
    framing: Literal["sides", "pair", "none"]
    textual: bool


class ElementDeltas:
    """Follows one region.

    Args:
        tags: what its tags look like.
        reading: how its arguments are read.
        tools: the tools that may be called.
    """

    def __init__(self, tags: Tags, reading: Reading, tools: Toolbox) -> None:
        self._pieces = Pieces()
        self.sent = self._pieces.sent
        self._tags = tags
        self._reading = reading
        self._tools = tools
        self._elements = Elements(tags)
        self._carry = ""
        self._at = 0  # offset of the first character of the piece in hand
        self._over = False
        self._call: FoundCall | None = None
        self._tool: ToolSpec | None = None
        self._told = 0  # how many arguments of the call are told
        self._begun = False  # the name of the next one is told
        self._shown = False  # some of its text is told, or may be
        self._value: list[str] = []  # what is not told of it
        self._upto = 0  # how far that has come

    def feed(self, text: str) -> list[tuple[int, str, str]]:
        """Take the next piece of the region; return what became certain: number of the call, its name, JSON text."""
        if not self._over:
            try:
                self._follow(self._carry + text)
            except _Stop:
                self._over = True
        return self._pieces.take()

    def _follow(self, text: str) -> None:
        """See `ElementBody.feed`."""
        self._carry = ""
        self._elements.base = self._at
        position = 0
        while position < len(text):
            found, open_ended = self._tags.find(self._elements.place, text, position, search=self._elements.searches)
            if open_ended:
                position = found.start() if found else len(text)
                self._carry = text[position:]
                self._tell(text, position)
                break
            self._tell(text, found.start() if found else position)
            position = self._elements.take(found, position)
            self._tell(text, position)
            if self._elements.over:
                raise _Stop
        self._at += len(text) - len(self._carry)

    def _tell(self, text: str, position: int) -> None:
        """Tell what is new, up to a place in the text at hand."""
        while call := self._call or self._next_call():
            if call.bare or call.error:
                raise _Stop
            if self._told < len(call.values):
                value = call.values[self._told]
                if not self._tell_value(value, text, position):
                    return
            elif call.end >= 0:
                self._pieces.add("{}" if not self._told else "}")
                self._call = None
            else:
                return

    def _next_call(self) -> FoundCall | None:
        """The next call that has begun."""
        calls = self._elements.calls
        if len(calls) <= len(self.sent):
            return None
        self._call, self._told = calls[len(self.sent)], 0
        self._tool = self._tools.get(self._call.name)
        if not self._tool:
            raise _Stop
        self._pieces.begin(self._tool.name)
        return self._call

    def _tell_value(self, value: FoundValue, text: str, position: int) -> bool:
        """Tell what is new of an argument; whether it has ended."""
        assert self._tool
        ended = value.end >= 0
        if not ended and not value.opened:
            return False
        if not self._begun:
            if not value.opened or value.key not in self._tool.properties:
                raise _Stop
            self._pieces.add(f"{', ' if self._told else '{'}{canonical(value.key)}: ")
            self._begun, self._shown, self._upto = True, False, value.start
        upto = value.end if ended else self._at + position
        if upto > self._upto:
            self._value.append(text[self._upto - self._at : upto - self._at])
            self._upto = upto
        if ended:
            self._end_value(value)
        elif self._is_text(value):
            self._show()
        return ended

    def _is_text(self, value: FoundValue) -> bool:
        return self._tool is not None and self._reading.verbatim(value) and is_text(value.key, self._tool)

    def _show(self) -> None:
        """Tell of a text what is certain."""
        if not self._shown:
            if not self._value or (self._reading.framing == "pair" and self._value[0][0] == "\n"):
                return  # whether the line feed belongs to it, its end will tell
            if self._reading.framing == "sides":
                self._value[0] = self._value[0].removeprefix("\n")
            self._pieces.add('"')
            self._shown = True
        text = "".join(self._value)
        tag = self._tags.any.search(text, partial=True)
        certain = tag.start() if tag else len(text)
        if self._reading.framing == "sides" and text.endswith("\n", 0, certain):
            certain -= 1
        self._pieces.add(canonical(text[:certain])[1:-1])
        self._value = [text[certain:]]
        if tag and not tag.partial:
            raise _Stop

    def _end_value(self, value: FoundValue) -> None:
        """Tell the rest of an argument."""
        assert self._tool
        if self._is_text(value):
            self._show()
        text = "".join(self._value)
        if self._tags.any.search(text):
            raise _Stop
        if self._shown:
            text = text.removesuffix("\n") if self._reading.framing == "sides" else text
            self._pieces.add(canonical(text)[1:])
        else:
            key, read = self._reading.pair(value, text)
            fitted, _ = fit({key: read}, self._tool, textual=self._reading.textual)
            self._pieces.add(canonical(fitted[key]))
        self._value, self._begun = [], False
        self._told += 1
