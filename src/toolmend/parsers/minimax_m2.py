"""MiniMax M2: an element ``invoke`` for the call and ``parameter`` for each argument; M2, M2.1, M2.5 and M2.7.

    <minimax:tool_call>
    <invoke name="find_book">
    <parameter name="title">Dune</parameter>
    </invoke>
    </minimax:tool_call>

Models leave out the outer tags or the quotes.
Source: the chat template of MiniMaxAI/MiniMax-M2.
"""

from __future__ import annotations

from dataclasses import replace

from toolmend.parsers._element_dialect import ElementDialect
from toolmend.parsers._element_forms import SPACE, Form, closing, invoke_tags

__all__ = ["MiniMaxM2"]


class MiniMaxM2(ElementDialect):
    """``<invoke name="…">`` in ``<minimax:tool_call>`` tags or, for declared names, without."""

    name = "minimax_m2"
    models = ("*minimax-m2*",)
    sample = (
        '<minimax:tool_call>\n<invoke name="find_book">\n<parameter name="title">Dune</parameter>\n'
        '<parameter name="max_hits">3</parameter>\n</invoke>\n</minimax:tool_call>'
    )
    tags = replace(invoke_tags("minimax:tool_call"), unwrap=closing("(?:minimax:tool_call|function_calls)"))
    form = Form(
        wrapper="<minimax:tool_call>\n",
        call='<invoke name="{name}">\n',
        value='<parameter name="{key}">{value}</parameter>\n',
        end="</invoke>\n",
        unwrap="</minimax:tool_call>",
        together=True,
    )
    openers = (
        rf"<minimax:tool_call>{SPACE}<invoke[ \t]",
        rf"<invoke[ \t]{{1,4}}name[ \t]{{0,4}}=[ \t]{{0,4}}[\"']?NAMES[\"']?[ \t]{{0,4}}>{SPACE}<[p/]",
    )
