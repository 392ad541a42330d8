"""Permission checks and audit entries, made in the transaction of the change.

Who has the password of the database can write to it in any way; scopes hold for those that come by
a token (db/accounts/tokens). The log has all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, column, select, table

from fitfleet.db.actor import OPTION, Actor, Scope, local_actor
from fitfleet.db.dialect import storable_text
from fitfleet.db.schema.access_views import COLUMNS
from fitfleet.db.schema.tables import audit, experiments, jobs, users
from fitfleet.db.session import now
from fitfleet.errors import AccessError, NotFoundError

_TARGET = 160  # characters, as the table has it


def actor_of(c: Connection) -> Actor:
    """Who this transaction is of."""
    actor = c.get_execution_options().get(OPTION)
    return actor if isinstance(actor, Actor) else local_actor()


def change(
    c: Connection, action: str, target: str, detail: str | None = None, *, needs: Scope
) -> None:
    """Write into the log that this is done. AccessError if the scope does not allow it."""
    actor = actor_of(c)
    if not actor.scope.allows(needs):
        raise AccessError(
            f"{action}: the token {actor.token_id} of {actor.user} is of scope {actor.scope}; this"
            f" needs one of scope {needs}, from an admin: fitfleet token create --user"
            f" {actor.user} --scope {needs}"
        )
    values = {"user_name": actor.user, "token_id": actor.token_id, "action": action}
    values |= {"target": storable_text(target)[:_TARGET], "detail": detail}
    c.execute(audit.insert().values(at=now(c), **values))


def change_job(c: Connection, action: str, job_id: int, detail: str | None = None) -> None:
    """The same for a job. NotFoundError if there is none, or its removal has begun.

    Its removal does not begin before this transaction ends. AccessError if the scope allows changes
    of own experiments only, and its experiment is of somebody else.
    """
    query = (
        select(experiments.c.name, experiments.c.user_name)
        .join(jobs, jobs.c.experiment_id == experiments.c.id)
        .where(jobs.c.id == job_id, experiments.c.removing.is_(None))
        .with_for_update(read=True, key_share=True, of=experiments)
    )
    row = c.execute(query).first()
    if row is None:
        raise NotFoundError(f"there is no job {job_id}; `fitfleet ps` lists those there")
    if actor_of(c).scope is Scope.SUBMIT:
        _check_own(c, action, row.name, row.user_name)
    change(c, action, f"job {job_id}", detail, needs=Scope.SUBMIT)


def submit(c: Connection, experiments_of_jobs: Sequence[str]) -> None:
    """The same for new jobs, given by the experiment of each."""
    for name, count in Counter(experiments_of_jobs).items():
        change_experiment(c, "submit", name, f"{count} {'job' if count == 1 else 'jobs'}")


def change_experiment(c: Connection, action: str, name: str, detail: str | None = None) -> None:
    """The same for an experiment.

    Who has a quota submits to experiments of their own only: jobs count for who made it.
    """
    check_experiment(c, action, name)
    change(c, action, name, detail, needs=Scope.SUBMIT)


def check_experiment(c: Connection, action: str, name: str) -> None:
    """AccessError if an experiment is not the user's to change; one that there is not is."""
    actor = actor_of(c)
    has_quota = action == "submit" and _has_quota(c, actor.user)
    if actor.scope is Scope.SUBMIT or has_quota:
        query = select(experiments.c.user_name).where(experiments.c.name == name)
        row = c.execute(query).first()
        if row is not None:
            _check_own(c, action, name, row.user_name)


def log(c: Connection, limit: int, user: str | None = None) -> list[dict[str, Any]]:
    """The newest rows of the view `audit`, newest first."""
    view = table("audit", *(column(name) for name, _, _ in COLUMNS["audit"]))
    query = select(view).order_by(view.c.audit_id.desc()).limit(limit)
    if user is not None:
        query = query.where(view.c.user_name == user)
    return [dict(row._mapping) for row in c.execute(query)]


def _has_quota(c: Connection, user: str) -> bool:
    return c.execute(select(users.c.name).where(users.c.name == user)).first() is not None


def _check_own(c: Connection, action: str, experiment: str, user: str | None) -> None:
    actor = actor_of(c)
    if user != actor.user:
        owner = f"is of {user}" if user else "is of nobody"
        raise AccessError(
            f"{action}: the experiment {experiment!r} {owner}, and {actor.user} may change their"
            " own only; submit under another name, or ask an admin"
        )
