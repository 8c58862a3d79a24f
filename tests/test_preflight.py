"""What servers say about themselves, in the shapes of their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from toolmend._preflight import UNKNOWN, Verdict, preflight

ROOT = "http://server:1"
SHOW = "/api/show"


def asked(answers: Mapping[str, Any], base_url: str = f"{ROOT}/v1") -> tuple[Verdict, list[str]]:
    """What is known after these answers, and the paths that were asked for."""
    paths: list[str] = []

    def fetch(url: str, body: Mapping[str, Any] | None) -> Any:
        assert url.startswith(ROOT)
        paths.append(url.removeprefix(ROOT))
        assert body == ({"model": "m"} if paths[-1] == SHOW else None)
        answer = answers.get(paths[-1])
        if isinstance(answer, Exception):
            raise answer
        return answer

    return preflight(base_url, "m", fetch), paths


CAPS = {"supports_tools": True, "supports_tool_calls": True, "supports_system_role": True}
VERSION = {"version": "0.12.0"}


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ({"/props": {"chat_template_caps": CAPS}}, Verdict(True, schema=True, system=True)),
        ({"/props": {"chat_template_caps": {**CAPS, "supports_tool_calls": False}}}, Verdict(False, True, True)),
        ({"/props": {"chat_template_caps": {"supports_system_role": False}}}, Verdict(False, True, False)),
        ({"/api/version": VERSION, SHOW: {"capabilities": ["completion", "tools"]}}, Verdict(True, schema=True)),
        ({"/api/version": VERSION, SHOW: {"capabilities": ["completion"]}}, Verdict(False, schema=True)),
        ({"/api/version": VERSION, SHOW: {"details": {}}}, Verdict(schema=True)),
        ({SHOW: {"capabilities": ["completion"]}, "/server_info": {"tool_call_parser": None}}, Verdict(schema=True)),
        (
            {"/api/v1/models": {"models": [{"key": "m", "capabilities": {"trained_for_tool_use": False}}]}},
            Verdict(False, True),
        ),
        (
            {"/api/v1/models": {"data": [{"id": "m", "capabilities": {"trained_for_tool_use": True}}]}},
            Verdict(True, True),
        ),
        ({"/api/v1/models": {"data": [{"id": "n", "capabilities": {"trained_for_tool_use": True}}]}}, UNKNOWN),
        ({"/api/v1/models": {"data": [{"id": "m"}]}}, UNKNOWN),
        ({"/v1/models": {"data": [{"id": "m", "owned_by": "vllm"}]}}, Verdict(schema=True)),
        ({"/v1/models": {"data": [{"id": "m", "owned_by": "me"}]}}, UNKNOWN),
        ({"/v1/models": {"data": "m"}, "/props": ["?"]}, UNKNOWN),
        ({}, UNKNOWN),
        ({"/props": TimeoutError()}, UNKNOWN),
        ({"/api/version": VERSION, SHOW: OSError()}, UNKNOWN),
    ],
)
def test_verdicts(answers: Mapping[str, Any], verdict: Verdict) -> None:
    assert asked(answers)[0] == verdict


@pytest.mark.parametrize("base_url", [ROOT, f"{ROOT}/", f"{ROOT}/v1", f"{ROOT}/v1/"])
def test_the_address_with_and_without_its_version(base_url: str) -> None:
    assert asked({"/props": {"chat_template_caps": CAPS}}, base_url)[1] == ["/props"]


def test_a_server_that_does_not_answer_is_asked_no_more() -> None:
    assert asked({"/props": TimeoutError()})[1] == ["/props"]
