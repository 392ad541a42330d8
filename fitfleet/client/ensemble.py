"""Ensemble: jobs whose mean prediction is better than the best of them alone."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitfleet.analysis.direction import Direction, compiled_parts, direction_of
from fitfleet.analysis.ensemble_selection import Chosen, choose
from fitfleet.client import tasks
from fitfleet.client.fitted_job import Where, is_here
from fitfleet.client.job import Job
from fitfleet.data.arrays import load, split_validation
from fitfleet.db.reading import best_jobs, lookup
from fitfleet.db.reading.lookup import JobRow
from fitfleet.db.session import Database
from fitfleet.errors import FitfleetError, MissingExtraError, NotFoundError, SpecError
from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec, Member, Task
from fitfleet.states import JobStatus
from fitfleet.text import html_table

# More rounds change the shares of the members by less than a twentieth.
_ROUNDS = 20


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The weighted mean of what some fitted models predict."""

    members: dict[int, float]  # job -> its share of the mean; all together 1
    metric: str  # such as val_loss
    score: float  # of the mean, on the validation rows
    best_single: int  # job
    best_single_score: float  # on the same rows
    left_out: dict[int, str]  # job -> why it was no candidate
    model: Any  # a compiled keras.Model of built-in layers around the members
    jobs: tuple[Job, ...]  # the members, by number
    spec: JobSpec
    settings: Settings

    def __repr__(self) -> str:
        shares = ", ".join(f"job {job}: {share:.3g}" for job, share in self.members.items())
        return (
            f"<Ensemble {self.metric} {self.score:.6g}, best single (job {self.best_single})"
            f" {self.best_single_score:.6g}; {shares}>"
        )

    def _repr_html_(self) -> str:
        note = (
            f"{self.metric} {self.score:.6g}; job {self.best_single}, the best one alone:"
            f" {self.best_single_score:.6g}"
        )
        rows = [(job, f"{share:.3g}") for job, share in self.members.items()]
        return html_table(["job", "share"], rows, note)

    def predict(
        self,
        x: Any,
        batch_size: int = 32,
        *,
        where: Where = "auto",
        stream: bool = False,
        **keras_arguments: Any,
    ) -> Any:
        """The weighted mean, as `Job.predict` takes and gives it: here, or by one worker."""
        tasks.check_keras_arguments(keras_arguments)
        if is_here(where):
            from fitfleet.worker.models import predict as here

            x = tasks.in_files(x, self.settings)
            act = here.stream if stream else here.predict
            return act(self.model, x, self.spec, self.settings, batch_size)
        result = self._asked("predict", x, batch_size)
        return result.stream(batch_size) if stream else result.predictions()

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        *,
        sample_weight: Any = None,
        where: Where = "auto",
        **keras_arguments: Any,
    ) -> dict[str, float]:
        """Loss and metrics of the weighted mean, as `Job.evaluate` takes and gives them."""
        dataset = tasks.to_evaluate(x, y, sample_weight, keras_arguments)
        if is_here(where):
            from fitfleet.worker.models.predict import evaluate

            dataset = tasks.in_files(dataset, self.settings)
            return evaluate(self.model, dataset, self.spec, self.settings, batch_size)
        return self._asked("evaluate", dataset, batch_size).metrics

    def _asked(self, kind: tasks.Kind, data: Any, batch_size: int) -> tasks.TaskResult:
        first, *others = self.jobs
        for other in others:
            if other.spec.code != first.spec.code:
                raise SpecError(
                    "ensemble",
                    f"job {other.id} runs other code of yours than job {first.id}, and a worker has"
                    " that of one job at a time; ask with where='here'",
                )
        members = [
            Member(job=job.id, sha256=job._digest(), share=self.members[job.id])
            for job in self.jobs
        ]
        task = Task(kind=kind, job=first.id, sha256=members[0].sha256, members=members)
        return first._run_task(task, self.spec, data, batch_size)

    def export(self, path: str | Path) -> Path:
        """Write it as one Keras model, in the formats of `Job.export`; Keras alone loads it."""
        from fitfleet.worker.state.export import export_model

        return export_model(self.model, Path(path))


def ensemble(
    database: Database,
    settings: Settings,
    experiment: str,
    top: int,
    metric: str,
    direction: str | None,
    candidates: int,
) -> Ensemble:
    """At most `top` jobs of the experiment whose weighted mean prediction is best.

    The best `candidates` jobs predict their validation rows, in this process; then the bag of jobs
    grows by the one that helps most, with replacement, and the best bag counts
    (analysis/ensemble_selection). A job with other validation rows than the best one, such as of
    another fold, is no candidate.

    NotFoundError where no job has the metric, SpecError for models that take different inputs,
    FitfleetError for a metric that is not of the validation, MissingExtraError without TensorFlow.
    """
    check(top, metric, candidates)
    better_when, rows = candidate_rows(database, experiment, metric, direction, candidates)
    jobs = [Job(database, settings, row) for row in rows]
    return chosen(jobs, settings, metric, better_when, top)


def check(top: int, metric: str, candidates: int) -> None:
    """FitfleetError for arguments of no ensemble, MissingExtraError without TensorFlow."""
    for name, value in (("top", top), ("candidates", candidates)):
        if type(value) is not int or value < 1:
            raise FitfleetError(f"{name}: {value!r:.40} is not a positive integer")
    if not metric.startswith("val_"):
        raise FitfleetError(
            f"metric: {metric!r:.60} is not of the validation rows; give one such as 'val_loss'"
        )
    if importlib.util.find_spec("keras") is None:
        raise MissingExtraError("keras", "worker")


def chosen(
    jobs: Sequence[Job], settings: Settings, metric: str, direction: Direction, top: int
) -> Ensemble:
    """The best ensemble of at most `top` of these jobs, which are best first."""
    return _Choice(jobs, settings, metric).best_ensemble(direction, top)


def candidate_rows(
    database: Database, experiment: str, metric: str, direction: str | None, count: int
) -> tuple[Direction, list[JobRow]]:
    """The best jobs by the metric, best first, and which way is better. NotFoundError for none."""
    compiled = compiled_parts(database, metric, experiment) if not direction else ()
    better_when = direction_of(metric, direction, compiled)
    with database.read() as c:
        succeeded = [JobStatus.SUCCEEDED]
        ranked = best_jobs.best_jobs(
            c, experiment, succeeded, metric, better_when, "last", count, with_weights=True
        )
        rows = lookup.jobs_by_id(c, [job_id for job_id, value in ranked if value is not None])
    if not rows:
        raise NotFoundError(
            f"{experiment}: no succeeded job with weights has {metric}; an ensemble is chosen on"
            " validation rows, which validation_split or x_val and y_val give"
        )
    order = [job_id for job_id, _ in ranked]
    return better_when, sorted(rows, key=lambda row: order.index(row.id))


class _Choice:
    """Predicts the validation rows by every candidate, one model at a time, and chooses."""

    def __init__(self, jobs: Sequence[Job], settings: Settings, metric: str) -> None:
        from fitfleet.worker.models import ensemble as here

        self._here, self._settings, self._metric = here, settings, metric
        self._jobs = {job.id: job for job in jobs}
        first = jobs[0].spec
        self._left_out: dict[int, str] = {}
        arrays = load(jobs[0]._dataset_here(), settings, floatx=first.floatx)
        arrays = split_validation(arrays, first.validation_split)
        self._predicted: dict[int, Any] = {}
        labelled = (arrays.y_val, arrays.sample_weight_val)
        for job in jobs:
            spec = job.spec
            if _rows_of(spec) != _rows_of(first):
                self._left_out[job.id] = f"its validation rows are not those of job {jobs[0].id}"
                continue
            model = job.load_model()
            if not self._predicted:
                self._scorer = here.Scorer(model, labelled, metric.removeprefix("val_"), settings)
            self._predicted[job.id] = here.predicted(model, arrays.x_val, spec)

    def best_ensemble(self, direction: Direction, top: int) -> Ensemble:
        """The best bag, as one model."""

        def score(bag: Counter[int]) -> float:
            return self._scorer(self._here.means(bag, self._predicted))

        bag: Chosen[int] = choose(list(self._predicted), score, direction, top=top, rounds=_ROUNDS)
        total = sum(bag.counts.values())
        shares = {job: count / total for job, count in sorted(bag.counts.items())}
        models = {job: self._jobs[job].load_model() for job in shares}
        return Ensemble(
            members=shares,
            metric=self._metric,
            score=bag.score,
            best_single=bag.single,
            best_single_score=bag.single_score,
            left_out=self._left_out,
            model=self._here.combined(models, shares),
            jobs=tuple(self._jobs[job] for job in shares),
            spec=self._jobs[next(iter(shares))].spec,
            settings=self._settings,
        )


def _rows_of(spec: JobSpec) -> tuple[Any, ...]:
    """What decides the rows that a job validates on."""
    return spec.dataset.model_dump(), spec.validation_split
