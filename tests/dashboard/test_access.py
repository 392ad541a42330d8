"""Who gets in, from where, and what a foreign page can do: nothing."""

from __future__ import annotations

import socket

import pytest
from page_client import Serve, Visitor
from support.rows import insert, new_job, status

from fitfleet.client.fleet import Fleet
from fitfleet.dashboard.app import READ
from fitfleet.dashboard.options import Options
from fitfleet.dashboard.serve import Dashboard
from fitfleet.errors import SettingsError
from fitfleet.states import JobStatus


def test_nothing_is_shown_before_signing_in(page: Dashboard) -> None:
    stranger = Visitor(page.address)
    for path in [*READ, "/events"]:
        answer = stranger.get(path.replace("{job_id:int}", "1"))
        assert answer.status in (303, 401), path
        assert "/sign-in" in answer.headers.get("location", answer.headers.get("hx-redirect", ""))
    assert stranger.post("/do/pause", name="digits").status == 401


def test_a_link_signs_one_browser_in_once(page: Dashboard) -> None:
    link = page.url
    first, second = Visitor(page.address), Visitor(page.address)
    answer = first.sign_in(link)
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert first.get("/").status == 200
    assert second.sign_in(link).status == 403
    assert second.get("/").status == 303


def test_a_forged_cookie_opens_nothing(visitor: Visitor) -> None:
    name, _, value = visitor.cookie.partition("=")
    visitor.cookie = f"{name}={value[:-4]}AAAA"
    assert visitor.get("/").status == 303


def test_signing_out_ends_the_session(visitor: Visitor) -> None:
    assert visitor.post("/sign-out").status == 303
    assert visitor.get("/").status == 303


def test_wrong_tokens_are_slowed_down(page: Dashboard) -> None:
    stranger = Visitor(page.address)
    answers = [stranger.post("/sign-in", token=f"guess-{i}").status for i in range(12)]
    assert answers == [403] * 10 + [429] * 2
    assert stranger.sign_in(page.url).status == 429


def test_a_sign_in_that_is_right_counts_for_no_limit(page: Dashboard) -> None:
    """Users behind a proxy have one address."""
    for _ in range(15):
        assert Visitor(page.address).sign_in(page.url).status == 200


def test_a_foreign_name_is_refused(visitor: Visitor) -> None:
    for name in ("evil.example", "127.0.0.1.evil.example", ""):
        visitor.host = name
        assert visitor.get("/").status == 400


def test_a_post_comes_from_our_own_pages_only(visitor: Visitor, fleet: Fleet) -> None:
    (job_id,) = insert(fleet.database, new_job("a"))
    for origin in (None, "null", "http://evil.example", "http://127.0.0.1:1"):
        assert visitor.post("/do/cancel", origin=origin, jobs=str(job_id)).status == 403
    assert status(fleet.database, job_id) is JobStatus.QUEUED
    assert visitor.post("/do/cancel", jobs=str(job_id)).status == 200
    assert status(fleet.database, job_id) is JobStatus.CANCELLED


def test_a_page_that_only_shows_changes_nothing(serve: Serve, fleet: Fleet) -> None:
    (job_id,) = insert(fleet.database, new_job("a"))
    page = serve(fleet, is_read_only=True)
    visitor = Visitor(page.address)
    visitor.sign_in(page.url)
    answer = visitor.post("/do/cancel", jobs=str(job_id))
    assert (answer.status, status(fleet.database, job_id)) == (403, JobStatus.QUEUED)
    assert "--read-only" in answer.text
    assert "/do/" not in visitor.get("/").text + visitor.get("/experiment?name=digits").text


def test_every_answer_forbids_foreign_scripts(visitor: Visitor) -> None:
    for path in ("/", "/nowhere", "/static/page.js"):
        policy = visitor.get(path).headers["content-security-policy"]
        assert "script-src 'self'" in policy and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy


def test_it_sends_nobody_elsewhere(page: Dashboard) -> None:
    for following in ("//evil.example", "https://evil.example/", "/\\evil.example", "evil"):
        visitor = Visitor(page.address)
        token = page.board.gate.issue()
        answer = visitor.post("/sign-in", token=token, next=following)
        assert "evil" not in answer.text, following


def test_a_password_signs_in_again_and_again(serve: Serve, fleet: Fleet) -> None:
    page = serve(fleet, secret="a long password")
    for _ in range(2):
        visitor = Visitor(page.address)
        assert visitor.post("/sign-in", token="a long password").status == 200
        assert visitor.get("/").status == 200


def test_other_machines_need_a_password() -> None:
    with pytest.raises(SettingsError, match="--password-file"):
        Options(host="0.0.0.0")
    with pytest.raises(SettingsError, match="needs 8 or more"):
        Options(host="0.0.0.0", secret="short")
    assert not Options(host="0.0.0.0", secret="long enough").is_loopback


def test_a_port_in_use_is_reported_or_passed_over(fleet: Fleet) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port} of 127.0.0.1: is in use"):
            Dashboard(fleet, Options(port=port))
    first, second = Dashboard(fleet, Options()), Dashboard(fleet, Options())
    assert first.address != second.address
    first.stop()
    second.stop()
