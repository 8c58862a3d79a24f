"""Calls that the server's own parser has swallowed: how that shows, and whether the words are left anywhere.

A server that reads calls out of the text itself may fail at it. Some answer with an error, a few of them with the
text in it; some hang up; some answer with nothing at all. What the model wrote is lost then, so the same request is
asked once more as text, where there is nothing to parse. Whatever is not known here reaches the caller as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from toolmend._refusal import message_of

__all__ = ["Swallowed", "comes_to_nothing", "swallowed"]

_PARSER = re.compile(
    r"""
      error\ parsing\ tool\ call:                                 # Ollama, harmony
    | failed\ to\ parse\ (?:json|xml):                            # Ollama's other parsers, down to "tool arguments"
    | empty\ function\ name | invalid\ function\ call\ format | returned\ invalid\ tool\ call\ arguments
    | tool\ (?:'[^']*'\ not\ found | "[^"]*"\ is\ not\ declared)
    | the\ model\ produced\ output\ that\ does\ not\ match\ the\ expected  # llama-server
    | failed\ to\ parse\ input\ at\ pos                           # llama-server, older
    | json\ parser\ could\ not\ parse\ region                     # transformers serve, streaming
    """,
    re.IGNORECASE | re.VERBOSE,
)
_WORDS = re.compile(
    r"error parsing tool call: raw='(?P<raw>.*)', err="
    r"|parse region as JSON\.\s*Content: '(?P<content>.*?)'\s*(?:Error:|\Z)",
    re.IGNORECASE | re.DOTALL,
)
# transformers serve; its framework says so of every other failure, too
_CRASHED = re.compile(r"\s*internal server error\s*", re.IGNORECASE)
_HISTORY = re.compile(
    r"""
      failed\ to\ parse\ tool\ call\ arguments\ as\ json          # llama-server
    | invalid\ tool\ call\ arguments                              # Ollama
    | can\ only\ get\ item\ pairs                                 # mlx-lm, the template
    """,
    re.IGNORECASE | re.VERBOSE,
)
_BROKEN_JSON = re.compile(r"(?:unterminated string|expecting |extra data|invalid ).*\(char \d+\)")  # mlx-lm, status 404
_HANG_UPS = ("server disconnected without sending a response", "peer closed connection without sending complete")
_EMPTY = "streamed response ended without content"  # PydanticAI's words for a stream without a single chunk
_STATUSES = (None, -1, 200, 400, 404, 500)  # -1: Ollama's client, for an error inside a stream
_SPENT = 2  # the end of a turn may be counted, and nothing else
_DEPTH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Swallowed:
    """A request that failed over a call, though it may well be served as text.

    Attributes:
        text: what the model wrote, if the error quotes it.
        lasting: the server's parser is to blame, so that the next request may fail just the same.
        in_words: the server says so; otherwise it just hung up.
    """

    text: str = ""
    lasting: bool = True
    in_words: bool = True


def swallowed(error: BaseException) -> Swallowed | None:
    """What an error says about a call that was lost on the way; `None` if it is about something else.

    Args:
        error: as the client library raised it, or a framework around it.
    """
    for status, message in _messages(error):
        if status not in _STATUSES:
            return None
        if _PARSER.search(message):
            words = _WORDS.search(message)
            return Swallowed(text=(words["raw"] or words["content"] or "") if words else "")
        if status == 500 and _CRASHED.fullmatch(message):
            return Swallowed()
        if _HISTORY.search(message) or (status == 404 and _BROKEN_JSON.match(message.lower())):
            return Swallowed(lasting=False)
        if any(words in message.lower() for words in (*_HANG_UPS, _EMPTY)):
            return Swallowed(in_words=False)
    return None


def comes_to_nothing(
    finish_reason: str | None, text: str, *, reasons: bool = False, tokens: int | None = None, ended: bool = True
) -> bool:
    """Whether a reply without calls ended as if it had held one.

    Args:
        finish_reason: in whatever words.
        text: what there is of text, already searched for calls.
        reasons: whether there is reasoning.
        tokens: what the reply has cost, if that is known.
        ended: whether the server has said that this is all.
    """
    if finish_reason in ("tool_calls", "tool_call", "function_call"):
        return True
    if text.strip() or reasons or finish_reason not in (None, "stop", "load", ""):
        return False
    return not ended or (tokens or 0) > _SPENT


def _messages(error: BaseException) -> Iterator[tuple[int | None, str]]:
    """What an error and those behind it say, each with its status."""
    current: BaseException | None = error
    for _ in range(_DEPTH):
        if current is None:
            return
        status = getattr(current, "status_code", None)
        status = status if isinstance(status, int) else getattr(getattr(current, "response", None), "status_code", None)
        said = (getattr(current, "body", None), getattr(current, "error", None), getattr(current, "doc", None))
        for message in (*said, str(current)):
            if message:
                yield status, message_of(message)
        current = current.__cause__
