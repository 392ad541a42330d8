"""Which Python modules of the user a worker may import (setting trusted_modules)."""

from __future__ import annotations

from fitfleet.settings import Settings


def is_trusted(module: str, settings: Settings) -> bool:
    """Whether the module, or a package it lies in, is named in `settings.trusted_modules`."""
    return any(module == name or module.startswith(f"{name}.") for name in settings.trusted_modules)
