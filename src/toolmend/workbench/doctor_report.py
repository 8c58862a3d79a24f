"""What the doctor has found, in the terminal and as one self-contained page with charts."""

from __future__ import annotations

import html
from typing import Any

from rich.console import Console
from rich.table import Table

from toolmend.workbench.doctor import Findings

__all__ = ["doctor_page", "doctor_terminal"]

_COLUMNS = ("native", "recovered", "prompted")
_CSS = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ddd;padding:.4rem .5rem;text-align:left}
.bar{background:#e4e4e4;border-radius:3px;overflow:hidden}.bar div{background:#3d9a50;height:1rem}
.verdict{border-left:4px solid #4a90d9;padding:.3rem 1rem;margin:1rem 0}code{font-size:14px}
@media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}td,th{border-color:#333}.bar{background:#333}}
"""


def doctor_terminal(console: Console, findings: Findings) -> None:
    """Print the table, the verdict and what to do."""
    found = findings.to_json()
    table = Table("question", *_COLUMNS, title=f"{found['model']} at {found['server']}", title_justify="left")
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
    title = html.escape(f"{found['model']} at {found['server']}")
    heads = "".join(f"<th>{column}</th>" for column in ("question", *_COLUMNS))
    rows = "".join(
        f"<tr><td>{html.escape(question['title'])}</td>{''.join(_bar(*rate) for rate in _rates(question))}</tr>"
        for question in found["questions"]
    )
    errors = "".join(f"<li>{html.escape(error)}</li>" for error in found["errors"])
    formats = ", ".join(f"{html.escape(name)} ({count})" for name, count in found["dialects"].items()) or "none"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_CSS}</style><h1>{title}</h1><p>Server: {html.escape(found['identity'])}</p>"
        f'<div class="verdict"><p>{html.escape(findings.verdict.words)}</p>'
        f"<p><code>{html.escape(findings.verdict.remedy)}</code></p></div>"
        f"<table><tr>{heads}</tr>{rows}</table><p>Formats of calls in text: {formats}</p><ul>{errors}</ul></html>\n"
    )


def _rates(question: dict[str, Any]) -> list[tuple[int, int]]:
    return [(question[column][0], question[column][1]) for column in _COLUMNS]


def _bar(met: int, asked: int) -> str:
    share = 100 * met / max(1, asked)
    return f'<td>{met} of {asked}<div class="bar"><div style="width:{share:.0f}%"></div></div></td>'
