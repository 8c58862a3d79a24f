"""Named element: a JSON object in an element that bears the tool's name, as many a prompt asks for.

    <find_book>{"title": "Dune"}</find_book>
    <tool name="find_book">{"title": "Dune"}</tool>
    <tool>find_book</tool><args>{"title": "Dune"}</args>

Any XML may look like this, so the name must be a declared one, and nothing but closing tags may follow on the line.
``<find_book title="Dune"/>`` must begin the reply or be announced, must end it, and have the tool's own parameters.
Source: prompts in the field.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from toolmend._blocks import LEFTOVER, LINE, Block, Body, NotHere
from toolmend._dialect import Region
from toolmend._toolbox import Description, NotACall, Toolbox, Written
from toolmend._types import ToolCall
from toolmend.parsers._announcement import announced, closing
from toolmend.parsers._named_json import ALONE, Form, NamedJson
from toolmend.parsers._program import is_signature
from toolmend.parsers._value_body import ValueBody

__all__ = ["NamedElement"]

_KIND = r"(?:function|tool|tool_use|tool_call|function_call|invoke|call|action)"
_NAME = r"(?:function|tool|tool_name|function_name|action|name)"
_ARGUMENTS = r"(?:arguments?|args|parameters|params|input|tool_input|action_input)"


_ATTRIBUTE = (
    r"\s{1,16}(?P<key>[A-Za-z_][\w.-]{0,63})[ \t]{0,2}=[ \t]{0,2}"
    r"(?:\"(?P<double>[^\"<>]{0,200})\"|'(?P<single>[^'<>]{0,200})')"
)
_ATTRIBUTES = rf"(?:{re.sub(r'[?]P<[a-z]+>', '?:', _ATTRIBUTE)}){{1,8}}"
_ENTITY = re.compile(r"&#?\w+;")


@lru_cache(maxsize=64)
def _start(names: str) -> re.Pattern[str]:
    return re.compile(rf"\s*+<(?P<name>{names})(?P<attributes>{_ATTRIBUTES})\s*+/?>")


class NamedElement(NamedJson):
    """``<name>{…}</name>``, for declared names."""

    name = "named_element"
    sample = '<find_book>{"title": "Dune", "max_hits": 3}</find_book>'
    forms = (
        Form(rf"{LINE}<", r">\s{0,64}", ahead=ALONE, names="listed", kind="plain"),
        Form(
            rf"{LINE}<{_KIND}[ \t]{{1,4}}name[ \t]{{0,4}}=[ \t]{{0,4}}[\"']?",
            r"[\"']?[ \t]{0,4}>\s{0,64}",
            ahead=ALONE,
            names="declared",
            kind="plain",
        ),
        Form(
            rf"{LINE}(?:<{_KIND}>\s{{0,16}})?<{_NAME}>\s{{0,16}}",
            rf"\s{{0,16}}</{_NAME}>\s{{0,16}}<{_ARGUMENTS}>\s{{0,64}}",
            ahead=ALONE,
            names="declared",
            kind="plain",
        ),
    )
    closers = r"\s{0,16}</[A-Za-z_][\w.-]{0,127}>"
    line = r"\n(?=\s{0,16}(?:[^\s<]|<(?:[^/]|/[^A-Za-z_]))|\s{17})|<(?=[A-Za-z_])"  # closers may stand on the next
    around = ("", "\n", "")

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """A block a form, and one for an element that is all attributes."""
        names = f"(?:{tools.names})"

        def empty(opener: str, lead: str) -> Body:
            if lead.strip() and not announced(lead.rstrip(), agreed=True):
                raise NotHere
            return closing(ValueBody(opener, "(?!)", "(?!)", rf"\n|{LEFTOVER}|<(?=[A-Za-z])", empty=True))

        end = rf"\s{{0,4}}(?:/>|>\s{{0,4}}</{names}>)"
        return (*super().blocks(tools), Block(f"{LINE}<{names}{_ATTRIBUTES}{end}", empty, "plain"))

    def parse(self, region: Region) -> list[Written]:
        """The one call.

        Raises:
            NotACall: its arguments cannot be read, or it is a tool with its types.
        """
        start = _start(region.tools.names).match(region.text)
        if not start:
            return super().parse(region)
        arguments: dict[str, str] = {}
        for found in re.finditer(_ATTRIBUTE, start["attributes"]):
            value = found["single"] if found["double"] is None else found["double"]
            if found["key"] in arguments or _ENTITY.search(value):
                raise NotACall(f"{found['key']} has two readings", meant=False)
            arguments[found["key"]] = value
        if is_signature(arguments):
            raise Description("a tool's parameters, not a call")
        return [Written(name=start["name"], arguments=arguments, textual=True, loose=True)]

    def render_call(self, call: ToolCall, number: int) -> str:
        """One element."""
        return f"<{call.name}>{self.render_arguments(call)}</{call.name}>"
