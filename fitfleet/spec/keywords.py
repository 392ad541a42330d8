"""Keywords of a submission that are one number, flag or name, and what each may be."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeGuard

from fitfleet.spec.sizes import size_bytes

_MAX_STEPS_PER_EXECUTION = 1000
_MAX_EPOCHS = 10_000_000
_DTYPE_POLICIES = ("float32", "float64", "mixed_float16", "mixed_bfloat16", "bfloat16", "float16")


def is_integer(value: Any) -> TypeGuard[int]:
    """An int, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """A finite int or float, and no bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# Each returns what the value should be, or an empty text if it is valid.
Check = Callable[[Any], str]


def _integer(minimum: int, maximum: int, words: str) -> Check:
    return lambda value: "" if is_integer(value) and minimum <= value <= maximum else words


def _positive(value: Any) -> str:
    return "" if is_integer(value) and 1 <= value < 2**31 else "a positive integer below 2**31"


def _frequency(value: Any) -> str:
    epochs = value if isinstance(value, list) else [value]
    is_frequency = bool(epochs) and len(epochs) <= _MAX_EPOCHS and not any(map(_positive, epochs))
    return "" if is_frequency else "a positive integer, or a list of epochs counted from 1"


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else "true or false"


def _fraction(value: Any) -> str:
    is_fraction = is_number(value) and 0 <= value < 1
    return "" if is_fraction else "a fraction from 0 to below 1"


def _seconds(value: Any) -> str:
    return "" if is_number(value) and value > 0 else "a positive number of seconds"


def _one_of(*known: Any) -> Check:
    words = f"one of {', '.join(map(str, known))}"
    return lambda value: (
        "" if any(value is choice or value == choice for choice in known) else words
    )


def _text(value: Any) -> str:
    is_name = isinstance(value, str) and 1 <= len(value) <= 128 and value.isprintable()
    return "" if is_name else "a name of 1 to 128 characters"


CHECKS: dict[str, Check] = {
    "batch_size": _positive,
    "epochs": _integer(1, _MAX_EPOCHS, "a positive integer"),
    "initial_epoch": _integer(0, _MAX_EPOCHS, "an integer of 0 or more"),
    "validation_batch_size": _positive,
    "validation_steps": _positive,
    "validation_freq": _frequency,
    "steps_per_epoch": _positive,
    "gradient_accumulation_steps": _positive,
    "steps_per_execution": _integer(
        1, _MAX_STEPS_PER_EXECUTION, f"an integer from 1 to {_MAX_STEPS_PER_EXECUTION}"
    ),
    "validation_split": _fraction,
    "shuffle": _flag,
    "jit_compile": _one_of(True, False, "auto"),
    "dtype_policy": _one_of(*_DTYPE_POLICIES),
    "reset_states": _one_of("epoch", "never"),
    "seed": _integer(0, 2**63 - 1, "an integer from 0 to 2**63 - 1"),
}


def _size(value: Any) -> str:
    return "a size such as '6GB' or '512MiB'" if size_bytes(value) is None else ""


OPTION_CHECKS: dict[str, Check] = {
    "experiment": _text,
    "queue": _text,
    "priority": _integer(-(2**31), 2**31 - 1, "an integer"),
    "max_failures": _integer(0, 2**31 - 1, "an integer of 0 or more"),
    "timeout_s": _seconds,
    "stall_timeout_s": _seconds,
    "checkpoint_epochs": _integer(0, _MAX_EPOCHS, "an integer of 0 or more"),
    "checkpoint_s": lambda value: "" if is_number(value) and value >= 0 else "a number of seconds",
    "gpus": _integer(1, 16, "1 to 16: the GPUs of one host that train it together"),
    "gpu_memory": _size,
    "memory": _size,
    "fuse": _one_of(True, False, "auto"),
    "shrink_on_oom": _flag,
}
