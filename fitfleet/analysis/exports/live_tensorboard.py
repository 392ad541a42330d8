"""A TensorBoard folder that grows while jobs train."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from fitfleet.analysis.exports.runs import ExportedRun
from fitfleet.analysis.exports.tensorboard import BoardWriter
from fitfleet.errors import FitfleetError

_POLL_S = 2.0


def follow(folder: str | Path, read: Callable[[], tuple[list[ExportedRun], bool]]) -> Path:
    """Keep `folder` up to date until `read` says that nothing is left to train.

    `read` gives the runs that have begun, and whether all is over. Files of earlier calls are
    written anew. FitfleetError if the folder cannot be written; MissingExtraError.
    """
    target = Path(folder)
    writers: dict[str, BoardWriter] = {}
    while True:
        runs, is_over = read()
        try:
            for run in runs:
                if run.name not in writers:
                    writers[run.name] = BoardWriter(target, run)
                writers[run.name].update(run)
        except OSError as error:
            raise FitfleetError(f"{target}: cannot be written: {error.strerror}") from None
        if is_over:
            return target
        time.sleep(_POLL_S)
