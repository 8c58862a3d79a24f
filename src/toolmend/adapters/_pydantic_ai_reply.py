"""A whole PydanticAI response with the calls in its text recovered.

Native calls are not touched, and a response that has one is not searched at all. Each text part is
read by itself. Arguments stay JSON text, as native ones are: the framework validates them. No
arguments count as `{}` there, so a native call that was cut before its arguments gets half of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from pydantic_ai.messages import ModelResponse, ModelResponsePart, TextPart, ToolCallPart

from toolmend._turn import Reader, Turn
from toolmend._types import ToolCall
from toolmend.adapters._pydantic_ai_report import Report

__all__ = ["arguments_as_json", "half_call", "is_cut", "recovered"]


def recovered(response: ModelResponse, turn: Turn, report: Report | None = None) -> ModelResponse:
    """Recover the calls in a response.

    Args:
        response: the response as it came.
        turn: of the request.
        report: learns what was found.

    Returns:
        The same object if there is nothing to recover.
    """
    parts = response.parts
    if not turn.active or response.state == "suspended":
        return response
    cut = is_cut(response.finish_reason, response.state)
    if any(isinstance(part, ToolCallPart) for part in parts):
        whole = [*parts[:-1], half_call(parts[-1])] if cut else parts
        return _mended(response, whole, turn)
    last = next((part for part in reversed(parts) if isinstance(part, TextPart)), None)
    mended: list[ModelResponsePart] = []
    for part in parts:
        if isinstance(part, TextPart):
            reader = report.reader(turn) if report else turn.reader()
            mended.extend(_read(part, reader, truncated=cut and part is last))
        else:
            mended.append(part)
    if not any(isinstance(part, ToolCallPart) for part in mended):
        return _mended(response, parts, turn)
    reason = response.finish_reason
    return replace(response, parts=mended, finish_reason="tool_call" if reason == "stop" else reason or "tool_call")


def is_cut(finish_reason: str | None, state: str | None) -> bool:
    """Whether a reply ended before its end, so that an unfinished call in it must not run."""
    return finish_reason in ("length", "content_filter", "error") or state not in (None, "complete")


def half_call(last: ModelResponsePart) -> ModelResponsePart:
    """The last part of a reply that was cut; a call without arguments becomes one that the framework takes for half."""
    return replace(last, args="{") if isinstance(last, ToolCallPart) and last.args in (None, "") else last


def arguments_as_json(call: ToolCall) -> str:
    """The arguments as JSON that can be sent on and stored.

    JSON has no NaN and no infinity; as strings pydantic still takes them for numbers. Half a
    surrogate pair has no UTF-8: with it all is escaped, and the framework asks the model again,
    just as it does when a native call has one.
    """
    try:
        text = json.dumps(call.arguments, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(call.arguments), ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(_finite(call.arguments))
    return text


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_finite(item) for item in cast("list[Any]", value)]
    return value


def _mended(response: ModelResponse, seen: Sequence[ModelResponsePart], turn: Turn) -> ModelResponse:
    """The response with these parts, but for the markers that were broken in what tools have answered."""
    if seen is response.parts and not turn.mark:
        return response
    parts: list[ModelResponsePart] = []
    for part in seen:
        if isinstance(part, TextPart):
            content = turn.mended(part.content)
            parts.append(part if content == part.content else replace(part, content=content))
        elif isinstance(part, ToolCallPart):
            args = turn.mended(part.args)
            parts.append(part if args == part.args else replace(part, args=args))
        else:
            parts.append(part)
    changed = any(mine is not theirs for mine, theirs in zip(parts, response.parts, strict=True))
    return replace(response, parts=parts) if changed else response


def _read(part: TextPart, reader: Reader, *, truncated: bool) -> Iterator[ModelResponsePart]:
    items = reader.read(part.content, truncated=truncated)
    if not any(isinstance(item, ToolCall) for item in items):
        yield part
        return
    again = False
    for item in items:
        if isinstance(item, ToolCall):
            known: dict[str, Any] = {} if item.id is None else {"tool_call_id": item.id}
            yield ToolCallPart(item.name, arguments_as_json(item), **known)
        else:
            # What a provider says about its part, an id above all, can be said of one part only.
            yield TextPart(content=item) if again else replace(part, content=item)
            again = True
