"""`ToolTransport` and `AsyncToolTransport`: a client on httpx2 gets real tool calls, whatever the server sends.

Requests to ``/chat/completions`` and Ollama's ``/api/chat`` that offer tools are looked after; all others pass.

Example:
    client = openai.OpenAI(http_client=httpx2.Client(transport=ToolTransport()))
"""

from __future__ import annotations

try:
    import httpx2
except ModuleNotFoundError as error:
    raise ImportError(
        "this transport needs httpx2, which clients on it bring along; for those on httpx there is "
        "toolmend.adapters.httpx"
    ) from error

from toolmend.adapters._transport import AsyncRewriting, Rewriting

__all__ = ["AsyncToolTransport", "ToolTransport"]


class ToolTransport(Rewriting[httpx2.BaseTransport, httpx2.Request, httpx2.Response], httpx2.BaseTransport):
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

    plain = httpx2.HTTPTransport


class AsyncToolTransport(
    AsyncRewriting[httpx2.AsyncBaseTransport, httpx2.Request, httpx2.Response], httpx2.AsyncBaseTransport
):
    """As `ToolTransport`, for asynchronous clients, around a `httpx2.AsyncHTTPTransport`."""

    plain = httpx2.AsyncHTTPTransport
