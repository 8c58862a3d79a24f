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

_NAME = re.compile(r"(?P<quote>[\"']?)(?P<name>[A-Za-z_](?:[\w.-]|\\_)*+)(?P=quote)\s*+\(")
_APART = re.compile(r"(?P<quote>[\"'])(?P<name>[A-Za-z_](?:[\w.-]|\\_)*+)(?P=quote)\s*+,\s*+(?=[{\"'])")
_PAIR = re.compile(r"[A-Za-z_]\w*+\s*+=")
_GLUE = re.compile(
    r"(?:[\s,;\[\]()+]|\#[^\n]*+|(?:and|then|return|await)\s++|print\s*+\(|[A-Za-z_]\w*+\s*+=\s*+(?=[A-Za-z_\[\"']))*+"
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_MAX_DEPTH = 3  # strings in lists in strings: past that it is no call


def read_calls(text: str, tools: Toolbox, depth: int = 0) -> list[Written]:
    """Read one call after another.

    Raises:
        NotACall: something in between is no call, or a value has no single reading.
    """
    found: list[Written] = []
    at = past(_GLUE, text, 0)
    while at < len(text):
        written, at = _one(text, at, tools, depth)
        found.extend(written)
        at = past(_GLUE, text, at)
    return found


def _one(text: str, at: int, tools: Toolbox, depth: int) -> tuple[list[Written], int]:
    """The call or calls that begin here, and where they end."""
    name = _NAME.match(text, at)
    if name:
        reader = Arguments(text, name.end(), tools.get(_unescaped(name["name"])))
        try:
            arguments = reader.read()
        except NotJSON as error:
            raise NotACall(f"an argument is not readable: {error}") from error
        return [Written(name=_unescaped(name["name"]), arguments=arguments, repairs=reader.repairs)], reader.at
    if text[at] not in "\"'" or depth > _MAX_DEPTH:
        raise NotACall("something between the calls")
    apart = _APART.match(text, at)
    try:
        if apart:
            return _apart(_unescaped(apart["name"]), text, apart.end(), tools, depth)
        reader = Reader(text, at, python=True)
        inside = reader.string()
    except NotJSON as error:
        raise NotACall(f"a call in quotes is not readable: {error}") from error
    return read_calls(inside, tools, depth + 1), reader.at


def _apart(name: str, text: str, at: int, tools: Toolbox, depth: int) -> tuple[list[Written], int]:
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
