"""Text in a request that is not the model's own: what tools answered, what users wrote.

A model that is shown a call may repeat it without meaning it. So a region of the reply that stood in a result or in a
user message, to the letter but for white space and escapes, is a copy; a user may ask for a call, but has to do it in
so many words at the beginning of the message. And where we write results into the prompt ourselves, the markers in
them get an invisible character, which is taken out again of all that the model writes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Any, cast

__all__ = ["Foreign", "Said", "has_markers", "neutral", "restored"]

_MARKS = (*"\u2063\u2064\u2062\u2061\u2060", *map(chr, range(0xE000, 0xF900)))  # no one sees these, few use those
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
# Of what comes between the letters nothing counts: a page is quoted with other line breaks, out of a JSON string or
# out of HTML.
_BETWEEN = re.compile(r"\\[nrt]|[\\\s\u200b-\u200d\u2060-\u2064\ufeff]")
_STRETCH = 12  # characters for one letter: half characters as two escapes
_SPACE = 4096  # what white space may come on top of that
_PIECE = 16  # shorter pieces of a call are found in many texts

_ASKS = re.compile(
    r"\W*(?:(?:please|now|then|ok(?:ay)?|just|hey|hi|(?:can|could|would|will) you|i want you to)\b[\s,:]*)*"
    r"(?:call|run|execute|invoke|use|perform|make|do|try|write|evaluate|calculate|compute)\b",
    re.IGNORECASE,
)
_THIS = re.compile(
    r"(?:the|this|exactly|following|tools?|functions?|calls?|forme|now|please|again|json|[:,\"'`])*", re.IGNORECASE
)

_FIRST = "<[]"  # one of them stands in every marker
_MARKER = r"""
    <(?=[|｜]|/?(?:[\w.|-]{1,12}[:|_.])?
        (?:tool|function|invoke|param|arg_|call\b|think|reasoning|escape>|start_of|end_of|start_function|end_function
        |longcat|s>|bos>|eos>))
  | \[(?=/?(?:TOOL|END_TOOL|AVAILABLE_TOOLS|ARGS\]|CALL_ID\]|INST\]|THINK\]|SYSTEM_PROMPT\]))
  | \](?=<\]minimax)
  | f(?=unctools\[)
"""


class _Texts:
    """Texts of one kind. Most are too short for a call to stand in, so that nothing else needs to be known of them.

    Attributes:
        texts: the texts.
        size: how long they are together.
    """

    __slots__ = ("_letters", "_longest", "size", "texts")

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.size = self._longest = 0
        if texts:
            sizes = list(map(len, texts))
            self.size, self._longest = sum(sizes), max(sizes)
        self._letters: dict[str, str] = {}

    def having(self, letters: str) -> list[str]:
        """Those in which letters stand."""
        least = len(letters)
        if self._longest < least:
            return []
        return [text for text in self.texts if len(text) >= least and letters in self._bared(text)]

    def without(self, letters: str) -> str:
        """What remains of letters when each text has taken away what they begin with and it has, too."""
        for text in self.texts if self._longest >= min(_PIECE, len(letters)) else ():
            least = min(_PIECE, len(letters))
            if len(text) >= least and letters[:least] in self._bared(text):
                letters = letters[_shared(letters, self._bared(text)) :]
        return letters

    def _bared(self, text: str) -> str:
        letters = self._letters.get(text)
        if letters is None:
            letters = self._letters[text] = _bare(text)
        return letters


class Said:
    """What others than the model have said; it may serve several requests of one conversation.

    Args:
        results: what tools have answered.
        users: what users have written; one text for each that stands by itself.
        system: what tells the model how to behave: a call that stands there is not foreign.
    """

    __slots__ = ("results", "system", "users")

    def __init__(self, results: Sequence[str] = (), users: Sequence[str] = (), system: Sequence[str] = ()) -> None:
        self.results = _Texts(results)
        self.users = _Texts(users)
        self.system = _Texts(system)


class Foreign:
    """The texts of one request that are not the model's own.

    Args:
        said: the texts, or what gathers them: a reply without anything like a call never asks.
    """

    def __init__(self, said: Said | Callable[[], Said] = Said()) -> None:  # noqa: B008 - nobody can change it
        self._said = said
        self._before: Sequence[Said] = ()

    @classmethod
    def of(cls, echoes: Iterable[str] | Foreign) -> Foreign:
        """As it is, or made of what tools have answered."""
        return echoes if isinstance(echoes, Foreign) else cls(Said(tuple(echoes)))

    def goes_on(self, before: Sequence[Said], rest: Callable[[], Said]) -> None:
        """Take over what was gathered for earlier requests of the conversation: what remains is the rest."""
        self._before, self._said = before, rest

    def source_of(self, region: str) -> str | None:
        """Where a region of the reply was copied from, in words; `None` if it is the model's own."""
        parts = self._parts
        size = sum([part.results.size + part.users.size for part in parts])
        if not size or len(region) > _STRETCH * size + _SPACE:  # nothing, or too little, to copy from
            return None
        letters = _bare(region)
        if not letters or any(part.system.having(letters) for part in parts):
            return None
        rest = letters
        for part in parts:
            rest = part.results.without(rest)
            if not rest or part.results.having(letters):
                return "a tool result"
        users = [text for part in parts for text in part.users.having(letters)]
        if any(not _asks_for(letters, text) for text in users):
            return "a user message"
        return None

    @cached_property
    def mark(self) -> str:
        """A character that occurs in none of the texts; empty in the odd case that all do."""
        kinds = [kind for part in self._parts for kind in (part.results, part.users, part.system)]
        texts = [text for kind in kinds for text in kind.texts]
        return next((mark for mark in _MARKS if not any(mark in text for text in texts)), "")

    @property
    def _parts(self) -> Sequence[Said]:
        if callable(self._said):
            self._said = self._said()
        return (*self._before, self._said)


def has_markers(text: str, names: Iterable[str]) -> bool:
    """Whether there is anything to break in a text; see `neutral`."""
    return any(char in text for char in _FIRST) and _marker_of(tuple(names)).search(text) is not None


def neutral(text: str, mark: str, names: Iterable[str]) -> str:
    """A text in which nothing opens a call or ends a turn any more.

    Args:
        text: what a tool has answered.
        mark: the character that breaks the markers.
        names: of the tools: there are formats whose tags are called like them.
    """
    return _marker_of(tuple(names)).sub(lambda found: found.group() + mark, text)


@lru_cache(maxsize=64)
def _marker_of(names: tuple[str, ...]) -> re.Pattern[str]:
    tags = "|".join(map(re.escape, names)) or "(?!)"
    return re.compile(rf"{_MARKER} | <(?=/?(?:{tags})[>\s])", re.IGNORECASE | re.VERBOSE)


def restored(value: Any, mark: str) -> Any:
    """What the model wrote, without the mark; strings inside dicts and lists too."""
    if isinstance(value, str):
        return value.replace(mark, "")
    if isinstance(value, dict):
        return {restored(k, mark): restored(v, mark) for k, v in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list):
        return [restored(item, mark) for item in cast("list[Any]", value)]
    return value


def _bare(text: str) -> str:
    """The letters of a text, whatever it is wrapped in."""
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "\\u" in text else text
    text = html.unescape(text)
    if "\\" not in text and text.isascii():
        return "".join(text.split())  # the usual case, and much the fastest
    text = _BETWEEN.sub("", text)
    # Half characters that belong together come from two escapes.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _shared(text: str, other: str) -> int:
    """How much of the beginning of a text occurs anywhere in another."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text[:middle] in other else (low, middle - 1)
    return low


def _asks_for(said: str, text: str) -> bool:
    """Whether a user message begins by asking for the very call."""
    asks = _ASKS.match(text)
    if not asks:
        return False
    lead, found, _ = _bare(text[asks.end() :]).partition(said)
    return bool(found) and _THIS.fullmatch(lead) is not None
