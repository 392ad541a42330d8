"""The plan of a sweep before anything is queued: what would run, what is there, what is not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fitfleet.data.description.description import describe
from fitfleet.data.info import flatten
from fitfleet.db.attempts import memory
from fitfleet.db.jobs.jobs import NewJob
from fitfleet.db.session import Connection, Database
from fitfleet.db.sweeps import sweeps as sweep_table
from fitfleet.db.sweeps import trials as table
from fitfleet.errors import DatasetError, SpecError
from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.spec.memory import fit_kind
from fitfleet.sweeps.design.design import Design
from fitfleet.sweeps.driving.generations import check_inheritance, first_points, first_row
from fitfleet.sweeps.driving.points import Points
from fitfleet.sweeps.planning import build_check
from fitfleet.sweeps.planning.estimate import memory_bytes
from fitfleet.sweeps.planning.gpu_gain import gpu_warnings
from fitfleet.sweeps.planning.plan_rows import Plan, Planned
from fitfleet.sweeps.search.pruning import make_pruner
from fitfleet.sweeps.search.search import Listed, key_of, make_search
from fitfleet.sweeps.spaces import space
from fitfleet.sweeps.spaces.space import Point


def plan(
    database: Database, settings: Settings, design: Design, *, is_scripted: bool = False
) -> Plan:
    """Check every point as submitting would, build it, and look it up. Nothing is written.

    SearchError for what is wrong with the sweep as a whole.
    """
    if design.pruner is not None:
        make_pruner(design.pruner, design.max_epochs)  # complains about a bad option
    chosen, is_sample = _points(database, design)
    makers = Points(design, settings, is_scripted=is_scripted)
    if design.population is not None:
        check_inheritance(makers, design)
        left = int(design.trials or 0) - len(chosen)
        makers.warnings.append(f"this is the first generation; {left:,} jobs of others follow")
    rows: list[list[NewJob]] = []
    refused: list[str | None] = []
    for member, point in enumerate(chosen):
        try:
            if design.population is not None:
                rows.append([first_row(makers, design, point, member)])
            else:
                rows.append(list(makers.rows(point, range(design.replicates)).values()))
            refused.append(None)
        except (SpecError, DatasetError) as error:
            rows.append([])
            refused.append(str(error))
    firsts = [of_point[0] for of_point in rows if of_point]
    builds = builds_of([row.spec for row in firsts], settings)
    with database.read() as c:
        hashes = [row.content_hash for of_point in rows for row in of_point]
        there = table.existing(c, design.experiment, hashes, anywhere=design.is_adopting)
        known, needs = measured_costs_of(c, rows), predicted_needs(c, rows)
    planned = costs(chosen, rows, builds, there, known, needs)
    points = [
        p if reason is None else replace(p, refused=reason)
        for p, reason in zip(planned, refused, strict=True)
    ]
    warnings = [*makers.warnings, *gpu_warnings(firsts, settings)]
    return Plan(points, is_sample, build_check.is_available(), warnings)


def _points(database: Database, design: Design) -> tuple[list[Point], bool]:
    if design.population is not None:
        return first_points(design), False
    search = make_search(
        design.search,
        design.job,
        trials=design.trials,
        seed=design.seed,
        directions=[objective.direction for objective in design.wanted],
        imported=design.imported,
    )
    if isinstance(search, Listed):
        return search.points[: design.trials], False
    with database.read() as c:
        row = sweep_table.find(c, design.name)
        listed = [] if row is None else [trial.point for trial in table.trials_of(c, row.id)]
    drawn = space.random(design.job, int(design.trials or 1), design.seed)
    points = list({key_of(point): point for point in [*listed, *drawn]}.values())
    return points[: design.trials], True


def builds_of(specs: Sequence[JobSpec], settings: Settings) -> dict[str, build_check.Build]:
    """What Keras says of each architecture; empty where Keras is not installed."""
    if not build_check.is_available():
        return {}
    models: dict[str, Any] = {}
    shapes: dict[str, Any] = {}
    for spec in specs:
        key = build_check.architecture(spec)
        if key is None or key in models:
            continue
        models[key] = spec.model.config
        info = describe(spec.dataset, settings)
        inputs = [] if info is None else list(flatten(info.x))
        if len(inputs) == 1:
            shapes[key] = list(inputs[0].shape[1:])
    return build_check.build_all(models, shapes)


def measured_costs_of(
    c: Connection, rows: Iterable[Sequence[NewJob]]
) -> dict[str, table.MeasuredCost]:
    """What finished jobs of the same kind have cost, by fuse key."""
    keys = {row.fuse_key for of_point in rows for row in of_point if row.fuse_key is not None}
    return table.measured_costs(c, list(keys))


def predicted_needs(c: Connection, rows: Iterable[Sequence[NewJob]]) -> dict[str, int]:
    """Memory that fits need on the CPU by what their architecture did, by group hash."""
    firsts = {of_point[0].group_hash: of_point[0] for of_point in rows if of_point}
    needs = {
        group: memory.predicted(c, fit_kind(row.spec, row.fingerprint), is_gpu=False)
        for group, row in firsts.items()
    }
    return {group: need.size_bytes for group, need in needs.items() if need is not None}


def costs(
    points: Sequence[Point],
    rows: Sequence[Sequence[NewJob]],
    builds: dict[str, build_check.Build],
    there: Collection[str],
    known: dict[str, table.MeasuredCost],
    needs: Mapping[str, int],
) -> Iterator[Planned]:
    """A row of the plan for each point, whose jobs are `rows`; none for a refused one.

    `there` are the content hashes that need not be run.
    """
    for point, of_point in zip(points, rows, strict=True):
        if not of_point:
            yield Planned(point, 0, 0, None, None, None, None)
            continue
        first = of_point[0]
        build = builds.get(build_check.architecture(first.spec) or "", build_check.Build())
        reused = sum(row.content_hash in there for row in of_point)
        parameters = build.parameters or first.parameters
        past = known.get(first.fuse_key or "")
        epochs = first.spec.epochs - first.spec.initial_epoch
        yield Planned(
            point,
            new=0 if build.error else len(of_point) - reused,
            reused=reused,
            parameters=parameters,
            memory_bytes=memory_bytes(first.spec, parameters or 0, build.elements),
            peak_bytes=_peak_bytes(past, needs.get(first.group_hash)),
            seconds=None if past is None else past.seconds_an_epoch * epochs,
            refused=build.error,
        )


def _peak_bytes(past: table.MeasuredCost | None, need: int | None) -> int | None:
    """As it was measured of this very program, else as its architecture lets expect."""
    measured = None if past is None else past.memory_peak_bytes
    return need if measured is None else measured
