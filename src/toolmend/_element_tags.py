"""What the tags of a format look like whose calls are elements: one for the call, one for each argument, text between.

A value may hold anything, markup included, so a closing tag counts only where nothing but white space stands between
it and another tag that may follow it there. Every expression here says so by looking ahead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import regex

from toolmend._beginnings import BEFORE, beginnings, one_of

__all__ = ["NEVER", "SEARCHED", "Tags"]

NEVER = "(?!)"
SEARCHED = frozenset({"inside", "bare"})
"""The places where text may stand before the next tag; otherwise it stands right there or nowhere."""
_NAMED = re.compile(r"\(\?P<\w+>")


@dataclass(frozen=True, eq=False)
class Tags:
    """Regular expressions, bounded; only the first character of a tag may be one that another begins with.

    Attributes:
        call: opens a call; its group ``name`` is the name.
        end: closes a call.
        value: opens an argument; its group ``key`` is the name, a group ``type`` what the tag says of the type.
        stop: closes an argument; a group ``stop_key`` must repeat the key.
        wrapper: opens a group of calls.
        unwrap: closes it.
        opens: where the key has tags of its own, opens the text of the argument.
        key_end: where the key has tags of its own, closes it.
        tail: may follow the last tag.
        skip: means nothing, in front of the arguments.
        blank: white space between tags.
        clear: nothing else looks like these tags: one that has no place is damage.
        nests: arguments may hold elements of their own, in the same tags.
    """

    call: str
    end: str
    value: str
    stop: str
    wrapper: str = NEVER
    unwrap: str = NEVER
    opens: str = NEVER
    key_end: str = NEVER
    tail: str = NEVER
    skip: str = NEVER
    blank: str = r"[ \t\r\n]"
    clear: bool = False
    nests: bool = False

    @property
    def repeats_key(self) -> bool:
        """Whether arguments are elements of their own names, which text may hold as well."""
        return "?P<stop_key>" in self.stop

    @cached_property
    def partial(self) -> Mapping[str, regex.Pattern[str]]:
        """What to look for, by the name of the place, in text that arrives in pieces."""
        return {place: regex.compile(pattern) for place, pattern in self._places(NEVER).items()}

    @cached_property
    def inside(self) -> re.Pattern[str]:
        """Where a tag inside of a value could begin: most pieces of a long value hold nothing like it."""
        return re.compile(one_of(beginnings(self.partial["inside"].pattern, BEFORE)))

    @cached_property
    def whole(self) -> Mapping[str, re.Pattern[str]]:
        """The same in text that is there, so that its end counts as well."""
        return {place: re.compile(pattern) for place, pattern in self._places(r"\Z").items()}

    @cached_property
    def _stop(self) -> re.Pattern[str]:
        return re.compile(_unnamed(self.stop))

    @cached_property
    def _last(self) -> re.Pattern[str]:
        return re.compile(rf"{_unnamed(self.stop)}\s*+\Z")

    @cached_property
    def _value(self) -> re.Pattern[str]:
        return re.compile(_unnamed(self.value))

    @cached_property
    def any(self) -> regex.Pattern[str]:
        """Any tag at all, wherever it stands, in text that arrives in pieces."""
        kinds = ("wrapper", "unwrap", "call", "end", "value", "stop", "opens", "key_end")
        return regex.compile(_unnamed("|".join(getattr(self, kind) for kind in kinds)))

    def find(self, place: str, text: str, position: int) -> tuple[regex.Match[str] | None, bool]:
        """The next tag at a place, and whether more text has to come before it is known.

        Args:
            place: see `partial`.
            text: the piece in hand.
            position: where to look in it.
        """
        pattern, search = self.partial[place], place in SEARCHED
        found = (pattern.search if search else pattern.match)(text, position, partial=True)
        return found, found.partial if found else search

    def closes(self, text: str, start: int, end: int) -> bool:
        """Whether the closing tag of an argument stands in a stretch of text."""
        return self._stop.search(text, start, end) is not None

    def closes_last(self, text: str, start: int, end: int) -> bool:
        """Whether a stretch of text ends with the closing tag of an argument that is not opened in it."""
        if self.nests or not self._last.search(text, start, end):
            return False
        opened, closed = (sum(1 for _ in tag.finditer(text, start, end)) for tag in (self._value, self._stop))
        return closed > opened

    def _places(self, end: str) -> dict[str, str]:
        """Expressions of the next tag, of a tag inside of a value, and of the end of other text.

        Args:
            end: regular expression of the end of the text.
        """
        kinds = ("wrapper", "unwrap", "call", "end", "value", "stop", "opens", "key_end", "tail", "skip")
        space = f"{self.blank}{{0,64}}"
        another = _unnamed(f"{self.unwrap}|{self.call}|{self.wrapper}{space}{self.call}|{end}")
        behind = _unnamed(f"{self.value}|{self.end}")
        stop = self.stop if self.nests else rf"{self.stop}(?={space}(?:{behind}|{another}))"
        return {
            "next": f"{space}(?:{'|'.join(f'(?P<{kind}>{getattr(self, kind)})' for kind in kinds)})",
            "inside": (
                rf"(?P<stop>{stop})"
                rf"|(?P<end>{self.end}(?={space}(?:{another})))"
                rf"|(?P<unwrap>{self.unwrap}(?={space}{end}))"
                rf"|(?P<call>(?P<wrapper>{self.wrapper}{space})?{self.call}(?={space}(?:{behind})))"
                rf"|(?P<value>{self.value})|(?P<opens>{self.opens})|(?P<key_end>{self.key_end})"
            ),
            "bare": f"(?P<end>{self.end})|(?P<unwrap>{self.unwrap})",
        }


def _unnamed(pattern: str) -> str:
    """A regular expression without the names of its groups, to be used twice."""
    return _NAMED.sub("(?:", pattern)
