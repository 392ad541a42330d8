"""Whether an error is the user's: decided by where it was raised, not by its class.

A ValueError may be Keras's for a model that does not fit its data, a user's layer's, or a defect of
fitfleet: only the traceback distinguishes them.
"""

from __future__ import annotations

import sys
import traceback

# Packages of fitfleet, Keras and their dependencies; frames of others are user code.
_LIBRARIES = frozenset(
    {
        *("absl", "billiard", "celery", "h5py", "keras", "kombu", "ml_dtypes", "numpy"),
        *("optree", "pandas", "psutil", "psycopg", "pyarrow", "pydantic", "pydantic_core"),
        *("redis", "scipy", "sqlalchemy", "tensorflow"),
    }
)
_KERAS = ("keras", "tensorflow")
# Here Keras is called with values of a spec: its errors there are of the spec or the data.
_RUN_THE_SPEC = frozenset(
    f"fitfleet.worker.{name}"
    for name in (
        *("evaluate", "fit", "models.build", "callbacks.user_callbacks"),
        *("engines.fused.fused", "engines.fused.fused_program"),
        *("engines.programs.functions", "engines.programs.optimised_graph"),
        *("engines.single_job.keras_epoch", "engines.single_job.keras_fit"),
        *("engines.single_job.loop", "engines.single_job.session"),
        *("engines.traced.evaluation", "engines.traced.feed", "engines.traced.program"),
        *("engines.traced.program_metrics", "engines.traced.row_batches"),
        *("engines.traced.trace_cache", "engines.traced.tunable_scalars"),
    )
)
# TensorFlow's own errors, independent of the computation.
_TROUBLES = frozenset(
    {
        *("AbortedError", "CancelledError", "DataLossError", "DeadlineExceededError"),
        *("InternalError", "UnavailableError", "UnknownError"),
    }
)


def is_users(error: BaseException) -> bool:
    """Whether the user's code raised it, or Keras for the user's spec and data."""
    modules = [
        str(frame.f_globals.get("__name__", ""))
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    last = max((i for i, name in enumerate(modules) if _package(name) == "fitfleet"), default=-1)
    inner = [_package(name) for name in modules[last + 1 :]]
    if any(_is_own_code(name) for name in inner):
        return True
    is_of_spec = last >= 0 and modules[last] in _RUN_THE_SPEC
    is_of_keras = any(name in _KERAS for name in inner)
    return is_of_spec and is_of_keras and type(error).__name__ not in _TROUBLES


def _package(module: str) -> str:
    return module.partition(".")[0]


def _is_own_code(package: str) -> bool:
    return package not in _LIBRARIES and package not in sys.stdlib_module_names
