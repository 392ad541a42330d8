"""Short labels that distinguish jobs: the params that differ, and the seed where needed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

from fitfleet.text import printable


class Labelled(Protocol):
    """The fields of a job that a label shows."""

    @property
    def experiment(self) -> str: ...

    @property
    def params(self) -> dict[str, Any]: ...

    @property
    def seed(self) -> int: ...

    @property
    def fold(self) -> int | None: ...


def labels(jobs: Sequence[Labelled], *, only_differing: bool = False) -> list[str]:
    """A label a job: `units=32 seed=1`. Printable.

    The seed stands where jobs of one experiment differ by nothing else, or have no params; the
    fold likewise. With `only_differing`, params that all of the jobs share are left out.
    """
    names = list(dict.fromkeys(name for job in jobs for name in job.params))
    if only_differing and len(jobs) > 1:
        names = [name for name in names if len({repr(job.params.get(name)) for job in jobs}) > 1]
    short = _short_names(names)
    plain = [
        " ".join(f"{short[n]}={shown(job.params[n])}" for n in names if n in job.params)
        for job in jobs
    ]
    return distinct(jobs, plain, " ")


def distinct(jobs: Sequence[Labelled], texts: Sequence[str], between: str) -> list[str]:
    """These texts of jobs, with seed and fold behind `between` where `labels` would show them."""
    alike: dict[tuple[str, str], list[Labelled]] = defaultdict(list)
    for job, text in zip(jobs, texts, strict=True):
        alike[job.experiment, text].append(job)
    lines = []
    for job, text in zip(jobs, texts, strict=True):
        others = alike[job.experiment, text]
        words = [text] if text else []
        if not text or len({peer.seed for peer in others}) > 1:
            words.append(f"seed={job.seed}")
        if len({peer.fold for peer in others}) > 1:
            words.append(f"fold={job.fold}")
        lines.append(printable(between.join(words)))
    return lines


def shown(value: Any) -> str:
    """A value in few characters: a float in four digits that count."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _short_names(names: Sequence[str]) -> dict[str, str]:
    """Without where a parameter stands, if that leaves it unique."""
    ends = Counter(name.rsplit(".", 1)[-1] for name in names)
    return {n: end if ends[end := n.rsplit(".", 1)[-1]] == 1 else n for n in names}
