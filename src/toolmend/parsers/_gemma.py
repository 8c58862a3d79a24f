"""The family of Gemma's formats: ``call:name{key:value,…}``, which looks like JSON but has bare keys.

A string stands between two delimiters, which are tokens, and knows no escapes. Models also write quotes, and servers
drop the tokens; then text without any delimiter is read where the schema wants text, up to the next declared key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, cast

import regex

from toolmend._errors import RenderError
from toolmend._json import NotJSON
from toolmend._json_body import JsonGrammar
from toolmend._toolbox import NotACall
from toolmend._types import ToolCall, ToolSpec
from toolmend.parsers._gemma_arguments import KEY, GemmaArguments
from toolmend.parsers._named_json import NamedJson
from toolmend.parsers._value_body import ValueBody

__all__ = ["GemmaCalls"]


class _Grammar(JsonGrammar):
    """What to look for where strings also stand between delimiters."""

    def __init__(self, closer: str, again: str, delimiter: str) -> None:
        super().__init__(closer, again)
        ends, written = rf"(?P<closer>{closer})|(?P<again>{again})", regex.escape(delimiter)
        self.tokens = {
            **self.tokens,
            "": regex.compile(rf"{ends}|{written}|[{{}}()\[\]\"',:]|\w++|[^\s<]"),
            delimiter: regex.compile(rf"{ends}|{written}"),
        }
        self.literals = None
        self.ends = self.tokens[delimiter]  # half a delimiter has to be waited for as well


_grammar = lru_cache(maxsize=64)(_Grammar)


class _GemmaBody(ValueBody):
    """Counts round brackets too, and steps over strings between delimiters."""

    def __init__(self, opener: str, closers: str, again: str, then: str, delimiter: str) -> None:
        super().__init__(opener, closers, again, then)
        self._skip = len(opener) - 1
        self._delimiter = delimiter
        self._grammar = _grammar(closers, again, delimiter)

    def _take(self, token: str) -> bool:
        if not self._quote and token == self._delimiter:
            self._quote = self._previous = token
            return False
        if not self._quote and token in ("(", ")"):
            self._depth += 1 if token == "(" else -1
        return super()._take(token)


class GemmaCalls(NamedJson):
    """A name and an object in Gemma's way.

    Attributes:
        delimiter: the token on either side of a string.
        markers: what is written before and behind a call.
    """

    delimiter: ClassVar[str]
    markers: ClassVar[tuple[str, str]]

    def body(self, opener: str, then: str) -> ValueBody:
        """The body of a region; `then` is what must follow it."""
        return _GemmaBody(opener, self.closers, self.again, then, self.delimiter)

    def arguments(self, text: str, tool: ToolSpec, *, closed: bool) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """Read the arguments.

        Raises:
            NotACall: they have no single reading.
        """
        reader = GemmaArguments(text, tool, self.delimiter, closed=closed)
        try:
            return reader.read(), reader.repairs
        except NotJSON as error:
            raise NotACall(f"an argument is not readable: {error}") from error

    def render_call(self, call: ToolCall, number: int) -> str:
        """The markers of one call.

        Raises:
            RenderError: a text holds the delimiter.
        """
        begin, end = self.markers
        return f"{begin}call:{call.name}{self._written(call.arguments)}{end}"

    def _written(self, value: object) -> str:
        if isinstance(value, str):
            if self.delimiter in value:
                raise RenderError(f"{self.name} cannot write a text that holds {self.delimiter}; choose a JSON format")
            return f"{self.delimiter}{value}{self.delimiter}"
        if isinstance(value, Mapping):
            items = cast("Mapping[str, object]", value).items()
            return f"{{{','.join(f'{self._key(key)}:{self._written(item)}' for key, item in items)}}}"
        if isinstance(value, list):
            return f"[{','.join(map(self._written, cast('list[object]', value)))}]"
        return json.dumps(value)

    def _key(self, key: str) -> str:
        return key if KEY.fullmatch(key) else self._written(key)
