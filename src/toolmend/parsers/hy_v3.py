"""Hunyuan V3: GLM's keys and values, every tag with a suffix that each checkpoint has of its own; V3 and V4.

    <tool_calls:opensource>
    <tool_call:opensource>find_book<tool_sep:opensource>
    <arg_key:opensource>title</arg_key:opensource>
    <arg_value:opensource>Dune</arg_value:opensource>
    </tool_call:opensource>
    </tool_calls:opensource>

V4 has no ``tool_sep``.
Source: the chat templates of tencent/Hunyuan-V3 and Hunyuan-V4.
"""

from __future__ import annotations

from dataclasses import replace

from toolmend.parsers._element_forms import SPACE, Form
from toolmend.parsers._key_values import KeyValues

__all__ = ["HyV3"]

_SUFFIX = r"(?::[\w.-]{1,32})?"
_NAME = rf"{SPACE}[\w.-]{{1,128}}{SPACE}<"


class HyV3(KeyValues):
    """A name with ``<arg_key…>`` and ``<arg_value…>`` elements in ``<tool_call…>`` tags, all in ``<tool_calls…>``."""

    name = "hy_v3"
    aliases = ("hy_v4",)
    models = ("*hunyuan-v3*", "*hunyuan-v4*", "*hy3*", "*hy-v3*", "*hy-v4*")
    sample = (
        "<tool_calls>\n<tool_call>find_book<tool_sep>\n<arg_key>title</arg_key>\n<arg_value>Dune</arg_value>\n"
        "<arg_key>max_hits</arg_key>\n<arg_value>3</arg_value>\n</tool_call>\n</tool_calls>"
    )
    tags = replace(
        KeyValues.tags_with(suffix=_SUFFIX),
        wrapper=f"<tool_calls{_SUFFIX}>",
        unwrap=f"</tool_calls{_SUFFIX}>",
        skip=f"<tool_sep{_SUFFIX}>",
    )
    form = Form(
        wrapper="<tool_calls>\n",
        call="<tool_call>{name}<tool_sep>\n",
        value="<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n",
        end="</tool_call>\n",
        unwrap="</tool_calls>",
        together=True,
    )
    openers = (
        rf"<tool_calls{_SUFFIX}>{SPACE}<tool_call{_SUFFIX}>{_NAME}",
        rf"<tool_call:[\w.-]{{1,32}}>{_NAME}",
        rf"<tool_call>{_NAME}tool_sep",
    )
