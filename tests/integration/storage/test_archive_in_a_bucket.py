"""An archive in an object store: each object is put once, read back from there, and restored."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import update
from support.s3 import Proxy
from support.simulated_worker import StandIn, arguments, write_data

import fitfleet as ff
from fitfleet.db.schema.tables import jobs
from fitfleet.db.session import Database
from fitfleet.errors import StorageError
from fitfleet.objects import store
from fitfleet.scheduler.archive import archive
from fitfleet.settings import Settings
from fitfleet.storage import sha256


@pytest.mark.slow
def test_an_experiment_goes_into_the_bucket_or_stays(
    settings: Settings, proxy: Proxy, database: Database, tmp_path: Path
) -> None:
    write_data(tmp_path)
    objects = store.of(settings)
    assert objects is not None
    (tmp_path / "weights").write_bytes(b"weights")
    with ff.Fleet(settings, database) as fleet:
        fleet.sweep(**arguments(search="grid", trials=None, optimizer="sgd")).submit()
        StandIn(database).work()
        first, *_ = fleet.jobs("net")
        name = f"net/{first.id}/attempt-1.{'0' * 32}.weights.h5"
        objects.put(tmp_path / "weights", name)
        with database.begin() as c:
            digest = sha256(tmp_path / "weights")
            row = update(jobs).where(jobs.c.id == first.id)
            c.execute(row.values(artifact_path=name, artifact_sha256=digest))
        proxy.set(left=100, PUT="denied")
        with pytest.raises(StorageError, match="cannot be written"):
            archive(database, settings, "net")
        proxy.set()
        assert len(fleet.jobs("net")) == 3 and [f.path for f in objects.files()] == [name]
        done = archive(database, settings, "net")
        assert fleet.jobs() == []
    assert len(done.missing) == 2, "of the others no file was written"
    assert {file.path for file in objects.files()} == {f"{done.folder}/{n}" for n in done.files}
    assert objects.read(f"{done.folder}/weights/{first.id}.weights.h5") == b"weights"
    elsewhere = settings.replace(cache=str(tmp_path / "other cache"), storage_retry_s=0.0)
    with ff.Fleet(elsewhere, database) as fleet:
        place = f"{settings.storage}/{done.folder}"
        proxy.set(left=100, GET="denied")
        with pytest.raises(StorageError, match="cannot be read"):
            fleet.restore(place)
        proxy.set()
        curves = f"{done.folder}/curves.parquet"
        whole = objects.read(curves)
        assert whole is not None
        objects.put(tmp_path / "weights", curves)
        with pytest.raises(StorageError, match=r"curves\.parquet is missing or is not what was"):
            fleet.restore(place)
        assert fleet.jobs() == []
        (tmp_path / "whole").write_bytes(whole)
        objects.put(tmp_path / "whole", curves)
        assert fleet.restore(place).files == 1
        assert fleet.job(first.id).weights_path.read_bytes() == b"weights"
    assert objects.read(name) == b"weights", "where it was"
