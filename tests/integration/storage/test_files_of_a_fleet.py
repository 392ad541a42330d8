"""What lies in a bucket beside weights: data of scripts, initial weights, the key of code."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from support.s3 import Proxy

from fitfleet.client.doctor.storage import Finding, examine_storage
from fitfleet.data.arrays import load
from fitfleet.data.files import storage_files
from fitfleet.data.files.location import locate
from fitfleet.data.ingest.script_arrays import DataStore
from fitfleet.errors import DatasetError, StorageError
from fitfleet.objects import store
from fitfleet.settings import Settings
from fitfleet.spec.code.signing_key import is_signed, sign
from fitfleet.spec.job import DatasetSpec
from fitfleet.storage import Storage
from fitfleet.weights.files import read_weights
from fitfleet.weights.stored_weights import keep


def _other_host(settings: Settings) -> Settings:
    return settings.replace(cache=f"{settings.cache}-of-another-host")


def _arrays() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).random((30, 4)).astype("float32")
    return x, x.sum(axis=1, keepdims=True)


def test_arrays_of_a_script_reach_another_host(settings: Settings, proxy: Proxy) -> None:
    spec = DataStore(settings).replaced({"dataset": _arrays()})["dataset"]
    assert isinstance(spec, DatasetSpec)
    np.testing.assert_array_equal(load(spec, _other_host(settings)).x, _arrays()[0])
    puts, reads = proxy.requests["PUT"], proxy.requests["GET"]
    assert DataStore(settings).replaced({"dataset": _arrays()})["dataset"] == spec
    load(spec, _other_host(settings))
    assert proxy.requests["PUT"] == puts, "the same content is there already"
    assert proxy.requests["GET"] == reads, "that host has a copy"
    objects = store.of(settings)
    assert objects is not None
    objects.remove(spec.path.removeprefix("storage:"))
    third = settings.replace(cache=f"{settings.cache}-of-a-third")
    with pytest.raises(DatasetError, match=r"is not in the storage 's3://fleet/.* any more"):
        locate(spec, third)
    proxy.set(HEAD="busy", GET="busy")
    with pytest.raises(StorageError, match="cannot be read"):  # away is not gone
        locate(spec, third.replace(storage_retry_s=0.0))


def test_a_note_is_that_of_whoever_was_first(settings: Settings) -> None:
    first, second = {"digest": "a"}, {"digest": "b"}
    assert storage_files.note(settings, "n.json") is None
    assert storage_files.write_note(settings, "n.json", first, is_replacing=False) == first
    assert storage_files.write_note(settings, "n.json", second, is_replacing=False) == first
    assert storage_files.write_note(settings, "n.json", second, is_replacing=True) == second
    assert storage_files.note(_other_host(settings), "n.json") == second


def test_code_is_signed_by_who_may_read_the_bucket(settings: Settings, proxy: Proxy) -> None:
    signature = sign("0" * 64, settings)
    assert signature is not None and signature == sign("0" * 64, _other_host(settings))
    assert is_signed("0" * 64, signature, _other_host(settings))
    assert not is_signed("1" * 64, signature, settings)
    elsewhere = settings.replace(storage=f"{settings.storage}-of-others")
    assert not is_signed("0" * 64, signature, elsewhere)
    proxy.set(GET="denied", PUT="denied")
    assert sign("0" * 64, settings) is None
    assert not is_signed("0" * 64, signature, settings)


def test_initial_weights_are_put_once(settings: Settings, proxy: Proxy, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = np.ones(3)
    kept = keep(tmp_path / "w.weights.h5", settings)
    puts = proxy.requests["PUT"]
    assert keep(tmp_path / "w.weights.h5", settings) == kept
    assert proxy.requests["PUT"] == puts
    storage = Storage.of(_other_host(settings))
    path = storage.local(storage.initial(kept.sha256), kept.sha256)
    assert list(read_weights(path, settings, kept.sha256)) == ["layers/dense/vars/0"]


def test_a_link_out_of_a_file_of_the_bucket_is_refused(settings: Settings, tmp_path: Path) -> None:
    """The rules of HDF5 hold for a copy too."""
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "x")
    objects = store.of(settings)
    assert objects is not None
    objects.put(tmp_path / "w.weights.h5", "net/1/attempt-1.weights.h5")
    path = Storage.of(settings).local("net/1/attempt-1.weights.h5")
    with pytest.raises(StorageError, match="external link"):
        read_weights(path, settings)


def test_doctor_says_what_the_bucket_refuses(settings: Settings, proxy: Proxy) -> None:
    (finding,) = examine_storage(settings)
    assert finding.is_ok and f"{settings.storage}: writable" in finding.detail
    objects = store.of(settings)
    assert objects is not None and not list(objects.files())
    for method, verb in (("PUT", "written"), ("GET", "read"), ("DELETE", "removed")):
        proxy.set(**{method: "denied"})
        (finding,) = examine_storage(settings)
        assert isinstance(finding, Finding) and not finding.is_ok and finding.fix
        assert f"cannot be {verb}" in finding.detail and "\n" not in finding.detail
