"""The Celery app: which settings it runs with and how a job is published.

Redis only carries messages `(job_id, dispatch_seq)`; what they mean is in the database.

Celery and Redis's client are imported by the functions that need them: a script submits and waits
without them, and they take a seventh of what it imports.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from fitfleet.errors import BrokerError, SettingsError
from fitfleet.settings import Settings
from fitfleet.urls import without_password

if TYPE_CHECKING:
    from celery import Celery as Celery

TASK = "fitfleet.run"
SIGNATURE = "fitfleet-signature"  # the header of a message that holds it
# Only a sign of life: nothing is decided by it.
_SCHEDULER_KEY = "fitfleet.scheduler"
_SCHEDULER_S = 30
# Arguments of a `rediss://` URL, and what they must be where they are given.
_VERIFIES = {
    "ssl_cert_reqs": ("required", "cert_required"),
    "ssl_check_hostname": ("true", "yes", "1"),
}
_SCHEMES = ("redis", "rediss", "redis+socket")

# Each has a measured reason: late acks run a long job twice, prefetch hoards behind one, ETAs are
# delivered many times, and a result backend hangs with a frozen broker.
_CONFIGURATION: dict[str, Any] = {
    "task_acks_late": False,  # the lease in SQL covers a crash
    "worker_disable_prefetch": True,
    "worker_prefetch_multiplier": 1,
    "task_reject_on_worker_lost": False,
    "task_ignore_result": True,
    "result_backend": None,
    "task_publish_retry": False,  # the dispatcher retries
    # Importing TensorFlow takes longer than the default 4 s, from a network file system minutes.
    "worker_proc_alive_timeout": 300,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "task_serializer": "json",
    "accept_content": ["json"],
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "broker_transport_options": {
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "visibility_timeout": 600,
    },
}


@functools.lru_cache(maxsize=8)
def _app(broker_url: str) -> Celery:
    from celery import Celery

    app = Celery("fitfleet", broker=_verified(broker_url), set_as_current=False)
    app.conf.update(_CONFIGURATION)
    return app


def _verified(broker_url: str) -> str:
    """kombu accepts any certificate of a `rediss://` server unless the URL says otherwise.

    SettingsError for a URL that neither Celery nor we could use, or that turns the check off.
    """
    _check_url(broker_url)
    if not broker_url.startswith("rediss://"):
        return broker_url
    arguments = dict(parse_qsl(urlsplit(broker_url).query, keep_blank_values=True))
    for name, needed in _VERIFIES.items():
        value = arguments.get(name)
        if value is not None and value.lower() not in needed:
            raise SettingsError(
                f"broker_url: {name}={value:.20} would accept the certificate of anyone; leave it"
                " out, and give the CA certificate that signed it with ssl_ca_certs=/path/ca.pem"
            )
    if "ssl_cert_reqs" in arguments:
        return broker_url
    return f"{broker_url}{'&' if '?' in broker_url else '?'}ssl_cert_reqs=required"


def _check_url(broker_url: str) -> None:
    scheme = broker_url.partition("://")[0]
    if scheme not in _SCHEMES:
        raise SettingsError(
            f"broker_url: {scheme[:20]!r} is not supported; use {', '.join(_SCHEMES)}, as in"
            " redis://:password@host:6379/0"
        )
    try:
        _ = urlsplit(broker_url).port
    except ValueError:
        shown = without_password(broker_url)
        raise SettingsError(f"broker_url: {shown} has a port that is not a number") from None


def celery_app(settings: Settings) -> Celery:
    """The Celery app of a fleet. Importing it never imports TensorFlow.

    SettingsError for a broker URL of another kind.
    """
    return _app(settings.broker_url)


def use_broker(app: Celery, settings: Settings) -> None:
    """Let an app that has not connected yet use the broker of these settings."""
    app.conf.broker_url = _verified(settings.broker_url)


def publish(app: Celery, queue: str, messages: Sequence[tuple[int, int]], key: bytes) -> None:
    """Send (job_id, dispatch_seq) messages, signed with the workers' key (db/accounts/keys).

    BrokerError: some or all may not have arrived.
    """
    with _translated(app), app.connection_for_write() as connection:
        producer = app.amqp.Producer(connection)
        for job_id, dispatch_seq in messages:
            app.send_task(
                TASK,
                (job_id, dispatch_seq),
                queue=queue,
                producer=producer,
                ignore_result=True,
                headers={SIGNATURE: signature(key, queue, job_id, dispatch_seq)},
            )


def signature(key: bytes, queue: str, job_id: int, dispatch_seq: int) -> str:
    """HMAC-SHA256 of all that a message says, in hexadecimal digits."""
    text = f"{TASK} {queue} {job_id} {dispatch_seq}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def waiting(app: Celery, queue: str) -> int:
    """Messages of a queue that lie in the broker. BrokerError when it is away."""
    with _translated(app), closing(_client(app)) as client:
        return int(client.llen(queue))


def ping(app: Celery) -> None:
    """BrokerError unless the broker answers."""
    with _translated(app), closing(_client(app)) as client:
        client.ping()


def command(app: Celery, *words: str) -> Any:
    """The answer to a command of the server's own. BrokerError when it is away, or refuses."""
    with _translated(app), closing(_client(app)) as client:
        return client.execute_command(*words)


def announce_scheduler(app: Celery, name: str) -> None:
    """Say for half a minute that a scheduler runs. BrokerError when the broker is away."""
    with _translated(app), closing(_client(app)) as client:
        client.set(_SCHEDULER_KEY, name, ex=_SCHEDULER_S)


def scheduler_seen(app: Celery) -> str | None:
    """Who last said so; None: no scheduler has for half a minute. BrokerError."""
    with _translated(app), closing(_client(app)) as client:
        name = client.get(_SCHEDULER_KEY)
    return name.decode(errors="replace") if isinstance(name, bytes) else None


def check(settings: Settings) -> None:
    """BrokerError unless the broker answers. One behind a socket is asked without any client."""
    url = urlsplit(settings.broker_url)
    if url.scheme != "redis+socket" or not answers(Path(url.path)):
        ping(celery_app(settings))


def answers(path: Path, timeout_s: float = 2.0) -> bool:
    """Whether a Redis server behind a Unix socket answers one who has no password."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _client(app: Celery) -> Any:
    """A client that tries once: Celery's own retries for 6 s when the broker is away."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    url = app.conf.broker_url.replace("redis+socket://", "unix://").replace("virtual_host=", "db=")
    return Redis.from_url(
        url, retry=Retry(NoBackoff(), 0), socket_timeout=10, socket_connect_timeout=5
    )


@contextmanager
def _translated(app: Celery) -> Iterator[None]:
    from kombu.exceptions import OperationalError as KombuError
    from redis.exceptions import RedisError

    try:
        yield
    except (KombuError, RedisError, OSError) as error:
        place = without_password(app.conf.broker_url)
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BrokerError(f"the broker {place} does not answer: {reason}") from error
