"""Prose: the reply's last sentence announces a call and writes it out; models whose tuning turned calls to sentences.

``I will call find_book(title=Dune)``. The sentence must announce, not consider; it must be the last one; the call
stands outside of code and quotes, names a declared tool and gives every required argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import regex

from toolmend._blocks import LEFTOVER, Block, NotHere
from toolmend._call_body import CallBody
from toolmend._dialect import Dialect, Region
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._types import ToolCall
from toolmend.parsers._pythonic import read_calls, render_call

__all__ = ["Prose"]

_SENTENCE = regex.compile(r"(?:^|[.!?]\s|\n)([^\n]*?)$")
_ANNOUNCES = regex.compile(
    r"\b(?:i(?:'|’)ll|i\s(?:will|am\sgoing\sto|need\sto|am\s(?:now\s)?(?:calling|using))|i(?:'|’)m\s(?:going\sto|(?:now\s)?(?:calling|using))"
    r"|let\s(?:me|us)|let(?:'|’)s|(?:call|us|invok|execut|runn)ing|(?:tool|function)\scall:|next,?\scall|now\scall)\b?",
    regex.IGNORECASE,
)
_CONSIDERS = regex.compile(
    r"\b(?:if|unless|would|could|should|might|may|can|cannot|shall\s(?:i|we)|not|never|don['’]t|won['’]t|instead\sof|"
    r"example|e\.g|like|whether|when|before|previous|earlier)\b|\?",
    regex.IGNORECASE,
)


@lru_cache(maxsize=64)
def _rest_of_sentence(names: str) -> regex.Pattern[str]:
    """Another call, or what may still stand between the call and the end of the reply."""
    more = rf"(?P<more>(?:[\s,;]{{0,4}}(?:and|then)){{0,2}}[\s,;]{{1,4}}(?:{names})\s{{0,2}}\()"
    rest = rf"(?:[^.!?\n`\"'<]|\.(?=\w)|<(?!\|)){{0,160}}[.!]{{0,3}}[\s*_]{{0,16}}(?P<end>{LEFTOVER})"
    return regex.compile(f"{more}|{rest}")


def _body(opener: str, lead: str, names: str) -> CallBody:
    sentence = _SENTENCE.search(lead)
    if not sentence or not _ANNOUNCES.search(sentence[1]) or _CONSIDERS.search(sentence[1]):
        raise NotHere
    return CallBody(_rest_of_sentence(names), last=True, never=_CONSIDERS)


class Prose(Dialect):
    """A call of a declared tool in the sentence that announces it."""

    name = "prose"
    sample = "I will call find_book(title='Dune', max_hits=3)"

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """A declared name with its bracket, inside a sentence."""
        names = tools.names
        opener = rf"(?<![\w.`\"'“‘(])(?:{names})\s{{0,2}}\("
        return (Block(opener, lambda opener, lead: _body(opener, lead, names), "plain"),)

    def parse(self, region: Region) -> list[Written | NotACall]:
        """The call.

        Raises:
            NotACall: a required argument is missing.
        """
        calls = read_calls(region.text, region.tools)
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
