"""Which messages of the broker a worker acts on: those that its scheduler has signed.

Anyone who can write to the broker can push bytes to a queue. What arrives is measured, decoded and
compared with its signature before Celery sees it, and Celery is then given a message that is
written here: nothing of another one (time limits, callbacks, compression, task names) gets on.
"""

from __future__ import annotations

import base64
import hmac
import json
import logging
import uuid
from typing import Any

from fitfleet.queue import SIGNATURE, TASK, signature

_log = logging.getLogger(__name__)
# Of one that Celery writes: 1 KB with a host name and numbers of any length.
MAX_BYTES = 4096
UNREADABLE, OVERSIZED, UNSIGNED, CONTROL = "unreadable", "oversized", "unsigned", "control"
_TOLD = {
    UNREADABLE: "a message that fitfleet did not send",
    OVERSIZED: f"a message of more than {MAX_BYTES:,} bytes, which fitfleet did not send",
    UNSIGNED: "a message without the signature of this fleet (message_key may differ from the"
    " scheduler's)",
    CONTROL: "a remote-control command of Celery, which workers do not obey",
}
# What decoding a foreign message raises.
FOREIGN = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)

refused = dict.fromkeys(_TOLD, 0)  # by reason, of this service


def refuse(reason: str) -> None:
    """Count it, and log the first of its kind."""
    refused[reason] += 1
    if refused[reason] == 1:
        _log.warning(
            "dropped %s; further ones are only counted. Who can write to the broker? See"
            " docs/explanation/security.md",
            _TOLD[reason],
        )


def checked(raw: bytes | str, queue: str, key: bytes) -> dict[str, Any] | None:
    """The message that Celery may have, for kombu; None, and counted, if it is not of this fleet.

    A message that was refused is gone; if its job waits, the scheduler publishes it again.
    """
    if len(raw) > MAX_BYTES:
        refuse(OVERSIZED)
        return None
    try:
        job_id, dispatch_seq, given = _contents(raw)
    except FOREIGN:
        refuse(UNREADABLE)
        return None
    expected = signature(key, queue, job_id, dispatch_seq)
    if not hmac.compare_digest(expected.encode(), given.encode(errors="replace")):
        refuse(UNSIGNED)
        return None
    return _message(queue, job_id, dispatch_seq, expected)


def _contents(raw: bytes | str) -> tuple[int, int, str]:
    """(job_id, dispatch_seq, signature). What is none of ours raises one of FOREIGN."""
    message = json.loads(raw)
    arguments = json.loads(base64.b64decode(message["body"], validate=True))[0]
    job_id, dispatch_seq = arguments
    if not all(type(n) is int and 0 <= n < 2**63 for n in (job_id, dispatch_seq)):
        raise ValueError
    return job_id, dispatch_seq, str(message["headers"].get(SIGNATURE, ""))


def _message(queue: str, job_id: int, dispatch_seq: int, signed: str) -> dict[str, Any]:
    """As kombu reads it from Redis, with the required fields of Celery's protocol 2 only.

    https://docs.celeryq.dev/en/stable/internals/protocol.html. The signature stays, since a worker
    that ends gives messages back that it has not begun.
    """
    body = json.dumps([[job_id, dispatch_seq], {}, {}]).encode()
    number = str(uuid.uuid4())
    return {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": TASK,
            "id": number,
            "root_id": number,
            "argsrepr": f"({job_id}, {dispatch_seq})",
            "kwargsrepr": "{}",
            "ignore_result": True,
            SIGNATURE: signed,
        },
        "properties": {
            "correlation_id": number,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }
