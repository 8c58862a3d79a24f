"""`ToolTransport` and `AsyncToolTransport`: a client on httpx gets real tool calls, whatever the server sends.

Requests to ``/chat/completions`` and Ollama's ``/api/chat`` that offer tools are looked after; all others pass.
For httpx2, which current clients use, see `toolmend.adapters.httpx2`.

Example:
    client = openai.OpenAI(http_client=httpx.Client(transport=ToolTransport()))
"""

from __future__ import annotations

try:
    import httpx
except ModuleNotFoundError as error:
    raise ImportError(
        "this transport needs httpx, which clients on it bring along; for those on httpx2 there is "
        "toolmend.adapters.httpx2"
    ) from error

from toolmend.adapters._transport import AsyncRewriting, Rewriting

__all__ = ["AsyncToolTransport", "ToolTransport"]


class ToolTransport(Rewriting[httpx.BaseTransport, httpx.Request, httpx.Response], httpx.BaseTransport):
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

    plain = httpx.HTTPTransport


class AsyncToolTransport(
    AsyncRewriting[httpx.AsyncBaseTransport, httpx.Request, httpx.Response], httpx.AsyncBaseTransport
):
    """As `ToolTransport`, for asynchronous clients, around a `httpx.AsyncHTTPTransport`."""

    plain = httpx.AsyncHTTPTransport
