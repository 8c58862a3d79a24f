"""Real clients, each a program of its own, against the gateway before real servers.

The Python packages that do not go together with ours are in an environment of their own, which `scripts/test` makes;
what Node needs is installed by npm into a cache. What is not there is skipped and says so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.gateway_scripts import served
from tests.servers import MlxServer
from toolmend.adapters.gateway import gateway
from toolmend.demo.llamacpp import LlamaServer
from toolmend.demo.ollama_standin import OllamaStandin

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OTHERS = ROOT / ".venv-clients" / "bin" / "python"
NODE = ROOT / ".cache" / "node-clients"

OURS = ["openai_sync", "openai_async", "openai_helpers", "ollama_client", "chat_ollama"]
THEIRS = ["openai_agents", "llama_index_like", "smol", "lite"]
SCRIPTS = ["openai.mjs", "ai_sdk.mjs", "pi_ai.mjs"]

DONE = "Done. The task is finished."
EXPECTED = {
    "one": [[["get_weather", {"city": "Paris"}]], DONE],
    "parallel": [[["get_weather", {"city": "Paris"}], ["get_weather", {"city": "Rome"}]], DONE],
    "streamed": [[["get_weather", {"city": "Bern"}]], DONE],
    "plain": [[], "Hello! No tool is needed for that."],
    "openclaw": [[["gateway", {"action": "config.get"}]], DONE],
    "csv": [[], "n,square\n1,1\n2,4\n3,9"],
}


@pytest.fixture(scope="module")
def before_llama(llama: LlamaServer) -> str:
    return llama.base_url


@pytest.fixture(scope="module")
def before_mlx(mlx_server: MlxServer) -> str:
    return mlx_server.base_url


@pytest.fixture
def before_ollama(ollama_rejecting: OllamaStandin) -> str:
    return ollama_rejecting.url


SERVERS = ["before_llama", "before_mlx"]


def ask(server: str, *command: str | Path) -> None:
    with served(gateway(server)) as url:
        done = subprocess.run(
            [*command, url, "default_model"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "NO_PROXY": "*", "OPENAI_API_KEY": "none"},
        )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == EXPECTED


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("client", OURS)
def test_python(client: str, server: str, request: pytest.FixtureRequest) -> None:
    ask(request.getfixturevalue(server), sys.executable, HERE / f"{client}.py")


@pytest.mark.parametrize("client", ["openai_sync", "ollama_client"])
def test_before_an_ollama_that_refuses_tools(client: str, before_ollama: str) -> None:
    ask(before_ollama, sys.executable, HERE / f"{client}.py")


def test_without_the_gateway_nothing_is_called(llama: LlamaServer) -> None:
    command = [sys.executable, HERE / "openai_sync.py", llama.base_url.removesuffix("/v1"), "tiny"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert [calls for calls, _ in json.loads(done.stdout).values()] == [[]] * len(EXPECTED)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("client", THEIRS)
def test_other_python(client: str, server: str, request: pytest.FixtureRequest) -> None:
    if not OTHERS.exists():
        pytest.skip(f"{OTHERS.relative_to(ROOT)} does not exist: scripts/test makes it")
    ask(request.getfixturevalue(server), OTHERS, HERE / f"{client}.py")


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("client", SCRIPTS)
def test_node(client: str, server: str, node_modules: Path, request: pytest.FixtureRequest) -> None:
    ask(request.getfixturevalue(server), "node", node_modules / client)
