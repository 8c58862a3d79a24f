"""Training data rewritten from whatever format its calls are in to another one, record by record.

A record either is converted whole or comes back unchanged with the reason: nothing is lost and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from toolmend._dialect import Dialect
from toolmend._errors import RenderError
from toolmend._types import ToolCall
from toolmend.parsers import DIALECTS, get_dialect
from toolmend.workbench.anatomy import Part
from toolmend.workbench.check import read_turn
from toolmend.workbench.records import NotReadable, Record, Turn, results_in

__all__ = ["STRUCTURED", "Rejected", "convert", "target_of"]

STRUCTURED = "openai"
"""The target for structured ``tool_calls`` with the tools in a field; harmony's dialect is called ``harmony`` here."""


class Rejected(ValueError):
    """A record cannot be converted; the message says why."""


def target_of(name: str) -> Dialect | None:
    """The dialect to write; `None` for structured calls.

    Raises:
        ToolmendError: there is no such format.
    """
    if name == STRUCTURED:
        return None
    return get_dialect("openai" if name == "harmony" else name, DIALECTS)


def convert(line: str, to: str) -> str:
    """Convert a record.

    Args:
        line: the record as JSON.
        to: the name of a dialect, ``"harmony"``, or ``"openai"`` for structured calls.

    Returns:
        The converted record, without the end of the line.

    Raises:
        Rejected: it cannot be read, holds a broken call, or the format cannot express one.
        ToolmendError: there is no such format.
    """
    target = target_of(to)
    try:
        record = Record(line)
        if target is None and record.shape == "text":
            raise Rejected("raw text cannot hold structured calls")
        turns = [turn for said in _numbered(record) for turn in _converted(said, record, target)]
        return record.written(turns, record.tools if target is None else ())
    except NotReadable as error:
        raise Rejected(str(error)) from error
    except RenderError as error:
        raise Rejected(f"{to} cannot express it: {error}") from error


def _numbered(record: Record) -> Iterator[Turn]:
    """The turns, with results knowing the calls that they answer."""
    waiting: list[ToolCall] = []
    count = 0
    for turn in record.turns:
        if turn.role == "assistant":
            parts = _parts(turn, record)
            calls = [call for part in parts for call in part.calls if part.kind == "call"]
            waiting = [replace(call, id=call.id or f"call_{count + n}") for n, call in enumerate([*calls, *turn.calls])]
            count += len(waiting)
            turn.calls = waiting[len(calls) :]
        elif turn.role == "tool" and waiting:
            answered = next((call for call in waiting if call.id == turn.call_id), waiting[0])
            waiting.remove(answered)
            turn.call_id, turn.name = answered.id, turn.name or answered.name
        yield turn


def _parts(turn: Turn, record: Record) -> tuple[Part, ...]:
    parts = read_turn(turn, record.tools).parts
    broken = next((part for part in parts if part.kind == "failed"), None)
    if broken:
        raise Rejected(f"a call cannot be read: {broken.reason}")
    return parts


def _converted(turn: Turn, record: Record, target: Dialect | None) -> list[Turn]:
    results = results_in(turn)
    if record.shape == "text" and turn.role == "tool":
        return [turn]  # the template's own role for results says it all
    if results:
        if target is None:
            return [
                Turn("tool", result.content, call_id=result.call_id or turn.call_id or "call_0", name=result.name)
                for result in results
            ]
        return [Turn("user", target.render_results(results))]
    if turn.role != "assistant":
        return [turn]
    parts = _parts(turn, record)
    if target is None:
        said = "".join(part.raw for part in parts if part.kind != "call").strip()
        calls = [call for part in parts if part.kind == "call" for call in part.calls]
        return [Turn("assistant", said if calls else turn.text, [*calls, *turn.calls])]
    text = _rewritten(parts, target)
    if turn.calls:
        text = "\n".join(filter(None, [text, target.render_calls(turn.calls)]))
    return [Turn("assistant", text)]


def _rewritten(parts: Sequence[Part], target: Dialect) -> str:
    """The text with its calls in another format; neighbours with only white space between them are written together."""
    pieces: list[str] = []
    calls: list[ToolCall] = []
    between = ""
    for part in parts:
        if part.kind == "call":
            calls += part.calls
            between = ""
        elif calls and not part.raw.strip():
            between += part.raw
        else:
            pieces += [target.render_calls(calls) if calls else "", between, part.raw]
            calls, between = [], ""
    return "".join((*pieces, target.render_calls(calls) if calls else "", between))
