"""Optuna, imported when it is asked for, without its own lines in the log."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fitfleet.errors import MissingExtraError


@contextmanager
def quiet_optuna() -> Iterator[Any]:
    """Optuna, without its lines for every trial and its notes on experimental parts."""
    optuna = load_optuna()
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield optuna
    finally:
        optuna.logging.set_verbosity(level)


def load_optuna() -> Any:
    """The Optuna module. MissingExtraError says how to install it."""
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("optuna", "search") from None
    return optuna
