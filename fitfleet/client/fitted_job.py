"""The fitted model of a job: its specification, code, weights, predictions and exports."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitfleet.client.job_row import JobHandle
from fitfleet.db import code as code_table
from fitfleet.db import lookup
from fitfleet.errors import MissingExtraError, NotFoundError, StateError
from fitfleet.settings import Settings
from fitfleet.spec.code.snapshot import Snapshot
from fitfleet.spec.job import JobSpec
from fitfleet.storage import Storage

if TYPE_CHECKING:
    import numpy as np


class FittedJob(JobHandle):
    """What a job computes, read from the database and the storage."""

    @property
    def spec(self) -> JobSpec:
        """All that decides the numbers of the fit."""
        with self._database.read() as c:
            documents = lookup.documents(c, self.id)
        if documents is None:
            raise NotFoundError(f"the specification of job {self.id} was removed")
        return JobSpec.from_canonical(documents[0])

    @property
    def code(self) -> dict[str, str]:
        """The source of the user's code that the job runs: path -> text; empty if it runs none."""
        sha256 = self.spec.code
        if sha256 is None:
            return {}
        with self._database.read() as c:
            stored = code_table.read(c, sha256)
        if stored is None:
            raise NotFoundError(f"the code of job {self.id} was removed")
        files = Snapshot.from_archive(stored.archive).files
        return {path: text.decode(errors="replace") for path, text in sorted(files.items())}

    def _with_code(self) -> AbstractContextManager[Settings]:
        spec = self.spec
        if spec.code is None:
            return nullcontext(self._settings)
        from fitfleet.worker.code import borrowed

        return borrowed(spec, self._database, self._settings)

    @property
    def weights_path(self) -> Path:
        """The HDF5 file with weights, optimizer, specification and history."""
        return Storage(Path(self._settings.storage).absolute()).absolute(self._artifact())

    def _artifact(self) -> str:
        row = self._row if self._row.artifact_path else self.refresh()._row
        if row.artifact_path is None:
            raise StateError(
                f"job {row.id} has no weights: it is {row.status}; wait for it, or see its error"
            )
        return row.artifact_path

    def weights(self) -> dict[str, np.ndarray[Any, Any]]:
        """The fitted weights by path, as NumPy arrays; no TensorFlow is loaded.

        StateError before the job has succeeded, StorageError if the file cannot be read.
        """
        from fitfleet.weights.files import read_weights

        return read_weights(self.weights_path, self._settings, self._row.artifact_sha256)

    def load_model(self) -> Any:
        """The fitted model as a compiled Keras object; needs the extra `worker`.

        The file and the specification in it are checked as at submit: SpecError, StorageError.
        """
        from fitfleet.worker.state.weights import load_model

        with self._with_code() as settings:
            return load_model(self.weights_path, settings, self._row.artifact_sha256)

    def predict(self, x: Any, *, batch_size: int = 32) -> Any:
        """Keras's `predict` of the fitted model, in this process; needs the extra `worker`.

        `x` is an array, or arrays as the model's inputs are. DatasetError if they do not fit.
        """
        from fitfleet.worker.predict import predict

        return predict(self.load_model(), x, self.spec, batch_size)

    def evaluate(self, dataset: Any, *, batch_size: int = 32) -> dict[str, float]:
        """Loss and metrics of the fitted model on other data, in this process.

        `dataset` is `(x, y)` or `(x, y, sample_weight)`, or a dataset by its path, whose x and y
        are taken. DatasetError if they do not fit.
        """
        from fitfleet.worker.predict import evaluate

        return evaluate(self.load_model(), dataset, self.spec, self._settings, batch_size)

    def export(self, path: str | Path) -> Path:
        """Write the model as `.keras`, `.h5` (Keras's older whole-model file), `.weights.h5`,
        `.json`, or as TensorFlow's SavedModel into a folder, a path without a suffix.

        The file is read again before it gets its name. SpecError for another suffix and for a
        model that the format cannot hold, StorageError if it cannot be written.
        """
        try:
            from fitfleet.worker.state.export import export
        except ModuleNotFoundError:
            raise MissingExtraError("keras", "worker") from None
        with self._with_code() as settings:
            return export(self.weights_path, Path(path), settings, self._row.artifact_sha256)
