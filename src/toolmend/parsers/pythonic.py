"""Pythonic: calls in Python's syntax; Llama 3.2 and 4, ToolACE, Gemma 3, and most models asked for "a function call".

In a list on a line of its own, alone on the reply's first or last lines, or in a code fence. Around them stands what
models put there: ``print(…)``, ``x = …``, every call as a string, marks of Markdown, prose before and after.
Source: Meta's prompt format for Llama 3.2 and Llama 4.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from toolmend._blocks import LINE, Block, Body, NotHere
from toolmend._call_body import CallBody
from toolmend._dialect import Dialect, Region
from toolmend._fence_body import LATER, FenceBody, unfenced
from toolmend._quotation import is_step
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._types import ToolCall
from toolmend.parsers._announcement import SAID, closing, said
from toolmend.parsers._call_ends import after, goes_on, in_line
from toolmend.parsers._dress import BEFORE, announces_calls, dressed, is_dressed, is_item, undressed
from toolmend.parsers._fitting import ANSWERS, NAMESPACE, fitting
from toolmend.parsers._program import definitions, follows_code
from toolmend.parsers._pythonic import read_calls, render_call

__all__ = ["Pythonic"]

_WRAPPER = r"(?:print\s{0,4}\(\s{0,4}|return\s{1,4}|await\s{1,4}|[A-Za-z_]\w{0,60}\s{0,4}=\s{0,4}){0,2}"
_LIST = r"(?:\[(?:\s|\\n){0,16})"
_INTRODUCES = re.compile(
    r"(?:call|function|tool|invo|answer|solution|use)[^\n]*:\s*$|[\[<](?:function|tool)[_ -]?calls?[\]>]\s*$",
    re.IGNORECASE,
)
_CALL_LABEL = re.compile(r"[\s*_-]*(?:function |tool )?(?:call|action) ?\#?\d{1,2}[\s*_]*:", re.IGNORECASE)
_OWNER = (  # but what any program has
    r"(?!(?:self|this|super|cls|os|sys|subprocess|requests|console|math|json|re|np|pd|logging|asyncio|random)\.)"
    r"[A-Za-z_]\w{0,40}\."
)
_LABELLED = r"(?<=:)\*{0,2}[ \t]{1,4}"
_ADVICE = re.compile(r"\b(?:how|you|examples?|usage|available|following)\b", re.IGNORECASE)


def _introduces(lead: str, opener: str) -> bool:
    """Whether the line before announces a call; before the items of a list it may as well name what can be called."""
    return bool(_INTRODUCES.search(lead)) and (not is_item(opener) or announces_calls(lead))


class Pythonic(Dialect):
    """``[f(a=1), g()]`` or ``f(a=1)``, for declared names."""

    name = "pythonic"
    models = ("*llama-4*", "*llama4*", "*llama-3.2*", "*llama3.2*", "*toolace*")
    sample = "[find_book(title='Dune', max_hits=3)]"

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """A declared name with its bracket: in a fence, behind ``[``, or at the start of a line."""
        named = rf"[\"'`]{{0,3}}{NAMESPACE}(?:{tools.names})[\"']{{0,3}}\s{{0,4}}\("
        call = _WRAPPER + named
        apart = rf"\(?\s{{0,4}}[\"'](?:{tools.names})[\"']\s{{0,4}},\s{{0,8}}[{{\"']"
        before = rf"{LINE}(?:{BEFORE})?"
        info = r"[ \t]{0,8}[A-Za-z0-9_+#.-]{0,20}[ \t]{0,8}"
        comment = r"(?:\#[^\n]{0,200}\n\s{0,32}){0,3}"

        fenced = f"{comment}{_WRAPPER}{_LIST}{{0,3}}(?:{named}|{apart})"

        def listed(opener: str, lead: str) -> Body:
            if opener.lstrip()[0] not in "[(" and lead.strip() and not _introduces(lead, opener):
                raise NotHere  # in marks, assigned or returned
            return dressed(CallBody(after(f"(?:{named}|{apart})", "list"), strict=False), opener)

        def bare(opener: str, lead: str) -> Body:
            # the first thing said, or what the line before announces; elsewhere only the last lines count
            step = is_step(lead) and not _ADVICE.search(lead)
            first = not lead.strip() or step or _introduces(lead, opener)
            if (is_dressed(opener) and not first) or follows_code(lead, opener):
                raise NotHere
            body = in_line(opener, call) if first else CallBody(after(call, "reply"), last=True, never=goes_on)
            return dressed(body, opener)

        return (
            *(Block.bar(definition) for definition in definitions(tools.names)),
            Block(rf"{LINE}`{{3,8}}{info}\s{{1,64}}{fenced}", lambda opener, _: FenceBody(opener), "fence"),
            Block(rf"{LATER}\s{{1,64}}{fenced}", lambda opener, _: FenceBody(opener), "plain"),
            Block(rf"(?:{before}{_WRAPPER}|{_LABELLED}){_LIST}{{1,3}}(?:{call}|{apart})", listed, "plain"),
            Block(f"{before}{call}", bare, "plain"),
            *self._fitting_blocks(call, tools.names),
        )

    @staticmethod
    def _fitting_blocks(call: str, names: str) -> Sequence[Block]:
        """Behind a label or a sentence on its line, or a method and nothing else: there the arguments must fit."""

        def labelled(opener: str, lead: str) -> Body:
            line = lead[lead.rfind("\n") + 1 :]
            if ANSWERS.fullmatch(line) and not _ADVICE.search(lead):
                return dressed(closing(in_line(opener, call)), opener)
            if not (is_step(lead) or _CALL_LABEL.fullmatch(line)) or _ADVICE.search(line):
                raise NotHere
            return dressed(in_line(opener, call), opener)

        def on_line(_: str, lead: str) -> Body:
            if not said(lead):
                raise NotHere
            return closing(CallBody(after(call, "list"), strict=False))

        def method(_: str, lead: str) -> Body:
            if lead.strip():
                raise NotHere
            return CallBody(after(call, "reply"), last=True, never=goes_on)

        return (
            Block(rf"{_LABELLED}`?{call}", labelled, "plain"),
            Block(rf"{SAID}{_LIST}{{1,2}}{call}", on_line, "plain"),
            Block(rf"{LINE}{_WRAPPER}{_OWNER}(?:{names})\s{{0,4}}\(", method, "plain"),
        )

    def parse(self, region: Region) -> list[Written | NotACall]:
        """The calls."""
        inside = unfenced(region.text)
        calls = read_calls(undressed(region.text) if inside is None else inside, region.tools)
        return fitting(calls, region) if inside is None else calls

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """A list of all calls.

        Raises:
            RenderError: a name is no Python identifier.
        """
        return f"[{', '.join(map(render_call, calls))}]"
