"""Calls that count only with named arguments that fit: on the line of a sentence, or as a method of something."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from toolmend._dialect import Region
from toolmend._toolbox import NotACall, Written

__all__ = ["ANSWERS", "NAMESPACE", "fitting"]

ANSWERS = re.compile(
    r"[\s*_#>-]*(?:(?:the |my |final )*(?:answer|output|response|solution)|(?:function|tool|api)[_-]?call)s?[\s*_]*:",
    re.IGNORECASE,
)
"""A label that says that an answer follows, or a call."""

NAMESPACE = r"(?:(?:functions|default_api|api|tools)\.)?"
"""What prompts put before the names of tools."""

_NAMED = re.compile(r"[^(]*\(\s*(?:\)|\*\*|[A-Za-z_]\w*\s*=)")


def fitting(calls: Sequence[Written | NotACall], region: Region, *, always: bool = False) -> list[Written | NotACall]:
    """Calls, held to what they must be where they stand.

    Args:
        calls: what was read.
        region: what they were read from.
        always: they must fit wherever they stand.

    Raises:
        NotACall: their arguments are not named, and they must be.
    """
    if not (always or _is_said(region) or _is_method(calls[0], region)):
        return [*calls]
    if not _NAMED.match(region.text):
        raise NotACall("arguments without names in what may be no call", meant=False)
    return [replace(call, loose=True) if isinstance(call, Written) else call for call in calls]


def _is_method(call: Written | NotACall, region: Region) -> bool:
    """Whether a call bears a declared name behind that of an object."""
    if isinstance(call, NotACall) or "." not in call.name:
        return False
    return re.fullmatch(rf"{NAMESPACE}(?:{region.tools.names})", call.name) is None


def _is_said(region: Region) -> bool:
    """Whether the calls stand on the line of a sentence, or of a label that need not mean calls."""
    line = region.lead[region.lead.rfind("\n") + 1 :].rstrip()
    listed = region.text.lstrip("* \t").startswith("[")
    return line.endswith((".", "!")) or (not listed and ANSWERS.fullmatch(line) is not None)
