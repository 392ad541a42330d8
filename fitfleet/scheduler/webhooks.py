"""Sending notifications, in a separate thread: a slow server keeps no job waiting."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import logging
import threading
import time
import urllib.error
import urllib.request
from typing import Any

from fitfleet.db.accounts import apprise_urls, webhooks
from fitfleet.db.accounts.webhooks import Due
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError, MissingExtraError

_TIMEOUT_S = 10.0
_log = logging.getLogger(__name__)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would lead to a server that no admin has named."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


class Notifier:
    """A step of the scheduler: sends what is due, unless it still does."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def __call__(self, database: Database) -> None:
        """Begin to send, in a thread. What it does not come to is in the outbox."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=_send_all, args=(database,), name="notifications", daemon=True
            )
            self._thread.start()


def send_due(database: Database) -> int:
    """Send what is due now, each once; how many were claimed."""
    with database.begin() as c:
        webhooks.settle_experiments(c)
        claimed = webhooks.claim_due(c)
    for due in claimed:
        error = send(due)
        with database.begin() as c:
            if error is None:
                webhooks.delivered(c, due)
                continue
            is_retried = webhooks.failed(c, due, error)
        then = "it will be retried" if is_retried else "it is dropped"
        place = webhooks.shown(due.url)
        _log.warning("%s: delivery of %s failed: %s; %s", place, due.event, error, then)
    return len(claimed)


def send(due: Due) -> str | None:
    """Post it; None if it was answered with 2xx, else what went wrong, without the URL."""
    if apprise_urls.is_apprise(due.url):
        return _send_by_apprise(due)
    body = due.payload.encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "fitfleet",
        "X-Fitfleet-Event": due.event,
        "X-Fitfleet-Delivery": due.event_id,
        "X-Fitfleet-Signature": signature(due.secret, int(time.time()), body),
    }
    request = urllib.request.Request(due.url, body, headers, method="POST")
    try:
        with _opener.open(request, timeout=_TIMEOUT_S):
            return None
    except urllib.error.HTTPError as error:
        with error:
            return f"it answered {error.code}"
    except urllib.error.URLError as error:
        return f"it cannot be reached: {type(error.reason).__name__}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"it cannot be reached: {type(error).__name__}"


def _send_by_apprise(due: Due) -> str | None:
    try:
        apprise = apprise_urls.load()
    except MissingExtraError as error:
        return f"{error} (on the scheduler's host)"
    to = apprise.Apprise()
    try:
        if not to.add(due.url.removeprefix(apprise_urls.PREFIX)):
            return "apprise does not know the service of its URL"
        for service in to:  # each would follow redirects, to servers that no admin has named
            service.redirects = False
        is_sent = to.notify(title=f"fitfleet: {due.event}", body=sentence(json.loads(due.payload)))
    except Exception as error:  # whatever a service's own code raises
        return f"apprise failed: {type(error).__name__}"
    return None if is_sent else "its service did not take the message"


def sentence(about: dict[str, Any]) -> str:
    """What has happened, for people. It takes what a notification has (docs/how-to/webhooks)."""
    match about["event"]:
        case "job.succeeded":
            return f"Job {about['job']} of {about['experiment']} succeeded."
        case "job.failed":
            why = f"{about['failure_class']}: {about['failure_message']}"
            return f"Job {about['job']} of {about['experiment']} failed ({why})."
        case "experiment.finished":
            counts = ", ".join(f"{count} {status}" for status, count in about["jobs"].items())
            return f"Experiment {about['experiment']} is finished: {counts}."
        case "sweep.finished":
            return f"Sweep {about['sweep']} of {about['experiment']} is finished."
    jobs = ", ".join(map(str, about["jobs"])) or "none"
    return f"Worker {about['worker']} is lost; jobs that are requeued: {jobs}."


def signature(secret: str, at: int, body: bytes) -> str:
    """The header that authenticates the sender and the time of sending."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def _send_all(database: Database) -> None:
    try:
        while send_due(database):
            pass
        with database.begin() as c:
            webhooks.forget_old(c)
    except DatabaseError:
        return  # the scheduler's own loop tells of it
    except Exception:
        _log.exception("webhooks continue after an internal error")
