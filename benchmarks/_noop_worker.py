"""A fitfleet worker service whose fits do nothing, for `noop.py`; all around them is real.

Its children take messages, claim jobs with their mates, hold leases, read the dataset, record an
epoch's metrics and a score, and commit, through the code of every other worker. What is left out
is TensorFlow's part: no model, no training, and the file of weights is one line of text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fitfleet.settings import Settings
from fitfleet.worker import evaluate
from fitfleet.worker.engines.engine import Hooks, Member
from fitfleet.worker.process import tasks
from fitfleet.worker.process.service import run_service
from fitfleet.worker.run import Child
from fitfleet.worker.state import saving


class NoModel:
    """Stands where an engine hands a Keras model to the hooks."""

    has_stopped = False

    def model(self) -> Any:
        return self

    def count_params(self) -> int:
        return 0

    def _flatten_layers(self) -> list[Any]:
        return []


class NoFit:
    """An engine that ends each epoch as soon as it begins."""

    name = "noop"

    def choose(self, members: Sequence[Member]) -> Iterator[tuple[Any, Sequence[Member]]]:
        yield self, members

    def fit(self, members: Sequence[Member], hooks: Hooks) -> None:
        for member in members:
            with hooks.running(member):
                hooks.batch_end(member)
                for epoch in range(member.spec.epochs):
                    hooks.epoch_begin(member, epoch)
                    hooks.epoch_end(member, epoch, {"loss": 0.5, "val_loss": 0.5}, NoModel())
                hooks.train_end(member, NoModel())


def _start_child(settings: Settings, start: Any = tasks.start_child) -> Child:
    child: Child = start(settings)
    child.engines = NoFit()  # type: ignore[assignment]
    evaluate.evaluate = lambda *_: {"test_loss": 0.5}
    saving.resume.write = lambda path, *_, **__: path.write_text("no weights\n")
    return child


if __name__ == "__main__":
    tasks.start_child = _start_child
    run_service(Settings.load())
