"""What a value holds, as bytes: the key under which something made from it can be kept.

Values are dicts and lists that their owner may change at any time, so neither they nor their identity will do. The
bytes are as good as a copy, types and order included: `1`, `1.0` and `True` differ.
"""

from __future__ import annotations

import marshal
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

__all__ = ["Row", "Snapshot", "frozen", "thawed"]

Row = tuple[Any, ...] | dict[Any, Any]

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
    others: list[tuple[int, Any]]
    held: bytes | None

    @classmethod
    def of(cls, rows: Sequence[Row], ignored: Container[object] = ()) -> Snapshot | None:
        """What these hold now; `None` if that cannot be told.

        Args:
            rows: tuples or dicts.
            ignored: keys whose values do not count; they need not be the same.
        """
        try:
            copies = [_copy_of(row, ignored) for row in rows]
        except ValueError:
            return None
        others = [
            (n, key)
            for n, row in enumerate(rows)
            for key, value in _items(row)
            if key not in ignored and not _is_text(value)
        ]
        return cls(copies, others, frozen([rows[n][key] for n, key in others]))

    def agrees(self, rows: Sequence[Row]) -> bool:
        """Whether rows hold the same."""
        try:
            same = self.rows == rows  # ours in front, since some of it equals everything
        except Exception:  # a value that does not count may be one that cannot be compared
            return False
        return same and frozen([rows[n][key] for n, key in self.others]) == self.held


class _Whatever:
    """Equals everything."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


_WHATEVER = _Whatever()


def _items(row: Row) -> Iterable[tuple[Any, Any]]:
    return row.items() if isinstance(row, dict) else enumerate(row)


def _copy_of(row: Row, ignored: Container[object]) -> Row:
    copies = {key: _ignored(value) if key in ignored else _copy(value) for key, value in _items(row)}
    return copies if isinstance(row, dict) else tuple(copies.values())


def _copy(value: Any) -> Any:
    return value if type(value) is str else thawed(marshal.dumps(value, _VERSION))


def _ignored(value: Any) -> Any:
    """What stands for a value that does not count: itself, for that is compared fastest, if it is mere data."""
    return _WHATEVER if frozen(value) is None else value


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
