"""What a server's error says about tools: read once, for every adapter.

Servers refuse tools in a dozen ways, with statuses from 400 to 501 and with bodies from a bare string to JSON inside
JSON. The message is dug out first; then one table says which messages mean "not with tools". Whatever is not in the
table is no refusal: authorisation, limits, time-outs, context length and unknown models must reach the caller as they
are.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Literal, cast

__all__ = ["Refusals", "Refused", "message_of", "refuses_choice", "refuses_tools"]

Refused = Literal["tools", "choice", "required", "named", "schema", "system", "asked"]
"""Native tools at all; a forced choice, without a word; one in words, of any tool or of one by its name; a JSON Schema
for the reply; a system message. Or nothing, but it was asked about itself."""

_REFUSALS = re.compile(
    r"""
      does\ not\ support\ tools                                   # Ollama: the model's template has no tools
    | "auto"\ tool\ choice\ requires                              # vLLM without a parser
    | tool_choice=\S+.*\ requires\ --tool-call-parser             # vLLM, forced choice without a parser
    | tool(?:s|_choice)\ param\ requires\ --jinja                 # llama-server --no-jinja
    | unsupported\ param:\ tools                                  # llama-server and llamafile before 2025
    | only\ user\b.*\broles\ are\ supported                       # chat templates without a tool role
    | (?:conversation\ )?roles\ must\ alternate                   # chat templates that want strict turns
    | system\ role\ (?:is\ )?not\ supported                        # chat templates without one: the text may move
    | ChatCompletionRequestAssistantMessage'.{1,9}'content'       # llama-cpp-python, on calls without text
    | jinja\ exception:
    | error\ rendering\ prompt\ with\ jinja                       # LM Studio
    | unable\ to\ generate\ parser\ for\ this\ template           # llama.cpp on a template that raises
    """,
    re.IGNORECASE | re.VERBOSE,
)
_CHOICES = re.compile(
    r"""
      invalid\ tool_choice\ type:                                 # LM Studio takes words only
    | tool_choice\ parameter\ does\ not\ support                  # Qwen's service, while the model thinks
    | does\ not\ support\ this\ tool_choice                       # DeepSeek's service, the same
    | only\ a\ tool_choice\ of\ \W*auto
    | tool\ choice\ must\ be\ \W*auto                              # mlx-openai-server
    """,
    re.IGNORECASE | re.VERBOSE,
)
_LOG = logging.getLogger("toolmend")
_REASON = 300  # how much of a server's message is logged
_STATUSES = frozenset({400, 404, 422, 500, 501})


def refuses_tools(status: int | None, body: object) -> bool:
    """Whether an error means that this server cannot serve this request with tools in it.

    Args:
        status: the HTTP status.
        body: the body as the client library shows it: text, parsed JSON, or only its inner ``error`` object.
    """
    return status in _STATUSES and _REFUSALS.search(message_of(body)) is not None


def refuses_choice(status: int | None, body: object) -> bool:
    """Whether an error means that this server takes tools, but not with this choice of them.

    Args:
        status: the HTTP status.
        body: the body as the client library shows it.
    """
    return status in _STATUSES and _CHOICES.search(message_of(body)) is not None


def message_of(body: object) -> str:
    """The human message inside an error body, at whatever depth the server put it."""
    for _ in range(6):  # Ollama wraps llama-server's JSON as a string inside its own JSON
        inner = _unwrapped(body)
        if inner is None:
            break
        body = inner
    return body if isinstance(body, str) else str(body)


def _unwrapped(body: object) -> object:
    """One layer further in, or `None` at the innermost."""
    if isinstance(body, str):
        try:
            decoded: object = json.loads(body)
        except (ValueError, RecursionError):
            return None
        return decoded if type(decoded) in (dict, str) else None
    if isinstance(body, Mapping):
        fields = cast("Mapping[str, object]", body)
        return next((fields[key] for key in ("error", "message", "detail") if fields.get(key)), None)
    return None


class Refusals:
    """Remembers what which server refused for which model, so that it is asked in vain only once.

    Adding to and asking a set are atomic, so one memory may serve many threads.
    """

    def __init__(self) -> None:
        self._refused: set[tuple[str, str, str]] = set()
        self._told: set[tuple[str, str]] = set()

    def add(self, server: str, model: str, what: Refused = "tools") -> None:
        """Remember a refusal."""
        self._refused.add((server, model, what))

    def has(self, server: str, model: str, what: Refused) -> bool:
        """Whether there was such a refusal."""
        return (server, model, what) in self._refused

    def __contains__(self, server_and_model: tuple[str, str]) -> bool:
        """Whether tools were refused."""
        return (*server_and_model, "tools") in self._refused

    def tell(self, server: str, model: str, why: str) -> None:
        """Log, once for each server and model, that tools go into the prompt.

        Args:
            server: its address, or what stands for it.
            model: its name.
            why: the rest of a sentence that begins with the model.
        """
        if (server, model) not in self._told:
            self._told.add((server, model))
            why = " ".join(why.split())[:_REASON]
            _LOG.warning("%s at %s %s: from now on its tools are written into the prompt.", model, server, why)
