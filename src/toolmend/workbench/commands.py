"""The workbench's commands.

Each reads a file or standard input, has ``--json``, and exits with 0, 1 or 2: nothing wrong, something wrong with what
was read, wrong use.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from toolmend._errors import ToolmendError
from toolmend._stream import StreamParser
from toolmend._types import ToolSpec, specs_of
from toolmend.demo import llamacpp
from toolmend.parsers import DIALECTS
from toolmend.workbench.anatomy import dissect, names_in
from toolmend.workbench.batch import Outputs, convert_stream
from toolmend.workbench.check import check
from toolmend.workbench.convert import target_of
from toolmend.workbench.doctor import Server, examine, steps
from toolmend.workbench.doctor_report import doctor_page, doctor_terminal
from toolmend.workbench.questions import EMBEDDED, QUESTIONS
from toolmend.workbench.report import report_page, report_terminal
from toolmend.workbench.show import page, terminal

__all__ = ["check_data", "convert_data", "examine_server", "list_dialects", "parse_reply"]

_STDIN = "-"
_OLLAMA = "http://localhost:11434/v1"
_Html = Annotated[Path | None, typer.Option("--html", help="Write the same as one self-contained page.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to standard output instead.")]
_PLAIN_WIDTH = 120
_START = 8192  # how much of a file is looked at to tell whether it is text


def parse_reply(
    file: Annotated[str, typer.Argument(help="The raw reply; - is standard input.")] = _STDIN,
    tools: Annotated[Path | None, typer.Option(help="The tools offered: a JSON list, as in a request.")] = None,
    stream: Annotated[int, typer.Option(help="Show the events as they come, N characters at a time.", min=0)] = 0,
    as_json: _AsJson = False,
    html: _Html = None,
) -> None:
    """Show what a raw reply was taken for: text, reasoning, calls, and why something is no call.

    Reads one reply and prints it with its parts marked, their formats, their repairs and the reasons. Without --tools
    the names in the reply are taken as offered. The exit code is 1 if a call in it does not run, or there is none.
    """
    with _refusals():
        text = _text(file)
        offered = specs_of(_tools(tools)) if tools else None
        if stream:
            _show_events(text, offered, stream)
        anatomy = dissect(text, offered)
    if html:
        html.write_text(page(anatomy), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(anatomy.to_json(), ensure_ascii=False))
    elif not stream:
        terminal(_console(), anatomy)
    raise typer.Exit(0 if anatomy.calls and not anatomy.lost else 1)


def list_dialects(as_json: _AsJson = False) -> None:
    """List the formats that are read: their names, the models that write them and a sample of each."""
    rows = [{"name": d.name, "models": list(d.models), "sample": d.sample, "about": _about(d)} for d in DIALECTS]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("dialect", "models", "sample", show_lines=True)
    for dialect in DIALECTS:
        table.add_row(dialect.name, "\n".join(dialect.models), Text(dialect.sample))
    _console().print(table)


def check_data(
    file: Annotated[str, typer.Argument(help="JSONL; - is standard input.")] = _STDIN,
    as_json: _AsJson = False,
    html: _Html = None,
) -> None:
    """Count the calls in training or log data, and find the broken ones.

    Reads JSONL in OpenAI's, ShareGPT's or chat-template form and prints how many examples hold calls, in which formats,
    whether tools are declared and match, how calls and plain answers are balanced, and what is wrong in which line.
    The exit code is 1 if anything is wrong.
    """
    with _refusals(), _lines(file) as lines:
        report = check(lines)
    if html:
        html.write_text(report_page(report, Path(file).name), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(report.to_json(), ensure_ascii=False))
    else:
        report_terminal(_console(), report)
    raise typer.Exit(1 if report.troubles else 0)


def convert_data(
    source: Annotated[str, typer.Argument(metavar="IN", help="JSONL; - is standard input.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The converted records.")],
    to: Annotated[str, typer.Option(help="A dialect's name, harmony, or openai for structured tool_calls.")],
    jobs: Annotated[int, typer.Option(help="How many processes work.", min=1)] = 1,
    as_json: _AsJson = False,
) -> None:
    """Rewrite every call and tool result of training data in another format.

    Reads JSONL as `data check` does and writes records in the same order. Records that cannot be converted go unchanged
    to OUT.rejected.jsonl, their line numbers and the reasons to OUT.rejected.txt; the summary counts them. The exit
    code is 1 if there are any.
    """
    with _refusals():
        target_of(to)  # before any file is touched
        if source != _STDIN and target.exists() and target.samefile(source):
            raise ToolmendError(f"{target} would be written over while it is read; choose another OUT")
    size = 0 if source == _STDIN or not Path(source).is_file() else Path(source).stat().st_size
    with (
        _refusals(),
        _lines(source) as lines,
        _written(target) as (converted, rejected, reasons),
        Progress(TextColumn("converting"), BarColumn(), TimeRemainingColumn(), console=_errors()) as bar,
    ):
        task = bar.add_task("", total=size or None)
        outputs = Outputs(converted, rejected, reasons)
        summary = convert_stream(lines, outputs, to, jobs=jobs, progress=lambda done: bar.advance(task, done))
    if as_json:
        typer.echo(json.dumps(summary.to_json(), ensure_ascii=False))
    else:
        typer.echo(f"{summary.converted} converted, {summary.rejected} rejected")
        for reason, count in summary.reasons.most_common():
            typer.echo(f"{count:6d}  {reason}")
    raise typer.Exit(1 if summary.rejected else 0)


def examine_server(  # noqa: PLR0913, PLR0917 - a command's options
    base_url: Annotated[str, typer.Option(help="An OpenAI-compatible server; ends in /v1.")] = "",
    model: Annotated[str, typer.Option(help="The model's name on that server.")] = "",
    ollama: Annotated[str, typer.Option(help="The same as --model, at Ollama's usual address.")] = "",
    times: Annotated[int, typer.Option("--times", "-n", help="How often each question is asked.", min=1)] = 1,
    temperature: Annotated[float, typer.Option(help="How freely the model answers.", min=0)] = 0.0,
    timeout: Annotated[float, typer.Option(help="How long an answer may take, in seconds.", min=0.1)] = 300.0,
    api_key: Annotated[str, typer.Option(help="Sent as the bearer token.", envvar="OPENAI_API_KEY")] = "none",
    as_json: _AsJson = False,
    html: _Html = None,
) -> None:
    """Find out where a live server loses the calls of its model, and what to do about it.

    Asks a small graded set of questions, natively and with the tools in the prompt, and prints how often the right
    calls arrived natively, after toolmend had read the text, and prompted; then a verdict. Without options a tiny model
    is served by llama.cpp inside this process. The exit code is 1 if calls are lost without toolmend.
    """
    if ollama:
        base_url, model = base_url or _OLLAMA, ollama
    if bool(base_url) != bool(model):
        typer.echo("give both --base-url and --model, or neither", err=True)
        raise typer.Exit(2)
    with _live(base_url, model) as live:
        server = replace(live, api_key=api_key, temperature=temperature, timeout=timeout)
        questions = QUESTIONS if base_url else EMBEDDED
        with Progress(TextColumn("asking"), BarColumn(), TimeRemainingColumn(), console=_errors()) as bar:
            task = bar.add_task("", total=steps(questions, times))
            findings = examine(server, questions, times=times, progress=lambda: bar.advance(task))
    if html:
        html.write_text(doctor_page(findings), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(findings.to_json(), ensure_ascii=False))
    else:
        doctor_terminal(_console(), findings)
    kind = findings.verdict.kind
    raise typer.Exit(2 if kind == "unreachable" else 0 if kind == "native" else 1)


@contextmanager
def _live(base_url: str, model: str) -> Generator[Server]:
    """The server asked for, or the embedded one."""
    if base_url:
        yield Server(base_url=base_url.rstrip("/"), model=model)
        return
    if not llamacpp.available():
        typer.echo('The embedded model needs more packages: pip install "toolmend[demo]"', err=True)
        raise typer.Exit(2)
    with llamacpp.LlamaServer() as llama:
        yield Server(base_url=llama.base_url, model="tiny")


@contextmanager
def _refusals() -> Generator[None]:
    """Wrong use, said in one line."""
    try:
        yield
    except (ToolmendError, OSError, UnicodeDecodeError) as error:
        binary = isinstance(error, UnicodeDecodeError)
        typer.echo(f"this is no text in UTF-8: {error}" if binary else str(error), err=True)
        raise typer.Exit(2) from error


@contextmanager
def _written(target: Path) -> Generator[tuple[TextIO, TextIO, TextIO]]:
    """The three files of a conversion, which appear when all is done; nothing half stays behind."""
    names = [target.with_name(target.name + ending) for ending in ("", ".rejected.jsonl", ".rejected.txt")]
    parts = [name.with_name(name.name + ".part") for name in names]
    try:
        with ExitStack() as stack:
            files = [stack.enter_context(part.open("w", encoding="utf-8", errors="surrogateescape")) for part in parts]
            yield (files[0], files[1], files[2])
        for part, name in zip(parts, names, strict=True):
            if part.stat().st_size or name == target:
                part.replace(name)
            else:
                name.unlink(missing_ok=True)  # of an earlier conversion
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


@contextmanager
def _lines(file: str) -> Generator[TextIO]:
    if file == _STDIN:
        yield sys.stdin
        return
    with Path(file).open("rb") as start:
        if b"\0" in start.read(_START):
            raise ToolmendError(f"{file} is a binary file, no JSONL")
    # a line with a broken character is one bad line, not the end of all
    with Path(file).open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        yield lines


def _text(file: str) -> str:
    if file == _STDIN:
        return sys.stdin.read()
    return Path(file).read_bytes().decode()  # no line end is translated


def _tools(file: Path) -> list[Any]:
    try:
        tools: Any = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ToolmendError(f"{file} is no JSON: {error}") from error
    if not isinstance(tools, list):
        raise ToolmendError(f"{file} holds no list of tools")
    return tools  # pyright: ignore[reportUnknownVariableType] - each is checked later


def _show_events(text: str, offered: tuple[ToolSpec, ...] | None, size: int) -> None:
    tools = offered
    if tools is None:
        tools = tuple(ToolSpec(name=name, parameters={"type": "object"}) for name in names_in(text))
    parser = StreamParser(tools, stream_arguments=True)
    for at in range(0, len(text), size):
        for event in parser.feed(text[at : at + size]):
            typer.echo(f"{at:6d} {json.dumps({'event': type(event).__name__, **asdict(event)}, ensure_ascii=False)}")
    for event in parser.close():
        typer.echo(f"{len(text):6d} {json.dumps({'event': type(event).__name__, **asdict(event)}, ensure_ascii=False)}")


def _about(dialect: object) -> str:
    return (type(dialect).__doc__ or "").strip().split("\n")[0]


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_PLAIN_WIDTH)


def _errors() -> Console:
    return Console(stderr=True)
