"""The part of a script, or of a notebook's cells, that functions and classes of it need.

A worker cannot import a whole script, which would submit its jobs again. So the functions and
classes of a job are extracted, with the definitions, imports and constants that they use. The rest
of the script is not part of the job, nor of its identity.
"""

from __future__ import annotations

import ast
import builtins
import symtable
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.code.modules import absolute
from fitfleet.text import with_article

_PLAIN = (int, float, complex, str, bytes, bool, type(None))
_MAX_TEXT_LENGTH = 100_000
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def script_source(names: Sequence[str]) -> str:
    """Source of a module with these names of `__main__`.

    Raises SpecError for a name without source, or one that uses an object that cannot be sent.
    """
    return _Slice(sys.modules["__main__"]).source(names)


class _Slice:
    def __init__(self, main: ModuleType) -> None:
        self._main = main
        self._package = getattr(main, "__package__", None) or ""
        self._statements = list(_statements(main))
        self._taken: dict[str, ast.stmt] = {}

    def source(self, names: Sequence[str]) -> str:
        pending = [(name, name) for name in names]
        while pending:
            name, user = pending.pop()
            if name not in self._taken and self._is_needed(name):
                self._taken[name] = node = self._statement(name, user)
                pending += [(other, name) for other in _globals_of(node)]
        future = [n for n in self._statements if _is_future(n)]
        # Imports and constants first, the rest in the order of the script.
        order = {id(node): i for i, node in enumerate(self._statements)}
        body = sorted(
            {id(node): node for node in self._taken.values()}.values(),
            key=lambda node: order.get(id(node), -1),
        )
        return "\n".join(map(ast.unparse, [*future, *body])) + "\n"

    def _is_needed(self, name: str) -> bool:
        """Whether the name is defined by the script, neither a builtin nor undefined."""
        return name in vars(self._main) or not hasattr(builtins, name)

    def _statement(self, name: str, user: str) -> ast.stmt:
        definition: ast.stmt | None = self._last(name, _Definition)
        if definition is not None:
            return definition
        value = vars(self._main).get(name, _MISSING)
        assignment = _by_value(name, value)
        if assignment is not None:
            return ast.parse(assignment).body[0]
        bound: ast.stmt | None = self._last(name, ast.stmt)
        if bound is None:
            raise SpecError("code", _refusal(name, user, value))
        if isinstance(bound, ast.ImportFrom) and bound.level:
            module = absolute(bound, self._package)
            return ast.ImportFrom(module=module, names=bound.names, level=0)
        return bound

    def _last(self, name: str, kind: Any) -> Any:
        definitions = [n for n in self._statements if isinstance(n, kind) and name in _bound(n)]
        return definitions[-1] if definitions else None


_MISSING = object()


def _statements(main: ModuleType) -> Iterator[ast.stmt]:
    for text in _texts(main):
        yield from _flat(_parsed(text).body)


def _texts(main: ModuleType) -> list[str]:
    """The source of the script, or of the cells that a notebook has run."""
    path = getattr(main, "__file__", None)
    if path is not None:
        try:
            with open(path, encoding="utf-8") as file:
                return [file.read()]
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError("code", f"the script {path} cannot be read: {error}") from None
    cells = getattr(main, "In", None)
    if isinstance(cells, list):
        return [_without_magics(cell) for cell in cells if isinstance(cell, str)]
    raise SpecError(
        "code",
        "what is typed into a Python prompt has no source to send; write it into a module, and"
        " import it from there",
    )


def _without_magics(cell: str) -> str:
    lines = [line for line in cell.splitlines() if not line.lstrip().startswith(("%", "!"))]
    return "\n".join(lines)


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])  # a cell that failed


def _flat(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, also inside its `with`, `if`, `for` and `try` blocks."""
    for node in body:
        yield node
        if not isinstance(node, _Definition):
            for field in ("body", "orelse", "finalbody"):
                yield from _flat(getattr(node, field, []))
            for handler in getattr(node, "handlers", []):
                yield from _flat(handler.body)


def _bound(node: ast.stmt) -> set[str]:
    """Names that a simple statement defines in the module."""
    if isinstance(node, _Definition):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        targets = [node.target]
    return {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _globals_of(node: ast.stmt) -> set[str]:
    """Names of the module that the statement, or a function inside it, uses."""
    top = symtable.symtable(ast.unparse(node), "script", "exec")
    names = {s.get_name() for s in top.get_symbols() if s.is_referenced()}
    pending = list(top.get_children())
    while pending:
        table = pending.pop()
        pending += table.get_children()
        names |= {s.get_name() for s in table.get_symbols() if s.is_global()}
    return names - {"__name__", "__file__", "__doc__"} - _bound(node)


def _by_value(name: str, value: Any) -> str | None:
    """A statement that assigns the current value of `name`: an import or a constant."""
    if isinstance(value, ModuleType):
        if value.__name__ == name:
            return f"import {name}"
        return f"import {value.__name__} as {name}"
    if _is_plain(value):
        text = repr(value)
        is_exact = len(text) <= _MAX_TEXT_LENGTH and "inf" not in text and "nan" not in text
        return f"{name} = {text}" if is_exact else None
    module, origin = getattr(value, "__module__", None), getattr(value, "__name__", None)
    home = sys.modules.get(module) if isinstance(module, str) and module != "__main__" else None
    if home is not None and isinstance(origin, str) and getattr(home, origin, None) is value:
        return f"from {module} import {origin} as {name}"
    return None


def _is_plain(value: Any) -> bool:
    if type(value) in (tuple, list):
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(_is_plain(part) for pair in value.items() for part in pair)
    return type(value) in _PLAIN


def _refusal(name: str, user: str, value: Any) -> str:
    if name == user:
        return f"{name} is not defined at the top level of the script; move it there"
    kind = "a name that does not exist" if value is _MISSING else with_article(type(value).__name__)
    return (
        f"{user} uses {name} of the script, {kind} that cannot be sent; make it inside {user}, or"
        " move both into a module"
    )
