"""The house rules: who may import whom, what is public, how large a module may grow, which formats are listed."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import toolmend
from tests.corpus import DIALECT_FILES
from toolmend import DIALECTS

ROOT = Path(toolmend.__file__).parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}
PARSERS = [name for name in MODULES if name.startswith("parsers.")]
ADAPTERS = [name for name in MODULES if name.startswith("adapters.")]
CORE = [name for name in MODULES if "." not in name and name.startswith("_") and name not in ("__init__", "__main__")]

# Who stands further up is imported by whoever stands further down, never the reverse. `_body` means all `_…_body`.
ORDER = [
    *("_errors", "_frozen", "_record", "_types", "_events"),
    "_beginnings",
    *("_arithmetic", "_json_strings", "_json", "_blocks"),
    "_coerce",
    *("_names", "_toolbox"),
    *("_element_tags", "_elements"),
    *("_body", "_quotation"),
    *("_deltas", "_element_deltas", "_dialect", "_openers", "_ledger"),
    "_foreign",
    *("_refusal", "_forced", "_flat"),
    "parsers",
    "_stream",
    *("_turn", "_swallowed", "_preflight"),
    "_recovery",
    "__init__",
    "adapters",
    *("demo", "workbench", "cli", "__main__"),
]


def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imports(module: str) -> set[str]:
    """What a module imports, in full; of `from a import b` both, since `b` may be a module."""
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def inside(module: str) -> set[str]:
    """The modules of ours that a module imports."""
    ours = {name.removeprefix("toolmend.") for name in imports(module) if name.startswith("toolmend.")}
    return ours & MODULES.keys() | ({"__init__"} if "toolmend" in imports(module) else set())


def room(module: str) -> str:
    first = module.partition(".")[0]
    return "_body" if first.endswith("_body") else first


def test_every_core_module_has_a_place_in_the_order() -> None:
    assert {room(module) for module in MODULES} <= set(ORDER)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_import_order(module: str) -> None:
    for other in inside(module):
        within = room(module) == room(other)
        assert within or ORDER.index(room(other)) < ORDER.index(room(module)), f"{module} imports {other}"


@pytest.mark.parametrize("module", PARSERS)
def test_a_parser_imports_no_other_parser_but_what_they_share(module: str) -> None:
    for other in inside(module) & {*PARSERS}:
        assert other.startswith("parsers._"), f"{module} imports {other}"


@pytest.mark.parametrize("module", ADAPTERS)
def test_an_adapter_imports_no_other_public_adapter(module: str) -> None:
    for other in inside(module) & {*ADAPTERS}:
        own = module.startswith(other.replace("adapters.", "adapters._"))
        assert own or other.startswith("adapters._"), f"{module} imports {other}"


@pytest.mark.parametrize("module", [*CORE, *PARSERS, "parsers", "__init__"])
def test_the_core_imports_no_framework(module: str) -> None:
    roots = {name.split(".")[0] for name in imports(module)}
    assert roots <= sys.stdlib_module_names | {"toolmend", "regex"}


def test_to_import_the_package_loads_no_framework() -> None:
    code = (
        "import sys; before = set(sys.modules); import toolmend; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) - sys.stdlib_module_names == {"toolmend", "regex"}


@pytest.mark.parametrize(
    ("adapter", "framework", "says"),
    [
        ("pydantic_ai", "pydantic_ai", 'pip install "toolmend[pydantic-ai]"'),
        ("langchain", "langchain_core", 'pip install "toolmend[langchain]"'),
        ("gateway", "starlette", 'pip install "toolmend[gateway]"'),
        ("httpx", "httpx", "toolmend.adapters.httpx2"),
        ("httpx2", "httpx2", "toolmend.adapters.httpx"),
    ],
)
def test_an_adapter_without_its_framework_says_what_to_do(adapter: str, framework: str, says: str) -> None:
    code = f"import sys; sys.modules[{framework!r}] = None; import toolmend.adapters.{adapter}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith("ImportError: ")
    assert says in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_what_a_check_is_told_to_ignore_has_a_reason(module: str) -> None:
    for number, line in enumerate(MODULES[module].read_text(encoding="utf-8").splitlines(), 1):
        if re.search(r"# (noqa|pyright: ignore|type: ignore)", line):
            assert re.search(r"# (noqa: [A-Z0-9, ]+|pyright: ignore\[\w+\]) - \w", line), f"line {number}: {line}"


def public_names(module: str) -> set[str]:
    """What a module defines without an underscore."""
    found: set[str] = set()
    for node in tree(module).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return {name for name in found if not name.startswith("_")}


def exported(module: str) -> list[str]:
    [names] = [
        ast.literal_eval(node.value)
        for node in tree(module).body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]
    ]
    return names


@pytest.mark.parametrize("module", [*CORE, *PARSERS, "parsers"])
def test_a_module_exports_what_it_defines(module: str) -> None:
    names = exported(module)
    assert public_names(module) <= set(names)
    loaded = importlib.import_module(f"toolmend.{module}")
    assert all(hasattr(loaded, name) for name in names)


def test_the_package_exports_its_public_names() -> None:
    public = {name for name in vars(toolmend) if not name.startswith("_") and f"toolmend.{name}" not in sys.modules}
    assert public == set(toolmend.__all__) == set(exported("__init__"))
    assert len(toolmend.__all__) == len(set(toolmend.__all__))


def test_every_format_is_listed() -> None:
    listed = {type(dialect).__module__ for dialect in DIALECTS}
    assert listed == {f"toolmend.{module}" for module in PARSERS if not module.startswith("parsers._")}
    for dialect in DIALECTS:
        assert type(dialect).__module__ == f"toolmend.parsers.{dialect.name}"


def test_every_format_has_a_corpus_file() -> None:
    assert sorted(dialect.name for dialect in DIALECTS) == DIALECT_FILES


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_opens_with_its_plan_and_stays_small(module: str) -> None:
    assert ast.get_docstring(tree(module))
    lines = len(MODULES[module].read_text(encoding="utf-8").splitlines())
    assert lines <= (150 if module in PARSERS and not module.startswith("parsers._") else 350)


@pytest.mark.parametrize("module", [*CORE, *PARSERS, *ADAPTERS])
def test_functions_stay_small(module: str) -> None:
    for node in ast.walk(tree(module)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (node.end_lineno or 0) - (body[0].lineno if body else node.lineno) + 1
            assert lines <= 40, f"{node.name} has {lines} lines"
