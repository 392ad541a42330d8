"""Population-based training by a worker: what plain Keras gives that does the same by hand."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import sqlalchemy as sa
import tensorflow as tf
from fleets import ActAtEpochs, DrainAfter, Fleet, KilledInside, contents
from resume_cases import kinds
from support.parts import quick
from support.s3 import CREDENTIALS, S3
from support.servers import wait_until

import fitfleet as ff
from fitfleet.client.job import Job
from fitfleet.db.jobs import dependencies, jobs
from fitfleet.db.reading.lookup import JobRow
from fitfleet.db.scheduling import dispatch
from fitfleet.db.schema.sweep_tables import sweeps
from fitfleet.db.sweeps import lineage
from fitfleet.objects import store
from fitfleet.states import JobStatus
from fitfleet.storage import Storage
from fitfleet.sweeps.design.design import design
from fitfleet.sweeps.driving.driver import Driver
from fitfleet.sweeps.driving.sweep_rows import open_sweep
from fitfleet.worker.prepared_job import PreparedJob

L = ff.layers
RATE = "optimizer.learning_rate"


def model(*hidden: Any) -> ff.Sequential:
    return ff.Sequential(
        [L.Input((5, 3)), *hidden, L.Dropout(ff.uniform(0.1, 0.5), name="drop"), L.Dense(1)]
    )


def sweep(job: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Three members, two generations of two epochs and one of one."""
    given = {
        "model": model(L.Flatten(), L.Dense(4)),
        "optimizer": {"Adam": {"learning_rate": ff.log_uniform(1e-3, 1e-1)}},
        "epochs": 5,
        "search": ff.pbt(population=3, perturbation_interval=2, quantile_fraction=0.34),
        "objective": "val_loss",
        "experiment": "grown",
    }
    return {**job, **given, **changes}


def work(fleet: Fleet) -> None:
    """What the scheduler lets go, to its end."""
    with fleet.database.begin() as c:
        dependencies.settle(c)
    while True:
        with fleet.database.begin() as c:
            placed = dispatch.dispatch(c, fleet.settings.queue, 1)
        if not placed:
            return
        fleet.child.run(*placed[0])
        fleet.child.is_draining = False


def grow(fleet: Fleet, **arguments: Any) -> list[dict[str, Any]]:
    """Run a sweep; the rows of its lineage."""
    row = open_sweep(fleet.database, design(arguments))
    driver = Driver(fleet.database, fleet.settings, row)
    while not driver.step().is_done:
        work(fleet)
    with fleet.database.read() as c:
        return lineage.of_sweep(c, row.name)


def mix(*parts: object) -> int:
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "little") & 0x7FFFFFFF


class Seeds(keras.callbacks.Callback):
    """Sets the dropout's seed at the beginning of an epoch, as the documentation says."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        states = [v for v in self.model.variables if v.name == "seed_generator_state"]
        for index, state in enumerate(states):
            state.assign([mix(self._seed, index), epoch << 24])


def by_hand(spec: Any, data: Path, parent: Any) -> tuple[Any, list[float]]:
    """A fit of plain Keras: a new one, or one that goes on from another's model."""
    keras.utils.set_random_seed(mix(spec.seed, "init"))
    config = copy.deepcopy(spec.model.config)
    net = keras.saving.deserialize_keras_object(config)
    rate = spec.optimizer["config"]["learning_rate"]
    net.compile(keras.optimizers.Adam(rate), "mse", jit_compile=False)
    start = 0
    if parent is not None:
        net.optimizer.build(net.trainable_variables)
        net.set_weights(parent.get_weights())
        for variable, other in zip(
            net.optimizer.variables, parent.optimizer.variables, strict=True
        ):
            variable.assign(other)
        net.optimizer.learning_rate = rate
        start = spec.initial_weights.initial_epoch
    with h5py.File(data) as file:
        x, y = file["x_train"][()], file["y_train"][()]
        validation = file["x_val"][()], file["y_val"][()]
    losses = []
    for epoch in range(start, spec.epochs):
        key = tf.constant([spec.seed, epoch], tf.int64)
        rows = tf.random.experimental.stateless_shuffle(tf.range(len(x), dtype=tf.int64), seed=key)
        history = net.fit(
            x[rows.numpy()],
            y[rows.numpy()],
            batch_size=spec.batch_size,
            initial_epoch=epoch,
            epochs=epoch + 1,
            shuffle=False,
            validation_data=validation,
            callbacks=[Seeds(spec.seed)],
            verbose=0,
        ).history
        losses += [history["loss"][0], history["val_loss"][0]]
    return net, losses


def job_of(fleet: Fleet, number: int) -> Job:
    return Job(fleet.database, fleet.settings, fleet.row(number))


def values(fleet: Fleet, number: int) -> list[float]:
    """loss and val_loss of each epoch."""
    history = job_of(fleet, number).history
    return [float(v) for v in history[["loss", "val_loss"]].to_numpy().ravel()]


@pytest.mark.parametrize("engine", quick(["fit", "loop"], "loop"))
def test_each_life_equals_plain_keras_doing_the_same_by_hand(
    engine: str, data: Path, job: dict[str, Any], sqlite_url: str, tmp_path: Path
) -> None:
    with Fleet(sqlite_url, tmp_path, engine="fit" if engine == "fit" else "") as fleet:
        rows = grow(fleet, **sweep(job))
        assert [row["generation"] for row in rows] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
        assert sum(row["is_exploited"] for row in rows) == 2
        nets: dict[int | None, Any] = {None: None}
        for row in rows:
            number = row["job_id"]
            assert fleet.row(number).engine == engine
            handle = job_of(fleet, number)
            assert handle.spec.optimizer["config"]["learning_rate"] == row["params"][RATE]
            net, losses = by_hand(handle.spec, data, nets[row["parent_job_id"]])
            nets[number] = net
            assert values(fleet, number) == losses
            for left, right in zip(
                handle.load_model().get_weights(), net.get_weights(), strict=True
            ):
                np.testing.assert_array_equal(left, right)
        expected = [list(range(1, 3)), list(range(3, 5)), [5]]
        epochs = [list(job_of(fleet, row["job_id"]).history["epoch"]) for row in rows[::3]]
        assert epochs == expected


@pytest.mark.slow
def test_a_generation_may_be_trained_at_once(data: Path, job: dict[str, Any], fleet: Fleet) -> None:
    search = ff.pbt(population=8, perturbation_interval=2)
    arguments = sweep(job, model=model(L.LSTM(4)), search=search, fuse="auto", epochs=4)
    rows = grow(fleet, **arguments)
    nets: dict[int | None, Any] = {None: None}
    for row in rows:
        number = row["job_id"]
        assert fleet.row(number).engine == "fused"
        nets[number], losses = by_hand(job_of(fleet, number).spec, data, nets[row["parent_job_id"]])
        np.testing.assert_allclose(values(fleet, number), losses, rtol=1e-4)


SAME = ["noisy", "stateful for ever", "weights and a schedule"]


@pytest.mark.parametrize("name", quick(SAME, "weights and a schedule"))
def test_generations_without_an_exchange_equal_one_straight_fit(
    name: str, data: Path, job: dict[str, Any], fleet: Fleet
) -> None:
    job = {**job, **kinds(data)[name], "epochs": 5}
    if name == "noisy":  # its callback would begin anew with each generation
        del job["callbacks"]
    search = ff.pbt(population=2, perturbation_interval=2, quantile_fraction=0.0)
    rows = grow(
        fleet, **job, loss_weights=ff.choice([1.0]), search=search, experiment="grown",
        objective="loss",
    )  # fmt: skip
    for row in rows[-2:]:
        seed = fleet.row(row["job_id"]).seed
        straight = fleet.run(**{**job, "seed": seed}, loss_weights=1.0, experiment="straight")
        left = contents(fleet.artifact(fleet.row(row["job_id"])))
        right = contents(fleet.artifact(straight))
        assert left.keys() == right.keys()
        for key in left.keys() - {"history", "callbacks"}:
            np.testing.assert_array_equal(left[key], right[key], err_msg=key)
        assert left["history"] == right["history"][4:]


@pytest.mark.parametrize("where", [pytest.param("inside", marks=pytest.mark.slow), "at the end"])
def test_a_generation_that_is_drained_continues_to_the_same_end(
    where: str, data: Path, job: dict[str, Any], fleet: Fleet
) -> None:
    """Of an epoch; inside the first epochs of the last generation, it starts from its parent."""
    straight = grow(fleet, **sweep(job))
    ends = [contents(fleet.artifact(fleet.row(row["job_id"]))) for row in straight]
    with fleet.database.begin() as c:
        c.exec_driver_sql("UPDATE experiments SET name = 'before'")
        c.exec_driver_sql("UPDATE sweeps SET name = 'before'")
    row = open_sweep(fleet.database, design(sweep(job)))
    driver = Driver(fleet.database, fleet.settings, row)
    engines: Any = fleet.child.engines
    inside = KilledInside(engines, [1, 3, 4])
    while not driver.step().is_done:
        ends_at = DrainAfter(engines, fleet.child, [2, 2, 4])
        fleet.child.engines = inside if where == "inside" else ends_at  # type: ignore[assignment]
        work(fleet)
    with fleet.database.read() as c:
        again = lineage.of_sweep(c, row.name)
    outcomes = [a["outcome"] for r in again for a in fleet.attempts(r["job_id"])]
    assert outcomes.count("released") >= (9 if where == "inside" else 2)
    for left, right in zip(ends, again, strict=True):
        other = contents(fleet.artifact(fleet.row(right["job_id"])))
        for key, value in left.items():
            np.testing.assert_array_equal(value, other[key], err_msg=key)


@pytest.mark.slow
def test_a_budget_ends_a_population_within_a_generation(
    data: Path, job: dict[str, Any], sqlite_url: str, tmp_path: Path
) -> None:
    search = ff.pbt(population=3, perturbation_interval=4, quantile_fraction=0.34)
    asked = design(sweep(job, epochs=12, search=search, budget="1h"))
    with Fleet(sqlite_url, tmp_path, cohort_max=1) as fleet:
        driver = Driver(fleet.database, fleet.settings, open_sweep(fleet.database, asked))
        driver.step()
        work(fleet)
        assert driver.step().jobs_open == 3

        def spend(prepared: PreparedJob, epoch: int) -> None:
            if epoch == 5:
                with fleet.database.begin() as c:
                    c.execute(sa.update(sweeps).values(ends_at=1.0))
                assert not driver.step().is_done
                wait_until(lambda: prepared.control.is_to_finish, "a heartbeat tells the job")

        fleet.child.engines = ActAtEpochs(fleet.child.engines, spend)  # type: ignore[assignment]
        work(fleet)
        progress = driver.step()
        assert progress.is_done and progress.failed == progress.jobs_open == 0
        assert (progress.trials, progress.complete, progress.pruned) == (6, 4, 2)
        handle = ff.Fleet(fleet.settings, fleet.database).resume_sweep("grown")
        (kept, *others) = sorted(handle.jobs()[3:], key=lambda one: one.status != "SUCCEEDED")
        assert (kept.row.epoch, kept.row.stopped_by) == (6, "budget")
        assert [one.status for one in others] == [JobStatus.CANCELLED] * 2
        table = handle.lineage()
        (parent,) = table.loc[table["job_id"] == kept.id, "parent_job_id"]
        net, _ = by_hand(job_of(fleet, int(parent)).spec, data, None)
        _, losses = by_hand(kept.spec, data, net)
        assert values(fleet, kept.id) == losses[:4], "two epochs of a generation of four"
        assert handle.progress.is_done and handle.best.status is JobStatus.SUCCEEDED
        assert Driver(fleet.database, fleet.settings, handle._row()).step().is_done


@pytest.mark.slow
def test_a_population_goes_from_host_to_host_by_a_bucket(
    data: Path,
    job: dict[str, Any],
    fleet: Fleet,
    s3_server: S3,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": s3_server.endpoint}.items():
        monkeypatch.setenv(name, value)
    straight = grow(fleet, **sweep(job))
    ends = [contents(fleet.artifact(fleet.row(row["job_id"]))) for row in straight]
    with fleet.database.begin() as c:
        c.exec_driver_sql("UPDATE experiments SET name = 'before'")
        c.exec_driver_sql("UPDATE sweeps SET name = 'before'")
    row = open_sweep(fleet.database, design(sweep(job)))
    driver, number = Driver(fleet.database, fleet.settings, row), 0
    where = {"storage": f"s3://fleet/{tmp_path.name}"}
    while not driver.step().is_done:
        number += 1  # each generation on a machine that has seen none of the others
        with Fleet(str(fleet.settings.database_url), tmp_path / f"host-{number}", **where) as host:
            work(host)
    assert number == 3
    with fleet.database.read() as c:
        again = lineage.of_sweep(c, row.name)
    here = Storage.of(fleet.settings.replace(**where, cache=str(tmp_path / "here")))
    for left, right in zip(ends, again, strict=True):
        found = fleet.row(right["job_id"])
        assert found.artifact_path is not None
        other = contents(here.local(found.artifact_path, found.artifact_sha256))
        assert left.keys() == other.keys()
        for key, value in left.items():
            np.testing.assert_array_equal(value, other[key], err_msg=key)
    store._systems.clear()


def _second_generation(fleet: Fleet, job: dict[str, Any]) -> tuple[int, JobRow]:
    """A waiting job of the second generation, and the job that it continues."""
    driver = Driver(fleet.database, fleet.settings, open_sweep(fleet.database, design(sweep(job))))
    driver.step()
    work(fleet)
    driver.step()
    with fleet.database.read() as c:
        (row,) = [r for r in lineage.of_sweep(c, "grown") if r["trial"] == 3]
    return row["job_id"], fleet.row(row["parent_job_id"])


def test_a_file_that_was_swapped_is_not_continued(
    data: Path, job: dict[str, Any], fleet: Fleet
) -> None:
    number, parent = _second_generation(fleet, job)
    with h5py.File(fleet.artifact(parent), "a") as file:
        file.attrs["swapped"] = 1
    work(fleet)
    attempt = fleet.attempts(number)[0]
    assert attempt["outcome"] == "storage"
    assert "is not the file that was written" in attempt["message"]


def test_a_job_that_was_extended_is_not_continued(
    data: Path, job: dict[str, Any], fleet: Fleet
) -> None:
    number, parent = _second_generation(fleet, job)
    with fleet.database.begin() as c:
        assert jobs.extend(c, parent.id, 3)
    work(fleet)
    work(fleet)
    row = fleet.row(number)
    assert row.status is JobStatus.FAILED
    assert f"job {parent.id}, whose fit this one continues, was extended" in str(
        row.failure_message
    )


def test_the_lineage_of_a_job_is_readable(data: Path, job: dict[str, Any], fleet: Fleet) -> None:
    number, parent = _second_generation(fleet, job)
    table = job_of(fleet, number).lineage
    assert list(table["job_id"]) == [parent.id, number]
    assert json.loads(json.dumps(table["generation"].tolist())) == [0, 1]
    straight = fleet.run(**job)
    assert job_of(fleet, straight.id).lineage.empty
