"""fitfleet: submit a fleet of Keras fits, scale workers sideways, compare the results in SQL.

The names of `__all__` are the public ones. They are loaded when first used, so that
`import fitfleet` stays quick and pulls in neither TensorFlow nor pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fitfleet.errors import FitfleetError as FitfleetError
    from fitfleet.fleet import Fleet as Fleet
    from fitfleet.fleet import connect as connect
    from fitfleet.job import Job as Job
    from fitfleet.launch import local as local
    from fitfleet.space import choice as choice
    from fitfleet.space import integers as integers
    from fitfleet.space import log_uniform as log_uniform
    from fitfleet.space import uniform as uniform
    from fitfleet.spec import layers as layers
    from fitfleet.spec.dataset import Dataset as Dataset
    from fitfleet.spec.layers import Sequential as Sequential
    from fitfleet.spec.layers import builder as builder
    from fitfleet.states import JobStatus as JobStatus
    from fitfleet.sweep import Sweep as Sweep

__version__ = "0.1.0"

# Public name -> the module it lives in; a name that ends in a module is that module.
_HOMES = {
    "Dataset": "fitfleet.spec.dataset",
    "FitfleetError": "fitfleet.errors",
    "Fleet": "fitfleet.fleet",
    "Job": "fitfleet.job",
    "JobStatus": "fitfleet.states",
    "Sequential": "fitfleet.spec.layers",
    "Sweep": "fitfleet.sweep",
    "builder": "fitfleet.spec.layers",
    "choice": "fitfleet.space",
    "connect": "fitfleet.fleet",
    "integers": "fitfleet.space",
    "layers": "fitfleet.spec",
    "local": "fitfleet.launch",
    "log_uniform": "fitfleet.space",
    "uniform": "fitfleet.space",
}

__all__ = [
    "Dataset",
    "FitfleetError",
    "Fleet",
    "Job",
    "JobStatus",
    "Sequential",
    "Sweep",
    "builder",
    "choice",
    "connect",
    "integers",
    "layers",
    "local",
    "log_uniform",
    "uniform",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'fitfleet' has no attribute {name!r}")
    if name == "layers":
        value: Any = importlib.import_module("fitfleet.spec.layers")
    else:
        value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
