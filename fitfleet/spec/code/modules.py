"""The files of the user's modules and of those that they import; nothing is imported here."""

from __future__ import annotations

import ast
import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from fitfleet.errors import SpecError
from fitfleet.settings import Settings

_INSTALLED = ("site-packages", "dist-packages")


def roots(settings: Settings) -> list[Path]:
    """The folders of the user's modules: module_path, that of the script, the working directory,
    the rest of sys.path; without those of installed packages, which workers have themselves.
    """
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    places = [*settings.module_path, *([os.path.dirname(main)] if main else []), os.getcwd()]
    folders = dict.fromkeys(Path(place).absolute() for place in [*places, *sys.path])
    return [path for path in folders if path.is_dir() and not _is_installed(path)]


def _is_installed(path: Path) -> bool:
    standard = Path(sysconfig.get_path("stdlib"))
    is_own = path == _FITFLEET or _FITFLEET in path.parents
    return is_own or path == standard or standard in path.parents or _in_packages(path)


def _in_packages(path: Path) -> bool:
    return any(part in _INSTALLED for part in path.parts)


_FITFLEET = Path(__file__).resolve().parents[2]


def closure(entries: Sequence[str], script: str | None, settings: Settings) -> dict[str, bytes]:
    """The files of the modules, of what they import, and of the packages around them.

    `script` is source whose imports are added. A module that is in none of the folders is left
    out: it is installed, or only the workers have it.
    """
    places = roots(settings)
    pending = list(entries)
    if script is not None:
        pending += _imports(ast.parse(script), "")
    files: dict[str, bytes] = {}
    seen: set[str] = set()
    while pending:
        module = pending.pop()
        for name in _with_parents(module):
            if name in seen:
                continue
            seen.add(name)
            file = find(name, places)
            if file is not None:
                path, key = file
                files[key] = path.read_bytes()
                package = name if path.name == "__init__.py" else name.rpartition(".")[0]
                pending += _imports(_parsed(files[key], path), package)
    return files


def _with_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def find(module: str, places: Sequence[Path]) -> tuple[Path, str] | None:
    """(file of a module, its path for Python's import); None if it is not the user's."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in ("fitfleet", "__main__"):
        return None
    parts = module.split(".")
    for place in places:
        for tail in (f"{parts[-1]}/__init__.py", f"{parts[-1]}.py"):
            key = "/".join([*parts[:-1], tail])
            path = place / key
            if path.is_file() and not _in_packages(path.resolve()):
                return path, key
    return None


def _parsed(source: bytes, path: Path) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError) as error:
        line = f" line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise SpecError("code", f"{path}{line}: {getattr(error, 'msg', error)}") from None


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Imported names that may be modules, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = absolute(node, package)
            if start:
                yield start
            yield from (f"{start}.{a.name}".lstrip(".") for a in node.names if a.name != "*")


def absolute(node: ast.ImportFrom, package: str) -> str:
    """The module of a `from ... import`, its dots resolved."""
    if not node.level:
        return node.module or ""
    parts = package.split(".") if package else []
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else [])])


def extra(paths: Sequence[str], settings: Settings) -> dict[str, bytes]:
    """Files and folders that the user adds, by their path relative to the folders of modules."""
    places = roots(settings)
    files: dict[str, bytes] = {}
    for given in paths:
        path = next((p for p in (place / given for place in places) if p.exists()), None)
        if path is None:
            raise SpecError("code", f"{given!r}: no such file or folder here or beside the script")
        path = path.absolute()
        root = next((p for p in places if p in path.parents), path.parent)
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if _is_code(file, root):
                files[file.relative_to(root).as_posix()] = file.read_bytes()
    return files


def _is_code(file: Path, root: Path) -> bool:
    parts = file.relative_to(root).parts
    is_hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
    return not is_hidden and file.is_file() and not file.is_symlink()
