"""A live server examined: what it is, what it does with tools, and where the calls of its model are lost.

Each question is asked natively and with the tools in the prompt, several times. Of a native reply both are told, the
calls that the server has found and those that toolmend finds in what the server has left as text.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import shorten
from typing import Any, Literal, cast

import httpx2

from toolmend._refusal import message_of, refuses_tools
from toolmend._types import ToolCall
from toolmend.adapters.httpx2 import ToolTransport
from toolmend.workbench.anatomy import dissect
from toolmend.workbench.questions import Question

__all__ = ["Answer", "Findings", "Server", "Verdict", "examine", "steps"]

Way = Literal["native", "prompt"]
_Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Whom to ask.

    Attributes:
        base_url: ends in ``/v1``.
        model: the model's name there.
        api_key: sent as the bearer token.
        temperature: how freely the model answers.
        timeout: how long an answer may take, in seconds.
    """

    base_url: str
    model: str
    api_key: str = "none"
    temperature: float = 0.0
    timeout: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One reply.

    Attributes:
        question: what was asked.
        way: natively, or with the tools in the prompt.
        native: calls that the server has found.
        recovered: all calls once toolmend has read the text.
        text: what the server has left as text.
        dialects: the formats of the calls in the text.
        reasons: why something in the text is no call.
        error: what the server said instead, if it did.
        down: it said nothing at all, in time.
        refused: that it does not take tools.
        empty: it counted tokens or said "tool calls", but there is nothing.
    """

    question: Question
    way: Way
    native: tuple[ToolCall, ...] = ()
    recovered: tuple[ToolCall, ...] = ()
    text: str = ""
    dialects: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    error: str = ""
    down: bool = False
    refused: bool = False
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where calls are lost, in plain words, and what to do.

    Attributes:
        kind: in one word, for programs.
        words: for people.
        remedy: a line of code or configuration.
    """

    kind: Literal["native", "text", "refused", "swallowed", "template", "silent", "unreachable"]
    words: str
    remedy: str


@dataclass(slots=True)
class Findings:
    """All that was found out.

    Attributes:
        server: who was asked.
        identity: what the server says that it is.
        answers: every reply.
    """

    server: Server
    identity: str
    answers: list[Answer] = field(default_factory=list[Answer])

    def rate(self, question: Question, column: Literal["native", "recovered", "prompted"]) -> tuple[int, int]:
        """How often a question was answered as wanted, and how often it was asked."""
        way = "prompt" if column == "prompted" else "native"
        asked = [answer for answer in self.answers if answer.question is question and answer.way == way]
        calls = [answer.native if column == "native" else answer.recovered for answer in asked]
        met = [not a.error and question.is_met(c, a.text) for a, c in zip(asked, calls, strict=True)]
        return sum(met), len(met)

    def total(self, column: Literal["native", "recovered", "prompted"]) -> float:
        """The share of all questions that were answered as wanted."""
        questions = list({id(answer.question): answer.question for answer in self.answers}.values())
        rates = [self.rate(question, column) for question in questions]
        return sum(met for met, _ in rates) / max(1, sum(asked for _, asked in rates))

    @property
    def dialects(self) -> Counter[str]:
        """The formats of the calls in the text."""
        return Counter(dialect for answer in self.answers for dialect in answer.dialects)

    @property
    def verdict(self) -> Verdict:
        """Where calls are lost."""
        natively = [answer for answer in self.answers if answer.way == "native" and answer.question.wanted]
        wrapped = "FallbackToolModel(model)   # or FallbackToolChatModel(model), or toolmend serve"
        prompted = 'FallbackToolModel(model, mode="prompt")'
        if all(answer.error for answer in self.answers):
            hint = "" if self.server.base_url.endswith("/v1") else "Most servers' address ends in /v1."
            return Verdict("unreachable", f"The server does not answer: {self.answers[0].error}", hint)
        if any(answer.refused for answer in natively):
            said = next(answer.error for answer in natively if answer.refused)
            return Verdict("refused", f'The server refuses tools: "{said}"', wrapped)
        if any(answer.empty for answer in natively):
            return Verdict("swallowed", "The server's own parser eats calls that it cannot read.", prompted)
        if any(answer.dialects for answer in natively):
            names = ", ".join(name for name, _ in self.dialects.most_common())
            said = f"The model writes its calls as text ({names}), and the server leaves them there."
            return Verdict("text", said, wrapped)
        if any(answer.native for answer in natively):
            return Verdict("native", "Calls arrive natively; where they are missing, the model did not want any.", "")
        if self.total("prompted") > self.total("recovered"):
            said = "The model writes no call natively, but does once the tools stand in the prompt: the server's "
            return Verdict("template", f"{said}template does not show them to it.", prompted)
        return Verdict("silent", "The model writes no calls, however it is asked.", "A larger model, or one for tools.")

    def to_json(self) -> _Json:
        """All of it as JSON values."""
        questions = list({id(answer.question): answer.question for answer in self.answers}.values())
        columns: tuple[Literal["native", "recovered", "prompted"], ...] = ("native", "recovered", "prompted")
        return {
            "server": self.server.base_url,
            "model": self.server.model,
            "identity": self.identity,
            "verdict": {"kind": self.verdict.kind, "words": self.verdict.words, "remedy": self.verdict.remedy},
            "dialects": dict(self.dialects.most_common()),
            "questions": [
                {"title": q.title, **{column: list(self.rate(q, column)) for column in columns}} for q in questions
            ],
            "errors": list(dict.fromkeys(answer.error for answer in self.answers if answer.error)),
        }


def steps(questions: Sequence[Question], times: int) -> int:
    """How many requests an examination takes."""
    return 2 * times * len(questions)


def examine(
    server: Server,
    questions: Sequence[Question],
    *,
    times: int = 1,
    progress: Callable[[], object] = lambda: None,
    patience: float = 5.0,
    transport: httpx2.BaseTransport | None = None,
) -> Findings:
    """Ask a server all questions, natively and with the tools in the prompt.

    Args:
        server: whom to ask.
        questions: what to ask.
        times: how often each.
        progress: told after each request.
        patience: how long the server may take to say what it is, in seconds.
        transport: sends the requests, instead of the network; for tests.
    """
    headers = {"authorization": f"Bearer {server.api_key}"}
    inner = transport or httpx2.HTTPTransport()
    options: _Json = {"base_url": server.base_url, "timeout": server.timeout, "headers": headers}
    with (
        httpx2.Client(transport=inner, **options) as plain,
        httpx2.Client(transport=ToolTransport(inner, mode="prompt"), **options) as prompting,
    ):
        findings = Findings(server, _identity(plain, patience))
        for question in questions:
            for _ in range(times):
                for way, client in (("native", plain), ("prompt", prompting)):
                    findings.answers.append(_ask(client, server, question, cast("Way", way)))
                    progress()
                if all(answer.down for answer in findings.answers):
                    return findings  # nobody is there; to ask all the rest would take hours
    return findings


def _ask(client: httpx2.Client, server: Server, question: Question, way: Way) -> Answer:
    body = {
        "model": server.model,
        "messages": question.messages,
        "tools": question.tools,
        "tool_choice": question.choice,
        "temperature": server.temperature,
    }
    try:
        response = client.post("/chat/completions", json=body)
        said: Any = response.json() if response.status_code < 400 else response.text
    except (httpx2.HTTPError, ValueError) as error:
        return Answer(question=question, way=way, error=f"{type(error).__name__}: {error}", down=True)
    if response.status_code >= 400:
        refused = refuses_tools(response.status_code, said)
        message = f"{shorten(message_of(said), 300)} (HTTP {response.status_code})"
        return Answer(question=question, way=way, error=message, refused=refused)
    choices: Any = cast("_Json", said).get("choices") if isinstance(said, dict) else None
    if not isinstance(choices, list) or not choices:
        return Answer(question=question, way=way, error="this is no answer to a chat: it has no choices", down=True)
    return _answer(question, way, cast("list[_Json]", choices)[0], cast("_Json", said).get("usage") or {})


def _answer(question: Question, way: Way, choice: _Json, usage: Mapping[str, Any]) -> Answer:
    message: _Json = choice.get("message") or {}
    text = message.get("content") or ""
    native = tuple(_native(message))
    anatomy = dissect(text, question.tools)
    thought = message.get("reasoning_content") or message.get("reasoning")
    empty = not text.strip() and not native and not thought
    swallowed = empty and bool(choice.get("finish_reason") == "tool_calls" or usage.get("completion_tokens"))
    return Answer(
        question=question,
        way=way,
        native=native,
        recovered=(*native, *anatomy.calls),
        text=text,
        dialects=tuple(part.dialect for part in anatomy.parts if part.kind == "call" and part.dialect),
        reasons=tuple(part.reason for part in anatomy.lost),
        empty=swallowed,
    )


def _native(message: _Json) -> Iterator[ToolCall]:
    calls: list[_Json] = message.get("tool_calls") or []
    for call in calls:
        function: _Json = call.get("function") or {}
        try:
            arguments: Any = json.loads(function.get("arguments") or "{}")
        except ValueError:
            continue  # broken: nothing that could run
        if isinstance(arguments, dict):
            yield ToolCall(name=str(function.get("name")), arguments=cast("_Json", arguments))


def _identity(client: httpx2.Client, patience: float) -> str:
    """What a server says that it is; unknown is an answer, too."""
    root = str(client.base_url).rstrip("/").removesuffix("/v1")
    for path, reading in _PROBES.items():
        try:
            response = client.get(root + path, timeout=patience)
            body: Any = response.json() if response.status_code == 200 else None
        except httpx2.TimeoutException:
            break  # it says nothing at all
        except (httpx2.HTTPError, ValueError):
            continue
        found = reading(cast("_Json", body)) if isinstance(body, dict) else ""
        if found:
            return found
    return "unknown"


def _of_models(body: _Json) -> str:
    entries: Any = body.get("data")
    first: Any = cast("list[Any]", entries)[0] if isinstance(entries, list) and entries else None
    owner = cast("_Json", first).get("owned_by") if isinstance(first, dict) else None
    known = {"vllm": "vLLM", "llamacpp": "llama.cpp", "me": "llama-cpp-python", "sglang": "SGLang"}
    return known.get(str(owner), "")


def _of_props(body: _Json) -> str:
    caps: Any = body.get("chat_template_caps") or {}
    if not isinstance(caps, dict) or "build_info" not in body:
        return ""
    shown = cast("_Json", caps).get("supports_tools")
    return f"llama.cpp {body['build_info']}, its template {'shows' if shown else 'does not show'} tools to the model"


_PROBES: dict[str, Callable[[_Json], str]] = {
    "/api/version": lambda body: f"Ollama {body['version']}" if "version" in body else "",
    "/props": _of_props,
    "/server_info": lambda body: f"SGLang, tool parser {body.get('tool_call_parser')}" if "model_path" in body else "",
    "/v1/models": _of_models,
}
