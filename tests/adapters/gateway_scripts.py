"""A gateway that is really served, and upstreams that do what a script says, faults included."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2
import uvicorn
from starlette.applications import Starlette

from toolmend.adapters.gateway import _SERVING, gateway

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'


@contextmanager
def served(app: Starlette) -> Iterator[str]:
    """Serve it as `toolmend serve` does, in a thread; its address."""
    config = uvicorn.Config(app, port=0, log_config=None, **_SERVING)
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # from now on a client may come, even before the server has started
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def gateway_before(upstream: str, **how: Any) -> Iterator[httpx2.Client]:
    """A client of a gateway before an upstream."""
    with (
        served(gateway(upstream, **how)) as url,
        httpx2.Client(base_url=url, timeout=30, trust_env=False) as client,
    ):
        yield client


@dataclass
class Call:
    """One request to a scripted upstream."""

    head: str
    body: bytes
    writer: asyncio.StreamWriter
    gone: asyncio.Event

    async def send(self, *pieces: bytes | str) -> None:
        for piece in pieces:
            self.writer.write(piece.encode() if isinstance(piece, str) else piece)
            await self.writer.drain()

    async def whole(self, body: Any, kind: str = "application/json", status: int = 200, headers: str = "") -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"HTTP/1.1 {status} Said\r\ncontent-type: {kind}\r\ncontent-length: {len(raw)}\r\n"
        await self.send(f"{head}connection: close\r\n{headers}\r\n", raw)

    async def stream(self, *events: str, kind: str = "text/event-stream") -> None:
        """Begin a reply that ends when the connection does."""
        await self.send(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n", *events)

    async def chunks(self, *events: str) -> None:
        """Begin a reply that says where it ends: what is cut can be told."""
        await self.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        await self.send(*(f"{len(event.encode()):x}\r\n{event}\r\n" for event in events))


Script = Callable[[Call], Awaitable[None]]


@dataclass
class Scripted:
    """An upstream on a port of its own; a reply is over when the script returns."""

    script: Script
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    gone: int = 0  # how many connections the other side has closed before the reply was over
    open: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lengths = [line.split(":")[1] for line in head.lower().split("\r\n") if line.startswith("content-length:")]
            call = Call(head, await reader.readexactly(int(lengths[0]) if lengths else 0), writer, asyncio.Event())
        except asyncio.IncompleteReadError:
            writer.close()
            return
        self.calls.append(call)
        self.open += 1
        watch = asyncio.create_task(self._watch(reader, call))
        try:
            await self.script(call)
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            watch.cancel()
            writer.close()

    async def _watch(self, reader: asyncio.StreamReader, call: Call) -> None:
        with suppress(ConnectionError):
            await reader.read(1)
        self.gone += 1
        call.gone.set()


@contextmanager
def scripted(script: Script) -> Iterator[Scripted]:
    """Run a scripted upstream in a thread."""
    upstream = Scripted(script)
    loop = asyncio.new_event_loop()

    async def begin() -> asyncio.Server:
        return await asyncio.start_server(upstream.serve, "127.0.0.1", 0)

    async def finish(server: asyncio.Server) -> None:
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    server = loop.run_until_complete(begin())
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield upstream
    finally:
        asyncio.run_coroutine_threadsafe(finish(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def event(text: str = "", finish: str | None = None, **more: Any) -> str:
    """One event of a streamed reply."""
    delta = {"content": text} if text else {}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({'id': 'x', 'object': 'chat.completion.chunk', 'choices': [choice], **more})}\n\n"


def completion(text: str, finish: str = "stop") -> dict[str, Any]:
    """A whole reply."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "x",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }


def chat(text: str = "weather in Paris", **more: Any) -> dict[str, Any]:
    """A request."""
    return {"model": "tiny", "messages": [{"role": "user", "content": text}], "tools": TOOLS, **more}
