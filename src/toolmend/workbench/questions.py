"""What the doctor asks: a small graded set of questions, and one for the embedded model, which knows only its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from toolmend._types import ToolCall

__all__ = ["EMBEDDED", "QUESTIONS", "Expected", "Question"]

Expected = tuple[str, Mapping[str, Any]]
"""A call that is wanted: the name, and arguments that it must have."""


def _tool(name: str, description: str, required: Sequence[str], **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


_CITY = {"type": "string", "description": "The name of a city."}
_WEATHER = _tool("get_weather", "Get the weather of a city.", ["city"], city=_CITY)
_TABLE = _tool(
    "book_table",
    "Book a table in a restaurant.",
    ["restaurant", "people", "outside"],
    restaurant={"type": "string"},
    people={"type": "integer"},
    outside={"type": "boolean", "description": "Whether to sit outside."},
)
_ORDER = _tool(
    "place_order",
    "Order goods for a customer.",
    ["customer", "items"],
    customer={
        "type": "object",
        "properties": {"name": {"type": "string"}, "city": {"type": "string"}},
        "required": ["name", "city"],
    },
    items={
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"product": {"type": "string"}, "count": {"type": "integer"}},
            "required": ["product", "count"],
        },
    },
)
_CALCULATE = _tool(
    "calculate", "Calculate an expression.", ["expression"], expression={"type": "string", "description": "a + b"}
)
_TOOLS = (_WEATHER, _TABLE, _ORDER)
_RESULT: tuple[dict[str, Any], ...] = (
    {"role": "user", "content": "What is the weather in Oslo? Answer in one sentence."},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "name": "get_weather", "content": "snow, minus 4 degrees"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question and how its answer is graded.

    Attributes:
        title: what is asked for, in a few words.
        messages: the conversation.
        tools: what is offered.
        wanted: the calls; none at all means that a plain answer is wanted.
        says: what a plain answer must hold, in any case.
        choice: the tool choice.
    """

    title: str
    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = field(default=_TOOLS)
    wanted: Sequence[Expected] = ()
    says: str = ""
    choice: str = "auto"

    def is_met(self, calls: Sequence[ToolCall], text: str) -> bool:
        """Whether a reply is what was asked for."""
        if not self.wanted:
            return not calls and self.says.lower() in text.lower()
        left = list(calls)
        for name, arguments in self.wanted:
            found = next((call for call in left if call.name == name and _holds(arguments, call.arguments)), None)
            if found is None:
                return False
            left.remove(found)
        return not left


def _holds(wanted: Any, given: Any) -> bool:
    """Whether a value is the one wanted; texts may differ in their case, objects may hold more."""
    if isinstance(wanted, Mapping):
        fields = cast("Mapping[str, Any]", wanted)
        return isinstance(given, Mapping) and all(
            key in given and _holds(value, cast("Any", given[key])) for key, value in fields.items()
        )
    if isinstance(wanted, list):
        if not isinstance(given, list):
            return False
        items, found = cast("list[Any]", wanted), cast("list[Any]", given)
        return len(items) == len(found) and all(map(_holds, items, found))
    if isinstance(wanted, str):
        return isinstance(given, str) and wanted.lower() in given.lower()
    return type(wanted) is type(given) and wanted == given


def _asked(text: str) -> tuple[Mapping[str, Any], ...]:
    return ({"role": "user", "content": text},)


QUESTIONS: tuple[Question, ...] = (
    Question(
        title="one call",
        messages=_asked("What is the weather in Paris?"),
        wanted=[("get_weather", {"city": "Paris"})],
    ),
    Question(
        title="typed arguments",
        messages=_asked("Book a table for 4 people at the Blue Owl, inside please."),
        wanted=[("book_table", {"restaurant": "Blue Owl", "people": 4, "outside": False})],
    ),
    Question(
        title="parallel calls",
        messages=_asked("Compare the weather in Paris and in Rome."),
        wanted=[("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})],
    ),
    Question(
        title="nested object",
        messages=_asked("Order 3 lamps and 1 chair for Ann from Oslo."),
        wanted=[
            (
                "place_order",
                {
                    "customer": {"name": "Ann", "city": "Oslo"},
                    "items": [{"product": "lamp", "count": 3}, {"product": "chair", "count": 1}],
                },
            )
        ],
    ),
    Question(title="no call wanted", messages=_asked("Say hello to Ann in one short sentence."), says="ann"),
    Question(title="a result to be used", messages=_RESULT, says="snow"),
    Question(
        title="forced choice",
        messages=_asked("I wonder about Madrid's weather."),
        wanted=[("get_weather", {"city": "Madrid"})],
        choice="required",
    ),
)
"""For any model."""

EMBEDDED: tuple[Question, ...] = (
    Question(
        title="one call, in tags", messages=_asked("weather in Paris"), wanted=[("get_weather", {"city": "Paris"})]
    ),
    Question(
        title="one call, in a fence",
        messages=_asked("weather in Bern, long"),
        wanted=[("get_weather", {"city": "Bern"})],
    ),
    Question(
        title="one call, as Python",
        messages=_asked("weather in Kyiv"),
        wanted=[("get_weather", {"city": "Kyiv"})],
    ),
    Question(
        title="parallel calls",
        messages=_asked("compare Paris and Rome"),
        wanted=[("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})],
    ),
    Question(
        title="a call in prose",
        messages=_asked("What is 15 * 23 + 47?"),
        tools=(_CALCULATE,),
        wanted=[("calculate", {"expression": "15 * 23 + 47"})],
    ),
    Question(title="no call wanted", messages=_asked("say hello"), says="hello"),
)
"""For the embedded model: it knows these to the letter, and no others."""
