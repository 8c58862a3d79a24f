"""Seeing what happened: what was found in a reply, and who is told."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from tests.corpus import TOOLS
from toolmend import Recovery, Turn
from toolmend._recovery import tell
from toolmend._refusal import Refusals

PING = '<tool_call>{"name": "ping", "arguments": {}}</tool_call>'
BROKEN = "<tool_call>{}</tool_call>"
BARE = '{"name": "find_book", "arguments": {"title": "Dune", "max_hits": "3"}}'


def recovery(*texts: str, mode: Any = "native") -> Recovery:
    turn = Turn(TOOLS["library"])
    readers = [turn.reader() for _ in texts]
    for reader, text in zip(readers, texts, strict=True):
        reader.read(text)
    return Recovery.of(readers, model="gemma", server="http://server", mode=mode)


def test_what_the_readers_of_a_reply_have_found() -> None:
    found = recovery(f"So.\n{PING}\n{BROKEN}", "Nothing.", BARE)
    assert (found.model, found.server, found.mode) == ("gemma", "http://server", "native")
    assert [call.name for call in found.calls] == ["ping", "find_book"]
    assert all(call.id for call in found.calls)
    assert found.dialects == ("hermes", "json")
    assert found.repairs == found.calls[1].repairs != ()
    assert found.failures == ("an object without a tool's name",)


def test_the_details_are_json_and_say_what_was_done() -> None:
    found = recovery(f"{PING}\n{BROKEN}")
    assert (
        json.loads(json.dumps(found.details))
        == found.details
        == {
            "mode": "native",
            "dialect": "hermes",
            "repairs": [],
            "failures": ["an object without a tool's name"],
        }
    )
    assert recovery("Nothing.", mode="prompt").details == {
        "mode": "prompt",
        "dialect": None,
        "repairs": [],
        "failures": [],
    }
    assert recovery("Nothing.").details == {}
    assert recovery(BROKEN).details["failures"]


@pytest.mark.parametrize(
    ("texts", "mode", "told"),
    [
        ([PING], "native", True),
        ([BROKEN], "native", True),
        (["Nothing."], "native", False),
        (["Nothing."], "prompt", False),
    ],
)
def test_the_callback_and_the_log_hear_of_calls_and_failures(
    texts: Sequence[str], mode: str, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Recovery] = []
    found = recovery(*texts, mode=mode)
    with caplog.at_level(logging.DEBUG, logger="toolmend"):
        tell(found, heard.append)
        tell(found)
    assert heard == [found] * told
    assert len(caplog.records) == 2 * told
    assert all(record.levelno == logging.DEBUG and "gemma" in record.getMessage() for record in caplog.records)


def test_what_the_callback_raises_passes() -> None:
    def fail(_: Recovery) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        tell(recovery(PING), fail)


class Span:
    def __init__(self, recording: bool) -> None:
        self.recording = recording
        self.attributes: dict[str, Any] = {}

    def is_recording(self) -> bool:
        return self.recording

    def set_attribute(self, name: str, value: Any) -> None:
        self.attributes[name] = value


@pytest.mark.parametrize(
    ("text", "mode", "recording", "expected"),
    [
        (BARE, "native", True, {"toolmend.mode": "native", "toolmend.dialect": "json"}),
        ("Nothing.", "prompt", True, {"toolmend.mode": "prompt"}),
        ("Nothing.", "native", True, {}),
        (PING, "prompt", False, {}),
    ],
)
def test_a_recording_span_is_marked(
    text: str, mode: str, recording: bool, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    span = Span(recording)
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", SimpleNamespace(get_current_span=lambda: span))
    found = recovery(text, mode=mode)
    tell(found)
    marked = expected and {**expected, "toolmend.repairs": list(found.repairs)}
    assert span.attributes == marked
    other = Span(recording)
    tell(found, span=other)
    assert other.attributes == marked


def test_without_opentelemetry_nothing_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)
    tell(recovery(PING))


def test_a_fallback_is_logged_once_for_each_model(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    for model in ("gemma", "gemma", "llama"):
        refusals.tell("http://server", model, "cannot take tools (no template)")
    rest = "at http://server cannot take tools (no template): from now on its tools are written into the prompt."
    assert [record.getMessage() for record in caplog.records] == [f"gemma {rest}", f"llama {rest}"]
    assert {record.levelname for record in caplog.records} == {"WARNING"}
