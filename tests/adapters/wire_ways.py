"""The ways in which a client without a wrapper is served: by a transport, and by a gateway."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from tests.adapters.gateway_scripts import gateway_before
from tests.adapters.test_wire import calls_of, text_of
from toolmend.adapters.httpx2 import AsyncToolTransport, ToolTransport

CHATS, OLLAMAS = "/v1/chat/completions", "/api/chat"
Sent = list[dict[str, Any]]
Post = Callable[[str, dict[str, Any]], httpx2.Response]


class Noted(httpx2.HTTPTransport):
    """Writes down the chat requests that go out."""

    def __init__(self, sent: Sent) -> None:
        super().__init__()
        self.sent = sent

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.sent.append(json.loads(request.read()))
        return super().handle_request(request)


class AsyncNoted(httpx2.AsyncHTTPTransport):
    def __init__(self, sent: Sent) -> None:
        super().__init__()
        self.sent = sent

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "POST":
            self.sent.append(json.loads(await request.aread()))
        return await super().handle_async_request(request)


@contextmanager
def transport(base_url: str, sent: Sent, mode: Any = "auto") -> Iterator[Post]:
    with httpx2.Client(transport=ToolTransport(Noted(sent), mode=mode), timeout=60) as client:
        yield lambda path, body: client.post(base_url.removesuffix("/v1") + path, json=body)


@contextmanager
def before(base_url: str, sent: Sent, mode: Any = "auto") -> Iterator[Post]:
    with gateway_before(base_url, mode=mode, transport=AsyncNoted(sent)) as client:
        yield lambda path, body: client.post(path, json=body)


def calls_in(response: httpx2.Response, path: str, *, stream: bool) -> tuple[list[tuple[str, dict[str, Any]]], str]:
    """The calls of a reply and its text."""
    assert response.status_code == 200, response.text
    if path == CHATS and stream:
        return [call[1:] for call in calls_of(response.content)], text_of(response.content)
    if path == CHATS:
        said = [response.json()["choices"][0]["message"]]
    else:
        said = [json.loads(line)["message"] for line in response.text.splitlines()]
    functions = [call["function"] for message in said for call in message.get("tool_calls") or ()]
    calls = [
        (each["name"], json.loads(each["arguments"]) if path == CHATS else each["arguments"]) for each in functions
    ]
    return calls, "".join(message.get("content") or "" for message in said)


async def apost(base_url: str, path: str, body: dict[str, Any], mode: Any = "auto") -> httpx2.Response:
    """One request through an asynchronous transport."""
    async with httpx2.AsyncClient(transport=AsyncToolTransport(mode=mode)) as client:
        return await client.post(base_url.removesuffix("/v1") + path, json=body)
