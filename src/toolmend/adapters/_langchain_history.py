"""A LangChain conversation written as plain text, for servers that cannot take tools.

One list of messages goes in and one comes out: system texts and the tool instructions become a
single system message, calls and results become text in the format the model is asked to write, and
neighbours of one role become one message, because many chat templates insist on strict turns.
Images and whatever else is no text stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import compress
from operator import attrgetter, not_
from typing import Any, TypeVar, cast

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.utils.function_calling import convert_to_json_schema

from toolmend._flat import in_turns
from toolmend._forced import in_words
from toolmend._foreign import Foreign, Said
from toolmend._turn import Turn
from toolmend._types import ToolCall, ToolResult
from toolmend.adapters._langchain_content import Block, Content, content_of, parts_of, text_in
from toolmend.adapters._transcripts import Transcripts

__all__ = ["answer_format", "as_text", "foreign_texts", "mentions_tools"]


_SAID: dict[str, Any] = {"content": "", "additional_kwargs": {}, "response_metadata": {}}
_ASSISTANT = AIMessage(**_SAID, tool_calls=[], invalid_tool_calls=[], name=None, id=None)
_USER = HumanMessage(**_SAID)
_INSTRUCTIONS = SystemMessage(**_SAID)
Message = TypeVar("Message", AIMessage, HumanMessage, SystemMessage)

_SYSTEM = ("system", "developer")
_FORMATS = ("format", "response_format")  # arguments of a request
_CALLS = ("tool_calls", "function_call")  # in some providers' own fields
_UNREAD = frozenset({"response_metadata", "usage_metadata", "artifact"})  # fields that `_spoken` does not look at
# If one is of another class, the conversation is written anew each time: what its text depends on is not known.
_KNOWN = frozenset({SystemMessage, HumanMessage, ChatMessage, AIMessage, AIMessageChunk, ToolMessage})


def mentions_tools(messages: Iterable[BaseMessage]) -> bool:
    """Whether calls or results of tools are among the messages."""
    return any(_is_result(message) or _calls_of(message) for message in messages)


def foreign_texts(messages: Sequence[BaseMessage]) -> Foreign:
    """What the model may copy without meaning it: tool answers and user messages."""
    return Foreign(partial(_said_in, tuple(messages)))


def _said_in(messages: Sequence[BaseMessage]) -> Said:
    said: dict[str, list[str]] = {"result": [], "user": [], "system": []}
    roles = _roles_of(frozenset(map(type, messages)))
    for message in messages:
        role = roles[type(message)]
        if role == "chat":
            role = "system" if _role(message) in _SYSTEM else _role(message)
        if role not in said:
            continue
        content = content_of(message)
        if isinstance(content, str):
            said[role].append(content)
        elif role == "user":
            said[role].extend(filter(None, map(text_in, content)))
        else:
            said[role].append(_text_of(message, "\n"))
    return Said(said["result"], users=said["user"], system=said["system"])


def as_text(messages: Sequence[BaseMessage], turn: Turn, *, ending: str = "", flat: bool = False) -> list[BaseMessage]:
    """Write a conversation without tool messages, tool calls and repeated roles.

    Args:
        messages: the conversation; it is not changed.
        turn: offers its tools in the system message and writes calls and results.
        ending: what else the system message is to say at its end.
        flat: whether the first user message says what the system message would.

    Returns:
        New messages: at most one system message, then users and assistants in turn.
    """
    kinds = frozenset(map(type, messages))
    system, spoken = _apart(messages, kinds)
    write = partial(_spoken, spoken, turn)
    written = _TRANSCRIPTS.written(spoken, turn, write, apart=system) if kinds <= _KNOWN else write(0, len(spoken))
    told = [_text_of(message, "\n") for message in system]
    instructions = "\n\n".join(filter(None, [*told, turn.instructions, ending]))
    if instructions and flat:
        written[:1] = in_turns([_written(_USER, instructions), *written[:1]], _role, _joined)
    elif instructions:
        written.insert(0, _written(_INSTRUCTIONS, instructions))
    return written


def _apart(
    messages: Sequence[BaseMessage], kinds: frozenset[type[BaseMessage]]
) -> tuple[Sequence[BaseMessage], Sequence[BaseMessage]]:
    """The messages of the system, and all others."""
    roles = _roles_of(kinds)
    if "chat" in roles.values():  # such a message says for itself who speaks
        system = [_role(message) in _SYSTEM for message in messages]
        return list(compress(messages, system)), list(compress(messages, map(not_, system)))
    if "system" not in roles.values():
        return [], messages
    told = [roles[type(message)] == "system" for message in messages]
    return list(compress(messages, told)), list(compress(messages, map(not_, told)))


def _spoken(messages: Sequence[BaseMessage], turn: Turn, start: int, end: int) -> list[BaseMessage]:
    """What users, assistants and tools have said from one place to another."""
    names: dict[str | None, str] = {}
    known = 0  # up to where the calls have been asked for their names
    written: list[BaseMessage] = []
    at = start
    while at < end:
        message = messages[at]
        role = _role(message)
        at += 1
        if role == "assistant":
            written.append(_assistant(message, turn))
        elif role == "user":
            written.append(_user(message))
        elif not _is_result(message):
            written.append(message)
        else:
            first = at - 1
            while at < end and _is_result(messages[at]):
                at += 1
            results = cast("Sequence[ToolMessage]", messages[first:at])
            if not all(result.name for result in results):
                names.update(_names_in(messages[known:first]))
                known = first
            written.append(_results(results, names, turn))
    return in_turns(written, _role, _joined)


def _role(message: BaseMessage) -> str:
    """Who speaks, in the words of the wire; ``"result"`` is no role but a class of messages."""
    role = _role_of(type(message))
    return cast("ChatMessage", message).role if role == "chat" else role


@lru_cache(maxsize=64)
def _roles_of(kinds: frozenset[type[BaseMessage]]) -> Mapping[type[BaseMessage], str]:
    return {kind: _role_of(kind) for kind in kinds}


@lru_cache(maxsize=64)
def _role_of(kind: type[BaseMessage]) -> str:
    roles = {
        SystemMessage: "system",
        AIMessage: "assistant",
        HumanMessage: "user",
        ToolMessage: "result",
        ChatMessage: "chat",
    }
    return next((role for known, role in roles.items() if issubclass(kind, known)), "")


def _is_result(message: BaseMessage) -> bool:
    return _role_of(type(message)) == "result"


def _calls_of(message: BaseMessage) -> list[ToolCall]:
    if _role_of(type(message)) != "assistant":
        return []
    said = cast("AIMessage", message)
    calls = [ToolCall(name=call["name"], arguments=call["args"], id=call["id"]) for call in said.tool_calls]
    for call in said.invalid_tool_calls:
        broken = {"INVALID_JSON": call["args"] or ""}
        calls.append(ToolCall(name=call["name"] or "", arguments=broken, id=call["id"]))
    return calls


def _names_in(messages: Iterable[BaseMessage]) -> dict[str | None, str]:
    """The tools that were called, by the ids of the calls."""
    said = [cast("AIMessage", message) for message in messages if _role_of(type(message)) == "assistant"]
    return {call["id"]: call["name"] or "" for m in said for call in (*m.tool_calls, *m.invalid_tool_calls)}


_FIELDS = attrgetter("__dict__")
_TRANSCRIPTS: Transcripts[BaseMessage] = Transcripts(
    lambda messages: list(map(_FIELDS, messages)),
    lambda message: _role(message) == "assistant",
    says=_said_in,
    ignored=_UNREAD,
)


def answer_format(arguments: dict[str, Any]) -> str:
    """Take a demand for a JSON answer out of a request and say it in words.

    A server holds the model to such a format from the first token on, so that beside it no call
    could ever be written as text.

    Args:
        arguments: keyword arguments of the request; ``format`` and ``response_format`` are removed.

    Returns:
        The sentence for the system message, or an empty text.
    """
    if arguments.keys().isdisjoint(_FORMATS):
        return ""
    wanted: list[Any] = [arguments.pop(key) for key in _FORMATS if key in arguments]
    demand: Any = next((given for given in wanted if given), None)
    return in_words(convert_to_json_schema(demand) if isinstance(demand, type) else demand)


def _results(messages: Iterable[ToolMessage], names: Mapping[str | None, str], turn: Turn) -> BaseMessage:
    results: list[ToolResult] = []
    others: list[Block] = []
    for message in messages:
        results.append(
            ToolResult(
                name=message.name or names.get(message.tool_call_id) or "tool",
                content=_text_of(message, "\n"),
                call_id=message.tool_call_id,
                is_error=message.status == "error",
            )
        )
        if not isinstance(message.content, str):
            others.extend(part for part in parts_of(message) if text_in(part) is None)
    text = turn.render_results(results)
    return _written(_USER, [{"type": "text", "text": text}, *others] if others else text)


def _assistant(message: BaseMessage, turn: Turn) -> AIMessage:
    text = _text_of(message, "")
    calls = _calls_of(message)
    if calls:
        text = "\n".join(filter(None, [text, turn.render_calls(calls)]))
    elif type(message) is AIMessage and content_of(message) == text and not message.additional_kwargs:
        return message  # nothing but text, as most of a long history
    # The reply's metadata stays behind: it may say that the content is a list of blocks, which it
    # is no longer.
    extras = {key: value for key, value in message.additional_kwargs.items() if key not in _CALLS}
    lists: dict[str, Any] = {"tool_calls": [], "invalid_tool_calls": []}
    return _written(_ASSISTANT, text, additional_kwargs=extras, name=message.name, id=message.id, **lists)


def _written(blank: Message, content: Content, **fields: Any) -> Message:
    """A message like this one; a copy costs a tenth of a new one, and a history has many."""
    message = blank.__copy__()
    vars(message).update({"content": content, "additional_kwargs": {}, "response_metadata": {}, **fields})
    return message


def _user(message: BaseMessage) -> HumanMessage:
    if type(message) is HumanMessage and isinstance(content_of(message), str):
        return message
    content: Content = _text_of(message, "\n")
    if any(text_in(part) is None for part in parts_of(message)):
        content = _blocks_of(message)
    return HumanMessage(content=content, name=message.name, id=message.id)


def _joined(before: BaseMessage, message: BaseMessage) -> BaseMessage:
    texts = [content_of(before), content_of(message)]
    content: Content = [*_blocks_of(before), *_blocks_of(message)]
    if all(isinstance(text, str) for text in texts):
        content = "\n\n".join(cast("Iterable[str]", filter(None, texts)))
    extras = {**before.additional_kwargs, **message.additional_kwargs}
    return before.model_copy(update={"content": content, "additional_kwargs": extras, "response_metadata": {}})


def _blocks_of(message: BaseMessage) -> list[Block]:
    return [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts_of(message)]


def _text_of(message: BaseMessage, between: str) -> str:
    content = content_of(message)
    if isinstance(content, str):
        return content
    return between.join(filter(None, map(text_in, parts_of(message))))
