"""Functionary v3.1: a JSON object in an element of the function's name; Functionary, custom tools of Llama 3.1.

Qwen3-Coder has the same opening tag; here a brace follows it, there a parameter.
Source: the chat template of meetkai/functionary-small-v3.1.
"""

from __future__ import annotations

from toolmend._types import ToolCall
from toolmend.parsers._named_json import Form, NamedJson

__all__ = ["FunctionaryV31"]


class FunctionaryV31(NamedJson):
    """``<function=name>{…}</function>``."""

    name = "functionary_v31"
    models = ("*functionary*v3.1*",)
    sample = '<function=find_book>{"title": "Dune", "max_hits": 3}</function>'
    forms = (Form(r"<function=\s{0,4}", r"\s{0,4}>\s{0,64}"),)
    closers = "</function>"
    again = "<function="

    def _ends(self, form: Form) -> str:
        return "(?!)"  # an empty element is Qwen3-Coder's

    def render_call(self, call: ToolCall, number: int) -> str:
        """One element."""
        return f"<function={call.name}>{self.render_arguments(call)}</function>"
