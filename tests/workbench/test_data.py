"""Training data: every shape is read, troubles are found by line, and conversion keeps every call."""

from __future__ import annotations

import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from toolmend import DIALECTS, RenderError, ToolCall, ToolSpec, get_dialect
from toolmend.cli import app
from toolmend.workbench.batch import Outputs, convert_stream
from toolmend.workbench.check import check
from toolmend.workbench.convert import Rejected, convert
from toolmend.workbench.records import Record
from toolmend.workbench.report import report_page

invoke = CliRunner().invoke
SPEC = ToolSpec(name="find_book", parameters={"type": "object", "properties": {"title": {"type": "string"}}})
CALL = '<tool_call>\n{"name": "find_book", "arguments": {"title": "Dune"}}\n</tool_call>'


def line(*turns: tuple[str, str], **fields: Any) -> str:
    return json.dumps({"messages": [{"role": role, "content": text} for role, text in turns], **fields})


MESSAGES = line(("user", "Dune?"), ("assistant", f"Let me look.\n{CALL}"), ("tool", "1 hit"), ("assistant", "Yes."))
SHAREGPT = json.dumps(
    {
        "id": 7,
        "tools": json.dumps([SPEC.to_openai()]),
        "conversations": [
            {"from": "human", "value": "Dune?"},
            {"from": "gpt", "value": CALL},
            {"from": "observation", "value": "1 hit"},
            {"from": "gpt", "value": "Yes."},
        ],
    }
)
CHATML = json.dumps(
    {
        "text": f"<|im_start|>user\nDune?<|im_end|>\n<|im_start|>assistant\n{CALL}<|im_end|>\n"
        "<|im_start|>user\n<tool_response>\n1 hit\n</tool_response><|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>\n"
    }
)
STRUCTURED = json.dumps(
    {
        "tools": [SPEC.to_openai()],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Dune?"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "find_book", "arguments": '{"title": "Dune"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "1 hit"},
            {"role": "assistant", "content": "Yes."},
        ],
    }
)
LLAMA = json.dumps(
    {
        "text": "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHo<|eot_id|>"
    }
)
ALL = [MESSAGES, SHAREGPT, CHATML, STRUCTURED]


@pytest.mark.parametrize("record", ALL)
def test_a_call_and_its_result_are_found_in_every_shape(record: str) -> None:
    report = check([record])
    assert (report.with_calls, report.calling, report.answers, report.results) == (1, 1, 1, 1)
    assert dict(report.names) == {"find_book": 1}
    assert report.troubles == []


def test_tools_are_found_in_a_field_and_in_the_system_text() -> None:
    system = 'You may call: {"name": "find_book", "description": "Finds.", "parameters": {"type": "object"}} {broken'
    records = [SHAREGPT, STRUCTURED, line(("system", system)), MESSAGES, line(("user", "a"), tools="no JSON")]
    assert [[tool.name for tool in Record(record).tools] for record in records] == [["find_book"]] * 3 + [[], []]


def test_troubles_are_told_by_line() -> None:
    broken = line(("assistant", '<tool_call>{"name": "find_book", "arguments": {"title": a b}}</tool_call>'))
    undeclared = line(("assistant", CALL.replace("find_book", "burn_book")), tools=[SPEC.to_openai()])
    cut = json.dumps(
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]}
    )
    lines = [MESSAGES, "", broken, undeclared, "{", "[]", "{}", line(("nobody", "a")), cut, '{"messages": [1]}']
    report = check(lines)
    found = [(trouble.line, trouble.kind) for trouble in report.troubles]
    assert found == [(3, "malformed"), (4, "not declared"), *((n, "unreadable") for n in (5, 6, 7, 8, 9, 10))]
    assert report.examples == len(lines) - 1
    assert "burn_book is called" in report_page(report, "<data>")
    assert "&lt;data&gt;" in report_page(report, "<data>")


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_call_is_written_in_every_format(dialect: Any) -> None:
    to = "harmony" if dialect.name == "openai" else dialect.name
    try:
        dialect.render_calls([ToolCall(name="find_book", arguments={"title": "Dune"})])
    except RenderError:
        return
    turns = Record(convert(SHAREGPT, to)).turns
    assert [turn.role for turn in turns] == ["user", "assistant", "user", "assistant"]
    assert dict(check([convert(SHAREGPT, to)]).names) == {"find_book": 1}


titles = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=30)


@settings(max_examples=150)
@given(
    st.lists(titles, min_size=1, max_size=3),
    st.sampled_from(["hermes", "qwen3_coder", "glm45", "mistral", "fenced_json"]),
)
def test_there_and_back_the_calls_are_the_same(names: list[str], to: str) -> None:
    calls = [ToolCall(name="find_book", arguments={"title": title}) for title in names]
    record = line(("assistant", get_dialect("hermes").render_calls(calls)), tools=[SPEC.to_openai()])
    try:
        there = convert(record, to)
    except Rejected:
        return
    structured = convert(there, "openai")
    [said] = json.loads(structured)["messages"]
    assert [json.loads(call["function"]["arguments"])["title"] for call in said["tool_calls"]] == names
    [back] = Record(convert(structured, "hermes")).turns
    assert back.text == Record(record).turns[0].text


def test_text_around_calls_and_all_other_fields_stay() -> None:
    converted = json.loads(convert(SHAREGPT, "qwen3_coder"))
    assert converted["id"] == 7
    assert converted["conversations"][0] == {"from": "human", "value": "Dune?"}
    [_, said, result, _] = Record(convert(MESSAGES, "fenced_json")).turns
    assert said.text == 'Let me look.\n```json\n{"name": "find_book", "arguments": {"title": "Dune"}}\n```'
    assert "1 hit" in result.text


def test_structured_calls_get_ids_and_results_name_them() -> None:
    converted = json.loads(convert(MESSAGES, "openai"))["messages"]
    assert converted[1]["content"] == "Let me look."
    assert converted[1]["tool_calls"][0]["function"]["name"] == "find_book"
    assert converted[2]["tool_call_id"] == converted[1]["tool_calls"][0]["id"]


def test_chat_template_text_keeps_all_around_its_turns() -> None:
    converted = json.loads(convert(CHATML, "qwen3_coder"))["text"]
    assert converted.startswith(
        "<|im_start|>user\nDune?<|im_end|>\n<|im_start|>assistant\n<tool_call>\n<function=find_book>"
    )
    assert converted.endswith("<|im_start|>assistant\nYes.<|im_end|>\n")
    assert '<tool_result name="tool">\n1 hit\n</tool_result>' in converted
    assert "tool_response" not in converted
    assert json.loads(convert(LLAMA, "hermes")) == json.loads(LLAMA)


def test_results_in_the_role_of_a_chat_template_stay() -> None:
    text = CHATML.replace("<|im_start|>user\\n<tool_response>\\n1 hit\\n</tool_response>", "<|im_start|>tool\\n1 hit")
    assert "<|im_start|>tool\n1 hit<|im_end|>" in json.loads(convert(text, "qwen3_coder"))["text"]


@pytest.mark.parametrize(
    ("record", "to", "reason"),
    [
        (CHATML, "openai", "raw text cannot hold structured calls"),
        ("{", "hermes", "no JSON"),
        (
            line(("assistant", '<tool_call>{"name": "f", "arguments": {"a": b c}}</tool_call>')),
            "hermes",
            "cannot be read",
        ),
    ],
)
def test_what_cannot_be_converted_says_why(record: str, to: str, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        convert(record, to)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_stream_keeps_its_order_and_loses_nothing(jobs: int) -> None:
    lines = ["{\n" if n % 50 == 7 else json.dumps({**json.loads(MESSAGES), "n": n}) + "\n" for n in range(700)] + ["\n"]
    outputs = Outputs(StringIO(), StringIO(), StringIO())
    seen: list[int] = []
    summary = convert_stream(iter(lines), outputs, "qwen3_coder", jobs=jobs, progress=seen.append)
    numbers = [json.loads(written)["n"] for written in outputs.converted.getvalue().splitlines()]
    assert numbers == [n for n in range(700) if n % 50 != 7]
    assert outputs.rejected.getvalue() == "{\n" * 14
    assert [row.partition(":")[0] for row in outputs.reasons.getvalue().splitlines()] == [
        str(n + 1) for n in range(7, 700, 50)
    ]
    assert (summary.converted, summary.rejected) == (686, 14)
    assert sum(seen) == sum(map(len, lines))


class TestTheCommands:
    def test_check(self, tmp_path: Path) -> None:
        file, written = tmp_path / "data.jsonl", tmp_path / "out.html"
        file.write_text("\n".join([*ALL, "{"]))
        result = invoke(app, ["data", "check", str(file), "--html", str(written)])
        assert result.exit_code == 1
        assert "line 5: unreadable" in result.output
        assert "Calls by format" in written.read_text(encoding="utf-8")
        counted = json.loads(invoke(app, ["data", "check", "--json"], input=MESSAGES).output)
        assert counted["dialects"] == {"hermes": 1, "structured": 0}
        assert invoke(app, ["data", "check", str(tmp_path / "none")]).exit_code == 2

    def test_nothing_to_check_is_nothing_wrong(self) -> None:
        result = invoke(app, ["data", "check", "--json"], input="")
        assert result.exit_code == 0
        assert json.loads(result.output)["examples"] == 0

    def test_many_troubles_are_not_all_printed(self) -> None:
        result = invoke(app, ["data", "check"], input="{\n" * 30)
        assert "and 10 more" in result.output

    def test_convert(self, tmp_path: Path) -> None:
        file, out = tmp_path / "data.jsonl", tmp_path / "out.jsonl"
        file.write_text("\n".join([*ALL, "{"]))
        result = invoke(app, ["data", "convert", str(file), str(out), "--to", "qwen3_coder"])
        assert result.exit_code == 1
        assert "4 converted, 1 rejected" in result.output
        assert (tmp_path / "out.jsonl.rejected.jsonl").read_text() == "{\n"
        assert (tmp_path / "out.jsonl.rejected.txt").read_text().startswith("5: no JSON")
        counted = json.loads(invoke(app, ["data", "check", str(out), "--json"]).output)
        assert counted["dialects"] == {"qwen3_coder": 4, "structured": 0}

    def test_convert_from_a_pipe_without_rejects(self, tmp_path: Path) -> None:
        out = tmp_path / "out.jsonl"
        result = invoke(app, ["data", "convert", "-", str(out), "--to", "openai", "--json"], input=MESSAGES)
        assert result.exit_code == 0
        assert not list(tmp_path.glob("*rejected*"))

    def test_nothing_is_touched_on_wrong_use(self, tmp_path: Path) -> None:
        out = tmp_path / "out.jsonl"
        out.write_text(MESSAGES)
        for arguments in (["-", str(out), "--to", "nope"], [str(out), str(out), "--to", "hermes"]):
            result = invoke(app, ["data", "convert", *arguments], input=MESSAGES)
            assert result.exit_code == 2
            assert out.read_text() == MESSAGES

    @pytest.mark.parametrize("piped", [False, True])
    def test_bad_input_leaves_nothing_behind(self, tmp_path: Path, piped: bool) -> None:
        file, out = tmp_path / "data.jsonl", tmp_path / "out.jsonl"
        file.write_bytes(b"\x7fELF\n\0\1\2")
        source, stdin = ("-", file.read_bytes()) if piped else (str(file), None)
        result = invoke(app, ["data", "convert", source, str(out), "--to", "hermes"], input=stdin)
        assert result.exit_code == 2
        assert "is a binary file" in result.output
        assert list(tmp_path.iterdir()) == [file]
        assert invoke(app, ["data", "check", source], input=stdin).exit_code == 2

    def test_what_is_no_file_is_not_replaced_by_one(self, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        result = invoke(app, ["data", "convert", "-", str(pipe), "--to", "hermes"], input=MESSAGES)
        assert result.exit_code == 2
        assert "is no file" in result.output
        assert pipe.is_fifo()
        assert list(tmp_path.iterdir()) == [pipe]

    def test_a_link_stays_one(self, tmp_path: Path) -> None:
        link, file = tmp_path / "link", tmp_path / "file"
        link.symlink_to(file)
        assert invoke(app, ["data", "convert", "-", str(link), "--to", "hermes"], input=MESSAGES).exit_code == 0
        assert link.is_symlink()
        assert "find_book" in file.read_text()

    @pytest.mark.parametrize(
        "arguments", [["check", "--html", "none/out.html"], ["convert", "-", "none/out.jsonl", "--to", "hermes"]]
    )
    def test_a_folder_that_is_not_there(self, arguments: list[str]) -> None:
        result = invoke(app, ["data", *arguments], input=MESSAGES)
        assert result.exit_code == 2
        assert "none/out" in result.output
        assert "cannot be written" in result.output

    def test_the_mark_that_some_editors_put_first_is_none_of_the_record(self) -> None:
        assert invoke(app, ["data", "check"], input=b"\xef\xbb\xbf" + MESSAGES.encode()).exit_code == 0

    def test_a_line_with_broken_characters_is_kept_byte_for_byte(self, tmp_path: Path) -> None:
        file, out = tmp_path / "data.jsonl", tmp_path / "out.jsonl"
        broken = b'{"messages": [{"role": "user", "content": "\xff"}]\n'
        file.write_bytes(broken + MESSAGES.encode() + b"\r\n" + b"[" * 100_000)
        result = invoke(app, ["data", "convert", str(file), str(out), "--to", "hermes"])
        assert "1 converted, 2 rejected" in result.output
        assert (tmp_path / "out.jsonl.rejected.jsonl").read_bytes() == broken + b"[" * 100_000 + b"\n"

    def test_the_rejects_of_an_earlier_run_go(self, tmp_path: Path) -> None:
        file, out = tmp_path / "data.jsonl", tmp_path / "out.jsonl"
        for content, left in (("{", 4), (MESSAGES, 2)):
            file.write_text(content)
            invoke(app, ["data", "convert", str(file), str(out), "--to", "hermes"])
            assert len(list(tmp_path.iterdir())) == left
