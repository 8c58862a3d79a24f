"""Real tools in a temporary folder: a file is really read, a command really run.

A call is written down before it runs, so that a demo can say what was called. Commands are a short list of readers,
run without a shell: the demo also runs against models whose replies nobody scripted.
"""

from __future__ import annotations

import ast
import operator
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["Workshop"]

_FILES = {
    "README.md": "# Birds\n\nCounts birds.\n",
    "main.py": 'def count(birds):\n    return len(birds)\n\n\ndef main():\n    print(count(["owl", "kite"]))\n',
    "notes.txt": "Buy seeds. Mend the fence.\n",
}
_COMMANDS = ("cat", "grep", "head", "ls", "wc")
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda left, right: left / right,
}


class Workshop:
    """Tools and the folder they work in, for as long as the `with` block runs.

    Attributes:
        calls: what was called, in order: name and arguments.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._folder: Path | None = None

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="toolmend-demo-"))
        for name, text in _FILES.items():
            (self._folder / name).write_text(text, encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    @property
    def folder(self) -> Path:
        """The temporary folder."""
        if self._folder is None:
            raise RuntimeError("the workshop is closed: use it in a `with` block")
        return self._folder

    def read_file(self, path: str) -> str:
        """Read a text file and return what is in it."""
        self.calls.append(("read_file", {"path": path}))
        try:
            return (self.folder / path).read_text(encoding="utf-8")[:4000]
        except OSError as error:
            return f"cannot read {path}: {error.strerror}"

    def run_command(self, command: str) -> str:
        """Run a command (cat, grep, head, ls or wc) in the working folder and return its output."""
        self.calls.append(("run_command", {"command": command}))
        words = shlex.split(command)
        if not words or words[0] not in _COMMANDS:
            return f"only these commands are allowed: {', '.join(_COMMANDS)}"
        done = subprocess.run(words, cwd=self.folder, capture_output=True, text=True, timeout=10, check=False)
        return (done.stdout + done.stderr)[:4000]

    def calculate(self, expression: str) -> str:
        """Calculate an arithmetic expression, such as 2 * (3 + 4)."""
        self.calls.append(("calculate", {"expression": expression}))
        return f"{_value(ast.parse(expression, mode='eval').body):g}"

    def gateway(self, action: str) -> str:
        """Ask the gateway for something, such as config.get."""
        self.calls.append(("gateway", {"action": action}))
        return '{"port": 18789, "bind": "loopback"}'

    def get_object_positions(self, object_name: str) -> str:
        """Get the positions of all objects of a kind that the camera sees."""
        self.calls.append(("get_object_positions", {"object_name": object_name}))
        return "[[0.3, 0.1, 0.05]]"


def _value(node: ast.expr) -> float:
    """The value of an arithmetic expression, read node by node and never evaluated as code."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left), _value(right))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case _:
            raise ValueError("only numbers and + - * / are allowed")
