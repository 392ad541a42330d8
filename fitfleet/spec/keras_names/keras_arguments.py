"""Arguments of Keras's `compile` and `fit` that a job does not have, and what to use instead."""

from __future__ import annotations

_INSTEAD = {
    "x": "a job has its data as dataset=(x, y), or the path of a file",
    "y": "a job has its data as dataset=(x, y), or the path of a file",
    "verbose": "a worker prints nothing; `fitfleet watch` and fleet.wait() show the progress",
    "run_eagerly": "a worker's steps are compiled; to look into one, fit in your own script",
    "auto_scale_loss": "a loss is scaled where dtype_policy='mixed_float16' asks for it",
    **dict.fromkeys(
        ("workers", "use_multiprocessing", "max_queue_size"),
        "it is of data loading, which a job does not do in a fit; leave it out",
    ),
}


def instead(name: str) -> str | None:
    """What to use instead of an argument of Keras; None for other names."""
    remedy = _INSTEAD.get(name)
    return None if remedy is None else f"no such argument here: {remedy}"
