"""Whose fault an error is, by the code that raised it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from types import FunctionType
from typing import Any

import pytest

from fitfleet.states import FailureClass
from fitfleet.worker.recording import error_origin
from fitfleet.worker.recording.failures import classify

USER, INTERNAL = FailureClass.USER, FailureClass.INTERNAL


class UnknownError(Exception):
    """As TensorFlow names it."""


def calls(modules: tuple[str, ...], error: Exception) -> Callable[[], None]:
    """A function of the first module that calls one of the next, the last of which raises."""

    def fail() -> None:
        raise error

    def call() -> None:
        inner()

    *outer, last = modules
    inner: Any = FunctionType(fail.__code__, {"__name__": last}, closure=fail.__closure__)
    for name in reversed(outer):
        globals_ = {"__name__": name}
        cell = (lambda value: (lambda: value).__closure__)(inner)
        inner = FunctionType(call.__code__, globals_, closure=cell)
    return inner


RUN, FIT = "fitfleet.worker.run", "fitfleet.worker.engines.single_job.keras_fit"
SAVE, KERAS = "fitfleet.worker.state.checkpoint", "keras.src.trainers.trainer"


@pytest.mark.parametrize(
    ("modules", "error", "expected"),
    [
        ((RUN,), ValueError("x"), INTERNAL),
        ((RUN, SAVE), TypeError("x"), INTERNAL),
        ((RUN, SAVE, "numpy"), ValueError("x"), INTERNAL),
        ((RUN, SAVE, KERAS), ValueError("x"), INTERNAL),
        ((RUN, FIT), ValueError("x"), INTERNAL),
        ((RUN, FIT, KERAS), ValueError("x"), USER),
        ((RUN, FIT, KERAS), RuntimeError("x"), USER),
        ((RUN, FIT, KERAS, "tensorflow.python.eager"), UnknownError("x"), INTERNAL),
        ((RUN, FIT, KERAS, "fitfleet.worker.callbacks.user_callbacks"), ValueError("x"), INTERNAL),
        ((RUN, FIT, KERAS, "my_layers"), RuntimeError("x"), USER),
        ((RUN, FIT, KERAS, "my_layers", "numpy"), RuntimeError("x"), USER),
        ((RUN, FIT, KERAS, "my_layers", KERAS), UnknownError("x"), USER),
    ],
)
def test_an_error_is_the_users_when_their_code_or_spec_raised_it(
    modules: tuple[str, ...], error: Exception, expected: FailureClass
) -> None:
    with pytest.raises(type(error)) as raised:
        calls(modules, error)()
    assert classify(raised.value)[0] is expected


@pytest.mark.parametrize("module", sorted(error_origin._RUN_THE_SPEC))
def test_each_module_that_runs_a_spec_is_there(module: str) -> None:
    """A module that was moved would be listed in vain, and users' errors be tried three times."""
    spec = find_spec(module)
    assert spec is not None and spec.submodule_search_locations is None  # no folder
