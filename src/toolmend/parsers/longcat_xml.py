"""LongCat XML: GLM's keys and values in tags of LongCat's own; LongCat Flash, which also writes JSON there.

    <longcat_tool_call>find_book
    <longcat_arg_key>title</longcat_arg_key>
    <longcat_arg_value>Dune</longcat_arg_value>
    </longcat_tool_call>

Source: the chat template of meituan-longcat/LongCat-Flash-Lite.
"""

from __future__ import annotations

from toolmend.parsers._element_forms import Form
from toolmend.parsers._key_values import BLANK, KeyValues

__all__ = ["LongcatXml"]

_OPEN = rf"(?:<longcat_tool_call>{BLANK}){{1,2}}"


class LongcatXml(KeyValues):
    """A name with ``<longcat_arg_key>`` and ``<longcat_arg_value>`` elements in ``<longcat_tool_call>`` tags."""

    name = "longcat_xml"
    models = ("*longcat*",)
    sample = (
        "<longcat_tool_call>find_book\n<longcat_arg_key>title</longcat_arg_key>\n"
        "<longcat_arg_value>Dune</longcat_arg_value>\n<longcat_arg_key>max_hits</longcat_arg_key>\n"
        "<longcat_arg_value>3</longcat_arg_value>\n</longcat_tool_call>"
    )
    tags = KeyValues.tags_with("longcat_")
    form = Form(
        call="<longcat_tool_call>{name}\n",
        value="<longcat_arg_key>{key}</longcat_arg_key>\n<longcat_arg_value>{value}</longcat_arg_value>\n",
        end="</longcat_tool_call>",
    )
    openers = (
        rf"{_OPEN}[\w.-]{{1,128}}{BLANK}</?longcat_arg_(?:key|value)>",
        rf"{_OPEN}(?:functions\.)?NAMES{BLANK}(?:</longcat_tool_call>|\{{)",
    )
