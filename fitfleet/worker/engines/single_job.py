"""What the sessions that train one job on one Keras model have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fitfleet.worker.engines.engine import Logs, OnProgress
from fitfleet.worker.engines.fresh_state import assign
from fitfleet.worker.prepared_job import PreparedJob
from fitfleet.worker.seeding import seed_state, seed_variables
from fitfleet.worker.state.rnn_states import reset_rnn_states, rnn_states_kept


class SingleSession:
    """One job, whose variables are those of a Keras model."""

    def __init__(self, job: PreparedJob) -> None:
        self._job = job
        self._epoch = job.first_epoch
        self._model: Any = None

    def begin_epoch(self, epochs: Sequence[int]) -> None:
        """Make the epoch a function of (job seed, epoch) alone."""
        (self._epoch,) = epochs
        for index, variable in enumerate(seed_variables(self._model)):
            state = seed_state(self._job.spec.seed, index, self._epoch)
            assign(variable, state.astype(variable.dtype))
        if self._job.spec.reset_states == "epoch":
            reset_rnn_states(self._model)

    def validate(self, on_progress: OnProgress) -> Sequence[Logs] | None:
        """The validation has RNN states of its own; training resumes with those it had."""
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
        """There is one, which stays or is at its end."""
