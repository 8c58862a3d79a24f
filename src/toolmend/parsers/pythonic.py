"""Pythonic: calls in Python's syntax; Llama 3.2 and 4, ToolACE, Gemma 3, and most models asked for "a function call".

In a list on a line of its own, alone on the reply's first or last lines, or in a code fence. Around them stands what
models put there: ``print(…)``, ``x = …``, every call as a string, prose before and after.
Source: Meta's prompt format for Llama 3.2 and Llama 4.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import regex

from toolmend._blocks import LEFTOVER, LINE, Block, NotHere
from toolmend._call_body import CallBody
from toolmend._dialect import Dialect, Region
from toolmend._fence_body import FenceBody, unfenced
from toolmend._quotation import is_step
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._types import ToolCall
from toolmend.parsers._pythonic import read_calls, render_call

__all__ = ["Pythonic"]

_WRAPPER = r"(?:print\s{0,4}\(\s{0,4}|return\s{1,4}|await\s{1,4}|[A-Za-z_]\w{0,60}\s{0,4}=\s{0,4}){0,2}"
_CODE = re.compile(r"(?:^|\n)\s*(?:def|class|if|elif|else|for|while|with|try|except|async)\b[^\n]*:\s*$")
_NAMESPACE = r"(?:(?:functions|default_api|api|tools)\.)?"
_GAP = r"(?:\s|\\(?=\n)){0,64}"  # a line may go on behind a backslash
_LIST = r"(?:\[\s{0,16})"
_INTRODUCES = re.compile(
    r"(?:call|function|tool|invo|answer|solution|use)[^\n]*:\s*$|[\[<](?:function|tool)[_ -]?calls?[\]>]\s*$",
    re.IGNORECASE,
)
_ADVICE = re.compile(r"\b(?:how|you|examples?|usage|available|following)\b", re.IGNORECASE)


@lru_cache(maxsize=64)
def _after(call: str, where: str) -> regex.Pattern[str]:
    """What may follow a call or a list: more of them, or an end.

    A list ends wherever its bracket does. A call that is the first thing said ends with its line, any other one with
    the reply.
    """
    if where == "list":
        return regex.compile(
            rf"(?P<more>[\])'\"]{{0,8}}[ \t]{{0,16}}(?:[,;+|]|or\s){_GAP}(?:\[\s{{0,16}})?{call})(?P<end>(?!))?"
        )
    if where == "line":
        more = rf"[ \t]{{0,64}}(?:[,;+]{_GAP})?(?:\[\s{{0,16}})?{call}"
        return regex.compile(rf"(?P<more>{more})|(?:\[[^\]\n]{{0,60}}\])?`?[ \t.;]{{0,8}}(?P<end>\n|{LEFTOVER})")
    more = rf"(?:[\s,;+]|\\(?=\n)){{0,64}}(?:\[\s{{0,16}})?{call}"
    return regex.compile(rf"(?P<more>{more})|[\s;]{{0,64}}(?P<end>{LEFTOVER})")


class Pythonic(Dialect):
    """``[f(a=1), g()]`` or ``f(a=1)``, for declared names."""

    name = "pythonic"
    models = ("*llama-4*", "*llama4*", "*llama-3.2*", "*llama3.2*", "*toolace*")
    sample = "[find_book(title='Dune', max_hits=3)]"

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """A declared name with its bracket: in a fence, behind ``[``, or at the start of a line."""
        named = rf"[\"'`]{{0,3}}{_NAMESPACE}(?:{tools.names})[\"']{{0,3}}\s{{0,4}}\("
        call = _WRAPPER + named
        apart = rf"\(?\s{{0,4}}[\"'](?:{tools.names})[\"']\s{{0,4}},\s{{0,8}}[{{\"']"
        fence = rf"{LINE}`{{3,8}}[ \t]{{0,8}}[A-Za-z0-9_+#.-]{{0,20}}[ \t]{{0,8}}\s{{1,64}}"
        comment = r"(?:\#[^\n]{0,200}\n\s{0,32}){0,3}"

        def listed(opener: str, lead: str) -> CallBody:
            if opener.lstrip()[0] not in "[(" and lead.strip() and not _INTRODUCES.search(lead):
                raise NotHere  # in backticks, assigned or returned
            return CallBody(_after(f"(?:{named}|{apart})", "list"), strict=False)

        def bare(opener: str, lead: str) -> CallBody:
            # the first thing said, or what the line before announces; elsewhere only the last lines count
            step = is_step(lead) and not _ADVICE.search(lead)
            first = not lead.strip() or step or _INTRODUCES.search(lead) is not None
            if (opener.lstrip().startswith("`") and not first) or _CODE.search(lead):
                raise NotHere
            return CallBody(_after(call, "line" if first else "reply"), last=not first)

        return (
            Block(
                rf"{fence}{comment}{_WRAPPER}{_LIST}{{0,3}}(?:{named}|{apart})",
                lambda opener, _: FenceBody(opener),
                "fence",
            ),
            Block(rf"(?:{LINE}`?{_WRAPPER}|(?<=:)[ \t]{{1,4}}){_LIST}{{1,3}}(?:{call}|{apart})", listed, "plain"),
            Block(rf"{LINE}`?{call}", bare, "plain"),
        )

    def parse(self, region: Region) -> list[Written | NotACall]:
        """The calls."""
        inside = unfenced(region.text)
        return read_calls(region.text if inside is None else inside, region.tools)

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """A list of all calls.

        Raises:
            RenderError: a name is no Python identifier.
        """
        return f"[{', '.join(map(render_call, calls))}]"
