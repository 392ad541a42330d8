"""TFRecord files: read without TensorFlow, as TensorFlow itself reads them; bounded, or refused."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fitfleet as ff
from fitfleet.data.arrays import load
from fitfleet.data.decoding.crc32c import masked_crc32c
from fitfleet.data.ingest.script_arrays import DataStore
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return settings.replace(storage=str(tmp_path / "storage"))


def stored(settings: Settings, dataset: object, **more: object) -> DatasetSpec:
    spec = DataStore(settings).replaced({"dataset": dataset, **more})["dataset"]
    assert isinstance(spec, DatasetSpec)
    return spec


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    encoded = b""
    while value > 127:
        encoded += bytes([value & 127 | 128])
        value >>= 7
    return encoded + bytes([value])


def part(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def feature(values: Any) -> bytes:
    """A `tf.train.Feature` of integers, floats or bytes."""
    if isinstance(values[0], bytes):
        return part(1, b"".join(part(1, value) for value in values))
    if isinstance(values[0], float):
        return part(2, part(1, struct.pack(f"<{len(values)}f", *values)))
    return part(3, part(1, b"".join(map(varint, values))))


def example(**features: Any) -> bytes:
    entries = (
        part(1, part(1, name.encode()) + part(2, feature(values)))
        for name, values in features.items()
    )
    return part(1, b"".join(entries))


def framed(*records: bytes) -> bytes:
    content = b""
    for data in records:
        length = struct.pack("<Q", len(data))
        sums = (struct.pack("<I", checksum) for checksum in masked_crc32c([length, data]))
        content += length + next(sums) + data + next(sums)
    return content


FEATURES = {"x": {"dtype": "float32", "shape": [2]}, "y": "int64"}


def numbers(rows: int = 3) -> list[bytes]:
    return [example(x=[float(n), 0.5], y=[-n]) for n in range(rows)]


def test_the_checksum_is_that_of_the_standard() -> None:
    # https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4
    for data, expected in (
        (b"\0" * 32, 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"123456789", 0xE3069283),
    ):
        rotated = (masked_crc32c([data])[0] - 0xA282EAD8) & 0xFFFFFFFF
        assert (rotated >> 17 | rotated << 15) & 0xFFFFFFFF == expected
    long = np.random.default_rng(0).bytes(5000)
    singly = [masked_crc32c([long[:size]])[0] for size in (0, 1, 3, 4, 511, 512, 513, 5000)]
    assert masked_crc32c([long[:size] for size in (0, 1, 3, 4, 511, 512, 513, 5000)]) == singly


def test_each_feature_is_an_array(settings: Settings, folder: Path) -> None:
    (folder / "b.tfrecord").write_bytes(framed(*numbers(2)))
    (folder / "a.tfrecord").write_bytes(framed(example(x=[7.0, 8.0], y=[2**40], more=[1])))
    spec = stored(settings, ff.TFRecord("?.tfrecord", features=FEATURES))
    arrays = load(spec, settings)
    np.testing.assert_array_equal(arrays.x, [[7, 8], [0, 0.5], [1, 0.5]])
    np.testing.assert_array_equal(arrays.y, [2**40, 0, -1])
    assert (arrays.x.dtype, arrays.y.dtype) == ("float32", "int64")
    (folder / "c.gz").write_bytes(gzip.compress(framed(*numbers(2))))
    document = {"tfrecord": "c.gz", "features": FEATURES, "compression": "GZIP", "y": None}
    beside = ff.TFRecord(["a.tfrecord"], features=FEATURES, y=None)
    arrays = load(stored(settings, document, validation_data=beside), settings)
    np.testing.assert_array_equal(arrays.x, arrays.y)
    np.testing.assert_array_equal(arrays.x_val, [[7, 8]])


def test_bytes_are_texts_raw_numbers_or_pictures(settings: Settings, folder: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 4, 5, 3)).astype("uint8")
    records = []
    for number, picture in enumerate(pixels):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        records.append(
            example(
                picture=[file.getvalue()],
                raw=[picture.astype("<i2").tobytes()],
                text=["ab\u00e9".encode() * (number + 1)],
                codes=list(range(number + 1)),
            )
        )
    (folder / "all.tfrecord").write_bytes(framed(*records))
    features = {
        "picture": {"decode": "image", "shape": [4, 5, 3]},
        "raw": {"decode": "int16", "shape": [4, 5, 3]},
        "text": "string",
        "codes": {"dtype": "int64", "shape": None},
        "w": {"dtype": "float32", "default": 0.5},
    }
    dataset = ff.TFRecord(
        folder / "all.tfrecord",
        features=features,
        x={name: name for name in ("picture", "raw", "text")},
        y="codes",
        sample_weight="w",
    )
    arrays = load(stored(settings, dataset), settings)
    np.testing.assert_array_equal(arrays.x["picture"], pixels)
    np.testing.assert_array_equal(arrays.x["raw"], pixels)
    assert arrays.x["text"].tolist() == ["ab\u00e9".encode(), "ab\u00e9ab\u00e9".encode()]
    np.testing.assert_array_equal(arrays.y, [[0, 0], [0, 1]])
    np.testing.assert_array_equal(arrays.sample_weight, [0.5, 0.5])


def test_the_same_examples_are_the_same_data_and_are_read_once(
    settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fitfleet.data.files import fingerprint
    from fitfleet.data.ingest import records

    monkeypatch.setattr(fingerprint, "SETTLED_NS", -1)
    (folder / "a.tfrecord").write_bytes(framed(*numbers()))
    first = stored(settings, ff.TFRecord("a.tfrecord", features=FEATURES))
    copy = {"compression": "GZIP", "tfrecord": "packed.gz", "features": FEATURES}
    (folder / "packed.gz").write_bytes(gzip.compress(framed(*numbers())))
    assert stored(settings, copy) == first
    monkeypatch.setattr(records, "convert", None)  # it would have to be called
    assert stored(settings, ff.TFRecord("a.tfrecord", features=FEATURES)) == first


def swapped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


WHOLE = framed(*numbers())
BAD = {
    "an empty file": (b"", "is empty"),
    "no frames": (b"not a record of any kind", "is not a TFRecord file"),
    "packed, unsaid": (gzip.compress(WHOLE), "say compression='GZIP'"),
    "cut": (WHOLE[:-3], "ends in the middle of record 3"),
    "a bit of a length": (swapped(WHOLE, 0), "is not a TFRecord file"),
    "a bit of a value": (swapped(WHOLE, 20), "record 1 is damaged: its checksum is another"),
    "no example": (
        framed(b"\x0a\xff\x01abc"),
        "record 1 is not a tf.train.Example: it is truncated",
    ),
    "a lacking feature": (framed(example(x=[1.0, 2.0])), "record 1: it has no 'y'; give the"),
    "another shape": (framed(example(x=[1.0], y=[1])), "'x' has 1 values, not those of the shape"),
    "another dtype": (framed(example(x=[1, 2], y=[1])), "'x' contains int64, not float32"),
    "bytes": (framed(example(x=[b"ab"], y=[1])), "'x' contains bytes, not float32"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_what_is_damaged_is_named(name: str, settings: Settings, folder: Path) -> None:
    data, says = BAD[name]
    (folder / "bad.tfrecord").write_bytes(data)
    with pytest.raises(DatasetError, match=r"bad\.tfrecord") as caught:
        stored(settings, ff.TFRecord("bad.tfrecord", features=FEATURES))
    assert says in str(caught.value)


def test_a_length_is_not_believed(settings: Settings, folder: Path) -> None:
    length = struct.pack("<Q", 2**40)
    (folder / "long.tfrecord").write_bytes(
        length + struct.pack("<I", masked_crc32c([length])[0]) + b"x"
    )
    with pytest.raises(DatasetError, match=r"1,099,511,627,776 bytes, at most"):
        stored(settings, ff.TFRecord("long.tfrecord", features=FEATURES))
    (folder / "bomb.gz").write_bytes(gzip.compress(framed(*numbers(20_000))))
    bomb = ff.TFRecord("bomb.gz", features=FEATURES, compression="GZIP")
    with pytest.raises(
        DatasetError, match=r"above the setting max_dataset_bytes|contains more than"
    ):
        stored(settings.replace(max_dataset_bytes=200_000), bomb)


def test_a_picture_that_cannot_be_decoded_is_named(settings: Settings, folder: Path) -> None:
    (folder / "p.tfrecord").write_bytes(framed(example(x=[b"no picture"], y=[1])))
    features = {"x": {"decode": "image", "shape": [2, 2, 3]}, "y": "int64"}
    with pytest.raises(DatasetError, match=r"p\.tfrecord: record 1: 'x' cannot be decoded"):
        stored(settings, ff.TFRecord("p.tfrecord", features=features))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "TFRecord.features: is missing"),
        ({"features": {"x": "float64"}}, "'float64' is not a dtype of an example"),
        ({"features": {"x": "float32"}}, "TFRecord.y: there is no feature 'y'"),
        ({"features": FEATURES, "xx": "x"}, "TFRecord.xx: no such field; did you mean x"),
        (
            {"features": {"x": {"decode": "image"}, "y": "int64"}},
            "is not (height, width, channels)",
        ),
        ({"features": {"x": {"decode": "pickle"}, "y": "int64"}}, "'pickle' is not one of image"),
    ],
)
def test_a_declaration_is_checked_at_once(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(DatasetError) as caught:
        ff.TFRecord("a.tfrecord", **fields)
    assert says in str(caught.value)
