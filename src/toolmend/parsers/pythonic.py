"""Pythonic: calls in Python's syntax, in a list or alone on the last lines; Llama 3.2 and 4, ToolACE, Gemma 3.

Source: Meta's prompt format for Llama 3.2 and Llama 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import regex

from toolmend._blocks import LEFTOVER, LINE, Block
from toolmend._call_body import CallBody
from toolmend._dialect import Dialect, Region
from toolmend._toolbox import Toolbox, Written
from toolmend._types import ToolCall
from toolmend.parsers._pythonic import read_calls, render_call

__all__ = ["Pythonic"]

_END_OF_LINE = regex.compile(rf"[ \t]{{0,64}}(?:(?P<end>\n|{LEFTOVER})|(?P<more>(?!)))")


@lru_cache(maxsize=64)
def _more_lines(names: str) -> regex.Pattern[str]:
    return regex.compile(rf"[\s,;]{{0,64}}(?:(?P<end>{LEFTOVER})|(?P<more>(?:{names})\s{{0,4}}\())")


class Pythonic(Dialect):
    """``[f(a=1), g()]`` on a line of its own, or ``f(a=1)`` on the reply's last lines, for declared names."""

    name = "pythonic"
    models = ("*llama-4*", "*llama4*", "*llama-3.2*", "*llama3.2*", "*toolace*")
    sample = "[find_book(title='Dune', max_hits=3)]"

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """A declared name with its bracket, behind ``[`` or at the start of a line."""
        names = tools.names
        return (
            Block(
                rf"{LINE}\[\s{{0,16}}(?:{names})\s{{0,4}}\(",
                lambda opener, _: CallBody(opener, _END_OF_LINE),
                "plain",
            ),
            Block(
                rf"{LINE}(?:{names})\s{{0,4}}\(",
                lambda opener, _: CallBody(opener, _more_lines(names), last=True),
                "plain",
            ),
        )

    def parse(self, region: Region) -> list[Written]:
        """The calls."""
        return read_calls(region.text, region.tools)

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """A list of all calls.

        Raises:
            RenderError: a name is no Python identifier.
        """
        return f"[{', '.join(map(render_call, calls))}]"
