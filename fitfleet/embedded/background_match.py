"""Whether a running background fleet equals the one that a script would start itself."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import fitfleet
from fitfleet.settings import Settings

# What TensorFlow, its libraries and Python read from the environment.
_SWITCHES = ("CUDA_", "DNNL_", "KERAS_", "LD_", "MKL_", "NVIDIA_", "OMP_", "ONEDNN_", "PYTHON")
_MORE_SWITCHES = ("TF_", "XLA_", "FITFLEET_FAULT")


def setup_hash(settings: Settings, workers: int) -> str:
    """A hash of all that its workers depend on: settings, versions, code, environment.

    A worker imports a module once, so the files of trusted modules are part of it.
    """
    modules = settings.trusted_modules
    given = dataclasses.asdict(
        settings.replace(broker_url="", module_path=settings.module_path if modules else ())
    )
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.startswith((*_SWITCHES, *_MORE_SWITCHES))
    }
    parts: list[Any] = [given, workers, environment, sys.executable, sys.prefix, sys.version]
    parts += [fitfleet.__version__, _stamps(Path(fitfleet.__file__).parent.rglob("*.py"))]
    parts += [_stamps(_files(name, settings.module_path)) for name in modules]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _files(module: str, module_path: tuple[str, ...]) -> Iterator[Path]:
    """The module's files, and those beside it, which it may import."""
    module_spec = PathFinder.find_spec(module.partition(".")[0], [*module_path, *sys.path])
    if module_spec is None:
        return
    folders = list(module_spec.submodule_search_locations or ())
    for folder in folders:
        yield from Path(folder).rglob("*.py")
    if module_spec.origin and not folders:
        yield from Path(module_spec.origin).parent.glob("*.py")


def _stamps(files: Iterator[Path]) -> list[tuple[str, int, int]]:
    stamps = ((str(path), path.stat()) for path in sorted(files))
    return [(path, status.st_mtime_ns, status.st_size) for path, status in stamps]
