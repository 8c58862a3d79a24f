"""K2 Horizon XML: GLM's keys and values in tags of K2 Horizon's own, if its template is told to use no JSON.

    <ifm|tool_calls><ifm|tool_call>find_book
    <ifm|arg_key>title</ifm|arg_key><ifm|arg_value>Dune</ifm|arg_value>
    </ifm|tool_call></ifm|tool_calls>

A type may stand between key and value; the schema knows better.
Source: the chat template of LLM360's K2 Horizon.
"""

from __future__ import annotations

from dataclasses import replace

from toolmend.parsers._element_forms import SPACE, Form
from toolmend.parsers._key_values import BLANK, KeyValues

__all__ = ["K2HorizonXml"]

_OPEN = rf"(?:<ifm\|tool_calls>{SPACE})?<ifm\|tool_call>{SPACE}"


class K2HorizonXml(KeyValues):
    """A name with ``<ifm|arg_key>`` and ``<ifm|arg_value>`` elements in ``<ifm|tool_call>`` tags."""

    name = "k2_horizon_xml"
    models = ("*k2-horizon*",)
    sample = (
        "<ifm|tool_calls><ifm|tool_call>find_book\n<ifm|arg_key>title</ifm|arg_key><ifm|arg_value>Dune</ifm|arg_value>\n"
        "<ifm|arg_key>max_hits</ifm|arg_key><ifm|arg_value>3</ifm|arg_value>\n</ifm|tool_call></ifm|tool_calls>"
    )
    tags = replace(
        KeyValues.tags_with(r"ifm\|"),
        wrapper=r"<ifm\|tool_calls>",
        unwrap=r"</ifm\|tool_calls>",
        skip=r"<ifm\|arg_type>[^<>\n]{0,64}</ifm\|arg_type>",
    )
    form = Form(
        wrapper="<ifm|tool_calls>",
        call="<ifm|tool_call>{name}\n",
        value="<ifm|arg_key>{key}</ifm|arg_key><ifm|arg_value>{value}</ifm|arg_value>\n",
        end="</ifm|tool_call>",
        unwrap="</ifm|tool_calls>",
        together=True,
    )
    openers = (
        rf"{_OPEN}[\w.-]{{1,128}}{BLANK}</?ifm\|arg_(?:key|value)>",
        rf"{_OPEN}NAMES{BLANK}</ifm\|tool_call>",
    )
