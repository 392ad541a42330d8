"""The snapshot of all the code that a job runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.code.modules import closure, extra
from fitfleet.spec.code.names import SCRIPT, Named
from fitfleet.spec.code.script import script_source
from fitfleet.spec.code.snapshot import Snapshot


def collect(
    names: Sequence[Named],
    settings: Settings,
    *,
    more: Sequence[str] = (),
    with_script: bool = True,
) -> Snapshot | None:
    """The sources of these modules and of what they import, and the files in `more`.

    None if all are in installed packages, which workers have installed themselves. Without
    `with_script` names of `__main__` are left out: they are not those of this script. Raises
    SpecError for source that cannot be read or parsed, or is too large.
    """
    of_script = (
        sorted({name.name for name in names if name.module == SCRIPT}) if with_script else []
    )
    script = script_source(of_script) if of_script else None
    files = extra(more, settings)
    modules = {name.module for name in names if name.module != SCRIPT}
    modules |= {_module(path) for path in files if path.endswith(".py")}
    files |= closure(sorted(modules), script, settings)
    if script is not None:
        files[f"{SCRIPT}.py"] = script.encode()
    return Snapshot(files) if files else None


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def paths_of(code: Any) -> list[str]:
    """The argument `code` of submit as a list of paths. SpecError."""
    if code is None:
        return []
    given = [code] if isinstance(code, str) or hasattr(code, "__fspath__") else code
    if not isinstance(given, list | tuple):
        raise SpecError("code", f"{code!r:.60} is not a list of files and folders")
    paths = [part.__fspath__() if hasattr(part, "__fspath__") else part for part in given]
    for part in paths:
        if not isinstance(part, str) or not part:
            raise SpecError("code", f"{part!r:.60} is not the path of a file or folder")
    return paths


def check_inside(paths: Sequence[str]) -> None:
    """Raises SpecError for a path outside of this folder: a job file may add only files inside."""
    for path in paths:
        if os.path.isabs(path) or ".." in PurePath(path).parts:
            raise SpecError("code", f"{path!r} of a job file does not lie in the working directory")
