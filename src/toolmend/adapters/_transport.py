"""Requests and replies of httpx2 and of legacy httpx, which share their interface but not their classes.

Everything is made from the module that the request at hand comes from, so that one piece of code serves both.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar

from toolmend._recovery import OnRecovery
from toolmend._refusal import Refusals
from toolmend._turn import Options
from toolmend.adapters._exchange import Mode, NotReadable
from toolmend.adapters._negotiation import Negotiation, Settings, exchange_class

__all__ = ["AsyncRewriting", "Rewriting"]

_Inner = TypeVar("_Inner")
_Request = TypeVar("_Request")
_Response = TypeVar("_Response")

_LENGTHS = ("content-length", "transfer-encoding")


class _Configured(Generic[_Inner]):
    """What both kinds of transport are made of.

    Attributes:
        plain: the class of the transport that sends requests where none is given.
    """

    plain: ClassVar[type[Any]]

    def __init__(
        self,
        inner: _Inner | None = None,
        *,
        mode: Mode = "auto",
        options: Options | None = None,
        refusals: Refusals | None = None,
        on_recovery: OnRecovery | None = None,
    ) -> None:
        self._inner: Any = inner or self.plain()
        self._settings = Settings(mode, options, Refusals() if refusals is None else refusals, on_recovery)


class Rewriting(_Configured[_Inner], Generic[_Inner, _Request, _Response]):
    """A transport around another one, in either family's classes."""

    def handle_request(self, request: _Request) -> _Response:
        """Send a request; the response holds real tool calls."""
        return _handle(self._inner, request, self._settings)

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()


class AsyncRewriting(_Configured[_Inner], Generic[_Inner, _Request, _Response]):
    """As `Rewriting`, for asynchronous clients."""

    async def handle_async_request(self, request: _Request) -> _Response:
        """Send a request; the response holds real tool calls."""
        return await _handle_async(self._inner, request, self._settings)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


def _handle(inner: Any, request: Any, settings: Settings) -> Any:
    """Send a request through another transport and rewrite its response."""
    chats = exchange_class(request.method, request.url.path) is not None  # the body of anything else is left alone
    negotiation = _open(request, request.read(), settings) if chats else None
    if negotiation is None:
        return inner.handle_request(request)

    def send() -> Any:
        return inner.handle_request(_rewritten(request, negotiation.sent))

    try:
        response = send()
    except _family(request).RequestError as error:
        if not negotiation.lost(error):
            raise
        response = send()
    if negotiation.may_change(response.status_code):
        try:
            refused = negotiation.refused(response.status_code, response.read())
        finally:
            response.close()
        if not refused:
            return response
        response = send()
    if response.status_code >= 400:
        return response
    if negotiation.streams(response.headers.get("content-type", "")):
        stream = _stream_class(_family(request))(response, negotiation, send)
        return _answer(request, response, stream=stream)
    content = _content(response, negotiation)
    if negotiation.lost():
        second = send()
        content = _content(second, negotiation) if second.status_code < 400 else content
        second.close()
    negotiation.done()
    return _answer(request, response, content=content)


def _content(response: Any, negotiation: Negotiation) -> bytes:
    try:
        return negotiation.reply(response.read())
    finally:
        response.close()


async def _handle_async(inner: Any, request: Any, settings: Settings) -> Any:
    """As `_handle`, for asynchronous transports."""
    chats = exchange_class(request.method, request.url.path) is not None
    negotiation = _open(request, await request.aread(), settings) if chats else None
    if negotiation is None:
        return await inner.handle_async_request(request)

    async def send() -> Any:
        return await inner.handle_async_request(_rewritten(request, negotiation.sent))

    try:
        response = await send()
    except _family(request).RequestError as error:
        if not negotiation.lost(error):
            raise
        response = await send()
    if negotiation.may_change(response.status_code):
        try:
            refused = negotiation.refused(response.status_code, await response.aread())
        finally:
            await response.aclose()
        if not refused:
            return response
        response = await send()
    if response.status_code >= 400:
        return response
    if negotiation.streams(response.headers.get("content-type", "")):
        stream = _async_stream_class(_family(request))(response, negotiation, send)
        return _answer(request, response, stream=stream)
    content = await _async_content(response, negotiation)
    if negotiation.lost():
        second = await send()
        content = await _async_content(second, negotiation) if second.status_code < 400 else content
        await second.aclose()
    negotiation.done()
    return _answer(request, response, content=content)


async def _async_content(response: Any, negotiation: Negotiation) -> bytes:
    try:
        return negotiation.reply(await response.aread())
    finally:
        await response.aclose()


def _open(request: Any, body: bytes, settings: Settings) -> Negotiation | None:
    try:
        return settings.open(request.method, request.url.path, body, _server(request))
    except NotReadable:
        return None  # the server will say what is wrong with it


def _family(request: Any) -> Any:
    """The module, `httpx2` or `httpx`, that a request comes from."""
    return sys.modules[type(request).__module__.partition(".")[0]]


def _server(request: Any) -> str:
    return f"{request.url.scheme}://{request.url.netloc.decode()}"


def _rewritten(request: Any, body: bytes) -> Any:
    """The request with another body; the reply must not be compressed, or it would not come piece by piece."""
    headers = [(k, v) for k, v in request.headers.multi_items() if k.lower() not in (*_LENGTHS, "accept-encoding")]
    headers.append(("accept-encoding", "identity"))
    return _family(request).Request(
        request.method, request.url, headers=headers, content=body, extensions=request.extensions
    )


def _answer(request: Any, response: Any, **body: Any) -> Any:
    headers = [(k, v) for k, v in response.headers.multi_items() if k.lower() not in (*_LENGTHS, "content-encoding")]
    return _family(request).Response(
        response.status_code, headers=headers, extensions=response.extensions, request=request, **body
    )


@cache
def _stream_class(family: Any) -> Any:
    """The body of a streamed response, in one family's classes."""

    class Stream(family.SyncByteStream):
        def __init__(self, response: Any, negotiation: Negotiation, send: Any) -> None:
            self._response = response
            self._negotiation = negotiation
            self._send = send

        def __iter__(self) -> Iterator[bytes]:
            while True:
                rewriter, broken = self._negotiation.exchange.stream(), None
                try:
                    for data in self._response.iter_bytes():
                        if written := rewriter.feed(data):
                            yield written
                except family.RequestError as error:
                    broken = error
                if not (self._negotiation.lost(broken) and self._begins_again()):
                    break
            if written := rewriter.close():
                yield written
            if broken:
                raise broken

        def _begins_again(self) -> bool:
            second = self._send()
            helps = second.status_code < 400
            (self._response if helps else second).close()
            self._response = second if helps else self._response
            return helps

        def close(self) -> None:
            try:
                self._response.close()
            finally:
                self._negotiation.done()

    return Stream


@cache
def _async_stream_class(family: Any) -> Any:
    class AsyncStream(family.AsyncByteStream):
        def __init__(self, response: Any, negotiation: Negotiation, send: Any) -> None:
            self._response = response
            self._negotiation = negotiation
            self._send = send

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                rewriter, broken = self._negotiation.exchange.stream(), None
                try:
                    async for data in self._response.aiter_bytes():
                        if written := rewriter.feed(data):
                            yield written
                except family.RequestError as error:
                    broken = error
                if not (self._negotiation.lost(broken) and await self._begins_again()):
                    break
            if written := rewriter.close():
                yield written
            if broken:
                raise broken

        async def _begins_again(self) -> bool:
            second = await self._send()
            helps = second.status_code < 400
            await (self._response if helps else second).aclose()
            self._response = second if helps else self._response
            return helps

        async def aclose(self) -> None:
            try:
                await self._response.aclose()
            finally:
                self._negotiation.done()

    return AsyncStream
