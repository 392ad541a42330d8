"""Names that Keras makes up, counted as in a fresh process: dense, dense_1.

Keras counts through all that a process has made, and metrics of a model with several outputs are
named after its layers. So a job of a builder would have other metrics in each child that runs it.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_ATTRIBUTE = "object_name_uids"

# By module of the user's: the counts after its import. Modules are a process's own, so this is,
# too. Layers that a module makes when it is imported must not share names with a builder's.
_after_import: dict[str, Mapping[str, int]] = {}


def restart() -> None:
    """Count on from what the imports of the user's modules have made, and from nothing else."""
    counters = [counts for name, counts in _after_import.items() if name in sys.modules]
    _set(_largest(counters))


@contextmanager
def importing(name: str) -> Iterator[None]:
    """The counts while a module is imported that may make layers; kept for `restart`."""
    if name in sys.modules:
        yield
        return
    restart()
    yield
    _after_import[name] = _now()


@contextmanager
def beside_a_script() -> Iterator[None]:
    """Afterwards a script counts on from its own names and from those that were made meanwhile."""
    before = _now()
    try:
        yield
    finally:
        _set(_largest([before, _now()]))


def _largest(counts: list[Mapping[str, int]]) -> dict[str, int]:
    names = {name for each in counts for name in each}
    return {name: max(each.get(name, 0) for each in counts) for name in names}


def _now() -> dict[str, int]:
    from fitfleet.worker.keras_private import global_state

    return dict(global_state.get_global_attribute(_ATTRIBUTE) or {})


def _set(counts: Mapping[str, int]) -> None:
    from fitfleet.worker.keras_private import global_state

    global_state.set_global_attribute(_ATTRIBUTE, defaultdict(int, counts))
