"""One program serves every width, and computes what the program of each width computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import ledger
import numpy as np
import pytest
from support.parts import sampled

from fitfleet.data.arrays import Arrays
from fitfleet.settings import Settings
from fitfleet.worker.engines.choice import Engines
from fitfleet.worker.engines.fused import fused_open_widths
from fitfleet.worker.engines.fused.fused import FusedFit
from fitfleet.worker.engines.fused.fused_open_widths import OpenFusedFit
from fitfleet.worker.engines.programs import functions
from fitfleet.worker.engines.programs.program_store import ProgramStore
from fitfleet.worker.engines.traced import open_widths
from fitfleet.worker.engines.traced.feed import Feeds
from fitfleet.worker.prepared_job import PreparedJob

L = keras.layers
WIDTHS = (4, 7)
SERIES, IMAGE, WORDS = (5, 4), (9, 9, 2), (5,)

# Shape of a row, and the hidden layers for a width.
MODELS: dict[str, tuple[tuple[int, ...], Callable[[int], list[Any]]]] = {
    "Conv1D": (
        SERIES,
        lambda n: [
            *(L.Conv1D(n, 2, activation="relu"), L.AveragePooling1D(2)),
            *(L.Conv1D(n + 1, 2, padding="same"), L.GlobalAveragePooling1D()),
        ],
    ),
    "Conv2D": (
        IMAGE,
        lambda n: [
            *(L.Conv2D(n, 3), L.Activation("relu"), L.MaxPooling2D()),
            *(L.Conv2D(2 * n, 2, padding="same", strides=2), L.BatchNormalization(), L.Flatten()),
        ],
    ),
    "Dense": (
        (6,),
        lambda n: [
            L.Dense(n, activation="relu", kernel_regularizer="l2"),
            *(L.BatchNormalization(), L.Dropout(0.3), L.GaussianNoise(0.1)),
            L.Dense(n + 2, kernel_constraint=keras.constraints.MaxNorm(0.5)),
        ],
    ),
    "Embedding": (WORDS, lambda n: [L.Embedding(12, n), L.LSTM(n + 1)]),
    "GRU": (SERIES, lambda n: [L.GRU(n, return_sequences=True), L.Dropout(0.2), L.GRU(n)]),
    "LSTM": (SERIES, lambda n: [L.LSTM(n, return_sequences=True), L.MaxPooling1D(2), L.LSTM(n)]),
    "SimpleRNN": (SERIES, lambda n: [L.SimpleRNN(n, return_sequences=True), L.SimpleRNN(n)]),
}
TABLE_AND_KERNEL = "a table and a kernel"  # the cheapest with all that optimizers tell apart


def _table_and_kernel(width: int) -> list[Any]:
    return [L.Embedding(12, width), L.GlobalAveragePooling1D(), L.Dense(width + 1)]


def jobs(name: str, width: int, count: int = 3, **given: Any) -> list[PreparedJob]:
    """A cohort of one width."""
    shape, hidden = {**MODELS, TABLE_AND_KERNEL: (WORDS, _table_and_kernel)}[name]
    numbers = np.random.default_rng(1)
    is_text = shape is WORDS
    x = numbers.integers(0, 12, (50, *shape)) if is_text else numbers.random((50, *shape))
    y = np.eye(4, dtype="float32")[numbers.integers(0, 4, 50)]
    arrays = Arrays(x=x.astype("int32" if is_text else "float32"), y=y)
    arrays = Arrays(x=arrays.x, y=y, x_val=arrays.x[:13], y_val=y[:13])
    inputs = L.Input(shape, dtype="int32" if is_text else None)
    model = keras.Sequential([inputs, *hidden(width), L.Dense(4, activation="softmax")])
    arguments = {
        **{"loss": "categorical_crossentropy", "metrics": ["accuracy"], "optimizer": "adam"},
        **{"epochs": 2, "batch_size": 16, **given},
    }
    specs = [ledger.spec(model, seed=seed, **arguments) for seed in range(count)]
    return [ledger.prepared(spec, arrays, seed) for seed, spec in enumerate(specs)]


def assert_alike(actual: ledger.Ledger, expected: ledger.Ledger) -> None:
    """To the bit, but for the scores of the test arrays, which the stack gives."""
    assert actual.scores.keys() == expected.scores.keys()
    for number, scores in actual.scores.items():
        assert scores == pytest.approx(expected.scores[number], rel=1e-5)
        assert "test_loss" in scores
    actual.scores = expected.scores
    ledger.assert_same(actual, expected)


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """One entry for each function that is traced."""
    traced: list[Any] = []
    trace = functions._traced
    monkeypatch.setattr(functions, "_traced", lambda *given: traced.append(given) or trace(*given))
    yield traced


def test_every_kind_of_width_is_compared() -> None:
    assert set(MODELS) == set(open_widths.WIDTHS)
    layers = {type(layer).__name__ for _, hidden in MODELS.values() for layer in hidden(3)}
    assert layers | {"InputLayer"} == set(open_widths.WIDTHS) | open_widths.OTHERS


@pytest.mark.parametrize("name", sampled(MODELS, "Dense"))
def test_one_program_equals_that_of_each_width(name: str, traces: list[Any]) -> None:
    way = OpenFusedFit(ledger.SETTINGS)
    found = [ledger.train(way, jobs(name, width)) for width in WIDTHS]
    assert len(traces) == 3  # training, evaluation and results of all widths together
    for width, one in zip(WIDTHS, found, strict=True):
        assert_alike(one, ledger.train(FusedFit(ledger.SETTINGS), jobs(name, width)))


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(sorted(open_widths.OPTIMIZERS), "Adam", "Ftrl"))
def test_each_optimizer_in_open_widths_equals_fused(name: str) -> None:
    way = OpenFusedFit(ledger.SETTINGS)
    given = {"optimizer": {name: {"learning_rate": 0.01}}, "dtype_policy": "float64"}
    for width in WIDTHS:
        cohort = [jobs(TABLE_AND_KERNEL, width, **given) for _ in range(2)]
        expected = ledger.train(FusedFit(ledger.SETTINGS), cohort[0])
        assert_alike(ledger.train(way, cohort[1]), expected)


@pytest.mark.slow
def test_it_is_read_from_the_disk_and_traced_anew_when_damaged(
    tmp_path: Path, traces: list[Any]
) -> None:
    store = ProgramStore(tmp_path / "programs", 2**28)
    expected = ledger.train(FusedFit(ledger.SETTINGS), jobs("Dense", 7))
    traces.clear()
    ledger.train(OpenFusedFit(ledger.SETTINGS, store=store), jobs("Dense", 4))
    assert len(traces) == 3
    found = ledger.train(OpenFusedFit(ledger.SETTINGS, store=store), jobs("Dense", 7))
    assert_alike(found, expected)
    assert len(traces) == 3
    for path in store._folder.glob("*.program"):
        path.write_bytes(path.read_bytes()[:-5] + b"wrong")
    found = ledger.train(OpenFusedFit(ledger.SETTINGS, store=store), jobs("Dense", 7))
    assert_alike(found, expected)
    assert len(traces) == 6


@pytest.mark.slow
def test_a_width_that_the_program_cannot_serve_is_trained_by_its_own(
    monkeypatch: pytest.MonkeyPatch, traces: list[Any]
) -> None:
    """As if a size of the first width had stayed in the program."""
    open_shapes = open_widths.open_shapes

    def one_left_closed(*given: Any) -> Any:
        shapes = list(open_shapes(*given))
        place = next(i for i, shape in enumerate(shapes) if None in shape)
        shapes[place] = tuple(4 if size is None else size for size in shapes[place])
        return shapes

    monkeypatch.setattr(fused_open_widths, "open_shapes", one_left_closed)
    way = OpenFusedFit(ledger.SETTINGS)
    ledger.train(way, jobs("Dense", 4))
    found = ledger.train(way, jobs("Dense", 7))
    assert_alike(found, ledger.train(FusedFit(ledger.SETTINGS), jobs("Dense", 7)))
    assert len(traces) == 3 + 3 + 3 + 1  # the last one is that of the other's evaluation
    assert way.trace(jobs("Dense", 5)[0]) is not None


def key(job: PreparedJob) -> str | None:
    return open_widths.family_key(job.spec, *Feeds().of(job))


def test_only_widths_of_hidden_layers_are_open() -> None:
    (one,), (other,) = jobs("Dense", 4, 1), jobs("Dense", 9, 1)
    assert key(one) is not None and key(one) == key(other)
    assert key(one) != key(jobs("Dense", 4, 1, batch_size=8)[0])
    assert key(jobs("Dense", 1, 1)[0]) is None
    assert key(jobs("Dense", 4, 1, optimizer="adafactor")[0]) is None
    alone = keras.Sequential([L.Input((6,)), L.Dense(4, activation="softmax")])
    spec = ledger.spec(alone, loss="mse", optimizer="sgd")
    assert key(ledger.prepared(spec, one.arrays, 1)) is None


def chosen(engines: Engines, cohort: list[PreparedJob]) -> list[tuple[str, str]]:
    """(engine, reason) of each group, trained."""
    found = ledger.Ledger()
    for choice in engines.choose(cohort):
        ledger.run(choice, found)
    for error in found.errors.values():
        raise error
    return [(name, reasons[0]) for name, reasons in found.engines]


@pytest.mark.slow
def test_cohorts_of_other_widths_use_the_program_and_single_jobs_do_not(
    tmp_path: Path, traces: list[Any]
) -> None:
    engines = Engines(Settings(cache=str(tmp_path), programs=str(tmp_path / "u" / "programs")))
    assert chosen(engines, jobs("LSTM", 4, 1)) == [("loop", "trained alone")]
    ((name, reason),) = chosen(engines, jobs("LSTM", 5, 8, epochs=10))
    assert name == "fused" and "one program for any width" in reason
    traces.clear()
    for width, count in ((7, 8), (8, 2)):
        ((name, reason),) = chosen(engines, jobs("LSTM", width, count))
        assert name == "fused" and "one program for any width" in reason
    assert not traces
    assert chosen(engines, jobs("LSTM", 9, 1)) == [("loop", "trained alone")]
