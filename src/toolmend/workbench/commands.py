"""The workbench's commands.

Each reads a file or standard input, has ``--json``, and exits with 0, 1 or 2: nothing wrong, something wrong with what
was read, wrong use.
"""

from __future__ import annotations

import codecs
import json
import os
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TextIO
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from toolmend._errors import ToolmendError
from toolmend._events import Event
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

__all__ = ["check_address", "check_data", "convert_data", "examine_server", "list_dialects", "parse_reply", "refusals"]

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
    With --stream each line is an event and how many characters had come by then, with --json as one object.
    """
    with refusals(html):
        with _lines(file) as lines:
            text = b"".join(lines).decode()  # no line end is translated
        offered = specs_of(_tools(tools)) if tools else None
        anatomy = dissect(text, offered)
        _write(html, page(anatomy))
        if stream:
            for at, event in _events(text, offered, stream):
                _echo({"at": at, **event}) if as_json else _echo(event, f"{at:6d} ")
        elif as_json:
            _echo(anatomy.to_json())
        else:
            terminal(_console(), anatomy)
    raise typer.Exit(0 if anatomy.calls and not anatomy.lost else 1)


def list_dialects(as_json: _AsJson = False) -> None:
    """List the formats that are read: their names, the models that write them and a sample of each."""
    rows = [{"name": d.name, "models": list(d.models), "sample": d.sample, "about": _about(d)} for d in DIALECTS]
    if as_json:
        _echo(rows)
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
    with refusals(html):
        with _lines(file) as lines:
            report = check(map(_decoded, lines))
        _write(html, report_page(report, "standard input" if file == _STDIN else Path(file).name))
        if as_json:
            _echo(report.to_json())
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
    with refusals(target):
        target_of(to)  # before any file is touched
        if source != _STDIN and target.exists() and target.samefile(source):
            raise ToolmendError(f"{target} would be written over while it is read; choose another OUT")
        size = 0 if source == _STDIN or not Path(source).is_file() else Path(source).stat().st_size
        with (
            _lines(source) as lines,
            _written(target) as (converted, rejected, reasons),
            _progress("converting") as bar,
        ):
            task = bar.add_task("", total=size or None)
            outputs = Outputs(converted, rejected, reasons)
            read = map(_decoded, lines)
            summary = convert_stream(read, outputs, to, jobs=jobs, progress=lambda done: bar.advance(task, done))
        if as_json:
            _echo(summary.to_json())
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
    with refusals(html):
        check_address(base_url, model)
        with _live(base_url, model) as live, _progress("asking") as bar:
            server = replace(live, api_key=api_key, temperature=temperature, timeout=timeout)
            questions = QUESTIONS if base_url else EMBEDDED
            task = bar.add_task("", total=steps(questions, times))
            findings = examine(server, questions, times=times, progress=lambda: bar.advance(task))
        _write(html, doctor_page(findings))
        if as_json:
            _echo(findings.to_json())
        else:
            doctor_terminal(_console(), findings)
    kind = findings.verdict.kind
    raise typer.Exit(2 if kind == "unreachable" else 0 if kind == "native" else 1)


def check_address(base_url: str, model: str) -> None:
    """Refuse an address that no server can have, before it is asked.

    Raises:
        ToolmendError: it is half given, or no address.
    """
    if bool(base_url) != bool(model):
        raise ToolmendError("give both --base-url and --model, or neither")
    if base_url and not (urlsplit(base_url).scheme in ("http", "https") and urlsplit(base_url).hostname):
        raise ToolmendError(f"{base_url} is no address of a server; one looks like http://localhost:8080/v1")


@contextmanager
def _live(base_url: str, model: str) -> Generator[Server]:
    """The server asked for, or the embedded one."""
    if base_url:
        yield Server(base_url=base_url.rstrip("/"), model=model)
        return
    if not llamacpp.available():
        raise ToolmendError('The embedded model needs more packages: pip install "toolmend[demo]"')
    with llamacpp.LlamaServer() as llama:
        yield Server(base_url=llama.base_url, model="tiny")


@contextmanager
def refusals(written: Path | None = None) -> Generator[None]:
    """Wrong use, said in one line; a file that cannot be written is told before the work is done."""
    try:
        if written and written.exists() and not written.is_file():
            raise ToolmendError(f"{written} is no file")
        if written and not os.access(written.parent, os.W_OK):
            raise ToolmendError(f"{written} cannot be written: its folder is not there, or closed to you")
        yield
    except BrokenPipeError:
        raise  # whoever reads has had enough, as `head` does
    except (ToolmendError, OSError, UnicodeDecodeError) as error:
        if isinstance(error, UnicodeDecodeError):
            said = f"this is no text in UTF-8: {error}"
        elif isinstance(error, OSError) and error.strerror:
            said = ": ".join(str(part) for part in (error.filename, error.strerror) if part)
        else:
            said = str(error)
        typer.echo(said, err=True)
        raise typer.Exit(2) from error


@contextmanager
def _written(target: Path) -> Generator[tuple[TextIO, TextIO, TextIO]]:
    """The three files of a conversion, which appear when all is done; nothing half stays behind."""
    target = target.resolve()  # not a link to it
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
def _lines(file: str) -> Generator[Iterable[bytes]]:
    """The lines of a file or of standard input, as they are."""
    with nullcontext(sys.stdin.buffer) if file == _STDIN else Path(file).open("rb") as lines:
        start = lines.readlines(_START)
        if any(b"\0" in line for line in start):
            raise ToolmendError(f"{'standard input' if file == _STDIN else file} is a binary file, no text in UTF-8")
        if start:
            start[0] = start[0].removeprefix(codecs.BOM_UTF8)
        yield chain(start, lines)


def _decoded(line: bytes) -> str:
    """A line with a broken character is one bad line, not the end of all."""
    return line.decode("utf-8", "surrogateescape")


def _tools(file: Path) -> list[Any]:
    try:
        tools: Any = json.loads(file.read_bytes())
    except ValueError as error:
        raise ToolmendError(f"{file} is no JSON: {error}") from error
    if not isinstance(tools, list):
        raise ToolmendError(f"{file} holds no list of tools")
    return tools  # pyright: ignore[reportUnknownVariableType] - each is checked later


def _events(text: str, offered: tuple[ToolSpec, ...] | None, size: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """The events of a reply that comes in pieces, each behind the characters that were read before it."""
    tools = offered
    if tools is None:
        tools = tuple(ToolSpec(name=name, parameters={"type": "object"}) for name in names_in(text))
    parser = StreamParser(tools, stream_arguments=True)
    for at in range(0, len(text), size):
        for event in parser.feed(text[at : at + size]):
            yield min(at + size, len(text)), _told(event)
    for event in parser.close():
        yield len(text), _told(event)


def _told(event: Event) -> dict[str, Any]:
    return {"event": type(event).__name__, **asdict(event)}


def _about(dialect: object) -> str:
    return (type(dialect).__doc__ or "").strip().split("\n")[0]


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_PLAIN_WIDTH)


def _progress(doing: str) -> Progress:
    """A bar on a terminal; nothing of it is left behind."""
    console = Console(stderr=True)
    columns = (TextColumn(doing), BarColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _echo(value: object, before: str = "") -> None:
    typer.echo(before + json.dumps(value, ensure_ascii=False))


def _write(file: Path | None, html: str) -> None:
    if file:
        file.write_text(html, encoding="utf-8", errors="backslashreplace")
