"""The only door to a user's code in a worker: modules that its settings trust."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.settings import Settings


def _add_paths(settings: Settings) -> None:
    for folder in settings.module_path:
        if folder not in sys.path:
            sys.path.append(folder)


def is_trusted(module: str, settings: Settings) -> bool:
    """Whether `module`, or a package above it, is in the setting `trusted_modules`."""
    return any(module == name or module.startswith(name + ".") for name in settings.trusted_modules)


def import_all(settings: Settings) -> None:
    """Imports every trusted module, so that the Keras classes it registers are known."""
    _add_paths(settings)
    for name in settings.trusted_modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise SpecError(
                "trusted_modules",
                f"this worker cannot import {name} ({error}); set module_path to its folder",
            ) from error


def function(path: str, settings: Settings, place: str) -> Callable[..., Any]:
    """The function `module:name` of a trusted module. Raises SpecError naming `place`."""
    module_name, _, name = path.partition(":")
    if not is_trusted(module_name, settings):
        raise SpecError(
            place,
            f"{path!r}: the module {module_name!r} is not trusted by this worker; "
            "add it to the setting trusted_modules",
        )
    _add_paths(settings)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise SpecError(
            place,
            f"{path!r}: this worker cannot import {module_name} ({error}); "
            "set module_path to its folder",
        ) from error
    found = getattr(module, name, None)
    if not callable(found):
        raise SpecError(place, f"{path!r}: {module_name} has no function {name!r}")
    return found  # type: ignore[no-any-return]
