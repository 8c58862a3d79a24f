"""The formats. Order is meaning: where two openers match at the same place, the one that stands first here wins."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from toolmend._dialect import Dialect
from toolmend._errors import UnknownDialect
from toolmend.parsers.fenced_json import FencedJson
from toolmend.parsers.hermes import Hermes
from toolmend.parsers.json import Json
from toolmend.parsers.prose import Prose
from toolmend.parsers.pythonic import Pythonic
from toolmend.parsers.qwen3_coder import Qwen3Coder

__all__ = ["DIALECTS", "get_dialect"]

DIALECTS: tuple[Dialect, ...] = (
    Hermes(),
    Qwen3Coder(),
    FencedJson(),
    Json(),
    Pythonic(),
    Prose(),
)


def get_dialect(name: str, dialects: Iterable[Dialect] = DIALECTS) -> Dialect:
    """The dialect of that name.

    Raises:
        UnknownDialect: there is none; the message names the nearest.
    """
    table = {dialect.name: dialect for dialect in dialects}
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise UnknownDialect(f"no dialect {name!r}{hint} Known: {', '.join(sorted(table))}")
