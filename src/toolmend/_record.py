"""Records: values that nobody changes once they are made.

They are dataclasses that type checkers see as frozen. At run time they are not: a frozen dataclass sets each field by a
call of its own, and every reply makes a handful of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

__all__ = ["record"]

_Class = TypeVar("_Class")


@dataclass_transform(frozen_default=True)
def record(*, kw_only: bool = False) -> Callable[[type[_Class]], type[_Class]]:
    """A class decorator in place of ``dataclass(frozen=True, slots=True)``.

    Args:
        kw_only: the fields are given by name.
    """
    return dataclass(slots=True, unsafe_hash=True, kw_only=kw_only)
