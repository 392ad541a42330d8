"""From a claim to a job that is ready to be trained: its spec, its data, its checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from fitfleet.data.arrays import Arrays, load, split_validation
from fitfleet.data.checks.compatibility import check_fit
from fitfleet.data.description.description import describe
from fitfleet.data.rows.rows import first_validation_rows, with_weights_in_order
from fitfleet.db.jobs import dependencies
from fitfleet.db.jobs.dependencies import Parent
from fitfleet.db.session import Database
from fitfleet.errors import DatasetError, SpecError
from fitfleet.objects.store import DamagedFileError
from fitfleet.settings import Settings
from fitfleet.spec.adapted_layers import States, with_states
from fitfleet.spec.checks.check import ModelFacts, check
from fitfleet.spec.checks.consistency import list_of_outputs
from fitfleet.spec.job import DatasetSpec, Floatx, JobOptions, JobSpec
from fitfleet.spec.versions import installed
from fitfleet.storage import Storage
from fitfleet.weights.files import checked, has_digest
from fitfleet.weights.stored_weights import keep
from fitfleet.worker.control import JobControl
from fitfleet.worker.failpoints import reach
from fitfleet.worker.models.adapt import adapt
from fitfleet.worker.prepared_job import PreparedJob
from fitfleet.worker.process.memory import micro_batch
from fitfleet.worker.recording.failures import OfNewerVersion
from fitfleet.worker.recording.journal import DatabaseJournal
from fitfleet.worker.state import checkpoint
from fitfleet.worker.state.checkpoint import Snapshot
from fitfleet.worker.state.initial_weights import adapted_before
from fitfleet.worker.user_code import loading
from fitfleet.worker.user_code.dataset_functions import read_rows


class Loader:
    """Loads the jobs of a cohort, whose data are read once."""

    def __init__(self, database: Database, storage: Storage, settings: Settings) -> None:
        self._database = database
        self._storage = storage
        self._settings = settings
        self._last: tuple[object, Arrays] | None = None
        self._last_states: tuple[object, States] | None = None
        self._last_rows: tuple[object, DatasetSpec] | None = None

    def load(self, controls: Sequence[JobControl], journal: DatabaseJournal) -> list[PreparedJob]:
        """Prepare the jobs; an error is recorded as the end of its job."""
        jobs: list[PreparedJob] = []
        for control in controls:
            timed = control.timeline.phase("load")
            with journal.hold(control), control.loading(), timed:
                jobs.append(self._load(control))
        self._last = self._last_states = self._last_rows = None
        return jobs

    def _load(self, control: JobControl) -> PreparedJob:
        spec, options = _spec(control)
        spec = self._started(control, spec)
        settings = loading.use(spec, self._database, self._settings)
        facts = check(spec, settings)  # what this worker trusts and bears decides
        reach("in_load")
        if spec.dataset.function is not None:
            spec = spec.model_copy(update={"dataset": self._rows(spec, settings)})
        if control.claim.fingerprint is None:
            _check_data(spec, facts, settings)
        arrays = self._arrays(control, spec, list_of_outputs(spec, facts))
        snapshot, restart = self._restore(control, spec, options)
        if restart:
            print(restart)
        if snapshot is not None and _continues(spec):  # it is resumed, as far as an engine sees
            spec = spec.model_copy(update={"initial_weights": None})
        _check_rows(arrays, snapshot)
        spec, states = self._adapted(spec, arrays, snapshot, settings)
        return PreparedJob(control, spec, options, arrays, snapshot, restart, states)

    def _rows(self, spec: JobSpec, settings: Settings) -> DatasetSpec:
        """The rows of a dataset function, called once for jobs with the same function and code."""
        key = (spec.dataset.function, spec.code)
        if self._last_rows is None or self._last_rows[0] != key or spec.code is None:
            self._last_rows = key, read_rows(spec, settings)
        asked = {"nan": spec.dataset.nan, "fold": spec.dataset.fold}
        return self._last_rows[1].model_copy(update=asked)

    def _adapted(
        self, spec: JobSpec, arrays: Arrays, snapshot: Snapshot | None, settings: Settings
    ) -> tuple[JobSpec, States]:
        """The spec with its layers adapted, and their states: those of the checkpoint, those of
        the job that it starts from, or what its own training rows give.
        """
        if not spec.adapt or spec.task is not None:  # a task has the fitted model, from its file
            return spec, {}
        known = snapshot.adapted if snapshot is not None else adapted_before(spec, settings)
        # The arrays are those of a job before, where it has the same dataset.
        key = (id(arrays), spec.model, spec.adapt, spec.dtype_policy, known)
        if self._last_states is None or self._last_states[0] != key:
            self._last_states = key, adapt(spec, arrays, settings, known)
        states = self._last_states[1]
        adapted = with_states(spec, states)
        check(adapted, settings)
        return adapted, states

    def _started(self, control: JobControl, spec: JobSpec) -> JobSpec:
        """The spec with the weights file of the job that this one has waited for."""
        start = spec.initial_weights
        if start is None or not start.of_job or start.continues:
            return spec
        source, _ = self._end_of_parent(control)
        kept = keep(source, self._settings, match=start.match)
        return spec.model_copy(update={"initial_weights": kept})

    def _end_of_parent(self, control: JobControl) -> tuple[Path, Parent]:
        """The file of weights of the job that this one starts from."""
        with self._database.read() as c:
            parent = dependencies.parent_of(c, control.claim.job_id)
        if parent is None or parent.artifact_path is None:
            raise SpecError(
                "init_from", "the weights of the job that it starts from were removed; run it again"
            )
        return self._storage.local(parent.artifact_path, parent.artifact_sha256), parent

    def _start(self, control: JobControl, spec: JobSpec) -> Snapshot | None:
        """The end of the job whose fit this one continues; None for one that continues none."""
        start = spec.initial_weights
        if start is None or not start.continues:
            return None
        path, parent = self._end_of_parent(control)
        if parent.content_hash != start.of_job:
            raise SpecError(
                "initial_weights",
                f"job {parent.job_id}, whose fit this one continues, was extended meanwhile; run a"
                " new sweep, under another name",
            )
        checked(path, self._settings, parent.artifact_sha256)
        return checkpoint.end_of(path, start.initial_epoch, self._settings)

    def _arrays(self, control: JobControl, spec: JobSpec, outputs: list[str]) -> Arrays:
        """Those of the job before, where it has the same dataset."""
        # `adapt` sees what is in the file, as in a script; engines cast what they train on.
        floatx: Floatx = "float64" if spec.adapt and spec.task is None else spec.floatx
        steps, size = spec.validation_steps, spec.validation_batch_size or spec.batch_size
        val_rows = None if steps is None else steps * size
        split = (spec.validation_split, val_rows)
        key = (spec.dataset, control.claim.fingerprint, split, outputs, floatx)
        if self._last is None or self._last[0] != key:
            self._last = self._last_states = None  # two datasets may not fit in memory
            arrays = load(spec.dataset, self._settings, control.claim.fingerprint, floatx=floatx)
            arrays = with_weights_in_order(arrays, outputs)
            arrays = split_validation(arrays, spec.validation_split)
            if val_rows is not None and spec.task is None:
                arrays = first_validation_rows(arrays, val_rows)
            self._last = key, arrays
        return self._last[1]

    def _restore(
        self, control: JobControl, spec: JobSpec, options: JobOptions
    ) -> tuple[Snapshot | None, str]:
        """The checkpoint to resume from, or None and why the job starts over in spite of one.

        The numbers are the same either way: a checkpoint that is not to be trusted costs time only.
        """
        claim = control.claim
        if claim.checkpoint_path is None:
            return self._start(control, spec), ""
        reach("in_restore")
        path = self._checkpoint(claim.checkpoint_path, claim.checkpoint_sha256)
        if path is None:
            return self._start(control, spec), (
                f"starts over: {claim.checkpoint_path} is not the checkpoint that was written, its"
                " sha256 is another than the one in the job's row"
            )
        snapshot = checkpoint.read(path, self._settings)
        batch_size, _ = micro_batch(spec, options, claim.memory_step)
        if snapshot.batch_size not in (None, batch_size):
            # After another OOM: its optimizer has other variables.
            why = f"starts over: the checkpoint is of batches of {snapshot.batch_size} rows"
            return self._start(control, spec), why
        return snapshot, ""

    def _checkpoint(self, name: str, digest: str | None) -> Path | None:
        """The checkpoint on this machine; None if it is not the one that was written."""
        try:
            path = self._storage.local(name, digest)
        except DamagedFileError:
            return None
        return path if has_digest(path, digest) else None


def _check_data(spec: JobSpec, facts: ModelFacts, settings: Settings) -> None:
    """What is checked at submit, for a dataset that could not be seen there."""
    info = describe(spec.dataset, settings)
    if info is not None:
        for line in check_fit(spec, facts, info, settings.memory_bytes):
            print(line)


def _continues(spec: JobSpec) -> bool:
    return spec.initial_weights is not None and spec.initial_weights.continues


def _check_rows(arrays: Arrays, snapshot: Snapshot | None) -> None:
    """Refuse to resume with other rows than those that the checkpoint was trained on."""
    before = None if snapshot is None else snapshot.fingerprint
    if before and before != arrays.fingerprint:
        raise DatasetError(
            f"dataset: the rows are not those that the job was trained on before ({before[:12]}"
            f" then, {arrays.fingerprint[:12]} now); submit it again"
        )


def _spec(control: JobControl) -> tuple[JobSpec, JobOptions]:
    claim = control.claim
    try:
        return (
            JobSpec.from_canonical(claim.spec),
            JobOptions.model_validate_json(claim.options),
        )
    except (ValidationError, ValueError, KeyError) as error:
        unknown = _unknown_fields(error)
        if unknown:
            raise OfNewerVersion(f"fitfleet {installed()} does not know {unknown}") from None
        raise SpecError(
            "", "its row cannot be read here: it is damaged, or of another version of fitfleet"
        ) from error


def _unknown_fields(error: Exception) -> str:
    """What a newer version has added, if that is all that is wrong."""
    if not isinstance(error, ValidationError):
        return ""
    details = error.errors()
    if any(detail["type"] not in ("extra_forbidden", "literal_error") for detail in details):
        return ""
    return ", ".join(".".join(map(str, detail["loc"])) for detail in details)
