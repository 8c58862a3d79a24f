"""Runs a gateway with uvicorn: loopback by default, limits on headers, one line a request."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import cast

import uvicorn
from starlette.applications import Starlette

from toolmend.adapters._exchange import Mode
from toolmend.adapters.gateway import gateway

__all__ = ["from_environment", "run"]

_HEADERS = 64 << 10  # the longest head of a request, in bytes
_SETTINGS = ("TOOLMEND_UPSTREAM", "TOOLMEND_MODE", "TOOLMEND_HOSTS")


def from_environment() -> Starlette:
    """The application that `run` has described to the processes that serve it."""
    upstream, mode, hosts = (os.environ[name] for name in _SETTINGS)
    _log_to_standard_error()
    return gateway(upstream, mode=cast("Mode", mode), hosts=hosts.split())


def run(upstream: str, *, host: str, port: int, mode: str, hosts: Sequence[str], workers: int) -> None:
    """Serve until interrupted.

    Args:
        upstream: see `gateway`.
        host: the address to listen at.
        port: the port; 0 takes a free one.
        mode: see `gateway`.
        hosts: see `gateway`.
        workers: how many processes serve together.

    Raises:
        ToolmendError: the address or the mode is none.
    """
    gateway(upstream, mode=cast("Mode", mode), hosts=hosts)  # complains now rather than in every process
    os.environ.update(zip(_SETTINGS, (upstream, mode, " ".join(hosts)), strict=True))
    uvicorn.run(
        f"{__name__}:from_environment",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        http="h11",
        h11_max_incomplete_event_size=_HEADERS,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )


def _log_to_standard_error() -> None:
    log = logging.getLogger("toolmend")
    if not log.handlers:
        output = logging.StreamHandler()
        output.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(output)
    log.setLevel(logging.INFO)
