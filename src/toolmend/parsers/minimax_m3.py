"""MiniMax M3: elements named after the arguments, every tag behind a sigil; objects and lists are elements in elements.

    ]<]minimax[>[<tool_call>
    ]<]minimax[>[<invoke name="find_book">]<]minimax[>[<title>Dune]<]minimax[>[</title>]<]minimax[>[</invoke>
    ]<]minimax[>[</tool_call>

Elements of one name become a list where the schema has one. So an argument that may be a list can only be shown once
the call has ended, and no argument behind it earlier.
Source: the chat template of MiniMaxAI/MiniMax-M3.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

from toolmend._errors import RenderError
from toolmend._types import ToolSpec
from toolmend.parsers._element_arguments import gathered
from toolmend.parsers._element_dialect import ElementDialect
from toolmend.parsers._element_forms import SPACE, Form, invoke_tags
from toolmend.parsers._nested_elements import nested

__all__ = ["MiniMaxM3"]

_SIGIL = "]<]minimax[>["
_NS = re.escape(_SIGIL)
_KEY = r"(?!tool_call>|invoke>)[A-Za-z_$][\w.$-]{0,127}"
_TAG = re.compile(rf"{_NS}<(?:(?P<open>{_KEY})|/(?P<close>{_KEY}))>")
_TAGS = invoke_tags("tool_call", clear=True)


class MiniMaxM3(ElementDialect):
    """``]<]minimax[>[<invoke name="…">`` with an element of its own name for each argument."""

    name = "minimax_m3"
    models = ("*minimax-m3*",)
    sample = (
        ']<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name="find_book">]<]minimax[>[<title>Dune]<]minimax[>[</title>'
        "]<]minimax[>[<max_hits>3]<]minimax[>[</max_hits>]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>"
    )
    tags = replace(
        _TAGS,
        wrapper=_NS + _TAGS.wrapper,
        unwrap=_NS + _TAGS.unwrap,
        call=f"(?:{_NS})?{_TAGS.call}",
        end=f"(?:{_NS})?{_TAGS.end}",
        value=f"{_NS}<(?P<key>{_KEY})>",
        stop=f"{_NS}</(?P<stop_key>{_KEY})>",
        nests=True,
    )
    repeats = True
    form = Form(
        wrapper=f"{_SIGIL}<tool_call>\n",
        call=f'{_SIGIL}<invoke name="{{name}}">',
        value=f"{_SIGIL}<{{key}}>{{value}}{_SIGIL}</{{key}}>",
        end=f"{_SIGIL}</invoke>\n",
        unwrap=f"{_SIGIL}</tool_call>",
        together=True,
    )
    openers = (rf"{_NS}<tool_call>{SPACE}(?:{_NS})?<invoke", rf"{_NS}<invoke[ \t]")

    def collect(self, pairs: Sequence[tuple[str, Any]], tool: ToolSpec | None) -> dict[str, Any]:
        """The arguments, with the elements in them as objects and lists."""
        return super().collect(gathered(pairs, tool, partial(nested, _TAG)), tool)

    def written(self, value: Any) -> tuple[str, str]:
        """Text as it is, objects and lists as elements.

        Raises:
            RenderError: a text holds the sigil, or a key is no name of an element.
        """
        return _written(value), ""


def _written(value: Any) -> str:
    if isinstance(value, str):
        if _SIGIL in value:
            raise RenderError("a text holds the sigil of the format; choose a JSON format")
        return value
    if isinstance(value, Mapping):
        members = list(cast("Mapping[str, Any]", value).items())
    elif isinstance(value, list):
        members = [("item", item) for item in cast("list[Any]", value)]
    else:
        return json.dumps(value)
    parts: list[str] = []
    for key, member in members:
        if not re.fullmatch(_KEY, key):
            raise RenderError(f"{key!r} is no name of an element; choose a JSON format")
        parts.append(f"{_SIGIL}<{key}>{_written(member)}{_SIGIL}</{key}>")
    return "".join(parts)
