"""TensorBoard event files: curves as scalars, parameters and final values for the HParams tab.

Written with TensorBoard's own protocol buffers and record writer; TensorFlow is not needed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fitfleet.analysis.exports.runs import ExportedRun
from fitfleet.errors import FitfleetError, MissingExtraError

# The names that the Keras callback gives, so that one dashboard shows both.
_PHASES = {True: "validation", False: "train"}


def write_tensorboard(runs: Sequence[ExportedRun], folder: str | Path, metric: str) -> Path:
    """Write one folder a run under `folder`; open it with `tensorboard --logdir FOLDER`.

    Scalars are named as Keras's callback names them: `epoch_loss` under `<run>/train` and
    `<run>/validation`. The HParams tab lists the parameters, `metric`, every score and every
    metric. What is there under a run's name is rewritten. MissingExtraError without tensorboard.
    """
    proto = _Proto()
    target = Path(folder)
    try:
        about = target / "events.out.tfevents.0.fitfleet"
        about.unlink(missing_ok=True)
        with _EventFile(proto, about) as file:
            file.add(0.0, 0, proto.experiment(runs, metric))
        for run in runs:
            BoardWriter(target, run, proto).update(run)
    except OSError as error:
        raise FitfleetError(f"{target}: cannot be written: {error.strerror}") from None
    return target


class BoardWriter:
    """The event files of one run; they are written anew, and grow with each update."""

    def __init__(self, folder: Path, run: ExportedRun, proto: _Proto | None = None) -> None:
        self._proto = proto or _Proto()
        self._folder = folder / run.name
        self._name = f"events.out.tfevents.{int(run.started_at)}.fitfleet"
        self._written: dict[str, int] = {}  # metric -> its last epoch in the file
        self._has_ended = False
        for phase in ("", *_PHASES.values()):
            (self._folder / phase / self._name).unlink(missing_ok=True)
        with self._open("") as file:
            file.add(run.started_at, 0, self._proto.session_start(run))

    def update(self, run: ExportedRun) -> None:
        """Add the epochs that are new, and once it has ended how; nothing after that."""
        for is_validation, phase in _PHASES.items():
            curves = {m: c for m, c in run.curves.items() if m.startswith("val_") == is_validation}
            fresh = {m: self._fresh(m, c) for m, c in curves.items()}
            if any(fresh.values()):
                with self._open(phase) as file:
                    self._add(file, run, fresh)
        if run.has_ended and not self._has_ended:
            self._has_ended = True
            with self._open("") as file:
                self._end(file, run)

    def _fresh(self, metric: str, curve: Mapping[int, float]) -> list[tuple[int, float]]:
        after = self._written.get(metric, 0)
        fresh = sorted((epoch, value) for epoch, value in curve.items() if epoch > after)
        if fresh:
            self._written[metric] = fresh[-1][0]
        return fresh

    def _add(
        self, file: _EventFile, run: ExportedRun, fresh: Mapping[str, list[tuple[int, float]]]
    ) -> None:
        for metric, points in fresh.items():
            tag = f"epoch_{metric.removeprefix('val_')}"
            for epoch, value in points:
                file.add(_moment(run, epoch), epoch, self._proto.scalar(tag, value))

    def _end(self, file: _EventFile, run: ExportedRun) -> None:
        for score, value in run.scores.items():
            file.add(run.finished_at, 0, self._proto.scalar(score, value))
        for metric, curve in run.curves.items():  # the last value, for the HParams tab
            if curve:
                last = max(curve)
                file.add(run.finished_at, last, self._proto.scalar(metric, curve[last]))
        file.add(run.finished_at, 0, self._proto.session_end(run))

    def _open(self, phase: str) -> _EventFile:
        return _EventFile(self._proto, self._folder / phase / self._name)


def _moment(run: ExportedRun, epoch: int) -> float:
    """When an epoch ended, taking all as equally long; only their order and span are known."""
    epochs = max((max(curve) for curve in run.curves.values() if curve), default=1)
    return run.started_at + (run.finished_at - run.started_at) * epoch / epochs


class _EventFile:
    """One event file, which is appended to."""

    def __init__(self, proto: _Proto, path: Path) -> None:
        self._proto = proto
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        self._file = path.open("ab")
        self._records = proto.writer(self._file)
        if is_new:
            self._write(proto.event(wall_time=0.0, file_version="brain.Event:2"))

    def __enter__(self) -> _EventFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, wall_time: float, step: int, summary: Any) -> None:
        """One summary at a time and step."""
        self._write(self._proto.event(wall_time=wall_time, step=step, summary=summary))

    def _write(self, event: Any) -> None:
        self._records.write(event.SerializeToString())


class _Proto:
    """TensorBoard's messages. They live in a package that is imported only when it is used."""

    def __init__(self) -> None:
        try:
            from tensorboard.compat.proto.event_pb2 import Event
            from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
            from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError:
            raise MissingExtraError("tensorboard", "tensorboard") from None
        self.event, self.writer = Event, RecordWriter
        self._summary, self._about = Summary, SummaryMetadata
        self._api, self._metadata, self._data = api_pb2, metadata, plugin_data_pb2

    def scalar(self, tag: str, value: float) -> Any:
        """A scalar in the form that every version of TensorBoard reads."""
        return self._summary(value=[self._summary.Value(tag=tag, simple_value=value)])

    def experiment(self, runs: Sequence[ExportedRun], metric: str) -> Any:
        """Which parameters and metrics the HParams tab shows."""
        names = list(dict.fromkeys(name for run in runs for name in run.params))
        scores = dict.fromkeys(name for run in runs for name in run.scores)
        curves = dict.fromkeys(name for run in runs for name in run.curves)
        shown = dict.fromkeys([metric, *scores, *curves])
        experiment = self._api.Experiment(
            hparam_infos=[self._parameter(n, [r.params.get(n) for r in runs]) for n in names],
            metric_infos=[
                self._api.MetricInfo(name=self._api.MetricName(tag=tag)) for tag in shown
            ],
        )
        data = self._data.HParamsPluginData(experiment=experiment)
        return self._plugin(self._metadata.EXPERIMENT_TAG, data)

    def _parameter(self, name: str, values: Iterable[Any]) -> Any:
        plain = [_plain(value) for value in values if value is not None]
        if all(isinstance(v, bool) for v in plain):
            return self._api.HParamInfo(name=name, type=self._api.DATA_TYPE_BOOL)
        if all(isinstance(v, float) for v in plain):
            interval = self._api.Interval(min_value=min(plain), max_value=max(plain))
            kind = self._api.DATA_TYPE_FLOAT64
            return self._api.HParamInfo(name=name, type=kind, domain_interval=interval)
        return self._api.HParamInfo(name=name, type=self._api.DATA_TYPE_STRING)

    def session_start(self, run: ExportedRun) -> Any:
        """The parameters of a run. Repeats and folds of one configuration are one group."""
        start = self._data.SessionStartInfo(
            group_name=run.tags.get("group", run.name), start_time_secs=run.started_at
        )
        for name, value in run.params.items():
            plain = _plain(value)
            field = {bool: "bool_value", float: "number_value", str: "string_value"}[type(plain)]
            setattr(start.hparams[name], field, plain)
        data = self._data.HParamsPluginData(session_start_info=start)
        return self._plugin(self._metadata.SESSION_START_INFO_TAG, data)

    def session_end(self, run: ExportedRun) -> Any:
        """How the run ended."""
        is_good = run.status == "SUCCEEDED"
        status = self._api.STATUS_SUCCESS if is_good else self._api.STATUS_FAILURE
        end = self._data.SessionEndInfo(status=status, end_time_secs=run.finished_at)
        data = self._data.HParamsPluginData(session_end_info=end)
        return self._plugin(self._metadata.SESSION_END_INFO_TAG, data)

    def _plugin(self, tag: str, data: Any) -> Any:
        about = self._metadata.create_summary_metadata(data)
        value = self._summary.Value(tag=tag, metadata=about, tensor=self._metadata.NULL_TENSOR)
        return self._summary(value=[value])


def _plain(value: Any) -> bool | float | str:
    """As HParams takes it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return str(value)


def folder_name(text: str) -> str:
    """A name that is safe as a folder on every system."""
    return re.sub(r"[^\w.,=+-]+", "_", text)[:100] or "run"
