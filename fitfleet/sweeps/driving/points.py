"""From a point of a sweep to the rows of its jobs. A point is checked once for all its jobs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from fitfleet.analysis.objective import check_known
from fitfleet.db.jobs.jobs import NewJob
from fitfleet.settings import Settings
from fitfleet.spec.datasets.dataset import dataset_spec
from fitfleet.spec.identity import content_hash, fuse_key, group_hash
from fitfleet.spec.job import JobSpec
from fitfleet.submit import Submission
from fitfleet.sweeps.design.design import Design
from fitfleet.sweeps.spaces.space import Point


class Points:
    """Makes the rows of a sweep's jobs.

    `warnings` collects what the user should be told, `queues` the queues of the jobs.
    `is_scripted`: the design is of this very program, not read from the database or a file.
    """

    def __init__(self, design: Design, settings: Settings, *, is_scripted: bool) -> None:
        self._design, self._settings = design, settings
        self._submission = Submission(settings, is_scripted=is_scripted)
        self.queues: set[str] = set()

    @property
    def warnings(self) -> list[str]:
        return self._submission.warnings

    def rows(
        self, point: Point, replicates: Iterable[int], sweep_id: int | None = None
    ) -> dict[int, NewJob]:
        """Replicate -> its row. SpecError, DatasetError or SearchError says why there is none."""
        design = self._design
        document = design.job_of(point)
        if design.folds is not None:  # so that a fold which cannot be is refused here
            dataset = dataset_spec(document["dataset"])
            fold = {**design.folds, "index": 0}
            document["dataset"] = dataset.model_copy(update={"fold": fold})
        first = self._submission.row(document)
        spec = first.spec
        has_validation = (
            design.folds is not None or spec.validation_split > 0 or bool(spec.dataset.x_val)
        )
        check_known(design.wanted, spec, has_validation=has_validation)
        self.queues.add(first.options.queue or self._settings.queue)
        return {replicate: self._row(first, replicate, sweep_id) for replicate in replicates}

    def _row(self, first: NewJob, replicate: int, sweep_id: int | None) -> NewJob:
        design = self._design
        repeat, fold = divmod(replicate, design.fold_count)
        seed = first.spec.seed + repeat
        dataset = first.spec.dataset
        if design.folds is not None:
            # Every repeat draws its folds again, or its spread would hide that of the rows.
            drawn = {**design.folds, "index": fold, "seed": seed}
            dataset = dataset.model_copy(update={"fold": drawn})
        spec = first.spec.model_copy(update={"seed": seed, "dataset": dataset})
        return dataclasses.replace(with_spec(first, spec), sweep_id=sweep_id)


def with_spec(row: NewJob, spec: JobSpec) -> NewJob:
    """The row of a specification that differs from another's in what changes no check."""
    return dataclasses.replace(
        row,
        spec=spec,
        content_hash=content_hash(spec, row.fingerprint),
        group_hash=group_hash(spec, row.fingerprint),
        fuse_key=fuse_key(spec, row.fingerprint, row.options),
    )
