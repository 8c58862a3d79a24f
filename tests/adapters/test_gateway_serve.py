"""`toolmend serve` as a command, and what it tells uvicorn."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from typer.testing import CliRunner

from tests.adapters.gateway_scripts import Call, chat, completion, scripted
from toolmend.adapters.gateway import from_environment
from toolmend.cli import app

invoke = CliRunner().invoke
ASKED = 12


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_command_serves_until_it_is_stopped(workers: int, tmp_path: Path) -> None:
    async def script(call: Call) -> None:
        await call.whole(completion("Hello."))

    port = free_port()
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with scripted(script) as upstream:
        command = [sys.executable, "-m", "toolmend", "serve", "--upstream", upstream.url, "--port", str(port)]
        with subprocess.Popen(
            [*command, "--workers", str(workers)], stderr=subprocess.PIPE, text=True, env=env
        ) as served:
            try:
                with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                    wait_for(client, served)
                    for _ in range(ASKED):
                        client.headers["connection"] = "close"  # the next one may come to another process
                        reply = client.post("/v1/chat/completions", json=chat())
                        assert reply.json()["choices"][0]["message"]["content"] == "Hello."
                    counted = [told(client) for _ in range(8)]
                assert len([*tmp_path.iterdir()]) == (workers > 1)
            finally:
                served.send_signal(signal.SIGTERM)
                _, log = served.communicate(timeout=60)
    assert counted == [ASKED] * 8  # whichever process is asked
    lines = [line for line in log.splitlines() if "POST " in line]
    assert len(lines) == ASKED
    assert "'/v1/chat/completions' 200" in lines[0]
    assert not [*tmp_path.iterdir()]


def told(client: httpx2.Client) -> float:
    """The requests that `/metrics` tells of; the last one is counted just after it is answered."""
    deadline = time.monotonic() + 60
    pattern = re.compile(r'toolmend_requests_total{path="/v1/chat/completions",status="200"} (.+)')
    found = 0.0
    while found < ASKED and time.monotonic() < deadline:
        match = pattern.search(client.get("/metrics").text)
        found = float(match[1]) if match else 0.0
    return found


def wait_for(client: httpx2.Client, served: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert served.poll() is None
        try:
            if client.get("/healthz").status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    pytest.fail("the gateway does not answer")


def test_what_is_asked_for_reaches_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}
    monkeypatch.setattr(uvicorn, "run", lambda app, **how: told.update(how, app=app))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    log = logging.getLogger("toolmend")
    handlers, level = log.handlers[:], log.level
    try:
        more = [
            "--mode",
            "prompt",
            "--allow-host",
            "a.b",
            "--allow-origin",
            "https://c.d",
            "--allow-origin",
            "https://e",
        ]
        result = invoke(app, ["serve", "--upstream", "http://localhost:1", *more])
        assert result.exit_code == 0, result.output
        assert (told["host"], told["port"], told["workers"]) == ("127.0.0.1", 8811, 1)
        assert told["app"] == "toolmend.adapters.gateway:from_environment"
        assert told["h11_max_incomplete_event_size"] == 65536
        assert os.environ["TOOLMEND_HOSTS"] == "a.b"
        assert os.environ["TOOLMEND_ORIGINS"] == "https://c.d https://e"
        for _ in range(2):
            assert from_environment().routes
        assert len(log.handlers) == max(1, len(handlers))
    finally:
        log.handlers[:] = handlers
        log.setLevel(level)


@pytest.mark.parametrize("own", [True, False])
def test_processes_count_in_a_common_folder(own: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Path] = []
    monkeypatch.setattr(uvicorn, "run", lambda *_, **__: seen.append(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    if own:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(tmp_path)
    assert invoke(app, ["serve", "--upstream", "http://localhost:1", "--workers", "2"]).exit_code == 0
    assert (seen == [tmp_path]) == own
    assert seen[0].exists() == own
    assert ("PROMETHEUS_MULTIPROC_DIR" in os.environ) == own


@pytest.mark.parametrize(
    "arguments", [["nowhere"], ["http://x", "--mode", "often"], ["http://x", "--allow-origin", "x"]]
)
def test_a_mistake_is_said_and_nothing_served(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn, "run", lambda *_, **__: pytest.fail("served"))
    result = invoke(app, ["serve", "--upstream", *arguments])
    assert result.exit_code == 2
    assert "write for example" in result.output or "use 'auto'" in result.output


def test_without_its_packages_the_command_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "toolmend.adapters.gateway")
    result = invoke(app, ["serve", "--upstream", "http://localhost:1"])
    assert result.exit_code == 2
    assert "toolmend[gateway]" in result.output
