"""The process of a background fleet: `python -m fitfleet.embedded.background_process`.

It reads a request from its stdin. It ends on SIGTERM, and when nothing has run for `keep_s` seconds
and no script is connected.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitfleet.embedded.background_record import Record, Stay
from fitfleet.embedded.launch import started
from fitfleet.errors import DatabaseError, FitfleetError
from fitfleet.settings import Settings

if TYPE_CHECKING:
    from fitfleet.embedded.fleet import LocalFleet

_POLL_S = 0.5


def main() -> int:
    """Keep the fleet up; the exit code."""
    request = json.load(sys.stdin)
    if os.fork():  # the script that asked need not wait for the end of its child
        os._exit(0)
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in request["settings"].items()}
    settings, stay = Settings().replace(**values), Stay(Path(request["directory"]))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        stay.live()
        with started(settings, request["workers"], stay.directory) as fleet:
            stay.use()
            stay.write(_record(request, settings))
            print("there", flush=True)
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nobody reads on
            _keep(fleet, stay, stop)
    except FitfleetError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


def _record(request: dict[str, Any], settings: Settings) -> Record:
    import fitfleet

    return Record(
        pid=os.getpid(),
        version=fitfleet.__version__,
        workers=request["workers"],
        keep_s=request["keep_s"],
        setup_hash=request["setup_hash"],
        started_at=time.time(),
        drain_s=settings.drain_s,
    )


def _keep(fleet: LocalFleet, stay: Stay, stop: threading.Event) -> None:
    """Return when it is to end."""
    while not stop.wait(_POLL_S):
        fleet.services.check()
        if _is_used(fleet):
            stay.use()
            continue
        record = stay.read()
        if record is not None and stay.idle_s() < record.keep_s:
            continue
        with stay.turn():  # whoever wants to join now, starts another
            if not _is_used(fleet):
                fleet.close()
                return


def _is_used(fleet: LocalFleet) -> bool:
    """Whether a script is there, or a job that has not ended."""
    from fitfleet.db.fleet import capacity

    if len(fleet.broker.users()) > 1:
        return True
    try:
        with fleet.database.read() as c:
            return capacity.is_busy(c)
    except DatabaseError:
        return True  # it does not answer now


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # The lock goes with the process, so who sees it free finds no process any more.
    os._exit(code)
