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

import regex

from toolmend._blocks import Block, NotHere
from toolmend._dialect import Dialect, Region
from toolmend._events import Event, Reply, TextDelta
from toolmend._foreign import Foreign
from toolmend._ledger import Ledger
from toolmend._openers import OpenBlock, Openers, Undecided, offered
from toolmend._quotation import Quotation, is_quoted, is_shown
from toolmend._toolbox import Description, NotACall
from toolmend._types import Tool, ToolCall
from toolmend.parsers import DIALECTS

__all__ = ["StreamParser", "parse"]

_LEAD = 256  # how much of the text before a region is known to whoever judges it
_MISSES = 32  # how many regions may run to the end of the reply in vain before the rest is taken as text
_NO_ECHOES = Foreign()
_SLICE = 4096  # how much text is read at a time


def parse(text: str, tools: Iterable[Tool] = (), *, dialects: Sequence[Dialect] = DIALECTS) -> Reply:
    """Take a whole reply apart.

    Args:
        text: what the model wrote.
        tools: the tools offered, as `ToolSpec`s or OpenAI tool dicts. Without tools nothing is recovered.
        dialects: the formats to read, in order of precedence.

    Raises:
        ToolmendError: a tool is broken. Text never raises.

    Examples:
        >>> tool = {"type": "function", "function": {"name": "ping"}}
        >>> parse('<tool_call>{"name": "ping", "arguments": {}}</tool_call>', tools=[tool]).calls[0].name
        'ping'
    """
    parser = StreamParser(tools, dialects=dialects)
    events = parser.feed(text)
    events += parser.close()
    return Reply.of(events)


class StreamParser:
    """Takes a reply apart while it arrives.

    Args:
        tools: the tools offered, as `ToolSpec`s or OpenAI tool dicts. Without tools nothing is recovered.
        dialects: the formats to read, in order of precedence.
        echoes: texts that are not the model's own: results of tools, or a `Foreign`. A call copied out of them does
            not run.
        stream_arguments: tell the arguments as `ToolCallDelta`s while they are written.

    Raises:
        ToolmendError: a tool is broken.
    """

    __slots__ = (
        "_at", "_closed", "_foreign", "_framed", "_ledger", "_misses", "_open", "_openers", "_shown",
        "_stream_arguments", "_text", "_tools",
    )  # fmt: skip

    def __init__(
        self,
        tools: Iterable[Tool] = (),
        *,
        dialects: Sequence[Dialect] = DIALECTS,
        echoes: Iterable[str] | Foreign = _NO_ECHOES,
        stream_arguments: bool = False,
    ) -> None:
        self._tools, self._openers = offered(tools, dialects)
        self._foreign = Foreign.of(echoes)
        self._stream_arguments = stream_arguments
        self._ledger = Ledger(stream_arguments=stream_arguments)
        self._closed = False
        self._text = ""  # some text already given out, for context, then what is held back
        self._at = 0  # where in it that begins
        self._open: OpenBlock | None = None
        self._shown = False  # the last thing that looked like a call was an example
        self._misses = 0
        self._framed = False  # the reply shows its chat tokens, so none of them is text

    def feed(self, delta: str) -> list[Event]:
        """Take the next piece of the reply and tell what has become certain.

        Raises:
            RuntimeError: the parser is closed.
        """
        if self._closed:
            raise RuntimeError("the parser is closed; make a new one for the next reply")
        self._run(delta)
        return self._ledger.take()

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
        quotation = self._ledger.quotation
        last = quotation.closed_by(self._text, self._at) if quotation else None
        if quotation and last:
            self._release(last.start())
            self._end_quotation(quotation, last.group())
        self._release(len(self._text))
        if self._ledger.quotation:
            self._ledger.settle(self._ledger.quotation, quoted=truncated)
        return self._ledger.take()

    @property
    def held(self) -> str:
        """What was fed but not yet told."""
        suspense = self._ledger.quotation.suspense if self._ledger.quotation else None
        suspended = "".join(event.raw for event in suspense or ())
        return f"{suspended}{self._text[self._at :]}{self._open.text if self._open else ''}"

    def _run(self, text: str) -> None:
        """Read text in slices: what a region leaves over is copied, which must not mean all that follows."""
        later: list[tuple[str, int]] = []
        at = 0
        while True:
            if len(text) - at > _SLICE:
                later.append((text, at + _SLICE))
                text = text[at : at + _SLICE]
            elif at:
                text = text[at:]
            at = 0
            text = self._read_block(self._open, text) if self._open else self._scan(text)
            if not text:
                if not later:
                    return
                text, at = later.pop()

    def _scan(self, text: str) -> str:
        """Search for openers; return the text of a region that opened, or nothing when all is read."""
        self._text += text
        while True:
            openers = self._openers
            if openers is None or self._misses > _MISSES:
                self._release(len(self._text))
                self._trim()
                return ""
            search = openers.inside(self._ledger.quotation.closer) if self._ledger.quotation else openers.outside
            found = search.search(self._text, self._at)
            if found is None or found[1].partial:
                self._release(found[1].start() if found else len(self._text))
                self._trim()
                return ""
            try:
                opened = self._opener(openers, *found)
            except Undecided:
                return ""
            if opened:
                return opened

    def _opener(self, openers: Openers, label: str, found: regex.Match[str]) -> str:
        """Act on an opener; return the region's text if a block opened."""
        start, opener = found.start(), found.group()
        self._release(start)
        known = openers.blocks.get(label)
        if known:
            return self._begin_block(start, *known, opener)
        fence = openers.fence(self._text, start) if label == "code" else None
        if fence:
            return self._begin_block(start, *fence)
        if label == "closer" and self._ledger.quotation:
            self._end_quotation(self._ledger.quotation, opener)
        elif label == "leftover":
            self._ledger.tell(TextDelta("" if self._ledger.after_call or self._framed else opener, opener))
            self._at = found.end()
        else:
            self._begin_quotation(opener)
        return ""

    def _begin_block(self, start: int, dialect: Dialect, block: Block, opener: str) -> str:
        """Open a block, unless its opener is quoted or comes too late; return the region's text if it did."""
        lead = self._text[max(0, start - _LEAD) : start]
        if block.kind == "markup" and not is_quoted(lead):
            self._drop(opener)
            return ""
        if block.kind == "bar":
            self._ledger.bar(dialect.name, self._tools.get(opener.rsplit(maxsplit=1)[-1]))
            self._release(start + len(opener))
            return ""
        late = block.kind != "marked" and self._ledger.is_late(lead)
        quoted = not late and self._is_quoted(block, lead)
        try:
            body = None if late or quoted else block.body(opener, lead)
        except NotHere:
            body = None
        if body is None:  # of a quotation no part may open anything else
            self._refute(block, opener, len(opener) if quoted else 1)
            return ""
        self._shown = self._shown and self._in_code
        region, self._text, self._at = self._text[start:], lead, len(lead)
        self._open = OpenBlock(dialect, block, body, opener, lead)
        if self._stream_arguments and block.kind == "marked" and not self._ledger.quotation:
            self._open.show_with(dialect.deltas(block, opener, self._tools))
        return region

    def _is_quoted(self, block: Block, lead: str) -> bool:
        if self._in_code:
            return False  # that it stands in code is known; what counts is whether the code ends
        if is_shown(lead, self._shown, marked=block.kind == "marked"):
            self._shown = True
            return True
        return is_quoted(lead)

    @property
    def _in_code(self) -> bool:
        return self._ledger.quotation is not None and self._ledger.quotation.kind == "code"

    def _drop(self, markup: str) -> None:
        """Take away what the format puts around text; behind it, a line begins."""
        self._ledger.tell(TextDelta("", markup))
        self._framed = True
        self._text, self._at = "\n" + self._text[self._at + len(markup) :], 1

    def _begin_quotation(self, opener: str) -> None:
        self._ledger.quotation = Quotation.opened_by(opener)
        lead = self._text[max(0, self._at - _LEAD) : self._at]
        self._ledger.quotation.shown = is_shown(lead, self._shown, marked=False)
        self._ledger.tell(self._ledger.quotation.delta(opener, tag=True))
        self._at += len(opener)

    def _end_quotation(self, quotation: Quotation, closer: str) -> None:
        self._ledger.end_quotation()
        if closer:  # the beginning of a message ends the one before it and is looked at again
            self._ledger.tell(quotation.delta(closer, tag=True))
        self._at += len(closer)
        if quotation.kind == "reasoning":  # behind it, a line begins
            self._text, self._at = "\n" + self._text[self._at :], 1

    def _refute(self, block: Block, opener: str, text: int) -> None:
        """What opened is no call: a fence is code then, anything else goes on as text."""
        if block.kind == "fence" and not self._ledger.quotation:
            self._begin_quotation(opener[: opener.index("\n", len(opener) - len(opener.lstrip())) + 1])
        else:
            self._release(self._at + text)

    def _read_block(self, opened: OpenBlock, text: str) -> str:
        """Feed the open block; return what is left of the text once the region has ended."""
        opened.add(text)
        if opened.deltas:
            self._ledger.show(opened.show(opened.deltas, text))
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
        whole = opened.body.whole or not truncated  # of a half region, no part is read as something else
        return self._end_block(opened, end if whole else len(opened.text), whole=whole)

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
            source = self._foreign.source_of(raw)
            if source:
                raise NotACall(f"copied from {source}")
            for written in opened.dialect.parse(Region(raw, opened.lead, self._tools, opened.body.value)):
                if isinstance(written, NotACall):
                    refused.append(written)
                    continue
                try:
                    calls.append(self._tools.accept(written))
                except NotACall as error:
                    refused.append(error)
        except NotACall as error:
            refused.append(error)
        if refused:
            self._shown = self._shown or any(isinstance(reason, Description) for reason in refused)
        objection = self._ledger.objection(calls, refused, opened) if calls else None
        if objection:
            calls, refused = [], [objection]
        self._ledger.tell_region(opened, raw, calls, refused)
        if calls:
            self._text, self._at = "\n", 1
        else:
            self._text += raw
            self._at = len(self._text)
            self._trim()

    def _release(self, end: int) -> None:
        """Give out text up to an index of the buffer."""
        if end > self._at:
            raw = self._text[self._at : end]
            self._at = end
            self._ledger.tell(self._ledger.quotation.delta(raw) if self._ledger.quotation else TextDelta(raw, raw))

    def _trim(self) -> None:
        """Forget text that nobody can ask for any more, now and then."""
        if self._at > 4 * _LEAD:
            self._text = self._text[self._at - _LEAD :]
            self._at = _LEAD
