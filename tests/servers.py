"""Fixtures that are real servers: llama.cpp in this process, mlx-lm beside it, an Ollama stand-in.

A server that needs a package which is not installed skips the test and says so.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from toolmend.demo import llamacpp
from toolmend.demo.llamacpp import LlamaServer
from toolmend.demo.ollama_standin import OllamaStandin
from toolmend.demo.templates import TEMPLATES

MLX_START_SECONDS = 240


@dataclass(frozen=True)
class MlxServer:
    """A running `mlx_lm.server`, and the model name that it answers to."""

    base_url: str
    model: str = "default_model"


@contextmanager
def _llama(template: str = "plain", *, jinja: bool = True) -> Iterator[LlamaServer]:
    if not llamacpp.available():
        pytest.skip("xllamacpp is not installed: no llama.cpp server to test against")
    with LlamaServer(template=template, jinja=jinja) as server:
        yield server


@pytest.fixture(scope="session")
def llama() -> Iterator[LlamaServer]:
    """Drops tools without a word: its template does not mention them."""
    with _llama() as server:
        yield server


@pytest.fixture(scope="session")
def llama_strict() -> Iterator[LlamaServer]:
    """Refuses the role `tool`: its template raises."""
    with _llama("strict") as server:
        yield server


@pytest.fixture(scope="session")
def llama_turns() -> Iterator[LlamaServer]:
    """Refuses every role but user and assistant, and these unless they alternate."""
    with _llama("turns") as server:
        yield server


@pytest.fixture(scope="session")
def llama_hermes() -> Iterator[LlamaServer]:
    """Shows tools to the model and parses calls in `<tool_call>` tags."""
    with _llama("hermes") as server:
        yield server


@pytest.fixture(scope="session")
def llama_coder() -> Iterator[LlamaServer]:
    """Shows tools to the model and parses calls written as tagged parameters."""
    with _llama("coder") as server:
        yield server


@pytest.fixture(scope="session")
def llama_nojinja() -> Iterator[LlamaServer]:
    """Answers every request that has tools with status 500."""
    with _llama(jinja=False) as server:
        yield server


@pytest.fixture(scope="session")
def mlx_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed weights in the form mlx-lm reads."""
    for package in ("mlx_lm", "mlx", "gguf"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: no mlx-lm server to test against")
    from training.to_hf import write_folder  # noqa: PLC0415 - needs gguf

    folder = tmp_path_factory.mktemp("mlx") / "tiny"
    write_folder(llamacpp.MODEL_PATH, folder)
    return folder


@contextmanager
def _mlx(checkpoint: Path, template: str) -> Iterator[MlxServer]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = checkpoint.parent / "home"
    # Without the folder `hub`, GET /v1/models has an empty body.
    (home / "hub").mkdir(parents=True, exist_ok=True)
    log = checkpoint.parent / f"{template}.log"
    command = [
        sys.executable, "-m", "mlx_lm", "server", "--model", str(checkpoint), "--port", str(port),
        "--chat-template", TEMPLATES[template],
    ]  # fmt: skip
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home)}
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process,
    ):
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", process, log)
            yield MlxServer(f"http://127.0.0.1:{port}/v1")
        finally:
            process.terminate()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + MLX_START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    pytest.fail(f"mlx_lm.server did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def mlx_server(mlx_checkpoint: Path) -> Iterator[MlxServer]:
    """mlx-lm with the plain template: text stays text."""
    with _mlx(mlx_checkpoint, "plain") as server:
        yield server


@pytest.fixture(scope="session")
def mlx_hermes(mlx_checkpoint: Path) -> Iterator[MlxServer]:
    """mlx-lm with the hermes template: parses calls, swallows broken ones, hangs up on some."""
    with _mlx(mlx_checkpoint, "hermes") as server:
        yield server


def _upstream(request: pytest.FixtureRequest) -> str | None:
    """The real model where it can run; the recorded replies say the same."""
    if not llamacpp.available():
        return None
    server: LlamaServer = request.getfixturevalue("llama")
    return server.base_url


@pytest.fixture
def ollama_rejecting(request: pytest.FixtureRequest) -> Iterator[OllamaStandin]:
    """An Ollama stand-in whose model does not support tools."""
    with OllamaStandin(tools=False, upstream=_upstream(request)) as standin:
        yield standin


@pytest.fixture
def ollama_accepting(request: pytest.FixtureRequest) -> Iterator[OllamaStandin]:
    """An Ollama stand-in that takes tools and leaves the calls in the text."""
    with OllamaStandin(tools=True, upstream=_upstream(request)) as standin:
        yield standin
