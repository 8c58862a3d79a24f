"""K2 Horizon: an object in ``<ifm|tool_call>`` tags, all of them in ``<ifm|tool_calls>`` tags.

Source: the chat template of LLM360's K2 Horizon.
"""

from __future__ import annotations

from collections.abc import Sequence

from toolmend._types import ToolCall
from toolmend.parsers._bodies import call_object
from toolmend.parsers._tagged_json import TaggedJson

__all__ = ["K2Horizon"]

_OPEN, _CLOSE = "<ifm|tool_call>", "</ifm|tool_call>"


class K2Horizon(TaggedJson):
    """``<ifm|tool_calls><ifm|tool_call>{"name": …, "arguments": {…}}</ifm|tool_call></ifm|tool_calls>``."""

    name = "k2_horizon"
    models = ("*k2-horizon*",)
    sample = (
        '<ifm|tool_calls><ifm|tool_call>{"name": "find_book", "arguments": {"title": "Dune", "max_hits": 3}}'
        "</ifm|tool_call></ifm|tool_calls>"
    )
    opener = r"(?:<ifm\|tool_calls>\s{0,64})?<ifm\|tool_call>"
    closers = (_CLOSE,)
    trailers = ("</ifm|tool_calls>",)

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """A pair of inner tags a call, one pair of outer tags."""
        inside = "".join(f"{_OPEN}{call_object(call)}{_CLOSE}" for call in calls)
        return f"<ifm|tool_calls>{inside}</ifm|tool_calls>"
