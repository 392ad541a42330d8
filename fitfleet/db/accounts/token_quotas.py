"""Quotas of tokens: how many jobs of a token may be unfinished at once.

Jobs count for the token that made their experiment, and such a token submits to experiments that it
has made itself only. Held where jobs are queued, in the same transaction: unlike a user's quota,
which lets jobs wait, it bounds what waits.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, func, select

from fitfleet.db.accounts.access import actor_of
from fitfleet.db.schema.tables import experiments, jobs, tokens
from fitfleet.errors import AccessError, QuotaError
from fitfleet.states import JobStatus

_UNFINISHED = [status for status in JobStatus if not status.is_terminal]


def hold(c: Connection, changed_experiments: Iterable[str] = ()) -> None:
    """Raise QuotaError if this transaction has queued more jobs than its token allows.

    QuotaError; AccessError for an experiment of another token, which would be counted there.
    """
    token_id = actor_of(c).token_id
    if token_id is None:
        return
    # Two transactions of a token that count and then commit would together go above it.
    limit = select(tokens.c.max_jobs).where(tokens.c.id == token_id).with_for_update()
    max_jobs = c.execute(limit).scalar()
    if max_jobs is None:
        return
    _check_own(c, token_id, sorted(set(changed_experiments)))
    count = _unfinished(c, token_id)
    if count > max_jobs:
        raise QuotaError(
            f"the token {token_id} would have {count:,} unfinished jobs, and may have {max_jobs:,}"
            " (quota); wait for some, or cancel some"
        )


def _check_own(c: Connection, token_id: str, names: list[str]) -> None:
    query = select(experiments.c.name, experiments.c.token_id).where(experiments.c.name.in_(names))
    for row in c.execute(query):
        if row.token_id != token_id:
            raise AccessError(
                f"the token {token_id} has a quota, and submits to experiments that it has made"
                f" itself only; {row.name!r} is another's: choose another name"
            )


def _unfinished(c: Connection, token_id: str) -> int:
    of_token = select(experiments.c.id).where(experiments.c.token_id == token_id)
    query = (
        select(func.count())
        .select_from(jobs)
        .where(jobs.c.status.in_(_UNFINISHED), jobs.c.experiment_id.in_(of_token))
    )
    return int(c.execute(query).scalar_one())
