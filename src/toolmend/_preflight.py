"""What a server says about itself before the first request: whether the model takes tools, and replies a schema.

Each kind of server is asked in its own way, one after the other, until one of them answers like itself. What cannot be
asked, or answers like no other, is unknown. Who is asked how is written here; the asking needs a `fetch` of somebody.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, cast

__all__ = ["UNKNOWN", "Fetch", "Verdict", "preflight"]

Fetch = Callable[[str, Mapping[str, Any] | None], Any]
"""Gets the JSON at a URL, or posts a JSON object there first; `None` if there is no such thing."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a model on a server.

    Attributes:
        tools: whether its chat template shows tools to the model; `None` if that is unknown.
        schema: whether the server holds replies to a JSON Schema.
        system: whether its chat template has a system role; `None` if that is unknown.
    """

    tools: bool | None = None
    schema: bool = False
    system: bool | None = None


UNKNOWN = Verdict()


def preflight(base_url: str, model: str, fetch: Fetch) -> Verdict:
    """Ask a server about a model.

    Args:
        base_url: where the requests go, with or without ``/v1``.
        model: the model's name there.
        fetch: see `Fetch`; what it raises means that nothing is known.
    """
    probes = _probes(base_url.rstrip("/").removesuffix("/v1").rstrip("/"), model)
    answer: Any = None
    while True:
        try:
            url, body = probes.send(answer)
            answer = fetch(url, body)
        except StopIteration as end:
            return end.value
        except Exception:  # whatever a server or a client library comes up with: then nothing is known
            return UNKNOWN


def _probes(root: str, model: str) -> Generator[tuple[str, Mapping[str, Any] | None], Any, Verdict]:
    props = _fields((yield f"{root}/props", None))  # llama-server
    caps = _fields(props.get("chat_template_caps"))
    if caps:
        tools = bool(caps.get("supports_tools") and caps.get("supports_tool_calls"))
        return Verdict(tools, schema=True, system=caps.get("supports_system_role"))
    if _fields((yield f"{root}/api/version", None)).get("version"):  # Ollama; SGLang has no version there
        shown = _fields((yield f"{root}/api/show", {"model": model}))
        found = shown.get("capabilities")
        return Verdict("tools" in cast("list[Any]", found) if isinstance(found, list) else None, schema=True)
    for listed in _models((yield f"{root}/api/v1/models", None)):  # LM Studio
        trained = _fields(listed.get("capabilities")).get("trained_for_tool_use")
        if model in (listed.get("key"), listed.get("id")) and trained is not None:
            return Verdict(bool(trained), schema=True)
    if "tool_call_parser" in _fields((yield f"{root}/server_info", None)):  # SGLang: without one, calls stay text
        return Verdict(schema=True)
    owners = {listed.get("owned_by") for listed in _models((yield f"{root}/v1/models", None))}
    return Verdict(schema=True) if "vllm" in owners else UNKNOWN


def _models(answer: object) -> list[Mapping[str, Any]]:
    fields = _fields(answer)
    listed = fields.get("data") or fields.get("models")
    return [_fields(one) for one in cast("list[Any]", listed)] if isinstance(listed, list) else []


def _fields(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
