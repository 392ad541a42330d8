"""Folders of pictures, texts and sounds: decoded once, bounded, named where they are unreadable."""

from __future__ import annotations

import os
import wave
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

import fitfleet as ff
from fitfleet.data.arrays import load
from fitfleet.data.ingest.script_arrays import DataStore
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return settings.replace(storage=str(tmp_path / "storage"))


def stored(settings: Settings, dataset: object, **more: object) -> DatasetSpec:
    dataset = DataStore(settings).replaced({"dataset": dataset, **more})["dataset"]
    assert isinstance(dataset, DatasetSpec)
    return dataset


@pytest.fixture
def pictures(folder: Path) -> Path:
    """Six PNG of 5 x 4 pixels in two classes, each of one colour."""
    for number, name in enumerate(("cats/a.png", "cats/b.png", "cats/deep/c.png", "dogs/d.png")):
        path = folder / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (5, 4), (number, 10 * number, 200)).save(path)
    (folder / "pictures" / "dogs" / "notes.md").write_text("no picture")
    return folder / "pictures"


def test_each_folder_is_a_class(settings: Settings, pictures: Path) -> None:
    spec = stored(settings, ff.ImageFolder("pictures", image_size=(4, 5), shuffle=False))
    arrays = load(spec, settings)
    assert arrays.x.shape == (4, 4, 5, 3) and arrays.x.dtype == "float32"
    np.testing.assert_array_equal(arrays.x[:, 0, 0, 0], [0, 1, 2, 3])
    np.testing.assert_array_equal(arrays.y, [0, 0, 0, 1])
    assert spec.categories == {"y": ["cats", "dogs"]}


def test_rows_are_mixed_so_that_a_split_holds_all_classes(
    settings: Settings, pictures: Path
) -> None:
    orders = []
    for seed in (0, 0, 1):
        folder = ff.ImageFolder("pictures", image_size=(4, 5), seed=seed)
        arrays = load(stored(settings, folder), settings)
        assert [int(value) == 3 for value in arrays.x[:, 0, 0, 0]] == arrays.y.tolist()
        orders.append(arrays.x[:, 0, 0, 0].tolist())
    assert orders[0] == orders[1] and sorted(orders[0]) == [0, 1, 2, 3]
    assert orders[0] != orders[2]


def test_labels_have_the_form_of_their_label_mode(settings: Settings, pictures: Path) -> None:
    def labels(**fields: object) -> object:
        given = ff.ImageFolder("pictures", image_size=(4, 5), shuffle=False, **fields)
        return load(stored(settings, given), settings).y

    np.testing.assert_array_equal(labels(label_mode="binary"), [[0.0], [0.0], [0.0], [1.0]])
    np.testing.assert_array_equal(labels(label_mode="categorical")[-1], [0.0, 1.0])
    np.testing.assert_array_equal(labels(class_names=["dogs", "cats"]), [0, 1, 1, 1])
    assert labels(label_mode=None).shape == (4, 4, 5, 3)  # y is x


def test_a_second_call_decodes_nothing(settings: Settings, pictures: Path) -> None:
    for path in (*pictures.rglob("*"), pictures):
        os.utime(path, (1, 1))
    given = ff.ImageFolder("pictures", image_size=(4, 5))
    seen: list[str] = []
    store = DataStore(settings.replace(cache=str(pictures / ".cache")), seen.append)
    first = store.replaced({"dataset": given})["dataset"]
    assert any("files decoded" in line for line in seen)
    files = list((Path(settings.storage) / "datasets").iterdir())
    assert len(files) == 1
    assert stored(settings, ff.ImageFolder("pictures", image_size=(4, 5))) == first
    assert list((Path(settings.storage) / "datasets").iterdir()) == files


def test_a_picture_that_cannot_be_decoded_is_named(settings: Settings, pictures: Path) -> None:
    (pictures / "cats" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    given = {"image_size": (4, 5), "shuffle": False}
    with pytest.raises(DatasetError, match=r"cats/bad\.png: cannot be decoded.*skip_unreadable"):
        stored(settings, ff.ImageFolder("pictures", **given))
    with pytest.warns(UserWarning, match=r"1 files are left out: .*bad\.png"):
        spec = stored(settings, ff.ImageFolder("pictures", skip_unreadable=True, **given))
    arrays = load(spec, settings)
    np.testing.assert_array_equal(arrays.x[:, 0, 0, 0], [0, 1, 2, 3])
    np.testing.assert_array_equal(arrays.y, [0, 0, 0, 1])
    assert not list((Path(settings.storage) / "datasets").glob(".*"))


def test_validation_pictures_lie_in_a_folder_of_their_own(
    settings: Settings, pictures: Path, folder: Path
) -> None:
    for name in ("cats", "dogs"):
        (folder / "val" / name).mkdir(parents=True)
        Image.new("L", (5, 4), 77).save(folder / "val" / name / "e.jpg")
    size = {"image_size": [4, 5]}
    mapping = {"image_folder": "pictures", **size}
    arrays = load(
        stored(settings, mapping, validation_data={"image_folder": "val", **size}), settings
    )
    assert len(arrays.x) == 4 and arrays.x_val.shape == (2, 4, 5, 3)
    assert sorted(arrays.y_val) == [0, 1] and float(arrays.x_val.min()) == 77.0


def test_a_picture_of_too_many_pixels_is_not_unpacked(settings: Settings, pictures: Path) -> None:
    Image.new("1", (9_000, 9_000)).save(pictures / "cats" / "bomb.png")
    with pytest.raises(DatasetError, match=r"bomb\.png: has 9000 x 9000 pixels"):
        stored(settings, ff.ImageFolder("pictures"))


def test_a_dataset_above_the_bound_is_refused_before_it_is_decoded(
    settings: Settings, pictures: Path
) -> None:
    small = settings.replace(max_dataset_bytes=2**20)
    with pytest.raises(DatasetError, match="max_dataset_bytes=1,048,576"):
        stored(small, ff.ImageFolder("pictures", image_size=(1000, 1000)))


def test_links_do_not_lead_out_of_the_data_root(
    settings: Settings, pictures: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (5, 4)).save(tmp_path / "secret.png")
    (pictures / "cats" / "z.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(DatasetError, match="leads out of the data root"):
        stored(settings, ff.ImageFolder("pictures", image_size=(4, 5)))
    assert stored(settings, ff.ImageFolder(pictures, image_size=(4, 5)))  # his own, by its path


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (lambda: ff.ImageFolder("pictures", size=(4, 4)), r"ImageFolder\.size: no such field"),
        (lambda: ff.ImageFolder("pictures", color_mode="cmyk"), r"ImageFolder\.color_mode"),
        (lambda: ff.ImageFolder("pictures", class_names=["cats"]), "class_names"),
        (lambda: ff.ImageFolder("pictures/dogs"), "has 0 folders.*label_mode=None"),
        (lambda: ff.ImageFolder("pictures/cats/a.png"), "is a file, not a folder"),
        (lambda: ff.ImageFolder("../pictures"), "leaves the data root"),
        (lambda: ff.AudioFolder("pictures"), r"contains no sounds \(\.wav\)"),
        (lambda: "pictures", r"say what it holds: ff\.ImageFolder"),
    ],
)
def test_what_is_no_such_folder_is_refused(
    settings: Settings, pictures: Path, given: object, says: str
) -> None:
    with pytest.raises(DatasetError, match=says):
        path = stored(settings, given()) if not isinstance(given(), str) else given()
        load(DatasetSpec(path=path), settings)


def test_texts_are_utf8_of_any_length(settings: Settings, folder: Path) -> None:
    for name, text in (("neg/a.txt", "so so"), ("pos/b.txt", "très bien\n"), ("pos/c.txt", "")):
        (folder / "texts" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "texts" / name).write_text(text, encoding="utf-8")
    arrays = load(stored(settings, ff.TextFolder("texts", shuffle=False)), settings)
    assert [text.decode() for text in arrays.x] == ["so so", "très bien\n", ""]
    np.testing.assert_array_equal(arrays.y, [0, 1, 1])
    cut = load(stored(settings, ff.TextFolder("texts", shuffle=False, max_length=3)), settings)
    assert [text.decode() for text in cut.x] == ["so ", "tr", ""]  # no half of a character
    (folder / "texts" / "pos" / "d.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DatasetError, match=r"d\.txt: is not UTF-8"):
        stored(settings, ff.TextFolder("texts"))


def _sound(path: Path, samples: np.ndarray, width: int, rate: int = 8000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())


def test_sounds_are_padded_to_the_longest(settings: Settings, folder: Path) -> None:
    full = np.array([[-32768, 0], [16384, 1], [32767, 2]], "<i2")
    _sound(folder / "sounds" / "a" / "full.wav", full, 2)
    _sound(folder / "sounds" / "b" / "short.wav", np.array([[128, 192]], "u1"), 1)
    arrays = load(stored(settings, ff.AudioFolder("sounds", shuffle=False)), settings)
    assert arrays.x.shape == (2, 3, 2)
    np.testing.assert_array_equal(arrays.x[0], full.astype("f4") / 32768)
    np.testing.assert_array_equal(arrays.x[1], [[0, 0.5], [0, 0], [0, 0]])
    _sound(folder / "sounds" / "b" / "other.wav", full, 2, rate=16000)
    with pytest.raises(DatasetError, match=r"other\.wav: has 2 channels at 16,000 Hz"):
        stored(settings, ff.AudioFolder("sounds"))


def test_the_file_is_an_ordinary_dataset(settings: Settings, pictures: Path) -> None:
    spec = stored(settings, ff.ImageFolder("pictures", image_size=(4, 5), dtype="uint8"))
    name = spec.path.removeprefix("storage:")
    with h5py.File(Path(settings.storage) / name) as file:
        assert file["x"].dtype == "uint8" and set(file) == {"x", "y"}
