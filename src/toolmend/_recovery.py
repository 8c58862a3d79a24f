"""Seeing what happened: what was done for a reply, told to a callback, the log and the current span.

Calls and failures are logged under ``toolmend`` at debug. OpenTelemetry is no dependency: a span can only be
recording where it has been imported already.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any, Literal

from toolmend._events import ToolCallFailed, ToolCallParsed
from toolmend._record import record
from toolmend._turn import Reader
from toolmend._types import ToolCall

__all__ = ["OnRecovery", "Recovery", "current_span", "tell"]

_LOG = logging.getLogger("toolmend")


@record(kw_only=True)
class Recovery:
    """What toolmend has done for one reply.

    Attributes:
        model: the name of the model.
        server: its address, or what stands for it.
        mode: ``"prompt"`` if the tools went out in the text of the request, else ``"native"``.
        calls: the calls recovered, in order, with the ids that they run under.
        dialects: the formats they were written in, each once.
        repairs: what was mended in them, in a few words each.
        failures: why what was meant as a call is none, in a few words each.
    """

    model: str
    server: str
    mode: Literal["native", "prompt"]
    calls: tuple[ToolCall, ...] = ()
    dialects: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()

    @classmethod
    def of(cls, readers: Iterable[Reader], *, model: str, server: str, mode: Literal["native", "prompt"]) -> Recovery:
        """Gather what the readers of one reply have found."""
        calls: list[ToolCall] = []
        dialects: dict[str, None] = {}
        failures: list[str] = []
        for reader in readers:
            calls.extend(reader.calls)
            for event in reader.events:
                if isinstance(event, ToolCallParsed):
                    dialects[event.dialect] = None
                elif isinstance(event, ToolCallFailed):
                    failures.append(event.reason)
        return cls(
            model=model,
            server=server,
            mode=mode,
            calls=tuple(calls),
            dialects=tuple(dialects),
            repairs=tuple([repair for call in calls for repair in call.repairs]),
            failures=tuple(failures),
        )

    @property
    def details(self) -> dict[str, Any]:
        """What stands in the metadata of a reply: mode, dialect, repairs, failures; empty if nothing was done."""
        if self.mode == "native" and not (self.calls or self.failures):
            return {}
        return {
            "mode": self.mode,
            "dialect": self.dialects[0] if self.dialects else None,
            "repairs": list(self.repairs),
            "failures": list(self.failures),
        }


OnRecovery = Callable[[Recovery], object]
"""Called for each reply in which calls were recovered, or were meant and could not be read."""


def current_span() -> Any:
    """The span of OpenTelemetry that is under way, or `None`."""
    trace = sys.modules.get("opentelemetry.trace")
    return trace.get_current_span() if trace else None


def tell(recovery: Recovery, on_recovery: OnRecovery | None = None, *, span: Any = None) -> dict[str, Any]:
    """Tell the log, the span and the callback, as far as there is something to tell.

    Args:
        recovery: what was done.
        on_recovery: the callback; what it raises passes.
        span: the span of the request; the current one by default, which need not be it at the end of a stream.

    Returns:
        What was told; see `Recovery.details`.
    """
    details = recovery.details
    if not details:
        return details
    _mark(current_span() if span is None else span, details)
    if not (recovery.calls or recovery.failures):
        return details
    if _LOG.isEnabledFor(logging.DEBUG):
        _LOG.debug(
            "%s at %s: calls of %s recovered from %s; repairs: %s; failures: %s",
            recovery.model,
            recovery.server,
            [call.name for call in recovery.calls],
            list(recovery.dialects),
            list(recovery.repairs),
            list(recovery.failures),
        )
    if on_recovery is not None:
        on_recovery(recovery)
    return details


def _mark(span: Any, details: dict[str, Any]) -> None:
    if span is not None and span.is_recording():
        span.set_attribute("toolmend.mode", details["mode"])
        if details["dialect"]:
            span.set_attribute("toolmend.dialect", details["dialect"])
        span.set_attribute("toolmend.repairs", details["repairs"])
