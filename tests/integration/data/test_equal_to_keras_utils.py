"""Folders hold the rows that keras.utils reads from them; tf.data.Dataset is read once."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import fitfleet as ff
from fitfleet.data.arrays import Arrays, load
from fitfleet.data.ingest.script_arrays import DataStore
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folders = {name: str(tmp_path / name) for name in ("data", "cache", "storage")}
    return Settings(data_root=folders["data"], cache=folders["cache"], storage=folders["storage"])


def _load(settings: Settings, dataset: Any, on_progress: Any = None) -> Arrays:
    given = DataStore(settings, on_progress).replaced({"dataset": dataset})
    return load(given["dataset"], settings)


def _all(dataset: Any) -> tuple[np.ndarray, np.ndarray]:
    batches = list(dataset.as_numpy_iterator())
    return np.concatenate([x for x, _ in batches]), np.concatenate([y for _, y in batches])


@pytest.fixture
def pictures(settings: Settings) -> Path:
    random = np.random.default_rng(0)
    for number in range(9):
        path = Path(settings.data_root) / "pictures" / "abc"[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (int(random.integers(5, 30)), int(random.integers(5, 30)), 3)
        Image.fromarray(random.integers(0, 256, shape, np.uint8)).save(path)
    return Path(settings.data_root) / "pictures"


@pytest.mark.parametrize(
    "options",
    [
        {"image_size": (8, 12)},
        {"image_size": (40, 7), "label_mode": "categorical"},
        {"image_size": (9, 9), "interpolation": "nearest", "shuffle": False},
        {"image_size": (8, 8), "color_mode": "rgba", "class_names": ["c", "a", "b"]},
    ],
)
def test_images_equal_those_of_keras_utils(
    options: dict[str, Any], pictures: Path, settings: Settings
) -> None:
    plain = keras.utils.image_dataset_from_directory(
        pictures, batch_size=4, seed=7, verbose=False, **{"shuffle": True, **options}
    )
    given = {name: value for name, value in options.items() if name != "shuffle"}
    folder = ff.ImageFolder(pictures, seed=7, shuffle=options.get("shuffle", True), **given)
    arrays = _load(settings, folder)
    # Keras shuffles once more in each pass over batches, so rows are compared as sets.
    x, y = _all(plain)
    for picture, label in zip(x, y, strict=True):
        same = [i for i, row in enumerate(arrays.x) if np.allclose(row, picture, atol=1e-3)]
        assert len(same) == 1, np.abs(arrays.x - picture).max((1, 2, 3)).min()
        np.testing.assert_array_equal(arrays.y[same[0]], label)
    if options.get("shuffle") is False:
        np.testing.assert_array_equal(arrays.x, x)


def test_texts_and_sounds_equal_those_of_keras_utils(settings: Settings) -> None:
    root = Path(settings.data_root)
    for number, text in enumerate(["so so", "très\nbien", "no"]):
        path = root / "texts" / "ab"[number % 2] / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path = root / "sounds" / "ab"[number % 2] / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(np.arange(-300, 20 * number, dtype="<i2").tobytes())
    how = {"batch_size": 3, "shuffle": False, "verbose": False}
    x, y = _all(keras.utils.text_dataset_from_directory(root / "texts", **how))
    arrays = _load(settings, ff.TextFolder("texts", shuffle=False))
    assert arrays.x.tolist() == x.tolist() and arrays.y.tolist() == y.tolist()
    plain = keras.utils.audio_dataset_from_directory(
        root / "sounds", output_sequence_length=340, **how
    )
    x, y = _all(plain)
    arrays = _load(settings, ff.AudioFolder("sounds", shuffle=False, output_sequence_length=340))
    np.testing.assert_array_equal(arrays.x, x)
    np.testing.assert_array_equal(arrays.y, y)


def test_a_tf_data_dataset_is_read_once_with_progress(settings: Settings) -> None:
    passes: list[int] = []

    def rows() -> Any:
        passes.append(1)
        yield from ((np.full(3, i, "f4"), i % 2) for i in range(10))

    signature = (tf.TensorSpec((3,), tf.float32), tf.TensorSpec((), tf.int64))
    data = tf.data.Dataset.from_generator(rows, output_signature=signature).batch(4)
    lines: list[str] = []
    arrays = _load(settings, data, lines.append)
    np.testing.assert_array_equal(arrays.x[:, 0], np.arange(10))
    most = f"{settings.memory_bytes:,}"
    assert len(passes) == 1
    assert lines[-1] == f"dataset: 3 batches read, 200 bytes of at most {most}"
    with pytest.raises(DatasetError, match=r"has yielded .* memory_bytes"):
        _load(settings.replace(memory_bytes=100), data)
    with pytest.raises(DatasetError, match="never ends"):
        _load(settings, tf.data.Dataset.from_tensor_slices(([1.0], [1])).repeat().batch(1))


def test_texts_of_a_tf_data_dataset(settings: Settings) -> None:
    data = tf.data.Dataset.from_tensor_slices((["a", "très"], [0, 1])).batch(1)
    assert [text.decode() for text in _load(settings, data).x] == ["a", "très"]
