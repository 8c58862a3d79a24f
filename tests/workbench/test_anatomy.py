"""Replies laid open: each part is there, and what is passed over says why."""

from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from toolmend import DIALECTS, Dialect
from toolmend.cli import app
from toolmend.workbench.anatomy import dissect
from toolmend.workbench.commands import refusals
from toolmend.workbench.show import page, terminal

invoke = CliRunner().invoke
TOOLS = [{"type": "function", "function": {"name": "find_book", "parameters": {"type": "object", "properties": {}}}}]
CALL = '<tool_call>{"name": "find_book", "arguments": {}}</tool_call>'
REPLY = f"""<think>maybe {CALL} or not</think>
For example:
```
{CALL}
```
So:
<tool_call>{{"name": "find_book", "arguments": {{'a': 1}}}}</tool_call>
<tool_call>{{"name": "burn_book", "arguments": {{}}}}</tool_call>
<tool_call>{{"name": "find_book", "arguments": {{"a": b c}}}}</tool_call>
"""


def test_every_call_says_what_becomes_of_it() -> None:
    anatomy = dissect(REPLY, TOOLS)
    found = [(part.kind, part.reason) for part in anatomy.parts if part.kind not in ("text", "reasoning")]
    assert found == [
        ("passed over", "inside reasoning"),
        ("passed over", "inside a code example"),
        ("call", ""),
        ("failed", "no tool 'burn_book' is offered"),
        ("failed", found[-1][1]),
    ]
    assert "not readable as JSON" in found[-1][1]
    assert [call.repairs for call in anatomy.calls] == [("single quotes",)]


def test_an_undeclared_name_without_a_marker_is_passed_over() -> None:
    [part] = dissect('{"name": "burn_book", "arguments": {}}', TOOLS).parts
    assert (part.kind, part.reason) == ("passed over", "no tool 'burn_book' is offered")


def test_an_example_is_passed_over() -> None:
    anatomy = dissect(f"A call looks like this: {CALL}", TOOLS)
    assert [part.reason for part in anatomy.lost] == ["shown as an example"]


def test_without_tools_the_names_in_the_reply_are_taken_as_offered() -> None:
    anatomy = dissect(REPLY)
    assert anatomy.assumed
    assert anatomy.tools == ("find_book", "burn_book")
    assert [call.name for call in anatomy.calls] == ["find_book", "burn_book"]


TAGS = ("morph_xml", "named_element", "yaml_xml")  # any tag of HTML would be one of theirs


@pytest.mark.parametrize("dialect", [d for d in DIALECTS if d.name not in TAGS], ids=lambda dialect: dialect.name)
def test_the_name_is_found_in_every_format(dialect: Dialect) -> None:
    assert dissect(dialect.sample.replace("find_book", "burn_book")).calls[0].name == "burn_book"


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from([CALL, "text ", "\n", "<think>", "</think>", "```\n", '{"name": "x", "arguments": {}}', "é"])
    )
)
def test_nothing_is_lost(pieces: list[str]) -> None:
    text = "".join(pieces)
    for tools in (TOOLS, None):
        assert "".join(part.raw for part in dissect(text, tools).parts) == text


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.inside = False
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.inside = self.inside or tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "pre"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.text += data


def test_the_page_holds_the_reply_and_nothing_of_it_is_markup() -> None:
    hostile = REPLY + "<script>alert(1)</script>"
    written = page(dissect(hostile, TOOLS))
    assert "<script" not in written
    assert "http" not in written  # self-contained
    parser = _Text()
    parser.feed(written)
    assert parser.text == hostile


def test_the_terminal_shows_reasons_and_takes_nothing_for_markup_of_its_own() -> None:
    output = StringIO()
    terminal(Console(file=output, width=160), dissect("[red]" + REPLY, TOOLS))
    assert "[red]" in output.getvalue()
    assert "no tool 'burn_book' is offered" in output.getvalue()
    terminal(Console(file=output, width=160), dissect("Nothing.", TOOLS))
    assert "Nothing in it looks like a call." in output.getvalue()


def test_a_reply_is_written_as_it_is_but_does_not_steer_a_terminal() -> None:
    reply = "\ta line longer than the terminal is wide\n\x1b[2J gone"
    piped, shown = StringIO(), StringIO()
    terminal(Console(file=piped, width=20), dissect(reply, TOOLS))
    terminal(Console(file=shown, width=20, force_terminal=True), dissect(reply, TOOLS))
    assert piped.getvalue().startswith(reply)
    assert "\x1b[2J" not in shown.getvalue()


class TestTheCommand:
    def test_a_clean_call_from_standard_input(self, tmp_path: Path) -> None:
        tools = tmp_path / "tools.json"
        tools.write_text(json.dumps(TOOLS))
        result = invoke(app, ["parse", "--tools", str(tools)], input=CALL)
        assert result.exit_code == 0, result.output
        assert "1 call, 0 not run." in result.output

    def test_a_lost_call_in_a_file_as_json_and_as_a_page(self, tmp_path: Path) -> None:
        reply, written = tmp_path / "reply.txt", tmp_path / "out.html"
        reply.write_bytes(REPLY.replace("\n", "\r\n").encode())
        result = invoke(app, ["parse", str(reply), "--json", "--html", str(written)])
        assert result.exit_code == 1
        parts = json.loads(result.output)["parts"]
        assert "".join(part["raw"] for part in parts) == REPLY.replace("\n", "\r\n")
        assert written.read_text(encoding="utf-8").startswith("<!doctype html>")

    def test_a_cut_reply_ends_with_what_was_held(self, tmp_path: Path) -> None:
        tools = tmp_path / "tools.json"
        tools.write_text(json.dumps(TOOLS))
        result = invoke(app, ["parse", "--stream", "4", "--json", "--tools", str(tools)], input=CALL[:-36])
        assert result.exit_code == 1
        events = [json.loads(line) for line in result.output.splitlines()]
        assert (events[-1]["event"], events[-1]["at"]) == ("ToolCallFailed", len(CALL) - 36)

    def test_events_as_they_come(self) -> None:
        result = invoke(app, ["parse", "--stream", "4"], input="Look.\n" + CALL)
        events = [json.loads(line[7:])["event"] for line in result.output.splitlines()]
        assert events[0] == "TextDelta"
        assert {"ToolCallDelta", "ToolCallParsed"} <= set(events)
        as_json = invoke(app, ["parse", "--stream", "4", "--json"], input="Look.\n" + CALL).output.splitlines()
        assert [json.loads(line)["event"] for line in as_json] == events
        assert json.loads(as_json[0])["at"] == 8  # the word could have opened a call
        assert json.loads(as_json[-1])["at"] == len("Look.\n" + CALL)

    @pytest.mark.parametrize("content", ["{", '{"a": 1}', "[1]"])
    def test_tools_that_are_none(self, tmp_path: Path, content: str) -> None:
        tools = tmp_path / "tools.json"
        tools.write_text(content)
        assert invoke(app, ["parse", "--tools", str(tools)], input=CALL).exit_code == 2

    def test_a_file_that_is_not_there(self) -> None:
        result = invoke(app, ["parse", "not-there.txt"])
        assert result.exit_code == 2
        assert "not-there.txt: No such file" in result.output

    @pytest.mark.parametrize("content", [b"\x7fELF\0", b"\xff\xfe"])
    def test_what_is_no_text(self, content: bytes) -> None:
        result = invoke(app, ["parse"], input=content)
        assert result.exit_code == 2
        assert "no text in UTF-8" in result.output

    def test_a_reader_that_has_had_enough(self, tmp_path: Path) -> None:
        reply = tmp_path / "reply.txt"
        reply.write_text("a line\n" * 200_000)
        command = [sys.executable, "-m", "toolmend", "parse", str(reply)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stderr
            assert process.stdout.readline() == b"a line\n"
            process.stdout.close()
            assert process.stderr.read() == b""
        with pytest.raises(BrokenPipeError), refusals():
            raise BrokenPipeError

    def test_the_formats_are_listed(self) -> None:
        listed = json.loads(invoke(app, ["dialects", "--json"]).output)
        assert [row["name"] for row in listed] == [dialect.name for dialect in DIALECTS]
        assert all(row["about"] and row["sample"] for row in listed)
        assert "qwen3_coder" in invoke(app, ["dialects"]).output
