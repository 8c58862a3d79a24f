"""Finds where JSON written by a model ends: between markers, in a fence, or bare.

The scanner counts brackets outside of strings, so a closing marker inside a string ends nothing and no closer at all
is needed. Where the brackets do not add up, a closing marker outside of a string ends the region. A closer that the
scanner believes to be inside a string is only remembered: if the reply ends before that string does, the quotes were
broken and the first such closer was the end after all.

    VALUE ──brackets balance──▶ TAIL ──closer, end──▶ region ends
      ▲                          │
      └───────another value──────┘
"""

from __future__ import annotations

from collections.abc import Container
from functools import lru_cache

import regex

from toolmend._blocks import LEFTOVER, NotHere

__all__ = ["CallHead", "JsonBody"]

_NAMES = frozenset({"name", "tool", "function", "tool_name", "function_name", "recipient_name"})
_OTHERS = frozenset({
    "arguments", "parameters", "args", "input", "params", "kwargs", "id", "call_id", "tool_call_id", "index",
    "tool_calls", "tool_call", "function_call", "calls", "thought", "reasoning",
})  # fmt: skip
_KINDS = frozenset({"function", "function_call", "tool_call", "tool_use", "tool", "call"})
_HEAD = regex.compile(
    r"""[\[\s]{0,64}\{\s{0,64}(?:(?P<q>["'])(?P<key>[^"'\n]{1,80})(?P=q)|(?P<key>[A-Za-z_]\w{0,79}))\s{0,16}:\s{0,64}"""
    r"""(?:"(?P<value>[^"\n]{0,128})"|'(?P<value>[^'\n]{0,128})'|(?P<other>[^"'\s]))"""
)


class CallHead:
    """Tells from its first key whether a JSON object may be a call, so that data in JSON is not held back.

    Args:
        names: the names of the tools offered.
    """

    def __init__(self, names: Container[object]) -> None:
        self._names = names
        self._text = ""
        self._settled = False

    def feed(self, text: str) -> None:
        """Take the next piece of the value.

        Raises:
            NotHere: it is no call.
        """
        if self._settled:
            return
        self._text += text
        found = _HEAD.match(self._text, partial=True)
        if found is None or not self._possible(found):
            raise NotHere
        self._settled = not found.partial

    def _possible(self, found: regex.Match[str]) -> bool:
        key, value = found["key"], found["value"]
        if found.partial:
            return True
        if key in _NAMES and value is not None:
            return value in self._names
        if key == "type":
            return value in _KINDS
        return key in _NAMES or key in _OTHERS or key in self._names


@lru_cache(maxsize=64)
def _tokens(closer: str) -> dict[str, regex.Pattern[str]]:
    """What to look for next: outside of strings, and inside a string by its quote.

    The first character of a closer (`<` or a backtick) must match nothing else, or half a closer would pass for it:
    `regex` prefers a full match to a partial one.
    """
    return {
        "": regex.compile(rf"(?P<closer>{closer})|[{{}}\[\]\"',:(]|\w++|[^\s<`]"),
        '"': regex.compile(rf"(?P<closer>{closer})|(?s:\\.)|\""),
        "'": regex.compile(rf"(?P<closer>{closer})|(?s:\\.)|'"),
    }


@lru_cache(maxsize=64)
def _tail(closer: str) -> regex.Pattern[str]:
    """What may follow a value: its closer, another value; anything else ends the region or refutes it."""
    if closer == _NONE:  # bare on its own line: nothing else may follow on that line
        after = rf"[ \t]{{0,64}}(?:(?P<end>\n|{LEFTOVER})|[,;][ \t]{{0,16}}(?P<more>[{{\[])|(?P<other>[^\s,;<]))"
    else:
        after = rf"[\s,;]{{0,64}}(?:(?P<closer>{closer})|(?P<more>[{{\[])|(?P<end>{LEFTOVER})|(?P<other>[^\s,;<`]))"
    return regex.compile(after)


_NONE = "(?!)"


class JsonBody:
    """The body of a region that holds JSON values.

    Args:
        opener: the opener as found; its last character is the value's first bracket.
        closer: regular expression of the closing marker; none for bare JSON.
        head: refuses values that cannot be calls; `None` accepts any.
        only: nothing but values may stand before the closer; otherwise other text ends the region early.
    """

    def __init__(self, opener: str, closer: str = _NONE, head: CallHead | None = None, *, only: bool = False) -> None:
        self.whole = False
        self._skip = len(opener) - 1
        self._closer = closer
        self._head = head
        self._only = only or closer == _NONE
        self._carry = ""
        self._at = 0  # offset of the first character of the piece in hand
        self._depth = 0
        self._quote = ""
        self._previous = ""  # the last token outside of strings
        self._value_end: int | None = None  # set between a value and what follows
        self._candidate: int | None = None

    def feed(self, text: str) -> int | None:
        """See `Body.feed`."""
        dropped = min(self._skip, len(text))
        self._skip -= dropped
        self._at += dropped
        text = text[dropped:]
        if self._head:
            self._head.feed(text)
        text = self._carry + text
        self._carry = ""
        position = 0
        while position < len(text) and not self._carry:
            if self._value_end is not None:
                end, position = self._read_tail(text, position, self._value_end)
            else:
                end, position = self._read_value(text, position)
            if end is not None:
                return end
        self._at += len(text) - len(self._carry)
        return None

    def close(self) -> int:
        """See `Body.close`."""
        self.whole = self._value_end is not None
        if self._value_end is not None:
            return self._value_end
        if self._quote and self._candidate is not None:
            return self._candidate
        return self._at + len(self._carry)

    def _read_value(self, text: str, position: int) -> tuple[int | None, int]:
        """Step over one token; return the region's end, if this was it, and where to go on."""
        token = _tokens(self._closer)[self._quote].search(text, position, partial=True)
        if token is None:
            return None, len(text)
        if token.partial:
            self._carry = text[token.start() :]
            return None, len(text)
        if token["closer"] is not None:
            if not self._quote:
                return self._at + token.end(), token.end()
            if self._candidate is None:
                self._candidate = self._at + token.end()
        elif self._take(token.group()):
            self._value_end = self._at + token.end()
        return None, token.end()

    def _take(self, token: str) -> bool:
        """Count one token; true when it ends the value."""
        if self._quote:
            if token == self._quote:
                self._quote = ""
            return False
        if token == '"' or (token == "'" and self._previous in ("", *"{[,:(")):
            self._quote = token
        elif token in ("{", "["):
            self._depth += 1
        elif token in ("}", "]"):
            self._depth -= 1
        self._previous = token
        return self._depth <= 0 and not self._quote

    def _read_tail(self, text: str, position: int, value_end: int) -> tuple[int | None, int]:
        found = _tail(self._closer).match(text, position, partial=True)
        if found is None or found["other"]:
            if self._only:
                raise NotHere(value_end)
            return value_end, position
        if found.partial:
            self._carry = text[position:]
            return None, len(text)
        groups = found.groupdict()
        if groups["more"]:
            self._value_end = None
            return None, found.end() - 1
        return (self._at + found.end() if groups.get("closer") else value_end), found.end()
