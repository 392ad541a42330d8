"""Texts are inputs: of arrays, of tables, of batches, for models that take strings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fitfleet as ff
from fitfleet.data.arrays import load
from fitfleet.data.ingest.script_arrays import stored
from fitfleet.errors import DatasetError, SpecError
from fitfleet.settings import Settings
from fitfleet.submit import Submission

TEXTS = ["so good", "très bien", "", "no"]
BYTES = [text.encode() for text in TEXTS]
Y = np.array([1, 1, 0, 0])


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return settings.replace(storage=str(tmp_path / "storage"))


def model(**lookup: Any) -> Any:
    return ff.Sequential(
        [
            ff.layers.Input((), dtype="string"),
            ff.layers.TextVectorization(
                output_sequence_length=3, **{"vocabulary": ["good", "no"], **lookup}
            ),
            ff.layers.Embedding(4, 2),
            ff.layers.Flatten(),
            ff.layers.Dense(1, activation="sigmoid"),
        ]
    )


@pytest.mark.parametrize(
    "texts",
    [
        TEXTS,
        np.array(TEXTS),
        np.array(BYTES),
        pd.Series(TEXTS),
        pd.Series(["so good", "très bien", None, "no"]),
        pd.Series(TEXTS, dtype="string"),
    ],
)
def test_texts_of_a_script_are_one_dataset_in_every_form(texts: Any, settings: Settings) -> None:
    spec = stored((texts, Y), settings)
    assert spec == stored((TEXTS, Y), settings)
    assert load(spec, settings).x.tolist() == BYTES


def test_texts_in_batches(settings: Settings) -> None:
    batches = ((np.array(TEXTS[i : i + 2]), Y[i : i + 2]) for i in (0, 2))
    assert load(stored(batches, settings), settings).x.tolist() == BYTES


def test_columns_of_text_beside_numbers(settings: Settings, folder: Path) -> None:
    frame = pd.DataFrame({"review": TEXTS, "age": [1, 2, 3, 4], "label": ["a", "b", "b", "a"]})
    frame.to_csv(folder / "reviews.csv", index=False)
    frame.to_parquet(folder / "reviews.parquet")
    for name in ("reviews.csv", "reviews.parquet"):
        given = ff.Dataset(name, x={"text": "review", "age": "age"}, y="label", texts=["review"])
        arrays = load(given, settings)
        assert arrays.x["text"].tolist() == BYTES and arrays.x["age"].tolist() == [1, 2, 3, 4]
        side_by_side = ff.Dataset(name, x=["review", "age"], y="label", texts=["review"])
        with pytest.raises(DatasetError, match="both texts and numbers"):
            load(side_by_side, settings)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ((np.array(["a", 1], dtype=object), [0, 1]), "not numbers"),
        ((["a\0b", "c"], [0, 1]), "zero byte"),
        ((["a" * 2**21, "c"], [0, 1]), "1,048,576"),
        ((np.zeros((2, 1)), ["a", "b"]), "factorize"),
    ],
)
def test_what_is_no_text_is_refused(data: Any, says: str, settings: Settings) -> None:
    with pytest.raises(DatasetError, match=says):
        stored(data, settings)


def _submit(settings: Settings, given: Any, dataset: Any) -> Any:
    return Submission(settings).row(
        {
            "model": given,
            "dataset": stored(dataset, settings),
            "loss": "binary_crossentropy",
            "optimizer": "sgd",
        }
    )


def test_texts_go_into_inputs_of_strings_only(settings: Settings) -> None:
    assert _submit(settings, model(), (TEXTS, Y)).parameters == 4 * 2 + 3 * 2 + 1
    with pytest.raises(DatasetError, match=r'contains int64.*takes string.*dtype="string"'):
        _submit(settings, model(), (Y, Y))
    dense = ff.Sequential([ff.layers.Input((1,)), ff.layers.Dense(1)])
    with pytest.raises(DatasetError, match="contains texts, the model's input"):
        _submit(settings, dense, (TEXTS, Y))


@pytest.mark.parametrize(
    ("lookup", "says"),
    [
        ({"vocabulary": "words.txt"}, "list of words, never the path"),
        ({"vocabulary": None}, "or submit with adapt=True"),
        ({"vocabulary": ["a", "a"]}, "appears twice"),
        ({"ragged": True}, "ragged"),
        ({"output_mode": "vectors"}, "not one of int, one_hot"),
    ],
)
def test_a_vocabulary_is_data(lookup: dict[str, Any], says: str, settings: Settings) -> None:
    with pytest.raises(SpecError, match=says):
        _submit(settings, model(**lookup), (TEXTS, Y))
