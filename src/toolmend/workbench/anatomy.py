"""A raw reply laid open: what each part of it was taken for, and why what looks like a call was not taken.

The parser tells what it took and what failed. Text and reasoning are then read once more out of their context (inside
code fences, without reasoning tags, with every name offered that stands where names stand), so that a call which was
passed over on purpose shows up together with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, Literal

from toolmend._events import Event, ReasoningDelta, TextDelta, ToolCallFailed, ToolCallParsed
from toolmend._openers import openers_of
from toolmend._stream import StreamParser
from toolmend._toolbox import Toolbox
from toolmend._types import Tool, ToolCall, ToolSpec, specs_of
from toolmend.parsers import DIALECTS

__all__ = ["Anatomy", "Part", "dissect", "names_in"]

Kind = Literal["text", "reasoning", "call", "failed", "passed over"]

_IDENTIFIER = r"([A-Za-z_][\w.-]{0,63})"
_KEYED = r"""["'](?:name|tool|tool_name|function|function_name|recipient_name)["']\s*:\s*["']([\w.:/-]{1,64})["']"""
_BEFORE = 10  # how many characters before the name in a sample tell that a name comes
_FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})([^\n]*)\n(.*?)^\1\2`*[ \t]*$", re.DOTALL | re.MULTILINE)
_TRIES = 64  # how many openers are looked at on their own; each costs another look at the rest
_TAG = re.compile(r"\A<[^>]{1,20}>|</[^>]{1,20}>\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a reply.

    Attributes:
        kind: what it was taken for; ``"passed over"`` is a call that was left in the text on purpose.
        raw: its characters.
        dialect: the format of its calls.
        calls: the calls in it; those of a part that was passed over are what it would have been.
        reason: why it is no call.
    """

    kind: Kind
    raw: str
    dialect: str | None = None
    calls: tuple[ToolCall, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """A reply laid open.

    Attributes:
        parts: all of it, in order.
        tools: the names that were offered.
        assumed: they were taken from the reply, because no tools were given.
    """

    parts: tuple[Part, ...]
    tools: tuple[str, ...]
    assumed: bool

    @property
    def calls(self) -> list[ToolCall]:
        """The calls that run."""
        return [call for part in self.parts if part.kind == "call" for call in part.calls]

    @property
    def lost(self) -> list[Part]:
        """What looks like a call and does not run."""
        return [part for part in self.parts if part.kind in ("failed", "passed over")]

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {"tools": list(self.tools), "assumed": self.assumed, "parts": [asdict(part) for part in self.parts]}


def names_in(text: str) -> list[str]:
    """The names that stand where tools are named in some format, each once."""
    return list(dict.fromkeys(next(filter(None, found.groups())) for found in _named().finditer(text)))


@cache
def _named() -> re.Pattern[str]:
    """What stands around the name in each dialect's sample; not a bare tag, for any of HTML's could be a tool's."""
    places = dict.fromkeys([_KEYED, rf"(?m:^){_IDENTIFIER}\s?(?=\{{)"])
    for dialect in DIALECTS:
        before, name, after = dialect.sample.partition("find_book")
        before = before[-_BEFORE:].lstrip()
        if name and before not in ("", "<", '"'):
            places[rf"{re.escape(before)}{_IDENTIFIER}(?={re.escape(after[:1])})"] = None
    return re.compile("|".join(places))


def dissect(text: str, tools: Iterable[Tool] | None = None) -> Anatomy:
    """Lay a reply open.

    Args:
        text: what the model wrote.
        tools: the tools offered; without any, the names in the reply are taken as offered.

    Raises:
        ToolmendError: a tool is broken.
    """
    offered = specs_of(tools) if tools is not None else _assumed(names_in(text))
    parts = [part for whole in _parts(_events(text, offered)) for part in _passed_over(whole, offered)]
    return Anatomy(parts=tuple(parts), tools=tuple(tool.name for tool in offered), assumed=tools is None)


def _assumed(names: Iterable[str]) -> tuple[ToolSpec, ...]:
    """Tools of which no more than the name is known."""
    return tuple(ToolSpec(name=name, parameters={"type": "object"}) for name in names)


def _events(text: str, tools: Sequence[ToolSpec]) -> list[Event]:
    parser = StreamParser(tools)
    return [*parser.feed(text), *parser.close()]


def _parts(events: Iterable[Event]) -> Iterator[Part]:
    for event in events:
        match event:
            case ToolCallParsed():
                yield Part(kind="call", raw=event.raw, dialect=event.dialect, calls=event.calls)
            case ToolCallFailed():
                yield Part(kind="failed", raw=event.raw, dialect=event.dialect, reason=event.reason)
            case ReasoningDelta():
                yield Part(kind="reasoning", raw=event.raw)
            case TextDelta():
                yield Part(kind="text", raw=event.raw)
            case _:
                pass


def _passed_over(part: Part, offered: Sequence[ToolSpec]) -> list[Part]:
    """A part of text or reasoning, divided where there are calls in it."""
    if part.kind not in ("text", "reasoning"):
        return [part]
    known = {tool.name for tool in offered}
    tools = [*offered, *_assumed(name for name in names_in(part.raw) if name not in known)]
    divided: list[Part] = []
    at = 0
    for start, inner, where in _contexts(part) if tools else ():
        for offset, found in _alone(inner, tools):
            place = start + offset
            if place < at:
                continue
            if place > at:
                divided.append(Part(kind=part.kind, raw=part.raw[at:place]))
            unknown = [call.name for call in found.calls if call.name not in known]
            reason = where or (f"no tool {unknown[0]!r} is offered" if unknown else "shown as an example")
            divided.append(replace(found, kind="passed over", reason=reason))
            at = place + len(found.raw)
    if at < len(part.raw):
        divided.append(Part(kind=part.kind, raw=part.raw[at:]))
    return divided


def _alone(text: str, tools: Sequence[ToolSpec]) -> Iterator[tuple[int, Part]]:
    """The calls in a text, each read from its opener on without what stands before it, and where they begin."""
    openers = openers_of(DIALECTS, Toolbox(tools)).outside
    at = 0
    for _ in range(_TRIES):
        found = openers.search(text, at)
        if found is None or found[1].partial:
            return
        start = found[1].start()
        at = max(found[1].end(), start + 1)
        first = next(_parts(_events(text[start:], tools)), None)
        if first and first.kind == "call":
            yield start, first
            at = start + len(first.raw)


def _contexts(part: Part) -> Iterator[tuple[int, str, str]]:
    """Where in a part to look on its own: offset, text and why it was not looked at."""
    if part.kind == "reasoning":
        opening, closing = _TAG.match(part.raw), _TAG.search(part.raw, 1)
        start, end = opening.end() if opening else 0, closing.start() if closing else len(part.raw)
        yield start, part.raw[start:end], "inside reasoning"
        return
    at = 0
    for fence in _FENCE.finditer(part.raw):
        yield at, part.raw[at : fence.start()], ""
        yield fence.start(4), fence[4], "inside a code example"
        at = fence.end()
    yield at, part.raw[at:], ""
