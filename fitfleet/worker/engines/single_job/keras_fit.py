"""The engine fit: what Keras's `fit` does, with a new model for each job."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.worker import tf_datasets
from fitfleet.worker.callbacks.user_callbacks import OnBatch
from fitfleet.worker.engines.engine import Engine, OnProgress, Trained
from fitfleet.worker.engines.single_job.keras_epoch import EpochOfFit
from fitfleet.worker.engines.single_job.session import SingleSession
from fitfleet.worker.logs import Logs, flat
from fitfleet.worker.models.build import build
from fitfleet.worker.prepared_job import PreparedJob
from fitfleet.worker.process.memory import micro_batch
from fitfleet.worker.state import checkpoint


class KerasFit:
    """Trains any job as Keras's `fit`: also streams, XLA, custom code."""

    name = "fit"
    trains_together = False
    fallback: Engine | None = None

    def __init__(self, settings: Settings, replicas: int = 1) -> None:
        self._settings = settings
        self._replicas = replicas
        self._strategy: tf.distribute.Strategy | None = None

    def open(self, jobs: Sequence[PreparedJob]) -> KerasSession:
        """A session of one job."""
        (job,) = jobs
        if self._replicas > 1 and self._strategy is None:
            self._strategy = mirrored(self._replicas)
        return KerasSession(job, self._settings, self._strategy)


def mirrored(replicas: int) -> tf.distribute.Strategy:
    """A strategy that divides each batch over `replicas` devices, GPUs or else logical CPUs.

    Variables are mirrored, gradients summed: a step is one of the whole batch.
    """
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    return tf.distribute.MirroredStrategy([f"/{kind}:{i}" for i in range(replicas)])


class KerasSession(SingleSession):
    """One job on a new model."""

    def __init__(
        self, job: PreparedJob, settings: Settings, strategy: tf.distribute.Strategy | None = None
    ) -> None:
        super().__init__(job)
        self._strategy = strategy
        self._settings = settings
        self._batch_size, self._accumulate = micro_batch(
            job.spec, job.options, job.claim.memory_step
        )
        self._validation_data = self._validation()
        with tf.device("/CPU:0"):
            self._number = tf.Variable(job.first_epoch, trainable=False, dtype=tf.int64)
        self._on_batch = OnBatch(lambda: None)
        self._fit: EpochOfFit

    def start(self, job: PreparedJob, callbacks: Sequence[Any]) -> Any:
        """Build the model, and restore the job's checkpoint."""
        spec = job.spec
        with self._scope():
            self._model = model = build(
                spec,
                self._settings,
                steps_per_execution=spec.steps_per_execution,
                accumulate=self._accumulate,
            )
        _check_fit(model)
        batches = keras.callbacks.CallbackList([self._on_batch, *callbacks], model=model)
        self._fit = EpochOfFit(model, batches)
        if not job.is_trained:
            self._prepare(job)
        if job.snapshot is not None:
            with self._scope():  # creates the optimizer's variables if no epoch is left
                checkpoint.restore(model, job.snapshot)
        return model

    def _scope(self) -> AbstractContextManager[Any]:
        """The scope in which variables are created: mirrored on each device."""
        return self._strategy.scope() if self._strategy is not None else nullcontext()

    def _prepare(self, job: PreparedJob) -> None:
        spec = _smaller_batches(job.spec, self._batch_size)
        dataset = tf_datasets.training(
            job.arrays, spec, self._number, whole_bytes=self._settings.memory_bytes
        )
        if self._strategy is not None:
            replicas = self._strategy.num_replicas_in_sync
            _check_parts(job.arrays.rows, self._batch_size, replicas)
        self._fit.prepare(dataset)

    def train(self, on_progress: OnProgress) -> Sequence[Trained]:
        """Batch by batch, as `fit` does."""
        self._on_batch.act = on_progress
        self._number.assign(self._epoch)
        logs = self._fit.train()
        if self._strategy is not None:
            _average_statistics(self._model, self._strategy)
        return [Trained(flat(logs))]

    def _validate(self, on_progress: OnProgress) -> Logs | None:
        if self._validation_data is None:
            return None
        self._on_batch.act = on_progress
        return flat(self._fit.validate(*self._validation_data))

    def _validation(self) -> tuple[Any, int | None] | None:
        """(validation data, their batch size if they are arrays)."""
        arrays, spec = self._job.arrays, self._job.spec
        if arrays.x_val is None:
            return None
        size = spec.validation_batch_size or spec.batch_size
        if self._batch_size < spec.batch_size:  # after the job ran out of memory
            size = min(size, self._batch_size)
        parts = (arrays.x_val, arrays.y_val, arrays.sample_weight_val)
        dataset = tf_datasets.evaluation(*parts, size, whole_bytes=self._settings.memory_bytes)
        return dataset, size if isinstance(dataset, tuple) else None

    def evaluate(self, job: PreparedJob, on_progress: OnProgress) -> Logs | None:
        """None: Keras's `evaluate` is called."""
        return None

    def close(self, *, is_intact: bool) -> None:
        """Drop the model."""
        if self._model is not None:
            self._fit.close()


def _smaller_batches(spec: JobSpec, batch_size: int) -> JobSpec:
    """The spec with batches of this size, and as many rows in an epoch."""
    steps = spec.steps_per_epoch and spec.steps_per_epoch * (spec.batch_size // batch_size)
    return spec.model_copy(update={"batch_size": batch_size, "steps_per_epoch": steps})


def _average_statistics(model: Any, strategy: tf.distribute.Strategy) -> None:
    """Set non-trainable statistics, such as moving means, to their mean over the replicas.

    Keras lets replicas differ and saves those of the first: a resumed fit would have other numbers.
    """
    for variable in model.non_trainable_variables:
        if not keras.backend.is_float_dtype(variable.dtype):
            continue
        parts = [part.numpy() for part in strategy.experimental_local_results(variable.value)]
        variable.assign(np.mean(parts, axis=0, dtype=parts[0].dtype))


def _check_fit(model: Any) -> None:
    if type(model).fit is not keras.Model.fit:
        raise SpecError(
            "model",
            f"its class {type(model).__name__} has a `fit` of its own, which is not called here; "
            "put what it does into `train_step`",
        )


def _check_parts(rows: int, batch_size: int, replicas: int) -> None:
    least = min(batch_size, rows % batch_size or batch_size)
    if least < replicas:
        raise SpecError(
            "batch_size",
            f"{batch_size} gives {rows} rows a batch of {least}, of which not each of the"
            f" {replicas} GPUs has a row; choose another, or fewer gpus",
        )
