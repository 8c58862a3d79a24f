"""Finds where calls in Python's syntax end: ``[f(a=1), g()]``, ``f(a=1)`` on lines of their own, or inside a sentence.

Brackets are counted outside of strings. What may follow the last bracket is the format's own business: `after` is a
bounded regular expression, matched anew with each piece until it settles the matter.
"""

from __future__ import annotations

from collections.abc import Callable

import regex

from toolmend._blocks import NotHere

__all__ = ["CallBody"]

_PREFIXES = frozenset({"r", "b", "f", "u", "rb", "br", "rf", "fr"})
# a quote is told from a triple one by positive lookahead, so that half a triple quote waits for its rest
_OUTSIDE = regex.compile(r"""(?P<bracket>[()\[\]{}])|(?P<quote>'''|\"\"\"|'(?='?[^'])|"(?="?[^"]))|(?P<word>\w++)""")
_INSIDE: dict[str, regex.Pattern[str]] = {
    quote: regex.compile(rf"(?s:\\.)|(?P<quote>{quote})") for quote in ("'", '"', "'''", '"""')
}


class CallBody:
    """The body of a region that holds calls.

    Args:
        after: what may follow the last bracket. Its group ``more`` is the beginning of another call, its
            group ``end`` settles the region's end, and half a match is waited upon.
        last: the calls must be the last thing in the reply.
        strict: what does not match `after` refutes the region; otherwise it only ends it.
        never: whether what stands between the last bracket and the end of the reply refutes the region.
    """

    value = None

    def __init__(
        self,
        after: regex.Pattern[str],
        *,
        last: bool = False,
        strict: bool = True,
        never: Callable[[str], bool] | None = None,
    ) -> None:
        self.whole = False
        self._after = after
        self._last = last
        self._strict = strict
        self._never = never
        self._depth = 0
        self._quote: str = ""
        self._word: str = ""  # the word just read, or its first characters
        self._word_end: int = -1
        self._carry: str = ""
        self._before: str = ""  # the character before the piece in hand
        self._at: int = 0  # offset of the first character of the piece in hand
        self._call_end: int | None = None

    def feed(self, text: str) -> int | None:
        """See `Body.feed`."""
        text = self._carry + text
        self._carry = ""
        position = 0
        while position < len(text) and not self._carry:
            if self._call_end is None:
                position = self._read_call(text, position)
                continue
            found = self._after.match(text, position, partial=True)
            if found is None:
                if self._strict:
                    raise NotHere(self._call_end)
                return self._call_end
            if found.partial:
                self._carry = text[position:]
            elif found["more"] is not None:
                self._call_end = None
                position = found.start("more")
            else:
                return self._end(found.group())
        self._at += len(text) - len(self._carry)
        self._before = text[: len(text) - len(self._carry)][-1:] or self._before
        return None

    def close(self) -> int:
        """See `Body.close`."""
        if self._call_end is None:
            return self._at + len(self._carry)
        self.whole = not self._last
        return self._end(self._carry)

    def _end_quote(self, token: regex.Match[str], text: str) -> int:
        """Step over what ends a string, unless it is an apostrophe."""
        start, end = token.span()
        if self._quote == "'":
            if end == len(text):
                self._carry = text[start:]
                return end
            if (text[start - 1] if start else self._before).isalnum() and text[end].isalnum():
                return end
        self._quote = ""
        return end

    def _end(self, tail: str) -> int:
        assert self._call_end is not None
        if self._never and self._never(tail):
            raise NotHere(self._call_end)
        return self._call_end

    def _read_call(self, text: str, position: int) -> int:
        """Step over one token; return where to go on."""
        tokens = _INSIDE[self._quote] if self._quote else _OUTSIDE
        token = tokens.search(text, position, partial=True)
        if token is None or token.partial:
            self._carry = text[token.start() :] if token else ""
            return len(text)
        if self._quote:
            return self._end_quote(token, text) if token["quote"] else token.end()
        start = self._at + token.start()
        if token["word"]:
            self._word = (self._word if start == self._word_end else "") + token.group()[:4]
            self._word = self._word[:4]
            self._word_end = self._at + token.end()
        elif token["quote"]:
            if start != self._word_end or self._word.lower() in _PREFIXES:  # else an apostrophe
                self._quote = token.group()
        else:
            self._depth += 1 if token.group() in "([{" else -1
            if self._depth <= 0:
                self._call_end = self._at + token.end()
        return token.end()
