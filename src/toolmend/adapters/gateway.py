"""A server with perfect tool support, made of any local server and this gateway before it.

    app = gateway("http://localhost:8080")        # an ASGI application
    run("http://localhost:8080", port=8811)       # or served by uvicorn, as `toolmend serve` does

OpenAI's ``/v1/chat/completions`` and Ollama's ``/api/chat`` are looked after; before a server that does not speak
Ollama's protocol that is translated. Everything else passes. One gateway serves one upstream: no client chooses where
its requests go. It holds no state but which models have refused tools, so any number of processes may serve together.
Loopback by default, limits on headers, one line a request.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from tempfile import TemporaryDirectory
from typing import Any, cast

try:
    import uvicorn
    from starlette.applications import Starlette

    from toolmend.adapters._gateway_app import gateway
    from toolmend.adapters._gateway_metrics import SHARED
    from toolmend.adapters._gateway_upstream import Limits
except ModuleNotFoundError as error:
    raise ImportError(f'{error}; the gateway needs more packages: pip install "toolmend[gateway]"') from error

from toolmend.adapters._exchange import Mode

__all__ = ["Limits", "from_environment", "gateway", "run"]

_SERVING: dict[str, Any] = {
    "http": "h11",
    "ws": "none",
    "h11_max_incomplete_event_size": 64 << 10,  # the longest head of a request, in bytes
    "access_log": False,
    "server_header": False,
    "timeout_graceful_shutdown": 5,
}
_SETTINGS = ("TOOLMEND_UPSTREAM", "TOOLMEND_MODE", "TOOLMEND_HOSTS", "TOOLMEND_ORIGINS")


def from_environment() -> Starlette:
    """The application that `run` has described to the processes that serve it."""
    upstream, mode, hosts, origins = (os.environ[name] for name in _SETTINGS)
    _log_to_standard_error()
    return gateway(upstream, mode=cast("Mode", mode), hosts=hosts.split(), origins=origins.split())


def run(
    upstream: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8811,
    mode: str = "auto",
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    workers: int = 1,
) -> None:
    """Serve until interrupted.

    Args:
        upstream: see `gateway`.
        host: the address to listen at.
        port: the port; 0 takes a free one.
        mode: see `gateway`.
        hosts: see `gateway`.
        origins: see `gateway`.
        workers: how many processes serve together.

    Raises:
        ToolmendError: the address, the mode or an origin is none.
    """
    # Complains now rather than in every process.
    gateway(upstream, mode=cast("Mode", mode), hosts=hosts, origins=origins)
    os.environ.update(zip(_SETTINGS, (upstream, mode, " ".join(hosts), " ".join(origins)), strict=True))
    with _common_folder() if workers > 1 else nullcontext():
        uvicorn.run(
            f"{__name__}:from_environment",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            **_SERVING,
        )


@contextmanager
def _common_folder() -> Generator[None]:
    """Where the processes count."""
    if SHARED in os.environ:
        yield
        return
    with TemporaryDirectory(prefix="toolmend-", ignore_cleanup_errors=True) as folder:
        os.environ[SHARED] = folder
        try:
            yield
        finally:
            del os.environ[SHARED]


def _log_to_standard_error() -> None:
    log = logging.getLogger("toolmend")
    if not log.handlers:
        output = logging.StreamHandler()
        output.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(output)
    log.setLevel(logging.INFO)
