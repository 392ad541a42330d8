"""What goes out is read back by the tools themselves: pandas, TensorBoard, MLflow."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.rows import commit, insert, new_job, register, take
from support.simulated_worker import StandIn, arguments, write_data
from support.waiting import until

import fitfleet as ff
from fitfleet.db.attempts import metrics
from fitfleet.db.attempts.metrics import EpochMetrics
from fitfleet.db.session import Database
from fitfleet.errors import NotFoundError
from fitfleet.settings import Settings
from fitfleet.states import JobStatus


def test_tables_have_a_row_for_each_job(finished: ff.Sweep, tmp_path: Path) -> None:
    table = finished.export.to_pandas()
    assert len(table) == 48
    assert {"trial", "job", "units", "seed", "status", "val_loss", "seconds"} <= set(table)
    pd.testing.assert_frame_equal(
        pd.read_csv(finished.export.to_csv(tmp_path / "jobs.csv")), table, check_dtype=False
    )
    read = pd.read_parquet(finished.export.to_parquet(tmp_path / "jobs.parquet"))
    pd.testing.assert_frame_equal(read, table, check_dtype=False)
    curves = finished.export.curves()
    assert set(curves["metric"]) == {"loss", "val_loss"}


_READ = """
import json, sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

multiplexer = EventMultiplexer()
multiplexer.AddRunsFromDirectory(sys.argv[1])
multiplexer.Reload()
provider = MultiplexerDataProvider(multiplexer, sys.argv[1])
context = backend_context.Context(base_plugin.TBContext(data_provider=provider))
request_context = RequestContext()
experiment = context.experiment_from_metadata(
    request_context, "", True, context.hparams_metadata(request_context, ""), []
)
request = api_pb2.ListSessionGroupsRequest(
    start_index=0, slice_size=1000,
    allowed_statuses=[api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE],
)
handler = list_session_groups.Handler(request_context, context, "", request)
groups = handler.run().session_groups
scalars = {}
for run in multiplexer.Runs():
    events = EventAccumulator(str(Path(sys.argv[1]) / run)).Reload()
    tags = events.Tags()["scalars"]
    scalars[run] = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags}
print(json.dumps({
    "parameters": [info.name for info in experiment.hparam_infos],
    "metrics": [info.name.tag for info in experiment.metric_infos],
    "groups": [
        {
            "parameters": {k: v.number_value for k, v in group.hparams.items()},
            "metric": group.metric_values[0].value,
            "sessions": len(group.sessions),
        }
        for group in groups
    ],
    "scalars": scalars,
}))
"""


@pytest.mark.slow
def test_tensorboard_shows_scalars_and_the_hparams_tab(finished: ff.Sweep, tmp_path: Path) -> None:
    folder = finished.export.to_tensorboard(tmp_path / "board")
    # In a process of its own, since TensorBoard loads TensorFlow where that is installed.
    output = subprocess.run(
        [sys.executable, "-c", _READ, str(folder)], capture_output=True, text=True, check=True
    ).stdout
    seen: dict[str, Any] = json.loads(output.splitlines()[-1])
    names = set(finished.best_params)
    assert set(seen["parameters"]) == names and seen["metrics"] == ["val_loss", "loss"]
    assert sum(group["sessions"] for group in seen["groups"]) == _ended(finished)
    best = min(g["metric"] for g in seen["groups"] if not math.isnan(g["metric"]))
    assert best == pytest.approx(float(finished.compare()["mean"][0]), rel=1e-6)
    assert all(set(group["parameters"]) == names for group in seen["groups"])
    job = finished.best
    run = next(name for name in seen["scalars"] if name.endswith(f"job={job.id}/validation"))
    curve = seen["scalars"][run]["epoch_loss"]
    assert [step for step, _ in curve] == list(job.history["epoch"])
    assert [value for _, value in curve] == pytest.approx(list(job.history["val_loss"]), rel=1e-6)


def _scalars(folder: Path) -> dict[str, Any]:
    output = subprocess.run(
        [sys.executable, "-c", _READ, str(folder)], capture_output=True, text=True, check=True
    ).stdout
    scalars: dict[str, Any] = json.loads(output.splitlines()[-1])["scalars"]
    return scalars


@pytest.mark.slow
def test_a_board_grows_while_jobs_train(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fitfleet.analysis.exports.live_tensorboard._POLL_S", 0.05)
    database = Database(sqlite_url)
    settings = write_data(tmp_path).replace(database_url=sqlite_url)
    fleet = ff.Fleet(settings, database)
    sweep = fleet.sweep(**arguments(search="grid", trials=None, optimizer="sgd")).submit()
    worker = StandIn(database)
    worker.take(2)
    worker.epoch()
    worker.epoch()
    board = tmp_path / "board"
    export = fleet.export("net")
    thread = threading.Thread(target=export.to_tensorboard, args=(board,), kwargs={"follow": True})
    thread.start()
    until(lambda: len(list(board.glob("*/validation/*"))) == 2)
    early = {p: p.read_bytes() for p in board.glob("*/validation/*")}
    worker.work()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert len(list(board.glob("*/validation/*"))) == 3
    for path, content in early.items():
        assert path.read_bytes().startswith(content) and path.stat().st_size > len(content)
    seen = _scalars(board)
    for job in sweep.jobs():
        run = next(name for name in seen if name.endswith(f"job={job.id}/train"))
        assert [step for step, _ in seen[run]["epoch_loss"]] == [1, 2, 3, 4]
    # Started again it writes the same, and a sweep's export needs the sweep to end.
    sweep.run()
    sweep.export.to_tensorboard(tmp_path / "again", follow=True)
    again = _scalars(tmp_path / "again")
    assert {n: v for n, v in again.items() if "train" in n} == {
        n: v for n, v in seen.items() if "train" in n
    }
    database.dispose()


def test_an_experiment_of_single_jobs_is_exported_and_drawn(
    tmp_path: Path, sqlite_url: str
) -> None:
    database = Database(sqlite_url)
    settings = write_data(tmp_path).replace(database_url=sqlite_url)
    fleet = ff.Fleet(settings, database)
    job = {key: arguments()[key] for key in ("dataset", "loss", "epochs")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the broker that is not there
        for units in (4, 8, 16):
            model = ff.Sequential(
                [ff.layers.Input((4,)), ff.layers.Dense(units), ff.layers.Dense(1)]
            )
            params = {"units": units, "model": f"m{units}"}
            for seed in (0, 1):
                fleet.submit(**job, model=model, params=params, seed=seed, experiment="alone")
    StandIn(database).work()
    table = fleet.export("alone").to_pandas()
    assert list(table["trial"]) == [0, 0, 1, 1, 2, 2] and list(table["units"])[::2] == [4, 8, 16]
    assert {"loss", "val_loss", "train_seconds"} <= set(table)
    for kind in ("curves", "parallel_coordinates", "slice", "box", "timeline", "importance"):
        drawn = getattr(fleet.plot("alone"), kind)(tmp_path / f"{kind}.png")
        assert drawn.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(NotFoundError, match="there are alone"):
        fleet.plot("nothere")
    database.dispose()


def test_tensorflow_is_not_needed_to_write(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from fitfleet.analysis.exports.runs import ExportedRun\n"
        "from fitfleet.analysis.exports.tensorboard import write_tensorboard\n"
        "curves = {'loss': {1: 0.5}}\n"
        "run = ExportedRun(1, 'e', 'r', {'a': 1}, curves, {}, 'SUCCEEDED', 0, 1, None)\n"
        f"write_tensorboard([run], {str(tmp_path)!r}, 'loss')\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_mlflow_reads_it_back(finished: ff.Sweep, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    identities = finished.export.to_mlflow(store)
    assert len(identities) == _ended(finished)
    client = MlflowClient(store)
    job = finished.best
    experiment = client.get_experiment_by_name("net")
    (run,) = client.search_runs([experiment.experiment_id], f"tags.`fitfleet.job` = '{job.id}'")
    assert run.info.status == "FINISHED"
    assert run.data.params == {name: str(value) for name, value in job.params.items()}
    assert run.data.tags["fitfleet.weights"].endswith("attempt-1.weights.h5")
    history = client.get_metric_history(run.info.run_id, "val_loss")
    assert [m.step for m in history] == list(job.history["epoch"])
    assert [m.value for m in history] == pytest.approx(list(job.history["val_loss"]))
    assert finished.export.to_mlflow(store) == identities  # nothing twice


def _ended(sweep: ff.Sweep) -> int:
    return sum(job.epoch > 0 and job.status in set(JobStatus) for job in sweep.jobs())


def test_every_metric_that_was_recorded_goes_out(database: Database, tmp_path: Path) -> None:
    insert(database, new_job("a", experiment="digits", epochs=2))
    register(database, 1)
    (claim,) = take(database)
    values = {"loss": 1.0, "accuracy": 0.5, "val_loss": 2.0, "val_accuracy": 0.25}
    with database.begin() as c:
        metrics.record(c, [EpochMetrics(claim, epoch, values) for epoch in (1, 2)])
        commit(c, claim, epoch=2, seconds=1.0, scores={"keras": {"test_accuracy": 0.75}})
    url = database.url.render_as_string(hide_password=False)
    export = ff.Fleet(Settings(database_url=url), database).export("digits")
    values["test_accuracy"] = 0.75
    for read in (
        pd.read_csv(export.to_csv(tmp_path / "jobs.csv")),
        pd.read_parquet(export.to_parquet(tmp_path / "jobs.parquet")),
    ):
        assert {name: read[name].item() for name in values} == values
    assert set(export.curves()["metric"]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    (run,) = export._runs()  # what TensorBoard and MLflow get
    assert set(run.curves) | set(run.scores) == set(values)
