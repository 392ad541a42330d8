"""Whether a fit is large enough to gain by several GPUs: a rule of thumb, for a warning."""

from __future__ import annotations

import math
from collections.abc import Iterable

from fitfleet.data.description.description import describe
from fitfleet.data.info import flatten
from fitfleet.db.jobs.jobs import NewJob
from fitfleet.settings import Settings

# Operations of a step of training a weight with a row: two each forwards, backwards by the inputs
# and by the weights.
_OPERATIONS = 6
# What a GPU does in about a millisecond, the time in which replicas are told to begin and their
# gradients are added. A step of less than that has nothing to share.
_SMALL_STEP = 10e9


def gpu_warnings(rows: Iterable[NewJob], settings: Settings) -> list[str]:
    """Of jobs that want several GPUs and are too small for them, the first said by name."""
    small = [(row, why) for row in rows if (why := _reason(row, settings)) is not None]
    if not small:
        return []
    row, why = small[0]
    more = f"; so it is with {len(small) - 1:,} more jobs" if len(small) > 1 else ""
    gpus = row.options.gpus
    return [f"gpus={gpus} is no gain: {why}; one GPU is as quick, and leaves {gpus} - 1 free{more}"]


def _reason(row: NewJob, settings: Settings) -> str | None:
    gpus, size = row.options.gpus or 1, row.spec.batch_size
    if gpus == 1:
        return None
    if size < gpus:
        return f"a batch of {size} rows leaves GPUs without a row"
    if row.parameters is None:
        return None
    operations = _OPERATIONS * row.parameters * size * _positions(row, settings)
    if operations >= _SMALL_STEP:
        return None
    return (
        f"a step of {row.parameters:,} weights and {size} rows is at most"
        f" {operations / 1e9:.2g} billion operations, less than a GPU does while it waits for the"
        " others"
    )


def _positions(row: NewJob, settings: Settings) -> int:
    """How often a weight is used for a row at most: steps of a sequence, pixels of an image."""
    info = describe(row.spec.dataset, settings)
    shapes = [] if info is None else [leaf.shape[1:] for leaf in flatten(info.x)]
    return max((math.prod(shape[:-1]) for shape in shapes if shape), default=1)
