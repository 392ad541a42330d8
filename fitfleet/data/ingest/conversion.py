"""Files converted once to a file of the storage, by the process that reads untrusted files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fitfleet.data.files import storage_files
from fitfleet.data.files.fingerprint import Stamp, read_json, write_json
from fitfleet.data.formats.file import hasher
from fitfleet.data.inspection.checker import call
from fitfleet.data.limits import Limits
from fitfleet.settings import Settings

# Called with a line for the user.
OnProgress = Callable[[str], None]


def convert_once(
    identity: Any,
    stamps: Sequence[Stamp],
    settings: Settings,
    convert: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """The answer of `convert`, cached on this machine by `identity`.

    `identity` is a JSON value of all that the answer depends on, the stamps of the files included.
    The answer's "digest" names a file of the storage: without it `convert` is called again. An
    answer about files that have just been written is not cached, as they may still change.
    """
    key = hasher(json.dumps(identity).encode()).hexdigest()
    entry = Path(settings.cache) / "decoded" / f"{key}.json"
    answer = read_json(entry)
    if answer is not None and storage_files.is_there(
        settings, storage_files.name_of(str(answer.get("digest")))
    ):
        return answer
    answer = convert()
    now_ns = time.time_ns()
    if all(stamp.is_settled(now_ns) for stamp in stamps):
        write_json(entry, answer)
    return answer


def convert(
    command: str,
    place: str,
    settings: Settings,
    on_progress: OnProgress | None,
    progress: str,
    **request: Any,
) -> dict[str, Any]:
    """Let the checking process write a file, and keep it in the storage; its answer, with "digest".

    `progress` is the line for the user, with {done} and {count}. Raises DatasetError with `place`,
    StorageError, MissingExtraError.
    """
    max_bytes = Limits.of(settings).array_bytes

    def report(done: int, count: int) -> None:
        if on_progress is not None:
            on_progress(f"{place}: {progress.format(done=done, count=count)}")

    with storage_files.draft(settings) as draft:
        answer: dict[str, Any] = call(
            place,
            Limits.of(settings),
            lambda ask: ask(command, target=str(draft), max_bytes=max_bytes, **request),
            on_progress=report,
        )
        storage_files.keep(settings, draft, storage_files.name_of(answer["digest"]))
    return answer
