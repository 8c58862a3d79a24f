"""Conversations that were written as text, kept while they go on.

An agent sends its whole history with every request, and as text all of it has to be written. What was written for an
earlier request is taken over, as far as the messages hold what they held then: whoever owns them may change them in
place. It is kept for as long as the first message of the conversation lives, and with it what others have said in them.

A conversation is written in stretches. Each begins with a reply of the model, so that nothing in it is joined with what
stands before it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from toolmend._foreign import Said
from toolmend._frozen import Row, Snapshot
from toolmend._turn import Turn

__all__ = ["Transcripts"]

M = TypeVar("M")

_FEW = 3  # messages, which are written faster than looked up
_MANY = 8  # stretches, after which they are made one: each costs something to look at


@dataclass(frozen=True, slots=True)
class _Stretch(Generic[M]):
    """Neighbouring messages as text.

    Attributes:
        size: how many there were.
        held: what they held.
        mark: see `Turn.mark`.
        said: what others than the model say in them.
        new: the messages that were written for them.
        order: what they have become: places among themselves, where one stays as it is, and behind that in `new`.
    """

    size: int
    held: Snapshot
    mark: str
    said: Said
    new: list[M]
    order: list[int]

    def text(self, messages: Sequence[M]) -> Iterable[M]:
        """What these messages, which hold the same, become."""
        return map([*messages, *self.new].__getitem__, self.order)


@dataclass(frozen=True, slots=True)
class _Transcript(Generic[M]):
    """A conversation up to the latest reply.

    Attributes:
        first: its first message; to hold on to it would keep it alive.
        wording: what the text depends on besides the messages.
        stretches: one for each time that it was found to have gone on.
    """

    first: weakref.ref[Any]
    wording: object
    stretches: tuple[_Stretch[M], ...]


class Transcripts(Generic[M]):
    """Of all conversations of one framework.

    Args:
        held: all that messages hold that their text depends on; `None` if that cannot be told.
        replies: whether the model says a message.
        says: what others than the model say in messages, if that is to be kept as well.
        ignored: keys in what is held that the text does not depend on.
    """

    def __init__(
        self,
        held: Callable[[Sequence[M]], list[Row] | None],
        replies: Callable[[M], bool],
        *,
        says: Callable[[Sequence[M]], Said] | None = None,
        ignored: Container[object] = (),
    ) -> None:
        self._held = held
        self._ignored = ignored
        self._says = says
        self._replies = replies
        self._kept: dict[int, _Transcript[M]] = {}

    def written(
        self,
        messages: Sequence[M],
        turn: Turn,
        write: Callable[[int, int], list[M]],
        *,
        first: M | None = None,
        apart: Sequence[M] = (),
    ) -> list[M]:
        """A conversation as text.

        Args:
            messages: the conversation.
            turn: writes the calls and results.
            write: writes the messages from one place up to another.
            first: the message that the conversation is known by, if it is not the first one of these.
            apart: messages that are not written here; somebody says something in them, too.

        Returns:
            A new list. What comes from an earlier request is the same objects as then.
        """
        latest = self._latest_reply(messages) if len(messages) > _FEW else 0
        if latest < _FEW:
            return write(0, len(messages))
        first = messages[0] if first is None else first
        wording = (turn.options.prompt, turn.names)
        kept = self._kept.get(id(first))
        stretches, text = self._unchanged(kept.stretches if kept and kept.wording == wording else (), messages, turn)
        at = sum(stretch.size for stretch in stretches)
        if at < latest:
            whole = len(stretches) == _MANY
            begin, known = (0, 0) if whole else (at, len(text))
            text.extend(write(at, latest))
            stretch = self._stretch(messages[begin:latest], text[known:], turn.mark)
            if stretch:
                at, stretches = latest, [stretch] if whole else [*stretches, stretch]
                self._keep(first, wording, tuple(stretches))
        if says := self._says:
            turn.foreign.goes_on([stretch.said for stretch in stretches], partial(says, [*apart, *messages[at:]]))
        return [*text, *write(latest, len(messages))]

    def _unchanged(
        self, kept: Iterable[_Stretch[M]], messages: Sequence[M], turn: Turn
    ) -> tuple[list[_Stretch[M]], list[M]]:
        """The stretches that can be taken over, up to the first that cannot, and their text."""
        stretches: list[_Stretch[M]] = []
        text: list[M] = []
        at = 0
        for stretch in kept:
            end = at + stretch.size
            if end >= len(messages) or not self._replies(messages[end]):
                break
            same = messages[at:end]
            held = self._held(same)
            if held is None or not stretch.held.agrees(held) or not turn.marks_with(stretch.mark):
                break
            stretches.append(stretch)
            text.extend(stretch.text(same))
            at = end
        return stretches, text

    def _latest_reply(self, messages: Sequence[M]) -> int:
        """Where the last reply begins that follows anything else."""
        places = range(len(messages) - 1, 0, -1)
        begins = (n for n in places if self._replies(messages[n]) and not self._replies(messages[n - 1]))
        return next(begins, 0)

    def _keep(self, first: M, wording: object, stretches: tuple[_Stretch[M], ...]) -> None:
        key = id(first)

        def forget(dead: weakref.ref[Any]) -> None:
            kept = self._kept.get(key)
            if kept and kept.first is dead:
                self._kept.pop(key, None)

        self._kept[key] = _Transcript(weakref.ref(first, forget), wording, stretches)

    def _stretch(self, messages: Sequence[M], text: Iterable[M], mark: str) -> _Stretch[M] | None:
        """What messages have become, to be kept; `None` if they cannot be compared with others later."""
        held = self._held(messages)
        snapshot = None if held is None else Snapshot.of(held, self._ignored)
        if snapshot is None:
            return None
        places = {id(message): n for n, message in enumerate(messages)}
        new: list[M] = []
        order: list[int] = []
        for message in text:
            place = places.get(id(message))
            if place is None:
                place = len(messages) + len(new)
                new.append(message)
            order.append(place)
        return _Stretch(len(messages), snapshot, mark, self._says(messages) if self._says else Said(), new, order)
