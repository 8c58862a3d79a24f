"""Training and log data checked: how its calls are written, where they are broken, whether names and tools agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from toolmend._types import ToolSpec
from toolmend.workbench.anatomy import Anatomy, dissect, names_in
from toolmend.workbench.records import NotReadable, Record, Turn, results_in

__all__ = ["Report", "Trouble", "check", "read_turn"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something wrong in one line.

    Attributes:
        line: its number, from 1.
        kind: ``"malformed"``, ``"not declared"`` or ``"unreadable"``.
        reason: in a few words.
    """

    line: int
    kind: str
    reason: str


@dataclass(slots=True)
class Report:
    """What a file holds.

    Attributes:
        examples: records.
        shapes: how they are laid out > how many.
        with_calls: how many hold a call.
        declared: how many declare tools.
        dialects: format > calls in it; ``"structured"`` for those that are no text.
        names: tool > calls.
        repairs: what had to be mended > how often.
        answers: assistant turns without a call.
        calling: assistant turns with one.
        results: results of tools.
        troubles: what is wrong, by line.
    """

    examples: int = 0
    shapes: Counter[str] = field(default_factory=Counter[str])
    with_calls: int = 0
    declared: int = 0
    dialects: Counter[str] = field(default_factory=Counter[str])
    names: Counter[str] = field(default_factory=Counter[str])
    repairs: Counter[str] = field(default_factory=Counter[str])
    answers: int = 0
    calling: int = 0
    results: int = 0
    troubles: list[Trouble] = field(default_factory=list[Trouble])

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        counted: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__ if name != "troubles"}
        counts = ("shapes", "dialects", "names", "repairs")
        plain = {key: dict(value.most_common()) if key in counts else value for key, value in counted.items()}
        lines = [{"line": trouble.line, "kind": trouble.kind, "reason": trouble.reason} for trouble in self.troubles]
        return {**plain, "troubles": lines}


def check(lines: Iterable[str]) -> Report:
    """Check the lines of a JSONL file."""
    report = Report()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        report.examples += 1
        try:
            record = Record(line)
        except NotReadable as error:
            report.troubles.append(Trouble(number, "unreadable", str(error)))
            continue
        report.shapes[record.shape] += 1
        report.declared += bool(record.tools)
        report.with_calls += _check(record, number, report)
    return report


def read_turn(turn: Turn, tools: Iterable[ToolSpec]) -> Anatomy:
    """An assistant's text laid open; names that it uses count as offered, whether they were declared or not."""
    declared = list(tools)
    known = {tool.name for tool in declared}
    unknown = [name for name in names_in(turn.text) if name not in known]
    return dissect(turn.text, [*declared, *(ToolSpec(name=name, parameters={"type": "object"}) for name in unknown)])


def _check(record: Record, number: int, report: Report) -> bool:
    declared = {tool.name for tool in record.tools}
    called: list[str] = []
    for turn in record.turns:
        report.results += len(results_in(turn))
        if turn.role != "assistant":
            continue
        anatomy = read_turn(turn, record.tools)
        for part in anatomy.parts:
            if part.kind == "call" and part.dialect:
                report.dialects[part.dialect] += len(part.calls)
            elif part.kind == "failed":
                report.troubles.append(Trouble(number, "malformed", f"{part.dialect}: {part.reason}"))
        report.dialects["structured"] += len(turn.calls)
        calls = [*anatomy.calls, *turn.calls]
        report.repairs.update(repair for call in calls for repair in call.repairs)
        called += [call.name for call in calls]
        report.calling += bool(calls)
        report.answers += not calls
    report.names.update(called)
    for name in dict.fromkeys(called) if declared else ():
        if name not in declared:
            report.troubles.append(Trouble(number, "not declared", f"{name} is called, but not among the tools"))
    return bool(called)
