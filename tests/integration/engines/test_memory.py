"""What a child holds for a large job is that job's own."""

from __future__ import annotations

import gc
import re
import weakref
from pathlib import Path
from typing import Any

import keras
import ledger
import numpy as np
import pytest
from support.waiting import until

from fitfleet.data.arrays import Arrays, split_validation
from fitfleet.data.rows import windows
from fitfleet.spec.job import Windows
from fitfleet.worker import tf_datasets
from fitfleet.worker.engines.single_job.keras_fit import KerasFit
from fitfleet.worker.engines.traced.feed import Feed, Feeds, training
from fitfleet.worker.engines.traced.trace_cache import TraceCache

ROWS, WIDTH = 64, 2000  # a layer of 16 MB, 48 with Adam's moments


def spec(*widths: int) -> Any:
    """A job of Dense layers."""
    layers = [keras.layers.Dense(width) for width in widths]
    model = keras.Sequential([keras.Input((WIDTH,)), *layers, keras.layers.Dense(1)])
    return ledger.spec(model, loss="mse", optimizer="adam", batch_size=32, epochs=1, seed=1)


def arrays() -> Arrays:
    """Some rows for them."""
    return Arrays(x=np.ones((ROWS, WIDTH), "float32"), y=np.ones((ROWS, 1), "float32"))


@pytest.mark.slow
def test_the_model_of_a_large_job_is_not_held_during_another() -> None:
    cache = TraceCache(ledger.SETTINGS)

    def taken(job: Any, feed: Feed) -> Any:
        return weakref.ref(cache.take(job, feed, None).model)

    small, large, other = spec(3), spec(WIDTH, WIDTH), spec(WIDTH, WIDTH, 5)
    kept = taken(small, training(arrays(), small))
    first = taken(large, training(arrays(), large))
    again = taken(large, training(arrays(), large))
    assert again() is first() is not None
    taken(other, training(arrays(), other))
    # A collection does nothing while another thread of this process collects.
    until(lambda: gc.collect() >= 0 and first() is None)
    assert taken(small, training(arrays(), small))() is not kept()


def test_a_mapped_dataset_leaves_memory_once_it_is_copied(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, arrays().x)
    mapped = np.asarray(np.load(path, mmap_mode="r"))
    job = spec(3).model_copy(update={"validation_split": 0.25})
    prepared = ledger.prepared(job, Arrays(x=mapped, y=arrays().y), 1)
    feed, validation = Feeds().of(prepared)
    assert resident(path) == 0
    whole = split_validation(arrays(), 0.25)
    assert validation is not None
    np.testing.assert_array_equal(feed.data[0], whole.x)
    np.testing.assert_array_equal(validation.data[0], whole.x_val)
    np.testing.assert_array_equal(prepared.arrays.x, whole.x)  # it is there again when it is read
    assert resident(path) > 0


def test_windows_that_are_held_out_are_not_made_whole_above_the_memory() -> None:
    """A short series gives large windows; they are read by the batch, with the same numbers."""
    series = np.random.default_rng(0).normal(size=(400, 1)).astype("float32")
    size = Windows(length=50)
    x, y = windows.inputs(series, size), windows.targets(series, size)
    some = Arrays(x=x[:32], y=y[:32], x_val=x, y_val=y)
    model = keras.Sequential([keras.Input((50, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    job = ledger.spec(model, loss="mse", optimizer="sgd", batch_size=16, epochs=2, seed=1)
    small = ledger.SETTINGS.replace(memory_bytes=x.nbytes // 2)
    assert isinstance(tf_datasets.evaluation(x, y, None, 16, whole_bytes=x.nbytes * 2), tuple)
    assert not isinstance(
        tf_datasets.evaluation(x, y, None, 16, whole_bytes=small.memory_bytes), tuple
    )
    trained = [
        ledger.train(KerasFit(settings), [ledger.prepared(job, some, 1)])
        for settings in (ledger.SETTINGS, small)
    ]
    ledger.assert_same(*trained)


def resident(path: Path) -> int:
    """KB of a file that this process has in memory by its maps of it."""
    _, entry = Path("/proc/self/smaps").read_text().split(f"{path}\n", 1)
    match = re.search(r"^Rss: +(\d+) kB", entry, re.MULTILINE)
    assert match is not None
    return int(match[1])
