"""What a comparison does not show: jobs that look alike and are not, values of another kind."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fitfleet.db.reading import compile_options
from fitfleet.db.reading.lookup import JobRow
from fitfleet.db.session import Database

_NAMED = 4  # places of one difference
_SHOWN = 3  # pairs of jobs
# Beyond this many configurations a table by jobs is unreadable, and reading them takes long.
_MAX_CONFIGURATIONS = 500
_MISSING = object()


def notes(database: Database, rows: Sequence[JobRow], metric: str) -> list[str]:
    """Sentences about differences between these jobs that their params do not tell."""
    return _cut_short(rows) + _unlike(database, rows, metric)


def _cut_short(rows: Sequence[JobRow]) -> list[str]:
    cut = [str(row.id) for row in rows if row.stopped_by is not None]
    if not cut:
        return []
    more = f" and {len(cut) - _NAMED} more" if len(cut) > _NAMED else ""
    return [f"a budget ended before the last epoch: job {', '.join(cut[:_NAMED])}{more}"]


def _unlike(database: Database, rows: Sequence[JobRow], metric: str) -> list[str]:
    firsts: dict[str, JobRow] = {}
    for row in rows:
        firsts.setdefault(row.group_hash, row)
    if not 1 < len(firsts) <= _MAX_CONFIGURATIONS:
        return []
    jobs = list(firsts.values())
    with database.read() as c:
        specs = compile_options.specifications(c, [row.id for row in jobs])
        prints = compile_options.fingerprints(c, [row.id for row in jobs])
    parts = ["dataset"] if len(set(prints.values())) > 1 else []
    if metric.removeprefix("val_").removeprefix("test_") == "loss":
        losses = {json.dumps(spec.get("loss"), sort_keys=True) for spec in specs.values()}
        parts += ["loss"] if len(losses) > 1 else []
    sentences = [f"the jobs differ in {' and '.join(parts)}: compare {metric} with care"] * bool(
        parts
    )
    return sentences + list(_alike(jobs, specs))


def _alike(jobs: Sequence[JobRow], specs: Mapping[int, dict[str, Any]]) -> Iterator[str]:
    """A sentence for configurations of equal params that differ in what else was asked for."""
    by_params: dict[str, list[JobRow]] = defaultdict(list)
    for row in jobs:
        by_params[json.dumps(row.params, sort_keys=True, default=str)].append(row)
    pairs = [(same[0].id, second_job.id) for same in by_params.values() for second_job in same[1:]]
    for first_job, second_job in pairs[:_SHOWN]:
        places = list(differing(specs.get(first_job, {}), specs.get(second_job, {})))
        if places:
            more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
            names = ", ".join(places[:_NAMED])
            yield f"jobs {first_job} and {second_job} have equal params and differ in {names}{more}"
    if len(pairs) > _SHOWN:
        yield f"... and {len(pairs) - _SHOWN} more pairs of equal params"


def differing(left: Any, right: Any, place: str = "") -> Iterator[str]:
    """Places where two specifications differ: `optimizer.learning_rate`; not the seed."""
    if isinstance(left, dict) and isinstance(right, dict):
        for name in dict.fromkeys([*left, *right]):
            if place or name != "seed":
                # Keras writes {class_name, config: {...}}; what is in the config is the layer's.
                inner = place if name == "config" and place else f"{place}.{name}".lstrip(".")
                yield from differing(left.get(name, _MISSING), right.get(name, _MISSING), inner)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for i, (first, second) in enumerate(zip(left, right, strict=True)):
            yield from differing(first, second, f"{place}[{i}]")
    elif left != right:
        yield place
