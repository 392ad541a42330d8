"""One table of settings: name, default, help. Read once at the entry and passed down.

Order of precedence: arguments, then environment variables FITFLEET_<NAME>, then the file
`fitfleet.toml` (in the working directory, or where FITFLEET_CONFIG points), then the default.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fitfleet.errors import SettingsError
from fitfleet.setting_values import check_bounds, check_storage, converted, from_file, to_text
from fitfleet.urls import quoted_password, without_password


def _setting(default: Any, help: str, **bounds: Any) -> Any:
    """`low` and `high` bound a number; `options` are all values that a text may have."""
    return field(default=default, metadata={"help": help, **bounds})


_URLS = ("database_url", "broker_url", "worker_database_url", "worker_broker_url")
_MIN_KEY = 32  # characters


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """All settings of a fleet. Times are seconds, sizes bytes; names say so."""

    database_url: str = _setting(
        "sqlite:///.fitfleet/fleet.db", "SQLAlchemy URL of the database: SQLite or PostgreSQL."
    )
    broker_url: str = _setting("redis://localhost:6379/0", "URL of the Redis or Valkey broker.")
    url: str = _setting(
        "", "HTTP API of the fleet, https://host:9500, used by clients instead of the database."
    )
    ca_file: str = _setting("", "CA certificate that signed the API's certificate.")
    worker_database_url: str = _setting(
        "", "Database URL for hosts that join by the API; empty: database_url."
    )
    worker_broker_url: str = _setting("", "Broker URL for hosts that join; empty: broker_url.")
    max_upload_bytes: int = _setting(8 * 2**30, "Largest file that the API accepts.", low=1)
    user: str = _setting("", "User that experiments and changes belong to; empty: the login name.")
    token: str = _setting(
        "", "Token of a user of the fleet, from `fitfleet token create`.", is_secret=True
    )
    message_key: str = _setting(
        "",
        "Secret of 32 characters or more that signs the messages of the queue, the same for"
        " scheduler and workers; empty: a random one that lies in the database.",
        is_secret=True,
    )
    storage: str = _setting(".fitfleet/storage", "Shared folder of weights, or s3://bucket/prefix.")
    data_root: str = _setting(".", "Folder that relative dataset paths start from.")
    logs: str = _setting(".fitfleet/logs", "Folder for the logs of jobs and services.")
    cache: str = _setting(".fitfleet/cache", "Folder of the dataset cache, each machine's own.")
    cache_bytes: int = _setting(10 * 2**30, "Maximum size of a machine's dataset cache.", low=0)
    programs: str = _setting("", "Folder of traced programs; empty: in the user's cache folder.")
    programs_bytes: int = _setting(2**28, "Maximum size of the traced programs; 0: none.", low=0)
    queue: str = _setting("cpu", "Queue of jobs without one, and of a worker.")
    labels: tuple[str, ...] = _setting((), "Labels of a worker's slots, as in zone=a.")
    trusted_modules: tuple[str, ...] = _setting(
        (), "Python modules whose custom layers, metrics, builders and evaluators a worker runs."
    )
    code_trust: str = _setting(
        "modules",
        "Whose code runs: `modules`: only trusted_modules; `scripts`: also what a script submits"
        " that shares the storage (ff.local sets it).",
        options=("modules", "scripts"),
    )
    module_path: tuple[str, ...] = _setting(
        (), "Folders put on sys.path where trusted modules and evaluators are found."
    )
    lease_s: float = _setting(
        60.0, "A running job without a heartbeat for this long is requeued.", low=0.1, high=86_400
    )
    heartbeat_s: float = _setting(
        2.0, "Time between heartbeats; also how fast a cancel acts.", low=0.01, high=3600
    )
    stall_timeout_s: float = _setting(
        3600.0, "A fit that stalls for this long is stopped.", low=0.1
    )
    checkpoint_s: float = _setting(
        15.0, "Minimum time between two checkpoints; 0 writes one every epoch.", low=0
    )
    checkpoint_epochs: int = _setting(
        0, "Epochs between two checkpoints; 0: checkpoint_s decides.", low=0
    )
    drain_s: float = _setting(
        10.0, "Time that a drained worker gives its fits to finish their epoch.", low=0, high=86_400
    )
    max_failures: int = _setting(
        3,
        "Attempts lost, or failed by memory or storage, after which a job fails.",
        low=0,
        high=1000,
    )
    storage_patience_s: float = _setting(
        3600.0, "Storage outages shorter than this do not count as failures of a job.", low=0
    )
    storage_retry_s: float = _setting(
        30.0, "A failing request to an object store is retried for this long.", low=0, high=3600
    )
    backoff_s: float = _setting(
        5.0, "Delay before a failed attempt is retried; doubles each time.", low=0, high=86_400
    )
    poll_s: float = _setting(
        0.05, "Time between two polls of the queue by the scheduler.", low=0.001, high=60
    )
    recover_s: float = _setting(5.0, "Time between searches for lost jobs.", low=0.01, high=3600)
    redispatch_s: float = _setting(
        5.0,
        "A dispatched job whose message has left the broker for this long is published again.",
        low=0,
        high=86_400,
    )
    ageing_s: float = _setting(0.0, "Wait that raises a priority by one; 0: never.", low=0)
    ageing_max: int = _setting(10, "Priorities that a job may gain by waiting.", low=0)
    preempt_s: float = _setting(
        0.0, "A job that has waited this long preempts one of lower priority; 0: never.", low=0
    )
    log_level: str = _setting(
        "info",
        "Minimum level that services log.",
        options=("debug", "info", "warning", "error"),
    )
    log_format: str = _setting("text", "How services log.", options=("text", "json"))
    traces: bool = _setting(False, "Send OpenTelemetry traces of jobs to OTEL_EXPORTER_OTLP_*.")
    window: int = _setting(2, "Messages prefetched per free slot.", low=1, high=1000)
    slots: int = _setting(
        1, "Jobs that one worker service runs at once, each in its own process.", low=1, high=1024
    )
    threads: int = _setting(
        0,
        "Intra-op threads of TensorFlow in each child; 0: one for each core it may use.",
        low=0,
        high=4096,
    )
    gpus: str = _setting("", "GPUs of a worker service, as for CUDA_VISIBLE_DEVICES.")
    memory_limit_bytes: int = _setting(
        0, "Memory of this host that fits on the CPU may use together; 0: not limited.", low=0
    )
    min_free_gpu_bytes: int = _setting(
        0, "Memory that fits leave free on each GPU, for other users of the card.", low=0
    )
    child_growth_bytes: int = _setting(
        2 * 2**30,
        "Restart a worker process after its memory grows by this many bytes.",
        low=2**20,
    )
    cohort_max: int = _setting(
        64, "Maximum number of jobs trained together in one program.", low=1, high=10_000
    )
    keep_best: int = _setting(10, "Best jobs of an experiment whose weights `gc` keeps.", low=0)
    archive_days: float = _setting(0.0, "Archive experiments after so many days; 0: never.", low=0)
    max_parameters: int = _setting(
        400_000_000, "Largest number of weights a model may have.", low=1
    )
    max_layers: int = _setting(2000, "Largest number of layers a model may have.", low=1)
    max_units: int = _setting(8192, "Largest number of units or filters of one layer.", low=1)
    max_calls: int = _setting(
        5000, "Maximum layer calls in a model, each call of a nested model counted in full.", low=1
    )
    max_row_values: int = _setting(
        2**27, "Maximum number of values that one layer may output for one row of a batch.", low=1
    )
    max_unrolled_cells: int = _setting(
        256,
        "Maximum number of cells of a recurrent layer with unroll=True: steps times cells.",
        low=1,
    )
    max_iterations: int = _setting(
        100, "Largest power_iterations of a layer and ns_steps of an optimizer.", low=1
    )
    max_metric_values: int = _setting(
        10_000_000,
        "Maximum number of values that one metric keeps: thresholds, or classes times classes.",
        low=1,
    )
    max_dataset_bytes: int = _setting(
        64 * 2**30, "Largest dataset, in bytes after decompression, that is read.", low=1
    )
    data_root_only: bool = _setting(
        False, "Read datasets below data_root only, so that absolute paths are refused."
    )
    max_folds: int = _setting(1000, "Largest number of folds of a cross-validation.", low=2)
    check_memory_bytes: int = _setting(
        0,
        "Address space of the process that checks a file; 0: 2 GiB and twice memory_bytes, at most"
        " the machine's memory.",
        low=0,
    )
    check_stall_s: float = _setting(
        120.0, "A file whose check makes no progress for this long is refused.", low=0.1
    )
    memory_bytes: int = _setting(
        4 * 2**30, "A dataset above this size is streamed from HDF5 instead of read at once.", low=1
    )

    def __post_init__(self) -> None:
        for name in _URLS:
            object.__setattr__(self, name, quoted_password(getattr(self, name)))

    def shown(self) -> dict[str, Any]:
        """Name -> value as it may be printed, logged and kept: passwords are `***`."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for f in dataclasses.fields(self):
            if f.metadata.get("is_secret") and values[f.name]:
                values[f.name] = "***"
        return {**values, **{name: without_password(values[name]) for name in _URLS}}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.shown().items())
        return f"Settings({shown})"

    @classmethod
    def load(cls, overrides: Mapping[str, Any] | None = None) -> Settings:
        """Settings from arguments, environment and file.

        Raises SettingsError for an unknown name, a value of the wrong type or out of bounds, and
        for values that contradict one another.
        """
        values: dict[str, Any] = {}
        values.update(from_file(os.environ))
        values.update(_from_environment(os.environ))
        values.update({k: v for k, v in (overrides or {}).items() if v is not None})
        known = {f.name: f for f in dataclasses.fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise SettingsError(_unknown(name, list(known)))
            values[name] = converted(name, value, known[name].default)
            check_bounds(name, values[name], known[name].metadata)
        settings = cls(**values)
        settings.check()
        return settings

    def check(self) -> None:
        """Refuse values that contradict one another. Raises SettingsError."""
        check_storage(self.storage)
        if self.heartbeat_s > self.lease_s:
            raise SettingsError(
                f"heartbeat_s: {self.heartbeat_s:g} is above lease_s, {self.lease_s:g}: a worker"
                " would lose its jobs between two heartbeats; set lease_s to three heartbeats or"
                " more"
            )
        if 0 < len(self.message_key) < _MIN_KEY:
            raise SettingsError(
                f"message_key: it has {len(self.message_key)} characters; give it {_MIN_KEY} or"
                " more, as `openssl rand -hex 32` prints"
            )

    def replace(self, **changes: Any) -> Settings:
        """A copy with some settings changed."""
        return dataclasses.replace(self, **changes)

    def to_environment(self) -> dict[str, str]:
        """The environment variables that give a child process these very settings."""
        return {
            f"FITFLEET_{f.name.upper()}": to_text(getattr(self, f.name))
            for f in dataclasses.fields(self)
        }

    @classmethod
    def table(cls) -> list[tuple[str, Any, str]]:
        """Rows of (name, default, help), in the order of the documentation."""
        return [(f.name, f.default, f.metadata["help"]) for f in dataclasses.fields(cls)]


def directory_settings(directory: Path) -> dict[str, Any]:
    """The settings that put everything of an embedded fleet under one folder."""
    folder = directory.absolute()
    return {
        "database_url": f"sqlite:///{folder / 'fleet.db'}",
        "storage": str(folder / "storage"),
        "logs": str(folder / "logs"),
        "cache": str(folder / "cache"),
        "token": "",  # one of the environment is for another fleet
        "url": "",
    }


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {', '.join(near)}?" if near else f"known are {', '.join(known)}"
    return f"{name}: no such setting; {hint}"


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    known = {f.name for f in dataclasses.fields(Settings)}
    return {
        name: environment[f"FITFLEET_{name.upper()}"]
        for name in known
        if f"FITFLEET_{name.upper()}" in environment
    }
