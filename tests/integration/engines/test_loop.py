"""The epoch program computes what Keras's fit computes, bit for bit, job after job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import ledger
import nets
import numpy as np
import pytest
import tensorflow as tf
from support.parts import sampled

from fitfleet.spec.job import JobSpec
from fitfleet.worker import tf_datasets
from fitfleet.worker.callbacks.user_callbacks import user_callbacks
from fitfleet.worker.engines.programs import functions
from fitfleet.worker.engines.programs.program_store import ProgramStore
from fitfleet.worker.engines.single_job.keras_fit import KerasFit
from fitfleet.worker.engines.single_job.loop import LoopFit, unsupported
from fitfleet.worker.engines.traced.fresh_state import optimizer_variables
from fitfleet.worker.models.build import build, precision
from fitfleet.worker.seeding import seed_state, seed_variables
from fitfleet.worker.state.rnn_states import reset_rnn_states, rnn_states

SEEDS = (3, 4)


def specs(net: nets.Net, **given: Any) -> list[Any]:
    """One spec a seed, with learning rates, dropout rates and regularization of their own."""
    model = net.build()
    arguments = {"epochs": 3, "batch_size": 16, **net.given, **given}
    scaled = [ledger.spec(model, seed=seed, **arguments) for seed in SEEDS]
    for index, spec in enumerate(scaled):
        config = spec.optimizer["config"]
        if isinstance(config["learning_rate"], float):
            config["learning_rate"] *= 1 + index
        scaled[index] = ledger.scaled(spec, 1 - 0.3 * index)
    return scaled


def cohort(net: nets.Net, given: list[JobSpec]) -> list[Any]:
    return [ledger.prepared(spec, net.arrays, number) for number, spec in enumerate(given)]


class SeedEpochs(keras.callbacks.Callback):  # type: ignore[misc]
    """What a job's epoch starts from (docs/explanation/same-result.md), for a plain `fit`."""

    def __init__(self, spec: JobSpec, number: Any = None) -> None:
        super().__init__()
        self._spec, self._number = spec, number
        self._states: list[Any] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._number is not None:
            self._number.assign(epoch)
        for index, variable in enumerate(seed_variables(self.model)):
            variable.assign(seed_state(self._spec.seed, index, epoch))
        if self._spec.reset_states == "epoch":
            reset_rnn_states(self.model)

    def on_test_begin(self, logs: Any = None) -> None:
        self._states = [state.numpy() for state in rnn_states(self.model)]
        reset_rnn_states(self.model)

    def on_test_end(self, logs: Any = None) -> None:
        for state, value in zip(rnn_states(self.model), self._states, strict=True):
            state.assign(value)


@pytest.mark.parametrize("name", sampled(nets.ALL, "mlp", slow=["stacked_lstm"]))
def test_the_engine_fit_equals_one_call_of_keras_fit(name: str) -> None:
    """History, weights and optimizer of `model.fit` itself, all epochs in one call."""
    net = nets.ALL[name]()
    spec = specs(net)[1]
    with precision(spec.dtype_policy):
        (job,) = cohort(net, [spec])
        model = build(spec, ledger.SETTINGS)
        number = tf.Variable(0, dtype=tf.int64)
        dataset = tf_datasets.training(job.arrays, spec, number)
        arrays, size = job.arrays, spec.validation_batch_size or spec.batch_size
        held_out = None
        if arrays.x_val is not None:
            held_out = tf_datasets.evaluation(
                arrays.x_val, arrays.y_val, arrays.sample_weight_val, size
            )
        history = model.fit(
            dataset,
            epochs=spec.epochs,
            shuffle=False,
            verbose=0,
            validation_data=held_out,
            validation_batch_size=size if held_out is not None else None,
            callbacks=[SeedEpochs(spec, number), *user_callbacks(spec, ledger.SETTINGS)],
        )
    ours = ledger.train(KerasFit(ledger.SETTINGS), [job])
    for error in ours.errors.values():
        raise error
    values = zip(*history.history.values(), strict=True)
    rows = [dict(zip(history.history, row, strict=True)) for row in values]
    assert [logs for _, logs in ours.logs[0]] == [
        {key: float(value) for key, value in row.items()} for row in rows
    ]
    for kept, variables in (
        (ours.weights[0], model.variables),
        (ours.optimizer[0], optimizer_variables(model.optimizer)),
    ):
        for value, variable in zip(kept, variables, strict=True):
            np.testing.assert_array_equal(value, variable.numpy())


@pytest.mark.parametrize(
    "name",
    sampled(nets.ALL, "mlp", "stacked_lstm", slow=["callbacks"]),
)
def test_loop_equals_fit(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """History, weights, optimizer, RNN states and scores of two jobs; the model is traced once.

    So they do when the programs are read from the disk.
    """
    net = nets.ALL[name]()
    given = specs(net)
    store = ProgramStore(tmp_path / "programs", 2**28)
    alone = ledger.train(KerasFit(ledger.SETTINGS), cohort(net, given))
    looped = ledger.train(LoopFit(ledger.SETTINGS, store=store), cohort(net, given))
    ledger.assert_same(alone, looped)
    assert len(list((tmp_path / "programs").iterdir())) >= 2
    monkeypatch.setattr(functions, "_traced", None)
    read = ledger.train(LoopFit(ledger.SETTINGS, store=store), cohort(net, given))
    ledger.assert_same(alone, read)


@pytest.mark.parametrize(
    "name", sampled(["mlp", "stacked_lstm", "embedding_lstm", "convolution"], "mlp")
)
def test_several_steps_of_fit_in_one_call_equal_the_loop(name: str) -> None:
    net = nets.ALL[name]()
    found = specs(net, steps_per_execution=2)
    (job, _) = cohort(net, found)
    assert unsupported(job, ledger.SETTINGS) is None
    alone = ledger.train(KerasFit(ledger.SETTINGS), cohort(net, found))
    looped = ledger.train(LoopFit(ledger.SETTINGS), cohort(net, found))
    ledger.assert_same(alone, looped)


@pytest.mark.parametrize("name", ["two_inputs_two_outputs", "transformer"])
def test_several_steps_in_one_call_stay_with_fit_where_a_loop_may_differ(name: str) -> None:
    net = nets.ALL[name]()
    (job, _) = cohort(net, specs(net, steps_per_execution=2))
    assert unsupported(job, ledger.SETTINGS) == "steps_per_execution=2"
    nan = specs(nets.mlp(), steps_per_execution=2, callbacks=["TerminateOnNaN"])
    (job, _) = cohort(nets.mlp(), nan)
    assert unsupported(job, ledger.SETTINGS) == "steps_per_execution=2"


def test_a_rate_that_is_no_variable_stays_as_it_is() -> None:
    """GaussianDropout's is a constant of the program, whatever other rates the model has."""
    net = nets.ALL["mlp"]()
    layers = keras.layers
    net.build = lambda: keras.Sequential(
        [
            keras.Input(net.arrays.x.shape[1:]),
            layers.GaussianDropout(0.25),
            layers.Dense(8),
            layers.Dropout(0.3),
            layers.Dense(net.arrays.y.shape[-1], activation="softmax"),
        ]
    )
    given = specs(net)
    alone = ledger.train(KerasFit(ledger.SETTINGS), cohort(net, given))
    looped = ledger.train(LoopFit(ledger.SETTINGS), cohort(net, given))
    ledger.assert_same(alone, looped)


@pytest.mark.parametrize("name", sampled(["mlp", "stateful_kept", "callbacks"], slow=["mlp"]))
def test_a_checkpoint_of_one_engine_is_resumed_by_the_other(name: str, tmp_path: Path) -> None:
    net = nets.ALL[name]()
    given = specs(net)[:2]
    whole = ledger.train(KerasFit(ledger.SETTINGS), cohort(net, given))
    engines = [KerasFit(ledger.SETTINGS), LoopFit(ledger.SETTINGS)]
    for first, second in (engines, engines[::-1]):
        folder = tmp_path / first.name
        folder.mkdir()
        broken = ledger.Ledger(folder, {0: 1, 1: 2})
        ledger.train(first, cohort(net, given), broken)
        again = [
            ledger.resumed(spec, net.arrays, number, broken.snapshots[number])
            for number, spec in enumerate(given)
        ]
        rest = ledger.train(second, again)
        for number in rest.logs:
            rest.logs[number] = broken.logs[number] + rest.logs[number]
        ledger.assert_same(whole, rest)
