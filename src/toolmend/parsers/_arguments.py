"""The arguments of a call in Python's syntax, bound to the tool's parameters.

Values are Python or JSON literals. Where a value is no literal but the parameter takes text, the text between the
separators is the value, verbatim: models leave out quotes. Positional values bind in the order of the schema, and a
single object whose keys are all parameters is the arguments themselves. A name, a type or dots where a value should
be make it a signature: documentation, not a call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from toolmend._coerce import allows
from toolmend._json import NotJSON, Reader, past
from toolmend._toolbox import Description
from toolmend._types import Schema, ToolSpec

__all__ = ["Arguments"]

_KEYWORD = re.compile(r"([A-Za-z_](?:\w|\\_)*+)\s*+=(?!=)\s*+")
_COLON = re.compile(r"([A-Za-z_](?:\w|\\_)*+)\s*+:\s*+")
_SEPARATORS = re.compile(r"[\s,;]*+")
_STARS = re.compile(r"\*\*\s*+(?=\{)")
# a string, unless it is an apostrophe; one that does not close takes all the rest, lest each of its quotes be tried
_TOKEN = re.compile(
    r"""(?P<string>(?<!\w)(?:"(?:[^"\\]|\\.)*+(?:"|\Z)|'(?:[^'\\]|\\.)*+(?:'|\Z)))|(?P<open>[(\[{])|(?P<close>[)\]}])|,""",
    re.DOTALL,
)
_TYPE = re.compile(
    r"(?:str|string|text|int|integer|float|number|bool|boolean|list|array|dict|object|any|none|null|optional|union|tuple)"
    r"\b(?:\[.*\])?\s*(?:[|=].*)?",
    re.IGNORECASE | re.DOTALL,
)
_HOLDERS = frozenset({"params", "parameters", "arguments", "args", "kwargs"})


class Arguments:
    """The arguments of one call, from behind its opening bracket to behind its closing one.

    Args:
        text: what the call stands in.
        at: where its arguments begin.
        tool: the tool, if it is offered.
    """

    def __init__(self, text: str, at: int, tool: ToolSpec | None) -> None:
        self._text = text
        self.at = at
        self._tool = tool
        self._reader = Reader(text, at, python=True)
        self._repairs: list[str] = []

    @property
    def repairs(self) -> tuple[str, ...]:
        """What was mended so far."""
        return tuple(dict.fromkeys((*self._reader.repairs, *self._repairs)))

    def read(self) -> dict[str, Any]:
        """Read up to behind the closing bracket.

        Raises:
            NotJSON: a value has no single reading, or no parameter to bind to.
            Description: it is a signature.
        """
        found: dict[str, Any] = {}
        while True:
            self.at = past(_SEPARATORS, self._text, self.at)
            if self._text.startswith(")", self.at):
                self.at += 1
                return self._spread(found)
            self.at = past(_STARS, self._text, self.at)
            key = self._key(found)
            if key in found:
                raise NotJSON(f"{key} is given twice")
            found[key] = self._value(key)

    def _key(self, found: dict[str, Any]) -> str:
        named = _KEYWORD.match(self._text, self.at)
        if named:
            self.at = named.end()
            return self._unescaped(named[1])
        properties = list(self._tool.properties) if self._tool else []
        loose = _COLON.match(self._text, self.at)
        if loose and self._unescaped(loose[1]) in properties:
            self.at = loose.end()
            self._repairs.append("read ':' as '='")
            return self._unescaped(loose[1])
        if len(found) >= len(properties):
            raise NotJSON("a value without a name")
        self._repairs.append(f"bound a positional value to {properties[len(found)]}")
        return properties[len(found)]

    def _unescaped(self, name: str) -> str:
        """A name without the backslashes that Markdown wants before underscores."""
        if "\\_" in name:
            self._repairs.append("dropped backslashes before underscores")
        return name.replace("\\_", "_")

    def _spread(self, found: dict[str, Any]) -> dict[str, Any]:
        """The arguments, where all of them were given as one object."""
        if len(found) != 1 or not self._tool:
            return found
        (key, value), properties = next(iter(found.items())), self._tool.properties
        if not isinstance(value, Mapping) or not (
            key in _HOLDERS or any("positional" in line for line in self._repairs)
        ):
            return found
        spread = cast("Mapping[str, Any]", value)
        held = key not in properties or not allows("object", properties[key], self._tool.parameters)
        if not held or not all(name in properties for name in spread):
            return found
        self._repairs.append("took an object for the arguments")
        return dict(spread)

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
                return self._unless_placeholder(key, self._text[start : self.at].strip(), start)
        raise NotJSON(f"the value of {key} does not end")

    def _unless_placeholder(self, key: str, value: str, start: int) -> str:
        typed = self._text[max(0, start - 8) : start].rstrip().endswith(":") and _TYPE.fullmatch(value)
        if typed or value in ("...", "…", key, f"<{key}>", f"[{key}]", f"{{{key}}}"):
            raise Description("a signature, not a call")
        return value

    def _names(self, at: int) -> bool:
        """Whether another named argument follows."""
        return _KEYWORD.match(self._text, past(_SEPARATORS, self._text, at)) is not None
