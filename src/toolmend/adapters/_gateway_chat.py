"""A chat request on its way through a gateway: negotiated with the upstream, its reply rewritten as it comes."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx2

from toolmend._refusal import message_of
from toolmend.adapters._exchange import ReplyStream
from toolmend.adapters._gateway_metrics import Metrics
from toolmend.adapters._gateway_stream import Spent, rewritten
from toolmend.adapters._gateway_upstream import GatewayError, Limits, Upstream, error_body, headers_of, parsed
from toolmend.adapters._negotiation import Negotiation, Settings
from toolmend.adapters._ollama_bridge import OllamaReply, as_openai
from toolmend.adapters._sse import event_of

__all__ = ["Answer", "ChatRelay", "once"]

_REWRITTEN = ("content-length", "content-encoding")
_CHATS = "/v1/chat/completions"


@dataclass(slots=True)
class Answer:
    """What the client gets.

    Attributes:
        status: of HTTP.
        headers: end to end.
        body: its pieces.
        notes: what the log should say of it.
    """

    status: int
    headers: list[tuple[str, str]]
    body: AsyncIterator[bytes]
    notes: dict[str, object] = field(default_factory=dict[str, object])


class ChatRelay:
    """Answers chat requests.

    Args:
        upstream: who is asked.
        settings: how requests are treated.
        metrics: where is counted.
        limits: see `Limits`.
    """

    def __init__(self, upstream: Upstream, settings: Settings, metrics: Metrics, limits: Limits) -> None:
        self._upstream = upstream
        self._settings = settings
        self._metrics = metrics
        self._limits = limits

    @asynccontextmanager
    async def answer(
        self, path: str, target: str, headers: Iterable[tuple[str, str]], raw: bytes
    ) -> AsyncGenerator[Answer]:
        """Ask the upstream; the connection to it ends with the block.

        Args:
            path: what is asked for.
            target: the same as the client has written it, with the query.
            headers: of the client.
            raw: the body.

        Raises:
            GatewayError: there is no answer.
            NotReadable: it is no chat request.
            ToolmendError: a tool's schema is broken.
        """
        started = time.perf_counter()
        bridge: OllamaReply | None = None
        if path.rstrip("/") == "/api/chat" and not await self._upstream.is_ollama():
            started = time.perf_counter()
            request = as_openai(parsed(raw))
            bridge, target, raw = OllamaReply(str(request["model"])), _CHATS, json.dumps(request).encode()
        negotiation = self._settings.open("POST", _CHATS if bridge else path, raw, self._upstream.url)
        spent = Spent(time.perf_counter() - started)
        headers = [*headers]
        async with AsyncExitStack() as stack:
            plain = bool(negotiation or bridge)
            ask = partial(self._upstream.open, "POST", target, headers, plain=plain)

            async def send(body: bytes) -> httpx2.Response:
                return await stack.enter_async_context(ask(body=body))

            rewriting = _Rewriting(negotiation, bridge, self._upstream, self._metrics, send)
            response, failed = await rewriting.ask(raw)
            gone = _REWRITTEN if plain or failed else ()
            kept = [(k, v) for k, v in headers_of(response) if k not in gone]
            answer = Answer(response.status_code, kept, once(_error(failed, bridge)))
            if not failed:
                await self._fill(answer, path, response, rewriting, spent)
            try:
                yield answer
            finally:
                self._count(negotiation, answer, spent)

    async def _fill(
        self, answer: Answer, path: str, response: httpx2.Response, rewriting: _Rewriting, spent: Spent
    ) -> None:
        """Find the body. What does not come as a stream is read first, so that an error still has its status."""
        streams = _is_stream(response)
        if rewriting.bridge:
            answer.headers = [("content-type", "application/x-ndjson" if streams else "application/json")]
        if not rewriting:
            answer.body = self._raw(response)
        elif streams:
            answer.body = self._stream(answer, path, response, rewriting, spent)
        else:
            raw = await self._upstream.read(response)
            with spent:
                whole = rewriting.whole(raw)
            if second := await rewriting.second(None):
                raw = await self._upstream.read(second)
                with spent:
                    whole = rewriting.whole(raw)
            answer.body = once(whole)
            answer.headers.append(("content-length", str(len(whole))))

    async def _raw(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        with self._upstream.spoken_for():
            async for piece in response.aiter_raw():
                yield piece

    async def _stream(
        self, answer: Answer, path: str, response: httpx2.Response, rewriting: _Rewriting, spent: Spent
    ) -> AsyncIterator[bytes]:
        lines = "ndjson" in response.headers["content-type"].lower()
        source = self._upstream.pieces(response)
        async for piece in rewritten(source, rewriting, self._limits, spent, lines=lines):
            if isinstance(piece, bytes):
                yield piece
                continue
            answer.notes["error"] = str(piece)
            body = error_body(path, piece)
            yield json.dumps(body).encode() + b"\n" if path.startswith("/api/") else event_of(body)

    def _count(self, negotiation: Negotiation | None, answer: Answer, spent: Spent) -> None:
        if not negotiation:
            return
        negotiation.done()
        self._metrics.latency.observe(spent.seconds)
        calls: dict[str, int] = {}
        for reply in [reader.reply for reader in negotiation.exchange.readers]:
            if reply.calls and reply.dialect:
                calls[reply.dialect] = calls.get(reply.dialect, 0) + len(reply.calls)
            for failure in reply.failed:
                self._metrics.failures.labels(failure.dialect).inc()
        for dialect, count in calls.items():
            self._metrics.recovered.labels(dialect).inc(count)
        mode = "prompt" if negotiation.written else "native"
        answer.notes |= {"model": negotiation.exchange.model, "tools": mode, "recovered": calls or 0}


@dataclass(frozen=True, slots=True)
class _Rewriting:
    """What happens to a reply; nothing, if this is false."""

    negotiation: Negotiation | None
    bridge: OllamaReply | None
    upstream: Upstream
    metrics: Metrics
    send: Callable[[bytes], Awaitable[httpx2.Response]]

    def __bool__(self) -> bool:
        return bool(self.negotiation or self.bridge)

    def streams(self) -> list[ReplyStream]:
        rewriters: list[ReplyStream] = [self.negotiation.exchange.stream()] if self.negotiation else []
        return [*rewriters, self.bridge] if self.bridge else rewriters

    def whole(self, raw: bytes) -> bytes:
        raw = self.negotiation.reply(raw) if self.negotiation else raw
        return self.bridge.whole(raw) if self.bridge else raw

    async def ask(self, raw: bytes) -> tuple[httpx2.Response, bytes]:
        """The head of the answer that counts, and its body if it is an error."""
        while True:
            try:
                response = await self.send(self.negotiation.sent if self.negotiation else raw)
            except GatewayError as error:
                if not self._is_lost(error):
                    raise
                self.metrics.fallbacks.inc()
                continue
            failed = await self.upstream.read(response) if response.status_code >= 400 else b""
            if not (self.negotiation and failed):
                return response, failed
            if quoted := self.negotiation.quoted(response.status_code, failed):
                kind, said = quoted
                return httpx2.Response(200, headers={"content-type": kind}, content=said), b""
            if not self.negotiation.refused(response.status_code, failed):
                return response, failed
            self.metrics.fallbacks.inc()

    def _is_lost(self, broken: GatewayError | None) -> bool:
        cause = broken.__cause__ if broken else None
        error = cause if isinstance(cause, Exception) else broken
        return bool(self.negotiation and self.negotiation.lost(error))

    async def second(self, broken: GatewayError | None) -> httpx2.Response | None:
        """The answer when the upstream is asked once more, as text; `None` if there is no reason to, or it fails."""
        if not self._is_lost(broken):
            return None
        self.metrics.fallbacks.inc()
        try:
            response, _ = await self.ask(b"")
        except GatewayError:
            return None
        return response if response.status_code < 400 else None

    async def again(self, broken: GatewayError | None) -> AsyncIterator[bytes] | None:
        """The same as it comes."""
        response = await self.second(broken)
        return self.upstream.pieces(response) if response is not None else None


def _is_stream(response: httpx2.Response) -> bool:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in ("text/event-stream", "application/x-ndjson")


def _error(raw: bytes, bridge: OllamaReply | None) -> bytes:
    """An error of the upstream, in the words of the client's protocol."""
    return json.dumps({"error": message_of(raw.decode(errors="replace"))}).encode() if bridge else raw


async def once(data: bytes) -> AsyncIterator[bytes]:
    """A body that is there already."""
    yield data
