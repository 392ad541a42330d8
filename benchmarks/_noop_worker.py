"""A fitfleet worker service whose fits do nothing, for `noop.py`; all around them is real.

Its children take messages, claim jobs with their cohort peers, hold leases, read the dataset,
record an epoch's metrics and a score, and commit, through the code of every other worker. What is
left out is TensorFlow's part: no model, no training, and the file of weights is one line of text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fitfleet.settings import Settings
from fitfleet.worker import evaluate
from fitfleet.worker.engines.choice import Choice
from fitfleet.worker.engines.engine import Trained
from fitfleet.worker.prepared_job import PreparedJob
from fitfleet.worker.process import tasks
from fitfleet.worker.process.service import run_service
from fitfleet.worker.run import Child
from fitfleet.worker.state import checkpoint


class NoModel:
    """Stands where an engine hands out a Keras model."""

    stop_training = False
    trainable_weights: Sequence[Any] = ()
    weights: Sequence[Any] = ()

    @property
    def optimizer(self) -> Any:
        return self

    def finalize_variable_values(self, _: Any) -> None:
        return None

    def _flatten_layers(self) -> list[Any]:
        return []


class NoFit:
    """An engine that ends each epoch as soon as it begins, and its own session."""

    name = "noop"
    trains_together = False
    fallback = None

    def choose(self, jobs: Sequence[PreparedJob]) -> Iterator[Choice]:
        yield Choice(self, jobs, [""] * len(jobs))

    def open(self, jobs: Sequence[PreparedJob]) -> NoFit:
        return self

    def start(self, job: PreparedJob, callbacks: Sequence[Any]) -> Any:
        return NoModel()

    def begin_epoch(self, epochs: Sequence[int]) -> None:
        return None

    def train(self, on_progress: Any) -> list[Trained]:
        on_progress()
        return [Trained({"loss": 0.5}, 0, 0.5)]

    def validate(self, on_progress: Any) -> list[dict[str, float]]:
        return [{"loss": 0.5}]

    def model(self, job: PreparedJob) -> Any:
        return NoModel()

    def keep(self, jobs: Sequence[PreparedJob]) -> None:
        return None

    def close(self, *, is_intact: bool) -> None:
        return None


_real_start = tasks.start_child


def _start_child(settings: Settings, devices: Sequence[str] = ()) -> Child:
    child: Child = _real_start(settings, devices)
    child.engines = NoFit()  # type: ignore[assignment]
    evaluate.evaluate = lambda *_: {"test_loss": 0.5}
    checkpoint.write = lambda path, *_, **__: path.write_text("no weights\n")
    return child


if __name__ == "__main__":
    tasks.start_child = _start_child
    run_service(Settings.load())
