"""A PydanticAI stream whose text is read for calls while it arrives.

Every text part of the inner stream is a passage with a reader of its own; what the readers give out
is shown by `_pydantic_ai_parts`. All other parts are copied, under an index of our own. What the
framework's base class makes itself, the ends of parts and the final result, is dropped from the
inner stream and made anew.

Native calls pass. When one arrives, text that was held back until then is shown as text, and none
is searched any more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from pydantic_ai.messages import (
    ModelResponse,
    ModelResponsePart,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_ai.models import StreamedResponse
from pydantic_ai.usage import RequestUsage

from toolmend._turn import Turn
from toolmend.adapters._pydantic_ai_again import FAILURES, SecondTry
from toolmend.adapters._pydantic_ai_parts import Events, Passage, ShownParts
from toolmend.adapters._pydantic_ai_reply import half_call, is_cut, recovered
from toolmend.adapters._pydantic_ai_report import Report

__all__ = ["RecoveredStream"]

# What a stream tells about itself grows every few releases; `final_result_event` is made anew.
_BOOKKEEPING = tuple(
    own.name
    for own in fields(StreamedResponse)
    if not own.init and not own.name.startswith("_") and own.name != "final_result_event"
)


@dataclass
class RecoveredStream(StreamedResponse):
    """A stream with the calls in its text recovered.

    Args:
        model_request_parameters: what the framework asked for: it tells which part ends the run.
        inner: the stream to read.
        turn: an active turn.
        report: told when the stream is over.
        hold_text: show text only when the reply has ended without a call; in a reply with a call
            it is kept for the response but not shown.
        stream_arguments: show calls while they are being written.
        second: says whether a reply that lost its call is asked for again.
        ask_again: opens the stream of that second reply.
    """

    inner: StreamedResponse
    turn: Turn
    report: Report
    hold_text: bool = False
    stream_arguments: bool = False

    second: SecondTry | None = None
    ask_again: Callable[[], Awaitable[StreamedResponse]] | None = None

    def __post_init__(self) -> None:
        self._begun = False
        self._failed = False
        self._rounds = 0
        self._spent: RequestUsage | None = None
        self._passages: dict[int, Passage] = {}
        self._calls: dict[int, int] = {}  # by their index in the inner stream: the index of ours
        self._latest_call: tuple[str, int, int] | None = None  # while nothing else has begun
        self._shown = ShownParts(self._parts_manager, hold_text=self.hold_text)
        self._over = False
        self._copied: dict[str, Any] = {}
        self._copy_bookkeeping()

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        try:
            async for event in self._inner_events():
                for own in self._on(event):
                    yield own
            for own in self._decide(at_end=True):
                yield own
            if self._is_lost() and self.ask_again:
                self._start_over(await self.ask_again())
                async for event in self._inner_events():
                    for own in self._on(event):
                        yield own
                for own in self._decide(at_end=True):
                    yield own
            for own in self._shown.close(self._passages.values()):
                yield own
            self._copy_bookkeeping()
            if self.second and self.second.asked:
                self.second.helped(called=self._shown.recovered or self._shown.native)
            self.report.close()
        finally:
            self._over = True

    async def _inner_events(self) -> AsyncIterator[ModelResponseStreamEvent]:
        """The inner stream's events; where it breaks over a call, what the error quotes of it."""
        try:
            async for event in self.inner:
                self._begun = True
                self._copy_bookkeeping()
                yield event
        except FAILURES as error:
            if not (self.second and self.second.solves(error, shown=bool(self._parts_manager.get_parts()))):
                raise
            self._failed = True
            said = self.second.quoted_stream(self.model_request_parameters)
            if said:
                self._start_over(said)
                async for event in said:
                    yield event

    def _is_lost(self) -> bool:
        """Whether a call was lost on the way, so that it is asked for again."""
        if self.second is None or not self.second.allowed or self._shown.recovered or self._shown.native:
            return False
        return self._failed or self.second.is_lost(self.get(), ended=self._has_ended)

    def _start_over(self, inner: StreamedResponse) -> None:
        """Go on with another stream, behind what was shown of this one."""
        self._spent = self.usage
        self.inner = inner
        self._rounds += 1
        self._passages.clear()
        self._calls.clear()
        self._copied.clear()

    def get(self) -> ModelResponse:
        """The response so far; once the stream is given up, with what was held back as text."""
        if not self._begun:  # there are streams that only hand out a response at the end
            return self.report.told(recovered(self.inner.get(), self.turn, self.report), self.turn)
        self._copy_bookkeeping()
        response = self.report.noted_in(super().get())
        return replace(response, parts=self._shown.seen(response.parts, self._passages.values(), over=self._over))

    def give_up(self) -> None:
        """Nobody reads on: from now on what is held back belongs to the response."""
        self._over = True
        self.report.close()

    async def close_stream(self) -> None:
        """Cancel the inner stream, which then knows that the errors to come are our doing."""
        self._over = True
        await self.inner.cancel()

    def get_stream_cancel_errors(self) -> tuple[type[BaseException], ...]:
        """The inner stream's."""
        return self.inner.get_stream_cancel_errors()

    def _copy_bookkeeping(self) -> None:
        # Only what has changed: models around this one write into these fields, too.
        for name in _BOOKKEEPING:
            value = getattr(self.inner, name)
            if name not in self._copied or self._copied[name] is not value:
                self._copied[name] = value
                setattr(self, name, value)
        if self._shown.recovered and self.finish_reason in (None, "stop"):
            self.finish_reason = "tool_call"
        self._usage = self.usage

    def _on(self, event: ModelResponseStreamEvent) -> Events:
        match event:
            case PartStartEvent(index=index, part=TextPart() as text):
                self._latest_call = None
                yield from self._decide()
                self._passages[index] = self._shown.passage(self._calls.pop(index, None))
                yield from self._feed(index, text.content, _metadata(text))
            case PartDeltaEvent(index=index, delta=TextPartDelta() as delta):
                yield from self._feed(index, delta.content_delta, _metadata(delta))
            case PartStartEvent():
                self._latest_call = None
                yield from self._decide(native=isinstance(event.part, ToolCallPart))
                # A copy: the base class writes into parts, and the inner stream keeps its own.
                place, part = ("inner", self._rounds, event.index), self._own(event.part)
                copied: Any = self._parts_manager.handle_part(vendor_part_id=place, part=part)
                if isinstance(part, ToolCallPart):
                    self._calls[event.index] = copied.index
                    self._latest_call = place
                yield copied
            case PartDeltaEvent():
                yield from self._forward(event)
            case _:
                pass

    def _own(self, part: ModelResponsePart) -> ModelResponsePart:
        args = {"args": self.turn.mended(part.args)} if isinstance(part, ToolCallPart) else {}
        return replace(part, **args)

    def _forward(self, event: PartDeltaEvent) -> Events:
        """A change to a part that is no text, under our own index."""
        manager, place = self._parts_manager, ("inner", self._rounds, event.index)
        delta = event.delta
        if isinstance(delta, ThinkingPartDelta):
            yield from manager.handle_thinking_delta(
                vendor_part_id=place,
                content=delta.content_delta,
                signature=delta.signature_delta,
                provider_name=delta.provider_name,
                provider_details=delta.provider_details,
            )
        elif isinstance(delta, ToolCallPartDelta):
            changed = manager.handle_tool_call_delta(
                vendor_part_id=place,
                tool_name=delta.tool_name_delta,
                args=self.turn.mended(delta.args_delta),
                tool_call_id=delta.tool_call_id,
                provider_name=delta.provider_name,
                provider_details=delta.provider_details,
            )
            if changed is not None:
                yield changed
        else:  # kinds that come with newer versions: apply them as they are
            part: Any = manager.get_part_by_vendor_id(place)
            whole: Any = delta.apply(part)
            started: Any = manager.handle_part(vendor_part_id=place, part=whole)
            yield replace(event, index=started.index)

    def _feed(self, index: int, text: str, metadata: dict[str, Any]) -> Events:
        passage = self._passages[index]
        passage.metadata.update(metadata)
        if passage.reader is None and not self._shown.native:
            # New, or its text goes on after another part.
            passage.reader = self.report.reader(self.turn, stream_arguments=self.stream_arguments)
        reader = passage.reader
        yield from self._shown.show(passage, reader.feed(text) if reader else [self.turn.mended(text)])
        if passage.metadata and passage.place is not None:
            yield from self._shown.text(passage, "")

    def _decide(self, *, native: bool = False, at_end: bool = False) -> Events:
        """Another part begins, or none: what is still held is a call or text now; before a native one text."""
        cut = at_end and self._is_cut()
        if native:
            self._shown.stop()
        for passage in self._passages.values():
            reader, passage.reader = passage.reader, None
            if reader is not None:
                yield from self._shown.show(passage, [reader.held] if native else reader.close(truncated=cut))
        if cut and self._latest_call:
            yield from self._halved(self._latest_call)

    def _halved(self, place: tuple[str, int, int]) -> Events:
        """See `half_call`."""
        part: Any = self._parts_manager.get_part_by_vendor_id(place)
        half: Any = half_call(part)
        if half is not part:
            changed = self._parts_manager.handle_tool_call_delta(vendor_part_id=place, args=half.args)
            assert changed is not None
            yield changed

    def _is_cut(self) -> bool:
        inner = self.inner
        return (
            self._failed
            or inner.cancelled
            or not self._has_ended
            or is_cut(inner.finish_reason, getattr(inner, "state", None))
        )

    @property
    def _has_ended(self) -> bool:
        """Whether the server has said that this is all; the framework makes up a reason where it has not."""
        return getattr(self.inner, "_has_finish_reason", True)

    @property
    def usage(self) -> RequestUsage:
        """The inner stream's, with what a first reply has cost."""
        return self.inner.usage if self._spent is None else self._spent + self.inner.usage

    @property
    def model_name(self) -> str:
        """The inner stream's."""
        return self.inner.model_name

    @property
    def provider_name(self) -> str | None:
        """The inner stream's."""
        return self.inner.provider_name

    @property
    def provider_url(self) -> str | None:
        """The inner stream's."""
        return self.inner.provider_url

    @property
    def timestamp(self) -> datetime:
        """The inner stream's."""
        return self.inner.timestamp


def _metadata(part: TextPart | TextPartDelta) -> dict[str, Any]:
    """What a provider says about a text, as far as the installed version knows it."""
    found = {name: getattr(part, name, None) for name in ("id", "provider_name", "provider_details")}
    found["citations"] = getattr(part, "citations", None) or getattr(part, "citations_delta", None)
    return {name: value for name, value in found.items() if value is not None}
