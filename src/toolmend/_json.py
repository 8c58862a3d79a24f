"""Lenient JSON that refuses to guess, for objects that models write.

Strict JSON is read by the standard library. Only where that fails does `Reader` go over the text once more, mend
what has a single reading, and list each thing it mended. What has two readings, such as a bare word for a value,
raises `NotJSON`: a guessed argument would be an executed action.

The same reader knows Python's literals, because models mix the two: `python=True` gives strings their Python
meaning and allows tuples.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from types import NoneType
from typing import Any, NoReturn, cast

from toolmend._arithmetic import calculate
from toolmend._json_strings import UNESCAPED, NotJSON, StringReader, past

__all__ = ["UNESCAPED", "NotJSON", "Reader", "leading", "past", "read_value", "read_values", "strict"]

_MAX_DEPTH = 100  # nesting beyond this is no tool call; the bound keeps the reader off the recursion limit

_SPACE = re.compile(r"(?:\s++|//[^\n]*+|/\*(?s:.*?)\*/|\#[^\n]*+)*+")
_PLAIN = re.compile(r"\s*+")
_NUMBER = re.compile(r"-?+(?:0|[1-9][0-9]*+)(\.[0-9]++)?(?:[eE][+-]?[0-9]++)?(?![\w.])")
# no zeros in front: whether 0644 counts in eights, in tens or is a text, nobody can tell
_LOOSE_NUMBER = re.compile(
    r"[+-]?+(?:(?:0|[1-9][0-9]*+(?:_[0-9]++)*+)(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+(?![\w.])"
)
_WORD = re.compile(r"[A-Za-z_$][\w$-]*+")
_LITERALS = {"true": True, "false": False, "null": None}
_PYTHON = {"True": True, "False": False, "None": None}
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_PREFIX = re.compile(r"(?i:r|u|f|b|rb|br|fr|rf)(?=[\"'])")


def read_value(text: str) -> tuple[Any, tuple[str, ...]]:
    """Read exactly one value.

    Returns:
        The value and the repairs, a short line each.

    Raises:
        NotJSON: there is none, there are several, or it has no single reading.
    """
    values, repairs = read_values(text)
    if len(values) != 1:
        raise NotJSON(f"{len(values)} values where one is wanted")
    return values[0], repairs


def read_values(text: str) -> tuple[list[Any], tuple[str, ...]]:
    """Read values one after another, with white space, commas or semicolons between them.

    Returns:
        The values and the repairs, a short line each.

    Raises:
        NotJSON: something between or inside them has no single reading.
    """
    try:
        return [strict(text)], ()
    except (ValueError, RecursionError):
        return Reader(text).values()


def strict(text: str) -> Any:
    """Read one value as the standard says, except where what it allows has no single reading or would do harm later.

    Raises:
        ValueError: it is no JSON, or a key is given twice, a number is infinite, half a character is escaped.
        RecursionError: it is nested too deeply for Python.
    """
    text = text.strip(" \t\r\n")
    value, end = leading(text)
    if end < len(text):
        raise NotJSON("something stands behind it")
    return value


def leading(text: str, at: int = 0) -> tuple[Any, int]:
    """Read the value that begins at a place, as strictly as `strict`.

    Returns:
        The value and where it ends.
    """
    value, end = _JSON.raw_decode(text, at)
    if "\\u" in text and _SURROGATE.search(text, at, end):
        raise NotJSON("surrogates are for the careful reader")
    if text.count("{", at, end) + text.count("[", at, end) <= _MAX_DEPTH:
        return value, end
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH + 1):
        level = [child for node in level for child in _children(node)]
        if not level:
            return value, end
    raise NotJSON("nested too deeply")


def _children(node: object) -> Iterable[Any]:
    if isinstance(node, dict):
        return cast("dict[str, Any]", node).values()
    return cast("list[Any]", node) if isinstance(node, list) else ()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise NotJSON("a key is given twice")
    return found


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise NotJSON("a number is too large")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise NotJSON(f"{name} is no JSON value")


_JSON = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse_constant)


class Reader(StringReader):
    """Reads values from `text`, starting at `at`; `repairs` grows as it goes."""

    def values(self) -> tuple[list[Any], tuple[str, ...]]:
        """Read all values up to the end of the text."""
        found: list[Any] = []
        while True:
            self.skip(",;" if found else "")
            if self.at >= len(self.text):
                break
            if found and self.peek() in "}]" and not self.text[self.at :].strip("}] \t\r\n"):
                self.mend("dropped extra closing brackets")
                break
            found.append(self.value())
        if not found:
            raise NotJSON("no value")
        if len(found) > 1:
            self.mend("several values in one place")
        return found, self.repairs

    def skip(self, also: str = "") -> None:
        """Skip white space, comments and the characters of `also`."""
        while True:
            end = past(_PLAIN, self.text, self.at)
            if not self.python:
                commented = past(_SPACE, self.text, end)
                if commented > end:
                    self.mend("dropped a comment")
                end = commented
            self.at = end
            if not also or self.peek() not in also or not self.peek():
                return
            self.at += 1

    def value(self, depth: int = 0, *, member: bool = False) -> Any:
        """Read one value.

        Args:
            depth: how many values it stands in.
            member: it is the value of a key.

        Raises:
            NotJSON: there is none here with a single reading.
        """
        if depth > _MAX_DEPTH:
            raise NotJSON("nested too deeply")
        self.skip()
        char = self.peek()
        if char == "{":
            return self._object(depth)
        if char == "[" or (char == "(" and self.python):
            return self._array(depth, "]" if char == "[" else ")")
        if char and char in "\"'":
            return self.member() if member else self.string()
        scalar = self._scalar()
        if depth and self.at >= len(self.text) and not isinstance(scalar, (bool, NoneType)):
            raise NotJSON("a number may be cut off at the end")
        return scalar

    def _object(self, depth: int) -> dict[str, Any]:
        self.at += 1
        found: dict[str, Any] = {}
        while self._another("}", found):
            key = self._key(depth)
            self.skip()
            if self.peek() != ":":
                self._fail("':' after a key")
            self.at += 1
            value = self.value(depth + 1, member=True)
            if key in found:
                if repr(found[key]) != repr(value):
                    raise NotJSON(f"{key!r} is given twice")
                self.mend("dropped a repeated key")
            found[key] = value
        return found

    def _key(self, depth: int) -> str:
        char = self.peek()
        if char and char in "\"'":
            return self.string()
        word = _WORD.match(self.text, self.at)
        if word and not self.python:
            self.at = word.end()
            self.mend("quoted a bare key")
            return word.group()
        if not self.python:
            self._fail("a key")
        key = self.value(depth + 1)  # a Python dict may have numbers as keys; JSON writes them as text
        if isinstance(key, bool) or not isinstance(key, (int, float, str)):
            self._fail("a key")
        return str(key)

    def _array(self, depth: int, closer: str) -> list[Any]:
        self.at += 1
        found: list[Any] = []
        while self._another(closer, found):
            found.append(self.value(depth + 1))
        return found

    def _another(self, closer: str, found: object) -> bool:
        """Step to the next element; false at the closer, which is taken."""
        self.skip()
        if found:
            if self.peek() == ",":
                self.at += 1
                self.skip()
                if not self.peek():
                    raise NotJSON("cut off behind a comma")
                if self.peek() == closer and closer != ")":
                    self.mend("dropped a trailing comma")
            elif self.peek() not in (closer, ""):
                return self._misses(closer)
        if self.peek() == closer:
            self.at += 1
            return False
        if not self.peek():
            self.mend(f"added a missing {closer!r}")
            return False
        return True

    def _misses(self, closer: str) -> bool:
        """Another bracket stands in a closer's place: where nothing but brackets follows, that changes no value."""
        if self.text[self.at :].strip("}] \t\r\n"):
            self._fail(f"',' or {closer!r}")
        self.mend(f"added a missing {closer!r}")
        return False

    def _scalar(self) -> Any:
        calculated = calculate(self.text, self.at)
        if calculated:
            value, end = calculated
            self.mend(f"calculated {self.text[self.at : end]}")
            self.at = end
            return value
        number = _NUMBER.match(self.text, self.at)
        if number:
            self.at = number.end()
            return self._number(number.group(), whole=not number[1] and "e" not in number.group().lower())
        loose = _LOOSE_NUMBER.match(self.text, self.at)
        if loose:
            self.at = loose.end()
            self.mend(f"read {loose.group()} as a number")
            digits = loose.group().replace("_", "")
            return self._number(digits, whole=digits.lstrip("+-").isdigit())
        prefix = _PREFIX.match(self.text, self.at) if self.python else None
        if prefix:
            return self._prefixed(prefix.group().lower())
        word = _WORD.match(self.text, self.at)
        if word and word.group() in _LITERALS:
            self.at = word.end()
            return _LITERALS[word.group()]
        if word and word.group() in _PYTHON:
            self.at = word.end()
            if not self.python:
                self.mend(f"read {word.group()} as JSON")
            return _PYTHON[word.group()]
        return self._fail("a value")

    def _number(self, digits: str, *, whole: bool) -> int | float:
        try:
            number = int(digits) if whole else float(digits)
        except ValueError as error:  # Python refuses integers of more than 4,300 digits
            raise NotJSON("a number is too long") from error
        if number in (float("inf"), float("-inf")):
            raise NotJSON("a number is too large")
        return number

    def _prefixed(self, prefix: str) -> str:
        """A Python string with a prefix: raw and constant f-strings are text, bytes are not."""
        self.at += len(prefix)
        start = self.at
        value = self.string()
        if "b" in prefix or ("f" in prefix and ("{" in value or "}" in value)):
            raise NotJSON("a string that is not constant text")
        if "r" not in prefix:
            return value
        width = 3 if self.text.startswith(self.text[start] * 3, start) else 1
        return self.text[start + width : self.at - width]

    def _fail(self, wanted: str) -> NoReturn:
        raise NotJSON(f"expected {wanted} at character {self.at}")
