"""LM Studio: an object between ``[TOOL_REQUEST]`` and ``[END_TOOL_REQUEST]``, for models without a format of their own.

Source: LM Studio's documentation of default tool use.
"""

from __future__ import annotations

from toolmend.parsers._tagged_json import TaggedJson

__all__ = ["LmStudio"]


class LmStudio(TaggedJson):
    """``[TOOL_REQUEST]{"name": …, "arguments": {…}}[END_TOOL_REQUEST]``."""

    name = "lm_studio"
    sample = '[TOOL_REQUEST]{"name": "find_book", "arguments": {"title": "Dune", "max_hits": 3}}[END_TOOL_REQUEST]'
    opener = r"\[TOOL_REQUEST\]"
    closers = ("[END_TOOL_REQUEST]",)
    head = "[TOOL_REQUEST]"
    tail = "[END_TOOL_REQUEST]"
