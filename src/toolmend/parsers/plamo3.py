"""PLaMo 3: name and arguments each between markers of their own, which all end with ``:plamo|>``.

Source: the chat template of pfnet/plamo-3.
"""

from __future__ import annotations

from toolmend._types import ToolCall
from toolmend.parsers._named_json import Form, NamedJson

__all__ = ["Plamo3"]


def _marker(name: str) -> str:
    return rf"<\|plamo:{name}:plamo\|>"


def _written(name: str) -> str:
    return f"<|plamo:{name}:plamo|>"


_REQUEST = _marker("begin_tool_request")


class Plamo3(NamedJson):
    """A request holds a name and arguments; any marker but the name's may be missing."""

    name = "plamo3"
    models = ("*plamo-3*",)
    sample = (
        "<|plamo:begin_tool_requests:plamo|><|plamo:begin_tool_request:plamo|><|plamo:begin_tool_name:plamo|>find_book"
        "<|plamo:end_tool_name:plamo|><|plamo:begin_tool_arguments:plamo|><|plamo:constrain|>json<|plamo:msg|>"
        '{"title": "Dune", "max_hits": 3}<|plamo:end_tool_arguments:plamo|><|plamo:end_tool_request:plamo|>'
        "<|plamo:end_tool_requests:plamo|>"
    )
    forms = (
        Form(
            rf"(?:{_marker('begin_tool_requests')}\s{{0,64}})?(?:{_REQUEST}\s{{0,64}})?{_marker('begin_tool_name')}\s{{0,16}}",
            rf"\s{{0,16}}{_marker('end_tool_name')}\s{{0,64}}(?:{_marker('begin_tool_arguments')}\s{{0,64}})?"
            r"(?:<\|plamo:constrain\|>\s{0,4}json\s{0,4})?(?:<\|plamo:msg\|>\s{0,64})?",
        ),
    )
    closers = r"<\|plamo:end_tool_(?:arguments|requests?):plamo\|>|<\|plamo:tag\|>"
    again = _REQUEST
    around = (_written("begin_tool_requests"), "", _written("end_tool_requests"))

    def render_call(self, call: ToolCall, number: int) -> str:
        """The markers of one request."""
        name = f"{_written('begin_tool_name')}{call.name}{_written('end_tool_name')}"
        arguments = f"<|plamo:constrain|>json<|plamo:msg|>{self.render_arguments(call)}"
        return (
            f"{_written('begin_tool_request')}{name}{_written('begin_tool_arguments')}{arguments}"
            f"{_written('end_tool_arguments')}{_written('end_tool_request')}"
        )
