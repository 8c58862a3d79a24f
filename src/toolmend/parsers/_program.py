"""Where a name with brackets belongs to a program or to a manual, which look like calls and are none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import cast

from toolmend._blocks import LINE

__all__ = ["definitions", "explains", "follows_code", "is_signature", "unexplained"]

_MODIFIER = r"(?:(?:export|default|public|private|protected|static|final|async|pub|local)[ \t]{1,4}){0,4}"
_DEFINES = r"(?:def|function|func|fn|fun|sub|void|int|float|double|str|string|bool|boolean)"
_VALUE = r"(?:lambda\b|function\b|async\b|\([\w\s,:=]{0,120}\)[ \t]{0,4}=>)"
_HEADER = r"(?:^|\n)[ \t]*(?:def|class|if|elif|else|for|while|with|try|except|async)\b[^\n]*:[ \t]*"
_BLOCK = re.compile(rf"{_HEADER}\s*\Z")
_INDENTED = re.compile(rf"{_HEADER}(?:\n(?:[ \t][^\n]*+)?+)*+\Z")
_STATEMENT = re.compile(
    r"(?:(?:import \w|from \S+ import |(?:const|let|var) [\w{\[][^\n=]*=|using \w|package \w)[^\n]*|\#include\b[^\n]*)"
    r"\Z"
)
_VERBS = (
    r"(?:is|are|was|were|would|can|could|should|does|returns?|prints|gives|takes|fetches|retrieves|gets|finds|calls|runs"
    r"|shows|means|has|lists|reads|executes|computes|calculates|which)"
)

_MANUAL = (
    r"(?:Th(?:is|e) (?:function|method|tool|command) [a-z]{1,16}s\b"
    r"|(?:Returns|Gets|Retrieves|Fetches|Lists|Shows) [a-z])"
)
_TYPES = frozenset({"string", "str", "integer", "int", "number", "float", "boolean", "bool", "array", "list", "object"})
_Object = Mapping[str, object]
_ROOM = 48  # more than what follows a call has to show before it is known not to explain the call


@lru_cache
def explains(*, empty: bool) -> re.Pattern[str]:
    """What explains the call on the line before: a sentence that goes on with it, or says what the function does.

    Args:
        empty: the call has no arguments. Of others models also say what they do after they have made them.
    """
    return re.compile(rf"[^\n]{{0,80}}\n\s*+(?:{_VERBS}\b{rf'|{_MANUAL}' if empty else ''})")


def unexplained(*, empty: bool) -> str:
    """Regular expression of the end of a call's line, with nothing behind it that explains it."""
    told = rf"{_VERBS}\b{rf'|{_MANUAL}' if empty else ''}"
    return rf"\n(?=\s{{0,64}}+(?=[\s\S]{{{_ROOM}}})(?!{told}))"


def definitions(names: str) -> tuple[str, ...]:
    """Code that defines what bears a tool's name: what calls it afterwards is code, too."""
    return (
        rf"{LINE}{_MODIFIER}{_DEFINES}[ \t]{{1,4}}(?:{names})(?=[ \t]{{0,4}}\()",
        rf"{LINE}{_MODIFIER}(?:const|let|var)[ \t]{{1,4}}(?:{names})(?=[ \t]{{0,4}}=)",
        rf"{LINE}(?:{names})(?=[ \t]{{0,4}}=[ \t]{{0,4}}{_VALUE})",
    )


def follows_code(lead: str, opener: str) -> bool:
    """Whether a line goes on with a program."""
    said = lead.rstrip()
    return bool(
        _BLOCK.search(lead)
        or _STATEMENT.match(said[said.rfind("\n") + 1 :].lstrip())
        or (opener[0] in " \t" and _INDENTED.search(lead))
    )


def is_signature(arguments: Mapping[str, object]) -> bool:
    """Whether all values are types, by name or by schema: the parameters are told, and nothing is called."""
    return bool(arguments) and all(_is_type(value) for value in arguments.values())


def _is_type(value: object) -> bool:
    return str(value) in _TYPES or (isinstance(value, Mapping) and str(cast("_Object", value).get("type")) in _TYPES)
