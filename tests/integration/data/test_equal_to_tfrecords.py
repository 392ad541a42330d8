"""TFRecord files that TensorFlow wrote hold the rows that TensorFlow parses from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import fitfleet as ff
from fitfleet.data.arrays import load
from fitfleet.data.ingest.script_arrays import DataStore
from fitfleet.settings import Settings
from fitfleet.submit import Submission
from fitfleet.worker.models.build import build

FEATURES = {
    "pixels": tf.io.FixedLenFeature([4, 3], tf.float32),
    "label": tf.io.FixedLenFeature([], tf.int64, default_value=7),
    "codes": tf.io.VarLenFeature(tf.int64),
    "name": tf.io.FixedLenFeature([], tf.string),
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folders = {name: str(tmp_path / name) for name in ("data", "cache", "storage")}
    Path(folders["data"]).mkdir()
    return Settings(data_root=folders["data"], cache=folders["cache"], storage=folders["storage"])


def _write(path: Path, compression: str = "") -> None:
    rng = np.random.default_rng(0)
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(compression)) as writer:
        for number in range(20):
            features: dict[str, Any] = {
                "pixels": tf.train.Feature(
                    float_list=tf.train.FloatList(value=rng.normal(size=12))
                ),
                "codes": tf.train.Feature(
                    int64_list=tf.train.Int64List(value=rng.integers(-9, 9, number % 4))
                ),
                "name": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[b"n" * (1 + 300 * number)])
                ),
            }
            if number % 5:
                features["label"] = tf.train.Feature(
                    int64_list=tf.train.Int64List(value=[number - 10])
                )
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_every_feature_is_as_tensorflow_parses_it(settings: Settings, compression: str) -> None:
    path = Path(settings.data_root) / "a.tfrecord"
    _write(path, compression)
    names = {name: name for name in ("pixels", "codes", "name")}
    dataset = ff.TFRecord(
        path, features=FEATURES, x=names, y="label", compression=compression or None
    )
    arrays = load(DataStore(settings).replaced({"dataset": dataset})["dataset"], settings)
    records = tf.data.TFRecordDataset(str(path), compression)
    expected = [tf.io.parse_single_example(record, FEATURES) for record in records]
    np.testing.assert_array_equal(arrays.x["pixels"], [parsed["pixels"] for parsed in expected])
    np.testing.assert_array_equal(arrays.y, [parsed["label"] for parsed in expected])
    assert arrays.x["name"].tolist() == [parsed["name"].numpy() for parsed in expected]
    codes = np.zeros((20, 3), "int64")
    for row, parsed in zip(codes, expected, strict=True):
        values = parsed["codes"].values.numpy()
        row[: len(values)] = values
    np.testing.assert_array_equal(arrays.x["codes"], codes)


def test_a_fit_on_them_is_that_of_plain_keras(settings: Settings) -> None:
    path = Path(settings.data_root) / "a.tfrecord"
    _write(path)
    model = keras.Sequential([keras.Input((4, 3)), keras.layers.Flatten(), keras.layers.Dense(1)])
    job = {"model": model, "optimizer": "sgd", "loss": "mse", "batch_size": 5, "shuffle": False}
    document = {"tfrecord": "a.tfrecord", "features": FEATURES, "x": "pixels", "y": "label"}
    given = DataStore(settings).replaced({**job, "dataset": document})
    spec = Submission(settings).row(given).spec
    ours = build(spec, settings)
    arrays = load(spec.dataset, settings)
    history = ours.fit(arrays.x, arrays.y, batch_size=5, shuffle=False, verbose=0).history
    plain = build(spec, settings)
    parsed = tf.data.TFRecordDataset(str(path)).map(
        lambda example: tf.io.parse_single_example(example, FEATURES)
    )
    batches = parsed.map(lambda example: (example["pixels"], example["label"])).batch(5)
    assert (
        history["loss"]
        == plain.fit(batches.repeat(), steps_per_epoch=4, shuffle=False, verbose=0).history["loss"]
    )
