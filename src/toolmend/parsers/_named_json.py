"""The family of formats that write a call as a name between markers and its arguments as JSON behind it.

A format lists its `Form`s: what stands before the name, what between it and the arguments, and whether the name has
to be a declared one because nothing else tells the call from prose. Every call is a region of its own, so that one
that was cut off does not take the others with it; the markers of a section belong to the calls at its ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Literal, cast

from toolmend._blocks import LEFTOVER, Block, NotHere
from toolmend._dialect import Dialect, Region
from toolmend._errors import RenderError
from toolmend._json import NotJSON, past, read_value
from toolmend._json_body import ARGUMENT_KEYS
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._types import ToolCall, ToolSpec
from toolmend.parsers._value_body import ValueBody

__all__ = ["ALONE", "FENCED", "OBJECT", "Form", "NamedJson"]

_NAME = r"[^\s<>(){}\[\]`\"',;=]{1,128}?"  # no character that another opener ends with: it would match before this one
# narrower where a word of prose may stand; what harmony leaves without its tokens is glued to the word behind it
_WORD = r"(?!assistantfinal|analysis[A-Z\"“])[\w\\./-]{1,128}?"
_NEVER = "(?!)"
_FENCE = re.compile(r"`{3}[a-z]*+\s*+")
_CALL_KEYS = frozenset({"name", "id", "type", *ARGUMENT_KEYS})

OBJECT = r"\{"
"""Arguments begin with a brace."""

FENCED = r"\{|`{3}[a-z]{0,16}[ \t]{0,4}(?:\n|\{)"
"""Arguments may stand in a code fence."""

ALONE = r"(?=\s{0,16}[\"'}])"
"""Where no marker tells a call, the brace must be that of an object."""


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a call.

    Attributes:
        begin: regular expression of what stands before the name.
        between: regular expression of what stands between the name and the arguments.
        start: regular expression of how the arguments begin.
        ahead: regular expression of what must be seen behind that.
        names: which names count: ``"any"``; ``"declared"``, only those of tools; ``"listed"``, the same where nothing
            but the name itself begins the call, so that it must be looked for.
        kind: see `Block`; a plain call must be the last thing on its line.
    """

    begin: str
    between: str
    start: str = OBJECT
    ahead: str = ""
    names: Literal["any", "declared", "listed"] = "any"
    kind: Literal["marked", "plain"] = "marked"


def _name(form: Form, tools: Toolbox) -> str:
    return {"any": _NAME, "declared": _WORD, "listed": tools.names}[form.names]


@lru_cache(maxsize=256)
def _head(form: Form, names: str, ends: str) -> re.Pattern[str]:
    """A region up to its arguments."""
    return re.compile(f"{form.begin}(?P<name>{names}){form.between}(?={form.start}|{ends})")


class NamedJson(Dialect):
    """A name between markers and an object behind it.

    Attributes:
        forms: the ways to write a call, in order of precedence.
        closers: regular expression of the markers that may stand behind the arguments.
        again: regular expression of what begins another call.
        line: regular expression of what ends the line of a plain call.
        around: what is written before all calls, between two, and behind all.
    """

    forms: ClassVar[tuple[Form, ...]]
    closers: ClassVar[str] = _NEVER
    again: ClassVar[str] = _NEVER
    line: ClassVar[str] = r"\n"
    around: ClassVar[tuple[str, str, str]] = ("", "", "")

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """A block a form."""
        return [self._block(form, tools) for form in self.forms]

    def _block(self, form: Form, tools: Toolbox) -> Block:
        then = _line_end(self.line, tools.names) if form.kind == "plain" else ""
        ends = self._ends(form)

        def body(opener: str, _: str) -> ValueBody:
            head = self._head(form, tools, opener)
            if form.names == "declared" and not (head and head["name"] in tools):
                raise NotHere
            return self.body(opener, then)

        name = _name(form, tools)
        start = f"(?:{form.start}){form.ahead}|{ends}"
        return Block(f"{form.begin}(?:{name}){form.between}(?:{start})", body, form.kind)

    def _head(self, form: Form, tools: Toolbox, text: str) -> re.Match[str] | None:
        """What stands before the arguments, if a text begins with this form."""
        return _head(form, _name(form, tools), self._ends(form)).match(text)

    def _ends(self, form: Form) -> str:
        """The markers that follow the name at once where there are no arguments."""
        return self.closers if form.kind == "marked" else _NEVER

    def body(self, opener: str, then: str) -> ValueBody:
        """The body of a region; `then` is what must follow it."""
        empty = not opener.endswith("{") and "```" not in opener
        return ValueBody(opener, self.closers, self.again, then, empty=empty)

    def parse(self, region: Region) -> list[Written]:
        """The one call.

        Raises:
            NotACall: its arguments cannot be read, or they are none.
        """
        heads = (self._head(form, region.tools, region.text) for form in self.forms)
        head = next(filter(None, heads), None)
        if not head:
            raise NotACall("no name")
        name = head["name"]
        tool = region.tools.get(name)
        if tool is None:
            return [Written(name=name)]  # the gate says what there is to say
        text, closed = self._without_closers(region.text[head.end() :])
        call = Written(name=name, id=self.call_id(head.group()))
        if not text:
            return [call]
        arguments, repairs = self.arguments(text, tool, closed=closed)
        return [replace(call, arguments=arguments, repairs=repairs)]

    def _without_closers(self, text: str) -> tuple[str, bool]:
        """The arguments alone, and whether anything closed them."""
        last = re.compile(rf"(?:{self.closers})\Z")
        text = text.rstrip()
        closed = False
        while found := last.search(text, max(0, len(text) - 128)):
            text, closed = text[: found.start()].rstrip(), True
        fence = past(_FENCE, text, 0)
        return (text[fence:].rstrip("` \t\r\n") if fence else text), closed

    def arguments(self, text: str, tool: ToolSpec, *, closed: bool) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """Read the arguments; `closed` tells whether a marker ended them.

        Raises:
            NotACall: they cannot be read.
        """
        try:
            value, repairs = read_value(text)
        except NotJSON as error:
            raise NotACall(f"not readable as JSON: {error}") from error
        if not isinstance(value, Mapping):
            raise NotACall("arguments are no object")
        found = cast("Mapping[str, Any]", value)
        key = next((key for key in ARGUMENT_KEYS if isinstance(found.get(key), Mapping)), None)
        if key is None or key in tool.properties or "name" not in found or not found.keys() <= _CALL_KEYS:
            return found, repairs
        if found["name"] != tool.name:
            raise NotACall(f"named both {tool.name!r} and {found['name']!r}")
        return found[key], (*repairs, "took the arguments out of a whole call")

    def call_id(self, head: str) -> str | None:
        """The id in the region's text up to the arguments."""
        return None

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """All calls, one after another.

        Raises:
            RenderError: a name cannot stand between the markers.
        """
        before, between, behind = self.around
        for call in calls:
            if not re.fullmatch(_NAME, call.name):
                raise RenderError(f"the name {call.name!r} cannot be written in {self.name}; choose a JSON format")
        return before + between.join(self.render_call(call, number) for number, call in enumerate(calls)) + behind

    def render_call(self, call: ToolCall, number: int) -> str:
        """One call, the `number`-th of its reply."""
        return f"{call.name}{self.render_arguments(call)}"

    @staticmethod
    def render_arguments(call: ToolCall) -> str:
        """The arguments as JSON."""
        return json.dumps(call.arguments, ensure_ascii=False)


def _line_end(line: str, names: str) -> str:
    """What may follow a call without markers: the end of its line, or another one, for its markers are gone too."""
    another = (
        rf"functions\.|call:|>>>|assistant(?:commentary|analysis|final)|(?:{names})(?::\d{{1,6}})?\s{{0,4}}[{{<\[]"
    )
    return rf"{line}|{LEFTOVER}|{another}"
