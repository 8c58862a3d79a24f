"""Step 3: an element ``steptml:invoke`` between the tokens of a call.

    <｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="find_book">
    <steptml:parameter name="title">Dune</steptml:parameter></steptml:invoke><｜tool_call_end｜><｜tool_calls_end｜>

Source: the chat template of stepfun-ai/step3.
"""

from __future__ import annotations

from dataclasses import replace

from toolmend.parsers._element_dialect import ElementDialect
from toolmend.parsers._element_forms import SPACE, Form, invoke_tags

__all__ = ["Step3"]

_BEGIN = rf"<｜tool_call_begin｜>{SPACE}(?:function)?{SPACE}(?:<｜tool_sep｜>)?{SPACE}"
_TAGS = invoke_tags("", "steptml:", clear=True)


class Step3(ElementDialect):
    """``<steptml:invoke name="…">`` with ``<steptml:parameter name="…">`` elements."""

    name = "step3"
    models = ("*step3*", "*step-3")
    sample = (
        "<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜>"
        '<steptml:invoke name="find_book"><steptml:parameter name="title">Dune</steptml:parameter>'
        '<steptml:parameter name="max_hits">3</steptml:parameter></steptml:invoke>'
        "<｜tool_call_end｜><｜tool_calls_end｜>"
    )
    tags = replace(
        _TAGS,
        wrapper="<｜tool_calls_begin｜>",
        unwrap="<｜tool_calls_end｜>",
        call=f"(?:{_BEGIN})?{_TAGS.call}",
        end=f"{_TAGS.end}|<｜tool_call_end｜>",
    )
    form = Form(
        wrapper="<｜tool_calls_begin｜>",
        call='<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="{name}">',
        value='<steptml:parameter name="{key}">{value}</steptml:parameter>',
        end="</steptml:invoke><｜tool_call_end｜>",
        unwrap="<｜tool_calls_end｜>",
        together=True,
        framing="pair",
    )
    openers = (
        rf"<｜tool_calls_begin｜>{SPACE}<(?:｜tool_call_begin｜|steptml:)",
        rf"{_BEGIN}<steptml:invoke",
        r"<steptml:invoke[ \t]",
    )
