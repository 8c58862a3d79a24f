"""What a value holds, as bytes: the key under which something made from it can be kept.

Values are dicts and lists that their owner may change at any time, so neither they nor their identity will do. The
bytes are as good as a copy, types and order included: `1`, `1.0` and `True` differ.
"""

from __future__ import annotations

import marshal
from dataclasses import dataclass
from typing import Any

__all__ = ["Row", "Snapshot", "frozen", "thawed"]

Row = tuple[Any, ...]

_VERSION = 2  # later ones write down which parts are the same object: equal values would differ
_OURS: dict[Any, Any] = {list: [], dict: {}}


def frozen(value: Any) -> bytes | None:
    """What a value holds; `None` for one of which that cannot be told."""
    try:
        return marshal.dumps(value, _VERSION)
    except ValueError:
        return None


def thawed(data: bytes) -> Any:
    """A copy of the value; only for what `frozen` has made."""
    return marshal.loads(data)  # noqa: S302 - it never leaves the process


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What rows of values held once, to be compared with what they hold now.

    Most values in a conversation are texts, and still the same objects: that is seen much faster than bytes are made.
    Only what is no text is compared as bytes.

    Attributes:
        rows: all of them, with empty lists and dicts of our own, since others may be filled in place.
        others: the places of what is neither empty nor a text.
        held: what these held.
    """

    rows: list[Row]
    others: list[tuple[int, int]]
    held: bytes

    @classmethod
    def of(cls, rows: list[Row]) -> Snapshot | None:
        """What these hold now; `None` if that cannot be told."""
        others = [(n, k) for n, row in enumerate(rows) for k, value in enumerate(row) if not _is_plain(value)]
        held = frozen([rows[n][k] for n, k in others])
        if held is None:
            return None
        kept = [tuple([value or _OURS.get(type(value), value) for value in row]) for row in rows]
        return cls(kept, others, held)

    def agrees(self, rows: list[Row]) -> bool:
        """Whether rows hold the same."""
        try:
            held = frozen([rows[n][k] for n, k in self.others])
        except IndexError:  # rows of another kind
            return False
        return held == self.held and rows == self.rows


def _is_plain(value: Any) -> bool:
    """Whether equal means the same: a text, nothing, or something empty."""
    return value is None or type(value) is str or (type(value) in _OURS and not value)
