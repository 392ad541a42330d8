"""Tables as they come: other delimiters, words for missing values, text as categories."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fitfleet.data.arrays import Arrays, load
from fitfleet.data.description.description import describe
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.datasets.dataset import Dataset
from fitfleet.spec.job import DatasetSpec

TEXT = "x,color,y\n1.5,red,cat\n2.5,,dog\n?,blue,cat\n"


def _load(settings: Settings, name: str, **given: Any) -> tuple[DatasetSpec, Arrays]:
    """The resolved dataset, and its arrays as a worker loads them from that."""
    info = describe(Dataset(name, **given), settings)
    assert info is not None
    stored = DatasetSpec.model_validate_json(info.dataset.model_dump_json())
    return info.dataset, load(stored, settings, info.fingerprint)


@pytest.mark.parametrize(
    ("name", "old", "given"),
    [
        ("t.csv", ",", {}),
        ("t.tsv", "\t", {}),
        ("t.csv", ";", {"delimiter": ";"}),
        ("t.tsv", "|", {"delimiter": "|"}),
        ("t.csv.gz", ",", {}),
        ("T.TSV.gz", "\t", {}),
    ],
)
def test_every_delimiter_and_gzip(
    name: str, old: str, given: dict[str, Any], folder: Path, settings: Settings
) -> None:
    content = TEXT.replace(",", old).encode()
    (folder / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    options = {"missing": ["?"], "categories": ["color"], **given}
    spec, arrays = _load(settings, name, x={"n": "x", "c": "color"}, y="y", **options)
    np.testing.assert_array_equal(arrays.x["n"], np.array([1.5, 2.5, np.nan], "f4"))
    assert spec.categories == {"color": ["blue", "red", ""], "y": ["cat", "dog"]}
    assert arrays.x["c"].tolist() == [1, 2, 0] and arrays.x["c"].dtype == np.int64
    assert arrays.y.tolist() == [0, 1, 0]


def test_decimal_commas_are_read_as_numbers(folder: Path, settings: Settings) -> None:
    (folder / "t.csv").write_text("x;y\n1,5;2\n2,25;3\n")
    _, arrays = _load(settings, "t.csv", x="x", y="y", delimiter=";", decimal=",")
    assert arrays.x.tolist() == [1.5, 2.25]
    with pytest.raises(DatasetError, match="a comma needs another delimiter"):
        Dataset("t.csv", decimal=",")


def test_one_file_read_in_two_ways_is_two_datasets(folder: Path, settings: Settings) -> None:
    (folder / "t.csv").write_text("a;x,y\n1;2,3\n4;5,6\n")
    with pytest.raises(DatasetError, match="contains '1;2'"):
        _load(settings, "t.csv", x="a;x", y="y")
    (folder / "u.csv").write_text("x,y\n1,0\n9,1\n")
    _, plain = _load(settings, "u.csv", x="x", y="y")
    _, other = _load(settings, "u.csv", x="x", y="y", missing=["9"])
    _, again = _load(settings, "u.csv", x="x", y="y")
    assert plain.x.tolist() == again.x.tolist() == [1, 9]
    assert np.isnan(other.x[1])


def test_a_given_order_of_categories_is_kept(folder: Path, settings: Settings) -> None:
    (folder / "t.csv").write_text("x,y\nlow,1\nhigh,2\nmid,3\n")
    order = {"x": ["low", "mid", "high"]}
    spec, arrays = _load(settings, "t.csv", x="x", y="y", categories=order)
    assert arrays.x.tolist() == [0, 2, 1] and spec.categories == order
    with pytest.raises(DatasetError, match=r"contains 'mid' in row 3, which is not one of its 2"):
        _load(settings, "t.csv", x="x", y="y", categories={"x": ["low", "high"]})
    (folder / "m.csv").write_text("x,y\nlow,1\n,2\n")
    with pytest.raises(DatasetError, match="contains a missing value in row 2"):
        _load(settings, "m.csv", x="x", y="y", categories={"x": ["low"]})


def test_codes_that_look_like_numbers_stay_words(folder: Path, settings: Settings) -> None:
    (folder / "t.csv").write_text("zip,y\n01,1\n1,2\n01,3\n")
    spec, arrays = _load(settings, "t.csv", x="zip", y="y", categories=["zip"])
    assert spec.categories == {"zip": ["01", "1"]} and arrays.x.tolist() == [0, 1, 0]


def test_categories_of_parquet_are_read_as_codes(folder: Path, settings: Settings) -> None:
    frame = pd.DataFrame(
        {"x": ["b", "a", None], "k": pd.Categorical(["u", "v", "u"]), "y": [1, 2, 3]}
    )
    frame.to_parquet(folder / "t.parquet")
    spec, arrays = _load(settings, "t.parquet", x=["x", "k"], y="y", categories=["x", "k"])
    assert spec.categories == {"x": ["a", "b", ""], "k": ["u", "v"]}
    assert arrays.x.tolist() == [[1, 0], [0, 1], [2, 0]]
    frame.assign(y=["no", "yes", "no"]).to_parquet(folder / "l.parquet")
    _, labelled = _load(settings, "l.parquet", x="k", y="y", categories=["k"])
    assert labelled.y.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("content", "given", "problem"),
    [
        ("x,y\n1,cat\n2,\n", {}, "labels are missing in column 'y'"),
        ("x,y\n1,1\n2,1O\n", {}, "column 'y' contains '1O' in row 2"),
        ("x,y\na,1\nb,2\n", {}, r"name columns of text in Dataset\(path, categories="),
        ("x,y\n1,1\n2,2\n", {"categories": ["z"]}, "has no array 'z'"),
        ("x,y\n1,1\n2,2\n", {"delimiter": "::"}, "dataset.delimiter: '::'"),
        ("x;y\n1;1\n2;2\n", {}, r"Dataset\(path, delimiter=';'\)"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_way_that_works(
    content: str, given: dict[str, Any], problem: str, folder: Path, settings: Settings
) -> None:
    (folder / "t.csv").write_text(content)
    with pytest.raises(DatasetError, match=problem):
        _load(settings, "t.csv", x="x", y="y", **given)


def test_too_many_words_are_no_categories(folder: Path, settings: Settings) -> None:
    (folder / "t.csv").write_text("x,y\n" + "".join(f"w{i},1\n" for i in range(10_001)))
    with pytest.raises(DatasetError, match="contains 10,001 different texts, at most 10,000"):
        _load(settings, "t.csv", x="x", y="y", categories=["x"])


def test_a_gzip_file_that_grows_is_refused(folder: Path, settings: Settings) -> None:
    (folder / "t.csv.gz").write_bytes(gzip.compress(b"x,y\n" + b"1,1\n" * 2**20))
    with pytest.raises(DatasetError, match="is more than 1,000,000 bytes unpacked"):
        _load(settings.replace(memory_bytes=10**6), "t.csv.gz", x="x", y="y")
    (folder / "c.csv.gz").write_bytes(gzip.compress(b"x,y\n1,1\n")[:-6])
    with pytest.raises(DatasetError, match="cannot be decompressed"):
        _load(settings, "c.csv.gz", x="x", y="y")


def test_options_of_tables_are_refused_for_other_files(folder: Path, settings: Settings) -> None:
    np.savez(folder / "a.npz", x=np.zeros(3), y=np.zeros(3))
    with pytest.raises(DatasetError, match="are of tables"):
        _load(settings, "a.npz", missing=["?"])


def test_a_missing_list_is_refused_and_an_empty_one_is_padded(
    folder: Path, settings: Settings
) -> None:
    """A row without a list would be a row of zeros."""
    pd.DataFrame({"x": [[1.0, 2.0], []], "y": [1, 2]}).to_parquet(folder / "e.parquet")
    _, arrays = _load(settings, "e.parquet", x="x", y="y")
    assert arrays.x.tolist() == [[1, 2], [0, 0]]
    pd.DataFrame({"x": [[1.0, 2.0], None], "y": [1, 2]}).to_parquet(folder / "m.parquet")
    with pytest.raises(DatasetError, match=r"row 2 is missing, where others are lists"):
        _load(settings, "m.parquet", x="x", y="y")
