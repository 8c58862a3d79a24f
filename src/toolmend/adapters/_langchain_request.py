"""One request of a LangChain model: messages, arguments, and the turn made from the tools in them.

Tools and tool choices come in the provider's spelling, because the inner model has formatted them;
here they are read back. A request can be asked as it is, or as text where tools are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from langchain_core.messages import BaseMessage
from langchain_core.utils.function_calling import convert_to_openai_tool

from toolmend._refusal import refuses_tools
from toolmend._turn import Options, ToolChoice, Turn
from toolmend.adapters._langchain_history import (
    answer_format,
    as_text,
    mentions_tools,
    result_texts,
)

__all__ = ["CHOICE", "Request", "as_openai", "refuses"]

CHOICE = "toolmend_tool_choice"
"""Carries a tool choice that the inner model's `bind_tools` drops; it is never sent."""

_NATIVE = ("tools", "tool_choice", "parallel_tool_calls")


@dataclass(frozen=True, slots=True)
class Request:
    """What the inner model is asked, and the turn that reads its reply.

    Attributes:
        messages: the conversation.
        arguments: the keyword arguments of the request.
        turn: made from the function tools among the arguments.
        written: whether tools, calls and results are in the messages as text.
    """

    messages: list[BaseMessage]
    arguments: dict[str, Any]
    turn: Turn
    written: bool = False

    @classmethod
    def of(cls, messages: list[BaseMessage], arguments: Mapping[str, Any], options: Options | None) -> Request:
        """Read a request.

        Raises:
            ToolmendError: a tool's schema is broken, or the choice names none of the tools.
        """
        tools = [as_openai(tool) for tool in arguments.get("tools") or ()]
        # Of two tools with one name the later counts, as it does in LangGraph's ToolNode.
        functions = list({_name(tool): tool for tool in tools if not _is_builtin(tool)}.values())
        builtin = [tool for tool in tools if _is_builtin(tool)]
        choice = arguments.get("tool_choice", arguments.get(CHOICE))
        turn = Turn(
            functions,
            tool_choice=_choice(choice, functions, builtin) if functions else "none",
            options=options,
            echoes=result_texts(messages),
        )
        return cls(messages, {key: value for key, value in arguments.items() if key != CHOICE}, turn)

    @property
    def has_tools(self) -> bool:
        """Whether a server without tools could stumble over this request."""
        return not self.written and (bool(self.turn.tools) or mentions_tools(self.messages))

    def as_text(self, *, keep_builtin: bool = False) -> Request:
        """The same request with its tools, calls and results as text.

        Args:
            keep_builtin: whether tools that the provider runs itself are still sent.
        """
        if not self.has_tools:
            return self
        arguments = {key: value for key, value in self.arguments.items() if key not in _NATIVE}
        builtin = [tool for tool in self.arguments.get("tools") or () if _is_builtin(tool)]
        if keep_builtin and builtin:
            arguments["tools"] = builtin
        ending = answer_format(arguments) if self.turn.active else ""
        messages = as_text(self.messages, self.turn, ending=ending)
        return replace(self, messages=messages, arguments=arguments, written=True)


def as_openai(tool: Any) -> dict[str, Any]:
    """A tool as a dict: named tools and the provider's own as they are, others in OpenAI's form."""
    if isinstance(tool, Mapping):
        tool = cast("dict[str, Any]", tool)
        if _is_builtin(tool) or "function" in tool or "name" in tool:
            return tool
    return convert_to_openai_tool(tool)


def refuses(error: Exception) -> bool:
    """Whether the server says that it cannot take tools, however the client library shows that."""
    response = getattr(error, "response", None)
    status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    said = (getattr(error, "body", None), getattr(error, "error", None), str(error))
    return any(refuses_tools(status, body) for body in said if body)


def _is_builtin(tool: object) -> bool:
    """Whether the provider itself runs this tool: then there is no function to call by name."""
    if not isinstance(tool, Mapping):
        return False
    tool = cast("Mapping[str, Any]", tool)
    if tool.keys() & {"function", "input_schema", "title", "toolSpec"}:
        return False
    return tool["type"] != "function" if "type" in tool else "name" not in tool


def _name(tool: Mapping[str, Any]) -> object:
    function = tool.get("function", tool)
    return cast("Mapping[str, Any]", function).get("name") if isinstance(function, Mapping) else None


def _choice(given: object, functions: Iterable[Mapping[str, Any]], builtin: Iterable[Mapping[str, Any]]) -> ToolChoice:
    """What the caller allows, out of the ways in which providers spell it."""
    if isinstance(given, Mapping):
        given = cast("Mapping[str, Any]", given)
        name = given.get("function", given).get("name")
        given = name or {"any": "any", "required": "required", "none": "none"}.get(given["type"])
    names = {_name(tool) for tool in functions}
    if isinstance(given, str) and given in names:  # first, since a tool may well be called "any"
        return [given]
    if given is True or given in ("any", "required"):
        return "required"
    if given == "none":
        return "none"
    # A choice of the provider's own tool says nothing about ours.
    if not given or given == "auto" or any(given in (tool.get("type"), tool.get("name")) for tool in builtin):
        return "auto"
    return [str(given)]
