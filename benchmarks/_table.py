"""Writes a benchmark's table into docs/benchmarks.md, between the marks that bear its name."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def write(name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Replace the table called `name`."""
    lines = ["| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows)]
    print("\n".join(lines))
    block = f"<!-- {name} -->\n" + "\n".join(lines) + f"\n<!-- /{name} -->"
    text = PAGE.read_text(encoding="utf-8")
    changed, found = re.subn(rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _: block, text, flags=re.DOTALL)
    if not found:
        raise SystemExit(f"{PAGE} has no place for the table {name!r}")
    PAGE.write_text(changed, encoding="utf-8")


def ratio(work: Callable[[], object], base: Callable[[], object], rounds: int = 15) -> tuple[float, float, float]:
    """Median seconds of processor time of both, taken in turns in one run, and the median of their ratios."""
    work(), base()
    pairs = [(_seconds(work), _seconds(base)) for _ in range(rounds)]
    return (
        statistics.median(w for w, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(w / b for w, b in pairs),
    )


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
