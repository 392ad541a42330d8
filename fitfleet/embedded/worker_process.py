"""The process of a worker service of an embedded fleet.

`python -m fitfleet.embedded.worker_process PARENT FOLDER` serves like `fitfleet worker`, for the
process with the number PARENT, by the broker of FOLDER. Scripts wait for its start: it imports no
other command, and TensorFlow while the script makes database and broker ready.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from fitfleet.embedded import parent_process
from fitfleet.embedded.broker import Broker
from fitfleet.errors import FitfleetError
from fitfleet.interrupts import exit_on_sigterm
from fitfleet.service_log import log_start, start_logging
from fitfleet.settings import Settings
from fitfleet.text import plain_warnings


def main(parent: int, broker_folder: Path) -> int:
    """Serve until told to stop, or until the parent has gone; the exit code."""
    gc.disable()  # until TensorFlow has been imported
    exit_on_sigterm()
    plain_warnings()
    try:
        settings = Settings.load()
        start_logging(settings)
        parent_process.watch_parent(parent, settings.drain_s + 10.0)
        from fitfleet.worker.process.service import run_service

        return run_service(settings, settle=_with_broker)
    except FitfleetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        # After a script that was killed, its workers stop the broker when no other uses it.
        Broker(broker_folder).release()


def _with_broker(settings: Settings) -> Settings:
    """The settings once the broker is up."""
    gc.enable()
    settings = settings.replace(broker_url=parent_process.broker_url())
    log_start("worker", settings)
    return settings


if __name__ == "__main__":
    code = main(int(sys.argv[1]), Path(sys.argv[2]))
    from fitfleet.worker.process.draining import exit_now

    exit_now(code)
