"""Rows of jobs that are asked for as one before but for seed and options, such as params.

Nothing else of them has to be read, checked and hashed again. What was asked is compared by value:
a script may change a dict between two jobs.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from fitfleet.db.jobs.new_job import NewJob
from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.identity import content_hash_of_seeds, fuse_key
from fitfleet.spec.job import JobOptions, JobSpec
from fitfleet.spec.keywords import CHECKS
from fitfleet.spec.parts.layers import Sequential
from fitfleet.spec.submission import OPTION_NAMES, job_options

_SPEC_BYTES = 2**20
_OPTION_BYTES = 2**16
# Configurations that are kept: scripts ask for seeds of one after another, or in turns.
_MAX_KEPT = 256
# They stand for files, whose contents may change, or for other jobs.
_READ = ("code", "initial_weights", "init_from", "validation_data", "sample_weight")


@dataclass
class _Kept:
    row: NewJob
    hashes: Callable[[int], str] | None = None

    def hash_of(self, seed: int) -> str:
        """The content hash with this seed."""
        if self.hashes is None:
            self.hashes = content_hash_of_seeds(self.row.spec, self.row.fingerprint)
        return self.hashes(seed)


class Repeats:
    """The rows of the last configurations, by what was asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._last: tuple[Any, str | None] = (None, None)

    def of(self, document: Mapping[str, Any], *, again: bool) -> NewJob | None:
        """The row, if the rest of the document was asked for before. SpecError for its options."""
        key = _key(document)
        self._last = (document, key)
        kept = None if key is None else self._kept.get(key)
        seed = document.get("seed", 0)
        if kept is None or type(seed) is not int or CHECKS["seed"](seed):
            return None
        first, spec = kept.row, kept.row.spec.model_copy(update={"seed": seed})
        given = {name: value for name, value in document.items() if name in OPTION_NAMES}
        options = job_options(self._settings, **given)
        check_size(spec, options)
        is_same = options.fuse == first.options.fuse
        return replace(
            first,
            spec=spec,
            options=options,
            again=again,
            experiment=options.experiment,
            content_hash=kept.hash_of(seed),
            fuse_key=first.fuse_key if is_same else fuse_key(spec, first.fingerprint, options),
            queue=options.queue or self._settings.queue,
        )

    def keep(self, document: Mapping[str, Any], row: NewJob) -> None:
        """Keep a row that was just made of a document that `of` did not know."""
        asked, key = self._last
        if asked is not document or key is None or row.starts_from is not None:
            return
        self._kept[key] = _Kept(row)
        if len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)


def check_size(spec: JobSpec, options: JobOptions) -> None:
    """Rows are read and sent about: a document that is no specification is refused."""
    for place, part, limit in (("spec", spec, _SPEC_BYTES), ("params", options, _OPTION_BYTES)):
        size = len(part.model_dump_json())
        if size > limit:
            raise SpecError(place, f"{size:,} bytes as JSON, the limit is {limit:,}")


def _key(document: Mapping[str, Any]) -> str | None:
    """What a job is but for seed and options, as text; None for what is read again each time."""
    parts = {k: v for k, v in document.items() if k not in OPTION_NAMES and k != "seed"}
    model = parts.get("model")
    if any(parts.get(name) is not None for name in _READ):
        return None
    is_config = isinstance(model, dict) and "class_name" in model
    if not is_config and not isinstance(model, Sequential):
        return None
    try:
        return json.dumps(parts, default=_plain)
    except (TypeError, ValueError, RecursionError, SpecError):
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Sequential):
        return value.to_layer()
    raise TypeError
