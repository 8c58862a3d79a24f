"""Anthropic: elements ``invoke`` and ``parameter`` in a block of function calls; models that were taught by Claude.

Some write the namespace of Claude's own tags. The values stand on the lines of their tags.
Source: Anthropic's documentation of tool use in prompts.
"""

from __future__ import annotations

from toolmend.parsers._element_dialect import ElementDialect
from toolmend.parsers._element_forms import SPACE, Form, invoke_tags

__all__ = ["Anthropic"]

_NS = r"(?:antml:)?"


class Anthropic(ElementDialect):
    """``<invoke name="…">`` with ``<parameter name="…">`` elements, in ``<function_calls>`` tags."""

    name = "anthropic"
    sample = (
        '<function_calls>\n<invoke name="find_book">\n<parameter name="title">Dune</parameter>\n'
        '<parameter name="max_hits">3</parameter>\n</invoke>\n</function_calls>'
    )
    tags = invoke_tags("function_calls", _NS)
    form = Form(
        wrapper="<function_calls>\n",
        call='<invoke name="{name}">\n',
        value='<parameter name="{key}">{value}</parameter>\n',
        end="</invoke>\n",
        unwrap="</function_calls>",
        together=True,
    )
    openers = (
        rf"<{_NS}function_calls>{SPACE}<{_NS}invoke[ \t]",
        r"<antml:invoke[ \t]",
    )
