"""Requests and replies of httpx2 and of legacy httpx, which share their interface but not their classes.

Everything is made from the module that the request at hand comes from, so that one piece of code serves both.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import cache, partial
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

    ask = partial(_ask, inner, request, negotiation)
    again = partial(_second, ask, negotiation, _family(request))
    response = ask()
    if response.status_code >= 400:
        return response
    if negotiation.streams(response.headers.get("content-type", "")):
        stream = _stream_class(_family(request))(response, negotiation, again)
        return _answer(request, response, stream=stream)
    content = _content(response, negotiation)
    if (second := again()) is not None:
        content = _content(second, negotiation)
    negotiation.done()
    return _answer(request, response, content=content)


def _ask(inner: Any, request: Any, negotiation: Negotiation) -> Any:
    """The response that counts: refused and lost requests are sent again; an error may quote it."""
    while True:
        try:
            response = inner.handle_request(_rewritten(request, negotiation.sent))
        except _family(request).RequestError as error:
            if not negotiation.lost(error):
                raise
            continue
        if response.status_code < 400:
            return response
        try:
            body = response.read()
        finally:
            response.close()
        if (answer := _settled(request, response, body, negotiation)) is not None:
            return answer


def _settled(request: Any, response: Any, body: bytes, negotiation: Negotiation) -> Any:
    """What an error comes to; `None` if the request is sent again."""
    if quoted := negotiation.quoted(response.status_code, body):
        return _said(request, *quoted)
    return None if negotiation.refused(response.status_code, body) else response


def _second(ask: Callable[[], Any], negotiation: Negotiation, family: Any, broken: Exception | None = None) -> Any:
    """The answer when it is asked once more; `None` if there is no reason to or it fails, so that the first counts."""
    if not negotiation.lost(broken):
        return None
    try:
        response = ask()
    except family.RequestError:
        return None
    return response if response.status_code < 400 else None


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

    ask = partial(_async_ask, inner, request, negotiation)
    again = partial(_async_second, ask, negotiation, _family(request))
    response = await ask()
    if response.status_code >= 400:
        return response
    if negotiation.streams(response.headers.get("content-type", "")):
        stream = _async_stream_class(_family(request))(response, negotiation, again)
        return _answer(request, response, stream=stream)
    content = await _async_content(response, negotiation)
    if (second := await again()) is not None:
        content = await _async_content(second, negotiation)
    negotiation.done()
    return _answer(request, response, content=content)


async def _async_ask(inner: Any, request: Any, negotiation: Negotiation) -> Any:
    while True:
        try:
            response = await inner.handle_async_request(_rewritten(request, negotiation.sent))
        except _family(request).RequestError as error:
            if not negotiation.lost(error):
                raise
            continue
        if response.status_code < 400:
            return response
        try:
            body = await response.aread()
        finally:
            await response.aclose()
        if (answer := _settled(request, response, body, negotiation)) is not None:
            return answer


async def _async_second(
    ask: Callable[[], Awaitable[Any]], negotiation: Negotiation, family: Any, broken: Exception | None = None
) -> Any:
    if not negotiation.lost(broken):
        return None
    try:
        response = await ask()
    except family.RequestError:
        return None
    return response if response.status_code < 400 else None


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


def _said(request: Any, kind: str, content: bytes) -> Any:
    """What the server should have answered."""
    return _family(request).Response(200, headers={"content-type": kind}, content=content, request=request)


def _answer(request: Any, response: Any, **body: Any) -> Any:
    headers = [(k, v) for k, v in response.headers.multi_items() if k.lower() not in (*_LENGTHS, "content-encoding")]
    return _family(request).Response(
        response.status_code, headers=headers, extensions=response.extensions, request=request, **body
    )


@cache
def _stream_class(family: Any) -> Any:
    """The body of a streamed response, in one family's classes."""

    class Stream(family.SyncByteStream):
        def __init__(self, response: Any, negotiation: Negotiation, again: Any) -> None:
            self._response = response
            self._negotiation = negotiation
            self._again = again

        def __iter__(self) -> Iterator[bytes]:
            while True:
                rewriter, broken = self._negotiation.exchange.stream(), None
                try:
                    for data in self._response.iter_bytes():
                        if written := rewriter.feed(data):
                            yield written
                except family.RequestError as error:
                    broken = error
                second = self._again(broken)
                if second is None:
                    break
                self._response.close()
                self._response = second
            if written := rewriter.close():
                yield written
            if broken:
                raise broken

        def close(self) -> None:
            try:
                self._response.close()
            finally:
                self._negotiation.done()

    return Stream


@cache
def _async_stream_class(family: Any) -> Any:
    class AsyncStream(family.AsyncByteStream):
        def __init__(self, response: Any, negotiation: Negotiation, again: Any) -> None:
            self._response = response
            self._negotiation = negotiation
            self._again = again

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                rewriter, broken = self._negotiation.exchange.stream(), None
                try:
                    async for data in self._response.aiter_bytes():
                        if written := rewriter.feed(data):
                            yield written
                except family.RequestError as error:
                    broken = error
                second = await self._again(broken)
                if second is None:
                    break
                await self._response.aclose()
                self._response = second
            if written := rewriter.close():
                yield written
            if broken:
                raise broken

        async def aclose(self) -> None:
            try:
                await self._response.aclose()
            finally:
                self._negotiation.done()

    return AsyncStream
