"""From a weights file alone: the compiled Keras model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fitfleet.errors import MissingExtraError, StorageError
from fitfleet.settings import Settings
from fitfleet.spec.adapted_layers import with_states
from fitfleet.spec.checks.check import check
from fitfleet.spec.job import JobSpec
from fitfleet.storage import JOB_GROUP
from fitfleet.weights.files import checked, opened, read_document


def load_model(path: Path, settings: Settings, digest: str | None = None) -> Any:
    """The fitted model, compiled as it was trained, its optimizer's state restored.

    The file is untrusted: it is checked, its sha256 against `digest`, and so is the specification
    in it, as at submit. StorageError if the file cannot be read, SpecError for a specification
    that would be refused, MissingExtraError without TensorFlow.
    """
    try:
        import keras  # noqa: F401
    except ModuleNotFoundError:
        raise MissingExtraError("keras", "worker") from None
    from fitfleet.worker.models.build import build, precision
    from fitfleet.worker.state import tensorflow_variables
    from fitfleet.worker.state.build_variables import build_from
    from fitfleet.worker.state.initial_weights import load_state
    from fitfleet.worker.user_code import name_counts

    checked(path, settings, digest)
    document = read_document(path, settings)
    spec = specification(document, path)
    check(spec, settings)
    with precision(spec.dtype_policy), name_counts.beside_a_script():
        model = build(spec, settings)
        build_from(model, document.get("inputs"))
        load_state(model, path, str(path))
        with opened(path, settings) as file:
            tensorflow_variables.restore(model, file[JOB_GROUP])
    return model


def specification(document: dict[str, Any], path: Path) -> JobSpec:
    """What of a job's specification makes its model. StorageError when the file has none."""
    try:
        spec = JobSpec.from_canonical(document["spec"])
        spec = with_states(spec, document.get("adapted") or {})
    except (AttributeError, KeyError, TypeError, ValidationError):
        raise StorageError(f"{path}: carries no specification of a job") from None
    # The weights it has in the end are in the file; what only runs beside a fit is not needed.
    return spec.model_copy(update={"initial_weights": None, "evaluators": [], "callbacks": []})
