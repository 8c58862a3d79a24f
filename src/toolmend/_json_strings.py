"""Reads the quoted strings of JSON and of Python, where most characters of a call are spent."""

from __future__ import annotations

import re

__all__ = ["NotJSON", "StringReader", "past"]

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
    "\n": "",
}
_NEEDLESS = frozenset("'_$`&%#~@")  # escaped by habit from Markdown, LaTeX or shells: the backslash means nothing
_RUN = {quote: re.compile(rf"[^\\{quote}]++") for quote in "\"'"}
_HEX = re.compile(r"u([0-9a-fA-F]{4})")
_PYTHON_HEX = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})")
_OCTAL = re.compile(r"[0-7]{1,3}")
_LOW_SURROGATE = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_CONTROL = re.compile(r"[\x00-\x1f]")


def past(pattern: re.Pattern[str], text: str, at: int) -> int:
    """The index behind a match of `pattern` at `at`; `at` itself where there is none."""
    found = pattern.match(text, at)
    return found.end() if found else at


class NotJSON(ValueError):
    """The text is no JSON, or has more than one reading. The message says where."""


class StringReader:
    """Reads strings from `text`, starting at `at`; `repairs` grows as it goes."""

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

    def peek(self) -> str:
        """The next character, or an empty string at the end."""
        return self.text[self.at : self.at + 1]

    def string(self) -> str:
        """Read a quoted string. Neighbours are not joined: in a list, a comma is as likely to be missing."""
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
        octal = _OCTAL.match(self.text, self.at) if self.python else None
        if octal:
            self.at = octal.end()
            return chr(int(octal.group(), 8))
        self.at += len(char)
        if self.python:
            return "\\" + char
        if char in _NEEDLESS:
            self.mend(f"dropped a needless escape of {char!r}")
            return char
        self.mend(f"kept an invalid escape of {char!r}")
        return "\\" + char

    def _character(self, code: int) -> str:
        """The character of a code, joining the two halves of a surrogate pair."""
        if 0xD800 <= code < 0xE000:
            low = _LOW_SURROGATE.match(self.text, self.at) if code < 0xDC00 else None
            if low:
                self.at = low.end()
                return chr(0x10000 + ((code - 0xD800) << 10) + (int(low[1], 16) - 0xDC00))
            self.mend("replaced half a character")  # nothing that goes over a wire could carry it
            return "\ufffd"
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
