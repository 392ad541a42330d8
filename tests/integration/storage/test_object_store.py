"""Objects of a real S3 server: whole or not at all, checked when read, retried within bounds."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.s3 import S3, Proxy

from fitfleet.errors import SettingsError, StorageError
from fitfleet.objects import store
from fitfleet.objects.store import DamagedFileError, ObjectStore
from fitfleet.settings import Settings
from fitfleet.storage import Storage


@pytest.fixture
def objects(settings: Settings) -> ObjectStore:
    there = store.of(settings)
    assert there is not None
    return there


def _put(objects: ObjectStore, tmp_path: Path, path: str, content: bytes) -> str:
    (tmp_path / "source").write_bytes(content)
    objects.put(tmp_path / "source", path)
    return hashlib.sha256(content).hexdigest()


def test_what_is_put_is_listed_read_and_removed(objects: ObjectStore, tmp_path: Path) -> None:
    digest = _put(objects, tmp_path, "net/1/a.weights.h5", b"weights" * 1000)
    _put(objects, tmp_path, "net/10/b.weights.h5", b"others")
    (file,) = objects.files("net/1")  # a folder, not a prefix: nothing of job 10
    assert (file.path, file.size_bytes) == ("net/1/a.weights.h5", 7000)
    assert abs(file.modified_at - time.time()) < 60
    assert [file.path for file in objects.files()] == ["net/1/a.weights.h5", "net/10/b.weights.h5"]
    assert objects.fetch(file.path, digest).read_bytes() == b"weights" * 1000
    objects.remove(file.path)
    objects.remove(file.path)
    assert objects.about(file.path) is None and objects.read(file.path) is None
    assert list(objects.files("net/1")) == [] and list(objects.files("nothing")) == []
    with pytest.raises(StorageError, match=r"s3://fleet/.*/a\.weights\.h5: cannot be read: .*file"):
        objects.fetch(file.path, "0" * 64)


def test_a_copy_is_read_once_and_again_if_it_is_damaged(
    objects: ObjectStore, proxy: Proxy, tmp_path: Path
) -> None:
    digest = _put(objects, tmp_path, "net/1/a.weights.h5", b"weights")
    copy = objects.fetch("net/1/a.weights.h5", digest)
    reads = proxy.requests["GET"]
    assert objects.fetch("net/1/a.weights.h5", digest) == copy
    assert proxy.requests["GET"] == reads
    copy.write_bytes(b"weightz")
    assert objects.fetch("net/1/a.weights.h5", digest).read_bytes() == b"weights"
    assert proxy.requests["GET"] > reads


def test_another_content_than_was_written_is_refused(objects: ObjectStore, tmp_path: Path) -> None:
    digest = _put(objects, tmp_path, "net/1/a.weights.h5", b"weights")
    _put(objects, tmp_path, "net/1/a.weights.h5", b"swapped")
    with pytest.raises(DamagedFileError, match="is not the file that was written: its sha256 is"):
        objects.fetch("net/1/a.weights.h5", digest)
    assert not list(objects.cache.folder.rglob("*.h5"))


@pytest.mark.parametrize("fault", ["busy", "cut", "dropped", "lost", 0.3])
def test_a_fault_that_passes_is_only_slow(
    fault: str | float, objects: ObjectStore, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.set(2, PUT=fault)
    digest = _put(objects, tmp_path, "net/1/a.weights.h5", b"weights" * 10_000)
    proxy.set(2, GET=fault, HEAD="dropped" if fault == "cut" else fault)
    copy = objects.fetch("net/1/a.weights.h5", digest)
    assert copy.read_bytes() == b"weights" * 10_000
    assert proxy.left == 0


@pytest.mark.parametrize(
    "fault", ["busy", "denied", pytest.param("dropped", marks=pytest.mark.slow)]
)
def test_a_fault_that_stays_is_one_sentence_within_bounds(
    fault: str, settings: Settings, proxy: Proxy, tmp_path: Path
) -> None:
    retry_s = 600.0 if fault == "denied" else 1.0  # no repetition changes what is denied
    objects = store.of(settings.replace(storage_retry_s=retry_s))
    assert objects is not None
    digest = _put(objects, tmp_path, "net/1/a.weights.h5", b"weights")
    proxy.set(PUT=fault, GET=fault, HEAD=fault, DELETE=fault)
    began = time.monotonic()
    with pytest.raises(StorageError, match=r"s3://fleet/.*b\.weights\.h5: cannot be written: "):
        _put(objects, tmp_path, "net/1/b.weights.h5", b"weights")
    with pytest.raises(StorageError, match=r"cannot be read: ") as caught:
        objects.fetch("net/1/a.weights.h5", digest)
    text = str(caught.value)
    assert "\n" not in text and "s3cret" not in text
    assert time.monotonic() - began < 120
    assert ("allow it to these credentials" in text) == (fault == "denied")
    proxy.set()
    assert objects.about("net/1/b.weights.h5") is None


def test_a_storage_is_opened_with_the_environment_of_then(
    s3_server: S3, objects: ObjectStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    for _ in range(2):
        assert objects.about("note") is None
        store._systems.clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    proxy.set(PUT="denied")
    with pytest.raises(StorageError, match="cannot be written"):
        objects.create("note", b"by the proxy")


def test_the_first_to_create_a_file_wins(objects: ObjectStore) -> None:
    objects.create("note", b"first")
    objects.create("note", b"second")
    assert objects.read("note") == b"first"


def test_data_in_use_are_renewed(
    objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not objects.renew("datasets/a.h5")
    _put(objects, tmp_path, "datasets/a.h5", b"rows")
    before = objects.about("datasets/a.h5")
    assert before is not None
    monkeypatch.setattr(store, "_AGED_S", -3600.0)  # as if it were old
    time.sleep(1.1)  # S3 tells full seconds
    assert objects.renew("datasets/a.h5")
    after = objects.about("datasets/a.h5")
    assert after is not None and after.modified_at > before.modified_at
    assert objects.read("datasets/a.h5") == b"rows"


def test_copies_are_bounded_and_those_in_use_stay(settings: Settings, tmp_path: Path) -> None:
    objects = store.of(settings.replace(cache_bytes=2500))
    assert objects is not None
    digests = [_put(objects, tmp_path, f"net/{n}/a.h5", bytes([n]) * 1000) for n in range(5)]
    code = (
        "import sys; from fitfleet.objects import store; from fitfleet.settings import Settings\n"
        "objects = store.of(Settings(storage=sys.argv[1], cache=sys.argv[2], cache_bytes=2500))\n"
        "for pair in sys.argv[3:]: print(objects.fetch(*pair.split('='), ), flush=True)\n"
        "sys.stdin.read()"
    )
    pairs = [f"net/{n}/a.h5={digest}" for n, digest in enumerate(digests)]
    command = [sys.executable, "-c", code, settings.storage, settings.cache]
    with subprocess.Popen(
        [*command, pairs[0]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        held = Path(other.stdout.readline().strip())
        # Each in a process that ends, so that it holds nothing.
        for pair in pairs[1:]:
            done = subprocess.run([*command, pair], input="", capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        assert held.read_bytes() == bytes(1000)
        there = list(objects.cache.folder.rglob("*.h5"))
        assert len(there) == 2 and held in there
        other.communicate("")


def test_two_drafts_of_one_name_are_two_objects(settings: Settings) -> None:
    """What a zombie puts cannot be in the way of the attempt that won."""
    storage = Storage.of(settings)
    name = storage.checkpoint("net", 1, 1, 3)
    with storage.draft(name) as first, storage.draft(name) as second:
        for draft, content in ((first, b"first"), (second, b"second")):
            draft.path.write_bytes(content)
            draft.secure()
        first.publish()
    (kept,) = storage.files_of("net", 1)
    assert kept.path == first.name and kept.path != second.name
    digest = hashlib.sha256(b"first").hexdigest()
    assert storage.local(kept.path, digest).read_bytes() == b"first"
    assert not list((storage.root / "drafts").iterdir())
    assert storage.outdated("net", 1, 2, 1) == [first.name]
    assert storage.outdated("net", 1, 1, 3) == []
    for path in ("../x", "/etc/passwd", "a/../../b", "a\0b"):
        with pytest.raises(StorageError, match="is not a path inside the storage s3://fleet/"):
            storage.local(path)
        assert not storage.contains(path)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://", "names no bucket; write s3://bucket/prefix"),
        ("s3://id:s3cret@bucket/x", "a user, a password or a query; leave them out"),
        ("s3://bucket/x?secret=s3cret", "a user, a password or a query; leave them out"),
        ("https://host/x", "nothing is written to https://host/x; give a folder"),
    ],
)
def test_a_url_that_cannot_be_a_storage_is_refused(url: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load({"storage": url})
    assert says in str(caught.value) and "s3cret" not in str(caught.value)


def test_a_file_system_that_is_not_there_is_named(tmp_path: Path) -> None:
    for url, says in (
        ("abfs://bucket/x", "Install adlfs"),
        ("what://bucket/x", "s3:// and gs:// are known"),
    ):
        objects = store.of(Settings(storage=url, cache=str(tmp_path)))
        assert objects is not None
        with pytest.raises(StorageError, match=says):
            objects.about("x")


def test_a_bucket_that_is_not_there_is_named(settings: Settings, tmp_path: Path) -> None:
    objects = store.of(settings.replace(storage="s3://no-such-bucket/x", storage_retry_s=600.0))
    assert objects is not None
    began = time.monotonic()
    with pytest.raises(StorageError, match="bucket does not exist"):
        _put(objects, tmp_path, "a.h5", b"weights")
    assert time.monotonic() - began < 120  # and not until the end of the repetitions
    assert os.listdir(tmp_path) == ["source"]
