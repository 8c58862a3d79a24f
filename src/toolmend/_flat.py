"""A conversation as every chat template takes it: users and assistants in turn, and no other role.

Templates differ in what they refuse. Some know no tool role, some want strict turns, some no system role either. The
first two are always seen to where calls and results are written as text; the system text moves into the first user
message only where a server has refused it, since models heed it better in its own place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from toolmend._refusal import message_of

__all__ = ["in_turns", "refuses_system"]

_T = TypeVar("_T")

_SURELY = re.compile(r"system role (?:is )?not supported", re.IGNORECASE)
_REFUSALS = re.compile(
    r"""
      system\ role\ (?:is\ )?not\ supported
    | only\ user\ and\ (?:assistant|model)\ roles
    | \broles\ must\ alternate                                   # the system message is the one too many
    """,
    re.IGNORECASE | re.VERBOSE,
)
_STATUSES = (400, 404, 422, 500)


def in_turns(messages: Iterable[_T], role: Callable[[_T], str], join: Callable[[_T, _T], _T]) -> list[_T]:
    """Join neighbours of one role.

    Args:
        messages: the conversation.
        role: who speaks; messages of other roles than ``"user"`` and ``"assistant"`` stay by themselves.
        join: makes one message of two.
    """
    turns: list[_T] = []
    for message in messages:
        if turns and role(message) in ("user", "assistant") and role(turns[-1]) == role(message):
            turns[-1] = join(turns[-1], message)
        else:
            turns.append(message)
    return turns


def refuses_system(status: int | None, body: object, *, surely: bool = False) -> bool:
    """Whether an error means that this server's chat template has no place for a system message.

    Args:
        status: the HTTP status.
        body: the body as the client library shows it.
        surely: whether it must not be about another role, since there were others in the request.
    """
    return status in _STATUSES and (_SURELY if surely else _REFUSALS).search(message_of(body)) is not None
