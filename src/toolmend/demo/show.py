"""Runs every system twice, bare and wrapped, and prints what became of each question."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from openai import OpenAI
from rich.console import Console
from rich.table import Table
from rich.text import Text

from toolmend.demo import llamacpp
from toolmend.demo.agents import Server
from toolmend.demo.systems import SYSTEMS, Call, Outcome, Question, Servers, System, servers

__all__ = ["run"]


def run(console: Console, server: Server | None = None) -> bool:
    """Run the demo and print its table.

    Args:
        console: where to print; coloured in a terminal, plain when piped.
        server: the user's own server; by default the tiny model is served here.

    Returns:
        Whether every wrapped system worked.
    """
    if server:
        found = Servers(dict.fromkeys((system.server for system in SYSTEMS), server), scripted=False, one_model=True)
        return _show(console, found, f"{server.model} on {server.base_url}")
    title = "a tiny model on llama.cpp, in this process"
    if not llamacpp.available():
        title = "recorded replies"
        console.print("xllamacpp is not installed or has no wheel for this platform: recorded replies are played.\n")
    with servers() as own:
        return _show(console, own, title)


def _show(console: Console, found: Servers, title: str) -> bool:
    table = Table(title=f"What a text-only model writes, and what comes of it ({title})", show_lines=True)
    for heading, ratio in (("system", 3), ("the model writes", 4), ("bare framework", 3), ("with toolmend", 4)):
        table.add_column(heading, ratio=ratio, overflow="fold")
    worked: list[bool] = []
    for system in SYSTEMS:
        for question in system.questions:
            with console.status(f"{system.title}: {question.text}"):
                wrote = _written(found, system, question)
                bare = found.ask(system, question, wrapped=False)
                wrapped = found.ask(system, question, wrapped=True)
            worked.append(wrapped.worked(question, scripted=found.scripted))
            table.add_row(
                _asked(system, question),
                Text(wrote, style="dim"),
                _told(bare, question, good=bare.worked(question, scripted=found.scripted)),
                _told(wrapped, question, good=worked[-1]),
            )
    console.print(table)
    good = all(worked)
    console.print(Text(f"{sum(worked)} of {len(worked)} questions answered with toolmend.", "green" if good else "red"))
    return good


def _asked(system: System, question: Question) -> Text:
    where = f"\n{system.framework}, {system.server}\n"
    return Text.assemble((system.title, "bold"), where, (question.text, "italic"))


def _written(found: Servers, system: System, question: Question) -> str:
    """The reply itself, asked for without tools, so that no server refuses and no parser eats it."""
    server = found.by_kind[system.server]
    client = OpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0)
    messages: Any = [{"role": "user", "content": question.text}]
    with client:
        reply = client.chat.completions.create(model=server.model, messages=messages)
    return reply.choices[0].message.content or ""


def _told(outcome: Outcome, question: Question, *, good: bool) -> Text:
    """What a run did, in a few words."""
    if outcome.error:
        said = f"fails: {_clip(outcome.error)}"
    elif outcome.calls:
        said = f"calls {_calls(outcome.calls)}\nanswers: {_clip(str(outcome.output))}"
    elif good or not question.calls:
        said = f"answers: {_clip(repr(outcome.output))}"
    else:
        said = "prints the call and stops"
    return Text.assemble(("✔ " if good else "✘ ", "bold green" if good else "bold red"), said)


def _calls(calls: Iterable[Call]) -> str:
    return ", ".join(f"{name}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})" for name, arguments in calls)


def _clip(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 120 else text[:117] + "..."
