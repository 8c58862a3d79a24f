"""Bodies made of other bodies: what belongs behind one, which of several it is; and plain text up to a marker."""

from __future__ import annotations

from collections.abc import Callable

import regex

from toolmend._blocks import Body, NotHere

__all__ = ["ChosenBody", "FollowedBody", "TextBody"]

_BACK = 1024  # how far behind the text read so far a body may tell its end


class FollowedBody:
    """A body and what belongs to its region behind it: an outer closer behind the inner one, a closer behind calls.

    Half of what may follow is waited for; anything else stays outside.

    Args:
        body: the body inside.
        follows: regular expression, bounded, of what else belongs to the region.
        refutes: what follows refutes the region instead.
    """

    value = None

    def __init__(self, body: Body, follows: regex.Pattern[str], *, refutes: bool = False) -> None:
        self.whole = False
        self._refutes = refutes
        self._body = body
        self._follows = follows
        self._last = ""  # the text last read
        self._read = 0  # how much was read
        self._end: int | None = None  # where the body inside ends
        self._behind = ""

    def feed(self, text: str) -> int | None:
        """See `Body.feed`."""
        if self._end is None:
            self._last = self._last[-_BACK:] + text
            self._read += len(text)
            self._end = self._body.feed(text)
            if self._end is None:
                return None
            text = self._last[len(self._last) - (self._read - self._end) :]
        self._behind += text
        found = self._follows.match(self._behind, partial=True)
        if found and found.partial:
            return None
        if found and self._refutes:
            raise NotHere(self._end)
        return self._end + (found.end() if found else 0)

    def close(self) -> int:
        """See `Body.close`."""
        if self._end is not None:
            self.whole = not self._refutes  # what would have followed may have refuted it
            return self._end
        end = self._body.close()
        self.whole = self._body.whole and not self._refutes
        at = len(self._last) - (self._read - end)
        found = self._follows.match(self._last, at) if at >= 0 else None
        if found and self._refutes:
            raise NotHere(end)
        return end + (found.end() - at if found else 0)


class ChosenBody:
    """A body that is chosen by the first characters behind the opener.

    Args:
        choose: gives the body once the region's text settles which one it is, and `None` before that; it may raise
            `NotHere`. It settles the matter within a bounded number of characters.
    """

    value = None

    def __init__(self, choose: Callable[[str], Body | None]) -> None:
        self.whole = False
        self._choose = choose
        self._text = ""
        self._body: Body | None = None

    def feed(self, text: str) -> int | None:
        """See `Body.feed`."""
        if self._body:
            return self._body.feed(text)
        self._text += text
        self._body = self._choose(self._text)
        return self._body.feed(self._text) if self._body else None

    def close(self) -> int:
        """See `Body.close`."""
        if not self._body:
            return len(self._text)
        end = self._body.close()
        self.whole = self._body.whole
        return end


class TextBody:
    """Text up to a marker. Without the marker it ends with its last character that is no white space.

    Args:
        end: regular expression, bounded, of the marker. Its group ``last`` means that the marker belongs to the region.
    """

    value = None

    def __init__(self, end: regex.Pattern[str]) -> None:
        self.whole = False
        self._end = end
        self._carry = ""
        self._at = 0
        self._solid = 0

    def feed(self, text: str) -> int | None:
        """See `Body.feed`."""
        text = self._carry + text
        found = self._end.search(text, partial=True)
        if found and not found.partial:
            return self._at + (found.start() if found["last"] is None else found.end())
        solid = len(text.rstrip())
        if solid:
            self._solid = self._at + solid
        self._carry = text[found.start() :] if found else ""
        self._at += len(text) - len(self._carry)
        return None

    def close(self) -> int:
        """See `Body.close`."""
        return self._solid
