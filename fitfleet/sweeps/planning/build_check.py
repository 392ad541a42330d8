"""Asking Keras, in a separate process, whether models can be built. Equal ones are built once."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fitfleet.spec.code.names import named_in
from fitfleet.spec.job import JobSpec

_MAX_PROCESSES = 4
# Starting Keras costs as much as building some hundred small models.
_MIN_FOR_PROCESS = 150
_TIMEOUT_S = 600.0
# Of a layer's config, what changes neither shapes nor memory.
_IRRELEVANT = ("seed", "trainable")
_BY_PRESENCE = ("rate", "dropout", "recurrent_dropout", "stddev")


@dataclass(frozen=True)
class Build:
    """What Keras said of an architecture."""

    parameters: int | None = None
    elements: int | None = None  # kept for one row of a batch until the backward pass
    error: str | None = None


def is_available() -> bool:
    """Whether Keras is installed here, so that models can be built."""
    return importlib.util.find_spec("keras") is not None


def architecture(spec: JobSpec) -> str | None:
    """The same for specs whose models have the same layers and shapes; None if only a worker knows.

    Dropout rates, regularisers, initialisers and seeds may differ.
    """
    if spec.model.config is None or any(named_in(spec.model.config)):
        return None
    document = _shape_of(spec.model.config)
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _shape_of(value: Any) -> Any:
    if isinstance(value, list):
        return [_shape_of(part) for part in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, part in value.items():
        if key in _IRRELEVANT or key.endswith(("_initializer", "_regularizer", "_constraint")):
            continue
        is_rate = key in _BY_PRESENCE and isinstance(part, int | float)
        kept[key] = bool(part) if is_rate else _shape_of(part)
    return kept


def build_all(
    models: Mapping[str, Mapping[str, Any]], input_shapes: Mapping[str, Any]
) -> dict[str, Build]:
    """Architecture -> what Keras says. `models` maps it to a config, input_shapes to a shape."""
    lines = [
        json.dumps({"key": key, "model": model, "input_shape": input_shapes.get(key)})
        for key, model in models.items()
    ]
    count = max(1, min(_MAX_PROCESSES, os.cpu_count() or 1, -(-len(lines) // _MIN_FOR_PROCESS)))
    with ThreadPoolExecutor(count) as pool:
        parts = pool.map(_run_builds, [lines[i::count] for i in range(count)])
    return {key: build for part in parts for key, build in part.items()}


def _run_builds(lines: Sequence[str]) -> dict[str, Build]:
    if not lines:
        return {}
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": "1",
        "KERAS_BACKEND": "tensorflow",
    }
    process = subprocess.run(
        [sys.executable, "-m", "fitfleet.worker.models.build_check"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        env=environment,
        check=False,
    )
    builds = {}
    for line in process.stdout.splitlines():
        answer = json.loads(line)
        builds[answer.pop("key")] = Build(
            answer.get("parameters"), answer.get("elements"), answer.get("error")
        )
    keys = [json.loads(line)["key"] for line in lines]
    missing = [key for key in keys if key not in builds]
    if missing and process.returncode:
        # The first without an answer is the one that the process died of.
        builds[missing[0]] = Build(
            error=f"Keras crashed while building it (exit code {process.returncode})"
        )
        builds |= _run_builds([line for line in lines if json.loads(line)["key"] in missing[1:]])
    return builds
