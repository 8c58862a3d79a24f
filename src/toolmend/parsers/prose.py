"""Prose: the reply's last sentence announces a call and writes it out; models whose tuning turned calls to sentences.

``I will call find_book(title=Dune)``. The sentence must announce that the model itself acts, now; it must be the last
one, or the last before the call; the call stands outside of code and quotes, names a declared tool and gives every
required argument. In prose a call is more often spoken of than made, so what is not clearly an announcement stays
text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import regex

from toolmend._blocks import LEFTOVER, Block, NotHere
from toolmend._call_body import CallBody
from toolmend._dialect import Dialect, Region
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._types import ToolCall
from toolmend.parsers._announcement import CONDITION, CONSIDERS, announced, direct, said
from toolmend.parsers._fitting import fitting
from toolmend.parsers._pythonic import read_calls, render_call

__all__ = ["Prose"]

_GOES_ON = re.compile(
    r"[\s,;:.!*_…-]*(?:(?:to|for|now|and|so|first|next|right now|again|here|tool|function|using|with|then|as|which|"
    rf"in order|immediately|directly|please)\b.*)?(?:{LEFTOVER})?",
    re.IGNORECASE | re.DOTALL,
)
_TAKES_BACK = re.compile(
    rf"{CONDITION.pattern}|{CONSIDERS.pattern}|\b(?:after|tomorrow|as soon|provided|assuming|but)\b", re.IGNORECASE
)


@lru_cache(maxsize=64)
def _rest_of_sentence(names: str) -> regex.Pattern[str]:
    """Another call, or what may still stand between the call and the end of the reply."""
    more = rf"(?P<more>(?:[\s,;]{{0,4}}(?:and|then)){{0,2}}[\s,;]{{1,4}}(?:{names})\s{{0,2}}\()"
    rest = rf"(?:[^.!?\n`\"'<]|\.(?=\w)|<(?!\|)|'(?=\w)){{0,160}}[.!…]{{0,3}}[\s*_]{{0,16}}(?P<end>{LEFTOVER})"
    return regex.compile(f"{more}|{rest}")


def _taken_back(tail: str) -> bool:
    """Whether the rest of the sentence takes the announcement back, or speaks about the call."""
    return not _GOES_ON.fullmatch(tail) or _TAKES_BACK.search(direct(tail)) is not None


def _body(lead: str, names: str) -> CallBody:
    if not announced(lead) and not said(lead):
        raise NotHere
    return CallBody(_rest_of_sentence(names), last=True, never=_taken_back)


class Prose(Dialect):
    """A call of a declared tool in the sentence that announces it."""

    name = "prose"
    sample = "I will call find_book(title='Dune', max_hits=3)"

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """A declared name with its bracket, inside a sentence."""
        names = tools.names
        opener = rf"(?<![\w.`\"'“‘(])(?:{names})\s{{0,2}}\("
        return (Block(opener, lambda _, lead: _body(lead, names), "plain"),)

    def parse(self, region: Region) -> list[Written | NotACall]:
        """The call.

        Raises:
            NotACall: a required argument is missing, or has no name behind a sentence that has ended.
        """
        calls = fitting(read_calls(region.text, region.tools), region)
        for call in calls:
            if isinstance(call, NotACall):
                raise call
            tool = region.tools.get(call.name)
            missing = [key for key in (tool.required if tool else ()) if key not in call.arguments]
            if missing:
                raise NotACall(f"required arguments are missing: {', '.join(missing)}")
        return calls

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """One sentence that announces all calls.

        Raises:
            RenderError: a name is no Python identifier.
        """
        return f"I will call {', then '.join(map(render_call, calls))}"
