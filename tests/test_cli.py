"""The command line, in this process and as a command."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from toolmend import __main__
from toolmend.cli import app
from toolmend.demo import llamacpp, show
from toolmend.demo.llamacpp import LlamaServer
from toolmend.demo.ollama_standin import OllamaStandin
from toolmend.demo.systems import SYSTEMS, Question

invoke = CliRunner().invoke


def test_the_demo_shows_every_system_and_succeeds(llama: LlamaServer) -> None:
    result = invoke(app, ["demo"])
    assert result.exit_code == 0, result.output
    assert "16 of 16 questions answered with toolmend." in result.output
    assert "fails: ResponseError" in result.output  # an Ollama whose model takes no tools
    assert "\x1b[" not in result.output  # plain when piped


def test_the_demo_on_a_server_of_ones_own() -> None:
    with OllamaStandin(tools=True) as own:
        result = invoke(app, ["demo", "--base-url", own.base_url + "/", "--model", "mine"])
    assert result.exit_code == 0, result.output
    assert {request["body"]["model"] for request in own.requests} == {"mine"}


def test_the_demo_plays_recorded_replies_where_there_is_no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llamacpp, "available", lambda: False)
    result = invoke(app, ["demo"])
    assert result.exit_code == 0, result.output
    assert "recorded replies" in result.output


def test_the_demo_fails_if_one_question_does(monkeypatch: pytest.MonkeyPatch, llama: LlamaServer) -> None:
    unknown = replace(SYSTEMS[1], questions=[Question("Nobody taught it this", [("read_file", {"path": "a"})])])
    monkeypatch.setattr(show, "SYSTEMS", [SYSTEMS[1], unknown])
    result = invoke(app, ["demo"])
    assert result.exit_code == 1
    assert "1 of 2 questions" in result.output


def test_without_its_packages_the_demo_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    result = invoke(app, ["demo"])
    assert result.exit_code == 2
    assert "toolmend[demo]" in result.output


def test_a_server_that_does_not_answer_is_named() -> None:
    result = invoke(app, ["demo", "--base-url", "http://127.0.0.1:9/v1", "--model", "x"])
    assert result.exit_code == 2
    assert "http://127.0.0.1:9/v1 does not answer" in result.output


def test_half_of_an_address_is_refused() -> None:
    result = invoke(app, ["demo", "--model", "x"])
    assert result.exit_code == 2
    assert "both" in result.output


def test_help_says_what_there_is() -> None:
    done = subprocess.run([sys.executable, "-m", "toolmend", "--help"], capture_output=True, text=True, check=True)
    assert "demo" in done.stdout


def test_without_its_packages_the_command_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "toolmend.cli", None)
    with pytest.raises(SystemExit, match=r"toolmend\[demo\]"):
        __main__.main()


def test_the_command_starts_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["toolmend", "dialects", "--json"])
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert not ended.value.code
    assert "qwen3_coder" in capsys.readouterr().out
