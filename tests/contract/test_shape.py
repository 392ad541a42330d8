"""Functions and files stay small. Their complexity is ruff's to hold (C901 in pyproject.toml)."""

from __future__ import annotations

import ast
import statistics
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 45
MAX_MEDIAN_LINES = 8
FOLDERS = ("fitfleet", "docs", "benchmarks")


def sources() -> Iterator[tuple[str, str]]:
    """Each module's path and text. A migration is the record of a schema, not a program."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if "/migrations/versions/" not in name:
                yield name, path.read_text(encoding="utf-8")


def is_text(node: ast.AST) -> bool:
    is_constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return is_constant or isinstance(node, ast.JoinedStr)


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines below the signature, without the docstring and the inside of multi-line texts (SQL)."""
    body = function.body
    is_documented = isinstance(body[0], ast.Expr) and is_text(body[0].value)
    body = body[1:] if is_documented and len(body) > 1 else body
    texts = {
        (node.lineno, node.end_lineno or node.lineno)
        for statement in body
        for node in ast.walk(statement)
        if is_text(node)
    }
    inside = {line for first, last in texts for line in range(first + 1, last)}
    return (function.end_lineno or 0) - body[0].lineno + 1 - len(inside)


def functions() -> dict[str, int]:
    """`path:line name` -> its lines."""
    return {
        f"{name}:{node.lineno} {node.name}": lines_of(node)
        for name, text in sources()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_no_file_is_longer_than_300_lines() -> None:
    lengths = {name: len(text.splitlines()) for name, text in sources()}
    assert len(lengths) > 300
    assert {name: n for name, n in lengths.items() if n > MAX_FILE_LINES} == {}


def test_no_function_is_longer_than_45_lines() -> None:
    lengths = functions()
    assert {name: n for name, n in lengths.items() if n > MAX_FUNCTION_LINES} == {}
    assert statistics.median(lengths.values()) <= MAX_MEDIAN_LINES


def test_the_lines_of_a_function_are_those_of_its_code() -> None:
    (function,) = ast.parse(
        'def f(\n    a,\n):\n    """A\n    B"""\n    x = """\n1\n2\n"""\n    y = 1'
    ).body
    assert isinstance(function, ast.FunctionDef)
    assert lines_of(function) == 3


def test_test_files_have_names_of_their_own() -> None:
    """Their folders are no packages: pytest takes two files of one name for one module."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(names) > 200
    assert [name for name, count in names.items() if count > 1] == []
