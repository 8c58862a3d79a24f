"""Asks a server about itself over HTTP, for the adapters: in time, and without ever failing.

The framework's own HTTP client is out of reach behind its models, so this is the standard library's. It sends no key:
where one is wanted, nothing is known.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from toolmend._preflight import UNKNOWN, Verdict, preflight
from toolmend._refusal import Refusals

__all__ = ["aask_first", "ask_first"]

_SECONDS = 2.0  # for all questions together
_BYTES = 4_000_000


def ask_first(refusals: Refusals, server: str, model: str) -> None:
    """Ask a server about a model unless it was asked before, and take down what follows from its answer.

    Args:
        refusals: the memory.
        server: its address.
        model: the model's name there.
    """
    if refusals.has(server, model, "asked"):
        return
    refusals.add(server, model, "asked")
    found = _asked(server, model)
    if found.tools is False:
        refusals.add(server, model)
        refusals.tell(server, model, "takes no tools, says its server")
    if found.system is False:
        refusals.add(server, model, "system")
    if found.schema:
        refusals.add(server, model, "choice")  # a schema forces what a choice only asks for


async def aask_first(refusals: Refusals, server: str, model: str) -> None:
    """The same, awaited."""
    if not refusals.has(server, model, "asked"):
        await asyncio.to_thread(ask_first, refusals, server, model)


def _asked(server: str, model: str) -> Verdict:
    if not server.startswith(("http://", "https://")):
        return UNKNOWN
    deadline = time.monotonic() + _SECONDS

    def fetch(url: str, body: Mapping[str, Any] | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - see above
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        try:
            with urllib.request.urlopen(request, timeout=left) as answer:  # noqa: S310 - the same
                return json.loads(answer.read(_BYTES))
        except (urllib.error.HTTPError, ValueError):
            return None  # this is not the kind of server that knows the question

    return preflight(server, model, fetch)
