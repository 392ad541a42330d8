"""Submitting: check all that can be checked here, then write every row in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from fitfleet.data.checks.compatibility import check_fit
from fitfleet.data.description.description import describe
from fitfleet.data.info import ArrayInfo, DatasetInfo
from fitfleet.db.jobs.jobs import NewJob
from fitfleet.errors import SpecError
from fitfleet.row_cache import Repeats, check_size
from fitfleet.settings import Settings
from fitfleet.spec.checks.check import ModelFacts, check
from fitfleet.spec.code.collect import check_inside, collect, paths_of
from fitfleet.spec.code.names import named
from fitfleet.spec.code.signing_key import sign
from fitfleet.spec.code.snapshot import Snapshot
from fitfleet.spec.identity import content_hash, fuse_key, group_hash
from fitfleet.spec.job import JobOptions, JobSpec, ModelSpec
from fitfleet.spec.shape_rules.inputs import with_input
from fitfleet.spec.submission import job_options, job_spec
from fitfleet.weights.initial_weights import Starting

T = TypeVar("T")

_OPTION_NAMES = frozenset(JobOptions.model_fields)
_AVERAGES = (
    "optimizer: use_ema keeps averaged weights at the end, while metrics of epochs, and rankings by"
    " them, are of the weights before averaging; rank by test data or an evaluator"
)


class Submission:
    """Turns users' jobs into checked rows.

    Parts that many jobs share (a dataset, a model) are read and checked once for all of them;
    `warnings` collects what the user should hear. Only with `is_scripted`, when a Python program
    asks, are builders called whose modules are not trusted.
    """

    def __init__(self, settings: Settings, *, is_scripted: bool = False) -> None:
        self._settings = settings
        self._is_scripted = is_scripted
        self._starting = Starting(settings, is_scripted=is_scripted)
        self._facts: dict[str, ModelFacts] = {}
        self._snapshots: dict[Any, Snapshot | None] = {}
        self._infos: dict[str, DatasetInfo | None] = {}
        self._fits: dict[tuple[str, str], list[str]] = {}
        self._repeats = Repeats(settings)
        self.warnings: list[str] = []

    def row(self, document: Mapping[str, Any], *, again: bool = False) -> NewJob:
        """The row of a job given by the arguments of `Fleet.submit`.

        SpecError or DatasetError says what is wrong and where.
        """
        repeat = self._repeats.of(document, again=again)
        return self._new_row(document, again=again) if repeat is None else repeat

    def _new_row(self, document: Mapping[str, Any], *, again: bool) -> NewJob:
        parts = {k: v for k, v in document.items() if k not in _OPTION_NAMES}
        for name in parts.keys() & {"settings", "is_scripted"}:  # ours, not the document's
            raise SpecError(name, "no such argument")
        options = {k: v for k, v in document.items() if k in _OPTION_NAMES}
        for name in ("model", "dataset"):
            if parts.get(name) is None:
                raise SpecError(name, "is missing; every job needs one")
        code = paths_of(parts.pop("code", None))
        parts = self._starting.resolved(parts)
        starts_from = parts.pop("starts_from", None)
        spec = job_spec(self._settings, is_scripted=self._is_scripted, **parts)
        snapshot = self._code(spec, code)
        spec = spec.model_copy(update={"code": None if snapshot is None else snapshot.sha256})
        row = self.checked(spec, job_options(self._settings, **options), again=again, code=snapshot)
        row = replace(row, starts_from=starts_from)
        self._repeats.keep(document, row)
        return row

    def checked(
        self,
        spec: JobSpec,
        options: JobOptions,
        *,
        again: bool = False,
        code: Snapshot | None = None,
    ) -> NewJob:
        """The row of a specification that is already in its canonical form, with its code."""
        trusting = self._trusting(spec, code)
        facts = self._known(self._facts, _shape_key(spec), lambda: check(spec, trusting))
        dataset_key = spec.dataset.model_dump_json()
        info = self._known(self._infos, dataset_key, lambda: describe(spec.dataset, self._settings))
        if info is not None:
            spec = spec.model_copy(update={"dataset": info.dataset, "model": _built(spec, info)})
            facts = self._known(self._facts, _shape_key(spec), lambda: check(spec, trusting))
            key = (_fit_key(spec), dataset_key)
            memory = self._settings.memory_bytes
            warnings = self._known(self._fits, key, lambda: check_fit(spec, facts, info, memory))
            self._warn([*info.warnings, *warnings])
        if spec.keeps_averages:
            self._warn([_AVERAGES])
        check_size(spec, options)
        fingerprint = None if info is None else info.fingerprint
        return NewJob(
            experiment=options.experiment,
            content_hash=content_hash(spec, fingerprint),
            group_hash=group_hash(spec, fingerprint),
            fuse_key=fuse_key(spec, fingerprint, options),
            fingerprint=fingerprint,
            spec=spec,
            options=options,
            queue=options.queue or self._settings.queue,
            again=again,
            parameters=facts.parameters,
            settings=self._settings,
            code=code,
            # What was checked may run: its modules are trusted, or this script is.
            code_signature=None if code is None else sign(code.sha256, self._settings),
        )

    def _code(self, spec: JobSpec, more: list[str]) -> Snapshot | None:
        """The user's code that the job names, read once for all jobs that name the same."""
        names = named(spec)
        if not self._is_scripted:
            check_inside(more)
        return self._known(
            self._snapshots,
            (tuple(names), tuple(more)),
            lambda: collect(names, self._settings, more=more, with_script=self._is_scripted),
        )

    def _trusting(self, spec: JobSpec, code: Snapshot | None) -> Settings:
        """The settings, with the modules that a script of an embedded fleet brings along."""
        if code is None or not self._is_scripted or self._settings.code_trust != "scripts":
            return self._settings
        held = [reference.module for reference in named(spec) if code.holds(reference.module)]
        modules = (*self._settings.trusted_modules, *held)
        return self._settings.replace(trusted_modules=modules)

    def _known(self, known: dict[Any, T], key: Any, make: Callable[[], T]) -> T:
        if key not in known:
            known[key] = make()
        return known[key]

    def _warn(self, lines: list[str]) -> None:
        self.warnings += [line for line in lines if line not in self.warnings]


def _built(spec: JobSpec, info: DatasetInfo) -> ModelSpec:
    """The model with the Input that its data has, if it is a Sequential that declares none.

    As Keras builds it from its first batch; here, so that all that follows knows its shapes.
    """
    config = spec.model.config
    if config is None or not isinstance(info.x, ArrayInfo):
        return spec.model
    given = with_input(config, info.x.shape[1:], info.x.dtype)
    return spec.model if given is config else spec.model.model_copy(update={"config": given})


def _shape_key(spec: JobSpec) -> str:
    """What `check` looks at: all but the seed and the dataset."""
    return spec.model_dump_json(exclude={"seed", "dataset"})


def _fit_key(spec: JobSpec) -> str:
    return spec.model_dump_json(exclude={"seed", "optimizer", "dataset"})
