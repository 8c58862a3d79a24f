"""What a value holds, as bytes: the key under which something made from it can be kept.

Values are dicts and lists that their owner may change at any time, so neither they nor their identity will do. The
bytes are as good as a copy, types and order included: `1`, `1.0` and `True` differ.
"""

from __future__ import annotations

import marshal
from typing import Any

__all__ = ["frozen", "thawed"]

_VERSION = 2  # later ones write down which parts are the same object: equal values would differ


def frozen(value: Any) -> bytes | None:
    """What a value holds; `None` for one of which that cannot be told."""
    try:
        return marshal.dumps(value, _VERSION)
    except ValueError:
        return None


def thawed(data: bytes) -> Any:
    """A copy of the value; only for what `frozen` has made."""
    return marshal.loads(data)  # noqa: S302 - it never leaves the process
