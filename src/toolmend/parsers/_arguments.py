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
_LOOSE = re.compile(r"(?P<quote>[\"']?)(?P<key>[A-Za-z_](?:\w|\\_)*+)(?P=quote)\s*+[:=](?!=)\s*+")
_PAIR = re.compile(r"(?P<quote>[\"'])(?P<key>[A-Za-z_]\w*+)=(?!=)[^\"'\\\n]++(?P=quote)(?=\s*+[,)])")
_MONEY = re.compile(r"[$€£]\s?+(?=\d)")
_THOUSANDS = re.compile(r"(?<=\d,)\d{3}(?!\d)")
_TYPOGRAPHIC = (("“", "”"), ("‘", "’"), ("„", "“"), ("«", "»"))
_QUOTES = re.compile("[“”„«»‘]")
_CLOSERS = re.compile(r"[\s\])};]*+\Z")
_SEPARATORS = re.compile(r"(?:[\s,;]|\#[^\n]*+\n)*+")
_COMMENTS = re.compile(r"(?:\s|\#[^\n]*+\n)*+")
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
        markdown: underscores are escaped for Markdown.
    """

    def __init__(self, text: str, at: int, tool: ToolSpec | None, *, markdown: bool = False) -> None:
        self._text = text
        self.at = at
        self._tool = tool
        self._reader = Reader(text, at, python=True)
        self._reader.markdown = markdown
        self._repairs: list[str] = []
        self._positional = False

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
            if self._text.startswith("]", self.at) and _CLOSERS.match(self._text, self.at):
                self.at += 1
                self._repairs.append("read ']' as ')'")
                return self._spread(found)
            self.at = past(_STARS, self._text, self.at)
            key, value = self._pair() or self._named(found)
            if key in found:
                raise NotJSON(f"{key} is given twice")
            found[key] = value

    def _pair(self) -> tuple[str, Any] | None:
        """Name and value, where they stand in quotes together and the parameter they would bind to takes no text."""
        quoted = _PAIR.match(self._text, self.at)
        if not quoted or not self._tool or quoted["key"] not in self._tool.properties:
            return None
        schemas = self._tool.properties.values()
        if any(allows("string", schema, self._tool.parameters) for schema in schemas):
            return None
        inside = Arguments(f"{quoted.group()[1:-1]})", len(quoted["key"]) + 1, self._tool)
        self.at = quoted.end()
        self._repairs.append("took a name and its value out of quotes")
        return quoted["key"], inside.value(quoted["key"])

    def _named(self, found: dict[str, Any]) -> tuple[str, Any]:
        key = self._key(found)
        return key, self.value(key)

    def _key(self, found: dict[str, Any]) -> str:
        named = _KEYWORD.match(self._text, self.at)
        if named:
            self.at = named.end()
            return self._unescaped(named[1])
        properties = list(self._tool.properties) if self._tool else []
        loose = _LOOSE.match(self._text, self.at)
        if loose and self._unescaped(loose["key"]) in properties:
            self.at = loose.end()
            self._repairs.append("read ':' as '='" if ":" in loose.group() else "dropped the quotes around a name")
            return self._unescaped(loose["key"])
        digits_go_on = not self._positional and _THOUSANDS.match(self._text, self.at)
        if len(found) >= len(properties) or digits_go_on:
            raise NotJSON("a value without a name")
        self._positional = True
        self._repairs.append(f"bound a positional value to {properties[len(found)]}")
        return properties[len(found)]

    def _unescaped(self, name: str) -> str:
        """A name without the backslashes that Markdown wants before underscores; values then have them as well."""
        if "\\_" in name:
            self._reader.markdown = True
            self._repairs.append("dropped backslashes before underscores")
        return name.replace("\\_", "_")

    def _spread(self, found: dict[str, Any]) -> dict[str, Any]:
        """The arguments, where an object that holds them was given in their place."""
        objects = {key: cast("Mapping[str, Any]", value) for key, value in found.items() if isinstance(value, Mapping)}
        held = [key for key, value in objects.items() if self._holds(key, value, found)]
        if len(held) != 1:
            return found
        self._repairs.append("took an object for the arguments")
        return {**objects[held[0]], **{key: value for key, value in found.items() if key != held[0]}}

    def _holds(self, key: str, value: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
        """Whether an argument is none of the tool's, but an object that holds them."""
        declared: Schema = self._tool.properties if self._tool else {}
        if not self._tool or not all(name in declared and (name == key or name not in found) for name in value):
            return False
        if key not in declared and not self._tool.parameters.get("additionalProperties"):
            return True
        alone = len(found) == 1 and (key in _HOLDERS or self._positional)
        schema = declared.get(key)
        return alone and (schema is None or not allows("object", schema, self._tool.parameters))

    def value(self, key: str) -> Any:
        """Read the value of a parameter.

        Raises:
            NotJSON: it has no single reading.
        """
        start = self._reader.at = self.at
        schema = self._tool.properties.get(key) if self._tool else None
        root: Schema = self._tool.parameters if self._tool else {}
        textual = self._tool is not None and schema is not None and allows("string", schema, root)
        try:
            value = self._reader.value(member=True)
            self._end(key)
        except NotJSON:
            if self._text[start : start + 1] in "\"'":
                raise
            if textual:
                return self._bare(key, start)
            if not _MONEY.match(self._text, start):
                raise
            return self._money(key, start)
        self.at = self._reader.at
        if textual and isinstance(value, (int, float)) and not isinstance(value, bool):
            kinds_beside = any(allows(kind, schema, root) for kind in ("integer", "number"))
            if not kinds_beside:
                return self._text[start : self.at].strip()
        return value

    def _end(self, key: str) -> None:
        """The value ends where another argument may begin, or the call ends."""
        self._reader.at = past(_COMMENTS, self._text, self._reader.at)
        behind = self._reader.peek()
        if behind not in (",", ")") and not (behind == "]" and _CLOSERS.match(self._text, self._reader.at)):
            raise NotJSON(f"something behind the value of {key}")

    def _money(self, key: str, start: int) -> Any:
        """A number behind a currency's sign."""
        self._reader.at = past(_MONEY, self._text, start)
        value = self._reader.value()
        self._end(key)
        self._repairs.append(f"{key}: dropped the currency")
        self.at = self._reader.at
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
                value = self._text[start : self.at].strip()
                inside = value[1:-1]
                if (value[:1], value[-1:]) in _TYPOGRAPHIC and not _QUOTES.search(inside):
                    self._repairs.append(f"{key}: read typographic quotes")
                    return inside
                self._repairs.append(f"{key}: took text without quotes")
                value = value.replace("\\_", "_") if self._reader.markdown else value
                return self._unless_placeholder(key, value, start)
        raise NotJSON(f"the value of {key} does not end")

    def _unless_placeholder(self, key: str, value: str, start: int) -> str:
        if not value:
            raise NotJSON(f"{key} has no value")
        typed = self._text[max(0, start - 8) : start].rstrip().endswith(":") and _TYPE.fullmatch(value)
        if typed or value in ("...", "…", key, f"<{key}>", f"[{key}]", f"{{{key}}}"):
            raise Description("a signature, not a call")
        return value

    def _names(self, at: int) -> bool:
        """Whether another named argument follows."""
        return _KEYWORD.match(self._text, past(_SEPARATORS, self._text, at)) is not None
