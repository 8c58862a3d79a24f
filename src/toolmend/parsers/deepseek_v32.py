"""DeepSeek V3.2: Claude's elements in tags with a sigil of their own; V3.2, V4 and V4.1.

    <｜DSML｜function_calls>
    <｜DSML｜invoke name="find_book">
    <｜DSML｜parameter name="title" string="true">Dune</｜DSML｜parameter>
    </｜DSML｜invoke>
    </｜DSML｜function_calls>

The outer tag is called ``tool_calls`` in V4 and `` calls`` in V4.1, which writes a blank behind every sigil; models
mix that up, and leave it out. What is not ``string="true"`` is JSON.
Source: the encoding files of deepseek-ai/DeepSeek-V3.2, DeepSeek-V4 and DeepSeek-V4.1.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from toolmend._element_deltas import Framed
from toolmend._elements import FoundValue
from toolmend.parsers._element_arguments import json_or_text
from toolmend.parsers._element_dialect import ElementDialect
from toolmend.parsers._element_forms import SPACE, Form, invoke_tags, quoted

__all__ = ["DeepSeekV32"]

_SIGIL = r"｜{1,2}DSML｜{1,2}[ ]?"
_BLOCKS = r"(?:function_calls|tool_calls|toolcalls|calls|tool)"
_TYPE = r"(?:[ \t]{1,4}string=[\"']?(?P<type>true|false)[\"']?)?"


class DeepSeekV32(ElementDialect):
    """``<｜DSML｜invoke name="…">`` with ``<｜DSML｜parameter name="…" string="…">`` elements."""

    name = "deepseek_v32"
    aliases = ("deepseekv32", "deepseek_v4", "deepseek_v41")
    models = ("*deepseek-v3.2*", "*deepseek-v4*")
    sample = (
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="find_book">\n'
        '<｜DSML｜parameter name="title" string="true">Dune</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="max_hits" string="false">3</｜DSML｜parameter>\n'
        "</｜DSML｜invoke>\n</｜DSML｜function_calls>"
    )
    tags = replace(
        invoke_tags(_BLOCKS, _SIGIL, clear=True),
        value=rf"<{_SIGIL}parameter[ \t]{{1,4}}name[ \t]{{0,4}}={quoted('key')}{_TYPE}[ \t]{{0,4}}>",
    )
    typed = True
    form = Form(
        wrapper="<｜DSML｜function_calls>\n",
        call='<｜DSML｜invoke name="{name}">\n',
        value='<｜DSML｜parameter name="{key}" string="{type}">{value}</｜DSML｜parameter>\n',
        end="</｜DSML｜invoke>\n",
        unwrap="</｜DSML｜function_calls>",
        together=True,
    )
    openers = (rf"<{_SIGIL}{_BLOCKS}>{SPACE}<｜", rf"<{_SIGIL}invoke[ \t]")

    def text(self, value: FoundValue) -> Framed | None:
        """Not that of JSON."""
        return super().text(value) if value.type != "false" else None

    def pair(self, value: FoundValue, text: str) -> tuple[str, Any]:
        """Text, or JSON if it is any."""
        return value.key, json_or_text(text) if value.type == "false" else text

    def written(self, value: Any) -> tuple[str, str]:
        """Text as it is, all else as JSON."""
        return (value, "true") if isinstance(value, str) else (json.dumps(value, ensure_ascii=False), "false")
