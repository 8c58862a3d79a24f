"""Finds where calls written as elements end."""

from __future__ import annotations

from toolmend._blocks import NotHere
from toolmend._element_tags import Tags
from toolmend._elements import Elements

__all__ = ["ElementBody"]


class ElementBody:
    """The body of a region that holds calls written as elements.

    Args:
        tags: what their tags look like.
    """

    value = None

    def __init__(self, tags: Tags) -> None:
        self.whole = False
        self._tags = tags
        self._elements = Elements(tags)
        self._carry = ""
        self._at = 0

    def feed(self, text: str) -> int | None:
        """See `Body.feed`."""
        if not self._carry and self._elements.in_value and not self._tags.inside.search(text):
            self._at += len(text)
            return None
        text = self._carry + text
        self._carry = ""
        self._elements.base = self._at
        position = 0
        while position < len(text):
            found, open_ended = self._tags.find(self._elements.place, text, position)
            if open_ended:
                self._carry = text[found.start() :] if found else ""
                break
            position = self._elements.take(found, position)
            if self._elements.over:
                return self._end()
        self._at += len(text) - len(self._carry)
        return None

    def close(self) -> int:
        """See `Body.close`."""
        self.whole = self._elements.end is not None
        return self._at + len(self._carry) if self._elements.end is None else self._elements.end

    def _end(self) -> int:
        if self._elements.end is None:
            raise NotHere
        return self._elements.end
