"""The only imports of a user's code in a worker: the job's own snapshot, and trusted modules."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.code.names import named
from fitfleet.spec.job import JobSpec
from fitfleet.spec.module_trust import is_trusted
from fitfleet.worker.user_code import loading
from fitfleet.worker.user_code.readable_classes import make_readable


def import_named(spec: JobSpec, settings: Settings) -> None:
    """Imports the modules that a job names, so that Keras knows their functions and classes.

    Those that are not registered by themselves are registered as the job names them.
    """
    import keras

    registered = keras.saving.get_custom_objects()
    for reference in named(spec):
        if reference.registered:
            _check(reference.module, f"{reference.module}:{reference.name}", settings, "code")
            module = _imported(reference.module, settings, "code")
            make_readable(getattr(module, reference.name, None))
            if reference.registered == f"{reference.module}>{reference.name}" and hasattr(
                module, reference.name
            ):
                registered[reference.registered] = getattr(module, reference.name)


def function(path: str, settings: Settings, place: str) -> Callable[..., Any]:
    """The function `module:name` of a trusted module. Raises SpecError naming `place`."""
    module_name, _, name = path.partition(":")
    _check(module_name, path, settings, place)
    module = _imported(module_name, settings, place)
    target = getattr(module, name, None)
    if not callable(target):
        raise SpecError(place, f"{path!r}: {module_name} has no function {name!r}")
    if isinstance(target, FunctionType | BuiltinFunctionType | type):
        origin = target.__module__
        if origin not in (module_name, module.__name__):  # such as os.system, imported there
            _check(origin, f"{path} of {origin}", settings, place)
    return target  # type: ignore[no-any-return]


def _check(module: str, shown: str, settings: Settings, place: str) -> None:
    if not (is_trusted(module, settings) or loading.holds(module)):
        raise SpecError(
            place,
            f"{shown!r}: the module {module!r} is not trusted by this worker; "
            "add it to the setting trusted_modules",
        )


def _imported(name: str, settings: Settings, place: str) -> ModuleType:
    if not loading.holds(name):
        _add_paths(settings)
    try:
        return loading.module(name)
    except Exception as error:  # a user's module may raise anything
        raise SpecError(place, _reason(name, error)) from error


def _reason(name: str, error: Exception) -> str:
    text = f"importing {name} failed ({type(error).__name__}: {error})"
    if isinstance(error, ModuleNotFoundError):
        return f"{text}; install it on the workers, or send it along with code=[...]"
    return text


def _add_paths(settings: Settings) -> None:
    for folder in settings.module_path:
        if folder not in sys.path:
            sys.path.append(folder)
