"""Which Python modules of the user a worker may import (setting trusted_modules)."""

from __future__ import annotations

from fitfleet.errors import SpecError
from fitfleet.settings import Settings


def is_trusted(module: str, settings: Settings) -> bool:
    """Whether the module, or a package that contains it, is in `settings.trusted_modules`."""
    return any(module == name or module.startswith(f"{name}.") for name in settings.trusted_modules)


def check_trusted(path: str, settings: Settings, place: str) -> None:
    """SpecError naming `place` unless the module of `module:function` is trusted.

    Called before a module is imported that a file, a row of the database or a message names.
    """
    module = path.partition(":")[0]
    if not is_trusted(module, settings):
        raise SpecError(
            place,
            f"{path} is run only if {module!r} is in the setting trusted_modules"
            f" (FITFLEET_TRUSTED_MODULES, or --trust {module})",
        )
