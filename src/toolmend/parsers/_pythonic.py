"""Calls in Python's syntax, read and written without ever evaluating anything.

Values are Python or JSON literals. Where a value is no literal but the parameter takes text, the text between the
separators is the value, verbatim: models leave out quotes. Positional values bind in the order of the schema.
"""

from __future__ import annotations

import json
import keyword
import re
from typing import Any

from toolmend._coerce import allows
from toolmend._errors import RenderError
from toolmend._json import NotJSON, Reader, past
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._types import Schema, ToolCall, ToolSpec

__all__ = ["read_calls", "render_call"]

_NAME = re.compile(r"[A-Za-z_][\w.-]*+\s*+\(")
_KEYWORD = re.compile(r"([A-Za-z_]\w*+)\s*+=(?!=)\s*+")
_SEPARATORS = re.compile(r"[\s,;]*+")
_AND = re.compile(r"[\s,;]*+(?:and\s++|then\s++)*+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_TOKEN = re.compile(r"""(?P<string>"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')|(?P<open>[(\[{])|(?P<close>[)\]}])|,""")


def read_calls(text: str, tools: Toolbox) -> list[Written]:
    """Read one call after another.

    Raises:
        NotACall: something in between is no call, or a value has no single reading.
    """
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    found: list[Written] = []
    at = past(_AND, text, 0)
    while at < len(text):
        name = _NAME.match(text, at)
        if not name:
            raise NotACall("something between the calls")
        reader = _Arguments(text, name.end(), tools.get(name.group()[:-1].rstrip()))
        try:
            arguments = reader.read()
        except NotJSON as error:
            raise NotACall(f"an argument is not readable: {error}") from error
        found.append(Written(name=name.group()[:-1].rstrip(), arguments=arguments, repairs=reader.repairs))
        at = past(_AND, text, reader.at)
    return found


def render_call(call: ToolCall) -> str:
    """A call as ``name(key=value, …)``.

    Raises:
        RenderError: a name is no Python identifier.
    """
    for name in (*call.name.split("."), *call.arguments):
        if not name.isidentifier() or keyword.iskeyword(name):
            raise RenderError(f"{name!r} in a call of {call.name!r} is no Python name; choose a JSON format")
    if _SURROGATE.search(json.dumps(call.arguments, ensure_ascii=False)):
        raise RenderError(f"a call of {call.name!r} holds half a character, which nothing can send")
    return f"{call.name}({', '.join(f'{key}={value!r}' for key, value in call.arguments.items())})"


class _Arguments:
    """The arguments of one call, from behind its opening bracket to behind its closing one."""

    def __init__(self, text: str, at: int, tool: ToolSpec | None) -> None:
        self._text = text
        self.at = at
        self._tool = tool
        self._reader = Reader(text, at, python=True)
        self._repairs: list[str] = []

    @property
    def repairs(self) -> tuple[str, ...]:
        return (*self._reader.repairs, *self._repairs)

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while True:
            self.at = past(_SEPARATORS, self._text, self.at)
            if self._text.startswith(")", self.at):
                self.at += 1
                return found
            key = self._key(found)
            if key in found:
                raise NotJSON(f"{key} is given twice")
            found[key] = self._value(key)

    def _key(self, found: dict[str, Any]) -> str:
        named = _KEYWORD.match(self._text, self.at)
        if named:
            self.at = named.end()
            return named[1]
        properties = list(self._tool.properties) if self._tool else []
        if len(found) >= len(properties):
            raise NotJSON("a value without a name")
        self._repairs.append(f"bound a positional value to {properties[len(found)]}")
        return properties[len(found)]

    def _value(self, key: str) -> Any:
        start = self._reader.at = self.at
        schema = self._tool.properties.get(key) if self._tool else None
        root: Schema = self._tool.parameters if self._tool else {}
        textual = self._tool is not None and schema is not None and allows("string", schema, root)
        try:
            value = self._reader.value()
            self._reader.skip()
            if self._text[self._reader.at : self._reader.at + 1] not in (",", ")"):
                raise NotJSON(f"something behind the value of {key}")
        except NotJSON:
            if not textual or self._text[start : start + 1] in "\"'":
                raise
            return self._bare(key, start)
        self.at = self._reader.at
        if textual and isinstance(value, (int, float)) and not isinstance(value, bool):
            kinds_beside = any(allows(kind, schema, root) for kind in ("integer", "number"))
            if not kinds_beside:
                return self._text[start : self.at].strip()
        return value

    def _bare(self, key: str, start: int) -> str:
        """Text without quotes: up to the closing bracket, or to a comma with another name behind it."""
        depth = 0
        for token in _TOKEN.finditer(self._text, start):
            if token["open"]:
                depth += 1
            elif token["close"]:
                depth -= 1
            ended = depth < 0 or (token.group() == "," and depth == 0 and self._names(token.end()))
            if ended:
                self.at = token.start()
                self._repairs.append(f"{key}: took text without quotes")
                return self._text[start : self.at].strip()
        raise NotJSON(f"the value of {key} does not end")

    def _names(self, at: int) -> bool:
        """Whether another named argument follows."""
        return _KEYWORD.match(self._text, past(_SEPARATORS, self._text, at)) is not None
