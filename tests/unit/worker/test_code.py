"""The snapshot that a child has loaded: one at a time, from the snapshot alone, never unasked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest

from fitfleet.db.session import Database
from fitfleet.db.specs import code as code_table
from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.code.signing_key import sign
from fitfleet.spec.code.snapshot import Snapshot
from fitfleet.spec.job import JobSpec
from fitfleet.worker.callbacks.user_callbacks import user_callbacks
from fitfleet.worker.callbacks.written_files import WrittenFiles
from fitfleet.worker.user_code import imports, loading

LOSS = """
import keras
from two_parts import FACTOR
@keras.saving.register_keras_serializable(package="two")
class Registered:
    factor = FACTOR
    def get_config(self): return {}
class Plain: factor = FACTOR
def scores(y, p, c):
    import two_late
    return {"factor": FACTOR + two_late.MORE}
"""


def version(factor: int) -> Snapshot:
    files = {"two_losses.py": LOSS, "two_parts.py": f"FACTOR = {factor}", "two_late.py": "MORE = 1"}
    return Snapshot({path: text.encode() for path, text in files.items()})


def spec(snapshot: Snapshot | None, *names: str, **more: Any) -> JobSpec:
    """A job with losses of these names, such as `two_losses>Plain`."""
    losses = [
        {"module": "two_losses", "class_name": n.split(">")[1], "config": {}, "registered_name": n}
        for n in names
    ]
    more.setdefault("evaluators", [{"path": "two_losses:scores"}])
    fields = {"model": {"config": {}}, "dataset": {}, "optimizer": {}, "loss": losses, **more}
    return JobSpec(**fields, code=None if snapshot is None else snapshot.sha256)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """An embedded fleet's. Afterwards no code is loaded."""
    (tmp_path / "storage").mkdir()
    yield Settings(
        storage=str(tmp_path / "storage"), cache=str(tmp_path / "cache"), code_trust="scripts"
    )
    loading._forget()


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    opened = Database(sqlite_url)
    yield opened
    opened.dispose()


def store(database: Database, settings: Settings, *snapshots: Snapshot) -> None:
    with database.begin() as c:
        code_table.store(c, [(snapshot, sign(snapshot.sha256, settings)) for snapshot in snapshots])


def test_two_versions_of_a_module_never_mix(database: Database, settings: Settings) -> None:
    first, second = version(1), version(2)
    store(database, settings, first, second)
    before = dict(keras.saving.get_custom_objects())
    names = ("two>Registered", "two_losses>Plain")
    for snapshot, factor in ((first, 1), (second, 2), (second, 2), (first, 1)):
        job = spec(snapshot, *names)
        trusting = loading.use(job, database, settings)
        imports.import_named(job, trusting)
        registered = keras.saving.get_custom_objects()
        assert [registered[name].factor for name in names] == [factor, factor]
        scores = imports.function("two_losses:scores", trusting, "evaluators")
        assert scores(0, 0, {}) == {"factor": factor + 1}
    loading._forget()
    assert "two_losses" not in sys.modules and "two_late" not in sys.modules
    assert keras.saving.get_custom_objects() == before


def test_nothing_comes_from_beside_the_snapshot(
    database: Database, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "two_late.py").write_text("MORE = 99")
    monkeypatch.chdir(tmp_path)
    settings = settings.replace(module_path=(str(tmp_path),))
    whole = version(1)
    part = Snapshot({k: v for k, v in whole.files.items() if k != "two_late.py"})
    store(database, settings, part)
    trusting = loading.use(spec(part), database, settings)
    scores = imports.function("two_losses:scores", trusting, "evaluators")
    with pytest.raises(ModuleNotFoundError, match="two_late"):
        scores(0, 0, {})


def test_code_that_nobody_signed_is_not_loaded(database: Database, settings: Settings) -> None:
    snapshot = version(1)
    with database.begin() as c:  # as who may write to the database, and no more
        code_table.store(c, [(snapshot, "0" * 64)])
    for trusting in (settings, settings.replace(trusted_modules=("two_losses",))):
        with pytest.raises(SpecError, match="not signed with the key of this worker's storage"):
            loading.use(spec(snapshot), database, trusting)
    assert "two_losses" not in sys.modules


def test_code_is_loaded_only_where_its_module_is_trusted(
    database: Database, settings: Settings
) -> None:
    snapshot = version(1)
    store(database, settings, snapshot)
    plain = settings.replace(code_trust="modules")
    assert loading.use(spec(snapshot), database, plain) == plain
    with pytest.raises(SpecError, match="not trusted by this worker"):
        imports.function("two_losses:scores", plain, "evaluators")
    by_name = plain.replace(trusted_modules=("two_losses",))
    loading.use(spec(snapshot), database, by_name)
    assert imports.function("two_losses:scores", by_name, "evaluators")(0, 0, {}) == {"factor": 2}
    # The next job, which brings no code of that name, gets none of it.
    assert loading.use(spec(None), database, settings) == settings
    with pytest.raises(SpecError, match="not trusted"):
        imports.function("two_losses:scores", settings, "evaluators")


def test_a_worker_s_own_copy_needs_no_signature_if_it_is_the_same(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    snapshot = version(1)
    snapshot.write(tmp_path / "own")
    with_copy = settings.replace(
        code_trust="modules", trusted_modules=("two_losses",), module_path=(str(tmp_path / "own"),)
    )
    same = Snapshot({k: v for k, v in snapshot.files.items()})
    loading.use(spec(same), database, with_copy)
    assert imports.function("two_losses:scores", with_copy, "evaluators")(0, 0, {}) == {"factor": 2}
    (tmp_path / "own" / "two_parts.py").write_text("FACTOR = 5")
    loading.use(spec(None), database, with_copy)  # a job without code: as it is on the worker now
    assert imports.function("two_losses:scores", with_copy, "evaluators")(0, 0, {}) == {"factor": 6}
    with database.begin() as c:
        code_table.store(c, [(same, None)])
    with pytest.raises(SpecError, match="own copy of two_losses is another"):
        loading.use(spec(same), database, with_copy)


def test_stored_code_is_what_was_submitted(database: Database, settings: Settings) -> None:
    snapshot = version(1)
    with pytest.raises(SpecError, match="not in the database any more"):
        loading.use(spec(snapshot), database, settings)
    with database.begin() as c:
        code_table.store(c, [(snapshot, sign(snapshot.sha256, settings))])
        other = version(2).to_archive()
        c.execute(code_table.code_snapshots.update().values(archive=other))
    with pytest.raises(SpecError, match="not what the job was submitted with"):
        loading.use(spec(snapshot), database, settings)


@pytest.mark.parametrize(
    "document",
    [
        {"module": "mine", "class_name": "CSVLogger", "registered_name": "mine>X"},
        {"module": "keras.callbacks", "class_name": "CSVLogger"},
        {"class_name": "BackupAndRestore"},
        {"class_name": "__class__"},
    ],
)
def test_a_worker_makes_no_callback_that_is_not_on_its_own_list(
    document: dict[str, Any], tmp_path: Path
) -> None:
    config = {"filename": str(tmp_path / "written")}
    job = spec(None, evaluators=[], callbacks=[{**document, "config": config}])
    with pytest.raises(SpecError, match=r"not a known callback|not trusted|failed"):
        user_callbacks(job, Settings())
    with pytest.raises(SpecError, match=r"not a known callback|not trusted|failed"):
        user_callbacks(job, Settings(trusted_modules=("mine",)))


def test_a_worker_writes_no_file_of_a_callback_outside_the_jobs_own(tmp_path: Path) -> None:
    """Whatever a row says, which nobody may have checked."""
    outside = {
        "module": "keras.callbacks",
        "class_name": "CSVLogger",
        "config": {"filename": str(tmp_path / "written")},
    }
    job = spec(None, evaluators=[], callbacks=[outside])
    files = WrittenFiles(job, None, Settings())
    try:
        with pytest.raises(SpecError, match="is not inside the job's own files"):
            user_callbacks(job, Settings(), files)
    finally:
        files.close([])
    assert not list(tmp_path.iterdir())
