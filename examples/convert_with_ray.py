"""Convert training data that is larger than one machine, on Ray Data: the same function, a batch at a time.

    pip install toolmend "ray[data]"
    python examples/convert_with_ray.py train.jsonl out/ hermes

Lines that cannot be converted keep their text and have the reason in the column `reason`.
"""

from __future__ import annotations

import sys
from typing import Any

import ray

from toolmend.workbench.batch import convert_batch


def converted(batch: dict[str, Any], to: str) -> dict[str, Any]:
    """A step of `map_batches`."""
    lines, reasons = zip(*convert_batch([str(line) for line in batch["text"]], to), strict=True)
    return {"text": list(lines), "reason": [reason or "" for reason in reasons]}


def main(source: str, target: str, to: str) -> None:
    """Convert a file or a folder of JSONL."""
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    lines = ray.data.read_text(source, drop_empty_lines=True)
    lines.map_batches(converted, fn_kwargs={"to": to}, batch_size=256).write_parquet(target)


if __name__ == "__main__":
    main(*sys.argv[1:4])
