"""A choice that the server enforces: the JSON Schema of the calls that may be made, for the reply to fit.

Servers that hold a reply to a schema (llama.cpp, Ollama, vLLM, SGLang) do so from the first token on, whatever the
chat template knows of tools. So where a call must be made, the reply is asked for as a list of calls and nothing else.
Servers that do not care ignore the schema, and some refuse it: those are asked without.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from toolmend._refusal import message_of
from toolmend._types import ToolSpec

__all__ = ["EXAMPLE", "in_words", "refuses_schema", "response_format", "schema_of_calls"]

EXAMPLE = '[{"name": "tool_name", "arguments": {"argument": "value"}}]'
"""How a reply looks that fits."""

_MOST = 8  # calls in one reply: held to a list, a small model may never end it
_REFUSALS = re.compile(r"response_format|json_schema|structured[_ ]outputs?|guided|grammar|\bformat\b", re.IGNORECASE)
_STATUSES = (400, 404, 422, 500, 501)


def schema_of_calls(tools: Sequence[ToolSpec], *, parallel: bool = True) -> dict[str, Any]:
    """The schema of a list of calls.

    Args:
        tools: the tools that may be called, at least one.
        parallel: whether there may be several calls.

    Returns:
        A JSON Schema without references to the outside of it; those inside the tools' own schemas still lead to
        where they led.
    """
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": {"$ref": f"#/$defs/tool{n}"}},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for n, tool in enumerate(tools)
    ]
    return {
        "type": "array",
        "items": calls[0] if len(calls) == 1 else {"anyOf": calls},
        "minItems": 1,
        "maxItems": _MOST if parallel else 1,
        "$defs": {f"tool{n}": _moved(_closed(tool), f"#/$defs/tool{n}") for n, tool in enumerate(tools)},
    }


def response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as OpenAI's chat completions want it, and all servers that speak like them."""
    return {"type": "json_schema", "json_schema": {"name": "calls", "schema": schema}}


def in_words(demand: object) -> str:
    """What a demand for a JSON answer says, for where it must not be enforced: beside it no call could be written.

    Args:
        demand: the value of ``response_format``, or of Ollama's ``format``.

    Returns:
        A sentence for the system message; empty if nothing is demanded.
    """
    if not demand:
        return ""
    fields = cast("Mapping[str, Any]", demand if isinstance(demand, Mapping) else {})
    if fields.get("type") == "text":
        return ""
    named: Any = fields if fields.get("type") == "json_object" else fields.get("json_schema")
    schema: Any = cast("Mapping[str, Any]", named).get("schema") if isinstance(named, Mapping) else fields
    said = "If you answer without a tool call, write nothing but JSON, without a code fence"
    return f"{said}, that fits this schema:\n{json.dumps(schema)}" if schema else f"{said}."


def refuses_schema(status: int | None, body: object) -> bool:
    """Whether an error means that this server takes no schema for a reply."""
    return status in _STATUSES and _REFUSALS.search(message_of(body)) is not None


def _closed(tool: ToolSpec) -> dict[str, Any]:
    """The schema of a tool's arguments; what it does not forbid, a model held to it would make up."""
    listed = {"additionalProperties": False} if "properties" in tool.parameters else {}
    return {"type": "object", **listed, **tool.parameters}


def _moved(node: Any, root: str) -> Any:
    """A schema whose root is elsewhere now."""
    if isinstance(node, dict):
        fields = cast("dict[str, Any]", node)
        moved = {key: _moved(value, root) for key, value in fields.items()}
        reference = fields.get("$ref")
        if isinstance(reference, str) and (reference == "#" or reference.startswith("#/")):
            moved["$ref"] = root + reference[1:]
        return moved
    if isinstance(node, list):
        return [_moved(item, root) for item in cast("list[Any]", node)]
    return node
