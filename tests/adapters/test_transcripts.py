"""What is kept of a conversation that was written as text: never anything else than what would be written now."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from pydantic_ai.messages import (
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters

from toolmend import Options, ToolCall, ToolResult, Turn
from toolmend._foreign import Said
from toolmend.adapters import _langchain_history
from toolmend.adapters._langchain_history import as_text, foreign_texts
from toolmend.adapters._pydantic_ai_history import foreign_texts as foreign_texts_of_pydantic_ai
from toolmend.adapters._pydantic_ai_history import history_as_text
from toolmend.parsers.fenced_json import FencedJson

WEATHER = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
INVALID = {"name": "ping", "args": "{", "id": "9", "error": "cut"}
PLAIN = FencedJson()
CALL = PLAIN.render_calls([ToolCall(name="get_weather", arguments={"city": "Ulaanbaatar"})])
_KEPT = _langchain_history._TRANSCRIPTS._kept


class Counting(FencedJson):
    """Counts what it writes."""

    def __init__(self) -> None:
        self.calls = self.results = 0

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        self.calls += len(calls)
        return super().render_calls(calls)

    def render_results(self, results: Sequence[ToolResult]) -> str:
        self.results += len(results)
        return super().render_results(results)


def turn_of(messages: Sequence[BaseMessage], dialect: FencedJson = PLAIN, tools: Sequence[Any] = (WEATHER,)) -> Turn:
    options = Options(dialects=(dialect,))
    return Turn(tools, options=options, echoes=foreign_texts(messages))


def asked(n: int, **arguments: Any) -> AIMessage:
    call = {"name": "get_weather", "args": arguments or {"city": f"City {n}"}, "id": f"call_{n}"}
    return AIMessage(f"I look {n}.", tool_calls=[call], id=f"ai_{n}")


def spoken(count: int) -> list[BaseMessage]:
    """So many questions, each with a call."""
    return [
        message
        for n in range(count)
        for message in (
            HumanMessage(f"Question {n}?", id=f"user_{n}"),
            asked(n),
            ToolMessage(f"cold {n}", tool_call_id=f"call_{n}", name="get_weather"),
            AIMessage(f"It is cold {n}."),
        )
    ]


def written_anew(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """As text, as if it had never been before."""
    return as_text(deepcopy(list(messages)), turn_of(messages))


class Incomparable:
    """Cannot be compared, as arrays cannot."""

    def __eq__(self, other: object) -> bool:
        raise ValueError

    __hash__ = None


class TestCost:
    def test_of_a_long_history_only_what_is_new_is_written(self) -> None:
        dialect = Counting()
        messages: list[BaseMessage] = []
        for n in range(60):
            messages += [HumanMessage("And now?"), asked(n), ToolMessage("warm", tool_call_id=f"call_{n}")]
            text = as_text(messages, turn_of(messages, dialect))
            assert text[1:] == as_text(deepcopy(messages), turn_of(messages))[1:]
            (kept,) = (one for one in _KEPT.values() if one.first() is messages[0]) if n else (None,)
            assert kept is None or len(kept.stretches) <= 8
        # Each once while it is at the end, and once more when a reply has come after it; one call is the example.
        assert dialect.calls <= 2 * 60 + 1
        assert dialect.results <= 2 * 60

    def test_the_same_request_again_writes_its_end_only(self) -> None:
        dialect = Counting()
        messages = [*spoken(20), HumanMessage("And now?")]
        first = as_text(messages, turn_of(messages, dialect))
        before = dialect.calls, dialect.results
        assert as_text(messages, turn_of(messages, dialect)) == first
        assert (dialect.calls, dialect.results) == before

    def test_fields_that_are_not_written_do_not_count(self) -> None:
        dialect = Counting()
        messages = [*spoken(3), HumanMessage("And now?")]
        messages[2].artifact = Incomparable()  # type: ignore[attr-defined]
        messages[5].response_metadata = {"held": Incomparable()}
        as_text(messages, turn_of(messages, dialect))
        before = dialect.calls, dialect.results
        messages[2].artifact = Incomparable()  # type: ignore[attr-defined]
        messages[5].response_metadata = {"held": Incomparable()}
        messages[7].usage_metadata = None  # type: ignore[attr-defined]
        as_text(messages, turn_of(messages, dialect))
        assert (dialect.calls, dialect.results) == before

    def test_a_field_that_is_not_written_may_get_anything(self) -> None:
        messages = [*spoken(3), HumanMessage("And now?")]
        before = as_text(messages, turn_of(messages))
        messages[2].artifact = Incomparable()  # type: ignore[attr-defined] - it was none
        assert as_text(messages, turn_of(messages)) == before

    def test_what_others_have_said_is_gathered_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gathered: list[int] = []
        says = _langchain_history._TRANSCRIPTS._says
        assert says is not None

        def counted(messages: Sequence[BaseMessage]) -> Said:
            gathered.append(len(messages))
            return says(messages)

        monkeypatch.setattr(_langchain_history._TRANSCRIPTS, "_says", counted)
        messages = [SystemMessage("Be brief."), *spoken(20), HumanMessage("And now?")]
        for _ in range(3):
            turn = turn_of(messages)
            as_text(messages, turn)
            messages.append(HumanMessage("And then?"))
            assert turn.read(CALL)[0] != CALL
            assert messages.pop()
        assert gathered == [79, 3, 3, 3]  # the history; its end and the system message

    def test_it_is_kept_no_longer_than_the_conversation(self) -> None:
        messages = [*spoken(3), HumanMessage("And now?")]
        key = id(messages[0])
        as_text(messages, turn_of(messages))
        assert key in _KEPT
        del messages
        gc.collect()
        assert key not in _KEPT


CHANGES: dict[str, tuple[int, Callable[[Any], object]]] = {
    "a question": (4, lambda message: setattr(message, "content", "else")),
    "a question, now in blocks": (4, lambda message: setattr(message, "content", ["Look ", {"type": "image"}])),
    "what is said with a call": (5, lambda message: setattr(message, "content", "else")),
    "an argument": (5, lambda message: message.tool_calls[0]["args"].update(city="Oslo")),
    "the type of an argument": (5, lambda message: message.tool_calls[0]["args"].update(days=True)),
    "the name of a call": (5, lambda message: message.tool_calls[0].update(name="get_time")),
    "a call more": (5, lambda message: message.tool_calls.append({"name": "ping", "args": {}, "id": "2"})),
    "a call less": (5, lambda message: message.tool_calls.clear()),
    "a result": (6, lambda message: setattr(message, "content", "else")),
    "whether a tool failed": (6, lambda message: setattr(message, "status", "error")),
    "who answered": (6, lambda message: setattr(message, "name", "else")),
    "a reply": (7, lambda message: setattr(message, "content", "else")),
    "an id": (5, lambda message: setattr(message, "id", "else")),
    "reasoning": (5, lambda message: message.additional_kwargs.update(reasoning_content="hm")),
    "a call that could not be read": (7, lambda message: message.invalid_tool_calls.append(INVALID)),
    "the first of two messages": (8, lambda message: setattr(message, "content", "else")),
    "the name in one of two messages": (8, lambda message: setattr(message, "name", "Ann")),
    "the second of two messages": (9, lambda message: message.additional_kwargs.update(a=1)),
}


class TestCorrectness:
    @pytest.mark.parametrize(("place", "change"), CHANGES.values(), ids=CHANGES)
    def test_a_message_that_was_changed_in_place_is_written_anew(
        self, place: int, change: Callable[[Any], object]
    ) -> None:
        messages = [*spoken(2), HumanMessage("And"), HumanMessage("now?"), *spoken(2), HumanMessage("Well?")]
        before = deepcopy(as_text(messages, turn_of(messages)))
        assert as_text(messages, turn_of(messages)) == before
        change(messages[place])
        after = as_text(messages, turn_of(messages))
        assert after == written_anew(messages)
        assert after != before

    @pytest.mark.parametrize(("place", "field"), [(6, "tool_call_id"), (8, "role")])
    def test_fields_that_count_in_some_messages_only(self, place: int, field: str) -> None:
        messages = [*spoken(2), ChatMessage("Hm.", role="user"), *spoken(1), HumanMessage("And now?")]
        messages[6].name = None
        before = deepcopy(as_text(messages, turn_of(messages)))
        assert as_text(messages, turn_of(messages)) == before
        setattr(messages[place], field, "else")
        after = as_text(messages, turn_of(messages))
        assert after == written_anew(messages)
        assert after != before

    @pytest.mark.parametrize("message", [HumanMessage(f"Sum up: {CALL}"), ToolMessage(CALL, tool_call_id="call_1")])
    @pytest.mark.parametrize("place", [0, 2, 6, -1])
    def test_a_call_that_stands_in_any_message_is_a_copy_of_it(self, message: BaseMessage, place: int) -> None:
        messages = [*spoken(4), HumanMessage("And now?")]
        as_text(messages, turn_of(messages))
        messages[place] = message.model_copy()
        for _ in range(2):
            turn = turn_of(messages)
            as_text(messages, turn)
            assert turn.read(CALL) == [CALL]
        messages[place].content = "else"
        turn = turn_of(messages)
        as_text(messages, turn)
        assert turn.read(CALL) != [CALL]

    @pytest.mark.parametrize("size", range(1, 18))
    def test_a_history_that_was_cut_or_goes_on_otherwise(self, size: int) -> None:
        messages = [*spoken(4), HumanMessage("And now?")]
        for other in (messages, messages[:size], [*messages[:size], HumanMessage("But:"), *spoken(1)], messages):
            assert as_text(other, turn_of(other)) == written_anew(other)

    def test_messages_that_are_replaced_put_in_and_taken_out(self) -> None:
        messages = [*spoken(3), HumanMessage("And now?")]
        for place in range(1, len(messages)):
            for other in (
                [*messages[:place], *messages[place + 1 :]],
                [*messages[:place], HumanMessage("Hm."), *messages[place:]],
                [*messages[:place], SystemMessage("Be brief."), *messages[place:]],
                [*messages[:place], asked(7), *messages[place:]],
            ):
                as_text(messages, turn_of(messages))
                assert as_text(other, turn_of(other)) == written_anew(other)

    @pytest.mark.parametrize(
        "odd",
        [
            FunctionMessage("noon", name="get_time"),
            ChatMessage("Hm.", role="critic"),
            ChatMessage("Hm.", role="result"),
            ChatMessage("Be brief.", role="developer"),
            AIMessageChunk("It is"),
            AIMessage("It is", additional_kwargs={"of no use": {1, 2}.__iter__}),
        ],
        ids=lambda message: type(message).__name__,
    )
    def test_messages_of_every_kind(self, odd: BaseMessage) -> None:
        messages = [*spoken(2), odd, *spoken(1), HumanMessage("And now?")]
        for word in ("Well.", "Well.", "Else."):
            odd.content = word
            text = as_text(messages, turn_of(messages))
            messages[0] = messages[0].model_copy()
            assert text == as_text(messages, turn_of(messages))

    def test_what_stays_as_it_is_stays_the_same_object(self) -> None:
        messages = [*spoken(3), HumanMessage("And now?")]
        for _ in range(2):
            text = as_text(messages, turn_of(messages))
            assert text[1] is messages[0]
            assert text[4] is messages[3]
            assert text[-1] is messages[-1]

    def test_another_format_and_other_tools_write_anew(self) -> None:
        messages: list[BaseMessage] = [*spoken(2), HumanMessage("And now?")]
        messages[2] = ToolMessage("<get_time>", tool_call_id="call_0", name="get_weather")
        other = {"name": "get_time", "parameters": WEATHER["parameters"]}
        assert "<get_time>" in str(as_text(messages, turn_of(messages)))
        assert "<get_time>" not in str(as_text(messages, turn_of(messages, tools=(WEATHER, other)))[1:])
        hermes = Turn([WEATHER], options=Options(prompt_dialect="hermes"), echoes=foreign_texts(messages))
        assert "<tool_call>" in str(as_text(messages, hermes)[1:])

    def test_the_mark_is_that_of_the_earlier_request_until_it_occurs_in_a_text(self) -> None:
        messages: list[BaseMessage] = [*spoken(2), HumanMessage("And now?")]
        messages[2] = ToolMessage("</s>", tool_call_id="call_0", name="get_weather")
        for _ in range(2):
            turn = turn_of(messages)
            assert "<\u2063/s>" in str(as_text(messages, turn)[3].content)
            assert turn.mended("<\u2063/s>") == "</s>"
        messages.append(HumanMessage("What is \u2063?"))
        turn = turn_of(messages)
        assert "<\u2064/s>" in str(as_text(messages, turn)[3].content)
        assert turn.mended("<\u2064/s> \u2063") == "</s> \u2063"

    def test_one_id_for_many_calls_names_the_tool_that_was_called_last_before(self) -> None:
        def once(name: str) -> list[BaseMessage]:
            call = {"name": name, "args": {}, "id": "call_0"}
            return [HumanMessage("?"), AIMessage("", tool_calls=[call]), ToolMessage("noon", tool_call_id="call_0")]

        messages = [*once("get_time"), *once("get_weather"), *once("ping")]
        for count in (3, 6, 9, 9):
            results = [m.content for m in as_text(messages[:count], turn_of(messages)) if "noon" in m.content]
            assert [text.split('"')[1] for text in results] == ["get_time", "get_weather", "ping"][: count // 3]


def pydantic_turn(messages: Sequence[ModelMessage], dialect: FencedJson = PLAIN) -> Turn:
    echoes = foreign_texts_of_pydantic_ai(messages, ModelRequestParameters())
    return Turn([WEATHER], options=Options(dialects=(dialect,)), echoes=echoes)


def pydantic_text(
    messages: Sequence[ModelMessage], dialect: FencedJson = PLAIN, opening: str | None = None
) -> list[ModelMessage]:
    return history_as_text(messages, pydantic_turn(messages, dialect), first=messages[0], opening=opening)


def pydantic_anew(messages: Sequence[ModelMessage], opening: str | None = None) -> list[ModelMessage]:
    return pydantic_text(deepcopy(list(messages)), opening=opening)


def parts_of(messages: Sequence[ModelMessage]) -> list[list[tuple[str, Any]]]:
    """What is to be read of messages; times differ."""
    return [[(part.part_kind, getattr(part, "content", None)) for part in message.parts] for message in messages]


def runs(count: int) -> list[ModelMessage]:
    """So many questions, each with a call."""
    look = [ThinkingPart("hm"), TextPart("I look."), ToolCallPart("get_weather", {"city": "Rome"}, "1")]
    picture = ["See:", ImageUrl("http://localhost/a.png"), BinaryContent(b"a", media_type="image/png")]
    return [
        message
        for _ in range(count)
        for message in (
            ModelRequest(parts=[SystemPromptPart("Be brief."), UserPromptPart("Weather?")]),
            ModelResponse(parts=deepcopy(look)),
            ModelRequest(parts=[ToolReturnPart("get_weather", "cold", "1"), UserPromptPart(picture)]),
            ModelResponse(parts=[TextPart("It is cold.")]),
            ModelRequest(parts=[UserPromptPart("And")]),
            ModelRequest(parts=[UserPromptPart("now?")]),
            ModelResponse(parts=[ToolCallPart("get_weather", '{"city": "Oslo"}', "2")]),
            ModelRequest(parts=[ToolReturnPart("get_weather", {"degrees": 1}, "2")]),
            ModelResponse(parts=[TextPart("It is cold, too.")]),
        )
    ]


PARTS: dict[str, tuple[int, int, Callable[[Any], object]]] = {
    "a question": (9, 1, lambda part: setattr(part, "content", "else")),
    "reasoning": (10, 0, lambda part: setattr(part, "content", "else")),
    "what is said with a call": (10, 1, lambda part: setattr(part, "content", "else")),
    "an argument": (10, 2, lambda part: part.args.update(city="Oslo")),
    "the type of an argument": (10, 2, lambda part: part.args.update(city=True)),
    "the name of a call": (10, 2, lambda part: setattr(part, "tool_name", "get_time")),
    "arguments in JSON": (15, 0, lambda part: setattr(part, "args", "{}")),
    "a result": (11, 0, lambda part: setattr(part, "content", "else")),
    "a result in JSON": (16, 0, lambda part: part.content.update(degrees=True)),
    "who answered": (11, 0, lambda part: setattr(part, "tool_name", "get_time")),
    "whether a tool failed": (11, 0, lambda part: setattr(part, "outcome", "failed")),
    "a picture": (11, 1, lambda part: part.content.pop()),
    "another picture": (11, 1, lambda part: part.content.__setitem__(1, ImageUrl("http://localhost/b.png"))),
    "a word beside pictures": (11, 1, lambda part: part.content.__setitem__(0, "Look:")),
    "a reply": (12, 0, lambda part: setattr(part, "content", "else")),
    "the first of two messages": (13, 0, lambda part: setattr(part, "content", "else")),
}


class Aside(UserPromptPart):
    """A class of which nothing is known."""


class TestPydanticAI:
    def test_of_a_long_history_only_what_is_new_is_written(self) -> None:
        dialect = Counting()
        messages: list[ModelMessage] = []
        for _ in range(30):
            messages += runs(1)[:3]
            assert parts_of(pydantic_text(messages, dialect)) == parts_of(pydantic_anew(messages))
        assert dialect.calls <= 2 * 30
        assert dialect.results <= 2 * 30

    @pytest.mark.parametrize("opening", [None, "Be nice."])
    @pytest.mark.parametrize(("place", "part", "change"), PARTS.values(), ids=PARTS)
    def test_a_part_that_was_changed_in_place_is_written_anew(
        self, place: int, part: int, change: Callable[[Any], object], opening: str | None
    ) -> None:
        messages = runs(4)
        before = deepcopy(parts_of(pydantic_text(messages, opening=opening)))
        assert parts_of(pydantic_text(messages, opening=opening)) == before
        change(messages[place].parts[part])
        after = parts_of(pydantic_text(messages, opening=opening))
        assert after == parts_of(pydantic_anew(messages, opening))
        assert after != before

    @pytest.mark.parametrize("part", [Aside(""), ToolReturnPart("a", None)], ids=["class", "content"])
    def test_a_part_of_which_one_cannot_tell_what_it_holds(self, part: Any) -> None:
        messages = [*runs(1), ModelRequest(parts=[part]), *runs(1)]
        for content in ("Well.", "Well.", "Else."):
            part.content = content if isinstance(part, Aside) else deque([content])
            assert parts_of(pydantic_text(messages)) == parts_of(pydantic_anew(messages))

    def test_a_first_message_without_its_system_prompts_is_known_by_what_it_was(self) -> None:
        dialect = Counting()
        messages = runs(3)
        for _ in range(2):
            without = [ModelRequest(parts=list(messages[0].parts[1:])), *messages[1:]]
            history_as_text(without, pydantic_turn(without, dialect), first=messages[0])
        assert dialect.calls == 6

    def test_other_first_messages_and_another_opening(self) -> None:
        messages = runs(3)
        for opening in (None, "Be nice.", "Be nicer.", None):
            assert parts_of(pydantic_text(messages, opening=opening)) == parts_of(pydantic_anew(messages, opening))
        without = [ModelRequest(parts=list(messages[0].parts[1:])), *messages[1:]]
        text = history_as_text(without, pydantic_turn(without), first=messages[0])
        assert parts_of(text) == parts_of(pydantic_anew(without))
