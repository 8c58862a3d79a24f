"""Calls in Python's syntax behind a marker, where a format has nothing else or models write them in JSON's place.

The marker makes a call of whatever name it has: an undeclared one is told, not taken for text.
"""

from __future__ import annotations

import re
from functools import lru_cache

import regex

from toolmend._blocks import LEFTOVER, Block, Body
from toolmend._call_body import CallBody
from toolmend._composed_body import FollowedBody

__all__ = ["are_calls", "calls_behind"]

_NAME = r"[A-Za-z_][\w.-]{0,127}"
_BEGIN = re.compile(rf"\s*+(?:\[\s*+)?[\"']{{0,3}}{_NAME}\s*+\(")


@lru_cache(maxsize=64)
def _patterns(closer: str, names: str) -> tuple[str, regex.Pattern[str], regex.Pattern[str]]:
    """A call up to its bracket, what may follow one, and what may follow them all."""
    call = rf"(?:\[\s{{0,16}})?[\"']{{0,3}}(?:{names})\s{{0,4}}\("
    after = rf"(?P<more>[\s,;]{{0,64}}{call})|\s{{0,64}}(?P<end>{LEFTOVER})"
    return call, regex.compile(after), regex.compile(rf"\s{{0,64}}(?:{closer})")


def calls_behind(opener: str, closer: str, names: str = _NAME) -> Block:
    """The block that a marker opens, a name with its bracket behind it.

    Args:
        opener: regular expression of the marker, bounded, without the white space behind it.
        closer: regular expression of what may stand behind the calls and belongs to them.
        names: regular expression of the names that count, where other code may stand behind the marker.
    """
    call, after, follows = _patterns(closer, names)

    def body(_: str, __: str) -> Body:
        return FollowedBody(CallBody(after, strict=False), follows)

    return Block(rf"{opener}\s{{0,64}}{call}", body)


def are_calls(text: str) -> bool:
    """Whether what stands behind a marker are calls in Python's syntax."""
    return _BEGIN.match(text) is not None
