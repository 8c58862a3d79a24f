"""What a value holds, as bytes: the key under which something made from it can be kept.

Values are dicts and lists that their owner may change at any time, so neither they nor their identity will do. The
bytes are as good as a copy, types and order included: `1`, `1.0` and `True` differ.
"""

from __future__ import annotations

import marshal
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

__all__ = ["Row", "Snapshot", "frozen", "thawed"]

Row = tuple[Any, ...]

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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What rows of values held once, to be compared with what they hold now.

    Most values in a conversation are texts, and still the same objects: that is seen much faster than bytes are made.
    Only where equal need not mean the same, as with `1` and `True`, bytes are made. The order of keys does not matter.

    Attributes:
        rows: all of them, with lists and dicts of our own, since others may change in place.
        others: the places of values with more in them than texts.
        held: what these held.
    """

    rows: list[Row]
    others: list[tuple[int, int]]
    held: bytes | None

    @classmethod
    def of(cls, rows: list[Row]) -> Snapshot | None:
        """What these hold now; `None` if that cannot be told."""
        if frozen(rows) is None:
            return None
        others = [(n, k) for n, row in enumerate(rows) for k, value in enumerate(row) if not _is_text(value)]
        copies = [tuple([value if type(value) is str else _copy(value) for value in row]) for row in rows]
        return cls(copies, others, frozen([rows[n][k] for n, k in others]))

    def agrees(self, rows: list[Row]) -> bool:
        """Whether rows hold the same."""
        return rows == self.rows and frozen([rows[n][k] for n, k in self.others]) == self.held


def _copy(value: Any) -> Any:
    return thawed(marshal.dumps(value, _VERSION))


def _is_text(value: Any) -> bool:
    """Whether a value is made of texts only, if of anything at all."""
    pending = [value]
    while pending:
        part = pending.pop()
        if type(part) is dict:
            pending.extend(chain.from_iterable(cast("dict[Any, Any]", part).items()))
        elif type(part) is list:
            pending.extend(cast("list[Any]", part))
        elif not (part is None or type(part) is str):
            return False
    return True
