"""Convert training data with Hugging Face datasets: the same function as a step of `map`.

    pip install toolmend datasets
    python examples/convert_with_datasets.py train.jsonl out.parquet hermes

Lines that cannot be converted keep their text and have the reason in the column `reason`.
"""

from __future__ import annotations

import sys
from typing import Any

from datasets import load_dataset

from toolmend.workbench.batch import convert_batch


def converted(batch: dict[str, list[str]], to: str) -> dict[str, Any]:
    """A step of `map`, with `batched=True`."""
    lines, reasons = zip(*convert_batch(batch["text"], to), strict=True)
    return {"text": list(lines), "reason": [reason or "" for reason in reasons]}


def main(source: str, target: str, to: str) -> None:
    """Convert a file of JSONL."""
    lines = load_dataset("text", data_files=source, split="train")
    lines.map(converted, batched=True, fn_kwargs={"to": to}).to_parquet(target)


if __name__ == "__main__":
    main(*sys.argv[1:4])
