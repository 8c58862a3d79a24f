"""A file of records converted in constant memory, by one process or several, with the order kept."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, TextIO

from toolmend.workbench.convert import Rejected, convert, target_of

__all__ = ["Outputs", "Summary", "convert_batch", "convert_stream"]

_BATCH = 256  # lines that a process takes at a time


@dataclass(slots=True)
class Summary:
    """What became of a file.

    Attributes:
        converted: records that were written.
        rejected: records that were written elsewhere, unchanged.
        reasons: why > how many.
    """

    converted: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter[str])

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {"converted": self.converted, "rejected": self.rejected, "reasons": dict(self.reasons.most_common())}


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where records go.

    Attributes:
        converted: the converted ones.
        rejected: those that cannot be, unchanged.
        reasons: their line numbers and why.
    """

    converted: TextIO
    rejected: TextIO
    reasons: TextIO


def convert_batch(lines: list[str], to: str) -> list[tuple[str, str | None]]:
    """Convert several records.

    Returns:
        For each its line and `None`, or its line unchanged and why it was rejected.
    """
    return [_converted(line, to) for line in lines]


def convert_stream(
    source: Iterable[str],
    outputs: Outputs,
    to: str,
    *,
    jobs: int = 1,
    progress: Callable[[int], object] = lambda characters: None,
) -> Summary:
    """Convert records line by line.

    Args:
        source: the lines.
        outputs: where records go.
        to: see `convert`.
        jobs: how many processes work.
        progress: told how many characters of the source are done.

    Raises:
        ToolmendError: there is no such format.
    """
    target_of(to)
    summary = Summary()
    number = 0
    for batch, results in _results(source, to, jobs):
        for line, (written, reason) in zip(batch, results, strict=True):
            number += 1
            if not line.strip():
                continue
            if reason is None:
                outputs.converted.write(written + "\n")
                summary.converted += 1
                continue
            outputs.rejected.write(written.rstrip("\r\n") + "\n")
            outputs.reasons.write(f"{number}: {reason}\n")
            summary.rejected += 1
            summary.reasons[reason] += 1
        progress(sum(map(len, batch)))
    return summary


def _converted(line: str, to: str) -> tuple[str, str | None]:
    if not line.strip():
        return line, None
    try:
        return convert(line, to), None
    except Rejected as error:
        return line, str(error)


def _results(source: Iterable[str], to: str, jobs: int) -> Iterator[tuple[list[str], list[tuple[str, str | None]]]]:
    lines = iter(source)
    batches = iter(lambda: list(islice(lines, _BATCH)), [])
    work = partial(convert_batch, to=to)
    if jobs == 1:
        for batch in batches:
            yield batch, work(batch)
        return
    waiting: deque[tuple[list[str], Future[list[tuple[str, str | None]]]]] = deque()
    with ProcessPoolExecutor(jobs) as pool:
        for batch in batches:
            waiting.append((batch, pool.submit(work, batch)))
            if len(waiting) > 2 * jobs:  # the pool takes all it is given, so it is given no more than it needs
                first, future = waiting.popleft()
                yield first, future.result()
        for batch, future in waiting:
            yield batch, future.result()
