"""The command line; each command is a thin shell around a module of its own."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from toolmend.workbench.commands import (
    check_address,
    check_data,
    convert_data,
    examine_server,
    list_dialects,
    parse_reply,
    refusals,
)

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="markdown")


@app.callback()
def main() -> None:
    """Recovers tool calls that models write as text."""


@app.command()
def demo(
    base_url: Annotated[str, typer.Option(help="An OpenAI-compatible server of your own; ends in /v1.")] = "",
    model: Annotated[str, typer.Option(help="The model's name on that server.")] = "",
    api_key: Annotated[str, typer.Option(help="Sent as the bearer token.", envvar="OPENAI_API_KEY")] = "none",
    width: Annotated[int, typer.Option(help="Columns of the table when it is piped.", min=60)] = 140,
) -> None:
    """Run agents on a model that only writes text, bare and with toolmend, and show the difference.

    Without options a tiny model is served by llama.cpp inside this process. Prints a table to standard output;
    the exit code is 0 only if every question worked with toolmend.
    """
    with refusals():
        check_address(base_url, model)
    try:
        from openai import OpenAIError  # noqa: PLC0415 - not every installation has it

        from toolmend.demo.agents import Server  # noqa: PLC0415 - the frameworks take seconds to load
        from toolmend.demo.show import run  # noqa: PLC0415 - the same
    except ImportError as error:
        typer.echo(f'{error}\nThe demo needs more packages: pip install "toolmend[demo]"', err=True)
        raise typer.Exit(2) from error
    console = Console()
    if not console.is_terminal:
        console = Console(width=width)
    own = Server(base_url.rstrip("/"), model, api_key=api_key) if base_url else None
    try:
        worked = run(console, own)
    except OpenAIError as error:
        typer.echo(f"{base_url or 'the demo server'} does not answer: {error}", err=True)
        raise typer.Exit(2) from error
    raise typer.Exit(0 if worked else 1)


@app.command()
def serve(
    upstream: Annotated[str, typer.Option(help="The server to stand before, such as http://localhost:11434.")],
    port: Annotated[int, typer.Option(help="Where to listen.", min=0, max=65535)] = 8811,
    host: Annotated[
        str, typer.Option(help="The address to listen at; anything but loopback is open to others.")
    ] = "127.0.0.1",
    mode: Annotated[str, typer.Option(help="auto, native or prompt: whether tools are sent to the server.")] = "auto",
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A name by which clients may call this gateway; may be repeated.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Where web pages come from that may call it, such as http://localhost:3000; may be repeated."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="How many processes serve together.", min=1)] = 1,
) -> None:
    """Stand before a local server and answer as one with perfect tool support, for clients in any language.

    Point clients at http://localhost:8811/v1 (OpenAI's protocol) or http://localhost:8811 (Ollama's). One line a
    request goes to standard error; /metrics counts for Prometheus, /healthz says that it runs.
    """
    try:
        from toolmend.adapters.gateway import run  # noqa: PLC0415 - only this command needs it
    except ImportError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    asked_in = {"hosts": allow_host or [], "origins": allow_origin or []}
    with refusals():
        run(upstream, host=host, port=port, mode=mode, workers=workers, **asked_in)


data = typer.Typer(no_args_is_help=True, help="Training and log data: how its calls are written, and rewriting them.")
app.add_typer(data, name="data")
app.command("parse")(parse_reply)
app.command("doctor")(examine_server)
app.command("dialects")(list_dialects)
data.command("check")(check_data)
data.command("convert")(convert_data)
