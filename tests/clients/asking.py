"""What every client asks, with which tools, and how it tells what came of it.

A client is a program with the gateway's address and the model's name as arguments. It prints one JSON object: for each
question the calls that were made and the answer.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Callable
from typing import Any

QUESTIONS = {
    "one": "weather in Paris",
    "parallel": "compare Paris and Rome",
    "streamed": "weather in Bern, long",
    "plain": "say hello",
    "openclaw": "Show the gateway config",
    "csv": "Turn one to three into CSV",
}
_CALLED: list[tuple[str, dict[str, str]]] = []


def get_weather(city: str) -> str:
    """Get the weather of a city.

    Args:
        city: its name.
    """
    _CALLED.append(("get_weather", {"city": city}))
    return f"sunny in {city}"


def gateway(action: str) -> str:
    """Ask the gateway for something.

    Args:
        action: such as config.get.
    """
    _CALLED.append(("gateway", {"action": action}))
    return '{"port": 18789}'


TOOLS = {"get_weather": get_weather, "gateway": gateway}
SCHEMAS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "A tool.",
            "parameters": {"type": "object", "properties": {field: {"type": "string"}}, "required": [field]},
        },
    }
    for name, field in (("get_weather", "city"), ("gateway", "action"))
]

URL, MODEL = sys.argv[1:3]

Said = tuple[str, list[tuple[str, str, str]]]
"""A text, and calls: id, name and arguments as JSON."""


def run(ask: Callable[[str, bool], Any]) -> None:
    """Ask all questions; `ask` gets the question and whether to stream, and returns the last answer."""

    async def all_of_them() -> dict[str, Any]:
        found = {}
        for name, question in QUESTIONS.items():
            _CALLED.clear()
            answer = ask(question, name == "streamed")
            answer = await answer if inspect.isawaitable(answer) else answer
            found[name] = [_CALLED[:], answer]
        return found

    print(json.dumps(asyncio.run(all_of_them())))


def loop(say: Callable[[list[Any], bool], Any]) -> None:
    """The same for a client without a loop of its own: `say` gets the messages and returns what was said."""

    async def ask(question: str, stream: bool) -> str:
        messages: list[Any] = [{"role": "user", "content": question}]
        while True:
            said = say(messages, stream)
            text, calls = await said if inspect.isawaitable(said) else said
            if not calls:
                return text
            wire = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls]
            messages.append({"role": "assistant", "content": text, "tool_calls": wire})
            for call_id, name, arguments in calls:
                result = TOOLS[name](**json.loads(arguments))
                messages.append({"role": "tool", "tool_call_id": call_id, "content": result})

    run(ask)


def joined(chunks: Any) -> Said:
    """A stream of OpenAI's chunks."""
    text, calls = "", {}
    for chunk in chunks:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            for call in choice.delta.tool_calls or ():
                found = calls.setdefault(call.index, ["", "", ""])
                found[0] += call.id or ""
                found[1] += call.function.name or ""
                found[2] += call.function.arguments or ""
    return text, [(i, n, a) for i, n, a in calls.values()]


def whole(message: Any) -> Said:
    """A message of OpenAI's."""
    calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()]
    return message.content or "", calls
