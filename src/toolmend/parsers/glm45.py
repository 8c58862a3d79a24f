"""GLM 4.5: the name in ``<tool_call>`` tags, keys and values in turn behind it; GLM 4.5 to 5, Ling 3, Spark, Laguna.

    <tool_call>find_book
    <arg_key>title</arg_key>
    <arg_value>Dune</arg_value>
    </tool_call>

From GLM 4.7 on without the line feeds. Models lose single tags; a call that is damaged and incomplete does not run.
Source: the chat templates of zai-org/GLM-4.5, GLM-4.7 and GLM-5.
"""

from __future__ import annotations

from toolmend.parsers._element_forms import Form
from toolmend.parsers._key_values import BLANK, KeyValues

__all__ = ["Glm45"]

_OPEN = rf"(?:<tool_call>{BLANK}){{1,2}}"


class Glm45(KeyValues):
    """A name with ``<arg_key>`` and ``<arg_value>`` elements in ``<tool_call>`` tags."""

    name = "glm45"
    aliases = ("glm47", "glm_4.7", "ling3", "poolside_v1", "laguna")
    models = (
        "*glm-4.5*", "*glm-4.6*", "*glm-4.7*", "*glm-5*", "*glm4.5*", "*glm4.6*", "*glm4.7*", "*ling-3*",
        "*bailing-v3*", "*spark-2.5*", "*laguna*", "*poolside*",
    )  # fmt: skip
    sample = (
        "<tool_call>find_book\n<arg_key>title</arg_key>\n<arg_value>Dune</arg_value>\n"
        "<arg_key>max_hits</arg_key>\n<arg_value>3</arg_value>\n</tool_call>"
    )
    tags = KeyValues.tags_with()
    form = Form(
        call="<tool_call>{name}\n",
        value="<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n",
        end="</tool_call>",
    )
    openers = (
        rf"{_OPEN}[\w.-]{{1,128}}{BLANK}</?arg_(?:key|value)>",
        rf"{_OPEN}NAMES{BLANK}(?:</tool_call>|\{{)",
    )
