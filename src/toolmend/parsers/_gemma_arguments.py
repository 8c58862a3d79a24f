"""Reads the arguments of a call in Gemma's way: bare keys, strings between two delimiters, text without any."""

from __future__ import annotations

import re
from typing import Any

from toolmend._coerce import allows
from toolmend._json import NotJSON, Reader, past, read_value
from toolmend._types import ToolSpec

__all__ = ["KEY", "GemmaArguments"]

_SPACE = re.compile(r"\s*+")
KEY = re.compile(r"[^\s:=,{}()\[\]<>\"'|]++")
"""A key without quotes."""

_COLON = re.compile(r"\s*+[:=]\s*+")
_RAW = re.compile(r"(?P<open>[{(\[])|(?P<close>[})\]])|,")
_SCALAR = re.compile(r"[^,{}()\[\]]*+")
_KINDS = {"bool": "boolean", "int": "integer", "float": "number", "NoneType": "null"}
_PAIRS = {"{": "}", "(": ")", "[": "]"}


class GemmaArguments:
    """The arguments of one call, from the opening bracket on."""

    def __init__(self, text: str, tool: ToolSpec, delimiter: str, *, closed: bool) -> None:
        self._text = text
        self._tool = tool
        self._delimiter = delimiter
        self._closed = closed
        self._at = 0
        self._repairs: dict[str, None] = {}
        keys = "|".join(map(re.escape, tool.properties)) or "(?!)"
        self._next = re.compile(rf",\s*+(?:{keys})\s*+[:=]")

    @property
    def repairs(self) -> tuple[str, ...]:
        return tuple(self._repairs)

    def read(self) -> dict[str, Any]:
        found = self._object(0)
        rest = self._text[self._at :]
        if rest.strip(" \t\r\n})]"):
            raise NotJSON("something behind the arguments")
        if rest.strip():
            self._mend("dropped extra closing brackets")
        return found

    def _mend(self, what: str) -> None:
        self._repairs[what] = None

    def _peek(self) -> str:
        self._at = past(_SPACE, self._text, self._at)
        return self._text[self._at : self._at + 1]

    def _another(self, closer: str, *, first: bool) -> bool:
        """Step to the next element; false behind the closing bracket."""
        char = self._peek()
        if char == "," and not first:
            self._at += 1
            char = self._peek()
            if not char and not self._closed:
                raise NotJSON("cut off behind a comma")
        elif char not in (closer, "") and not first:
            raise NotJSON(f"expected ',' or {closer!r} at character {self._at}")
        if not char:
            self._mend(f"added a missing {closer!r}")
        elif char != closer:
            return True
        self._at += len(char)
        return False

    def _object(self, depth: int) -> dict[str, Any]:
        closer = _PAIRS[self._text[self._at]]
        self._at += 1
        found: dict[str, Any] = {}
        while self._another(closer, first=not found):
            key = self._key()
            colon = _COLON.match(self._text, self._at)
            if not colon:
                raise NotJSON(f"expected ':' at character {self._at}")
            if key in found:
                raise NotJSON(f"{key!r} is given twice")
            self._at = colon.end()
            found[key] = self._value(key, depth)
        return found

    def _key(self) -> str:
        char = self._peek()
        if self._text.startswith(self._delimiter, self._at) or char in ('"', "'"):
            return str(self._quoted(char))
        word = KEY.match(self._text, self._at)
        if not word:
            raise NotJSON(f"expected a key at character {self._at}")
        self._at = word.end()
        return word.group()

    def _array(self, depth: int) -> list[Any]:
        self._at += 1
        found: list[Any] = []
        while self._another("]", first=not found):
            found.append(self._value("", depth))
        return found

    def _value(self, key: str, depth: int) -> Any:
        """Read one value; only those directly in the call have a schema at hand."""
        schema = self._tool.properties.get(key) if depth == 0 and key else None
        textual = schema is not None and allows("string", schema, self._tool.parameters)
        char, start = self._peek(), self._at
        if self._text.startswith(self._delimiter, start):
            return self._unclosed(start) if self._is_unclosed(start, depth) else self._quoted(char)
        if char == "{" and not textual:
            return self._object(depth + 1)
        if char == "[" and not textual:
            return self._array(depth + 1)
        if char in ('"', "'"):
            try:
                return self._quoted(char)
            except NotJSON:
                if not textual:
                    raise
                self._at = start
        return self._bare(key, schema) if textual else self._scalar()

    def _quoted(self, char: str) -> str:
        """A string between delimiters or in quotes."""
        if not self._text.startswith(self._delimiter, self._at):
            reader = Reader(self._text, self._at)
            value = reader.string()
            self._at = reader.at
            if self._peek() not in (",", ":", "=", "}", "]", ")", ""):
                raise NotJSON(f"something behind a string at character {self._at}")
            for repair in ("quotes for delimiters", *reader.repairs):
                self._mend(repair)
            return value
        start = self._at + len(self._delimiter)
        end = self._text.find(self._delimiter, start)
        if end >= 0:
            self._at = end + len(self._delimiter)
            return self._text[start:end]
        raise NotJSON("a string is not closed")

    def _is_unclosed(self, start: int, depth: int) -> bool:
        """Whether a string lacks its second delimiter but surely is the last value."""
        start += len(self._delimiter)
        if depth or not self._closed or self._text.find(self._delimiter, start) >= 0:
            return False
        return not self._next.search(self._text, start)

    def _unclosed(self, start: int) -> str:
        """The last string, up to the closing bracket."""
        end = len(self._text) - self._text.endswith(("}", ")"))
        self._mend("closed a string")
        self._at = end
        return self._text[start + len(self._delimiter) : end]

    def _scalar(self) -> Any:
        end = past(_SCALAR, self._text, self._at)
        if end == len(self._text) and not self._closed:
            raise NotJSON("a value may be cut off at the end")
        value, repairs = read_value(self._text[self._at : end])
        self._repairs.update(dict.fromkeys(repairs))
        self._at = end
        return value

    def _bare(self, key: str, schema: object) -> Any:
        """Text without delimiters: up to a comma with a declared key behind it, or to the closing bracket."""
        start, depth = self._at, 0
        for token in _RAW.finditer(self._text, start):
            if token["open"]:
                depth += 1
            elif token["close"]:
                depth -= 1
            if depth < 0 or (depth == 0 and self._next.match(self._text, token.start())):
                self._at = token.start()
                break
        else:
            if not self._closed:
                raise NotJSON("a value may be cut off at the end")
            self._at = len(self._text)
        text = self._text[start : self._at].strip()
        try:
            value, _ = read_value(text)
        except NotJSON:
            value = text
        kind = _KINDS.get(type(value).__name__)
        if kind and allows(kind, schema, self._tool.parameters):
            return value
        self._mend(f"{key}: took text without delimiters")
        return text
