"""Whether labelled actions are a report of what was done, not something to be done."""

from __future__ import annotations

import re

import regex

__all__ = ["ANSWERED", "plans", "reports"]

_WILL = r"\b(?:I['’]ll|I will|let me|let['’]s|let us|now|next|need to|going to|should)\b"
_PLANS = re.compile(_WILL, re.IGNORECASE)
_WHO = r"(?:I|we|you|it|(?:the|an|your|my) (?:agent|assistant|model|user|script|program))(?:['’](?:d|ve))?"
_DID = r"(?:did|ran|called|used|executed|took|taken|performed|wrote|done|made)"
_RECORD = r"(?:logs?|transcripts?|traces?|history|recordings?)"
_REPORTS = re.compile(
    rf"^(?![ \t*]*thought\b)(?:[^\n]*[.!?])?(?![^\n]*{_WILL})[^\n.!?]*\b(?:{_WHO} (?:\w+ ){{0,3}}{_DID}"
    rf"|{_RECORD} (?:of|from)|(?:steps|actions) (?:\w+ )?(?:taken|performed)"
    rf"|(?:is|are|was) (?:the|a|my|your|its) (?:\w+ ){{0,2}}{_RECORD})"
    r"\b[^\n.!?]*:[ \t*]*$",
    re.IGNORECASE | re.MULTILINE,
)

ANSWERED = regex.compile(
    r"\s{0,16}(?:`{3}\s{0,16})?\*{0,2}(?i:(?:tool )?(?:results?|outputs?|observations?|responses?|returned))"
    r"\*{0,2}[ \t]{0,4}:"
)
"""What stands behind an action whose result is told."""


def plans(lead: str) -> bool:
    """Whether the text before an action says what its writer is about to do."""
    return _PLANS.search(lead) is not None


def reports(lead: str) -> bool:
    """Whether a line of the text before an action says that those behind it were taken."""
    return _REPORTS.search(lead) is not None
