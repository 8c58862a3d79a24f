"""What models put around a call without a marker: the mark of a list's item, bold, backticks."""

from __future__ import annotations

import re
import string
from functools import lru_cache

import regex

from toolmend._blocks import Body
from toolmend._composed_body import FollowedBody

__all__ = ["BEFORE", "BEHIND", "ITEM", "announces_calls", "dressed", "is_dressed", "is_item", "undressed"]

ITEM = r"(?:\d{1,2}[.)]|[-*+•])[ \t]{1,4}"
"""Regular expression of the mark of a list's item."""

_MARK = r"`{3}(?:(?:python|py|json|tool_code|text)[ \t]{1,4})?|\*{2}`?|`{1,2}"

BEFORE = rf"(?:{ITEM}(?:{_MARK})?|{_MARK})"
"""Regular expression of what stands before the call, at the start of its line."""

BEHIND = r"(?:`{1,3}(?:\*{2})?|\*{2})"
"""Regular expression of what stands behind it."""

_BEFORE = re.compile(rf"\s*+(?P<item>{ITEM})?+(?P<mark>{_MARK})?+")
_CALLS = re.compile(r"\bcalls?\b(?! the| these)|\b(?:I|we|let)\b|answer|solution", re.IGNORECASE)
_OFFERS = re.compile(
    r"\b(?:how|you|examples?|usage|available|can|could|may|might|options?|access|have|has|support(?:s|ed)?"
    r"|offer(?:s|ed)?|provid(?:e|es|ed))\b",
    re.IGNORECASE,
)
_REACH = 64  # the longest that may stand behind a call
_compiled = lru_cache(maxsize=64)(regex.compile)


def is_dressed(opener: str) -> bool:
    """Whether anything stands before the call."""
    return bool(_before(opener).group().strip())


def is_item(opener: str) -> bool:
    """Whether it is an item of a list."""
    return _before(opener)["item"] is not None


def announces_calls(lead: str) -> bool:
    """Whether the line before the items of a list says that they are calls, not what could be called."""
    line = lead[lead.rstrip().rfind("\n") + 1 :]
    return _CALLS.search(line) is not None and not _OFFERS.search(line)


def dressed(body: Body, opener: str) -> Body:
    """A body of calls, and behind it what goes with that which stands before them."""
    behind = _behind(_before(opener)["mark"])
    return FollowedBody(body, _compiled(behind)) if behind else body


def undressed(text: str) -> str:
    """Calls without what stands around them."""
    before = _before(text)
    behind = _behind(before["mark"])
    text = text[before.end() :]
    found = re.search(rf"{behind}\Z", text[-_REACH:]) if behind else None
    return text[: found.start() - min(len(text), _REACH)] if found else text


def _before(text: str) -> re.Match[str]:
    found = _BEFORE.match(text)
    assert found  # it may be empty
    return found


def _behind(mark: str | None) -> str:
    """Regular expression of what goes with a mark."""
    return re.escape(mark.rstrip(string.ascii_letters + "_ \t")[::-1]) if mark else ""
