"""A chat request on its way through a gateway: negotiated with the upstream, its reply rewritten as it comes."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx2

from toolmend._refusal import message_of
from toolmend.adapters._exchange import ReplyStream
from toolmend.adapters._gateway_metrics import Metrics
from toolmend.adapters._gateway_upstream import GatewayError, Limits, Upstream, end_to_end, error_body
from toolmend.adapters._negotiation import Negotiation, Settings
from toolmend.adapters._ollama_bridge import OllamaReply, as_openai
from toolmend.adapters._sse import event_of

__all__ = ["Answer", "ChatRelay"]

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
        self, path: str, query: str, headers: Iterable[tuple[str, str]], raw: bytes
    ) -> AsyncGenerator[Answer]:
        """Ask the upstream; the connection to it ends with the block.

        Raises:
            GatewayError: there is no answer.
            NotReadable: it is no chat request.
            ToolmendError: a tool's schema is broken.
        """
        started = time.perf_counter()
        bridge: OllamaReply | None = None
        inner = path
        if path.rstrip("/") == "/api/chat" and not await self._upstream.is_ollama():
            started = time.perf_counter()
            request = as_openai(_parsed(raw))
            bridge, inner, raw, query = OllamaReply(str(request["model"])), _CHATS, json.dumps(request).encode(), ""
        negotiation = self._settings.open("POST", inner, raw, self._upstream.url)
        sent = negotiation.sent if negotiation else raw
        spent = _Spent(time.perf_counter() - started)
        headers = [*headers]
        async with AsyncExitStack() as stack:
            plain = bool(negotiation or bridge)
            ask = partial(self._upstream.open, "POST", inner + query, headers, plain=plain)
            response = await stack.enter_async_context(ask(body=sent))
            failed = await self._upstream.read(response) if response.status_code >= 400 else b""
            if negotiation and negotiation.refused(response.status_code, failed):
                self._metrics.fallbacks.inc()
                response = await stack.enter_async_context(ask(body=negotiation.sent))
                failed = await self._upstream.read(response) if response.status_code >= 400 else b""
            body = _once(_error(failed, bridge)) if failed else self._body(path, response, negotiation, bridge, spent)
            gone = _REWRITTEN if plain or failed else ()
            kept = [(k, v) for k, v in end_to_end(response.headers.multi_items()) if k not in gone]
            answer = Answer(response.status_code, kept, body)
            if bridge and not failed:
                kind = "application/x-ndjson" if _is_stream(response) else "application/json"
                answer.headers = [("content-type", kind)]
            try:
                yield answer
            finally:
                self._count(negotiation, answer, spent)

    async def _body(
        self,
        path: str,
        response: httpx2.Response,
        negotiation: Negotiation | None,
        bridge: OllamaReply | None,
        spent: _Spent,
    ) -> AsyncIterator[bytes]:
        if not negotiation and not bridge:
            with self._upstream.spoken_for():
                async for piece in response.aiter_raw():
                    yield piece
        elif _is_stream(response):
            rewriters: list[ReplyStream] = [negotiation.exchange.stream()] if negotiation else []
            rewriters += [bridge] if bridge else []
            async for piece in self._stream(path, response, rewriters, spent):
                yield piece
        else:
            raw = await self._upstream.read(response)
            with spent:
                raw = negotiation.reply(raw) if negotiation else raw
                raw = bridge.whole(raw) if bridge else raw
            yield raw

    async def _stream(
        self, path: str, response: httpx2.Response, rewriters: Sequence[ReplyStream], spent: _Spent
    ) -> AsyncIterator[bytes]:
        """What is cut off ends with an error event, so that nobody takes it for a whole reply."""
        broken: GatewayError | None = None
        try:
            with self._upstream.spoken_for():
                async for data in response.aiter_bytes():
                    with spent:
                        piece = _fed(rewriters, data)
                    if piece:
                        yield piece
                    if any(rewriter.pending > self._limits.event for rewriter in rewriters):
                        raise GatewayError(502, f"an event of the reply is longer than {self._limits.event} bytes")
        except GatewayError as error:
            broken = error
        data = b""
        for rewriter in rewriters:
            data = rewriter.feed(data) + rewriter.close()
        if broken:
            body = error_body(path, broken)
            data += json.dumps(body).encode() + b"\n" if path.startswith("/api/") else event_of(body)
        if data:
            yield data

    def _count(self, negotiation: Negotiation | None, answer: Answer, spent: _Spent) -> None:
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


class _Spent:
    """Adds up the time of the blocks it is used for."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._since = 0.0

    def __enter__(self) -> None:
        self._since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._since


def _fed(rewriters: Sequence[ReplyStream], data: bytes) -> bytes:
    for rewriter in rewriters:
        data = rewriter.feed(data)
    return data


def _is_stream(response: httpx2.Response) -> bool:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in ("text/event-stream", "application/x-ndjson")


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _error(raw: bytes, bridge: OllamaReply | None) -> bytes:
    """An error of the upstream, in the words of the client's protocol."""
    return json.dumps({"error": message_of(raw.decode(errors="replace"))}).encode() if bridge else raw


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
