"""What the gateway counts, in Prometheus' form; one registry a gateway, so that two of them do not mix.

Processes that serve together count in files of a common folder, which the environment names before this is loaded, and
each of them tells the sum.
"""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = ["CONTENT_TYPE", "SHARED", "Metrics"]

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The variable of the environment that names the folder."""

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)


class Metrics:
    """Counters of one gateway."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self.requests = Counter("toolmend_requests", "Requests.", ("path", "status"), registry=registry)
        self.recovered = Counter("toolmend_recovered_calls", "Calls that were text.", ("dialect",), registry=registry)
        self.failures = Counter(
            "toolmend_failed_calls", "What looked like a call and stayed text.", ("dialect",), registry=registry
        )
        self.fallbacks = Counter(
            "toolmend_fallbacks",
            "Requests asked again: the server refuses tools or has lost a call.",
            registry=registry,
        )
        self.latency = Histogram(
            "toolmend_added_seconds", "Time a chat request spent in the gateway's own work.", registry=registry,
            buckets=_SECONDS,
        )  # fmt: skip

    def page(self) -> bytes:
        """All of it, as Prometheus reads it."""
        registry = self._registry
        if SHARED in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry)
