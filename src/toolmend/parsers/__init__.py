"""The formats. Order is meaning: where two openers match at the same place, the one that stands first here wins."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from toolmend._dialect import Dialect
from toolmend._errors import UnknownDialect
from toolmend.parsers.deepseek_v3 import DeepSeekV3
from toolmend.parsers.deepseek_v31 import DeepSeekV31
from toolmend.parsers.fenced_json import FencedJson
from toolmend.parsers.functionary_v31 import FunctionaryV31
from toolmend.parsers.functionary_v32 import FunctionaryV32
from toolmend.parsers.functiongemma import FunctionGemma
from toolmend.parsers.gemma4 import Gemma4
from toolmend.parsers.hermes import Hermes
from toolmend.parsers.json import Json
from toolmend.parsers.kimi_k2 import KimiK2
from toolmend.parsers.mistral import Mistral
from toolmend.parsers.mistral_v3 import MistralV3
from toolmend.parsers.named_json import BareNamedJson
from toolmend.parsers.openai import OpenAI
from toolmend.parsers.plamo3 import Plamo3
from toolmend.parsers.prose import Prose
from toolmend.parsers.pythonic import Pythonic
from toolmend.parsers.qwen3_coder import Qwen3Coder
from toolmend.parsers.solar_open import SolarOpen

__all__ = ["DIALECTS", "get_dialect"]

DIALECTS: tuple[Dialect, ...] = (
    Hermes(),
    Qwen3Coder(),
    DeepSeekV3(),
    DeepSeekV31(),
    FunctionaryV31(),
    FunctionaryV32(),
    FunctionGemma(),
    Gemma4(),
    KimiK2(),
    Mistral(),
    MistralV3(),
    OpenAI(),
    Plamo3(),
    SolarOpen(),
    FencedJson(),
    Json(),
    Pythonic(),
    BareNamedJson(),
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
