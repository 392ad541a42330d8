"""Tokens and the audit log, on both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.rows import insert, insert_many, new_job
from typer.testing import CliRunner

import fitfleet as ff
from fitfleet.cli.main import app
from fitfleet.db.accounts import access, tokens
from fitfleet.db.actor import Actor, Scope, acting
from fitfleet.db.fleet import workers
from fitfleet.db.jobs import experiments, jobs, labels, priority
from fitfleet.db.schema.tables import tokens as token_table
from fitfleet.db.session import Database
from fitfleet.errors import AccessError, NotFoundError

HOLDERS = ("access_tokens", "audit_log", "tokens", "audit")


def create(database: Database, scope: Scope, user: str = "ana", **how: Any) -> str:
    with database.begin() as c:
        return tokens.create(c, user, scope, **how)


def find(database: Database, token: str) -> Actor:
    with database.read() as c:
        return tokens.find(c, token)


def log(database: Database) -> list[tuple[str, str, str]]:
    """(user, action, target), first first."""
    with database.read() as c:
        return [(r["user_name"], r["action"], r["target"]) for r in access.log(c, 999)][::-1]


def test_a_token_is_kept_as_a_hash(database: Database) -> None:
    token = create(database, Scope.SUBMIT)
    found = find(database, token)
    assert (found.user, found.scope) == ("ana", Scope.SUBMIT)
    with database.read() as c:
        rows = [str(c.exec_driver_sql(f"SELECT * FROM {name}").all()) for name in HOLDERS]
    assert token.split("_", 2)[2] not in "".join(rows)


@pytest.mark.parametrize("form", ["", "x", "ff_{number}_{secret}x", "ff_00000000_{secret}", "ff_"])
def test_a_changed_token_is_rejected(database: Database, form: str) -> None:
    _, number, secret = create(database, Scope.ADMIN).split("_", 2)
    with pytest.raises(AccessError, match="the token does not belong to this fleet"):
        find(database, form.format(number=number, secret=secret))


def test_an_expired_and_a_revoked_token_open_nothing(database: Database) -> None:
    expired, revoked = create(database, Scope.READ, expires_s=60.0), create(database, Scope.READ)
    find(database, expired)
    number = revoked.split("_")[1]
    with database.begin() as c:
        c.execute(
            sa.update(token_table)
            .where(token_table.c.expires_at.is_not(None))
            .values(expires_at=token_table.c.expires_at - 61)
        )
        assert tokens.revoke(c, number)[0] == "ana"
    with pytest.raises(AccessError, match="has expired"):
        find(database, expired)
    with pytest.raises(AccessError, match="was revoked"):
        find(database, revoked)
    with database.begin() as c, pytest.raises(NotFoundError, match="no token"):
        tokens.revoke(c, number)


CHANGES: dict[str, Any] = {
    "cancel": lambda c, job_id: jobs.cancel(c, job_id),
    "limit": lambda c, _: experiments.limit_running(c, "digits", 3),
    "note": lambda c, job_id: labels.note(c, job_id, "x"),
    "pause": lambda c, _: experiments.pause(c, "digits"),
    "priority": lambda c, job_id: priority.set_priority(c, job_id, 3),
    "resume": lambda c, _: experiments.resume(c, "digits"),
    "tag": lambda c, job_id: labels.tag(c, job_id, add=["x"]),
}


@pytest.mark.parametrize("action", sorted(CHANGES))
def test_a_change_is_of_its_user_or_refused(database: Database, action: str) -> None:
    with acting(Actor("ana", Scope.SUBMIT, "1")):
        (job_id,) = insert(database, new_job("a"))

    def act(user: str, scope: Scope) -> None:
        with acting(Actor(user, scope, "1")), database.begin() as c:
            CHANGES[action](c, job_id)

    with pytest.raises(AccessError, match=f"{action}: the token 1 of ana is of scope read"):
        act("ana", Scope.READ)
    with pytest.raises(AccessError, match="the experiment 'digits' is of ana, and bob may"):
        act("bob", Scope.SUBMIT)
    with pytest.raises(AccessError, match="of scope work"):
        act("ana", Scope.WORK)
    act("ana", Scope.SUBMIT)
    act("root", Scope.ADMIN)
    done = [row[0] for row in log(database) if row[1] == action]
    assert done == (["ana"] if action == "cancel" else ["ana", "root"])


def test_only_an_admin_makes_tokens_sets_quotas_and_drains(database: Database) -> None:
    for scope in (Scope.READ, Scope.SUBMIT, Scope.WORK):
        with acting(Actor("ana", scope, "1")):
            with pytest.raises(AccessError, match="needs one of scope admin"):
                create(database, Scope.READ)
            with pytest.raises(AccessError, match="scope admin"), database.begin() as c:
                workers.drain(c, "host")
    assert log(database) == []


def test_what_was_refused_or_changed_nothing_is_not_in_the_log(database: Database) -> None:
    (job_id,) = insert(database, new_job("a"))
    with database.begin() as c:
        jobs.cancel(c, job_id)
        jobs.cancel(c, job_id)
        assert not priority.set_priority(c, job_id, 1)
    assert [row[1] for row in log(database)] == ["submit", "cancel"]
    insert_many(database, 3, experiment="many")
    with database.read() as c:
        newest = access.log(c, 1)[0]
    assert (newest["target"], newest["detail"]) == ("many", "3 jobs")


def test_a_script_with_a_token_is_its_user(database: Database, database_url: str) -> None:
    token, reader = create(database, Scope.SUBMIT), create(database, Scope.READ)
    worker = create(database, Scope.WORK)
    with ff.connect(database_url, token=token) as fleet:
        insert(fleet.database, new_job("a"))
        assert token not in repr(fleet.settings) + str(fleet.settings.shown())
    with ff.connect(database_url, token=reader) as fleet:
        assert len(fleet.jobs()) == 1
        with pytest.raises(AccessError, match="of scope read"):
            fleet.jobs()[0].cancel()
    with pytest.raises(AccessError, match="of scope work; this needs one of scope read"):
        ff.connect(database_url, token=worker)
    with pytest.raises(AccessError, match="does not belong to this fleet"):
        ff.connect(database_url, token="ff_wrong")
    with ff.connect(database_url, user="bob") as fleet:
        insert(fleet.database, new_job("b"))
    assert [row[0] for row in log(database)[-2:]] == ["ana", "bob"]


def test_the_commands_create_list_and_revoke_tokens(database: Database, database_url: str) -> None:
    def run(words: str, code: int = 0) -> str:
        found = CliRunner().invoke(app, [*words.split(), "--database-url", database_url])
        assert found.exit_code == code, found.output
        return found.output.strip()

    token = run("token create --user ana --scope submit --quota 8 --expires 90d")
    assert find(database, token).user == "ana"
    number = token.split("_")[1]
    shown = run("token list")
    assert number in shown and "valid" in shown and token not in shown
    assert "ana: 8 jobs at once, 2.5 GPU-hours" in run("user set ana --gpu-hours 2.5")
    assert "any number of GPU-hours" in run("user set ana --max-running 8 --gpu-hours none")
    assert '"max_running": 8' in run("user list --json")
    assert "is revoked" in run(f"token revoke {number}")
    assert "no token" in run(f"token revoke {number}", 2)
    actions = run("audit")
    assert all(word in actions for word in ("revoke token", "set quota", "create token"))
    for words, told in (
        ("token create --user ana --scope all", "scope: 'all' is not one of read, submit, admin"),
        ("token create --user a/b", "user: 'a/b' is not a name"),
        ("token create --user ana --quota many", "max_running: 'many' is not a whole number"),
        ("token create --user ana --expires soon", "is not a duration"),
        ("user set ana", "give --max-running, --gpu-hours, --group, --shares or several"),
        ("user set ana --gpu-hours=-1", "gpu_hours: -1 is below 0"),
    ):
        assert told in run(words, 2)


def test_a_token_of_another_fleet_does_not_keep_from_an_embedded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FITFLEET_TOKEN", "ff_of_another_fleet")
    with ff.local(0, tmp_path) as fleet:
        insert(fleet.database, new_job("a"))
    found = CliRunner().invoke(app, ["audit", "--directory", str(tmp_path)])
    assert found.exit_code == 0 and "submit" in found.output
    wrong = CliRunner().invoke(app, ["audit", "--database-url", f"sqlite:///{tmp_path}/fleet.db"])
    assert wrong.exit_code == 2
    assert wrong.output.startswith("error: the token does not belong to this fleet")
