"""A hook of mkdocs: fills the page of dialects from the classes, so that it cannot grow old."""

from __future__ import annotations

from typing import Any

from toolmend import DIALECTS, Dialect

_MARK = "<!-- dialects -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """What mkdocs calls for each page."""
    return markdown.replace(_MARK, "\n\n".join(map(_section, DIALECTS)))


def _section(dialect: Dialect) -> str:
    about = (type(dialect).__doc__ or "").strip()
    models = ", ".join(f"`{pattern}`" for pattern in dialect.models) or "any that is told to"
    fence = "`" * (4 if "```" in dialect.sample else 3)
    return f"## `{dialect.name}`\n\n{about}\n\nModels: {models}\n\n{fence}text\n{dialect.sample}\n{fence}"
