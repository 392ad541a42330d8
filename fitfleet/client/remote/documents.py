"""From the arguments of `submit` to documents for the HTTP API, whose files are uploaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from fitfleet.client.display.reading_progress import Reading
from fitfleet.client.remote.connection import Connection
from fitfleet.client.tasks import dataset_of
from fitfleet.data.files import storage_files
from fitfleet.data.files.location import locate, locate_file
from fitfleet.data.files.storage_names import STORAGE
from fitfleet.data.ingest.script_arrays import DataStore
from fitfleet.errors import NotFoundError, SpecError
from fitfleet.settings import Settings
from fitfleet.spec.code.names import SCRIPT, named, named_in
from fitfleet.spec.job import DatasetSpec, InitialWeights, JobSpec
from fitfleet.spec.submission import OPTION_NAMES, job_options, job_spec
from fitfleet.storage import Storage, sha256
from fitfleet.sweeps.design.design import Design, design
from fitfleet.sweeps.design.documents import with_models, with_paths
from fitfleet.weights.initial_weights import Starting

_TABLES = (".csv.gz", ".tsv.gz")


class Documents:
    """Makes documents. What is in memory is written to a folder that goes with the `with` block.

    A dataset's path that exists on this machine is uploaded, each content once; any other names a
    file below the fleet's data root.
    """

    def __init__(self, connection: Connection, settings: Settings, *, is_scripted: bool) -> None:
        self._connection = connection
        self._folder = TemporaryDirectory(prefix="fitfleet-")
        self._settings = settings.replace(storage=self._folder.name)
        self._is_scripted = is_scripted
        self._data = DataStore(self._settings, Reading())
        self._starting = Starting(self._settings, is_scripted=is_scripted)
        self._uploaded: dict[Path, str] = {}  # file here -> path on the fleet

    def __enter__(self) -> Documents:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def document(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as JSON, canonical, checked as far as this machine can.

        SpecError, DatasetError, StorageError, and what the server answers to an upload.
        """
        options = {k: v for k, v in job.items() if k in OPTION_NAMES}
        parts = {k: v for k, v in job.items() if k not in OPTION_NAMES}
        for name in parts.keys() & {"settings", "is_scripted"}:  # ours, not the document's
            raise SpecError(name, "no such argument")
        for name in ("model", "dataset"):
            if parts.get(name) is None:
                raise SpecError(name, "is missing; every job needs one")
        if parts.pop("code", None):
            raise SpecError("code", _NO_CODE)
        parts = self._starting.resolved(self._data.replaced(parts))
        starts_from = parts.pop("starts_from", None)
        spec = job_spec(self._settings, is_scripted=self._is_scripted, **parts)
        if any(reference.module == SCRIPT for reference in named(spec)):
            raise SpecError("code", _NO_CODE)
        options_given = job_options(self._settings, **options).model_dump(
            mode="json", exclude_unset=True
        )
        document = {**self._specification(spec), **options_given}
        return document if starts_from is None else {**document, "starts_from": starts_from}

    def design(self, arguments: Mapping[str, Any], points_from: Any = None) -> Design:
        """The design of a sweep, whose files are on the fleet; SearchError, SpecError, ..."""
        if arguments.get("code"):
            raise SpecError("code", _NO_CODE)
        resolved = self._starting.of_sweep(self._data.replaced(arguments))
        sweep_design = design(resolved, points_from)
        if any(reference.module == SCRIPT for reference in named_in(sweep_design.job)):
            raise SpecError("code", _NO_CODE)
        job = dict(sweep_design.job)
        job["model"] = with_models(job["model"])
        job["dataset"] = with_paths(job["dataset"], self._path)
        start = job.get("initial_weights")
        if isinstance(start, dict) and start.get("sha256"):
            job["initial_weights"] = self._weights(InitialWeights(**start)).model_dump()
        return replace(sweep_design, job=job)

    def _path(self, text: str) -> str:
        """The path that a file has on the fleet: it is sent if it is here."""
        place = Path(self._settings.data_root) / text
        is_here = text.startswith(STORAGE) or place.is_file()
        return self._sent(locate_file(text, self._settings)) if is_here else text

    def task_data(self, kind: str, data: Any) -> dict[str, Any]:
        """What a user gave to predict or evaluate, on the fleet."""
        dataset = self._on_fleet(dataset_of(kind, data, self._settings))
        return dataset.model_dump(mode="json", exclude_unset=True)

    def _specification(self, spec: JobSpec) -> dict[str, Any]:
        values = spec.model_dump(mode="json", exclude={"model", "dataset", "task", "code"})
        document = {name: value for name, value in values.items() if value is not None}
        builder = spec.model.builder
        document["model"] = spec.model.config if builder is None else builder.model_dump()
        dataset = self._on_fleet(spec.dataset).model_dump(mode="json")
        if dataset["function"] is None:
            del dataset["function"]
        document["dataset"] = dataset
        if spec.initial_weights is not None and spec.initial_weights.sha256:
            document["initial_weights"] = self._weights(spec.initial_weights).model_dump()
        return document

    def _on_fleet(self, dataset: DatasetSpec) -> DatasetSpec:
        """The dataset with the paths of its files on the fleet; those that are here are sent."""
        if dataset.function is not None or not self._is_here(dataset):
            return dataset
        location = locate(dataset, self._settings)
        if location is None:
            return dataset
        if location.path is not None:
            return dataset.model_copy(update={"path": self._sent(location.path)})
        files = {name: self._sent(path) for name, path in location.files.items()}
        return dataset.model_copy(update={"files": files})

    def _is_here(self, dataset: DatasetSpec) -> bool:
        paths = [dataset.path] if dataset.path else list(dataset.files.values())
        root = Path(self._settings.data_root)
        return all(path.startswith(STORAGE) or (root / path).is_file() for path in paths)

    def _sent(self, path: Path) -> str:
        if path not in self._uploaded:
            name = path.name.lower()
            suffix = next((s for s in _TABLES if name.endswith(s)), path.suffix.lower())
            digest = sha256(path)
            self._send(f"/v1/files/datasets/{digest}{suffix}", path)
            self._uploaded[path] = storage_files.path_in_spec(digest, suffix)
        return self._uploaded[path]

    def _weights(self, start: InitialWeights) -> InitialWeights:
        storage = Storage.of(self._settings)
        path = storage.local(storage.initial(start.sha256), start.sha256)
        if path not in self._uploaded:
            place = f"/v1/files/weights/{start.sha256}.weights.h5"
            document = self._send(place, path, with_optimizer=start.optimizer)
            self._uploaded[path] = document["sha256"]
        return start.model_copy(update={"sha256": self._uploaded[path]})

    def _send(self, place: str, path: Path, **query: Any) -> Any:
        """Upload it, unless the fleet has this content already."""
        try:
            return self._connection.get(place)
        except NotFoundError:
            arguments = "&".join(f"{name}={value}" for name, value in query.items())
            return self._connection.upload(f"{place}?{arguments}" if arguments else place, path)


_NO_CODE = (
    "the API accepts no code of a script; put it into a module that is installed on the workers and"
    " named in the fleet's setting trusted_modules, or connect to the database"
)
