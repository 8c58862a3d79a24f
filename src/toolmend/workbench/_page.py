"""A self-contained HTML page: head, colours for light and dark, tables."""

from __future__ import annotations

import html

__all__ = ["page_of"]

_CSS = """
:root{color-scheme:light dark}h1,code,td:last-child{overflow-wrap:anywhere}
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c}
table{border-collapse:collapse;width:100%}
td,th{border-bottom:1px solid #ddd;padding:.35rem .5rem;text-align:left;vertical-align:top}
@media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}td,th{border-color:#333}}
"""


def page_of(title: str, body: str, css: str) -> str:
    """A page.

    Args:
        title: as text.
        body: what follows the headline, as HTML.
        css: what it needs beyond tables.
    """
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_CSS}{css}</style><h1>{html.escape(title)}</h1>{body}</html>\n"
    )
