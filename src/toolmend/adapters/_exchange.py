"""One chat request on the wire and the turn made from it: what goes to the server, natively or as text.

OpenAI's and Ollama's requests have the same shape as far as tools are concerned, so one class reads both. How replies
look is the business of `_openai_chat` and `_ollama_chat`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol, cast

from toolmend._forced import in_words
from toolmend._refusal import Refused
from toolmend._turn import Options, Reader, ToolChoice, Turn
from toolmend._types import ToolCall
from toolmend.adapters._wire_history import Message, as_text, foreign_texts, mentions_tools
from toolmend.adapters._wire_lost import Watched, lost_in

__all__ = ["Exchange", "Mode", "NotReadable", "ReplyStream", "is_cut"]

Mode = Literal["auto", "native", "prompt"]
"""Whether tools go to the server: until it refuses them, always, or never."""

_NATIVE = ("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call")
# Other ways to hold a reply to something, of llama.cpp, vLLM and SGLang; nobody takes two of them at once.
_CONSTRAINTS = frozenset({
    "grammar", "json_schema", "structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar",
    "regex", "ebnf",
})  # fmt: skip
_CUT = ("length", "content_filter", "abort", "error")
_WORDS: Mapping[str, ToolChoice] = {"required": "required", "any": "required", "none": "none", "custom": "none"}


class NotReadable(ValueError):
    """A body is no chat request; the message says what is wrong with it."""


class ReplyStream(Protocol):
    """Rewrites a streamed reply as it passes."""

    def feed(self, data: bytes) -> bytes:
        """Take what the server has sent and return what the client gets now."""
        ...

    def close(self) -> bytes:
        """The server has ended the stream; return the rest. What was cut off is text, never a call."""
        ...

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished event are kept."""
        ...


def is_cut(reason: object) -> bool:
    """Whether a reply was ended by a limit or the like, so that what stands open in it is unfinished."""
    return reason in _CUT


class Exchange:
    """A request and what becomes of its reply.

    Args:
        body: the request, parsed.
        options: see `Options`.

    Attributes:
        body: the request as the client wrote it.
        turn: made from the function tools in it.
        readers: who has read the reply, for whoever keeps count; one a choice, when it is complete.
        watched: what came of the reply that was rewritten last.
        insists: whether a reply without the call that must be made is to be asked for again.

    Raises:
        NotReadable: it is no chat request.
        ToolmendError: a tool's schema is broken, or the choice names none of the tools.
    """

    streams_by_default: ClassVar[bool] = False
    streamed_type: ClassVar[str]
    """What a streamed reply says it is."""

    def __init__(self, body: object, *, options: Options | None = None) -> None:
        if not isinstance(body, Mapping):
            raise NotReadable("the request is not a JSON object")
        self.body = cast("Mapping[str, Any]", body)
        messages: Any = self.body.get("messages")
        tools: Any = self.body.get("tools") or []
        if not isinstance(messages, list) or not all(isinstance(m, Mapping) for m in cast("list[object]", messages)):
            raise NotReadable("`messages` is not a list of objects")
        if not isinstance(tools, list) or not all(isinstance(tool, Mapping) for tool in cast("list[object]", tools)):
            raise NotReadable("`tools` is not a list of objects")
        self._messages = cast("list[Message]", messages)
        functions = {str(_name(tool)): tool for tool in cast("list[Message]", tools) if _is_function(tool)}
        offered, choice = _choice(self.body.get("tool_choice"), functions)
        self.turn = Turn(
            offered,
            tool_choice=choice if offered else "none",
            options=options,
            echoes=foreign_texts(self._messages),
        )
        self.readers: list[Reader] = []
        self.watched: Watched | None = None
        self.insists = False

    @property
    def model(self) -> str:
        """The model asked for; empty if the request leaves that to the server."""
        return str(self.body.get("model") or "")

    @property
    def streams(self) -> bool:
        """Whether the client wants the reply while it is written."""
        return bool(self.body.get("stream", self.streams_by_default))

    @property
    def has_calls(self) -> bool:
        """Whether calls or results of tools are in the history."""
        return mentions_tools(self._messages)

    @property
    def has_tools(self) -> bool:
        """Whether a server without tools could stumble over this request."""
        return bool(self.body.get("tools")) or self.has_calls

    @property
    def choice(self) -> Refused:
        """How a forced choice is asked for: in a word, or as an object that names a tool."""
        return "named" if isinstance(self.body.get("tool_choice"), Mapping) else "required"

    @property
    def enforceable(self) -> bool:
        """Whether the reply has to be a call, and may be held to a schema of it."""
        return self.turn.forced and self.body.keys().isdisjoint(_CONSTRAINTS)

    def as_text(self, *, enforced: bool = False, flat: bool = False) -> dict[str, Any]:
        """The request with its tools, calls and results written as text.

        Args:
            enforced: whether a schema goes along that the reply, which must be a call, has to fit.
            flat: whether there is to be no system message.
        """
        body = {key: value for key, value in self.body.items() if key not in _NATIVE}
        ending = ""
        if self.turn.active:  # a server holds the model to a format from the first token on
            ending = in_words(body.pop("response_format", None) or body.pop("format", None))
        if self.turn.active:
            schema = self.turn.enforce(enforced, parallel=self.body.get("parallel_tool_calls") is not False)
            body |= self.held_to(schema) if enforced else {}
        body["messages"] = as_text(self._messages, self.turn, ending=ending, flat=flat)
        return body

    def quoted(self, status: int, error: str) -> str:
        """The reply that an error of the server's parser quotes; empty if there is no call in it."""
        lost = lost_in(status, error)
        text = lost.text if lost else ""
        return text if any(isinstance(item, ToolCall) for item in self.turn.read(text)) else ""

    def read(self, text: str, reason: object) -> tuple[str, list[ToolCall]]:
        """Read a whole text.

        Args:
            text: what the model wrote.
            reason: why it ended, as the server says.

        Returns:
            The text to show, all of it that is no call, and the calls.
        """
        reader = self.turn.reader()
        items = [*reader.feed(text), *reader.close(truncated=is_cut(reason))]
        self.done(reader)
        said = "".join(item for item in items if isinstance(item, str))
        return said, [item for item in items if isinstance(item, ToolCall)]

    def watch(self) -> Watched:
        """Note what comes of a reply that begins now."""
        self.watched = Watched({tool.name for tool in self.turn.callable} if self.insists else frozenset())
        return self.watched

    def done(self, reader: Reader) -> None:
        """Keep the reader of a choice that is complete."""
        self.readers.append(reader)

    def reply(self, body: Any) -> Any:
        """Rewrite a whole reply, parsed; what is no reply comes back as it is."""
        raise NotImplementedError

    def stream(self) -> ReplyStream:
        """Rewrites the reply while it is streamed."""
        raise NotImplementedError

    def spoken(self, text: str) -> bytes:
        """A reply that says a text, as the server would have sent it: streamed, if the client wants that."""
        raise NotImplementedError

    def held_to(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a request that hold the reply to a JSON Schema."""
        raise NotImplementedError


def _is_function(tool: Message) -> bool:
    return tool.get("type", "function") == "function" and isinstance(tool.get("function"), Mapping)


def _name(tool: Message) -> object:
    """The name in a tool or in a choice; some write it without `function`."""
    function = tool.get("function")
    return (cast("Message", function) if isinstance(function, Mapping) else tool).get("name")


def _choice(given: object, functions: Mapping[str, Message]) -> tuple[Sequence[Message], ToolChoice]:
    """The tools that are offered, and what the caller allows."""
    offered = list(functions.values())
    if isinstance(given, Mapping):
        fields = cast("Message", given)
        if fields.get("type") == "allowed_tools":
            return _allowed(fields, functions)
        name = _name(fields)
        if isinstance(name, str) and fields.get("type") != "custom":
            return offered, [name]
        return offered, _WORDS.get(str(fields.get("type")), "auto")
    if isinstance(given, str) and given not in _WORDS and given in functions:
        return offered, [given]
    return offered, _WORDS.get(str(given), "auto")


def _allowed(fields: Message, functions: Mapping[str, Message]) -> tuple[Sequence[Message], ToolChoice]:
    inner: Any = fields.get("allowed_tools") or fields
    listed: Any = cast("Message", inner).get("tools") if isinstance(inner, Mapping) else None
    if not isinstance(listed, list):
        raise NotReadable("`allowed_tools` has no list of `tools`")
    allowed = [_name(cast("Message", tool)) for tool in cast("list[Any]", listed) if isinstance(tool, Mapping)]
    forced = cast("Message", inner).get("mode") == "required"
    return [tool for name, tool in functions.items() if name in allowed], "required" if forced else "auto"
