"""The arguments of calls written as elements, while they are still being written.

The same automaton that finds the region's end follows it here. Where an argument can be nothing but text, its text
goes out as it comes, except what may be the beginning of a tag or a line feed of the format's own; every other argument
waits for its end, to be fitted to the schema. One that may be given several times, to become a list, waits for the end
of the call, and so do those behind it. Tags inside of a text, a lost tag, a name that is not declared: whatever a
repair might change ends the showing, and what is missing then comes with the whole call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from toolmend._coerce import allows, fit
from toolmend._deltas import Pieces, canonical, is_text
from toolmend._element_tags import Tags
from toolmend._elements import Elements, FoundCall, FoundValue
from toolmend._toolbox import NotACall, Toolbox
from toolmend._types import ToolSpec

__all__ = ["ElementDeltas", "Framed", "Framing", "Reading"]

Framing = Literal["sides", "pair", "none"]
"""Which line feeds around a value do not belong to it; see `Form` of the dialects."""


class _Stop(Exception):
    """A repair may change what follows."""


class Framed:
    """A text while it is written: which part of it is the value's for certain.

    Args:
        framing: which line feeds around it are the format's.

    Attributes:
        waits: nothing more is certain before its end.
    """

    def __init__(self, framing: Framing) -> None:
        self.waits = False
        self._framing = framing

    def begin(self, text: str) -> int | None:
        """How much of its first characters is not the value's; `None` as long as they do not tell."""
        if not text:
            return None
        if text[0] != "\n" or self._framing == "none":
            return 0
        self.waits = self._framing == "pair"  # whether the line feed is the value's, its end will tell
        return None if self.waits else 1

    def certain(self, text: str) -> int:
        """How much of what has not been told yet is the value's whatever follows."""
        return len(text) - (self._framing == "sides" and text.endswith("\n"))

    def rest(self, text: str) -> str:
        """What is the value's of the last that has not been told.

        Raises:
            NotACall: it does not end as it began.
        """
        return text.removesuffix("\n") if self._framing == "sides" else text


@dataclass(frozen=True, slots=True)
class Reading:
    """How a format reads its arguments.

    Attributes:
        collect: the arguments by their names, from their texts, framing included; it raises `NotACall` where what
            follows may change them.
        text: what follows the text of an argument; `None` if its value is something else than that text. It raises
            `NotACall` where not even its name is certain.
        textual: values are texts without a type of their own.
        repeats: an argument may be given several times.
    """

    collect: Callable[[Sequence[tuple[FoundValue, str]], ToolSpec], dict[str, Any]]
    text: Callable[[FoundValue], Framed | None]
    textual: bool
    repeats: bool


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
        self._waits = False  # all that follow wait for the end of the call
        self._late: list[tuple[FoundValue, str]] = []  # those that have waited
        self._begun = False  # the next one has begun
        self._text: Framed | None = None  # what follows its text
        self._shown = False  # some of its text is told, or may be
        self._value: list[str] = []  # what is not told of it
        self._upto = 0  # how far that has come

    def feed(self, text: str) -> list[tuple[int, str, str]]:
        """Take the next piece of the region; return what became certain: number of the call, its name, JSON text."""
        if not self._over:
            try:
                self._follow(self._carry + text)
            except (_Stop, NotACall):
                self._over = True
        return self._pieces.take()

    def _follow(self, text: str) -> None:
        """See `ElementBody.feed`."""
        self._carry = ""
        self._elements.base = self._at
        position = 0
        while position < len(text):
            found, open_ended = self._tags.find(self._elements.place, text, position)
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
                self._end_call()
            else:
                return

    def _next_call(self) -> FoundCall | None:
        """The next call that has begun."""
        calls = self._elements.calls
        if len(calls) <= len(self.sent):
            return None
        self._call, self._told = calls[len(self.sent)], 0
        self._waits, self._late = False, []
        self._tool = self._tools.get(self._call.name)
        if not self._tool:
            raise _Stop
        self._pieces.begin(self._tool.name)
        return self._call

    def _end_call(self) -> None:
        """Tell the arguments that had to wait, and the end."""
        rest = canonical(self._fitted(self._late))
        if self._told > len(self._late):
            rest = f", {rest[1:]}" if self._late else "}"
        self._pieces.add(rest)
        self._call = None

    def _fitted(self, values: Sequence[tuple[FoundValue, str]]) -> dict[str, Any]:
        """Arguments by their names, fitted to the schema."""
        assert self._tool
        fitted, _ = fit(self._reading.collect(values, self._tool), self._tool, textual=self._reading.textual)
        return fitted

    def _tell_value(self, value: FoundValue, text: str, position: int) -> bool:
        """Tell what is new of an argument; whether it has ended."""
        ended = value.end >= 0
        if not ended and not value.opened:
            return False
        if not self._begun:
            self._begin_value(value)
        upto = value.end if ended else self._at + position
        if upto > self._upto:
            self._value.append(text[self._upto - self._at : upto - self._at])
            self._upto = upto
        if self._text:
            self._show(self._text)
        if ended:
            self._end_value(value)
        return ended

    def _begin_value(self, value: FoundValue) -> None:
        assert self._tool
        schema = self._tool.properties.get(value.key)
        if not value.opened or schema is None:
            raise _Stop
        self._begun, self._text, self._shown, self._upto = True, None, False, value.start
        self._waits = self._waits or (self._reading.repeats and allows("array", schema, self._tool.parameters))
        text = self._reading.text(value)
        if self._waits:
            return
        self._text = text if is_text(value.key, self._tool) else None
        self._pieces.add(f"{', ' if self._told else '{'}{canonical(value.key)}: ")

    def _show(self, framed: Framed) -> None:
        """Tell of a text what is certain."""
        if framed.waits:
            return
        text = "".join(self._value)
        if not self._shown:
            begin = framed.begin(text)
            self._value = [text]
            if begin is None:
                return
            self._pieces.add('"')
            self._shown, text = True, text[begin:]
        tag = self._tags.any.search(text, partial=True)
        certain = framed.certain(text[: tag.start()] if tag else text)
        self._pieces.add(canonical(text[:certain])[1:-1])
        self._value = [text[certain:]]
        if tag and not tag.partial:
            raise _Stop

    def _end_value(self, value: FoundValue) -> None:
        """Tell the rest of an argument."""
        text, self._value, self._begun = "".join(self._value), [], False
        if (self._text or not self._tags.nests) and self._tags.any.search(text):
            raise _Stop
        if self._waits:
            self._late.append((value, text))
        elif self._text and self._shown:
            self._pieces.add(canonical(self._text.rest(text))[1:])
        else:
            [fitted] = self._fitted([(value, text)]).values()
            self._pieces.add(canonical(fitted))
        self._told += 1
