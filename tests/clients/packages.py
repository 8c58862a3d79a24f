"""A fixture with the packages of Node that clients need, installed by npm into a cache."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NODE = ROOT / ".cache" / "node-clients"


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Where the packages of Node are, and copies of our programs beside them."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not installed: no JavaScript clients to test with")
    NODE.mkdir(parents=True, exist_ok=True)
    wanted = (HERE / "node" / "package.json").read_text()
    done = NODE / "package.json"
    if not done.exists() or done.read_text() != wanted:
        with_it = NODE / "new"
        shutil.rmtree(with_it, ignore_errors=True)
        with_it.mkdir()
        (with_it / "package.json").write_text(wanted)
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
        installed = subprocess.run(command, cwd=with_it, capture_output=True, text=True, timeout=300, check=False)
        if installed.returncode:
            pytest.skip(f"npm cannot install the JavaScript clients: {installed.stderr[-300:]}")
        shutil.rmtree(NODE / "node_modules", ignore_errors=True)
        (with_it / "node_modules").rename(NODE / "node_modules")
        done.write_text(wanted)
    for script in (HERE / "node").glob("*.mjs"):
        shutil.copy(script, NODE)
    said = (ROOT / "docs" / "gateway.md").read_text(encoding="utf-8")
    [config] = [block for block in re.findall(r"```json\n(.*?)```", said, re.DOTALL) if "providers" in block]
    (NODE / "openclaw.json").write_text(config)
    return NODE
