"""Reads the quoted strings of JSON and of Python, where most characters of a call are spent."""

from __future__ import annotations

import re

__all__ = ["UNESCAPED", "NotJSON", "StringReader", "past"]

UNESCAPED = "kept unescaped quotes"
"""The repair of quotes inside a string that should have been escaped."""

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
_WORD_BEHIND = re.compile(r"(?<=\w')\w")
_AFTER_VALUE = re.compile(r"\s*+(?:[,:;}\])#]|/[/*]|\Z)")
# What may follow the string that is a member's value, so distinct that no text inside of one is likely to look like it:
# the next key, or brackets and the end.
_AFTER_MEMBER = re.compile(r"\s*+(?:[}\]]\s*+)*+(?:\Z|(?:,\s*+|,?\s*+\{\s*+)[\"'][A-Za-z_][\w.-]{0,63}[\"']\s*+:)")
_AFTER_ARGUMENT = re.compile(r"\s*+(?:,\s*+[A-Za-z_]\w{0,63}\s*+=(?!=)|\)\s*+(?:[\]),;+|]|\Z))")
# it may be JSON itself, or two strings that Python would join
_AMBIGUOUS = re.compile(r"[\"']\s*+[:\"']|\A\s*+(?:[{\[]|[\"'].*[\"']\s*+\Z)", re.DOTALL)
_NEXT = {quote: re.compile(rf"(?:[^\\{quote}]|\\.)*+{quote}", re.DOTALL) for quote in "\"'"}
_ESCAPED = re.compile(r"\\.|[\"']", re.DOTALL)


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
        self.markdown = False  # underscores are escaped for Markdown, even in Python's strings
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

    def member(self) -> str:
        """Read a quoted string that is the value of a key; quotes in it may not be escaped.

        Raises:
            NotJSON: it is not closed, or its quotes have more than one reading.
        """
        start = self.at
        value = self.string()
        if _AFTER_VALUE.match(self.text, self.at):
            return value
        quote = self.text[start]
        after = _AFTER_ARGUMENT if self.python else _AFTER_MEMBER
        while not after.match(self.text, self.at):
            end = past(_NEXT[quote], self.text, self.at)
            if end == self.at:
                raise NotJSON("quotes in a string are not escaped, and it has no clear end")
            self.at = end
        inside = self.text[start + 1 : self.at - 1]
        if _AMBIGUOUS.search(inside):
            raise NotJSON("quotes in a string are not escaped")
        self.mend(UNESCAPED)
        escaped = _ESCAPED.sub(lambda found: found.group() if len(found.group()) > 1 else f"\\{found.group()}", inside)
        again = StringReader(f'"{escaped}"', python=self.python)
        value = again.string()
        self._repairs.update(dict.fromkeys(line for line in again.repairs if '"\'"' not in line))
        return value

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
                if char != "'" or not _WORD_BEHIND.match(self.text, self.at):
                    return "".join(parts)
                self.mend(UNESCAPED)  # an apostrophe
                parts.append(char)
                continue
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
        if self.python and not (self.markdown and char == "_"):
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
