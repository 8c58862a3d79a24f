"""A conversation in OpenAI's or Ollama's wire form, written as plain text for servers that cannot take tools.

System texts and the tool instructions become a single system message, calls and results become text in the format the
model is asked to write, and neighbours of one role become one message, because many chat templates insist on strict
turns. Images and whatever else is no text stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, cast

from toolmend._flat import in_turns
from toolmend._foreign import Foreign, Said
from toolmend._turn import Turn
from toolmend._types import ToolCall, ToolResult

__all__ = ["Message", "as_text", "foreign_texts", "mentions_tools", "text_of"]

Message = Mapping[str, Any]
"""A message as it stands in the request."""

_RESULTS = ("tool", "function")
_SYSTEM = ("system", "developer")


def mentions_tools(messages: Iterable[Message]) -> bool:
    """Whether calls or results of tools are among the messages."""
    return any(message.get("role") in _RESULTS or next(_calls_of(message), None) for message in messages)


def foreign_texts(messages: Sequence[Message]) -> Foreign:
    """What the model may copy without meaning it: tool answers and user messages."""

    def texts(*roles: str) -> list[str]:
        return [text_of(message, "\n") for message in messages if message.get("role") in roles]

    return Foreign(lambda: Said(texts(*_RESULTS), users=texts("user"), system=texts(*_SYSTEM)))


def text_of(message: Message, between: str = "") -> str:
    """The texts in the content of a message, joined."""
    texts = (part.get("text") for part in _parts_of(message) if part.get("type") == "text")
    return between.join(text for text in texts if isinstance(text, str) and text)


def as_text(messages: Sequence[Message], turn: Turn, *, ending: str = "", flat: bool = False) -> list[dict[str, Any]]:
    """Write a conversation without tool messages, tool calls and repeated roles.

    Args:
        messages: the conversation; it is not changed.
        turn: offers its tools in the system message and writes calls and results.
        ending: what else the system message is to say at its end.
        flat: whether the first user message is to say that instead.

    Returns:
        New messages: at most one system message, then users and assistants in turn.
    """
    names: dict[str | None, str] = {
        call.id: call.name for message in messages for call in _calls_of(message) if call.id
    }
    called: Iterator[str] = iter(())  # for results that do not say whose they are: they follow their calls in order
    system: list[str] = []
    spoken: list[dict[str, Any]] = []
    for are_results, group in groupby(messages, lambda message: message.get("role") in _RESULTS):
        if are_results:
            spoken.append(_results(group, names, called, turn))
            continue
        for message in group:
            if message.get("role") in _SYSTEM:
                system.append(text_of(message, "\n"))
            elif message.get("role") == "assistant":
                called = iter([call.name for call in _calls_of(message)])
                spoken.append(_assistant(message, turn))
            else:
                spoken.append(dict(message))
    instructions = "\n\n".join(filter(None, [*system, turn.instructions, ending]))
    opening = [{"role": "user" if flat else "system", "content": instructions}] if instructions else []
    return in_turns([*opening, *spoken], lambda message: str(message.get("role")), _joined)


def _calls_of(message: Message) -> Iterator[ToolCall]:
    legacy = message.get("function_call")
    calls: Any = message.get("tool_calls") or ([{"function": legacy}] if legacy else [])
    for call in cast("list[Any]", calls) if isinstance(calls, list) else []:
        function: Any = cast("Message", call).get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            fields = cast("Message", function)
            written = _arguments(fields.get("arguments"))
            call_id: Any = cast("Message", call).get("id")
            yield ToolCall(
                name=str(fields.get("name", "")), arguments=written, id=call_id if isinstance(call_id, str) else None
            )


def _arguments(written: object) -> dict[str, Any]:
    """Arguments as an object; what an earlier model broke is shown to this one as it was."""
    value = written
    if isinstance(written, str):
        try:
            value = json.loads(written or "{}")
        except (ValueError, RecursionError):
            value = written
    if isinstance(value, Mapping):
        return dict(cast("Message", value))
    return {} if value is None else {"arguments": value}


def _results(
    messages: Iterable[Message], names: Mapping[str | None, str], called: Iterator[str], turn: Turn
) -> dict[str, Any]:
    results: list[ToolResult] = []
    others: list[Any] = []
    images: list[Any] = []
    for message in messages:
        given: Any = message.get("tool_call_id")
        call_id = given if isinstance(given, str) else None
        following = next(called, "tool")
        name = message.get("name") or message.get("tool_name") or names.get(call_id) or following
        results.append(ToolResult(name=str(name), content=text_of(message, "\n"), call_id=call_id))
        others.extend(part for part in _parts_of(message) if part.get("type") != "text")
        images.extend(_images_of(message))
    text = turn.render_results(results)
    content = [{"type": "text", "text": text}, *others] if others else text
    return {"role": "user", "content": content, **({"images": images} if images else {})}


def _assistant(message: Message, turn: Turn) -> dict[str, Any]:
    calls = list(_calls_of(message))
    text = "\n".join(filter(None, [text_of(message), turn.render_calls(calls) if calls else ""]))
    kept = {key: value for key, value in message.items() if key in ("role", "name", "thinking")}
    return {**kept, "content": text}


def _joined(before: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    """Two messages of one role as one."""
    if all(part.get("type") == "text" for part in (*_parts_of(before), *_parts_of(message))):
        content: Any = "\n\n".join(filter(None, [text_of(before, "\n"), text_of(message, "\n")]))
    else:
        content = [*_parts_of(before), *_parts_of(message)]
    images = [*_images_of(before), *_images_of(message)]
    return {**before, **message, "content": content, **({"images": images} if images else {})}


def _parts_of(message: Message) -> list[dict[str, Any]]:
    """The content as a list of parts; empty where there is none."""
    content: Any = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    parts = cast("list[Any]", content) if isinstance(content, list) else []
    texts = ({"type": "text", "text": part} if isinstance(part, str) else part for part in parts)
    return [dict(cast("Message", part)) for part in texts if isinstance(part, Mapping)]


def _images_of(message: Message) -> list[Any]:
    """Ollama's images, which are no parts of the content."""
    images: Any = message.get("images")
    return cast("list[Any]", images) if isinstance(images, list) else []
