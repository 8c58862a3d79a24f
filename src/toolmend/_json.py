"""Lenient JSON that refuses to guess, for objects that models write.

Strict JSON is read by the standard library. Only where that fails does `_Reader` go over the text once more, mend
what has a single reading, and list each thing it mended. What has two readings, such as a bare word for a value,
raises `NotJSON`: a guessed argument would be an executed action.

The same reader knows Python's literals, because models mix the two: `python=True` gives strings their Python
meaning and allows tuples.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

__all__ = ["NotJSON", "Reader", "past", "read_value", "read_values"]

_MAX_DEPTH = 100  # nesting beyond this is no tool call; the bound keeps the reader off the recursion limit

_SPACE = re.compile(r"(?:\s++|//[^\n]*+|/\*(?s:.*?)\*/|\#[^\n]*+)*+")
_PLAIN = re.compile(r"\s*+")
_NUMBER = re.compile(r"-?+(?:0|[1-9][0-9]*+)(\.[0-9]++)?(?:[eE][+-]?[0-9]++)?(?![\w.])")
_LOOSE_NUMBER = re.compile(r"[+-]?+[0-9][0-9_]*+(?:\.[0-9_]*+)?(?:[eE][+-]?[0-9]++)?(?![\w.])|[+-]?+\.[0-9]++(?![\w.])")
_WORD = re.compile(r"[A-Za-z_$][\w$-]*+")
_LITERALS = {"true": True, "false": False, "null": None}
_PYTHON = {"True": True, "False": False, "None": None}
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_PYTHON_ESCAPES = {
    "'": "'",
    '"': '"',
    "\\": "\\",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "0": "\0",
    "\n": "",
}
_NEEDLESS = frozenset("'_$`&%#~@")  # escaped by habit from Markdown, LaTeX or shells: the backslash means nothing
_RUN = {quote: re.compile(rf"[^\\{quote}]++") for quote in "\"'"}
_HEX = re.compile(r"u([0-9a-fA-F]{4})")
_PYTHON_HEX = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})")
_LOW_SURROGATE = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_CONTROL = re.compile(r"[\x00-\x1f]")
_PREFIX = re.compile(r"(?i:r|u|f|b|rb|br|fr|rf)(?=[\"'])")


def past(pattern: re.Pattern[str], text: str, at: int) -> int:
    """The index behind a match of `pattern` at `at`; `at` itself where there is none."""
    found = pattern.match(text, at)
    return found.end() if found else at


class NotJSON(ValueError):
    """The text is no JSON, or has more than one reading. The message says where."""


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
        return [_strict(text)], ()
    except (ValueError, RecursionError):
        return Reader(text).values()


def _refuse_constant(name: str) -> NoReturn:
    raise NotJSON(f"{name} is no JSON value")


_strict = json.JSONDecoder(parse_constant=_refuse_constant).decode


class Reader:
    """Reads values from `text`, starting at `at`; `repairs` grows as it goes."""

    def __init__(self, text: str, at: int = 0, *, python: bool = False) -> None:
        self.text = text
        self.at: int = at
        self.python = python
        self._repairs: dict[str, None] = {}

    @property
    def repairs(self) -> tuple[str, ...]:
        """What was mended so far, each kind once."""
        return tuple(self._repairs)

    def mend(self, what: str) -> None:
        """Note a repair."""
        self._repairs[what] = None

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

    def peek(self) -> str:
        """The next character, or an empty string at the end."""
        return self.text[self.at : self.at + 1]

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

    def value(self, depth: int = 0) -> Any:
        """Read one value.

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
            return self.string()
        return self._scalar()

    def _object(self, depth: int) -> dict[str, Any]:
        self.at += 1
        found: dict[str, Any] = {}
        while self._another("}", found):
            key = self._key(depth)
            self.skip()
            if self.peek() != ":":
                self._fail("':' after a key")
            self.at += 1
            found[key] = self.value(depth + 1)
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
        if isinstance(key, bool) or not isinstance(key, (int, float)):
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
                if self.peek() == closer and closer != ")":
                    self.mend("dropped a trailing comma")
            elif self.peek() not in (closer, ""):
                self._fail(f"',' or {closer!r}")
        if self.peek() == closer:
            self.at += 1
            return False
        if not self.peek():
            self.mend(f"added a missing {closer!r}")
            return False
        return True

    def string(self) -> str:
        """Read a quoted string; neighbours in Python text are joined, as Python does."""
        quote = self.peek()
        if quote == "'" and not self.python:
            self.mend("single quotes")
        if self.python and self.text.startswith(quote * 3, self.at):
            return self._triple(quote * 3)
        self.at += 1
        return self._quoted(quote)

    def _quoted(self, quote: str) -> str:
        parts: list[str] = []
        run = _RUN[quote]
        while True:
            plain = run.match(self.text, self.at)
            if plain:
                parts.append(plain.group())
                self.at = plain.end()
                if not self.python and _CONTROL.search(plain.group()):
                    self.mend("escaped a raw control character")
            char = self.peek()
            self.at += 1
            if char == quote:
                return "".join(parts)
            if not char:
                raise NotJSON("a string is not closed")
            parts.append(self._escape())

    def _escape(self) -> str:
        """Read what follows a backslash."""
        char = self.peek()
        table = _PYTHON_ESCAPES if self.python else _ESCAPES
        if char in table:
            self.at += 1
            return table[char]
        number = (_PYTHON_HEX if self.python else _HEX).match(self.text, self.at)
        if number:
            self.at = number.end()
            return self._character(int(next(filter(None, number.groups())), 16))
        self.at += len(char)
        if self.python:
            return "\\" + char
        if char in _NEEDLESS:
            self.mend(f"dropped a needless escape \\{char}")
            return char
        self.mend(f"kept an invalid escape \\{char}")
        return "\\" + char

    def _character(self, code: int) -> str:
        """The character of a code, joining the two halves of a surrogate pair."""
        if 0xD800 <= code < 0xDC00 and not self.python:
            low = _LOW_SURROGATE.match(self.text, self.at)
            if low:
                self.at = low.end()
                return chr(0x10000 + ((code - 0xD800) << 10) + (int(low[1], 16) - 0xDC00))
        if code > 0x10FFFF:
            raise NotJSON("no such character")
        return chr(code)

    def _triple(self, quotes: str) -> str:
        self.at += 3
        parts: list[str] = []
        while not self.text.startswith(quotes, self.at):
            char = self.peek()
            if not char:
                raise NotJSON("a string is not closed")
            self.at += 1
            if char == "\\":
                parts.append(self._escape())
                continue
            plain = _RUN[quotes[0]].match(self.text, self.at - 1)
            if plain:
                self.at = plain.end()
                char = plain.group()
            parts.append(char)
        self.at += 3
        return "".join(parts)

    def _scalar(self) -> Any:
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
