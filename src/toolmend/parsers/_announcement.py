"""Whether a sentence announces that the model itself acts, now; what stands behind it is a call then."""

from __future__ import annotations

import re

import regex

from toolmend._blocks import Body
from toolmend._composed_body import FollowedBody
from toolmend._quotation import last_sentence

__all__ = ["CONDITION", "CONSIDERS", "SAID", "announced", "closing", "direct", "said"]

_SUBJECT = (
    r"(?:i|we)(?:['’]ll| will| am going to| are going to| need to| have to| must)|(?:i['’]m|we['’]re) going to|"
    r"let (?:me|us)|let['’]s"
)
_ACT = (
    r"(?<!the )(?<!\ba )(?<!this )"  # a verb, not "the call"
    r"(?:call|use|run|invoke|execute|try|perform|make|issue|send|query|fetch|check|look|search|find|get|retrieve|read|"
    r"open|list|calculate|compute|determine|see|start|do)\b"
)
_DOING = r"(?:calling|using|running|invoking|executing)\b"
_ANNOUNCES = re.compile(
    # who acts, and what it does, unless it is the tool's name that says so
    rf"\b(?:{_SUBJECT})\b(?=.*\b{_ACT}|.*\b(?:with|via|{_DOING})\s*$|(?: now| first| then| just)?[\s:*_]*$)"
    rf"|\b(?:i am|i['’]m|we are|we['’]re) (?:now )?{_DOING}"
    rf"|^[\s*_>-]*(?:(?:ok(?:ay)?|sure|alright|right|great|first|next|then|now)\b[\s,:.!-]*){{0,3}}{_DOING}"
    r"|\b(?:tool call|function call|action):[\s*_]*$",
    re.IGNORECASE,
)
_TALKS = re.compile(
    r"\b(?:explain|describe|show|demonstrate|tell|warn|discuss|mention|suggest|recommend|propose|document|define|"
    r"introduce|clarify|illustrate|remind|talk|write|know)\b",
    re.IGNORECASE,
)
_INDIRECT = re.compile(
    r"\b(?:see|check|find out|know|determine|verify|test|learn|tell you|ask) (?:if|whether|when|what|how|where)\b",
    re.IGNORECASE,
)
CONDITION = re.compile(
    r"\b(?:if|unless|when|whenever|once|until|whether|in case|before (?:i )?(?:call|us|run)\w*)\b", re.IGNORECASE
)
CONSIDERS = re.compile(
    r"\b(?:would|could|should|might|may|can|cannot|not|never|\w+n['’]t|instead of|rather than|example|e\.g|like|"
    r"previous|earlier|later)\b|\?",
    re.IGNORECASE,
)
_AGREES = re.compile(
    r"[\s*_]*(?:sure|certainly|of course|absolutely|ok(?:ay)?|alright|all right|got it)"
    r"(?:[,!. ]{1,3}(?:sure|of course|thing|here(?:['’]s| is| are| you go)|let['’]s see))?[\s*_]*[.!,:]*",
    re.IGNORECASE,
)
_QUOTES = re.compile(
    r"\b(?:he|she|it|they|you|assistant|model|user|agent|page|file|log|prompt|text|e?mail|message|document|results?)"
    r" (?:\w+ ){0,2}(?:said|says|wrote|writes|replied|answered)\b",
    re.IGNORECASE,
)
_MORE = regex.compile(r"[\s`*]{0,64}+[^\s`*<{\[]")

SAID = r"(?<![^ \t])"
"""Regular expression of a place behind a space: to look for the end of a sentence there would cost all prose."""

_SENTENCE = re.compile(r"[.:!][ \t]{1,4}\Z")


def direct(sentence: str) -> str:
    """A sentence without the questions that it says are to be answered."""
    return _INDIRECT.sub("see", sentence)


def announced(lead: str, *, agreed: bool = False) -> bool:
    """Whether the text before a call announces it.

    Args:
        lead: the text.
        agreed: to agree is enough, as in "Sure!", but what others announce does not count.
    """
    sentence = direct(last_sentence(lead))
    if agreed and _QUOTES.search(lead[lead.rfind("\n") + 1 :]):
        return False
    if agreed and _AGREES.fullmatch(sentence):
        return True
    announcements = list(_ANNOUNCES.finditer(sentence))
    if not announcements or CONDITION.search(sentence):
        return False
    since = sentence[announcements[-1].start() :]
    return not _TALKS.search(since) and not CONSIDERS.search(since)


def said(lead: str) -> bool:
    """Whether the sentence on the same line, ended, announces a call or agrees."""
    return _SENTENCE.search(lead[-5:]) is not None and announced(lead.rstrip(), agreed=True)


def closing(body: Body) -> Body:
    """A body of calls with which the reply must end."""
    return FollowedBody(body, _MORE, refutes=True)
