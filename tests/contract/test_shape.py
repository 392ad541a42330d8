"""The shape of the code: short functions, one idea a file. ruff holds the complexity."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "fitfleet"
# Tables written as code: schemas and views.
DATA = {"db/tables.py", "db/views.py"}


def _modules() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name not in DATA and not name.startswith("db/migrations/"):
            yield name, path.read_text(encoding="utf-8")


def _lines_by_function() -> dict[str, int]:
    """Lines of each body, its docstring not counted."""
    found = {}
    for name, text in _modules():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[min(1, len(node.body) - 1) if ast.get_docstring(node) else 0]
                found[f"{name}:{node.name}"] = (node.end_lineno or 0) - first.lineno + 1
    return found


def test_functions_are_short() -> None:
    lines = _lines_by_function()
    assert {name: count for name, count in lines.items() if count > 45} == {}
    assert statistics.median(lines.values()) <= 8


def test_files_hold_one_idea() -> None:
    counts = {name: len(text.splitlines()) for name, text in _modules()}
    assert {name: count for name, count in counts.items() if count > 300} == {}
