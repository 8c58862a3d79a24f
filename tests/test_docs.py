"""The README, the docs and the examples do what they say: every Python block and every example is run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from toolmend.demo.llamacpp import LlamaServer
from toolmend.demo.ollama_standin import OllamaStandin
from toolmend.workbench.convert import convert

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(code, id=f"{page.relative_to(ROOT)}-{n}")
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for n, code in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")), 1)
]


def run(*arguments: str, stdin: str | None = None, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("code", BLOCKS)
def test_the_blocks_run_as_they_stand(llama: LlamaServer, code: str) -> None:
    with OllamaStandin(tools="ChatOllama" not in code, upstream=llama.base_url) as ollama:
        servers = {"OLLAMA_BASE_URL": ollama.base_url, "OLLAMA_HOST": ollama.url, "OPENAI_BASE_URL": llama.base_url}
        run("-", stdin=code, OPENAI_API_KEY="none", **servers)


def test_the_readme_is_among_them() -> None:
    assert sum("README" in str(block.id) for block in BLOCKS) == 3


@pytest.mark.parametrize(
    ("example", "says"),
    [
        ("parse_text.py", "call:    read_file {'path': 'notes.txt', 'lines': 20}"),
        ("pydantic_ai_agent.py", "[read_file was called and read"),
        ("langgraph_thinker.py", "[get_object_positions was called for 'cube']"),
    ],
)
def test_examples_run_as_they_stand(llama: LlamaServer, example: str, says: str) -> None:
    assert says in run(f"examples/{example}")
    assert len((ROOT / "examples" / example).read_text().splitlines()) < 60


def test_the_changelog_has_the_version() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("library", ["ray", "datasets"])
def test_large_data_is_converted_as_on_the_command_line(library: str, tmp_path: Path) -> None:
    """The examples for other people's machinery; they need the group `corpora`."""
    pytest.importorskip(library, reason=f"{library} is not installed: its example is not run")
    parquet = pytest.importorskip("pyarrow.parquet")
    call = '<tool_call>{"name": "ping", "arguments": {}}</tool_call>'
    lines = [json.dumps({"n": n, "messages": [{"role": "assistant", "content": call}]}) for n in range(600)]
    lines[7] = "{"
    source, target = tmp_path / "in.jsonl", tmp_path / "out"
    source.write_text("\n".join(lines))
    run(f"examples/convert_with_{library}.py", str(source), str(target), "qwen3_coder", RAY_USAGE_STATS_ENABLED="0")
    table = parquet.read_table(target).to_pydict()
    assert table["text"] == [line if n == 7 else convert(line, "qwen3_coder") for n, line in enumerate(lines)]
    assert [n for n, reason in enumerate(table["reason"]) if reason] == [7]
