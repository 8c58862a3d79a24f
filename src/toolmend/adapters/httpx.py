"""`ToolTransport` and `AsyncToolTransport`: a client on httpx gets real tool calls, whatever the server sends.

Requests to ``/chat/completions`` and Ollama's ``/api/chat`` that offer tools are looked after; all others pass.
For httpx2, which current clients use, see `toolmend.adapters.httpx2`.

Example:
    client = openai.OpenAI(http_client=httpx.Client(transport=ToolTransport()))
"""

from __future__ import annotations

import httpx

from toolmend._recovery import OnRecovery
from toolmend._refusal import Refusals
from toolmend._turn import Options
from toolmend.adapters._exchange import Mode
from toolmend.adapters._negotiation import Settings
from toolmend.adapters._transport import handle, handle_async

__all__ = ["AsyncToolTransport", "ToolTransport"]


class ToolTransport(httpx.BaseTransport):
    """Wraps a transport; recovers tool calls from text and describes tools in the prompt where the server refuses them.

    Args:
        inner: the transport that sends requests; a new `httpx.HTTPTransport` if there is none.
        mode: ``"auto"`` sends tools until the server refuses them, ``"native"`` always, ``"prompt"`` never.
        options: see `toolmend.Options`.
        refusals: shares the memory of refusals between transports.
        on_recovery: called with a `toolmend.Recovery` for each reply in which calls were recovered or failed.

    Raises:
        ToolmendError: the mode is not known. Requests raise it if a tool's schema is broken.
    """

    def __init__(
        self,
        inner: httpx.BaseTransport | None = None,
        *,
        mode: Mode = "auto",
        options: Options | None = None,
        refusals: Refusals | None = None,
        on_recovery: OnRecovery | None = None,
    ) -> None:
        self._inner = inner or httpx.HTTPTransport()
        self._settings = Settings(mode, options, Refusals() if refusals is None else refusals, on_recovery)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the response holds real tool calls."""
        return handle(self._inner, request, self._settings)

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()


class AsyncToolTransport(httpx.AsyncBaseTransport):
    """As `ToolTransport`, for asynchronous clients.

    Args:
        inner: the transport that sends requests; a new `httpx.AsyncHTTPTransport` if there is none.
        mode: see `ToolTransport`.
        options: see `toolmend.Options`.
        refusals: shares the memory of refusals between transports.
        on_recovery: called with a `toolmend.Recovery` for each reply in which calls were recovered or failed.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport | None = None,
        *,
        mode: Mode = "auto",
        options: Options | None = None,
        refusals: Refusals | None = None,
        on_recovery: OnRecovery | None = None,
    ) -> None:
        self._inner = inner or httpx.AsyncHTTPTransport()
        self._settings = Settings(mode, options, Refusals() if refusals is None else refusals, on_recovery)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the response holds real tool calls."""
        return await handle_async(self._inner, request, self._settings)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()
