"""fitfleet: submit a fleet of Keras fits, scale workers sideways, compare the results in SQL.

The names of `__all__` are the public ones. They are loaded when first used, so that
`import fitfleet` stays quick and pulls in neither TensorFlow nor pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fitfleet.client.connect import connect as connect
    from fitfleet.client.fleet import Fleet as Fleet
    from fitfleet.client.job import Job as Job
    from fitfleet.client.sweep import Sweep as Sweep
    from fitfleet.embedded.launch import local as local
    from fitfleet.errors import FitfleetError as FitfleetError
    from fitfleet.spec.datasets.dataset import Dataset as Dataset
    from fitfleet.spec.datasets.folders import AudioFolder as AudioFolder
    from fitfleet.spec.datasets.folders import ImageFolder as ImageFolder
    from fitfleet.spec.datasets.folders import TextFolder as TextFolder
    from fitfleet.spec.datasets.records import TFRecord as TFRecord
    from fitfleet.spec.parts import layers as layers
    from fitfleet.spec.parts.layers import Sequential as Sequential
    from fitfleet.spec.parts.layers import builder as builder
    from fitfleet.spec.parts.layers import custom as custom
    from fitfleet.states import JobStatus as JobStatus
    from fitfleet.sweeps.search.population import pbt as pbt
    from fitfleet.sweeps.spaces.space import choice as choice
    from fitfleet.sweeps.spaces.space import integers as integers
    from fitfleet.sweeps.spaces.space import log_uniform as log_uniform
    from fitfleet.sweeps.spaces.space import repeat as repeat
    from fitfleet.sweeps.spaces.space import uniform as uniform

__version__ = "0.1.0"

# Public name -> the module it lives in; a name that ends in a module is that module.
_HOMES = {
    "AudioFolder": "fitfleet.spec.datasets.folders",
    "Dataset": "fitfleet.spec.datasets.dataset",
    "FitfleetError": "fitfleet.errors",
    "Fleet": "fitfleet.client.fleet",
    "ImageFolder": "fitfleet.spec.datasets.folders",
    "Job": "fitfleet.client.job",
    "JobStatus": "fitfleet.states",
    "Sequential": "fitfleet.spec.parts.layers",
    "Sweep": "fitfleet.client.sweep",
    "TFRecord": "fitfleet.spec.datasets.records",
    "TextFolder": "fitfleet.spec.datasets.folders",
    "builder": "fitfleet.spec.parts.layers",
    "choice": "fitfleet.sweeps.spaces.space",
    "connect": "fitfleet.client.connect",
    "custom": "fitfleet.spec.parts.layers",
    "integers": "fitfleet.sweeps.spaces.space",
    "layers": "fitfleet.spec.parts",
    "local": "fitfleet.embedded.launch",
    "log_uniform": "fitfleet.sweeps.spaces.space",
    "pbt": "fitfleet.sweeps.search.population",
    "repeat": "fitfleet.sweeps.spaces.space",
    "uniform": "fitfleet.sweeps.spaces.space",
}

__all__ = [
    "AudioFolder",
    "Dataset",
    "FitfleetError",
    "Fleet",
    "ImageFolder",
    "Job",
    "JobStatus",
    "Sequential",
    "Sweep",
    "TFRecord",
    "TextFolder",
    "builder",
    "choice",
    "connect",
    "custom",
    "integers",
    "layers",
    "local",
    "log_uniform",
    "pbt",
    "repeat",
    "uniform",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'fitfleet' has no attribute {name!r}")
    if name == "layers":
        value: Any = importlib.import_module("fitfleet.spec.parts.layers")
    else:
        value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
