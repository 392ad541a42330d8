"""Users who sign in with their tokens: what they change is theirs, and ends with the token."""

from __future__ import annotations

import pytest
from page_client import Visitor
from support.rows import insert, new_job, status

from fitfleet.client.fleet import Fleet
from fitfleet.dashboard.serve import Dashboard
from fitfleet.db.accounts import access, tokens
from fitfleet.db.actor import Actor, Scope, acting
from fitfleet.states import JobStatus


def _signed_in(page: Dashboard, fleet: Fleet, user: str, scope: Scope) -> tuple[Visitor, str]:
    """A browser of that user, and the number of the token."""
    with fleet.database.begin() as c:
        token = tokens.create(c, user, scope)
    visitor = Visitor(page.address)
    assert visitor.post("/sign-in", token=token).status == 200
    assert token not in visitor.cookie
    return visitor, token.split("_")[1]


@pytest.fixture
def anas_job(fleet: Fleet) -> int:
    with acting(Actor("ana", Scope.SUBMIT, "1")):
        (job_id,) = insert(fleet.database, new_job("a"))
    return job_id


def test_what_a_user_changes_is_in_the_log(page: Dashboard, fleet: Fleet, anas_job: int) -> None:
    visitor, number = _signed_in(page, fleet, "ana", Scope.SUBMIT)
    assert visitor.post("/do/cancel", jobs=str(anas_job)).status == 200
    assert status(fleet.database, anas_job) is JobStatus.CANCELLED
    with fleet.database.read() as c:
        (newest,) = access.log(c, 1)
    assert (newest["user_name"], newest["token_id"]) == ("ana", number)
    assert newest["action"] == "cancel"


def test_a_user_changes_nothing_of_others(page: Dashboard, fleet: Fleet, anas_job: int) -> None:
    visitor, _ = _signed_in(page, fleet, "bob", Scope.SUBMIT)
    answer = visitor.post("/do/pause", name="digits")
    assert (answer.status, "is of ana" in answer.text) == (409, True)
    assert "1 refused" in visitor.post("/do/cancel", jobs=str(anas_job)).text
    assert status(fleet.database, anas_job) is JobStatus.QUEUED
    assert "/experiment?name=digits" in visitor.get("/").text


def test_who_may_look_is_shown_no_buttons(page: Dashboard, fleet: Fleet, anas_job: int) -> None:
    visitor, _ = _signed_in(page, fleet, "ana", Scope.READ)
    shown = visitor.get("/").text + visitor.get("/experiment?name=digits").text
    assert "digits" in shown and "/do/" not in shown
    assert "of scope read" in visitor.post("/do/cancel", jobs=str(anas_job)).text
    assert status(fleet.database, anas_job) is JobStatus.QUEUED


def test_a_session_ends_with_its_token(page: Dashboard, fleet: Fleet, anas_job: int) -> None:
    visitor, number = _signed_in(page, fleet, "ana", Scope.ADMIN)
    assert visitor.get("/").status == 200
    with fleet.database.begin() as c:
        tokens.revoke(c, number)
    for answer in (visitor.get("/"), visitor.post("/do/cancel", jobs=str(anas_job))):
        assert answer.status == 403
        assert "was revoked" in answer.text and "digits" not in answer.text
    assert status(fleet.database, anas_job) is JobStatus.QUEUED


def test_a_token_for_workers_opens_no_page(page: Dashboard, fleet: Fleet) -> None:
    with fleet.database.begin() as c:
        token = tokens.create(c, "host", Scope.WORK)
    assert Visitor(page.address).post("/sign-in", token=token).status == 403
