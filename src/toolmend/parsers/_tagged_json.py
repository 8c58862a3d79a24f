"""The family of formats that put JSON calls behind a marker: an object or a list, with or without a closing marker.

A format says which markers it has and how it writes; the JSON between them is read like that of every other format,
whatever keys it uses and whatever had to be mended in it. Models that were asked for calls in Python's syntax put those
behind the marker they know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import regex

from toolmend._blocks import Block, Body
from toolmend._composed_body import FollowedBody
from toolmend._dialect import Dialect, Region
from toolmend._json import past
from toolmend._json_body import JsonBody
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._types import ToolCall
from toolmend.parsers._bodies import json_calls
from toolmend.parsers._marked_calls import are_calls, calls_behind
from toolmend.parsers._pythonic import read_calls

__all__ = ["NEVER", "SEVERAL", "TaggedJson", "any_of", "unwrapped"]

SEVERAL = "several values in one place"
"""The repair of JSON values that follow one another, which some formats write on purpose."""

NEVER = r"(?!)x"
"""A regular expression that matches nothing."""


def any_of(markers: Sequence[str]) -> str:
    """A regular expression that matches any of some texts; none if there are none."""
    return "|".join(map(regex.escape, markers)) or NEVER


def unwrapped(text: str, opener: str, *ends: Sequence[str]) -> str:
    """What stands between the markers of a region.

    Args:
        text: the region.
        opener: regular expression of its opening marker.
        ends: the markers that may end it, the outermost first.
    """
    text = text[past(re.compile(opener), text, 0) :].strip()
    for markers in ends:
        found = next((marker for marker in markers if text.endswith(marker)), "")
        text = text.removesuffix(found).rstrip()
    return text


class TaggedJson(Dialect):
    """JSON calls behind a marker.

    Attributes:
        opener: regular expression of the opening marker, bounded, without the white space behind it.
        first: regular expression of what begins the JSON; one bracket, and what may be looked for behind it.
        closers: the markers that end a region; a region also ends with its JSON.
        trailers: what else belongs to the region behind its closer.
        around: regular expressions of what the format puts around text.
        head: what is written before the JSON.
        tail: what is written behind it.
        listed: whether all calls are written as one list; otherwise each has its own markers.
        keys: the keys under which the name and the arguments are written.
        usual: repairs that are none in this format.
    """

    opener: ClassVar[str]
    first: ClassVar[str] = r"(?:\{|\[(?=\s{0,64}[\[{\]]))"
    closers: ClassVar[tuple[str, ...]] = ()
    trailers: ClassVar[tuple[str, ...]] = ()
    around: ClassVar[tuple[str, ...]] = ()
    head: ClassVar[str]
    tail: ClassVar[str] = ""
    listed: ClassVar[bool] = False
    keys: ClassVar[tuple[str, str]] = ("name", "arguments")
    usual: ClassVar[tuple[str, ...]] = ()

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """The marker with a bracket behind it."""
        closer, follows = any_of(self.closers), rf"\s{{0,64}}(?:{any_of(self.trailers)})"

        def body(opener: str, _: str) -> Body:
            inside = JsonBody(opener, closer, again=self.opener)
            return FollowedBody(inside, regex.compile(follows)) if self.trailers else inside

        return [
            self.calls(f"{closer}|{any_of(self.trailers)}", tools),
            Block(rf"{self.opener}\s{{0,64}}{self.first}", body, json=True),
            *map(Block.markup, self.around),
        ]

    def calls(self, closer: str, tools: Toolbox) -> Block:
        """The marker with calls in Python's syntax behind it."""
        return calls_behind(self.opener, closer)

    def parse(self, region: Region) -> Sequence[Written | NotACall]:
        """The calls between the markers."""
        text = unwrapped(region.text, self.opener, self.trailers, self.closers)
        if are_calls(text):
            return read_calls(text, region.tools)
        calls = self.read(text)
        return [replace(call, repairs=tuple(line for line in call.repairs if line not in self.usual)) for call in calls]

    def read(self, text: str) -> list[Written]:
        """The calls in the JSON.

        Raises:
            NotACall: there is none, or it cannot be read.
        """
        return json_calls(text)

    def fields(self, call: ToolCall, number: int) -> dict[str, Any]:
        """The object that is written for a call, the `number`-th of its reply."""
        name, arguments = self.keys
        return {name: call.name, arguments: call.arguments}

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """A list of all calls between one pair of markers, or a pair of markers a call."""
        objects = [json.dumps(self.fields(call, number), ensure_ascii=False) for number, call in enumerate(calls)]
        if self.listed:
            return f"{self.head}[{', '.join(objects)}]{self.tail}"
        return "\n".join(f"{self.head}{text}{self.tail}" for text in objects)
