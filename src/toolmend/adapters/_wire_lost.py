"""Whether a reply on the wire has lost a call: what came of it is noted while it passes.

Only a reply of which nobody has seen anything but reasoning can be asked for again, and its end is kept back until it
is known whether it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolmend._swallowed import Swallowed, comes_to_nothing, swallowed

__all__ = ["Watched", "lost_in"]

_ANSWERS = frozenset({"content", "tool_calls", "function_call", "refusal"})
_MANY = 1 << 20


class Watched:
    """One reply, as far as it has come."""

    def __init__(self) -> None:
        self._said: set[str] = set()
        self._reason: str | None = None
        self._tokens: int | None = None
        self._ended = False
        self._broken = False

    def take(self, message: Mapping[str, Any]) -> None:
        """A message, or the next piece of one."""
        for key, value in message.items():
            if key != "role" and (value.strip() if isinstance(value, str) else value):
                self._said.add(key)

    def end(self, reason: object = None, tokens: object = None) -> None:
        """The end, why it came and what it has cost, as far as that was told."""
        self._ended = True
        self._reason = reason if isinstance(reason, str) else self._reason
        self._tokens = tokens if isinstance(tokens, int) else self._tokens

    def fail(self, body: str) -> None:
        """An error instead of the rest."""
        self._ended = True
        self._broken = lost_in(200, body) is not None

    @property
    def lost(self) -> bool:
        """Whether a call was lost, as far as can be told by now."""
        return self._comes_to_nothing(self._tokens)

    @property
    def withheld(self) -> bool:
        """Whether what comes now belongs to an end that may not be the last."""
        return self._ended and self._comes_to_nothing(_MANY)

    def _comes_to_nothing(self, tokens: int | None) -> bool:
        if self._said & _ANSWERS:
            return False
        nothing = comes_to_nothing(self._reason, "", reasons=bool(self._said), tokens=tokens, ended=self._ended)
        return self._broken or nothing


class _Failed(Exception):
    """An answer in the shape in which client libraries raise it."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(body)
        self.status_code = status


def lost_in(status: int, body: str) -> Swallowed | None:
    """What an answer with an error says of a call that was lost; `None` if it is about something else."""
    return swallowed(_Failed(status, body))
