"""The family of formats that put calls in Python's syntax behind a marker; JSON may stand there as well."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

from toolmend._blocks import Block
from toolmend._dialect import Dialect, Region
from toolmend._json_body import JsonBody
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._types import ToolCall
from toolmend.parsers._bodies import json_calls
from toolmend.parsers._marked_calls import calls_behind
from toolmend.parsers._pythonic import read_calls, render_call
from toolmend.parsers._tagged_json import any_of, unwrapped

__all__ = ["TaggedCalls"]


class TaggedCalls(Dialect):
    """Calls in Python's syntax behind a marker.

    Attributes:
        opener: regular expression of the opening marker, bounded, without the white space behind it.
        closers: the markers that end a region; a region also ends with its calls.
        head: what is written before the calls.
        between: what is written between them.
        tail: what is written behind them.
        json: whether values are written as JSON rather than in Python's way.
    """

    opener: ClassVar[str]
    closers: ClassVar[tuple[str, ...]] = ()
    head: ClassVar[str]
    between: ClassVar[str] = ", "
    tail: ClassVar[str] = ""
    json: ClassVar[bool] = True

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """The marker with a name and its bracket behind it, or with a brace."""
        closer = any_of(self.closers)
        return (
            calls_behind(self.opener, closer),
            Block(
                rf"{self.opener}\s{{0,64}}(?:\[\s{{0,16}})?\{{", lambda opener, _: JsonBody(opener, closer), json=True
            ),
        )

    def parse(self, region: Region) -> Sequence[Written | NotACall]:
        """The calls between the markers."""
        text = unwrapped(region.text, self.opener, self.closers)
        return json_calls(text) if text.lstrip("[ \t\r\n").startswith("{") else read_calls(text, region.tools)

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """All calls between one pair of markers.

        Raises:
            RenderError: a name is no Python identifier.
        """
        return self.head + self.between.join(map(self._call, calls)) + self.tail

    def _call(self, call: ToolCall) -> str:
        text = render_call(call)
        if not self.json:
            return text
        values = (f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in call.arguments.items())
        return f"{call.name}({', '.join(values)})"
