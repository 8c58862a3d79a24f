"""What was found in a file of training data, in the terminal and as one self-contained page with charts."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from toolmend.workbench._page import page_of
from toolmend.workbench.check import Report

__all__ = ["report_page", "report_terminal"]

_SHOWN = 20
_CSS = """
td.name{overflow-wrap:anywhere}td.n{text-align:right;font-variant-numeric:tabular-nums;width:4rem;white-space:nowrap}
td.bar{width:50%}.bar div{background:#4a90d9;height:1rem;border-radius:2px}.bar div.bad{background:#d9574a}
"""


def _groups(report: Report) -> dict[str, Mapping[str, int]]:
    troubles = Counter(trouble.kind for trouble in report.troubles)
    dialects = {name: count for name, count in report.dialects.most_common() if count}
    return {
        "Examples": {
            "all": report.examples,
            "with calls": report.with_calls,
            "without calls": report.examples - report.with_calls,
            "that declare tools": report.declared,
            **{f"laid out as {shape}": count for shape, count in report.shapes.most_common()},
        },
        "Assistant turns": {
            "with calls": report.calling,
            "plain answers": report.answers,
            "results of tools": report.results,
        },
        "Calls by format": dialects,
        "Calls by tool": dict(report.names.most_common(_SHOWN)),
        "Repairs": dict(report.repairs.most_common(_SHOWN)),
        "Troubles": dict(troubles.most_common()),
    }


def report_terminal(console: Console, report: Report) -> None:
    """Print a table, and the first troubles with their lines."""
    for title, counts in _groups(report).items():
        if counts:
            table = Table("", Column(justify="right"), show_header=False)
            for name, count in counts.items():
                table.add_row(Text(name), str(count))
            console.print(title, table, style="")
    for trouble in report.troubles[:_SHOWN]:
        console.print(f"line {trouble.line}: {trouble.kind}: {trouble.reason}", markup=False)
    if len(report.troubles) > _SHOWN:
        console.print(f"and {len(report.troubles) - _SHOWN} more; --json or --html shows them all")


def report_page(report: Report, name: str) -> str:
    """The same as one HTML page without any other file."""
    charts = "".join(_chart(title, counts) for title, counts in _groups(report).items() if counts)
    rows = "".join(
        f'<tr><td class="n">{trouble.line}</td><td>{trouble.kind}</td><td>{html.escape(trouble.reason)}</td></tr>'
        for trouble in report.troubles
    )
    lines = f"<h2>Troubles by line</h2><table>{rows}</table>" if rows else ""
    return page_of(name, charts + lines, _CSS)


def _chart(title: str, counts: Mapping[str, int]) -> str:
    most = max(1, *counts.values())
    bad = ' class="bad"' if title == "Troubles" else ""
    rows = "".join(
        f'<tr><td class="name">{html.escape(name)}</td><td class="n">{count}</td>'
        f'<td class="bar"><div{bad} style="width:{100 * count / most:.1f}%"></div></td></tr>'
        for name, count in counts.items()
    )
    return f"<h2>{html.escape(title)}</h2><table>{rows}</table>"
