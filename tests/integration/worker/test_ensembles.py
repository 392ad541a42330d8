"""An ensemble of an experiment: never worse than its best job, and one model of plain Keras."""

from __future__ import annotations

import dataclasses
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from fleets import Fleet
from support.servers import wait_until

import fitfleet as ff
from fitfleet.analysis.ensemble_selection import choose
from fitfleet.client.ensemble import Ensemble
from fitfleet.client.job import Job
from fitfleet.db.reading import lookup
from fitfleet.errors import FitfleetError, NotFoundError, SpecError
from fitfleet.settings import Settings
from fitfleet.states import JobStatus
from fitfleet.worker.models.ensemble import Scorer, combined

# The fleet of these tests is a child that registers no slot.
pytestmark = pytest.mark.filterwarnings("ignore:no worker is running yet")

RATE = {"learning_rate": 0.02}


def test_the_bag_that_grows_best_is_chosen() -> None:
    target, values = 2.0, {1: 1.0, 2: 2.6, 3: 5.0, 4: float("nan")}
    asked: list[Counter[int]] = []

    def score(bag: Counter[int]) -> float:
        asked.append(bag)
        return abs(sum(values[number] * n for number, n in bag.items()) / bag.total() - target)

    chosen = choose([1, 2, 3, 4], score, "minimize", top=2, rounds=8)
    # 2.6, then 1.8, then 2.07: three of eight bags of two candidates come no nearer than 8 do.
    assert chosen.single == 2 and chosen.single_score == pytest.approx(0.6)
    assert set(chosen.counts) == {1, 2} and chosen.score == pytest.approx(0.0, abs=0.02)
    assert all(len(bag) <= 2 for bag in asked)
    alone = choose([1, 2], score, "minimize", top=1, rounds=8)
    assert alone.counts == {2: 1}, "the smallest of equal bags"
    most = choose([1, 2, 4], lambda bag: -score(bag), "maximize", top=2, rounds=3)
    assert 4 not in most.counts


MIDDLES: dict[str, list[Any]] = {
    "conv": [ff.layers.Conv1D(4, 3, activation="relu"), ff.layers.Flatten()],
    "dense": [ff.layers.Flatten(), ff.layers.Dense(6, "relu"), ff.layers.BatchNormalization()],
    "gru": [ff.layers.GRU(4)],
}


def model(kind: str, shape: tuple[int, ...] = (5, 3)) -> ff.Sequential:
    return ff.Sequential([ff.layers.Input(shape), *MIDDLES[kind], ff.layers.Dense(1)])


@pytest.fixture
def jobs(fleet: Fleet, job: dict[str, Any]) -> list[Job]:
    """Three models of different kinds."""
    given = {**job, "metrics": ["mae"], "experiment": "together", "optimizer": {"Adam": RATE}}
    rows = [fleet.run(**{**given, "model": model(kind)}) for kind in sorted(MIDDLES)]
    assert {row.status for row in rows} == {JobStatus.SUCCEEDED}
    return [Job(fleet.database, fleet.settings, row) for row in rows]


@pytest.mark.slow
def test_an_ensemble_is_one_keras_model(
    fleet: Fleet, jobs: list[Job], data: Path, tmp_path: Path
) -> None:
    client = ff.Fleet(fleet.settings, fleet.database)
    with h5py.File(data) as file:
        x, y = file["x_val"][()], file["y_val"][()]
    ensemble = client.ensemble("together", top=2)
    assert 1 <= len(ensemble.members) <= 2 and sum(ensemble.members.values()) == pytest.approx(1.0)
    lowest = {job.id: job.history["val_loss"].iloc[-1] for job in jobs}
    assert ensemble.best_single == min(lowest, key=lambda number: lowest[number])
    assert ensemble.best_single_score == pytest.approx(min(lowest.values()), rel=1e-5)
    assert ensemble.score <= ensemble.best_single_score
    by_id = {job.id: job for job in jobs}
    alone = {job: by_id[job].load_model().predict(x, verbose=0) for job in ensemble.members}
    mean = sum(share * alone[job] for job, share in ensemble.members.items())
    again = keras.saving.load_model(ensemble.export(tmp_path / "ensemble.keras"))
    np.testing.assert_allclose(again.predict(x, verbose=0), mean, rtol=1e-5, atol=1e-6)
    logs = again.evaluate(x, y, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(ensemble.score, rel=1e-5) and "mae" in logs
    assert ensemble.predict(str(data)).shape == (40, 1)
    assert repr(ensemble).startswith(f"<Ensemble val_loss {ensemble.score:.6g}, best single (job")
    assert all(f"<td>{job}</td>" in ensemble._repr_html_() for job in ensemble.members)
    both = replaced(ensemble, jobs)
    with ThreadPoolExecutor(1) as pool:  # by the worker: the same bits
        for ask, here in (
            (partial(both.predict, x[:9]), both.predict(x[:9])),
            (partial(both.evaluate, (x, y)), both.evaluate((x, y))),
        ):
            asked = pool.submit(ask, where="fleet")
            wait_until(lambda asked=asked: asked.done() or is_waiting(fleet), "it is queued")
            fleet.attempt()
            np.testing.assert_equal(asked.result(60), here)
    told = [job.params for job in client.jobs("together-evaluations")]
    numbers = [job.id for job in jobs]
    assert told == [{"jobs": numbers, "task": "predict"}, {"jobs": numbers, "task": "evaluate"}]
    assert list(client.ensemble("together", top=1).members) == [ensemble.best_single]
    by_mae = client.ensemble("together", metric="val_mae")
    assert by_mae.score <= by_mae.best_single_score


def replaced(ensemble: Ensemble, jobs: list[Job]) -> Ensemble:
    """One of all the jobs, with unequal shares, whatever the choice was."""
    shares = dict(zip([job.id for job in jobs], (0.5, 0.3, 0.2), strict=True))
    model = combined({job.id: job.load_model() for job in jobs}, shares)
    return dataclasses.replace(
        ensemble, members=shares, model=model, jobs=tuple(jobs), spec=jobs[0].spec
    )


def is_waiting(fleet: Fleet) -> bool:
    with fleet.database.read() as c:
        return bool(lookup.find_jobs(c, statuses=[JobStatus.QUEUED]))


def test_mean_predictions_of_several_outputs_keep_their_names() -> None:
    rng = np.random.default_rng(0)
    x = {"a": rng.random((40, 3), "float32"), "b": rng.random((40, 2), "float32")}
    y = {"low": rng.random((40, 2), "float32"), "high": rng.random((40, 1), "float32")}
    models = {number: two_heads(number) for number in (4, 7, 9)}
    predicted = {number: model.predict(x, verbose=0) for number, model in models.items()}
    score = Scorer(models[4], (y, None), "loss", Settings())
    for number, model in models.items():
        expected = model.evaluate(x, y, verbose=0, return_dict=True)["loss"]
        assert score([(predicted[number], 1)]) == pytest.approx(expected, rel=1e-5)
    shares = {4: 0.25, 9: 0.75}
    whole = combined({number: models[number] for number in shares}, shares)
    outputs = whole.predict(x, verbose=0)
    for name in ("low", "high"):
        mean = sum(share * predicted[number][name] for number, share in shares.items())
        np.testing.assert_allclose(outputs[name], mean, rtol=1e-5, atol=1e-6)
    logs = whole.evaluate(x, y, verbose=0, return_dict=True)
    weighted = score([(predicted[4], 1), (predicted[9], 3)])
    assert logs["loss"] == pytest.approx(weighted, rel=1e-5)


def two_heads(seed: int) -> Any:
    keras.utils.set_random_seed(seed)
    inputs = {"a": keras.Input((3,), name="a"), "b": keras.Input((2,), name="b")}
    both = keras.layers.Dense(4)(keras.layers.Concatenate()(list(inputs.values())))
    dense = keras.layers.Dense
    heads = {"low": dense(2, name="low")(both), "high": dense(1, name="high")(both)}
    model = keras.Model(inputs, heads)
    model.compile("adam", loss={"low": "mse", "high": "mae"}, metrics={"low": ["mae"]})
    return model


@pytest.mark.slow
def test_what_cannot_be_averaged_says_so(
    fleet: Fleet, jobs: list[Job], job: dict[str, Any], data: Path
) -> None:
    client = ff.Fleet(fleet.settings, fleet.database)
    with pytest.raises(NotFoundError, match=r"^nowhere: no succeeded job with weights has"):
        client.ensemble("nowhere")
    with pytest.raises(FitfleetError, match=r"^metric: 'loss' is not of the validation rows"):
        client.ensemble("together", metric="loss")
    with pytest.raises(FitfleetError, match=r"^top: 0 is not a positive integer"):
        client.ensemble("together", top=0)
    given = {**job, "experiment": "together", "validation_split": 0.0}
    narrow = ff.Sequential([ff.layers.Input((3,)), ff.layers.Dense(1)])
    dataset = ff.Dataset(
        data, x="first_train", y="y_train", x_val="first_val", y_val="y_val", x_test=False
    )
    row = fleet.run(**{**given, "model": narrow, "dataset": dataset})
    assert row.status is JobStatus.SUCCEEDED, row.failure_message
    ensemble = client.ensemble("together")
    left_out = {row.id} if ensemble.best_single != row.id else {job.id for job in jobs}
    assert set(ensemble.left_out) == left_out
    assert "its validation rows are not those of job" in next(iter(ensemble.left_out.values()))
    with pytest.raises(SpecError, match=r"^ensemble: job 2 takes or gives .*, job 1 "):
        combined({1: two_heads(1), 2: jobs[0].load_model()}, {1: 0.5, 2: 0.5})
