"""One request to the inner model of a LangChain wrapper: asked, searched, and if need be asked once more as text.

The inner model's own `_generate` and `_stream` are called, each way at once and awaited. What is decided in between,
`_langchain_again` decides.
"""

# `_generate` and its kin are what LangChain has models write.
# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, closing
from functools import partial
from typing import Any, Literal

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from toolmend._record import record
from toolmend._turn import Reader
from toolmend.adapters._langchain_again import SecondTry
from toolmend.adapters._langchain_chunks import StreamedReply, as_chunk
from toolmend.adapters._langchain_reply import Tell, searched
from toolmend.adapters._langchain_request import Request

__all__ = ["Asking", "Reading"]


@record()
class Reading:
    """How a reply is read.

    Attributes:
        tell: called with the mode and each reader when it is through.
        blocks: whether LangChain will turn the content into blocks (``output_version="v1"``).
        stream_arguments: whether the arguments of calls are sent on while they are written.
    """

    tell: Callable[[Literal["native", "prompt"], Reader], dict[str, Any]]
    blocks: bool
    stream_arguments: bool


class Asking:
    """Asks an inner model.

    Args:
        inner: the model.
        request: what it is asked.
        second: decides about a second try.
        reading: how the reply is read.
        stop: words that end the reply.
    """

    def __init__(
        self, inner: BaseChatModel, request: Request, second: SecondTry, reading: Reading, *, stop: list[str] | None
    ) -> None:
        self._inner = inner
        self._request = request
        self._second = second
        self._stop = stop
        self._reading = reading

    def result(self) -> ChatResult:
        """The whole reply with the calls in it recovered."""
        request, second, first = self._request, self._second, None
        try:
            result = self._ask(request)
            first = searched(result, request.turn, self._tell(request.written))
        except Exception as error:
            if not second.solves(error):
                raise
            if second.quoted:
                return searched(second.quoted, request.turn, self._tell(request.written))
        if first and not second.is_lost(first):
            return first
        return second.settled(first, self._ask(second.request))

    async def aresult(self) -> ChatResult:
        """The same, awaited."""
        request, second, first = self._request, self._second, None
        try:
            result = await self._aask(request)
            first = searched(result, request.turn, self._tell(request.written))
        except Exception as error:
            if not second.solves(error):
                raise
            if second.quoted:
                return searched(second.quoted, request.turn, self._tell(request.written))
        if first and not second.is_lost(first):
            return first
        return second.settled(first, await self._aask(second.request))

    def chunks(self) -> Generator[ChatGenerationChunk]:
        """The reply in chunks, with the calls in it recovered; a second reply goes on behind the first."""
        second, again = self._second, False
        try:
            with closing(self._reply(self._request.written).read(self._chunks_of(self._request))) as chunks:
                for chunk in chunks:
                    yield from second.passing(chunk)
            again = second.asks_again
            yield from second.ended()
        except Exception as error:
            again = second.solves(error)
            if not again:
                raise
        if again:
            with closing(self._reply(second.written).read(self._other_chunks())) as chunks:
                for chunk in chunks:
                    yield from second.passing(chunk)
            second.over()

    async def achunks(self) -> AsyncGenerator[ChatGenerationChunk]:
        """The same, awaited."""
        second, again = self._second, False
        try:
            async with aclosing(self._reply(self._request.written).aread(self._achunks_of(self._request))) as chunks:
                async for chunk in chunks:
                    for piece in second.passing(chunk):
                        yield piece
            again = second.asks_again
            for piece in second.ended():
                yield piece
        except Exception as error:
            again = second.solves(error)
            if not again:
                raise
        if again:
            async with aclosing(self._reply(second.written).aread(self._other_achunks())) as chunks:
                async for chunk in chunks:
                    for piece in second.passing(chunk):
                        yield piece
            second.over()

    def _reply(self, written: bool) -> StreamedReply:
        reading = self._reading
        return StreamedReply(
            self._request.turn,
            self._tell(written),
            blocks=reading.blocks,
            stream_arguments=reading.stream_arguments,
        )

    def _tell(self, written: bool) -> Tell:
        return partial(self._reading.tell, "prompt" if written else "native")

    def _ask(self, request: Request) -> ChatResult:
        while True:
            try:
                return self._inner._generate(request.messages, stop=self._stop, **request.arguments)
            except Exception as error:
                other = self._second.adapted(request, error)
                if other is None:
                    raise
                request = other

    async def _aask(self, request: Request) -> ChatResult:
        while True:
            try:
                return await self._inner._agenerate(request.messages, stop=self._stop, **request.arguments)
            except Exception as error:
                other = self._second.adapted(request, error)
                if other is None:
                    raise
                request = other

    def _chunks_of(self, request: Request) -> Generator[ChatGenerationChunk]:
        other: Request | None = request
        while other is not None:
            request, other = other, None
            try:
                yield from self._inner_chunks(request)
            except Exception as error:
                other = self._second.adapted(request, error)
                if other is None:
                    raise

    async def _achunks_of(self, request: Request) -> AsyncGenerator[ChatGenerationChunk]:
        other: Request | None = request
        while other is not None:
            request, other = other, None
            try:
                async with aclosing(self._inner_achunks(request)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except Exception as error:
                other = self._second.adapted(request, error)
                if other is None:
                    raise

    def _other_chunks(self) -> Generator[ChatGenerationChunk]:
        """What the second reply says, or what an error has quoted."""
        if self._second.quoted:
            yield as_chunk(self._second.quoted)
        else:
            yield from self._chunks_of(self._second.request)

    async def _other_achunks(self) -> AsyncGenerator[ChatGenerationChunk]:
        if self._second.quoted:
            yield as_chunk(self._second.quoted)
            return
        async with aclosing(self._achunks_of(self._second.request)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _inner_chunks(self, request: Request) -> Generator[ChatGenerationChunk]:
        inner = self._inner
        if type(inner)._stream is BaseChatModel._stream:
            yield as_chunk(inner._generate(request.messages, stop=self._stop, **request.arguments))
        else:
            yield from inner._stream(request.messages, stop=self._stop, **request.arguments)

    async def _inner_achunks(self, request: Request) -> AsyncGenerator[ChatGenerationChunk]:
        inner = self._inner
        streams = (type(inner)._stream, type(inner)._astream)
        if streams == (BaseChatModel._stream, BaseChatModel._astream):
            yield as_chunk(await inner._agenerate(request.messages, stop=self._stop, **request.arguments))
            return
        chunks = inner._astream(request.messages, stop=self._stop, **request.arguments)
        try:
            async for chunk in chunks:
                yield chunk
        finally:  # a stream given up half way ends now and not when the garbage is collected
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()
