"""A reply laid open, in the terminal and as one self-contained page."""

from __future__ import annotations

import html
import json

from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from toolmend.workbench._page import page_of
from toolmend.workbench.anatomy import Anatomy, Part

__all__ = ["page", "terminal"]

_STYLES = {
    "text": "", "reasoning": "dim italic", "call": "black on green", "failed": "black on red",
    "passed over": "black on yellow",
}  # fmt: skip
_NOTES = "repairs, or why it does not run"
_CSS = """
pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid #ccc;border-radius:6px;padding:1rem;font-size:14px}
code{font-size:13px}td:first-child{white-space:nowrap}mark{color:inherit;border-radius:3px;padding:1px 0}
.call{background:#b7ebc0}.failed{background:#f6b9b9}.passed-over{background:#f8e3a3}
.reasoning{background:none;color:#666;font-style:italic}.text{background:none}
@media(prefers-color-scheme:dark){.call{background:#1d5b2a}.failed{background:#7a2323}.passed-over{background:#6b5710}
.reasoning{color:#aaa}pre{border-color:#444}}
"""


def terminal(console: Console, anatomy: Anatomy) -> None:
    """Print a reply in colours, with a table of what looks like a call in it.

    The reply is written as it is, only that it cannot steer a terminal.
    """
    for part in anatomy.parts:
        if console.is_terminal:
            visible = part.raw.replace("\x1b", "\N{SYMBOL FOR ESCAPE}")
            console.out(visible, style=_STYLES[part.kind] or None, highlight=False, end="")
        else:
            console.file.write(part.raw)
    console.out("\n")
    console.print(_table(anatomy))
    console.print(_summary(anatomy), style="bold")


def _table(anatomy: Anatomy) -> RenderableType:
    table = Table("", "dialect", *(Column(title, overflow="fold") for title in ("call", _NOTES)))
    for part in anatomy.parts:
        if part.kind in ("text", "reasoning"):
            continue
        label = Text(part.kind, style=_STYLES[part.kind])
        for call in part.calls or (None,):
            written = f"{call.name}({json.dumps(call.arguments, ensure_ascii=False)})" if call else ""
            notes = part.reason or ("; ".join(call.repairs) if call else "")
            table.add_row(label, part.dialect or "", Text(written), Text(notes))
    return table if table.row_count else Text("Nothing in it looks like a call.")


def _summary(anatomy: Anatomy) -> str:
    calls, lost = len(anatomy.calls), len(anatomy.lost)
    said = f"{calls} call{'' if calls == 1 else 's'}, {lost} not run."
    if anatomy.assumed:
        said += f" No tools were given: taken as offered are {', '.join(anatomy.tools) or 'none'}."
    return said


def page(anatomy: Anatomy) -> str:
    """The same as one HTML page without any other file."""
    reply = "".join(
        f'<mark class="{_class(part)}" title="{html.escape(_title(part))}">{html.escape(part.raw)}</mark>'
        for part in anatomy.parts
    )
    rows = "".join(map(_row, (part for part in anatomy.parts if part.kind not in ("text", "reasoning"))))
    heads = "".join(f"<th>{head}</th>" for head in ("", "dialect", "calls", _NOTES))
    body = f"<p>{html.escape(_summary(anatomy))}</p><pre>{reply}</pre><table><tr>{heads}</tr>{rows}</table>"
    return page_of("A reply laid open", body, _CSS)


def _class(part: Part) -> str:
    return part.kind.replace(" ", "-")


def _title(part: Part) -> str:
    return " · ".join(filter(None, (part.kind, part.dialect, part.reason)))


def _row(part: Part) -> str:
    calls = "<br>".join(
        f"<code>{html.escape(call.name)}({html.escape(json.dumps(call.arguments, ensure_ascii=False))})</code>"
        for call in part.calls
    )
    notes = part.reason or "; ".join(repair for call in part.calls for repair in call.repairs)
    label = f'<mark class="{_class(part)}">{part.kind}</mark>'
    cells = (label, html.escape(part.dialect or ""), calls, html.escape(notes))
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
