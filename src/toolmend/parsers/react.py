"""ReAct: ``Action:`` names a tool, ``Action Input:`` gives its arguments; models prompted the way LangChain did.

The input is a JSON object, bare or fenced. A tool with a single parameter that takes text may also get it bare: the
line, or all lines up to the next ``Observation:``. Behind an observation that the model made up nothing runs, nor does
what a line before says was done. With other labels, such as ``Tool:`` and ``Arguments:``, only an object of all that is
required counts: they also list tools. With a result behind it, such a pair within a text is a log's.
Source: the prompt of "ReAct: Synergizing Reasoning and Acting in Language Models" as LangChain words it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import regex

from toolmend._blocks import LEFTOVER, LINE, Block, Body, NotHere
from toolmend._composed_body import ChosenBody, FollowedBody, TextBody
from toolmend._dialect import Dialect, Region
from toolmend._fence_body import unfenced
from toolmend._json import NotJSON, read_value, strict
from toolmend._json_body import JsonBody
from toolmend._toolbox import Description, NotACall, Toolbox, Written
from toolmend._types import ToolCall
from toolmend.parsers._program import is_signature
from toolmend.parsers._reports import ANSWERED, plans, reports
from toolmend.parsers._tagged_json import NEVER

__all__ = ["React"]

_LABEL = r"(?i:action|(?:tool|function)(?:[ _]name)?)"
_GIVEN = r"(?i:action[ _]?input|(?:(?:tool|function)[ _])?(?:input|arguments?|args|param(?:eter)?s))"
_ACTION = rf"\*{{0,2}}{_LABEL}(?:[ \t]{{0,4}}\d{{1,2}})?\*{{0,2}}[ \t]{{0,4}}:\*{{0,2}}[ \t]{{0,8}}[`\"'\[]{{0,2}}"
_INPUT = rf"[`\"'\]]{{0,2}}\*{{0,2}}\s{{1,16}}\*{{0,2}}{_GIVEN}(?:[ \t]{{0,4}}\d{{1,2}})?\*{{0,2}}[ \t]{{0,4}}:"
_JSON = regex.compile(r"\*{0,2}\s{0,16}(?:(?P<marks>`{3,8})[ \t]{0,8}(?i:json)?\s{0,16})?\{")
_TEXT_END = regex.compile(
    rf"(?P<last>\n)\s{{0,16}}(?=\*{{0,2}}(?i:observation|thought|action|final answer)\*{{0,2}}[ \t]{{0,4}}:)|{LEFTOVER}"
)
_OBSERVED = rf"{LINE}\*{{0,2}}(?i:observation)\*{{0,2}}[ \t]{{0,4}}:"
_NOTHING = frozenset({"", "none", "null", "n/a", '""', "no input"})


@lru_cache(maxsize=64)
def _call(names: str) -> re.Pattern[str]:
    return re.compile(rf"\s*+{_ACTION}(?P<name>{names}){_INPUT}\**+\s*+(?P<input>.*)", re.DOTALL)


class React(Dialect):
    """``Action: name`` and ``Action Input: {…}``, for declared names."""

    name = "react"
    sample = 'Action: find_book\nAction Input: {"title": "Dune", "max_hits": 3}'

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """An action that is a declared name, and the label of its input."""

        def body(opener: str, lead: str) -> Body:
            if reports(lead):
                raise NotHere
            chosen = ChosenBody(lambda text: _choose(text, len(opener), textual=_is_action(opener)))
            told = not _is_action(opener) and lead.strip() and not plans(lead)
            return FollowedBody(chosen, ANSWERED, refutes=True) if told else chosen

        return (Block.bar(_OBSERVED), Block(rf"{LINE}{_ACTION}(?:{tools.names}){_INPUT}", body, "plain"))

    def parse(self, region: Region) -> list[Written]:
        """The one call.

        Raises:
            NotACall: the input is neither an object nor the text of the only parameter, or it is a list of tools.
        """
        call = _call(region.tools.names).fullmatch(region.text)
        if not call:
            raise NotACall("no action", meant=False)
        inside = unfenced(call["input"])
        text = call["input"] if inside is None else inside
        tool = region.tools.get(call["name"])
        if text.startswith("{"):
            written = _from_json(call["name"], text)
            return [written if _is_action(region.text) else _made(written)]
        if tool and not tool.properties and text.strip().lower() in _NOTHING:
            return [Written(name=call["name"])]
        return [_from_text(call["name"], text)]

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """An action and its input a call."""
        return "\n".join(
            f"Action: {call.name}\nAction Input: {json.dumps(call.arguments, ensure_ascii=False)}" for call in calls
        )


def _is_action(text: str) -> bool:
    """Whether a region begins with the label that says what the model does."""
    return text.lstrip("* \t\n")[:6].lower() == "action"


def _made(written: Written) -> Written:
    """A call behind a label that also lists tools.

    Raises:
        Description: it tells the types of the parameters.
    """
    if is_signature(written.arguments):
        raise Description("a tool's parameters, not a call")
    return replace(written, loose=True)


def _choose(text: str, behind: int, *, textual: bool) -> Body | None:
    """JSON up to its last bracket and the end of its fence, or text up to the next label."""
    found = _JSON.match(text, behind, partial=True)
    if not found:
        if not textual:
            raise NotHere
        return TextBody(_TEXT_END)
    if found.partial:
        return None
    body = JsonBody(text[: found.end()], NEVER)
    return FollowedBody(body, regex.compile(rf"\s{{0,16}}{found['marks']}")) if found["marks"] else body


def _from_json(name: str, text: str) -> Written:
    try:
        value, repairs = read_value(text)
    except NotJSON as error:
        raise NotACall(f"the input is not readable as JSON: {error}") from error
    return Written(name=name, arguments=value, repairs=repairs)


def _from_text(name: str, text: str) -> Written:
    """The only parameter's value: one line, or several if a label ends them."""
    value = text.strip()
    if not value or ("\n" in value and not text.endswith("\n")):
        raise NotACall("it is not clear where the input ends")
    try:
        unquoted = strict(value)
    except (ValueError, RecursionError):
        unquoted = None
    if isinstance(unquoted, str):
        return Written(name=name, text=unquoted, repairs=("took the quotes off the input",))
    return Written(name=name, text=value)
