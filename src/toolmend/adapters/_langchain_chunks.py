"""A streamed LangChain reply with the calls that stand in its text taken out.

A chunk is split into its texts and calls, and what is left of it (usage, finish reason, native
calls) follows them. What ends a reply waits until the reader has given out everything, so that no
text comes after the end.

Native calls stay as they are but for their number. LangChain tells the calls of a stream apart by
an index, and some integrations leave it out or give it twice.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator
from contextlib import aclosing, closing
from typing import Any, cast

from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from toolmend._turn import Turn
from toolmend._types import ToolCall
from toolmend.adapters._langchain_content import Block, Content, content_of, parts_of, text_in
from toolmend.adapters._langchain_reply import SearchedText, note_on, says_why_it_ended, was_cut

__all__ = ["StreamedReply", "as_chunk"]

_Piece = str | ToolCall | list[Block] | dict[str, Any]  # the last is metadata
# Metadata that may stand on every chunk; LangChain adds up all other when it joins the chunks.
_ON_EVERY_CHUNK = ("model_provider", "output_version")
# In content blocks texts and calls share one count, in which LangChain gives texts the low numbers.
_ABOVE_BLOCKS = 1000


class StreamedReply:
    """Reads one reply chunk by chunk.

    Args:
        turn: the turn of the request; if it is not active, every chunk passes as it is.
        blocks: whether LangChain will turn the content into blocks (``output_version="v1"``).
        written: whether the tools are in the prompt.

    Attributes:
        written: the same; a refusal may change it before the first chunk.
    """

    def __init__(self, turn: Turn, *, blocks: bool = False, written: bool = False) -> None:
        self._turn = turn
        self._search = SearchedText(turn) if turn.active else None
        self._numbers = _CallNumbers()
        if blocks:
            self._numbers.skip_to(_ABOVE_BLOCKS)
        self._latest = AIMessageChunk(content="")
        self._block: dict[str, Any] = {"type": "text"}
        self._waiting: list[ChatGenerationChunk] = []
        self._truncated = False
        self._noted = False
        self.written = written

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
            pieces += self._search.stop()
        if message.chunk_position == "last":
            pieces += self._rest()
        if has_text:  # the pieces stand for the content now
            message = message.model_copy(update={"content": self._empty})
        rest = ChatGenerationChunk(message=message, generation_info=info)
        yield from self._in_order(pieces, rest, needed=not has_text or _says_more(rest))

    def close(self) -> Iterator[ChatGenerationChunk]:
        """Take the end of the stream."""
        if self._search is not None:
            yield from map(self._chunk, self._rest())
        yield from self._released()

    def give_up(self) -> Iterator[ChatGenerationChunk]:
        """Take a stream that broke off: what is held is shown as text and never run."""
        if self._search is not None:
            yield from map(self._chunk, self._search.stop())
        yield from self._released()

    def _rest(self) -> list[_Piece]:
        """What the end of the text brings, and a note on what was done."""
        assert self._search is not None
        pieces: list[_Piece] = [*self._search.close(truncated=self._truncated)]
        note = {} if self._noted else note_on(self._search.reply, written=self.written)
        self._noted = True
        return [*pieces, note] if note else pieces

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
        self, pieces: list[_Piece], rest: ChatGenerationChunk, *, needed: bool
    ) -> Iterator[ChatGenerationChunk]:
        """Texts and calls, then the rest of their chunk; what ends a reply waits for its text."""
        assert self._search is not None
        message = cast("AIMessageChunk", rest.message)
        info = rest.generation_info
        ends = bool(message.usage_metadata) or says_why_it_ended(info, message.response_metadata)
        waits = ends and bool(self._search.held)
        splits = waits or self._waiting or message.tool_call_chunks
        if len(pieces) == 1 and isinstance(pieces[0], str) and not splits:
            # The usual case: one chunk in, one chunk out.
            content = content_of(self._chunk(pieces.pop()).message)
            message = message.model_copy(update={"content": content})
            rest, needed = ChatGenerationChunk(message=message, generation_info=info), True
        yield from map(self._chunk, pieces)
        if not self._search.held:
            yield from self._released()
        if needed and waits:
            self._waiting.append(rest)
        elif needed:
            yield rest

    def _released(self) -> Iterator[ChatGenerationChunk]:
        waiting, self._waiting = self._waiting, []
        return iter(waiting)

    @property
    def _empty(self) -> Content:
        return "" if isinstance(content_of(self._latest), str) else []

    def _chunk(self, piece: _Piece) -> ChatGenerationChunk:
        """A chunk of its own for a text, a call, or blocks."""
        latest = self._latest
        metadata = {k: v for k, v in latest.response_metadata.items() if k in _ON_EVERY_CHUNK}
        content, calls = self._empty, list[ToolCallChunk]()
        if isinstance(piece, ToolCall):
            arguments = json.dumps(piece.arguments, ensure_ascii=False)
            index = self._numbers.fresh(piece.id)
            calls = [tool_call_chunk(name=piece.name, args=arguments, id=piece.id, index=index)]
            if isinstance(content, list) and metadata.get("output_version") == "v1":
                content = list[Block]([{**calls[0], "type": "tool_call_chunk"}])
        elif isinstance(piece, dict):
            metadata |= piece
        elif isinstance(piece, str) and isinstance(content, list):
            content = list[Block]([{**self._block, "text": piece}])
        else:
            content = piece
        message = AIMessageChunk(content=content, tool_call_chunks=calls, id=latest.id, response_metadata=metadata)
        return ChatGenerationChunk(message=message)


class _CallNumbers:
    """Gives every call of a reply an index of its own."""

    def __init__(self) -> None:
        self._next = 0
        self._ids: dict[int, str | None] = {}
        self._given: dict[int | None, int] = {}  # the index of the native call > the index sent on

    def skip_to(self, index: int) -> None:
        """Give no index below this one."""
        self._next = max(self._next, index)

    def fresh(self, call_id: str | None) -> int:
        """The index for a new call."""
        index, self._next = self._next, self._next + 1
        self._ids[index] = call_id
        return index

    def of(self, chunks: Iterable[ToolCallChunk]) -> list[ToolCallChunk]:
        """Native pieces of calls, each under the index of its call."""
        numbered: list[ToolCallChunk] = []
        for chunk in chunks:
            index = chunk["index"] if isinstance(chunk["index"], str) else self._of(chunk)
            numbered.append({**chunk, "index": index})
        return numbered

    def _of(self, chunk: ToolCallChunk) -> int:
        native, call_id = chunk["index"], chunk["id"]
        known = self._given.get(native)
        begins = native is None and bool(call_id or chunk["name"])
        if known is None or begins or (call_id and self._ids[known] not in (None, call_id)):
            if native is None or native in self._ids:
                known = self.fresh(call_id)
            else:
                known = native
                self.skip_to(native + 1)
            self._given[native] = known
        self._ids[known] = self._ids.get(known) or call_id
        return known


def as_chunk(result: ChatResult) -> ChatGenerationChunk:
    """A whole result as the only chunk of a stream, for models that do not stream."""
    generation = result.generations[0]
    message = generation.message
    names = type(message).model_fields.keys() - {"type"}
    fields: dict[str, Any] = {name: getattr(message, name) for name in names}
    fields["chunk_position"] = "last"
    info = {**(result.llm_output or {}), **(generation.generation_info or {})}
    return ChatGenerationChunk(message=AIMessageChunk(**fields), generation_info=info or None)


def _says_more(chunk: ChatGenerationChunk) -> bool:
    """Whether a chunk without content still says something."""
    message = cast("AIMessageChunk", chunk.message)
    return bool(
        chunk.generation_info
        or message.tool_call_chunks
        or message.usage_metadata
        or message.additional_kwargs
        or message.chunk_position
        or message.response_metadata.keys() - set(_ON_EVERY_CHUNK)
    )
