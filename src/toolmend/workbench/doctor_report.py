"""What the doctor has found, in the terminal and as one self-contained page with charts."""

from __future__ import annotations

import html
from typing import Any

from rich.console import Console
from rich.table import Table

from toolmend.workbench._page import page_of
from toolmend.workbench.doctor import Findings

__all__ = ["doctor_page", "doctor_terminal"]

_COLUMNS = ("native", "recovered", "prompted")
_CSS = """
.bar{background:#e4e4e4;border-radius:3px;overflow:hidden}.bar div{background:#3d9a50;height:1rem}
.verdict{border-left:4px solid #4a90d9;padding:.3rem 1rem;margin:1rem 0}code{font-size:14px}
@media(prefers-color-scheme:dark){.bar{background:#333}}
"""


def doctor_terminal(console: Console, findings: Findings) -> None:
    """Print the table, the verdict and what to do."""
    found = findings.to_json()
    console.print(f"{found['model']} at {found['server']}", markup=False)
    if findings.verdict.kind != "unreachable":
        table = Table("question", *_COLUMNS)
        for question in found["questions"]:
            table.add_row(question["title"], *(f"{met} of {asked}" for met, asked in _rates(question)))
        console.print(table)
        console.print(f"server: {found['identity']}", markup=False)
        for error in found["errors"]:
            console.print(f"it said: {error}", markup=False)
    console.print(findings.verdict.words, style="bold", markup=False)
    if findings.verdict.remedy:
        console.print(f"    {findings.verdict.remedy}", markup=False)


def doctor_page(findings: Findings) -> str:
    """The same as one HTML page without any other file."""
    found = findings.to_json()
    heads = "".join(f"<th>{column}</th>" for column in ("question", *_COLUMNS))
    rows = "".join(
        f"<tr><td>{html.escape(question['title'])}</td>{''.join(_bar(*rate) for rate in _rates(question))}</tr>"
        for question in found["questions"]
    )
    errors = "".join(f"<li>{html.escape(error)}</li>" for error in found["errors"])
    formats = ", ".join(f"{html.escape(name)} ({count})" for name, count in found["dialects"].items()) or "none"
    body = (
        f"<p>Server: {html.escape(found['identity'])}</p>"
        f'<div class="verdict"><p>{html.escape(findings.verdict.words)}</p>'
        f"<p><code>{html.escape(findings.verdict.remedy)}</code></p></div>"
        f"<table><tr>{heads}</tr>{rows}</table><p>Formats of calls in text: {formats}</p><ul>{errors}</ul>"
    )
    return page_of(f"{found['model']} at {found['server']}", body, _CSS)


def _rates(question: dict[str, Any]) -> list[tuple[int, int]]:
    return [(question[column][0], question[column][1]) for column in _COLUMNS]


def _bar(met: int, asked: int) -> str:
    share = 100 * met / max(1, asked)
    return f'<td>{met} of {asked}<div class="bar"><div style="width:{share:.0f}%"></div></div></td>'
