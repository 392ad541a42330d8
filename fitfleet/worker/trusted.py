"""The only door to a user's code in a worker: modules that its settings trust."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.trust import is_trusted


def _add_paths(settings: Settings) -> None:
    for folder in settings.module_path:
        if folder not in sys.path:
            sys.path.append(folder)


def import_all(settings: Settings) -> None:
    """Imports every trusted module, so that the Keras classes it registers are known."""
    for name in settings.trusted_modules:
        _imported(name, settings, "trusted_modules")


def function(path: str, settings: Settings, place: str) -> Callable[..., Any]:
    """The function `module:name` of a trusted module. Raises SpecError naming `place`."""
    module_name, _, name = path.partition(":")
    if not is_trusted(module_name, settings):
        raise SpecError(
            place,
            f"{path!r}: the module {module_name!r} is not trusted by this worker; "
            "add it to the setting trusted_modules",
        )
    found = getattr(_imported(module_name, settings, place), name, None)
    if not callable(found):
        raise SpecError(place, f"{path!r}: {module_name} has no function {name!r}")
    return found  # type: ignore[no-any-return]


def _imported(name: str, settings: Settings, place: str) -> ModuleType:
    _add_paths(settings)
    try:
        return importlib.import_module(name)
    except Exception as error:  # a user's module may raise anything
        raise SpecError(
            place,
            f"this worker cannot import {name} ({type(error).__name__}: {error}); "
            "mend it, or set module_path to its folder",
        ) from error
