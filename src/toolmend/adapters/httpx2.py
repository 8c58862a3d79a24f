"""`ToolTransport` and `AsyncToolTransport`: a client on httpx2 gets real tool calls, whatever the server sends.

Requests to ``/chat/completions`` and Ollama's ``/api/chat`` that offer tools are looked after; all others pass.

Example:
    client = openai.OpenAI(http_client=httpx2.Client(transport=ToolTransport()))
"""

from __future__ import annotations

import httpx2

from toolmend._recovery import OnRecovery
from toolmend._refusal import Refusals
from toolmend._turn import Options
from toolmend.adapters._exchange import Mode
from toolmend.adapters._negotiation import Settings
from toolmend.adapters._transport import handle, handle_async

__all__ = ["AsyncToolTransport", "ToolTransport"]


class ToolTransport(httpx2.BaseTransport):
    """Wraps a transport; recovers tool calls from text and describes tools in the prompt where the server refuses them.

    Args:
        inner: the transport that sends requests; a new `httpx2.HTTPTransport` if there is none.
        mode: ``"auto"`` sends tools until the server refuses them, ``"native"`` always, ``"prompt"`` never.
        options: see `toolmend.Options`.
        refusals: shares the memory of refusals between transports.
        on_recovery: called with a `toolmend.Recovery` for each reply in which calls were recovered or failed.

    Raises:
        ToolmendError: the mode is not known. Requests raise it if a tool's schema is broken.
    """

    def __init__(
        self,
        inner: httpx2.BaseTransport | None = None,
        *,
        mode: Mode = "auto",
        options: Options | None = None,
        refusals: Refusals | None = None,
        on_recovery: OnRecovery | None = None,
    ) -> None:
        self._inner = inner or httpx2.HTTPTransport()
        self._settings = Settings(mode, options, Refusals() if refusals is None else refusals, on_recovery)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; the response holds real tool calls."""
        return handle(self._inner, request, self._settings)

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()


class AsyncToolTransport(httpx2.AsyncBaseTransport):
    """As `ToolTransport`, for asynchronous clients.

    Args:
        inner: the transport that sends requests; a new `httpx2.AsyncHTTPTransport` if there is none.
        mode: see `ToolTransport`.
        options: see `toolmend.Options`.
        refusals: shares the memory of refusals between transports.
        on_recovery: called with a `toolmend.Recovery` for each reply in which calls were recovered or failed.
    """

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport | None = None,
        *,
        mode: Mode = "auto",
        options: Options | None = None,
        refusals: Refusals | None = None,
        on_recovery: OnRecovery | None = None,
    ) -> None:
        self._inner = inner or httpx2.AsyncHTTPTransport()
        self._settings = Settings(mode, options, Refusals() if refusals is None else refusals, on_recovery)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; the response holds real tool calls."""
        return await handle_async(self._inner, request, self._settings)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()
