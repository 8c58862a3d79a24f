"""Whether a reply on the wire has lost a call: what came of it is noted while it passes.

Only a reply of which nobody has seen anything but reasoning can be asked for again. So its end is kept back until it is
known whether it is, and where a call must be made, whatever is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, cast

from toolmend._swallowed import Swallowed, comes_to_nothing, swallowed

__all__ = ["Watched", "lost_in"]

_ANSWERS = frozenset({"content", "tool_calls", "function_call", "refusal"})
_STOPPED = ("content_filter", "error")
_MANY = 1 << 20
_NONE: AbstractSet[str] = frozenset()


class Watched:
    """One reply, as far as it has come, in the form in which the client gets it.

    Args:
        expected: the tools of which one must be called; a reply without such a call is to be asked for again.
    """

    def __init__(self, expected: AbstractSet[str] = _NONE) -> None:
        self._expected = expected
        self._kept: list[bytes] = []
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
        if self._expected and not self._expected.isdisjoint(_called(message.get("tool_calls"))):
            self._expected = _NONE

    def take_several(self) -> None:
        """There are other choices, and one of them may be good."""
        self._said.add("content")
        self._expected = _NONE

    def end(self, reason: object = None, tokens: object = None) -> None:
        """The end, why it came and what it has cost, as far as that was told."""
        self._ended = True
        self._reason = reason if isinstance(reason, str) else self._reason
        self._tokens = tokens if isinstance(tokens, int) else self._tokens

    def fail(self, body: str) -> None:
        """An error instead of the rest."""
        self._ended = True
        self._broken = lost_in(200, body) is not None
        self._expected = self._expected if self._broken else _NONE

    @property
    def lost(self) -> bool:
        """Whether a call was lost, as far as can be told by now."""
        return self._comes_to_nothing(self._tokens)

    @property
    def missing(self) -> bool:
        """Whether a call that had to be made was not, as far as can be told by now."""
        return bool(self._expected) and self._reason not in _STOPPED

    def passed(self, written: bytes) -> bytes:
        """What may go out now, given what is written next; the rest waits until it is known whether it counts."""
        if self._withheld:
            self._kept.append(written)
            return b""
        return self.rest() + written if self._kept else written

    def rest(self) -> bytes:
        """What has waited: the reply counts."""
        kept = b"".join(self._kept)
        self._kept.clear()
        return kept

    @property
    def ended(self) -> bool:
        """Whether what comes now belongs to an end that may not be the last."""
        return self._ended and (self.missing or self._comes_to_nothing(_MANY))

    @property
    def _withheld(self) -> bool:
        return self.ended or (bool(self._said & _ANSWERS) and self.missing)

    def _comes_to_nothing(self, tokens: int | None) -> bool:
        if self._said & _ANSWERS:
            return False
        nothing = comes_to_nothing(self._reason, "", reasons=bool(self._said), tokens=tokens, ended=self._ended)
        return self._broken or nothing


def _called(calls: object) -> list[str]:
    """The names in a list of calls, or of pieces of calls."""
    listed = cast("list[Any]", calls) if isinstance(calls, list) else []
    functions = [cast("dict[str, Any]", call).get("function") for call in listed if isinstance(call, dict)]
    return [str(cast("dict[str, Any]", each).get("name")) for each in functions if isinstance(each, dict)]


class _Failed(Exception):
    """An answer in the shape in which client libraries raise it."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(body)
        self.status_code = status


def lost_in(status: int, body: str) -> Swallowed | None:
    """What an answer with an error says of a call that was lost; `None` if it is about something else."""
    return swallowed(_Failed(status, body))
