"""toolmend: recovers the tool calls that local and open models write as text."""

from toolmend._dialect import Dialect
from toolmend._errors import RenderError, ToolmendError, UnknownDialect
from toolmend._events import Event, ReasoningDelta, Reply, TextDelta, ToolCallDelta, ToolCallFailed, ToolCallParsed
from toolmend._recovery import Recovery
from toolmend._stream import StreamParser, parse
from toolmend._turn import ArgumentsDelta, Options, Reader, ToolChoice, Turn
from toolmend._types import Tool, ToolCall, ToolResult, ToolSpec
from toolmend.parsers import DIALECTS, get_dialect

__all__ = [
    "DIALECTS",
    "ArgumentsDelta",
    "Dialect",
    "Event",
    "Options",
    "Reader",
    "ReasoningDelta",
    "Recovery",
    "RenderError",
    "Reply",
    "StreamParser",
    "TextDelta",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallFailed",
    "ToolCallParsed",
    "ToolChoice",
    "ToolResult",
    "ToolSpec",
    "ToolmendError",
    "Turn",
    "UnknownDialect",
    "get_dialect",
    "parse",
]
