"""Reads the corpus: model text and what becomes of it, one YAML file a dialect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

__all__ = ["CORPUS", "DIALECT_FILES", "TOOLS", "load"]

CORPUS = Path(__file__).parent
DIALECT_FILES = sorted(path.stem for path in CORPUS.glob("[!_]*.yaml"))


class _Loader(yaml.SafeLoader):
    """YAML that minds a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found = super().construct_mapping(node, deep)
        assert len(found) == len(node.value), f"a key is given twice{node.start_mark}"
        return found


def load(name: str) -> Any:
    """What a file holds."""
    return yaml.load((CORPUS / f"{name}.yaml").read_text(encoding="utf-8"), _Loader)


TOOLS: dict[str, list[Any]] = load("_tools")
