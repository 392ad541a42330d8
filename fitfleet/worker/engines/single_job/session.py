"""The base of sessions that train one job on one Keras model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fitfleet.worker.engines.engine import OnProgress
from fitfleet.worker.engines.traced.fresh_state import assign
from fitfleet.worker.logs import Logs
from fitfleet.worker.prepared_job import PreparedJob
from fitfleet.worker.seeding import seed_state, seed_variables
from fitfleet.worker.state.rnn_states import reset_rnn_states, rnn_states_kept


class SingleSession:
    """A session of one job, whose variables are those of a Keras model."""

    def __init__(self, job: PreparedJob) -> None:
        self._job = job
        self._epoch = job.first_epoch
        self._model: Any = None

    def begin_epoch(self, epochs: Sequence[int]) -> None:
        """Set the random state to a function of (job seed, epoch); reset RNN states if asked."""
        (self._epoch,) = epochs
        for index, variable in enumerate(seed_variables(self._model)):
            state = seed_state(self._job.spec.seed, index, self._epoch)
            assign(variable, state.astype(variable.dtype))
        if self._job.spec.reset_states == "epoch":
            reset_rnn_states(self._model)

    def validate(self, on_progress: OnProgress) -> Sequence[Logs] | None:
        """Logs of a validation that begins with reset RNN states; the training keeps its own."""
        with rnn_states_kept(self._model):
            reset_rnn_states(self._model)
            logs = self._validate(on_progress)
        return None if logs is None else [logs]

    def _validate(self, on_progress: OnProgress) -> Logs | None:
        raise NotImplementedError

    def model(self, job: PreparedJob) -> Any:
        """The model itself."""
        return self._model

    def keep(self, jobs: Sequence[PreparedJob]) -> None:
        """Nothing to do for one job."""
