"""The content of a LangChain message: a text, or a list of texts and blocks."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import BaseMessage

__all__ = ["Block", "Content", "content_of", "parts_of", "text_in"]

Block = str | dict[str, Any]
Content = str | list[Block]


def content_of(message: BaseMessage) -> Content:
    """The content, typed."""
    content: Any = message.content  # pyright: ignore[reportUnknownMemberType] - a bare dict there
    return content


def parts_of(message: BaseMessage) -> list[Block]:
    """The content as a list; empty where there is none."""
    content = content_of(message)
    if isinstance(content, str):
        return [content] if content else []
    return content


def text_in(part: Block) -> str | None:
    """The text of a part, or `None` if it is something else."""
    if isinstance(part, str):
        return part
    return part.get("text") or "" if part.get("type") == "text" else None
