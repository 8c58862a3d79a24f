"""The one server behind a gateway: how requests get there, what comes back, and what is said when nothing does."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import anyio
import httpx2

from toolmend._errors import ToolmendError

__all__ = ["GatewayError", "Limits", "Upstream", "error_body", "headers_of", "parsed"]

_HOP_BY_HOP = frozenset({
    "connection", "date", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
    "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
_NOT_SENT = frozenset({"host", "content-length", "expect", "origin", "referer", "cookie"})
_IDLE = 2.0  # local servers hang up on idle connections after 5 seconds, and must not be the first to do so
_KEPT = 8  # each idle connection is looked at for each request


class GatewayError(Exception):
    """What a client is told instead of an answer.

    Args:
        status: of HTTP.
        message: in plain words.
        kind: OpenAI's type of the error.
    """

    def __init__(self, status: int, message: str, kind: str = "upstream_error") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a gateway puts up with.

    Attributes:
        request: the longest body of a request, in bytes.
        arrival: how long a request may take to arrive, in seconds.
        event: the longest event or line of a streamed reply, in bytes.
        reply: the longest reply that is rewritten, streamed or not, in bytes.
        connect: how long the upstream may take to be reached, in seconds.
        silence: how long it may say nothing, in seconds; local servers load a model before they answer.
    """

    request: int = 64 << 20
    arrival: float = 60.0
    event: int = 16 << 20
    reply: int = 256 << 20
    connect: float = 10.0
    silence: float = 600.0


class Upstream:
    """The server behind the gateway.

    Args:
        url: its address, with or without ``/v1``.
        limits: see `Limits`.
        transport: sends the requests; for tests.

    Raises:
        ToolmendError: the address is none.
    """

    def __init__(self, url: str, limits: Limits, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._address = _address(url)
        self.url = str(self._address.copy_with(username=None, password=None))
        self._limits = limits
        self._is_ollama: bool | None = None
        self._client = httpx2.AsyncClient(
            transport=transport,
            timeout=httpx2.Timeout(limits.silence, connect=limits.connect),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=_KEPT, keepalive_expiry=_IDLE),
            follow_redirects=False,  # no answer may send a client's credentials elsewhere
            trust_env=False,
        )
        for name in [*self._client.headers]:
            del self._client.headers[name]  # a client that takes no compressed answer must not get one

    async def aclose(self) -> None:
        """Hang up."""
        await self._client.aclose()

    @asynccontextmanager
    async def open(
        self, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes, *, plain: bool = False
    ) -> AsyncGenerator[httpx2.Response]:
        """Send a request; the response is closed at the end of the block, however that comes.

        Args:
            method: of HTTP.
            path: with the query.
            headers: of the client.
            body: to send.
            plain: ask for an answer that is not compressed.

        Raises:
            GatewayError: there is no answer.
        """
        sent = [(k, v) for k, v in end_to_end(headers) if k not in _NOT_SENT and not (plain and k == "accept-encoding")]
        if plain:
            sent.append(("accept-encoding", "identity"))
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent]
        request = self._client.build_request(method, self._at(path), headers=raw, content=body)
        with self.spoken_for():
            response = await self._client.send(request, stream=True)
        try:
            yield response
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()

    def spoken_for(self) -> _Translated:
        """Turns failures of the connection into errors for the client."""
        return _Translated(self.url, self._limits)

    async def read(self, response: httpx2.Response) -> bytes:
        """A whole body.

        Raises:
            GatewayError: it is too long, or breaks off.
        """
        found: list[bytes] = []
        size = 0
        async for piece in self.pieces(response):
            size += len(piece)
            if size > self._limits.reply:
                raise GatewayError(502, f"the reply of {self.url} is longer than {self._limits.reply} bytes")
            found.append(piece)
        return b"".join(found)

    async def pieces(self, response: httpx2.Response) -> AsyncGenerator[bytes]:
        """A body as it comes, not compressed.

        Raises:
            GatewayError: it breaks off.
        """
        with self.spoken_for():
            async for piece in response.aiter_bytes():
                yield piece

    async def is_ollama(self) -> bool:
        """Whether it speaks Ollama's own protocol; asked once."""
        if self._is_ollama is None:
            async with self.open("GET", "/api/version", (), b"", plain=True) as response:
                found = parsed(await self.read(response)) if response.status_code == 200 else None
                known = isinstance(found, Mapping) and "version" in found
            if response.status_code >= 500:
                return known  # it may only be starting
            self._is_ollama = known
        return self._is_ollama

    def _at(self, path: str) -> httpx2.URL:
        """An address below the server's own, whatever a client has written."""
        plain = unquote(path.partition("?")[0]).replace("\\", "/")
        try:
            if not path.startswith("/") or ".." in plain.split("/"):
                raise ValueError(path)
            return self._address.copy_with(raw_path=self._address.raw_path.rstrip(b"/") + path.encode("ascii"))
        except (ValueError, httpx2.InvalidURL) as error:
            raise GatewayError(400, "the path is not one of the server's", "invalid_request_error") from error


def end_to_end(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers that are not only meant for the next hop, nor set by each hop anew."""
    headers = [(name.lower(), value) for name, value in headers]
    named = {part.strip().lower() for name, value in headers if name == "connection" for part in value.split(",")}
    return [(name, value) for name, value in headers if name not in _HOP_BY_HOP and name not in named]


def headers_of(response: httpx2.Response) -> list[tuple[str, str]]:
    """Those of a response that are for the client; each character is a byte, whatever it was meant to be.

    Which web pages may read it is not the upstream's to say.
    """
    raw = response.headers.raw
    headers = end_to_end((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw)
    return [(name, value) for name, value in headers if not name.startswith("access-control-")]


def error_body(path: str, error: GatewayError) -> dict[str, Any]:
    """An error as OpenAI writes it, or as Ollama does on its own paths."""
    if path.startswith("/api/"):
        return {"error": str(error)}
    return {"error": {"message": str(error), "type": error.kind, "param": None, "code": None}}


def parsed(raw: bytes) -> Any:
    """What JSON means; `None` if it is none."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _address(url: str) -> httpx2.URL:
    try:
        address = httpx2.URL(url.rstrip("/").removesuffix("/v1"))
    except httpx2.InvalidURL:
        address = httpx2.URL("")
    if address.scheme not in ("http", "https") or not address.host or address.query:
        raise ToolmendError(f"{url!r} is no address of a server; write for example http://localhost:8080")
    return address


class _Translated:
    """A block in which the connection may fail."""

    def __init__(self, url: str, limits: Limits) -> None:
        self._url = url
        self._limits = limits

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, httpx2.ConnectTimeout | httpx2.PoolTimeout):
            raise GatewayError(504, f"{self._url} cannot be reached within {self._limits.connect:g} s") from error
        if isinstance(error, httpx2.TimeoutException):
            raise GatewayError(504, f"{self._url} has said nothing for {self._limits.silence:g} s") from error
        if isinstance(error, httpx2.ConnectError):
            raise GatewayError(502, f"{self._url} cannot be reached; is the server running?") from error
        if isinstance(error, httpx2.HTTPError | httpx2.StreamError):
            raise GatewayError(502, f"{self._url} broke off: {type(error).__name__}") from error
