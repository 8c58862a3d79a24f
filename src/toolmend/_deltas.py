"""The arguments of a call while they are still being written, for formats whose body is a JSON object.

A small reader of strict JSON follows the text. Once the name is known and declared, it writes the arguments out again
as the canonical JSON of the final call, piece by piece, but only what nothing later can change: the text of a string
goes out as it comes where the schema allows nothing but a string; any other value waits for its end, to be fitted to
the schema; the end of a string waits for what follows it. At the first thing that is not strict JSON the reader stops;
what is missing then comes with the whole call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from hashlib import blake2b
from itertools import groupby
from typing import Any

from toolmend._coerce import fit, only_text
from toolmend._json_body import ARGUMENT_KEYS, NAME_KEYS, WRAPPER_KEYS
from toolmend._toolbox import Toolbox
from toolmend._types import ToolSpec

__all__ = ["JsonDeltas", "Pieces", "Shown", "canonical", "is_text"]

_RUN = re.compile(r'[^"\\\x00-\x1f\ud800-\udfff]++')
_SPACE = re.compile(r"\s*+")
_SCALAR = re.compile(r"[^\s,{}\[\]:\"]++")
_SKIP = re.compile(r'[^"{}\[\]]++')
_ESCAPE = re.compile(
    r'\\(?:["\\/bfnrt]|u(?!d[89a-f])[0-9a-f]{4}|ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2})', re.IGNORECASE
)
_ESCAPE_WIDTH = 12  # of a pair of surrogates, the longest
_SCALAR_LIMIT = 400  # a longer number is none; it is matched anew with each piece
_SLICE = 1 << 16  # how much text is turned into bytes at a time
_OWN = frozenset({*NAME_KEYS, *ARGUMENT_KEYS, *WRAPPER_KEYS})

_Steps = Generator[None, None, Any]
"""A reader that pauses where it needs more text."""


def canonical(arguments: object) -> str:
    """Arguments as the JSON that the deltas of their call add up to."""
    return json.dumps(arguments, ensure_ascii=False)


def is_text(key: str, tool: ToolSpec) -> bool:
    """Whether an argument can be nothing but text."""
    return only_text(tool.properties.get(key), tool.parameters)


class Shown:
    """What has been shown of the arguments of one call. The text itself is not kept: it may be long.

    Args:
        name: the tool's name.

    Attributes:
        size: how many characters it was.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.size = 0
        self._digest = blake2b()

    def add(self, piece: str) -> None:
        """Note a piece."""
        self.size += len(piece)
        self._digest.update(piece.encode("utf-8", "surrogatepass"))

    def begins(self, text: str) -> bool:
        """Whether a text begins with what was shown."""
        digest = blake2b()
        for at in range(0, self.size, _SLICE):
            digest.update(text[at : min(at + _SLICE, self.size)].encode("utf-8", "surrogatepass"))
        return self.size <= len(text) and digest.digest() == self._digest.digest()


class Pieces:
    """The pieces of one region on their way out.

    Attributes:
        sent: what has been shown of each call so far.
    """

    def __init__(self) -> None:
        self.sent: list[Shown] = []
        self._out: list[tuple[int, str, str]] = []

    def begin(self, name: str) -> None:
        """The next call begins."""
        self.sent.append(Shown(name))

    def add(self, piece: str) -> None:
        """Show more of the call under way."""
        self.sent[-1].add(piece)
        self._out.append((len(self.sent) - 1, self.sent[-1].name, piece))

    def take(self) -> list[tuple[int, str, str]]:
        """What is new: number of the call, its name, JSON text."""
        out, self._out = self._out, []
        calls = groupby(out, key=lambda piece: piece[:2])
        return [(number, name, "".join(piece for _, _, piece in pieces)) for (number, name), pieces in calls]


class _Stop(Exception):
    """This is no strict JSON, or no call that may be shown yet."""


class JsonDeltas:
    """Follows one region.

    Args:
        tools: the tools that may be called.

    Attributes:
        sent: what has been shown of each call of the region.
    """

    def __init__(self, tools: Toolbox) -> None:
        self._pieces = Pieces()
        self.sent = self._pieces.sent
        self._tools = tools
        self._text = ""
        self._at = 0
        self._steps: _Steps | None = self._values()

    def feed(self, text: str) -> list[tuple[int, str, str]]:
        """Take the next piece of the body; return what became certain: number of the call, its name, JSON text."""
        self._text = self._text[self._at :] + text
        self._at = 0
        if self._steps:
            try:
                next(self._steps)
            except (_Stop, StopIteration, ValueError, RecursionError):
                self._steps = None
        return self._pieces.take()

    def _char(self) -> _Steps:
        """The next character that is no white space; it is not taken."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            yield

    def _expect(self, char: str) -> _Steps:
        if (yield from self._char()) != char:
            raise _Stop
        self._at += 1

    def _values(self) -> _Steps:
        """Call objects, one after another or in a list."""
        while True:
            char = yield from self._char()
            if char == "{":
                yield from self._call()
            elif char in "[],;":
                self._at += 1
            else:
                return

    def _call(self) -> _Steps:
        """One object. Without a declared name it is no call, and those behind it could not be counted."""
        self._at += 1
        before = len(self.sent)
        name: str | None = None
        while (yield from self._char()) != "}":
            key = yield from self._string()
            yield from self._expect(":")
            char = yield from self._char()
            if key in NAME_KEYS and char == '"':
                if name:
                    raise _Stop
                name = yield from self._string()
            elif key == "function" and char == "{":
                yield from self._call()
            elif len(self.sent) > before and (key in ARGUMENT_KEYS or key in NAME_KEYS):
                raise _Stop
            elif key in ARGUMENT_KEYS and char == "{" and name and (tool := self._tools.get(name)):
                self._pieces.begin(tool.name)
                yield from self._arguments(tool)
            elif name is None and char == "{" and key not in _OWN and (tool := self._tools.get(key)):
                self._pieces.begin(tool.name)
                yield from self._arguments(tool)
                if (yield from self._char()) != "}":
                    raise _Stop  # keyed by the name: any other key makes it several calls, or none
            else:
                yield from self._raw()
            if (yield from self._char()) == ",":
                self._at += 1
        self._at += 1
        if len(self.sent) == before:
            tool = self._tools.get(name) if name else None
            if tool is None:
                raise _Stop
            self._pieces.begin(tool.name)

    def _arguments(self, tool: ToolSpec) -> _Steps:
        self._at += 1
        end = "{"  # what is owed before the next key or the end: it is only certain once that is there
        keys: set[str] = set()
        while (yield from self._char()) != "}":
            key = yield from self._string()
            yield from self._expect(":")
            yield from self._char()
            if key in keys:
                raise _Stop
            keys.add(key)
            self._pieces.add(f"{end}{canonical(key)}: ")
            end = yield from self._value(key, tool)
            end += ", "
            if (yield from self._char()) == ",":
                self._at += 1
                if (yield from self._char()) == "}":
                    raise _Stop
            elif (yield from self._char()) != "}":
                raise _Stop
        self._at += 1
        self._pieces.add(end.removesuffix(", ") + "}")

    def _value(self, key: str, tool: ToolSpec) -> _Steps:
        """Show a value as far as it is certain; return what is owed once the next thing is seen."""
        if is_text(key, tool) and self._text[self._at] == '"':
            self._pieces.add('"')
            yield from self._string(shown=True)
            return '"'
        value = json.loads((yield from self._raw()))
        fitted, _ = fit({key: value}, tool)
        return canonical(fitted[key])

    def _string(self, *, shown: bool = False) -> _Steps:
        """A string; `shown`, its text goes out as it comes."""
        yield from self._expect('"')
        parts: list[str] = []
        while True:
            run = _RUN.match(self._text, self._at)
            if run:
                self._at = run.end()
                self._part(run.group(), parts, shown=shown)
            if self._at >= len(self._text):
                yield
                continue
            if self._text[self._at] == '"':
                self._at += 1
                return "".join(parts)
            self._part((yield from self._escape()), parts, shown=shown)

    def _part(self, text: str, parts: list[str], *, shown: bool) -> None:
        if shown:
            self._pieces.add(canonical(text)[1:-1])
        else:
            parts.append(text)

    def _escape(self) -> _Steps:
        """One escape; a pair of surrogates counts as one."""
        while True:
            found = _ESCAPE.match(self._text, self._at)
            if found:
                self._at = found.end()
                return json.loads(f'"{found.group()}"')
            if self._text[self._at] != "\\" or len(self._text) - self._at >= _ESCAPE_WIDTH:
                raise _Stop
            yield

    def _raw(self) -> _Steps:
        """The text of a whole value."""
        parts: list[str] = []
        depth = 0
        while True:
            char = yield from self._char()
            if char == '"':
                parts.append(canonical((yield from self._string())))
            elif depth or char in "{[":
                depth += 1 if char in "{[" else -1 if char in "}]" else 0
                self._at += 1
                parts.append(char)
                parts.append(self._between() if depth else "")
            else:
                return (yield from self._scalar())
            if not depth:
                return "".join(parts)

    def _between(self) -> str:
        """What stands between the brackets and strings of a value."""
        found = _SKIP.match(self._text, self._at)
        text = found.group() if found else ""
        self._at += len(text)
        return text

    def _scalar(self) -> _Steps:
        """A number or a word: it ends before something else."""
        while True:
            found = _SCALAR.match(self._text, self._at)
            if not found or len(found.group()) > _SCALAR_LIMIT:
                raise _Stop
            if found.end() < len(self._text):
                self._at = found.end()
                return found.group()
            yield
