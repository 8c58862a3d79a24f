"""The one parser. Whole text is `feed` and `close`; there is no other path.

It is in one of two states. Scanning, it searches the text for all openers at once; what could still become an opener
is held back, all before it goes out. Inside a block, the block's `Body` reads the region until it knows its end;
then the dialect reads the region's meaning, and the toolbox decides whether its calls may run. What turns out to be
no call goes back to scanning, at least one character further on.

The laws, each a property test:

1. Lossless: the `raw` of all events, joined, is the input.
2. Chunking never changes the events, once neighbouring deltas are joined.
3. No model text makes it raise.
4. ``parse(render(calls)) == calls`` for every dialect.
5. Time and memory are linear in the input. Openers have bounded length; a body reads each character once; what is
   searched again is bounded by an opener's head, or by `_MISSES` where a region ran to the end of the reply in vain.
6. One path.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

import regex

from toolmend._blocks import Block, NotHere
from toolmend._dialect import Dialect, Region
from toolmend._events import Event, ReasoningDelta, Reply, TextDelta, ToolCallFailed, ToolCallParsed
from toolmend._openers import OpenBlock, Openers, Undecided, openers_of
from toolmend._quotation import Quotation, is_quoted, is_shown
from toolmend._toolbox import NotACall, Toolbox
from toolmend._types import Tool, ToolCall, specs_of
from toolmend.parsers import DIALECTS

__all__ = ["StreamParser", "parse"]

_LEAD = 256  # how much of the text before a region is known to whoever judges it
_MISSES = 32  # how many regions may run to the end of the reply in vain before the rest is taken as text
_ASIDE = 60  # how much text between two calls without a marker is no more than a transition
_SLICE = 4096  # how much text is read at a time


def parse(text: str, tools: Iterable[Tool] = (), *, dialects: Sequence[Dialect] = DIALECTS) -> Reply:
    """Take a whole reply apart.

    Args:
        text: what the model wrote.
        tools: the tools offered, as `ToolSpec`s or OpenAI tool dicts. Without tools nothing is recovered.
        dialects: the formats to read, in order of precedence.

    Raises:
        ToolmendError: a tool is broken. Text never raises.

    Example:
        >>> tool = {"type": "function", "function": {"name": "ping"}}
        >>> parse('<tool_call>{"name": "ping", "arguments": {}}</tool_call>', tools=[tool]).calls[0].name
        'ping'
    """
    parser = StreamParser(tools, dialects=dialects)
    return Reply.of([*parser.feed(text), *parser.close()])


class StreamParser:
    """Takes a reply apart while it arrives.

    Args:
        tools: the tools offered, as `ToolSpec`s or OpenAI tool dicts. Without tools nothing is recovered.
        dialects: the formats to read, in order of precedence.
        echoes: texts that are not the model's own, such as tool results: a call copied out of them does not run.

    Raises:
        ToolmendError: a tool is broken.
    """

    def __init__(
        self,
        tools: Iterable[Tool] = (),
        *,
        dialects: Sequence[Dialect] = DIALECTS,
        echoes: Iterable[str] = (),
    ) -> None:
        self._tools = Toolbox(specs_of(tools))
        self._openers = openers_of(tuple(dialects), self._tools) if self._tools else None
        self._echoes = tuple(echoes)
        self._events: list[Event] = []
        self._closed = False
        self._text = ""  # some text already given out, for context, then what is held back
        self._at = 0  # where in it that begins
        self._open: OpenBlock | None = None
        self._quotation: Quotation | None = None
        self._shown = False  # the last thing that looked like a call was an example
        self._misses = 0
        self._answered = False  # calls without a marker were told
        self._after_call = False
        self._framed = False  # the reply shows its chat tokens, so none of them is text
        self._since = 0

    def feed(self, delta: str) -> list[Event]:
        """Take the next piece of the reply and tell what has become certain.

        Raises:
            RuntimeError: the parser is closed.
        """
        if self._closed:
            raise RuntimeError("the parser is closed; make a new one for the next reply")
        self._run(delta)
        return self._told()

    def close(self, *, truncated: bool = False) -> list[Event]:
        """Take the end of the reply and tell the rest.

        Args:
            truncated: the reply was cut by its length limit: what is unfinished is not a call.
        """
        if self._closed:
            return []
        self._closed = True
        while self._open:
            self._run(self._close_block(self._open, truncated=truncated))
        last = self._quotation.closed_by(self._text, self._at) if self._quotation else None
        if last and self._quotation:
            self._release(last.start())
            self._end_quotation(self._quotation, last.group())
        self._release(len(self._text))
        if self._quotation:
            self._events.extend(self._quotation.settle(quoted=truncated))
        return self._told()

    @property
    def held(self) -> str:
        """What was fed but not yet told."""
        suspense = self._quotation.suspense if self._quotation else None
        return "".join(
            (
                *(event.raw for event in suspense or ()),
                self._text[self._at :],
                self._open.text if self._open else "",
            )
        )

    def _run(self, text: str) -> None:
        """Read text in slices: what a region leaves over is copied, which must not mean all that follows."""
        pending = [(text, 0)]
        while pending:
            text, at = pending.pop()
            if at + _SLICE < len(text):
                pending.append((text, at + _SLICE))
            piece = text[at : at + _SLICE]
            rest = self._read_block(self._open, piece) if self._open else self._scan(piece)
            if rest:
                pending.append((rest, 0))

    def _scan(self, text: str) -> str:
        """Search for openers; return the text of a region that opened, or nothing when all is read."""
        self._text += text
        while True:
            openers = self._openers
            if openers is None or self._misses > _MISSES:
                self._release(len(self._text))
                self._trim()
                return ""
            pattern = openers.inside(self._quotation.closer) if self._quotation else openers.outside
            found = pattern.search(self._text, self._at, partial=True)
            if found is None or found.partial:
                self._release(found.start() if found else len(self._text))
                self._trim()
                return ""
            try:
                opened = self._opener(openers, found)
            except Undecided:
                return ""
            if opened:
                return opened

    def _opener(self, openers: Openers, found: regex.Match[str]) -> str:
        """Act on an opener; return the region's text if a block opened."""
        start, opener, group = found.start(), found.group(), found.lastgroup or ""
        self._release(start)
        if group == "closer" and self._quotation:
            self._end_quotation(self._quotation, opener)
        elif group == "leftover":
            self._tell(TextDelta("" if self._after_call or self._framed else opener, opener))
            self._at = found.end()
        elif group == "reasoning":
            self._begin_quotation(opener)
        else:
            fence = openers.fence(self._text, start) if group == "code" else (*openers.blocks[int(group[1:])], opener)
            if fence is None:
                self._begin_quotation(opener)
                return ""
            dialect, block, opener = fence
            lead = self._text[max(0, start - _LEAD) : start]
            if block.kind == "markup" and not is_quoted(lead):
                self._drop(opener)
                return ""
            try:
                body = None if self._is_late(block) or self._is_quoted(lead) else block.body(opener, lead)
            except NotHere:
                body = None
            if body is None:
                self._refute(block, opener, 1)
                return ""
            region, self._text, self._at = self._text[start:], lead, len(lead)
            self._open = OpenBlock(dialect, block, body, opener, lead)
            return region
        return ""

    def _is_late(self, block: Block) -> bool:
        """Whether text has followed calls: what is written behind it without a marker repeats or explains them."""
        return block.kind != "marked" and self._answered and self._since > _ASIDE

    def _is_quoted(self, lead: str) -> bool:
        if self._quotation and self._quotation.kind == "code":
            return False  # that it stands in code is known; what counts is whether the code ends
        self._shown = is_shown(lead, self._shown)
        return self._shown or is_quoted(lead)

    def _drop(self, markup: str) -> None:
        """Take away what the format puts around text; behind it, a line begins."""
        self._tell(TextDelta("", markup))
        self._framed = True
        self._text, self._at = "\n" + self._text[self._at + len(markup) :], 1

    def _begin_quotation(self, opener: str) -> None:
        self._quotation = Quotation.opened_by(opener)
        self._quotation.shown = is_shown(self._text[max(0, self._at - _LEAD) : self._at], self._shown)
        self._tell(self._quotation.delta(opener, tag=True))
        self._at += len(opener)

    def _end_quotation(self, quotation: Quotation, closer: str) -> None:
        self._quotation = None
        for event in quotation.settle(quoted=True):
            self._tell(event)
        if closer:  # the beginning of a message ends the one before it and is looked at again
            self._tell(quotation.delta(closer, tag=True))
        self._at += len(closer)

    def _refute(self, block: Block, opener: str, text: int) -> None:
        """What opened is no call: a fence is code then, anything else goes on as text."""
        if block.kind == "fence" and not self._quotation:
            self._begin_quotation(opener[: opener.index("\n", len(opener) - len(opener.lstrip())) + 1])
        else:
            self._release(self._at + text)

    def _read_block(self, opened: OpenBlock, text: str) -> str:
        """Feed the open block; return what is left of the text once the region has ended."""
        opened.add(text)
        try:
            end = opened.body.feed(text)
        except NotHere as verdict:
            return self._abandon(opened, verdict.text)
        return "" if end is None else self._end_block(opened, end)

    def _close_block(self, opened: OpenBlock, *, truncated: bool) -> str:
        """End the open block with the reply; return what is left of the text."""
        self._misses += 1
        try:
            end = opened.body.close()
        except NotHere as verdict:
            return self._abandon(opened, verdict.text)
        return self._end_block(opened, end, whole=opened.body.whole or not truncated)

    def _end_block(self, opened: OpenBlock, end: int, *, whole: bool = True) -> str:
        region, self._open = opened.text, None
        self._judge(opened, region[:end], whole=whole)
        return region[end:]

    def _abandon(self, opened: OpenBlock, text: int) -> str:
        region, self._open = opened.text, None
        self._text += region
        self._refute(opened.block, opened.opener, text)
        rest, self._text = self._text[self._at :], self._text[: self._at]
        self._trim()
        return rest

    def _judge(self, opened: OpenBlock, raw: str, *, whole: bool) -> None:
        """Tell what a finished region is."""
        calls: list[ToolCall] = []
        refused: list[NotACall] = []
        try:
            if not whole:
                raise NotACall("cut off by the length limit")
            if any(raw.strip() in echo for echo in self._echoes):
                raise NotACall("copied from a tool result")
            for written in opened.dialect.parse(Region(raw, opened.lead, self._tools)):
                if isinstance(written, NotACall):
                    refused.append(written)
                    continue
                try:
                    calls.append(self._tools.accept(written))
                except NotACall as error:
                    refused.append(error)
        except NotACall as error:
            refused.append(error)
        name = opened.dialect.name
        if calls:  # what is refused beside them stays in the text, whole, without keeping them from running
            reasons = "; ".join(map(str, refused))
            if refused:
                self._tell(ToolCallFailed(name, raw, reasons))
            self._tell(ToolCallParsed(tuple(calls), name, "" if refused else raw))
            self._answered = self._answered or opened.block.kind != "marked"
            self._text, self._at = "\n", 1
            return
        self._text += raw
        meant = opened.block.kind == "marked" or any(error.meant for error in refused)
        self._tell(
            ToolCallFailed(name, raw, "; ".join(map(str, refused)) or "no call in it") if meant else TextDelta(raw, raw)
        )
        self._at = len(self._text)
        self._trim()

    def _release(self, end: int) -> None:
        """Give out text up to an index of the buffer."""
        if end > self._at:
            raw = self._text[self._at : end]
            self._at = end
            self._tell(self._quotation.delta(raw) if self._quotation else TextDelta(raw, raw))

    def _trim(self) -> None:
        """Forget text that nobody can ask for any more, now and then."""
        if self._at > 4 * _LEAD:
            self._text = self._text[self._at - _LEAD :]
            self._at = _LEAD

    def _tell(self, event: Event) -> None:
        """Put an event out, or in suspense while it is open whether it stands in a quotation."""
        quotation = self._quotation
        if isinstance(event, ToolCallParsed):
            if quotation and quotation.suspense is None:
                quotation.suspense = []
            self._after_call = True
            self._since = 0
        else:
            self._since += len(event.raw)
            if event.raw.strip() and not (isinstance(event, TextDelta) and not event.text):
                self._after_call = False
        target = self._events if quotation is None or quotation.suspense is None else quotation.suspense
        target.append(event)

    def _told(self) -> list[Event]:
        """The events since the last time, neighbouring deltas joined."""
        told: list[Event] = []
        pending, self._events = self._events, []
        for kind, group in groupby(pending, key=type):
            if kind in (TextDelta, ReasoningDelta):
                deltas = [event for event in group if isinstance(event, (TextDelta, ReasoningDelta))]
                text, raw = "".join(d.text for d in deltas), "".join(d.raw for d in deltas)
                told.append(TextDelta(text, raw) if kind is TextDelta else ReasoningDelta(text, raw))
            else:
                told.extend(group)
        return told
