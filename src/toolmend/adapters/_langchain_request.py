"""One request of a LangChain model: messages, arguments, and the turn made from the tools in them.

Tools and tool choices come in the provider's spelling, because the inner model has formatted them;
here they are read back. A request can be asked as it is, or as text where tools are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from toolmend._flat import refuses_system
from toolmend._forced import refuses_schema, response_format
from toolmend._frozen import frozen, thawed
from toolmend._record import record
from toolmend._refusal import Refused, message_of, refuses_tools
from toolmend._turn import Options, ToolChoice, Turn
from toolmend._types import ToolSpec
from toolmend.adapters._langchain_history import (
    answer_format,
    as_text,
    foreign_texts,
    mentions_tools,
)

__all__ = ["CHOICE", "Request", "as_openai", "refuses", "words_of"]

CHOICE = "toolmend_tool_choice"
"""Carries a tool choice that the inner model's `bind_tools` drops; it is never sent."""

_NATIVE = ("tools", "tool_choice", "parallel_tool_calls")


@record()
class Request:
    """What the inner model is asked, and the turn that reads its reply.

    Attributes:
        messages: the conversation.
        arguments: the keyword arguments of the request.
        turn: made from the function tools among the arguments.
        written: whether tools, calls and results are in the messages as text.
        enforced: whether a schema goes along that the reply, which must be a call, has to fit.
        flat: whether what the system message would say stands in the first user message.
        native: of a request as text, the request that it was.
    """

    messages: list[BaseMessage]
    arguments: dict[str, Any]
    turn: Turn
    written: bool = False
    enforced: bool = False
    flat: bool = False
    native: Request | None = None

    @classmethod
    def of(cls, messages: list[BaseMessage], arguments: Mapping[str, Any], options: Options | None) -> Request:
        """Read a request.

        Raises:
            ToolmendError: a tool's schema is broken, or the choice names none of the tools.
        """
        functions, builtin = _offered(arguments.get("tools") or ())
        choice = arguments.get("tool_choice", arguments.get(CHOICE))
        allowed = _choice(choice, [tool.name for tool in functions], builtin) if functions and choice else "auto"
        turn = Turn(functions, tool_choice=allowed, options=options, echoes=foreign_texts(messages))
        return cls(messages, {key: value for key, value in arguments.items() if key != CHOICE}, turn)

    @property
    def has_tools(self) -> bool:
        """Whether a server without tools could stumble over this request."""
        return not self.written and (bool(self.turn.tools) or mentions_tools(self.messages))

    @property
    def choice(self) -> Refused:
        """How a forced choice is asked for: in a word, or as an object that names a tool."""
        return "named" if isinstance(self.arguments.get("tool_choice"), Mapping) else "required"

    def as_text(self, *, keep_builtin: bool = False, enforce: str = "", flat: bool = False) -> Request:
        """The same request with its tools, calls and results as text.

        Args:
            keep_builtin: whether tools that the provider runs itself are still sent.
            enforce: if a call must be made: the argument that takes a schema for the reply, ``"format"`` or
                ``"extra_body"``.
            flat: whether there is to be no system message.
        """
        if not self.has_tools:
            return self
        arguments = {key: value for key, value in self.arguments.items() if key not in _NATIVE}
        tools: Sequence[Any] = self.arguments.get("tools") or ()
        if keep_builtin and len(tools) > len(self.turn.tools):  # else all of them are functions
            builtin = [tool for tool in tools if _is_builtin(tool)]
            arguments.update({"tools": builtin} if builtin else {})
        ending = answer_format(arguments) if self.turn.active else ""
        enforced = bool(enforce) and self.turn.forced and "tools" not in arguments
        schema = self.turn.enforce(enforced, parallel=self.arguments.get("parallel_tool_calls") is not False)
        if enforced and enforce == "format":
            arguments["format"] = schema
        elif enforced:
            others: dict[str, Any] = arguments.get("extra_body") or {}
            arguments["extra_body"] = {**others, "response_format": response_format(schema)}
        messages = as_text(self.messages, self.turn, ending=ending, flat=flat)
        return Request(messages, arguments, self.turn, written=True, enforced=enforced, flat=flat, native=self)

    def adapted(self, error: Exception, enforce: str) -> tuple[Request, Refused] | None:
        """The request as text without what the server objects to, and what that is: a schema or a system message."""
        if self.native is None:
            return None
        if self.enforced and refuses(error, refuses_schema):
            return self.native.as_text(flat=self.flat), "schema"
        if not self.flat and refuses(error, refuses_system):
            return self.native.as_text(enforce=enforce if self.enforced else "", flat=True), "system"
        return None


_Offer = tuple[tuple[ToolSpec, ...], frozenset[object]]
"""The functions, and what the provider's own tools are called."""


def _offered(tools: Iterable[Any]) -> _Offer:
    held = frozen(tools)
    return _offer_in(tools) if held is None else _known_offer(held)


@lru_cache(maxsize=64)
def _known_offer(tools: bytes) -> _Offer:
    """The same tools come with every request."""
    return _offer_in(thawed(tools))


def _offer_in(tools: Iterable[Any]) -> _Offer:
    listed = [as_openai(tool) for tool in tools]
    # Of two tools with one name the later counts, as it does in LangGraph's ToolNode.
    functions = {_name(tool): tool for tool in listed if not _is_builtin(tool)}
    builtin = [tool for tool in listed if _is_builtin(tool)]
    own = frozenset(name for tool in builtin for name in (_fields(tool).get("type"), _name(tool)))
    return tuple(map(ToolSpec.of, functions.values())), own


def as_openai(tool: Any) -> Any:
    """A tool as a dict: named tools and the provider's own as they are, others in OpenAI's form."""
    is_named = {"function", "name"} & _fields(tool).keys()
    return tool if is_named or _is_builtin(tool) else convert_to_openai_tool(tool)


def refuses(error: Exception, says: Callable[[int | None, object], bool] = refuses_tools) -> bool:
    """Whether the server says that it cannot take tools, or something else, however the client library shows that."""
    response = getattr(error, "response", None)
    status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    return any(says(status, body) for body in _said(error))


def words_of(error: Exception) -> str:
    """What the server has said."""
    return message_of(_said(error)[0])


def _said(error: Exception) -> list[object]:
    said = (getattr(error, "body", None), getattr(error, "error", None), str(error))
    return [body for body in said if body] or [""]


def _is_builtin(tool: object) -> bool:
    """Whether the provider itself runs this tool: then there is no function to call by name.

    An object that LangChain cannot read is in a provider's own form and is left to it as well.
    """
    if not isinstance(tool, Mapping):
        return not (isinstance(tool, BaseTool) or callable(tool))
    fields = _fields(tool)
    if fields.keys() & {"function", "input_schema", "title", "toolSpec"}:
        return False
    return fields["type"] != "function" if "type" in fields else "name" not in fields


def _fields(value: Any) -> Mapping[str, Any]:
    """A dict as it is; of anything else, nothing."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _name(tool: object) -> object:
    fields = _fields(tool)
    return _fields(fields.get("function", fields)).get("name")


def _choice(given: object, names: Collection[str], builtin: Collection[object]) -> ToolChoice:
    """What the caller allows, out of the ways in which providers spell it."""
    if isinstance(given, Mapping):
        fields = _fields(given)
        kind = fields.get("type")
        given = _name(fields) or (kind if kind in ("any", "required", "none") else "auto")
    if isinstance(given, str) and given in names:  # first, since a tool may well be called "any"
        return [given]
    if given is True or given in ("any", "required"):
        return "required"
    if given == "none":
        return "none"
    # A choice of the provider's own tool says nothing about ours.
    if not given or given == "auto" or given in builtin:
        return "auto"
    return [str(given)]
