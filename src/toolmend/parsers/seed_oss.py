"""Seed-OSS: Qwen3-Coder's elements in tags of its own, the values on the lines of their tags.

    <seed:tool_call>
    <function=find_book>
    <parameter=title>Dune</parameter>
    </function>
    </seed:tool_call>

Source: the chat template of ByteDance-Seed/Seed-OSS-36B-Instruct.
"""

from __future__ import annotations

from toolmend.parsers._element_dialect import ElementDialect
from toolmend.parsers._element_forms import SPACE, Form, function_tags

__all__ = ["SeedOss"]


class SeedOss(ElementDialect):
    """``<function=…>`` with ``<parameter=…>`` elements in ``<seed:tool_call>`` tags."""

    name = "seed_oss"
    models = ("*seed-oss*",)
    sample = (
        "<seed:tool_call>\n<function=find_book>\n<parameter=title>Dune</parameter>\n"
        "<parameter=max_hits>3</parameter>\n</function>\n</seed:tool_call>"
    )
    tags = function_tags("seed:tool_call")
    form = Form(
        wrapper="<seed:tool_call>\n",
        call="<function={name}>\n",
        value="<parameter={key}>{value}</parameter>\n",
        end="</function>\n",
        unwrap="</seed:tool_call>",
        framing="pair",
    )
    openers = (rf"<seed:tool_call>{SPACE}(?:<?function|<invoke)[ \t=]",)
