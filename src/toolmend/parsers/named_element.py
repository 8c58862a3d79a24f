"""Named element: a JSON object in an element that bears the tool's name, as many a prompt asks for.

    <find_book>{"title": "Dune"}</find_book>
    <tool name="find_book">{"title": "Dune"}</tool>
    <tool>find_book</tool><args>{"title": "Dune"}</args>

Any XML may look like this, so the name must be a declared one, and nothing but closing tags may follow on the line.
Source: prompts in the field.
"""

from __future__ import annotations

from toolmend._blocks import LINE
from toolmend._types import ToolCall
from toolmend.parsers._named_json import ALONE, Form, NamedJson

__all__ = ["NamedElement"]

_KIND = r"(?:function|tool|tool_use|tool_call|function_call|invoke|call|action)"
_NAME = r"(?:function|tool|tool_name|function_name|action|name)"
_ARGUMENTS = r"(?:arguments?|args|parameters|params|input|tool_input|action_input)"


class NamedElement(NamedJson):
    """``<name>{…}</name>``, for declared names."""

    name = "named_element"
    sample = '<find_book>{"title": "Dune", "max_hits": 3}</find_book>'
    forms = (
        Form(rf"{LINE}<", r">\s{0,64}", ahead=ALONE, names="listed", kind="plain"),
        Form(
            rf"{LINE}<{_KIND}[ \t]{{1,4}}name[ \t]{{0,4}}=[ \t]{{0,4}}[\"']?",
            r"[\"']?[ \t]{0,4}>\s{0,64}",
            ahead=ALONE,
            names="declared",
            kind="plain",
        ),
        Form(
            rf"{LINE}(?:<{_KIND}>\s{{0,16}})?<{_NAME}>\s{{0,16}}",
            rf"\s{{0,16}}</{_NAME}>\s{{0,16}}<{_ARGUMENTS}>\s{{0,64}}",
            ahead=ALONE,
            names="declared",
            kind="plain",
        ),
    )
    closers = r"\s{0,16}</[A-Za-z_][\w.-]{0,127}>"
    line = r"\n(?=\s{0,16}(?:[^\s<]|<(?:[^/]|/[^A-Za-z_]))|\s{17})|<(?=[A-Za-z_])"  # closers may stand on the next
    around = ("", "\n", "")

    def render_call(self, call: ToolCall, number: int) -> str:
        """One element."""
        return f"<{call.name}>{self.render_arguments(call)}</{call.name}>"
