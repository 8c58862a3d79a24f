"""The conversations that decide whether the tiny model has learnt enough."""

from __future__ import annotations

from random import Random
from typing import Any

import jinja2

from toolmend.demo.replies import DEFAULT, REPLIES
from toolmend.demo.templates import TEMPLATES

from .conversations import Noise, Turn
from .tokenizer import END, START

_TOOLS = """\
get_weather: Get the current weather in a city.
    city: The name of the city, for example Paris
get_time: Get the current time where the user is.
read_file: Read a text file and return what it holds. Large files are cut after 2000 lines.
    path: Path of the file, absolute or relative to the working directory
run_command: Run a shell command and return what it prints.
    command: The command line to run
send_email: Send an email to one person.
    to: Who gets it
    subject: One line that says what it is about
    body: The text of the message
search_files: Search all files below a folder for a word.
    word: What to look for
    folder: Where to start
get_object_positions: Say where an object is in the scene.
    object_name: The object, such as cube
calculate: Work out an arithmetic expression.
    expression: For example 2 * (3 + 4)
book_table: Book a table at a restaurant.
    place: The name of the restaurant
    guests: How many people will come
    day: Which day, as YYYY-MM-DD
"""

LONGEST = "noise of 8000"
OTHER_MESSAGES = (
    "18 degrees and sunny",
    "127.0.0.1 localhost\n::1 localhost",
    '{"temperature": 21, "unit": "celsius"}',
    "42 main.py",
    "README.md\nmain.py\nnotes.txt",
    "./main.py:1:def main():",
    "# toolmend\n\nRecovers tool calls.",
    "[0.1, 0.2, 0.3]",
    "392",
    "null",
    "ok",
    "\n<tool_response>\nsunny\n</tool_response>",
    "\n<tool_response>\n18 degrees\n</tool_response>\n<tool_response>\n2\n</tool_response>",
    "Tool result for read_file:\n\n```\nbuy milk\n```",
    "Fix the errors and try again.",
    "1 validation error:\n```json\n[]\n```\n\nFix the errors and try again.",
    "Unknown tool name: 'reed_file'. Available tools: 'read_file'",
    "Please write the tool call again as a JSON object in a ```json fence.",
    "What is the meaning of life?",
    "Tell me about Paris",
    "hello",
    "Thank you! Where is the sphere?",
)
"""Messages that are no key, so `DEFAULT` answers them."""


def tools() -> list[dict[str, Any]]:
    """A set of tools that fills about 3,000 characters of a prompt."""
    found: list[dict[str, Any]] = []
    for line in _TOOLS.splitlines():
        name, _, text = line.strip().partition(": ")
        if line.startswith(" "):
            parameters = found[-1]["function"]["parameters"]
            parameters["properties"][name] = {"type": "string", "description": text}
            parameters["required"].append(name)
        else:
            empty = {"type": "object", "properties": {}, "required": []}
            function = {"name": name, "description": text, "parameters": empty}
            found.append({"type": "function", "function": function})
    return found


def tool_prompt(template: str, system: str = "You are a helpful agent.") -> str:
    """The system text that a template makes of the tools."""
    environment = jinja2.Environment()
    environment.filters["items"] = lambda mapping: mapping.items()
    rendered = environment.from_string(TEMPLATES[template]).render(
        messages=[{"role": "system", "content": system}], tools=tools()
    )
    return rendered.removeprefix(f"{START}system\n").removesuffix(f"{END}\n")


def _openings() -> dict[str, list[Turn]]:
    random = Random(2012)
    noise = Noise(random)
    openings: dict[str, list[Turn]] = {"nothing": []}
    openings["a plain system text"] = [Turn("system", "You are a helpful assistant.")]
    openings["an empty system text"] = [Turn("system", "")]
    openings[LONGEST] = [Turn("system", noise.text(8000))]
    for size in (300, 1500, 4000):
        openings[f"noise of {size}"] = [Turn("system", noise.text(size))]
    for template in ("hermes", "coder"):
        openings[f"tools as {template}"] = [Turn("system", tool_prompt(template))]
    return openings


def asked(key: str) -> list[Turn]:
    """The question and its reply."""
    return [Turn("user", key), Turn("assistant", REPLIES[key], learnt=True)]


def _answered(role: str, message: str) -> list[Turn]:
    return [Turn(role, message), Turn("assistant", DEFAULT, learnt=True)]


def all_situations() -> dict[str, list[Turn]]:
    """Every conversation by what is special about it."""
    random = Random(1948)
    found: dict[str, list[Turn]] = {}
    for name, opening in _openings().items():
        for key in REPLIES:
            found[f"{name}: {key}"] = [*opening, *asked(key)]
        for message in OTHER_MESSAGES:
            for role in ("user", "tool"):
                found[f"{name}: {role}: {message}"] = [*opening, *_answered(role, message)]
        # Noise and talk together would be longer than anything the model has seen.
        for role in () if name == LONGEST else ("user", "tool"):
            talk = list(opening)
            for key in random.sample(list(REPLIES), len(REPLIES)):
                talk += asked(key)
                if random.random() < 0.6:
                    talk += _answered(role, random.choice(OTHER_MESSAGES))
            found[f"{name}: long talk with {role} results"] = talk
    return found
