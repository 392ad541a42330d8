"""After the fit: Keras's metrics on the test arrays, and the user's NumPy evaluators."""

from __future__ import annotations

from typing import Any

import numpy as np

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.job import Evaluator
from fitfleet.text import with_article
from fitfleet.worker import tf_datasets
from fitfleet.worker.callbacks.user_callbacks import OnBatch
from fitfleet.worker.engines.engine import OnProgress
from fitfleet.worker.fit import Fit
from fitfleet.worker.logs import Logs, numbers
from fitfleet.worker.models.predict import measured
from fitfleet.worker.prepared_job import PreparedJob
from fitfleet.worker.recording.error_text import explanation
from fitfleet.worker.state.rnn_states import reset_rnn_states, rnn_states_kept
from fitfleet.worker.user_code import imports

Scores = dict[str, float]


def scores(model: Any, fit: Fit, settings: Settings) -> dict[str, Scores]:
    """By source: "keras", and each evaluator by its path. A stateful model keeps its states.

    Between batches the fit is checked, which may raise.
    """
    with rnn_states_kept(model):
        by_source = {"keras": _on_test_arrays(model, fit, settings)}
        return by_source | run_evaluators(model, fit.job, settings, fit.control.check)


def _on_test_arrays(model: Any, fit: Fit, settings: Settings) -> Scores:
    """`test_loss`, `test_<metric>`; nothing without test labels that a loss of the job needs."""
    arrays = fit.job.arrays
    if arrays.x_test is None or (arrays.y_test is None and fit.job.spec.loss is not None):
        return {}
    reset_rnn_states(model)
    logs = fit.evaluate(fit.control.check)
    if logs is None:
        logs = evaluate(model, fit.job, settings, fit.control.check)
    return {f"test_{name}": value for name, value in numbers(logs).items()}


def evaluate(model: Any, job: PreparedJob, settings: Settings, on_progress: OnProgress) -> Logs:
    """Keras's own logs of the test arrays."""
    parts = (job.arrays.x_test, job.arrays.y_test, None)
    return measured(model, parts, _batch_size(job), settings, [OnBatch(on_progress)])


def run_evaluators(
    model: Any, job: PreparedJob, settings: Settings, on_progress: OnProgress
) -> dict[str, Scores]:
    """Scores of each evaluator by its path. SpecError when one raises or returns no numbers.

    They see the test arrays, or the validation arrays where there are none. The third argument
    they get holds `arguments` (their own), `x` and `x_test`, `dataset` (the path as submitted),
    `job_id`, `experiment`, `params` and `seed`.
    """
    if not job.spec.evaluators:
        return {}
    arrays, batch_size = job.arrays, _batch_size(job)
    x, y = (arrays.x_test, arrays.y_test)
    if x is None:
        x, y = arrays.x_val, arrays.y_val
    if x is None:
        raise SpecError("evaluators", "the dataset has neither test nor validation arrays")
    reset_rnn_states(model)
    dataset = tf_datasets.evaluation(x, None, None, batch_size, whole_bytes=settings.memory_bytes)
    dataset = dataset[0] if isinstance(dataset, tuple) else dataset
    predicted = model.predict(
        dataset, batch_size=batch_size, verbose=0, callbacks=[OnBatch(on_progress)]
    )
    context = {
        "x": x,
        "x_test": arrays.x_test,
        "dataset": job.spec.dataset.path,
        "job_id": job.claim.job_id,
        "experiment": job.claim.experiment,
        "params": job.options.params,
        "seed": job.spec.seed,
    }
    return {
        evaluator.path: _run(
            evaluator, settings, y, predicted, {**context, "arguments": evaluator.arguments}
        )
        for evaluator in job.spec.evaluators
    }


def _run(
    evaluator: Evaluator, settings: Settings, y: Any, predicted: Any, context: dict[str, Any]
) -> Scores:
    function = imports.function(evaluator.path, settings, "evaluators")
    try:
        returned = function(y, predicted, context)
    except Exception as error:  # the user's own code may raise anything
        name = type(error).__name__
        raise SpecError(
            "evaluators", f"{evaluator.path} raised {name}: {explanation(error)}"
        ) from error
    if not isinstance(returned, dict):
        raise SpecError(
            "evaluators",
            f"{evaluator.path} returned {with_article(type(returned).__name__)}, not a dict",
        )
    scores = {}
    for name, value in returned.items():
        if not isinstance(name, str) or not isinstance(value, int | float | np.number):
            raise SpecError(
                "evaluators", f"{evaluator.path} returned {name!r}: {value!r}, not a number"
            )
        scores[name] = float(value)
    return scores


def _batch_size(job: PreparedJob) -> int:
    return job.spec.validation_batch_size or job.spec.batch_size
