"""Calling the user's function that builds a model, where its job is submitted."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.code.modules import find, roots
from fitfleet.spec.job import Builder
from fitfleet.spec.module_trust import check_trusted, is_trusted
from fitfleet.spec.parts import hyperparameters
from fitfleet.text import named_kind


def call(called: Builder, settings: Settings, *, is_scripted: bool) -> tuple[Any, bool]:
    """(the model that the builder returns, whether a worker may call it again).

    The model is None if the module of the builder is only on the workers.
    """
    module_name, _, function_name = called.path.partition(":")
    if not is_scripted:
        check_trusted(called.path, settings, "model")
    shown = _shown_call(called)
    with _import_path(settings), _imported_anew(settings):
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if is_trusted(module_name, settings):
                return None, True
            raise SpecError(
                "model",
                f"{error.name} of builder {called.path} is not installed here, and "
                f"{module_name} is not in trusted_modules, so no worker would run it",
            ) from None
        except Exception as error:  # custom code may raise anything
            raise SpecError(
                "model", f"importing {module_name} failed: {shown_error(error)}"
            ) from error
        function = getattr(module, function_name, None)
        if not callable(function):
            raise SpecError("model", f"{module_name} has no function {function_name}")
        try:
            model, unknown = hyperparameters.build(function, called)
        except Exception as error:  # custom code may raise anything
            raise SpecError("model", f"{shown} raised {shown_error(error)}") from error
    if unknown:
        warnings.warn(
            f"{called.path} asks here for {', '.join(unknown)}, which it did not define when its"
            " space was explored; the default is used; ask for it in each case, before any `if`",
            stacklevel=2,
        )
    if isinstance(model, dict | str) or hasattr(model, "to_layer"):
        return model, False
    if not hasattr(model, "get_config"):
        raise SpecError("model", f"{shown} returned {named_kind(model)}, not a Keras model")
    is_scripts = is_scripted and settings.code_trust == "scripts"
    return model, is_scripts or is_trusted(module_name, settings)


@contextmanager
def _imported_anew(settings: Settings) -> Iterator[None]:
    """A context after which imported modules of the user are dropped, so that edits take effect."""
    before = set(sys.modules)
    try:
        yield
    finally:
        places = [str(place) for place in roots(settings)]
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            is_here = isinstance(file, str) and any(file.startswith(p) for p in places)
            if is_here and find(name, [Path(place) for place in places]) is not None:
                del sys.modules[name]


@contextmanager
def _import_path(settings: Settings) -> Iterator[None]:
    """A context with the working directory, the script's folder and module_path in sys.path."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    folders = [os.path.abspath(p) for p in settings.module_path] + [os.getcwd()]
    if main:
        folders.append(os.path.dirname(os.path.abspath(main)))
    added = [folder for folder in folders if folder not in sys.path]
    sys.path[:0] = added
    importlib.invalidate_caches()
    try:
        yield
    finally:
        for folder in added:
            if folder in sys.path:
                sys.path.remove(folder)


def _shown_call(called: Builder) -> str:
    given = called.arguments if called.hyperparameters is None else called.hyperparameters
    arguments = ", ".join(f"{name}={value!r}" for name, value in given.items())
    return f"{called.path}({arguments})"


def shown_error(error: BaseException) -> str:
    """The class of the error and the first line of its message."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
