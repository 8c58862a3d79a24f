"""A PydanticAI history as plain text: no tool role, no native call, users and assistant in turns.

Messages come prepared, that is, special tokens in them are broken up, so that what is written here
stays whole and what tools have answered cannot pass for it. All that speaks to the model as a user
within one request becomes one part, because each part would be a message of its own on the wire.
Images, reasoning and all else stay where they are.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import lru_cache, partial
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeVar, cast

from pydantic_ai.messages import (
    InstructionPart,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters

from toolmend._flat import in_turns
from toolmend._foreign import Foreign, Said
from toolmend._frozen import Row
from toolmend._turn import Turn
from toolmend._types import ToolCall, ToolResult
from toolmend.adapters._transcripts import Transcripts

__all__ = [
    "foreign_texts",
    "history_as_text",
    "is_suspended",
    "mentions_tools",
    "recorded_instructions",
    "without_system",
]

Part = TypeVar("Part", ToolReturnPart, UserPromptPart, SystemPromptPart)

# Errors are marked as such in the text we write, so they need not be wrapped in JSON as well.
_BARE = (
    {"wrap_if_error": False}
    if "wrap_if_error" in inspect.signature(ToolReturnPart.model_response_str).parameters
    else {}
)


def history_as_text(
    messages: Sequence[ModelMessage], turn: Turn, *, first: ModelMessage, opening: str | None = None
) -> list[ModelMessage]:
    """Rewrite calls and results as text, in the format that the turn asks the model to write.

    Args:
        messages: the conversation.
        turn: writes the calls and results.
        first: the first message as the framework handed it over: by it the conversation is known again.
        opening: what the first user message says before all else; then there are no system prompts any more.
    """
    # An empty response is no message on the wire: the requests around it would meet.
    spoken = [message for message in messages if message.parts or isinstance(message, ModelRequest)]
    if opening is not None:
        spoken = [ModelRequest(parts=[UserPromptPart(opening)]), *map(_without_system_role, spoken)]
    return _TRANSCRIPTS.written(spoken, turn, partial(_spoken, spoken, turn), first=first)


def _spoken(messages: Sequence[ModelMessage], turn: Turn, start: int, end: int) -> list[ModelMessage]:
    """What was said from one place to another."""
    return [
        _response_as_text(message, turn) if isinstance(message, ModelResponse) else _request_as_text(message, turn)
        for message in in_turns(messages[start:end], _role, _joined)
    ]


def _held(messages: Sequence[ModelMessage]) -> list[Row] | None:
    """All that `_spoken` looks at; what it hands on as it is needs only to be the same."""
    try:
        rows = [_look_of(type(part))(part) for message in messages for part in message.parts]
    except LookupError:
        return None
    rows.append(([len(message.parts) for message in messages],))
    return rows


@lru_cache(maxsize=64)
def _look_of(kind: type[object]) -> Callable[[Any], Row]:
    if kind in _LOOKS:
        return _LOOKS[kind]
    if issubclass(kind, tuple(_LOOKS)) or _is_retry(kind):
        raise LookupError(kind)  # how these are written is not known here
    return _identity_of


def _identity_of(part: object) -> Row:
    return (id(part),)


def _prompt_of(part: UserPromptPart) -> Row:
    content = part.content
    if isinstance(content, str):
        return part.part_kind, content
    return part.part_kind, [(item,) if isinstance(item, str) else id(item) for item in map(_plain, content)]


_LOOKS: dict[type, Callable[[Any], Row]] = {
    UserPromptPart: _prompt_of,
    TextPart: attrgetter("part_kind", "content"),
    ToolCallPart: attrgetter("part_kind", "tool_name", "args", "tool_call_id"),
    ToolReturnPart: attrgetter("part_kind", "tool_name", "content", "tool_call_id", "outcome"),
}
_TRANSCRIPTS: Transcripts[ModelMessage] = Transcripts(_held, lambda message: isinstance(message, ModelResponse))


def _role(message: ModelMessage) -> str:
    return "assistant" if isinstance(message, ModelResponse) else "user"


def _joined(before: Any, message: Any) -> Any:
    return replace(message, parts=[*before.parts, *message.parts])


def _without_system_role(message: ModelMessage) -> ModelMessage:
    if isinstance(message, ModelResponse):
        return message
    parts = [UserPromptPart(part.content) if isinstance(part, SystemPromptPart) else part for part in message.parts]
    return replace(message, parts=parts, instructions=None)


def is_suspended(messages: Sequence[ModelMessage]) -> bool:
    """Whether the request only continues a response that the server has not finished."""
    return bool(messages) and getattr(messages[-1], "state", None) == "suspended"


def mentions_tools(messages: Iterable[ModelMessage]) -> bool:
    """Whether there are calls or results in the history."""
    return any(isinstance(part, ToolCallPart) or _is_result(part) for message in messages for part in message.parts)


def foreign_texts(messages: Sequence[ModelMessage], params: ModelRequestParameters) -> Foreign:
    """What the model may copy without meaning it; complaints of the framework are left out."""
    kept = tuple(messages)

    def of(kind: type[Part]) -> list[Part]:
        requests = [message.parts for message in kept if isinstance(message, ModelRequest)]
        return [part for parts in requests for part in parts if isinstance(part, kind)]

    def results() -> Iterator[str]:
        for part in of(ToolReturnPart):
            if isinstance(part.content, str):
                yield part.content
            elif part.outcome != "retried":  # what is wrong with the arguments is no text, and not the tool's own
                yield part.model_response_str(**_BARE)

    def users() -> Iterator[str]:
        for part in of(UserPromptPart):
            items = (part.content,) if isinstance(part.content, str) else map(_plain, part.content)
            yield from (item for item in items if isinstance(item, str))

    def system() -> Iterator[str]:
        yield from (part.content for part in of(SystemPromptPart))
        yield from (part.content for part in params.instruction_parts or recorded_instructions(kept))

    return Foreign(lambda: Said([*results()], users=[*users()], system=[*system()]))


def recorded_instructions(messages: Sequence[ModelMessage]) -> list[InstructionPart]:
    """The instructions in the history, found as the framework finds them where none are given."""
    requests = [message for message in reversed(messages) if isinstance(message, ModelRequest)]
    for request in requests[:2]:
        if request.instructions is not None:
            return [InstructionPart(content=request.instructions)]
        if not all(_is_result(part) or _is_retry(part) for part in request.parts):
            break
    return []


def without_system(messages: list[ModelMessage]) -> tuple[list[str], list[ModelMessage]]:
    """Take the leading system prompts out of the first request."""
    first = messages[0] if messages else None
    texts: list[str] = []
    for part in first.parts if isinstance(first, ModelRequest) else ():
        if not isinstance(part, SystemPromptPart):
            break
        texts.append(part.content)
    if not texts or not isinstance(first, ModelRequest):
        return [], messages
    return texts, [replace(first, parts=list(first.parts[len(texts) :])), *messages[1:]]


def _response_as_text(message: ModelResponse, turn: Turn) -> ModelResponse:
    calls = sum(isinstance(part, ToolCallPart) for part in message.parts)
    if not calls:
        return message
    changed = copy(message)  # much cheaper than `replace`, and a history has many
    if calls == len(message.parts):
        changed.parts = [TextPart(content=_calls_as_text(cast("Sequence[ToolCallPart]", message.parts), turn))]
        return changed
    parts: list[ModelResponsePart] = []
    for worded, group in groupby(message.parts, lambda p: isinstance(p, (TextPart, ToolCallPart))):
        run = list(group)
        if worded:
            run = [TextPart(content="\n".join(text for text in _wordings(run, turn) if text.strip()))]
        parts.extend(run)
    changed.parts = parts
    return changed


def _wordings(parts: Iterable[ModelResponsePart], turn: Turn) -> Iterator[str]:
    for is_call, run in groupby(parts, lambda part: isinstance(part, ToolCallPart)):
        if is_call:
            yield _calls_as_text(list(cast("Iterator[ToolCallPart]", run)), turn)
        else:
            yield from (part.content for part in cast("Iterator[TextPart]", run))


def _calls_as_text(parts: Sequence[ToolCallPart], turn: Turn) -> str:
    calls = [ToolCall(name=part.tool_name, arguments=part.args_as_dict(), id=part.tool_call_id) for part in parts]
    return turn.render_calls(calls)


def _request_as_text(message: ModelRequest, turn: Turn) -> ModelRequest:
    places = [i for i, part in enumerate(message.parts) if _is_user_text(part)]
    spoken = [message.parts[i] for i in places]
    if not spoken or (len(spoken) == 1 and isinstance(spoken[0], UserPromptPart)):
        return message
    items = _user_content(spoken, turn)
    # Only strings alone go out as a string, which is what every server takes.
    content: str | list[UserContent] = items
    if all(isinstance(item, str) for item in items):
        content = "\n\n".join(cast("list[str]", items))
    prompt = next((part for part in spoken if isinstance(part, UserPromptPart)), None)
    whole = UserPromptPart(content=content) if prompt is None else replace(prompt, content=content)
    parts: list[ModelRequestPart] = []
    for i, part in enumerate(message.parts):
        if i == places[0]:
            parts.append(whole)
        elif i not in places:
            parts.append(part)
    return replace(message, parts=parts)


def _user_content(parts: Iterable[ModelRequestPart], turn: Turn) -> list[UserContent]:
    content: list[UserContent] = []
    for answers, group in groupby(parts, _is_result):
        run = list(group)
        if answers:
            results = [_result(part) for part in run]
            content.append(turn.render_results([result for result, _ in results]))
            content.extend(file for _, files in results for file in files)
            continue
        for part in run:
            if not isinstance(part, UserPromptPart):
                content.append(cast("Any", part).model_response())
            elif isinstance(part.content, str):
                content.append(part.content)
            else:
                content.extend(_plain(item) for item in part.content)
    return content


def _plain(item: UserContent) -> UserContent:
    """Text that carries data for the application becomes a string: the model never saw the data."""
    return cast("Any", item).content if getattr(item, "kind", None) == "text-content" else item


def _result(part: ModelRequestPart) -> tuple[ToolResult, list[UserContent]]:
    """A tool's answer as text, and the files that came with it."""
    if isinstance(part, ToolReturnPart):
        if isinstance(part.content, str):
            text, files = part.content, []
        else:
            text, files = part.model_response_str_and_user_content(**_BARE)
        failed = part.outcome in ("failed", "retried")
    else:
        text, files, failed = cast("Any", part).model_response(), [], True
    answered = cast("ToolReturnPart", part)
    result = ToolResult(name=answered.tool_name, content=text, call_id=answered.tool_call_id, is_error=failed)
    return result, files


# Retries are told by their kind: one of their classes is deprecated, the other not in all versions.
def _is_result(part: object) -> bool:
    kind = getattr(part, "part_kind", None)
    named = getattr(part, "tool_name", None) is not None
    return kind == "tool-return" or (kind == "retry-prompt" and named)


def _is_retry(part: object) -> bool:
    return getattr(part, "part_kind", None) in ("retry-prompt", "retry-feedback")


def _is_user_text(part: object) -> bool:
    return isinstance(part, UserPromptPart) or _is_result(part) or _is_retry(part)
