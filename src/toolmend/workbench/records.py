"""Training and log records: conversations in the usual shapes, read into turns and written back.

Three shapes: OpenAI's ``messages``, ShareGPT's ``conversations``, and raw chat-template text. Whatever else a record
holds is kept. A turn is written back at the place it came from; calls and results may be structured or text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from toolmend._errors import ToolmendError
from toolmend._types import ToolCall, ToolResult, ToolSpec

__all__ = ["NotReadable", "Record", "Turn", "results_in"]

_Fields = dict[str, Any]

_ROLES = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "model": "assistant",
    "system": "system", "developer": "system", "tool": "tool", "observation": "tool", "function": "tool",
    "function_response": "tool", "ipython": "tool", "function_call": "call",
}  # fmt: skip
_TEMPLATES = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"<\|im_start\|>(?P<role>\w+)\n(?P<text>.*?)(?=<\|im_end\|>|\Z)",
        r"<\|start_header_id\|>(?P<role>\w+)<\|end_header_id\|>\n\n(?P<text>.*?)(?=<\|eot_id\|>|<\|eom_id\|>|\Z)",
        r"<start_of_turn>(?P<role>\w+)\n(?P<text>.*?)(?=<end_of_turn>|\Z)",
        r"<\|(?P<role>system|user|assistant|tool|observation)\|>\n(?P<text>.*?)(?=<\|end\|>|<\|(?:user|assistant)\|>|\Z)",
    )
)
_RESULT = re.compile(
    r"\s*(?:<tool_response>\n?(?P<a>.*?)\n?</tool_response>"
    r"|<tool_result(?: name=\"(?P<name>[^\"]*)\")?[^>]*>\n?(?P<b>.*?)\n?</tool_result>"
    r"|<function_response>\n?(?P<c>.*?)\n?</function_response>"
    r"|(?:Tool result|FUNCTION RESPONSE|Observation):[ \t]*(?P<d>.*)\Z)",
    re.DOTALL,
)


class NotReadable(ValueError):
    """A line is no record; the message says why."""


@dataclass(slots=True)
class Turn:
    """What one side says.

    Attributes:
        role: ``"system"``, ``"user"``, ``"assistant"`` or ``"tool"``.
        text: its text.
        calls: its structured calls.
        call_id: of a structured result, the call it answers.
        name: of a structured result, the tool.
    """

    role: str
    text: str
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    call_id: str | None = None
    name: str | None = None


class Record:
    """One line of a file.

    Attributes:
        fields: the record.
        shape: ``"messages"``, ``"conversations"`` or ``"text"``.
        turns: what is said in it, in order.
        tools: the tools that it declares, in a field of its own or in the system text; empty if it declares none.

    Raises:
        NotReadable: it has none of the shapes.
    """

    def __init__(self, line: str) -> None:
        try:
            fields: Any = json.loads(line)
        except json.JSONDecodeError as error:
            raise NotReadable(f"no JSON: {error.msg}, at character {error.pos}") from error
        except (ValueError, RecursionError) as error:
            raise NotReadable(f"no JSON: {error}") from error
        if not isinstance(fields, dict):
            raise NotReadable("no JSON object")
        self.fields = cast("_Fields", fields)
        for shape in ("messages", "conversations"):
            if isinstance(self.fields.get(shape), list):
                self.shape = shape
                self.turns = [_turn(said) for said in self.fields[shape]]
                break
        else:
            self.shape = "text"
            self._template, self.turns = _template_turns(self.fields.get("text"))
        self.tools = self._declared()

    def written(self, turns: Sequence[Turn], tools: Sequence[ToolSpec] = ()) -> str:
        """The record with other turns, as a line without its end.

        Args:
            turns: the new ones.
            tools: to declare in a field; none leaves the field as it is.
        """
        fields = {**self.fields, **({"tools": [tool.to_openai() for tool in tools]} if tools else {})}
        if self.shape == "text":
            fields["text"] = self._as_template(turns)
        elif self.shape == "conversations":
            fields["conversations"] = [_sharegpt(turn) for turn in turns]
        else:
            fields["messages"] = [_message(turn) for turn in turns]
        return json.dumps(fields, ensure_ascii=False)

    def _as_template(self, turns: Sequence[Turn]) -> str:
        text, found = self.fields["text"], list(self._template.finditer(self.fields["text"]))
        pieces: list[str] = []
        at = 0
        for match, turn in zip(found, turns, strict=True):
            pieces += [text[at : match.start("text")], turn.text]
            at = match.end("text")
        return "".join((*pieces, text[at:]))

    def _declared(self) -> tuple[ToolSpec, ...]:
        listed: Any = self.fields.get("tools") or self.fields.get("functions")
        if isinstance(listed, str):
            try:
                listed = json.loads(listed)
            except ValueError:
                listed = None
        if not isinstance(listed, list):
            listed = [found for turn in self.turns if turn.role == "system" for found in _definitions(turn.text)]
        tools: dict[str, ToolSpec] = {}
        for tool in cast("list[Any]", listed):
            try:
                spec = ToolSpec.of(tool)
            except ToolmendError:
                continue
            tools[spec.name] = spec
        return tuple(tools.values())


def results_in(turn: Turn) -> list[ToolResult]:
    """The tool results that a turn holds: a structured one, or those that are written out in a user's text."""
    if turn.role == "tool":
        return [ToolResult(name=turn.name or "tool", content=turn.text, call_id=turn.call_id)]
    results: list[ToolResult] = []
    at = 0
    while turn.role == "user" and (found := _RESULT.match(turn.text, at)):
        content = next(text for text in (found["a"], found["b"], found["c"], found["d"]) if text is not None)
        results.append(ToolResult(name=found["name"] or "tool", content=content))
        at = found.end()
    return results if not turn.text[at:].strip() else []


def _turn(said: object) -> Turn:
    if not isinstance(said, Mapping):
        raise NotReadable("a message is no object")
    fields = cast("_Fields", said)
    role = str(fields.get("role") or fields.get("from") or "")
    if role not in _ROLES:
        raise NotReadable(f"the role {role!r} is not known")
    content: Any = fields.get("content", fields.get("value"))
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in cast("list[_Fields]", content))
    turn = Turn(_ROLES[role], str(content or ""), call_id=fields.get("tool_call_id"), name=fields.get("name"))
    if turn.role == "call":
        turn.role = "assistant"
    for call in cast("list[Any]", fields.get("tool_calls") or []):
        turn.calls.append(_call(call))
    return turn


def _call(call: Any) -> ToolCall:
    try:
        function = call["function"]
        arguments: Any = function.get("arguments") or {}
        if isinstance(arguments, str):
            arguments = json.loads(arguments)
        return ToolCall(name=str(function["name"]), arguments=dict(arguments), id=call.get("id"))
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise NotReadable(f"a structured call cannot be read: {error}") from error


def _message(turn: Turn) -> _Fields:
    message: _Fields = {"role": turn.role, "content": turn.text}
    if turn.calls:
        message["tool_calls"] = [
            {
                "id": call.id or f"call_{number}",
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
            }
            for number, call in enumerate(turn.calls)
        ]
    if turn.role == "tool":
        message |= {key: value for key, value in (("tool_call_id", turn.call_id), ("name", turn.name)) if value}
    return message


def _sharegpt(turn: Turn) -> _Fields:
    speaker = {"user": "human", "assistant": "gpt"}.get(turn.role, turn.role)
    message = _message(turn)
    return {"from": speaker, "value": turn.text, **{k: v for k, v in message.items() if k not in ("role", "content")}}


def _template_turns(text: object) -> tuple[re.Pattern[str], list[Turn]]:
    if isinstance(text, str):
        for template in _TEMPLATES:
            found = list(template.finditer(text))
            if found:
                return template, [Turn(_ROLES.get(match["role"], "user"), match["text"]) for match in found]
    raise NotReadable("it holds neither `messages` nor `conversations` nor the text of a known chat template")


def _definitions(text: str) -> list[Any]:
    """The tool definitions in a system text."""
    decoder, found, at = json.JSONDecoder(), list[Any](), 0
    while (at := text.find("{", at)) >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        definition: Any = value.get("function", value)
        if isinstance(definition, dict) and "name" in definition and definition.keys() & {"parameters", "description"}:
            found.append(definition)
        at = end
    return found
