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

import re
from collections.abc import Container, Iterable
from functools import lru_cache

import regex

from toolmend._blocks import LEFTOVER, NotHere
from toolmend._json import leading

__all__ = ["ARGUMENT_KEYS", "ID_KEYS", "KINDS", "NAME_KEYS", "WRAPPER_KEYS", "CallHead", "JsonBody", "JsonGrammar"]

NAME_KEYS = (
    "name", "tool_name", "function_name", "recipient_name", "tool", "function",
    "action", "func", "func_name", "api_name", "toolName", "functionName",
)  # fmt: skip
"""Under which keys models write the name, in order of preference."""

ARGUMENT_KEYS = (
    "arguments", "parameters", "args", "params", "kwargs", "input", "inputs",
    "tool_input", "tool_args", "tool_arguments", "tool_parameters", "action_input",
    "function_args", "function_arguments", "function_parameters",
)  # fmt: skip
"""Under which keys models write the arguments, in order of preference."""

WRAPPER_KEYS = (
    "tool_calls", "function_call", "tool_call", "function_calls", "calls", "tool_uses", "functions", "tools", "actions",
    "command",
)  # fmt: skip
"""Under which keys models put whole calls."""

ID_KEYS = ("id", "call_id", "tool_call_id")
"""Under which keys models write the call's id."""

_OTHERS = frozenset({*ID_KEYS, "index", "thought", "thoughts", "reasoning", "reason", "role", "content"})
_FIRST = _OTHERS.union(NAME_KEYS, ARGUMENT_KEYS, WRAPPER_KEYS)
KINDS = frozenset({"function", "function_call", "tool_call", "tool_use", "tool", "call"})
"""What models write under ``"type"`` to say that an object is a call."""

_HEAD = regex.compile(
    r"""[\[\s]{0,64}\{\s{0,64}(?:(?P<q>["'])(?P<key>[^"'\n]{1,80})(?P=q)|(?P<key>[A-Za-z_]\w{0,79}))\s{0,16}:\s{0,64}"""
    r"""(?:"(?P<value>[^"\n]{0,128})"|'(?P<value>[^'\n]{0,128})'|(?P<other>[^"'\s]))"""
)

_SPACES = r"[ \t\r\n]{0,64}"
_USUAL = re.compile(rf'{_SPACES}\{{{_SPACES}"(?:{"|".join(NAME_KEYS)})"[ \t\r\n]{{0,16}}:{_SPACES}"([^"\n]{{0,128}})"')
"""The rule: the name comes first. What fits this fits the other, which takes longer."""


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
        usual = _USUAL.match(self._text)
        if usual and usual[1] in self._names:
            self._settled = True
            return
        found = _HEAD.match(self._text, partial=True)
        if found is None or not self._possible(found):
            raise NotHere
        self._settled = not found.partial

    def _possible(self, found: regex.Match[str]) -> bool:
        key, value = found["key"], found["value"]
        if found.partial:
            return True
        if key in NAME_KEYS and value is not None:
            return value in self._names
        if key == "type":
            return value in KINDS
        if key == "role":
            return value == "assistant"
        return key in _FIRST or (found["other"] == "{" and key in self._names)


_NONE = "(?!)"
_SPACE = 64  # how much white space may follow a value
_MEANS_MORE = re.compile(r"[\\.^$*+?{}\[\]()|]")


class JsonGrammar:
    """What to look for in a region, by its closer and what begins the next one.

    Attributes:
        ends: the closer, or the next region; `None` if there is neither.
        literals: the same as mere texts; `None` if they are more than that.
        closer: the closer as such a text, empty if it is none.
        tokens: the next token outside of strings, and inside of a string by its quote.
        tail: what may follow a value: a bracket too many, the closer, another value; anything else ends or refutes.
    """

    def __init__(self, closer: str, again: str) -> None:
        ends = rf"(?P<closer>{closer})|(?P<again>{again})"
        self.ends = None if closer == again == _NONE else regex.compile(ends)
        self.literals = _literals((closer, again))
        self.closer = self.literals[0] if self.literals and closer != _NONE else ""
        self.tokens = {
            "": regex.compile(rf"{ends}|[{{}}\[\]\"',:(]|\w++|[^\s<`]"),
            '"': regex.compile(rf"{ends}|(?s:\\.)|\""),
            "'": regex.compile(rf"{ends}|(?s:\\.)|'"),
        }
        if closer == _NONE:  # bare on its own line: nothing else may follow on that line
            space, then = r"[ \t]{0,64}", rf"(?P<end>\n|{LEFTOVER})|(?:[,;]\s{{0,16}})?(?P<more>[{{\[])"
        else:
            more = r"(?P<more>\{|\[(?=[\s\[{\"'\]]))"  # a list, not a closer such as [END]
            space, then = r"[\s,;]{0,64}", rf"(?P<closer>{closer})|{more}|(?P<end>{LEFTOVER})"
        self.tail = regex.compile(rf"{space}(?:(?P<stray>[}}\]])|{then}|(?P<other>[^\s,;<`\[*]))")

    def ends_in(self, text: str, value: str, end: int) -> bool:
        """Whether a closer begins in a value before its end in the text."""
        if self.literals is None:
            found = self.ends.search(text, partial=True) if self.ends else None
            return found is not None and found.start() < end
        return any(map(value.__contains__, self.literals))  # nearly all are, and this costs next to nothing


def _literals(expressions: Iterable[str]) -> tuple[str, ...] | None:
    """The texts that some expressions stand for; `None` if one may mean more, or begin in a value and end behind it."""
    found: list[str] = []
    for expression in expressions:
        if expression != _NONE:
            found.append(re.sub(r"\\(\W)", r"\1", expression))
            if _MEANS_MORE.search(re.sub(r"\\\W", "", expression)) or not {"}", "]"}.isdisjoint(found[-1][:-1]):
                return None
    return tuple(found)


_grammar = lru_cache(maxsize=256)(JsonGrammar)


class JsonBody:
    """The body of a region that holds JSON values.

    Args:
        opener: the opener as found; it ends with the value's first bracket or brackets.
        closer: regular expression of the closing marker; none for bare JSON.
        again: regular expression of what begins the next region, where models forget the closer.
        head: refuses values that cannot be calls; `None` accepts any.
        only: nothing but values may stand before the closer; otherwise other text ends the region early.
    """

    __slots__ = (
        "_at", "_candidate", "_carry", "_depth", "_grammar", "_head", "_only", "_previous", "_quote", "_skip",
        "_sure", "_value_end", "value", "whole",
    )  # fmt: skip

    def __init__(
        self,
        opener: str,
        closer: str = _NONE,
        head: CallHead | None = None,
        *,
        again: str = _NONE,
        only: bool = False,
    ) -> None:
        self.whole = False
        self.value: tuple[str, object] | None = None
        self._skip = len(opener.rstrip("[{ \t\r\n"))  # the brackets at its end belong to the value
        self._grammar = _grammar(closer, again)
        self._head = head
        self._only = only or closer == _NONE
        self._carry = ""
        self._at = 0  # offset of the first character of the piece in hand
        self._depth = 0
        self._quote = ""
        self._previous = ""  # the last token outside of strings
        self._sure: int | None = None  # where half a closer begins at the end of the piece in hand
        self._value_end: int | None = None  # set between a value and what follows
        self._candidate: int | None = None

    def feed(self, text: str) -> int | None:
        """See `Body.feed`."""
        if self._skip:
            dropped = min(self._skip, len(text))
            self._skip -= dropped
            self._at += dropped
            text = text[dropped:]
        if self._head:
            self._head.feed(text)
        text = self._carry + text
        self._carry = ""
        self._sure = None
        position = 0
        if not self._depth and not self._quote and self._value_end is None:
            position = self._leap(text)
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

    def _half_closer(self, text: str) -> int:
        """Where half a closer begins at the end of the text.

        It is looked for on its own: among other tokens `regex` would prefer any full match to the half one before it.
        """
        ends = self._grammar.ends
        found = ends.search(text, partial=True) if ends else None
        while ends and found:
            if found.partial:
                return found.start()
            found = ends.search(text, found.end(), partial=True)
        return len(text)

    def _leap(self, text: str) -> int:
        """Step over a value that begins the text, is valid JSON and has no closer in it; where to go on."""
        start = len(text) - len(text.lstrip())
        try:
            value, end = leading(text, start)
        except (ValueError, RecursionError):
            return 0
        written = text[start:end]
        if self._grammar.ends_in(text, written, end):
            return 0
        self.value = written, value
        self._value_end = self._at + end
        self._previous = text[end - 1]
        return end

    def _read_value(self, text: str, position: int) -> tuple[int | None, int]:
        """Step over one token; return the region's end, if this was it, and where to go on."""
        if self._sure is None:
            self._sure = self._half_closer(text)
        token = self._grammar.tokens[self._quote].search(text, position, self._sure)
        if token is None:
            sure = self._sure - (self._quote != "" and text.endswith("\\", position, self._sure))  # half an escape
            self._carry = text[sure:]
            return None, len(text)
        if token["closer"] is not None or token["again"] is not None:
            end = self._at + (token.end() if token["again"] is None else token.start())
            if not self._quote:
                return end, token.end()
            if self._candidate is None:
                self._candidate = end
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
        closer = self._grammar.closer
        at = text.find(closer, position, position + _SPACE + len(closer)) if closer else -1
        if at == position or (at > 0 and text[position:at].isspace()):
            return self._at + at + len(closer), at + len(closer)
        found = self._grammar.tail.match(text, position, partial=True)
        if found is None or found.lastgroup == "other":
            if self._only:
                raise NotHere(value_end)
            return value_end, position
        if found.partial:
            self._carry = text[position:]
            return None, len(text)
        kind = found.lastgroup
        if kind == "stray":
            self._value_end = self._at + found.end()
            return None, found.end()
        if kind == "more":
            self._value_end = None
            return None, found.end() - 1
        return (self._at + found.end() if kind == "closer" else value_end), found.end()
