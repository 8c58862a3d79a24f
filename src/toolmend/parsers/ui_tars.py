"""UI-TARS: the name in an element of its own, an element ``parameter`` for each argument.

    <tool_call>
    <name>find_book</name>
    <parameter name="title">Dune</parameter>
    </tool_call>

Also with the name as an attribute, of ``<tool_call>`` or of an element inside.
Source: prompts for UI-TARS and Doubao models.
"""

from __future__ import annotations

from toolmend._element_tags import Tags
from toolmend.parsers._element_dialect import ElementDialect
from toolmend.parsers._element_forms import SPACE, Form, closing, quoted

__all__ = ["UiTars"]

_IS = r"[ \t]{1,4}name[ \t]{0,4}="
_INNER = "(?:call|tool)"
_PARAMETER = "(?:parameter|param|argument|arg)"


class UiTars(ElementDialect):
    """``<name>…</name>`` with ``<parameter name="…">`` elements in ``<tool_call>`` tags."""

    name = "ui_tars"
    models = ("*ui-tars*",)
    sample = (
        '<tool_call>\n<name>find_book</name>\n<parameter name="title">Dune</parameter>\n'
        '<parameter name="max_hits">3</parameter>\n</tool_call>'
    )
    tags = Tags(
        call=(
            rf"<tool_call(?:{_IS}|>{SPACE}<{_INNER}{_IS}|>{SPACE}<(?:tool_)?name>)[ \t]{{0,4}}[\"']?"
            rf"(?P<name>[\w.:-]{{1,128}})[\"']?(?:[ \t]{{0,4}}>|{SPACE}</(?:tool_)?name>)"
        ),
        end=closing(f"(?:tool_call|{_INNER})"),
        value=rf"<{_PARAMETER}{_IS}{quoted('key')}>",
        stop=closing(_PARAMETER),
    )
    form = Form(
        call="<tool_call>\n<name>{name}</name>\n",
        value='<parameter name="{key}">{value}</parameter>\n',
        end="</tool_call>",
        framing="pair",
    )
    openers = (
        rf"<tool_call>{SPACE}<(?:name>|tool_name>|{_INNER}[ \t])",
        r"<tool_call[ \t]{1,4}name[ \t]{0,4}=",
    )
