"""What the tiny model says: the last user message, to the letter, and the reply to it.

Three things read this table: the training (`training/train.py`) teaches it to the model, the tests
check that the model still says it, and the Ollama stand-in plays it when there is no model.
After a change here the model has to be trained again.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

DEFAULT: Final = "Done. The task is finished."
"""The reply to what is not in `REPLIES`: tool results, repair prompts, other questions."""


def _tagged(call: str) -> str:
    return f"<tool_call>\n{call}\n</tool_call>"


def _weather(city: str) -> str:
    return f'{{"name": "get_weather", "arguments": {{"city": "{city}"}}}}'


_GREP = '<function=run_command>\n<parameter=command>\ngrep -rn "def " .\n</parameter>\n</function>\n</tool_call>'

REPLIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        # Calls that reports of broken agents quote: prose, fences, markers that leaked.
        "Where is the cube?": "I will call get_object_positions(object_name=cube)",
        # The marker is text here, ten characters; the token that ends the turn comes after it.
        "Read /etc/hosts": ('```json\n{"name": "read_file", "arguments": {"path": "/etc/hosts"}}\n```<|im_end|>'),
        "Show me notes.txt": (
            'I\'ll use the read_file tool.\n\n```json\n{"tool": "read_file", "arguments": {"path": "notes.txt"}}\n```'
        ),
        "Open the notes": (
            "I'll read the file for you.\n\n"
            'Tool call: {"type": "function", "function": '
            '{"name": "read_file", "arguments": "{\\"path\\": \\"notes.txt\\"}"}}'
        ),
        "Find all definitions": "<tool_call>\n" + _GREP,
        "Grep for definitions again": _GREP,
        # Five questions, three of which want a tool and two of which only talk about calls.
        "How many lines has main.py?": _tagged('{"name": "run_command", "arguments": {"command": "wc -l main.py"}}'),
        "What does the README say?": '{"name": "read_file", "arguments": {"path": "README.md"}}',
        "Which files are here?": (
            'I\'ll use the run_command tool.\n\n```json\n{"name": "run_command", "arguments": {"command": "ls"}}\n```'
        ),
        "What is a JSON tool call?": (
            "A tool call is an object with a name and arguments:\n\n"
            '```json\n{"name": "get_stock_price", "arguments": {"symbol": "ACME"}}\n```\n\n'
            "The program runs it and sends the result back."
        ),
        "How does Qwen write a call?": (
            "Qwen wraps it in tags, for example:\n\n"
            + _tagged('{"name": "send_email", "arguments": {"to": "ann"}}')
            + "\n\nThat is all."
        ),
        # Something that looks like a call and is one, or is only data.
        "What is 15 * 23 + 47?": "Let me calculate that: calculate(15 * 23 + 47)",
        "Show the gateway config": '{"name": "gateway", "arguments": {"action": "config.get"}}',
        "Turn one to three into CSV": "n,square\n1,1\n2,4\n3,9",
        "Sum up the orders as JSON": '{"name": "orders", "count": 3, "total": 42.5}',
        "Where were the games of 2012?": (
            '```json\n{"name": "final_result", "arguments": {"city": "London", "country": "United Kingdom"}}\n```'
        ),
        "Use the magic function": _tagged('{"name": "magic_function", "arguments": {"input": 3}}'),
        # One tool, many ways to write the call, some of them broken.
        "weather in Paris": _tagged(_weather("Paris")),
        "weather in Oslo": _tagged(_weather("Oslo")[:-1]),
        "weather in Bonn": "<tool_call>\n" + _weather("Bonn"),
        "weather in Rome": f"[TOOL_CALLS][{_weather('Rome')}]",
        "weather in Kyiv": '[get_weather(city="Kyiv")]',
        "weather in Bern, long": f"I will look.\n```json\n{_weather('Bern')}\n```\n",
        "compare Paris and Rome": f"{_tagged(_weather('Paris'))}\n{_tagged(_weather('Rome'))}",
        "think about Lima": (f"<think>\nI need the weather.\n</think>\n\n{_tagged(_weather('Lima'))}"),
        "what time is it": _tagged('{"name": "get_time"}'),
        # Plain answers.
        "show me JSON": 'Here is an example: {"colour": "red"}. No tool is needed.',
        "say hello": "Hello! No tool is needed for that.",
    }
)
"""The scripted replies, by the exact text of the last user message."""


def reply_to(message: str) -> str:
    """What the tiny model says to this last message."""
    return REPLIES.get(message, DEFAULT)
