"""Kimi K3: elements whose tags are made of tokens, with the type of each argument.

    <|open|>tools<|sep|><|open|>call tool="find_book" index="1"<|sep|>
    <|open|>argument key="title" type="string"<|sep|>Dune<|close|>argument<|sep|>
    <|close|>call<|sep|><|close|>tools<|sep|>

(on one line). All arguments may also stand in one element ``json``. Attributes are escaped, texts are not.
Source: the chat template of moonshotai/Kimi-K3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from toolmend._element_deltas import Framed
from toolmend._element_tags import Tags
from toolmend._elements import FoundValue
from toolmend._toolbox import NotACall
from toolmend._types import ToolSpec
from toolmend.parsers._element_arguments import json_or_text
from toolmend.parsers._element_dialect import ElementDialect
from toolmend.parsers._element_forms import SPACE, Form

__all__ = ["KimiK3"]

_OPEN, _CLOSE, _SEP = r"<\|open\|>[ ]?", r"<\|close\|>[ ]?", r"[ ]{0,2}<\|sep\|>"
_INDEX = r"(?:[ ]{1,2}index=\"[^\"<>\n]{0,16}\")?"
_RESPONSE = rf"(?:{_CLOSE}response{_SEP}{SPACE})?"


class KimiK3(ElementDialect):
    """``call`` elements with ``argument`` elements, in a ``tools`` element."""

    name = "kimi_k3"
    models = ("*kimi-k3*",)
    sample = (
        '<|open|>tools<|sep|><|open|>call tool="find_book" index="1"<|sep|>'
        '<|open|>argument key="title" type="string"<|sep|>Dune<|close|>argument<|sep|>'
        '<|open|>argument key="max_hits" type="number"<|sep|>3<|close|>argument<|sep|>'
        "<|close|>call<|sep|><|close|>tools<|sep|>"
    )
    tags = Tags(
        wrapper=rf"{_RESPONSE}{_OPEN}tools{_SEP}",
        unwrap=rf"{_CLOSE}tools{_SEP}",
        call=rf"{_OPEN}call{_INDEX}[ ]{{1,2}}tool=\"(?P<name>[^\"<>\n]{{1,200}})\"{_INDEX}{_SEP}",
        end=rf"{_CLOSE}call{_SEP}",
        value=(
            rf"{_OPEN}(?:argument[ ]{{1,2}}key=\"(?P<key>[^\"<>\n]{{1,200}})\"|json)"
            rf"(?:[ ]{{1,2}}type=\"(?P<type>\w{{1,16}})\")?{_SEP}"
        ),
        stop=rf"{_CLOSE}(?:argument|json){_SEP}",
        tail=rf"{_CLOSE}message{_SEP}|<\|end_of_msg\|>",
        clear=True,
    )
    typed = True
    form = Form(
        wrapper="<|open|>tools<|sep|>",
        call='<|open|>call tool="{name}" index="{number}"<|sep|>',
        value='<|open|>argument key="{key}" type="{type}"<|sep|>{value}<|close|>argument<|sep|>',
        end="<|close|>call<|sep|>",
        unwrap="<|close|>tools<|sep|>",
        together=True,
    )
    openers = (rf"{_RESPONSE}{_OPEN}tools{_SEP}{SPACE}<\|open", rf"{_OPEN}call[ ]{{1,2}}(?:tool|index)=")

    def text(self, value: FoundValue) -> Framed | None:
        """Not that of JSON."""
        return super().text(value) if value.type in (None, "string") else None

    def pair(self, value: FoundValue, text: str) -> tuple[str, Any]:
        """Text, or JSON if the tag says so; the key is empty where the text is all arguments."""
        key = value.key.replace("&quot;", '"').replace("&amp;", "&")
        return key, text if key and value.type in (None, "string") else json_or_text(text)

    def collect(self, pairs: Sequence[tuple[str, Any]], tool: ToolSpec | None) -> dict[str, Any]:
        """The arguments, those in one object unpacked."""
        unpacked: list[tuple[str, Any]] = []
        for key, value in pairs:
            if key:
                unpacked.append((key, value))
            elif isinstance(value, Mapping):
                unpacked.extend(cast("Mapping[str, Any]", value).items())
            else:
                raise NotACall("all arguments in one element, but no object")
        return super().collect(unpacked, tool)

    def written(self, value: Any) -> tuple[str, str]:
        """Text as it is, all else as JSON, and the type."""
        return (value, "string") if isinstance(value, str) else (json.dumps(value, ensure_ascii=False), _type(value))

    def escaped(self, name: str) -> str:
        """As in an attribute."""
        return name.replace("&", "&amp;").replace('"', "&quot;")


def _type(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case list():
            return "array"
        case _:
            return "object"
