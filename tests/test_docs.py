"""The README, the docs and the examples do what they say.

Every block of every page is run or checked, by its language; a language that nobody checks fails. Servers are real ones
in the place of those that the pages name. A page's Python runs with no other packages than the page says to install.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.main import get_command

import toolmend
from tests.adapters.gateway_scripts import served
from tests.servers import MlxServer
from tests.test_corpus import Case, taken_apart
from toolmend import DIALECTS
from toolmend.adapters.gateway import gateway
from toolmend.cli import app
from toolmend.demo.llamacpp import LlamaServer
from toolmend.demo.ollama_standin import OllamaStandin
from toolmend.workbench.convert import convert

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)(?P=fence)$", re.MULTILINE | re.DOTALL
)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("*.md")))
}


@dataclass(frozen=True)
class Block:
    """A block of code on a page, and the number that it has among those of its language there."""

    page: str
    language: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}-{self.language}-{self.number}"


def found() -> Iterator[Block]:
    for page, markdown in PAGES.items():
        numbers: dict[str, int] = {}
        for match in FENCE.finditer(markdown):
            language = match["language"]
            numbers[language] = numbers.get(language, 0) + 1
            body = re.sub(f"^{match['indent']}", "", match["body"], flags=re.MULTILINE)
            yield Block(page, language, numbers[language], body)


BLOCKS = list(found())


def blocks(language: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == language], ids=str)


def block(page: str, language: str, number: int = 1) -> Block:
    [one] = [b for b in BLOCKS if (b.page, b.language, b.number) == (page, language, number)]
    return one


def test_every_language_is_checked() -> None:
    """Whoever adds one adds what runs it."""
    assert {block.language for block in BLOCKS} == {"python", "sh", "text", "json", "yaml", "js"}
    assert sum(block.page == "README.md" for block in BLOCKS) == 8


def run(*command: str, stdin: str | None = None, code: int = 0, cwd: Path = ROOT, **environment: str) -> str:
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        timeout=300,
        check=False,
    )
    assert done.returncode == code, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    return done.stdout


# ---- Python


def test_blocks_of_python_are_found() -> None:
    assert len([block for block in BLOCKS if block.language == "python"]) >= 20


@blocks("python")
def test_python_runs_as_it_stands(llama: LlamaServer, block: Block) -> None:
    python(block.page, block.text, llama)


def python(page: str, code: str, llama: LlamaServer) -> str:
    """What a page's code prints, with no packages but those that the page says to install."""
    with OllamaStandin(tools="ChatOllama" not in code, upstream=llama.base_url) as ollama:
        servers = {"OLLAMA_BASE_URL": ollama.base_url, "OLLAMA_HOST": ollama.url, "OPENAI_BASE_URL": llama.base_url}
        hiding = f"HIDDEN = {sorted(not_installed(page))}\n{HIDING}"
        return run(sys.executable, "-", stdin=f"{hiding}\n{code}", OPENAI_API_KEY="none", **servers)


def test_the_quick_start_runs_on_mlx_too(mlx_server: MlxServer) -> None:
    code = block("docs/quickstart.md", "python", 3).text.replace("the-model", mlx_server.model)
    assert "OpenAIChatModel" in code
    said = run(sys.executable, "-", stdin=code, OPENAI_API_KEY="none", OPENAI_BASE_URL=mlx_server.base_url)
    assert said == "Done. The task is finished.\n"


HIDING = """
import sys

class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, *where):
        return None if name.partition(".")[0] in HIDDEN else self.finder.find_spec(name, *where)

sys.meta_path[:] = map(Hiding, sys.meta_path)
"""


def not_installed(page: str) -> set[str]:
    """The packages that whoever follows a page does not have; none are told of where it says nothing."""
    wanted = [
        requirement
        for command in in_blocks(page) + in_text(page)
        if command[:2] == ["pip", "install"]
        for requirement in command[2:]
        if requirement != "toolmend[demo]"  # for the command line; it brings every framework along
    ]
    installed = closure(wanted or ["toolmend[all]"])
    return {package for package, owners in PACKAGES.items() if installed.isdisjoint(map(canonicalize_name, owners))}


PACKAGES = packages_distributions()


def closure(wanted: Iterable[str]) -> set[str]:
    """The names of distributions and of all that they need."""
    waiting = [Requirement(requirement) for requirement in wanted]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        for extra in requirement.extras or {""}:
            name = canonicalize_name(requirement.name)
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            needed = map(Requirement, distribution(name).requires or ())
            waiting += [one for one in needed if one.marker is None or one.marker.evaluate({"extra": extra})]
    return {name for name, _ in seen}


# ---- commands


def lines_of(text: str) -> list[list[str]]:
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]


def in_blocks(page: str) -> list[list[str]]:
    return [command for b in BLOCKS if b.page == page and b.language == "sh" for command in lines_of(b.text)]


def in_text(page: str) -> list[list[str]]:
    text = FENCE.sub("", PAGES[page])
    return [shlex.split(code) for code in INLINE.findall(text) if code.split()[0] in KNOWN and " " in code]


PING = '<tool_call>{"name": "ping", "arguments": {}}</tool_call>'
TOOLS = [{"type": "function", "function": {"name": "ping", "parameters": {"type": "object", "properties": {}}}}]
CODES = {"parse": 0, "doctor": 1, "data": 0}  # the doctor's patients are ill


@dataclass
class Place:
    """Where commands are run, and the servers there."""

    folder: Path
    ollama: OllamaStandin
    llama: LlamaServer

    def address(self, word: str) -> str:
        word = word.replace("http://localhost:11434", self.ollama.url)
        return word.replace("http://localhost:8080/v1", self.llama.base_url)


@pytest.fixture
def place(tmp_path: Path, llama: LlamaServer, ollama_accepting: OllamaStandin) -> Place:
    (tmp_path / "reply.txt").write_text(PING)
    (tmp_path / "tools.json").write_text(json.dumps(TOOLS))
    (tmp_path / "train.jsonl").write_text(json.dumps({"messages": [{"role": "assistant", "content": PING}]}))
    return Place(tmp_path, ollama_accepting, llama)


def run_toolmend(words: list[str], place: Place) -> str:
    arguments = [place.address(word) for word in words[1:]]
    if arguments[0] == "serve":
        return serve(arguments)
    if "--ollama" in arguments:
        arguments += ["--base-url", place.ollama.base_url]
    said = run(sys.executable, "-m", "toolmend", *arguments, code=CODES[arguments[0]], cwd=place.folder)
    written = [arguments[n + 1] for n, word in enumerate(arguments) if word == "--html"]
    written += arguments[3:4] if arguments[:2] == ["data", "convert"] else []
    assert said
    assert all((place.folder / name).stat().st_size for name in written)
    return said


def serve(arguments: list[str]) -> str:
    """`toolmend serve` runs until it is stopped; that it serves is tested where the gateway is."""
    command = [sys.executable, "-m", "toolmend", *arguments, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        said = next((line for line in process.stderr if "running on" in line), "")
        process.terminate()
        process.communicate(timeout=60)
    assert said
    return said


def run_script(words: list[str], place: Place) -> str:
    """What stands in `scripts/`; setting up an environment is left to those who call it."""
    script = ROOT / words[0]
    run("sh", "-n", str(script))
    assert os.access(script, os.X_OK)
    if script.name == "demo":
        assert script.read_text().rstrip().endswith('exec "$RUN/toolmend" demo "$@"')
        arguments = [place.address(word) for word in words[1:]]
        # A server that only plays the model's part knows none of the questions that others ask.
        return run(sys.executable, "-m", "toolmend", "demo", *arguments, OPENAI_API_KEY="none")
    assert script.name == "test", "no other script is known"  # it is what runs this
    return ""


def install(words: list[str], place: Place) -> str:
    """What is to be installed is there under this name, and has these extras."""
    assert words[1] == "install"
    for requirement in map(Requirement, words[2:]):
        there = distribution(requirement.name).metadata
        assert requirement.extras <= set(there.get_all("Provides-Extra") or ())
    if words[2].startswith("toolmend["):
        assert Requirement(words[2]).extras <= PROJECT["project"]["optional-dependencies"].keys()
    return ""


def npm(words: list[str], place: Place) -> str:
    wanted = json.loads((ROOT / "tests" / "clients" / "node" / "package.json").read_text())
    assert words[1] == "install"
    assert set(words[2:]) <= wanted["dependencies"].keys()
    return ""


def export(words: list[str], place: Place) -> str:
    """The names are those under which the page's Python finds its servers."""
    names = {word.partition("=")[0] for word in words[1:]}
    assert names <= {"OLLAMA_BASE_URL", "OLLAMA_HOST", "OPENAI_BASE_URL", "OPENAI_API_KEY"}
    return ""


def benchmark(words: list[str], place: Place) -> str:
    """They take minutes."""
    compile((ROOT / words[1]).read_text(encoding="utf-8"), words[1], "exec")
    return ""


def elsewhere(words: list[str], place: Place) -> str:
    """Servers of others: each with the reason why this is not the command that is run."""
    reasons = {
        "mlx_lm.server": "the tests start it as a module, on the tiny model",
        "llama-server": "the tests have its code in their process, on the tiny model",
        "vllm": "it needs gigabytes, and a graphics card to be of use",
    }
    assert reasons[words[0]]
    return ""


KNOWN: dict[str, Callable[[list[str], Place], str]] = {
    "toolmend": run_toolmend,
    "scripts/demo": run_script,
    "scripts/test": run_script,
    "pip": install,
    "npm": npm,
    "export": export,
    "python": benchmark,
    "mlx_lm.server": elsewhere,
    "llama-server": elsewhere,
    "vllm": elsewhere,
}


@blocks("sh")
def test_commands_run_as_they_stand(block: Block, place: Place) -> None:
    commands = lines_of(block.text)
    assert commands
    for words in commands:
        KNOWN[words[0]](words, place)


def options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_text_exist(page: str, place: Place) -> None:
    """They are cut short, so they are not run; but each part of them is known."""
    for words in in_text(page):
        if words[0] != "toolmend":
            KNOWN[words[0]](words, place)
            continue
        command: Any = get_command(app)
        rest = words[1:]
        while rest and hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        assert {word for word in rest if word.startswith("-") and word != "-"} <= options(command)


def test_the_gateways_options_are_all_told() -> None:
    table = PAGES["docs/gateway.md"].partition("## Options")[2].partition("\n```")[0]
    command: Any = get_command(app)
    assert set(re.findall(r"`(--[\w-]+)", table)) == options(command.commands["serve"])


def test_every_set_up_of_a_client_is_tested() -> None:
    table = PAGES["docs/gateway.md"].partition("## Set-up of clients")[2].partition("\n\nEach")[0]
    clients = "".join(path.read_text() for path in (ROOT / "tests" / "clients").rglob("*.*") if path.suffix != ".pyc")
    names = re.findall(r"(\w+)\((?:\w+=|\{|name)", table)
    assert len(names) >= 9
    assert [name for name in names if f"{name}(" not in clients] == []


# ---- what is shown


PICTURES = {"docs/how-it-works.md", "docs/gateway.md"}  # of what goes where


def same(text: str) -> str:
    """Shown output without what differs from run to run."""
    return re.sub(r"127\.0\.0\.1:\d+|llama\.cpp b[\w-]+", "…", text).strip()


@blocks("text")
def test_what_is_shown_is_what_comes(block: Block, place: Place) -> None:
    if block.page in PICTURES:
        return
    prompt, _, shown = block.text.partition("\n")
    assert prompt.startswith("$ ")
    words = shlex.split(prompt[2:], comments=True)
    if words[0] == "toolmend":
        assert same(run_toolmend(words, place)) == same(shown)
        return
    assert words == ["python", "agent.py"]
    agent = next(b.text for b in BLOCKS if b.page == block.page and b.language == "python")
    if "FallbackToolModel" not in prompt:
        agent = re.sub(r"FallbackToolModel\((OllamaModel\(.*?\))\)", r"\1", agent)
    assert python(block.page, agent, place.llama) == shown


def test_the_picture_names_what_there_is() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    classes = set(re.findall(r"^class (\w+)", code, re.MULTILINE))
    picture = block("docs/how-it-works.md", "text").text
    assert set(re.findall(r"\b[A-Z]\w+", picture)) <= classes


# ---- data


@blocks("json")
def test_a_configuration_is_whole(block: Block) -> None:
    """`tests/clients` drives a client with it."""
    config = json.loads(block.text)
    provider, _, model = config["agents"]["defaults"]["model"]["primary"].partition("/")
    assert [entry["id"] for entry in config["models"]["providers"][provider]["models"]] == [model]


@blocks("yaml")
def test_the_tutorials_cases_hold(block: Block) -> None:
    names: dict[str, Any] = {}
    exec(next(b.text for b in BLOCKS if b.page == block.page and b.language == "python"), names)
    tools = [{"type": "function", "function": {"name": "find_book", "parameters": {}}}]
    for entry in yaml.safe_load(block.text):
        case = Case("double", **entry, tools=tools)
        for pieces in ([case.text], case.text):
            assert taken_apart(case, pieces, dialects=(names["Double"](), *DIALECTS)) == case.expected()


@blocks("js")
def test_javascript_runs_as_it_stands(block: Block, llama: LlamaServer, node_modules: Path, tmp_path: Path) -> None:
    with served(gateway(llama.base_url)) as url:
        script = node_modules / f"{tmp_path.name}.mjs"
        script.write_text(block.text.replace("http://localhost:8811", url))
        try:
            assert run("node", str(script), NO_PROXY="*").splitlines() == [
                "sunny in Paris",
                "Done. The task is finished.",
            ]
        finally:
            script.unlink()


# ---- the rest


@pytest.mark.parametrize(
    ("example", "says"),
    [
        ("parse_text.py", "call:    read_file {'path': 'notes.txt', 'lines': 20}"),
        ("pydantic_ai_agent.py", "[read_file was called and read"),
        ("langgraph_thinker.py", "[get_object_positions was called for 'cube']"),
    ],
)
def test_examples_run_as_they_stand(llama: LlamaServer, example: str, says: str) -> None:
    assert says in run(sys.executable, f"examples/{example}")
    assert len((ROOT / "examples" / example).read_text().splitlines()) < 60


def test_the_api_page_has_all_names() -> None:
    told = set(re.findall(r"^::: (?:\w+\.)+(\w+)$", PAGES["docs/api.md"], re.MULTILINE))
    types = {"DIALECTS", "Event", "Tool", "ToolChoice"}
    assert {*toolmend.__all__, "FallbackToolModel", "FallbackTools", "FallbackToolChatModel"} - told == types


def test_the_changelog_has_the_version() -> None:
    assert f"## {PROJECT['project']['version']}" in PAGES["CHANGELOG.md"]


@pytest.mark.parametrize("library", ["ray", "datasets"])
def test_large_data_is_converted_as_on_the_command_line(library: str, tmp_path: Path) -> None:
    """The examples for other people's machinery; they need the group `corpora`."""
    pytest.importorskip(library, reason=f"{library} is not installed: its example is not run")
    parquet = pytest.importorskip("pyarrow.parquet")
    lines = [json.dumps({"n": n, "messages": [{"role": "assistant", "content": PING}]}) for n in range(600)]
    lines[7] = "{"
    source, target = tmp_path / "in.jsonl", tmp_path / "out"
    source.write_text("\n".join(lines))
    example = f"examples/convert_with_{library}.py"
    run(sys.executable, example, str(source), str(target), "qwen3_coder", RAY_USAGE_STATS_ENABLED="0")
    table = parquet.read_table(target).to_pydict()
    assert table["text"] == [line if n == 7 else convert(line, "qwen3_coder") for n, line in enumerate(lines)]
    assert [n for n, reason in enumerate(table["reason"]) if reason] == [7]
