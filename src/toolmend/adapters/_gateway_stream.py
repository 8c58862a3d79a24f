"""A streamed reply on its way through a gateway.

    upstream's bytes -> whole events -> rewriters (calls recovered, protocols translated) -> the client's bytes

Only whole events are rewritten, so that half of one never stands before an error. What breaks off, or ends without a
reason, ends with an error event: nobody takes it for a whole reply.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from toolmend.adapters._exchange import ReplyStream
from toolmend.adapters._gateway_upstream import GatewayError, Limits
from toolmend.adapters._sse import EventSplitter, LineSplitter

__all__ = ["Rewriting", "Spent", "rewritten"]

# In a string of JSON the quotes would be escaped, so what a model says is never taken for one of these.
_END = re.compile(rb'^data: ?\[DONE\]|"finish_reason"\s*:\s*"|"done"\s*:\s*true|"error"\s*:', re.MULTILINE)


class Spent:
    """Adds up the seconds of the blocks it is used for."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._since = 0.0

    def __enter__(self) -> None:
        self._since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._since


class Rewriting(Protocol):
    """What happens to a reply."""

    def streams(self) -> Sequence[ReplyStream]:
        """Who sees it, one after the other; new ones each time."""
        ...

    async def again(self, broken: GatewayError | None) -> AsyncIterator[bytes] | None:
        """What the upstream sends when it is asked once more, because a call was lost; mostly it is not."""
        ...


async def rewritten(
    source: AsyncIterator[bytes],
    rewriting: Rewriting,
    limits: Limits,
    spent: Spent,
    *,
    lines: bool,
) -> AsyncIterator[bytes | GatewayError]:
    """What the client gets, and at last the error if the reply is not whole.

    Args:
        source: what the upstream sends; raises `GatewayError`.
        rewriting: who sees it, and whether it is asked for once more.
        limits: see `Limits`.
        spent: where the time is added.
        lines: it consists of lines, not of events.
    """
    rewriters = rewriting.streams()
    splitter = LineSplitter() if lines else EventSplitter()
    size, ended = 0, False
    broken: GatewayError | None = None
    try:
        async for data in source:
            with spent:
                events = b"".join(splitter.feed(data))
                ended = ended or _END.search(events) is not None
                piece = _fed(rewriters, events) if events else b""
            if piece:
                yield piece
            size += len(data)
            if splitter.pending > limits.event:
                raise GatewayError(502, f"an event of the reply is longer than {limits.event} bytes")
            if size > limits.reply:
                raise GatewayError(502, f"the reply is longer than {limits.reply} bytes")
    except GatewayError as error:
        broken = error
    if second := await rewriting.again(broken):
        async for piece in rewritten(second, rewriting, limits, spent, lines=lines):
            yield piece
        return
    with spent:
        data = b"" if broken else splitter.close()
        if not broken and not ended and not _END.search(data):
            broken, data = GatewayError(502, "the reply ended before it was complete"), b""
        for rewriter in rewriters:
            data = (rewriter.feed(data) if data else b"") + rewriter.close()
    if data:
        yield data
    if broken:
        yield broken


def _fed(rewriters: Sequence[ReplyStream], data: bytes) -> bytes:
    for rewriter in rewriters:
        data = rewriter.feed(data)
    return data
