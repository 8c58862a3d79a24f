"""Calls in Python's syntax, read and written without ever evaluating anything.

Models wrap them in what the language allows: ``print(f(a=1))``, ``x = f(a=1)``, ``f(); g()``, ``f() + g()``, and in
what only they allow: every call as a string in a list, the name and its arguments apart, backslashes before
underscores. All of that is glue around calls; anything else between them means that this is code, not calls.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping
from typing import Any, cast

from toolmend._errors import RenderError
from toolmend._json import NotJSON, Reader, past
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._types import ToolCall
from toolmend.parsers._arguments import Arguments

__all__ = ["read_calls", "render_call"]

_NAME = re.compile(r"[\"']{0,3}(?P<name>\w(?:[\w.-]|\\_)*+)[\"']{0,3}\s*+\(")
_APART = re.compile(r"(?P<quote>[\"'])(?P<name>\w(?:[\w.-]|\\_)*+)(?P=quote)\s*+,\s*+(?=[{\"'])")
_PAIR = re.compile(r"[A-Za-z_]\w*+\s*+=")
_GLUE = re.compile(
    r"(?:[\s,;\[\]()+`|]|\\(?:n|(?=\n))|print\s*+\((?:[^()\n\"']|\"[^\"\n(]*+\"|'[^'\n(]*+')*+\)|\#[^\n]*+|(?:and|or|then|return|await)\s++|print\s*+\(|[A-Za-z_]\w*+\s*+=\s*+(?=[A-Za-z_\[\"']))*+"
)
_AFTER_CALL = re.compile(r"[\"'`]{0,3}(?:\[[^\]\n]{0,60}\])*+" + _GLUE.pattern)  # the end of its string, a subscript
# a string that does not close takes all the rest, lest each of its quotes be tried
_BRACKET = re.compile(r"""[()\[\]{}]|"(?:[^"\\]|\\.)*+(?:"|\Z)|'(?:[^'\\]|\\.)*+(?:'|\Z)""", re.DOTALL)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_MAX_DEPTH = 3  # strings in lists in strings: past that it is no call


def read_calls(text: str, tools: Toolbox, depth: int = 0) -> list[Written | NotACall]:
    """Read one call after another; a call that cannot be read does not keep the others from being read.

    Raises:
        NotACall: something in between is no call, or not one of them is readable.
    """
    found: list[Written | NotACall] = []
    at = past(_GLUE, text, 0)
    while at < len(text):
        written, at = _one(text, at, tools, depth)
        found.extend(written)
        at = past(_AFTER_CALL, text, at)
    if not any(isinstance(item, Written) for item in found):
        raise found[0] if found and isinstance(found[0], NotACall) else NotACall("no call")
    return found


def _one(text: str, at: int, tools: Toolbox, depth: int) -> tuple[list[Written | NotACall], int]:
    """The call or calls that begin here, and where they end."""
    if text[at] in "\"'":
        quoted = _in_quotes(text, at, tools, depth)
        if quoted:
            return quoted
    name = _NAME.match(text, at)
    if not name:
        raise NotACall("something between the calls", meant=False)
    markdown = "\\_" in name["name"]
    reader = Arguments(text, name.end(), tools.get(_unescaped(name["name"])), markdown=markdown)
    try:
        arguments = reader.read()
    except NotJSON as error:
        return [NotACall(f"an argument is not readable: {error}")], _behind(text, name.end())
    return [Written(name=_unescaped(name["name"]), arguments=arguments, repairs=reader.repairs)], reader.at


def _in_quotes(text: str, at: int, tools: Toolbox, depth: int) -> tuple[list[Written | NotACall], int] | None:
    """Calls inside a string, or a name in quotes with its arguments behind a comma."""
    apart = _APART.match(text, at)
    reader = Reader(text, at, python=True)
    try:
        if apart:
            return _apart(_unescaped(apart["name"]), text, apart.end(), tools, depth)
        inside = reader.string()
        return (read_calls(inside, tools, depth + 1), reader.at) if depth < _MAX_DEPTH else None
    except (NotJSON, NotACall):
        return None


def _behind(text: str, at: int) -> int:
    """Where the brackets that are open at `at` are closed."""
    level = 1
    for bracket in _BRACKET.finditer(text, at):
        level += 1 if bracket.group() in "([{" else -1 if bracket.group() in ")]}" else 0
        if not level:
            return bracket.end()
    return len(text)


def _apart(name: str, text: str, at: int, tools: Toolbox, depth: int) -> tuple[list[Written | NotACall], int]:
    """A name, and behind a comma its arguments: an object, or strings such as ``'a=1'``."""
    reader = Reader(text, at, python=True)
    value: Any = reader.value()
    if isinstance(value, Mapping):
        arguments = cast("Mapping[str, Any]", value)
        return [
            Written(name=name, arguments=arguments, repairs=(*reader.repairs, "joined a name and its arguments"))
        ], reader.at
    pairs: list[str] = []
    while isinstance(value, str) and _PAIR.match(value):
        pairs.append(value)
        reader.skip(",")
        at = reader.at
        if reader.peek() not in ("'", '"'):
            break
        value = reader.value()
    if not pairs:
        raise NotACall("a name without arguments", meant=False)
    return read_calls(f"{name}({', '.join(pairs)})", tools, depth + 1), at


def _unescaped(name: str) -> str:
    return name.replace("\\_", "_")


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
