"""The plain part of YAML that models write: block mappings and lists, scalars, literal blocks, JSON on one line.

What YAML reads in another way than it looks (comments behind values, anchors, folded or broken lines) is refused.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from toolmend._json import strict

__all__ = ["NotYAML", "Plain", "read_yaml"]

_MAX_DEPTH = 32
_KEY = re.compile(r"(?P<key>\"(?:[^\"\\]|\\.)*+\"|'[^']*+'|[A-Za-z_][\w.-]*+)[ \t]*+:(?=[ \t]|\Z)[ \t]*+")
_ITEM = re.compile(r"-(?:[ \t]++|\Z)")
_SPECIAL = re.compile(r"[&*!%@`|>,\[\]{}#?\"']|.*?(?::(?:\s|\Z)|\s\#)|[-?:](?:\s|\Z)")
_COMMENT = re.compile(r"\s*+(?:\#|\Z)")


class NotYAML(ValueError):
    """The text is no YAML, or has more than one reading. The message says where."""


class Plain(str):
    """A scalar without quotes, whose type is another's business."""

    __slots__ = ()

    def typed(self) -> Any:
        """The value if it is the usual way to write a number, a truth value or nothing; otherwise the text."""
        text = str(self)
        try:
            value = strict(text)
        except ValueError:
            return text
        return value if not isinstance(value, (int, float)) or json.dumps(value) == text else text


def read_yaml(text: str) -> Any:
    """Read one value. Scalars without quotes are `Plain`.

    Raises:
        NotYAML: it has no single reading.
    """
    reader = _Reader(text)
    value = reader.block(reader.indent(), 0)
    reader.end(-1)
    return value


class _Reader:
    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._at = 0

    def fail(self, what: str) -> NoReturn:
        raise NotYAML(f"{what} in line {self._at + 1}")

    def indent(self) -> int:
        """How far the next line with something in it is indented; -1 at the end."""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not _COMMENT.match(line):
                return _indent(line)
            self._at += 1
        return -1

    def end(self, indent: int) -> None:
        if self.indent() > indent:
            self.fail("something that belongs to nothing")

    def block(self, indent: int, depth: int) -> Any:
        """The mapping or the list whose lines are indented by so much."""
        if indent < 0 or depth > _MAX_DEPTH:
            self.fail("no value" if indent < 0 else "nested too deeply")
        if _ITEM.match(self._lines[self._at], indent):
            return self._list(indent, depth)
        return self._mapping(indent, depth)

    def _mapping(self, indent: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self.indent() == indent and not _ITEM.match(self._lines[self._at], indent):
            line = self._lines[self._at]
            key = _KEY.match(line, indent)
            if not key:
                self.fail("no key")
            name = str(self._scalar(key["key"]))
            if name in found:
                self.fail(f"{name!r} is given twice")
            self._at += 1
            found[name] = self._value(line[key.end() :].rstrip(), indent, depth)
        self.end(indent)
        return found

    def _list(self, indent: int, depth: int) -> list[Any]:
        found: list[Any] = []
        while self.indent() == indent and (item := _ITEM.match(self._lines[self._at], indent)):
            line = self._lines[self._at]
            rest = line[item.end() :].rstrip()
            if _ITEM.match(rest) or _KEY.match(rest):
                self._lines[self._at] = " " * item.end() + rest
                found.append(self.block(item.end(), depth + 1))
                continue
            self._at += 1
            found.append(self._value(rest, indent, depth))
        self.end(indent)
        return found

    def _value(self, text: str, indent: int, depth: int) -> Any:
        """What stands behind a key or a dash, on its line or below it."""
        if text in ("|", "|-"):
            return self._literal(indent, "" if text == "|-" else "\n")
        if text:
            return self._scalar(text)
        inner = self.indent()
        if inner > indent or (inner == indent and _ITEM.match(self._lines[self._at], inner)):
            return self.block(inner, depth + 1)
        return None

    def _scalar(self, text: str) -> Any:
        if text[0] in '"{[':
            try:
                return strict(text)
            except (ValueError, RecursionError):
                self.fail("a value that is no JSON")
        if text[0] == "'" and re.fullmatch(r"'(?:[^']|'')*+'", text):
            return text[1:-1].replace("''", "'")
        if _SPECIAL.match(text):
            self.fail("a value with two readings")
        return Plain(text)

    def _literal(self, indent: int, end: str) -> str:
        """The lines of a literal block, as they are."""
        start, below = self._at, re.compile(rf"\s*+\Z| {{{indent + 1}}}")
        while self._at < len(self._lines) and below.match(self._lines[self._at]):
            self._at += 1
        lines = self._lines[start : self._at]
        width = _indent(next(filter(str.strip, lines), ""))
        if any(line[:width].strip() for line in lines):
            self.fail("a line that is indented less than the first")
        text = "\n".join(line[width:] for line in lines).rstrip("\n")
        return text + end if text else ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
