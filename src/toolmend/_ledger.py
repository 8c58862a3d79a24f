"""What has been told of a reply so far: the events, the calls, and what followed them."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable
from itertools import groupby

from toolmend._deltas import Shown, canonical
from toolmend._events import Event, ReasoningDelta, TextDelta, ToolCallDelta, ToolCallFailed, ToolCallParsed
from toolmend._openers import OpenBlock
from toolmend._quotation import Quotation, is_step
from toolmend._toolbox import NotACall
from toolmend._types import ToolCall, ToolSpec

__all__ = ["Ledger"]

_JOINED = (TextDelta, ReasoningDelta)
_ASIDE = 60  # how much text between two calls without a marker is no more than a transition


class Ledger:
    """Takes events, in suspense while it is open whether they stand in a quotation, and gives them out.

    Args:
        stream_arguments: tell the arguments of calls while they are written.

    Attributes:
        quotation: the region that is open now.
        after_call: nothing but white space was told since the last call.
    """

    __slots__ = (
        "_answered", "_barred", "_before", "_count", "_events", "_latest", "_made", "_since", "_stray",
        "_stream_arguments", "after_call", "quotation",
    )  # fmt: skip

    def __init__(self, *, stream_arguments: bool) -> None:
        self.quotation: Quotation | None = None
        self.after_call = False
        self._stream_arguments = stream_arguments
        self._events: list[Event] = []
        self._count = 0  # how many calls were told or begun
        self._made: dict[Hashable, None] = {}  # what they were, in order
        self._latest: list[ToolCall] = []  # those of them that nobody has compared with others so far
        self._barred: set[tuple[str, str]] = set()  # formats and tools, or all of them, whose calls are not made
        self._answered = False  # calls without a marker were told
        self._since = 0  # how much text was told since the last call
        self._stray = False  # whether any of it was more than white space
        self._before = (0, 0, 0, False)  # all that when the quotation's first call was told

    def tell(self, event: Event) -> None:
        """Put an event down."""
        quotation = self.quotation
        if quotation and quotation.suspense is None and isinstance(event, (ToolCallDelta, ToolCallParsed)):
            quotation.suspense = []
            self._note()
            self._before = (self._count, len(self._made), self._since, self._stray)
        if isinstance(event, ToolCallParsed):
            self.after_call = True
            self._since = 0
            self._stray = False
        else:
            self._since += len(event.raw)
            if event.raw and not event.raw.isspace():
                self._stray = True
                if not isinstance(event, TextDelta) or event.text:
                    self.after_call = False
        target = self._events if quotation is None or quotation.suspense is None else quotation.suspense
        target.append(event)

    def _note(self) -> None:
        """Note what the latest calls were: to find out costs something, and most replies make but one."""
        for call in self._latest:
            self._made[_same(call)] = None
        self._latest.clear()

    def end_quotation(self) -> None:
        """The quotation was one: its calls were never made."""
        quotation, self.quotation = self.quotation, None
        if quotation and quotation.suspense is not None:
            self._count, made, self._since, self._stray = self._before
            self._latest.clear()
            while len(self._made) > made:
                self._made.popitem()
        for event in quotation.settle(quoted=True) if quotation else ():
            self.tell(event)

    def settle(self, quotation: Quotation, *, quoted: bool) -> None:
        """The reply is over: decide what is still in suspense."""
        self._events.extend(quotation.settle(quoted=quoted))

    def take(self) -> list[Event]:
        """The events since the last time, neighbouring deltas joined."""
        pending, self._events = self._events, []
        if len(pending) < 2:
            return pending
        before = None
        for event in pending:
            kind = type(event)
            if kind is before and kind in _JOINED:
                break
            before = kind
        else:
            return pending
        taken: list[Event] = []
        for kind, group in groupby(pending, key=type):
            if kind in _JOINED:
                deltas = [event for event in group if isinstance(event, (TextDelta, ReasoningDelta))]
                text, raw = "".join(d.text for d in deltas), "".join(d.raw for d in deltas)
                taken.append(TextDelta(text, raw) if kind is TextDelta else ReasoningDelta(text, raw))
            else:
                taken.extend(group)
        return taken

    def is_late(self, lead: str) -> bool:
        """Whether text has followed calls: what is written behind it without a marker repeats or explains them.

        Args:
            lead: the text before what opens.
        """
        return self._answered and self._since > _ASIDE and not is_step(lead)

    def bar(self, dialect: str, tool: ToolSpec | None) -> None:
        """From here on, calls without a marker are not made in a format: those of one tool, or any."""
        self._barred.add((dialect, tool.name if tool else ""))

    def show(self, pieces: Iterable[tuple[int, str, str]]) -> None:
        """Tell pieces of arguments: number of the call in its region, its name, JSON text."""
        for n, name, piece in pieces:
            self.tell(ToolCallDelta(self._count + n, name, piece))

    def objection(self, calls: list[ToolCall], refused: list[NotACall], opened: OpenBlock) -> NotACall | None:
        """Why calls may not be told in spite of being readable."""
        if self._barred and opened.block.kind != "marked":
            format_ = opened.dialect.name
            if any((format_, tool) in self._barred for tool in ("", *(call.name for call in calls))):
                return NotACall("shown or defined, not made", meant=False)
        if self._stray and self._count:
            self._note()
            if all(_same(call) in self._made for call in calls):
                return NotACall("repeats an earlier call")
        if refused or not opened.deltas:
            return None
        for call, shown in zip(calls, opened.sent, strict=False):
            if call.name != shown.name or not shown.begins(canonical(call.arguments)):
                return NotACall("its arguments changed after they were shown")
        return None

    def tell_region(self, opened: OpenBlock, raw: str, calls: list[ToolCall], refused: list[NotACall]) -> None:
        """Tell what a finished region is. What is refused beside calls stays in the text, whole; they still run."""
        name = opened.dialect.name
        marked = opened.block.kind == "marked"
        if refused or not calls:
            reasons = "; ".join(map(str, refused)) or "no call in it"
            meant = marked or any(error.meant for error in refused)
            self.tell(ToolCallFailed(name, raw, reasons) if meant or calls else TextDelta(raw, raw))
        if calls:
            sent = opened.sent if opened.deltas else []
            if refused:  # what was shown has failed with the rest of the region; all of it comes again
                self._count += len(sent)
                sent = []
            if self._stream_arguments:
                self._complete(calls, sent)
            self.tell(ToolCallParsed(tuple(calls), name, "" if refused else raw))
            self._answered = self._answered or not marked
            self._latest.extend(calls)
        self._count += len(calls) or len(opened.sent)

    def _complete(self, calls: list[ToolCall], sent: list[Shown]) -> None:
        """Tell what is missing of the arguments."""
        for n, call in enumerate(calls):
            shown = sent[n].size if n < len(sent) else 0
            self.tell(ToolCallDelta(self._count + n, call.name, canonical(call.arguments)[shown:]))


def _same(call: ToolCall) -> Hashable:
    """What two calls have in common that are the same call."""
    arguments = call.arguments
    if all(type(value) is str for value in arguments.values()):  # the rule, and then there is a cheaper way to say it
        return call.name, frozenset(arguments.items())
    return call.name, json.dumps(arguments, sort_keys=True)
