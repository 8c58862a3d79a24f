"""The parts that a recovered PydanticAI stream shows: texts to their passages, calls between them.

All events go through the stream's own parts manager, since one recovered call shifts the index of
every part after it. A call may be shown while it is being written, one at a time. If it turns out
broken its part becomes the text that it is: a second start under the same index says so, and the
response never holds half a call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, cast

from pydantic_ai.messages import ModelResponsePart, ModelResponseStreamEvent, PartStartEvent, TextPart

from toolmend._turn import ArgumentsDelta, Item, Reader
from toolmend._types import ToolCall
from toolmend.adapters._pydantic_ai_reply import arguments_as_json

__all__ = ["Events", "Passage", "ShownParts"]

Events = Iterator[ModelResponseStreamEvent]


@dataclass
class Passage:
    """A text part of the inner stream on its way through its reader.

    Attributes:
        number: which of our text parts it is shown in; text after a call needs another one.
        reader: `None` once its text has been decided.
        metadata: of the inner part, until the next text shown carries it.
        space: white space before any text; alone it makes no part.
        place: the index of the part it is shown in, or `None` before there is one.
        taken_back: the index of a part that was shown as a call: the next text takes its place.
    """

    number: int
    reader: Reader | None = None
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    space: str = ""
    place: int | None = None
    taken_back: int | None = None

    @property
    def held(self) -> str:
        """What has come of it and is not shown."""
        return self.space + (self.reader.held if self.reader else "")


@dataclass
class _Writing:
    """A call that is shown while it is being written.

    Attributes:
        id: which call it is.
        number: which of our parts it is.
        place: the index of its part.
        passage: where it is written.
        sent: the pieces of its arguments that were shown.
    """

    id: str
    number: int
    place: int
    passage: Passage
    sent: list[str] = field(default_factory=list[str])


class ShownParts:
    """Texts and calls on their way into a stream.

    Args:
        manager: the stream's parts manager.
        hold_text: keep text back until the reply has ended without a call.

    Attributes:
        recovered: a call was recovered.
        native: the reply has calls of its own.
    """

    def __init__(self, manager: Any, *, hold_text: bool) -> None:
        self.recovered = False
        self.native = False
        self._manager = manager
        self._hold_text = hold_text
        self._numbers = 0
        self._writing: _Writing | None = None
        self._restarted: tuple[int, TextPart] | None = None
        self._waiting: list[ModelResponseStreamEvent] = []

    def passage(self, taken_back: int | None = None) -> Passage:
        """A new passage, in the place of a call that turned out to be none if the inner stream says so."""
        self._numbers += 1
        return Passage(self._numbers, taken_back=taken_back)

    def show(self, passage: Passage, items: Iterable[Item]) -> Events:
        """Show what a passage's reader has given out."""
        for item in items:
            if isinstance(item, ToolCall):
                yield from self._call(passage, item)
                continue
            if isinstance(item, ArgumentsDelta):
                yield from self._piece(passage, item)
                continue
            text, passage.space = passage.space + item, ""
            if passage.place is None and not text.strip():
                passage.space = text  # alone it would be taken for the final answer
            elif text:
                yield from self.text(passage, text)

    def text(self, passage: Passage, text: str) -> Events:
        """Show text, be it white space."""
        metadata, passage.metadata = passage.metadata, {}
        if passage.taken_back is not None:
            yield from self._restart(passage, TextPart(content=text, **metadata))
            return
        place = ("text", passage.number)
        for event in self._manager.handle_text_delta(vendor_part_id=place, content=text, **metadata):
            if isinstance(event, PartStartEvent):
                passage.place = event.index
            if not self._hold_text:
                yield event
            elif not (self.recovered or self.native):
                self._waiting.append(event)

    def stop(self) -> None:
        """The reply has calls of its own: what is being written is none."""
        self._take_back()
        self.native = True
        self._waiting.clear()

    def close(self, passages: Iterable[Passage]) -> Events:
        """The reply is over: show what is still held back."""
        if not self._manager.get_parts():  # nothing but white space: then that is the answer
            for passage in passages:
                space, passage.space = passage.space, ""
                yield from self.text(passage, space)
        yield from self._waiting

    def seen(
        self, parts: Iterable[ModelResponsePart], passages: Iterable[Passage], *, over: bool
    ) -> list[ModelResponsePart]:
        """The parts of the manager as they are in the response.

        Args:
            parts: the manager's.
            passages: all there are.
            over: nothing more is read: what is held back is text, and what is being written is no call.
        """
        seen = dict(enumerate(parts))
        fresh = count(len(seen))
        if self._restarted:
            seen[self._restarted[0]] = self._restarted[1]
        for passage in passages:
            held = passage.held if over else ""
            if passage.taken_back is not None:
                del seen[passage.taken_back]
            if held and passage.place is not None:
                shown = cast("TextPart", seen[passage.place])
                seen[passage.place] = replace(shown, content=shown.content + held)
            elif held.strip():
                seen[next(fresh)] = TextPart(content=held)
        if over and self._writing:
            del seen[self._writing.place]
        return list(seen.values())

    def _call(self, passage: Passage, call: ToolCall) -> Events:
        self.recovered = True
        self._waiting.clear()
        writing = self._writing if self._writing and self._writing.id == call.id else None
        if writing:
            self._writing = None
        else:
            self._numbers += 1
        number = writing.number if writing else self._numbers
        passage.number, passage.place, passage.space = number, None, ""
        arguments = arguments_as_json(call)
        if writing is None or "".join(writing.sent) != arguments:
            yield self._manager.handle_tool_call_part(
                vendor_part_id=("call", number), tool_name=call.name, args=arguments, tool_call_id=call.id
            )

    def _piece(self, passage: Passage, piece: ArgumentsDelta) -> Events:
        """A piece of a call. What begins before the end of another comes whole: only one can be taken back."""
        writing = self._writing
        if writing and writing.id != piece.id:
            return
        if piece.arguments is None:
            self._take_back()
            return
        if writing is None:
            self._numbers += 1
        event: Any = self._manager.handle_tool_call_delta(
            vendor_part_id=("call", writing.number if writing else self._numbers),
            tool_name=None if writing else piece.name,
            args=piece.arguments,
            tool_call_id=piece.id,
        )
        if writing is None:
            writing = self._writing = _Writing(piece.id, self._numbers, event.index, passage)
        writing.sent.append(piece.arguments)
        yield event

    def _take_back(self) -> None:
        """What was being written is no call: the text to come takes its place."""
        writing, self._writing = self._writing, None
        if writing:
            writing.passage.taken_back = writing.place

    def _restart(self, passage: Passage, part: TextPart) -> Events:
        """Show a part that was a call as the text that it is."""
        place, passage.taken_back = cast("int", passage.taken_back), None
        self._numbers += 1
        passage.number, passage.place = self._numbers, place
        self._restarted = place, part
        yield PartStartEvent(index=place, part=part)  # before it the base class tells the end of the call
        # The manager has no way of its own to do this.
        manager = self._manager
        manager.get_parts()  # then it buffers nothing of the call any more
        manager._parts[place] = replace(part)
        manager._vendor_id_to_part_index["text", passage.number] = place
        self._restarted = None
