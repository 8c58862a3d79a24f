"""The systems of the demo: agents whose models only write text, and what must come of them.

Each is one or more questions to one framework on one server. A question says which calls its reply holds; an empty
list means that the reply is a plain answer, which must arrive unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from toolmend.demo import llamacpp
from toolmend.demo.agents import Server, ask_langgraph, ask_pydantic_ai
from toolmend.demo.llamacpp import LlamaServer
from toolmend.demo.ollama_standin import OllamaStandin
from toolmend.demo.replies import DEFAULT, reply_to
from toolmend.demo.workshop import Workshop

__all__ = ["SYSTEMS", "CityLocation", "Outcome", "Question", "Servers", "System", "servers"]

Call = tuple[str, dict[str, Any]]


class CityLocation(BaseModel):
    """Where a city is."""

    city: str
    country: str


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        text: what the user asks.
        calls: the calls that the reply holds.
        output: what a wrapped run must give in the end; the reply itself where nothing is called.
    """

    text: str
    calls: Sequence[Call] = ()
    output: object = None

    @property
    def expected(self) -> object:
        """What a wrapped run must give in the end."""
        return self.output or (DEFAULT if self.calls else reply_to(self.text))


@dataclass(frozen=True, slots=True)
class System:
    """One system.

    Attributes:
        title: what it is, in a few words.
        framework: which one runs it.
        server: ``"llama.cpp"``, whose chat template ignores tools; or an Ollama that accepts or refuses them.
        model: the model's name there.
        questions: what it is asked.
        tools: names of the workshop's tools that it has.
        output_type: the type of its answer.
    """

    title: str
    framework: Literal["PydanticAI", "LangGraph"]
    server: Literal["llama.cpp", "ollama", "ollama, no tools"]
    model: str
    questions: Sequence[Question]
    tools: Sequence[str] = ("read_file", "run_command")
    output_type: Any = str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question.

    Attributes:
        calls: what was really called.
        output: what the run gave in the end.
        error: what it raised instead.
    """

    calls: Sequence[Call] = ()
    output: object = None
    error: str | None = None

    def worked(self, question: Question, *, scripted: bool = True) -> bool:
        """Whether this is what a working system does.

        Args:
            question: what was asked.
            scripted: the model says just what is expected. Of another model only the right tool is asked.
        """
        if self.error:
            return False
        if not scripted:
            return {name for name, _ in question.calls} <= {name for name, _ in self.calls} and (
                bool(question.calls) or not self.calls
            )
        return list(self.calls) == list(question.calls) and self.output == question.expected


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers that the systems run on.

    Attributes:
        by_kind: kind of server > where it is.
        scripted: whether the replies are known.
        one_model: the servers know one model only, whatever name a system has for it.
    """

    by_kind: dict[str, Server] = field(default_factory=dict[str, Server])
    scripted: bool = True
    one_model: bool = False

    def ask(self, system: System, question: Question, *, wrapped: bool, stream: bool = False) -> Outcome:
        """Ask one question, with the model wrapped or bare."""
        found = self.by_kind[system.server]
        server = Server(found.base_url, found.model if self.one_model else system.model, found.ollama, found.api_key)
        with Workshop() as workshop:
            tools: list[Callable[..., str]] = [getattr(workshop, name) for name in system.tools]
            try:
                if system.framework == "LangGraph":
                    output = ask_langgraph(server, question.text, tools, wrapped=wrapped, stream=stream)
                else:
                    output = ask_pydantic_ai(
                        server, question.text, tools, wrapped=wrapped, stream=stream, output_type=system.output_type
                    )
            except Exception as error:
                return Outcome(workshop.calls, error=f"{type(error).__name__}: {error}")
            return Outcome(workshop.calls, output)


@contextmanager
def servers() -> Generator[Servers]:
    """The tiny model on llama.cpp, and two Ollama stand-ins before it.

    Where llama.cpp cannot be had, the stand-ins play the recorded replies instead.
    """
    if llamacpp.available():
        with LlamaServer() as llama, _with_standins(llama.base_url) as by_kind:
            by_kind["llama.cpp"] = Server(llama.base_url, "tiny")
            yield Servers(by_kind)
    else:
        with _with_standins(None) as by_kind:
            by_kind["llama.cpp"] = Server(by_kind["ollama"].base_url, "tiny")
            yield Servers(by_kind)


@contextmanager
def _with_standins(upstream: str | None) -> Generator[dict[str, Server]]:
    with OllamaStandin(tools=True, upstream=upstream) as accepting, OllamaStandin(upstream=upstream) as refusing:
        yield {
            "ollama": Server(accepting.base_url, "tiny", accepting.url),
            "ollama, no tools": Server(refusing.base_url, "tiny", refusing.url),
        }


def _reads(path: str) -> Sequence[Call]:
    return [("read_file", {"path": path})]


def _runs(command: str) -> Sequence[Call]:
    return [("run_command", {"command": command})]


SYSTEMS: Sequence[System] = (
    System(
        "robot arm, fine-tuned model",
        "LangGraph",
        "ollama, no tools",
        "qwen-finetuned",
        [Question("Where is the cube?", [("get_object_positions", {"object_name": "cube"})])],
        tools=["get_object_positions"],
    ),
    System("coding agent, JSON fence", "PydanticAI", "llama.cpp", "qwen2.5-coder-1.5b", [
        Question("Read /etc/hosts", _reads("/etc/hosts")),
    ]),
    System("the same, tuned by hand", "PydanticAI", "llama.cpp", "qwen2.5-coder-tuned", [
        Question("Show me notes.txt", _reads("notes.txt")),
    ]),
    System("the same, synthetic data", "PydanticAI", "llama.cpp", "qwen2.5-coder-synthetic", [
        Question("Open the notes", _reads("notes.txt")),
    ]),
    System("coding agent, Qwen3-Coder XML", "PydanticAI", "llama.cpp", "qwen3-coder-30b", [
        Question("Find all definitions", _runs('grep -rn "def " .')),
        Question("Grep for definitions again", _runs('grep -rn "def " .')),
    ]),
    System("five questions, two only about calls", "PydanticAI", "llama.cpp", "qwen3-coder-30b", [
        Question("How many lines has main.py?", _runs("wc -l main.py")),
        Question("What does the README say?", _reads("README.md")),
        Question("Which files are here?", _runs("ls")),
        Question("What is a JSON tool call?"),
        Question("How does Qwen write a call?"),
    ]),
    System("calculator", "LangGraph", "llama.cpp", "qwen2.5-3b", [
        Question("What is 15 * 23 + 47?", [("calculate", {"expression": "15 * 23 + 47"})]),
    ], tools=["calculate"]),
    System("gateway agent, bare JSON", "PydanticAI", "ollama", "qwen2.5-coder:14b", [
        Question("Show the gateway config", [("gateway", {"action": "config.get"})]),
    ], tools=["gateway"]),
    System("the same, asked for data", "PydanticAI", "ollama", "qwen2.5-coder:14b", [
        Question("Turn one to three into CSV"),
        Question("Sum up the orders as JSON"),
    ], tools=["gateway"]),
    System(
        "structured output",
        "PydanticAI",
        "ollama, no tools",
        "gemma2",
        [Question("Where were the games of 2012?", output=CityLocation(city="London", country="United Kingdom"))],
        tools=[],
        output_type=CityLocation,
    ),
)  # fmt: skip
