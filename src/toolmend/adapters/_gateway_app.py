"""The gateway as an ASGI application: what is answered at which path, and how requests and replies are run."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import quote

import anyio
import httpx2
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from toolmend._errors import ToolmendError
from toolmend._refusal import Refusals
from toolmend._turn import Options
from toolmend.adapters._exchange import Mode, NotReadable
from toolmend.adapters._gateway_chat import Answer, ChatRelay, once
from toolmend.adapters._gateway_metrics import CONTENT_TYPE, Metrics
from toolmend.adapters._gateway_upstream import GatewayError, Limits, Upstream, error_body, headers_of, parsed
from toolmend.adapters._gateway_visitors import Visitors
from toolmend.adapters._negotiation import Settings
from toolmend.adapters._ollama_bridge import listed_with_tools, shown_model, tags, with_tools

__all__ = ["gateway"]

_LOG = logging.getLogger("toolmend.gateway")
_KNOWN = ("/v1/chat/completions", "/v1/models", "/api/chat", "/api/show", "/api/tags", "/api/version", "/healthz")


def gateway(
    upstream: str,
    *,
    mode: Mode = "auto",
    options: Options | None = None,
    limits: Limits | None = None,
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    transport: httpx2.AsyncBaseTransport | None = None,
) -> Starlette:
    """An ASGI application that stands before a server.

    Args:
        upstream: the server's address, such as ``http://localhost:11434``.
        mode: ``"auto"`` sends tools until the server refuses them, ``"native"`` always, ``"prompt"`` never.
        options: see `toolmend.Options`.
        limits: see `Limits`.
        hosts: names by which clients may call this gateway, besides ``localhost`` and addresses in numbers; the
            upstream's own pages may be read under them, too.
        origins: where other web pages come from that may use it, such as ``https://chat.example.org``; ``"*"`` for
            all.
        transport: sends the requests, instead of the network; for tests.

    Raises:
        ToolmendError: the address, the mode or an origin is none.
    """
    limits = limits or Limits()
    visitors = Visitors(hosts, origins)
    server = Upstream(upstream, limits, transport)
    metrics = Metrics()
    relay = ChatRelay(server, Settings(mode, options, Refusals()), metrics, limits)
    desk = _Desk(server, relay, metrics, limits)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        yield
        await server.aclose()

    def at(path: str, answer: _Answering, *methods: str) -> Route:
        return Route(path, _Endpoint(answer, limits, metrics, visitors), methods=[*methods] or None)

    return Starlette(
        lifespan=lifespan,
        middleware=[visitors.middleware] if origins else [],
        routes=[
            at("/healthz", desk.health, "GET"),
            at("/metrics", desk.metrics, "GET"),
            at("/v1/chat/completions", desk.chat, "POST"),
            at("/chat/completions", desk.chat, "POST"),
            at("/api/chat", desk.chat, "POST"),
            at("/api/show", desk.show, "POST"),
            at("/api/tags", desk.tags, "GET"),
            at("/api/version", desk.version, "GET"),
            at("/{path:path}", desk.other),
        ],
    )


_Answering = Callable[[Request, bytes], Any]


class _Desk:
    """What is answered at which path; each answer is a context in which its body may be read."""

    def __init__(self, upstream: Upstream, relay: ChatRelay, metrics: Metrics, limits: Limits) -> None:
        self._upstream = upstream
        self._relay = relay
        self._metrics = metrics
        self._limits = limits

    @asynccontextmanager
    async def chat(self, request: Request, body: bytes) -> AsyncGenerator[Answer]:
        async with self._relay.answer(request.scope["path"], _target(request), request.headers.items(), body) as answer:
            yield answer

    @asynccontextmanager
    async def other(self, request: Request, body: bytes) -> AsyncGenerator[Answer]:
        async with self._upstream.open(request.method, _target(request), request.headers.items(), body) as response:
            yield Answer(response.status_code, headers_of(response), self._raw(response))

    @asynccontextmanager
    async def show(self, request: Request, body: bytes) -> AsyncGenerator[Answer]:
        if not await self._upstream.is_ollama():
            yield _json(shown_model(body))
            return
        async with self._upstream.open("POST", "/api/show", request.headers.items(), body, plain=True) as response:
            shown = _answered(await self._upstream.read(response))
            yield _json(with_tools(shown), response.status_code)

    @asynccontextmanager
    async def tags(self, request: Request, body: bytes) -> AsyncGenerator[Answer]:
        ollama = await self._upstream.is_ollama()
        path = "/api/tags" if ollama else "/v1/models"
        async with self._upstream.open("GET", path, request.headers.items(), body, plain=True) as response:
            found = _answered(await self._upstream.read(response))
            listed = found if response.status_code >= 400 else listed_with_tools(found) if ollama else tags(found)
            yield _json(listed, response.status_code)

    @asynccontextmanager
    async def version(self, request: Request, body: bytes) -> AsyncGenerator[Answer]:
        if not await self._upstream.is_ollama():
            yield _json({"version": "0.0.0-toolmend"})
            return
        async with self.other(request, body) as answer:
            yield answer

    @asynccontextmanager
    async def health(self, request: Request, body: bytes) -> AsyncGenerator[Answer]:
        yield _json({"status": "ok", "upstream": self._upstream.url})

    @asynccontextmanager
    async def metrics(self, request: Request, body: bytes) -> AsyncGenerator[Answer]:
        yield Answer(200, [("content-type", CONTENT_TYPE)], once(self._metrics.page()))

    async def _raw(self, response: httpx2.Response) -> AsyncGenerator[bytes]:
        with self._upstream.spoken_for():
            async for piece in response.aiter_raw():
                yield piece


class _Endpoint:
    """Runs one answer: reads the request, watches whether the client is still there, writes the reply and the log."""

    def __init__(self, answer: _Answering, limits: Limits, metrics: Metrics, visitors: Visitors) -> None:
        self._answer = answer
        self._limits = limits
        self._metrics = metrics
        self._visitors = visitors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        started, record = time.perf_counter(), _Record(send)
        try:
            async with anyio.create_task_group() as tasks:
                body = await self._body(request, record)
                if body is not None:
                    tasks.start_soon(_watch, receive, tasks.cancel_scope)
                    await self._run(request, body, record)
                tasks.cancel_scope.cancel()
        finally:
            path: str = scope["path"]
            self._metrics.requests.labels(path if path in _KNOWN else "other", record.status).inc()
            notes = "".join(f" {key}={value!r}" for key, value in record.notes.items())
            seconds = time.perf_counter() - started
            _LOG.info("%s %r %s %.3fs%s", request.method, path[:200], record.status or "gone", seconds, notes)

    async def _body(self, request: Request, record: _Record) -> bytes | None:
        """The request's body; `None` if the client has been refused or is gone."""
        pieces: list[bytes] = []
        size = 0
        try:
            self._visitors.check(request)
            with anyio.fail_after(self._limits.arrival):
                async for piece in request.stream():
                    size += len(piece)
                    if size > self._limits.request:
                        message = f"the request is longer than {self._limits.request} bytes"
                        raise GatewayError(413, message, "invalid_request_error")
                    pieces.append(piece)
        except GatewayError as error:
            await record.fail(request, error)
            return None
        except TimeoutError:
            message = f"the request has not arrived within {self._limits.arrival:g} s"
            await record.fail(request, GatewayError(408, message, "invalid_request_error"))
            return None
        except ClientDisconnect:
            return None
        return b"".join(pieces)

    async def _run(self, request: Request, body: bytes, record: _Record) -> None:
        try:
            async with self._answer(request, body) as answer:
                record.notes = answer.notes
                await record.write(answer)
        except GatewayError as error:
            await record.fail(request, error)
        except (NotReadable, ToolmendError) as error:
            await record.fail(request, GatewayError(400, str(error), "invalid_request_error"))
        except Exception:  # whatever happens, the client gets an answer and the log the reason
            _LOG.exception("a request failed inside the gateway")
            await record.fail(request, GatewayError(500, "the gateway failed; its log says why", "server_error"))


class _Record:
    """One reply as it is written."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.notes: dict[str, object] = {}

    async def write(self, answer: Answer) -> None:
        await self._begin(answer.status, answer.headers)
        async for piece in answer.body:
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})

    async def fail(self, request: Request, error: GatewayError) -> None:
        """Tell an error, if it is not too late for that."""
        self.notes["error"] = str(error)
        if self.status:
            return  # the reply stays without an end, and the server hangs up: nobody takes it for a whole one
        await self.write(_json(error_body(request.scope["path"], error), error.status))

    async def _begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.status = status
        raw = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})


async def _watch(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _json(body: object, status: int = 200) -> Answer:
    raw = json.dumps(body).encode()
    return Answer(status, [("content-type", "application/json"), ("content-length", str(len(raw)))], once(raw))


def _target(request: Request) -> str:
    """The path and the query as the client has written them."""
    raw: bytes = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    query: bytes = request.scope["query_string"]
    return (raw + (b"?" + query if query else b"")).decode("latin-1")


def _answered(raw: bytes) -> dict[str, Any]:
    body = parsed(raw)
    if body is None:
        raise GatewayError(502, "the server's answer is not JSON")
    return cast("dict[str, Any]", body) if isinstance(body, dict) else {}
