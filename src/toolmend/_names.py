"""Finds the tool that a written name means.

Models leave the debris of their tokens on names (``query<|channel|>commentary``), add a namespace or an index
(``functions.query:0``), escape underscores as Markdown wants it, write dots and dashes as underscores or leave out all
parts but the last. A name is only taken for another one if exactly one tool can be meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import regex

__all__ = ["Names"]

_DEBRIS = re.compile(r"(?:<[|｜]|</?[A-Za-z_]).*\Z", re.DOTALL)
_INDEX = re.compile(r":\d{1,4}\Z")
_DOT = re.compile(r"[.:/]")
_NO_WORD = re.compile(r"[.:/-]")


class Names:
    """The names of the tools offered.

    Attributes:
        pattern: a regular expression that matches them as models write them.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = dict.fromkeys(names)
        self._folded = _unique((_folded(name), name) for name in self._names)
        self._last = _unique((_last(name), name) for name in self._names)
        longest_first = sorted(self._names, key=len, reverse=True)
        self.pattern = "|".join(self._written(name) for name in longest_first)

    def __contains__(self, written: object) -> bool:
        return isinstance(written, str) and self.find(written) is not None

    def find(self, written: str) -> tuple[str, tuple[str, ...]] | None:
        """The tool's name and what had to be mended in it; `None` if no tool is meant, or several may be."""
        if written in self._names:
            return written, ()
        name = _INDEX.sub("", _DEBRIS.sub("", written).strip().replace("\\_", "_").strip("\"'`"))
        candidates = (
            name if name in self._names else None,
            self._folded.get(_folded(name)),
            self._last.get(name),
            _last(name) if _last(name) in self._names else None,
            self._last.get(_last(name)),
        )
        found = next((candidate for candidate in candidates if candidate), None)
        return (found, (f"read the name {_short(written)} as {found}",)) if found else None

    def _written(self, name: str) -> str:
        """The pattern of one name: underscores may be escaped, dots be underscores, all but the last part missing."""
        loose = regex.escape(name).replace("_", r"\\?_").replace(r"\.", r"(?:\.|\\?_)")
        head, dot, _ = loose.rpartition(r"(?:\.|\\?_)")
        if dot and _last(name) in self._last:
            return f"(?:{head}{dot})?{loose.removeprefix(head + dot)}"
        return loose


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Key > name, without the keys that several names share."""
    found: dict[str, str | None] = {}
    for key, name in pairs:
        found[key] = None if key in found else name
    return {key: name for key, name in found.items() if name}


def _folded(name: str) -> str:
    return _NO_WORD.sub("_", name)


def _last(name: str) -> str:
    return _DOT.split(name)[-1]


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
