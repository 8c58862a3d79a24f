"""Qwen3-Coder: an element for the function and one for each parameter; Qwen3-Coder, Qwen3.5, Nemotron 3, Step 3.5.

    <tool_call>
    <function=find_book>
    <parameter=title>
    Dune
    </parameter>
    </function>
    </tool_call>

The template puts each value on lines of its own. The outer tags are often missing.
Source: the chat templates of Qwen/Qwen3-Coder-30B-A3B-Instruct and of the models that took the form over.
"""

from __future__ import annotations

from dataclasses import replace

from toolmend.parsers._element_dialect import ElementDialect
from toolmend.parsers._element_forms import SPACE, Form, closing, function_tags

__all__ = ["Qwen3Coder"]

_QUOTED = r"[ \t]{0,4}[\"']?NAMES[\"']?[ \t]{0,4}"


class Qwen3Coder(ElementDialect):
    """``<function=…>`` with ``<parameter=…>`` elements, in ``<tool_call>`` tags or, for declared names, without."""

    name = "qwen3_coder"
    aliases = ("qwen3_xml", "qwen3.5", "mimo", "step3p5", "step5", "nemotron_3_nano")
    models = (
        "*qwen3-coder*", "*qwen3.5*", "*qwen3.6*", "*qwen3.8*", "*nemotron-3*", "*step-3.5*", "*step-3.7*", "*step-5*",
        "*granite-4.2*", "*mimo*", "*ornith*", "*k-exaone-2*",
    )  # fmt: skip
    sample = (
        "<tool_call>\n<function=find_book>\n<parameter=title>\nDune\n</parameter>\n"
        "<parameter=max_hits>\n3\n</parameter>\n</function>\n</tool_call>"
    )
    tags = replace(function_tags("tool_call"), unwrap=closing("(?:seed:)?tool_call"))
    form = Form(
        wrapper="<tool_call>\n",
        call="<function={name}>\n",
        value="<parameter={key}>\n{value}\n</parameter>\n",
        end="</function>\n",
        unwrap="</tool_call>",
        framing="sides",
    )
    openers = (
        rf"<tool_call>{SPACE}(?:<tool_call>{SPACE})?(?:<?function|<invoke)[ \t=]",
        rf"<function[ \t]{{0,4}}={_QUOTED}>{SPACE}<[p/]",
        rf"<function[ \t]{{1,4}}name[ \t]{{0,4}}={_QUOTED}>{SPACE}<parameter",
    )
