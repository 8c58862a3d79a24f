"""A streamed LangChain reply with the calls that stand in its text taken out.

A chunk is split into its texts and calls, and what is left of it (usage, finish reason, native
calls) follows them. What ends a reply waits until the reader has given out everything, so that no
text comes after the end.

Native calls stay as they are but for their number, which `_langchain_numbers` gives; one that ends half way gets an
end that says so.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Mapping
from contextlib import aclosing, closing
from typing import Any

from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from toolmend._turn import ArgumentsDelta, Item, Turn
from toolmend._types import ToolCall
from toolmend.adapters._langchain_content import Block, Content, content_of, parts_of, text_in
from toolmend.adapters._langchain_numbers import CallNumbers, CallsInPieces
from toolmend.adapters._langchain_reply import SearchedText, Tell, says_why_it_ended, was_cut

__all__ = ["StreamedReply", "as_chunk"]

_Piece = Item | list[Block] | Mapping[str, Any] | ChatGenerationChunk  # the last but one is metadata
# Metadata that may stand on every chunk; LangChain adds up all other when it joins the chunks.
_ON_EVERY_CHUNK = ("model_provider", "output_version")
# In content blocks texts and calls share one count, in which LangChain gives texts the low numbers.
_ABOVE_BLOCKS = 1000
_NOTHING = AIMessageChunk(content="")


class StreamedReply:
    """Reads one reply chunk by chunk.

    Args:
        turn: the turn of the request; if it is not active, every chunk passes as it is.
        tell: called with the reader when it is through.
        blocks: whether LangChain will turn the content into blocks (``output_version="v1"``).
        stream_arguments: whether the arguments of calls are sent on while they are written.
    """

    def __init__(self, turn: Turn, tell: Tell, *, blocks: bool = False, stream_arguments: bool = False) -> None:
        self._tell = tell
        self._turn = turn
        self._search = SearchedText(turn, stream_arguments=stream_arguments) if turn.active else None
        self._numbers = CallNumbers(first=_ABOVE_BLOCKS if blocks else 0)
        self._calls = CallsInPieces(self._numbers)
        self._latest = _NOTHING
        self._block: dict[str, Any] = {"type": "text"}
        self._waiting: list[ChatGenerationChunk] = []
        self._truncated = False
        self._told = False

    def read(self, chunks: Generator[ChatGenerationChunk]) -> Generator[ChatGenerationChunk]:
        """Read a whole stream; if it breaks, what was held is shown before the error goes on."""
        with closing(chunks):
            try:
                for chunk in chunks:
                    yield from self.feed(chunk)
            except Exception:
                yield from self.give_up()
                raise
        yield from self.close()

    async def aread(self, chunks: AsyncGenerator[ChatGenerationChunk]) -> AsyncGenerator[ChatGenerationChunk]:
        """Read a whole asynchronous stream, as `read` does."""
        async with aclosing(chunks):
            try:
                async for chunk in chunks:
                    for piece in self.feed(chunk):
                        yield piece
            except Exception:
                for piece in self.give_up():
                    yield piece
                raise
        for piece in self.close():
            yield piece

    def feed(self, chunk: ChatGenerationChunk) -> Iterator[ChatGenerationChunk]:
        """Take the next chunk and give out what is certain."""
        message: BaseMessage = chunk.message
        if self._search is None or not isinstance(message, AIMessageChunk):
            yield chunk
            return
        self._latest = message
        if isinstance(content_of(message), list):
            self._numbers.skip_to(_ABOVE_BLOCKS)
        info = chunk.generation_info
        self._truncated |= was_cut(info, message.response_metadata)
        has_text = any(map(text_in, parts_of(message)))
        pieces = self._pieces(message) if has_text else []
        if message.tool_call_chunks:
            numbered = self._numbers.of(self._turn.mended(message.tool_call_chunks))
            message = message.model_copy(update={"tool_call_chunks": numbered})
            pieces += self._stopped()
        if message.chunk_position == "last":
            message = self._ended(message)
            pieces += self._rest()
        if pieces == [content_of(message)] and not (message.tool_call_chunks or self._waiting or self._search.held):
            yield chunk  # the usual case: it passes as it is
            return
        yield from self._in_order(pieces, message, info, has_text=has_text)

    def close(self) -> Iterator[ChatGenerationChunk]:
        """Take the end of the stream."""
        if self._search is not None:
            yield from self._sent(self._rest())
        yield from self._released()

    def give_up(self) -> Iterator[ChatGenerationChunk]:
        """Take a stream that broke off: what is held is shown as text and never run."""
        if self._search is not None:
            yield from self._sent([*self._stopped(), *self._ends()])
        yield from self._released()

    def _rest(self) -> list[_Piece]:
        """What the end of the text brings, and a note on what was done."""
        assert self._search is not None
        pieces: list[_Piece] = [*self._search.close(truncated=self._truncated)]
        note = {} if self._told else self._tell(self._search.reader)
        self._told = True
        pieces += self._ends()
        return [*pieces, note] if note else pieces

    def _stopped(self) -> list[_Piece]:
        """What is held, as text; calls that are still being written are none then."""
        assert self._search is not None
        return [*self._calls.unfinished(), *self._search.stop()]

    def _ends(self) -> Iterator[_Piece]:
        """The ends of native calls that have ended half way."""
        for index in self._numbers.native:
            if end := self._numbers.end_of(index, cut=self._truncated):
                yield self._chunk(self._empty, tool_call_chunk(args=end, index=index))

    def _ended(self, last: AIMessageChunk) -> AIMessageChunk:
        """The last chunk with the ends of the calls in it."""
        ends = [self._numbers.end_of(call["index"], cut=self._truncated) for call in last.tool_call_chunks]
        if not any(ends):
            return last
        pairs = zip(last.tool_call_chunks, ends, strict=True)
        calls = [{**call, "args": (call["args"] or "") + end} for call, end in pairs]
        return _remade(last, tool_call_chunks=calls, tool_calls=[], invalid_tool_calls=[])

    def _pieces(self, message: AIMessageChunk) -> list[_Piece]:
        """The texts and calls that are certain now, and the blocks between them."""
        assert self._search is not None
        pieces: list[_Piece] = []
        for part in parts_of(message):
            text = text_in(part)
            if not text:
                pieces.append([part])
                continue
            if not isinstance(part, str):
                self._block = part
            pieces.extend(self._search.feed(text))
        return pieces

    def _in_order(
        self, pieces: list[_Piece], message: AIMessageChunk, info: dict[str, Any] | None, *, has_text: bool
    ) -> Iterator[ChatGenerationChunk]:
        """Texts and calls, then the rest of their chunk; what ends a reply waits for its text."""
        assert self._search is not None
        ends = bool(message.usage_metadata) or says_why_it_ended(info, message.response_metadata)
        waits = ends and bool(self._search.held)
        splits = waits or self._waiting or message.tool_call_chunks
        needed = not has_text or _says_more(message, info)
        if len(pieces) == 1 and isinstance(pieces[0], str) and not splits:
            # Nearly as usual: one chunk in, one chunk out.
            message, needed = message.model_copy(update={"content": self._content(pieces.pop())}), True
        elif needed and has_text:  # the pieces stand for the content
            message = message.model_copy(update={"content": self._empty})
        yield from self._sent(pieces)
        if self._waiting and not self._search.held:
            yield from self._released()
        if needed:
            rest = ChatGenerationChunk(message=message, generation_info=info)
            if waits:
                self._waiting.append(rest)
            else:
                yield rest

    def _released(self) -> Iterator[ChatGenerationChunk]:
        waiting, self._waiting = self._waiting, []
        return iter(waiting)

    @property
    def _empty(self) -> Content:
        return "" if isinstance(content_of(self._latest), str) else []

    def _content(self, piece: _Piece) -> Content:
        """A text or blocks as the content of a chunk."""
        if isinstance(piece, list):
            return piece
        if not isinstance(piece, str):
            return self._empty
        return piece if isinstance(content_of(self._latest), str) else [{**self._block, "text": piece}]

    def _sent(self, pieces: Iterable[_Piece]) -> Iterator[ChatGenerationChunk]:
        """A chunk of its own for each piece."""
        for piece in pieces:
            if isinstance(piece, ArgumentsDelta):
                yield from self._written(piece)
            elif isinstance(piece, ChatGenerationChunk):
                yield piece
            elif not isinstance(piece, ToolCall):
                yield self._chunk(self._content(piece), note=piece if isinstance(piece, Mapping) else {})
            elif not self._calls.ends(piece):
                arguments = json.dumps(piece.arguments, ensure_ascii=False)
                index = self._numbers.fresh(piece.id)
                call = tool_call_chunk(name=piece.name, args=arguments, id=piece.id, index=index)
                yield self._chunk(self._empty, call)

    def _written(self, piece: ArgumentsDelta) -> Iterator[ChatGenerationChunk]:
        """A piece of a call that is being written, or the end of one that turned out to be none."""
        if piece.arguments is not None:
            chunk = self._chunk(self._empty, self._calls.piece(piece))
            self._calls.keep(piece.id, chunk)
            yield chunk
            return
        chunk = self._chunk(self._empty, self._calls.unreadable_end(piece.id))
        yield chunk
        self._calls.keep(piece.id, chunk)
        self._calls.take_back(piece.id)

    def _chunk(
        self, content: Content, call: ToolCallChunk | None = None, *, note: Mapping[str, Any] | None = None
    ) -> ChatGenerationChunk:
        latest = self._latest
        metadata = {k: v for k, v in latest.response_metadata.items() if k in _ON_EVERY_CHUNK} | dict(note or {})
        if call and isinstance(content, list) and metadata.get("output_version") == "v1":
            content = [{**call, "type": "tool_call_chunk"}]
        calls = [call] if call else []
        message = AIMessageChunk(content=content, tool_call_chunks=calls, id=latest.id, response_metadata=metadata)
        return ChatGenerationChunk(message=message)


def as_chunk(result: ChatResult) -> ChatGenerationChunk:
    """A whole result as the only chunk of a stream, for models that do not stream."""
    generation = result.generations[0]
    message = generation.message
    info = {**(result.llm_output or {}), **(generation.generation_info or {})}
    return ChatGenerationChunk(message=_remade(message, chunk_position="last"), generation_info=info or None)


def _remade(message: BaseMessage, **changes: Any) -> AIMessageChunk:
    """A chunk of this message with some fields changed, and those made anew that follow from them."""
    fields: dict[str, Any] = {name: getattr(message, name) for name in type(message).model_fields.keys() - {"type"}}
    return AIMessageChunk(**{**fields, **changes})


def _says_more(message: AIMessageChunk, info: dict[str, Any] | None) -> bool:
    """Whether a chunk without content still says something."""
    return bool(
        info
        or message.tool_call_chunks
        or message.usage_metadata
        or message.additional_kwargs
        or message.chunk_position
        or message.response_metadata.keys() - set(_ON_EVERY_CHUNK)
    )
