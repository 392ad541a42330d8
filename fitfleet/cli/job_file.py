"""Job files: YAML or JSON whose keys are the arguments of `Fleet.submit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec import yaml_text

_LARGEST_BYTES = 64 * 2**20


def read_jobs(path: Path) -> list[dict[str, Any]]:
    """The jobs of a file: one mapping, a list of mappings, or shared keys and a list `jobs`.

    A job under `jobs` takes over the shared keys that it does not give itself.
    SpecError if the file cannot be read or is none of these.
    """
    return jobs_of(read(path), str(path))


def read(path: Path) -> Any:
    """What the file says. SpecError if it cannot be read or parsed."""
    try:
        if path.exists() and not path.is_file():
            raise SpecError(str(path), "is not a file")
        size = path.stat().st_size
        if size > _LARGEST_BYTES:
            raise SpecError(str(path), f"{size} bytes are no job file; the limit is 64 MiB")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError(str(path), f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SpecError(str(path), "is not text in UTF-8; a job file is YAML or JSON") from None
    except ValueError as error:
        raise SpecError(repr(str(path)), f"is not a path: {error}") from None
    return yaml_text.load(text, str(path))


def jobs_of(document: Any, place: str) -> list[dict[str, Any]]:
    """The jobs of a document."""
    if isinstance(document, list):
        documents, shared = document, {}
    elif isinstance(document, dict) and "jobs" in document:
        documents = document["jobs"]
        shared = {key: value for key, value in document.items() if key != "jobs"}
    else:
        documents, shared = [document], {}
    if not isinstance(documents, list) or not documents:
        raise SpecError(place, "`jobs` must be a list with at least one job")
    for index, job in enumerate(documents):
        if not isinstance(job, dict) or not all(isinstance(key, str) for key in job):
            where = f"{place}[{index}]" if len(documents) > 1 else place
            raise SpecError(where, "a job is a mapping with `model`, `dataset`, `loss`, ...")
    return [{**shared, **job} for job in documents]
